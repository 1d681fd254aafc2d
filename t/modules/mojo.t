# A manager beside Mojo::IOLoop, and workers with Mojo::IOLoop, as the POD tells to: with Mojo's own reactor, and with
# EV's.

use strict;
use warnings;

use lib 't/lib';
use HostedPool;
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(Mojo::IOLoop EV));

my $turn      = shown_in_pod('$reactor->one_tick');
my $take_back = shown_in_pod('= $SIG{CHLD};');

my $timer = <<'PERL';
require Mojo::IOLoop;
Mojo::IOLoop->recurring(0.05 => \&every_now_and_then);
PERL

my $in_callback = <<'PERL';
Mojo::IOLoop->next_tick(sub {
    $manage->();
    Mojo::IOLoop->stop;
});
Mojo::IOLoop->start;
PERL

my $subprocess = <<'PERL';
Mojo::IOLoop->subprocess(sub { 'its result' }, sub { print 'the other: ', $_[2], "\n" });
PERL

my $in_worker = <<'PERL';
use Mojo::IOLoop;
use Parallel::Prefork;
our $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
IN_MANAGER;
$pm->start(sub {
    Mojo::IOLoop->reset;
    Mojo::IOLoop->timer(0.1 => sub {
        print "timer\n";
        Mojo::IOLoop->stop;
    });
    Mojo::IOLoop->start;
    Mojo::IOLoop->subprocess(sub { return 5 }, sub {
        my ($subprocess, $error, $result) = @_;
        print 'status ', $subprocess->exit_code, ": $result\n";
        Mojo::IOLoop->stop;
    });
    Mojo::IOLoop->start;
});
$pm->wait_all_children;
PERL

# A loop of its own, or the manager's, which has a timer that is not for the worker.
my %in_manager = (
    'made there' => '',
    'inherited'  => 'Mojo::IOLoop->timer(0 => sub { print "not for the worker\n" if $pm->{in_child} })',
);

for my $kind (qw(Poll EV)) {
    my $env  = { MOJO_REACTOR => "Mojo::Reactor::$kind" };
    my %mojo = (load => $timer, turn => $turn, in_callback => $in_callback, env => $env);
    hosts_a_pool("$kind, loaded before", %mojo, when => 'before');
    hosts_a_pool("$kind, loaded $_", %mojo, when => $_, load => $timer . $take_back) for qw(after late callback);
    hosts_a_pool("$kind, and a subprocess", %mojo, when => 'before', other => 'its result',
        load => $timer . $subprocess);

    for my $how (sort keys %in_manager) {
        worker_says("$kind, in a worker, with a loop $how: a timer and a subprocess", "timer\nstatus 0: 5\n",
            filled($in_worker, IN_MANAGER => $in_manager{$how}), env => $env);
    }
}

done_testing;
