# Where the system refuses the calls that a manager sleeps by (a filter of system calls, an old kernel below a
# container), it sleeps by others: it does not spin, and hears signals, children and its workers' scoreboard.

use strict;
use warnings;

use POSIX ();
use Test::More;

use lib 't/lib';
use ProcessTest;

# ppoll, pselect6, prctl
my %number = (x86_64 => [271, 270, 157], aarch64 => [73, 72, 167], riscv64 => [73, 72, 167]);
my $numbers = $number{ (POSIX::uname())[4] }
    or plan skip_all => 'no numbers of system calls are known for this machine';
my ($ppoll, $pselect, $prctl) = @$numbers;

# Whether the manager, which has nothing to do, uses next to no processor time for a second. One that spins gets a
# share of one on the busiest machine.
sub rests {
    my $p = shift;
    my $before = ticks($p->{pid});
    sleep 1;
    my $after = ticks($p->{pid});
    return defined $before && defined $after && $after - $before < 5;
}

# Undef of a process that has ended.
sub ticks {
    my $pid = shift;
    open my $fh, '<', "/proc/$pid/stat" or return undef;
    my @fields = split ' ', (readline $fh) =~ s/\A.*\) //sr;
    return $fields[11] + $fields[12];
}

my $REFUSE = <<'PERL';
use strict;
use warnings;
# refuse(PRCTL, ERRNO, CALLS): from here on those system calls fail, in this process and those that it forks.
sub refuse {
    my ($prctl, $errno, @calls) = @_;
    my @filter = ([0x20, 0, 0, 0]);
    push @filter, [0x15, 0, 1, $_], [0x06, 0, 0, 0x00050000 | $errno] for @calls;
    push @filter, [0x06, 0, 0, 0x7fff0000];
    my $filter = join '', map { pack 'SCCL', @$_ } @filter;
    my $program = pack 'S x![P] P', scalar(@filter), $filter;
    if (syscall($prctl, 38, 1, 0, 0, 0) != 0 || syscall($prctl, 22, 2, $program) != 0) {
        print "no filter: $!\n";
        exit 0;
    }
    return;
}
PERL

my $pool = $REFUSE . <<'PERL';
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({
    max_workers          => 2,
    trap_signals         => { TERM => 'TERM' },
    after_fork           => sub { print "worker $_[1]\n" },
    on_child_reap        => sub { print "ended by $_[2]\n" },
    err_respawn_interval => 0,
});
refuse(@ARGV);
if (!$pm->start) {
    sleep 100 while 1;
}
print "stopped\n";
print 'left ', $pm->wait_all_children, "\n";
PERL

for my $errno (1, 22, 38) {
    for my $calls ([$ppoll], [$ppoll, $pselect]) {
        my $name = "errno $errno for " . (@$calls == 2 ? 'ppoll and pselect6' : 'ppoll');
        my $p = start_program($pool, args => [$prctl, $errno, @$calls], deadline => 60);
        my $first = $p->line // '';
        plan skip_all => 'no filter of system calls can be set here' if $first =~ /\Ano filter/;
        my ($worker) = $first =~ /\Aworker (\d+)\z/;
        like $p->line, qr/\Aworker/, "$name: the manager forks two workers";
        ok eventually(sub { rests($p) }), "$name: the manager with nothing to do sleeps";
        kill KILL => $worker;
        is $p->line, 'ended by 9', "$name: the manager hears of a worker that has ended";
        like $p->line, qr/\Aworker/, "$name: the manager replaces it";
        $p->signal('TERM');
        is $p->line, 'stopped', "$name: TERM stops the manager";
        is $p->line_like(qr/\Aleft/), 'left 0', "$name: TERM ends all workers" or diag $p->err;
        $p->wait;
    }
}

# A worker's change of status comes by a descriptor.
{
    my $p = start_program($REFUSE . <<'PERL', args => [$prctl, 38, $ppoll], deadline => 60);
use Parallel::Prefork::SpareWorkers;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 2,
    min_spare_workers => 1,
    max_spare_workers => 2,
    heartbeat         => 1000,
    trap_signals      => { TERM => 'TERM' },
    after_fork        => sub { print "worker $_[1]\n" },
});
refuse(@ARGV);
$pm->start(sub {
    $SIG{USR1} = sub { $pm->set_status('B') };
    print "ready\n";
    sleep 100 while 1;
});
print 'left ', $pm->wait_all_children, "\n";
PERL
    my @lines = sort map { $p->line // '' } 1 .. 2;
    my ($worker) = $lines[1] =~ /\Aworker (\d+)\z/;
    is $lines[0], 'ready', 'spare workers: a first one runs';
    ok eventually(sub { rests($p) }), 'spare workers: the manager with nothing to do sleeps';
    kill USR1 => $worker;
    ok defined $p->line_like(qr/\Aworker (?!$worker)/), 'spare workers: a second one is forked when the first is busy';
    $p->signal('TERM');
    is $p->line_like(qr/\Aleft/), 'left 0', 'spare workers: TERM ends the manager, with all workers' or diag $p->err;
}

done_testing;
