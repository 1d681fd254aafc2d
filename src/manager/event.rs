//! What the manager asks its host to do.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::machine::{Exit, Pid, Signal};

/// The next thing for the host to do.
#[derive(Clone, Debug)]
pub enum Event {
    /// Fork a worker, and answer: [`Manager::forked`](super::Manager::forked) in both processes, or
    /// [`Manager::fork_failed`](super::Manager::fork_failed).
    Fork {
        /// The worker's index.
        index: u32,
        /// Its generation.
        generation: u64,
    },
    /// A child was reaped.
    Reaped {
        /// Who it was, and how it ended.
        exit: Exit,
        /// What it has used, with the descendants that it has waited for.
        rusage: libc::rusage,
    },
    /// A worker is ready for work. Only after [`Manager::watch_ready`](super::Manager::watch_ready).
    Ready {
        /// Its process id.
        pid: Pid,
        /// Its index.
        index: u32,
        /// Its generation.
        generation: u64,
    },
    /// The time of a worker is over, and the system has refused to kill it. Once for each worker, which is sent nothing
    /// more for that.
    KillFailed {
        /// Its process id.
        pid: Pid,
        /// Its index.
        index: u32,
        /// Its generation.
        generation: u64,
        /// Why, as kill(2) says it.
        errno: i32,
    },
    /// Nothing to do until a signal, the exit of a child, the descriptor or the time-out.
    Wait(Wait),
    /// A trapped signal has ended the run.
    Stopped(Signal),
    /// No worker is left.
    Drained,
    /// The time to wait for all workers is over.
    TimedOut {
        /// How many are left.
        workers: u32,
    },
}

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long at most; none: no limit.
    pub timeout: Option<Duration>,
    /// The descriptor to watch for reading; none: signals alone end the wait.
    pub fd: Option<RawFd>,
    /// SIGCHLD tells nothing new: children are looked for when the time is over, and not before.
    pub may_block_sigchld: bool,
}

impl Wait {
    /// Makes the time-out this, unless it is shorter.
    pub(super) fn at_most(&mut self, most: Duration) {
        self.timeout = Some(self.timeout.map_or(most, |timeout| timeout.min(most)));
    }
}
