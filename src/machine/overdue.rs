//! Workers that are not done by the time that they have said.
//!
//! A worker says on the timesheet by when it will be done with what it does: it is **due** then. It is not asked, and an idle
//! one says nothing. So the manager looks at all lines of the sheet from time to time:
//!
//! - A busy time that begins now is due `timeout` later, so the next look need not come sooner. One look in that time is
//!   enough for any number of workers, unless somebody is due earlier: then it comes when the first of them is.
//! - A worker may want less time than that. It compares when it is due with the moment of the next look, which the manager has
//!   told on the sheet (`Statuses::will_look`), and wakes the manager if it is due before. The manager tells before it reads
//!   the lines: so it sees what a worker has written, or that worker sees what the manager has told.
//!
//! Whoever was due while the manager itself was away is excused, once (`excuses.rs`).

use core::time::Duration;

use super::excuses::Excuses;
use super::said::Statuses;
use super::timers::Time;
use super::workers::{Key, Line, Worker, Workers};

/// How long workers may be busy, and what then becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerTimeout {
    /// How long a worker is busy that says no other time.
    pub timeout: Duration,
    /// If it is there, the worker is sent ABRT, and KILL so much later; otherwise KILL at once.
    pub grace: Option<Duration>,
}

/// The looks at the timesheet.
#[derive(Debug)]
pub struct Overdue {
    /// What was set.
    pub set: WorkerTimeout,
    looks_at: Time,
    excuses: Excuses,
}

impl Overdue {
    /// The first look comes at once.
    pub fn new(set: WorkerTimeout) -> Overdue {
        Overdue {
            set,
            looks_at: Time::default(),
            excuses: Excuses::default(),
        }
    }

    /// The next look comes at once: something has changed, or a worker wants to be looked at.
    pub fn look_soon(&mut self) {
        self.looks_at = Time::default();
    }

    /// When the next look comes, if there is anybody to look at.
    pub fn looks_at(&self, workers: &Workers) -> Option<Time> {
        (!workers.is_empty()).then_some(self.looks_at)
    }

    /// The manager has waited, and has wanted to be back at `wanted` at the latest.
    pub fn is_back(&mut self, wanted: Time, now: Time) {
        self.excuses.is_back(wanted, now, self.set.timeout);
    }

    /// Looks at all lines if it is time for that. Returns who is late and was not seen to be before.
    pub fn look(&mut self, now: Time, workers: &Workers, said: &dyn Statuses) -> Vec<Key> {
        if self.looks_at(workers).is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut next = now.after(self.set.timeout);
        said.will_look(next);
        let mut late = Vec::new();
        for worker in workers.iter() {
            match self.due(worker, said) {
                Some(due) if due > now => next = next.min(due),
                Some(_) if worker.line != Line::Late => late.push(worker.key()),
                Some(_) | None => {}
            }
        }
        self.looks_at = next;
        said.will_look(next);
        late
    }

    /// When this worker is due, as far as that counts: of one that was told to end only the time for that does.
    fn due(&self, worker: &Worker, said: &dyn Statuses) -> Option<Time> {
        if !worker.has_line() || worker.leaving || worker.reaped {
            return None;
        }
        let due = said.times(worker).due?;
        Some(self.excuses.due(due))
    }

    /// Whether this worker is still late: it may have gone on meanwhile.
    pub fn is_late(&self, worker: &Worker, now: Time, said: &dyn Statuses) -> bool {
        self.due(worker, said).is_some_and(|due| due <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::super::said::Times;
    use super::super::workers::Pid;
    use super::*;

    const TIMEOUT: u64 = 60_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// When each is due, by index; and what the workers were told.
    #[derive(Default)]
    struct Sheet {
        due: RefCell<Vec<u64>>,
        told: Cell<u64>,
    }

    impl Statuses for Sheet {
        fn is_busy(&self, _: &Worker) -> bool {
            false
        }

        fn times(&self, worker: &Worker) -> Times {
            let due = self.due.borrow()[worker.index as usize];
            Times {
                due: (due != 0).then_some(Time(due)),
                ..Times::default()
            }
        }

        fn will_look(&self, at: Time) {
            self.told.set(at.0);
        }
    }

    fn pool(due: &[u64]) -> (Overdue, Workers, Sheet) {
        let mut workers = Workers::default();
        for pid in 1..=due.len() as Pid {
            workers.enter(pid, 1, Time(0));
            workers.get_mut(pid).unwrap().line = Line::Own;
        }
        let sheet = Sheet::default();
        *sheet.due.borrow_mut() = due.to_vec();
        let set = WorkerTimeout {
            timeout: Duration::from_nanos(TIMEOUT),
            grace: None,
        };
        (Overdue::new(set), workers, sheet)
    }

    fn late(overdue: &mut Overdue, now: u64, workers: &Workers, sheet: &Sheet) -> Vec<Pid> {
        let keys = overdue.look(Time(now), workers, sheet);
        let pids = keys.iter().map(|&key| workers.with_key(key).unwrap().pid);
        pids.collect()
    }

    #[test]
    fn who_is_late_is_seen_when_it_is_due_and_not_before() {
        let (mut overdue, workers, sheet) = pool(&[0, 70, 50]);
        assert_eq!(late(&mut overdue, 10, &workers, &sheet), []);
        assert_eq!(overdue.looks_at(&workers), Some(Time(50)));
        assert_eq!(sheet.told.get(), 50);
        assert_eq!(late(&mut overdue, 49, &workers, &sheet), []);
        assert_eq!(late(&mut overdue, 50, &workers, &sheet), [3]);
        assert_eq!(overdue.looks_at(&workers), Some(Time(70)));
    }

    #[test]
    fn one_look_in_each_time_is_enough_where_all_are_done_in_time() {
        let (mut overdue, workers, sheet) = pool(&[0; 100]);
        let mut looks = 0;
        for n in 0..1000 {
            let now = n * TIMEOUT / 100;
            let mut due = sheet.due.borrow_mut();
            // Each is busy for a moment, one after the other.
            due.fill(0);
            due[n as usize % 100] = now + TIMEOUT;
            drop(due);
            looks += u32::from(overdue.looks_at(&workers).is_some_and(|at| at.0 <= now));
            assert_eq!(late(&mut overdue, now, &workers, &sheet), []);
        }
        assert!((10..=11).contains(&looks), "{looks} looks in 10 times");
    }

    #[test]
    fn nobody_counts_who_was_told_to_end_or_has_ended_or_has_no_line() {
        let (mut overdue, mut workers, sheet) = pool(&[5, 5, 5, 5, 5]);
        workers.get_mut(1).unwrap().leaving = true;
        workers.get_mut(2).unwrap().reaped = true;
        workers.get_mut(3).unwrap().line = Line::None;
        workers.get_mut(4).unwrap().line = Line::Late;
        assert_eq!(late(&mut overdue, 10, &workers, &sheet), [5]);
    }

    #[test]
    fn what_a_worker_says_is_no_reason_to_fail() {
        let (mut overdue, workers, sheet) = pool(&[u64::MAX, 1, u64::MAX - 1]);
        assert_eq!(late(&mut overdue, u64::MAX - 2, &workers, &sheet), [2]);
        assert_eq!(overdue.looks_at(&workers), Some(Time(u64::MAX - 1)));
    }

    #[test]
    fn without_workers_there_is_no_look() {
        let (mut overdue, workers, sheet) = pool(&[]);
        assert_eq!(overdue.looks_at(&workers), None);
        assert_eq!(late(&mut overdue, 10, &workers, &sheet), []);
        assert_eq!(sheet.told.get(), 0);
    }

    #[test]
    fn who_was_due_while_the_manager_was_away_gets_time_again_once() {
        let (mut overdue, workers, sheet) = pool(&[10 * SECOND, 12 * SECOND, 9 * SECOND]);
        assert_eq!(late(&mut overdue, 0, &workers, &sheet), []);
        // The third one is done; the manager was to be back when the first is due.
        sheet.due.borrow_mut()[2] = 0;
        overdue.is_back(Time(10 * SECOND), Time(14 * SECOND));
        assert_eq!(late(&mut overdue, 14 * SECOND, &workers, &sheet), []);
        assert_eq!(overdue.looks_at(&workers), Some(Time(18 * SECOND)));
        // Late again, it does not excuse them again, but one that was due later.
        sheet.due.borrow_mut()[2] = 19 * SECOND;
        overdue.is_back(Time(18 * SECOND), Time(20 * SECOND));
        assert_eq!(late(&mut overdue, 20 * SECOND, &workers, &sheet), [1, 2]);
        assert_eq!(overdue.looks_at(&workers), Some(Time(22 * SECOND)));
        overdue.is_back(Time(22 * SECOND), Time(23 * SECOND));
        let late = late(&mut overdue, 23 * SECOND, &workers, &sheet);
        assert_eq!(late, [1, 2, 3], "a second is not late");
    }

    #[test]
    fn nobody_gets_more_than_the_timeout_again() {
        let (mut overdue, workers, sheet) = pool(&[10 * SECOND]);
        let now = 10 * SECOND + 100 * TIMEOUT;
        overdue.is_back(Time(10 * SECOND), Time(now));
        assert_eq!(late(&mut overdue, now, &workers, &sheet), []);
        assert_eq!(overdue.looks_at(&workers), Some(Time(now + TIMEOUT)));
    }
}
