# Fault 13: the program has children of its own while workers come and go: system, backticks, pipes,
# fork and waitpid, a double fork, in each hook and in a signal handler. Whoever waits for one
# of these gets its status; those that nobody waits for are reaped, and told of once; a waitpid(-1) of
# the program's takes workers away, and the pool stays full all the same.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use ProcessTest;

my $TIMES    = scale(quick => 400, full => 10_000);
my $STEALS   = scale(quick => 3, full => 60);
my $DEADLINE = scale(quick => 60, full => 280);

my $prelude = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use POSIX qw(WNOHANG);
use Time::HiRes qw(setitimer ITIMER_REAL);

my ($times) = @ARGV;
my ($manager, $pm, %children, %wrong) = ($$);
my %count = map { $_ => 0 } qw(forked reaped own told lost wrong);

sub nap { select undef, undef, undef, $_[0] }

# A worker's status is its own.
sub code { return 1 + $_[0] % 200 }

# The system gives numbers out again: children of one number end in the order in which they had it.
sub note_fork {
    my ($pid, $kind, $status) = @_;
    push @{ $children{$pid} }, [$kind, $status];
    $count{$kind}++;
}

# What the child was that has ended.
sub note_exit {
    my ($pid, $status) = @_;
    my $child = shift @{ $children{$pid} || [] };
    if (!$child) {
        $count{wrong}++;
        print STDERR "$pid ended with $status, and is nobody's\n";
        return '';
    }
    my ($kind, $expected) = @$child;
    $child->[2] = 'reported';
    $count{ $kind eq 'own' ? 'told' : 'reaped' }++;
    $count{lost}++ if $status == -1;
    # KILL is ours; a worker that is forked when start has been told to end does not begin.
    if ($status != $expected && $status != -1 && $status != 9 && ($status != 0 || !$pm->{signal_received})) {
        $count{wrong}++;
        print STDERR "$kind $pid ended with $status, not $expected\n";
    }
    return $kind;
}

sub finish_up {
    $pm->signal_all_children('KILL');
    my $left = $pm->wait_all_children;
    print "$_ $count{$_}\n" for sort keys %count;
    print "left $left\n";
}
PERL

# Someone waits for each of these.
my $waited = start_program($prelude . <<'PERL', args => [$TIMES], deadline => $DEADLINE);
our $busy = 0;
my ($done, %done) = (0);

my %way = (
    # Without its semicolon, perl would look for a program named exit.
    system    => sub {
        system("exit $_[0];");
        return $? == $_[0] << 8;
    },
    backticks => sub {
        my $said = `echo $_[0]; exit $_[0]`;
        return $? == $_[0] << 8 && $said eq "$_[0]\n";
    },
    pipe      => sub {
        open my $pipe, '-|', "echo $_[0]; exit $_[0]" or return 0;
        my $said = readline $pipe;
        close $pipe;
        return $? == $_[0] << 8 && $said eq "$_[0]\n";
    },
    waitpid => sub {
        my $pid = fork;
        POSIX::_exit($_[0]) if !$pid;
        return waitpid($pid, 0) == $pid && $? == $_[0] << 8;
    },
    double => sub {
        my $pid = fork;
        if (!$pid) {
            # The grandchild is nobody's here, and ends by itself.
            if (!fork) { nap(0.02) }
            POSIX::_exit($_[0]);
        }
        return waitpid($pid, 0) == $pid && $? == $_[0] << 8;
    },
);
my @ways = sort keys %way;

sub have_child {
    my $where = shift;
    # In a handler inside of another one there is no end to it.
    return if $done >= $times || $busy || $$ != $manager;
    local $busy = 1;
    local ($?, $!);
    my $name = $ways[ $done++ % @ways ];
    $done{"$name in $where"}++;
    $wrong{"$name in $where"}++ if !$way{$name}->(1 + $done % 200);
    $pm->signal_received('enough') if $done >= $times;
    return;
}

$pm = Parallel::Prefork->new(
    max_workers          => 8,
    err_respawn_interval => 0,
    before_fork          => sub { have_child('before_fork') },
    after_fork           => sub {
        note_fork($_[1], 'forked', code($_[1]) << 8);
        have_child('after_fork');
    },
    on_child_reap        => sub {
        note_exit(@_[1, 2]);
        have_child('on_child_reap');
    },
);
$SIG{ALRM} = sub { have_child('a handler') };
setitimer(ITIMER_REAL, 0.006, 0.006);
$pm->start(sub {
    nap(0.02 * rand);
    POSIX::_exit(code($$));
});
setitimer(ITIMER_REAL, 0);
$SIG{ALRM} = 'IGNORE';
print "done $done\n";
print "not so: $wrong{$_} of $done{$_} $_\n" for sort keys %wrong;
finish_up();
PERL

# Nobody waits for these: what a hook forks is left to the manager.
my $unwaited = start_program($prelude . <<'PERL', args => [$TIMES], deadline => $DEADLINE);
my $count = 0;
$pm = Parallel::Prefork->new(
    max_workers          => 8,
    err_respawn_interval => 0,
    before_fork          => sub {
        return if $count >= $times;
        my $pid = fork;
        POSIX::_exit(1 + $count % 100) if !$pid;
        note_fork($pid, 'own', 1 + $count++ % 100 << 8);
    },
    after_fork    => sub { note_fork($_[1], 'forked', code($_[1]) << 8) },
    on_child_reap => sub {
        note_exit(@_[1, 2]);
        $pm->signal_received('enough') if $count{told} >= $times;
    },
);
$pm->start(sub {
    nap(0.01 * rand);
    POSIX::_exit(code($$));
});
finish_up();
PERL

# The program reaps whoever has ended, workers as well.
my $stealing = start_program($prelude . <<'PERL', args => [$STEALS], deadline => on_the_original() ? 15 : $DEADLINE);
my ($stolen, @killed) = (0);
$pm = Parallel::Prefork->new(
    max_workers          => 8,
    err_respawn_interval => 0,
    after_fork           => sub { note_fork($_[1], 'forked', 9) },
    on_child_reap        => sub { note_exit(@_[1, 2]) },
);
my $rounds = 0;
$SIG{ALRM} = sub {
    # num_workers counts one whose end is being reported, and this may come in the middle of that.
    my @alive = grep { @{ $children{$_} || [] } } sort keys %{ $pm->{worker_pids} };
    # The pool is full, so that what was stolen before has been replaced.
    return if @alive < 8 || grep { !$_->[2] } @killed;
    return $pm->signal_received('enough') if $rounds++ == $times;
    my @pids = @alive[0 .. 3];
    @killed = map { $children{$_}[0] } @pids;
    kill KILL => @pids;
    nap(0.01);
    $stolen++ while waitpid(-1, WNOHANG) > 0;
};
setitimer(ITIMER_REAL, 0.02, 0.02);
$pm->start(sub { sleep 60 while 1 });
setitimer(ITIMER_REAL, 0);
$SIG{ALRM} = 'IGNORE';
print 'rounds ', $rounds - 1, "\nstolen $stolen\n";
print 'workers ', $pm->num_workers, "\n";
finish_up();
PERL

sub said {
    my $p = shift;
    $p->wait;
    my %said = map { split / /, $_, 2 } split /\n/, $p->out;
    return \%said;
}

sub pool_is_intact {
    my ($name, $p, $said) = @_;
    is $said->{reaped}, $said->{forked}, "$name: all workers are reaped";
    is $said->{wrong}, 0, "$name: each once, and with its own status" or diag $p->err;
    is $said->{left}, 0, "$name: none is left";
    is $p->status, 0, "$name: it ends well" or diag $p->err;
    return;
}

{
    my $said  = said($waited);
    my @wrong = grep { /^not so/ } split /\n/, $waited->out;
    # The handler may come in between the look at the number and its increase.
    cmp_ok $said->{done} || 0, '>=', $TIMES, 'the program had children of its own';
    is_deeply \@wrong, [], 'whoever waits for a child gets its status';
    pool_is_intact('beside children that are waited for', $waited, $said);
    my $count = 0;
    $count += /^not so: (\d+)/ ? $1 : 0 for @wrong;
    my $seen = 'it hung or died';
    if (defined $said->{done}) {
        my $right = $said->{done} - $count;
        $seen = "$right of $said->{done} got their status; $said->{reaped} of $said->{forked} workers reaped";
    }
    figure("system, backticks, pipes, waitpid, double fork in hooks and handlers" => $seen);
}
{
    my $said = said($unwaited);
    is $said->{own}, $TIMES, 'the program forked, and did not wait';
    is $said->{told}, $TIMES, 'on_child_reap is told of each such child once, with its status';
    pool_is_intact('beside children that nobody waits for', $unwaited, $said);
    figure("children that nobody waits for" => defined $said->{own}
        ? "$said->{told} of $TIMES told of once; $said->{reaped} of $said->{forked} workers reaped"
        : 'it hung or died');
}
{
    my $said = said($stealing);
    is $said->{rounds}, $STEALS, 'the program has reaped workers by waitpid(-1)';
    ok $said->{stolen}, 'some at least';
    is $said->{lost}, $said->{stolen}, 'each is reported, with status -1';
    is $said->{workers}, 8, 'the pool is full';
    pool_is_intact('with stolen workers', $stealing, $said);
    figure("workers that the program's waitpid(-1) takes" => defined $said->{stolen}
        ? "$said->{lost} of $said->{stolen} noticed, the pool full $said->{rounds} of $STEALS times"
        : 'it hung or spun');
}
if (!on_the_original()) {
    my $times   = $TIMES / 20;
    my $program = compile('t/faults/foreign.c', qw(-std=gnu99 -Wall -Wextra -Werror -pedantic -pthread));
    my $p       = start_program(undef, command => [$program, $times, $DEADLINE], deadline => $DEADLINE);
    $p->wait;
    my %said = $p->out =~ /^(\w+(?: wrong)?) (\d+)$/mg;
    for my $where ('hook', 'thread') {
        is $said{$where}, 3 * $times, "C: system, popen and waitpid in a $where";
        is $said{"$where wrong"}, 0, "C: system, popen and waitpid in a $where got all statuses";
    }
    is $said{'status wrong'}, 0, 'C: every worker was reported with its own';
    is $said{forks}, $said{ended} + $said{left}, 'C: and each once' or diag $p->out;
    is $said{afterwards}, 0, 'C: none is left';
    is $p->status, 0, 'C: it ends well' or diag $p->err;
    figure('C: system, popen, waitpid in a hook and beside it in a thread, foreign children not reaped' =>
        defined $said{hook} ? $said{hook} + $said{thread} - $said{'hook wrong'} - $said{'thread wrong'}
        . ' of ' . 6 * $times . " got their status; $said{ended} workers reaped" : 'it hung or died');
}

done_testing;
