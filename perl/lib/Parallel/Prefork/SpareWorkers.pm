package Parallel::Prefork::SpareWorkers;

use v5.12;

sub STATUS_NEXIST () { return '.' }
sub STATUS_IDLE ()   { return '_' }

use Parallel::Prefork ();
use Parallel::Prefork::SpareWorkers::Scoreboard ();

our $VERSION = '1.00';
our @ISA     = ('Parallel::Prefork');

our @EXPORT_OK   = qw(STATUS_IDLE STATUS_NEXIST);
our %EXPORT_TAGS = (status => [@EXPORT_OK], all => \@EXPORT_OK);

# Two constants are not worth Exporter, whose pages every worker would carry along. It is called for all else that it takes: patterns,
# negations, and subclasses that export something.
sub import {
    my ($class, @wanted) = @_;
    my $into = caller;
    my @names = map { /\A:(.*)/s ? @{ $EXPORT_TAGS{$1} || [$_] } : $_ } @wanted;
    my @others = grep { my $name = $_; !grep { $_ eq $name } @EXPORT_OK } @names;
    if ($class ne __PACKAGE__ ? @wanted || Parallel::Prefork::Core::has_array($class, 'EXPORT') : grep { /\W/ } @others) {
        require Exporter;
        # By its full name it would look as if the program called it: see perl/modules.c.
        goto &{ Exporter->can('import') };
    }
    Parallel::Prefork::_croak(qq{"$others[0]" is not exported by the $class module}) if @others;
    Parallel::Prefork::Core::export("${into}::$_", __PACKAGE__->can($_)) for @names;
    return;
}

my %OPTIONS = (
    number => [qw(min_spare_workers max_spare_workers heartbeat)],
    object => ['scoreboard'],
);

Parallel::Prefork::Core::make_accessors(__PACKAGE__, $_, @{ $OPTIONS{$_} }) for keys %OPTIONS;
_methods_are(\&scoreboard, \&Parallel::Prefork::SpareWorkers::Scoreboard::set_status);

sub _prepare {
    my $self = shift;
    Parallel::Prefork::Core::load_what_is_called(1);
    die 'mandatory option min_spare_workers not set' if !$self->{min_spare_workers};
    Parallel::Prefork::Core::check_options($self, $_, @{ $OPTIONS{$_} }) for sort keys %OPTIONS;
    my ($min, $max) = @$self{qw(min_spare_workers max_spare_workers)};
    Parallel::Prefork::_croak("max_spare_workers ($max) must not be less than min_spare_workers ($min)")
        if $max && $max < $min;
    $self->{max_spare_workers} ||= $self->max_workers;
    $self->{heartbeat}         ||= 0.25;
    # An object is a scoreboard, whatever its class overloads it to be as a truth value.
    ref($self->{scoreboard}) || $self->{scoreboard}
        or $self->{scoreboard} = Parallel::Prefork::SpareWorkers::Scoreboard->new(
            $self->{scoreboard_file} || undef,
            $self->max_workers,
        );
    return;
}

sub start {
    my ($self, $code) = @_;
    !$code || ref($code) eq 'CODE' or Parallel::Prefork::_check_value('code', 'the argument of start', $code);
    Parallel::Prefork::Core::load_what_is_called(1);
    my $board = _own_scoreboard($self);
    Parallel::Prefork::Core::set_scoreboard($self, $board) if !$self->{in_child};
    # What an object says may be another number any time.
    my $is_object = grep { ref } @$self{qw(max_workers min_spare_workers max_spare_workers heartbeat)};
    $self->{_counts_itself} = defined($board) && !$is_object && !_is_overridden($self);
    my $in_worker = sub {
        $board->{_hint} = $self->worker_index if defined $board;
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

# What set_status, in C, comes to where the scoreboard is not ours, or has methods that are not.
sub _set_status {
    my ($self, $status) = @_;
    return $self->scoreboard->set_status($status);
}

sub _decide_action {
    my $self = shift;
    my $workers = $self->num_workers;
    my $target  = $self->max_workers || 0;
    my ($min, $max) = ($self->min_spare_workers || 0, $self->max_spare_workers || 0);
    # One is set after the other; in between, no worker is to be forked and stopped in turn.
    $max = $min if $max < $min;
    my $leaving = Parallel::Prefork::Core::num_stopping($self);
    if (defined(my $board = _own_scoreboard($self))) {
        $board->grow($target);
        # Before the statuses are looked at: a change is seen here, or it wakes us.
        $self->{_is_exact} = $board->watch(
            Parallel::Prefork::Core::busy_bounds($workers, $target, $leaving, $min, $max));
    }
    my $spare = $workers - $self->num_active_workers;
    return Parallel::Prefork::Core::decide($workers, $target, $spare, $leaving, $min, $max);
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
    return $self->{_counts_itself} && $self->{_is_exact} ? undef : $self->heartbeat;
}

sub _own_scoreboard {
    my $board = $_[0]{scoreboard};
    my $class = 'Parallel::Prefork::SpareWorkers::Scoreboard';
    return ref($board) && UNIVERSAL::isa($board, $class)
        && $board->can('get_statuses') == $class->can('get_statuses') ? $board : undef;
}

sub _is_overridden {
    my $self = shift;
    for my $method (qw(num_workers num_active_workers _decide_action scoreboard signal_received max_workers
            min_spare_workers max_spare_workers heartbeat)) {
        return 1 if $self->can($method) != __PACKAGE__->can($method);
    }
    return 0;
}

1;

__END__

=head1 NAME

Parallel::Prefork::SpareWorkers - a prefork manager that keeps a number of idle workers

=head1 SYNOPSIS

    use Parallel::Prefork::SpareWorkers qw(:status);

    my $pm = Parallel::Prefork::SpareWorkers->new({
        max_workers       => 16,
        min_spare_workers => 2,
        max_spare_workers => 4,
    });

    until ($pm->signal_received eq 'TERM') {
        $pm->start(sub {
            while (my $client = next_client()) {
                $pm->set_status('B');
                answer($client);
                $pm->set_status(STATUS_IDLE);
            }
        });
    }

    $pm->wait_all_children;

=head1 DESCRIPTION

This is a L<Parallel::Prefork> whose number of workers follows the load. Each worker says when it is busy. If there
are fewer than C<min_spare_workers> idle workers, the manager forks more, up to C<max_workers> in all. If there are
more than C<max_spare_workers>, it stops some.

The workers say so on a B<scoreboard>: memory that they share with the manager. Each worker has its own B<slot> there.

All of L<Parallel::Prefork> is here too: its options, methods, hooks, signals, and what subclasses may override.

=head1 CONSTRUCTOR

=head2 new(\%options), new(%options)

Takes the options of L<Parallel::Prefork/CONSTRUCTOR>, and these. All but C<scoreboard_file> are accessors too.
Numbers have to be finite and 0 or more.

=over 4

=item min_spare_workers => NUMBER

With fewer idle workers than this, the pool grows. There is no default: if it is missing or 0, C<new> dies
(C<mandatory option min_spare_workers not set>).

=item max_spare_workers => NUMBER

With more idle workers than this, the pool shrinks. Default, and the meaning of 0: the value of C<max_workers> at that
moment. C<new> dies if it is less than C<min_spare_workers>. If an accessor makes it less, C<min_spare_workers> counts
in its place.

=item heartbeat => SECONDS

How often the manager looks at the statuses if nothing tells it that they have changed. Default, and the meaning of 0:
0.25. The module's own scoreboard needs no heartbeat: its workers wake the manager when it has to act. The manager
uses C<heartbeat>

=over 4

=item *

with a scoreboard of your own (see L</A SCOREBOARD OF YOUR OWN>);

=item *

in a subclass that overrides C<num_workers>, C<num_active_workers>, C<_decide_action>, C<scoreboard>,
C<signal_received>, or the accessor of one of the numbers;

=item *

if one of those numbers is an object;

=item *

for a moment, if a worker was killed in the middle of a change;

=item *

as long as there is a worker that has closed its descriptors and has another user.

=back

=item scoreboard_file => PATH

Keeps the scoreboard in a new file of that name, for others to read: see L</THE SCOREBOARD FILE>. Default: none, and
the scoreboard is in memory.

=item scoreboard => OBJECT

A scoreboard of your own; C<scoreboard_file> then means nothing. The accessor returns the scoreboard in use, even if
C<new> has made it.

=back

You may raise C<max_workers> later. The scoreboard grows with it, up to 1,048,576 workers.

=head1 METHODS

=head2 start([CODE])

As in L<Parallel::Prefork>. In a worker, it first takes a slot on the scoreboard, with the status idle. Then it calls
CODE, or returns.

=head2 set_status(STATUS)

Sets the status of the worker that calls it to the first character of STATUS, and returns 1. C<STATUS_IDLE> means
idle. Any other character means busy, and the program chooses it. Workers must not set C<STATUS_NEXIST>.

With C<worker_timeout> it also does what L<Parallel::Prefork/busy([SECONDS])> and L<Parallel::Prefork/idle> do; one
busy status after another begins no new piece of work, but its time anew. With C<ready_timeout> it says that the worker
is ready.

I<Where:> a worker, and its handlers. I<Errors:> dies in a process that has no slot on the scoreboard (C<child_start
not called?>). Dies if STATUS is empty or has a character above 255.

=head2 num_active_workers

Returns the number of busy workers.

I<Where:> the manager, its hooks and its handlers; workers; and processes that these have forked.

=head1 CONSTANTS

The module exports nothing by default. Ask for a constant by name, or for both by C<:status> or C<:all>.

=over 4

=item STATUS_IDLE

C<_>, the status of a worker that waits for work.

=item STATUS_NEXIST

C<.>, the status of a slot that no worker has.

=back

=head1 WHICH WORKERS ARE STOPPED

Only idle ones, and all that are too many, at once. The manager begins with the oldest generation; within it, with the
worker that it forked last. It tells each worker once, and from then on does not count it as idle.

It sends what C<trap_signals> says for TERM, or TERM if that says nothing. It sends this at once, even if there is an
interval.

A worker may get work between the manager's look and the arrival of the signal. So let workers take that signal only
between two pieces of work. F<examples/server.pl> in the distribution shows how.

After this the manager forks nothing for C<spawn_interval> seconds. If the signal kills the worker, its status is not
0, and C<err_respawn_interval> holds back forks too. If the worker catches the signal and exits with 0, it does not.

=head1 THE SCOREBOARD FILE

C<new> makes the file, with mode 0600 whatever the umask is. It dies if there is one already, even a symbolic link to
nothing (C<failed to create scoreboard file:>, the name and the reason). Nobody removes the file: the program has to,
before the next C<new>.

It is text, and any program can read it at any time. Each line of 16 bytes is the slot of one worker, in the order of
L<Parallel::Prefork/worker_index>: the status, the pid in 14 columns, left-aligned, and a newline. A slot without a
worker has C<.> and no pid.

    $ cat -E /run/app/scoreboard
    B4711          $
    _4712          $
    .              $

There are C<max_workers> lines, and never fewer than there were. Do not write to the file.

=head1 A SCOREBOARD OF YOUR OWN

Any object with these methods will do, for example one that keeps the statuses in a database. It needs no other
methods.

=over 4

=item child_start()

Called in each worker before the program's code: the worker is there, and is idle.

=item set_status($status)

Called in a worker by the method C<set_status> of the manager, which returns what this returns.

=item get_statuses()

Called in the manager. Returns a list of single characters, one for each slot. Those other than C<_> and C<.> are busy
workers.

=item clear_child($pid)

Called in the manager for each child that has been reaped, after C<on_child_reap>. In C<start> this may be a child
that is no worker.

=back

The manager cannot know when such a scoreboard changes, so it looks every C<heartbeat> seconds. It does not know who
is idle either: if there are too many workers, it may stop any of them.

=head1 SUBCLASSING

As L<Parallel::Prefork/SUBCLASSING> says, and C<num_active_workers> too. C<_decide_action> returns -N if there are N
idle workers too many. N includes those that were told to leave and have not left yet.

=head1 DIFFERENCES FROM 0.18

See L<Parallel::Prefork/DIFFERENCES FROM 0.18>. Programs may also have to know this:

=over 4

=item *

Without C<scoreboard_file> the scoreboard is in memory. In 0.18 it was in a temporary file.

=item *

Only its owner can read the scoreboard file, whatever the umask is.

=item *

C<heartbeat> is seldom needed.

=back

=head1 SEE ALSO

L<Parallel::Prefork>, L<Parallel::Prefork::SpareWorkers::Scoreboard>

=head1 AUTHORS

The developers of libprefork.

Kazuho Oku is the author of the original Parallel::Prefork, whose interface this is.

=head1 LICENSE

This is free software. It may be redistributed and modified under the same terms as Perl 5: the Artistic License, or
the GNU General Public License, version 1 or later.

=cut
