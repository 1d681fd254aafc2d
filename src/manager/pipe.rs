//! The pipe that ends a wait, and what becomes of it where the program closes descriptors that it does not know.
//!
//! Daemons close all descriptors, and their files then get the numbers. So before a wait, and before a byte goes in or comes
//! out, the manager looks whether the number is still its pipe (`os/descriptor.rs`). If not, it makes another pipe. The event
//! WAIT tells the host the new descriptor, `Waker` tells the handlers, and the scoreboard and the timesheet tell the workers that
//! are forked from then on. Workers of before have an end of a pipe that nobody reads. As long as one of them is there, the manager
//! looks every 250 ms at the scoreboard, and who is ready (`has_deaf_workers`).
//!
//! The loops of the library look only after code of the program has run, where there is one thread (`is_unchecked`). Such
//! code is a hook or, after a sleep that has not timed out, a signal handler. A fork may run code of the program as well
//! (pthread_atfork(3)), and nobody can tell whether it did. So after each fork the manager looks before its next wait, and the worker
//! looks before it closes the pipe.

use std::os::fd::RawFd;
use std::time::Duration;

use super::{Failure, Manager, Wait};
use crate::machine::Time;
use crate::os::wake::WakePipe;
use crate::os::{clock, stdio};

/// The pipe, made when it is first needed.
#[derive(Debug)]
pub(super) struct Pipe {
    pipe: Option<WakePipe>,
    /// There may be a byte in it.
    pub(super) may_be_full: bool,
    /// Code of the program has run since it was certain that the pipe is ours: it may have closed the descriptors.
    pub(super) is_unchecked: bool,
    /// When it was made anew: workers of before have ends of one that nobody reads.
    lost_at: Time,
}

impl Default for Pipe {
    fn default() -> Self {
        Pipe {
            pipe: None,
            may_be_full: false,
            is_unchecked: true,
            lost_at: Time::default(),
        }
    }
}

/// How long to wait for a descriptor, where a pipe could not be made for want of one.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn make() -> Result<WakePipe, Failure> {
    WakePipe::new().map_err(|errno| Failure::errno("pipe2", errno))
}

impl Pipe {
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    /// Whether workers have an end of it.
    pub(super) fn is_for_workers(&self) -> bool {
        let end = self.pipe.as_ref().and_then(WakePipe::end_for_workers);
        end.is_some()
    }

    /// The end that workers write to.
    pub(super) fn end_for_workers(&mut self) -> Result<Option<RawFd>, Failure> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(None);
        };
        let end = match pipe.end_for_workers() {
            Some(end) => end,
            None => open_for_workers(pipe)?,
        };
        Ok(Some(end))
    }

    pub(super) fn close_for_workers(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            pipe.close_for_workers();
        }
    }

    /// A worker has no use for the manager's pipe, and could harm it.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub(super) fn leave_to_worker(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            pipe.leave_to_worker();
        }
    }

    /// Empties it, if it is still there.
    pub(super) fn drain(&self) {
        if let Some(pipe) = &self.pipe {
            if !self.is_unchecked || pipe.is_readable() {
                pipe.drain();
            }
        }
    }
}

pub(super) fn open_for_workers(pipe: &mut WakePipe) -> Result<RawFd, Failure> {
    pipe.open_for_workers()
        .map_err(|errno| Failure::errno("pipe2", errno))
}

impl Manager {
    pub(super) fn use_pipe(&mut self, mut pipe: WakePipe) {
        self.remote.waker().set(&mut pipe);
        self.parent
            .set_wake(self.remote.waker(), self.remote.arrivals());
        self.pipe.pipe = Some(pipe);
    }

    /// Makes the pipe if there is none, for a call of the program.
    pub(super) fn wake_pipe(&mut self) -> Result<(), Failure> {
        if self.pipe.pipe.is_none() {
            self.use_pipe(make()?);
        } else {
            self.pipe.is_unchecked = true;
            self.keep_pipe()?;
        }
        Ok(())
    }

    /// Makes the pipe anew if the program has closed it: the numbers may be those of its own files by now. Returns whether
    /// that was so.
    fn keep_pipe(&mut self) -> Result<bool, Failure> {
        let Some(pipe) = self.pipe.pipe.as_ref().filter(|_| self.pipe.is_unchecked) else {
            return Ok(false);
        };
        let is_intact = pipe.is_intact();
        if !is_intact {
            self.make_pipe_anew()?;
        }
        // Other threads may close it at any time.
        self.pipe.is_unchecked = !stdio::is_known_to_have_one_thread();
        Ok(!is_intact)
    }

    #[cold]
    fn make_pipe_anew(&mut self) -> Result<(), Failure> {
        let mut pipe = make()?;
        let is_that = |old: &WakePipe| old.read_fd() == pipe.read_fd();
        if self.pipe.pipe.as_ref().is_some_and(is_that) {
            // A host that has it in an epoll(7) set, from which it is gone, is to see that it is another one.
            pipe = make()?;
        }
        if self.board.is_some() || self.timesheet.is_some() {
            let end = Some(open_for_workers(&mut pipe)?);
            if let Some(board) = &self.board {
                board.borrow_mut().set_wake_fd(end);
            }
            if let Some(timesheet) = &mut self.timesheet {
                timesheet.set_wake_fd(end);
            }
        }
        self.remote.waker().set(&mut pipe);
        self.pipe.pipe = Some(pipe);
        self.pipe.lost_at = clock::now();
        Ok(())
    }

    /// Whether there are workers that cannot wake the manager, as they were forked before its pipe was made anew.
    pub(super) fn has_deaf_workers(&mut self) -> bool {
        let lost_at = self.pipe.lost_at;
        if lost_at == Time::default() {
            return false;
        }
        let mut workers = self.machine.workers().iter();
        let is_there = workers.any(|worker| worker.spawned_at <= lost_at && !worker.reaped);
        if !is_there {
            self.pipe.lost_at = Time::default();
        }
        is_there && (self.board.is_some() || self.machine.awaits_a_ring())
    }

    /// Tells which descriptor ends a wait. Of a pipe that is new nobody knew, so that a signal may have come meanwhile; where
    /// none can be made it is to be tried again.
    pub(super) fn tell_pipe(&mut self, wait: &mut Wait) {
        match self.keep_pipe() {
            Ok(false) => {}
            Ok(true) => wait.timeout = Some(Duration::ZERO),
            Err(_) => {
                wait.at_most(TRY_AGAIN);
                return;
            }
        }
        wait.fd = self.pipe.pipe.as_ref().map(WakePipe::read_fd);
    }
}
