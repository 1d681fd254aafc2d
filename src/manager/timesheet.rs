//! The timesheet of a manager's workers. `os/timesheet.rs` has what is shared; `machine/overdue.rs` and
//! `machine/readiness.rs` have what the manager makes of it.

use std::os::fd::RawFd;
use std::time::Duration;

use super::{Failure, Manager};
use crate::machine::{Pid, WorkerTimeout};
use crate::os::timesheet::Timesheet;

/// An empty one, whose workers wake the manager by this end of its pipe.
pub(super) fn make(end_for_workers: Option<RawFd>) -> Result<Timesheet, Failure> {
    let timesheet = Timesheet::new().map_err(|error| Failure::system("mmap", error));
    let mut timesheet = timesheet?;
    timesheet.set_wake_fd(end_for_workers);
    Ok(timesheet)
}

impl Manager {
    /// Sets how long workers may be busy that are forked from now on (`OwnLine::busy`), and what then becomes of them. None: as
    /// long as they like, and so may all others. The first call makes the timesheet, which stays.
    ///
    /// # Errors
    /// There is no memory for the timesheet (mmap(2)), or no descriptor for the pipe (pipe2(2)).
    pub fn set_worker_timeout(&mut self, set: Option<WorkerTimeout>) -> Result<(), Failure> {
        self.check_is_manager()?;
        if set.is_some() {
            self.need_timesheet()?;
        }
        if self.machine.worker_timeout() != set {
            self.machine.set_worker_timeout(set);
            self.machine.wake();
        }
        Ok(())
    }

    /// Sets how long after its fork a worker has to be ready that is forked from now on (`OwnLine::ready`); then it is
    /// sent KILL. None: it need not say so, nor need all others.
    ///
    /// # Errors
    /// As `set_worker_timeout`.
    pub fn set_ready_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_is_manager()?;
        if timeout.is_some() {
            self.need_timesheet()?;
        }
        if self.machine.ready_timeout() != timeout {
            self.machine.set_ready_timeout(timeout);
            self.machine.wake();
        }
        Ok(())
    }

    /// From now on there is an event for each worker that gets ready, of those that are forked from now on.
    ///
    /// # Errors
    /// As `set_worker_timeout`.
    pub fn watch_ready(&mut self) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.need_timesheet()?;
        self.machine.tell_ready();
        Ok(())
    }

    fn need_timesheet(&mut self) -> Result<(), Failure> {
        if self.timesheet.is_none() {
            self.wake_pipe()?;
            let end = self.pipe.end_for_workers()?;
            self.timesheet = Some(make(end)?);
        }
        Ok(())
    }

    /// In a worker: from now on its [`Remote`](super::Remote) has its line.
    #[cold]
    pub(super) fn take_line(&self) {
        let line = self.timesheet.as_ref().zip(self.worker_index());
        if let Some(line) = line.and_then(|(timesheet, index)| timesheet.take_line(index)) {
            self.remote.set_own_line(line);
        }
    }

    /// A worker with this index is to be forked, of this generation.
    pub(super) fn prepare_line(&self, index: u32, generation: u64) {
        if let Some(timesheet) = &self.timesheet {
            let set = self.machine.worker_timeout();
            let span = set.map(|set| set.timeout);
            timesheet.prepare(index, generation, span, self.machine.tells_ready());
        }
    }

    /// The worker with this index has this pid.
    pub(super) fn note_on_timesheet(&self, index: u32, pid: Pid) {
        if let Some(timesheet) = &self.timesheet {
            timesheet.is_forked(index, pid);
        }
    }

    /// Lets the machine look at the timesheet, if a worker has rung for that.
    pub(super) fn answer_ring(&mut self) {
        let timesheet = self.timesheet.as_ref();
        let Some(rung) = timesheet.map(Timesheet::take_rings) else {
            return;
        };
        if rung.is_ready {
            self.machine.look_who_is_ready();
        }
        if rung.is_due {
            self.machine.look_at_times();
        }
    }
}
