//! Facts about workers
//!
//! These look into the table of workers and change nothing. A worker is in it from its fork until its end was told.
//! In a worker they tell what was so when it was forked.

use super::handle::{fact, pf_t};

/// The number of workers: those alive, and the one whose end is being reported. In a worker,
/// as many as there were when it was forked. 0 for a null handle.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_num_workers(pf: *const pf_t) -> usize {
    fact!(pf, |manager| manager.num_workers())
}

/// The lowest worker pid above `pid`; 0 when there is none. Starting from 0 this visits all
/// of them, whatever comes and goes meanwhile.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_next_worker(pf: *const pf_t, pid: i32) -> i32 {
    fact!(pf, |manager| manager.next_worker(pid).unwrap_or(0))
}

/// Returns whether `pid` is a worker's; if so, `generation` (null is allowed) is set to the
/// generation that it was forked in.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_generation(
    pf: *const pf_t,
    pid: i32,
    generation: *mut u64,
) -> bool {
    fact!(pf, |manager| {
        let worker = manager.worker(pid);
        // SAFETY: promised by our caller.
        if let (Some(worker), Some(generation)) = (worker, unsafe { generation.as_mut() }) {
            *generation = worker.generation;
        }
        worker.is_some()
    })
}

/// In the manager the current generation: 0 before the first run, one more with each. In a
/// worker the generation that it was forked in. 0 for a null handle.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_generation(pf: *const pf_t) -> u64 {
    fact!(pf, |manager| manager.generation())
}

/// In a worker its index: the lowest number from 0 that no other worker had when it was
/// forked. -1 in the manager, and for a null handle.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_index(pf: *const pf_t) -> i32 {
    if pf.is_null() {
        return -1;
    }
    fact!(pf, |manager| {
        let index = manager.worker_index();
        index
            .and_then(|index| i32::try_from(index).ok())
            .unwrap_or(-1)
    })
}
