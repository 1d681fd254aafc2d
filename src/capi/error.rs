//! Results
//!
//! Most functions return a pf_result: PF_OK, or what kind of thing went wrong. The sentence that goes with it,
//! with the name and the value that are wrong, is pf_error_message's. A call that fails has changed nothing, unless
//! its description says so.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::manager::{Failure, FailureKind};

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
    /// The worker is to stop; pf_stopping says why.
    PF_ERR_STOPPING = 9,
    /// The time is over.
    PF_ERR_TIMED_OUT = 10,
}

use pf_result::*;

/// An error on its way out: its code, and what is to be said of it.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) code: pf_result,
    pub(super) message: String,
}

impl Error {
    pub(super) fn invalid(message: String) -> Error {
        Error {
            code: PF_ERR_INVALID_ARGUMENT,
            message,
        }
    }

    pub(super) fn null(name: &str) -> Error {
        Error {
            code: PF_ERR_NULL,
            message: format!("{name} is null"),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let code = match failure.kind {
            FailureKind::InvalidArgument => PF_ERR_INVALID_ARGUMENT,
            FailureKind::WrongState => PF_ERR_WRONG_STATE,
            FailureKind::WrongProcess => PF_ERR_WRONG_PROCESS,
            FailureKind::System => PF_ERR_SYSTEM,
        };
        Error {
            code,
            message: failure.message,
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
