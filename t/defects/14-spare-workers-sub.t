# Defect 14: a SpareWorkers pool runs the sub that is given to `start`, as Parallel::Prefork
# itself does. The original ignores it, and the worker returns from `start`.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $once = run(<<'PERL', deadline => 15);
use Parallel::Prefork::SpareWorkers;

my $manager = $$;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 1,
    min_spare_workers => 1,
    on_child_reap     => sub {
        my ($self, $pid, $status) = @_;
        print "worker ended: $status\n";
        $self->signal_received('enough');
    },
});
my $returned = $pm->start(sub {
    print 'the sub runs in ', ($$ == $manager ? 'the manager' : 'a worker'), ", arguments: @_\n";
    return 5;
});
if ($$ != $manager) {
    print "start returned in a worker\n";
    exit 3;
}
print "start returned $returned\n";
PERL

is $once->out, "the sub runs in a worker, arguments: \nworker ended: 0\nstart returned 1\n",
    'the worker runs the sub, then finishes; only the manager returns from start';
is $once->status, 0, 'the manager goes on' or diag $once->err;

# The pool grows to two workers only because the first one says in its sub that it is busy.
my $pool = start_program(<<'PERL', deadline => 15);
use Parallel::Prefork::SpareWorkers;

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 2,
    min_spare_workers => 1,
    heartbeat         => 0.05,
    trap_signals      => { HUP => undef },
});
$pm->start(sub {
    $pm->set_status('A');
    print "busy\n";
    sleep 60 while 1;
});
if ($pm->{in_child}) {
    print "start returned in a worker\n";
    exit 3;
}
print 'active: ', $pm->num_active_workers, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL

is $pool->line, 'busy', 'the sub can set its status';
is $pool->line, 'busy', 'the manager sees that status: it forks another spare worker';
$pool->signal('HUP');
is $pool->line, 'active: 2', 'the pool counts both busy workers as active';

done_testing;
