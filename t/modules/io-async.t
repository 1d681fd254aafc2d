# A manager beside IO::Async, and workers with IO::Async, as the POD tells to.

use strict;
use warnings;

use lib 't/lib';
use HostedPool;
use RealModules;
use Test::More;

need_modules(qw(IO::Async::Loop));

for my $kind (qw(Poll Select)) {
    my %io_async = (
        load => "require IO::Async::Loop::$kind; require IO::Async::Timer::Periodic; \$loop = IO::Async::Loop->new;" . <<'PERL',
    my $timer = IO::Async::Timer::Periodic->new(interval => 0.05, on_tick => \&every_now_and_then);
    $timer->start;
    $loop->add($timer)
PERL
        turn        => shown_in_pod('loop_once($seconds)'),
        in_callback => '$loop->later(sub { $manage->(); $loop->stop }); $loop->run',
        env         => { IO_ASYNC_LOOP => $kind },
    );
    hosts_a_pool("$kind, loaded $_", %io_async, when => $_) for qw(before after late);
    hosts_a_pool("$kind, start in a callback", %io_async, when => 'callback');

    my %reaps = (%io_async, recipe => 'loop');
    $reaps{load} .= '; ' . shown_in_pod('watch_process(0');
    hosts_a_pool("$kind reaps, loaded $_", %reaps, when => $_) for qw(after late callback);
    hosts_a_pool("$kind reaps, loaded before", %io_async, recipe => 'loop', when => 'before', afterwards => shown_in_pod('watch_process(0'));
    hosts_a_pool("$kind reaps, and has a child of its own", %reaps, when => 'after', other => 5, load => "$reaps{load}; " . <<'PERL');
    require IO::Async::Process;
    $loop->add(IO::Async::Process->new(code => sub { 5 }, on_finish => sub { print 'the other: ', $_[1] >> 8, "\n" }))
PERL
    hosts_a_pool("$kind watches the signals", %io_async, when => 'before', load => "$io_async{load}; " . <<'PERL');
    $loop->attach_signal($_ => do { my $signal = $_; sub { $pm->signal_received($signal) } }) for qw(TERM HUP)
PERL

    for my $how ('made in the worker', 'inherited', 'inherited, with a watcher of a child') {
        my $in_manager = $how =~ /inherited/ ? 'IO::Async::Loop->new->loop_once(0);' : '';
        $in_manager .= 'my $one = fork; POSIX::_exit(0) if defined $one && !$one; my $loop = IO::Async::Loop->new; '
            . '$loop->watch_process($one => sub { $loop->stop }); $loop->run;' if $how =~ /watcher/;
        my $in_worker = $how =~ /inherited/ ? '$loop->post_fork;' : '';
        worker_says("$kind, in a worker: $how", "timer\nstatus 5\n", <<"PERL", env => { IO_ASYNC_LOOP => $kind });
use POSIX ();
use IO::Async::Loop;
use Parallel::Prefork;
$in_manager
my \$pm = Parallel::Prefork->new(max_workers => 1, on_child_reap => sub { \$_[0]->signal_received('enough') });
\$pm->start(sub {
    my \$loop = IO::Async::Loop->new;
    $in_worker
    # A signal that comes just before the loop sleeps is seen when it wakes.
    require IO::Async::Timer::Periodic;
    \$loop->add(IO::Async::Timer::Periodic->new(interval => 0.2, on_tick => sub { })->start);
    \$loop->watch_time(after => 0.1, code => sub {
        print "timer\\n";
        \$loop->stop;
    });
    \$loop->run;
    my \$pid = fork;
    POSIX::_exit(5) if defined \$pid && !\$pid;
    \$loop->watch_process(\$pid => sub {
        print 'status ', \$_[1] >> 8, "\\n";
        \$loop->stop;
    });
    \$loop->run;
});
\$pm->wait_all_children;
PERL
    }
}

done_testing;
