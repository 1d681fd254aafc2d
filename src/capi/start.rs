//! The convenient calls of C hosts: each is a small loop over pf_next.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;

use super::error::{AfterPanic, Failure, pf_result, with};
use super::events::{
    next_to_wait_for, pf_begin, pf_drain, pf_event, pf_event_type, pf_fork_failed, pf_forked,
    pf_watch_children,
};
use super::handle::{Hooks, Inner, pf_t, pf_worker_fn, seconds};
use super::workers::pf_num_workers;
use crate::machine::{Goal, Lead};
use crate::os::held::Taken;
use crate::os::{clock, kill, mask, sleep, stdio};
use pf_result::{PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE, PF_IN_WORKER, PF_OK};

/// Keeps the workers running until a trapped signal arrives: forks them, reaps them, replaces
/// them. Returns PF_OK in the manager, with the signal in pf_signal_received and the workers
/// signalled as pf_trap_signal said; call it again to go on with a new generation.
///
/// Each worker runs `worker` with `data` and exits with what that returns, by exit(3). If
/// `worker` is null, pf_start returns PF_IN_WORKER in each worker, which ends with pf_finish.
///
/// stdio is flushed before each fork(2), so that nothing is printed twice: all streams, and
/// where the process has other threads stdout and stderr, as long as no thread holds them.
/// SIGCHLD is watched as by pf_watch_children. Between hooks it may be blocked and taken by
/// sigtimedwait(2); hooks and workers have the mask of before.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in a
/// hook of a pf_start or after pf_demand, PF_ERR_SYSTEM if SIGCHLD cannot be watched.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `worker` may be called with
/// `data` in the workers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_start(
    pf: *mut pf_t,
    worker: pf_worker_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller; the same for every call below.
    unsafe {
        let mut result = may_start(pf);
        if result == PF_OK {
            result = pf_begin(pf);
        }
        if result != PF_OK {
            return result;
        }
        code_has_run(pf);
        set_starting(pf, true);
        while result == PF_OK {
            let mut event = pf_event::new(pf_event_type::PF_EVENT_WAIT);
            // Each turn anew: a hook may have waited for all of them in between.
            go_on(pf);
            hold_sigchld(pf);
            result = wait(pf, -1.0, &mut event);
            if result != PF_OK {
                break;
            }
            match event.r#type {
                FORK => match fork_worker(pf) {
                    Forked::Worker => {
                        let Some(worker) = worker else {
                            result = PF_IN_WORKER;
                            break;
                        };
                        libc::exit(worker(pf, data));
                    }
                    Forked::Manager => {}
                    Forked::Failed(failure) => result = failure,
                },
                REAPED => report_exit(pf, &event),
                STOPPED => break,
                _ => {}
            }
        }
        release_sigchld(pf);
        set_starting(pf, false);
        result
    }
}

/// # Safety
/// As pf_start.
unsafe fn may_start(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            if inner.machine.in_worker().is_some() {
                return Err(Failure::in_worker());
            }
            if inner.machine.lead != Lead::Machine {
                return Err(Failure {
                    code: PF_ERR_WRONG_STATE,
                    message: "this host decides by itself (pf_demand), which pf_start would do"
                        .into(),
                });
            }
            Ok(PF_OK)
        })
    }
}

/// # Safety
/// As pf_start.
unsafe fn set_starting(pf: *mut pf_t, starting: bool) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            inner.is_starting = starting;
            Ok(PF_OK)
        });
    }
}

/// # Safety
/// As pf_start.
unsafe fn hold_sigchld(pf: *mut pf_t) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            inner.hold_sigchld();
            Ok(PF_OK)
        });
    }
}

/// # Safety
/// As pf_start.
unsafe fn release_sigchld(pf: *mut pf_t) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            inner.release_sigchld();
            Ok(PF_OK)
        });
    }
}

/// Before the hook that is called with trapped signals blocked: from now on the fork that was asked for
/// has the mask of before, and gives it back, as in a host that forks by itself.
///
/// # Safety
/// As pf_start, after a FORK event.
unsafe fn leave_mask_to_fork(pf: *mut pf_t) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            if let Some(held) = inner.take_held() {
                inner.mask = Some(held.into_mask());
            }
            Ok(PF_OK)
        });
    }
}

/// After each call of the program's code: whatever that has done, children are looked for before long.
///
/// # Safety
/// As pf_start.
unsafe fn code_has_run(pf: *mut pf_t) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            inner.code_has_run();
            Ok(PF_OK)
        });
    }
}

/// pf_run, for a caller that knows that this is the manager.
///
/// # Safety
/// As pf_start.
unsafe fn go_on(pf: *mut pf_t) {
    // SAFETY: promised by our caller.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Refuse, |inner| {
            inner.machine.set_goal(Goal::Run);
            Ok(PF_OK)
        });
    }
}

const FORK: u32 = pf_event_type::PF_EVENT_FORK as u32;
const REAPED: u32 = pf_event_type::PF_EVENT_REAPED as u32;
const WAIT: u32 = pf_event_type::PF_EVENT_WAIT as u32;
const STOPPED: u32 = pf_event_type::PF_EVENT_STOPPED as u32;
const DRAINED: u32 = pf_event_type::PF_EVENT_DRAINED as u32;
const TIMED_OUT: u32 = pf_event_type::PF_EVENT_TIMED_OUT as u32;

enum Forked {
    Manager,
    Worker,
    Failed(pf_result),
}

/// # Safety
/// As pf_start, after a FORK event.
unsafe fn fork_worker(pf: *mut pf_t) -> Forked {
    // SAFETY: promised by our caller. No reference into the handle is held while a hook runs,
    // so a hook may call any function on it. The child returns to the host's own code
    // after calls that are async-signal-safe (sigaction, sigprocmask), so a host with threads
    // may fork as well.
    unsafe {
        let hooks = hooks(pf);
        if let Some(before_fork) = hooks.before_fork.call {
            leave_mask_to_fork(pf);
            before_fork(pf, hooks.before_fork.data);
            code_has_run(pf);
            if !is_asked_to_fork(pf) {
                return Forked::Manager;
            }
        }
        stdio::flush();
        let pid = libc::fork();
        if pid < 0 {
            let errno = Errno::last_raw();
            let mut report = 0;
            pf_fork_failed(pf, &raw mut report);
            if let (Some(on_fork_failure), 1..) = (hooks.on_fork_failure.call, report) {
                release_sigchld(pf);
                on_fork_failure(pf, errno, report, hooks.on_fork_failure.data);
                code_has_run(pf);
            }
            return Forked::Manager;
        }
        let result = pf_forked(pf, pid);
        if pid == 0 {
            if result != PF_OK {
                libc::_exit(libc::EXIT_FAILURE);
            }
            return Forked::Worker;
        }
        if result != PF_OK {
            // It is in no table, so nobody else would ever stop it.
            let _ = kill::signal_child(pid, libc::SIGKILL);
            return Forked::Failed(result);
        }
        if let Some(after_fork) = hooks.after_fork.call {
            release_sigchld(pf);
            after_fork(pf, pid, hooks.after_fork.data);
            code_has_run(pf);
        }
        Forked::Manager
    }
}

/// Whether FORK still waits for its answer: the hook may have given one.
///
/// # Safety
/// As pf_start.
unsafe fn is_asked_to_fork(pf: *mut pf_t) -> bool {
    // SAFETY: promised by our caller.
    unsafe { with(pf, AfterPanic::Serve, |inner| Ok(inner.machine.is_asked())) }
}

/// # Safety
/// As pf_start.
unsafe fn report_exit(pf: *mut pf_t, event: &pf_event) {
    // SAFETY: promised by our caller; no reference into the handle is held.
    unsafe {
        let hook = hooks(pf).on_child_reap;
        if let Some(on_child_reap) = hook.call {
            release_sigchld(pf);
            on_child_reap(pf, event, hook.data);
            code_has_run(pf);
        }
    }
}

/// # Safety
/// As pf_start.
unsafe fn hooks(pf: *mut pf_t) -> Hooks {
    let mut hooks = Hooks::default();
    // SAFETY: promised by our caller.
    let _: pf_result = unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            hooks = inner.hooks;
            Ok(PF_OK)
        })
    };
    hooks
}

/// The next event that is not WAIT, into `event`: pf_next and, in between, the sleep that
/// WAIT asks for (poll(2)), of `timeout` seconds in all at most (negative: for ever). When
/// the time is over it is a WAIT; if the call fails, what is in `event` means nothing. Signals
/// that pf_trap_signal trapped, and SIGCHLD, end the sleep even if the thread blocks them.
///
/// For hosts that have nothing else to wait for; pf_begin, pf_drain and pf_rest say what for.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_INVALID_ARGUMENT if `timeout` is not a number, those of pf_watch_children, those of
/// pf_next.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `event` is null or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wait(pf: *mut pf_t, timeout: f64, event: *mut pf_event) -> pf_result {
    // SAFETY: promised by our caller; the same for every call below.
    unsafe {
        let Some(event) = event.as_mut() else {
            return with(pf, AfterPanic::Serve, |_| Err(Failure::null("event")));
        };
        code_has_run(pf);
        wait(pf, timeout, event)
    }
}

/// pf_wait, since when no code of the program has run that `code_has_run` does not know of.
///
/// # Safety
/// As pf_wait.
unsafe fn wait(pf: *mut pf_t, timeout: f64, event: &mut pf_event) -> pf_result {
    // SAFETY: promised by our caller; the same for every call below.
    unsafe {
        let is_watching = with(pf, AfterPanic::Serve, |inner| {
            Ok(inner.traps.is_watching_children())
        });
        if !is_watching {
            let watched = pf_watch_children(pf);
            if watched != PF_OK {
                return watched;
            }
        }
        let mut deadline = None;
        let checked = with(pf, AfterPanic::Serve, |_| {
            if timeout.is_nan() || timeout >= 0.0 {
                deadline = Some(clock::now().after(seconds("timeout", timeout)?));
            }
            Ok(PF_OK)
        });
        if checked != PF_OK {
            return checked;
        }
        loop {
            let result = next_to_wait_for(pf, event);
            if result != PF_OK {
                return result;
            }
            let left = deadline.map(|deadline| deadline.since(clock::now()));
            if event.r#type != WAIT || left.is_some_and(|left| left.is_zero()) {
                return PF_OK;
            }
            sleep(pf, event, left);
        }
    }
}

/// Sleeps until the event says, or for `most`, or until a signal or a worker wakes us.
///
/// # Safety
/// As pf_wait, after a WAIT event.
unsafe fn sleep(pf: *mut pf_t, event: &pf_event, most: Option<Duration>) {
    let asked = (event.timeout >= 0.0)
        .then(|| Duration::try_from_secs_f64(event.timeout).unwrap_or(Duration::MAX));
    let timeout = asked.into_iter().chain(most).min();
    // SAFETY: promised by our caller, who has a handle; what is shared is atomic.
    let shared = unsafe { &(*pf).shared };
    // SAFETY: promised by our caller; the handle keeps the descriptor open until pf_free.
    unsafe {
        let _: pf_result = with(pf, AfterPanic::Serve, |inner| {
            let fd = sleep::borrow(event.fd);
            if let (Some(held), false, false) = (
                &inner.held,
                inner.rests_from_looking,
                inner.may_have_missed_children,
            ) {
                // A handler, of ours or one that calls pf_wake, sends a signal since SIGCHLD is held; what came
                // before has left something to see.
                let has_more = shared.is_woken.load(Ordering::SeqCst)
                    || shared.arrivals.has_more(inner.arrivals_seen)
                    || inner.traps.child_is_noted();
                let taken = held.take(if has_more {
                    Some(Duration::ZERO)
                } else {
                    timeout
                });
                // Nobody has waited for the pipe; what is in it ends the next wait that does.
                inner.pipe_may_be_full = false;
                // A handler has interrupted it, perhaps.
                inner.pipe_is_unchecked |= matches!(taken, Taken::Nothing);
                inner.note(taken);
            } else if poll(inner, fd, timeout) {
                inner.pipe_is_unchecked = true;
            }
            Ok(PF_OK)
        });
    }
}

/// The sleep where SIGCHLD is not held back, or tells nothing new. Returns whether a handler of the program may have
/// run, which may close the pipe.
#[inline(never)] // Its sets of signals take room on the stack, see ARCHITECTURE.md.
fn poll(inner: &Inner, fd: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> bool {
    let trapped = inner.traps.signals();
    if inner.rests_from_looking {
        let _held = mask::hold_sigchld();
        sleep::sleep(
            fd,
            timeout,
            trapped.filter(|&signal| signal != libc::SIGCHLD),
        );
        // That of SIGCHLD runs at the end of this.
        true
    } else {
        sleep::sleep(fd, timeout, trapped)
    }
}

/// Ends a worker with exit(3) and `code` as its status. It does not return, unless the call
/// fails.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in the manager.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_finish(pf: *mut pf_t, code: i32) -> pf_result {
    // SAFETY: promised by our caller.
    let result = unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            if inner.machine.in_worker().is_none() {
                return Err(Failure {
                    code: PF_ERR_WRONG_PROCESS,
                    message: "pf_finish ends a worker, and this is the manager".into(),
                });
            }
            Ok(PF_OK)
        })
    };
    if result == PF_OK {
        // SAFETY: exit(3) may be called once, from one thread, and this is it.
        unsafe { libc::exit(code) };
    }
    result
}

/// Waits until every worker has ended, for `timeout` seconds at most (negative: for ever),
/// reaps them, and sets `left` (null is allowed) to the number that is left: 0, unless the
/// time is over. Nobody is signalled by this, but a staggered signal goes on. Trapped signals
/// wait meanwhile, for pf_show_next_signal or the next run.
///
/// Called by: manager, hook. Of the hooks only from on_child_reap and after_fork.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in the
/// hook before_fork, PF_ERR_INVALID_ARGUMENT if `timeout` is not a number, PF_ERR_SYSTEM if
/// SIGCHLD cannot be watched.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `left` is null or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wait_all_children(
    pf: *mut pf_t,
    timeout: f64,
    left: *mut usize,
) -> pf_result {
    // SAFETY: promised by our caller; the same for every call below.
    unsafe {
        let begin = clock::now();
        code_has_run(pf);
        loop {
            // Each turn anew: a hook may have asked for something else in between.
            let spent = clock::now().since(begin).as_secs_f64();
            let draining = pf_drain(
                pf,
                if timeout > 0.0 {
                    (timeout - spent).max(0.0)
                } else {
                    timeout
                },
            );
            if draining != PF_OK {
                return draining;
            }
            let mut event = pf_event::new(pf_event_type::PF_EVENT_WAIT);
            let result = wait(pf, -1.0, &mut event);
            if result != PF_OK {
                return result;
            }
            match event.r#type {
                REAPED => report_exit(pf, &event),
                end @ (DRAINED | TIMED_OUT) => {
                    if let Some(left) = left.as_mut() {
                        // The host may keep some that have ended.
                        *left = if end == DRAINED {
                            0
                        } else {
                            pf_num_workers(pf)
                        };
                    }
                    return PF_OK;
                }
                _ => {}
            }
        }
    }
}
