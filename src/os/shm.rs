//! The scoreboard: one 16-byte slot a worker, in memory that all of them share. `slots.rs` has the rules of that memory.
//!
//! A slot is text: the status character, the pid in 14 columns, a newline. A worker writes its own slot and no other, the
//! status with one atomic store. Nobody takes a lock.
//!
//! If the program names a file, each change is written there as well. The file is a copy for others, who can read it with
//! cat(1) while the server runs. No part of the library reads it, so whoever spoils it spoils nothing else. It is not
//! mapped: whoever shortens a mapped file ends the processes that look at it (SIGBUS).
//!
//! Beside the slots the workers count how many of them are busy, and the manager leaves two bounds there before it sleeps.
//! The worker that makes the number cross a bound writes a byte to the manager's pipe, the descriptor of WAIT. The manager
//! sets the bounds before it looks at the slots: it sees a change, or the change wakes it. If the manager is gone nobody
//! reads the pipe; the SIGPIPE of that write is taken before it can end the worker.
//!
//! The manager looks for a worker at the slot of its index first, which another process may have, and then at all slots. A
//! worker without a slot is idle. A host that decides by itself frees slots by pid (`pf_scoreboard_clear`). So the manager
//! notes the pid of each ticket: in the shared memory (`Known`), whose pages no fork copies. In its own memory it notes the
//! workers that have left the table alive, and those whose index another one has by now (`Former`).
//!
//! A worker that has closed its descriptor of the pipe opens it again by the manager's /proc. Where that is not allowed it
//! says so, and the manager looks every 250 ms as long as that worker lives.
//!
//! A worker may be in the hands of somebody else. So the manager takes no size, no index and no pid to signal from the
//! shared memory, and no number found there makes it fail. SECURITY.md says what follows.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicU64};

use super::descriptor::{Inherited, above_stdio};
use super::mapping::Mapping;
use super::process::Process;
use super::slots::{Beside, Numbers, Owner, PID_COLUMNS, Role, SERIES, Slots, Text, pid_text};
use super::wake::wake;
use crate::machine::{self, Pid, Serial, Statuses, Worker, Workers};

pub use super::slots::{CHANGE_END, Cleared, EMPTY_SLOT, SLOT_SIZE, STATUS_IDLE, STATUS_NEXIST};

/// More workers than this no scoreboard has room for. Address space is reserved for all
/// of them, memory is used only by those that there are.
pub const MAX_SLOTS: u32 = 1 << 20;

const _: () = assert!(SERIES == machine::SERIES);

/// What the manager and its workers share beside the text of the slots.
#[repr(C)]
struct Header {
    numbers: Numbers,
    beside: [Beside; MAX_SLOTS as usize],
    /// By the indexes of workers.
    known: [Known; MAX_SLOTS as usize],
}

/// Which pid the manager knows the worker by that it gave a ticket. It is the manager's own, and lies here as a page that it writes to is
/// not copied here.
#[repr(C)]
struct Known {
    /// 0: none.
    ticket: AtomicU64,
    pid: AtomicI32,
}

/// A scoreboard, as one process sees it.
pub struct Scoreboard {
    header: Mapping,
    slots: Mapping,
    /// How many the owner has made; the number in the header is for its workers.
    made: u32,
    /// The process that made them.
    owner: Process,
    copy: Option<Copy>,
    wake_end: Option<Inherited>,
    mine: Option<Mine>,
    /// The ticket of the worker that this process is, or descends from.
    ticket: Option<Ticket>,
    /// Workers of which `Known` says nothing any more: those that were taken out of the table alive, and those whose index another
    /// one has while they still have a slot.
    former: Vec<Former>,
    /// Whose this scoreboard is, as that one knows it; 0: nobody's.
    user: usize,
    /// How many of the `Known` have been written to.
    known_len: u32,
    /// How many slots of strangers were busy when the manager looked last.
    busy_strangers: i32,
}

/// The slot of this process.
#[derive(Clone, Copy, Debug)]
struct Mine {
    slot: u32,
    pid: Pid,
}

/// What a worker was told at its fork.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    ticket: u64,
    /// The pid that the worker has for itself: what it forks is not known by this.
    pid: Pid,
}

/// A worker that the manager knows by its pid only.
#[derive(Clone, Copy, Debug)]
struct Former {
    pid: Pid,
    ticket: u64,
    /// Its number, if it was alive when it was taken out of the table, and may become a worker again.
    serial: Option<Serial>,
}

/// By what the scoreboard knows a worker.
fn owner_of(worker: &Worker) -> Owner {
    match worker.serial.ticket() {
        Some(ticket) => Owner::ticket(ticket),
        None => Owner::process(worker.pid),
    }
}

/// The workers of a table, by what the scoreboard knows them by.
struct Owners<'a> {
    workers: &'a Workers,
    /// How many were searched for.
    searches: Cell<u32>,
    /// Made when there are many to search for.
    by_owner: OnceCell<BTreeMap<Owner, &'a Worker>>,
}

/// So many are found sooner by a look at each worker than by a map.
const FEW_SEARCHES: u32 = 8;

impl<'a> Owners<'a> {
    fn of(workers: &'a Workers) -> Owners<'a> {
        Owners {
            workers,
            searches: Cell::new(0),
            by_owner: OnceCell::new(),
        }
    }

    /// Who the owner of this slot is. Most often the slot is that of the worker's index.
    fn role(&self, slot: u32, owner: Owner) -> Role {
        let is_its = |worker: &&Worker| owner_of(worker) == owner;
        let worker = self.workers.with_index(slot).filter(is_its);
        let worker = worker.or_else(|| self.search(owner));
        match worker {
            Some(worker) if worker.stopping && !worker.reaped => Role::Stopping,
            Some(_) => Role::Worker,
            None => Role::Stranger,
        }
    }

    fn search(&self, owner: Owner) -> Option<&'a Worker> {
        let searches = self.searches.get();
        if searches < FEW_SEARCHES {
            self.searches.set(searches + 1);
            return self.workers.iter().find(|worker| owner_of(worker) == owner);
        }
        let by_owner = || self.workers.iter().map(|worker| (owner_of(worker), worker));
        let all = self.by_owner.get_or_init(|| by_owner().collect());
        all.get(&owner).copied()
    }
}

/// Where a change of this process's status is written to and what it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct OwnSlot {
    /// The status of this process.
    pub status: NonNull<u8>,
    /// How many workers are busy.
    pub busy: NonNull<i32>,
    /// With fewer busy workers than this the manager is woken.
    pub low: NonNull<i32>,
    /// With more busy workers than this the manager is woken.
    pub high: NonNull<i32>,
    /// If it is not 0, any change between busy and idle wakes the manager.
    pub mark: NonNull<u8>,
    /// How many changes between busy and idle this process has made, and is in the middle of.
    pub changes: NonNull<u32>,
}

/// Why a slot could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// This process has one already.
    Twice,
    /// Every slot is taken.
    Full,
}

impl Scoreboard {
    /// Makes a scoreboard with room for `slots` workers: in a new file, which must not be
    /// there yet, or in memory.
    pub fn new(path: Option<&Path>, slots: u32) -> io::Result<Scoreboard> {
        let header = Mapping::new(size_of::<Header>())?;
        let memory = Mapping::new(MAX_SLOTS as usize * SLOT_SIZE)?;
        let mut scoreboard = Scoreboard {
            header,
            slots: memory,
            made: 0,
            owner: Process::this(),
            copy: path.map(Copy::new).transpose()?,
            wake_end: None,
            mine: None,
            ticket: None,
            former: Vec::new(),
            user: 0,
            known_len: 0,
            busy_strangers: 0,
        };
        scoreboard.disarm();
        let grown = scoreboard.grow(slots);
        if let (Err(_), Some(path), Some(copy)) = (&grown, path, &scoreboard.copy) {
            // What is wrong is in the error.
            let _ = copy.file.metadata().map(|made| remove(path, &made));
        }
        grown.map(|()| scoreboard)
    }

    /// Makes room for `slots` workers in all; it never shrinks.
    pub fn grow(&mut self, slots: u32) -> io::Result<()> {
        let have = self.made;
        if slots <= have {
            return Ok(());
        }
        if slots > MAX_SLOTS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a scoreboard has room for {MAX_SLOTS} workers at most, not {slots}"),
            ));
        }
        if let Some(copy) = &self.copy {
            copy.lengthen(have, slots)?;
        }
        for text in &self.shared().texts[have as usize..slots as usize] {
            for (byte, &empty) in text.iter().zip(&EMPTY_SLOT) {
                byte.store(empty, SeqCst);
            }
        }
        self.made = slots;
        self.owner = Process::this();
        self.numbers().slots.store(slots, SeqCst);
        Ok(())
    }

    /// How many slots there are.
    pub fn len(&self) -> u32 {
        if self.owner.is_this() {
            self.made
        } else {
            // The manager may have made more since it forked us.
            self.numbers()
                .slots
                .load(SeqCst)
                .clamp(self.made, MAX_SLOTS)
        }
    }

    /// Whether there is no slot at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says where a worker writes to wake the manager.
    pub fn set_wake_fd(&mut self, wake_fd: Option<RawFd>) {
        self.wake_end = wake_fd.and_then(Inherited::new);
    }

    /// This process becomes the owner of a slot, which is idle from now on: of `hint` if
    /// that is free, of the first free one otherwise.
    pub fn claim(&mut self, hint: u32, pid: Pid) -> Result<u32, ClaimError> {
        if self.mine.is_some() {
            return Err(ClaimError::Twice);
        }
        let owner = match self.ticket {
            Some(Ticket { ticket, pid: its }) if its == pid => Owner::ticket(ticket),
            // It has none, or is a child of the worker that has it.
            Some(_) | None => Owner::process(pid),
        };
        let (slot, is_wanted) = self
            .shared()
            .claim(self.len(), hint, owner, pid)
            .ok_or(ClaimError::Full)?;
        self.mine = Some(Mine { slot, pid });
        self.show(STATUS_IDLE);
        if is_wanted {
            self.wake(slot);
        }
        Ok(slot)
    }

    /// Sets the status of this process; false if it owns no slot.
    pub fn set_status(&self, status: u8) -> bool {
        let Some(mine) = self.mine else {
            return false;
        };
        let is_wanted = self.shared().set_status(mine.slot, status);
        self.show(status);
        if is_wanted {
            self.wake(mine.slot);
        }
        true
    }

    /// A change that this process has made by itself is over. It began when its number of changes was
    /// `before`; unless it `is_whole`, any part of it may be missing. False if this process owns no slot.
    pub fn end_change(&self, before: u32, is_whole: bool) -> bool {
        let Some(mine) = self.mine else {
            return false;
        };
        let is_wanted = if is_whole {
            self.shared().end_change(mine.slot, before)
        } else {
            self.shared().left_change(mine.slot, before);
            true
        };
        if is_wanted {
            self.wake(mine.slot);
        }
        true
    }

    /// The slot of this process, for whoever sets a status without a call; none if it has no
    /// slot, or if each change goes into a file as well.
    pub fn own_slot(&self) -> Option<OwnSlot> {
        let mine = self.mine.filter(|_| self.copy.is_none())?;
        let shared = self.shared();
        let (beside, numbers) = (&shared.beside[mine.slot as usize], shared.numbers);
        Some(OwnSlot {
            status: NonNull::from(&shared.texts[mine.slot as usize][0]).cast(),
            busy: NonNull::from(&numbers.busy).cast(),
            low: NonNull::from(&numbers.low).cast(),
            high: NonNull::from(&numbers.high).cast(),
            mark: NonNull::from(&beside.mark).cast(),
            changes: NonNull::from(&beside.changes).cast(),
        })
    }

    /// A series of tickets for a manager that this scoreboard is to be given to.
    pub fn new_series(&self) -> u32 {
        self.shared().new_series()
    }

    /// This process, whose number is `pid` for itself, is the worker with this number.
    pub fn is_worker(&mut self, serial: Serial, pid: Pid) {
        if let Some(ticket) = serial.ticket() {
            self.ticket = Some(Ticket { ticket, pid });
        }
    }

    /// Notes by which pid the manager knows a worker.
    pub fn note_worker(&mut self, worker: &Worker) {
        let (Some(ticket), true) = (worker.serial.ticket(), worker.index < MAX_SLOTS) else {
            return;
        };
        let known = &self.known()[worker.index as usize];
        let before = Former {
            pid: known.pid.swap(worker.pid, SeqCst),
            ticket: known.ticket.swap(ticket, SeqCst),
            serial: None,
        };
        let has_slot = |former: &Former| self.slot_of(worker.index, former.ticket).is_some();
        let is_left = before.ticket != 0 && before.ticket != ticket && has_slot(&before);
        // Another process has the number, so that the one before is gone, and has at most left a slot.
        let is_gone = |former: &Former| former.pid == worker.pid || former.serial.is_none();
        if is_left || self.former.iter().any(is_gone) {
            // No more than there are slots: what is in the shared memory may be anything.
            let kept = self.former.iter().copied();
            let kept = kept.filter(|former| !is_gone(former) || has_slot(former));
            let is_kept_already =
                |former: &Former| former.serial.is_none() && former.ticket == before.ticket;
            let kept = kept.filter(|former| !is_kept_already(former));
            self.former = kept.chain(is_left.then_some(before)).collect();
        }
        if self.known_len <= worker.index {
            self.known_len = worker.index + 1;
        }
    }

    /// A worker that is alive has left the table.
    pub fn disown_worker(&mut self, worker: &Worker) {
        if let Some(ticket) = worker.serial.ticket() {
            self.remove_known(worker.index, ticket);
            self.former.push(Former {
                pid: worker.pid,
                ticket,
                serial: Some(worker.serial),
            });
        }
    }

    /// A process becomes a worker by its pid. Returns the number that it had if it was one before.
    pub fn take_disowned(&mut self, pid: Pid) -> Option<Serial> {
        let is_it = |former: &Former| former.pid == pid && former.serial.is_some();
        let at = self.former.iter().position(is_it)?;
        self.former.swap_remove(at).serial
    }

    /// Frees the slots of a process that is gone, by the pid that the manager knows it by; false if it had none.
    pub fn clear(&mut self, pid: Pid) -> bool {
        if self.clear_former(pid) {
            return true;
        }
        // If a new worker has the number already, this is about the one before.
        let known = self.known()[..self.known_len as usize].iter();
        let tickets = known
            .filter(|known| known.pid.load(SeqCst) == pid)
            .map(|known| known.ticket.load(SeqCst));
        let oldest = tickets.filter(|&ticket| ticket != 0).min();
        oldest.is_some_and(|ticket| self.clear_worker(ticket))
            || self.free(Owner::process(pid)).is_some()
    }

    /// Frees the slots of a worker that is gone.
    pub fn clear_worker(&mut self, ticket: u64) -> bool {
        let slot = self.free(Owner::ticket(ticket));
        self.remove_known(slot.unwrap_or(0), ticket);
        slot.is_some()
    }

    /// The same, where a worker that is alive has the number now.
    pub fn clear_other(&mut self, pid: Pid) -> bool {
        self.clear_former(pid) || self.free(Owner::process(pid)).is_some()
    }

    fn clear_former(&mut self, pid: Pid) -> bool {
        let mut had_slot = false;
        while let Some(at) = self.former.iter().position(|former| former.pid == pid) {
            let former = self.former.swap_remove(at);
            had_slot |= self.free(Owner::ticket(former.ticket)).is_some();
        }
        had_slot
    }

    /// Frees the slots of an owner that is gone. Returns the last one.
    fn free(&self, owner: Owner) -> Option<u32> {
        let last = Cell::new(None);
        let cleared = self.shared().clear(self.len(), owner, |slot| {
            last.set(Some(slot));
            if let Some(copy) = &self.copy {
                copy.write(slot, &EMPTY_SLOT);
            }
        });
        if cleared.was_changing {
            // Whoever else has set bounds has to look at them again.
            self.ring();
        }
        last.get()
    }

    fn slot_of(&self, expected: u32, ticket: u64) -> Option<u32> {
        let owner = Owner::ticket(ticket);
        self.shared().slot_of(self.len(), expected, owner)
    }

    /// Nobody knows a worker by its pid any more. Most often its index is the expected one.
    fn remove_known(&self, expected: u32, ticket: u64) {
        let known = &self.known()[..self.known_len as usize];
        let is_its = |known: &&Known| known.ticket.load(SeqCst) == ticket;
        let expected = known.get(expected as usize).filter(is_its);
        if let Some(known) = expected.or_else(|| known.iter().find(is_its)) {
            known.ticket.store(0, SeqCst);
        }
    }

    /// The status of a slot.
    pub fn status(&self, slot: u32) -> u8 {
        self.shared().status(slot)
    }

    /// From now on the worker that makes the number of busy ones leave `low..=high` wakes
    /// the manager. False if the manager should call this again before long, though nobody may wake it: a
    /// worker was killed in the middle of a change, or has no descriptor to wake it by.
    ///
    /// Look at the statuses after this call: a change is seen there, or it wakes.
    pub fn arm(&mut self, low: i32, high: i32) -> bool {
        self.owner = Process::this();
        self.shared().arm(self.made, low, high)
    }

    /// From now on those of the workers that were told to stop wake the manager whenever they turn busy or idle, and
    /// the others do not. With `strangers` those do that are no workers of the table. Returns how many of these are
    /// busy; a change of that wakes. Look at the statuses after this call, as for `arm`. Of those that have no slot
    /// yet the claim wakes the manager. Call this after `arm`, which clears who has wanted to wake it before.
    pub fn watch(&mut self, workers: &Workers, strangers: bool) -> i32 {
        let owners = Owners::of(workers);
        let shared = self.shared();
        let series = if strangers { workers.series() } else { 0 };
        let stopping = workers
            .iter()
            .filter(|worker| worker.stopping && !worker.reaped);
        let stopping = stopping.count();
        // Those that were workers at their fork do not take themselves for strangers.
        let is_awaited = |former: &Former| self.slot_of(0, former.ticket).is_none();
        let strangers_are_awaited = strangers && self.former.iter().any(is_awaited);
        let role = |slot, owner| owners.role(slot, owner);
        let watched = shared.watch(self.made, series, stopping, strangers_are_awaited, role);
        if strangers {
            self.busy_strangers = watched.busy_strangers;
        }
        watched.busy_strangers
    }

    /// How many strangers were busy at the last call of `watch` that has looked at them.
    pub fn busy_strangers(&self) -> i32 {
        self.busy_strangers
    }

    /// Whose this scoreboard is: a number that the caller has for that, or 0 for nobody's.
    pub fn set_user(&mut self, user: usize) {
        self.user = user;
    }

    /// Whether it is this one's.
    pub fn is_users(&self, user: usize) -> bool {
        self.user == user
    }

    /// Whether a worker that was told to stop, or a stranger, had no slot when `watch` looked for it. Then it is to be
    /// called again before long, unless it is called after `arm` each time.
    pub fn awaits_claims(&self) -> bool {
        self.shared().claims_are_watched()
    }

    /// Whether a worker has wanted to wake the manager since the last `arm`.
    pub fn is_woken(&self) -> bool {
        self.shared().is_woken()
    }

    /// Nobody wakes the manager from now on.
    pub fn disarm(&self) {
        self.shared().disarm(self.len());
    }

    /// Wakes the manager, for the owner of this slot.
    fn wake(&self, slot: u32) {
        if self.wake_end.is_some() && !self.ring() {
            self.shared().mute(slot);
        }
    }

    /// False if there is no way to the manager.
    fn ring(&self) -> bool {
        let Some(wake_end) = self.wake_end else {
            return false;
        };
        self.shared().wake(|| match wake_end.get() {
            Some(fd) => wake(fd),
            // Programs close what they do not know; the manager has it still.
            None => wake_end
                .open_in(self.owner.pid())
                .is_some_and(|end| wake(end.as_raw_fd())),
        })
    }

    /// Brings the copy up to date with the status of this process.
    fn show(&self, status: u8) {
        if let (Some(copy), Some(mine)) = (&self.copy, self.mine) {
            let mut text = EMPTY_SLOT;
            text[0] = status;
            text[1..=PID_COLUMNS].copy_from_slice(&pid_text(mine.pid));
            copy.write(mine.slot, &text);
        }
    }

    fn numbers(&self) -> &Numbers {
        self.shared().numbers
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is at least as large as a Header, aligned to a page, zeroed by
        // the kernel, lives as long as self, and is only ever used through atomics.
        unsafe { self.header.start().cast::<Header>().as_ref() }
    }

    fn known(&self) -> &[Known] {
        &self.header().known
    }

    fn shared(&self) -> Slots<'_> {
        let header = self.header();
        // SAFETY: the mapping has room for MAX_SLOTS, lives as long as self, and is only ever used
        // through atomics, which have the layout of a byte.
        let texts = unsafe {
            std::slice::from_raw_parts(
                self.slots.start().cast::<Text>().as_ptr(),
                MAX_SLOTS as usize,
            )
        };
        Slots {
            numbers: &header.numbers,
            beside: &header.beside,
            texts,
        }
    }
}

impl Statuses for Scoreboard {
    fn is_busy(&self, worker: &Worker) -> bool {
        self.shared()
            .is_owner_busy(self.made, worker.index, owner_of(worker))
    }
}

/// The scoreboard file. What is wrong with it is no reason to stop: it is there to be looked at.
struct Copy {
    /// Closed by `drop`, if its number is not another file's by then.
    file: ManuallyDrop<File>,
    descriptor: Option<Inherited>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.is_there() {
            // SAFETY: nobody uses it later.
            drop(unsafe { ManuallyDrop::take(&mut self.file) });
        }
    }
}

impl Copy {
    fn new(path: &Path) -> io::Result<Copy> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        let made = file.metadata()?;
        Copy::of(file).inspect_err(|_| remove(path, &made))
    }

    fn of(file: File) -> io::Result<Copy> {
        let file = File::from(above_stdio(OwnedFd::from(file))?);
        // A umask may have taken the owner's bits.
        file.set_permissions(Permissions::from_mode(0o600))?;
        let descriptor = Inherited::new(file.as_raw_fd());
        Ok(Copy {
            file: ManuallyDrop::new(file),
            descriptor,
        })
    }

    /// Whether the program has left it open.
    fn is_there(&self) -> bool {
        self.descriptor.and_then(Inherited::get).is_some()
    }

    fn lengthen(&self, have: u32, slots: u32) -> io::Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        let empty = EMPTY_SLOT.repeat((slots - have) as usize);
        self.file.write_all_at(&empty, offset(have))
    }

    fn write(&self, slot: u32, text: &[u8; SLOT_SIZE]) {
        if self.is_there() {
            // A disk that is full, or gone, has no room for what we have to say.
            let _ = self.file.write_at(text, offset(slot));
        }
    }
}

/// Removes a file that was made in vain, unless another one has its name by now.
fn remove(path: &Path, made: &Metadata) {
    let is_there = std::fs::symlink_metadata(path)
        .is_ok_and(|now| (now.dev(), now.ino()) == (made.dev(), made.ino()));
    if is_there {
        let _ = std::fs::remove_file(path);
    }
}

fn offset(slot: u32) -> u64 {
    u64::from(slot) * SLOT_SIZE as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Time;
    use crate::os::wake::WakePipe;

    /// One that the host has forked by itself.
    fn worker(pid: Pid, index: u32) -> Worker {
        Worker {
            pid,
            index,
            ..Worker::default()
        }
    }

    /// A table of workers that the host has forked by itself, with indexes from 0.
    fn table(pids: &[Pid], told_to_stop: &[Pid]) -> Workers {
        let mut workers = Workers::default();
        for &pid in pids {
            enter(&mut workers, pid, Serial::default());
        }
        for &pid in told_to_stop {
            workers.get_mut(pid).unwrap().stopping = true;
        }
        workers
    }

    fn enter(workers: &mut Workers, pid: Pid, serial: Serial) {
        let index = workers.reserve_index();
        workers.insert(pid, index, serial, 1, Time::default());
    }

    #[test]
    fn slots_are_claimed_written_and_freed() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        assert!(!board.set_status(b'A'));
        assert_eq!(board.claim(1, 4711), Ok(1));
        assert_eq!(board.claim(0, 4711), Err(ClaimError::Twice));
        assert!(board.set_status(b'A'));
        assert!(board.is_busy(&worker(4711, 1)));
        board.mine = None;
        assert_eq!(board.claim(1, 12), Ok(0));
        board.mine = None;
        assert_eq!(board.claim(0, 13), Err(ClaimError::Full));
        assert!(board.clear(4711));
        assert!(!board.clear(4711));
        assert_eq!(board.status(1), STATUS_NEXIST);
        assert!(!board.clear(1));
        board.grow(5).unwrap();
        assert_eq!(board.len(), 5);
        assert_eq!(board.claim(4, 13), Ok(4));
    }

    #[test]
    fn a_pid_that_begins_like_another_is_another() {
        let mut board = Scoreboard::new(None, 1).unwrap();
        board.claim(0, 471).unwrap();
        assert!(!board.clear(47));
        assert!(!board.clear(4711));
        assert!(board.clear(471));
    }

    fn readable(pipe: &WakePipe) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::BorrowedFd;
        // SAFETY: the descriptor is the pipe's, which outlives the call.
        let fd = unsafe { BorrowedFd::borrow_raw(pipe.read_fd()) };
        poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    /// A worker that was forked with a ticket of a new series.
    fn known_worker(board: &Scoreboard, pid: Pid, index: u32) -> Worker {
        let mut workers = Workers::default();
        workers.set_series(board.new_series());
        Worker {
            serial: workers.take_serial(),
            ..worker(pid, index)
        }
    }

    /// As a worker that has this pid for itself: it is told its ticket, and claims a slot.
    fn claim_as(board: &mut Scoreboard, worker: &Worker, pid: Pid) -> u32 {
        board.is_worker(worker.serial, pid);
        let slot = claim_for_another(board, worker.index, pid);
        board.ticket = None;
        slot
    }

    #[test]
    fn a_worker_is_known_by_its_ticket_and_not_by_its_number() {
        let mut board = Scoreboard::new(None, 5).unwrap();
        let (one, other) = (known_worker(&board, 4711, 0), known_worker(&board, 4712, 1));
        board.note_worker(&one);
        board.note_worker(&other);
        claim_as(&mut board, &one, 1);
        board.note_worker(&one);
        assert!(board.former.is_empty(), "it is still there");
        assert!(board.clear_worker(one.serial.ticket().unwrap()));
        board.note_worker(&one);
        assert_eq!(claim_as(&mut board, &one, 1), 0);
        board.set_status(b'A');
        assert_eq!(claim_as(&mut board, &other, 1), 1);
        assert!(board.is_busy(&one) && !board.is_busy(&other));
        assert_eq!(board.status(0), b'A');
        // What it forks is another process, and so is one that has its number outside.
        board.is_worker(one.serial, 1);
        assert_eq!(claim_for_another(&mut board, 2, 5), 2);
        board.ticket = None;
        assert_eq!(claim_for_another(&mut board, 3, 4711), 3);
        assert!(board.clear(4711));
        assert_eq!(board.status(0), STATUS_NEXIST);
        assert_eq!(board.status(3), STATUS_IDLE);
        assert!(board.clear(4711), "the other process of that number");
        assert!(!board.clear(4711));
        assert!(!board.clear(1) && !board.clear(0));
        assert!(board.clear(5));
        assert!(board.clear_worker(other.serial.ticket().unwrap()));
        assert!(!board.clear(4712));
    }

    #[test]
    fn who_has_left_the_table_is_known_by_its_number() {
        let mut board = Scoreboard::new(None, 5).unwrap();
        let dead = known_worker(&board, 10, 0);
        let disowned = known_worker(&board, 11, 1);
        let back = known_worker(&board, 12, 2);
        for worker in [&dead, &disowned, &back] {
            board.note_worker(worker);
        }
        assert_eq!(claim_as(&mut board, &dead, 1), 0);
        board.disown_worker(&disowned);
        board.disown_worker(&back);
        assert_eq!(claim_as(&mut board, &disowned, 1), 1);
        // Others have their indexes.
        for index in 0..2 {
            board.note_worker(&known_worker(&board, 20, index));
        }
        assert_eq!(board.former.len(), 3);
        assert_eq!(board.take_disowned(10), None, "it has ended");
        assert_eq!(board.former.len(), 3);
        assert!(board.clear(10) && !board.clear(10));
        assert!(board.clear(11) && !board.clear(11));
        assert_eq!(board.take_disowned(12), Some(back.serial));
        assert_eq!(board.take_disowned(12), None);
        assert!(board.former.is_empty());
        // What is left is noted once.
        claim_as(&mut board, &back, 1);
        for _ in 0..3 {
            let known = &board.known()[0];
            known.ticket.store(back.serial.ticket().unwrap(), SeqCst);
            board.note_worker(&known_worker(&board, 21, 0));
            assert_eq!(board.former.len(), 1);
        }
        board.clear_worker(back.serial.ticket().unwrap());
        // Without a slot there is nothing to keep.
        board.note_worker(&known_worker(&board, 21, 0));
        assert!(board.former.is_empty());
        // The kernel has given a number out again: the one before is gone.
        board.disown_worker(&known_worker(&board, 22, 3));
        board.note_worker(&known_worker(&board, 22, 3));
        assert!(board.former.is_empty());
    }

    #[test]
    fn of_two_with_one_number_the_one_before_has_ended() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        let (before, after) = (known_worker(&board, 10, 0), known_worker(&board, 10, 1));
        board.note_worker(&before);
        claim_as(&mut board, &before, 1);
        board.note_worker(&after);
        claim_as(&mut board, &after, 1);
        assert!(board.clear(10));
        assert_eq!(
            (board.status(0), board.status(1)),
            (STATUS_NEXIST, STATUS_IDLE)
        );
        assert!(board.clear(10));
        assert!(!board.clear(10));
    }

    #[test]
    fn strangers_are_counted_and_watched() {
        let pipe = WakePipe::new().unwrap();
        let mut board = Scoreboard::new(None, 5).unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        let mut workers = Workers::default();
        workers.set_series(board.new_series());
        for pid in [10, 11] {
            let serial = workers.take_serial();
            enter(&mut workers, pid, serial);
        }
        let (one, other) = (*workers.get(10).unwrap(), *workers.get(11).unwrap());
        claim_for_another(&mut board, 0, 30);
        board.set_status(b'X');
        claim_as(&mut board, &one, 1);
        board.set_status(b'A');
        board.arm(i32::MIN, i32::MAX);
        assert_eq!(board.watch(&workers, true), 1);
        board.set_status(STATUS_IDLE);
        assert!(
            !board.is_woken(),
            "a worker, whose slot is not that of its index"
        );
        claim_for_another(&mut board, 0, 31);
        assert!(!board.is_woken());
        board.set_status(b'X');
        assert!(board.is_woken(), "one that has come since");
        board.arm(i32::MIN, i32::MAX);
        assert_eq!(board.watch(&workers, true), 2);
        assert_eq!(board.busy_strangers(), 2);
        claim_as(&mut board, &other, 1);
        board.set_status(b'A');
        assert!(!board.is_woken(), "the workers are known");
        // One that has no slot when it is disowned is a stranger with a ticket.
        let disowned = known_worker(&board, 12, 4);
        board.disown_worker(&disowned);
        board.watch(&workers, true);
        claim_as(&mut board, &disowned, 1);
        assert!(board.is_woken());
        board.arm(i32::MIN, i32::MAX);
        assert_eq!(board.watch(&workers, true), 2);
        board.set_status(b'X');
        assert!(board.is_woken());
        // The slot of a stranger that is gone is a worker's.
        assert!(board.clear(12));
        board.arm(i32::MIN, i32::MAX);
        assert_eq!(claim_as(&mut board, &other, 1), 4);
        board.set_status(b'A');
        assert!(!board.is_woken());
        assert!(board.clear_worker(other.serial.ticket().unwrap()));
        claim_for_another(&mut board, 4, 32);
        // Whoever decides by itself does not want to know.
        board.watch(&workers, false);
        board.arm(i32::MIN, i32::MAX);
        board.set_status(STATUS_IDLE);
        assert!(!board.is_woken());
    }

    #[test]
    fn only_a_change_that_matters_wakes() {
        let pipe = WakePipe::new().unwrap();
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        board.claim(0, 1).unwrap();
        board.set_status(b'A');
        assert!(!readable(&pipe), "not armed");
        board.set_status(STATUS_IDLE);
        assert!(board.arm(0, 1));
        board.set_status(b'A');
        assert!(!readable(&pipe), "one busy worker is within the bounds");
        board.set_status(STATUS_IDLE);
        assert!(board.arm(0, 0));
        board.set_status(b'A');
        assert!(readable(&pipe), "one busy worker is above the bounds");
        pipe.drain();
        assert!(board.arm(1, 5));
        board.set_status(b'B');
        assert!(!readable(&pipe), "busy with something else is still busy");
        board.set_status(STATUS_IDLE);
        assert!(readable(&pipe), "no busy worker is below the bounds");
    }

    #[test]
    fn any_change_of_a_watched_slot_wakes() {
        let pipe = WakePipe::new().unwrap();
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        board.claim(1, 4711).unwrap();
        board.watch(&table(&[12, 4711], &[4711]), false);
        for (status, wakes) in [(b'A', true), (b'B', false), (b'_', true)] {
            board.arm(i32::MIN, i32::MAX);
            board.set_status(status);
            assert_eq!(board.is_woken(), wakes, "{}", status as char);
        }
        board.watch(&table(&[12, 4711], &[]), false);
        board.arm(i32::MIN, i32::MAX);
        board.set_status(b'A');
        assert!(!board.is_woken());
        // Outside of the scoreboard there is nobody to watch.
        board.watch(&table(&[12, 4711, 13, 14], &[13, 14]), false);
    }

    /// The board as another process sees it, which claims a slot.
    fn claim_for_another(board: &mut Scoreboard, hint: u32, pid: Pid) -> u32 {
        board.mine = None;
        board.claim(hint, pid).unwrap()
    }

    #[test]
    fn the_slot_of_a_workers_index_may_be_another_ones() {
        let mut board = Scoreboard::new(None, 4).unwrap();
        let (other, moved) = (worker(12, u32::MAX), worker(4711, 0));
        assert_eq!(claim_for_another(&mut board, 0, 12), 0);
        board.set_status(b'A');
        assert!(!board.is_busy(&moved), "it has no slot yet");
        assert!(board.is_busy(&other), "one whose index has no slot");
        assert_eq!(claim_for_another(&mut board, 0, 4711), 1);
        assert!(!board.is_busy(&moved));
        board.set_status(b'B');
        assert!(board.is_busy(&moved));
        board.clear(12);
        assert!(board.is_busy(&moved), "the slot of its index is free");
        assert!(!board.is_busy(&other));
        assert!(!board.is_busy(&worker(0, 3)), "nobody is no worker");
    }

    #[test]
    fn one_that_was_told_to_stop_is_watched_where_it_is() {
        let mut board = Scoreboard::new(None, 4).unwrap();
        let pipe = WakePipe::new().unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        claim_for_another(&mut board, 0, 12);
        let workers = table(&[4711], &[4711]);
        board.watch(&workers, false);
        board.arm(i32::MIN, i32::MAX);
        board.set_status(b'A');
        assert!(!board.is_woken(), "it is another one's slot");
        claim_for_another(&mut board, 0, 4711);
        assert!(board.is_woken(), "it has a slot from now on");
        board.watch(&workers, false);
        board.arm(i32::MIN, i32::MAX);
        board.set_status(b'A');
        assert!(board.is_woken());
        board.watch(&workers, false);
        board.arm(i32::MIN, i32::MAX);
        claim_for_another(&mut board, 3, 13);
        assert!(!board.is_woken(), "nobody is searched for any more");
    }

    #[test]
    fn who_is_awaited_is_so_no_more_once_the_scoreboard_is_let_go_of() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        let pipe = WakePipe::new().unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        board.arm(i32::MIN, i32::MAX);
        board.watch(&table(&[4711], &[4711]), false);
        assert!(board.awaits_claims());
        board.disarm();
        claim_for_another(&mut board, 0, 4711);
        assert!(!board.is_woken());
    }

    #[test]
    fn one_that_has_ended_does_not_stand_for_one_that_is_awaited() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        let mut workers = table(&[12, 4711], &[12, 4711]);
        claim_for_another(&mut board, 0, 12);
        workers.get_mut(12).unwrap().reaped = true;
        board.arm(i32::MIN, i32::MAX);
        board.watch(&workers, false);
        assert!(board.awaits_claims());
        workers.remove(4711);
        board.watch(&workers, false);
        assert!(!board.awaits_claims());
    }

    #[test]
    fn each_worker_is_found_wherever_its_slot_is() {
        let n: Pid = 3 * FEW_SEARCHES as Pid;
        let mut board = Scoreboard::new(None, 2 * n as u32).unwrap();
        let stopping: Vec<Pid> = (1..=n).collect();
        let mut workers = table(&stopping, &stopping);
        workers.set_series(board.new_series());
        for pid in stopping.iter().rev() {
            claim_for_another(&mut board, 0, *pid);
            claim_for_another(&mut board, 0, 100 + pid);
            board.set_status(b'X');
        }
        board.arm(i32::MIN, i32::MAX);
        assert_eq!(board.watch(&workers, true), n);
        assert!(!board.awaits_claims());
    }

    #[test]
    fn each_series_is_one() {
        let board = Scoreboard::new(None, 1).unwrap();
        for series in (1..=SERIES).chain(1..3) {
            assert_eq!(u64::from(board.new_series()), series);
        }
    }

    #[test]
    fn a_number_that_is_wrong_is_put_right_once_nobody_changes_it() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.claim(0, 4711).unwrap();
        let changes = &board.shared().beside[0].changes;
        // In the middle of a change.
        changes.fetch_add(1, SeqCst);
        board.numbers().busy.fetch_add(1, SeqCst);
        for _ in 0..9 {
            assert!(board.arm(0, 1), "it goes on in its own time");
            assert_eq!(board.numbers().busy.load(SeqCst), 1);
        }
        assert!(board.clear(4711));
        assert!(board.arm(0, 1));
        assert_eq!(board.numbers().busy.load(SeqCst), 0);
    }

    #[test]
    fn what_the_dead_have_left_is_kept_in_mind() {
        let pipe = WakePipe::new().unwrap();
        let mut board = Scoreboard::new(None, 3).unwrap();
        board.set_wake_fd(Some(pipe.write_fd()));
        board
            .shared()
            .claim(3, 2, Owner::process(4711), 4711)
            .unwrap();
        let other = &board.shared().beside[2].changes;
        other.fetch_add(1, SeqCst);
        board.shared().claim(3, 1, Owner::process(12), 12).unwrap();
        board.shared().beside[1].changes.fetch_add(1, SeqCst);
        board.numbers().busy.fetch_add(1, SeqCst);
        board.claim(0, 13).unwrap();
        board.set_status(b'A');
        board.clear(12);
        assert!(!board.arm(1, 5), "it may be one too high, or not");
        assert!(!board.is_woken());
        board.set_status(STATUS_IDLE);
        assert!(board.is_woken(), "one too high is low enough");
        board.shared().beside[2]
            .changes
            .fetch_add(CHANGE_END, SeqCst);
        assert!(board.arm(0, 5));
        assert_eq!(board.numbers().busy.load(SeqCst), 0);
    }

    #[test]
    fn one_that_cannot_ring_keeps_nobody_from_that() {
        let pipe = WakePipe::new().unwrap();
        let mut board = Scoreboard::new(None, 2).unwrap();
        let gone = WakePipe::new().unwrap();
        board.set_wake_fd(Some(gone.write_fd()));
        drop(gone);
        board.claim(0, 4711).unwrap();
        board.arm(1, 1);
        board.set_status(b'A');
        board.set_status(STATUS_IDLE);
        assert!(board.is_woken());
        board.set_wake_fd(Some(pipe.write_fd()));
        board.set_status(b'A');
        assert!(!readable(&pipe), "within the bounds");
        board.set_status(STATUS_IDLE);
        assert!(readable(&pipe));
        assert!(!board.arm(0, 1), "as long as it is there");
        board.clear(4711);
        assert!(board.arm(0, 1));
    }

    #[test]
    fn numbers_that_a_worker_has_spoilt_do_no_harm() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.claim(0, 4711).unwrap();
        for number in [i32::MIN, -1, i32::MAX] {
            let numbers = board.numbers();
            numbers.slots.store(u32::MAX, SeqCst);
            numbers.busy.store(number, SeqCst);
            board.shared().beside[1]
                .changes
                .store(number as u32, SeqCst);
            board.shared().left_change(0, number as u32);
            assert_eq!(board.len(), 2);
            board.set_status(b'A');
            board.set_status(STATUS_IDLE);
            board.arm(0, 1);
            board.known()[0].ticket.store(number as u64, SeqCst);
            board.known()[0].pid.store(number, SeqCst);
            board.note_worker(&known_worker(&board, 13, 0));
            assert!(!board.clear(12));
            assert!(!board.clear(13));
            assert!(!board.is_busy(&worker(4711, 2)));
            assert!(!board.is_busy(&worker(12, 2)));
        }
        board.grow(3).unwrap();
        assert_eq!(board.len(), 3);
        board.owner = Process::another();
        board.numbers().slots.store(u32::MAX, SeqCst);
        assert_eq!(board.len(), MAX_SLOTS, "as a worker sees it");
        board.numbers().slots.store(0, SeqCst);
        assert_eq!(board.len(), 3);
    }

    #[test]
    fn what_was_made_in_vain_is_removed_and_nothing_else() {
        let path = std::env::temp_dir().join(format!("prefork-board-{}", std::process::id()));
        let make = || OpenOptions::new().write(true).create_new(true).open(&path);
        let made = make().unwrap().metadata().unwrap();
        remove(&path, &made);
        assert!(!path.exists());
        // Its number is not given out again as long as it is open.
        let other = make().unwrap();
        std::fs::rename(&path, path.with_extension("moved")).unwrap();
        make().unwrap();
        remove(&path, &other.metadata().unwrap());
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(path.with_extension("moved")).unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(Scoreboard::new(None, MAX_SLOTS + 1).is_err());
        assert!(Scoreboard::new(None, MAX_SLOTS).is_ok());
    }
}
