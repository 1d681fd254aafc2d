# Contract 14: children that are not workers (the program's own, or orphans that a PID 1
# adopts) are reaped too, and on_child_reap is told of those reaped inside start.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $in_start = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;
use POSIX qw(WNOHANG);

pipe my $hold, my $release;
my $foreign = fork;
exit 3 if !$foreign;

my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub {
    my ($self, $pid, $status) = @_;
    print "same object\n" if ref $self && $self->isa('Parallel::Prefork');
    print "foreign\n" if $pid == $foreign;
    print "status $status\n";
    $self->signal_received('seen');
});
print 'returned ', $pm->start(sub {
    close $release;
    readline $hold;
}), "\n";
print 'workers ', $pm->num_workers, "\n";
print 'waitpid ', waitpid($foreign, WNOHANG), "\n";
$pm->on_child_reap(undef);
close $release;
print 'left ', $pm->wait_all_children, "\n";
PERL
is $in_start->line, 'same object', 'on_child_reap is called inside start for a foreign child';
is $in_start->line, 'foreign',     'on_child_reap gets the pid of the foreign child';
is $in_start->line, 'status 768',  'on_child_reap gets the raw status of the foreign child';
is $in_start->line, 'returned 1',  'start goes on to its normal end';
is $in_start->line, 'workers 1',   'a foreign child that is reaped is no worker that is gone';
is $in_start->line, 'waitpid -1',  'the foreign child has been reaped';
is $in_start->line, 'left 0',      'the worker is still waited for';

# The worker leaves only when the foreign child's zombie is gone.
my $in_wait = run(<<'PERL', deadline => 15);
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(sleep);

pipe my $number, my $tell_number;
my $foreign;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    after_fork    => sub { $_[0]->signal_received('forked') },
    on_child_reap => sub { print $_[1] == $foreign ? "foreign\n" : "worker\n" },
);
$pm->start(sub {
    my $pid = readline $number;
    sleep 0.01 while kill 0 => $pid;
});
$foreign = fork;
exit 3 if !$foreign;
syswrite $tell_number, "$foreign\n";
print 'left ', $pm->wait_all_children, "\n";
PERL
is $in_wait->line, 'worker',
    'a foreign child that wait_all_children reaps is not reported to on_child_reap';
is $in_wait->line, 'left 0', 'wait_all_children reaps foreign children too';

SKIP: {
    my $as_pid_1 = 'unshare --user --map-root-user --pid --fork';
    system("$as_pid_1 true >/dev/null 2>&1") == 0 or skip 'needs pid namespaces', 4;

    my $adopted = run(<<'PERL', args => [split ' ', $as_pid_1], deadline => 15);
use strict;
use warnings;
BEGIN { exec @ARGV, $^X, (map { "-I$_" } @INC), $0 if @ARGV }
use Parallel::Prefork;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep);

# An orphan: its parent is gone, and PID 1 gets it.
pipe my $number, my $tell_number;
my $middle = fork;
if (!$middle) {
    my $orphan = fork;
    if (!$orphan) {
        sleep 0.01 while getppid != 1;
        exit 9;
    }
    syswrite $tell_number, "$orphan\n";
    exit 0;
}
waitpid $middle, 0;
chomp(my $orphan = readline $number);
print "pid $$\n";

pipe my $hold, my $release;
my $pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub {
    my ($self, $pid, $status) = @_;
    print $pid == $orphan ? "orphan, status $status\n" : "another\n";
    $self->signal_received('seen');
});
print 'returned ', $pm->start(sub {
    close $release;
    readline $hold;
}), "\n";
print 'waitpid ', waitpid($orphan, WNOHANG), "\n";
PERL
    is $adopted->line, 'pid 1',               'the manager is PID 1 here';
    is $adopted->line, 'orphan, status 2304', 'a manager that is PID 1 is told of an orphan that it adopted';
    is $adopted->line, 'returned 1',          'start of a manager that is PID 1 goes on to its normal end';
    is $adopted->line, 'waitpid -1',          'a manager that is PID 1 has reaped the orphan';
}

done_testing;
