package Parallel::Prefork::Loop;

# What the loop in C leaves to Perl: the turns of classes that override a part of the loop, and of programs that override
# fork itself; the fork that a hook comes before; and what only perl can judge, as objects that are numbers, ties, and a
# signal_received that is an object and false.

use v5.12;

our $VERSION = '1.00';

# Hooks, overrides and what they call see the module as their caller, as in 0.18; Carp leaves it out where a subclass dies.
package    # not for the index of CPAN
    Parallel::Prefork;

# One turn; true in a worker. The loop in C may have found already that a worker is wanted.
sub Parallel::Prefork::Loop::turn {
    my ($self, $code, $is_wanted) = @_;
    _tie_worker_pids($self);
    $self->{_nobody_to_stop} = 0;
    my $action = $is_wanted || Parallel::Prefork::Loop::_decide($self);
    if ($action > 0) {
        if (my $before_fork = $self->before_fork) {
            $before_fork->($self);
            _tie_worker_pids($self);
        }
        my $pid = Parallel::Prefork::Loop::_fork($self);
        return Parallel::Prefork::Loop::_enter($self, $code) if defined $pid && !$pid;
        if ($pid) {
            Parallel::Prefork::Events::after_fork($self, $pid);
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
    if (my ($pid, $status) = Parallel::Prefork::Events::next_exit($self, !$self->{__dbg_callback} && $action <= 0)) {
        Parallel::Prefork::Core::worker_reaped($self, $pid, $status);
        Parallel::Prefork::Events::reaped($self, $pid, $status);
    }
    return 0;
}

sub Parallel::Prefork::Loop::_decide {
    my $self = shift;
    Parallel::Prefork::Core::take_lead($self);
    return Parallel::Prefork::Core::spawn_delay($self) > 0 ? 0 : $self->_decide_action;
}

# Forks, with every signal blocked from before until the core knows the outcome: no handler sees
# a manager that has a worker and does not know it, nor a worker that takes itself
# for the manager. In the worker they stay blocked until _enter has put its defaults in.
sub Parallel::Prefork::Loop::_fork {
    my $self = shift;
    if (!$Parallel::Prefork::fork_is_overridden) {
        my $pid = Parallel::Prefork::Core::fork_worker($self);
        return $pid < 0 ? undef : $pid;
    }
    Parallel::Prefork::Core::fork_begin($self) or return undef;
    my $guard   = bless [$self], 'Parallel::Prefork::Loop::ForkGuard';
    my $manager = Parallel::Prefork::Core::process_number();
    my ($pid, $died);
    local $@;
    $died = $@ if !eval { $pid = fork; 1 };
    if (defined $pid) {
        @$guard = ();
        return $pid if !$pid;
        Parallel::Prefork::Core::forked($self, $pid);
        delete $self->{_stored}{$pid};
        return $pid;
    }
    if (defined $died && Parallel::Prefork::Core::process_number() != $manager) {
        Parallel::Prefork::Core::leave_evals();
        die $died;
    }
    my $error    = "$!";
    my $failures = Parallel::Prefork::Core::fork_failed($self);
    die $died if defined $died;
    warn "fork failed:$error" . ($failures > 1 ? " ($failures times)" : '') if $failures;
    return undef;
}

sub Parallel::Prefork::Loop::_enter {
    my ($self, $code) = @_;
    Parallel::Prefork::Core::leave_evals() if $code;
    # What a subclass throws here must not leave a worker that takes itself for the manager.
    my (@trapped, $error);
    {
        local $@;
        @trapped = eval { keys %{ $self->trap_signals || {} } };
        $error = $@;
    }
    @trapped = keys %{ $self->{trap_signals} } if $error && ref($self->{trap_signals}) eq 'HASH';
    Parallel::Prefork::Core::enter_worker($self, @trapped);
    die $error if $error;
    exit 0 if $self->signal_received;
    return 1;
}

# The handler of ABRT in this worker, and in what it forks.
my $late;

# A worker may have managers of its own: what it has for ABRT is none of its workers' affair.
sub Parallel::Prefork::Loop::handle_lateness {
    my ($self, $is_wanted) = @_;
    my $is_ours = ref($SIG{ABRT}) && defined $late && $SIG{ABRT} == $late;
    return if !$is_ours && ($SIG{ABRT} // '') !~ /\A(?:DEFAULT)?\z/;
    if (!$is_wanted) {
        $SIG{ABRT} = 'DEFAULT' if $is_ours;
        return;
    }
    my $worker = $$;
    $late = $SIG{ABRT} = sub {
        return Parallel::Prefork::Loop::_is_late($self) if $$ == $worker;
        # A child of the worker.
        $SIG{ABRT} = 'DEFAULT';
        kill ABRT => $$;
    };
    return;
}

sub Parallel::Prefork::Loop::_is_late {
    my $self = shift;
    eval {
        my $on_worker_timeout = $self->on_worker_timeout;
        eval { $on_worker_timeout->($self) if $on_worker_timeout; 1 } or warn "on_worker_timeout died: $@";
    };
    exit 1;
}

package    # not for the index of CPAN
    Parallel::Prefork::Loop::ForkGuard;

# A fork that was asked for and left by last, or exit, has failed.
sub DESTROY {
    my $self = shift;
    Parallel::Prefork::Core::fork_failed($self->[0]) if @$self;
    return;
}

1;
