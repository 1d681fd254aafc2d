package Parallel::Prefork::SpareWorkers::Scoreboard;

use strict;
use warnings;

use Parallel::Prefork ();

our $VERSION = '1.00';

# Results of scoreboard_claim; the numbers are pf_result's, in prefork.h.
use constant {
    CLAIMED       => 0,
    CLAIMED_TWICE => 4,
};

sub new {
    my ($class, $filename, $max_workers) = @_;
    Parallel::Prefork::_check_number('max_workers', $max_workers);
    my $self = bless { filename => $filename, max_workers => _slots($max_workers) }, $class;
    if (!Parallel::Prefork::Core::scoreboard_make($self, $filename, $self->{max_workers})) {
        die 'failed to create scoreboard file:' . (defined $filename ? $filename : '(memory)') . ":$!";
    }
    return $self;
}

sub child_start {
    my $self = shift;
    my $result = Parallel::Prefork::Core::scoreboard_claim($self, $self->{_hint} || 0);
    die 'child_start cannot be called twite' if $result == CLAIMED_TWICE;
    die 'no empty slot in scoreboard' if $result != CLAIMED;
    return 1;
}

sub clear_child {
    my ($self, $pid) = @_;
    Parallel::Prefork::Core::scoreboard_clear($self, $pid);
    return;
}

# Makes room for so many workers in all.
sub grow {
    my ($self, $max_workers) = @_;
    my $slots = _slots($max_workers);
    return if $slots <= $self->{max_workers};
    Parallel::Prefork::Core::scoreboard_grow($self, $slots)
        or die "failed to make the scoreboard larger, for $slots workers:$!";
    $self->{max_workers} = $slots;
    return;
}

# The worker whose change of status makes the number of busy ones less than $low or (if that is
# defined) more than $high wakes the manager, once. Returns whether that number is exact now.
sub watch {
    my ($self, $low, $high) = @_;
    my $limit = 0x7fffffff;
    return Parallel::Prefork::Core::scoreboard_watch($self, $low,
        defined $high && $high < $limit ? $high : $limit);
}

sub _slots {
    my $max_workers = shift || 0;
    my $slots = int $max_workers;
    return $slots < $max_workers ? $slots + 1 : $slots;
}

1;
