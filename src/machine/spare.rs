//! How many workers the pool wants, and which of them go when it has too many.

use super::said::Statuses;
use super::workers::{Pid, Worker, Workers};

/// The bounds of a pool that keeps spare (idle) workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    /// With fewer idle workers than this, the pool grows.
    pub min: u32,
    /// With more idle workers than this, the pool shrinks.
    pub max: u32,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub workers: i64,
    /// Those that are not at work.
    pub idle: i64,
    /// Of these, those that were told to stop.
    pub stopping: i64,
}

/// What a pool wants: more than 0, a worker; less than 0, so many workers fewer. Whether a worker is wanted, for whatever
/// host, is decided here and nowhere else.
pub fn wanted(counts: Counts, target: i64, spare: Option<Spare>) -> i64 {
    let may_grow = i64::from(counts.workers < target);
    let Some(spare) = spare else {
        return may_grow;
    };
    let (min, max) = (i64::from(spare.min), i64::from(spare.max));
    let staying = counts.idle - counts.stopping;
    if staying < min {
        may_grow
    } else if staying > max {
        max - counts.idle
    } else {
        0
    }
}

/// The numbers of busy workers outside of which `wanted` says something else: fewer than the
/// first, or more than the second. They hold until a worker that was told to stop changes its
/// status: what such a one does changes the number, and nothing that `wanted` looks at. How many are idle does not matter.
pub fn busy_bounds(counts: Counts, target: i64, spare: Spare) -> (i32, i32) {
    let clamp = |n: i64| i32::try_from(n.clamp(-1, i64::from(i32::MAX))).unwrap_or(i32::MAX);
    let staying = counts.workers - counts.stopping;
    let low = clamp(staying - i64::from(spare.max));
    let high = if counts.workers < target {
        clamp(staying - i64::from(spare.min))
    } else {
        i32::MAX
    };
    (low, high)
}

/// What the pool with these workers wants: see `wanted`.
pub fn decide(workers: &Workers, target: u32, spare: Option<Spare>, pool: &dyn Statuses) -> i64 {
    let mut counts = Counts {
        workers: workers.len() as i64,
        ..Counts::default()
    };
    if spare.is_some() {
        for worker in workers.iter().filter(|worker| !pool.is_busy(worker)) {
            counts.idle += 1;
            counts.stopping += i64::from(worker.stopping);
        }
    }
    wanted(counts, i64::from(target), spare)
}

/// How many of them may be busy before that changes: see `busy_bounds`.
pub fn bounds(workers: &Workers, target: u32, spare: Spare, pool: &dyn Statuses) -> (i32, i32) {
    let stopping = workers
        .iter()
        .filter(|worker| worker.stopping && !pool.is_busy(worker))
        .count();
    let counts = Counts {
        workers: workers.len() as i64,
        stopping: stopping as i64,
        ..Counts::default()
    };
    busy_bounds(counts, i64::from(target), spare)
}

/// The workers to stop so that `surplus` idle ones are on their way out, each asked once, the
/// oldest generations first and the latest forked of those.
pub fn to_stop(workers: &Workers, surplus: usize, pool: &dyn Statuses) -> Vec<Pid> {
    let (stopping, mut idle): (Vec<&Worker>, Vec<&Worker>) = workers
        .iter()
        .filter(|worker| !worker.reaped && !pool.is_busy(worker))
        .partition(|worker| worker.stopping);
    idle.sort_unstable_by_key(|worker| (worker.generation, std::cmp::Reverse(worker.serial)));
    idle.truncate(surplus.saturating_sub(stopping.len()));
    idle.iter().map(|worker| worker.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::super::said::NoStatuses;
    use super::super::timers::Time;
    use super::*;

    struct Busy<'a>(&'a [u32]);

    impl Statuses for Busy<'_> {
        fn is_busy(&self, worker: &Worker) -> bool {
            self.0.contains(&worker.index)
        }
    }

    fn pool(n: i32) -> Workers {
        let mut workers = Workers::default();
        for pid in 1..=n {
            workers.enter(pid, 1, Time(0));
        }
        workers
    }

    const SPARE: Option<Spare> = Some(Spare { min: 2, max: 3 });

    #[test]
    fn a_plain_pool_is_kept_full() {
        assert_eq!(decide(&pool(2), 3, None, &NoStatuses), 1);
        assert_eq!(decide(&pool(3), 3, None, &NoStatuses), 0);
        assert_eq!(decide(&pool(5), 3, None, &NoStatuses), 0);
    }

    #[test]
    fn spare_workers_are_kept_between_their_bounds() {
        assert_eq!(decide(&pool(1), 10, SPARE, &NoStatuses), 1);
        assert_eq!(decide(&pool(2), 10, SPARE, &NoStatuses), 0);
        assert_eq!(decide(&pool(3), 10, SPARE, &NoStatuses), 0);
        assert_eq!(decide(&pool(6), 10, SPARE, &NoStatuses), -3);
        assert_eq!(decide(&pool(6), 10, SPARE, &Busy(&[0, 1, 2, 3, 4])), 1);
        assert_eq!(decide(&pool(6), 6, SPARE, &Busy(&[0, 1, 2, 3, 4])), 0);
    }

    #[test]
    fn a_worker_that_is_leaving_is_no_spare() {
        let mut workers = pool(3);
        workers.get_mut(1).unwrap().stopping = true;
        workers.get_mut(2).unwrap().stopping = true;
        assert_eq!(decide(&workers, 10, SPARE, &NoStatuses), 1);
    }

    #[test]
    fn idle_workers_go_each_asked_once() {
        let mut workers = pool(6);
        assert_eq!(to_stop(&workers, 2, &Busy(&[5, 4])), vec![4, 3]);
        workers.get_mut(4).unwrap().stopping = true;
        assert_eq!(to_stop(&workers, 2, &Busy(&[5, 4])), vec![3]);
        workers.get_mut(3).unwrap().stopping = true;
        assert_eq!(to_stop(&workers, 2, &Busy(&[5, 4])), Vec::<Pid>::new());
    }

    #[test]
    fn one_that_was_asked_and_has_found_work_is_no_idle_one_leaving() {
        let mut workers = pool(3);
        workers.get_mut(1).unwrap().stopping = true;
        assert_eq!(to_stop(&workers, 1, &Busy(&[0])), vec![3]);
    }

    #[test]
    fn old_generations_go_first() {
        let mut workers = pool(2);
        workers.enter(3, 2, Time(0));
        assert_eq!(to_stop(&workers, 1, &NoStatuses), vec![2]);
    }

    /// The first so many are busy, the last so many were told to stop.
    fn check_bounds(n: i32, target: u32, busy: i32, stopping: i32) {
        let mut workers = pool(n);
        for pid in n - stopping + 1..=n {
            workers.get_mut(pid).unwrap().stopping = true;
        }
        let indexes: Vec<u32> = (0..busy as u32).collect();
        let statuses = Busy(&indexes);
        let (low, high) = bounds(&workers, target, SPARE.unwrap(), &statuses);
        let wants = decide(&workers, target, SPARE, &statuses);
        let what = format!("{n} of {target} workers, {busy} busy, {stopping} stopping");
        assert_eq!(wants > 0, busy > high, "{what}");
        assert_eq!(wants < 0, busy < low, "{what}");
    }

    #[test]
    fn the_bounds_are_where_the_decision_changes() {
        for n in 0..=12 {
            for target in [3, 8, 12, 20] {
                for stopping in 0..=n {
                    for busy in 0..=n {
                        check_bounds(n, target, busy, stopping);
                    }
                }
            }
        }
    }
}
