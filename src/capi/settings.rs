//! Settings
//!
//! Set them before pf_start, or in a hook while it runs: they count from the next event on. What a new handle has
//! stands in brackets. Workers have what was set when they were forked.

use std::ffi::c_void;

use super::error::{Error, pf_result};
use super::handle::{
    Hook, fact, finite_seconds, inner, manager, pf_after_fork_fn, pf_before_fork_fn,
    pf_on_child_reap_fn, pf_on_fork_failure_fn, pf_on_kill_failure_fn, pf_t, seconds,
};
use crate::machine::{Action, WorkerTimeout};

/// Sets the number of `workers` to keep (10); with spare workers, the most there may be. A lower number stops nobody:
/// workers that end are not replaced until there are fewer. With 0 none is forked.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_max_workers(pf: *mut pf_t, workers: u32) -> pf_result {
    manager!(pf, Refuse, |manager| manager.set_max_workers(workers))
}

/// The number of workers to keep, as pf_set_max_workers has set it; 0 for a null handle.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_max_workers(pf: *const pf_t) -> u32 {
    fact!(pf, |manager| manager.max_workers())
}

/// Sets the seconds between two forks to `interval` (0). The same pause is made after a
/// worker was told to stop as one too many.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
/// not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_spawn_interval(pf: *mut pf_t, interval: f64) -> pf_result {
    manager!(pf, Refuse, |manager| {
        manager.set_spawn_interval(seconds("spawn_interval", interval)?)
    })
}

/// Sets a pause of `interval` seconds (1), in which no worker is forked. It begins when a fork has failed (then it is
/// 0.05 seconds at least), and with a REAPED event of the current generation whose reason is FAILED or STOLEN.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
/// not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_err_respawn_interval(pf: *mut pf_t, interval: f64) -> pf_result {
    manager!(pf, Refuse, |manager| {
        manager.set_err_respawn_interval(seconds("err_respawn_interval", interval)?)
    })
}

/// Sets how many seconds a worker has to end (0, which is no limit) after it was told so: by SIGINT, SIGQUIT or SIGTERM
/// that the manager sends it, in whatever call, or by the `stop_signal` of pf_set_spare_workers. The first of these
/// counts. When `timeout` is over, the worker is sent SIGKILL, once, by the next pf_next. WAIT ends in time for that,
/// but one that was given before the signal was sent does not: call pf_next after that. If the first signal was to the
/// worker's process group, so is SIGKILL. A signal that is refused (kill(2)) counts like one that is sent; if SIGKILL is
/// refused, the host is told (PF_EVENT_KILL_FAILED). A change counts for workers that are told from then on.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is negative, infinite or not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_graceful_timeout(pf: *mut pf_t, timeout: f64) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let timeout = finite_seconds("graceful_timeout", timeout)?;
        manager.set_graceful_timeout((!timeout.is_zero()).then_some(timeout))
    })
}

/// Sets how many seconds a worker may be busy with one piece of work (0, which is no limit). A worker says by pf_busy,
/// pf_tick and pf_idle what it does; one that says nothing is idle, and an idle one is never late. One that is late is
/// sent SIGKILL by the next pf_next, once, and WAIT ends in time for that. With a `grace` above 0 it is sent SIGABRT
/// first, for which the program may install a handler in its workers, and SIGKILL `grace` seconds later.
///
/// Spared are: a worker that was told to end, whose time for that runs (pf_set_graceful_timeout); a worker that a
/// debugger has hold of, as long as it has. If the manager itself was stopped for more than a second while it waited, a
/// worker that was due meanwhile gets as much time again, `timeout` at most.
///
/// A worker has the `timeout` that was set at its FORK. Workers that were forked before the first call have none. 0
/// ends it for all. The manager wakes up once in `timeout`, whatever the number of workers, and when one is due.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if a number is negative, infinite or not a number, or if
/// there is a `grace` and no `timeout`, PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for
/// it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_worker_timeout(
    pf: *mut pf_t,
    timeout: f64,
    grace: f64,
) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let timeout = finite_seconds("worker_timeout", timeout)?;
        let grace = finite_seconds("worker_timeout_grace", grace)?;
        if timeout.is_zero() && !grace.is_zero() {
            return Err(Error::invalid(
                "worker_timeout_grace is set, and worker_timeout is not".into(),
            ));
        }
        let grace = (!grace.is_zero()).then_some(grace);
        let set = (!timeout.is_zero()).then_some(WorkerTimeout { timeout, grace });
        manager.set_worker_timeout(set).map_err(Error::from)
    })
}

/// Sets how many seconds after its fork a worker has to be ready for work (0, which is no limit). It says so by
/// pf_ready, or by the first pf_busy, pf_idle or pf_wait_readable. One that is not ready then is sent SIGKILL by the
/// next pf_next, once, and WAIT ends in time for that. It has failed: its successor comes after err_respawn_interval.
/// Set this only where workers say that they are ready; another program that a worker executes cannot.
///
/// Spared are: a worker that was told to end, whose time for that runs (pf_set_graceful_timeout); a worker that a
/// debugger has hold of, which has as much time again. If the manager itself was stopped for more than a second while
/// it waited, a worker whose time was over meanwhile gets as much time again, `timeout` at most.
///
/// It counts for workers that are forked from then on. 0 ends it for all.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is negative, infinite or not a number,
/// PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_ready_timeout(pf: *mut pf_t, timeout: f64) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let timeout = finite_seconds("ready_timeout", timeout)?;
        let timeout = (!timeout.is_zero()).then_some(timeout);
        manager.set_ready_timeout(timeout).map_err(Error::from)
    })
}

/// From now on pf_next and pf_wait tell when a worker is ready for work, by the event READY: once for each worker that
/// is forked from now on, and not after its end. A worker is ready when it says so (pf_ready, pf_busy, pf_idle,
/// pf_wait_readable) or, without pf_set_ready_timeout, when it has lived for a second. One that ends right after that
/// may have no such event.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_watch_ready(pf: *mut pf_t) -> pf_result {
    manager!(pf, Refuse, |manager| manager.watch_ready())
}

/// From now on the event of a worker's end says whether the system has killed it because memory was
/// short (PF_EXIT_OUT_OF_MEMORY): the system counts such kills for the control group that this process
/// is in (oom_kill in memory.events, cgroups(7)). The count is read now, and whenever a worker was
/// killed by a SIGKILL that the manager has not sent.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if the system tells no such count; everything else
/// works without it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_watch_oom(pf: *mut pf_t) -> pf_result {
    manager!(pf, Refuse, |manager| manager.watch_oom())
}

/// Sets the `signal` that a worker is sent when its manager ends, in whatever way, SIGKILL included; 0, as in a new
/// handle, for none. It counts for workers that are forked from then on, by fork(2): before any code of the host runs
/// in one, pf_forked asks the system for it (PR_SET_PDEATHSIG in prctl(2)), and sends the signal if the manager is gone
/// already. That one is not seen from a PID namespace of the worker's own.
///
/// The system forgets it when the worker changes its user or its group; the first pf_wait_readable, pf_stopping or
/// pf_stop_fd after that asks for it again, and sends the signal if the manager has gone meanwhile. It belongs to the
/// thread that forks: so this and pf_begin are refused in another thread than the first one.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist, PF_ERR_WRONG_STATE in another
/// thread than the first one of the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_parent_death_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    manager!(pf, Refuse, |manager| manager
        .set_parent_death_signal(signal))
}

/// Keeps between `min` and `max` idle workers, and no more than pf_set_max_workers says in
/// all; those that are one too many are sent `stop_signal`. Needs a scoreboard
/// (pf_set_scoreboard), without which every worker counts as idle. A process that has a slot there and is
/// no worker counts as neither. With a `min` of 0 it is a fixed number again.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `max` is less than `min`, or
/// `stop_signal` is no signal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_spare_workers(
    pf: *mut pf_t,
    min: u32,
    max: u32,
    stop_signal: i32,
) -> pf_result {
    manager!(pf, Refuse, |manager| manager.set_spare_workers(
        min,
        max,
        stop_signal
    ))
}

/// Traps `signal`: it ends pf_start, and each worker is sent `send` (0: nothing; negative: the process group that the
/// worker leads, nobody if it leads none), all at once or, with an `interval` above 0, staggered: one worker every so
/// many seconds, during later calls of pf_next, pf_start and pf_wait_all_children. It works from the moment of the
/// call, by sigaction(2) with SA_RESTART; workers, those of other managers too, get the signal's default action. A
/// handler that the program has is called after the library's, as its flags say; it may leave by siglongjmp(3), but not
/// out of a call of the library. A second call for the same signal changes what is sent. If the program has installed a
/// handler since, the library's goes in front of it and calls it.
///
/// A host that wants to keep a handler of its own in front does not trap the signal: its handler calls pf_signal.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` cannot be trapped
/// (SIGKILL, SIGSTOP, SIGCHLD, SIGILL, SIGFPE, SIGSEGV, or none), `send` is no signal, or
/// `interval` is negative or not a number, PF_ERR_SYSTEM if pipe2(2) or sigaction(2) fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_trap_signal(
    pf: *mut pf_t,
    signal: i32,
    send: i32,
    interval: f64,
) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let interval = seconds("interval", interval)?;
        manager.trap_signal(signal, Action { send, interval })
    })
}

/// Sets whether children that are not workers are reaped too. If `reap` is true, as in a new handle, they are, and
/// are reported with PF_REASON_FOREIGN. Set it to false if other code in the process waits for children of its own:
/// popen(3), system(3), a library. They are left to that code then.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_reap_foreign(pf: *mut pf_t, reap: bool) -> pf_result {
    manager!(pf, Refuse, |manager| manager.set_reap_foreign(reap))
}

/// Sets whether memory is moved to huge pages before forks: if `use_them` is true (in a new
/// handle it is false), pf_next does that before it hands out the first FORK of each
/// generation (pf_begin), or the next one if that is out already. A fork of a large process is then
/// several times faster, as it copies a page table entry for each 2 MB and not for each 4 KB.
///
/// It is done by madvise(2) with MADV_COLLAPSE, in Linux 6.1 and later; elsewhere nothing is done. This moves the
/// private, anonymous, writable memory of the process, the heap included: huge pages of which at least 7 of 8 small
/// pages are in use. It does not move stacks, locked memory, or what madvise(2) has excluded from huge pages or from
/// forks. What is in the memory stays the same, and so do addresses. Whatever fails, the workers run.
///
/// It takes time for each MB that is not in huge pages yet, during which pf_next does not return, and other threads
/// may have to wait for their page faults. A trapped signal, or a pending one of HUP, INT, QUIT, TERM, USR1 and USR2,
/// ends it; the next generation goes on. See prefork-settings(3) for when it pays.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_huge_pages(pf: *mut pf_t, use_them: bool) -> pf_result {
    manager!(pf, Refuse, |manager| manager.set_huge_pages(use_them))
}

/// The body of an export that sets a hook.
macro_rules! set_hook {
    ($pf:expr, $name:ident, $hook:expr, $data:expr) => {
        inner!($pf, Refuse, |inner| {
            inner.manager.check_is_manager()?;
            inner.hooks.$name = Hook {
                call: $hook,
                data: $data,
            };
            Ok(pf_result::PF_OK)
        })
    };
}

/// Sets the `hook` that pf_start calls in the manager before each fork, with `data`; null for
/// none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_before_fork(
    pf: *mut pf_t,
    hook: pf_before_fork_fn,
    data: *mut c_void,
) -> pf_result {
    set_hook!(pf, before_fork, hook, data)
}

/// Sets the `hook` that pf_start calls in the manager after each fork, with `data`; null for
/// none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_after_fork(
    pf: *mut pf_t,
    hook: pf_after_fork_fn,
    data: *mut c_void,
) -> pf_result {
    set_hook!(pf, after_fork, hook, data)
}

/// Sets the `hook` that pf_start and pf_wait_all_children call for each child that was
/// reaped, with `data`; null for none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_on_child_reap(
    pf: *mut pf_t,
    hook: pf_on_child_reap_fn,
    data: *mut c_void,
) -> pf_result {
    set_hook!(pf, on_child_reap, hook, data)
}

/// Sets the `hook` that pf_start calls when forks fail, once a second at most, with `data`;
/// null for none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_on_fork_failure(
    pf: *mut pf_t,
    hook: pf_on_fork_failure_fn,
    data: *mut c_void,
) -> pf_result {
    set_hook!(pf, on_fork_failure, hook, data)
}

/// Sets the `hook` that pf_start and pf_wait_all_children call, with `data`, for each worker whose time is over and
/// that the manager may not kill; null for none. They are the events PF_EVENT_KILL_FAILED.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_on_kill_failure(
    pf: *mut pf_t,
    hook: pf_on_kill_failure_fn,
    data: *mut c_void,
) -> pf_result {
    set_hook!(pf, on_kill_failure, hook, data)
}
