# TERM, aimed at the moment at which the manager goes to sleep, always ends the sleep.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $TRIALS = scale(full => 20_000, quick => 1_000);

# The manager is busy for so many seconds before it goes on to its sleep, so that there is time to aim.
my $HEAD_START = 0.0003;

# Each shot is aimed by the one before: earlier if that has met the manager asleep, otherwise later. So
# they gather around the moment at which the sleep begins.
my $STEP    = 0.000005;
my $SCATTER = 0.00003;

# A manager without timers that sleeps for longer is lost.
my $HANG = 1;

# More hangs than this show nothing new, and each takes its time.
my $ENOUGH = 25;

# The only worker stays; nothing but TERM ends a trial. "aim" is said before the loop's first look
# at what has come: nothing is done between that and the sleep but what the module does.
my $perl = <<'PERL';
package Pool;

use Parallel::Prefork;
use Time::HiRes qw(time);
our @ISA = 'Parallel::Prefork';

my ($call, $trials, $head_start) = @ARGV;
our ($is_aimed, $sleeps_before) = (1, 0);

sub sleeps {
    open my $status, '<', '/proc/self/status' or return 0;
    my ($sleeps) = map { /^voluntary_ctxt_switches:\s+(\d+)/ ? $1 : () } <$status>;
    return $sleeps;
}

sub aim {
    return if $is_aimed++;
    $sleeps_before = sleeps();
    print "aim\n";
    my $until = time + $head_start;
    1 while time < $until;
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

my $pm = Pool->new(max_workers => 1, trap_signals => { TERM => undef });
my $work = sub { select undef, undef, undef, 0.05 while 1 };
if ($call eq 'wait_all_children') {
    $pm->after_fork(sub { $pm->signal_received('enough') });
    $pm->start($work);
    $SIG{TERM} = sub { die "TERM\n" };
}
for (1 .. $trials) {
    $Pool::is_aimed = 0;
    if ($call eq 'wait_all_children') {
        eval { $pm->wait_all_children; 1 } and exit 1;
        $@ eq "TERM\n" or die $@;
    }
    else {
        $pm->start($work);
        $pm->signal_received eq 'TERM' or exit 1;
    }
    print 'back ', Pool::sleeps() > $Pool::sleeps_before ? 1 : 0, "\n";
}
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

# Returns the number of trials, and how many of them hung.
sub shoot {
    my $manager = shift;
    my ($trials, $hangs, $delay) = (0, 0, $HEAD_START);
    while ($trials < $TRIALS && $hangs < $ENOUGH) {
        my $line = $manager->line;
        last if !defined $line || $line ne 'aim';
        my $until = time + $delay + rand $SCATTER;
        1 while time < $until;
        $manager->signal('TERM');
        $trials++;
        $line = $manager->line_within($HANG);
        my $is_lost = 0;
        while (!defined $line && !defined $manager->status) {
            if ($manager->sleeps_on($HANG)) {
                $is_lost = 1;
                $manager->signal('TERM');
            }
            $line = $manager->line_within($HANG);
            last if !defined $line && !kill 0 => $manager->pid;
        }
        last if !defined $line || $line !~ /^back ([01])$/;
        $delay += $1 ? -$STEP : $STEP;
        $delay = 0 if $delay < 0;
        $hangs += $is_lost;
    }
    return ($trials, $hangs);
}

my @hosts = map {
    my $call = $_;
    ["$call" => sub { start_program($perl, args => [$call, $TRIALS, $HEAD_START], deadline => 400) }]
} 'start', 'start, timed', 'wait_all_children';
if (!on_the_original()) {
    my $c = compile('t/faults/01-term-at-the-wait.c', qw(-std=gnu99 -Wall -Wextra -Werror));
    push @hosts, ['pf_start' => sub {
        start_program(undef, command => [$c, $TRIALS, $HEAD_START], deadline => 400);
    }];
}

for (@hosts) {
    my ($call, $start) = @$_;
    my $manager = $start->();
    my ($trials, $hangs) = shoot($manager);
    figure("TERM at the moment of waiting, $call, $TRIALS times",
        "$hangs hung" . ($trials < $TRIALS ? " of $trials, then given up" : ''));
    is $hangs, 0, "$call: TERM always ends it";
    next if $trials < $TRIALS;
    is $manager->wait, 0, "$call: all $TRIALS trials ended well" or diag $manager->err;
}

done_testing;
