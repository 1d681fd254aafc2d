//! Scoreboard
//!
//! Workers say here whether they are busy, in memory that they share with the manager. A manager with a scoreboard can
//! keep a number of idle workers (pf_set_spare_workers), and anybody can look at it in a file. It takes no lock, and a
//! worker that dies at any moment leaves nothing wrong behind.

use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::error::{Fallback, guard, pf_result};
use super::handle::{manager, pf_t};
use crate::os::process::{self, Errno};
use crate::os::shm::{ClaimError, Scoreboard};

/// A scoreboard. Opaque.
pub struct pf_scoreboard_t(pub(super) Rc<RefCell<Scoreboard>>);

/// The body of an export that has no manager's handle.
pub(super) fn on_scoreboard<R: Fallback>(
    scoreboard: *mut pf_scoreboard_t,
    body: impl FnOnce(&RefCell<Scoreboard>) -> R,
) -> R {
    guard(|| {
        // SAFETY: every export here asks for null or a live scoreboard that nobody else uses.
        match unsafe { scoreboard.as_ref() } {
            Some(scoreboard) => body(&scoreboard.0),
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
            Ok(scoreboard) => {
                Box::into_raw(Box::new(pf_scoreboard_t(Rc::new(RefCell::new(scoreboard)))))
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
                Errno::from_raw(errno).set();
                std::ptr::null_mut()
            }
        }
    })
}

/// Frees a scoreboard; null is allowed. Other processes keep theirs, and a file stays.
///
/// Called by: manager, worker, hook. Not before the handle that has it is freed, or has
/// another one.
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_grow(
    scoreboard: *mut pf_scoreboard_t,
    slots: u32,
) -> pf_result {
    on_scoreboard(scoreboard, |board| match board.borrow_mut().grow(slots) {
        Ok(()) => pf_result::PF_OK,
        Err(error) => match error.raw_os_error() {
            Some(errno) => {
                Errno::from_raw(errno).set();
                pf_result::PF_ERR_SYSTEM
            }
            None => pf_result::PF_ERR_INVALID_ARGUMENT,
        },
    })
}

/// The number of slots; 0 for a null pointer.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_len(scoreboard: *mut pf_scoreboard_t) -> u32 {
    on_scoreboard(scoreboard, |board| board.borrow().len())
}

/// This process becomes the owner of a slot and is idle ('_') from now on: of slot `hint` if
/// that is free, of the first free one otherwise. A worker of a manager passes its
/// pf_worker_index: the manager looks there first, and then at all slots.
///
/// A worker of the manager that has the scoreboard (pf_set_scoreboard) is known to it by a number that it was given at
/// its fork, so that it may be in a PID namespace of its own, where it has another pid (unshare(2), clone(2)). Any
/// other process may have a slot too, and set a status, as a worker does: a child of a worker, a process that the host
/// has forked by itself, and all where the scoreboard is no manager's. It is known by the pid that it has for itself.
/// The text of a slot has that pid in any case.
///
/// Called by: worker. Once, after pf_forked, before it sets a status.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns one already, PF_ERR_NO_SLOT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_claim(
    scoreboard: *mut pf_scoreboard_t,
    hint: u32,
) -> pf_result {
    on_scoreboard(scoreboard, |board| {
        match board.borrow_mut().claim(hint, process::pid()) {
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_set_status(
    scoreboard: *mut pf_scoreboard_t,
    status: u8,
) -> pf_result {
    on_scoreboard(scoreboard, |board| {
        if board.borrow().set_status(status) {
            pf_result::PF_OK
        } else {
            pf_result::PF_ERR_WRONG_STATE
        }
    })
}

/// Writes the status of each slot into `statuses` (null is allowed), `len` bytes at most and
/// without a NUL at the end, and returns the number of slots.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_statuses(
    scoreboard: *mut pf_scoreboard_t,
    statuses: *mut u8,
    len: usize,
) -> usize {
    on_scoreboard(scoreboard, |board| {
        let slots = board.borrow().len();
        if !statuses.is_null() {
            for slot in (0..slots).take(len) {
                // SAFETY: promised by our caller, and slot < len.
                unsafe {
                    statuses
                        .add(slot as usize)
                        .write(board.borrow().status(slot))
                };
            }
        }
        slots as usize
    })
}

/// Gives the manager the `scoreboard` of its workers: it tells who is idle, and its changes end a wait. Null takes it
/// out. The scoreboard must live until then, or until pf_free, and is one manager's at a time: of two that are given
/// it, only the last one is woken by its changes. Workers of the one before keep their slots.
///
/// Called by: manager, hook. Before the workers are forked that are to use it: others are known by the pid that they
/// have for themselves (pf_scoreboard_claim).
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if there is
/// no descriptor left for the pipe (pipe2(2)).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_scoreboard(
    pf: *mut pf_t,
    scoreboard: *mut pf_scoreboard_t,
) -> pf_result {
    manager!(pf, Refuse, |manager| {
        // SAFETY: promised by our caller.
        let scoreboard = unsafe { scoreboard.as_ref() };
        manager.set_scoreboard(scoreboard.map(|scoreboard| Rc::clone(&scoreboard.0)))
    })
}
