# A manager beside AnyEvent, and workers with AnyEvent, as the POD tells to: with its own loop, with that and signal
# handlers in C (Async::Interrupt), and with EV.

use strict;
use warnings;

use lib 't/lib';
use HostedPool;
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(AnyEvent EV Async::Interrupt));

my %env = (
    "AnyEvent's own loop"           => { PERL_ANYEVENT_MODEL => 'Perl', PERL_ANYEVENT_AVOID_ASYNC_INTERRUPT => 1 },
    'the same and Async::Interrupt' => { PERL_ANYEVENT_MODEL => 'Perl' },
    'EV'                            => { PERL_ANYEVENT_MODEL => 'EV' },
);
my $take_back = shown_in_pod('= $SIG{CHLD};');
my $pass_on   = shown_in_pod('EV::feed_signal');
my $turn      = shown_in_pod('$turn->recv');
my $watch_all = shown_in_pod('AnyEvent->child(pid => 0');
my $let_go    = 'delete $SIG{CHLD};';
# What this lets go of is EV's own handler, there.
(my $watch_all_by_ev = $watch_all) =~ s/^\s*delete.*//;

my $timer = <<'PERL';
require AnyEvent;
push @keep, AnyEvent->timer(after => 0.05, interval => 0.05, cb => \&every_now_and_then);
PERL

my $other_child = <<'PERL';
my $pid = fork;
POSIX::_exit(5) if defined $pid && !$pid;
push @keep, AnyEvent->child(pid => $pid, cb => sub { print 'the other: ', $_[1] >> 8, "\n" });
PERL

# A signal that the loop watches, by whatever handler, has its default action in the workers.
my $watch_signals = <<'PERL';
for my $signal (qw(TERM HUP)) {
    push @keep, AnyEvent->signal(signal => $signal, cb => sub { $pm->signal_received($signal) });
}
PERL

my $in_worker = <<'PERL';
use POSIX ();
use AnyEvent;
use Parallel::Prefork;
AnyEvent::detect();
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    ANEW
    # A signal that comes just before the loop sleeps is seen when it wakes.
    my $tick  = AnyEvent->timer(after => 0.2, interval => 0.2, cb => sub { });
    my $done  = AnyEvent->condvar;
    my $timer = AnyEvent->timer(after => 0.1, cb => sub {
        print "timer\n";
        $done->send;
    });
    $done->recv;
    $done = AnyEvent->condvar;
    my $pid = fork;
    POSIX::_exit(5) if defined $pid && !$pid;
    my $child = AnyEvent->child(pid => $pid, cb => sub {
        print 'status ', $_[1] >> 8, "\n";
        $done->send;
    });
    $done->recv;
});
$pm->wait_all_children;
PERL

for my $model (sort keys %env) {
    my $is_ev = $model eq 'EV';
    my %pool  = (load => $timer, turn => $turn, env => $env{$model});
    hosts_a_pool("$model, loaded before", %pool, when => 'before');
    my $load_late = $is_ev ? $timer . $take_back : $timer;
    hosts_a_pool("$model, loaded $_", %pool, when => $_, load => $load_late) for qw(after late);

    my %reaps = (%pool, recipe => 'loop', load => $timer . ($is_ev ? $watch_all_by_ev : $watch_all));
    hosts_a_pool("$model reaps, loaded $_", %reaps, when => $_) for qw(after late);
    hosts_a_pool("$model reaps, loaded before", %pool, recipe => 'loop', when => 'before',
        afterwards => $is_ev ? "$watch_all_by_ev; $pass_on" : $watch_all);
    hosts_a_pool("$model reaps, and has a child of its own", %reaps, when => 'after', other => 5,
        load => "$reaps{load};\n$other_child");
    hosts_a_pool("$model watches the signals", %pool, when => 'before', load => $timer . $watch_signals);

    my $source = filled($in_worker, ANEW => $is_ev ? $pass_on : $let_go);
    worker_says("$model, in a worker: a timer and a watcher of a child", "timer\nstatus 5\n", $source,
        env => $env{$model});
}

# As the turn of EV is used, start may be called in a callback.
hosts_a_pool('EV, start in a callback', when => 'callback', env => $env{EV}, load => $timer . $take_back,
    turn => shown_in_pod('EV::run($seconds'), in_callback => <<'PERL');
my $done = AnyEvent->condvar;
my $start = AnyEvent->timer(after => 0, cb => sub {
    $manage->();
    $done->send;
});
$done->recv;
PERL

done_testing;
