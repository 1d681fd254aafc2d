//! The scoreboard as an object of its own: a program may use one without a manager.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::error::{AfterPanic, Failure, Fallback, guard, pf_result, with};
use super::handle::{Inner, pf_t};
use crate::os::shm::{CHANGE_END, ClaimError, Scoreboard};

/// A scoreboard. Opaque.
pub struct pf_scoreboard_t(pub(super) Scoreboard);

fn scoreboard<R: Fallback>(
    scoreboard: *mut pf_scoreboard_t,
    body: impl FnOnce(&mut Scoreboard) -> R,
) -> R {
    guard(|| {
        // SAFETY: every export here asks for null or a live scoreboard that nobody else uses.
        match unsafe { scoreboard.as_mut() } {
            Some(scoreboard) => body(&mut scoreboard.0),
            None => R::fallback(pf_result::PF_ERR_NULL),
        }
    })
}

/// Makes a scoreboard for as many workers as there are `slots`. With a `path` it is in a file
/// of that name, which must not exist, of mode 0600, one line of 16 bytes a worker: status,
/// pid, newline. With null it is in memory. Make it before the workers are forked. Returns
/// null with errno(3) set if it cannot (open(2), mmap(2); EINVAL for more than 1,048,576
/// slots). Free it with pf_scoreboard_free.
///
/// Called by: manager, worker, hook, other thread.
///
/// # Safety
/// `path` is null or a string that ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_new(
    path: *const c_char,
    slots: u32,
) -> *mut pf_scoreboard_t {
    guard(|| {
        let path = (!path.is_null()).then(|| {
            // SAFETY: promised by our caller.
            let path = unsafe { CStr::from_ptr(path) };
            Path::new(OsStr::from_bytes(path.to_bytes()))
        });
        match Scoreboard::new(path, slots) {
            Ok(scoreboard) => Box::into_raw(Box::new(pf_scoreboard_t(scoreboard))),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
                nix::errno::Errno::from_raw(errno).set();
                std::ptr::null_mut()
            }
        }
    })
}

/// Frees a scoreboard; null is allowed. Other processes keep theirs, and a file stays.
///
/// Called by: manager, worker, hook. Not before the handle that has it is freed, or has
/// another one.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that nobody, no handle either, uses now or
/// later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_free(scoreboard: *mut pf_scoreboard_t) {
    if !scoreboard.is_null() {
        // SAFETY: it came out of Box::into_raw in pf_scoreboard_new; this is its last use.
        guard(|| drop(unsafe { Box::from_raw(scoreboard) }));
    }
}

/// Makes room for `slots` workers in all, for a larger pf_set_max_workers; workers that run
/// already see it. A scoreboard never shrinks.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT for more than 1,048,576 slots, PF_ERR_SYSTEM with
/// errno(3) set if the file cannot be made longer.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_grow(
    scoreboard: *mut pf_scoreboard_t,
    slots: u32,
) -> pf_result {
    self::scoreboard(scoreboard, |board| match board.grow(slots) {
        Ok(()) => pf_result::PF_OK,
        Err(error) => match error.raw_os_error() {
            Some(errno) => {
                nix::errno::Errno::from_raw(errno).set();
                pf_result::PF_ERR_SYSTEM
            }
            None => pf_result::PF_ERR_INVALID_ARGUMENT,
        },
    })
}

/// The number of slots; 0 for a null pointer.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_len(scoreboard: *mut pf_scoreboard_t) -> u32 {
    self::scoreboard(scoreboard, |board| board.len())
}

/// This process becomes the owner of a slot and is idle ('_') from now on: of slot `hint` if
/// that is free, of the first free one otherwise. A worker of a manager passes its
/// pf_worker_index: the manager looks there first, and then at all slots.
///
/// A worker of the manager that has the scoreboard (pf_set_scoreboard) is known to it by a number that it was given
/// at its fork, so that it may be in a PID namespace of its own, where it has another pid (unshare(2), clone(2)). Any
/// other process is known by the pid that it has for itself: a child of a worker, a process that the host has forked by
/// itself, and all where the scoreboard is no manager's. The text of a slot has that pid in any case.
///
/// Called by: worker. Once, after pf_forked, before it sets a status.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns one already, PF_ERR_NO_SLOT.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_claim(
    scoreboard: *mut pf_scoreboard_t,
    hint: u32,
) -> pf_result {
    self::scoreboard(scoreboard, |board| {
        match board.claim(hint, nix::unistd::getpid().as_raw()) {
            Ok(_) => pf_result::PF_OK,
            Err(ClaimError::Twice) => pf_result::PF_ERR_WRONG_STATE,
            Err(ClaimError::Full) => pf_result::PF_ERR_NO_SLOT,
        }
    })
}

/// Sets the `status` of this process, a character: '_' is idle, '.' means no worker and is
/// not for workers to set, any other is busy.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_set_status(
    scoreboard: *mut pf_scoreboard_t,
    status: u8,
) -> pf_result {
    self::scoreboard(scoreboard, |board| {
        if board.set_status(status) {
            pf_result::PF_OK
        } else {
            pf_result::PF_ERR_WRONG_STATE
        }
    })
}

/// The slot of this process in shared memory, and what a change of its status is compared with. All
/// of it is read and written by other processes at the same time: use atomic operations that
/// are sequentially consistent, and nothing else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pf_own_slot {
    /// The status of this process.
    pub status: *mut u8,
    /// The number of busy workers: those whose status is neither '_' nor '.'.
    pub busy: *mut i32,
    /// If `busy` becomes less than this, the manager has to be woken. Not to be written.
    pub low: *const i32,
    /// If `busy` becomes more than this, the manager has to be woken. Not to be written.
    pub high: *const i32,
    /// If it is not 0, any change between busy and idle has to wake the manager. Not to be
    /// written.
    pub mark: *const u8,
}

/// Sets `slot` to the slot of this process, for hosts that set a status so often that a call of
/// pf_scoreboard_set_status is too slow, because they have to block signals around it. A status
/// that is stored in place of another busy one, or of another one that is not busy, changes
/// nothing else. One that turns the process busy or idle changes `busy` by one as well: for busy
/// that comes first and then the status, for idle the status comes first, so that `busy` is never
/// less than the number of those whose status is busy. Look at the bounds
/// and the mark before it, and after it; if they say that the manager has to be
/// woken, call pf_scoreboard_set_status instead, after it with both changes taken back. The
/// pointers are good until pf_scoreboard_free.
///
/// A process that dies between the two steps may leave `busy` too high by one. The manager notices that
/// only if all such processes use pf_scoreboard_own_changes as well, or when those that do not have ended;
/// until then fewer idle workers than there are may be known of, and the pool shrinks late.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot, or the scoreboard is in a file,
/// which only pf_scoreboard_set_status keeps up to date.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now; `slot` is null or can
/// be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_own_slot(
    scoreboard: *mut pf_scoreboard_t,
    slot: *mut pf_own_slot,
) -> pf_result {
    self::scoreboard(scoreboard, |board| {
        // SAFETY: promised by our caller.
        let Some(slot) = (unsafe { slot.as_mut() }) else {
            return pf_result::PF_ERR_NULL;
        };
        let Some(own) = board.own_slot() else {
            return pf_result::PF_ERR_WRONG_STATE;
        };
        *slot = pf_own_slot {
            status: own.status.as_ptr(),
            busy: own.busy.as_ptr(),
            low: own.low.as_ptr(),
            high: own.high.as_ptr(),
            mark: own.mark.as_ptr(),
        };
        pf_result::PF_OK
    })
}

/// What is added to the number of pf_scoreboard_own_changes at the end of a change.
pub const PF_CHANGE_END: u32 = 63;

const _: () = assert!(PF_CHANGE_END == CHANGE_END);

/// Where a host that uses pf_scoreboard_own_slot counts the changes that turn this process busy or
/// idle, as it promises to do by this call: it adds 1 before the first step and PF_CHANGE_END after the last one,
/// by atomic operations that are sequentially consistent. The lowest six bits are then how many changes are under
/// way, one within the other if a signal handler makes one. So the manager knows which process has died, or has
/// left, between the two steps, and puts `busy` right.
///
/// A change is then simpler: add 1 here; for busy, add 1 to `busy`; exchange the status; if the old one was
/// busy, take 1 from `busy`. Then look at the bounds and the mark: if they do not say that the manager has to be
/// woken, add PF_CHANGE_END here, otherwise call pf_scoreboard_end_change. If a signal handler leaves in between
/// by longjmp(3), call that too. Returns null if this process owns no slot, or the scoreboard is in a
/// file. The pointer is good until pf_scoreboard_free.
///
/// Called by: worker.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_own_changes(scoreboard: *mut pf_scoreboard_t) -> *mut u32 {
    self::scoreboard(scoreboard, |board| {
        let changes = board.own_changes();
        changes.map_or(std::ptr::null_mut(), |changes| changes.as_ptr())
    })
}

/// Ends a change that began when the number of pf_scoreboard_own_changes was `before`, and wakes the
/// manager if that is called for. With a false `is_whole` any step of it may be missing, and the manager is
/// woken in any case. What was added to the number at its end is not added again.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_end_change(
    scoreboard: *mut pf_scoreboard_t,
    before: u32,
    is_whole: bool,
) -> pf_result {
    self::scoreboard(scoreboard, |board| {
        if board.end_change(before, is_whole) {
            pf_result::PF_OK
        } else {
            pf_result::PF_ERR_WRONG_STATE
        }
    })
}

/// Frees the slots of a process that is gone, by its `pid`: of a worker of a manager that has, or had, this scoreboard, that
/// is what fork(2) returned, and of any other process the pid that it had for itself (pf_scoreboard_claim).
/// Returns whether it had one. A manager
/// does it by itself, unless its host decides (pf_demand): for each child whose end was reported, a worker or
/// not, with the first call after that, and for those that the host has reaped, in pf_worker_reaped.
///
/// Called by: manager, hook.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_clear(scoreboard: *mut pf_scoreboard_t, pid: i32) -> bool {
    self::scoreboard(scoreboard, |board| board.clear(pid))
}

/// Writes the status of each slot into `statuses` (null is allowed), `len` bytes at most and
/// without a NUL at the end, and returns the number of slots.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now; `statuses` has
/// room for `len` bytes, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_statuses(
    scoreboard: *mut pf_scoreboard_t,
    statuses: *mut u8,
    len: usize,
) -> usize {
    self::scoreboard(scoreboard, |board| {
        let slots = board.len();
        if !statuses.is_null() {
            for slot in (0..slots).take(len) {
                // SAFETY: promised by our caller, and slot < len.
                unsafe { statuses.add(slot as usize).write(board.status(slot)) };
            }
        }
        slots as usize
    })
}

/// From now on a worker whose change of status makes the number of busy workers less than
/// `low` or more than `high` wakes the manager of pf_set_scoreboard, once; so does a worker that
/// pf_stop_workers has told to stop, whenever it turns busy or idle. For hosts that
/// decide by themselves (pf_demand); pf_set_spare_workers needs it not. A busy process counts here that
/// is no worker and has a slot, as pf_scoreboard_statuses shows it. Call it, then look at
/// the statuses: a change is seen there or it wakes. Returns whether that is all; if not (a worker was
/// killed in the middle of a change, and others are in the middle of one; a worker has closed the descriptor
/// to wake the manager by; or one that was told to stop has claimed no slot yet), call again within a second or so.
///
/// Called by: manager, hook.
///
/// # Safety
/// `scoreboard` is null or a live scoreboard that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_watch(
    scoreboard: *mut pf_scoreboard_t,
    low: i32,
    high: i32,
) -> bool {
    self::scoreboard(scoreboard, |board| {
        board.arm(low, high) && !board.awaits_claims()
    })
}

/// Gives the manager the `scoreboard` of its workers: it tells who is idle, and its changes
/// end a wait. Null takes it out. The scoreboard must live until then, or until pf_free, and is one manager's at a time: of two
/// that are given it, only the last one is woken by its changes. Workers of the one before keep their slots.
///
/// Called by: manager, hook. Before the workers are forked that are to use it: others are known by the pid that they have for
/// themselves (pf_scoreboard_claim).
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if there is
/// no descriptor left for the pipe (pipe2(2)).
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `scoreboard` is null or a
/// live scoreboard.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_scoreboard(
    pf: *mut pf_t,
    scoreboard: *mut pf_scoreboard_t,
) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.become_manager(shared)?;
            if let Some(board) = scoreboard.as_mut() {
                let pipe = inner.wake_pipe(shared)?;
                let end = match pipe.end_for_workers() {
                    Some(end) => end,
                    None => pipe
                        .open_for_workers()
                        .map_err(|errno| Failure::errno("pipe2", errno))?,
                };
                board.0.set_wake_fd(Some(end));
            }
            if inner.scoreboard != scoreboard {
                inner.let_go_of_scoreboard(pf);
                let board = scoreboard.as_ref();
                let series = board.map_or(0, |board| board.0.new_series());
                inner.machine.set_series(series);
            }
            if let Some(board) = scoreboard.as_mut() {
                board.0.set_user(pf.addr());
            }
            if let (true, Some(pipe)) = (scoreboard.is_null(), &mut inner.pipe) {
                pipe.close_for_workers();
            }
            inner.scoreboard = scoreboard;
            Ok(pf_result::PF_OK)
        })
    }
}

impl Inner {
    /// The scoreboard is not this manager's any more. If it is another one's meanwhile, it is not touched.
    pub(super) fn let_go_of_scoreboard(&mut self, pf: *mut pf_t) {
        if self.scoreboard.is_null() {
            return;
        }
        self.free_reported_slots();
        // SAFETY: pf_set_scoreboard asks that the scoreboard lives until it is taken out, or pf_free.
        let board = unsafe { self.scoreboard.as_mut() };
        if let Some(board) = board.filter(|board| board.0.is_users(pf.addr())) {
            board.0.disarm();
            board.0.set_wake_fd(None);
            board.0.set_user(0);
        }
        self.scoreboard = std::ptr::null_mut();
    }
}
