# The Perl host of the fault suite: a manager whose arguments (name=value) say what goes wrong.
# Several of its processes print, so each line is one write.

use strict;
use warnings;

BEGIN { syswrite STDOUT, "begun\n" }
use Errno ();
use Parallel::Prefork;
use POSIX qw(SIGCHLD);
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

my %option = map { split /=/, $_, 2 } @ARGV;

sub number {
    my ($name, $otherwise) = @_;
    return exists $option{$name} ? $option{$name} : $otherwise || 0;
}

sub is {
    my ($name, $value) = @_;
    return defined $option{$name} && $option{$name} eq $value;
}

sub nap { return sleep $_[0] }
sub now { return sprintf '%.6f', clock_gettime(CLOCK_MONOTONIC) }

sub say_line {
    my $line = "@_\n";
    # A pipe that is full lets signals interrupt this.
    1 until defined syswrite STDOUT, $line or !$!{EINTR};
    return;
}

# A process whose parent is gone: the pid; it ends after so many seconds.
sub leave_orphan {
    my ($code, $seconds, $print) = @_;
    pipe my $number, my $tell_number or die "pipe: $!";
    my $middle = fork;
    if (!$middle) {
        my $orphan = fork;
        if (!$orphan) {
            nap(0.0005) while getppid != 1;
            say_line("orphan $$ $code") if $print;
            nap($seconds);
            POSIX::_exit($code);
        }
        syswrite $tell_number, "$orphan\n";
        POSIX::_exit(7);
    }
    waitpid $middle, 0;
    say_line("lost $middle: $?") if $? != 7 << 8;
    chomp(my $orphan = readline $number);
    return $orphan;
}

my $forks = 0;
my $index;

sub work {
    my $told    = 0;
    my $workers = number('workers', 1);
    srand $$;
    if ($forks < number('exits')) {
        nap(number('life') * rand);
        POSIX::_exit(number('code'));
    }
    $SIG{TERM} = is(worker => 'ignores') && $forks < number('stubborn', 1000) ? 'IGNORE' : sub { $told = 1 };
    for (my $i = $index; $i < number('orphans') && !$told; $i += $workers) {
        leave_orphan($i % 200 + 1, 0.02 * rand, 1);
    }
    if (is(worker => 'holds') && !fork) {
        # It has copies of all that the worker has open, and says so to nobody.
        $SIG{TERM} = 'IGNORE';
        nap(600);
        POSIX::_exit(0);
    }
    say_line("up $$");
    kill STOP => $$ if is(worker => 'stopped');
    nap(0.01) until $told;
    for (1 .. number('late')) {
        my $orphan = leave_orphan(0, 0, 0);
        nap(0.001) while kill 0 => $orphan;
        say_line("late $orphan gone");
    }
    nap(number('end') * rand);
    say_line('ended ' . now());
    POSIX::_exit(0);
}

my $calls    = 0;
my $failures = 0;

sub stop_in {
    my $hook = shift;
    return if !is(stop => $hook) || ++$calls != number('nth', 1);
    say_line('told ' . now());
    kill TERM => $$;
    return;
}

# What the program does with SIGCHLD, before or after it has made its manager.
sub set_sigchld {
    my $when = shift;
    return if !is(when => $when);
    my $set = POSIX::SigSet->new(SIGCHLD);
    is(chld => 'block')       ? POSIX::sigprocmask(POSIX::SIG_BLOCK(), $set)
        : is(chld => 'ignore')  ? $SIG{CHLD} = 'IGNORE'
        : is(chld => 'default') ? $SIG{CHLD} = 'DEFAULT'
        : is(chld => 'own')     ? $SIG{CHLD} = sub { }
        : POSIX::sigaction(SIGCHLD,
            POSIX::SigAction->new('DEFAULT', POSIX::SigSet->new, POSIX::SA_NOCLDWAIT()));
    return;
}

sub action {
    my $interval = shift;
    return $interval ? ['TERM', $interval] : 'TERM';
}

$SIG{__WARN__} = sub {
    my ($message) = @_;
    return print STDERR $message if $message !~ /^fork failed:/;
    stop_in('on_fork_failure');
    # 0.18 warns each time, and may try without a pause.
    say_line("failed $message" =~ s/ at \S+ line \d+\.?\n//r) if ++$failures <= 100;
};

set_sigchld('before');
my $pm = Parallel::Prefork->new(
    max_workers          => number('workers', 1),
    err_respawn_interval => number('err', 1),
    spawn_interval       => number('spawn'),
    trap_signals         => {
        TERM => action(number('interval')),
        HUP  => action(number('reload_interval')),
        USR1 => undef,
    },
    before_fork => sub {
        $index = defined $index ? $index + 1 : 0;
        stop_in('before_fork');
    },
    after_fork => sub {
        $forks++;
        say_line("worker $_[1] " . now());
        stop_in('after_fork');
    },
    on_child_reap => sub {
        say_line("reaped $_[1] $_[2]");
        stop_in('on_child_reap');
    },
);
stop_in('new');
set_sigchld('after');
if (my $user = number('user')) {
    POSIX::setgid($user) && POSIX::setuid($user) or die "cannot become user $user: $!\n";
}
do { $pm->start(\&work) } until $pm->signal_received eq 'TERM';
say_line('stopped');
if ($option{wait}) {
    my $before = now();
    my $left   = $pm->wait_all_children($option{wait});
    say_line(sprintf 'timed out after %.6f with %d', now() - $before, $left);
    $pm->signal_all_children('KILL');
}
my $left = $pm->wait_all_children;
say_line('gone ' . now());
say_line("left $left");
