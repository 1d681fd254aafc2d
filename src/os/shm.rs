//! The scoreboard: one 16-byte slot a worker, in memory that all of them share.
//!
//! A slot is text: the status character, the pid in 14 columns, a newline. A worker writes its
//! own slot and no other, the status with one atomic store; nobody takes a lock. A scoreboard
//! file is a copy that can be read with cat(1) while the server runs. It is written and not
//! mapped: whoever shortens a mapped file ends the processes that look at it. A number of busy
//! workers is kept beside the slots, so that the worker whose change of state makes the
//! pool want attention knows it, and wakes the manager; and marks, of workers each of whose changes
//! does.
//!
//! A worker may be in the hands of somebody else. So the manager takes nothing from here as a
//! size, an index or a pid to signal, and no number found here makes it fail.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering::SeqCst};

use super::descriptor::{Inherited, above_stdio};
use super::process::Process;
use super::signals::wake;
use crate::machine::{Pid, Statuses};

/// The status of a slot that no worker has.
pub const STATUS_NEXIST: u8 = b'.';
/// The status of a worker that waits for work.
pub const STATUS_IDLE: u8 = b'_';
/// The size of a slot in bytes.
pub const SLOT_SIZE: usize = 16;
/// More workers than this no scoreboard has room for. Address space is reserved for all
/// of them, memory is used only by those that there are.
pub const MAX_SLOTS: u32 = 1 << 20;

const EMPTY_SLOT: [u8; SLOT_SIZE] = *b".              \n";
const PID_COLUMNS: usize = SLOT_SIZE - 2;

/// What the manager and its workers share beside the slots.
#[repr(C)]
struct Header {
    slots: AtomicU32,
    busy: AtomicI32,
    /// With fewer busy workers than this the manager is woken.
    low: AtomicI32,
    /// With more busy workers than this the manager is woken.
    high: AtomicI32,
    woken: AtomicU32,
    /// By slot: any change wakes the manager.
    marks: [AtomicU8; MAX_SLOTS as usize],
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
    drift: i32,
}

/// The slot of this process.
#[derive(Clone, Copy, Debug)]
struct Mine {
    slot: u32,
    pid: Pid,
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
            drift: 0,
        };
        scoreboard.disarm();
        if let Err(error) = scoreboard.grow(slots) {
            if let Some(path) = path {
                // It is ours and of no use to anybody; what is wrong is in `error`.
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        Ok(scoreboard)
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
        for slot in have..slots {
            for (byte, &empty) in self.bytes(slot).iter().zip(&EMPTY_SLOT) {
                byte.store(empty, SeqCst);
            }
        }
        self.made = slots;
        self.owner = Process::this();
        self.header().slots.store(slots, SeqCst);
        Ok(())
    }

    /// How many slots there are.
    pub fn len(&self) -> u32 {
        if self.owner.is_this() {
            self.made
        } else {
            // The manager may have made more since it forked us.
            self.header().slots.load(SeqCst).clamp(self.made, MAX_SLOTS)
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
        let take = |slot: u32| {
            self.bytes(slot)[0]
                .compare_exchange(STATUS_NEXIST, STATUS_IDLE, SeqCst, SeqCst)
                .is_ok()
        };
        let slots = self.len();
        let mine = if hint < slots && self.status(hint) == STATUS_NEXIST {
            // The manager keeps this slot for us. The pid comes first: a worker that is killed
            // in between leaves a slot that can be told to be its own.
            self.write_pid(hint, pid);
            take(hint).then_some(hint)
        } else {
            None
        };
        let mine = match mine.or_else(|| (0..slots).find(|&slot| take(slot))) {
            Some(slot) => slot,
            None => return Err(ClaimError::Full),
        };
        self.write_pid(mine, pid);
        self.mine = Some(Mine { slot: mine, pid });
        self.show(STATUS_IDLE);
        Ok(mine)
    }

    /// Sets the status of this process; false if it owns no slot.
    pub fn set_status(&self, status: u8) -> bool {
        let Some(mine) = self.mine else {
            return false;
        };
        let old = self.bytes(mine.slot)[0].swap(status, SeqCst);
        self.show(status);
        if is_busy(old) != is_busy(status) {
            let is_out_of_bounds = self.count(is_busy(old), is_busy(status));
            if is_out_of_bounds || self.mark(mine.slot).load(SeqCst) != 0 {
                self.wake();
            }
        }
        true
    }

    /// The slot of this process, for whoever sets a status without a call; none if it has no
    /// slot, or if each change goes into a file as well.
    pub fn own_slot(&self) -> Option<OwnSlot> {
        let mine = self.mine.filter(|_| self.copy.is_none())?;
        let header = self.header();
        Some(OwnSlot {
            status: NonNull::from(&self.bytes(mine.slot)[0]).cast(),
            busy: NonNull::from(&header.busy).cast(),
            low: NonNull::from(&header.low).cast(),
            high: NonNull::from(&header.high).cast(),
            mark: NonNull::from(self.mark(mine.slot)).cast(),
        })
    }

    /// Frees the slot of a process that is gone; false if it had none.
    pub fn clear(&self, pid: Pid) -> bool {
        let text = pid_text(pid);
        let owned = |&slot: &u32| {
            self.bytes(slot)[1..=PID_COLUMNS]
                .iter()
                .zip(&text)
                .all(|(byte, &expected)| byte.load(SeqCst) == expected)
        };
        let Some(slot) = (0..self.len()).find(owned) else {
            return false;
        };
        // First, as the slot is another worker's from the swap on.
        if let Some(copy) = &self.copy {
            copy.write(slot, &EMPTY_SLOT);
        }
        for byte in &self.bytes(slot)[1..=PID_COLUMNS] {
            byte.store(b' ', SeqCst);
        }
        let old = self.bytes(slot)[0].swap(STATUS_NEXIST, SeqCst);
        // The manager is at work, and sets the bounds again before it sleeps.
        self.count(is_busy(old), false);
        true
    }

    /// The status of a slot.
    pub fn status(&self, slot: u32) -> u8 {
        self.bytes(slot)[0].load(SeqCst)
    }

    /// From now on the worker that makes the number of busy ones leave `low..=high` wakes
    /// the manager. Returns whether that number is exact: a worker that was killed in the
    /// middle of a change leaves it wrong until the same difference is seen here again.
    ///
    /// Look at the statuses after this call: a change is seen there, or it wakes.
    pub fn arm(&mut self, low: i32, high: i32) -> bool {
        self.owner = Process::this();
        self.header().low.store(low, SeqCst);
        self.header().high.store(high, SeqCst);
        self.header().woken.store(0, SeqCst);
        let seen = (0..self.made)
            .filter(|&slot| is_busy(self.status(slot)))
            .count();
        let seen = i32::try_from(seen).unwrap_or(i32::MAX);
        let drift = seen.wrapping_sub(self.header().busy.load(SeqCst));
        if drift != 0 && drift == self.drift {
            self.header().busy.fetch_add(drift, SeqCst);
            self.drift = 0;
        } else {
            self.drift = drift;
        }
        self.drift == 0
    }

    /// Whether the owner of the slot wakes the manager whenever it turns busy or idle. Look at its
    /// status after this call, as for `arm`.
    pub fn watch_slot(&self, slot: u32, is_watched: bool) {
        if slot < self.made {
            let mark = self.mark(slot);
            if mark.load(SeqCst) != u8::from(is_watched) {
                mark.store(u8::from(is_watched), SeqCst);
            }
        }
    }

    /// Whether a worker has woken the manager since the last `arm`.
    pub fn is_woken(&self) -> bool {
        self.header().woken.load(SeqCst) != 0
    }

    /// Nobody wakes the manager from now on.
    pub fn disarm(&self) {
        self.header().low.store(i32::MIN, SeqCst);
        self.header().high.store(i32::MAX, SeqCst);
    }

    /// Returns whether the number of busy workers is outside of the bounds now.
    fn count(&self, was_busy: bool, is_busy: bool) -> bool {
        if was_busy == is_busy {
            return false;
        }
        let change = if is_busy { 1 } else { -1 };
        let header = self.header();
        let busy = header.busy.fetch_add(change, SeqCst).wrapping_add(change);
        busy < header.low.load(SeqCst) || busy > header.high.load(SeqCst)
    }

    fn wake(&self) {
        if let Some(wake_end) = self.wake_end {
            if self.header().woken.swap(1, SeqCst) == 0 {
                if let Some(fd) = wake_end.get() {
                    wake(fd);
                }
            }
        }
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

    fn write_pid(&self, slot: u32, pid: Pid) {
        for (byte, &digit) in self.bytes(slot)[1..=PID_COLUMNS].iter().zip(&pid_text(pid)) {
            byte.store(digit, SeqCst);
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is at least as large as a Header, aligned to a page, zeroed by
        // the kernel, lives as long as self, and is only ever used through atomics.
        unsafe { self.header.start.cast::<Header>().as_ref() }
    }

    fn mark(&self, slot: u32) -> &AtomicU8 {
        &self.header().marks[slot as usize]
    }

    fn bytes(&self, slot: u32) -> &[AtomicU8; SLOT_SIZE] {
        assert!(slot < MAX_SLOTS, "slot {slot} is outside of the scoreboard");
        // SAFETY: the slot lies inside the mapping (see the assertion), which lives as long as
        // self; AtomicU8 has the layout of a byte, and all access is through it.
        unsafe {
            self.slots
                .start
                .add(slot as usize * SLOT_SIZE)
                .cast::<[AtomicU8; SLOT_SIZE]>()
                .as_ref()
        }
    }
}

impl Statuses for Scoreboard {
    fn is_busy(&self, index: u32) -> bool {
        index < self.made && is_busy(self.status(index))
    }
}

fn is_busy(status: u8) -> bool {
    status != STATUS_NEXIST && status != STATUS_IDLE
}

fn pid_text(pid: Pid) -> [u8; PID_COLUMNS] {
    let mut text = [b' '; PID_COLUMNS];
    for (column, digit) in text.iter_mut().zip(pid.to_string().bytes()) {
        *column = digit;
    }
    text
}

/// The scoreboard file. What is wrong with it is no reason to stop: it is there to be looked at.
struct Copy {
    file: File,
    descriptor: Option<Inherited>,
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
        let file = File::from(above_stdio(OwnedFd::from(file))?);
        // A umask may have taken the owner's bits.
        file.set_permissions(Permissions::from_mode(0o600))?;
        let descriptor = Inherited::new(file.as_raw_fd());
        Ok(Copy { file, descriptor })
    }

    fn lengthen(&self, have: u32, slots: u32) -> io::Result<()> {
        let empty = EMPTY_SLOT.repeat((slots - have) as usize);
        self.file.write_all_at(&empty, offset(have))
    }

    fn write(&self, slot: u32, text: &[u8; SLOT_SIZE]) {
        if self.descriptor.and_then(Inherited::get).is_some() {
            // A disk that is full, or gone, has no room for what we have to say.
            let _ = self.file.write_at(text, offset(slot));
        }
    }
}

fn offset(slot: u32) -> u64 {
    u64::from(slot) * SLOT_SIZE as u64
}

/// Shared memory, as long as this lives.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it is only used
// through atomics.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(len: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: without an address of ours, mmap(2) gives us fresh address space or fails.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Mapping { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap(2) gave us; no reference into it outlives self.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::signals::WakePipe;

    #[test]
    fn slots_are_claimed_written_and_freed() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        assert!(!board.set_status(b'A'));
        assert_eq!(board.claim(1, 4711), Ok(1));
        assert_eq!(board.claim(0, 4711), Err(ClaimError::Twice));
        assert!(board.set_status(b'A'));
        assert!(board.is_busy(1));
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
        board.watch_slot(1, true);
        for (status, wakes) in [(b'A', true), (b'B', false), (b'_', true)] {
            board.arm(i32::MIN, i32::MAX);
            board.set_status(status);
            assert_eq!(board.is_woken(), wakes, "{}", status as char);
        }
        board.watch_slot(1, false);
        board.arm(i32::MIN, i32::MAX);
        board.set_status(b'A');
        assert!(!board.is_woken());
        // Outside of the scoreboard there is nobody to watch.
        board.watch_slot(2, true);
        board.watch_slot(u32::MAX, true);
    }

    #[test]
    fn a_count_that_stays_wrong_is_put_right() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.header().busy.fetch_add(1, SeqCst);
        assert!(!board.arm(0, 1));
        assert!(board.arm(0, 1));
        assert_eq!(board.header().busy.load(SeqCst), 0);
    }

    #[test]
    fn numbers_that_a_worker_has_spoilt_do_no_harm() {
        let mut board = Scoreboard::new(None, 2).unwrap();
        board.claim(0, 4711).unwrap();
        for number in [i32::MIN, -1, i32::MAX] {
            let header = board.header();
            header.slots.store(u32::MAX, SeqCst);
            header.busy.store(number, SeqCst);
            assert_eq!(board.len(), 2);
            board.set_status(b'A');
            board.set_status(STATUS_IDLE);
            board.arm(0, 1);
            assert!(!board.clear(12));
            assert!(!board.is_busy(2));
        }
        board.grow(3).unwrap();
        assert_eq!(board.len(), 3);
        board.owner = Process::another();
        board.header().slots.store(u32::MAX, SeqCst);
        assert_eq!(board.len(), MAX_SLOTS, "as a worker sees it");
        board.header().slots.store(0, SeqCst);
        assert_eq!(board.len(), 3);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(Scoreboard::new(None, MAX_SLOTS + 1).is_err());
        assert!(Scoreboard::new(None, MAX_SLOTS).is_ok());
    }
}
