//! The worker's wait
//!
//! A worker waits for its sockets and for its end by one call, pf_wait_readable, so that it finishes what it has begun
//! and drops no request. A worker with an event loop watches pf_stop_fd there, and asks pf_stopping.
//!
//! The first call of one of the three, in each worker, installs the library's handler for TERM, INT, QUIT and the
//! `stop_signal` of pf_set_spare_workers: from then on these do not end the worker. Without such a call a worker has
//! none of this. prefork-stopping(3) has more.

use super::error::{Error, Fallback, pf_result};
use super::handle::{inner, limit, pf_t};
use crate::manager::{StopReason, Waited};
use pf_result::{PF_ERR_STOPPING, PF_ERR_TIMED_OUT, PF_OK};
use pf_stop_reason::*;

/// Why a worker is to stop.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_stop_reason {
    /// It is not.
    PF_STOP_NONE = 0,
    /// TERM, INT, QUIT or the `stop_signal` of pf_set_spare_workers has arrived, from whomever.
    PF_STOP_SIGNAL = 1,
    /// The manager has ended, perhaps by SIGKILL.
    PF_STOP_MANAGER_GONE = 2,
}

impl Fallback for pf_stop_reason {
    fn fallback(_: pf_result) -> pf_stop_reason {
        PF_STOP_NONE
    }
}

/// Waits until one of the `n` descriptors `fds` is readable, has come to its end or has an error (poll(2)), and sets
/// `which` (null is allowed) to its place in `fds`. Waits for `timeout` seconds at most (negative: for ever). `n` may
/// be 0, and `fds` null then.
///
/// Once the worker is to stop it returns PF_ERR_STOPPING, at once, whatever is readable. Of several descriptors that
/// are readable it gives the one behind that of the last call, so that none has to wait for ever. Other signals do not
/// end the wait; their handlers run. Signals that tell the worker to stop are let in meanwhile, even if the thread
/// blocks them.
///
/// From the return with a descriptor to the next call the worker is busy, as pf_busy and pf_idle tell
/// (pf_set_worker_timeout).
///
/// Another worker may be faster at accept(2). So a listener should not block.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_STOPPING, PF_ERR_TIMED_OUT; PF_ERR_NULL, PF_ERR_WRONG_PROCESS in the manager, and in a child of the worker if
/// the worker has made such a call before (it gets PF_ERR_STOPPING otherwise), PF_ERR_INVALID_ARGUMENT if `timeout` is
/// not a number or a descriptor is not open, PF_ERR_SYSTEM if there are too few descriptors, at the first call
/// (epoll_create1(2), pidfd_open(2), pipe2(2)), or too many to wait for (poll(2)).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wait_readable(
    pf: *mut pf_t,
    fds: *const i32,
    n: usize,
    timeout: f64,
    which: *mut i32,
) -> pf_result {
    inner!(pf, Serve, |inner| {
        let timeout = limit("timeout", timeout)?;
        let waited = inner
            .manager
            // SAFETY: promised by our caller.
            .wait_readable(unsafe { descriptors(fds, n) }?, timeout)?;
        Ok(match waited {
            Waited::Readable(place) => {
                // SAFETY: promised by our caller.
                if let Some(which) = unsafe { which.as_mut() } {
                    *which = i32::try_from(place).unwrap_or(i32::MAX);
                }
                PF_OK
            }
            Waited::Stopping => PF_ERR_STOPPING,
            Waited::TimedOut => PF_ERR_TIMED_OUT,
            Waited::NotOpen(_) => pf_result::PF_ERR_INVALID_ARGUMENT,
        })
    })
}

/// # Safety
/// As for a function in C: there are so many, if it is a number of descriptors that a process can have.
unsafe fn descriptors<'a>(fds: *const i32, n: usize) -> Result<&'a [i32], Error> {
    if n == 0 {
        Ok(&[])
    } else if fds.is_null() {
        Err(Error::null("fds"))
    } else if i32::try_from(n).is_err() {
        Err(Error::invalid(format!("n is {n}, more than there can be")))
    } else {
        // SAFETY: promised by our caller.
        Ok(unsafe { std::slice::from_raw_parts(fds, n) })
    }
}

/// Why this worker is to stop, or PF_STOP_NONE. It waits for nothing.
///
/// PF_STOP_NONE also if the call fails: in another process than a worker, and where the system has too few descriptors.
/// pf_error_message then says so.
///
/// Called by: worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_stopping(pf: *mut pf_t) -> pf_stop_reason {
    inner!(pf, Serve, |inner| {
        Ok(match inner.manager.stop_reason()? {
            None => PF_STOP_NONE,
            Some(StopReason::Signal) => PF_STOP_SIGNAL,
            Some(StopReason::ManagerGone) => PF_STOP_MANAGER_GONE,
        })
    })
}

/// A descriptor that becomes readable when this worker is to stop, and stays so, for an event loop. Do not read from
/// it, and do not close it. Returns -1 if the call fails, as for pf_wait_readable, and for a null handle;
/// pf_error_message says why.
///
/// Where pidfd_open(2) is refused (before Linux 5.3, or by a filter of system calls) it is readable once a second, too.
/// So ask pf_stopping each time: the descriptor is not readable then, unless the worker is to stop. Call this again
/// before each turn of the loop, or after each piece of work, if the program changes handlers of signals after the
/// first call.
///
/// Called by: worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_stop_fd(pf: *mut pf_t) -> i32 {
    let mut fd = -1;
    let _: pf_result = inner!(pf, Serve, |inner| {
        fd = inner.manager.stop_fd()?;
        Ok(PF_OK)
    });
    fd
}
