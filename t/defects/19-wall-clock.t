# Defect 19: timers do not follow the wall clock. In the original, a wall clock that is set
# back freezes them for as long as it was set back, and one that is set forward ends them
# too early.
#
# The machine's clock is not touched: a small library, preloaded into the program, answers
# for the C library's wall clock (and for nothing else). It lets that clock jump by an hour
# every 0.1 s. Whatever asks for the time in the program gets this one, Perl or not; only
# a system call made without the C library would still see the true one.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Preload;
use ProcessTest;

plan skip_all => 'replaces functions of the C library of Linux' if $^O ne 'linux';

my $clock = preload_library(<<'C') or plan skip_all => 'no C compiler';
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ts)
{
    static time_t first;
    struct timespec now;
    const char *jump = getenv("TEST_CLOCK_JUMP");
    int result = syscall(SYS_clock_gettime, id, ts);

    if (result == 0 && jump && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        if (!first)
            first = now.tv_sec;
        ts->tv_sec += atol(jump) * ((now.tv_sec - first) * 10 + now.tv_nsec / 100000000);
    }
    return result;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (t)
        *t = ts.tv_sec;
    return ts.tv_sec;
}
C

my $prelude = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC setitimer ITIMER_REAL);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Lets the manager look at its clock between the jumps, as any signal does.
$SIG{ALRM} = sub { };
setitimer(ITIMER_REAL, 0.02, 0.02);
PERL

# Each sets a timer of 0.5 s, and prints how many seconds it took.
my %timer = (
    'spawn_interval' => <<'PERL',
my @forks;
my $pm = Parallel::Prefork->new({
    max_workers    => 2,
    spawn_interval => 0.5,
    before_fork    => sub { push @forks, now() },
    after_fork     => sub { $_[0]->signal_received('enough') if @forks == 2 },
});
$pm->start(sub { sleep 60 while 1 });
printf "%.3f\n", $forks[1] - $forks[0];
$pm->signal_all_children('KILL');
PERL
    'err_respawn_interval' => <<'PERL',
my ($ended, @forks);
my $pm = Parallel::Prefork->new({
    max_workers          => 1,
    err_respawn_interval => 0.5,
    before_fork          => sub { push @forks, now() },
    on_child_reap        => sub { $ended ||= now() },
    after_fork           => sub { $_[0]->signal_received('enough') if @forks == 2 },
});
$pm->start(sub { exit 1 });
printf "%.3f\n", $forks[1] - $ended;
PERL
    'staggered signals' => <<'PERL',
my ($forks, @ended) = (0);
my $pm = Parallel::Prefork->new({
    max_workers   => 2,
    trap_signals  => { TERM => ['KILL', 0.5] },
    after_fork    => sub { $_[0]->signal_received('TERM') if ++$forks == 2 },
    on_child_reap => sub { push @ended, now() },
});
$pm->start(sub { sleep 60 while 1 });
my $from = now();
$pm->wait_all_children;
printf "%.3f\n", $ended[1] - $from;
PERL
    'wait_all_children' => <<'PERL',
my $pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
});
$pm->start(sub { sleep 60 while 1 });
my $from = now();
$pm->wait_all_children(0.5);
printf "%.3f\n", now() - $from;
$pm->signal_all_children('KILL');
PERL
);

my %jump = (back => -3600, forward => 3600);

sub start_with_jumps {
    my ($way, $source) = @_;
    return start_program(
        "$prelude\n$source",
        deadline => 10,
        env      => { TEST_CLOCK_JUMP => $jump{$way}, preloaded($clock) },
    );
}

# All at once, so that frozen timers cost one deadline together.
my @running;
for my $way (sort keys %jump) {
    push @running, map { [$way, $_, start_with_jumps($way, $timer{$_})] } sort keys %timer;

    my $p = start_with_jumps($way, <<'PERL');
my @from = (time, Time::HiRes::time());
my $end = now() + 0.3;
select undef, undef, undef, 0.01 while now() < $end;
print join(' ', time - $from[0], Time::HiRes::time() - $from[1]), "\n";
PERL
    $p->wait;
    my @moved = split ' ', $p->out;
    is @moved, 2, 'two clocks were read' or diag $p->err;
    cmp_ok $_ / $jump{$way}, '>', 1, "the wall clock does jump $way in these programs" for @moved;
}

# Less than 0.5, because nobody says between which two statements a timer starts.
my $ENOUGH = 0.4;

for my $case (@running) {
    my ($way, $name, $p) = @$case;
    $p->wait;
    my ($seconds) = $p->out =~ /^([\d.]+)$/m;
    ok defined $seconds, "$name: the timer ends while the clock jumps $way" or diag $p->err;
    cmp_ok $seconds || 0, '>=', $ENOUGH, "$name: the timer does not end too early while the clock jumps $way";
}

done_testing;
