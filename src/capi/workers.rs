//! Facts about workers
//!
//! These look into the table of workers and change nothing. A worker is in it from its fork until its end was told.
//! In a worker they tell what was so when it was forked.

use std::ffi::c_char;

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

/// Writes a line for people into `text`, which has room for `size` bytes: about the child whose end
/// was told last, by a REAPED event or to on_child_reap, if there is something out of the ordinary
/// about it. There is nothing if it was no worker, if it has exited with 0, or if a signal that
/// the manager has sent it has ended it. In the manner of snprintf(3): the line has no newline, a NUL at its
/// end, and is cut where there is no room for it; null is allowed for a `size` of 0. Returns how
/// many bytes the whole line has, without the NUL; 0 if there is nothing to say. Some lines:
///
/// - worker 3 (pid 4711, generation 2) was killed by SIGKILL after 12.3 s: graceful_timeout of 2 s, it was sent SIGTERM
/// - worker 2 (pid 4714, generation 2) was killed by SIGKILL after 12.3 s, 41 requests: worker_timeout of 10 s, busy for 10.0 s
/// - worker 0 (pid 4712, generation 2) was killed by SIGSEGV after 0.2 s (core dumped)
/// - worker 1 (pid 4713, generation 2) exited with status 2 after 1.0 s
///
/// The words may change with any release; a program looks at the event.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_exit_line(pf: *const pf_t, text: *mut c_char, size: usize) -> usize {
    fact!(pf, |manager| {
        let line = manager.exit_line().unwrap_or_default();
        if !text.is_null() && size > 0 {
            let fitting = line.len().min(size - 1);
            // SAFETY: promised by our caller: there is room for `size` bytes, and none of ours is among them.
            unsafe {
                std::ptr::copy_nonoverlapping(line.as_ptr().cast(), text, fitting);
                *text.add(fitting) = 0;
            }
        }
        line.len()
    })
}
