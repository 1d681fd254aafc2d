# graceful_timeout: a worker that was told to end, and does not, is killed when its time is over, by whatever way it was
# told; one that ends in time is not, nor is one that was told something else.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Facts;

# A pool whose workers a program tells to end in some way. GRACE is their time; each says when it is there.
my $POOL = <<'PERL';
use Time::HiRes ();
use POSIX ();
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }
our ($pm, $told_at, @ends, @work) = ();
pipe my $there, my $is_there or die "pipe: $!";
sub say_so { return syswrite $is_there, "$$\n" }

sub stubborn {
    $SIG{$_} = 'IGNORE' for qw(INT QUIT TERM HUP USR1);
    say_so();
    sleep 30 while 1;
}

sub obedient {
    $SIG{TERM} = sub { exit 7 };
    say_so();
    sleep 30 while 1;
}

sub stopped {
    say_so();
    kill STOP => $$;
    sleep 30 while 1;
}

# Forks workers until so many are there, and stops the run.
sub pool {
    my ($class, $work, $number, %options) = @_;
    my $started = 0;
    $pm = $class->new(
        max_workers          => $number,
        graceful_timeout     => GRACE,
        err_respawn_interval => 0,
        trap_signals         => { TERM => 'TERM', HUP => undef, USR1 => ['TERM', 0.01], USR2 => '-TERM', INT => 'HUP' },
        after_fork           => sub { $_[0]->signal_received('enough') if ++$started == $number },
        %options,
    );
    $pm->start($work);
    readline $there for 1 .. $number;
    $pm->after_fork(undef);
    $pm->on_child_reap(sub { push @ends, [$_[2], now() - $told_at] });
    return;
}

sub told { $told_at = now(); return }

sub all_have_ended {
    $pm->wait_all_children;
    print 'statuses = ', join(' ', map { $_->[0] } @ends), "\n";
    print 'early = ', scalar(grep { $_->[1] < GRACE } @ends), "\n";
    return;
}
PERL

# Each tells two stubborn workers to end.
my %told = (
    'a trapped signal' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
kill TERM => $$;
$pm->start(\&stubborn);
all_have_ended();
PERL
    'signal_all_children between two starts' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
    'INT' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
$pm->signal_all_children('INT');
all_have_ended();
PERL
    'QUIT, by its number' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
$pm->signal_all_children(3);
all_have_ended();
PERL
    'a staggered signal' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
kill USR1 => $$;
$pm->start(\&stubborn);
all_have_ended();
PERL
    'a signal in wait_all_children' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
local $SIG{ALRM} = sub { told(); $pm->signal_all_children('TERM') };
alarm 1;
all_have_ended();
PERL
    'TERM again and again' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
told();
$pm->signal_all_children('TERM') while $pm->wait_all_children(0.02);
all_have_ended();
PERL
    'a handler of the next start' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2);
local $SIG{ALRM} = sub { told(); $pm->signal_all_children('TERM') };
alarm 1;
my $on_child_reap = $pm->on_child_reap;
$pm->on_child_reap(sub { $on_child_reap->(@_); $_[0]->signal_received('enough') if @ends == 2 });
$pm->start(\&stubborn);
my @workers = keys %{ $pm->{worker_pids} };
kill KILL => @workers;
$pm->on_child_reap(undef);
all_have_ended();
PERL
    'a subclass that overrides the loop' => <<'PERL',
{
    package Overrides;
    our @ISA = ('Parallel::Prefork');
    sub _decide_action {
        my $self = shift;
        return $self->SUPER::_decide_action;
    }
    sub signal_all_children {
        my ($self, $signal) = @_;
        return $self->SUPER::signal_all_children($signal);
    }
}
pool('Overrides', \&stubborn, 2);
told();
kill TERM => $$;
$pm->start(\&stubborn);
all_have_ended();
PERL
    'a lower number of spare workers' => <<'PERL',
pool('Parallel::Prefork::SpareWorkers', \&stubborn, 3, min_spare_workers => 3, max_spare_workers => 3,
    trap_signals => { TERM => 'USR1' });
told();
$pm->min_spare_workers(1);
$pm->max_spare_workers(1);
my $on_child_reap = $pm->on_child_reap;
$pm->on_child_reap(sub { $on_child_reap->(@_); $_[0]->signal_received('enough') if @ends == 2 });
$pm->start(\&stubborn);
$pm->on_child_reap(undef);
$pm->signal_all_children('KILL');
all_have_ended();
PERL
    'a time that was set later' => <<'PERL',
pool('Parallel::Prefork', \&stubborn, 2, graceful_timeout => undef);
$pm->graceful_timeout(GRACE);
told();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
    'workers that are stopped' => <<'PERL',
pool('Parallel::Prefork', \&stopped, 2);
for my $pid (keys %{ $pm->{worker_pids} }) {
    my $state = '';
    while ($state ne 'T') {
        open my $stat, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!";
        ($state) = <$stat> =~ /.*\) (\w)/;
    }
}
told();
$pm->signal_all_children('TERM');
all_have_ended();
PERL
);
my $GRACE = 0.3;
for my $way (sort keys %told) {
    my %fact = facts($way, ($POOL . $told{$way}) =~ s/GRACE/$GRACE/gr, deadline => 30);
    is $fact{statuses}, '9 9', "$way: the two workers that were told are killed";
    is $fact{early},    0,     "$way: not before their time was over";
}

my %group = facts('a process group', ($POOL . <<'PERL') =~ s/GRACE/$GRACE/gr);
pipe my $lives, my $held or die "pipe: $!";
pool('Parallel::Prefork', sub {
    setpgrp;
    close $lives;
    $SIG{TERM} = 'IGNORE';
    # The helper has no part in what the worker does; the pipe is open as long as one of them is there.
    fork // die "fork: $!";
    stubborn();
}, 1);
readline $there;
close $held;
told();
kill USR2 => $$;
$pm->start(\&stubborn);
all_have_ended();
print 'group = ', (sysread($lives, my $byte, 1) ? 'alive' : 'gone'), "\n";
PERL
is $group{statuses}, 9,      'a worker that leads a group, and was told so as a group, is killed';
is $group{group},    'gone', '... with its group';

my %left_group = facts('a worker that leaves its group', ($POOL . <<'PERL') =~ s/GRACE/$GRACE/gr);
my $group_of_manager = getpgrp;
pool('Parallel::Prefork', sub {
    setpgrp;
    $SIG{TERM} = sub { setpgrp 0, $group_of_manager };
    say_so();
    sleep 30 while 1;
}, 1);
told();
kill USR2 => $$;
$pm->start(\&stubborn);
all_have_ended();
PERL
is $left_group{statuses}, 9, 'a worker that leaves the group that was told is killed all the same';

my %nested = facts('a worker that becomes a manager', ($POOL . <<'PERL') =~ s/GRACE/$GRACE/gr);
pool('Parallel::Prefork', \&stubborn, 1);
told();
$pm->signal_all_children('TERM');
$pm->wait_all_children;
$pm->after_fork(sub { $_[0]->signal_received('enough') });
if (!$pm->start) {
    $pm->{in_child} = 0;
    @ends = ();
    $pm->max_workers(1);
    $pm->start(\&stubborn);
    readline $there;
    told();
    $pm->signal_all_children('TERM');
    all_have_ended();
    exit 0;
}
$pm->wait_all_children;
PERL
is $nested{statuses}, 9, 'a worker that starts workers by the same object kills them, too';

my %others = facts('those who are not killed', ($POOL . <<'PERL') =~ s/GRACE/$GRACE/gr);
pool('Parallel::Prefork', \&obedient, 2, graceful_timeout => 3600);
told();
$pm->signal_all_children('TERM');
$pm->wait_all_children;
print 'in time = ', join(' ', map { $_->[0] } @ends), "\n";

pool('Parallel::Prefork', \&stubborn, 2);
$pm->signal_all_children($_) for qw(HUP USR1 WINCH);
kill INT => $$;
$pm->start(\&stubborn);
print 'HUP, USR1, WINCH = ', $pm->wait_all_children(4 * GRACE), "\n";
$pm->graceful_timeout(0);
$pm->signal_all_children('TERM');
print '0 seconds = ', $pm->wait_all_children(4 * GRACE), "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $others{'in time'}, '1792 1792', 'workers that end in time end as they like';
is $others{'HUP, USR1, WINCH'}, 2, 'a worker that is sent HUP, USR1 or WINCH is not killed';
is $others{'0 seconds'},        2, 'with 0 seconds nobody is killed';

done_testing;
