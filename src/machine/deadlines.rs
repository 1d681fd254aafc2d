//! By when a worker has to be gone: one that was told to end, or one that is late with its work. As long as no time is set,
//! there is nothing here, and nothing is looked at.
//!
//! A worker has one deadline that ends with KILL, and is sent that once. Once it was told to end, only the time for that counts.

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::overdue::{Overdue, WorkerTimeout};
use super::said::Statuses;
use super::sent::Signal;
use super::timers::Time;
use super::workers::{Key, Pid, Workers};

/// A worker and the end of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: Time,
    key: Key,
    /// It was looked whether it has ended by itself, which nobody may have noticed yet.
    looked_for: bool,
    why: Why,
}

/// Why a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was told to end, and has not.
    GraceOver,
    /// The same. The signal that told it was for its process group, and KILL is for it then.
    GraceOfGroupOver,
    /// It is not done by the time that it has said.
    Late,
    /// It was sent ABRT for that, and has not ended.
    StillThere,
}

/// The time that workers have, and whose time runs.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// How long after they were told to end; none for as long as they like.
    pub graceful_timeout: Option<Duration>,
    /// The looks at the timesheet; none if workers may be busy for as long as they like.
    overdue: Option<Overdue>,
    wants_to_be_back_at: Option<Time>,
    running: BinaryHeap<Reverse<Deadline>>,
}

/// What is to be done about a worker whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Look whether it has ended.
    Look(Pid),
    /// It has not: send it ABRT first.
    Abort(Pid),
    /// Kill it; and, if its group was told, the process group that it leads.
    Kill(Pid, Why),
}

impl Deadlines {
    /// A worker was told to end, by this signal, at `now`. A second signal prolongs nothing.
    pub fn told(&mut self, pid: Pid, signal: Signal, now: Time, workers: &mut Workers) {
        let (Some(span), Some(worker)) = (self.graceful_timeout, workers.get_mut(pid)) else {
            return;
        };
        if std::mem::replace(&mut worker.leaving, true) {
            return;
        }
        let key = worker.key();
        self.drop_those_gone(workers);
        let why = if signal < 0 {
            Why::GraceOfGroupOver
        } else {
            Why::GraceOver
        };
        self.add(now.after(span), key, why);
    }

    fn add(&mut self, at: Time, key: Key, why: Why) {
        self.running.push(Reverse(Deadline {
            at,
            key,
            looked_for: false,
            why,
        }));
    }

    /// Sets how long workers may be busy; none: as long as they like.
    pub fn set_worker_timeout(&mut self, set: Option<WorkerTimeout>) {
        match (&mut self.overdue, set) {
            (Some(overdue), Some(set)) => {
                overdue.set = set;
                overdue.look_soon();
            }
            (overdue, set) => *overdue = set.map(Overdue::new),
        }
    }

    /// What was set for workers that are forked now.
    pub fn worker_timeout(&self) -> Option<WorkerTimeout> {
        self.overdue.as_ref().map(|overdue| overdue.set)
    }

    /// A worker is due before the next look, and wants one.
    pub fn look_soon(&mut self) {
        if let Some(overdue) = &mut self.overdue {
            overdue.look_soon();
        }
    }

    /// The manager waits, until this time at the latest.
    pub fn will_be_back(&mut self, at: Option<Time>) {
        self.wants_to_be_back_at = at.filter(|_| self.overdue.is_some());
    }

    /// It is back, if it has waited.
    pub fn is_back(&mut self, now: Time) {
        let wanted = self.wants_to_be_back_at.take();
        if let (Some(overdue), Some(wanted)) = (&mut self.overdue, wanted) {
            overdue.is_back(wanted, now);
        }
    }

    /// Looks at the timesheet, if it is time for that.
    pub fn look(&mut self, now: Time, workers: &mut Workers, said: &dyn Statuses) {
        let Some(overdue) = &mut self.overdue else {
            return;
        };
        for key in overdue.look(now, workers, said) {
            if let Some(worker) = workers.with_key_mut(key) {
                worker.overdue = true;
                self.add(now, key, Why::Late);
            }
        }
    }

    /// What is to be done about the next worker whose time is over. It is killed once.
    pub fn next_over(
        &mut self,
        now: Time,
        workers: &mut Workers,
        said: &dyn Statuses,
    ) -> Option<Over> {
        while self.next_at(workers)? <= now {
            let Reverse(mut deadline) = self.running.pop()?;
            let worker = workers.with_key_mut(deadline.key)?;
            let pid = worker.pid;
            if deadline.why == Why::Late {
                let overdue = self.overdue.as_ref();
                let is_late = overdue.is_some_and(|overdue| overdue.is_late(worker, now, said));
                // A debugger may have hold of it for hours. It is seen again at the next look.
                if !is_late || (deadline.looked_for && said.is_traced(worker)) {
                    worker.overdue = false;
                    continue;
                }
            }
            if !std::mem::replace(&mut deadline.looked_for, true) {
                self.running.push(Reverse(deadline));
                return Some(Over::Look(pid));
            }
            worker.leaving = true;
            let grace = self.overdue.as_ref().and_then(|overdue| overdue.set.grace);
            return Some(match (deadline.why, grace) {
                (Why::Late, Some(grace)) => {
                    self.add(now.after(grace), deadline.key, Why::StillThere);
                    Over::Abort(pid)
                }
                (why, _) => Over::Kill(pid, why),
            });
        }
        None
    }

    /// This worker is none any more.
    pub fn forget(&mut self, key: Key) {
        self.running.retain(|Reverse(deadline)| deadline.key != key);
    }

    /// When something is to be done here.
    pub fn wants_to_act_at(&mut self, workers: &Workers) -> Option<Time> {
        let looks_at = self
            .overdue
            .as_ref()
            .and_then(|overdue| overdue.looks_at(workers));
        self.next_at(workers).into_iter().chain(looks_at).min()
    }

    /// When the time of a worker is over that is still there.
    fn next_at(&mut self, workers: &Workers) -> Option<Time> {
        while let Some(&Reverse(deadline)) = self.running.peek() {
            if is_there(workers, deadline) {
                return Some(deadline.at);
            }
            self.running.pop();
        }
        None
    }

    /// Nobody is a worker any more.
    pub fn clear(&mut self) {
        self.running.clear();
        self.wants_to_be_back_at = None;
        self.look_soon();
    }

    /// Most workers end in time and leave theirs here, which is to be no more than there are workers.
    fn drop_those_gone(&mut self, workers: &Workers) {
        if self.running.len() > 2 * workers.len() {
            self.running
                .retain(|&Reverse(deadline)| is_there(workers, deadline));
        }
    }
}

fn is_there(workers: &Workers, deadline: Deadline) -> bool {
    workers
        .with_key(deadline.key)
        .is_some_and(|worker| !worker.reaped)
}

#[cfg(test)]
mod tests {
    use super::super::said::{NoStatuses, Times};
    use super::super::sent::TERM;
    use super::super::workers::Worker;
    use super::*;

    const GRACE: Duration = Duration::from_nanos(100);

    fn pool(n: Pid) -> (Workers, Deadlines) {
        let mut workers = Workers::default();
        for pid in 1..=n {
            workers.enter(pid, 1, Time(0));
        }
        let deadlines = Deadlines {
            graceful_timeout: Some(GRACE),
            ..Deadlines::default()
        };
        (workers, deadlines)
    }

    #[test]
    fn each_is_killed_once_when_its_time_is_over() {
        let (mut workers, mut deadlines) = pool(2);
        deadlines.told(2, TERM, Time(10), &mut workers);
        deadlines.told(1, -TERM, Time(20), &mut workers);
        assert_eq!(deadlines.next_at(&workers), Some(Time(110)));
        assert_eq!(
            deadlines.next_over(Time(109), &mut workers, &NoStatuses),
            None
        );
        let next: Vec<_> = (0..5)
            .map_while(|_| deadlines.next_over(Time(120), &mut workers, &NoStatuses))
            .collect();
        let expected = [
            Over::Look(2),
            Over::Kill(2, Why::GraceOver),
            Over::Look(1),
            Over::Kill(1, Why::GraceOfGroupOver),
        ];
        assert_eq!(next, expected);
        assert_eq!(
            deadlines.next_over(Time(900), &mut workers, &NoStatuses),
            None
        );
        assert_eq!(deadlines.next_at(&workers), None);
    }

    #[test]
    fn a_second_signal_prolongs_nothing() {
        let (mut workers, mut deadlines) = pool(1);
        deadlines.told(1, TERM, Time(0), &mut workers);
        deadlines.told(1, TERM, Time(50), &mut workers);
        assert_eq!(
            deadlines.next_over(Time(100), &mut workers, &NoStatuses),
            Some(Over::Look(1))
        );
        assert_eq!(
            deadlines.next_over(Time(100), &mut workers, &NoStatuses),
            Some(Over::Kill(1, Why::GraceOver))
        );
        deadlines.told(1, TERM, Time(101), &mut workers);
        assert_eq!(deadlines.next_at(&workers), None);
    }

    #[test]
    fn whoever_is_gone_is_not_killed_nor_who_has_got_its_number() {
        let (mut workers, mut deadlines) = pool(2);
        deadlines.told(1, TERM, Time(0), &mut workers);
        deadlines.told(2, TERM, Time(0), &mut workers);
        workers.remove(1);
        workers.enter(1, 1, Time(10));
        workers.get_mut(2).unwrap().reaped = true;
        assert_eq!(deadlines.next_at(&workers), None);
        assert_eq!(
            deadlines.next_over(Time(900), &mut workers, &NoStatuses),
            None
        );
    }

    #[test]
    fn those_who_ended_in_time_leave_nothing_for_long() {
        let (mut workers, mut deadlines) = pool(3);
        for n in 1..1000 {
            deadlines.told(1, TERM, Time(n), &mut workers);
            workers.remove(1);
            workers.enter(1, 1, Time(n));
        }
        assert!(deadlines.running.len() <= 2 * workers.len() + 1);
    }

    #[test]
    fn a_time_that_was_set_later_counts_for_those_told_later() {
        let (mut workers, mut deadlines) = pool(2);
        deadlines.graceful_timeout = None;
        deadlines.told(1, TERM, Time(0), &mut workers);
        deadlines.graceful_timeout = Some(GRACE);
        deadlines.told(2, TERM, Time(0), &mut workers);
        deadlines.graceful_timeout = None;
        assert_eq!(
            deadlines.next_over(Time(100), &mut workers, &NoStatuses),
            Some(Over::Look(2))
        );
        assert_eq!(
            deadlines.next_over(Time(100), &mut workers, &NoStatuses),
            Some(Over::Kill(2, Why::GraceOver))
        );
        assert_eq!(
            deadlines.next_over(Time(100), &mut workers, &NoStatuses),
            None
        );
    }

    /// All are due then; those with a pid in the list are traced.
    struct Due<'a>(u64, &'a [Pid]);

    impl Statuses for Due<'_> {
        fn is_busy(&self, _: &Worker) -> bool {
            true
        }

        fn times(&self, _: &Worker) -> Times {
            Times {
                due: Some(Time(self.0)),
                ..Times::default()
            }
        }

        fn is_traced(&self, worker: &Worker) -> bool {
            self.1.contains(&worker.pid)
        }
    }

    fn busy_pool(n: Pid, grace: Option<Duration>) -> (Workers, Deadlines) {
        let (mut workers, mut deadlines) = pool(n);
        for pid in 1..=n {
            workers.get_mut(pid).unwrap().has_line = true;
        }
        let timeout = Duration::from_nanos(1000);
        deadlines.set_worker_timeout(Some(WorkerTimeout { timeout, grace }));
        (workers, deadlines)
    }

    /// All that is to be done at this time.
    fn all_over(
        deadlines: &mut Deadlines,
        now: u64,
        workers: &mut Workers,
        said: &dyn Statuses,
    ) -> Vec<Over> {
        deadlines.look(Time(now), workers, said);
        std::iter::from_fn(|| deadlines.next_over(Time(now), workers, said)).collect()
    }

    #[test]
    fn one_that_is_late_is_killed_once() {
        let (mut workers, mut deadlines) = busy_pool(1, None);
        assert_eq!(all_over(&mut deadlines, 9, &mut workers, &Due(10, &[])), []);
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(10)));
        let killed = [Over::Look(1), Over::Kill(1, Why::Late)];
        assert_eq!(
            all_over(&mut deadlines, 10, &mut workers, &Due(10, &[])),
            killed
        );
        assert_eq!(
            all_over(&mut deadlines, 9999, &mut workers, &Due(10, &[])),
            []
        );
    }

    #[test]
    fn with_a_grace_abrt_comes_first() {
        let (mut workers, mut deadlines) = busy_pool(1, Some(Duration::from_nanos(50)));
        let aborted = [Over::Look(1), Over::Abort(1)];
        assert_eq!(
            all_over(&mut deadlines, 10, &mut workers, &Due(10, &[])),
            aborted
        );
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(60)));
        // Whatever it says meanwhile, and whatever else it is told.
        deadlines.told(1, TERM, Time(20), &mut workers);
        assert_eq!(
            all_over(&mut deadlines, 59, &mut workers, &Due(999, &[])),
            []
        );
        let killed = [Over::Look(1), Over::Kill(1, Why::StillThere)];
        assert_eq!(
            all_over(&mut deadlines, 60, &mut workers, &Due(999, &[])),
            killed
        );
        assert_eq!(
            all_over(&mut deadlines, 9999, &mut workers, &Due(10, &[])),
            []
        );
    }

    #[test]
    fn one_that_goes_on_before_it_is_killed_is_not_killed() {
        let (mut workers, mut deadlines) = busy_pool(1, None);
        deadlines.look(Time(10), &mut workers, &Due(10, &[]));
        let look = deadlines.next_over(Time(10), &mut workers, &Due(10, &[]));
        assert_eq!(look, Some(Over::Look(1)));
        let next = deadlines.next_over(Time(10), &mut workers, &Due(20, &[]));
        assert_eq!(next, None);
        // It woke us, as the look was to come later than it is due.
        deadlines.look_soon();
        let killed = [Over::Look(1), Over::Kill(1, Why::Late)];
        assert_eq!(
            all_over(&mut deadlines, 20, &mut workers, &Due(20, &[])),
            killed
        );
    }

    #[test]
    fn one_that_is_traced_is_looked_at_later() {
        let (mut workers, mut deadlines) = busy_pool(2, None);
        let traced = Due(10, &[2]);
        let over = all_over(&mut deadlines, 10, &mut workers, &traced);
        assert_eq!(
            over,
            [Over::Look(1), Over::Kill(1, Why::Late), Over::Look(2)]
        );
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(1010)));
        let killed = [Over::Look(2), Over::Kill(2, Why::Late)];
        assert_eq!(
            all_over(&mut deadlines, 1010, &mut workers, &Due(10, &[])),
            killed
        );
    }

    #[test]
    fn for_one_that_was_told_to_end_only_the_time_for_that_counts() {
        let (mut workers, mut deadlines) = busy_pool(1, None);
        deadlines.look(Time(10), &mut workers, &Due(10, &[]));
        deadlines.told(1, TERM, Time(10), &mut workers);
        assert_eq!(
            all_over(&mut deadlines, 109, &mut workers, &Due(10, &[])),
            []
        );
        let killed = [Over::Look(1), Over::Kill(1, Why::GraceOver)];
        assert_eq!(
            all_over(&mut deadlines, 110, &mut workers, &Due(10, &[])),
            killed
        );
    }
}
