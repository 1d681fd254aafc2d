package Parallel::Prefork::Options;

# What is to be said of options that a check in C does not simply pass. Values that only perl can
# judge are fine here: overloaded objects, tied hashes.

use v5.12;

our $VERSION = '1.00';

my %CHECK = (
    number  => \&_check_number,
    code    => \&_check_code,
    signal  => \&_check_signal,
    signals => \&_check_signals,
    log     => \&_check_log,
    object  => \&_check_scoreboard,
);

sub check {
    my ($class, $kind, $name, $value) = @_;
    $CHECK{$kind}->($name, $value);
    return;
}

# What new was given instead of a list or a plain hash.
sub check_list {
    my ($class, $options) = @_;
    ref($options) && eval { %$options || 1 }
        or $class->refuse('new takes a hash reference or a list of options, not '
            . (defined $options ? "'$options'" : 'undef'));
    return;
}

sub _check_number {
    my ($name, $value) = @_;
    return if !defined $value;
    return if Parallel::Prefork::Core::is_finite_number($value) && $value >= 0;
    __PACKAGE__->refuse("$name must be a number, 0 or more, not '$value'");
    return;
}

sub _check_code {
    my ($name, $value) = @_;
    return if !$value || ref($value) eq 'CODE';
    return if ref($value) && eval { \&{$value} };
    __PACKAGE__->refuse("$name must be a code reference, not '$value'");
    return;
}

sub _check_signal {
    my ($name, $value) = @_;
    my $number = $value ? Parallel::Prefork::Core::signal_number(ref($value) ? "$value" : $value) : 0;
    return if defined $number && $number >= 0;
    __PACKAGE__->refuse("$name must be the name or the number of a signal, not '$value'");
    return;
}

sub _check_signals {
    my ($name, $value) = @_;
    return if !defined $value;
    ref($value) && eval { %$value || 1 }
        or __PACKAGE__->refuse("$name must be a hash reference, not '$value'");
    for my $signal (sort keys %$value) {
        my $action = $value->{$signal} or next;
        my ($send, $interval) = ref($action) eq 'ARRAY' ? @$action : $action;
        _check_number("$name: the interval for $signal", $interval);
        next if !$send || defined Parallel::Prefork::Core::signal_number(ref($send) ? "$send" : $send);
        __PACKAGE__->refuse(qq{Unrecognized signal name "$send" as the value of $signal in $name:}
            . ' give the name or the number of a signal, or [signal, seconds]');
    }
    return;
}

sub _check_log {
    my ($name, $value) = @_;
    return if !ref($value) || eval { \&{$value} };
    __PACKAGE__->refuse("$name must be true, false or a code reference, not '$value'");
    return;
}

sub _check_scoreboard {
    my ($name, $board) = @_;
    return if !$board || ref($board) && eval { $board->can('get_statuses') };
    __PACKAGE__->refuse("$name must be an object with the methods child_start, clear_child,"
        . " get_statuses and set_status, not '$board'");
    return;
}

# What may come from the environment: options with one plain value.
my %KIND_IN_ENVIRONMENT = (
    (map { $_ => 'number' } qw(max_workers spawn_interval err_respawn_interval graceful_timeout
        worker_timeout ready_timeout min_spare_workers max_spare_workers heartbeat)),
    (map { $_ => 'boolean' } qw(fast_exit huge_pages log_exits)),
    pdeathsig => 'signal',
);

# Options for servers that call new with a fixed list of them. What the program gives wins. What is wrong is said, and left
# out.
sub from_environment {
    my ($class, $of, $given) = @_;
    # The environment is what taint checks are there for.
    return if ${^TAINT};
    my %option;
    for my $setting (split ' ', $ENV{PREFORK_OPTIONS}) {
        my ($name, $value) = split /=/, $setting, 2;
        if (my $wrong = _is_wrong_in_environment($of, $name, $value)) {
            warn "PREFORK_OPTIONS: '$setting' is left out: $wrong\n";
        }
        elsif (!exists $given->{$name}) {
            $option{$name} = $value;
        }
    }
    my ($min, $max) = map { $given->{$_} // $option{$_} } qw(min_spare_workers max_spare_workers);
    if ($min && $max && $max < $min && grep { /_spare_/ } keys %option) {
        warn "PREFORK_OPTIONS: max_spare_workers ($max) must not be less than min_spare_workers ($min): left out\n";
        delete @option{qw(min_spare_workers max_spare_workers)};
    }
    return %option;
}

sub _is_wrong_in_environment {
    my ($of, $name, $value) = @_;
    my $kind = $KIND_IN_ENVIRONMENT{$name};
    return 'it is not of the form NAME=VALUE' if !defined $value;
    return "there is no option '$name' that can be set here" if !$kind || !$of->can($name);
    return $value =~ /\A[01]\z/ ? '' : "$name must be 0 or 1" if $kind eq 'boolean';
    local $@;
    return '' if eval { $CHECK{$kind}->($name, $value); 1 };
    return $@ =~ s/, not '.*//sr;
}

# What 0.18 loads may be missing here, and what goes wrong in it is for the program to find.
sub load_module {
    my ($class, $module) = @_;
    my $file = "$module.pm" =~ s{::}{/}gr;
    local ($@, $!, $SIG{__DIE__});
    eval { require $file };
    return;
}

# Dies with the line of the program that called us, as Carp's croak does; that may be out of reach by
# now.
sub refuse {
    my ($class, @message) = @_;
    my $ours = qr/(?:Events|Loop|Options|WorkerPids|SpareWorkers(?:::Scoreboard)?)/;
    my ($level, $package, $file, $line) = (0);
    do { ($package, $file, $line) = caller $level++ }
        while defined $package && $package =~ /\AParallel::Prefork(?:::$ours)?\z/;
    die join('', @message) . (defined $package ? " at $file line $line.\n" : "\n");
}

1;
