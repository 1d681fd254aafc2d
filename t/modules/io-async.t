# A manager beside IO::Async, and workers with IO::Async, as the POD tells to.

use strict;
use warnings;

use lib 't/lib';
use HostedPool;
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(IO::Async::Loop));

my $timer = <<'PERL';
require IO::Async::Loop::KIND;
require IO::Async::Timer::Periodic;
$loop = IO::Async::Loop->new;
my $timer = IO::Async::Timer::Periodic->new(interval => 0.05, on_tick => \&every_now_and_then);
$timer->start;
$loop->add($timer);
PERL

my $in_callback = <<'PERL';
$loop->later(sub {
    $manage->();
    $loop->stop;
});
$loop->run;
PERL

my $watch_all = shown_in_pod('watch_process(0');

my $other_child = <<'PERL';
require IO::Async::Process;
$loop->add(IO::Async::Process->new(
    code      => sub { return 5 },
    on_finish => sub { print 'the other: ', $_[1] >> 8, "\n" },
));
PERL

my $watch_signals = <<'PERL';
for my $signal (qw(TERM HUP)) {
    $loop->attach_signal($signal => sub { $pm->signal_received($signal) });
}
PERL

my $in_worker = <<'PERL';
use POSIX ();
use IO::Async::Loop;
use Parallel::Prefork;
IN_MANAGER;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    my $loop = IO::Async::Loop->new;
    IN_WORKER;
    # A signal that comes just before the loop sleeps is seen when it wakes.
    require IO::Async::Timer::Periodic;
    $loop->add(IO::Async::Timer::Periodic->new(interval => 0.2, on_tick => sub { })->start);
    $loop->watch_time(after => 0.1, code => sub {
        print "timer\n";
        $loop->stop;
    });
    $loop->run;
    my $pid = fork;
    POSIX::_exit(5) if defined $pid && !$pid;
    $loop->watch_process($pid => sub {
        print 'status ', $_[1] >> 8, "\n";
        $loop->stop;
    });
    $loop->run;
});
$pm->wait_all_children;
PERL

my $use_loop = 'IO::Async::Loop->new->loop_once(0)';
my $watch_child = <<'PERL';
my $one = fork;
POSIX::_exit(0) if defined $one && !$one;
my $loop = IO::Async::Loop->new;
$loop->watch_process($one => sub { $loop->stop });
$loop->run;
PERL
my %loop = (
    'made in the worker'                   => { in_manager => '', in_worker => '' },
    'inherited'                            => { in_manager => $use_loop, in_worker => '$loop->post_fork' },
    'inherited, with a watcher of a child' => {
        in_manager => "$use_loop;\n$watch_child",
        in_worker  => '$loop->post_fork',
    },
);

for my $kind (qw(Poll Select)) {
    my $load = filled($timer, KIND => $kind);
    my %io_async = (
        load        => $load,
        turn        => shown_in_pod('loop_once($seconds)'),
        in_callback => $in_callback,
        env         => { IO_ASYNC_LOOP => $kind },
    );
    hosts_a_pool("$kind, loaded $_", %io_async, when => $_) for qw(before after late);
    hosts_a_pool("$kind, start in a callback", %io_async, when => 'callback');

    my %reaps = (%io_async, recipe => 'loop', load => $load . $watch_all);
    hosts_a_pool("$kind reaps, loaded $_", %reaps, when => $_) for qw(after late callback);
    hosts_a_pool("$kind reaps, loaded before", %io_async, recipe => 'loop', when => 'before', afterwards => $watch_all);
    hosts_a_pool("$kind reaps, and has a child of its own", %reaps, when => 'after', other => 5,
        load => "$reaps{load};\n$other_child");
    hosts_a_pool("$kind watches the signals", %io_async, when => 'before', load => $load . $watch_signals);

    for my $how (sort keys %loop) {
        my $source = filled($in_worker, IN_MANAGER => $loop{$how}{in_manager}, IN_WORKER => $loop{$how}{in_worker});
        worker_says("$kind, in a worker, with a loop $how: a timer and a watcher of a child", "timer\nstatus 5\n",
            $source, env => { IO_ASYNC_LOOP => $kind });
    }
}

done_testing;
