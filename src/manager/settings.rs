//! What a manager is told: how many workers, how fast, what signals do.

use std::time::Duration;

use super::board::Said;
use super::{Failure, Manager};
use crate::machine::{Action, Lead, Policy, Signal, Spare};
use crate::os::signals::{can_be_trapped, is_signal};
use crate::os::{clock, process};

/// How many workers, and when.
impl Manager {
    /// Sets the number of workers to keep; with spare workers, the most there may be.
    pub fn set_max_workers(&mut self, workers: u32) -> Result<(), Failure> {
        self.check_is_manager()?;
        let before = std::mem::replace(&mut self.machine.target, workers);
        self.wake_if(before != workers);
        Ok(())
    }

    /// The number of workers to keep.
    pub fn max_workers(&self) -> u32 {
        self.machine.target
    }

    /// Sets the time between two forks, and after a worker was told to stop as one too many.
    pub fn set_spawn_interval(&mut self, interval: Duration) -> Result<(), Failure> {
        self.check_is_manager()?;
        let before = std::mem::replace(&mut self.machine.pacing.spawn_interval, interval);
        self.wake_if(before != interval);
        Ok(())
    }

    /// Sets the time without a fork after a worker has failed, or a fork has.
    pub fn set_err_respawn_interval(&mut self, interval: Duration) -> Result<(), Failure> {
        self.check_is_manager()?;
        let before = std::mem::replace(&mut self.machine.pacing.err_respawn_interval, interval);
        self.wake_if(before != interval);
        Ok(())
    }

    /// What has not changed needs no look: a host that passes its settings at each turn is not to be woken by that.
    fn wake_if(&mut self, has_changed: bool) {
        if has_changed {
            self.machine.wake();
        }
    }

    /// Sets how long a worker may take to end that is told so from now on, by INT, QUIT, TERM or as one too many. Then it is
    /// sent KILL. None: as long as it likes.
    pub fn set_graceful_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.set_graceful_timeout(timeout);
        Ok(())
    }

    /// Sets what a worker is sent when its manager ends, in whatever way; 0: nothing. It counts for workers that are forked from
    /// then on.
    ///
    /// # Errors
    /// There is no such signal; the system cannot do it; this thread may end before the process does, and the system would
    /// take that for the end of the manager.
    pub fn set_parent_death_signal(&mut self, signal: Signal) -> Result<(), Failure> {
        self.check_is_manager()?;
        if signal != 0 && !is_signal(signal) {
            return Err(Failure::invalid(format!("{signal} is no signal")));
        }
        if signal != 0 && !process::HAS_PARENT_DEATH_SIGNAL {
            let what = "a signal at the end of the parent";
            return Err(Failure::system(what, "this system has none"));
        }
        if signal != 0 {
            check_is_first_thread()?;
        }
        self.death_signal = signal;
        Ok(())
    }

    /// In a new worker: it ends with its manager, which may have ended already.
    #[cold]
    pub(super) fn tie_to_manager(&mut self) {
        self.tied = process::pid();
        self.ask_for_death_signal();
    }

    /// The same again, for a worker that has changed its user since: the system has forgotten what it was asked for. A child of
    /// the worker is left alone. (One with the number of the worker is in another PID namespace, and cannot see its parent.)
    pub(super) fn tie_to_manager_again(&self) {
        if process::pid() == self.tied && process::parent_death_signal() == Ok(0) {
            self.ask_for_death_signal();
        }
    }

    fn ask_for_death_signal(&self) {
        // The signal exists. Where the system refuses, a worker without it is better than none.
        let _ = process::set_parent_death_signal(self.death_signal);
        let parent = process::parent();
        if parent != 0 && parent != self.owner.pid() {
            process::signal_this(self.death_signal);
        }
    }

    /// Keeps between `min` and `max` idle workers, and tells those that are one too many to stop by this signal. A
    /// `min` of 0 is a fixed number again.
    ///
    /// # Errors
    /// `max` is less than `min`; there is no such signal.
    pub fn set_spare_workers(
        &mut self,
        min: u32,
        max: u32,
        stop_signal: Signal,
    ) -> Result<(), Failure> {
        self.check_is_manager()?;
        if max < min {
            return Err(Failure::invalid(format!(
                "max_spare_workers ({max}) is less than min_spare_workers ({min})"
            )));
        }
        if !is_signal(stop_signal) {
            return Err(Failure::invalid(format!("{stop_signal} is no signal")));
        }
        self.machine.policy = if min == 0 {
            Policy::Fixed
        } else {
            Policy::Spare(Spare { min, max })
        };
        self.machine.stop_signal = stop_signal;
        self.machine.wake();
        Ok(())
    }

    /// Sets whether memory is moved to huge pages before the first fork of each generation.
    pub fn set_huge_pages(&mut self, use_them: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.huge_pages = use_them;
        Ok(())
    }

    /// Sets whether children that are no workers are reaped too.
    pub fn set_reap_foreign(&mut self, reap: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.reaps_foreign = reap;
        Ok(())
    }

    /// Sets whether a worker whose end was told stays in the pool until the host takes it out.
    pub fn set_keep_reaped(&mut self, keep: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.keeps_reaped = keep;
        Ok(())
    }

    /// Asks for a worker, or for none. From now on the host decides how many workers there are, unless it shares the lead.
    ///
    /// # Errors
    /// In a hook of a loop of the library's own.
    pub fn demand(&mut self, workers: i32) -> Result<(), Failure> {
        self.check_is_manager()?;
        if self.is_in_loop {
            return Err(Failure::wrong_state(
                "pf_start is running, and decides how many workers there are",
            ));
        }
        if self.machine.lead == Lead::Machine {
            self.machine.lead = Lead::Host;
        }
        self.machine.demand(workers.into());
        Ok(())
    }

    /// Sets who decides that a worker is forked or stopped.
    ///
    /// # Errors
    /// In a hook of a loop of the library's own.
    pub fn set_lead(&mut self, lead: Lead) -> Result<(), Failure> {
        self.check_is_manager()?;
        if self.is_in_loop {
            return Err(Failure::wrong_state(
                "pf_start is running, and decides how many workers there are",
            ));
        }
        self.machine.lead = lead;
        Ok(())
    }

    /// Whether a worker is wanted now, for a host that shares the lead and demands it then.
    pub fn wants_fork(&self) -> bool {
        let said = Said::by(&self.board, &self.timesheet);
        self.machine.wants_fork(clock::now(), &said)
    }

    /// Whether the host has a part in the decision how many workers there are.
    pub fn host_leads(&self) -> bool {
        self.machine.lead != Lead::Machine
    }

    /// No worker is forked for so long from now on; this replaces what was set before.
    pub fn set_spawn_delay(&mut self, delay: Duration) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.pacing.defer(clock::now(), delay);
        Ok(())
    }

    /// How long no worker is forked.
    pub fn spawn_delay(&self) -> Duration {
        self.machine.pacing.open_at().since(clock::now())
    }
}

/// What signals do.
impl Manager {
    /// Traps a signal: it ends the run, and workers are sent what the action says.
    ///
    /// # Errors
    /// Signals that cannot be trapped, or sent; pipe2(2), sigaction(2).
    pub fn trap_signal(&mut self, signal: Signal, action: Action) -> Result<(), Failure> {
        self.check_is_manager()?;
        if !can_be_trapped(signal) || signal == libc::SIGCHLD {
            return Err(Failure::invalid(format!(
                "signal {signal} cannot be trapped"
            )));
        }
        let send = action.send;
        if send != 0 && !is_signal(send.saturating_abs()) {
            return Err(Failure::invalid(format!("{send} is no signal to send")));
        }
        self.handle(signal)?;
        self.machine.actions.insert(signal, action);
        Ok(())
    }

    /// Lets the library handle SIGCHLD, so that a child's end ends a wait.
    ///
    /// # Errors
    /// pipe2(2), sigaction(2).
    pub fn watch_children(&mut self) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.handle(libc::SIGCHLD)
    }

    /// Lets the library handle a signal; SIGCHLD tells of children.
    pub(super) fn handle(&mut self, signal: Signal) -> Result<(), Failure> {
        self.wake_pipe()?;
        let trapped = if signal == libc::SIGCHLD {
            self.traps
                .watch_children(self.remote.arrivals(), self.remote.waker())
        } else {
            self.traps
                .trap(signal, self.remote.arrivals(), self.remote.waker())
        };
        trapped.map_err(|error| Failure::system("sigaction", error))
    }

    /// Takes in what has arrived since the last call.
    pub(super) fn take_arrivals(&mut self) {
        for signal in self.remote.arrivals().take(&mut self.arrivals_seen) {
            self.machine.signal(signal);
        }
    }

    /// The signal that the program is to know of; 0 for none.
    pub fn peek_signal(&mut self) -> Signal {
        self.take_arrivals();
        self.machine.signals.shown()
    }

    /// The same, and the program has read it by this: the next run clears it.
    pub fn signal_received(&mut self) -> Signal {
        self.take_arrivals();
        self.machine.signals.mark_read();
        self.machine.signals.shown()
    }

    /// Stores what the program is to know of: a signal, 0 for none, any other number of the host's.
    pub fn set_signal_received(&mut self, value: Signal) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.take_arrivals();
        self.machine.signals.store(value);
        self.machine.wake();
        Ok(())
    }

    /// The host deals with a signal by itself: it no longer waits. It is shown next if the host acts on it, and not shown
    /// if the program keeps it to itself.
    pub fn take_signal(&mut self, signal: Signal, show: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.take_arrivals();
        if show {
            self.machine.signals.take(signal);
        } else {
            self.machine.signals.drop_signal(signal);
        }
        Ok(())
    }

    /// Shows the next signal that waits, if the program knows of none or has read that. Returns what is shown.
    pub fn show_next_signal(&mut self) -> Signal {
        self.take_arrivals();
        self.machine.signals.show_next();
        self.machine.signals.shown()
    }
}

/// Fails in a thread that may end before the process does.
pub(super) fn check_is_first_thread() -> Result<(), Failure> {
    if process::is_first_thread() {
        return Ok(());
    }
    Err(Failure::wrong_state(
        "the parent death signal is sent when the thread ends that forks: use it in the first thread of the process",
    ))
}
