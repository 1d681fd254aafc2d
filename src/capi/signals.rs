//! Signals: those that arrive, what the program knows of them, and those that are sent.

use std::sync::atomic::Ordering;

use super::error::{AfterPanic, Failure, pf_result, with};
use super::handle::{pf_t, seconds};
use crate::machine::{Action, Signal};
use crate::os::signals::is_signal;
use crate::os::{clock, kill, mask};

/// Tells that `signal` has arrived: where the host owns the handler, or to end the run from a
/// hook or a thread. If pf_trap_signal has trapped it, the workers are sent what that said. A
/// wait that is under way elsewhere ends, if its event has a descriptor. Equal signals that
/// have not been acted on are one. It keeps errno(3).
///
/// Called by: manager, hook, signal handler, other thread.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT for a number that is no signal's,
/// PF_ERR_WRONG_PROCESS in a worker. No message is left.
///
/// # Safety
/// `pf` is null or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    // SAFETY: promised by our caller; only the shared part is touched, which is atomic.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    if shared.is_worker.load(Ordering::SeqCst) {
        return pf_result::PF_ERR_WRONG_PROCESS;
    }
    if !is_signal(signal) || !shared.arrivals.record(signal) {
        return pf_result::PF_ERR_INVALID_ARGUMENT;
    }
    shared.end_wait();
    pf_result::PF_OK
}

/// The signal that the program is to know of, and 0 if there is none: the one that ended the
/// run last or, once that was read, the one that arrived last. By this call the program has
/// read it, so the next pf_begin or pf_start clears it; what arrives and is not read ends the
/// next run at once.
///
/// Called by: manager, worker, hook. In a worker it is what the manager had at the fork.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_received(pf: *mut pf_t) -> i32 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.take_arrivals();
            inner.machine.signals.mark_read();
            Ok(inner.machine.signals.shown())
        })
    }
}

/// What pf_signal_received would return, without reading it: the next run still ends by it.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_peek_signal(pf: *mut pf_t) -> i32 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.take_arrivals();
            Ok(inner.machine.signals.shown())
        })
    }
}

/// Stores `value` as what pf_signal_received returns: a signal, 0 for none, or any other
/// number that means something to the host. What the program had read is settled by this; a
/// trapped signal that it has not read keeps waiting.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_signal_received(pf: *mut pf_t, value: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.take_arrivals();
            inner.machine.signals.store(value);
            inner.machine.wake();
            Ok(pf_result::PF_OK)
        })
    }
}

/// The host acts on `signal` now, by itself: it no longer waits, and pf_signal_received
/// returns it next.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_take_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.take_arrivals();
            inner.machine.signals.take(signal);
            Ok(pf_result::PF_OK)
        })
    }
}

/// The program keeps `signal` to itself: it no longer waits, and pf_signal_received does not
/// return it.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_drop_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.take_arrivals();
            inner.machine.signals.drop_signal(signal);
            Ok(pf_result::PF_OK)
        })
    }
}

/// If the program knows of no signal, or has read the one that it knows of, and another one
/// waits, that one is what it reads next. Returns what pf_signal_received would return then.
/// For programs that wait and poll between runs, and for hosts that act on signals by
/// themselves.
///
/// Called by: manager, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_show_next_signal(pf: *mut pf_t) -> i32 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.take_arrivals();
            inner.machine.signals.show_next();
            Ok(inner.machine.signals.shown())
        })
    }
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
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_all_children(pf: *mut pf_t, signal: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            check_signal_to_send(signal)?;
            inner.manager_only()?;
            let mut failure = None;
            // Those that are signalled first end while the last ones wait for their turn.
            let _held = mask::hold_sigchld();
            for worker in inner.machine.workers().signalled_in_order() {
                if let Err(errno) = kill::signal_child(worker.pid, signal) {
                    let what = format!("kill {signal}, {}", worker.pid);
                    failure = Some(Failure::errno(&what, errno));
                }
            }
            failure.map_or(Ok(pf_result::PF_OK), Err)
        })
    }
}

/// Sends `signal` to one worker at once, and to the next ones `interval` seconds apart during
/// later calls of pf_next, pf_start and pf_wait_all_children. Workers that are forked later
/// are not sent it. It replaces one that is still under way.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist, or
/// `interval` is negative or not a number.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_staggered(
    pf: *mut pf_t,
    signal: i32,
    interval: f64,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            check_signal_to_send(signal)?;
            let interval = seconds("interval", interval)?;
            inner.manager_only()?;
            let now = clock::now();
            let action = Action {
                send: signal,
                interval,
            };
            inner.machine.stagger(action, now);
            while let Some((pid, signal)) = inner.machine.staggered_due(now) {
                // As in pf_next: one that may not be signalled does not keep the others.
                let _ = kill::signal_child(pid, signal);
            }
            Ok(pf_result::PF_OK)
        })
    }
}

/// Fails for a signal that cannot be sent; 0 can, and only checks.
pub(super) fn check_signal_to_send(signal: Signal) -> Result<(), Failure> {
    if signal == 0 || is_signal(signal.saturating_abs()) {
        Ok(())
    } else {
        Err(Failure::invalid(format!("{signal} is no signal")))
    }
}
