//! Run
//!
//! pf_start keeps the pool full until a trapped signal arrives, and then sends the workers what pf_trap_signal said.
//! It returns in the manager, which starts again (a reload) or waits for its workers (a stop). A worker runs its code
//! and ends; it never comes back to the manager's code.

use std::ffi::c_void;

use super::error::{Error, Fallback, pf_result};
use super::event::pf_event;
use super::handle::{
    AfterPanic, Hook, Hooks, Inner, fact, inner, limit, manager, pf_on_child_reap_fn, pf_t,
    pf_worker_fn, with,
};
use super::pull::{pf_fork_failed, pf_forked};
use crate::manager::{Event, Failure, Manager};
use crate::os::process::{self, Errno};
use crate::os::{clock, kill, stdio};
use pf_result::{PF_IN_WORKER, PF_OK};

/// Keeps the workers running until a trapped signal arrives: forks them, reaps them, replaces
/// them. Returns PF_OK in the manager, with the signal in pf_signal_received and the workers
/// signalled as pf_trap_signal said; call it again to go on with a new generation.
///
/// Each worker runs `worker` with `data` and exits with what that returns, by exit(3). If
/// `worker` is null, pf_start returns PF_IN_WORKER in each worker, which ends with pf_finish.
///
/// stdio is flushed before each fork(2), so that nothing is printed twice: all streams or, if the process has other
/// threads, stdout and stderr, each unless some thread has it locked. SIGCHLD is watched as by pf_watch_children.
/// Between hooks it may be blocked and taken by sigtimedwait(2); hooks and workers have the mask of before.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in a
/// hook of a pf_start or after pf_demand or pf_set_lead (prefork-host.h), PF_ERR_SYSTEM if SIGCHLD cannot be watched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_start(
    pf: *mut pf_t,
    worker: pf_worker_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller; the same for every call below. No reference into the handle is held while a hook
    // or the worker's code runs.
    unsafe {
        let begun = inner!(pf, Refuse, |inner| {
            begin(inner)?;
            Ok(PF_OK)
        });
        if begun != PF_OK {
            return begun;
        }
        let result = loop {
            // Each turn anew: a hook may have waited for all of them in between.
            let event = next(pf, AfterPanic::Refuse, |Inner { manager, .. }| {
                manager.keep_running();
                manager.hold_sigchld();
                Ok(manager.wait_quietly(None, Manager::next_event)?)
            });
            match event {
                Err(code) => break code,
                Ok(Event::Fork { .. }) => match fork_worker(pf) {
                    Ok(Process::Manager) => {}
                    Ok(Process::Worker) => match worker {
                        Some(worker) => process::exit(worker(pf, data)),
                        None => break PF_IN_WORKER,
                    },
                    Err(code) => break code,
                },
                Ok(event @ Event::Reaped { .. }) => report_exit(pf, &event),
                Ok(event @ Event::KillFailed { .. }) => report_kill_failure(pf, &event),
                Ok(Event::Stopped(_)) => break PF_OK,
                Ok(_) => {}
            }
        };
        let _: pf_result = inner!(pf, Serve, |inner| {
            inner.manager.release_sigchld();
            inner.manager.set_in_loop(false);
            Ok(PF_OK)
        });
        result
    }
}

fn begin(inner: &mut Inner) -> Result<(), Failure> {
    let manager = &mut inner.manager;
    if !manager.is_worker() && manager.host_leads() {
        return Err(Failure::wrong_state(
            "this host decides by itself (pf_demand), which pf_start would do",
        ));
    }
    manager.begin()?;
    manager.code_has_run();
    manager.set_in_loop(true);
    Ok(())
}

/// The next event, or the code of what went wrong.
///
/// # Safety
/// As pf_start.
unsafe fn next(
    pf: *mut pf_t,
    after_panic: AfterPanic,
    ask: impl FnOnce(&mut Inner) -> Result<Event, Error>,
) -> Result<Event, pf_result> {
    // SAFETY: promised by our caller.
    unsafe { with(pf, after_panic, |inner| Ok(Ok(ask(inner)?))) }
}

impl Fallback for Result<Event, pf_result> {
    fn fallback(code: pf_result) -> Self {
        Err(code)
    }
}

/// After each call of the program's code: whatever that has done, children are looked for before long.
///
/// # Safety
/// As pf_start.
unsafe fn code_has_run(pf: *mut pf_t) {
    let _: pf_result = manager!(pf, Serve, |manager| {
        manager.code_has_run();
        Ok::<(), Error>(())
    });
}

/// Before a call of the program's code.
///
/// # Safety
/// As pf_start.
unsafe fn release_sigchld(pf: *mut pf_t) {
    let _: pf_result = manager!(pf, Serve, |manager| {
        manager.release_sigchld();
        Ok::<(), Error>(())
    });
}

/// Which of the two a fork comes back in.
enum Process {
    Manager,
    Worker,
}

/// # Safety
/// As pf_start, after a request for a fork.
unsafe fn fork_worker(pf: *mut pf_t) -> Result<Process, pf_result> {
    // SAFETY: promised by our caller. No reference into the handle is held while a hook runs,
    // so a hook may call any function on it. The child returns to the host's own code
    // after calls that are async-signal-safe (sigaction, sigprocmask), so a host with threads
    // may fork as well.
    unsafe {
        let hooks = hooks(pf);
        if let Some(before_fork) = hooks.before_fork.call {
            let _: pf_result = manager!(pf, Serve, |manager| {
                manager.leave_mask_to_fork();
                Ok::<(), Error>(())
            });
            before_fork(pf, hooks.before_fork.data);
            code_has_run(pf);
            // The hook may have answered.
            let is_asked: bool = fact!(pf, |manager| manager.is_asked_to_fork());
            if !is_asked {
                return Ok(Process::Manager);
            }
        }
        stdio::flush();
        let pid = match process::fork() {
            Ok(pid) => pid,
            Err(errno) => {
                fork_failed(pf, errno, &hooks);
                return Ok(Process::Manager);
            }
        };
        let result = pf_forked(pf, pid);
        if pid == 0 {
            if result != PF_OK {
                process::exit_at_once(libc::EXIT_FAILURE);
            }
            return Ok(Process::Worker);
        }
        if result != PF_OK {
            // It is in no table, so nobody else would ever stop it.
            let _ = kill::signal_child(pid, libc::SIGKILL);
            return Err(result);
        }
        if let Some(after_fork) = hooks.after_fork.call {
            release_sigchld(pf);
            after_fork(pf, pid, hooks.after_fork.data);
            code_has_run(pf);
        }
        Ok(Process::Manager)
    }
}

/// # Safety
/// As fork_worker.
unsafe fn fork_failed(pf: *mut pf_t, errno: Errno, hooks: &Hooks) {
    let mut report = 0;
    // SAFETY: promised by our caller.
    unsafe {
        pf_fork_failed(pf, &raw mut report);
        if let (Some(on_fork_failure), 1..) = (hooks.on_fork_failure.call, report) {
            release_sigchld(pf);
            on_fork_failure(pf, errno as i32, report, hooks.on_fork_failure.data);
            code_has_run(pf);
        }
    }
}

/// # Safety
/// As pf_start.
unsafe fn report_exit(pf: *mut pf_t, event: &Event) {
    // SAFETY: promised by our caller; no reference into the handle is held.
    unsafe {
        report(pf, event, hooks(pf).on_child_reap);
    }
}

/// # Safety
/// As pf_start.
unsafe fn report_kill_failure(pf: *mut pf_t, event: &Event) {
    // SAFETY: as above.
    unsafe {
        report(pf, event, hooks(pf).on_kill_failure);
    }
}

/// # Safety
/// As pf_start. No reference into the handle is held.
unsafe fn report(pf: *mut pf_t, event: &Event, hook: Hook<pf_on_child_reap_fn>) {
    if let Some(call) = hook.call {
        let mut told = pf_event::new();
        told.tell(event);
        // SAFETY: promised by our caller.
        unsafe {
            release_sigchld(pf);
            call(pf, &raw const told, hook.data);
            code_has_run(pf);
        }
    }
}

/// # Safety
/// As pf_start.
unsafe fn hooks(pf: *mut pf_t) -> Hooks {
    let mut hooks = Hooks::default();
    let _: pf_result = inner!(pf, Serve, |inner| {
        hooks = inner.hooks;
        Ok(PF_OK)
    });
    hooks
}

/// Ends a worker with exit(3) and `code` as its status. It does not return, unless the call
/// fails.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in the manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_finish(pf: *mut pf_t, code: i32) -> pf_result {
    let result = manager!(pf, Serve, |manager| {
        if manager.is_worker() {
            Ok(())
        } else {
            Err(Failure::wrong_process(
                "pf_finish ends a worker, and this is the manager",
            ))
        }
    });
    if result == PF_OK {
        process::exit(code);
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wait_all_children(
    pf: *mut pf_t,
    timeout: f64,
    left: *mut usize,
) -> pf_result {
    let begin = clock::now();
    // SAFETY: promised by our caller; the same for every call below.
    unsafe {
        code_has_run(pf);
        loop {
            let event = next(pf, AfterPanic::Serve, |inner| {
                // Each turn anew: a hook may have asked for something else in between.
                let most = limit("timeout", timeout)?;
                let left = most.map(|most| most.saturating_sub(clock::now().since(begin)));
                inner.manager.drain(left)?;
                let next = inner.next();
                Ok(inner.manager.wait_quietly(None, next)?)
            });
            let workers = match event {
                Err(code) => return code,
                Ok(event @ Event::Reaped { .. }) => {
                    report_exit(pf, &event);
                    continue;
                }
                Ok(event @ Event::KillFailed { .. }) => {
                    report_kill_failure(pf, &event);
                    continue;
                }
                // The host may keep some that have ended.
                Ok(Event::Drained) => 0,
                Ok(Event::TimedOut { workers }) => workers as usize,
                Ok(_) => continue,
            };
            if let Some(left) = left.as_mut() {
                *left = workers;
            }
            return PF_OK;
        }
    }
}
