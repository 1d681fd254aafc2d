//! Errors
//!
//! pf_strerror has a sentence for each result, pf_error_message what the last call that failed had to say. Both
//! return strings that are the library's, and never null.

use std::ffi::{CStr, c_char};

use super::error::pf_result::*;
use super::handle::{inner, pf_t};

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
        c if c == PF_ERR_STOPPING as i32 => c"the worker is to stop",
        c if c == PF_ERR_TIMED_OUT as i32 => c"the time is over",
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_error_message(pf: *const pf_t) -> *const c_char {
    if pf.is_null() {
        return pf_strerror(PF_ERR_NULL as i32);
    }
    inner!(pf, Serve, |inner| Ok(inner.message.as_ptr()))
}
