package Parallel::Prefork::WorkerPids;

# The hash in {worker_pids}, tied to the table of the core: pid => generation, or what the
# program has stored for a pid. While the program has another hash there (local $pm->{worker_pids} = {}), the one before keeps
# what it had in {kept}: the workers are those of the hash that is there.

use v5.12;

our $VERSION = '1.00';

# Another hash, which a program has put there, becomes the table, or becomes it again. A manager may be of a class that overloads what
# an object is as a truth value, or a number: nothing here asks it for that. A handler may leave by die between any two statements:
# then the next call begins again.
sub tie_to {
    my $self = shift;
    # A handler may have done it since our caller looked.
    return if Parallel::Prefork::Core::tie_worker_pids($self);
    Parallel::Prefork::Core::unset_table($self);
    my $pids   = $self->{worker_pids};
    my $table  = tied %$pids;
    my $is_own = ref($table) eq __PACKAGE__ && Parallel::Prefork::Core::is_same($table->{manager}, $self);
    if ($is_own && !$table->{kept}) {
        Parallel::Prefork::Core::set_table($self, $pids, $table);
        return;
    }
    my $before = Parallel::Prefork::Core::tie_of_table($self);
    # In a copy of a manager it may be the other one's.
    if ($before && !$before->{kept} && Parallel::Prefork::Core::is_same($before->{manager}, $self)) {
        my %shown = map { $_ => $before->FETCH($_) } $before->pids;
        $before->{kept} = \%shown;
    }
    my %wanted = $is_own ? %{ $table->{kept} } : %$pids;
    for my $pid (_pids_of($self)) {
        _disown($self, $pid) if !exists $wanted{$pid};
    }
    _adopt($self, $_, $wanted{$_}) for sort keys %wanted;
    if ($is_own) {
        delete $table->{kept};
    }
    else {
        $table = tie my %tied, __PACKAGE__, $self;
        $self->{worker_pids} = $pids = \%tied;
    }
    Parallel::Prefork::Core::set_table($self, $pids, $table);
    return;
}

sub _pids_of {
    my $manager = shift;
    my ($pid, @pids) = (0);
    while ($pid = Parallel::Prefork::Core::next_worker($manager, $pid)) {
        push @pids, $pid if $pid != $Parallel::Prefork::newborn;
    }
    return @pids;
}

sub _adopt {
    my ($manager, $pid, $value) = @_;
    # An object is not asked for its number: that may be any code of the program's.
    Parallel::Prefork::Core::adopt_worker($manager, $pid,
        !ref($value) && Parallel::Prefork::Core::is_finite_number($value) ? $value : $manager->{generation});
    $manager->{_stored}{$pid} = $value;
    return;
}

sub _disown {
    my ($manager, $pid) = @_;
    Parallel::Prefork::Core::disown_worker($manager, $pid);
    delete $manager->{_stored}{$pid};
    return;
}

sub TIEHASH {
    my ($class, $manager) = @_;
    my $self = bless { manager => $manager }, $class;
    Parallel::Prefork::Core::weaken($self->{manager});
    return $self;
}

sub pids {
    my $self = shift;
    return keys %{ $self->{kept} } if $self->{kept};
    return defined $self->{manager} ? _pids_of($self->{manager}) : ();
}

sub EXISTS {
    my ($self, $pid) = @_;
    return exists $self->{kept}{$pid} if $self->{kept};
    return defined $self->{manager} && $pid ne $Parallel::Prefork::newborn
        && defined Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub FETCH {
    my ($self, $pid) = @_;
    return $self->{kept}{$pid} if $self->{kept};
    return undef if !$self->EXISTS($pid);
    my $stored = $self->{manager}{_stored};
    return exists $stored->{$pid} ? $stored->{$pid}
        : Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub STORE {
    my ($self, $pid, $value) = @_;
    if ($self->{kept}) {
        $self->{kept}{$pid} = $value;
    }
    elsif (defined $self->{manager}) {
        _adopt($self->{manager}, $pid, $value);
    }
    return;
}

sub DELETE {
    my ($self, $pid) = @_;
    return delete $self->{kept}{$pid} if $self->{kept};
    my $value = $self->FETCH($pid);
    _disown($self->{manager}, $pid) if defined $self->{manager};
    return $value;
}

sub CLEAR {
    my $self = shift;
    $self->DELETE($_) for $self->pids;
    return;
}

sub FIRSTKEY {
    my $self = shift;
    return $self->NEXTKEY(0) if !$self->{kept};
    keys %{ $self->{kept} };
    return each %{ $self->{kept} };
}

sub NEXTKEY {
    my ($self, $pid) = @_;
    return each %{ $self->{kept} } if $self->{kept};
    my $manager = $self->{manager};
    return undef if !defined $manager;
    do { $pid = Parallel::Prefork::Core::next_worker($manager, $pid) } while $pid && $pid == $Parallel::Prefork::newborn;
    return $pid || undef;
}

# A copy by Storable, of the hash or of a manager that it belongs to, has what was shown at that moment, and is nobody's table yet.
sub STORABLE_freeze {
    my $self = shift;
    my %shown = map { $_ => $self->FETCH($_) } $self->pids;
    return ('', \%shown);
}

sub STORABLE_thaw {
    my ($self, $is_cloning, $serialized, $shown) = @_;
    $self->{kept} = $shown;
    return;
}

sub SCALAR { return scalar(my @pids = $_[0]->pids) }

1;
