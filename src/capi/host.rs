//! What a host in another language needs: to decide by itself how many workers there are, to keep a table
//! of its own, to wait by itself. The Perl module uses it. These functions may change with any release; what prefork.h
//! has does not.

use std::ffi::c_void;

use super::error::{Error, guard, pf_result};
use super::event::pf_event;
use super::handle::{fact, manager, pf_t, seconds};
use super::scoreboard::{on_scoreboard, pf_scoreboard_t};
use super::work::in_worker;
use crate::machine::page::HOST_ROOM;
use crate::machine::{Action, Counts, Lead, Spare, busy_bounds, wanted};
use crate::os::process::Process;
use crate::os::shm::CHANGE_END;
use crate::os::timesheet::{IS_AWAITED, IS_BUSY, IS_READY, OwnLine};

/// How many bytes pf_host_room has.
pub const PF_HOST_ROOM: usize = 768;

const _: () = assert!(PF_HOST_ROOM == HOST_ROOM);

/// Memory for `size` bytes of the host's own, PF_HOST_ROOM at most, or null. It is aligned for a
/// uint64_t, begins with zeros, is always the same of one handle, and goes with it.
///
/// It lies in the page to which the library writes around each fork, where the handle is the first one of the
/// process. A host that keeps there what it changes for each fork has no other page copied for that, in the manager
/// or in the worker.
///
/// Called by: manager, worker, hook, signal handler, other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_host_room(pf: *mut pf_t, size: usize) -> *mut c_void {
    // SAFETY: promised by our caller; what other threads use of it is beside this.
    match unsafe { pf.as_ref() } {
        Some(pf) if size <= PF_HOST_ROOM => pf.for_host.get().cast(),
        _ => std::ptr::null_mut(),
    }
}

/// A number of this process, which is never 0 and stays the same as long as the process lives. No process that it
/// descends from has the same one, as may be with pids: each may be PID 1 in a PID namespace of its own. Where the
/// kernel tells nothing better (before Linux 4.14), it is the pid.
///
/// The first call in a process writes to a page of memory that the process has for this.
///
/// Called by: manager, worker, hook, other thread.
#[unsafe(no_mangle)]
pub extern "C" fn pf_process_number() -> u64 {
    guard(|| Process::this().life())
}

/// Who decides that a worker is forked, or stopped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_lead {
    /// The library: the next pf_next tells FORK when a worker is wanted.
    PF_LEAD_LIBRARY = 0,
    /// The library decides by the settings, and the host says when it is ready: it asks pf_wants_fork, and calls
    /// pf_demand then. WAIT ends when a worker is wanted. A trapped signal ends no run. The host frees the slots of the
    /// scoreboard, and makes the pauses by pf_set_spawn_delay, but for the one after a fork that has failed.
    PF_LEAD_SHARED = 1,
    /// The host: it demands each worker, and max_workers means nothing. Signals, slots and pauses as with
    /// PF_LEAD_SHARED.
    PF_LEAD_HOST = 2,
}

/// Sets who has the `lead`, a pf_lead; in a new handle it is PF_LEAD_LIBRARY. Only with that pf_start is allowed.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE in a hook of pf_start, PF_ERR_INVALID_ARGUMENT if there is
/// no such lead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_lead(pf: *mut pf_t, lead: u32) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let lead = match lead {
            l if l == pf_lead::PF_LEAD_LIBRARY as u32 => Lead::Machine,
            l if l == pf_lead::PF_LEAD_SHARED as u32 => Lead::Shared,
            l if l == pf_lead::PF_LEAD_HOST as u32 => Lead::Host,
            _ => return Err(Error::invalid(format!("there is no lead {lead}"))),
        };
        manager.set_lead(lead)
    })
}

/// Returns whether a worker is wanted now, and may be forked: always false with PF_LEAD_HOST, and where no run is under
/// way.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wants_fork(pf: *mut pf_t) -> bool {
    fact!(pf, |manager| manager.wants_fork())
}

/// Returns what a pool with these numbers wants: 1, one worker more; 0, nothing; less than 0, so many fewer. It has
/// so many `workers`, and `max_workers` are the most. If `min_spare` is not 0, between `min_spare` and `max_spare` of
/// them are to be idle; `idle` says how many are, and `stopping` how many of these were told to stop. It is the rule
/// by which the library decides, for hosts that come by these numbers in their own way.
///
/// `low` and `high` (null is allowed) are set for pf_scoreboard_watch: with fewer busy workers than `low`, or more than
/// `high`, the answer is another one. They do not depend on `idle`. Without spare workers there are no such numbers,
/// and they are INT32_MIN and INT32_MAX.
///
/// Called by: manager, worker, hook, signal handler, other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_decide(
    workers: u32,
    max_workers: u32,
    idle: u32,
    stopping: u32,
    min_spare: u32,
    max_spare: u32,
    low: *mut i32,
    high: *mut i32,
) -> i64 {
    let counts = Counts {
        workers: workers.into(),
        idle: idle.into(),
        stopping: stopping.into(),
    };
    let spare = (min_spare > 0).then_some(Spare {
        min: min_spare,
        max: max_spare,
    });
    let bounds = spare.map_or((i32::MIN, i32::MAX), |spare| {
        busy_bounds(counts, max_workers.into(), spare)
    });
    // SAFETY: promised by our caller.
    if let Some(low) = unsafe { low.as_mut() } {
        *low = bounds.0;
    }
    // SAFETY: promised by our caller.
    if let Some(high) = unsafe { high.as_mut() } {
        *high = bounds.1;
    }
    wanted(counts, max_workers.into(), spare)
}

/// A positive number of `workers` asks the next pf_next for one FORK; 0 or less asks for none. If a fork has just
/// failed, pf_next gives a WAIT instead, and the demand is over: demand again after it. With PF_LEAD_LIBRARY this first
/// sets the lead to PF_LEAD_HOST.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE in a hook of pf_start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_demand(pf: *mut pf_t, workers: i32) -> pf_result {
    manager!(pf, Refuse, |manager| manager.demand(workers))
}

/// The library asks for no fork for `delay` seconds from now on; 0 ends such a pause. This replaces what was set
/// before. A host with PF_LEAD_HOST reads the pause back by pf_spawn_delay: a fork that it demands does not wait for
/// it. A fork that has just failed is not tried again for 0.05 seconds all the same.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `delay` is negative or not a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_spawn_delay(pf: *mut pf_t, delay: f64) -> pf_result {
    manager!(pf, Refuse, |manager| manager
        .set_spawn_delay(seconds("delay", delay)?))
}

/// The seconds in which no worker is forked, from now on; 0 if one may be forked now, and for a null handle.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_spawn_delay(pf: *const pf_t) -> f64 {
    fact!(pf, |manager| manager.spawn_delay().as_secs_f64())
}

/// What pf_signal_received would return, without reading it: the next run still ends by it.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_peek_signal(pf: *mut pf_t) -> i32 {
    fact!(pf, |manager| manager.peek_signal())
}

/// Takes `signal` out of the queue: the host deals with it by itself, and it ends no run any more. If `show` is true,
/// the host acts on it now, and pf_signal_received returns it next; another one that arrives is not shown before it was
/// read. If `show` is false, the program keeps it to itself, and pf_signal_received does not return it.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_take_signal(pf: *mut pf_t, signal: i32, show: bool) -> pf_result {
    manager!(pf, Serve, |manager| manager.take_signal(signal, show))
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_signal_staggered(
    pf: *mut pf_t,
    signal: i32,
    interval: f64,
) -> pf_result {
    manager!(pf, Serve, |manager| {
        let interval = seconds("interval", interval)?;
        manager.signal_staggered(Action {
            send: signal,
            interval,
        })
    })
}

/// Tells that children may have ended without a notice, because SIGCHLD had its default
/// disposition for a while; with a true `each_worker`, that it was ignored, so that the
/// system may have reaped them by itself. The next pf_next looks, in the latter case for each
/// worker by its pid (waitid(2)).
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_look_for_children(pf: *mut pf_t, each_worker: bool) -> pf_result {
    manager!(pf, Serve, |manager| manager.look_for_children(each_worker))
}

/// Tells whether the host's own handler of SIGCHLD, or its wait, gets each SIGCHLD that comes to its thread:
/// `handled` is true then. From the first call on, children are looked for once a second where one may end without a
/// notice: if `handled` is false, or as long as the process has, or may have, other threads, any of which may take
/// the signal (sigwait(3), signalfd(2), a handler that runs there). WAIT has a time-out then. Without a call the
/// library trusts the host, and does not look by itself. It means nothing where the library handles SIGCHLD
/// (pf_watch_children), which then finds out by itself.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_sigchld_handled(pf: *mut pf_t, handled: bool) -> pf_result {
    manager!(pf, Serve, |manager| manager.set_sigchld_handled(handled))
}

/// Sets the current generation to `generation`; workers that are forked from now on belong to
/// it.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_generation(pf: *mut pf_t, generation: u64) -> pf_result {
    manager!(pf, Serve, |manager| manager.set_generation(generation))
}

/// Enters the process `pid`, which the host forked by itself, as a worker of `generation`. A worker that is there
/// already only changes its generation. If another manager of this process has it, too, each of them is told of its
/// end.
///
/// This and the four functions after it are for a host that decides by itself who is a worker. Adopt: the host has
/// forked it. Reaped: the host has reaped it. Disown: it is taken out, alive or not. Remove: it is taken out after its
/// REAPED event, for which a host keeps it (pf_set_keep_reaped).
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `pid` is not positive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_adopt_worker(pf: *mut pf_t, pid: i32, generation: u64) -> pf_result {
    manager!(pf, Refuse, |manager| manager.adopt_worker(pid, generation))
}

/// Tells that the host has reaped the worker `pid` by itself, with the raw `status` of wait4(2); it is not signalled
/// any more, and leaves the pool as after a REAPED event. With PF_LEAD_LIBRARY its slot in the scoreboard is free at
/// once, also that of a worker that was disowned (pf_disown_worker). Otherwise nothing happens if there is no such
/// worker. Nor does anything if the status is none of an end (WIFSTOPPED, WIFCONTINUED): such a worker is alive, and
/// stays.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_worker_reaped(pf: *mut pf_t, pid: i32, status: i32) -> pf_result {
    manager!(pf, Serve, |manager| manager.worker_reaped(pid, status))
}

/// Writes the REAPED event that was told last into `exit`, without rusage; or of an end that the host has told by
/// pf_worker_reaped after that. Returns whether there was one.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_last_exit(pf: *const pf_t, exit: *mut pf_event) -> bool {
    fact!(pf, |manager| {
        // SAFETY: promised by our caller.
        match (manager.last_exit(), unsafe { exit.as_mut() }) {
            (Some(last), Some(exit)) => {
                *exit = pf_event::new();
                exit.tell_exit(last);
                true
            }
            (None, _) | (_, None) => false,
        }
    })
}

/// Takes the worker `pid` out of the pool, alive or not; it is not counted or signalled any more, and when it exits it
/// is reported as a foreign child; with PF_LEAD_LIBRARY that frees its slot in the scoreboard. A host that reaps
/// foreign children by itself (pf_set_reap_foreign) calls pf_worker_reaped for it. Returns whether there was one.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_disown_worker(pf: *mut pf_t, pid: i32) -> bool {
    fact!(pf, |manager| manager.disown_worker(pid))
}

/// Takes the worker `pid`, whose REAPED event the host has handled, out of the pool;
/// otherwise the next pf_next does. A worker that is alive stays. Returns whether there was
/// one.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_remove_reaped(pf: *mut pf_t, pid: i32) -> bool {
    fact!(pf, |manager| manager.remove_reaped(pid))
}

/// Sets whether a worker whose REAPED event was given stays in the pool: if `keep` is true, it is counted, and not
/// signalled, until pf_remove_reaped or pf_disown_worker takes it out, for a host that first collects exits and looks
/// each pid up later; pf_drain does not wait for it. If it is false, as in a new handle, the next pf_next takes out all
/// that are kept.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_keep_reaped(pf: *mut pf_t, keep: bool) -> pf_result {
    manager!(pf, Serve, |manager| manager.set_keep_reaped(keep))
}

/// The number of workers that were told to stop as one too many, are still there, and are
/// idle by the scoreboard.
///
/// Called by: manager, worker, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_num_stopping(pf: *const pf_t) -> usize {
    fact!(pf, |manager| manager.num_stopping())
}

/// Sends `signal` to as many workers as it takes for `surplus` of them to be on their way
/// out: idle ones by the scoreboard, of the oldest generation first, each only once ever.
/// `told` (null is allowed) is set to the number of those that were sent it now.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_stop_workers(
    pf: *mut pf_t,
    surplus: usize,
    signal: i32,
    told: *mut usize,
) -> pf_result {
    manager!(pf, Refuse, |manager| {
        let stopped = manager.stop_workers(surplus, signal)?;
        // SAFETY: promised by our caller.
        if let Some(told) = unsafe { told.as_mut() } {
            *told = stopped;
        }
        Ok::<(), Error>(())
    })
}

/// Sets by which `signal`, beside TERM, INT and QUIT, this worker is told to stop (pf_wait_readable), in the place of
/// the `stop_signal` of pf_set_spare_workers. It is for a host that sends another one by pf_stop_workers.
///
/// Called by: worker. Before its first pf_wait_readable, pf_stopping or pf_stop_fd.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_stop_signal(pf: *mut pf_t, signal: i32) -> pf_result {
    manager!(pf, Serve, |manager| manager.set_stop_signal(signal))
}

/// Frees the slots of a process that is gone, by its `pid`: of a worker of a manager that has, or had, this
/// scoreboard, that is what fork(2) returned, and of any other process the pid that it had for itself
/// (pf_scoreboard_claim). Returns whether it had one. With PF_LEAD_LIBRARY a manager does it by itself: for each
/// child whose end was reported, a worker or not, with the first call after that, and for those that the host has
/// reaped, in pf_worker_reaped.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_clear(scoreboard: *mut pf_scoreboard_t, pid: i32) -> bool {
    on_scoreboard(scoreboard, |board| board.borrow_mut().clear(pid))
}

/// From now on a worker whose change of status makes the number of busy workers less than `low` or more than `high`
/// wakes the manager of pf_set_scoreboard, once; so does a worker that pf_stop_workers has told to stop, whenever it
/// turns busy or idle. A busy process that is no worker and has a slot counts as well, as pf_scoreboard_statuses shows
/// it. It is for hosts with PF_LEAD_HOST; pf_set_spare_workers does not need it. Call it and then read the statuses,
/// and do both again after each wake-up: a change before the call shows in them, and a change after it wakes the
/// manager. It returns false if a change may be missed (a worker was killed in the middle of one, has closed the
/// descriptor to wake the manager by, or was told to stop before it has claimed a slot): then call it again within a
/// second.
///
/// Called by: manager, hook.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_watch(
    scoreboard: *mut pf_scoreboard_t,
    low: i32,
    high: i32,
) -> bool {
    on_scoreboard(scoreboard, |board| {
        board.borrow_mut().arm(low, high) && !board.borrow().awaits_claims()
    })
}

/// The slot of this process in shared memory, and what a change of its status is compared with. All
/// of it is read and written by other processes at the same time: use atomic operations that
/// are sequentially consistent, and nothing else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pf_own_slot {
    /// The status of this process.
    pub status: *mut u8,
    /// The number of busy workers: those whose status is neither '_' nor '.'.
    pub busy: *mut i32,
    /// If `busy` becomes less than this, the manager has to be woken. Not to be written.
    pub low: *const i32,
    /// If `busy` becomes more than this, the manager has to be woken. Not to be written.
    pub high: *const i32,
    /// If it is not 0, any change between busy and idle has to wake the manager. Not to be
    /// written.
    pub mark: *const u8,
    /// Where the changes of this process between busy and idle are counted.
    pub changes: *mut u32,
}

/// What is added to `changes` of pf_own_slot at the end of a change.
pub const PF_CHANGE_END: u32 = 63;

const _: () = assert!(PF_CHANGE_END == CHANGE_END);

/// Sets `slot` to the slot of this process, for a host that sets a status so often that a call of
/// pf_scoreboard_set_status is too slow, because it has to block signals around it. A status that takes the place of
/// another busy one, or of another one that is not busy, by compare-and-exchange, changes nothing else. One that turns
/// the process busy or idle takes these steps:
///
/// 1. keep `changes` as `before`, then add 1 to it;
/// 2. for busy, add 1 to `busy`;
/// 3. exchange the status;
/// 4. if the old one was busy, take 1 from `busy`;
/// 5. add PF_CHANGE_END to `changes`;
/// 6. if `busy` is less than `low` or more than `high`, or `mark` is not 0, call pf_scoreboard_end_change with `before` and
///    true.
///
/// The lowest six bits of `changes` are then how many changes are under way, one within the other if a signal handler
/// makes one. So the manager knows which process has died, or has left, in the middle of one, and puts `busy` right. If
/// a signal handler leaves one by longjmp(3), call pf_scoreboard_end_change. The pointers are good until
/// pf_scoreboard_free.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot, or the scoreboard is in a file,
/// which only pf_scoreboard_set_status keeps up to date.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_own_slot(
    scoreboard: *mut pf_scoreboard_t,
    slot: *mut pf_own_slot,
) -> pf_result {
    on_scoreboard(scoreboard, |board| {
        // SAFETY: promised by our caller.
        let Some(slot) = (unsafe { slot.as_mut() }) else {
            return pf_result::PF_ERR_NULL;
        };
        let Some(own) = board.borrow().own_slot() else {
            return pf_result::PF_ERR_WRONG_STATE;
        };
        *slot = pf_own_slot {
            status: own.status.as_ptr(),
            busy: own.busy.as_ptr(),
            low: own.low.as_ptr(),
            high: own.high.as_ptr(),
            mark: own.mark.as_ptr(),
            changes: own.changes.as_ptr(),
        };
        pf_result::PF_OK
    })
}

/// Ends a change that began when `changes` of pf_own_slot was `before`, and wakes the manager if that is called for.
/// With a false `is_whole` any of the first four steps may be missing, and the manager is woken in any case. What was
/// added at its end is not added again.
///
/// Called by: worker.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_scoreboard_end_change(
    scoreboard: *mut pf_scoreboard_t,
    before: u32,
    is_whole: bool,
) -> pf_result {
    on_scoreboard(scoreboard, |board| {
        if board.borrow().end_change(before, is_whole) {
            pf_result::PF_OK
        } else {
            pf_result::PF_ERR_WRONG_STATE
        }
    })
}

/// The line of a worker on the timesheet, in shared memory, for a host that says what it has to say without a call of
/// the library. Others read and write it at the same time: use atomic operations that are sequentially consistent, and
/// nothing else. Times are nanoseconds of CLOCK_MONOTONIC. (CLOCK_MONOTONIC_COARSE is behind that, in a virtual machine by
/// more than one would think: the worker would be due too early.)
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pf_own_line {
    /// When the worker is due; 0: at no time.
    pub due: *mut u64,
    /// How many pieces of work it has begun.
    pub requests: *mut u64,
    /// When it began the last one or, if it is idle, when it became that.
    pub changed_at: *mut u64,
    /// PF_LINE_READY, PF_LINE_BUSY, PF_LINE_AWAITED.
    pub flags: *mut u32,
    /// How long a piece of work takes that the worker says no other time for; 0: for ever. Not to be written.
    pub span: *const u64,
    /// When the manager looks. Not to be written.
    pub looks_at: *const u64,
    /// What has to be `its_life` as long as this process is the worker, and is something else in what it forks. Null if
    /// nobody can tell. Not to be written.
    pub life: *const u64,
    /// What `life` points at in the worker.
    pub its_life: u64,
}

/// In `flags` of pf_own_line: the worker is ready for work.
pub const PF_LINE_READY: u32 = 1;
/// In `flags` of pf_own_line: it is at work.
pub const PF_LINE_BUSY: u32 = 2;
/// In `flags` of pf_own_line: the manager wants to be woken when the worker is ready.
pub const PF_LINE_AWAITED: u32 = 4;

const _: () = assert!(PF_LINE_READY == IS_READY && PF_LINE_BUSY == IS_BUSY);
const _: () = assert!(PF_LINE_AWAITED == IS_AWAITED);

/// Sets `line` to the line of this worker, and returns whether it has one: not without pf_set_worker_timeout,
/// pf_set_ready_timeout or pf_watch_ready. What pf_busy does is:
///
/// 1. if `flags` has PF_LINE_AWAITED, call pf_ready;
/// 2. set `flags` to PF_LINE_READY | PF_LINE_BUSY, add 1 to `requests`, set `changed_at` to now;
/// 3. set `due`: to 0, or to now and as long as it may take;
/// 4. if `due` is not 0, and less than `looks_at`, call pf_ring.
///
/// pf_tick does 3 and 4. pf_idle does 1, sets `flags` to PF_LINE_READY, `changed_at` to now, and then `due` to 0. All of
/// it may be left after any step.
///
/// Called by: worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_work_line(pf: *const pf_t, line: *mut pf_own_line) -> bool {
    let mut has_line = false;
    // SAFETY: promised by our caller.
    let result = unsafe {
        in_worker(pf, |own| {
            let places = own.places();
            // SAFETY: promised by our caller.
            if let Some(line) = line.as_mut() {
                *line = pf_own_line {
                    due: places.due.as_ptr(),
                    requests: places.requests.as_ptr(),
                    changed_at: places.changed_at.as_ptr(),
                    flags: places.flags.as_ptr(),
                    span: places.span.as_ptr(),
                    looks_at: places.looks_at.as_ptr(),
                    life: places
                        .life
                        .map_or(std::ptr::null(), |life| std::ptr::from_ref(life).cast()),
                    its_life: places.its_life,
                };
                has_line = true;
            }
        })
    };
    result == pf_result::PF_OK && has_line
}

/// Wakes the manager, so that it looks at the timesheet.
///
/// Called by: worker, signal handler.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_ring(pf: *const pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe { in_worker(pf, OwnLine::ring) }
}
