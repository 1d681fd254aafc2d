# Contract 10: spawn_interval passes after a fork and after a worker is stopped;
# err_respawn_interval after a worker of the current generation ended badly.
use strict;
use warnings;
use lib 't/lib';
use Facts;
use Test::More;

# An interval that must not be applied is this long: applied all the same, it is a hang.
my $NEVER = 1000;
# Clocks are read at different places, and may be different clocks.
my $SLACK = 0.02;

my %spawn = facts('spawn_interval', <<'PERL', args => [$NEVER]);
use Time::HiRes ();
use Parallel::Prefork;
my ($pm, @forks);
$pm = Parallel::Prefork->new(
    max_workers    => 2,
    trap_signals   => {},
    spawn_interval => 0.2,
    before_fork    => sub { push @forks, Time::HiRes::time() },
    after_fork     => sub { $pm->signal_received('enough') if @forks == 3 },
);
$pm->start(sub { exit 0 });
printf "gap %d = %.3f\n", $_, $forks[$_] - $forks[$_ - 1] for 1, 2;
$pm->wait_all_children;

my $forked = 0;
$pm = Parallel::Prefork->new(
    max_workers    => 1,
    trap_signals   => {},
    spawn_interval => $ARGV[0],
    after_fork     => sub {
        $forked++;
        $pm->signal_received('enough');
    },
);
$pm->start(sub { exit 0 });
print "first = $forked\n";
$pm->wait_all_children;
PERL

cmp_ok $spawn{"gap $_"}, '>=', 0.2 - $SLACK, "spawn_interval passes after fork $_" for 1, 2;
is $spawn{first}, 1, 'the first fork of a start does not wait for spawn_interval';

my %stop = facts('stopping', <<'PERL', args => [$NEVER]);
use Time::HiRes ();
use Parallel::Prefork;
# Forks two workers without an interval, then stops them with one.
{
    package Shrinks;
    our @ISA = ('Parallel::Prefork');
    our ($full, $since);

    sub _decide_action {
        my $self = shift;
        $full ||= $self->num_workers == 2;
        return 1 if !$full;
        $self->spawn_interval(0.2);
        $since ||= Time::HiRes::time();
        return -1;
    }

    sub _max_wait { return 0.02 }
}
my @ends;
pipe my $ready, my $report or die $!;
my $pm = Shrinks->new(
    max_workers   => 2,
    trap_signals  => { TERM => 'TERM' },
    after_fork    => sub { sysread $ready, my $worker_is_up, 1 },
    on_child_reap => sub {
        push @ends, Time::HiRes::time();
        $_[0]->signal_received('enough') if @ends == 2;
    },
);
# They end well: a bad end has an interval of its own.
$pm->start(sub {
    $SIG{TERM} = sub { exit 0 };
    syswrite $report, 'x';
    sleep 1 while 1;
});
printf "second = %.3f\n", $ends[1] - $Shrinks::since;
print "left = ", $pm->num_workers, "\n";
PERL

is $stop{left}, 0, 'start stops workers as long as _decide_action is negative';
cmp_ok $stop{second}, '>=', 0.2 - $SLACK, 'spawn_interval passes after a worker is stopped';

my %bad = facts('err_respawn_interval', <<'PERL', args => [$NEVER]);
use Time::HiRes ();
use Parallel::Prefork;
# Three workers in turn end badly; the pool has a second, empty place when the third does.
my ($pm, $number, %end, @forks);
my @ways = (sub { exit 1 }, sub { kill 'KILL', $$ }, sub { die "bad end\n" }, sub { exit 0 });
pipe my $times, my $report or die $!;
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    trap_signals         => {},
    err_respawn_interval => 0.2,
    before_fork          => sub { push @forks, Time::HiRes::time() },
    after_fork           => sub { $pm->signal_received('enough') if @forks == 4 },
    on_child_reap        => sub {
        $end{ scalar @forks } ||= readline $times;
        $pm->max_workers(2) if @forks == 3;
    },
);
$pm->start(sub {
    syswrite $report, sprintf "%.6f\n", Time::HiRes::time();
    $ways[$#forks]->();
});
printf "gap %d = %.3f\n", $_, $forks[$_] - $end{$_} for 1 .. 3;
$pm->wait_all_children;
PERL

cmp_ok $bad{'gap 1'}, '>=', 0.2 - $SLACK, 'err_respawn_interval passes after a worker that exits with a code';
cmp_ok $bad{'gap 2'}, '>=', 0.2 - $SLACK, 'err_respawn_interval passes after a worker that is killed';
cmp_ok $bad{'gap 3'}, '>=', 0.2 - $SLACK,
    'err_respawn_interval passes after a worker that dies, also for a place that is added';

my %good = facts('a good end', <<'PERL', args => [$NEVER]);
use Time::HiRes ();
use Parallel::Prefork;
my ($pm, $forks);
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    trap_signals         => {},
    err_respawn_interval => $ARGV[0],
    after_fork           => sub { $pm->signal_received('enough') if ++$forks == 3 },
);
$pm->start(sub { exit 0 });
print "forks = $forks\n";
$pm->wait_all_children;
PERL

is $good{forks}, 3, 'a worker that ends with status 0 is replaced at once';

my %older = facts('an older generation', <<'PERL', args => [$NEVER]);
use Time::HiRes ();
use Parallel::Prefork;
# The worker of the first generation ends badly in the second, when the pool is full.
my ($pm, $forks, $status);
pipe my $wait, my $hold or die $!;
pipe my $wait_longer, my $hold_longer or die $!;
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    trap_signals         => {},
    err_respawn_interval => $ARGV[0],
    after_fork           => sub {
        $forks++;
        $pm->signal_received('up')     if $forks == 1;
        close $hold                    if $forks == 2;
        $pm->signal_received('enough') if $forks == 3;
    },
    on_child_reap        => sub { $status = $_[2] },
);
$pm->start(sub {
    close $_ for $hold, $hold_longer;
    sysread $wait, my $end, 1;
    exit 1;
});
$pm->max_workers(2);
$pm->start(sub {
    close $_ for $hold, $hold_longer;
    sysread $wait_longer, my $end, 1;
});
print "forks = $forks\n";
print "status = $status\n";
close $hold_longer;
$pm->wait_all_children;
PERL

is $older{status}, 1 << 8, 'a worker of an older generation ends badly';
is $older{forks},  3,      'a worker of an older generation that ends badly is replaced at once';

my %by_magic = facts('an interval that is read by magic', <<'PERL');
use Parallel::Prefork;
use Time::HiRes ();
my @at;
my $pm = Parallel::Prefork->new({
    max_workers => 2,
    after_fork  => sub {
        my ($pm) = @_;
        push @at, Time::HiRes::time();
        $pm->signal_received('enough') if @at == 2;
        '0.5' =~ /(.*)/ and $pm->spawn_interval($1);
    },
});
$pm->start(sub { sleep 60 });
printf "gap = %.3f\n", $at[1] - $at[0];
$pm->signal_all_children('TERM');
PERL

cmp_ok $by_magic{gap}, '>=', 0.45, 'spawn_interval may be given as $1';

my %own_pause = facts('a pause of a subclass', <<'PERL');
{
    package Pauses;
    use parent 'Parallel::Prefork';
    use Time::HiRes ();

    sub _update_spawn_delay {
        my ($self, $seconds) = @_;
        $self->{_no_adjust_until} = $seconds ? Time::HiRes::time() + 3 * $seconds : 0;
        return;
    }
}
my @at;
my $pm = Pauses->new({
    max_workers    => 2,
    spawn_interval => 0.2,
    after_fork     => sub {
        push @at, Time::HiRes::time();
        $_[0]->signal_received('enough') if @at == 2;
    },
});
$pm->start(sub { sleep 60 });
printf "gap = %.3f\n", $at[1] - $at[0];
$pm->signal_all_children('TERM');
PERL

cmp_ok $own_pause{gap}, '>=', 0.55, 'a subclass that stores {_no_adjust_until} by itself decides how long the pause is';

# A pause begins after the hook, with what {worker_pids} says then; a hook that does not come to its end makes none.
my %undone = (
    'on_child_reap deletes the worker' => <<'PERL',
my $reaped = 0;
$pm->max_workers(1);
$pm->spawn_interval(0);
$pm->on_child_reap(sub {
    my ($self, $pid) = @_;
    delete $self->{worker_pids}{$pid};
    $self->signal_received('enough') if ++$reaped == 3;
});
$pm->start(sub { exit 1 });
print "done = $reaped\n";
PERL
    'on_child_reap gives the worker another generation' => <<'PERL',
my $reaped = 0;
$pm->max_workers(1);
$pm->spawn_interval(0);
$pm->on_child_reap(sub {
    my ($self, $pid) = @_;
    $self->{worker_pids}{$pid} = 0;
    $self->signal_received('enough') if ++$reaped == 3;
});
$pm->start(sub { exit 1 });
print "done = $reaped\n";
PERL
    'on_child_reap replaces {worker_pids}' => <<'PERL',
my $reaped = 0;
$pm->max_workers(1);
$pm->spawn_interval(0);
$pm->on_child_reap(sub {
    my ($self, $pid) = @_;
    my %others = %{ $self->{worker_pids} };
    delete $others{$pid};
    $self->{worker_pids} = \%others;
    $self->signal_received('enough') if ++$reaped == 3;
});
$pm->start(sub { exit 1 });
print "done = $reaped\n";
PERL
    'on_child_reap calls start' => <<'PERL',
my $reaped = 0;
$pm->max_workers(1);
$pm->spawn_interval(0);
$pm->on_child_reap(sub {
    my ($self, $pid) = @_;
    delete $self->{worker_pids}{$pid};
    $self->start(sub { exit 1 }) if ++$reaped < 3;
    $self->signal_received('enough');
});
$pm->start(sub { exit 1 });
print "done = $reaped\n";
PERL
    'after_fork dies' => <<'PERL',
my $forked = 0;
$pm->after_fork(sub {
    die "on purpose\n" if ++$forked < 3;
    $_[0]->signal_received('enough');
});
for (1 .. 3) {
    last if eval { $pm->start(sub { sleep 60 }); 1 };
}
print "done = $forked\n";
PERL
    'after_fork calls start' => <<'PERL',
my $forked = 0;
$pm->after_fork(sub {
    $_[0]->start(sub { sleep 60 }) if ++$forked < 3;
    $_[0]->signal_received('enough');
});
$pm->start(sub { sleep 60 });
print "done = $forked\n";
PERL
);
my $before = <<'PERL';
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(
    max_workers          => 5,
    trap_signals         => {},
    spawn_interval       => $ARGV[0],
    err_respawn_interval => $ARGV[0],
    before_fork          => HOOK,
);
PERL
my $after = <<'PERL';
$pm->on_child_reap(undef);
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
for my $hook ('undef', 'sub { }') {
    for my $how (sort keys %undone) {
        my $title = "$how, before_fork => $hook";
        my %fact = facts($title, ($before . $undone{$how} . $after) =~ s/HOOK/$hook/r, args => [$NEVER]);
        is $fact{done}, 3, "$title: there is no pause";
    }
}

done_testing;
