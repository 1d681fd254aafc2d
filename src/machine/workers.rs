//! The one table of workers.
//!
//! A worker enters the table when its fork is reported. It leaves the table when the host has been told of its end, or
//! when the host takes it out. Between the system's reap and the end of the host's report the worker still counts, but
//! nobody signals it: its pid may already belong to a stranger.
//!
//! How a child comes in and goes out; each has one word, in C as in Rust:
//!
//! - **adopt**: the host enters a process that it has forked by itself (`pf_adopt_worker`).
//! - **disown**: the host takes a worker out, alive or not; nobody counts or signals it any more (`pf_disown_worker`).
//! - **reap**: the status of a child that has ended is taken, by the core, or by the host, which says so
//!   (`pf_worker_reaped`).
//! - **keep**: a worker that was reaped stays until the host takes it out (`pf_set_keep_reaped`).
//! - **remove**: it is taken out, as the host has dealt with its end; one that is alive stays (`pf_remove_reaped`).
//! - **steal**: other code has reaped a worker; its status is -1 (`PF_REASON_STOLEN`).
//! - **stop**: a worker is told to end, as there are too many (`pf_stop_workers`).
//!
//! The table is ordered by **index**, the lowest free number from 0. A successor takes the index over. The index is also
//! the worker's slot in the scoreboard. It is taken when FORK tells it, so a worker that a before_fork hook enters
//! (`pf_adopt_worker`) gets another one. Beside the table lie the indexes, in the order of the pids.
//!
//! A pending action, such as a staggered signal, refers to a worker by **key**: its index and its serial number. So the
//! action can never hit a successor, even one with the same pid.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::compact::{Few, FreeNumbers};
use super::page::{FEW, FIRST};
use super::sent::Sent;
use super::timers::Time;

/// A process id, as the kernel numbers them.
pub type Pid = i32;

/// The number of a worker, which no other has that this manager enters. Later ones are higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(u64);

/// The bits of a `Serial` that are the series of its ticket, the last ones.
pub const SERIES: u64 = (1 << SERIES_BITS) - 1;
const SERIES_BITS: u32 = 20;

impl Serial {
    /// The ticket by which the worker is known to the scoreboard that its manager had at the fork. None if there was no
    /// scoreboard, or if the host has forked it by itself: it is known by its pid then.
    pub fn ticket(self) -> Option<u64> {
        (self.0 & SERIES != 0).then_some(self.0)
    }

    /// The next one of the same series.
    fn next(self) -> Serial {
        Serial(self.0.wrapping_add(1 << SERIES_BITS))
    }

    /// The same of this series. 0 is none.
    pub(super) fn of(self, series: u32) -> Serial {
        Serial(self.0 & !SERIES | u64::from(series) & SERIES)
    }

    /// The series.
    pub fn series(self) -> u32 {
        (self.0 & SERIES) as u32
    }
}

/// What the manager knows of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worker {
    /// Its process id. (An empty slot of the table has 0.)
    pub pid: Pid,
    /// The generation it was forked in.
    pub generation: u64,
    /// The lowest number from 0 that no other worker had when it was forked.
    pub index: u32,
    /// Tells two workers with the same pid, or the same index, apart.
    pub serial: Serial,
    /// When it was forked.
    pub spawned_at: Time,
    /// It was told to stop because the pool has too many.
    pub stopping: bool,
    /// It was told to end, and the time that it has for that runs, or is over.
    pub leaving: bool,
    /// What the manager has sent it.
    pub sent: Sent,
    /// What it has on the timesheet.
    pub line: Line,
    /// A notice has named it as one that has ended, and nobody has looked yet.
    pub named: bool,
    /// It has been reaped, and the host has not been told, or has not moved on since.
    pub reaped: bool,
}

/// What a worker has on the timesheet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// Nothing: there was no sheet at its fork.
    #[default]
    None,
    /// A line of its own, under its index.
    Own,
    /// One by which it was seen to be late, and what follows from that is still to be done.
    Late,
}

/// No process has this id.
const NOBODY: Pid = 0;

/// One worker, and no other that gets its pid or its index later. It is found without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    serial: Serial,
}

impl Worker {
    /// The key of this worker.
    pub fn key(&self) -> Key {
        Key {
            index: self.index,
            serial: self.serial,
        }
    }

    /// Whether it has a line of its own on the timesheet.
    pub fn has_line(&self) -> bool {
        self.line != Line::None
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
    few: Few<u32, FEW>,
    /// The same, once they are more and until there is none.
    many: BTreeMap<Pid, u32>,
    freed: FreeNumbers,
    next_index: u32,
    next_serial: Serial,
}

/// Workers by their indexes. A worker's successor has its index, so that to take one out and enter another
/// most often writes to one page.
#[derive(Debug, Default)]
struct Slots {
    /// In the page that is written to anyway, see `page.rs`.
    few: [Worker; FIRST],
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

    /// Puts a worker in under its index.
    fn put(&mut self, worker: Worker) {
        let slots = (worker.index as usize + 1).saturating_sub(self.few.len());
        if slots > self.more.len() {
            self.more.resize(slots, Worker::default());
        }
        if let Some(slot) = self.get_mut(worker.index) {
            *slot = worker;
        }
    }
}

impl Workers {
    /// How many workers are counted: those alive, and those whose reap is still to be reported.
    pub fn len(&self) -> usize {
        self.few.as_slice().len() + self.many.len()
    }

    /// Whether no worker is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the lowest free index, for a worker that is to be forked.
    pub fn reserve_index(&mut self) -> u32 {
        self.freed.take_lowest().unwrap_or_else(|| {
            self.next_index += 1;
            self.next_index - 1
        })
    }

    /// There is no worker for an index that was reserved.
    pub fn give_index_back(&mut self, index: u32) {
        self.freed.add(index);
    }

    /// The number of a worker that is to be forked, or was by the host itself.
    pub fn take_serial(&mut self) -> Serial {
        let serial = self.next_serial;
        self.next_serial = serial.next();
        serial
    }

    /// The tickets of workers are of this series from now on; 0: they have none.
    pub fn set_series(&mut self, series: u32) {
        self.next_serial = self.next_serial.of(series);
    }

    /// The series that was set last.
    pub fn series(&self) -> u32 {
        self.next_serial.series()
    }

    /// Enters a worker under an index that was reserved. One with the same pid goes: the kernel gives a
    /// number out again only after its former owner was reaped.
    pub fn insert(&mut self, pid: Pid, index: u32, serial: Serial, generation: u64, now: Time) {
        self.remove(pid);
        self.slots.put(Worker {
            pid,
            generation,
            index,
            serial,
            spawned_at: now,
            stopping: false,
            leaving: false,
            sent: Sent::default(),
            line: Line::None,
            named: false,
            reaped: false,
        });
        if self.many.is_empty() && !self.few.is_full() {
            self.few.insert(self.place(pid), index);
        } else {
            self.insert_into_many(pid, index);
        }
    }

    fn insert_into_many(&mut self, pid: Pid, index: u32) {
        let slots = &self.slots;
        let few = self.few.as_slice().iter();
        self.many
            .extend(few.filter_map(|&index| Some((slots.get(index)?.pid, index))));
        self.few.clear();
        self.many.insert(pid, index);
    }

    /// Takes a worker out and frees its index.
    pub fn remove(&mut self, pid: Pid) -> Option<Worker> {
        let index = if self.many.is_empty() {
            let at = self.place(pid);
            let index = self.index_at(at, pid)?;
            self.few.remove(at);
            index
        } else {
            self.remove_of_many(pid)?
        };
        self.freed.add(index);
        let slot = self.slots.get_mut(index)?;
        let worker = *slot;
        slot.pid = NOBODY;
        Some(worker)
    }

    fn remove_of_many(&mut self, pid: Pid) -> Option<u32> {
        self.many.remove(&pid)
    }

    /// Forgets every worker.
    pub fn clear(&mut self) {
        self.slots = Slots::default();
        self.few.clear();
        self.many.clear();
        self.freed.clear();
        self.next_index = 0;
    }

    /// The worker with this index.
    pub fn with_index(&self, index: u32) -> Option<&Worker> {
        self.slots.get(index).filter(|worker| worker.pid != NOBODY)
    }

    /// The worker with this pid.
    pub fn get(&self, pid: Pid) -> Option<&Worker> {
        self.slots.get(self.index_of(pid)?)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, pid: Pid) -> Option<&mut Worker> {
        self.slots.get_mut(self.index_of(pid)?)
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
        let indexes = self.few.as_slice().iter().chain(self.many.values());
        indexes.filter_map(|&index| self.slots.get(index))
    }

    /// The lowest pid above `pid`.
    pub fn next_pid(&self, pid: Pid) -> Option<Pid> {
        let mut above = self.many.range((Bound::Excluded(pid), Bound::Unbounded));
        if let Some((&pid, _)) = above.next() {
            return Some(pid);
        }
        let index = self.few.as_slice().get(self.place(pid.checked_add(1)?))?;
        self.slots.get(*index).map(|worker| worker.pid)
    }

    fn index_of(&self, pid: Pid) -> Option<u32> {
        if self.many.is_empty() {
            self.index_at(self.place(pid), pid)
        } else {
            self.many.get(&pid).copied()
        }
    }

    /// The index at this place among the few, if it is that of the worker with this pid.
    fn index_at(&self, at: usize, pid: Pid) -> Option<u32> {
        let index = *self.few.as_slice().get(at)?;
        (self.slots.get(index)?.pid == pid).then_some(index)
    }

    /// The place among the few of the first with this pid or a higher one.
    fn place(&self, pid: Pid) -> usize {
        let is_before = |index| self.slots.get(index).is_some_and(|worker| worker.pid < pid);
        self.few.partition_point(is_before)
    }

    /// Those that may be signalled, in the order in which their pids sort as strings:
    /// programs have seen that order for ever.
    pub fn signalled_in_order(&self) -> Vec<&Worker> {
        let mut alive: Vec<&Worker> = self.iter().filter(|worker| !worker.reaped).collect();
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
impl Workers {
    /// Enters a worker under the lowest free index, and returns that.
    pub fn enter(&mut self, pid: Pid, generation: u64, now: Time) -> u32 {
        let index = self.reserve_index();
        let serial = self.take_serial();
        self.insert(pid, index, serial, generation, now);
        index
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn pids_are_visited_in_rising_order() {
        let mut workers = Workers::default();
        for pid in [30, 4, 100] {
            workers.enter(pid, 1, Time(0));
        }
        let visited = std::iter::successors(workers.next_pid(0), |&pid| workers.next_pid(pid));
        assert_eq!(visited.collect::<Vec<_>>(), [4, 30, 100]);
    }

    #[test]
    fn the_lowest_free_index_is_given_first() {
        let mut workers = Workers::default();
        for pid in 100..105 {
            assert_eq!(workers.enter(pid, 1, Time(0)), (pid - 100) as u32);
        }
        workers.remove(103);
        workers.remove(101);
        let index = workers.reserve_index();
        assert_eq!((index, workers.reserve_index()), (1, 3));
        workers.give_index_back(3);
        workers.give_index_back(index);
        assert_eq!(workers.enter(200, 1, Time(0)), 1);
        assert_eq!(workers.enter(201, 1, Time(0)), 3);
        assert_eq!(workers.enter(202, 1, Time(0)), 5);
    }

    #[test]
    fn pids_sort_as_strings() {
        let mut workers = Workers::default();
        for pid in [9, 10, 100, 99, 1, 2_000_000, 20] {
            workers.enter(pid, 1, Time(0));
        }
        let order: Vec<Pid> = workers.signalled_in_order().iter().map(|w| w.pid).collect();
        let mut expected: Vec<Pid> = workers.iter().map(|w| w.pid).collect();
        expected.sort_by_key(Pid::to_string);
        assert_eq!(order, expected);
    }

    #[test]
    fn an_exited_worker_is_counted_but_not_signalled() {
        let mut workers = Workers::default();
        workers.enter(5, 1, Time(0));
        workers.get_mut(5).unwrap().reaped = true;
        assert_eq!(workers.len(), 1);
        assert!(workers.signalled_in_order().is_empty());
    }

    #[test]
    fn a_key_is_one_workers_only() {
        let mut workers = Workers::default();
        workers.enter(5, 1, Time(0));
        let key = workers.get(5).unwrap().key();
        assert_eq!(workers.with_key(key).map(|worker| worker.pid), Some(5));
        workers.remove(5);
        assert!(workers.with_key(key).is_none() && workers.with_key_mut(key).is_none());
        workers.enter(5, 1, Time(0));
        assert!(workers.with_key(key).is_none() && workers.with_key_mut(key).is_none());
        assert_eq!(workers.get(5).unwrap().index, key.index);
        workers.clear();
        assert!(workers.with_key(key).is_none());
    }

    #[test]
    fn a_series_changes_no_order_and_no_number_comes_twice() {
        let mut workers = Workers::default();
        let mut serials = Vec::new();
        for series in [0, 7, 7, 3, 0, SERIES as u32, 1] {
            workers.set_series(series);
            assert_eq!(workers.series(), series);
            let serial = workers.take_serial();
            assert_eq!(serial.ticket().is_some(), series != 0);
            assert_eq!(serial.series(), series);
            serials.push(serial);
        }
        assert!(serials.is_sorted() && serials.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(serials[1].of(0).ticket(), None);
    }

    #[test]
    fn a_few_need_no_memory_of_their_own_for_their_order() {
        let mut workers = Workers::default();
        for pid in 1..=FEW as Pid {
            workers.enter(pid, 1, Time(0));
        }
        assert!(workers.many.is_empty() && workers.few.is_full());
        workers.enter(1000, 1, Time(0));
        assert!(workers.many.len() == FEW + 1 && workers.few.as_slice().is_empty());
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
                let taken: BTreeSet<u32> = plain.values().map(|&(_, index)| index).collect();
                let index = workers.reserve_index();
                assert_eq!((0..).find(|index| !taken.contains(index)), Some(index));
                if random.u8(0..8) == 0 {
                    workers.give_index_back(index);
                } else {
                    let serial = workers.take_serial();
                    workers.insert(pid, index, serial, step, Time(0));
                    plain.insert(pid, (step, index));
                }
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
            largest = largest.max(plain.len());
        }
        assert!(largest > FEW && emptied > 10);
    }
}
