package Parallel::Prefork::SpareWorkers::Scoreboard;

use v5.12;

use Parallel::Prefork ();

our $VERSION = '1.00';

# Results of scoreboard_claim; the numbers are pf_result's, in prefork.h.
sub _CLAIMED ()       { return 0 }
sub _CLAIMED_TWICE () { return 4 }

# As in prefork.h, pf_scoreboard_grow.
sub _MAX_SLOTS () { return 1 << 20 }

sub new {
    my ($class, $filename, $max_workers) = @_;
    Parallel::Prefork::Core::check_options({ max_workers => $max_workers }, 'number', 'max_workers');
    my $self = bless { filename => $filename, max_workers => _slots($max_workers) }, $class;
    if (!Parallel::Prefork::Core::scoreboard_make($self, $filename, $self->{max_workers})) {
        die 'failed to create scoreboard file:' . (defined $filename ? $filename : '(memory)') . ":$!";
    }
    return $self;
}

sub child_start {
    my $self = shift;
    my $result = Parallel::Prefork::Core::scoreboard_claim($self, $self->{_hint} || 0);
    die 'child_start cannot be called twite' if $result == _CLAIMED_TWICE;
    die 'no empty slot in scoreboard' if $result != _CLAIMED;
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
# defined) more than $high wakes the manager, once. False if the manager should come back before long.
sub watch {
    my ($self, $low, $high) = @_;
    my $limit = 0x7fffffff;
    return Parallel::Prefork::Core::scoreboard_watch($self, $low,
        defined $high && $high < $limit ? $high : $limit);
}

sub _slots {
    my $max_workers = shift || 0;
    Parallel::Prefork::_croak("a scoreboard has room for @{[_MAX_SLOTS]} workers at most, not $max_workers")
        if $max_workers > _MAX_SLOTS;
    my $slots = int $max_workers;
    return $slots < $max_workers ? $slots + 1 : $slots;
}

1;

__END__

=head1 NAME

Parallel::Prefork::SpareWorkers::Scoreboard - what the workers of a pool are doing

=head1 SYNOPSIS

    use Parallel::Prefork::SpareWorkers;
    use Parallel::Prefork::SpareWorkers::Scoreboard;

    my $board = Parallel::Prefork::SpareWorkers::Scoreboard->new('/run/app/scoreboard', 16);
    my $pm = Parallel::Prefork::SpareWorkers->new(
        max_workers       => 16,
        min_spare_workers => 2,
        scoreboard        => $board,
    );
    print $board->get_statuses, "\n";    # 16 dots: there are no workers yet

=head1 DESCRIPTION

L<Parallel::Prefork::SpareWorkers> makes a scoreboard by itself and calls the methods below. A program needs this
class only to read the statuses, by C<< $pm->scoreboard->get_statuses >>, or to make a subclass.

A scoreboard is memory that the manager and its workers share. It has a B<slot> for each worker. A worker changes only
its own slot, with one atomic store, and nobody locks anything.

If a subclass overrides C<get_statuses>, the manager treats it like a scoreboard of the program's own: the workers
cannot wake the manager, which looks every C<heartbeat> seconds.

=head1 METHODS

=head2 new(PATH, MAX_WORKERS)

Makes a scoreboard with MAX_WORKERS empty slots. With a PATH it is in a new file (see
L<Parallel::Prefork::SpareWorkers/THE SCOREBOARD FILE>), with C<undef> in memory. A fraction counts as the next whole
number. Make the scoreboard before you fork workers.

I<Where:> the manager. I<Errors:> dies if MAX_WORKERS is no number from 0 to 1,048,576. Dies if the file exists
already, or cannot be made (C<failed to create scoreboard file:>).

=head2 child_start

Gives a slot to the process that calls it, with the status idle, and returns 1. It is the slot of the process's
L<Parallel::Prefork/worker_index>, or else the first empty one.

I<Where:> a worker, once. I<Errors:> dies if the process has a slot already (C<child_start cannot be called twite>),
and if no slot is empty (C<no empty slot in scoreboard>).

=head2 set_status(STATUS)

Sets the status of the process that calls it. See L<Parallel::Prefork::SpareWorkers/set_status(STATUS)>.

=head2 get_statuses

Returns the status of each slot, one character each, in the order of the slots. In scalar context it returns the
number of slots.

I<Where:> any process that was forked after C<new>.

=head2 clear_child(PID)

Empties the slot of a process that has been reaped, even if it died in the middle of C<child_start> or C<set_status>.
Does nothing if it had no slot. Returns nothing.

PID is what C<fork> has returned for a worker of the pool that has this scoreboard. Any other process is known by its
own C<$$> at the call of C<child_start>. The two differ if the process has a pid namespace of its own.

I<Where:> the manager.

=head2 grow(MAX_WORKERS)

Makes room for so many workers in all, if there is less. Returns nothing.

I<Where:> the manager. I<Errors:> dies if it cannot make so much room.

=head2 watch(LOW, HIGH)

For subclasses that decide by themselves. The next worker that makes the number of busy workers less than LOW, or more
than HIGH (unless HIGH is C<undef>), wakes the manager of the pool, once. Call it before each look at the statuses.

It returns true if the manager may sleep until then. If it returns false, look again after a while: a worker was
killed in the middle of a change, or cannot wake the manager.

I<Where:> the manager.

=head1 MEMBERS

=over 4

=item {filename}

The PATH that C<new> was given.

=item {max_workers}

The number of slots.

=back

=head1 SEE ALSO

L<Parallel::Prefork::SpareWorkers>, L<Parallel::Prefork>

=head1 AUTHORS

The developers of libprefork.

Kazuho Oku is the author of the original Parallel::Prefork, whose interface this is.

=head1 LICENSE

This is free software. It may be redistributed and modified under the same terms as Perl 5: the Artistic License, or
the GNU General Public License, version 1 or later.

=cut
