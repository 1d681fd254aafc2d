//! The worker's side: its wait, and how it learns that it is to stop (`os/stop.rs`).
//!
//! Nothing of this is there before the first call, in the worker that makes it.

use std::os::fd::RawFd;
use std::time::Duration;

use super::{Failure, Manager};
use crate::machine::Signal;
use crate::os::signals::is_signal;
use crate::os::stop::Stop;
use crate::os::timesheet::Span;

pub use crate::os::stop::{StopReason, Waited};

/// What tells a worker to stop, whoever sends it. The signal for one that is too many is another one, perhaps.
const STOP_SIGNALS: [Signal; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// What a worker calls.
impl Manager {
    /// Waits until one of the descriptors is readable, this worker is to stop, or the time is over (none: never).
    ///
    /// # Errors
    /// This is no worker, a descriptor is not open, a system call has failed.
    pub fn wait_readable(
        &mut self,
        fds: &[RawFd],
        timeout: Option<Duration>,
    ) -> Result<Waited, Failure> {
        self.check_is_worker()?;
        if let Some(line) = self.remote.own_line() {
            line.idle();
        }
        let waited = self
            .stop()?
            .wait(fds, timeout)
            .map_err(|error| Failure::system("poll", error))?;
        if let (Waited::Readable(_), Some(line)) = (&waited, self.remote.own_line()) {
            line.busy(Span::AsSet);
        }
        if let Waited::NotOpen(which) = waited {
            return Err(Failure::invalid(format!(
                "fds[{which}] is {}, which is not open",
                fds[which]
            )));
        }
        Ok(waited)
    }

    /// Why this worker is to stop; none if it is not.
    ///
    /// # Errors
    /// This is no worker, a system call has failed.
    pub fn stop_reason(&mut self) -> Result<Option<StopReason>, Failure> {
        self.stop()?
            .reason()
            .map_err(|error| Failure::system("epoll_create", error))
    }

    /// A descriptor that is readable when this worker is to stop.
    ///
    /// # Errors
    /// As `stop_reason`.
    pub fn stop_fd(&mut self) -> Result<RawFd, Failure> {
        Ok(self.stop()?.fd())
    }

    /// Sets by which signal, beside TERM, INT and QUIT, this worker is told to stop, where its host knows better than the
    /// settings of the manager. For the worker, before its first wait.
    ///
    /// # Errors
    /// There is no such signal; this is no worker.
    pub fn set_stop_signal(&mut self, signal: Signal) -> Result<(), Failure> {
        if !is_signal(signal) {
            return Err(Failure::invalid(format!("{signal} is no signal")));
        }
        self.check_is_worker()?;
        self.machine.stop_signal = signal;
        Ok(())
    }

    fn check_is_worker(&self) -> Result<(), Failure> {
        let is_inherited = |stop: &Stop| !stop.is_of_this_process();
        if !self.is_worker() {
            Err(Failure::wrong_process(
                "this is a worker's call, and this process is no worker",
            ))
        } else if self.stop.as_deref().is_some_and(is_inherited) {
            Err(Failure::wrong_process(
                "this is a worker's call, and this process is a child of the worker",
            ))
        } else {
            Ok(())
        }
    }

    /// The look-out of this worker, with its handlers in force.
    fn stop(&mut self) -> Result<&mut Stop, Failure> {
        self.check_is_worker()?;
        if self.death_signal != 0 {
            // It may have changed its user since.
            self.tie_to_manager_again();
        }
        let failed = |error| Failure::system("a worker cannot watch for its end", error);
        let mut stop = match self.stop.take() {
            Some(stop) => stop,
            None => {
                let signals = STOP_SIGNALS.into_iter().chain([self.machine.stop_signal]);
                Box::new(Stop::new(self.owner.pid(), signals).map_err(failed)?)
            }
        };
        let caught = stop.catch_signals();
        let stop = self.stop.insert(stop);
        caught.map_err(failed)?;
        Ok(stop)
    }
}
