# Thousands of workers exit in the same instant, while the manager is in start and while it waits
# for all: each is reported once, with its own status.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $WORKERS  = scale(full => 5_000, quick => 400);
my $DEADLINE = scale(full => 280, quick => 60);

# The workers wait for the end of a pipe that all of them read. Worker n then exits with n, or is
# killed.
my $perl = <<'PERL';
use Parallel::Prefork;

my ($workers, $call) = @ARGV;
my ($forks, $reaps) = (0, 0);
pipe my $released, my $hold or die "pipe: $!";

my $pm = Parallel::Prefork->new(
    max_workers => $workers,
    before_fork => sub { $forks++ },
    after_fork  => sub {
        my ($pm, $pid) = @_;
        print "forked $pid $forks\n";
        return if $forks < $workers;
        $pm->max_workers(0);
        if   ($call eq 'start') { close $hold }
        else                    { $pm->signal_received('enough') }
    },
    on_child_reap => sub {
        my ($pm, $pid, $status) = @_;
        print "reaped $pid $status\n";
        $pm->signal_received('enough') if ++$reaps == $workers && $call eq 'start';
    },
);
$pm->start(sub {
    close $hold;
    1 until defined sysread $released, my $byte, 1;
    # Nothing of what perl does at its end is looked at here.
    kill KILL => $$ if $forks % 8 == 0;
    POSIX::_exit($forks % 256);
});
close $hold;
print 'left ', $pm->wait_all_children, "\n";
PERL

my %start = (
    Perl => sub { start_program($perl, args => [@_], deadline => $DEADLINE, switches => ['-MPOSIX']) },
    C    => sub {
        my $c = compile('t/faults/06-exit-at-once.c', qw(-std=gnu99 -Wall -Wextra -Werror));
        start_program(undef, command => [$c, @_], deadline => $DEADLINE);
    },
);

for my $host (on_the_original() ? 'Perl' : qw(Perl C)) {
    for my $call (qw(start wait_all_children)) {
        my $manager = $start{$host}->($WORKERS, $call);
        my (%expected, %status, $left);
        my ($twice, $right) = (0, 0);
        while (defined(my $line = $manager->line)) {
            if ($line =~ /^forked (\d+) (\d+)$/) {
                $expected{$1} = $2 % 8 ? $2 % 256 << 8 : 9;
            }
            elsif ($line =~ /^reaped (\d+) (-?\d+)$/) {
                $twice++ if exists $status{$1};
                $status{$1} = $2;
                $right++ if defined $expected{$1} && $expected{$1} == $2;
            }
            elsif ($line =~ /^left (\d+)$/) {
                $left = $1;
                last;
            }
        }
        my $reaped  = keys %status;
        figure("$WORKERS workers exit at once, $call, $host host",
            "$reaped reaped, $twice twice, $right with their status");
        is $reaped, $WORKERS, "$host, $call: all $WORKERS are reaped";
        is $twice, 0, "$host, $call: none of them twice";
        is $right, $WORKERS, "$host, $call: with their statuses";
        is $left, 0, "$host, $call: none is left";
        is $manager->wait, 0, "$host, $call: it ends well" or diag $manager->err;
    }
}

done_testing;
