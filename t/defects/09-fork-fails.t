# Defect 9: while fork fails, the manager tries again at most every 50 ms, reaps workers
# meanwhile, and warns at most once a second, with a count. The original, with
# err_respawn_interval 0, does nothing but fork and warn.

use strict;
use warnings;

use Errno qw(EAGAIN);
use Test::More;

use lib 't/lib';
use ProcessTest;

# The first fork is real; then they fail until there was enough to see; then they are real
# again. The first worker exits at the third failure.
my $program = <<'PERL';
use Errno qw(EAGAIN);
use LoadClock;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($forks, $failures, $since, $patience, $last_failure, $least_gap) = (0, 0);
my (@warnings, @warned_at, @warned_of, @failures_by_then, $reaped);
pipe my $gate, my $opener or die "pipe: $!";

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub seen_enough {
    my $elapsed = now() - $since;
    return $patience->seconds > 8 || $elapsed > 1.2 && @warnings >= 2 && $reaped;
}

BEGIN {
    *CORE::GLOBAL::fork = sub {
        if ($forks == 0 || $failures && seen_enough()) {
            $forks++;
            return CORE::fork();
        }
        my $now = now();
        ($since, $patience) = ($now, LoadClock->new) if !$failures++;
        my $gap = defined $last_failure ? $now - $last_failure : 9;
        $least_gap = $gap if !defined $least_gap || $gap < $least_gap;
        $last_failure = $now;
        syswrite $opener, 'x' if $failures == 3;
        $! = EAGAIN;
        return undef;
    };
}
use Parallel::Prefork;

$SIG{__WARN__} = sub {
    # The original would fill the memory.
    return if @warnings > 100;
    push @warnings, $_[0];
    push @warned_at, now();
    push @warned_of, $last_failure;
    push @failures_by_then, $failures;
};
my $pm = Parallel::Prefork->new({
    max_workers          => 2,
    err_respawn_interval => $ARGV[0],
    after_fork           => sub { kill TERM => $$ if $forks == 3 },
    on_child_reap        => sub { $reaped ||= $forks == 1 },
});
my $returned = $pm->start(sub {
    if ($forks == 1) {
        sysread $gate, my $byte, 1;
        exit;
    }
    sleep 60 while 1;
});

# From before the manager decided to warn to after it did so again: on a busy machine it may come to warn much later.
my $least_silence = 9;
for my $i (1 .. $#warned_at) {
    my $silence = $warned_at[$i] - $warned_of[$i - 1];
    $least_silence = $silence if $silence < $least_silence;
}
my ($count) = $warnings[1] =~ /\A(.*) at \S+ line \d+/s;
$count =~ s/\Afork failed:\Q${\ do { local $! = EAGAIN; "$!" }}\E//;
printf "gap %.4f\nsilence %.4f\nreaped %d\nreturned %d\n", $least_gap, $least_silence, $reaped, $returned;
print "first $warnings[0]second $warnings[1]";
print 'count ', $count =~ /(\d+)/ ? $1 : 'none', " of $failures_by_then[1]\n";
PERL

my @intervals = (0, 0.01);
my @programs = map { start_program($program, args => [$_], deadline => 15) } @intervals;
my $again = do { local $! = EAGAIN; "$!" };

for my $interval (@intervals) {
    my $p = shift @programs;
    $p->wait;
    my %saw = $p->out =~ /^(\w+) (.*)$/mg;
    my $name = "err_respawn_interval $interval";
    # A millisecond of grace for clocks and rounding.
    cmp_ok $saw{gap} || 0, '>=', 0.049, "$name: no try comes sooner than 50 ms after the last";
    cmp_ok $saw{silence} || 0, '>=', 0.999, "$name: warnings are a second apart";
    like $saw{first}, qr/\Afork failed:\Q$again\E/, "$name: the first warning says why";
    like $saw{second}, qr/\Afork failed:\Q$again\E/, "$name: the next one too";
    my ($count, $failures) = ($saw{count} || '') =~ /^(\d+) of (\d+)$/;
    ok $count && $count <= $failures, "$name: and it tells how often fork failed"
        or diag $saw{second}, "\n", $saw{count};
    is $saw{reaped}, 1, "$name: a worker that exits meanwhile is reaped";
    is $saw{returned}, 1, "$name: the pool is full as soon as fork works again, and start can end";
    diag $p->err if $p->err ne '';
}

done_testing;
