//! Signals
//!
//! pf_trap_signal (above) says which signals end a run. Each ends one; equal signals that wait count as one. A signal
//! that the program reads between two runs (pf_signal_received) is the program's, and ends no run. The manager signals
//! nobody but children that were not reaped yet, and the process groups that these lead.

use super::error::pf_result;
use super::handle::{fact, manager, pf_t, remote};

/// Tells that `signal` has arrived: where the host owns the handler, or to end the run from a hook or a thread. It ends
/// the run, trapped or not; if pf_trap_signal has trapped it, the workers are sent what that said, otherwise nothing. A
/// wait that is under way in another thread ends, if its event has a descriptor (pf_wake). Equal signals that wait
/// count as one. It keeps errno(3).
///
/// Called by: manager, hook, signal handler, other thread.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT for a number that is no signal's,
/// PF_ERR_WRONG_PROCESS in a worker. No message is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    remote!(pf, |remote| {
        if remote.signal(signal) {
            pf_result::PF_OK
        } else {
            pf_result::PF_ERR_INVALID_ARGUMENT
        }
    })
}

/// Ends a wait that is under way, and gives the next WAIT a time-out of 0 seconds: something has changed that the host
/// wants looked at. WAIT has a descriptor after the first pf_trap_signal, pf_watch_children or pf_set_scoreboard;
/// before that it ends by a signal only.
///
/// Called by: manager, hook, signal handler, other thread.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker. No message is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wake(pf: *mut pf_t) -> pf_result {
    remote!(pf, |remote| {
        remote.wake();
        pf_result::PF_OK
    })
}

/// The signal that ended the last run; 0 if there is none. It stays until the program has read it and another one
/// arrives; then it is that one. This call counts as reading: the next pf_begin or pf_start clears what was read. What
/// was not read ends the next run at once.
///
/// Called by: manager, worker, hook. In a worker it is what the manager had at the fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_received(pf: *mut pf_t) -> i32 {
    fact!(pf, |manager| manager.signal_received())
}

/// Stores `value` as what pf_signal_received returns: a signal, 0 for none, or any other
/// number that means something to the host. What the program had read is settled by this; a
/// trapped signal that it has not read keeps waiting.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_signal_received(pf: *mut pf_t, value: i32) -> pf_result {
    manager!(pf, Serve, |manager| manager.set_signal_received(value))
}

/// If the program knows of no signal, or has read the one that it knows of, and another one
/// waits, that one is what it reads next. Returns what pf_signal_received would return then.
/// For programs that wait and poll between runs, and for hosts that act on signals by
/// themselves.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_show_next_signal(pf: *mut pf_t) -> i32 {
    fact!(pf, |manager| manager.show_next_signal())
}

/// Sends `signal` to each worker at once (kill(2)), in the order in which their pids sort as
/// strings; a negative one goes to the process groups that they lead, 0 only checks. Nobody
/// but children of this process that have not been reaped is signalled. It is no error if a
/// worker is gone, or leads no process group.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist,
/// PF_ERR_SYSTEM if a worker may not be signalled, because it runs as another user; the
/// others were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_all_children(pf: *mut pf_t, signal: i32) -> pf_result {
    manager!(pf, Serve, |manager| manager.signal_all_children(signal))
}
