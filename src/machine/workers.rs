//! The one table of workers.
//!
//! A pid is in the table from the moment its fork is reported to the moment its reap has
//! been reported to the host, or until the host takes it out. Between the system's reap and
//! the host's report it is still counted, but never signalled: its number may already
//! belong to a stranger.

use super::compact::{FreeNumbers, Row};
use super::timers::Time;

/// A process id, as the kernel numbers them.
pub type Pid = i32;

/// What the manager knows of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worker {
    /// Its process id.
    pub pid: Pid,
    /// The generation it was forked in.
    pub generation: u64,
    /// The lowest number from 0 that no other worker had when it was forked.
    pub index: u32,
    /// Counts forks; tells two workers with the same pid, or the same index, apart.
    pub serial: u64,
    /// When it was forked.
    pub spawned_at: Time,
    /// It was told to stop because the pool has too many.
    pub stopping: bool,
    /// A notice has named it as one that has exited, and nobody has looked yet.
    pub named: bool,
    /// It has been reaped, and the host has not been told, or has not moved on since.
    pub exited: bool,
}

/// The pid of an empty slot.
const NOBODY: Pid = 0;

/// One worker, and no other that gets its pid or its index later. It is found without a search.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    index: u32,
    serial: u64,
}

impl Worker {
    /// The key of this worker.
    pub fn key(&self) -> Key {
        Key {
            index: self.index,
            serial: self.serial,
        }
    }

    fn has(&self, key: Key) -> bool {
        self.serial == key.serial && self.pid != NOBODY
    }
}

/// The table, and the worker indexes that are free.
#[derive(Debug, Default)]
pub struct Workers {
    slots: Slots,
    /// The indexes that workers have, by rising pid.
    by_pid: Row<u32, 128>,
    freed: FreeNumbers,
    next_index: u32,
    next_serial: u64,
}

/// Workers by their indexes. A worker's successor has its index, so that to take one out and enter another
/// most often writes to one page.
#[derive(Debug, Default)]
struct Slots {
    /// As many as most pools of one processor have, and as fit into a page with the rest of a handle (`os::room`).
    few: [Worker; 16],
    more: Vec<Worker>,
}

impl Slots {
    fn get(&self, index: u32) -> Option<&Worker> {
        let index = index as usize;
        match index.checked_sub(self.few.len()) {
            None => self.few.get(index),
            Some(index) => self.more.get(index),
        }
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Worker> {
        let index = index as usize;
        match index.checked_sub(self.few.len()) {
            None => self.few.get_mut(index),
            Some(index) => self.more.get_mut(index),
        }
    }

    /// Enters a worker under its index, which somebody has had before or is the next.
    fn put(&mut self, worker: Worker) {
        match self.get_mut(worker.index) {
            Some(slot) => *slot = worker,
            None => self.more.push(worker),
        }
    }
}

impl Workers {
    /// How many workers are counted: those alive, and those whose reap is still to be reported.
    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// Whether no worker is counted.
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }

    /// The index that the next worker gets.
    pub fn next_index(&self) -> u32 {
        self.freed.lowest().unwrap_or(self.next_index)
    }

    /// Enters a worker under the lowest free index, and returns that. One with the same pid
    /// goes: the kernel gives a number out again only after its former owner was reaped.
    pub fn insert(&mut self, pid: Pid, generation: u64, now: Time) -> u32 {
        let index = match self.freed.take_lowest() {
            Some(index) => index,
            None => {
                self.next_index += 1;
                self.next_index - 1
            }
        };
        // Only now, or its index might come before the one that `next_index` has told.
        self.remove(pid);
        let serial = self.next_serial;
        self.next_serial += 1;
        self.slots.put(Worker {
            pid,
            generation,
            index,
            serial,
            spawned_at: now,
            stopping: false,
            named: false,
            exited: false,
        });
        self.by_pid.insert(self.first_from(pid), index);
        index
    }

    /// Takes a worker out and frees its index.
    pub fn remove(&mut self, pid: Pid) -> Option<Worker> {
        let at = self.first_from(pid);
        let index = self.by_pid.get(at)?;
        let slot = self.slots.get_mut(index).filter(|slot| slot.pid == pid)?;
        let worker = *slot;
        slot.pid = NOBODY;
        self.by_pid.remove(at);
        self.freed.add(index);
        Some(worker)
    }

    /// Forgets every worker.
    pub fn clear(&mut self) {
        self.slots = Slots::default();
        self.by_pid.clear();
        self.freed.clear();
        self.next_index = 0;
    }

    /// The worker with this pid.
    pub fn get(&self, pid: Pid) -> Option<&Worker> {
        let index = self.by_pid.get(self.first_from(pid))?;
        self.slots.get(index).filter(|worker| worker.pid == pid)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, pid: Pid) -> Option<&mut Worker> {
        let index = self.by_pid.get(self.first_from(pid))?;
        self.slots.get_mut(index).filter(|worker| worker.pid == pid)
    }

    /// The worker with this key, unless it has been taken out.
    pub fn with_key(&self, key: Key) -> Option<&Worker> {
        self.slots.get(key.index).filter(|worker| worker.has(key))
    }

    /// The same, to change.
    pub fn with_key_mut(&mut self, key: Key) -> Option<&mut Worker> {
        self.slots
            .get_mut(key.index)
            .filter(|worker| worker.has(key))
    }

    /// All that are counted, by rising pid.
    pub fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.by_pid.iter().filter_map(|index| self.slots.get(index))
    }

    /// The lowest pid above `pid`.
    pub fn next_pid(&self, pid: Pid) -> Option<Pid> {
        let index = self.by_pid.get(self.first_from(pid.checked_add(1)?))?;
        self.slots.get(index).map(|worker| worker.pid)
    }

    /// The place in `by_pid` of the first worker with this pid or a higher one.
    fn first_from(&self, pid: Pid) -> usize {
        let is_before = |index| self.slots.get(index).is_some_and(|worker| worker.pid < pid);
        self.by_pid.partition_point(is_before)
    }

    /// Those that may be signalled, in the order in which their pids sort as strings:
    /// programs have seen that order for ever.
    pub fn signalled_in_order(&self) -> Vec<&Worker> {
        let mut alive: Vec<&Worker> = self.iter().filter(|worker| !worker.exited).collect();
        alive.sort_unstable_by_key(|worker| string_order(worker.pid));
        alive
    }
}

/// A key under which positive numbers sort as their decimal digits do.
fn string_order(pid: Pid) -> (u64, u32) {
    let number = u64::try_from(pid).unwrap_or(0);
    let digits = number.checked_ilog10().map_or(1, |log| log + 1);
    (number * 10_u64.pow(10 - digits), digits)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn pids_are_visited_in_rising_order() {
        let mut workers = Workers::default();
        for pid in [30, 4, 100] {
            workers.insert(pid, 1, Time(0));
        }
        let visited = std::iter::successors(workers.next_pid(0), |&pid| workers.next_pid(pid));
        assert_eq!(visited.collect::<Vec<_>>(), [4, 30, 100]);
    }

    #[test]
    fn the_lowest_free_index_is_given_first() {
        let mut workers = Workers::default();
        for pid in 100..105 {
            assert_eq!(workers.insert(pid, 1, Time(0)), (pid - 100) as u32);
        }
        workers.remove(103);
        workers.remove(101);
        assert_eq!(workers.next_index(), 1);
        assert_eq!(workers.insert(200, 1, Time(0)), 1);
        assert_eq!(workers.insert(201, 1, Time(0)), 3);
        assert_eq!(workers.insert(202, 1, Time(0)), 5);
    }

    #[test]
    fn pids_sort_as_strings() {
        let mut workers = Workers::default();
        for pid in [9, 10, 100, 99, 1, 2_000_000, 20] {
            workers.insert(pid, 1, Time(0));
        }
        let order: Vec<Pid> = workers.signalled_in_order().iter().map(|w| w.pid).collect();
        let mut expected: Vec<Pid> = workers.iter().map(|w| w.pid).collect();
        expected.sort_by_key(Pid::to_string);
        assert_eq!(order, expected);
    }

    #[test]
    fn an_exited_worker_is_counted_but_not_signalled() {
        let mut workers = Workers::default();
        workers.insert(5, 1, Time(0));
        workers.get_mut(5).unwrap().exited = true;
        assert_eq!(workers.len(), 1);
        assert!(workers.signalled_in_order().is_empty());
    }

    #[test]
    fn a_key_is_one_workers_only() {
        let mut workers = Workers::default();
        workers.insert(5, 1, Time(0));
        let key = workers.get(5).unwrap().key();
        assert_eq!(workers.with_key(key).map(|worker| worker.pid), Some(5));
        workers.remove(5);
        assert!(workers.with_key(key).is_none() && workers.with_key_mut(key).is_none());
        workers.insert(5, 1, Time(0));
        assert!(workers.with_key(key).is_none() && workers.with_key_mut(key).is_none());
        assert_eq!(workers.get(5).unwrap().index, key.index);
        workers.clear();
        assert!(workers.with_key(key).is_none());
    }

    /// Against a map, at sizes around those at which the table takes memory of its own.
    #[test]
    fn the_table_is_a_map() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut workers = Workers::default();
        let mut plain = BTreeMap::new();
        let (mut grows, mut largest, mut emptied) = (true, 0, 0);
        for step in 0..20_000 {
            if plain.is_empty() || plain.len() > 200 {
                emptied += usize::from(plain.is_empty());
                grows = plain.is_empty();
            }
            let pid = random.i32(1..400);
            if random.u8(0..4) > 0 && grows {
                let index = workers.insert(pid, step, Time(0));
                plain.insert(pid, (step, index));
            } else {
                let removed = workers.remove(pid).map(|w| (w.generation, w.index));
                assert_eq!(removed, plain.remove(&pid));
            }
            if random.u16(0..2000) == 0 {
                workers.clear();
                plain.clear();
            }
            let ours = workers.iter().map(|w| (w.pid, (w.generation, w.index)));
            assert!(ours.eq(plain.iter().map(|(&pid, &worker)| (pid, worker))));
            let ours = workers.get_mut(pid).map(|w| (w.generation, w.index));
            assert_eq!(ours, plain.get(&pid).copied());
            let above = plain.range(pid + 1..).next().map(|(&pid, _)| pid);
            assert_eq!(workers.next_pid(pid), above);
            assert_eq!(
                (workers.len(), workers.is_empty()),
                (plain.len(), plain.is_empty())
            );
            let indexes: BTreeSet<u32> = plain.values().map(|&(_, index)| index).collect();
            assert_eq!(indexes.len(), plain.len());
            let lowest = (0..).find(|index| !indexes.contains(index));
            assert_eq!(Some(workers.next_index()), lowest);
            largest = largest.max(plain.len());
        }
        assert!(largest > 128 && emptied > 10);
    }
}
