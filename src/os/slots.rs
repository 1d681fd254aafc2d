//! What a manager and its workers do with the memory of a scoreboard that they share.
//!
//! Nobody locks. Any process may stop between any two steps: for a while, because it was preempted or stopped, or for good.
//! So nothing is concluded from how long a step takes, and every word here can be understood at any time:
//!
//! - **A slot has an owner.** One compare-and-exchange claims the slot and stores the owner. The pid as text and the status
//!   follow. When the owner was reaped, all its slots are freed, however far it came.
//! - **The owner is a ticket, or a pid.** A worker in a PID namespace of its own has one pid for itself, and the manager
//!   knows it by another. Both know its serial number in the table: the machine takes it before the fork, which copies it.
//!   This number is the worker's **ticket**. Its last 20 bits are a series, which the scoreboard gives to each manager that
//!   uses it, so no two managers give the same ticket. Nobody writes to one more page for this. A child that a worker has
//!   forked has a copy of the ticket, too; so the ticket counts only together with the worker's own pid, which that child
//!   has not. Any process without a ticket is known by its pid.
//! - **The busy number is never too low.** It goes up before a status turns busy, and down after a status has turned idle.
//! - **Each change between busy and idle ends with a look at the bounds.** The manager sets two bounds for the busy number
//!   before it sleeps (`arm`). The worker that makes the number cross a bound wakes the manager. A worker that is held up in
//!   the middle of a change does so when it goes on. One that has left a change by longjmp says so (`left_change`).
//! - **A worker may die in the middle of a change**, and leave the busy number too high by one. `changes` of its slot counts
//!   the changes, and those that are under way. So the manager that frees the slot knows of it, and notes how much too high
//!   the number may be (**doubt**). It raises the lower bound by the doubt. A look at all slots that finds nobody in the
//!   middle of a change, before and after, corrects the number. Until then the manager looks again every 250 ms.
//! - **Strangers** are owners of slots that are no workers of the manager's table. The bounds are about its workers, but the
//!   busy number is about all slots. So the manager adds the busy strangers to the bounds, and marks their slots: each of
//!   their changes wakes it, as the bounds are wrong then. As soon as the manager has begun to look for strangers, whoever
//!   claims a slot without a ticket of its series marks the slot by itself. What the manager saw at its last look may be out
//!   of date. Then it sets the bounds a second time, and whatever changes after that wakes it.
//! - **A worker that was told to stop** may have no slot yet. Then whoever claims a slot next wakes the manager, which looks
//!   for that worker's slot, and marks it.
//! - **woken** has the number of the manager's round (`arm`), so a worker that comes late says nothing about a later round.
//!   It says that the manager is woken only when the byte has been written. So a worker that is held up there, or has no
//!   descriptor any more, keeps no other from waking the manager.
//!
//! This file is compiled a second time by `tests/scoreboard.rs`, with the atomics of shuttle in `super::atomics`: it tries
//! schedules in which workers stop, die and leave after any step.

use super::atomics::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

/// The status of a slot that no worker has.
pub const STATUS_NEXIST: u8 = b'.';
/// The status of a worker that waits for work.
pub const STATUS_IDLE: u8 = b'_';
/// The size of a slot in bytes.
pub const SLOT_SIZE: usize = 16;
/// A slot: the status character, the pid in 14 columns, a newline.
pub const EMPTY_SLOT: [u8; SLOT_SIZE] = *b".              \n";
/// The width of the pid.
pub const PID_COLUMNS: usize = SLOT_SIZE - 2;

/// Added to `changes` when one begins.
const BEGIN: u32 = 1;
/// Those that are in the middle of a change: a handler may make one in the middle of another, and a
/// process that the owner has forked has the same slot.
const INSIDE: u32 = 63;
/// Added to `changes` when one ends.
pub const CHANGE_END: u32 = INSIDE;

/// In `woken`: somebody wants the manager to wake up.
const WANTED: u32 = 1;
/// And the bell has been rung.
const RUNG: u32 = 2;
const STATE: u32 = 3;
const ROUND: u32 = 4;

/// In `flags`: the owner has no descriptor to wake the manager by.
const IS_MUTE: u8 = 2;

/// Whose a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(u64);

/// The bits of a ticket that tell which series it is of.
pub const SERIES: u64 = (1 << 20) - 1;

const NOBODY: Owner = Owner(0);
/// In an `Owner`: it is a ticket, and no pid.
const IS_TICKET: u64 = 1 << 63;

impl Owner {
    /// The worker that a manager gave this ticket. Its last bits are the series (`Slots::new_series`); within that the manager
    /// gives each number once.
    pub fn ticket(ticket: u64) -> Owner {
        Owner(ticket | IS_TICKET)
    }

    /// A process that nobody gave a ticket, by the pid that it has for itself.
    pub fn process(pid: i32) -> Owner {
        Owner(pid.unsigned_abs().into())
    }

    /// 0 for a process without a ticket.
    fn series(self) -> u32 {
        if self.0 & IS_TICKET == 0 {
            return 0;
        }
        (self.0 & SERIES) as u32
    }
}

/// Who the owner of a slot is to the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of its workers.
    Worker,
    /// A worker that was told to stop.
    Stopping,
    /// None of its workers.
    Stranger,
}

/// What the manager has found at a look at the owners of all slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// How many workers that were told to stop have a slot.
    pub stopping: usize,
    /// How many strangers have a slot that is busy.
    pub busy_strangers: i32,
}

/// What is there once.
#[derive(Default)]
#[repr(C)]
pub struct Numbers {
    /// How many slots there are, for the workers.
    pub slots: AtomicU32,
    /// How many are busy, or a few more.
    pub busy: AtomicI32,
    /// With fewer busy workers than this the manager is woken.
    pub low: AtomicI32,
    /// With more busy workers than this the manager is woken.
    pub high: AtomicI32,
    woken: AtomicU32,
    /// By how much `busy` may be too high for good.
    doubt: AtomicI32,
    /// There may be a worker that cannot wake the manager.
    is_mute: AtomicU8,
    /// Whoever claims a slot wakes the manager.
    claims_wake: AtomicU8,
    /// The series that was begun last.
    last_series: AtomicU32,
    /// The series of the manager that wants to know of strangers; 0 if none does. Whoever claims a slot without a ticket of it
    /// marks that slot.
    own_series: AtomicU32,
}

/// What is there for each slot, apart from its text.
#[derive(Default)]
#[repr(C)]
pub struct Beside {
    owner: AtomicU64,
    /// See `BEGIN`, `INSIDE` and `CHANGE_END`.
    pub changes: AtomicU32,
    /// Any change between busy and idle wakes the manager.
    pub mark: AtomicU8,
    flags: AtomicU8,
}

/// The text of a slot.
pub type Text = [AtomicU8; SLOT_SIZE];

/// The memory.
#[derive(Clone, Copy)]
pub struct Slots<'a> {
    /// What is there once.
    pub numbers: &'a Numbers,
    /// One for each slot.
    pub beside: &'a [Beside],
    /// One for each slot.
    pub texts: &'a [Text],
}

/// What became of the slots of a process that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// It had one.
    pub had_slot: bool,
    /// It was in the middle of a change: the manager's bounds are not the right ones any more.
    pub was_changing: bool,
}

/// Whether a worker with this status is at work.
pub fn is_busy(status: u8) -> bool {
    status != STATUS_NEXIST && status != STATUS_IDLE
}

/// A pid as it stands in a slot.
pub fn pid_text(pid: i32) -> [u8; PID_COLUMNS] {
    let mut text = [b' '; PID_COLUMNS];
    for (column, digit) in text.iter_mut().zip(pid.to_string().bytes()) {
        *column = digit;
    }
    text
}

impl Slots<'_> {
    /// The status of a slot.
    pub fn status(&self, slot: u32) -> u8 {
        self.texts[slot as usize][0].load(SeqCst)
    }

    /// A series of tickets that no other manager of this scoreboard has, and this one has not had before.
    pub fn new_series(&self) -> u32 {
        loop {
            let series = self
                .numbers
                .last_series
                .fetch_add(1, SeqCst)
                .wrapping_add(1);
            // 0 is that of processes without a ticket.
            let series = series & SERIES as u32;
            if series != 0 {
                return series;
            }
        }
    }

    /// Gives a process a slot of the first `slots`: this one if it is free, otherwise the first
    /// free one. Its status is idle. Returns also whether the manager has to be woken for that.
    pub fn claim(&self, slots: u32, hint: u32, owner: Owner, pid: i32) -> Option<(u32, bool)> {
        let take = |&slot: &u32| {
            self.beside[slot as usize]
                .owner
                .compare_exchange(NOBODY.0, owner.0, SeqCst, SeqCst)
                .is_ok()
        };
        let hinted = Some(hint).filter(|&hint| hint < slots);
        let slot = hinted.filter(take).or_else(|| (0..slots).find(take))?;
        // Either the manager sees the owner when it looks for strangers, or this one sees that it has begun to.
        let own_series = self.numbers.own_series.load(SeqCst);
        if own_series != 0 && own_series != owner.series() {
            self.watch_slot(slot, true);
        }
        self.write_pid(slot, &pid_text(pid));
        let is_wanted = self.set_status(slot, STATUS_IDLE);
        Some((slot, is_wanted || self.claims_are_watched()))
    }

    fn owner(&self, slot: u32) -> Owner {
        Owner(self.beside[slot as usize].owner.load(SeqCst))
    }

    fn has_slot(&self, slots: u32, slot: u32, owner: Owner) -> Option<u32> {
        let is_its = slot < slots && owner != NOBODY && self.owner(slot) == owner;
        is_its.then_some(slot)
    }

    /// The slot of an owner: most often this one.
    pub fn slot_of(&self, slots: u32, expected: u32, owner: Owner) -> Option<u32> {
        let is_its = |&slot: &u32| self.has_slot(slots, slot, owner).is_some();
        self.has_slot(slots, expected, owner)
            .or_else(|| (0..slots).find(is_its))
    }

    /// Whether an owner has a slot, most often this one, with a busy status.
    pub fn is_owner_busy(&self, slots: u32, expected: u32, owner: Owner) -> bool {
        let slot = self.has_slot(slots, expected, owner).or_else(|| {
            // Where nobody is busy there is no need to search for those that have no slot yet.
            let somebody_is = self.numbers.busy.load(SeqCst) > 0;
            somebody_is
                .then(|| self.slot_of(slots, expected, owner))
                .flatten()
        });
        slot.is_some_and(|slot| is_busy(self.status(slot)))
    }

    /// The owner's status is this one. Returns whether the manager has to be woken for that. `perl/status.h` has the same
    /// steps in C, and says why; `t/c/steps.c` holds both to them.
    pub fn set_status(&self, slot: u32, status: u8) -> bool {
        let shown = &self.texts[slot as usize][0];
        let before = shown.load(SeqCst);
        if is_busy(before) == is_busy(status)
            && shown
                .compare_exchange(before, status, SeqCst, SeqCst)
                .is_ok()
        {
            return false;
        }
        self.make_change(slot, status);
        self.beside[slot as usize]
            .changes
            .fetch_add(CHANGE_END, SeqCst);
        self.is_wanted(slot)
    }

    /// All steps of a change that turns the owner busy or idle, but for the last one.
    pub fn make_change(&self, slot: u32, status: u8) {
        self.beside[slot as usize].changes.fetch_add(BEGIN, SeqCst);
        // In this order the number is never less than that of the busy ones.
        if is_busy(status) {
            self.numbers.busy.fetch_add(1, SeqCst);
        }
        if is_busy(self.texts[slot as usize][0].swap(status, SeqCst)) {
            self.numbers.busy.fetch_sub(1, SeqCst);
        }
    }

    /// A change of this slot, which began when `changes` was this number, was left for good. It may
    /// have gone any part of the way. The manager has to be woken.
    pub fn left_change(&self, slot: u32, before: u32) {
        self.numbers.doubt.fetch_add(1, SeqCst);
        self.end_change(slot, before);
    }

    /// A change of this slot, which began when `changes` was this number, is over; this may have been
    /// noted already. Returns whether the manager has to be woken for it.
    pub fn end_change(&self, slot: u32, before: u32) -> bool {
        let changes = &self.beside[slot as usize].changes;
        if changes.load(SeqCst) & INSIDE != before & INSIDE {
            changes.fetch_add(CHANGE_END, SeqCst);
        }
        self.is_wanted(slot)
    }

    /// Whether the busy number, or a mark at this slot, says that the manager has to be woken.
    pub fn is_wanted(&self, slot: u32) -> bool {
        let busy = self.numbers.busy.load(SeqCst);
        busy < self.numbers.low.load(SeqCst)
            || busy > self.numbers.high.load(SeqCst)
            || self.beside[slot as usize].mark.load(SeqCst) != 0
    }

    /// Frees the slots of an owner that is gone. `will_free` is called with each before it can be
    /// another one's.
    pub fn clear(&self, slots: u32, owner: Owner, will_free: impl Fn(u32)) -> Cleared {
        let mut cleared = Cleared::default();
        if owner == NOBODY {
            return cleared;
        }
        for slot in 0..slots {
            let beside = &self.beside[slot as usize];
            if self.owner(slot) != owner {
                continue;
            }
            will_free(slot);
            self.write_pid(slot, &[b' '; PID_COLUMNS]);
            beside.changes.fetch_add(BEGIN, SeqCst);
            if is_busy(self.texts[slot as usize][0].swap(STATUS_NEXIST, SeqCst)) {
                self.numbers.busy.fetch_sub(1, SeqCst);
            }
            let left = (beside.changes.load(SeqCst) & INSIDE).saturating_sub(BEGIN);
            self.numbers.doubt.fetch_add(left as i32, SeqCst);
            beside
                .changes
                .fetch_add(CHANGE_END.wrapping_sub(left * BEGIN), SeqCst);
            beside.mark.store(0, SeqCst);
            beside.flags.store(0, SeqCst);
            beside.owner.store(NOBODY.0, SeqCst);
            cleared.had_slot = true;
            cleared.was_changing |= left != 0;
        }
        cleared
    }

    /// From now on the worker whose change makes the number of busy ones leave `low..=high` finds
    /// that the manager has to be woken. Look at the statuses after this call: a change is seen
    /// there, or it wakes. False if the manager should come back to this without being woken.
    pub fn arm(&self, slots: u32, low: i32, high: i32) -> bool {
        // First of all: who finds that somebody has rung already does not ring, and what it had to say is seen below.
        let round = self.numbers.woken.load(SeqCst) & !STATE;
        self.numbers.woken.store(round.wrapping_add(ROUND), SeqCst);
        self.settle(slots);
        let doubt = self.numbers.doubt.load(SeqCst).max(0);
        self.numbers.low.store(low.saturating_add(doubt), SeqCst);
        self.numbers.high.store(high, SeqCst);
        doubt == 0 && !self.somebody_is_mute(slots)
    }

    /// Nobody wakes the manager from now on, be it by a mark or by the number of busy ones.
    pub fn disarm(&self, slots: u32) {
        self.watch(slots, 0, 0, false, |_, _| Role::Stranger);
        self.numbers.low.store(i32::MIN, SeqCst);
        self.numbers.high.store(i32::MAX, SeqCst);
    }

    /// Puts the number of busy workers right, if it is known to be wrong.
    fn settle(&self, slots: u32) {
        let doubt = self.numbers.doubt.load(SeqCst);
        if doubt == 0 && self.numbers.busy.load(SeqCst) == self.count_busy(slots) {
            return;
        }
        let Some(changes) = self.changes_if_still(slots) else {
            return;
        };
        let doubt = self.numbers.doubt.load(SeqCst);
        let busy = self.numbers.busy.load(SeqCst);
        let seen = self.count_busy(slots);
        if self.changes_if_still(slots) == Some(changes)
            && self
                .numbers
                .busy
                .compare_exchange(busy, seen, SeqCst, SeqCst)
                .is_ok()
        {
            self.numbers.doubt.fetch_sub(doubt, SeqCst);
        }
    }

    fn count_busy(&self, slots: u32) -> i32 {
        let busy = (0..slots).filter(|&slot| is_busy(self.status(slot)));
        i32::try_from(busy.count()).unwrap_or(i32::MAX)
    }

    /// How many changes there were at all slots; none if somebody may be in the middle of one.
    fn changes_if_still(&self, slots: u32) -> Option<u64> {
        let mut sum = 0_u64;
        for beside in &self.beside[..slots as usize] {
            let changes = beside.changes.load(SeqCst);
            if changes & INSIDE != 0 {
                return None;
            }
            sum = sum.wrapping_add(changes.into());
        }
        Some(sum)
    }

    /// Whether the owner of the slot finds that the manager has to be woken whenever it turns busy or idle.
    fn watch_slot(&self, slot: u32, is_watched: bool) {
        let mark = &self.beside[slot as usize].mark;
        if mark.load(SeqCst) != u8::from(is_watched) {
            mark.store(u8::from(is_watched), SeqCst);
        }
    }

    /// From now on workers that were told to stop find that the manager has to be woken whenever they turn busy or
    /// idle, and with a series (not 0), whose workers tell themselves from strangers, so do strangers; others do not. `role`
    /// says who the owner of a slot is. If fewer than `stopping` workers have a slot that were told to stop, or if
    /// somebody else is awaited who would not mark its slot, whoever claims a slot wakes the manager as well.
    ///
    /// Call this after `arm`, which clears who has wanted to wake the manager before. What is counted here holds until one of
    /// those changes, which wakes.
    pub fn watch(
        &self,
        slots: u32,
        series: u32,
        stopping: usize,
        others_are_awaited: bool,
        role: impl Fn(u32, Owner) -> Role,
    ) -> Watched {
        let watched = self.mark(slots, series, &role);
        let are_awaited = watched.stopping < stopping || others_are_awaited;
        self.watch_claims(are_awaited);
        if !are_awaited {
            return watched;
        }
        // A slot that is claimed from now on wakes, one before is found.
        self.mark(slots, series, &role)
    }

    fn mark(&self, slots: u32, series: u32, role: &impl Fn(u32, Owner) -> Role) -> Watched {
        let own_series = &self.numbers.own_series;
        if own_series.load(SeqCst) != series {
            own_series.store(series, SeqCst);
        }
        let mut watched = Watched::default();
        for slot in 0..slots {
            let owner = self.owner(slot);
            if owner == NOBODY {
                continue;
            }
            let role = role(slot, owner);
            let is_stranger = role == Role::Stranger && series != 0;
            self.watch_slot(slot, is_stranger || role == Role::Stopping);
            watched.stopping += usize::from(role == Role::Stopping);
            // After the mark: a change is seen here, or it wakes.
            watched.busy_strangers += i32::from(is_stranger && is_busy(self.status(slot)));
        }
        watched
    }

    /// Whether whoever claims a slot finds that the manager has to be woken.
    fn watch_claims(&self, are_watched: bool) {
        if self.claims_are_watched() != are_watched {
            let claims_wake = &self.numbers.claims_wake;
            claims_wake.store(u8::from(are_watched), SeqCst);
        }
    }

    /// What `watch_claims` has said last.
    pub fn claims_are_watched(&self) -> bool {
        self.numbers.claims_wake.load(SeqCst) != 0
    }

    /// Wakes the manager, once for each `arm`, by the call of `ring`, which returns whether it could. If it
    /// could not, this is false, and the manager learns of it when it is up.
    pub fn wake(&self, ring: impl FnOnce() -> bool) -> bool {
        let woken = &self.numbers.woken;
        let mut round = woken.load(SeqCst);
        while round & STATE == 0 {
            match woken.compare_exchange(round, round | WANTED, SeqCst, SeqCst) {
                Ok(_) => round |= WANTED,
                Err(now) => round = now,
            }
        }
        if round & RUNG != 0 {
            return true;
        }
        // Who is stopped before it has rung keeps nobody else from that.
        if !ring() {
            return false;
        }
        // It is another round by now, perhaps, in which nobody has rung yet.
        let _ = woken.compare_exchange(round, round ^ STATE, SeqCst, SeqCst);
        true
    }

    /// Whether somebody has wanted the manager to wake up since the last `arm`.
    pub fn is_woken(&self) -> bool {
        self.numbers.woken.load(SeqCst) & STATE != 0
    }

    /// The owner of the slot cannot wake the manager.
    pub fn mute(&self, slot: u32) {
        self.beside[slot as usize].flags.fetch_or(IS_MUTE, SeqCst);
        self.numbers.is_mute.store(1, SeqCst);
    }

    fn somebody_is_mute(&self, slots: u32) -> bool {
        if self.numbers.is_mute.load(SeqCst) == 0 {
            return false;
        }
        self.numbers.is_mute.store(0, SeqCst);
        let is_mute = |beside: &Beside| beside.flags.load(SeqCst) & IS_MUTE != 0;
        if self.beside[..slots as usize].iter().any(is_mute) {
            self.numbers.is_mute.store(1, SeqCst);
            return true;
        }
        false
    }

    fn write_pid(&self, slot: u32, text: &[u8; PID_COLUMNS]) {
        let columns = &self.texts[slot as usize][1..=PID_COLUMNS];
        for (column, &byte) in columns.iter().zip(text) {
            column.store(byte, SeqCst);
        }
    }
}
