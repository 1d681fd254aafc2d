package Parallel::Prefork::Events;

# What start and wait_all_children do in Perl about what has happened: a fork with a hook behind it, a worker that has ended,
# a signal to act on. The loops in C come here for it, and for the turns that are left to Loop.

use v5.12;

our $VERSION = '1.00';

# Hooks, overrides and what they call see the module as their caller, as in 0.18; Carp leaves it out where a subclass dies.
package    # not for the index of CPAN
    Parallel::Prefork;

# The rest of start: what the loop in C has told is done here, and what it leaves to Perl. It has told nothing yet where it cannot
# begin.
sub Parallel::Prefork::Events::go_on {
    my ($self, $code, $told, $pid, $status) = @_;
    $told //= 'look';
    # While start runs; while wait_all_children runs it is the time at which that ends. See set_goal
    # in wait.c.
    local $self->{_goal} = -1;

    while (1) {
        if ($told eq 'forked') {
            Parallel::Prefork::Events::after_fork($self, $pid);
            ($pid, $status) = Parallel::Prefork::Core::next_exit($self, 0)
                and Parallel::Prefork::Events::reaped($self, $pid, $status);
        }
        elsif ($told eq 'reaped') {
            Parallel::Prefork::Events::reaped($self, $pid, $status);
        }
        last if Parallel::Prefork::Events::_signal_to_act_on($self);
        if ($told eq 'turn' || $told eq 'wanted') {
            _load('Loop');
            my $is_worker = Parallel::Prefork::Loop::turn($self, $code, $told eq 'wanted');
            return _work($self, $code) if $is_worker;
        }
        ($told, $pid, $status)
            = $Parallel::Prefork::fork_is_overridden ? 'turn' : Parallel::Prefork::Core::run($self, $code)
            or return _work($self, $code);
    }

    Parallel::Prefork::Events::_act_on_signal($self);
    return 1;
}

sub Parallel::Prefork::Events::_act_on_signal {
    my $self   = shift;
    my $signal = Parallel::Prefork::Events::_signal_to_act_on($self);
    Parallel::Prefork::Core::signal_taken($self, $signal);
    my ($send, $interval) = @{ $self->_action_for($signal) || [] };
    if ($send && $interval) {
        Parallel::Prefork::Core::signal_staggered($self, $send, $interval);
    }
    elsif ($send) {
        $self->signal_all_children($send);
    }
    return;
}

# What signal_received says, without the program's having read it.
sub Parallel::Prefork::Events::_signal_to_act_on {
    my $self = shift;
    local $Parallel::Prefork::looking = 1;
    my $seen = $self->{signal_received};
    Parallel::Prefork::Core::look($self);
    my $signal = $self->signal_received;
    # A subclass may hide what is there; then it is not to hide what comes after it. What comes in
    # this moment is not hidden yet.
    Parallel::Prefork::Core::signal_dropped($self, $seen)
        if !$signal && $seen && $self->{signal_received};
    return $signal;
}

sub Parallel::Prefork::Events::after_fork {
    my ($self, $pid) = @_;
    if (my $after_fork = $self->after_fork) {
        local $Parallel::Prefork::newborn = $pid;
        $after_fork->($self, $pid);
        if (!Parallel::Prefork::Core::tie_worker_pids($self)) {
            # A hash that was there for the time of the hook has not got the worker.
            $Parallel::Prefork::newborn = $pid;
            _tie_worker_pids($self);
        }
    }
    $self->_update_spawn_delay($self->spawn_interval);
    return;
}

sub Parallel::Prefork::Events::reaped {
    my ($self, $pid, $status) = @_;
    Parallel::Prefork::Events::_log_exit($self, $pid) if $self->{log_exits};
    $self->_on_child_reap($pid, $status);
    if (!Parallel::Prefork::Core::tie_worker_pids($self)) {
        # While there was another hash the core knew nothing of this worker.
        _tie_worker_pids($self);
        Parallel::Prefork::Core::worker_reaped($self, $pid, $status);
    }
    my $generation = Parallel::Prefork::Core::remove_reaped($self, $pid);
    if (defined $generation && $generation == $self->{generation} && $status != 0) {
        $self->_update_spawn_delay($self->err_respawn_interval);
    }
    return;
}

# The line about an exit that is out of the ordinary.
sub Parallel::Prefork::Events::_log_exit {
    my ($self, $pid) = @_;
    my $line = Parallel::Prefork::Core::exit_line($self, $pid);
    Parallel::Prefork::Events::_log($self, $line) if defined $line;
    return;
}

# The time of a worker is over, and the system has refused to kill it. The wait in C calls this, in the middle of whatever the
# program does: what it has in $! and $@ stays.
sub Parallel::Prefork::Events::kill_failed {
    my ($self, $pid, $index, $generation, $error) = @_;
    local $! = $error;
    Parallel::Prefork::Events::_log($self,
        "worker $index (pid $pid, generation $generation) is to be killed, and may not be: $!. "
            . 'To kill a worker that has changed its user, the manager needs CAP_KILL. '
            . 'KILL is not sent again: end this worker by hand, or wait until it ends');
    return;
}

# A line for people: to the code that is to have it, or else as a warning.
sub Parallel::Prefork::Events::_log {
    my ($self, $line) = @_;
    my $log = $self->log_exits;
    local $@;
    # The program's handler of warnings may die, too.
    eval {
        if (!ref $log) {
            warn "$line\n";
        }
        else {
            eval { $log->($self, $line); 1 } or warn "log_exits died: $@";
        }
        1;
    } or return;
    return;
}

# _wait for our loops, which take out the worker that they are told of. An override may collect others as well, and look
# for them in {worker_pids}.
sub Parallel::Prefork::Events::next_exit {
    my ($self, $blocking) = @_;
    local $Parallel::Prefork::is_ours = $self->can('_wait') == \&Parallel::Prefork::_wait;
    return $self->_wait($blocking);
}

# The next child that was reaped: its pid, its raw status, and what getrusage(2) counts; nothing
# if there is none. If $blocking, waits for one, or for anything else that start has
# to look at. A worker that the program has asked for stays in {worker_pids} until the program deletes it, or a
# loop of ours goes on.
sub Parallel::Prefork::Events::wait_for_exit {
    my ($self, $blocking) = @_;
    my $keep = !$Parallel::Prefork::is_ours;
    return Parallel::Prefork::Core::next_exit($self, $keep) if !$blocking;
    my $action = defined $self->{_no_adjust_until} ? $self->_decide_action : 0;
    my $adjust = $action > 0
        || -$action > Parallel::Prefork::Core::num_stopping($self) && !$self->{_nobody_to_stop};
    return Parallel::Prefork::Core::next_exit($self, $keep, 1, $adjust, $self->_max_wait);
}

sub Parallel::Prefork::Events::wait_all_children {
    my ($self, $timeout) = @_;
    _update_spawn_delay($self, 0);
    $self->{_no_adjust_until} = undef;
    return 0 if $self->{in_child};
    Parallel::Prefork::Core::become_manager($self);
    _tie_worker_pids($self);
    # Not a number ends at once, as a negative one does.
    return $self->num_workers if $timeout && !($timeout > 0);
    my $until = Parallel::Prefork::Core::deadline($timeout);
    local $self->{_goal} = $until;
    Parallel::Prefork::Core::show_next_signal($self);

    while ($self->num_workers) {
        my ($pid, $status)
            = Parallel::Prefork::Core::drain($self, $until) ? () : Parallel::Prefork::Events::next_exit($self, 1);
        if ($pid && Parallel::Prefork::Core::disown_worker($self, $pid)) {
            Parallel::Prefork::Events::_log_exit($self, $pid) if $self->{log_exits};
            $self->_on_child_reap($pid, $status);
        }
        last if Parallel::Prefork::Core::now() >= $until;
    }
    return $self->num_workers;
}

1;
