//! The table of workers, as a host sees and changes it.

use super::error::{AfterPanic, Failure, pf_result, with};
use super::handle::pf_t;
use super::signals::check_signal_to_send;
use crate::machine::{Statuses, Worker};
use crate::os::{clock, kill, wait};

/// The number of workers: those alive, and the one whose end is being reported. In a worker,
/// as many as there were when it was forked. 0 for a null handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_num_workers(pf: *const pf_t) -> usize {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            Ok(inner.machine.workers().len())
        })
    }
}

/// The lowest worker pid above `pid`; 0 when there is none. Starting from 0 this visits all
/// of them, whatever comes and goes meanwhile.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_next_worker(pf: *const pf_t, pid: i32) -> i32 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            Ok(inner.machine.workers().next_pid(pid).unwrap_or(0))
        })
    }
}

/// Returns whether `pid` is a worker's; if so, `generation` (null is allowed) is set to the
/// generation that it was forked in.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `generation` is null or can
/// be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_generation(
    pf: *const pf_t,
    pid: i32,
    generation: *mut u64,
) -> bool {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            let Some(worker) = inner.machine.workers().get(pid) else {
                return Ok(false);
            };
            if let Some(generation) = generation.as_mut() {
                *generation = worker.generation;
            }
            Ok(true)
        })
    }
}

/// In the manager the current generation: 0 before the first run, one more with each. In a
/// worker the generation that it was forked in. 0 for a null handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_generation(pf: *const pf_t) -> u64 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            Ok(inner
                .machine
                .in_worker()
                .map_or(inner.machine.generation(), |(_, generation)| generation))
        })
    }
}

/// In a worker its index: the lowest number from 0 that no other worker had when it was
/// forked. -1 in the manager, and for a null handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_index(pf: *const pf_t) -> i32 {
    if pf.is_null() {
        return -1;
    }
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            Ok(inner
                .machine
                .in_worker()
                .and_then(|(index, _)| i32::try_from(index).ok())
                .unwrap_or(-1))
        })
    }
}

/// Sets the current generation to `generation`; workers that are forked from now on belong to
/// it.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_generation(pf: *mut pf_t, generation: u64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.set_generation(generation);
            Ok(pf_result::PF_OK)
        })
    }
}

/// The number of workers that were told to stop as one too many, are still there, and are
/// idle by the scoreboard.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_num_stopping(pf: *const pf_t) -> usize {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            let board = inner.board();
            Ok(inner
                .machine
                .workers()
                .iter()
                .filter(|worker| worker.stopping && !board.is_busy(worker))
                .count())
        })
    }
}

/// Sends `signal` to as many workers as it takes for `surplus` of them to be on their way
/// out: idle ones by the scoreboard, of the oldest generation first, each only once ever.
/// `told` (null is allowed) is set to the number of those that were sent it now.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `told` is null or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_stop_workers(
    pf: *mut pf_t,
    surplus: usize,
    signal: i32,
    told: *mut usize,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            check_signal_to_send(signal)?;
            inner.manager_only()?;
            let board = inner.board();
            let pids = inner.machine.stop_workers(surplus, &board);
            inner.watch_scoreboard();
            for &pid in &pids {
                // One that may not be signalled does not keep the others.
                let _ = kill::signal_child(pid, signal);
            }
            if let Some(told) = told.as_mut() {
                *told = pids.len();
            }
            Ok(pf_result::PF_OK)
        })
    }
}

/// Enters the process `pid`, which the host forked by itself, as a worker of `generation`. A
/// worker that is there already only changes its generation. If another manager of this process has it, too, each of them is
/// told of its end.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `pid` is not positive.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_adopt_worker(pf: *mut pf_t, pid: i32, generation: u64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            if pid <= 0 {
                return Err(Failure::invalid(format!("{pid} is no process id")));
            }
            inner.manager_only()?;
            // SAFETY: pf_set_scoreboard asks that the scoreboard lives until it is taken out.
            let board = inner.scoreboard.as_mut();
            let is_new = inner.machine.workers().get(pid).is_none();
            let had = board
                .filter(|_| is_new)
                .and_then(|board| board.0.take_forgotten(pid));
            inner.machine.adopt(pid, had, generation, clock::now());
            inner.note_worker(pid);
            inner.parent.adopt(pid);
            Ok(pf_result::PF_OK)
        })
    }
}

/// Tells that the host has reaped the worker `pid` by itself, with the raw `status` of
/// wait4(2); it is not signalled any more, and leaves the pool as after a REAPED event. Its slot in the
/// scoreboard is free at once, also that of a worker that was forgotten (pf_forget_worker). Otherwise
/// nothing happens if there is no such worker. Nor does anything if the status is none of an end (WIFSTOPPED,
/// WIFCONTINUED): such a worker is alive, and stays.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_reaped(pf: *mut pf_t, pid: i32, status: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            if !wait::is_of_living(status) {
                inner.machine.reaped_by_host(pid, status);
                inner.let_go_of(pid);
                // One whose REAPED event the host is dealing with keeps it until that is over, and one that is alive as long as
                // it is.
                let gone = inner.gone(pid);
                let worker = inner.machine.workers().get(pid);
                if inner.reported != Some(gone) && worker.is_none_or(|worker| worker.exited) {
                    inner.free_slots_of(gone);
                }
            }
            Ok(pf_result::PF_OK)
        })
    }
}

/// Takes the worker `pid` out of the pool, alive or not; it is not counted or signalled any
/// more, and when it exits it is reported as a foreign child, which frees its slot in the scoreboard. A host that
/// reaps foreign children by itself (pf_set_reap_foreign) calls pf_worker_reaped for it. Returns whether there was one.
///
/// Called by: manager, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_forget_worker(pf: *mut pf_t, pid: i32) -> bool {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            let worker = inner.machine.workers().get(pid).copied();
            let had = inner.machine.forgotten_by_host(pid);
            let is_alive = |worker: &Worker| !worker.exited;
            let is_out = inner.machine.workers().get(pid).is_none();
            // SAFETY: pf_set_scoreboard asks that the scoreboard lives until it is taken out.
            let board = inner.scoreboard.as_mut();
            if let (Some(board), Some(worker), true) = (board, worker.filter(is_alive), is_out) {
                board.0.forget_worker(&worker);
            }
            inner.let_go_of(pid);
            Ok(had)
        })
    }
}

/// Takes the worker `pid`, whose REAPED event the host has handled, out of the pool;
/// otherwise the next pf_next does. A worker that is alive stays. Returns whether there was
/// one.
///
/// Called by: manager, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_release_worker(pf: *mut pf_t, pid: i32) -> bool {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            Ok(inner.machine.release(pid).is_some())
        })
    }
}

/// Sets whether a worker whose REAPED event was given stays in the pool: if `keep` is true, it is counted, and not
/// signalled, until pf_release_worker or pf_forget_worker takes it out, for a host that first collects exits and looks each pid up
/// later; pf_drain does not wait for it. If it is false, as in a new handle, the next pf_next takes out all that are kept.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_keep_reaped(pf: *mut pf_t, keep: bool) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.keeps_reaped = keep;
            Ok(pf_result::PF_OK)
        })
    }
}
