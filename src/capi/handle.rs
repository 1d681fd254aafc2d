//! The handle, and functions of the host's
//!
//! A manager is a pf_t, into which only the functions below look. The host gives it up to six functions: the
//! worker's code, which runs in each worker, and five hooks, which run in the manager. Each is called with the `data`
//! that it was set with, and may call whatever names it in "Called by:".

use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::error::{Error, Fallback, pf_result};
use super::event::pf_event;
use crate::machine::page::HOST_ROOM;
use crate::manager::{Event, Failure, Manager, Remote};
use crate::os::room::Room;
use pf_result::{PF_ERR_NULL, PF_ERR_PANIC};

/// A manager. Opaque: it is made by pf_new, freed by pf_free, and used through its functions.
#[repr(align(64))]
pub struct pf_t {
    /// What signal handlers and other threads may touch while a call is under way.
    pub(super) remote: Remote,
    /// For them as well. It is set once, when the process has one thread.
    pub(super) is_worker: AtomicBool,
    pub(super) inner: UnsafeCell<Inner>,
    pub(super) for_host: UnsafeCell<[u64; HOST_ROOM / 8]>,
    /// Where it lies, if that is no memory of its own.
    pub(super) room: Option<&'static Room>,
}

/// Everything else.
pub(super) struct Inner {
    pub(super) manager: Manager,
    pub(super) hooks: Hooks,
    /// The library has panicked in a call.
    pub(super) poisoned: bool,
    pub(super) message: CString,
}

impl Inner {
    pub(super) fn set_message(&mut self, message: &str) {
        // A message is ours and has no NUL inside; if one ever had, better none than a panic.
        self.message = CString::new(message).unwrap_or_default();
    }

    /// What tells the next event.
    pub(super) fn next(&self) -> fn(&mut Manager) -> Result<Event, Failure> {
        if self.poisoned {
            Manager::next_after_panic
        } else {
            Manager::next_event
        }
    }
}

/// A worker's code. What it returns is the exit status of the worker. `data` is what pf_start
/// was given. Of the functions on `pf` it may call those that name the worker in "Called by:".
pub type pf_worker_fn = Option<unsafe extern "C" fn(pf: *mut pf_t, data: *mut c_void) -> i32>;

/// Called in the manager before each fork, with the `data` of pf_set_before_fork. The signals that are blocked from
/// FORK to its answer are blocked meanwhile.
pub type pf_before_fork_fn = Option<unsafe extern "C" fn(pf: *mut pf_t, data: *mut c_void)>;

/// Called in the manager after each fork that has succeeded, with the `pid` of the new
/// worker, which runs already, and the `data` of pf_set_after_fork.
pub type pf_after_fork_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, pid: i32, data: *mut c_void)>;

/// Called in the manager for each child that was reaped, with its REAPED event as `exit`,
/// which is valid during the call, and the `data` of pf_set_on_child_reap.
pub type pf_on_child_reap_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, exit: *const pf_event, data: *mut c_void)>;

/// Called in the manager when forks fail, once a second at most: `error` is errno(3) of the
/// last failure, `failures` is how many there were since the last call, and `data` is that of
/// pf_set_on_fork_failure.
pub type pf_on_fork_failure_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, error: i32, failures: u32, data: *mut c_void)>;

/// Called in the manager for each worker whose time is over and that it may not kill, with its KILL_FAILED event as
/// `event`, which is valid during the call, and the `data` of pf_set_on_kill_failure.
pub type pf_on_kill_failure_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, event: *const pf_event, data: *mut c_void)>;

#[derive(Clone, Copy, Default)]
pub(super) struct Hooks {
    pub(super) before_fork: Hook<pf_before_fork_fn>,
    pub(super) after_fork: Hook<pf_after_fork_fn>,
    pub(super) on_child_reap: Hook<pf_on_child_reap_fn>,
    pub(super) on_fork_failure: Hook<pf_on_fork_failure_fn>,
    pub(super) on_kill_failure: Hook<pf_on_kill_failure_fn>,
}

#[derive(Clone, Copy)]
pub(super) struct Hook<F> {
    pub(super) call: F,
    pub(super) data: *mut c_void,
}

impl<F> Default for Hook<Option<F>> {
    fn default() -> Self {
        Hook {
            call: None,
            data: std::ptr::null_mut(),
        }
    }
}

/// A number of seconds, as time. `what` is the name to complain under.
pub(super) fn seconds(what: &str, value: f64) -> Result<Duration, Error> {
    if value.is_nan() || value < 0.0 {
        return Err(no_seconds(what, value));
    }
    Ok(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
}

/// The same where no end is no number of seconds.
pub(super) fn finite_seconds(what: &str, value: f64) -> Result<Duration, Error> {
    if value.is_infinite() {
        return Err(no_seconds(what, value));
    }
    seconds(what, value)
}

fn no_seconds(what: &str, value: f64) -> Error {
    Error::invalid(format!(
        "{what} is a number of seconds, 0 or more, not {value}"
    ))
}

/// The same where a negative one is no limit.
pub(super) fn limit(what: &str, value: f64) -> Result<Option<Duration>, Error> {
    if value < 0.0 {
        Ok(None)
    } else {
        seconds(what, value).map(Some)
    }
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
    body: impl FnOnce(&mut Inner) -> Result<R, Error>,
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
        Ok(Err(error)) => R::fallback(fail(inner, error)),
        Err(panic) => R::fallback(poison(inner, panic)),
    }
}

// Once, and not in each export, of which they would be the larger part.

#[cold]
#[inline(never)]
fn fail(inner: &mut Inner, error: Error) -> pf_result {
    inner.set_message(&error.message);
    error.code
}

#[cold]
#[inline(never)]
fn poison(inner: &mut Inner, panic: Box<dyn Any + Send>) -> pf_result {
    inner.poisoned = true;
    // No answer is taken any more to a fork that was asked for.
    inner.manager.give_back_mask();
    let why = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    inner.set_message(&format!("libprefork has a defect: {why}"));
    PF_ERR_PANIC
}

/// The body of an export, with all that its handle has.
macro_rules! inner {
    ($pf:expr, $after_panic:ident, |$inner:ident| $body:expr) => {{
        let body = |$inner: &mut crate::capi::handle::Inner| $body;
        let after_panic = crate::capi::handle::AfterPanic::$after_panic;
        #[allow(unused_unsafe, reason = "some callers promise the same for a whole block")]
        // SAFETY: each export asks its caller for null or a live handle that no other thread uses now.
        let answer = unsafe { crate::capi::handle::with($pf, after_panic, body) };
        answer
    }};
}

/// The body of an export that calls the manager, and returns what that came to.
macro_rules! manager {
    ($pf:expr, $after_panic:ident, |$manager:ident| $body:expr) => {
        crate::capi::handle::inner!($pf, $after_panic, |inner| {
            let $manager = &mut inner.manager;
            match $body {
                Ok(()) => Ok(crate::capi::error::pf_result::PF_OK),
                Err(failure) => Err(crate::capi::error::Error::from(failure)),
            }
        })
    };
}

/// The body of an export that asks the manager for something that is known in any case.
macro_rules! fact {
    ($pf:expr, |$manager:ident| $body:expr) => {
        crate::capi::handle::inner!($pf, Serve, |inner| {
            let $manager = &mut inner.manager;
            Ok($body)
        })
    };
}

/// The body of an export for signal handlers and other threads.
macro_rules! remote {
    ($pf:expr, |$remote:ident| $body:expr) => {
        // SAFETY: each export asks its caller for null or a live handle; this part of it is for all.
        match unsafe { $pf.as_ref() } {
            None => pf_result::PF_ERR_NULL,
            Some(pf) if pf.is_worker.load(std::sync::atomic::Ordering::SeqCst) => {
                pf_result::PF_ERR_WRONG_PROCESS
            }
            Some(pf) => {
                let $remote = &pf.remote;
                $body
            }
        }
    };
}

pub(super) use {fact, inner, manager, remote};

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::capi::*;
    use pf_result::PF_OK;

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
