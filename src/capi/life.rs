//! Life
//!
//! pf_new makes a manager, and pf_free takes it away; neither forks, signals or waits for anybody. A fork copies the
//! handle with the process. In a worker the copy tells what the worker is; a process that the host has forked by itself
//! becomes a manager of its own by pf_become_manager.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char};
use std::sync::atomic::AtomicBool;

use super::error::{guard, pf_result};
use super::handle::{Hooks, Inner, manager, pf_t};
use crate::machine::page::HOST_ROOM;
use crate::manager::Manager;
use crate::os::children;

/// Makes a manager: 10 workers, no spawn interval, a pause of 1 second after a failure, no
/// signal trapped, no handler installed. Returns null if it cannot. Free it with pf_free.
///
/// Called by: manager, worker, hook, other thread. A worker becomes the manager of workers of
/// its own by this.
#[unsafe(no_mangle)]
pub extern "C" fn pf_new() -> *mut pf_t {
    guard(|| {
        let room = children::room();
        let place = room.take();
        let manager = Manager::new();
        let handle = pf_t {
            remote: manager.remote(),
            is_worker: AtomicBool::new(false),
            inner: UnsafeCell::new(Inner {
                manager,
                hooks: Hooks::default(),
                poisoned: false,
                message: CString::default(),
            }),
            for_host: UnsafeCell::new([0; HOST_ROOM / 8]),
            room: place.is_some().then_some(room),
        };
        match place {
            Some(place) => {
                // SAFETY: it is memory for this, and nobody else's.
                unsafe { place.write(handle) };
                place.as_ptr()
            }
            None => Box::into_raw(Box::new(handle)),
        }
    })
}

/// Frees a manager; null is allowed. No worker is signalled or waited for. Signals that were trapped, and SIGCHLD, get
/// back the handlers that the program had before, if no other manager handles them and the program has not installed
/// others since. In a worker this gives back those that pf_wait_readable and its kin have replaced; all others stay as
/// they are. A FORK event that waits for its answer is withdrawn: the thread gets back the signal mask that it had
/// before the event. After this its scoreboard may be freed, or given to another manager.
///
/// Called by: manager, worker. Not from a hook of the same handle, whose caller goes on with
/// it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_free(pf: *mut pf_t) {
    if pf.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: it is a handle of pf_new, which has put it in a room or in a box, and this is the last use of it.
        unsafe {
            match (*pf).room {
                Some(room) => {
                    let handle = pf.read();
                    room.give_back();
                    drop(handle);
                }
                None => drop(Box::from_raw(pf)),
            }
        }
    });
}

/// After a fork of the host's own, makes this process the manager of an empty pool, with the
/// same settings and trapped signals; the workers, the scoreboard and the descriptors stay
/// with the process that has them. Until then a trapped signal does in this process what it did
/// before it was trapped. pf_begin does it too. In the manager itself it does nothing.
///
/// Called by: manager. Also by a process that the host has forked by itself: pf_begin, pf_start and pf_set_scoreboard
/// do it, too, and until then the calls of a manager return PF_ERR_WRONG_PROCESS there.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if the signals cannot be
/// trapped again (pipe2(2), sigaction(2)).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_become_manager(pf: *mut pf_t) -> pf_result {
    manager!(pf, Refuse, |manager| manager.become_manager())
}

/// The version of the library that runs, as in "1.0.0"; never null, not to be freed.
///
/// Called by: manager, worker, hook, signal handler, other thread.
#[unsafe(no_mangle)]
pub extern "C" fn pf_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
