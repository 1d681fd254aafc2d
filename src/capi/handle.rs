//! The handle: its life, its settings, and the facts that it holds.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::error::{AfterPanic, Failure, guard, pf_result, with};
use super::events::{Gone, pf_event};
use super::scoreboard::pf_scoreboard_t;
use crate::machine::{Action, Machine, Policy, Signal, Spare, Time};
use crate::os::arrivals::Arrivals;
use crate::os::children::{self, Parent};
use crate::os::held::{self, Held, Taken};
use crate::os::mask::{SavedMask, restore};
use crate::os::process::Process;
use crate::os::room::Room;
use crate::os::signals::{can_be_trapped, is_signal};
use crate::os::traps::{Traps, leave_to_ancestors};
use crate::os::wake::{WakePipe, Waker};
use crate::os::{clock, stdio};

/// A manager. Opaque: it is made by pf_new, freed by pf_free, and used through its functions.
#[repr(align(64))]
pub struct pf_t {
    pub(super) shared: Shared,
    pub(super) inner: UnsafeCell<Inner>,
    for_host: UnsafeCell<[u64; PF_HOST_ROOM / 8]>,
    /// Where it lies, if that is no memory of its own.
    room: Option<&'static Room>,
}

/// How many bytes pf_host_room has.
pub const PF_HOST_ROOM: usize = 768;

/// What signal handlers and other threads may touch while a call is under way.
pub(super) struct Shared {
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) waker: Arc<Waker>,
    /// Set before the pipe is written to, and looked at after that is emptied.
    pub(super) is_woken: AtomicBool,
    /// Set once, when the process has one thread.
    pub(super) is_worker: AtomicBool,
}

impl Shared {
    /// Ends a wait that is under way. Async-signal-safe.
    pub(super) fn end_wait(&self) {
        self.waker.wake();
        self.arrivals.end_sleep();
    }
}

/// Everything else.
pub(super) struct Inner {
    pub(super) machine: Machine,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) arrivals_seen: u64,
    pub(super) pipe: Option<WakePipe>,
    pub(super) pipe_may_be_full: bool,
    /// Code of the program has run since it was certain that the pipe is ours: it may have closed the descriptors.
    pub(super) pipe_is_unchecked: bool,
    /// When the pipe was made anew: workers of before have ends of one that nobody reads.
    pub(super) pipe_lost_at: Time,
    pub(super) may_have_missed_children: bool,
    /// Code of the program has run since children were looked for last: it may have taken SIGCHLD away for a while.
    pub(super) code_has_run: bool,
    /// The last look was not to its end, or has left out workers whose end no SIGCHLD tells of.
    pub(super) must_look_again: bool,
    /// The wait is pf_wait's, which lets SIGCHLD in.
    pub(super) waits_here: bool,
    /// What the host has said of SIGCHLD, if it has a handler of its own.
    pub(super) host_handles_sigchld: Option<bool>,
    /// The last event was WAIT.
    pub(super) told_wait: bool,
    /// Until the wait that was asked for is over, SIGCHLD tells nothing new.
    pub(super) rests_from_looking: bool,
    pub(super) traps: Traps,
    pub(super) mask: Option<SavedMask>,
    /// SIGCHLD, which pf_start holds back while no code of the program runs.
    pub(super) held: Option<Held>,
    /// The system has refused to wait for it.
    pub(super) cannot_take: bool,
    pub(super) owner: Process,
    pub(super) parent: Parent,
    pub(super) reaps_foreign: bool,
    pub(super) is_starting: bool,
    /// The worker whose end the host is dealing with.
    pub(super) reported: Option<Gone>,
    pub(super) scoreboard: *mut pf_scoreboard_t,
    pub(super) hooks: Hooks,
    pub(super) poisoned: bool,
    pub(super) message: CString,
}

/// A worker's code. What it returns is the exit status of the worker. `data` is what pf_start
/// was given; of the functions on `pf`, those that a worker may call are in place.
pub type pf_worker_fn = Option<unsafe extern "C" fn(pf: *mut pf_t, data: *mut c_void) -> i32>;
/// Called in the manager before each fork, with the `data` of pf_set_before_fork. Trapped
/// signals are blocked meanwhile.
pub type pf_before_fork_fn = Option<unsafe extern "C" fn(pf: *mut pf_t, data: *mut c_void)>;
/// Called in the manager after each fork that has succeeded, with the `pid` of the new
/// worker, which runs already, and the `data` of pf_set_after_fork.
pub type pf_after_fork_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, pid: i32, data: *mut c_void)>;
/// Called in the manager for each child that was reaped, with its REAPED event as `exit`,
/// which is valid during the call, and the `data` of pf_set_on_child_reap.
pub type pf_on_child_reap_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, exit: *const pf_event, data: *mut c_void)>;
/// Called in the manager when forks fail, once a second at most: `error` is errno(3) of the
/// last failure, `failures` is how many there were since the last call, and `data` is that of
/// pf_set_on_fork_failure.
pub type pf_on_fork_failure_fn =
    Option<unsafe extern "C" fn(pf: *mut pf_t, error: i32, failures: u32, data: *mut c_void)>;

#[derive(Clone, Copy, Default)]
pub(super) struct Hooks {
    pub(super) before_fork: Hook<pf_before_fork_fn>,
    pub(super) after_fork: Hook<pf_after_fork_fn>,
    pub(super) on_child_reap: Hook<pf_on_child_reap_fn>,
    pub(super) on_fork_failure: Hook<pf_on_fork_failure_fn>,
}

#[derive(Clone, Copy)]
pub(super) struct Hook<F> {
    pub(super) call: F,
    pub(super) data: *mut c_void,
}

impl<F> Default for Hook<Option<F>> {
    fn default() -> Self {
        Hook {
            call: None,
            data: std::ptr::null_mut(),
        }
    }
}

impl Inner {
    pub(super) fn set_message(&mut self, message: &str) {
        // A message is ours and has no NUL inside; if one ever had, better none than a panic.
        self.message = CString::new(message).unwrap_or_default();
    }

    /// Fails unless this process is the manager.
    pub(super) fn manager_only(&self) -> Result<(), Failure> {
        if self.machine.in_worker().is_some() || !self.owner.is_this() {
            return Err(Failure::in_worker());
        }
        Ok(())
    }

    /// Nothing is kept any more for a process that is no worker of ours now.
    pub(super) fn let_go_of(&self, pid: i32) {
        let worker = self.machine.workers().get(pid);
        if worker.is_none_or(|worker| worker.exited) {
            self.parent.forget(pid);
        }
    }

    /// Makes this process the manager: of its own pool or, after a fork of the host's own, of
    /// an empty one. What its parent has is left to the parent, the pipe and the scoreboard too.
    pub(super) fn become_manager(&mut self, shared: &Shared) -> Result<(), Failure> {
        if self.machine.in_worker().is_some() {
            return Err(Failure::in_worker());
        }
        if self.owner.is_this() {
            return Ok(());
        }
        // What may fail comes first: the next call is to find all as it was.
        let pipe = match self.traps.signals().next() {
            Some(_) => Some(WakePipe::new().map_err(|errno| Failure::errno("pipe2", errno))?),
            None => None,
        };
        self.owner = Process::this();
        leave_to_ancestors();
        self.parent = Parent::new();
        self.machine.disown();
        self.is_starting = false;
        self.reported = None;
        self.scoreboard = std::ptr::null_mut();
        let trapped: Vec<Signal> = self.traps.signals().collect();
        self.traps.remove();
        self.traps = Traps::default();
        // No answer will come here to a fork that was asked for.
        self.give_back_mask();
        self.pipe = None;
        if let Some(pipe) = pipe {
            self.use_pipe(shared, pipe);
        }
        for signal in trapped {
            self.trap(shared, signal)?;
        }
        Ok(())
    }

    /// Lets the library handle a signal; SIGCHLD tells of children.
    pub(super) fn trap(&mut self, shared: &Shared, signal: Signal) -> Result<(), Failure> {
        self.wake_pipe(shared)?;
        let trapped = if signal == libc::SIGCHLD {
            self.traps.watch_children(&shared.arrivals, &shared.waker)
        } else {
            self.traps.trap(signal, &shared.arrivals, &shared.waker)
        };
        trapped.map_err(|error| Failure::system("sigaction", error))
    }

    /// Holds SIGCHLD back if nobody but this manager wants to know of it, and lets it in again when that
    /// has changed: while it is held its handler need not run, and a wait takes it where it is pending.
    pub(super) fn hold_sigchld(&mut self) {
        let may_hold = !self.poisoned
            && !self.cannot_take
            && self.scoreboard.is_null()
            && self
                .pipe
                .as_ref()
                .is_none_or(|pipe| pipe.end_for_workers().is_none())
            && stdio::is_known_to_have_one_thread()
            && self.parent.is_alone();
        if !may_hold {
            self.release_sigchld();
        } else if self.held.is_none() && self.traps.alone_watch_children() {
            self.hold();
        }
    }

    #[inline(never)] // As release.
    fn hold(&mut self) {
        self.held = held::hold();
        self.arrivals
            .set_sleeper(self.held.as_ref().map(Held::thread));
    }

    /// Before code of the program runs: it has the mask that it had.
    pub(super) fn release_sigchld(&mut self) {
        if self.held.is_some() {
            self.release();
        }
    }

    #[inline(never)] // The masks take room on the stack, see ARCHITECTURE.md.
    fn release(&mut self) {
        if let Some(held) = self.take_held() {
            held.release();
        }
    }

    /// For whoever puts back the mask of before.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        let held = self.held.take()?;
        self.arrivals.set_sleeper(None);
        Some(held)
    }

    pub(super) fn note(&mut self, taken: Taken) {
        match taken {
            Taken::Child(Some(pid)) => self.machine.child_ended(pid, clock::now()),
            Taken::Child(None) => self.machine.children_changed(clock::now()),
            Taken::Nothing => {}
            Taken::Refused => {
                self.cannot_take = true;
                self.release_sigchld();
            }
        }
    }

    /// What was blocked from a FORK event to its answer is let in.
    pub(super) fn restore_mask(&mut self) {
        if let Some(mask) = self.mask.take() {
            restore(&mask);
        }
    }

    /// Nothing of ours is blocked in this thread any more.
    pub(super) fn give_back_mask(&mut self) {
        // The other way round SIGCHLD would stay blocked: it was when the fork was asked for.
        self.restore_mask();
        self.release_sigchld();
    }

    /// A worker has no use for the manager's pipe, and could harm it.
    pub(super) fn drop_pipe(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            pipe.leave_to_worker();
        }
    }

    /// Notes that code of the program has run. Whatever that has done, the pipe is looked at before the next wait, and
    /// children before long.
    pub(super) fn code_has_run(&mut self) {
        self.code_has_run = true;
        self.pipe_is_unchecked = true;
    }

    fn use_pipe(&mut self, shared: &Shared, mut pipe: WakePipe) {
        shared.waker.set(&mut pipe);
        self.parent.set_wake(&shared.waker, &shared.arrivals);
        self.pipe = Some(pipe);
    }

    /// The pipe that ends a wait, made when it is first needed.
    pub(super) fn wake_pipe(&mut self, shared: &Shared) -> Result<&mut WakePipe, Failure> {
        if self.pipe.is_none() {
            let pipe = WakePipe::new().map_err(|errno| Failure::errno("pipe2", errno))?;
            self.use_pipe(shared, pipe);
        } else {
            // Whoever calls for it is the program.
            self.pipe_is_unchecked = true;
            self.keep_pipe(shared)?;
        }
        self.pipe
            .as_mut()
            .ok_or_else(|| Failure::system("pipe2", "no pipe"))
    }

    /// Makes the pipe anew if the program has closed it: the numbers may be those of its own files by now. Returns whether
    /// that was so.
    pub(super) fn keep_pipe(&mut self, shared: &Shared) -> Result<bool, Failure> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.pipe_is_unchecked) else {
            return Ok(false);
        };
        let is_intact = pipe.is_intact();
        if !is_intact {
            self.make_pipe_anew(shared)?;
        }
        // Other threads may close it at any time.
        self.pipe_is_unchecked = !stdio::is_known_to_have_one_thread();
        Ok(!is_intact)
    }

    #[cold]
    fn make_pipe_anew(&mut self, shared: &Shared) -> Result<(), Failure> {
        let failure = |errno| Failure::errno("pipe2", errno);
        let mut pipe = WakePipe::new().map_err(failure)?;
        let is_that = |old: &WakePipe| old.read_fd() == pipe.read_fd();
        if self.pipe.as_ref().is_some_and(is_that) {
            // A host that has it in an epoll(7) set, from which it is gone, is to see that it is another one.
            pipe = WakePipe::new().map_err(failure)?;
        }
        // SAFETY: pf_set_scoreboard asks that the scoreboard lives until it is taken out.
        if let Some(board) = unsafe { self.scoreboard.as_mut() } {
            let end = pipe.open_for_workers().map_err(failure)?;
            board.0.set_wake_fd(Some(end));
        }
        shared.waker.set(&mut pipe);
        self.pipe = Some(pipe);
        self.pipe_lost_at = clock::now();
        Ok(())
    }

    /// Whether there are workers that cannot wake the manager, as they were forked before its pipe was made anew.
    pub(super) fn has_deaf_workers(&mut self) -> bool {
        let lost_at = self.pipe_lost_at;
        if lost_at == Time::default() {
            return false;
        }
        let mut workers = self.machine.workers().iter();
        let is_there = workers.any(|worker| worker.spawned_at <= lost_at && !worker.exited);
        if !is_there {
            self.pipe_lost_at = Time::default();
        }
        is_there && !self.scoreboard.is_null()
    }
}

/// A number of seconds, as time. `what` is the name to complain under.
pub(super) fn seconds(what: &str, value: f64) -> Result<Duration, Failure> {
    if value.is_nan() || value < 0.0 {
        return Err(Failure::invalid(format!(
            "{what} is a number of seconds, 0 or more, not {value}"
        )));
    }
    Ok(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
}

/// Makes a manager: 10 workers, no spawn interval, 1 second of rest after a failure, no
/// signal trapped, no handler installed. Returns null if it cannot. Free it with pf_free.
///
/// Called by: manager, worker, hook, other thread. A worker becomes the manager of workers of
/// its own by this.
#[unsafe(no_mangle)]
pub extern "C" fn pf_new() -> *mut pf_t {
    guard(|| {
        leave_to_ancestors();
        let arrivals = Arc::new(Arrivals::default());
        let room = children::room();
        let place = room.take();
        let handle = pf_t {
            shared: Shared {
                arrivals: Arc::clone(&arrivals),
                waker: Arc::default(),
                is_woken: AtomicBool::new(false),
                is_worker: AtomicBool::new(false),
            },
            inner: UnsafeCell::new(Inner {
                machine: Machine::default(),
                arrivals,
                arrivals_seen: 0,
                pipe: None,
                pipe_may_be_full: false,
                pipe_is_unchecked: true,
                pipe_lost_at: Time::default(),
                may_have_missed_children: false,
                code_has_run: true,
                must_look_again: false,
                waits_here: false,
                host_handles_sigchld: None,
                told_wait: false,
                rests_from_looking: false,
                traps: Traps::default(),
                mask: None,
                held: None,
                cannot_take: false,
                owner: Process::this(),
                parent: Parent::new(),
                reaps_foreign: true,
                is_starting: false,
                reported: None,
                scoreboard: std::ptr::null_mut(),
                hooks: Hooks::default(),
                poisoned: false,
                message: CString::default(),
            }),
            for_host: UnsafeCell::new([0; PF_HOST_ROOM / 8]),
            room: place.is_some().then_some(room),
        };
        match place {
            Some(place) => {
                // SAFETY: it is memory for this, and nobody else's.
                unsafe { place.write(handle) };
                place.as_ptr()
            }
            None => Box::into_raw(Box::new(handle)),
        }
    })
}

/// Frees a manager; null is allowed. No worker is signalled or waited for. Signals that were
/// trapped, and SIGCHLD, get back the handlers that the program had before, if no other
/// manager handles them and the program has not installed others since. In a worker, handlers
/// stay as they are. A FORK event that waits for its answer is withdrawn: the thread gets back
/// the signal mask that it had before the event. Nobody wakes this manager any more by the scoreboard that it has, which
/// may be freed after this, or given to another one.
///
/// Called by: manager, worker. Not from a hook of the same handle, whose caller goes on with
/// it.
///
/// # Safety
/// `pf` is null or a live handle that nobody uses now or later, signal handlers included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_free(pf: *mut pf_t) {
    if pf.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: it is a handle of pf_new, which has put it in a room or in a box, and this is the last use of it.
        let inner = unsafe {
            match (*pf).room {
                Some(room) => {
                    let handle = pf.read();
                    room.give_back();
                    handle.inner
                }
                None => Box::from_raw(pf).inner,
            }
        };
        let mut inner = inner.into_inner();
        if inner.manager_only().is_ok() {
            inner.let_go_of_scoreboard(pf);
        }
        // What writes to the pipe goes first: its number may be somebody else's in a moment.
        inner.traps.remove();
        // After that: a signal that was held back until now meets what the program has for it.
        inner.give_back_mask();
        let Inner { parent, pipe, .. } = inner;
        drop(parent);
        drop(pipe);
    });
}

/// Memory for `size` bytes of the host's own, PF_HOST_ROOM at most, or null. It is aligned for a
/// uint64_t, begins with zeros, is always the same of one handle, and goes with it.
///
/// It lies in the page to which the library writes around each fork, where the handle is the first one of
/// the process: a host that keeps there what it changes for each fork has no other page
/// copied for that, in the manager or in the worker.
///
/// Called by: manager, worker, hook, signal handler, other thread.
///
/// # Safety
/// `pf` is null or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_host_room(pf: *mut pf_t, size: usize) -> *mut c_void {
    // SAFETY: promised by our caller; what other threads use of it is beside this.
    match unsafe { pf.as_ref() } {
        Some(pf) if size <= PF_HOST_ROOM => pf.for_host.get().cast(),
        _ => std::ptr::null_mut(),
    }
}

/// A number of the process that calls it: the same as long as that lives, and another one than that of each process
/// from which it descends. A pid may be the same, in a PID namespace of its own. It is never 0. Where the
/// kernel tells nothing better (before Linux 4.14), it is the pid.
///
/// The first call in a process writes to a page of memory that the process has for this.
///
/// Called by: manager, worker, hook, other thread.
#[unsafe(no_mangle)]
pub extern "C" fn pf_process_number() -> u64 {
    guard(|| Process::this().life())
}

/// The version of the library that runs, as in "1.0.0"; never null, not to be freed.
///
/// Called by: manager, worker, hook, signal handler, other thread.
#[unsafe(no_mangle)]
pub extern "C" fn pf_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Sets the number of `workers` to keep (10); with spare workers, the most there may be. It
/// takes effect at once, in a running pf_start too. A lower number stops nobody: workers that
/// end are not replaced until there are fewer. With 0 none is forked.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_max_workers(pf: *mut pf_t, workers: u32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.machine.target = workers;
            inner.machine.wake();
            Ok(pf_result::PF_OK)
        })
    }
}

/// The number of workers to keep, as pf_set_max_workers has set it; 0 for a null handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_max_workers(pf: *const pf_t) -> u32 {
    // SAFETY: promised by our caller.
    unsafe { with(pf, AfterPanic::Serve, |inner| Ok(inner.machine.target)) }
}

/// Sets the seconds between two forks to `interval` (0). The same pause is made after a
/// worker was told to stop as one too many.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
/// not a number.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_spawn_interval(pf: *mut pf_t, interval: f64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.machine.pacing.spawn_interval = seconds("spawn_interval", interval)?;
            inner.machine.wake();
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets the seconds that forking rests after a failure to `interval` (1): after a worker of
/// the current generation has ended with a status that is not 0 or was killed, or a fork has
/// failed. After a failed fork the rest is 0.05 seconds at least.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
/// not a number.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_err_respawn_interval(pf: *mut pf_t, interval: f64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.machine.pacing.err_respawn_interval = seconds("err_respawn_interval", interval)?;
            inner.machine.wake();
            Ok(pf_result::PF_OK)
        })
    }
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
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_spare_workers(
    pf: *mut pf_t,
    min: u32,
    max: u32,
    stop_signal: i32,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            if max < min {
                return Err(Failure::invalid(format!(
                    "max_spare_workers ({max}) is less than min_spare_workers ({min})"
                )));
            }
            if !is_signal(stop_signal) {
                return Err(Failure::invalid(format!("{stop_signal} is no signal")));
            }
            inner.machine.policy = if min == 0 {
                Policy::Fixed
            } else {
                Policy::Spare(Spare { min, max })
            };
            inner.machine.stop_signal = stop_signal;
            inner.machine.wake();
            Ok(pf_result::PF_OK)
        })
    }
}

/// Traps `signal`: it ends pf_start, and each worker is sent `send` (0: nothing; negative:
/// the process group that the worker leads, nobody if it leads none), all at once or, with an
/// `interval` above 0, one worker every so many seconds during later calls. Works from the
/// moment of the call, by sigaction(2) with SA_RESTART; workers, those of other managers too,
/// get the signal's default action. A handler that the program has is called after the
/// library's, as its flags say; it may leave by siglongjmp(3), but not out of a call of the
/// library. A second call for the same signal replaces what is sent, and takes the place of a
/// handler that the program has installed since.
///
/// A signal that has a handler of the host's own is not for this: its handler calls pf_signal.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` cannot be trapped
/// (SIGKILL, SIGSTOP, SIGCHLD, SIGILL, SIGFPE, SIGSEGV, or none), `send` is no signal, or
/// `interval` is negative or not a number, PF_ERR_SYSTEM if pipe2(2) or sigaction(2) fails.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_trap_signal(
    pf: *mut pf_t,
    signal: i32,
    send: i32,
    interval: f64,
) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            if !can_be_trapped(signal) || signal == libc::SIGCHLD {
                return Err(Failure::invalid(format!(
                    "signal {signal} cannot be trapped"
                )));
            }
            if send != 0 && !is_signal(send.saturating_abs()) {
                return Err(Failure::invalid(format!("{send} is no signal to send")));
            }
            let interval = seconds("interval", interval)?;
            inner.trap(shared, signal)?;
            inner
                .machine
                .actions
                .insert(signal, Action { send, interval });
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets whether children that are not workers are reaped too: if `reap` is true, as in a new
/// handle, they are, and are reported with PF_REASON_FOREIGN; if it is false they are left to
/// the code that forked them. For programs where somebody else waits for children of their
/// own: popen(3), system(3), a library.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_reap_foreign(pf: *mut pf_t, reap: bool) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.reaps_foreign = reap;
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets whether memory is moved to huge pages before forks: if `use_them` is true (in a new
/// handle it is false), pf_next does that before it hands out the first FORK of each
/// generation (pf_begin), or the next one if that is out already. A fork of a large process is then
/// several times faster, as it copies a page table entry for each 2 MB and not for each 4 KB.
///
/// It is done by madvise(2) with MADV_COLLAPSE, in Linux 6.1 and later; elsewhere nothing is
/// done. Moved is what the process has of private anonymous writable memory, heap included,
/// where at least 7 of 8 small pages of a whole huge page are in use; not locked memory, not stacks,
/// not what madvise(2) has excluded from huge pages or from forks. What is in the memory stays
/// the same, and so do addresses. Whatever fails, the workers run.
///
/// It takes 0.4 ms for each MB that is not in huge pages yet, ten times that on a busy machine,
/// during which pf_next does not return, and other threads may have to wait for their page faults. A trapped signal, or a
/// pending one of HUP, INT, QUIT, TERM, USR1 and USR2, ends it; the next generation goes on. See
/// prefork-settings(3) for when it pays.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_huge_pages(pf: *mut pf_t, use_them: bool) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.machine.huge_pages = use_them;
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets the `hook` that pf_start calls in the manager before each fork, with `data`; null for
/// none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `hook` may be called with
/// `data` as long as the handle lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_before_fork(
    pf: *mut pf_t,
    hook: pf_before_fork_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.hooks.before_fork = Hook { call: hook, data };
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets the `hook` that pf_start calls in the manager after each fork, with `data`; null for
/// none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `hook` may be called with
/// `data` as long as the handle lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_after_fork(
    pf: *mut pf_t,
    hook: pf_after_fork_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.hooks.after_fork = Hook { call: hook, data };
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets the `hook` that pf_start and pf_wait_all_children call for each child that was
/// reaped, with `data`; null for none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `hook` may be called with
/// `data` as long as the handle lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_on_child_reap(
    pf: *mut pf_t,
    hook: pf_on_child_reap_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.hooks.on_child_reap = Hook { call: hook, data };
            Ok(pf_result::PF_OK)
        })
    }
}

/// Sets the `hook` that pf_start calls when forks fail, once a second at most, with `data`;
/// null for none.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `hook` may be called with
/// `data` as long as the handle lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_on_fork_failure(
    pf: *mut pf_t,
    hook: pf_on_fork_failure_fn,
    data: *mut c_void,
) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.hooks.on_fork_failure = Hook { call: hook, data };
            Ok(pf_result::PF_OK)
        })
    }
}
