package Parallel::Prefork::Options;

# What is to be said of options that a check in C does not simply pass. Values that only perl can
# judge are fine here: overloaded objects, tied hashes.

use v5.12;

our $VERSION = '1.00';

my %CHECK = (
    number  => \&_check_number,
    code    => \&_check_code,
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

# Dies with the line of the program that called us, as Carp's croak does; that may be out of reach by
# now.
sub refuse {
    my ($class, @message) = @_;
    my ($level, $package, $file, $line) = (0);
    do { ($package, $file, $line) = caller $level++ }
        while defined $package && $package =~ /\AParallel::Prefork(?:::(?:Options|WorkerPids|SpareWorkers(?:::Scoreboard)?))?\z/;
    die join('', @message) . (defined $package ? " at $file line $line.\n" : "\n");
}

1;
