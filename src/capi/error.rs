//! Result codes, and the guard around every export.

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;

use super::handle::{Inner, pf_t};
use crate::machine::Misuse;

/// What a call has come to. Numbers are never reused.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_result {
    /// It worked.
    PF_OK = 0,
    /// It worked, and this process is a worker now (pf_start without a function).
    PF_IN_WORKER = 1,
    /// A pointer that must not be null is null.
    PF_ERR_NULL = 2,
    /// An argument is not of the form or in the range that the function takes.
    PF_ERR_INVALID_ARGUMENT = 3,
    /// The call does not fit what went before it: a FORK event that is not answered yet, or
    /// an answer that nobody asked for.
    PF_ERR_WRONG_STATE = 4,
    /// The call is the manager's and this is a worker, or the other way round.
    PF_ERR_WRONG_PROCESS = 5,
    /// A system call failed; pf_error_message says which and why.
    PF_ERR_SYSTEM = 6,
    /// The library has a defect. The workers can still be signalled and waited for.
    PF_ERR_PANIC = 7,
    /// The scoreboard has no empty slot.
    PF_ERR_NO_SLOT = 8,
}

use pf_result::*;

/// An error on its way out: its code, and what is to be said of it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: pf_result,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn invalid(message: String) -> Failure {
        Failure {
            code: PF_ERR_INVALID_ARGUMENT,
            message,
        }
    }

    pub(super) fn null(name: &str) -> Failure {
        Failure {
            code: PF_ERR_NULL,
            message: format!("{name} is null"),
        }
    }

    pub(super) fn system(what: &str, why: impl std::fmt::Display) -> Failure {
        Failure {
            code: PF_ERR_SYSTEM,
            message: format!("{what}: {why}"),
        }
    }

    pub(super) fn errno(what: &str, errno: Errno) -> Failure {
        Failure::system(what, errno.desc())
    }

    pub(super) fn in_worker() -> Failure {
        Failure {
            code: PF_ERR_WRONG_PROCESS,
            message: "this is the manager's call, and this process is not the manager".into(),
        }
    }
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Failure {
        let (code, message) = match misuse {
            Misuse::Unanswered => (
                PF_ERR_WRONG_STATE,
                "the last FORK event is not answered: call pf_forked or pf_fork_failed first",
            ),
            Misuse::NotAsked => (PF_ERR_WRONG_STATE, "no FORK event is waiting for an answer"),
            Misuse::InWorker => return Failure::in_worker(),
        };
        Failure {
            code,
            message: message.into(),
        }
    }
}

/// What a function returns when it cannot do its work.
pub(super) trait Fallback {
    fn fallback(code: pf_result) -> Self;
}

impl Fallback for pf_result {
    fn fallback(code: pf_result) -> Self {
        code
    }
}

impl Fallback for () {
    fn fallback(_: pf_result) -> Self {}
}

impl Fallback for i32 {
    fn fallback(_: pf_result) -> Self {
        0
    }
}

impl Fallback for u32 {
    fn fallback(_: pf_result) -> Self {
        0
    }
}

impl Fallback for u64 {
    fn fallback(_: pf_result) -> Self {
        0
    }
}

impl Fallback for usize {
    fn fallback(_: pf_result) -> Self {
        0
    }
}

impl Fallback for bool {
    fn fallback(_: pf_result) -> Self {
        false
    }
}

impl Fallback for f64 {
    fn fallback(_: pf_result) -> Self {
        0.0
    }
}

impl<T> Fallback for *const T {
    fn fallback(_: pf_result) -> Self {
        std::ptr::null()
    }
}

impl<T> Fallback for *mut T {
    fn fallback(_: pf_result) -> Self {
        std::ptr::null_mut()
    }
}

/// Runs the body of an export that has no handle; a panic ends here.
pub(super) fn guard<R: Fallback>(body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| R::fallback(PF_ERR_PANIC))
}

/// Whether a call is still served after a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterPanic {
    /// It is: it reads, or helps to stop the workers and to wait for them.
    Serve,
    /// It is not.
    Refuse,
}

/// Runs the body of an export on its handle: null is an error, a panic poisons the handle,
/// a failure leaves its message there.
///
/// # Safety
/// The pointer is null, or came from `pf_new` and was not freed, and no other call on it
/// is under way.
pub(super) unsafe fn with<R: Fallback>(
    pf: *const pf_t,
    after_panic: AfterPanic,
    body: impl FnOnce(&mut Inner) -> Result<R, Failure>,
) -> R {
    // SAFETY: promised by our caller.
    let Some(pf) = (unsafe { pf.as_ref() }) else {
        return R::fallback(PF_ERR_NULL);
    };
    // SAFETY: no other call is under way, and no call keeps the reference.
    let inner = unsafe { &mut *pf.inner.get() };
    if inner.poisoned && after_panic == AfterPanic::Refuse {
        return R::fallback(PF_ERR_PANIC);
    }
    match catch_unwind(AssertUnwindSafe(|| body(&mut *inner))) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => R::fallback(fail(inner, failure)),
        Err(panic) => R::fallback(poison(inner, panic)),
    }
}

// Once, and not in each export, of which they would be the larger part.

#[cold]
#[inline(never)]
fn fail(inner: &mut Inner, failure: Failure) -> pf_result {
    inner.set_message(&failure.message);
    failure.code
}

#[cold]
#[inline(never)]
fn poison(inner: &mut Inner, panic: Box<dyn Any + Send>) -> pf_result {
    inner.poisoned = true;
    // No answer is taken any more to a fork that was asked for.
    inner.give_back_mask();
    let why = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    inner.set_message(&format!("libprefork has a defect: {why}"));
    PF_ERR_PANIC
}

/// The meaning of a result `code`, in English; "unknown result code" for a number that is
/// none. Never null, not to be freed.
///
/// Called by: manager, worker, hook, signal handler, other thread.
#[unsafe(no_mangle)]
pub extern "C" fn pf_strerror(code: i32) -> *const c_char {
    // An integer, not the enum: C may pass any number.
    let text: &CStr = match code {
        c if c == PF_OK as i32 => c"success",
        c if c == PF_IN_WORKER as i32 => c"this process is a worker",
        c if c == PF_ERR_NULL as i32 => c"a required pointer is null",
        c if c == PF_ERR_INVALID_ARGUMENT as i32 => c"invalid argument",
        c if c == PF_ERR_WRONG_STATE as i32 => c"the call does not fit the state of the handle",
        c if c == PF_ERR_WRONG_PROCESS as i32 => c"the call does not belong to this process",
        c if c == PF_ERR_SYSTEM as i32 => c"a system call failed",
        c if c == PF_ERR_PANIC as i32 => c"internal error in libprefork",
        c if c == PF_ERR_NO_SLOT as i32 => c"no empty slot in scoreboard",
        _ => c"unknown result code",
    };
    text.as_ptr()
}

/// What the last failing call on this handle had to say: what was wrong, with its value.
/// Empty before the first failure; never null, not to be freed. Valid until the next call on
/// the handle. No message is left where the handle is null, by pf_signal and pf_wake, and by
/// functions that have no manager's handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_error_message(pf: *const pf_t) -> *const c_char {
    // SAFETY: promised by our caller.
    let message: *const c_char =
        unsafe { with(pf, AfterPanic::Serve, |inner| Ok(inner.message.as_ptr())) };
    if message.is_null() {
        pf_strerror(PF_ERR_NULL as i32)
    } else {
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::*;

    /// A manager with one worker, which sleeps until it is killed.
    unsafe fn with_a_worker() -> *mut pf_t {
        // SAFETY: the handle is live and used by this thread alone; the child, of a process with
        // threads, only waits.
        unsafe {
            let pf = pf_new();
            // Other tests have children of their own.
            assert_eq!(pf_set_reap_foreign(pf, false), PF_OK);
            assert_eq!(pf_set_max_workers(pf, 1), PF_OK);
            assert_eq!(pf_begin(pf), PF_OK);
            let mut event = std::mem::zeroed::<pf_event>();
            assert_eq!(pf_next(pf, &raw mut event), PF_OK);
            assert_eq!(event.r#type, pf_event_type::PF_EVENT_FORK as u32);
            let pid = libc::fork();
            if pid == 0 {
                // The test may die before it kills us.
                libc::alarm(60);
                loop {
                    libc::pause();
                }
            }
            assert_eq!(pf_forked(pf, pid), PF_OK);
            pf
        }
    }

    #[test]
    fn after_a_panic_workers_can_be_stopped_and_waited_for() {
        // SAFETY: as above; all pointers are to live variables.
        unsafe {
            let pf = with_a_worker();
            let panicked: pf_result = with(pf, AfterPanic::Serve, |_| panic!("it broke"));
            assert_eq!(panicked, PF_ERR_PANIC);
            let message = CStr::from_ptr(pf_error_message(pf));
            assert_eq!(message, c"libprefork has a defect: it broke");

            assert_eq!(pf_set_max_workers(pf, 2), PF_ERR_PANIC);
            assert_eq!(pf_start(pf, None, std::ptr::null_mut()), PF_ERR_PANIC);
            assert_eq!(pf_num_workers(pf), 1);

            let mut left = 99;
            assert_eq!(pf_wait_all_children(pf, 0.01, &raw mut left), PF_OK);
            assert_eq!(left, 1, "it is alive");
            assert_eq!(pf_signal_all_children(pf, libc::SIGKILL), PF_OK);
            assert_eq!(pf_wait_all_children(pf, 60.0, &raw mut left), PF_OK);
            assert_eq!(left, 0);
            pf_free(pf);
        }
    }

    #[test]
    fn a_panic_leaves_no_signal_blocked() {
        let blocked = || {
            // SAFETY: all-zero bytes are a valid sigset_t, which the call fills in.
            unsafe {
                let mut mask: libc::sigset_t = std::mem::zeroed();
                libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
                libc::sigismember(&raw const mask, libc::SIGWINCH) == 1
            }
        };
        // SAFETY: the handle is live and used by this thread alone; the pointer is to a live variable.
        unsafe {
            let pf = pf_new();
            assert_eq!(pf_trap_signal(pf, libc::SIGWINCH, 0, 0.0), PF_OK);
            assert_eq!(pf_begin(pf), PF_OK);
            let mut event = std::mem::zeroed::<pf_event>();
            assert_eq!(pf_next(pf, &raw mut event), PF_OK);
            assert_eq!(event.r#type, pf_event_type::PF_EVENT_FORK as u32);
            assert!(blocked());
            let panicked: pf_result = with(pf, AfterPanic::Serve, |_| panic!("it broke"));
            assert_eq!(panicked, PF_ERR_PANIC);
            assert_eq!(pf_forked(pf, 1), PF_ERR_PANIC);
            assert!(!blocked());
            pf_free(pf);
        }
    }
}
