# Immediate handlers (POSIX::sigaction) that leave by die, a longjmp in perl, or by exit, in every
# state of start and wait_all_children: no crash, no lost worker, no lost signal.
#
# A fair trial. Perl itself does not stand a handler that dies anywhere: without any module, a
# loop of fork and wait under such a handler at 1 kHz ends by SIGSEGV or in malloc within
# seconds; under one that only counts, within a minute. So signals strike as the program enters
# or leaves a system call around which signals are blocked, waited for or sent, and processes
# are forked, or during it: t/faults/aim.c raises them there, and lets those of a timer at 1 kHz in
# there. What dies in the middle of the closure of a trapped signal keeps that signal from being
# seen, by perl's rules, so handlers of the program spare it.

use strict;
use warnings;

use POSIX ();
use Test::More;

use lib 't/lib';
use FaultTest;
use Preload;
use ProcessTest;

my $deaths = scale(full => 10_000, quick => 500);
my $exits  = scale(full => 2_000,  quick => 60);
my $ticks  = scale(full => 10_000, quick => 1_000);

my $aim = preload_library('t/faults/aim.c') or plan skip_all => 'no C compiler';

my $pool = <<'PERL';
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(sleep time setitimer ITIMER_REAL);

package Pool;
use Parallel::Prefork;
our @ISA = 'Parallel::Prefork';
our %acted;

# Called when start acts on a signal, whether or not it gets to its end.
sub _action_for {
    my ($self, $signal) = @_;
    $acted{$signal}++;
    return $self->SUPER::_action_for($signal);
}

package main;

our $in_trap = 0;

sub aim    { syscall(-4711, $_[0], POSIX::SIGALRM(), POSIX::SIGUSR1()) }
sub hold   { syscall(-4711, 0, 0, 0) }
sub raised { return syscall(-4712) }

sub pool {
    my %options = @_;
    my $pm = Pool->new({
        max_workers          => 3,
        err_respawn_interval => 0,
        trap_signals         => { TERM => undef, USR1 => undef },
        %options,
    });
    for my $signal (qw(TERM USR1)) {
        my $trap = $SIG{$signal};
        $SIG{$signal} = sub {
            local $in_trap = 1;
            $trap->(@_);
        };
    }
    return $pm;
}

sub immediate {
    my ($signal, $code) = @_;
    POSIX::sigaction($signal, POSIX::SigAction->new($code)) or die "sigaction: $!";
}

sub worker {
    hold();
    $SIG{ALRM} = 'DEFAULT';
    sleep rand 0.01;
    POSIX::_exit(0);
}

# All children, zombies included.
sub children {
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        push @pids, $1 if (readline($fh) || '') =~ /\A(\d+) \(.*\) \S $$ /s;
    }
    return @pids;
}

# Ends the pool; returns what is wrong, or ''.
sub end_of {
    my $pm = shift;
    $pm->signal_all_children('KILL');
    my $left = $pm->wait_all_children(10);
    return "$left workers are never reaped" if $left;
    my @children = children() or return '';
    kill KILL => @children;
    waitpid $_, 0 for @children;
    return 'orphans: ' . @children;
}
PERL

sub aimed {
    my ($program, $deadline, @args) = @_;
    return start_program("$pool\n#line 1 trial\n$program", args => \@args, deadline => $deadline,
        env => { preloaded($aim) });
}

sub last_of { return substr $_[0], length $_[0] > 1000 ? -1000 : 0 }

# die.
{
    my $p = aimed(<<'PERL', scale(full => 500, quick => 90), $deaths);
my ($deaths) = @ARGV;
my ($died, $lost, $rounds, $seen, %where, @wrong) = (0, 0, 0, 0);
my $pm = pool(after_fork => sub { 1 }, before_fork => sub { 1 }, on_child_reap => sub { 1 });
my $alarm = 'die';
my $place = qr/(
    _fork | _in_worker | _wait | _update_spawn_delay | signal_all_children | _tie_worker_pids | num_workers
)\z/x;
immediate(POSIX::SIGALRM(), sub {
    return if $in_trap;
    if ($alarm ne 'die') {
        $pm->signal_received('LOST');
        return;
    }
    $died++;
    for (my $i = 0; my @frame = caller $i; $i++) {
        if ($frame[3] =~ $place) {
            $where{$1}++;
            last;
        }
    }
    die "aimed\n";
});
while ($died < $deaths && @wrong < 5) {
    for (1 .. 20) {
        my $before = $died;
        my $what = rand;
        eval {
            aim(30);
            if ($what < 0.8)    { $pm->start(\&worker) }
            elsif ($what < 0.9) { $pm->wait_all_children(0.02) }
            else                { $pm->signal_all_children('TERM'); $pm->wait_all_children(0.5) }
            1;
        } or $@ eq "aimed\n" or push @wrong, "died of: $@";
        hold();
        $rounds++;
        # One that start was about to act on when it died is there to be read, until the next start.
        my $shows = $pm->{signal_received} eq 'USR1' && $died > $before;
        $seen = raised() if $shows && $pm->signal_received eq 'USR1';
        $seen = raised() if delete $Pool::acted{USR1};
    }
    # One that was raised, and that no start has acted on since, is acted on by this one.
    if (raised() > $seen) {
        $alarm = 'lost';
        setitimer(ITIMER_REAL, 5);
        $pm->start(\&worker);
        setitimer(ITIMER_REAL, 0);
        $alarm = 'die';
        $lost++ if !$Pool::acted{USR1};
    }
    $seen = raised();
    %Pool::acted = ();
    if (my $wrong = end_of($pm)) { push @wrong, $wrong }
}
print "died $died, in ", scalar(keys %where), " places, signals raised ", raised(), ", lost $lost, rounds $rounds\n";
print 'wrong: ', join('; ', @wrong) || 'nothing', "\n";
PERL
    my $status = $p->wait;
    my ($died, $places, $raised, $lost) = $p->out =~ /^died (\d+), in (\d+) places, signals raised (\d+), lost (\d+)/m;
    is $status, 0, 'die: no crash, no hang' or diag last_of($p->err);
    cmp_ok $died || 0, '>=', $deaths, "die: $deaths times" or diag last_of($p->out);
    cmp_ok $places || 0, '>=', 3, 'die: in the fork, in the wait, and elsewhere';
    is $lost, 0, 'die: each trapped signal is acted on';
    like $p->out, qr/^wrong: nothing$/m, 'die: each worker is known, and reaped' or diag last_of($p->out);
    figure("immediate handlers that die, $deaths times, a trapped signal beside one in four",
        $p->timed_out ? 'hung' : $status ? 'ended by signal ' . ($status & 127) . ', status ' . ($status >> 8)
        : sprintf('%d of %d signals lost; wrong: %s', $lost, $raised, $p->out =~ /^wrong: (.{1,80})/m));
}

# exit: in a manager of its own each time, whose END block stops its workers.
{
    my $p = aimed(<<'PERL', scale(full => 400, quick => 90), $exits);
my ($exits) = @ARGV;
my (%ended, $pm);
my $is_manager = 0;
END {
    if ($is_manager && $is_manager == $$) {
        hold();
        my $status = $?;
        my $wrong = end_of($pm);
        print "$wrong\n" if $wrong;
        $? = $wrong ? 9 : $status;
    }
}
for my $trial (1 .. $exits) {
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        $is_manager = $$;
        $pm = pool();
        immediate(POSIX::SIGALRM(), sub { exit 7 });
        # Each manager draws the same numbers: leave at another moment.
        my $skip = 1 + int rand 40;
        aim($skip);
        while (1) {
            $pm->start(\&worker);
            $pm->wait_all_children(0.01);
        }
    }
    waitpid $pid, 0;
    $ended{$?}++;
}
print 'ended: ', join(' ', map { "$_:$ended{$_}" } sort keys %ended), "\n";
PERL
    my $status = $p->wait;
    is $status, 0, 'exit: the trials get to their end' or diag last_of($p->err);
    my $expected = 'ended: ' . (7 << 8) . ":$exits";
    like $p->out, qr/^\Q$expected\E$/m, "exit: $exits times, each with its status, and no worker is left"
        or diag last_of($p->out), last_of($p->err);
    is_deeply [$p->members], [], 'exit: nor an orphan';
    my %ended = ($p->out =~ /^ended: (.*)/m ? $1 : '') =~ /(\d+):(\d+)/g;
    my ($well, $lost) = map { $ended{ $_ << 8 } || 0 } 7, 9;
    my $seen = sprintf '%d ended as they should, %d with workers lost, %d crashed',
        $well, $lost, $exits - $well - $lost;
    figure("immediate handlers that exit, $exits times", $p->timed_out ? 'hung' : $seen);
}

# A real timer at 1 kHz, whose handler runs Perl code, over everything.
{
    my $p = aimed(<<'PERL', scale(full => 200, quick => 60), $ticks);
my ($wanted) = @ARGV;
my ($ticks, $rounds, $reaped) = (0, 0, 0);
my $pm = pool(on_child_reap => sub {
    $reaped++;
    kill USR1 => $$ if !($reaped % 20);
});
immediate(POSIX::SIGALRM(), sub {
    $ticks++;
    my %some = map { $_ => [$_] } 1 .. 5;
});
POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGALRM()));
syscall(-4714, POSIX::SIGALRM());
setitimer(ITIMER_REAL, 0.001, 0.001);
while ($ticks < $wanted) {
    $rounds++ if $pm->start(\&worker);
    $pm->wait_all_children(0.01) if rand() < 0.2;
}
setitimer(ITIMER_REAL, 0);
my $wrong = end_of($pm);
print 'wrong: ', $wrong || 'nothing', ", rounds $rounds, reaped $reaped\n";
PERL
    my $status = $p->wait;
    is $status, 0, '1 kHz: no crash, no hang' or diag last_of($p->err);
    like $p->out, qr/^wrong: nothing/m, "1 kHz: after $ticks ticks, each worker is known, and reaped"
        or diag last_of($p->out);
    figure("immediate handler at 1 kHz, $ticks times", $p->timed_out ? 'hung' : $status ? "status $status"
        : $p->out =~ /^(wrong: .*)/m);
}

# Many are waited for with a rest between two looks, in which SIGCHLD does not count.
{
    my $p = aimed(<<'PERL', scale(full => 200, quick => 60), scale(full => 10_000, quick => 500));
my ($deaths) = @ARGV;
my ($died, $changed) = (0, 0);
my $pm = pool(max_workers => 260);
$pm->start(sub {
    kill USR1 => getppid if $pm->worker_index == 259;
    sleep 600;
});
immediate(POSIX::SIGALRM(), sub { die "aimed\n" if !$in_trap });
while ($died < $deaths) {
    my ($one) = keys %{ $pm->{worker_pids} };
    kill KILL => $one if $pm->num_workers > 220 && rand() < 0.05;
    eval { aim(10); $pm->wait_all_children(0.01); 1 } or $died += $@ eq "aimed\n";
    hold();
    my ($mask, $action) = (POSIX::SigSet->new, POSIX::SigAction->new);
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, $mask);
    POSIX::sigaction(POSIX::SIGCHLD(), undef, $action);
    $changed++ if $mask->ismember(POSIX::SIGCHLD()) || !$action->safe || !ref $action->handler;
}
$pm->signal_all_children('KILL');
my $wrong = end_of($pm);
print "changed $changed times, wrong: ", $wrong || 'nothing', "\n";
PERL
    my $status = $p->wait;
    is $status, 0, 'die, with many workers: no crash, no hang' or diag last_of($p->err);
    is $p->out, "changed 0 times, wrong: nothing\n",
        'die, with many workers: SIGCHLD is as it was, each worker is known, and reaped';
}

# What the wait has changed for the time of the sleep is put back, where a handler leaves it too.
{
    my $p = run(<<'PERL', deadline => 20);
use POSIX ();
use Parallel::Prefork;
my $pm = Parallel::Prefork->new({ max_workers => 1 });
$SIG{CHLD} = 'IGNORE';
my $blocked = POSIX::SigSet->new(POSIX::SIGCHLD(), POSIX::SIGUSR2());
POSIX::sigprocmask(POSIX::SIG_BLOCK(), $blocked);
sub show {
    open my $fh, '<', '/proc/self/status' or die;
    print join(' ', map { /^(Sig(?:Blk|Ign|Cgt):)\s+(\S+)/ ? "$1$2" : () } <$fh>), "\n";
}
POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new(sub { die "out\n" })) or die;
show();
alarm 1;
eval {
    $pm->start(sub {
        $SIG{ALRM} = 'DEFAULT';
        select undef, undef, undef, 0.05 while 1;
    });
};
print $@;
show();
$pm->signal_all_children('KILL');
$pm->wait_all_children(10);
PERL
    my ($before, $out, $after) = split /\n/, $p->out;
    is $out, 'out', 'a handler leaves the wait';
    is $after, $before, 'the mask and the actions of signals are what they were';
}

done_testing;
