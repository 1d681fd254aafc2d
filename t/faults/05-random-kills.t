# Workers are killed at random, faster than anybody could look: each is reported once and replaced,
# and nothing piles up.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use FaultPool;
use FaultTest;

my $WORKERS = 50;
my $KILLS   = scale(full => 10_000, quick => 1_000);
my $RATE    = 500;    # a second

# Kilobytes by which a manager's memory may differ between two looks.
my $FLAT = 256;

# Kills workers as they become known, each only once: what is not reaped keeps its number, so that
# nobody else is hit.
sub kill_at_random {
    my ($pool, $targets, $kills) = @_;
    my ($begin, $done) = (time, 0);
    while ($done < $kills && $pool->is_alive) {
        for ($done + 1 .. (time - $begin) * $RATE) {
            last if $done == $kills || !@$targets;
            my ($pid) = splice @$targets, rand @$targets, 1;
            kill KILL => $pid;
            $done++;
        }
        $pool->hear(0.002);
    }
    return $done;
}

# One that was killed may live for a moment longer.
sub is_over {
    my ($pool, $kills) = @_;
    return $pool->until_true(30, sub { $pool->{reaps} >= $kills }) && $pool->settle(30);
}

for my $host (FaultPool->hosts) {
    my @targets;
    my $pool = FaultPool->start($host, $WORKERS, deadline => 290);
    $pool->{on_fork} = sub { push @targets, $_[0] };
    $pool->settle(60) or die "$host: there is no pool\n";

    my $begin = time;
    my $kills = kill_at_random($pool, \@targets, $KILLS / 5);
    is_over($pool, $kills);
    my ($memory, $descriptors) = ($pool->memory, $pool->descriptors);
    $kills += kill_at_random($pool, \@targets, $KILLS - $KILLS / 5);
    my $is_whole = is_over($pool, $kills);
    my $rate     = $kills / (time - $begin);

    my ($grown, $opened) = ($pool->memory - $memory, $pool->descriptors - $descriptors);
    my ($zombies, $alive) = $pool->children;
    figure("$KILLS random SIGKILLs, $WORKERS workers, $host host",
        sprintf('%.0f a second: %d forks, %d calls of on_child_reap, %d workers, %d zombies; '
                . 'memory %+d kB, descriptors %+d',
            $rate, $pool->{forks}, $pool->{reaps}, $alive, $zombies, $grown, $opened));
    ok $is_whole, "$host: the pool is whole";
    is $pool->{reaps}, $kills, "$host: each death is reported";
    is $pool->{forks} - $pool->{reaps}, $alive, "$host: as many reports as forks, but for those alive";
    is_deeply $pool->{status}, { 9 => $kills }, "$host: ... with their status";
    is_deeply $pool->{strange}, [], "$host: ... and none twice";
    is $alive, $WORKERS, "$host: $WORKERS workers";
    is $zombies, 0, "$host: no zombie";
    cmp_ok $grown, '<=', $FLAT, "$host: memory is flat";
    is $opened, 0, "$host: descriptors are flat";
    ok $memory && $descriptors, "$host: ... and both can be seen";
    $pool->program->signal('TERM');
    $pool->until_true(60, sub { defined $pool->{left} });
    is $pool->{left}, 0, "$host: TERM ends it" or diag $pool->program->err;
}

done_testing;
