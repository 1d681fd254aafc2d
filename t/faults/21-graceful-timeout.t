# Workers that TERM does not end, in whatever state they are and however they are told, are dead when graceful_timeout
# is over: each is sent KILL once, and not before its time.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use CProgram;
use FaultTest;
use Preload;
use ProcessTest;

plan skip_all => '0.18 has no graceful_timeout' if on_the_original();
my $sent_signals = preload_library('t/faults/sent-signals.c') or plan skip_all => 'no C compiler';

my $WORKERS = scale(full => 50, quick => 10);
my $ROUNDS  = scale(full => 17, quick => 1);
my $GRACE   = scale(full => 1.5, quick => 0.45);

# Between two workers that are told one after the other; and how often those are told that are told again and again.
my $STAGGER = 0.003;
my $AGAIN   = $GRACE * 2 / 3;

# What keeps the workers, and the state in which the system then has them.
my $stubborn = compile('t/faults/stubborn.c', qw(-std=gnu99 -Wall -Wextra -Werror));
my %STATE = (ignores => 'S', stopped => 'T', traced => 't', vfork => 'D', helper => 'S');
if (system($stubborn, 'can-trace') != 0) {
    diag 'ptrace is not to be had here: no worker is traced';
    delete $STATE{traced};
}
my @kinds = sort keys %STATE;

# How they are told, and the signal to the manager that makes it do so.
my %BY = (
    'in start'             => 'HUP',
    'staggered'            => 'HUP',
    'as process groups'    => 'HUP',
    'between two starts'   => 'USR1',
    'again and again'      => 'USR1',
    'in wait_all_children' => 'USR1',
);

# A round: stubborn workers, which the test waits for; then the manager is signalled, tells them, and waits for their
# ends. Those that take their places meanwhile end by TERM.
my $perl = <<'PERL';
use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($way, $stubborn, $workers, $rounds, $grace, $stagger, $again, @kinds) = @ARGV;
my ($are_told, $ended) = (0, 0);
my $pm = Parallel::Prefork->new(
    max_workers          => $workers,
    graceful_timeout     => $grace,
    err_respawn_interval => 0,
    trap_signals         => {
        HUP  => $way eq 'staggered' ? ['TERM', $stagger] : $way eq 'as process groups' ? '-TERM' : 'TERM',
        USR1 => undef,
    },
    on_child_reap => sub {
        my ($pm, $pid, $status) = @_;
        print "reaped $pid $status ", clock_gettime(CLOCK_MONOTONIC), "\n";
        $pm->signal_received('enough') if ++$ended == $workers;
    },
);

sub work {
    if ($are_told) {
        sleep 60 while 1;
    }
    my $kind = $kinds[$pm->worker_index % @kinds];
    exec $stubborn, $kind, $way eq 'as process groups' ? 'group' : ();
    die "$stubborn: $!\n";
}

for (1 .. $rounds) {
    ($are_told, $ended) = (0, 0);
    $pm->start(\&work);
    $are_told = 1;
    if ($way eq 'again and again') {
        $pm->signal_all_children('TERM') while $pm->wait_all_children($again);
    }
    else {
        $pm->signal_all_children('TERM') if $pm->signal_received eq 'USR1';
        $pm->start(\&work) if $way ne 'in wait_all_children';
        $pm->signal_all_children('TERM') if $ended == $workers;
        $pm->wait_all_children;
    }
    print "over\n";
}
PERL

my $c = compile('t/faults/21-graceful-timeout.c', qw(-std=gnu99 -Wall -Wextra -Werror));

# A manager, and what is known of it.
sub pool {
    my ($host, $way) = @_;
    my @arguments = ($way, $stubborn, $WORKERS, $ROUNDS, $GRACE, $STAGGER, $AGAIN, @kinds);
    my %options   = (deadline => 240, env => { preloaded($sent_signals) });
    return {
        name    => "$host, $way",
        latest  => 0,
        dead    => 0,
        wrong   => [],
        program => $host eq 'C'
            ? start_program(undef, %options, command => [$c, @arguments])
            : start_program($perl, %options, args => \@arguments),
    };
}

# Reads until there are so many lines that begin with the word; keeps what is said of each worker.
sub hear {
    my ($pool, $word, $times) = @_;
    while ($times > 0) {
        my $line = $pool->{program}->line;
        if (!defined $line) {
            diag "$pool->{name}: not '$word' $times times more: ", $pool->{program}->err;
            return 0;
        }
        my ($said, $pid, @rest) = split ' ', $line;
        $pool->{up}{$pid} = $rest[0] if $said eq 'up';
        push @{ $pool->{$said}{$pid} }, \@rest if $said eq 'sent' || $said eq 'reaped';
        push @{ $pool->{helpers} }, $pid if $said eq 'helper';
        $times-- if $said eq $word;
    }
    return 1;
}

sub state_of {
    my $pid = shift;
    open my $file, '<', "/proc/$pid/stat" or return '';
    my $line = <$file>;
    return defined $line && $line =~ /\A\d+ \(.*\) (\S) /s ? $1 : '';
}

# What is wrong about the end of one worker; its figures go to the pool.
sub wrong {
    my ($pool, $pid) = @_;
    my @sent  = @{ $pool->{sent}{$pid} || [] };
    my @group = @{ $pool->{sent}{"-$pid"} || [] };
    my @told  = grep { $_->[0] == 15 } @sent, @group or return 'was not told';
    my @kills = grep { $_->[0] == 9 } @sent, @group;
    my @ends  = @{ $pool->{reaped}{$pid} || [] };
    return 'was reaped ' . @ends . ' times' if @ends != 1;
    return "ended with $ends[0][0]"         if $ends[0][0] != 9;
    # KILL for a group goes to the worker, too: it may have left the group.
    my $expected = @group ? 2 : 1;
    return 'was sent KILL ' . @kills . ' times' if @kills != $expected;
    my $over = $told[0][1] + $GRACE;
    return sprintf 'was sent KILL %.6f s before its time', $over - $kills[0][1] if $kills[0][1] < $over;
    my $late = $ends[0][1] - $over;
    $pool->{latest} = $late if $late > $pool->{latest};
    return;
}

# Whether all workers are there, and in the states in which they are to be.
sub is_up {
    my $pool = shift;
    @$pool{qw(up sent reaped helpers)} = ({}, {}, {}, []);
    hear($pool, up => $WORKERS) or return 0;
    for my $pid (keys %{ $pool->{up} }) {
        my $kind = $pool->{up}{$pid};
        next if eventually { state_of($pid) eq $STATE{$kind} };
        push @{ $pool->{wrong} }, "a worker that is to be $kind is " . state_of($pid);
    }
    return 1;
}

# Whether all have ended, however that was.
sub is_over {
    my $pool = shift;
    hear($pool, over => 1) or return 0;
    for my $pid (sort keys %{ $pool->{up} }) {
        my $wrong = wrong($pool, $pid);
        push @{ $pool->{wrong} }, "$pool->{up}{$pid}: $wrong" if defined $wrong;
        $pool->{dead}++ if !defined $wrong;
    }
    my $is_gone = eventually { !grep { state_of($_) !~ /\A[ZX]?\z/ } @{ $pool->{helpers} } };
    push @{ $pool->{wrong} }, 'a helper is left of a group' if !$is_gone;
    return 1;
}

for my $way (sort keys %BY) {
    my @pools = map { pool($_, $way) } qw(Perl C);
    for my $round (1 .. $ROUNDS) {
        last if grep { !is_up($_) } @pools;
        $_->{program}->signal($BY{$way}) for @pools;
        last if grep { !is_over($_) } @pools;
    }
    for my $pool (@pools) {
        my ($name, $workers) = ($pool->{name}, $WORKERS * $ROUNDS);
        is_deeply $pool->{wrong}, [], "$name: nothing is wrong with any worker";
        is $pool->{dead}, $workers, "$name: all are killed, each once and not before its time";
        is $pool->{program}->wait, 0, "$name: the manager ends well" or diag $pool->{program}->err;
        figure("graceful_timeout, workers that TERM does not end, told $name",
            sprintf '%d of %d killed, each once, not before its time and %.3f s after it at most',
                $pool->{dead}, $workers, $pool->{latest});
    }
}

done_testing;
