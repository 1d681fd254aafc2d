# The manager is killed by KILL, at moments that are swept over its whole life: before its first fork, while it fills
# the pool, reloads, stops and waits for all. No worker outlives it: pdeathsig ends them, or the wait of the worker
# tells them to leave.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use PidNamespace;
use ProcessTest;

plan skip_all => '0.18 has nothing that ends workers with their manager' if on_the_original();

my $TRIALS  = scale(full => 2_000, quick => 60);
my $WORKERS = 6;

# Seconds after which a worker that is still there will stay.
my $PATIENCE = 30;

# Another user than root.
my $OTHER = 65534;

# A trial: a manager with a whole life, which is over soon if nobody ends it. All workers have the writing end of a
# pipe, which is at its end when they are gone.
my $perl = <<'PERL';
use Parallel::Prefork;
use POSIX qw(WNOHANG);
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

my ($by, $trials, $workers, $user, $patience) = @ARGV;
sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub work {
    my $pm = shift;
    if ($user) {
        POSIX::setuid($user) or die "setuid: $!\n";
    }
    if ($by eq 'wait_readable') {
        1 while $pm->wait_readable;
        POSIX::_exit(0);
    }
    if ($user) {
        # It is asked for again here. From then on TERM does not end the worker by itself.
        $SIG{TERM} = sub { POSIX::_exit(0) };
        $pm->stopping;
    }
    sleep 0.05 while 1;
}

# Fills the pool, reloads, and stops.
sub live {
    my $forks = 0;
    my $pm = Parallel::Prefork->new(
        max_workers  => $workers,
        trap_signals => { TERM => 'TERM', HUP => 'TERM' },
        after_fork   => sub {
            $forks++;
            kill HUP  => $$ if $forks == $workers;
            kill TERM => $$ if $forks == 2 * $workers;
        },
        $by eq 'pdeathsig' ? (pdeathsig => 'KILL') : (),
    );
    do { $pm->start(sub { work($pm) }) } until $pm->signal_received eq 'TERM';
    $pm->wait_all_children;
    return;
}

# Kills a manager so many seconds after its beginning; never, if that is not given. Returns how it has ended, how long
# that took, and after how long its workers were gone.
sub trial {
    my $moment = shift;
    pipe my $lives, my $held or die "pipe: $!";
    my $begin   = now();
    my $manager = fork // die "fork: $!";
    if (!$manager) {
        close $lives;
        live();
        POSIX::_exit(7);
    }
    close $held;
    vec(my $ends = '', fileno $lives, 1) = 1;
    if (defined $moment) {
        my $left = $begin + $moment - now();
        # It may be over before.
        select my $ended = $ends, undef, undef, $left > 0 ? $left : 0;
        kill KILL => $manager;
    }
    waitpid $manager, 0;
    my ($status, $end) = ($?, now());
    select $ends, undef, undef, $patience or return ($status, $end - $begin, undef);
    my $took = now() - $end;
    # The orphans are its children now.
    1 while waitpid(-1, WNOHANG) > 0;
    return ($status, $end - $begin, $took);
}

# One that has ended before was faster than those before it.
my $life = (trial())[1];
my $n    = 0;
while ($n < $trials) {
    my ($status, $length, $took) = trial($life * $n / $trials);
    if ($status == 7 << 8) {
        $life = 0.8 * $life + 0.2 * $length;
        next;
    }
    print join(' ', $status & 127, $took // 'left'), "\n";
    $n++;
}
PERL

my $c = compile('t/faults/24-manager-killed.c', qw(-std=gnu99 -Wall -Wextra -Werror));

sub sweep {
    my ($host, $by, $user, $where, @under) = @_;
    my $name      = "$host, $by" . ($user ? ', workers that have become another user' : '') . $where;
    my @arguments = ($by, $TRIALS, $WORKERS, $user, $PATIENCE);
    my %options   = (deadline => 290, under => [@under, $host eq 'C' ? () : ($c, 'exec')]);
    my $program   = $host eq 'C'
        ? start_program(undef, %options, command => [$c, @arguments])
        : start_program($perl, %options, args => \@arguments);
    my ($killed, $left, $longest) = (0, 0, 0);
    while (defined(my $line = $program->line)) {
        my ($signal, $took) = split ' ', $line;
        $killed++ if $signal == 9;
        $left++   if $took eq 'left';
        $longest = $took if $took ne 'left' && $took > $longest;
    }
    is $program->wait, 0, "$name: the program ends well" or diag $program->err;
    is $killed, $TRIALS, "$name: the manager is killed, each time";
    is $left, 0, "$name: no worker is left";
    figure("manager killed at $TRIALS moments of its life, $name",
        sprintf 'workers left behind %d times of %d, all gone after %.3f s at most', $left, $killed, $longest);
    return;
}

for my $host (qw(Perl C)) {
    for my $by (qw(pdeathsig wait_readable)) {
        sweep($host, $by, 0, '');
        SKIP: {
            skip 'only root can become another user', 1 if $> != 0;
            sweep($host, $by, $OTHER, '');
        }
        SKIP: {
            my @namespace = new_pid_namespace() or skip 'no PID namespace can be made here', 1;
            sweep($host, $by, 0, ', in a PID namespace', @namespace);
        }
    }
}

done_testing;
