# TERM and HUP, one right behind the other in both orders: TERM always ends the manager, and HUP is
# acted on too.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $TRIALS = scale(full => 5_000, quick => 600);

# A manager that sleeps for so many seconds has lost a signal. It waits for its worker, too.
my $HANG = 2;

# More hangs than this show nothing new, and each takes its time.
my $ENOUGH = 25;

# For each trial a manager, whose only worker tells of each signal it gets. After TERM, the manager
# waits until both signals were sent, and then runs again, for the HUP behind it.
my $perl = <<'PERL';
use Parallel::Prefork;
use POSIX qw(SIG_BLOCK SIGUSR1 SIGUSR2);
use Time::HiRes qw(time);

my ($told, $tell, $sent, $still_to_send);

sub spin {
    my $until = time + shift;
    1 while time < $until;
}

# Both signals are blocked since before the fork.
sub work {
    $SIG{$_} = sub { syswrite $tell, "$_[0]\n" } for qw(USR1 USR2);
    alarm 600;
    close $_ for $sent, $told;
    syswrite $tell, "up\n";
    POSIX::sigsuspend(POSIX::SigSet->new) while 1;
}

sub manage {
    my ($pm, @log);
    POSIX::sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1, SIGUSR2));
    $pm = Parallel::Prefork->new(
        max_workers  => 1,
        trap_signals => { HUP => 'USR1', TERM => 'USR2' },
        before_fork  => sub {
            return if $pm->max_workers == 1;
            print "@log, and runs on, ";
            exit;
        },
        after_fork => sub { close $tell },
    );
    until (@log && $log[-1] eq 'TERM') {
        $pm->start(\&work);
        push @log, $pm->signal_received;
    }
    until (defined(my $n = sysread $sent, my $byte, 1)) { }
    if (@log == 1) {
        $pm->max_workers(2);
        $pm->start(\&work);
        push @log, $pm->signal_received;
    }
    my @got = map { scalar readline $told } 1 .. 2;
    $pm->signal_all_children('KILL');
    $pm->wait_all_children;
    chomp(@got = sort @got, readline $told);
    print "@log worker @got ";
    exit;
}

for my $trial (1 .. shift) {
    pipe $told, $tell          or die "pipe: $!";
    pipe $sent, $still_to_send or die "pipe: $!";
    defined(my $manager = fork) or die "fork: $!";
    if (!$manager) {
        close $still_to_send;
        manage();
    }
    print "manager $manager\n";
    close $tell;
    sysread $told, my $up, 3;
    close $told;
    my ($first, $second) = $trial % 2 ? qw(HUP TERM) : qw(TERM HUP);
    spin(rand 0.0005);
    kill $first => $manager;
    spin(rand 0.0002) if $trial % 4 < 2;
    kill $second => $manager;
    close $_ for $sent, $still_to_send;
    waitpid $manager, 0;
    print "end $?\n";
}
PERL

# How often each outcome was seen; a manager that hangs is killed.
sub outcomes {
    my $program = shift;
    my %seen;
    while (defined(my $line = $program->line)) {
        my ($manager) = $line =~ /^manager (\d+)$/ or return { "'$line'" => 1 };
        my ($end, $hangs);
        until (defined($end = $program->line_within($HANG))) {
            last if !$program->is_running;
            next if $hangs || !$program->sleeps_on($HANG, $manager);
            $hangs = 1;
            kill KILL => $manager;
        }
        $end = 'none' if !defined $end;
        $end = 'hung' if $hangs;
        $seen{$end}++;
        last if $hangs && $seen{hung} >= $ENOUGH;
    }
    return \%seen;
}

sub sum {
    my $sum = 0;
    $sum += $_ for @_;
    return $sum;
}

my @hosts = (['start', sub { start_program($perl, args => [$TRIALS], deadline => 400) }]);
if (!on_the_original()) {
    my $c = compile('t/faults/02-back-to-back.c', qw(-std=gnu99 -Wall -Wextra -Werror));
    push @hosts, ['pf_start', sub { start_program(undef, command => [$c, $TRIALS], deadline => 400) }];
}
for (@hosts) {
    my ($call, $start) = @$_;
    my $program = $start->();
    my $seen    = outcomes($program);
    my $both    = qr/^(?:HUP TERM|TERM HUP) worker USR1 USR2 end 0$/;
    my $good    = sum(map { $seen->{$_} } grep { $_ =~ $both } keys %$seen);
    my $trials  = sum(values %$seen);
    my $hung    = $seen->{hung} || 0;
    figure("TERM and HUP back to back, $call, $TRIALS times",
        "TERM lost $hung times, HUP " . ($trials - $good - $hung)
            . ($trials < $TRIALS ? " times of $trials, then given up" : ' times'));
    is $good, $TRIALS, "$call: TERM ends it and HUP is acted on, each once"
        or diag explain $seen, $program->err;
}

done_testing;
