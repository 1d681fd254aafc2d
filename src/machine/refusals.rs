//! Workers that are to be killed, as a time of theirs is over, and may not be: the system has refused to send KILL.
//!
//! It does so if the worker has changed its user and the manager has no right to signal others (CAP_KILL). Nobody would
//! hear of that, and the manager would wait for ever. So each of them is told of, once, and KILL is not sent again:
//! nothing says when that would go well.
//!
//! The system also refuses a signal to one that has ended and was not reaped. So it is looked for that first.

use std::collections::VecDeque;

use super::workers::{Key, Pid, Worker, Workers};

/// A worker that may not be killed.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    key: Key,
    errno: i32,
    looked_for: bool,
}

/// Those that are still to be told of.
#[derive(Debug, Default)]
pub struct Refusals(VecDeque<Refusal>);

/// What is to be done about one.
#[derive(Clone, Copy, Debug)]
pub enum Refused<'a> {
    /// Look whether it has ended.
    Look(Pid),
    /// It has not: tell of it, with the errno of the refusal.
    Tell(&'a Worker, i32),
}

impl Refusals {
    /// The system has refused to kill this worker, with this errno.
    pub fn add(&mut self, key: Key, errno: i32) {
        self.0.push_back(Refusal {
            key,
            errno,
            looked_for: false,
        });
    }

    /// What is to be done about the next one that is still there.
    pub fn next<'a>(&mut self, workers: &'a Workers) -> Option<Refused<'a>> {
        while let Some(mut refusal) = self.0.pop_front() {
            let worker = workers.with_key(refusal.key);
            let Some(worker) = worker.filter(|worker| !worker.reaped) else {
                continue;
            };
            if refusal.looked_for {
                return Some(Refused::Tell(worker, refusal.errno));
            }
            refusal.looked_for = true;
            self.0.push_front(refusal);
            return Some(Refused::Look(worker.pid));
        }
        None
    }

    /// Nobody is a worker any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::timers::Time;
    use super::*;

    const EPERM: i32 = 1;

    fn refused(pids: &[Pid]) -> (Workers, Refusals) {
        let mut workers = Workers::default();
        let mut refusals = Refusals::default();
        for &pid in pids {
            workers.enter(pid, 1, Time(0));
            refusals.add(workers.get(pid).unwrap().key(), EPERM);
        }
        (workers, refusals)
    }

    fn looks_for(refusals: &mut Refusals, workers: &Workers) -> Pid {
        match refusals.next(workers) {
            Some(Refused::Look(pid)) => pid,
            other => panic!("{other:?}"),
        }
    }

    fn tells_of(refusals: &mut Refusals, workers: &Workers) -> Pid {
        match refusals.next(workers) {
            Some(Refused::Tell(worker, EPERM)) => worker.pid,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_is_looked_for_and_told_of_once() {
        let (workers, mut refusals) = refused(&[1, 2]);
        for pid in [1, 2] {
            assert_eq!(looks_for(&mut refusals, &workers), pid);
            assert_eq!(tells_of(&mut refusals, &workers), pid);
        }
        assert!(refusals.next(&workers).is_none());
    }

    #[test]
    fn who_has_ended_is_not_told_of() {
        let (mut workers, mut refusals) = refused(&[1, 2, 3]);
        assert_eq!(looks_for(&mut refusals, &workers), 1);
        workers.get_mut(1).unwrap().reaped = true;
        // Its pid is that of another one.
        workers.remove(2);
        workers.enter(2, 1, Time(1));
        assert_eq!(looks_for(&mut refusals, &workers), 3);
        refusals.clear();
        assert!(refusals.next(&workers).is_none());
    }
}
