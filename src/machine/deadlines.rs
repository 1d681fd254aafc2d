//! By when a worker that was told to end has to be gone. As long as no time is set, there is nothing here, and nothing
//! is looked at.

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    /// The signal that has told it was for its process group, and KILL is for it then.
    with_group: bool,
}

/// The time that workers have after they were told to end, and whose time runs.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// How long; none for as long as they like.
    pub graceful_timeout: Option<Duration>,
    running: BinaryHeap<Reverse<Deadline>>,
}

/// What is to be done about a worker whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Look whether it has ended.
    Look(Pid),
    /// It has not: kill it.
    Kill(Pid),
    /// Kill it, and the process group that it leads.
    KillGroup(Pid),
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
        self.running.push(Reverse(Deadline {
            at: now.after(span),
            key,
            looked_for: false,
            with_group: signal < 0,
        }));
    }

    /// What is to be done about the next worker whose time is over. It is killed once.
    pub fn next_over(&mut self, now: Time, workers: &Workers) -> Option<Over> {
        if self.next_at(workers)? > now {
            return None;
        }
        let Reverse(mut deadline) = self.running.pop()?;
        let pid = workers.with_key(deadline.key)?.pid;
        if !std::mem::replace(&mut deadline.looked_for, true) {
            self.running.push(Reverse(deadline));
            return Some(Over::Look(pid));
        }
        Some(if deadline.with_group {
            Over::KillGroup(pid)
        } else {
            Over::Kill(pid)
        })
    }

    /// This worker is none any more.
    pub fn forget(&mut self, key: Key) {
        self.running.retain(|Reverse(deadline)| deadline.key != key);
    }

    /// When the time of a worker is over that is still there.
    pub fn next_at(&mut self, workers: &Workers) -> Option<Time> {
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
        assert_eq!(deadlines.next_over(Time(109), &workers), None);
        let next: Vec<_> = (0..5)
            .map_while(|_| deadlines.next_over(Time(120), &workers))
            .collect();
        let expected = [
            Over::Look(2),
            Over::Kill(2),
            Over::Look(1),
            Over::KillGroup(1),
        ];
        assert_eq!(next, expected);
        assert_eq!(deadlines.next_over(Time(900), &workers), None);
        assert_eq!(deadlines.next_at(&workers), None);
    }

    #[test]
    fn a_second_signal_prolongs_nothing() {
        let (mut workers, mut deadlines) = pool(1);
        deadlines.told(1, TERM, Time(0), &mut workers);
        deadlines.told(1, TERM, Time(50), &mut workers);
        assert_eq!(
            deadlines.next_over(Time(100), &workers),
            Some(Over::Look(1))
        );
        assert_eq!(
            deadlines.next_over(Time(100), &workers),
            Some(Over::Kill(1))
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
        assert_eq!(deadlines.next_over(Time(900), &workers), None);
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
            deadlines.next_over(Time(100), &workers),
            Some(Over::Look(2))
        );
        assert_eq!(
            deadlines.next_over(Time(100), &workers),
            Some(Over::Kill(2))
        );
        assert_eq!(deadlines.next_over(Time(100), &workers), None);
    }
}
