# Fault 14: numbers of processes come around again at once, in a PID namespace whose next number the
# test chooses: what was a worker's is a stranger's, or a new worker's, a moment later. A stranger
# is never signalled, and no worker is taken for another.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use FaultTest;
use PidNamespace;
use ProcessTest;

my $FORKS    = scale(quick => 600, full => 20_000);
my $STEALS   = scale(quick => 4, full => 100);
my $DEADLINE = scale(quick => 60, full => 290);

my @under = new_pid_namespace() or plan skip_all => 'the kernel allows no PID namespace here';
system(@under, 'sh', '-c', 'echo 299 2>/dev/null > /proc/sys/kernel/ns_last_pid') == 0
    or plan skip_all => 'the next number of a process cannot be chosen here (kernel.ns_last_pid)';

# PID 1 starts strangers, which report every signal that they get, and the manager.
my $prelude = <<'PERL';
use strict;
use warnings;
use Errno ();
use Parallel::Prefork;
use POSIX qw(WNOHANG);
use Time::HiRes qw(setitimer ITIMER_REAL);

my ($times) = @ARGV;
my ($LOWEST, $NUMBERS) = (300, 50);
die "this is $$\n" if $$ != 1;

sub nap { select undef, undef, undef, $_[0] }

sub say_line {
    my $line = "@_\n";
    1 until defined syswrite STDOUT, $line or !$!{EINTR};
}

sub next_pid {
    my $pid = shift;
    open my $file, '>', '/proc/sys/kernel/ns_last_pid' or die "ns_last_pid: $!";
    syswrite $file, $pid - 1;
}

sub any_pid { next_pid($LOWEST + int rand $NUMBERS) }

pipe my $orders, my $order    or die "pipe: $!";
pipe my $answers, my $answer  or die "pipe: $!";

# Runs a stranger until its time is over or the given code says so.
sub stranger {
    my ($until) = @_;
    $until->();
    POSIX::_exit(0);
}

# The parent of strangers runs this in a process of its own.
sub in_stranger_parent {
    my $code = shift;
    my $parent = fork;
    return $parent if $parent;
    srand;
    # Strangers have these from their first moment on.
    $SIG{$_} = sub { say_line("hit $$ SIG$_[0]") } for qw(HUP TERM USR1 USR2);
    $code->();
    POSIX::_exit(0);
}

sub check_end { say_line("hit $_[0] status $?") if $? != 0 }

my ($pm, $serial, %serial_of, %reaped, %wrong) = (undef, 0);

# A worker's status tells which one it was, as its number does not.
sub code { return 1 + $_[0] % 200 }

sub note_fork {
    my $pid = shift;
    $serial_of{$pid} = [@{ $serial_of{$pid} || [] }, $serial];
}

# Workers of one number end in the order in which they had it.
sub note_exit {
    my ($pid, $status) = @_;
    my $expected = shift @{ $serial_of{$pid} || [] };
    return say_line("unexpected $pid $status") if !defined $expected;
    $reaped{$expected}++;
    # KILL and TERM come from us; what is stolen has no status.
    say_line("mixed up $pid $status") if $status > 255 && $status != code($expected) << 8;
    return $expected;
}

sub finish_up {
    $SIG{ALRM} = 'IGNORE';
    setitimer(ITIMER_REAL, 0);
    $pm->signal_all_children('KILL');
    my $left = $pm->wait_all_children;
    print "forks $serial\nreaped ", scalar keys %reaped, "\nleft $left\n";
}

# The manager is a child of PID 1, so that strangers are no children of its.
sub in_manager {
    my $code    = shift;
    my $manager = fork;
    if (!$manager) {
        srand;
        $code->();
        exit;
    }
    return $manager;
}
PERL

# Strangers come and go all the time in the same few numbers as workers do.
my $natural = start_program($prelude . <<'PERL', under => \@under, args => [$FORKS], deadline => $DEADLINE);
my $strangers = in_stranger_parent(sub {
    my (%alive, $count);
    my $stop = 0;
    $SIG{INT} = sub { $stop = 1 };
    until ($stop) {
        any_pid();
        my $pid = fork;
        stranger(sub { nap(0.02 * rand) }) if !$pid;
        $alive{$pid} = 1;
        $count++;
        nap(0.001);
        while ((my $ended = waitpid -1, keys %alive > 15 ? 0 : WNOHANG) > 0) {
            check_end($ended);
            delete $alive{$ended};
        }
    }
    for my $pid (keys %alive) {
        waitpid $pid, 0;
        check_end($pid);
    }
    say_line("strangers $count");
});
my $manager = in_manager(sub {
    my %had;
    my $again = 0;
    $SIG{USR1} = 'IGNORE';
    $pm = Parallel::Prefork->new(
        max_workers          => 10,
        err_respawn_interval => 0,
        trap_signals         => { TERM => 'KILL', HUP => ['USR1', 0.003] },
        before_fork          => sub {
            any_pid();
            $serial++;
        },
        after_fork           => sub {
            note_fork($_[1]);
            $again++ if $had{ $_[1] }++;
            $pm->signal_received('TERM') if $serial >= $times;
        },
        on_child_reap => sub { note_exit(@_[1, 2]) },
    );
    my $ticks = 0;
    $SIG{ALRM} = sub { ++$ticks % 3 ? $pm->signal_all_children('USR1') : kill HUP => $$ };
    setitimer(ITIMER_REAL, 0.007, 0.007);
    while ($pm->signal_received ne 'TERM') {
        $pm->start(sub {
            nap(0.025 * rand);
            POSIX::_exit(code($serial));
        });
    }
    finish_up();
    print "again $again\n";
});
waitpid $manager, 0;
print "status $?\n";
kill INT => $strangers;
waitpid $strangers, 0;
PERL

# What follows a worker that somebody else has reaped: a stranger, or a new worker, at once in its number.
my $steal = <<'PERL';
my $strangers = in_stranger_parent(sub {
    while (defined(my $pid = readline $orders)) {
        chomp $pid;
        my ($got, @others) = (0);
        pipe my $hold, my $release;
        for (1 .. 20) {
            next_pid($pid);
            $got = fork;
            if (!$got) {
                close $release;
                stranger(sub { 1 until defined sysread $hold, my $byte, 1 });
            }
            last if $got == $pid;
            push @others, $got;
        }
        syswrite $answer, "$got\n";
        # Until the next order it is there.
        readline $orders;
        close $hold;
        close $release;
        for my $stranger ($got, @others) {
            waitpid $stranger, 0;
            check_end($stranger);
        }
        syswrite $answer, "gone\n";
    }
});

my ($rounds, $taken, $minus_1, $victim, $victim_serial) = (0, 0, 0, 0);
my $by_worker = $ARGV[1];
my $manager = in_manager(sub {
    my ($want, $aimed, $busy) = (0, 0, 0);
    close $orders;
    $SIG{USR1} = 'IGNORE';
    $pm = Parallel::Prefork->new(
        max_workers          => 6,
        err_respawn_interval => 0,
        trap_signals         => { TERM => 'KILL', HUP => ['USR1', 0.002], USR2 => 'USR1' },
        before_fork          => sub {
            $serial++;
            $aimed = $want;
            next_pid($aimed) if $aimed;
        },
        after_fork           => sub {
            note_fork($_[1]);
            # The handler below may want a number when it is too late for this fork.
            return if !$aimed;
            $taken++ if $_[1] == $aimed;
            $want = 0;
        },
        on_child_reap => sub {
            my $ended = note_exit(@_[1, 2]);
            if ($victim && defined $ended && $ended == $victim_serial) {
                $minus_1++ if $_[2] == -1;
                if (!$by_worker) {
                    syswrite $order, "done\n";
                    readline $answers;
                }
                $victim = 0;
            }
        },
    );
    $SIG{ALRM} = sub {
        # While the end of a worker is reported it still counts, but its number may be wanted already.
        return if $busy || $victim || $want || $pm->num_workers < 6;
        # Without those whose end is being reported.
        my @pids = grep { @{ $serial_of{$_} || [] } } sort keys %{ $pm->{worker_pids} };
        return if @pids < 6 && $rounds == $times;
        $busy = 1;
        return $pm->signal_received('TERM') if $rounds == $times;
        $victim        = $pids[ rand @pids ];
        $victim_serial = $serial_of{$victim}[0];
        kill KILL => $victim;
        # It may have been reaped already, and is about to be reported.
        if (waitpid($victim, 0) != $victim) {
            $victim = $busy = 0;
            return;
        }
        $rounds++;
        if ($by_worker) {
            # The next fork is to replace this one.
            my ($other) = grep { $_ != $victim } @pids;
            $want = $victim;
            kill KILL => $other;
        } else {
            syswrite $order, "$victim\n";
            $taken++ if readline($answers) == $victim;
        }
        $pm->signal_all_children('USR1');
        kill USR2 => $$;
        kill HUP => $$;
        $busy = 0;
        return;
    };
    setitimer(ITIMER_REAL, 0.01, 0.01);
    while ($pm->signal_received ne 'TERM') {
        $pm->start(sub {
            close $order;
            nap(60) while 1;
        });
    }
    my $full = $pm->num_workers;
    finish_up();
    print "rounds $rounds\ntaken $taken\nminus_1 $minus_1\nfull $full\n";
});
close $order;
waitpid $manager, 0;
print "status $?\n";
PERL
my $own_limit   = on_the_original() ? 12 : $DEADLINE;
my $by_stranger = start_program($prelude . $steal, under => \@under, args => [$STEALS, 0], deadline => $own_limit);
my $by_worker   = start_program($prelude . $steal, under => \@under, args => [$STEALS, 1], deadline => $own_limit);

sub judge {
    my ($name, $p) = @_;
    $p->wait;
    my $said = { map { split / /, $_, 2 } split /\n/, $p->out };
    my @hits = $p->out =~ /^(hit .*)$/mg;
    is_deeply \@hits, [], "$name: no stranger is signalled";
    is_deeply [$p->out =~ /^((?:unexpected|mixed up) .*)$/mg], [], "$name: no worker is taken for another";
    is $said->{reaped}, $said->{forks}, "$name: each worker is reaped once";
    is $said->{left}, 0, "$name: none is left";
    is $said->{status}, 0, "$name: the manager ends well" or diag $p->err;
    return ($said, scalar @hits);
}

{
    my ($said, $hits) = judge('numbers come around', $natural);
    cmp_ok $said->{again} || 0, '>', $FORKS / 2, 'most numbers had been a worker\'s before';
    cmp_ok $said->{strangers} || 0, '>', 50, "there were strangers among those that got a worker's number";
    figure("$FORKS forks in 50 numbers, beside strangers" => defined $said->{again}
        ? "$said->{again} numbers had been a worker's, $said->{strangers} strangers, $hits signals hit one"
        : 'it hung or died');
}
for my $case (['a stranger', $by_stranger], ['a new worker', $by_worker]) {
    my ($by, $p) = @$case;
    my ($said, $hits) = judge("the number of a stolen worker goes to $by", $p);
    is $said->{rounds}, $STEALS, "the number of a stolen worker goes to $by as often as it should";
    is $said->{taken}, $STEALS, "the number of a stolen worker goes to $by each time";
    is $said->{minus_1}, $STEALS, "the stolen worker whose number goes to $by is reported with -1";
    is $said->{full}, 6, "the stolen worker whose number goes to $by is replaced";
    figure("the number of a stolen worker goes to $by, $STEALS times" => defined $said->{taken}
        ? "$said->{taken} times so, $hits signals hit a stranger, $said->{minus_1} times noticed"
        : "$hits signals hit a stranger; it hung");
}

done_testing;
