# A manager beside EV, and workers with EV, as the POD tells to.

use strict;
use warnings;

use lib 't/lib';
use HostedPool;
use ProcessTest;
use RealModules;
use Test::More;

need_modules(qw(EV));

my $take_back = shown_in_pod('= $SIG{CHLD};');
my $pass_on   = shown_in_pod('EV::feed_signal');
my $watch_all = shown_in_pod('EV::child(0, 0, sub');
# EVFLAG_SIGNALFD: SIGCHLD is blocked, and read from a descriptor.
my $by_signalfd = { LIBEV_FLAGS => 0x200000 };

my $timer = <<'PERL';
require EV;
push @keep, EV::timer(0.05, 0.05, \&every_now_and_then);
PERL

my $in_callback = <<'PERL';
my $start = EV::timer(0, 0, sub {
    $manage->();
    EV::break(EV::BREAK_ALL());
});
EV::run();
PERL

my %ev = (load => $timer, turn => shown_in_pod('EV::run($seconds'), in_callback => $in_callback);
hosts_a_pool('loaded before',       %ev, when => 'before');
hosts_a_pool('300 workers',         %ev, when => 'before', workers => 300);
hosts_a_pool('start in a callback', %ev, when => 'callback', load => $timer . $take_back);
hosts_a_pool("loaded $_, which new does not see", %ev, when => $_, load => $timer . $take_back) for qw(after late);

my %reaps = (%ev, recipe => 'loop', load => $timer . $watch_all);
hosts_a_pool("EV reaps, loaded $_", %reaps, when => $_) for qw(after late callback);
hosts_a_pool('EV reaps, loaded before', %ev, recipe => 'loop', when => 'before', afterwards => "$watch_all; $pass_on");
hosts_a_pool('EV reaps, by a descriptor', %reaps, when => 'after', env => $by_signalfd);

# The loop's own children, beside the workers.
my $other_child = <<'PERL';
my $pid = fork;
POSIX::_exit(5) if defined $pid && !$pid;
push @keep, EV::child($pid, 0, sub { print 'the other: ', $_[0]->rstatus >> 8, "\n" });
PERL
hosts_a_pool('EV reaps, and has a child of its own', %reaps, when => 'after', other => 5,
    load => $reaps{load} . $other_child);

# A manager that runs no loop, but something in it has loaded EV, whose handler of SIGCHLD is in C and is not in %SIG;
# or blocks it.
my $no_loop = <<'PERL';
use Parallel::Prefork;
my ($where) = @ARGV;
my $ended = 0;
my $pm = Parallel::Prefork->new({
    max_workers          => 3,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM', HUP => 'TERM' },
});
require EV if $where eq 'new';
$pm->$where(sub { require EV }) if $where =~ /fork/;
$pm->on_child_reap(sub {
    my ($pm, $pid, $status) = @_;
    require EV if $where eq 'on_child_reap';
    print 'status ', $status, "\n";
    print "twelve\n" if ++$ended == 12;
});
# Twelve end by themselves; those after them stay.
until (($pm->signal_received || '') eq 'TERM') {
    $pm->start(sub {
        exit 3 if $ended < 12;
        sleep 1 while 1;
    });
}
$pm->wait_all_children;
print 'left ', $pm->num_workers, ', children ', (wait == -1 ? 'none' : 'some'), "\n";
PERL

my %by = ('its handler' => {}, 'a descriptor' => $by_signalfd);
for my $by (sort keys %by) {
    for my $where (qw(new before_fork after_fork on_child_reap)) {
        my $p = start_program($no_loop, args => [$where], env => $by{$by}, deadline => 60);
        my $title = "EV with $by, loaded in $where, and no loop";
        is $p->line_like(qr/^twelve/), 'twelve', "$title: workers that end are replaced";
        ok eventually(sub { 3 <= grep { $_ ne 'Z' } values %{ $p->children } }, 20), "$title: the pool is full";
        is $p->spins, '', "$title: the manager does not spin";
        $p->signal('TERM');
        is $p->line_like(qr/^left/), 'left 0, children none', "$title: TERM ends the manager and its workers";
        my @others = grep { !/^status (?:768|15)$/ } split /\n/, $p->out;
        is_deeply [sort @others], ['left 0, children none', 'twelve'], "$title: no other status has arrived";
    }
}

# EV's default loop is made when EV is loaded, so each worker has a copy of the manager's.
my $timer_in_worker = <<'PERL';
use EV;
use Parallel::Prefork;
IN_MANAGER
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    my $timer = EV::timer(0.1, 0, sub {
        print "called\n";
        EV::break();
    });
    EV::run();
});
$pm->wait_all_children;
PERL

worker_says('in a worker: a timer', "called\n", filled($timer_in_worker, IN_MANAGER => ''));
worker_says('in a worker: a timer, where the manager has used the loop', "called\n",
    filled($timer_in_worker, IN_MANAGER => <<'PERL'));
my $once = EV::timer(0, 0, sub { });
EV::run();
PERL

# The default action that a worker has takes the place of EV's handler of SIGCHLD.
worker_says('in a worker: a watcher of a child', "status 5\n", filled(<<'PERL', PASS_ON => $pass_on));
use POSIX ();
use EV;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('enough') },
);
$pm->start(sub {
    PASS_ON
    my $pid = fork;
    POSIX::_exit(5) if defined $pid && !$pid;
    my $child = EV::child($pid, 0, sub {
        print 'status ', $_[0]->rstatus >> 8, "\n";
        EV::break();
    });
    EV::run();
});
$pm->wait_all_children;
PERL

done_testing;
