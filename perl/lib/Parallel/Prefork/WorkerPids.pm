package Parallel::Prefork::WorkerPids;

# The hash in {worker_pids}, tied to the table of the core: pid => generation, or what the
# program has stored for a pid.

use v5.12;

our $VERSION = '1.00';

# A plain hash, which a program has put there, becomes the table. A manager may be of a class that overloads what an object is as a
# truth value, or a number: nothing here asks it for that.
sub tie_to {
    my $self = shift;
    # A handler may have done it since our caller looked.
    return if Parallel::Prefork::Core::tie_worker_pids($self);
    my $pids = $self->{worker_pids};
    my $table = tied %$pids;
    my %stored = $table ? () : %$pids;
    $table = tie my %tied, 'Parallel::Prefork::WorkerPids', $self;
    for my $pid ($table->pids) {
        $table->DELETE($pid) if !exists $stored{$pid};
    }
    $table->STORE($_, $stored{$_}) for sort keys %stored;
    # At last: where a handler leaves in between, what the program has put there is still there for the next time.
    $self->{worker_pids} = \%tied;
    return;
}

sub TIEHASH {
    my ($class, $manager) = @_;
    my $self = bless { manager => $manager }, $class;
    Parallel::Prefork::Core::weaken($self->{manager});
    return $self;
}

sub pids {
    my $manager = $_[0]{manager};
    return if !defined $manager;
    my ($pid, @pids) = (0);
    while ($pid = Parallel::Prefork::Core::next_worker($manager, $pid)) {
        push @pids, $pid if $pid != $Parallel::Prefork::newborn;
    }
    return @pids;
}

sub EXISTS {
    my ($self, $pid) = @_;
    return defined $self->{manager} && $pid ne $Parallel::Prefork::newborn
        && defined Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub FETCH {
    my ($self, $pid) = @_;
    return undef if !$self->EXISTS($pid);
    my $stored = $self->{manager}{_stored};
    return exists $stored->{$pid} ? $stored->{$pid}
        : Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub STORE {
    my ($self, $pid, $value) = @_;
    my $manager = $self->{manager};
    return if !defined $manager;
    # An object is not asked for its number: that may be any code of the program's.
    Parallel::Prefork::Core::adopt_worker($manager, $pid,
        !ref($value) && Parallel::Prefork::Core::is_finite_number($value) ? $value : $manager->{generation});
    $manager->{_stored}{$pid} = $value;
    return;
}

sub DELETE {
    my ($self, $pid) = @_;
    my $value = $self->FETCH($pid);
    my $manager = $self->{manager};
    if (defined $manager) {
        Parallel::Prefork::Core::forget_worker($manager, $pid);
        delete $manager->{_stored}{$pid};
    }
    return $value;
}

sub CLEAR {
    my $self = shift;
    $self->DELETE($_) for $self->pids;
    return;
}

sub FIRSTKEY { return $_[0]->NEXTKEY(0) }

sub NEXTKEY {
    my ($self, $pid) = @_;
    my $manager = $self->{manager};
    return undef if !defined $manager;
    do { $pid = Parallel::Prefork::Core::next_worker($manager, $pid) } while $pid && $pid == $Parallel::Prefork::newborn;
    return $pid || undef;
}

sub SCALAR { return scalar(my @pids = $_[0]->pids) }

1;
