# TERM, aimed at the moment at which the manager goes to sleep, always ends the sleep. Another process
# sends it; or a timer of the manager's own does, which hits better where there are more processes
# than cores (in Perl that sends ALRM).

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use CProgram;
use FaultTest;
use LoadClock;
use ProcessTest;

my $TRIALS = scale(full => 20_000, quick => 1_000);

# Before a shot from outside the manager is busy for so many seconds, so that there is time to aim.
my $HEAD_START = 0.0003;

# Each shot is aimed by the one before: earlier if that has met the manager asleep, otherwise later. So
# they gather around the moment at which the sleep begins.
my $STEP    = 0.000005;
my $SCATTER = 0.00003;

# A signal wakes who sleeps at once, however busy the machine is: a manager that sleeps on for so many
# seconds has lost it.
my $HANG = 0.2;

# Whoever says nothing for so long, and does not sleep either, is gone.
my $PATIENCE = 20;

# More hangs than this show nothing new, and each takes its time.
my $ENOUGH = 100;

# The only worker stays; nothing but TERM ends a trial. "aim" is said before the loop's first look
# at what has come: nothing is done between that and the sleep but what the module does.
my $perl = <<'PERL';
package Pool;

use Parallel::Prefork;
use Time::HiRes qw(setitimer time ITIMER_REAL);
our @ISA = 'Parallel::Prefork';

my ($call, $trials, $signal, $head_start, $step, $scatter) = @ARGV;
my ($is_aimed, $sleeps_before, $delay) = (1, 0, 0.00005);

sub sleeps {
    open my $status, '<', '/proc/self/status' or return 0;
    my ($sleeps) = map { /^voluntary_ctxt_switches:\s+(\d+)/ ? $1 : () } <$status>;
    return $sleeps;
}

sub aim {
    return if $is_aimed++;
    $sleeps_before = sleeps();
    print "aim\n";
    if ($signal eq 'ALRM') {
        setitimer ITIMER_REAL, $delay + rand $scatter;
    }
    else {
        my $until = time + $head_start;
        1 while time < $until;
    }
    return;
}

sub hit {
    my $was_asleep = sleeps() > $sleeps_before;
    $delay += $was_asleep ? -$step : $step;
    $delay = $step if $delay < $step;
    $is_aimed = 0;
    print 'back ', $was_asleep ? 1 : 0, "\n";
    return;
}

# 0.18 forgets what came before this.
sub signal_received {
    my ($self, @value) = @_;
    my $signal = $self->SUPER::signal_received(@value);
    aim() if $call ne 'wait_all_children' && @value && $value[0] eq '';
    return $signal;
}

sub num_workers {
    my $self = shift;
    aim() if $call eq 'wait_all_children';
    return $self->SUPER::num_workers;
}

sub _max_wait { return $call eq 'start, timed' ? 1000 : undef }

package main;

my $pm = Pool->new(max_workers => 1, trap_signals => { $signal => undef });
my $work = sub { select undef, undef, undef, 0.05 while 1 };
if ($call eq 'wait_all_children') {
    $pm->after_fork(sub { $pm->signal_received('enough') });
    $pm->start($work);
    $SIG{$signal} = sub { die "$signal\n" };
}
$is_aimed = 0;
for (1 .. $trials) {
    if ($call eq 'wait_all_children') {
        eval { $pm->wait_all_children; 1 } and exit 1;
        $@ eq "$signal\n" or die $@;
    }
    else {
        $pm->start($work);
        $pm->signal_received eq $signal or exit 1;
    }
    Pool::hit();
}
$is_aimed = 1;
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

# Returns the number of trials, and how many of them hung.
sub shoot {
    my ($manager, $by, $signal) = @_;
    my ($trials, $hangs, $delay) = (0, 0, $HEAD_START);
    while ($trials < $TRIALS && $hangs < $ENOUGH) {
        my $line = $manager->line_within($PATIENCE);
        last if !defined $line || $line ne 'aim';
        if ($by ne 'timer') {
            my $until = time + $delay + rand $SCATTER;
            1 while time < $until;
            $manager->signal($signal);
        }
        $trials++;
        $line = $manager->line_within($HANG);
        my ($is_lost, $clock) = (0, LoadClock->new);
        while (!defined $line && $clock->seconds < $PATIENCE && $manager->is_running) {
            if ($manager->sleeps_on($HANG)) {
                $is_lost = 1;
                $manager->signal($signal);
            }
            $line = $manager->line_within($HANG);
        }
        last if !defined $line || $line !~ /^back ([01])$/;
        $delay += $1 ? -$STEP : $STEP;
        $delay = 0 if $delay < 0;
        $hangs += $is_lost;
    }
    return ($trials, $hangs);
}

# What is called, who shoots, and with what.
my @cases = (
    ['start',             'another process', 'TERM'],
    ['start, timed',      'another process', 'TERM'],
    ['wait_all_children', 'another process', 'TERM'],
    ['start',             'timer',           'ALRM'],
    ['start, timed',      'timer',           'ALRM'],
    ['wait_all_children', 'timer',           'ALRM'],
);
my $c;
if (!on_the_original()) {
    $c = compile('t/faults/01-term-at-the-wait.c', qw(-std=gnu99 -Wall -Wextra -Werror -lrt));
    push @cases, ['pf_start', 'another process', 'TERM'], ['pf_start', 'timer', 'TERM'];
}

for my $case (@cases) {
    my ($call, $by, $signal) = @$case;
    my @aim     = ($HEAD_START, $STEP, $SCATTER);
    my $manager = $call eq 'pf_start'
        ? start_program(undef, command => [$c, $TRIALS, $by, @aim], deadline => 400)
        : start_program($perl, args => [$call, $TRIALS, $signal, @aim], deadline => 400);
    my ($trials, $hangs) = shoot($manager, $by, $signal);
    figure("$signal at the moment of waiting, sent by $by, $call, $TRIALS times",
        "$hangs hung" . ($trials < $TRIALS ? " of $trials, then given up" : ''));
    is $hangs, 0, "$call, $by: $signal always ends it";
    if ($trials < $TRIALS) {
        fail("$call, $by: it goes on to the end") if $hangs < $ENOUGH;
        diag $manager->err;
        next;
    }
    is $manager->wait, 0, "$call, $by: all $TRIALS trials ended well" or diag $manager->err;
}

done_testing;
