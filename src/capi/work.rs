//! Work
//!
//! A worker says here when it is ready for work, when it begins a piece of work, and when it waits for one. After
//! pf_set_worker_timeout the manager ends a worker that is busy for too long, after pf_set_ready_timeout one that is
//! not ready. Without these, and pf_watch_ready, the calls do nothing, and cost next to nothing. So they do in a
//! process that a worker has forked by itself. They are for workers: in a manager they fail, and leave no message.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::error::pf_result;
use super::handle::pf_t;
use crate::os::timesheet::{OwnLine, Span};
use pf_result::{PF_ERR_INVALID_ARGUMENT, PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_OK};

/// The body of an export that a worker calls, from a signal handler too.
///
/// # Safety
/// The pointer is null, or a live handle.
pub(super) unsafe fn in_worker(pf: *const pf_t, say: impl FnOnce(&OwnLine)) -> pf_result {
    // SAFETY: promised by our caller; these parts of it are for signal handlers as well.
    let Some(pf) = (unsafe { pf.as_ref() }) else {
        return PF_ERR_NULL;
    };
    if !pf.is_worker.load(Ordering::SeqCst) {
        return PF_ERR_WRONG_PROCESS;
    }
    if let Some(line) = pf.remote.own_line() {
        say(line);
    }
    PF_OK
}

/// A number of seconds, and what 0 is; none if it is no such number.
fn span(seconds: f64, zero: Span) -> Option<Span> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    if seconds <= 0.0 {
        return Some(zero);
    }
    let span = Duration::try_from_secs_f64(seconds);
    Some(Span::Of(span.unwrap_or(Duration::MAX)))
}

/// The worker is ready for work: it has loaded and opened what it needs. The manager is woken if it wants to be told
/// (pf_watch_ready). Later calls change nothing. Whoever calls pf_busy, pf_idle or
/// pf_wait_readable first says it by that.
///
/// Called by: worker, signal handler.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_ready(pf: *const pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe { in_worker(pf, OwnLine::ready) }
}

/// The worker begins a piece of work, and will be done within `seconds` (0: those of pf_set_worker_timeout). Called
/// again without pf_idle in between, it begins the next one.
///
/// Called by: worker, signal handler.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager, PF_ERR_INVALID_ARGUMENT if `seconds` is negative, infinite or not a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_busy(pf: *const pf_t, seconds: f64) -> pf_result {
    let Some(span) = span(seconds, Span::AsSet) else {
        return PF_ERR_INVALID_ARGUMENT;
    };
    // SAFETY: promised by our caller.
    unsafe { in_worker(pf, |line| line.busy(span)) }
}

/// The worker goes on, and will be done within `seconds` from now. With 0 it may take as long as it likes, until the
/// next call of pf_tick or pf_busy.
///
/// Called by: worker, signal handler.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager, PF_ERR_INVALID_ARGUMENT if `seconds` is negative, infinite or not a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_tick(pf: *const pf_t, seconds: f64) -> pf_result {
    let Some(span) = span(seconds, Span::NoEnd) else {
        return PF_ERR_INVALID_ARGUMENT;
    };
    // SAFETY: promised by our caller.
    unsafe { in_worker(pf, |line| line.tick(span)) }
}

/// The worker is done, and waits for work: it may wait for as long as it likes.
///
/// Called by: worker, signal handler.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_idle(pf: *const pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe { in_worker(pf, OwnLine::idle) }
}
