# Contract 1, as Workman relies on it: a program that calls _wait by itself finds the pid in {worker_pids} until it
# deletes it, also when it first collects all exits and then looks each pid up; between its calls of start, and in a
# hook.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $collect = <<'PERL';
sub collect {
    my ($pm, $wanted) = @_;
    my %status;
    while (keys %status < $wanted) {
        if (my ($pid, $status) = $pm->_wait(0)) {
            $status{$pid} = $status;
        }
        else {
            select undef, undef, undef, 0.01;
        }
    }
    $pm->_wait(0) for 1 .. 3;
    my @present = grep { exists $pm->{worker_pids}{$_} } keys %status;
    my $found = grep { $pm->{worker_pids}{$_} == $pm->{generation} } @present;
    my $shown = grep { $status{$_} } keys %{ $pm->{worker_pids} };
    print "collected ", scalar(keys %status), ", found $found, shown $shown, counted ", $pm->num_workers, "\n";
    my $deleted = grep { defined delete $pm->{worker_pids}{$_} } sort keys %status;
    print "deleted $deleted, left ", $pm->num_workers, "\n";
    return;
}
PERL

my $between = run($collect . <<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({
    max_workers  => 5,
    trap_signals => { TERM => 'TERM', USR1 => 'TERM' },
});
for my $generation (1 .. 2) {
    pipe my $ready, my $done or die;
    my $started = 0;
    $pm->after_fork(sub {
        return if ++$started < 5;
        sysread $ready, my $dot, 1 or die for 1 .. 5;
        kill 'USR1', $$;
    });
    if (!$pm->start) {
        syswrite $done, '.';
        sleep 1 while 1;
    }
    collect($pm, 5);
    print "wait_all_children: ", $pm->wait_all_children(1), "\n";
}
PERL
# 0.18 says so of the second generation.
is $between->err =~ s/^Use of uninitialized value in numeric le .*\n//mgr, '',
    'there is no warning where the program calls _wait between two starts';
for my $generation (1, 2) {
    my $when = "between two starts, in generation $generation";
    is $between->line, 'collected 5, found 5, shown 5, counted 5', "$when, each pid is found when all are collected";
    is $between->line, 'deleted 5, left 0', "$when, the pids that the program deletes are gone";
    is $between->line, 'wait_all_children: 0', "$when, wait_all_children has nobody to wait for then";
}

# The hook of the worker that has ended first collects the others; start goes on with a full pool.
my $hook = run($collect . <<'PERL', deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
my ($forked, $reaped) = (0, 0);
pipe my $ready, my $done or die;
my $pm = Parallel::Prefork->new({
    max_workers          => 4,
    err_respawn_interval => 0,
    after_fork           => sub {
        my ($pm, $pid) = @_;
        sysread $ready, my $dot, 1 or die;
        $forked++;
        # The last of them is not in {worker_pids} yet.
        kill 'KILL', $pid, keys %{ $pm->{worker_pids} } if $forked == 4;
        $pm->signal_received('enough') if $forked == 8;
    },
    on_child_reap => sub { collect($_[0], 3) if !$reaped++ },
});
if (!$pm->start) {
    syswrite $done, '.';
    sleep 1 while 1;
}
print "forked $forked\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $hook->err, '', 'there is no warning where a hook calls _wait';
is $hook->line, 'collected 3, found 3, shown 3, counted 4', 'in a hook, each pid is found when all are collected';
is $hook->line, 'deleted 3, left 1', 'in a hook, the pids that the program deletes are gone';
is $hook->line, 'forked 8', 'the pool is filled again after the hook';

done_testing;
