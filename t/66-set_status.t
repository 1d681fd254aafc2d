# Workers that are held up in the middle of set_status, and handlers that leave it: the manager knows of every
# change that it has to know of, and sleeps without a time-out otherwise.
#
# A worker takes a page of the scoreboard away from itself, so that it comes into its handler of SIGSEGV in the
# middle, which perl always runs at once.

use strict;
use warnings;

use File::Temp ();
use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;

my %mprotect = (x86_64 => 10, aarch64 => 226);
my $number   = $mprotect{ (POSIX::uname())[4] }
    or plan skip_all => 'no number of mprotect(2) is known for this machine';

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my ($mprotect, $dir, @settings) = @ARGV;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 3,
    min_spare_workers    => 2,
    max_spare_workers    => 3,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM' },
    on_child_reap        => sub { print "ended by $_[2]\n" },
});
# The shared memory: the slots, which are smaller, and the numbers.
my ($slots, $numbers) = sort { $a->[1] <=> $b->[1] } do {
    no warnings 'portable';
    open my $maps, '<', '/proc/self/maps' or die "maps: $!";
    map { /\A([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/ ? [hex $1, hex($2) - hex $1] : () } <$maps>;
};

sub protect {
    my ($pages, $is_writable) = @_;
    syscall($mprotect, @$pages, $is_writable ? 3 : 1) == 0 or die "mprotect: $!";
    return;
}

# New bounds for the idle ones, and no look that the test does not ask for.
$SIG{USR2} = sub {
    my ($min, $max) = split /-/, shift @settings;
    $pm->min_spare_workers($min);
    $pm->max_spare_workers($max);
    print "$min to $max\n";
};
$SIG{USR1} = sub { print "looks\n" };

# SIGSTOP and SIGCONT would wake the manager.
sub stop {
    print "stopped $$\n";
    select undef, undef, undef, 0.01 until -e "$dir/go-on";
    return;
}

until ($pm->signal_received eq 'TERM') {
    $pm->start and next;
    $SIG{HUP} = sub {
        $pm->set_status('B');
        print "busy $$\n";
    };
    # Busy, and stopped before the status is that.
    $SIG{USR1} = sub {
        local $SIG{SEGV} = sub {
            stop();
            protect($slots, 1);
        };
        protect($slots, 0);
        $pm->set_status('B');
        print "busy $$\n";
    };
    # Idle, and stopped before the status is that; then a handler leaves before anything else is done.
    $SIG{USR2} = sub {
        local $SIG{SEGV} = sub {
            $SIG{SEGV} = sub {
                protect($numbers, 1);
                # Before the change is put right, as the manager may then stop this worker at once.
                print "left\n";
                die "left\n";
            };
            stop();
            protect($slots, 1);
            protect($numbers, 0);
        };
        protect($slots, 0);
        eval { $pm->set_status(STATUS_IDLE); 1 } and print "not left\n";
    };
    # The first time is another one, with signals blocked.
    $pm->set_status(STATUS_IDLE);
    print "worker $$\n";
    sleep 1 while 1;
}
$pm->wait_all_children;
print "end\n";
PERL

my $dir;

sub pool {
    $dir = File::Temp->newdir;
    my $p = start_program($program, args => [$number, $dir, @_], deadline => 60);
    my @workers = map { ($p->line || '') =~ /\Aworker (\d+)\z/ ? $1 : () } 1 .. 2;
    is @workers, 2, 'two workers' or diag $p->err;
    return $p, @workers;
}

# The manager does what it is told to by a signal, and sleeps.
sub manager_looks {
    my ($p, $signal, $line) = @_;
    $p->signal($signal);
    is $p->line, $line, "the manager: $line";
    ok eventually(sub { $p->asleep }), "the manager sleeps after: $line";
    return;
}

# The held-up worker goes on, once nothing but a worker's change will wake the manager.
sub goes_on {
    my $p = shift;
    ok eventually(sub { $p->sleeps_on(1.2) }), 'the manager has nothing to do';
    open my $fh, '>', "$dir/go-on" or die "cannot write: $!";
    return;
}

sub ends {
    my $p = shift;
    $p->signal('TERM');
    is $p->line_like(qr/\Aend\z/), 'end', 'the manager ends as it should' or diag $p->err;
    return;
}

{
    my ($p, $one, $other) = pool('1-3');
    manager_looks($p, USR2 => '1 to 3');
    $p->signal(USR1 => $one);
    is $p->line, "stopped $one", 'a worker is held up in set_status as it turns busy';
    # Often enough to take it for dead.
    manager_looks($p, USR1 => 'looks') for 1 .. 4;
    goes_on($p);
    is $p->line, "busy $one", 'a worker that a handler interrupts in set_status goes on, and is busy';
    $p->signal(HUP => $other);
    my @lines = sort map { $p->line_within(20) || 'none' } 1 .. 2;
    is $lines[0], "busy $other", 'the other worker turns busy too';
    like $lines[1], qr/\Aworker \d+\z/, 'one more is forked';
    ends($p);
}

{
    my ($p, $one) = pool('1-3', '2-3');
    manager_looks($p, USR2 => '1 to 3');
    $p->signal(USR1 => $one);
    is $p->line, "stopped $one", 'one turns busy, which the manager need not know';
    manager_looks($p, USR2 => '2 to 3');
    goes_on($p);
    my @lines = sort map { $p->line_within(20) || 'none' } 1 .. 2;
    is $lines[0], "busy $one", 'the manager is woken when it has to be';
    like $lines[1], qr/\Aworker \d+\z/, 'one more is forked';
    ends($p);
}

{
    my ($p, $one, $other) = pool('1-2', '1-1');
    manager_looks($p, USR2 => '1 to 2');
    $p->signal(HUP => $one);
    is $p->line, "busy $one", 'a worker is busy';
    $p->signal(USR2 => $one);
    is $p->line, "stopped $one", 'a worker that is busy turns idle';
    manager_looks($p, USR2 => '1 to 1');
    goes_on($p);
    my @lines = sort map { $p->line_within(20) || 'none' } 1 .. 2;
    is_deeply \@lines, ['ended by 15', 'left'],
        'a worker turns idle in a set_status that a handler leaves: one is too many all the same';
    # What it has left is put right, or the manager would go on looking.
    ok eventually(sub { $p->sleeps_on(0.6) }), 'the manager sleeps when one idle worker has gone';
    ends($p);
}

done_testing;
