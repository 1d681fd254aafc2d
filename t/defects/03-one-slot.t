# Defect 3: several trapped signals that arrive before the loop looks are all acted on,
# each by a `start` of its own, in the order of their arrival; equal ones that still wait
# are one. The original keeps the last alone.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# One worker reports each signal it gets; the other's exit makes the manager call
# on_child_reap, where the signals are sent. Each start that returns is followed by a line
# that tells what it returned on and what the worker got; a start that runs on ends the
# program, because it has a worker to replace.
my $program = <<'PERL';
use Parallel::Prefork;
use POSIX qw(SIG_BLOCK SIG_UNBLOCK SIGHUP SIGTERM);

my ($how, @signals) = @ARGV;
pipe my $up_read, my $up             or die "pipe: $!";
pipe my $from_worker, my $to_manager or die "pipe: $!";
my ($forks, $sent) = (0, 0);

sub arrive {
    my $both = POSIX::SigSet->new(SIGHUP, SIGTERM);
    POSIX::sigprocmask(SIG_BLOCK, $both) if $how eq 'together';
    # Perl runs the handler at the end of the statement that sends its own process a
    # signal, so that one is handled before the next is sent, unless they are blocked.
    for my $signal (@signals) {
        kill $signal => $$;
    }
    POSIX::sigprocmask(SIG_UNBLOCK, $both) if $how eq 'together';
    return;
}

my $pm = Parallel::Prefork->new({
    max_workers   => 2,
    trap_signals  => { HUP => 'USR1', TERM => 'USR2' },
    on_child_reap => sub { arrive() if !$sent++ },
    before_fork   => sub {
        $forks++;
        if ($sent) {
            print "runs on\n";
            exit;
        }
    },
});
my $work = sub {
    if ($forks == 2) {
        sysread $up_read, my $byte, 1;
        exit;
    }
    for my $signal (qw(USR1 USR2)) {
        $SIG{$signal} = sub { syswrite $to_manager, "$signal\n" };
    }
    syswrite $up, 'x';
    # Short naps: a signal just before one is handled at its end.
    select undef, undef, undef, 0.05 while 1;
};
while ($pm->start($work)) {
    print $how eq 'unread' ? '' : $pm->signal_received . ' ', 'worker got ', scalar <$from_worker>;
}
PERL

my %starts = (HUP => "HUP worker got USR1\n", TERM => "TERM worker got USR2\n");

sub acted_on {
    my ($how, @signals) = @_;
    my $p = run($program, args => [$how, @signals], deadline => 15);
    diag $p->err if $p->err ne '';
    return $p->out;
}

is acted_on(apart => qw(HUP TERM)), "$starts{HUP}$starts{TERM}runs on\n",
    'HUP, then TERM: start returns on HUP with its action, the next at once on TERM with its own';
is acted_on(apart => qw(TERM HUP)), "$starts{TERM}$starts{HUP}runs on\n",
    'TERM, then HUP: start returns on TERM, the next at once on HUP';
is acted_on(apart => qw(HUP TERM HUP TERM TERM)), "$starts{HUP}$starts{TERM}runs on\n",
    'equal ones that still wait are acted on once';
is acted_on(unread => qw(HUP TERM)), "worker got USR1\nworker got USR2\nruns on\n",
    'each signal is acted on once where the program never reads signal_received';
is acted_on(apart => 'TERM'), "$starts{TERM}runs on\n", 'a single one is acted on once';

# Blocked signals arrive all in the same instant, in no order.
my @lines = sort split /^/, acted_on(together => qw(TERM HUP));
is_deeply \@lines, [$starts{HUP}, $starts{TERM}, "runs on\n"],
    'two that arrive in the same instant are both acted on';

done_testing;
