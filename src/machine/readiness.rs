//! Which workers are ready for work.
//!
//! A worker is **starting** from its fork until it is ready: until it says so on the timesheet or, where there is no
//! time for that (`ready_timeout`), until it has lived for a second. One whose time is over is killed (`deadlines.rs`).
//!
//! If each worker that gets ready is to be told, it rings when it says so (`os/timesheet.rs`), and the manager looks at the
//! lines of all that are starting. Otherwise nobody is woken for it: the line is read when the time is over.
//!
//! Nothing of this is there until somebody wants to know: `ready_timeout` is set, or each worker that gets ready is to
//! be told. Workers of before are taken for ready, and so are those that the host has forked by itself.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::excuses::Excuses;
use super::said::Statuses;
use super::timers::Time;
use super::workers::{Key, Worker, Workers};

/// A worker that says nothing is ready when it has lived for so long.
pub const READY_AFTER: Duration = Duration::from_secs(1);

/// Who is starting, and what there is to tell of those who were.
#[derive(Debug, Default)]
pub struct Readiness {
    timeout: Option<Duration>,
    is_told: bool,
    /// And whether it is told when they are ready.
    starting: BTreeMap<Key, bool>,
    to_tell: VecDeque<Key>,
    has_rung: bool,
    excuses: Excuses,
}

impl Readiness {
    /// How long after its fork a worker has to be ready that is forked now; none: it need not say so.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Sets that. Returns for whom no time runs any more, if there is none now: they are starting still.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Vec<Key> {
        self.timeout = timeout;
        if timeout.is_some() {
            return Vec::new();
        }
        self.excuses = Excuses::default();
        if !self.is_told {
            self.starting.clear();
        }
        self.starting.keys().copied().collect()
    }

    /// From now on each worker that gets ready is to be told.
    pub fn tell(&mut self) {
        self.is_told = true;
    }

    /// Whether somebody wants to know of workers that are forked now.
    pub fn is_wanted(&self) -> bool {
        self.is_told || self.timeout.is_some()
    }

    /// Whether workers that are forked now ring when they are ready.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// This worker was forked.
    pub fn starts(&mut self, key: Key) {
        self.starting.insert(key, self.is_told);
    }

    /// Whether it was not seen to be ready yet.
    pub fn is_starting(&self, key: Key) -> bool {
        self.starting.contains_key(&key)
    }

    /// Whether anybody is to ring who was not.
    pub fn awaits_a_ring(&self) -> bool {
        self.is_told && !self.starting.is_empty()
    }

    /// It is.
    pub fn is_ready(&mut self, key: Key) {
        if self.starting.remove(&key) == Some(true) {
            self.to_tell.push_back(key);
        }
    }

    /// It has ended, or is no worker any more.
    pub fn is_gone(&mut self, key: Key) {
        self.starting.remove(&key);
        self.to_tell.retain(|other| *other != key);
    }

    /// A worker is ready, perhaps.
    pub fn has_rung(&mut self) {
        self.has_rung = true;
    }

    /// Looks who is ready, if somebody has rung.
    pub fn look(&mut self, workers: &Workers, said: &dyn Statuses) {
        if !std::mem::take(&mut self.has_rung) {
            return;
        }
        let ready: Vec<Key> = self
            .starting
            .keys()
            .copied()
            .filter(|&key| {
                let worker = workers.with_key(key);
                // One that was killed for it has said so too late.
                let worker = worker.filter(|worker| !worker.sent.was_not_ready());
                worker.is_some_and(|worker| said.times(worker).is_ready)
            })
            .collect();
        for key in ready {
            self.is_ready(key);
        }
    }

    /// The next worker to tell of. Each is told once.
    pub fn next_to_tell<'a>(&mut self, workers: &'a Workers) -> Option<&'a Worker> {
        workers.with_key(self.to_tell.pop_front()?)
    }

    /// The manager has waited, and has wanted to be back at `wanted` at the latest.
    pub fn is_back(&mut self, wanted: Time, now: Time) {
        if let Some(timeout) = self.timeout {
            self.excuses.is_back(wanted, now, timeout);
        }
    }

    /// When the time of a worker is over that was to be over then.
    pub fn due(&self, at: Time) -> Time {
        self.excuses.due(at)
    }

    /// Nobody is a worker any more.
    pub fn clear(&mut self) {
        self.starting.clear();
        self.to_tell.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::said::Times;
    use super::super::workers::Pid;
    use super::*;

    /// The pids of those who have said that they are ready.
    struct Ready<'a>(&'a [Pid]);

    impl Statuses for Ready<'_> {
        fn is_busy(&self, _: &Worker) -> bool {
            false
        }

        fn times(&self, worker: &Worker) -> Times {
            Times {
                is_ready: self.0.contains(&worker.pid),
                ..Times::default()
            }
        }
    }

    fn starting(pids: &[Pid]) -> (Workers, Readiness) {
        let mut workers = Workers::default();
        let mut readiness = Readiness::default();
        readiness.tell();
        for &pid in pids {
            workers.enter(pid, 1, Time(0));
            readiness.starts(workers.get(pid).unwrap().key());
        }
        (workers, readiness)
    }

    fn told(readiness: &mut Readiness, workers: &Workers) -> Vec<Pid> {
        std::iter::from_fn(|| readiness.next_to_tell(workers).map(|worker| worker.pid)).collect()
    }

    #[test]
    fn who_has_said_so_is_ready_and_told_once() {
        let (workers, mut readiness) = starting(&[1, 2, 3]);
        readiness.has_rung();
        readiness.look(&workers, &Ready(&[2, 3]));
        assert_eq!(told(&mut readiness, &workers), [2, 3]);
        readiness.has_rung();
        readiness.look(&workers, &Ready(&[2, 3]));
        assert_eq!(told(&mut readiness, &workers), []);
        let is_starting = |pid| readiness.is_starting(workers.get(pid).unwrap().key());
        assert!(is_starting(1) && !is_starting(2) && !is_starting(3));
        assert!(readiness.awaits_a_ring());
        readiness.is_gone(workers.get(1).unwrap().key());
        assert!(!readiness.awaits_a_ring());
    }

    #[test]
    fn nobody_is_looked_at_until_somebody_rings() {
        let (workers, mut readiness) = starting(&[1]);
        readiness.look(&workers, &Ready(&[1]));
        assert_eq!(told(&mut readiness, &workers), []);
        readiness.has_rung();
        readiness.look(&workers, &Ready(&[]));
        readiness.look(&workers, &Ready(&[1]));
        assert_eq!(told(&mut readiness, &workers), []);
    }

    #[test]
    fn who_is_gone_is_not_told_nor_who_was_killed_for_it() {
        let (mut workers, mut readiness) = starting(&[1, 2, 3, 4]);
        workers.get_mut(4).unwrap().sent.note_not_ready();
        readiness.is_gone(workers.get(3).unwrap().key());
        readiness.has_rung();
        readiness.look(&workers, &Ready(&[1, 2, 3, 4]));
        readiness.is_gone(workers.get(1).unwrap().key());
        assert_eq!(told(&mut readiness, &workers), [2]);
        assert!(readiness.is_starting(workers.get(4).unwrap().key()));
    }

    #[test]
    fn without_anybody_who_wants_to_know_nobody_is_starting() {
        let (workers, mut readiness) = starting(&[1]);
        let key = workers.get(1).unwrap().key();
        assert_eq!(readiness.set_timeout(Some(READY_AFTER)), []);
        assert_eq!(readiness.set_timeout(None), [key]);
        assert!(readiness.is_wanted());
        readiness.is_told = false;
        assert_eq!(readiness.set_timeout(None), []);
        assert!(!readiness.is_wanted() && !readiness.is_starting(key));
    }

    #[test]
    fn who_gets_ready_twice_is_told_once_and_nobody_is_after_a_clearance() {
        let (workers, mut readiness) = starting(&[1, 2]);
        let keys = [1, 2].map(|pid| workers.get(pid).unwrap().key());
        readiness.is_ready(keys[0]);
        readiness.is_ready(keys[0]);
        assert_eq!(told(&mut readiness, &workers), [1]);
        readiness.is_ready(keys[1]);
        readiness.clear();
        assert_eq!(told(&mut readiness, &workers), []);
    }

    #[test]
    fn who_was_forked_before_is_not_told_nor_awaited() {
        let mut workers = Workers::default();
        let mut readiness = Readiness::default();
        readiness.set_timeout(Some(READY_AFTER));
        let mut fork = |readiness: &mut Readiness, pid| {
            workers.enter(pid, 1, Time(0));
            readiness.starts(workers.get(pid).unwrap().key());
        };
        fork(&mut readiness, 1);
        assert!(!readiness.awaits_a_ring());
        readiness.tell();
        fork(&mut readiness, 2);
        assert!(readiness.awaits_a_ring());
        readiness.has_rung();
        readiness.look(&workers, &Ready(&[1, 2]));
        assert_eq!(told(&mut readiness, &workers), [2]);
    }
}
