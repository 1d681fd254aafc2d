package Parallel::Prefork::SpareWorkers;

use strict;
use warnings;

use constant STATUS_NEXIST => '.';
use constant STATUS_IDLE   => '_';

use Parallel::Prefork ();
use Parallel::Prefork::SpareWorkers::Scoreboard ();

our $VERSION = '1.00';
our @ISA     = ('Parallel::Prefork');

our @EXPORT_OK   = qw(STATUS_IDLE STATUS_NEXIST);
our %EXPORT_TAGS = (status => [@EXPORT_OK], all => \@EXPORT_OK);

# Two constants are not worth Exporter, whose pages every worker would carry along.
sub import {
    my ($class, @wanted) = @_;
    my $into = caller;
    for my $name (map { /\A:(.*)/s ? @{ $EXPORT_TAGS{$1} || [$_] } : $_ } @wanted) {
        grep { $_ eq $name } @EXPORT_OK
            or Parallel::Prefork::_croak(qq{"$name" is not exported by the $class module});
        no strict 'refs';
        *{"${into}::$name"} = \&{$name};
    }
    return;
}

my %CHECK = map { $_ => \&Parallel::Prefork::_check_number }
    qw(min_spare_workers max_spare_workers heartbeat);

__PACKAGE__->mk_accessors(keys %CHECK, 'scoreboard');

sub new {
    my $class = shift;
    my $self  = $class->SUPER::new(@_);
    die 'mandatory option min_spare_workers not set' if !$self->{min_spare_workers};
    $self->_check_options(\%CHECK);
    $self->{max_spare_workers} ||= $self->max_workers;
    $self->{heartbeat}         ||= 0.25;
    $self->{scoreboard}        ||= Parallel::Prefork::SpareWorkers::Scoreboard->new(
        $self->{scoreboard_file} || undef,
        $self->max_workers,
    );
    return $self;
}

sub start {
    my ($self, $code) = @_;
    my $board = _own_scoreboard($self);
    Parallel::Prefork::Core::set_scoreboard($self, $board) if !$self->{in_child};
    $self->{_counts_itself} = $board && !_is_overridden($self);
    my $in_worker = sub {
        $board->{_hint} = $self->worker_index if $board;
        $self->scoreboard->child_start;
    };
    return 1 if $self->SUPER::start($code && sub { $in_worker->(); $code->() });
    $in_worker->();
    return;
}

sub num_active_workers {
    my $self = shift;
    return scalar grep { $_ ne STATUS_NEXIST && $_ ne STATUS_IDLE } $self->scoreboard->get_statuses;
}

sub set_status {
    my ($self, $status) = @_;
    return $self->scoreboard->set_status($status);
}

sub _decide_action {
    my $self = shift;
    my $workers = $self->num_workers;
    my $target  = $self->max_workers || 0;
    my ($min, $max) = ($self->min_spare_workers || 0, $self->max_spare_workers || 0);
    my $leaving = Parallel::Prefork::Core::num_stopping($self);
    if (my $board = _own_scoreboard($self)) {
        $board->grow($target);
        # Before the statuses are looked at: a change is seen here, or it wakes us.
        $self->{_is_exact} = $board->watch($workers - $max,
            $workers < $target ? $workers - $leaving - $min : undef);
    }
    my $spare = $workers - $self->num_active_workers;
    return $workers < $target ? 1 : 0 if $spare - $leaving < $min;
    return $spare > $max ? $max - $spare : 0;
}

sub _on_child_reap {
    my ($self, $pid, $status) = @_;
    $self->SUPER::_on_child_reap($pid, $status);
    $self->scoreboard->clear_child($pid);
    return;
}

# Our own scoreboard wakes the manager when a worker's change of status calls for it; for any
# other, and for decisions of a subclass, there is nothing but to look every now and then.
sub _max_wait {
    my $self = shift;
    return $self->{_counts_itself} && $self->{_is_exact} ? undef : $self->{heartbeat};
}

sub _own_scoreboard {
    my $board = $_[0]{scoreboard};
    my $class = 'Parallel::Prefork::SpareWorkers::Scoreboard';
    return ref $board && UNIVERSAL::isa($board, $class)
        && $board->can('get_statuses') == $class->can('get_statuses') ? $board : undef;
}

sub _is_overridden {
    my $self = shift;
    for my $method (qw(num_workers num_active_workers _decide_action)) {
        return 1 if $self->can($method) != __PACKAGE__->can($method);
    }
    return 0;
}

1;
