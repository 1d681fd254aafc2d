package Shooter;

# A process that sends TERM to its parent again and again: a millisecond or two after the parent says that it is ready, so
# that the parent sleeps by then. It also says when it has sent TERM, from which the parent knows how long TERM took.

use strict;
use warnings;

use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

sub new {
    my ($class, $trials) = @_;
    my $target = $$;
    pipe my $orders, my $ready or die "pipe: $!";
    pipe my $times,  my $fired or die "pipe: $!";
    my $pid = fork;
    defined $pid or die "fork: $!";
    if (!$pid) {
        close $ready;
        for (1 .. $trials) {
            sysread $orders, my $order, 1 or last;
            sleep 0.001 + rand 0.001;
            my $time = clock_gettime(CLOCK_MONOTONIC);
            kill TERM => $target;
            syswrite $fired, pack 'd', $time;
        }
        exit 0;
    }
    return bless { ready => $ready, times => $times }, $class;
}

sub ready {
    my $self = shift;
    syswrite $self->{ready}, '.';
    return;
}

sub hit {
    my $self = shift;
    my $hit  = clock_gettime(CLOCK_MONOTONIC);
    sysread $self->{times}, my $fired, 8;
    printf "%.3f\n", 1e6 * ($hit - unpack 'd', $fired);
    return;
}

1;
