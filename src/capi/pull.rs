//! Pull: the manager in a loop of the host's
//!
//! pf_next says what is to be done and returns at once; the host does it, answers a FORK, and asks again. It says WAIT
//! when there is nothing to do: then the host sleeps, with an event loop of its own, until the descriptor or the
//! time-out of that event. pf_wait is the same with a sleep of the library's.
//!
//! First call pf_watch_children, or handle SIGCHLD yourself and call pf_child_ended: without either nobody notices that
//! a worker ends. prefork-pull(3) has the steps, examples/pull.c a program.

use std::sync::atomic::Ordering;

use super::error::{Error, pf_result};
use super::event::pf_event;
use super::handle::{inner, limit, manager, pf_t};
use pf_result::PF_OK;

/// Begins a run: the generation goes up by one, and from now on pf_next keeps the pool full.
/// A trapped signal that arrived before, and that the program has not read
/// (pf_signal_received), ends it at once. A FORK event that waits for its answer is
/// withdrawn. In a process that the host has forked by itself it does what pf_become_manager
/// does, first.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in a hook of pf_start,
/// PF_ERR_SYSTEM as pf_become_manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_begin(pf: *mut pf_t) -> pf_result {
    manager!(pf, Refuse, |manager| manager.begin())
}

/// Goes on with the run that pf_begin began, after pf_suspend, pf_drain or a STOPPED event: the
/// pool is kept full again, and the generation stays what it is.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_resume(pf: *mut pf_t) -> pf_result {
    manager!(pf, Refuse, |manager| manager.resume())
}

/// No worker is forked from now on, and no signal ends the run; pf_next reaps and sends what
/// is due. pf_resume ends that. A new handle is suspended until pf_begin.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_suspend(pf: *mut pf_t) -> pf_result {
    manager!(pf, Serve, |manager| manager.suspend())
}

/// No worker is forked from now on; pf_next reaps until none is left (DRAINED) or `timeout`
/// seconds have passed (TIMED_OUT; negative: never). Another call sets another time. Nobody
/// is signalled by this. After either event the manager is suspended (pf_suspend).
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_drain(pf: *mut pf_t, timeout: f64) -> pf_result {
    manager!(pf, Serve, |manager| manager
        .drain(limit("timeout", timeout)?))
}

/// The next event, into `event`. It waits for nothing, never forks and calls nothing of the host's. After a FORK
/// event, answer before the next call. It reaps by wait4(2) with WNOHANG and sends by kill(2). One thing takes time:
/// with pf_set_huge_pages, memory is moved before the first FORK of a generation.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE after a FORK event without an answer, PF_ERR_WRONG_PROCESS
/// in a worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_next(pf: *mut pf_t, event: *mut pf_event) -> pf_result {
    inner!(pf, Serve, |inner| {
        // SAFETY: promised by our caller.
        let event = unsafe { event.as_mut() }.ok_or_else(|| Error::null("event"))?;
        inner.manager.code_has_run();
        let next = inner.next();
        event.tell(&next(&mut inner.manager)?);
        Ok(pf_result::PF_OK)
    })
}

/// The next event that is not WAIT, into `event`: pf_next and, in between, the sleep that
/// WAIT asks for (poll(2)), of `timeout` seconds in all at most (negative: for ever). When
/// the time is over it is a WAIT; if the call fails, what is in `event` means nothing. Signals
/// that pf_trap_signal trapped, and SIGCHLD, end the sleep even if the thread blocks them.
///
/// For hosts that have nothing else to wait for; pf_begin, pf_drain and pf_suspend say what for.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_INVALID_ARGUMENT if `timeout` is not a number, those of pf_watch_children, those of
/// pf_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wait(pf: *mut pf_t, timeout: f64, event: *mut pf_event) -> pf_result {
    inner!(pf, Serve, |inner| {
        // SAFETY: promised by our caller.
        let event = unsafe { event.as_mut() }.ok_or_else(|| Error::null("event"))?;
        let timeout = limit("timeout", timeout)?;
        inner.manager.code_has_run();
        let next = inner.next();
        event.tell(&inner.manager.wait_quietly(timeout, next)?);
        Ok(PF_OK)
    })
}

/// Answers FORK with `pid`, which is what fork(2) returned: the worker's in the manager, 0 in
/// the worker. The worker gets the default action of every signal that a manager of this
/// process traps (pf_trap_signal) and of a watched SIGCHLD (sigaction(2)), and both get back
/// the signal mask that they had before the event. In the worker it is async-signal-safe.
///
/// A worker may be made in other ways than by fork(2). A child that shares the memory of the manager, as those of
/// vfork(2) and posix_spawn(3) do, must not call the library: it executes another program, and the manager alone
/// answers. The host does there what pf_forked does in other workers. Before pf_next it keeps its signal mask
/// (sigprocmask(2)), and gives the child that one: by POSIX_SPAWN_SETSIGMASK, or after vfork(2) by sigprocmask(2).
/// After vfork(2) it gives the trapped signals their default actions first. Such a worker has no slot in the
/// scoreboard, and counts as idle. If the child was made by clone(2) with another exit signal than SIGCHLD, or with
/// none, the system does not tell the library of its end: the host calls pf_child_ended. A manager that uses
/// pf_watch_children also finds it by itself, within two seconds. Before Linux 4.7 such a worker is taken for one that
/// somebody else has reaped.
///
/// Called by: manager, worker. In the worker as the first call on the handle; not from hooks.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer,
/// PF_ERR_INVALID_ARGUMENT for a negative `pid`: call pf_fork_failed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_forked(pf: *mut pf_t, pid: i32) -> pf_result {
    manager!(pf, Refuse, |manager| {
        manager.forked(pid)?;
        if pid == 0 {
            // SAFETY: the handle is live, and only this part of it is looked at by others.
            unsafe { &(*pf).is_worker }.store(true, Ordering::SeqCst);
        }
        Ok::<(), Error>(())
    })
}

/// Answers FORK when fork(2) has failed. No worker is forked for err_respawn_interval then, 0.05 seconds
/// at least. `report` (null is allowed) is set to the number of failures that should be
/// reported now: 0 if one was reported less than a second ago, otherwise those since then.
/// Look at errno(3) before.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_fork_failed(pf: *mut pf_t, report: *mut u32) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let failures = manager.fork_failed()?;
        // SAFETY: promised by our caller.
        if let Some(report) = unsafe { report.as_mut() } {
            *report = failures;
        }
        Ok::<(), Error>(())
    })
}

/// Lets the library handle SIGCHLD (sigaction(2)): the descriptor of WAIT then tells of children too. A handler that
/// the program had before is still called. pf_wait, pf_start and pf_wait_all_children call this by themselves. SIGCHLD
/// may miss this thread: another thread or handler takes it, or the thread blocks it. Where that can happen, WAIT lasts
/// 1 second at most, and pf_next then looks for children. It also looks once after code of the host has run, within
/// that second. A host that makes a thread, or changes the handler or the mask of SIGCHLD, during a WAIT calls pf_next
/// again before it sleeps.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if there is no descriptor left for the
/// pipe (pipe2(2)).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_watch_children(pf: *mut pf_t) -> pf_result {
    manager!(pf, Serve, |manager| manager.watch_children())
}

/// Tells that SIGCHLD has arrived, where the host owns its handler. `pid` is the child that it has named (si_pid of
/// siginfo_t), or 0 where the host does not know that. The next pf_next looks for children that have ended, and for
/// workers that somebody else has reaped.
///
/// If `pid` is a worker's, the next pf_next works in this order: it reaps that worker by its pid, without a look at
/// other children; it gives the FORK for its successor; in a large pool it gives a short WAIT; it looks for other
/// children that have ended, as of several SIGCHLD that are pending only the first one is kept. It may be called for
/// several before the next pf_next, and with any number that a siginfo_t had.
///
/// Called by: manager, hook. Not by the handler of SIGCHLD itself, which may note the number and call pf_wake so
/// that the host comes to this.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_child_ended(pf: *mut pf_t, pid: i32) -> pf_result {
    manager!(pf, Serve, |manager| manager
        .child_ended((pid != 0).then_some(pid)))
}
