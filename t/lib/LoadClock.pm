package LoadClock;

# A clock for deadlines. Its seconds are those of a machine that has nothing else to do: while more processes want
# to run than there are processors, it goes slower, as they do. Who sleeps for ever is found out in as many
# seconds as ever, and who has to wait for a processor gets the time that others take.

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(longest);

# It never goes slower than that: a program whose own processes crowd the machine ends too.
my $SLOWEST = 20;

# How long a measured share is taken to last.
my $SAMPLE = 0.05;

# Whoever asks does so more often. Where more time has passed it was not allowed to run, by the scheduler, a limit on
# its processor time or a machine that was stopped, and nor was what it watches.
my $GAP = 2;

# new(PID): with a process, what that one has waited for a processor counts as well. Where the system shares its
# processors between groups of processes, it may get less than its part of the whole.
sub new {
    my ($class, $pid) = @_;
    my $self = bless {
        seconds => 0,
        passed  => 0,
        at      => _now(),
        share   => 1,
        least   => 1,
        sampled => -1,
        pid     => $pid,
        waited  => 0,
    }, $class;
    $self->seconds;
    return $self;
}

# Seconds since `new`. To be asked at least once a second.
sub seconds {
    my $self   = shift;
    my $now    = _now();
    my $passed = $now - $self->{at};
    $self->{at} = $now;
    if ($now - $self->{sampled} >= $SAMPLE) {
        $self->{share}   = _share();
        $self->{sampled} = $now;
        $self->{least}   = $self->{share} if $self->{share} < $self->{least};
        $self->{waited}  = _waited($self->{pid}) || $self->{waited} if $self->{pid};
    }
    $passed = $GAP if $passed > $GAP;
    $self->{passed}  += $passed;
    $self->{seconds} += $passed * $self->{share};
    my ($least, $awake) = ($self->{passed} / $SLOWEST, $self->{passed} - $self->{waited});
    my $seconds = $awake < $self->{seconds} ? $awake : $self->{seconds};
    return $seconds > $least ? $seconds : $least;
}

# How many seconds a process has waited for a processor, if the kernel tells.
sub _waited {
    my $pid = shift;
    open my $file, '<', "/proc/$pid/schedstat" or return 0;
    my $line = <$file>;
    return defined $line && $line =~ /\A\d+ (\d+)/ ? $1 / 1e9 : 0;
}

# What may have taken so many of these seconds of any other clock, since `new`.
sub stretched {
    my ($self, $seconds) = @_;
    $self->seconds;
    return $seconds / $self->{least};
}

# The seconds of any other clock in which so many of these have passed for sure.
sub longest { return $_[0] * $SLOWEST }

sub _now { return clock_gettime(CLOCK_MONOTONIC) }

my $processors;

# The part of a processor that a process gets which wants one.
sub _share {
    my $running = _running() or return 1;
    $processors ||= _processors();
    return 1 if $running <= $processors;
    return $running >= $processors * $SLOWEST ? 1 / $SLOWEST : $processors / $running;
}

# How many processes run or want to, besides this one.
sub _running {
    open my $file, '<', '/proc/loadavg' or return 0;
    my $line = <$file>;
    return defined $line && $line =~ m{ (\d+)/\d+ } ? $1 - 1 : 0;
}

sub _processors {
    open my $file, '<', '/proc/stat' or return 1;
    my $count = grep { /\Acpu\d/ } <$file>;
    return $count || 1;
}

1;
