//! What workers say of themselves, in memory that they share with the manager.
//!
//! The machine has no such memory: it asks. A worker may be in the hands of somebody else, and say anything, so no answer is
//! trusted further than this: it decides who is idle, and who has worked for too long.

use super::timers::Time;
use super::workers::Worker;

/// What the scoreboard and the timesheet say of the workers.
pub trait Statuses {
    /// Whether the scoreboard has this worker at work. The slot of its index may be another process's, and its own another
    /// one: only the pid tells.
    fn is_busy(&self, worker: &Worker) -> bool;

    /// What this worker has on the timesheet. Nothing if it was forked without one.
    fn times(&self, _worker: &Worker) -> Times {
        Times::default()
    }

    /// Whoever will be late before this moment has to wake the manager: it does not look at the timesheet sooner by itself.
    fn will_look(&self, _at: Time) {}

    /// Whether a debugger has hold of this worker.
    fn is_traced(&self, _worker: &Worker) -> bool {
        false
    }
}

/// What one worker has on the timesheet. It stays there until the next worker with the same index is forked, so it can still
/// be asked of one that was just reaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// By when it will be done with what it does; none if it has not said.
    pub due: Option<Time>,
    /// How many pieces of work it has begun.
    pub requests: u64,
    /// Whether it is at work...
    pub is_busy: bool,
    /// ... and since when it is, or is not.
    pub since: Time,
    /// Whether it has said that it is ready, or has begun to work.
    pub is_ready: bool,
}

/// A pool in which nobody says anything: nobody is known to be busy.
#[derive(Debug)]
pub struct NoStatuses;

impl Statuses for NoStatuses {
    fn is_busy(&self, _worker: &Worker) -> bool {
        false
    }
}
