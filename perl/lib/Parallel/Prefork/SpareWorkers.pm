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
        goto &Exporter::import;
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
        $self->{_is_exact} = $board->watch($workers - $leaving - $max,
            $workers < $target ? $workers - $leaving - $min : undef);
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

This is a L<Parallel::Prefork> whose number of workers follows the load. Each worker says
when it is busy. With fewer than C<min_spare_workers> idle ones the manager forks another,
until there are C<max_workers> in all; with more than C<max_spare_workers> it stops some.

What the workers say is kept on a B<scoreboard>, in memory that they share with the manager.

All of L<Parallel::Prefork> is here too: its options, methods, hooks, signals, and what
subclasses may override.

=head1 CONSTRUCTOR

=head2 new(\%options), new(%options)

Takes the options of L<Parallel::Prefork/CONSTRUCTOR>, and these. All but C<scoreboard_file>
are accessors as well. Numbers are refused by C<new> unless they are finite and 0 or more.

=over 4

=item min_spare_workers => NUMBER

With fewer idle workers than this, the pool grows. There is no default: without it, or with
0, C<new> dies (C<mandatory option min_spare_workers not set>).

=item max_spare_workers => NUMBER

With more idle workers than this, the pool shrinks. If it is not given, or 0, it is what
C<max_workers> is at that moment. It should not be less than C<min_spare_workers>: such a
pool never comes to rest.

=item heartbeat => SECONDS

How often to look at the statuses where nothing else tells that they have changed: 0.25 if
it is not given, or 0. It means nothing with the module's own scoreboard, whose workers wake
the manager when it has to act; then it sleeps as long as nothing happens. It counts with a
scoreboard of your own (see L</A SCOREBOARD OF YOUR OWN>), in a subclass that overrides
C<num_workers>, C<num_active_workers>, C<_decide_action>, C<scoreboard>, C<signal_received>, or the accessor
of one of the numbers, and where one of those numbers is an object. It also counts for a moment
after a worker was killed in the middle of a change, and while there is a worker that has closed
its descriptors and has another user.

=item scoreboard_file => PATH

Keeps the scoreboard in a file of that name, for others to read: see L</THE SCOREBOARD
FILE>. If it is not given, the scoreboard is in memory.

=item scoreboard => OBJECT

A scoreboard of your own instead. C<scoreboard_file> is not looked at then. The accessor
gives the scoreboard that is used, whoever has made it.

=back

C<max_workers> may be raised later; the scoreboard grows with it, to 1,048,576 workers.

=head1 METHODS

=head2 start([CODE])

As in L<Parallel::Prefork>. Each worker gets its place on the scoreboard before CODE is
called, or before C<start> returns in it, and is idle then.

=head2 set_status(STATUS)

Sets the status of the worker that calls it, to the first character of STATUS, and returns
1. C<STATUS_IDLE> is idle. C<STATUS_NEXIST> is not for workers to set. Any other character
is busy; which one is up to the program.

I<Where:> a worker, and its handlers. I<Errors:> dies in a process that has no place on the
scoreboard (C<child_start not called?>), and if STATUS is empty or has a character above
255.

=head2 num_active_workers

Returns how many workers are busy.

I<Where:> the manager, its hooks and its handlers; workers; and processes that these have
forked.

=head1 CONSTANTS

Nothing is exported unless it is asked for: by name, or by C<:status> or C<:all>, which are
both constants.

=over 4

=item STATUS_IDLE

C<_>, the status of a worker that waits for work.

=item STATUS_NEXIST

C<.>, the status of a place that no worker has.

=back

=head1 WHICH WORKERS ARE STOPPED

As many as are too many, all at once, of those that are idle: first those of the oldest
generation, and of these first those that were forked last. A worker that is busy at that
moment is not chosen. A worker is told once, and does not count as a spare one from then on.

It is sent what C<trap_signals> says for TERM, at once even if there is an interval, and
TERM if nothing is said. Between the manager's look at the scoreboard and the arrival of the
signal the worker may get work. So let workers take that signal between two pieces of work
only; F<examples/server.pl> in the distribution shows how. After workers were told to stop,
C<spawn_interval> holds back the next fork. A worker that the signal has ended has a status
other than 0, and C<err_respawn_interval> holds it back then; not so if the worker catches
the signal and exits with 0.

=head1 THE SCOREBOARD FILE

C<new> makes the file, with mode 0600. It dies if there is one already, even if that is a
symbolic link that leads nowhere (C<failed to create scoreboard file:>, the name and the
reason). Nobody removes it: not the manager at its end, and not the next C<new>.

It is text, and can be read at any time, by cat(1) or by a program. Each line of 16 bytes is
the place of one worker, in the order of L<Parallel::Prefork/worker_index>: the status, the
pid in 14 columns, left-aligned, and a newline. A place without a worker has C<.> and no
pid.

    $ cat -E /run/app/scoreboard
    B4711          $
    _4712          $
    .              $

There are C<max_workers> lines, and never fewer than there were. Do not write to the file.

=head1 A SCOREBOARD OF YOUR OWN

Any object with these methods will do, say one that keeps the statuses in a database. Others
need not be there.

=over 4

=item child_start()

Called in each worker before the program's code: the worker is there and is idle.

=item set_status($status)

Called in a worker by C<set_status>, which returns what this returns.

=item get_statuses()

Called in the manager: returns a list of single characters, one for each place. Those other
than C<_> and C<.> are busy workers.

=item clear_child($pid)

Called in the manager for each child that has been reaped, after C<on_child_reap>. In
C<start> this may be a child that is no worker.

=back

The manager cannot know when such a scoreboard changes, so it looks at it after each
C<heartbeat>. It does not know who is idle either: of workers that are too many, any may be
stopped.

=head1 SUBCLASSING

As L<Parallel::Prefork/SUBCLASSING> says, and C<num_active_workers>. C<_decide_action>
returns -N if there are N idle workers too many, those counted in that were told to leave
and have not left yet.

=head1 DIFFERENCES FROM 0.18

See L<Parallel::Prefork/DIFFERENCES FROM 0.18>. Programs may also have to know that

=over 4

=item *

the scoreboard is in memory, not in a temporary file, if no C<scoreboard_file> is given;

=item *

the scoreboard file can be read by its owner only, whatever the umask is;

=item *

C<heartbeat> is seldom needed.

=back

=head1 SEE ALSO

L<Parallel::Prefork>, L<Parallel::Prefork::SpareWorkers::Scoreboard>

=head1 AUTHORS

The developers of libprefork.

Kazuho Oku is the author of the original Parallel::Prefork, whose interface this is.

=head1 LICENSE

This is free software. It may be redistributed and modified under the same terms as Perl 5:
the Artistic License, or the GNU General Public License, version 1 or later.

=cut
