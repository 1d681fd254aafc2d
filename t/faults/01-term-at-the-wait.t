# TERM, aimed at the moment at which the manager goes to sleep, always ends the sleep.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $TRIALS = scale(full => 20_000, quick => 3_000);

# The manager, before it looks for signals, and the one who shoots each take up to so many seconds,
# at random, so that TERM comes from well before the sleep to well after its begin.
my $SPREAD = 0.0002;

# A manager without timers that sleeps for longer is lost.
my $HANG = 1;

# More hangs than this show nothing new, and each takes its time.
my $ENOUGH = 50;

# The only worker stays; nothing but TERM ends a trial. "aim" is said before the loop's first look
# at what has come: nothing is done between that and the sleep but what the module does.
my $perl = <<'PERL';
package Pool;

use Parallel::Prefork;
use Time::HiRes qw(time);
our @ISA = 'Parallel::Prefork';

my ($call, $trials, $spread) = @ARGV;
my $is_aimed = 1;

sub aim {
    return if $is_aimed++;
    print "aim\n";
    my $until = time + rand $spread;
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
    $is_aimed = 0;
    if ($call eq 'wait_all_children') {
        eval { $pm->wait_all_children; 1 } and exit 1;
        $@ eq "TERM\n" or die $@;
    }
    else {
        $pm->start($work);
        $pm->signal_received eq 'TERM' or exit 1;
    }
    print "back\n";
}
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

# Returns the number of trials, and how many of them hung.
sub shoot {
    my $manager = shift;
    my ($trials, $hangs) = (0, 0);
    while ($trials < $TRIALS && $hangs < $ENOUGH) {
        my $line = $manager->line;
        last if !defined $line || $line ne 'aim';
        my $until = time + rand $SPREAD;
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
        last if !defined $line || $line ne 'back';
        $hangs += $is_lost;
    }
    return ($trials, $hangs);
}

my @hosts = map {
    my $call = $_;
    ["$call" => sub { start_program($perl, args => [$call, $TRIALS, $SPREAD], deadline => 400) }]
} 'start', 'start, timed', 'wait_all_children';
if (!on_the_original()) {
    my $c = compile('t/faults/01-term-at-the-wait.c', qw(-std=gnu99 -Wall -Wextra -Werror));
    push @hosts, ['pf_start' => sub {
        start_program(undef, command => [$c, $TRIALS, $SPREAD], deadline => 400);
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
