package Parallel::Prefork;

use strict;
use warnings;

our $VERSION = '1.00';

require XSLoader;
XSLoader::load(__PACKAGE__, $VERSION);

# Programs ask whether we are one of these, and call mk_accessors; the module itself is not needed.
our @ISA = ('Class::Accessor::Lite');
{ package    # the empty package keeps perl from warning that it is missing
    Class::Accessor::Lite; }

# {_goal} while start runs; while wait_all_children runs it is the time at which that ends. See
# set_goal in Prefork.xs.
use constant RUN => -1;

# An override of fork is Perl code, which can die between the blocking of signals and the
# report of the pid; perl's own fork cannot. Perl has decided when it compiled us.
use constant FORK_IS_OVERRIDDEN => defined &CORE::GLOBAL::fork;

# start and the trap closures call signal_received as the program does: it is a method that
# subclasses override. These tell their calls from the program's.
our $looking  = 0;    # start looks; the program has not read anything
our $arriving = '';   # this signal arrives; the program has not stored anything
our $shown    = 0;    # and the program is to see it now

# The pid that after_fork is being called for: it is in worker_pids only after that.
our $newborn = 0;

my %DEFAULT = (
    max_workers          => 10,
    spawn_interval       => 0,
    err_respawn_interval => 1,
    trap_signals         => undef,
    signal_received      => '',
    manager_pid          => undef,
    generation           => 0,
);

my %CHECK = (
    max_workers          => \&_check_number,
    spawn_interval       => \&_check_number,
    err_respawn_interval => \&_check_number,
    trap_signals         => \&_check_trap_signals,
    on_child_reap        => \&_check_code,
    before_fork          => \&_check_code,
    after_fork           => \&_check_code,
);

_mk_accessors(__PACKAGE__, \&_mk_checked, keys %CHECK);
_mk_accessors(__PACKAGE__, \&_mk_rw, 'manager_pid');

sub new {
    my $class = shift;
    my $options = @_ == 1 ? $_[0] : {@_};
    ref $options && eval { %$options || 1 }
        or _croak("new takes a hash reference or a list of options, not "
            . (defined $options ? "'$options'" : 'undef'));
    my $self = bless {
        %DEFAULT,
        trap_signals     => { TERM => 'TERM' },
        worker_pids      => {},
        %$options,
        _no_adjust_until => 0,
    }, $class;
    $self->_check_options(\%CHECK);
    _tie_worker_pids($self);

    $SIG{$_} = sub { _trapped($self, $_[0]) } for keys %{ $self->trap_signals };
    $SIG{CHLD} = \&Parallel::Prefork::Core::child_exited;
    return $self;
}

sub start {
    my ($self, $code) = @_;

    $self->manager_pid($$);
    $self->signal_received('');
    $self->{generation}++;
    die 'cannot start another process while you are in child process'
        if $self->{in_child};
    _check_code('the argument of start', $code);
    _tie_worker_pids($self);
    Parallel::Prefork::Core::begin($self);
    _show_next_signal($self);
    local $self->{_goal} = RUN;

    until (do { local $looking = 1; $self->signal_received }) {
        $self->{_nobody_to_stop} = 0;
        my $action = Parallel::Prefork::Core::spawn_delay($self) > 0 ? 0 : $self->_decide_action;
        if ($action > 0) {
            if (my $before_fork = $self->before_fork) {
                $before_fork->($self);
            }
            my $pid = _fork($self);
            if (defined $pid && !$pid) {
                return _in_worker($self, $code);
            }
            if ($pid) {
                if (my $after_fork = $self->after_fork) {
                    local $newborn = $pid;
                    $after_fork->($self, $pid);
                }
                $self->_update_spawn_delay($self->spawn_interval);
            }
            else {
                $self->_update_spawn_delay($self->err_respawn_interval);
                $action = 0;
            }
        }
        elsif ($action < 0) {
            my $stop = $self->_action_for('TERM');
            # Without an idle worker there is nothing to adjust until something changes.
            $self->{_nobody_to_stop} = !Parallel::Prefork::Core::stop_workers($self, -$action,
                $stop && $stop->[0] || 'TERM');
            $self->_update_spawn_delay($self->spawn_interval);
        }
        $self->{__dbg_callback}->() if $self->{__dbg_callback};
        if (my ($pid, $status) = $self->_wait(!$self->{__dbg_callback} && $action <= 0)) {
            $self->_on_child_reap($pid, $status);
            my $generation = Parallel::Prefork::Core::release_worker($self, $pid);
            if (defined $generation && $generation == $self->{generation} && $status != 0) {
                $self->_update_spawn_delay($self->err_respawn_interval);
            }
        }
    }

    my $signal = do { local $looking = 1; $self->signal_received };
    Parallel::Prefork::Core::signal_taken($self, $signal);
    my ($send, $interval) = @{ $self->_action_for($signal) || [] };
    if ($send && $interval) {
        Parallel::Prefork::Core::signal_staggered($self, $send, $interval);
    }
    elsif ($send) {
        $self->signal_all_children($send);
    }
    return 1;
}

# Forks, with every signal blocked from before until the core knows the outcome: no handler sees
# a manager that has a worker and does not know it, nor a worker that takes itself
# for the manager. In the worker they stay blocked until _in_worker has put its defaults in.
sub _fork {
    my $self = shift;
    Parallel::Prefork::Core::fork_begin($self) or return undef;
    my ($pid, $died);
    if (FORK_IS_OVERRIDDEN) {
        local $@;
        $died = $@ if !eval { $pid = fork; 1 };
    }
    else {
        $pid = fork;
    }
    if (defined $pid) {
        Parallel::Prefork::Core::forked($self, $pid) if $pid;
        return $pid;
    }
    my $error    = "$!";
    my $failures = Parallel::Prefork::Core::fork_failed($self);
    die $died if defined $died;
    warn "fork failed:$error" . ($failures > 1 ? " ($failures times)" : '') if $failures;
    return undef;
}

sub _in_worker {
    my ($self, $code) = @_;
    $self->{in_child} = 1;
    Parallel::Prefork::Core::leave_evals() if $code;
    $SIG{$_} = 'DEFAULT' for keys %{ $self->trap_signals }, 'CHLD';
    Parallel::Prefork::Core::forked($self, 0);
    exit 0 if $self->signal_received;
    if ($code) {
        Parallel::Prefork::Core::run_worker($code);
        $self->finish;
        exit 0;
    }
    return;
}

sub finish {
    my ($self, $code) = @_;
    # Programs match this text, the missing letter included.
    die "\$parallel_prefork->finish() shouln't be called within the manager process\n"
        if $self->manager_pid == $$;
    exit($code || 0);
}

sub signal_all_children {
    my ($self, $signal) = @_;
    # The newborn gets it too, and whoever waits for all waits for it: a handler that stops
    # everything while after_fork runs leaves nobody behind.
    $newborn = 0;
    Parallel::Prefork::Core::signal_all_children($self, $signal);
    return;
}

sub num_workers {
    my $self = shift;
    my $count = Parallel::Prefork::Core::num_workers($self);
    $count-- if $newborn && defined Parallel::Prefork::Core::worker_generation($self, $newborn);
    return $count;
}

sub worker_index {
    my $index = Parallel::Prefork::Core::worker_index($_[0]);
    return $index < 0 ? undef : $index;
}

sub wait_all_children {
    my ($self, $timeout) = @_;
    !$timeout || Parallel::Prefork::Core::is_finite_number($timeout)
        or _croak("wait_all_children takes a number of seconds, not '$timeout'");
    Parallel::Prefork::Core::defer_spawn($self, 0);
    $self->{_no_adjust_until} = undef;
    return 0 if $self->{in_child};
    return $self->num_workers if $timeout && $timeout < 0;
    _tie_worker_pids($self);
    my $until = $timeout ? Parallel::Prefork::Core::now() + $timeout : 9**9**9;
    local $self->{_goal} = $until;
    _show_next_signal($self);

    while ($self->num_workers) {
        if (my ($pid, $status) = $self->_wait(1)) {
            $self->_on_child_reap($pid, $status)
                if Parallel::Prefork::Core::forget_worker($self, $pid);
        }
        elsif (Parallel::Prefork::Core::now() >= $until) {
            last;
        }
    }
    return $self->num_workers;
}

sub signal_received {
    my $self = shift;
    if (!@_) {
        Parallel::Prefork::Core::signal_read($self) if !$looking;
        return $self->{signal_received};
    }
    my $value = @_ == 1 ? $_[0] : [@_];
    if ($arriving ne '' && defined $value && $value eq $arriving) {
        $self->{signal_received} = $value if $shown;
    }
    else {
        Parallel::Prefork::Core::signal_stored($self, $value);
        $self->{signal_received} = $value;
    }
    return $value;
}

sub _trapped {
    my ($self, $signal) = @_;
    my $is_shown = Parallel::Prefork::Core::signal_trapped($self, $signal);
    local ($arriving, $shown) = ($signal, $is_shown);
    $self->signal_received($signal);
    return;
}

# A signal that has waited behind one that the program has read by now becomes visible.
sub _show_next_signal {
    my $self = shift;
    my $next = Parallel::Prefork::Core::next_signal_to_show($self);
    $self->{signal_received} = $next if defined $next;
    return;
}

# More than 0: a worker is wanted; less than 0: there are so many too many.
sub _decide_action {
    my $self = shift;
    return $self->num_workers < ($self->max_workers || 0) ? 1 : 0;
}

sub _on_child_reap {
    my ($self, $pid, $status) = @_;
    my $on_child_reap = $self->on_child_reap or return;
    local $@;
    eval { $on_child_reap->($self, $pid, $status); 1 } or warn "on_child_reap died: $@";
    return;
}

# [signal to send, seconds between workers], or undef, for a signal that was received. The names
# of one signal (IO and POLL) are one.
sub _action_for {
    my ($self, $signal) = @_;
    my $actions = $self->{trap_signals};
    my $action  = $actions->{$signal};
    if (!exists $actions->{$signal}) {
        my $number = Parallel::Prefork::Core::signal_number($signal);
        my ($alias) = grep {
            my $trapped = Parallel::Prefork::Core::signal_number($_);
            defined $number && defined $trapped && $number == $trapped;
        } sort keys %$actions;
        $action = $actions->{$alias} if defined $alias;
    }
    return undef if !$action;
    return ref $action ? $action : [$action, 0];
}

sub _update_spawn_delay {
    my ($self, $seconds) = @_;
    # The member is for subclasses that have a loop of their own; ours asks the core.
    $self->{_no_adjust_until} = Parallel::Prefork::Core::defer_spawn($self, $seconds);
    return;
}

# The next child that was reaped: its pid, its raw status, and what getrusage(2) counts; nothing
# if there is none. If $blocking, waits for one, or for anything else that start has
# to look at.
sub _wait {
    my ($self, $blocking) = @_;
    return Parallel::Prefork::Core::next_exit($self) if !$blocking;
    my $action = defined $self->{_no_adjust_until} ? $self->_decide_action : 0;
    my $adjust = $action > 0
        || -$action > Parallel::Prefork::Core::num_stopping($self) && !$self->{_nobody_to_stop};
    return Parallel::Prefork::Core::next_exit($self, 1, $adjust, $self->_max_wait);
}

# Seconds after which start looks around although nothing has happened; undef for never.
sub _max_wait { return undef }

sub mk_accessors {
    my ($class, @names) = @_;
    _mk_accessors(scalar caller, \&_mk_rw, @names);
    return;
}

sub _mk_accessors {
    my ($package, $make, @names) = @_;
    no strict 'refs';
    *{"${package}::$_"} = $make->($_) for @names;
    return;
}

sub _mk_rw {
    my $name = shift;
    return sub {
        my $self = shift;
        return $self->{$name} if !@_;
        return $self->{$name} = @_ == 1 ? $_[0] : [@_];
    };
}

# An accessor of a member that start looks at: it is told when that changes.
sub _mk_checked {
    my $name = shift;
    my $check = $CHECK{$name};
    return sub {
        my $self = shift;
        return $self->{$name} if !@_;
        my $value = @_ == 1 ? $_[0] : [@_];
        $check->($name, $value) if @_ == 1;
        $self->{$name} = $value;
        Parallel::Prefork::Core::wake($self);
        return $value;
    };
}

sub _check_options {
    my ($self, $checks) = @_;
    exists $self->{$_} and $checks->{$_}->($_, $self->{$_}) for sort keys %$checks;
    return;
}

sub _check_number {
    my ($name, $value) = @_;
    return if !defined $value;
    return if Parallel::Prefork::Core::is_finite_number($value) && $value >= 0;
    _croak("$name must be a number, 0 or more, not '$value'");
}

sub _check_code {
    my ($name, $value) = @_;
    return if !$value || ref $value eq 'CODE';
    return if ref $value && eval { \&{$value} };
    _croak("$name must be a code reference, not '$value'");
}

sub _check_trap_signals {
    my ($name, $value) = @_;
    return if !defined $value;
    ref $value && eval { %$value || 1 } or _croak("$name must be a hash reference, not '$value'");
    for my $signal (sort keys %$value) {
        my $action = $value->{$signal} or next;
        my ($send, $interval) = ref $action eq 'ARRAY' ? @$action : $action;
        _check_number("$name: the interval for $signal", $interval);
        next if !$send || defined Parallel::Prefork::Core::signal_number($send);
        _croak(qq{Unrecognized signal name "$send" as the value of $signal in $name:}
            . ' give the name or the number of a signal, or [signal, seconds]');
    }
    return;
}

# Dies with the line of the program that called us.
sub _croak {
    require Carp;
    local @Carp::Internal{map { "Parallel::Prefork$_" }
        '', qw(::WorkerPids ::SpareWorkers ::SpareWorkers::Scoreboard)} = (1) x 4;
    Carp::croak(@_);
}

# worker_pids shows the table of the core. A plain hash, from new or from a program that put
# one there, becomes that table first.
sub _tie_worker_pids {
    my $self = shift;
    my $pids = $self->{worker_pids};
    my $table = tied %$pids;
    return if $table && $table->isa('Parallel::Prefork::WorkerPids');
    my %stored = %$pids;
    $self->{worker_pids} = {};
    $table = tie %{ $self->{worker_pids} }, 'Parallel::Prefork::WorkerPids', $self;
    exists $stored{$_} or $table->DELETE($_) for $table->pids;
    $table->STORE($_, $stored{$_}) for sort keys %stored;
    return;
}

package    # not for the index of CPAN
    Parallel::Prefork::WorkerPids;

# The hash in {worker_pids}: pid => generation, or what the program has stored for a pid.

sub TIEHASH {
    my ($class, $manager) = @_;
    my $self = bless { manager => $manager, stored => {} }, $class;
    Parallel::Prefork::Core::weaken($self->{manager});
    return $self;
}

sub pids {
    my $manager = $_[0]{manager} or return;
    my ($pid, @pids) = (0);
    while ($pid = Parallel::Prefork::Core::next_worker($manager, $pid)) {
        push @pids, $pid if $pid != $newborn;
    }
    return @pids;
}

sub EXISTS {
    my ($self, $pid) = @_;
    return $self->{manager} && $pid ne $newborn
        && defined Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub FETCH {
    my ($self, $pid) = @_;
    return undef if !$self->EXISTS($pid);
    return exists $self->{stored}{$pid} ? $self->{stored}{$pid}
        : Parallel::Prefork::Core::worker_generation($self->{manager}, $pid);
}

sub STORE {
    my ($self, $pid, $value) = @_;
    my $manager = $self->{manager} or return;
    Parallel::Prefork::Core::adopt_worker($manager, $pid,
        Parallel::Prefork::Core::is_finite_number($value) ? $value : $manager->{generation});
    $self->{stored}{$pid} = $value;
    return;
}

sub DELETE {
    my ($self, $pid) = @_;
    my $value = $self->FETCH($pid);
    Parallel::Prefork::Core::forget_worker($self->{manager}, $pid) if $self->{manager};
    delete $self->{stored}{$pid};
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
    my $manager = $self->{manager} or return undef;
    do { $pid = Parallel::Prefork::Core::next_worker($manager, $pid) } while $pid && $pid == $newborn;
    return $pid || undef;
}

sub SCALAR { return scalar(my @pids = $_[0]->pids) }

1;
