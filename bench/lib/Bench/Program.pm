package Bench::Program;

# A program to measure, with all that it forks. It is a process group of its own, which ends with this object, or with
# the benchmark. The program talks to the benchmark in lines on its STDOUT.

use strict;
use warnings;

use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my %running;

# Its workers may sleep for ten minutes; nobody is to wait for them.
for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { exit 1 };
}

END {
    my $status = $?;
    kill KILL => map { -$_ } keys %running if %running;
    $? = $status;
}

# start(\@command, stdin => PATH): PATH is /dev/null if it is not given.
sub start {
    my ($class, $command, %options) = @_;
    pipe my $out, my $their_out or die "pipe: $!\n";
    open my $in, '<', $options{stdin} || '/dev/null' or die "$options{stdin}: $!\n";
    my $pid = fork;
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        %running = ();
        setpgrp 0, 0;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        open STDIN,  '<&', $in        or POSIX::_exit(126);
        open STDOUT, '>&', $their_out or POSIX::_exit(126);
        no warnings 'exec';
        exec { $command->[0] } @$command;
        POSIX::_exit(127);
    }
    # Both do it, so that it is done before either goes on.
    setpgrp $pid, $pid;
    $running{$pid} = 1;
    return bless { pid => $pid, out => $out, text => '', name => join(' ', @$command) }, $class;
}

sub pid { return $_[0]{pid} }

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# The next line, without its end, and the time at which it came; nothing after the last.
sub line {
    my ($self, $seconds) = @_;
    my $until = now() + ($seconds || 120);
    while ($self->{text} !~ /\n/) {
        vec(my $ready = '', fileno $self->{out}, 1) = 1;
        my $left = $until - now();
        $left > 0 && select($ready, undef, undef, $left) > 0
            or die "$self->{name}: has said nothing for too long\n";
        my $got = sysread $self->{out}, $self->{text}, 65536, length $self->{text};
        $self->{time} = now();
        $got or return;
    }
    $self->{text} =~ s/\A(.*)\n//;
    return wantarray ? ($1, $self->{time}) : $1;
}

# The time of the line that is this text; others are skipped.
sub mark {
    my ($self, $text) = @_;
    while (my ($line, $time) = $self->line) {
        return $time if $line eq $text;
    }
    $self->end;
    die "$self->{name}: has ended before it said '$text'\n";
}

# All lines to its end, which has to be a success.
sub lines {
    my $self = shift;
    my @lines;
    while (defined(my $line = $self->line)) {
        push @lines, $line;
    }
    $self->end == 0 or die "$self->{name}: failed\n";
    return @lines;
}

# Waits a moment for its end, and makes sure of it. Returns its status.
sub end {
    my $self  = shift;
    my $until = now() + 10;
    while (!defined $self->{status} && waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid}) {
        return $self->stop if now() > $until;
        Time::HiRes::sleep(0.001);
    }
    $self->{status} = $? if !defined $self->{status};
    $self->stop;
    return $self->{status};
}

# Kills it and all that it has started.
sub stop {
    my $self = shift;
    my $pid  = $self->{pid};
    delete $running{$pid} or return $self->{status};
    kill KILL => -$pid;
    if (!defined $self->{status}) {
        waitpid $pid, 0;
        $self->{status} = $?;
    }
    # The next run is not to share the machine with what this one leaves.
    Time::HiRes::sleep(0.001) while group_is_alive($pid);
    return $self->{status};
}

# Whether a process of the group still runs. Init reaps what has ended; in a container there may be no init that does.
sub group_is_alive {
    my $group = shift;
    kill 0 => -$group or return 0;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh>;
        return 1 if defined $line && $line =~ /\A\d+ \(.*\) [^ZX] \d+ $group /s;
    }
    return 0;
}

sub DESTROY {
    my $self = shift;
    local ($?, $!, $@);
    $self->stop if $running{ $self->{pid} };
    return;
}

1;
