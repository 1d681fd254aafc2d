//! When to look for children that have ended, and for whom.
//!
//! A look for any child (wait4(2) of -1) walks past all children in the kernel. It is not done on each turn of a loop that
//! forks, but after a sign that a child may have ended. The sign is a notice: a SIGCHLD, which often names the child.
//! Several notices may have become one, and somebody else may have reaped the child. So after a notice the machine looks
//!
//! 1. for the worker that the notice names, by its pid: the kernel finds it at once;
//! 2. for any child, until none is found; with many workers this is put off for a moment, see below;
//! 3. for each worker by its pid, once a second at most (`Step::Audit`). A worker that is no child any more was reaped by
//!    somebody else, and is reported with status -1. This also finds workers that clone(2) has made with another exit
//!    signal than SIGCHLD: a look for any child leaves them out.
//!
//! Where a notice may go to somebody else, all this is done once a second without one. `manager/sigchld.rs` knows where.
//!
//! Two looks for any child are put off, where workers are many (`PUT_OFF_EACH`):
//!
//! - After a named worker was reaped. Its successor is forked first. The kernel may put the successor on the manager's
//!   processor, and then it could begin only when the walk is over.
//! - While all workers are waited for, after a look that found nobody. While thousands end, a walk for each of them costs
//!   more than their ends do, and holds a lock that exiting workers need. So the look is put off, and then finds
//!   all that have ended meanwhile. A deadline does not wait for it. Until then SIGCHLD tells nothing new: the event WAIT
//!   says so (`may_block_sigchld`), `pf_wait` blocks the signal, and the Perl host leaves it to its default.

use core::time::Duration;

use super::compact::ShortQueue;
use super::timers::Time;
use super::workers::{Key, Pid, Workers};

/// Looking for workers that somebody else reaped costs a system call for each; it is done at
/// most this often.
const AUDIT_EVERY: Duration = Duration::from_secs(1);

/// How often children are looked for where one may end without a notice.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a look for any child is put off, for each worker in the table: some ten times what the look costs. It is not
/// put off if the sum is below the minimum, which is less than a sleep is worth.
const PUT_OFF_EACH: Duration = Duration::from_nanos(500);
const PUT_OFF_MIN: Duration = Duration::from_micros(100);

/// Whom to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// This worker.
    Worker(Pid),
    /// Any child.
    Any,
    /// Each worker by its pid.
    Each,
}

/// What is known of the ends of children.
#[derive(Debug)]
pub struct Looks {
    /// A child may have ended.
    changed: bool,
    /// Do not look for any child before this time: the worker that has ended is known by its pid.
    not_before: Option<Time>,
    /// When any child was looked for, and none had ended.
    found_none_at: Option<Time>,
    /// When each worker is to be looked at.
    each_at: Option<Time>,
    each_looked_at: Option<Time>,
    /// A child may end without a notice.
    in_time: bool,
    /// Those that a notice has named.
    named: ShortQueue<Key>,
}

impl Default for Looks {
    fn default() -> Self {
        Looks {
            // A child may have ended before anybody watched.
            changed: true,
            not_before: None,
            found_none_at: None,
            each_at: None,
            each_looked_at: None,
            in_time: false,
            named: ShortQueue::default(),
        }
    }
}

impl Looks {
    /// There was a notice. Whoever it was, somebody else may have
    /// reaped it, or another one with the same notice: before long each worker is looked at.
    pub fn noticed(&mut self, now: Time, workers: &Workers) {
        self.changed = true;
        self.not_before = None;
        if !workers.is_empty() {
            let last = self.each_looked_at;
            let next = last.map_or(now, |last| last.after(AUDIT_EVERY));
            self.each_at.get_or_insert(next.max(now));
        }
    }

    /// The same, and the notice names the child. If that is a worker, it is looked at before and apart
    /// from all others; they are looked for all the
    /// same, as their notices may have become one with this, but a fork comes before that. Of many they are
    /// looked for some time later, or the new worker might have to wait for the processor until that is done.
    pub fn named(&mut self, pid: Pid, now: Time, workers: &mut Workers) {
        let not_before = match (self.changed, self.not_before) {
            (false, _) => put_off(workers).map(|span| now.after(span)),
            (true, not_before) => not_before,
        };
        self.noticed(now, workers);
        if let Some(worker) = workers.get_mut(pid) {
            if !std::mem::replace(&mut worker.named, true) {
                self.named.push_back(worker.key());
            }
            self.not_before = not_before;
        }
    }

    /// Children may have ended without a notice; if `each`, the system may also have reaped them by itself.
    pub fn unnoticed(&mut self, each: bool) {
        self.changed = true;
        if each {
            self.each_at = Some(Time::default());
        }
    }

    /// Sets whether a child may end without a notice. Returns whether this has changed.
    pub fn set_in_time(&mut self, in_time: bool) -> bool {
        std::mem::replace(&mut self.in_time, in_time) != in_time
    }

    /// Any child was looked for, and none has ended.
    pub fn found_none(&mut self, now: Time) {
        self.changed = false;
        self.not_before = None;
        self.found_none_at = Some(now);
    }

    /// Each worker was looked at.
    pub fn looked_at_each(&mut self, now: Time) {
        self.each_looked_at = Some(now);
        self.each_at = None;
    }

    /// No worker is one of before.
    pub fn clear_named(&mut self) {
        self.named.clear();
    }

    /// Whom to look for now. `draining` says that all workers are waited for.
    pub fn next(&mut self, now: Time, workers: &mut Workers, draining: bool) -> Option<Look> {
        if let Some(pid) = self.take_named(workers) {
            return Some(Look::Worker(pid));
        }
        if self.in_time_at().is_some_and(|at| at <= now) {
            self.noticed(now, workers);
        }
        if self.changed && self.any_at(now, workers, draining) <= now {
            return Some(Look::Any);
        }
        let each_is_due = self.each_at.is_some_and(|at| at <= now);
        each_is_due.then_some(Look::Each)
    }

    /// When there is somebody to look for, if nothing happens before.
    pub fn next_at(&self, now: Time, workers: &Workers, draining: bool) -> Option<Time> {
        let any_at = if self.changed {
            Some(self.any_at(now, workers, draining))
        } else {
            self.in_time_at()
        };
        self.each_at.into_iter().chain(any_at).min()
    }

    /// Whether children are looked for at a certain time only, which one more notice
    /// would not bring about sooner.
    pub fn is_put_off(&self, now: Time, workers: &Workers, draining: bool) -> bool {
        self.changed && draining && self.any_at(now, workers, draining) > now
    }

    /// When any child may be looked for: `now`, but for a pool of many.
    fn any_at(&self, now: Time, workers: &Workers, draining: bool) -> Time {
        let not_before = if draining {
            let last = self.found_none_at.zip(put_off(workers));
            last.map(|(last, span)| last.after(span))
        } else {
            self.not_before
        };
        not_before.map_or(now, |at| at.max(now))
    }

    /// When the next look comes that no notice has asked for.
    fn in_time_at(&self) -> Option<Time> {
        let last = self.found_none_at;
        let at = last.map_or(Time::default(), |last| last.after(LOOK_EVERY));
        self.in_time.then_some(at)
    }

    /// The next worker that a notice has named, and that is still to be looked at.
    fn take_named(&mut self, workers: &mut Workers) -> Option<Pid> {
        while let Some(key) = self.named.pop_front() {
            if let Some(worker) = workers.with_key_mut(key) {
                worker.named = false;
                // It may have been reaped meanwhile.
                if !worker.reaped {
                    return Some(worker.pid);
                }
            }
        }
        None
    }
}

/// For how long a look for any child is put off, if workers are many.
fn put_off(workers: &Workers) -> Option<Duration> {
    let workers = u32::try_from(workers.len()).unwrap_or(u32::MAX);
    let span = PUT_OFF_EACH.saturating_mul(workers);
    (span >= PUT_OFF_MIN).then_some(span)
}
