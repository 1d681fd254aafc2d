# Fault 11: a manager that is told to stop at an awkward moment (while forking rests, while it sends
# a signal to one worker after the other, inside each hook, before the first worker) ends at
# once when its last worker has.

use strict;
use warnings;

use Errno qw(EAGAIN);
use File::Temp ();
use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use FaultHosts;
use FaultTest;
use LoadClock;
use ProcessTest;

my $ROUNDS   = scale(quick => 2, full => 40);
# A busy machine may be late; what is broken waits for one of the intervals below.
my $PROMISED = scale(quick => 5, full => 1);
my $DEADLINE = on_the_original() ? 5 : 20;
my $NEVER    = 600;

my $file = File::Temp->new;
my @no_fork = (env => { failing_forks(EAGAIN, 1, "$file") });

# What the host is told, and what it has to have done (a line, how often) before it gets a signal.
my @moments = (
    [   'while forking rests after a worker has failed',
        [workers => 1, exits => 1, code => 1, err => $NEVER],
        [reaped => 1, 'TERM']
    ],
    ['while forking rests after a fork has failed', [workers => 2, err => $NEVER], [failed => 1, 'TERM'], @no_fork],
    ['while forking rests for spawn_interval', [workers => 3, spawn => $NEVER], [up => 1, 'TERM']],
    [   'while a staggered reload is under way',
        [workers => 4, reload_interval => $NEVER],
        [up => 4, 'HUP'],
        [up => 5, 'TERM']
    ],
    ['while it stops its workers one after the other', [workers => 4, interval => 0.1], [up => 4, 'TERM']],
    ['in the first before_fork', [workers => 3, stop => 'before_fork']],
    ['in the third before_fork', [workers => 3, stop => 'before_fork', nth => 3]],
    ['in the first after_fork',  [workers => 3, stop => 'after_fork']],
    ['in the third after_fork',  [workers => 3, stop => 'after_fork', nth => 3]],
    ['in on_child_reap', [workers => 3, exits => 1, code => 0, stop => 'on_child_reap']],
    ['in on_child_reap, twice', [workers => 4, stop => 'on_child_reap', nth => 2], [up => 4, 'TERM']],
    ['in on_child_reap of a failure', [workers => 3, exits => 1, code => 1, err => $NEVER, stop => 'on_child_reap']],
    ['where it hears of a failed fork', [workers => 3, err => $NEVER, stop => 'on_fork_failure'], @no_fork],
    ['before start', [workers => 3, stop => 'new']],
    ['at any moment from its first on', [workers => 3]],
);

my %saw;
for my $host (hosts()) {
    $saw{$host}{ $_->[0] } = { rounds => 0, hung => 0, latest => 0, unclean => 0 } for @moments;
}
my $clock = LoadClock->new;
for my $round (1 .. $ROUNDS) {
    for my $host (hosts()) {
        my @running;
        for my $moment (@moments) {
            my ($name, $arguments, @rest) = @$moment;
            # Enough is known of it, and each time costs a deadline.
            next if $saw{$host}{$name}{hung} >= 2;
            my @steps;
            push @steps, shift @rest while ref $rest[0];
            my $p = start_host($host, [end => 0.1, @$arguments], @rest, deadline => $DEADLINE);
            push @running, [$name, $p, @steps];
            if ($name =~ /^at any moment/) {
                # Before that it is a process of the test's, which ignores TERM.
                has_lines($p, begun => 1);
                sleep rand 0.03;
                push @{ $running[-1] }, [send_to($p, 'TERM')];
            }
        }
        for my $running (@running) {
            my ($name, $p, @steps) = @$running;
            my $told = 0;
            for my $step (@steps) {
                my ($word, $count, $signal) = @$step;
                if (@$step == 1) {
                    $told = $word;
                    next;
                }
                has_lines($p, $word, $count);
                $told = send_to($p, $signal);
            }
            $p->wait;
            $clock->seconds;
            my $saw = $saw{$host}{$name};
            $saw->{rounds}++;
            if ($p->timed_out) {
                $saw->{hung}++;
                next;
            }
            my ($gone) = lines($p, 'gone');
            # Before it has a handler, TERM ends it as it ends any program.
            my $is_early = !defined $gone && $p->status == 15 && $name =~ /^at any moment/;
            $saw->{unclean}++ if !$is_early && join(' ', $p->status, lines($p, 'left')) ne '0 0' || $p->members;
            my ($last) = sort { $b <=> $a } $told, lines($p, 'told'), lines($p, 'ended');
            my $late = $is_early ? 0 : defined $gone ? $gone - $last : 0;
            $saw->{latest} = $late if $late > $saw->{latest};
        }
    }
}

sub send_to {
    my ($p, $signal) = @_;
    my $now = clock_gettime(CLOCK_MONOTONIC);
    $p->signal($signal);
    return $now;
}

for my $host (hosts()) {
    for my $name (map { $_->[0] } @moments) {
        my $saw = $saw{$host}{$name};
        is $saw->{hung}, 0, "$host, told to stop $name: it ends";
        is $saw->{unclean}, 0, "$host, told to stop $name: well, and leaves nobody behind";
        cmp_ok $saw->{latest}, '<', $clock->stretched($PROMISED), "$host, told to stop $name: at once";
        figure("$host, told to stop $name" => sprintf '%d of %d hung, %.3f s after the last worker at most',
            @$saw{qw(hung rounds latest)});
    }
}

done_testing;
