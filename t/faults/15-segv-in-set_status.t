# A worker dies by SIGSEGV in the middle of set_status: the scoreboard stays readable, its slots
# are freed, and the manager still knows how many workers are busy.
#
# XS blocks signals around that call, and a signal that is sent waits for its end; a fault
# does not. So a worker takes a page of the scoreboard away from itself, and faults at the
# store of the status, or between that and the count of the busy. Others are shot from
# outside while they change their status as fast as they can.

use strict;
use warnings;

use File::Temp ();
use POSIX ();
use Test::More;

use lib 't/lib';
use FaultTest;
use ProcessTest;

my $deaths   = scale(full => 10_000, quick => 300);
my $original = on_the_original();
my %mprotect = (x86_64 => 10, aarch64 => 226);
my $machine  = (POSIX::uname())[4];
my $number   = $mprotect{$machine};
diag "no number of mprotect(2) is known here for $machine: workers are only shot from outside" if !$number;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);
use Time::HiRes qw(sleep);

my ($file, $deaths, $mprotect) = @ARGV;
my (%alive, %died, $strange);
my ($busy, $done) = (0, 0);
my @how = $mprotect ? qw(store count shot) : 'shot';

# Shoots at whom it is told, after up to 2 ms.
pipe my $victims, my $shoot or die "pipe: $!";
my $manager = $$;
my $sniper  = fork;
defined $sniper or die "fork: $!";
if (!$sniper) {
    close $shoot;
    while (my $pid = <$victims>) {
        sleep rand 0.002;
        kill SEGV => $pid;
    }
    POSIX::_exit(0);
}
close $victims;
$shoot->autoflush(1);

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 6,
    min_spare_workers    => 2,
    max_spare_workers    => 4,
    err_respawn_interval => 0,
    scoreboard_file      => $file,
    trap_signals         => { TERM => 'TERM' },
    after_fork           => sub { $alive{ $_[1] } = 1 },
    on_child_reap        => sub {
        my (undef, $pid, $status) = @_;
        delete $alive{$pid} or $strange = "$pid was none of ours, or came twice";
        $died{ $status & 127 }++;
        check_board() if keys(%died) && !(++$done % 50);
        $busy = $done >= $deaths && !$strange ? 0 : 1;
    },
});

sub board {
    open my $fh, '<', $file or die "cannot open $file: $!";
    local $/;
    return scalar readline $fh;
}

sub check_board {
    my $text = board();
    $strange = "the file is not readable:\n$text" if $text !~ /\A(?:[.](?: {14})\n|[_A-Z][0-9 ]{14}\n){6}\z/;
    return;
}

sub protect {
    my $pages = shift;
    open my $maps, '<', '/proc/self/maps' or die "maps: $!";
    # For as many workers as there can ever be, the slots have 16 bytes each, and the header more.
    for (<$maps>) {
        my ($from, $to) = /\A([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/ or next;
        my $size = hex($to) - hex $from;
        next if ($size == 16 << 20) != ($pages eq 'slots');
        syscall($mprotect, hex $from, $size, 1) == 0 or die "mprotect: $!";
    }
    return;
}

$busy = 1;
$SIG{USR2} = sub {
    check_board();
    print 'statuses: ', join('', sort $pm->scoreboard->get_statuses), "\n";
};
until ($pm->signal_received eq 'TERM') {
    next if $pm->start;
    {
        my $is_idle = 1;
        $SIG{USR1} = sub { $is_idle = 0 };
        if ($busy) {
            my $how = $how[rand @how];
            if ($how eq 'shot') {
                print {$shoot} "$$\n";
                while (1) {
                    $pm->set_status('B');
                    $pm->set_status(STATUS_IDLE);
                }
            }
            protect($how eq 'store' ? 'slots' : 'header');
            $pm->set_status('B');
            print "not in the middle of set_status: $how\n";
            exit 3;
        }
        print "idle $$\n";
        my $was_idle = 1;
        while (1) {
            $pm->set_status('W') if $was_idle && !$is_idle;
            $was_idle = $is_idle;
            sleep 0.02;
        }
    }
}
my $left = $pm->wait_all_children(20);
close $shoot;
waitpid $sniper, 0;
check_board();
print "left $left, unreaped ", scalar(keys %alive), ', statuses ', $pm->scoreboard->get_statuses, "\n";
print 'busy at the end: ', $pm->num_active_workers, "\n";
print 'by signal ', join(' ', map { "$_:$died{$_}" } sort { $a <=> $b } keys %died), "\n";
print 'strange: ', $strange || 'nothing', "\n";
PERL

my $dir = File::Temp->newdir;
my @inc = map { "-I$_" } map { File::Spec->rel2abs($_) } grep { !ref } @INC;
open my $source, '>', "$dir/program.pl" or die "cannot write: $!";
print {$source} "\$| = 1;\n$program";
close $source or die "cannot write: $!";

# A core file for each of them would fill the disk.
my $p = start_program(undef,
    command  => ['/bin/sh', '-c', 'ulimit -c 0; exec "$@"', 'sh', $^X, @inc, "$dir/program.pl",
        "$dir/scoreboard", $deaths, !$original && $number ? $number : 0],
    deadline => scale(full => 400, quick => 60));

sub last_of { return substr $_[0], length $_[0] > 1000 ? -1000 : 0 }

# When enough have died, the next two stay, and are idle.
my @idle = map { ($p->line_like(qr/\A(?:idle|not)/) || '') =~ /\Aidle (\d+)\z/ ? $1 : () } 1 .. 2;
is @idle, 2, "after $deaths deaths, the workers find slots, and stay" or diag last_of($p->err);

# One more is wanted for each that gets work: the count of the busy has survived.
$p->signal(USR1 => $_) for @idle;
my @more = map { ($p->line_like(qr/\A(?:idle|not)/) || '') =~ /\Aidle (\d+)\z/ ? $1 : () } 1 .. 2;
is @more, 2, 'the manager sees that both have got work, and forks two more';
my $statuses = '';
eventually {
    $p->signal('USR2');
    $statuses = $p->line_like(qr/\Astatuses/) || '';
    $statuses eq 'statuses: ..WW__';
};
is $statuses, 'statuses: ..WW__', 'the scoreboard has these four workers, and no other';

# Workers that died between the status and the count have left the count wrong, which makes the
# manager look every 250 ms. Once it is right, nothing wakes the manager.
sub wakeups {
    my $file = '/proc/' . $p->pid . '/status';
    open my $fh, '<', $file or die "the manager is gone: $file: $!\n";
    my ($count) = map { /\Avoluntary_ctxt_switches:\s+(\d+)/ ? $1 : () } <$fh>;
    return $count;
}
if (!$original) {
    my $woken = 9**9;
    eventually {
        my $before = wakeups();
        sleep 1;
        ($woken = wakeups() - $before) < 2;
    } 20;
    cmp_ok $woken, '<', 2, 'the manager sleeps';
}

$p->signal('TERM');
is $p->wait, 0, 'the manager ends as it should' or diag last_of($p->err);
like $p->out, qr/^left 0, unreaped 0, statuses \.{6}$/m, 'no worker is left, each was reaped once, no slot is taken';
like $p->out, qr/^busy at the end: 0$/m, 'nobody is busy';
like $p->out, qr/^strange: nothing$/m, 'the file was readable at every 50th reap';
my ($segv) = $p->out =~ /^by signal .*\b11:(\d+)/m;
cmp_ok $segv || 0, '>=', $deaths, 'they died by SIGSEGV' or diag last_of($p->out);
unlike $p->out, qr/^not in the middle/m, 'no worker whose scoreboard is gone came through';

figure("$deaths workers die by SIGSEGV in set_status", sprintf '%d died, %s; %s',
    $segv || 0, $p->out =~ /^left (.*)$/m ? "workers left $1" : 'the manager did not end',
    $p->out =~ /^strange: nothing/m ? 'the file was readable each time' : 'the file was not readable');

done_testing;
