//! By when a worker has to be gone that was told to end, or is late with its work; and by when it has to be ready. As
//! long as no time is set, there is nothing here, and nothing is looked at.
//!
//! A worker has one deadline that ends with KILL, and is sent that once. Once it was told to end, only the time for that counts.

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::overdue::{Overdue, WorkerTimeout};
use super::readiness::{READY_AFTER, Readiness};
use super::refusals::Refusals;
use super::said::Statuses;
use super::sent::Signal;
use super::timers::Time;
use super::workers::{Key, Line, Pid, Worker, Workers};

/// A worker and the end of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: Time,
    key: Key,
    /// It was looked whether it has ended by itself, which nobody may have noticed yet.
    looked_for: bool,
    why: Why,
}

/// Why a time runs. The worker is killed when it is over, but for the last of these.
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
    /// It was not ready in time.
    NotReady,
    /// It need not say that it is ready: it is then.
    HasLived,
}

/// The time that workers have, and whose time runs.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// How long after they were told to end; none for as long as they like.
    pub graceful_timeout: Option<Duration>,
    /// The looks at the timesheet; none if workers may be busy for as long as they like.
    overdue: Option<Overdue>,
    /// Who is ready.
    readiness: Readiness,
    /// Who may not be killed.
    pub refusals: Refusals,
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

    /// Sets how long after its fork a worker has to be ready; none: it need not say so.
    pub fn set_ready_timeout(&mut self, timeout: Option<Duration>, workers: &Workers) {
        if timeout.is_none() {
            self.running
                .retain(|Reverse(deadline)| deadline.why != Why::NotReady);
        }
        for key in self.readiness.set_timeout(timeout) {
            let worker = workers.with_key(key);
            if let Some(worker) = worker.filter(|worker| !worker.sent.was_not_ready()) {
                self.add(worker.spawned_at.after(READY_AFTER), key, Why::HasLived);
            }
        }
    }

    /// How long after its fork a worker has to be ready that is forked now.
    pub fn ready_timeout(&self) -> Option<Duration> {
        self.readiness.timeout()
    }

    /// From now on each worker that gets ready is to be told (`next_ready`).
    pub fn tell_ready(&mut self) {
        self.readiness.tell();
    }

    /// Whether workers that are forked now are to say that they are ready.
    pub fn awaits_ready(&self) -> bool {
        self.readiness.is_wanted()
    }

    /// Whether they ring then.
    pub fn tells_ready(&self) -> bool {
        self.readiness.is_told()
    }

    /// Whether there is a worker that is to ring when it is ready.
    pub fn awaits_a_ring(&self) -> bool {
        self.readiness.awaits_a_ring()
    }

    /// Whether this worker was not seen to be ready yet.
    pub fn is_starting(&self, key: Key) -> bool {
        self.readiness.is_starting(key)
    }

    /// The next worker that is ready and was not told.
    pub fn next_ready<'a>(&mut self, workers: &'a Workers) -> Option<&'a Worker> {
        self.readiness.next_to_tell(workers)
    }

    /// A worker was forked.
    pub fn forked(&mut self, pid: Pid, now: Time, workers: &mut Workers) {
        let Some(worker) = workers.get_mut(pid) else {
            return;
        };
        if self.overdue.is_some() || self.awaits_ready() {
            worker.line = Line::Own;
        }
        let key = worker.key();
        if self.awaits_ready() {
            self.drop_those_gone(workers);
            self.readiness.starts(key);
            match self.readiness.timeout() {
                Some(timeout) => self.add(now.after(timeout), key, Why::NotReady),
                None => self.add(now.after(READY_AFTER), key, Why::HasLived),
            }
        }
    }

    /// A worker has ended.
    pub fn ended(&mut self, key: Key) {
        self.readiness.is_gone(key);
    }

    /// A worker has rung as it is ready.
    pub fn look_who_is_ready(&mut self) {
        self.readiness.has_rung();
    }

    /// A worker has rung as it is due before the next look.
    pub fn look_soon(&mut self) {
        if let Some(overdue) = &mut self.overdue {
            overdue.look_soon();
        }
    }

    /// The manager waits, until this time at the latest.
    pub fn will_be_back(&mut self, at: Option<Time>) {
        let is_excused = self.overdue.is_some() || self.ready_timeout().is_some();
        self.wants_to_be_back_at = at.filter(|_| is_excused);
    }

    /// It is back, if it has waited.
    pub fn is_back(&mut self, now: Time) {
        let Some(wanted) = self.wants_to_be_back_at.take() else {
            return;
        };
        self.readiness.is_back(wanted, now);
        if let Some(overdue) = &mut self.overdue {
            overdue.is_back(wanted, now);
        }
    }

    /// Looks at the timesheet, if it is time for that.
    pub fn look(&mut self, now: Time, workers: &mut Workers, said: &dyn Statuses) {
        self.readiness.look(workers, said);
        let Some(overdue) = &mut self.overdue else {
            return;
        };
        for key in overdue.look(now, workers, said) {
            if let Some(worker) = workers.with_key_mut(key) {
                worker.line = Line::Late;
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
            let is_over = match deadline.why {
                Why::GraceOver | Why::GraceOfGroupOver | Why::StillThere => true,
                Why::Late => self.is_late(deadline, worker, now, said),
                Why::NotReady => self.is_not_ready(deadline, worker, now, said),
                Why::HasLived => {
                    self.readiness.is_ready(deadline.key);
                    false
                }
            };
            if !is_over {
                continue;
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

    /// Whether this worker is late, and is to hear of it. A debugger may have hold of it for hours. It is seen again at
    /// the next look.
    fn is_late(
        &self,
        deadline: Deadline,
        worker: &mut Worker,
        now: Time,
        said: &dyn Statuses,
    ) -> bool {
        let overdue = self.overdue.as_ref();
        let is_late = overdue.is_some_and(|overdue| overdue.is_late(worker, now, said))
            && !(deadline.looked_for && said.is_traced(worker));
        if !is_late {
            worker.line = Line::Own;
        }
        is_late
    }

    /// Whether this worker, which was to be ready, is to be killed. One that is traced has the same time again.
    fn is_not_ready(
        &mut self,
        deadline: Deadline,
        worker: &Worker,
        now: Time,
        said: &dyn Statuses,
    ) -> bool {
        if worker.leaving {
            return false;
        }
        if said.times(worker).is_ready {
            self.readiness.is_ready(deadline.key);
            return false;
        }
        let excused = self.readiness.due(deadline.at);
        let is_traced = || deadline.looked_for && said.is_traced(worker);
        let again = if excused > now {
            Some(excused)
        } else {
            let timeout = self.readiness.timeout().filter(|_| is_traced());
            timeout.map(|timeout| now.after(timeout))
        };
        if let Some(at) = again {
            self.add(at, deadline.key, Why::NotReady);
        }
        again.is_none()
    }

    /// This worker is none any more.
    pub fn forget(&mut self, key: Key) {
        self.readiness.is_gone(key);
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
            if self.is_there(workers, deadline) {
                return Some(deadline.at);
            }
            self.running.pop();
        }
        None
    }

    /// Nobody is a worker any more.
    pub fn clear(&mut self) {
        self.running.clear();
        self.readiness.clear();
        self.refusals.clear();
        self.wants_to_be_back_at = None;
        self.look_who_is_ready();
        self.look_soon();
    }

    /// Most workers end in time and leave theirs here, which is to be no more than there are workers.
    fn drop_those_gone(&mut self, workers: &Workers) {
        if self.running.len() > 2 * workers.len() {
            let mut running = std::mem::take(&mut self.running);
            running.retain(|&Reverse(deadline)| self.is_there(workers, deadline));
            self.running = running;
        }
    }

    /// Whether the worker is there, and the time for it runs: that to get ready ends when it is.
    fn is_there(&self, workers: &Workers, deadline: Deadline) -> bool {
        let worker = workers.with_key(deadline.key);
        let runs = match deadline.why {
            Why::NotReady | Why::HasLived => self.is_starting(deadline.key),
            Why::GraceOver | Why::GraceOfGroupOver | Why::Late | Why::StillThere => true,
        };
        runs && worker.is_some_and(|worker| !worker.reaped)
    }
}

#[cfg(test)]
mod tests {
    use super::super::said::{NoStatuses, Times};
    use super::super::sent::TERM;
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
            workers.get_mut(pid).unwrap().line = Line::Own;
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
    fn one_that_goes_on_while_it_is_looked_at_is_looked_at_again() {
        let (mut workers, mut deadlines) = busy_pool(1, None);
        deadlines.look(Time(10), &mut workers, &Due(10, &[]));
        let next = deadlines.next_over(Time(10), &mut workers, &Due(20, &[]));
        assert_eq!(next, None);
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

    /// Those with a pid in the first list have said that they are ready; those in the second are traced.
    struct Ready<'a>(&'a [Pid], &'a [Pid]);

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

        fn is_traced(&self, worker: &Worker) -> bool {
            self.1.contains(&worker.pid)
        }
    }

    const NOBODY: Ready = Ready(&[], &[]);
    const SECOND: u64 = 1_000_000_000;

    /// Workers that are forked at 0, and have so long to get ready; or it is told who is ready.
    fn starting_pool(n: Pid, timeout: Option<u64>) -> (Workers, Deadlines) {
        starting(n, timeout, timeout.is_none())
    }

    fn starting(n: Pid, timeout: Option<u64>, is_told: bool) -> (Workers, Deadlines) {
        let (mut workers, mut deadlines) = pool(n);
        deadlines.set_ready_timeout(timeout.map(Duration::from_nanos), &workers);
        if is_told {
            deadlines.tell_ready();
        }
        for pid in 1..=n {
            deadlines.forked(pid, Time(0), &mut workers);
        }
        (workers, deadlines)
    }

    fn told(deadlines: &mut Deadlines, workers: &Workers) -> Vec<Pid> {
        std::iter::from_fn(|| deadlines.next_ready(workers).map(|worker| worker.pid)).collect()
    }

    #[test]
    fn one_that_is_not_ready_is_killed_once() {
        let (mut workers, mut deadlines) = starting_pool(2, Some(10));
        assert!(workers.get(1).unwrap().has_line());
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(10)));
        assert_eq!(all_over(&mut deadlines, 9, &mut workers, &NOBODY), []);
        let killed = [Over::Look(2), Over::Kill(2, Why::NotReady)];
        let one = Ready(&[1], &[]);
        assert_eq!(all_over(&mut deadlines, 10, &mut workers, &one), killed);
        assert_eq!(all_over(&mut deadlines, 9999, &mut workers, &NOBODY), []);
        assert_eq!(deadlines.wants_to_act_at(&workers), None);
    }

    #[test]
    fn for_one_that_is_ready_no_time_runs() {
        let (mut workers, mut deadlines) = starting(2, Some(10), true);
        deadlines.look_who_is_ready();
        let both = Ready(&[1, 2], &[]);
        assert_eq!(all_over(&mut deadlines, 5, &mut workers, &both), []);
        assert_eq!(deadlines.wants_to_act_at(&workers), None);
        assert_eq!(told(&mut deadlines, &workers), [1, 2]);
        // If nobody wants to know, it is looked at when its time is over.
        let (mut workers, mut deadlines) = starting_pool(2, Some(10));
        assert_eq!(all_over(&mut deadlines, 10, &mut workers, &both), []);
        assert_eq!(deadlines.wants_to_act_at(&workers), None);
        assert_eq!(told(&mut deadlines, &workers), []);
    }

    #[test]
    fn one_that_gets_ready_before_it_is_killed_is_not_killed() {
        let (mut workers, mut deadlines) = starting_pool(1, Some(10));
        let look = deadlines.next_over(Time(10), &mut workers, &NOBODY);
        assert_eq!(look, Some(Over::Look(1)));
        let ready = Ready(&[1], &[]);
        assert_eq!(deadlines.next_over(Time(10), &mut workers, &ready), None);
        assert!(!deadlines.is_starting(workers.get(1).unwrap().key()));
    }

    #[test]
    fn for_one_that_was_told_to_end_it_does_not_matter_whether_it_is_ready() {
        let (mut workers, mut deadlines) = starting_pool(1, Some(10));
        deadlines.told(1, TERM, Time(0), &mut workers);
        assert_eq!(all_over(&mut deadlines, 99, &mut workers, &NOBODY), []);
        let killed = [Over::Look(1), Over::Kill(1, Why::GraceOver)];
        assert_eq!(all_over(&mut deadlines, 100, &mut workers, &NOBODY), killed);
    }

    #[test]
    fn one_that_is_traced_has_the_same_time_again() {
        let (mut workers, mut deadlines) = starting_pool(1, Some(10));
        let traced = Ready(&[], &[1]);
        let looked = [Over::Look(1)];
        assert_eq!(all_over(&mut deadlines, 12, &mut workers, &traced), looked);
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(22)));
        let killed = [Over::Look(1), Over::Kill(1, Why::NotReady)];
        assert_eq!(all_over(&mut deadlines, 22, &mut workers, &NOBODY), killed);
    }

    #[test]
    fn who_had_to_be_ready_while_the_manager_was_away_gets_time_again_once() {
        let (mut workers, mut deadlines) = starting_pool(2, Some(10 * SECOND));
        deadlines.will_be_back(Some(Time(10 * SECOND)));
        deadlines.is_back(Time(14 * SECOND));
        let one = Ready(&[1], &[]);
        assert_eq!(
            all_over(&mut deadlines, 14 * SECOND, &mut workers, &one),
            []
        );
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(18 * SECOND)));
        deadlines.will_be_back(Some(Time(18 * SECOND)));
        deadlines.is_back(Time(25 * SECOND));
        let killed = [Over::Look(2), Over::Kill(2, Why::NotReady)];
        assert_eq!(
            all_over(&mut deadlines, 25 * SECOND, &mut workers, &one),
            killed
        );
    }

    #[test]
    fn who_need_not_say_it_is_ready_after_a_second() {
        let (mut workers, mut deadlines) = starting_pool(2, None);
        assert_eq!(deadlines.wants_to_act_at(&workers), Some(Time(SECOND)));
        deadlines.look_who_is_ready();
        let one = Ready(&[1], &[]);
        assert_eq!(all_over(&mut deadlines, 5, &mut workers, &one), []);
        assert_eq!(told(&mut deadlines, &workers), [1]);
        assert_eq!(all_over(&mut deadlines, SECOND - 1, &mut workers, &one), []);
        assert_eq!(told(&mut deadlines, &workers), []);
        assert_eq!(all_over(&mut deadlines, SECOND, &mut workers, &one), []);
        assert_eq!(told(&mut deadlines, &workers), [2]);
        assert_eq!(deadlines.wants_to_act_at(&workers), None);
    }

    #[test]
    fn a_time_to_get_ready_that_is_taken_back_ends_for_all() {
        for is_told in [false, true] {
            let (mut workers, mut deadlines) = starting(2, Some(10), is_told);
            workers.get_mut(2).unwrap().sent.note_not_ready();
            deadlines.set_ready_timeout(None, &workers);
            let lives = is_told.then_some(Time(SECOND));
            assert_eq!(deadlines.wants_to_act_at(&workers), lives);
            assert_eq!(all_over(&mut deadlines, SECOND, &mut workers, &NOBODY), []);
            // The second one was killed before.
            let ready: &[Pid] = if is_told { &[1] } else { &[] };
            assert_eq!(told(&mut deadlines, &workers), ready);
        }
    }

    #[test]
    fn workers_that_end_before_they_are_ready_leave_nothing_for_long() {
        let (mut workers, mut deadlines) = starting_pool(3, Some(10));
        for n in 1..1000 {
            deadlines.ended(workers.get(1).unwrap().key());
            workers.remove(1);
            workers.enter(1, 1, Time(n));
            deadlines.forked(1, Time(n), &mut workers);
        }
        assert!(deadlines.running.len() <= 2 * workers.len() + 1);
        let keys = workers.iter().map(Worker::key);
        assert_eq!(keys.filter(|&key| deadlines.is_starting(key)).count(), 3);
    }

    #[test]
    fn one_that_is_forgotten_has_no_time_to_get_ready() {
        let (mut workers, mut deadlines) = starting_pool(1, Some(10));
        let key = workers.get(1).unwrap().key();
        deadlines.forget(key);
        assert!(!deadlines.is_starting(key));
        assert_eq!(all_over(&mut deadlines, 10, &mut workers, &NOBODY), []);
        deadlines.forked(1, Time(20), &mut workers);
        deadlines.clear();
        assert!(!deadlines.is_starting(key));
        assert_eq!(deadlines.wants_to_act_at(&workers), None);
    }
}
