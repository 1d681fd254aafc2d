# Fault 10: SIGCHLD is ignored, inherited as ignored, blocked, set to its default or given a handler
# that tells nobody, before the manager is made and after: each exit is noticed, and nothing spins.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use FaultHosts;
use FaultTest;
use ProcessTest;

my $EXITS    = scale(quick => 25, full => 1000);
my $SPAN     = scale(quick => 0.7, full => 10);
my $DEADLINE = scale(quick => 60, full => 250);
# Where the system reaps, 0.18 spins for ever, and the others of its group wait for that.
my $SPINS_FOR = scale(quick => 5, full => 60);
my $CODE     = 3;
# Of a processor: who looks once a second uses less, on a crowded machine, too, and 16 that spin get more each. At full
# size the machine has nothing else to do.
my $ASLEEP   = scale(quick => 0.05, full => 0.01);

# What the program inherits.
my %under = (
    ignored => ['sh', '-c', q(trap '' CHLD; exec "$@"), 'sh'],
    blocked => [$^X, '-MPOSIX', '-e', 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD)); exec @ARGV'],
);

my @ways = (
    ['as it is'],
    (map { ["inherited $_", under => $_] } sort keys %under),
    map {
        my $way = $_;
        map { ["$way $_ new", chld => $way, when => $_] } 'before', 'after';
    } qw(ignore block default nocldwait own),
);

# A pool of one notices each exit, or stops for ever; one of several is where exits coincide.
my @cases;
for my $host (hosts()) {
    for my $way (@ways) {
        my ($name, %how) = @$way;
        next if $host eq 'C' && ($how{chld} || '') eq 'own';
        my $under = delete $how{under};
        for my $workers (1, 4) {
            push @cases, {
                name    => "$host, SIGCHLD $name, pool of $workers",
                workers => $workers,
                # Only where the system reaps by itself may a status be lost.
                may_be_lost => scalar($name =~ /ignore|nocldwait/),
                args        => [
                    $host,
                    [workers => $workers, exits => $EXITS, code => $CODE, err => 0, life => 0.004, %how],
                    deadline => on_the_original() && $name =~ /(?:ignore|nocldwait) after/ ? $SPINS_FOR : $DEADLINE,
                    under    => $under ? $under{$under} : [],
                ],
            };
        }
    }
}

my %sum;

# As many at a time as the machine can bear without each waiting for all the others.
while (my @group = splice @cases, 0, 16) {
    for my $case (@group) {
        my ($host, @rest) = @{ $case->{args} };
        $case->{program} = start_host($host, @rest);
    }
    for my $case (@group) {
        $case->{is_up} = has_lines($case->{program}, up => $case->{workers});
        ok $case->{is_up}, "$case->{name}: every exit is noticed" or diag $case->{program}->err;
    }
    my $begun = clock_gettime(CLOCK_MONOTONIC);
    $_->{cpu} = $_->{program}->cpu for @group;
    sleep $SPAN;
    for my $case (@group) {
        my ($p, $name) = @$case{qw(program name)};
        my $cpu  = $p->cpu;
        my $span = clock_gettime(CLOCK_MONOTONIC) - $begun;
        $case->{share} = defined $cpu && defined $case->{cpu} ? ($cpu - $case->{cpu}) / $span : undef;
        ok defined $case->{share} && $case->{share} < $ASLEEP, "$name: and then it sleeps"
            or diag defined $case->{share} ? $case->{share} : 'it is gone';
        my @zombies = grep { $_ eq 'Z' } values %{ $p->children };
        is @zombies, 0, "$name: without a zombie";
        $p->signal('TERM');
    }
    for my $case (@group) {
        my ($p, $name) = @$case{qw(program name)};
        $p->wait;
        is join(' ', lines($p, 'left')), '0', "$name: TERM ends it, with no worker left" or diag $p->err;
        my %status;
        $status{ (split / /)[1] }++ for lines($p, 'reaped');
        is unmatched($p), 0, "$name: each worker is reaped once";
        $case->{lost} = delete $status{-1} || 0;
        ok !$case->{lost} || $case->{may_be_lost}, "$name: with the status" or diag "$case->{lost} lost";
        is_deeply [grep { $_ != $CODE << 8 && $_ != 0 } keys %status], [], "$name: no wrong one";
        my $sum = $sum{ $case->{args}[0] } ||= { ways => 0, exits => 0, noticed => 0, lost => 0, most => 0 };
        $sum->{ways}++;
        $sum->{exits} += $EXITS;
        if (!$case->{is_up}) {
            figure("$name: $EXITS exits" => 'it hung or spun');
            next;
        }
        $sum->{noticed} += lines($p, 'reaped') - $case->{workers};
        $sum->{lost}    += $case->{lost};
        $sum->{most} = $case->{share} if defined $case->{share} && $case->{share} > $sum->{most};
    }
}
for my $host (hosts()) {
    my $sum = $sum{$host};
    my $seen = sprintf '%d noticed, %d of them without a status, then %.2f %% CPU at most',
        $sum->{noticed}, $sum->{lost}, 100 * $sum->{most};
    figure("SIGCHLD in $sum->{ways} ways, $host: $sum->{exits} exits" => $seen);
}

done_testing;
