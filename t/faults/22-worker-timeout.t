# worker_timeout: a worker that hangs, wherever it does, is killed once, when its time is over; a worker whose work is
# done in time is not, by however little that is, nor one whose manager, or whose whole machine, was stopped
# meanwhile.

use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use CProgram;
use FaultTest;
use Preload;
use ProcessTest;

plan skip_all => '0.18 has no worker_timeout' if on_the_original();
my $sent_signals = preload_library('t/faults/sent-signals.c') or plan skip_all => 'no C compiler';

my $WORKERS = 4;

# Busy periods that end less than so many seconds before they are due; a worker has so many in its life.
my $PERIODS = scale(full => 20_000, quick => 400);
my $LIFE    = 10;
my $MARGIN  = 0.002;
my $SHORT   = 0.005;

# What a worker has said of its last period.
my $DONE_IN_TIME = 1;

# More of what is wrong shows nothing new.
my $ENOUGH = 20;

# Workers that hang.
my $HUNG    = scale(full => 100, quick => 4);
my $TIMEOUT = 0.15;
my $GRACE   = 0.1;

# How long everything is stopped: longer than any worker may be busy, by more than a second. And how much longer than
# that a piece of work takes that is under way then.
my $STOP     = scale(full => 4, quick => 2.7);
my $PATIENCE = scale(full => 2, quick => 1.2);
my $LONGER   = 0.3;
my $STEP     = 1_000_000;

# As in 22-worker-timeout.c, which says what there is to say.
my $perl = <<'PERL';
use Fcntl qw(LOCK_EX);
use Parallel::Prefork;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($what, $timeout, $argument, $other, $file, $workers) = @ARGV;
my ($BUSY, $DONE_IN_TIME, $DONE_LATE) = 0 .. 2;
my ($is_slow, $hangs) = (0, 0);
my $pm;
sub now { return clock_gettime(CLOCK_MONOTONIC) }
sub nap { return select undef, undef, undef, $_[0] }
sub say_line { return syswrite STDOUT, "@_\n" }

# What a worker is at: state, when it is due, how many periods were done in time, and how many too late.
my $RECORD = 'C x7 d L L';
my $LENGTH = length pack $RECORD, (0) x 4;
open my $records, '+<', $file or die "$file: $!\n";

sub put {
    sysseek $records, $LENGTH * $pm->worker_index, 0;
    syswrite $records, pack $RECORD, @_;
    return;
}

# Here nobody can see when exactly it is due, but that is not before $due, and hardly later.
sub near {
    open $records, '+<', $file or die "$file: $!\n";
    my ($in_time, $late) = (0, 0);
    put($DONE_IN_TIME, 0, 0, 0);
    srand $$;
    for (1 .. $argument) {
        my $due = now() + $timeout;
        put($BUSY, $due, $in_time, $late);
        $pm->busy;
        my $end = $due - rand $other;
        nap($end - now() - 0.0005);
        1 while now() < $end;
        $pm->idle;
        if (now() < $due) { put($DONE_IN_TIME, $due, ++$in_time, $late) }
        else              { put($DONE_LATE, $due, $in_time, ++$late) }
    }
    return;
}

sub in_loop { 1 while 1 }

sub hung {
    open my $lock, '<', $file or die "$file: $!\n";
    say_line('busy', $$, now());
    $pm->busy;
    flock $lock, LOCK_EX if $argument eq 'a lock';
    in_loop() if $argument ne 'C';
    my $all = POSIX::SigSet->new;
    $all->fillset;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all);
    sleep 30 while 1;
}

sub steady {
    my $is_first = 1;
    while (1) {
        $pm->busy;
        nap(0.01) for 1 .. 20;
        if ($is_slow) {
            $is_slow = 0;
            my $end = now() + $argument;
            nap(0.01) while now() < $end;
        }
        nap(0.01) while $hangs;
        say_line('up', $$, now()) if $is_first;
        $is_first = 0;
        $pm->idle;
    }
}

my %work = (near => \&near, hung => \&hung, steady => \&steady);
my @hook = $what eq 'hung' && $other ? (on_worker_timeout => \&in_loop, worker_timeout_grace => $other) : ();
$SIG{USR1} = sub { $is_slow = 1 };
$SIG{USR2} = sub { $hangs = 1 };
$pm = Parallel::Prefork->new(
    max_workers          => $workers,
    worker_timeout       => $timeout,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'KILL' },
    on_child_reap        => sub {
        my ($pm, $pid, $status) = @_;
        sysseek $records, $LENGTH * $pm->last_exit->{index}, 0;
        sysread $records, my $record, $LENGTH;
        say_line('reaped', $pid, $status, $record ? unpack $RECORD, $record : ());
    },
    @hook,
);
$pm->start($work{$what});
$pm->on_child_reap(undef);
$pm->wait_all_children;
PERL

my $c    = compile('t/faults/22-worker-timeout.c', qw(-std=gnu99 -Wall -Wextra -Werror -pthread));
my $file = File::Temp->new;

# A manager with workers that do what is said there, and what was said by them all: by the first word of the line.
sub manager {
    my ($host, @arguments) = @_;
    my %options = (deadline => 240, env => { preloaded($sent_signals) });
    my $program = $host eq 'C'
        ? start_program(undef, %options, command => [$c, @arguments])
        : start_program($perl, %options, args => [@arguments, $file->filename, $WORKERS]);
    return { program => $program, said => {} };
}

# Takes in one line; returns its first word, nothing if there is none any more.
sub hear_one {
    my $manager = shift;
    my $line = $manager->{program}->line // return;
    my ($word, @rest) = split ' ', $line;
    push @{ $manager->{said}{$word} }, \@rest;
    return $word;
}

# Takes in lines until there is one with this word; returns what it says.
sub hear {
    my ($manager, $wanted) = @_;
    while (defined(my $word = hear_one($manager))) {
        return $manager->{said}{$word}[-1] if $word eq $wanted;
    }
    diag "no '$wanted' any more: ", $manager->{program}->err;
    return;
}

sub said {
    my ($manager, $word) = @_;
    return @{ $manager->{said}{$word} || [] };
}

# When a process was sent this signal.
sub sent {
    my ($manager, $pid, $signal) = @_;
    return map { $_->[2] } grep { $_->[0] == $pid && $_->[1] == $signal } said($manager, 'sent');
}

sub end {
    my ($name, $manager) = @_;
    my $program = $manager->{program};
    $program->signal('TERM');
    is $program->wait, 0, "$name: the manager ends well" or diag $program->err;
    return;
}

# A period that the machine has not let end in time is of no use, and nor is the rest of that life: the manager may
# have seen that worker late, and kill it only when the next period has begun.
sub near {
    my $host    = shift;
    my $manager = manager($host, near => $SHORT, $LIFE, $MARGIN);
    my ($in_time, $late, $killed, @wrong) = (0, 0, 0);
    while ($in_time < $PERIODS && @wrong < $ENOUGH) {
        my $end = hear($manager, 'reaped') or last;
        my ($pid, $status, $state, $due, @periods) = @$end;
        $in_time += $periods[0];
        $late    += $periods[1];
        my @kills = sent($manager, $pid, 9);
        $manager->{said} = { sent => [grep { $_->[0] != $pid } said($manager, 'sent')] };
        push @wrong, "ended with $status, KILL @kills" if @kills > 1 || $status != (@kills ? 9 : 0) && !$periods[1];
        next if !@kills;
        $killed++;
        next if $periods[1];
        push @wrong, 'killed when it was done in time' if $state == $DONE_IN_TIME;
        push @wrong, "killed at $kills[0], due at $due" if $state != $DONE_IN_TIME && $kills[0] < $due;
    }
    is_deeply \@wrong, [], "$host: nobody is killed whose work is done in time";
    cmp_ok $in_time, '>=', $PERIODS, "$host: ... in $PERIODS periods that end just before they are due";
    figure("worker_timeout, $host: $PERIODS busy periods that end 0 to 2 ms before they are due",
        sprintf '%d workers wrongly killed; %d periods too late, as the machine was, and %d workers killed for that',
            scalar @wrong, $late + $killed, $killed);
    end("$host, near", $manager);
    return;
}

# What is wrong about the end of a worker that was due at this time; nothing, and how late KILL was.
sub judge {
    my ($manager, $pid, $status, $due, $grace) = @_;
    my @kills  = sent($manager, $pid, 9);
    my @aborts = sent($manager, $pid, 6);
    return "ended with $status"                      if $status != 9;
    return 'was sent KILL ' . @kills . ' times'      if @kills != 1;
    return 'was sent ABRT ' . @aborts . ' times'     if @aborts != ($grace ? 1 : 0);
    return "was sent ABRT at $aborts[0], due at $due" if @aborts && $aborts[0] < $due;
    return "was sent KILL at $kills[0], due at $due" if $kills[0] < $due + $grace;
    return (undef, $kills[0] - $due - $grace);
}

# All hang at once, and so do those that take their places.
sub hung {
    my ($host, $kind) = @_;
    my $grace   = $kind eq 'the hook' ? $GRACE : 0;
    my $manager = manager($host, hung => $TIMEOUT, $kind, $grace);
    my $name    = "$host, in $kind";
    my ($latest, $killed, @wrong) = (0, 0);
    while ($killed + @wrong < $HUNG) {
        my $end = hear($manager, 'reaped') or last;
        my ($pid, $status) = @$end;
        my ($busy) = map { $_->[1] } grep { $_->[0] == $pid } said($manager, 'busy');
        my ($wrong, $late) = judge($manager, $pid, $status, $busy + $TIMEOUT, $grace);
        push @wrong, $wrong if defined $wrong;
        $killed++           if !defined $wrong;
        $latest = $late     if $late && $late > $latest;
    }
    is_deeply \@wrong, [], "$name: nothing is wrong with any end";
    is $killed, $HUNG, "$name: all who hang are killed, each once and not before its time";
    figure("worker_timeout, $name: $HUNG workers that hang",
        sprintf '%d killed, each once, not before their time and %.0f ms after it at most', $killed, 1000 * $latest);
    end($name, $manager);
    return;
}

# What happens to a manager and its workers at work; what it returns ends that.
my %event = (
    'the manager is stopped' => sub {
        my ($manager, @workers) = @_;
        # What they do takes longer.
        kill USR1 => @workers;
        kill STOP => $manager;
        # A sleep goes on where it was stopped. A signal lets it look now, while they are still at it.
        return sub { kill CONT => $manager; kill USR1 => $manager };
    },
    'all are stopped' => sub {
        my @all = @_;
        kill STOP => @all;
        return sub { kill CONT => @all };
    },
    'the clock is stepped' => sub {
        my @all = @_;
        kill URG => @all;
        return sub { };
    },
);

# The manager's workers at work; none if the system refuses what the case needs.
sub workers_at_work {
    my ($name, $manager) = @_;
    my @pids;
    while (@pids < $WORKERS) {
        my $word = hear_one($manager) // last;
        push @pids, $manager->{said}{up}[-1][0] if $word eq 'up';
        SKIP: { skip "$name: no time namespace can be made here", 1 if $word eq 'refused' }
    }
    return @pids;
}

sub goes_on {
    my ($name, $manager, @workers) = @_;
    hear_one($manager) while $manager->{program}->is_readable;
    my @sent = said($manager, 'sent');
    kill USR2 => $workers[0];
    is_deeply [said($manager, 'reaped')], [], "$name: nobody has ended";
    is_deeply \@sent, [], "$name: ... nor was signalled";
    figure("worker_timeout, $name for $STOP s" => @sent . ' of ' . @workers . ' workers killed');
    return;
}

sub still_kills {
    my ($name, $manager, $first) = @_;
    my $end = hear($manager, 'reaped') || [0, 0];
    is_deeply [@$end[0, 1]], [$first, 9], "$name: one that hangs after that is killed";
    end($name, $manager);
    return;
}

# [name, what happens, manager, its workers]
my @steady;
for my $host (qw(Perl C)) {
    for my $event (sort keys %event) {
        my $step = $event =~ /clock/ ? $STEP : 0;
        # The functions that this takes have no names in Perl.
        next if $step && $host eq 'Perl';
        push @steady, ["$host, $event", $event{$event}, manager($host, steady => $PATIENCE, $STOP + $LONGER, $step)];
    }
}
push @$_, workers_at_work(@$_[0, 2]) for @steady;
@steady = grep { @$_ == 3 + $WORKERS } @steady;
my @undo = map { my ($name, $event, $manager, @workers) = @$_; $event->($manager->{program}->pid, @workers) } @steady;
sleep $STOP;
$_->() for @undo;
# As long as it takes to do what is under way, or to kill who does it.
sleep $PATIENCE + $LONGER + 0.5;
goes_on(@$_[0, 2 .. $#$_]) for @steady;
still_kills(@$_[0, 2, 3]) for @steady;

open my $lock, '<', $file->filename or die "$file: $!\n";
flock $lock, LOCK_EX or die "$file: $!\n";
for my $host (qw(Perl C)) {
    hung($host, $_) for 'a loop', 'C', 'a lock', 'the hook';
}
near($_) for qw(Perl C);

done_testing;
