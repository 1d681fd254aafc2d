//! The pull API: the host asks for the next event, does what it says, and answers.

use std::sync::atomic::Ordering;

use super::error::{AfterPanic, Failure, pf_result, with};
use super::handle::{Inner, Shared, pf_t, seconds};
use super::scoreboard::pf_scoreboard_t;
use crate::machine::{
    Exit, Goal, Lead, Misuse, Pid, Policy, Reason, Serial, Signal, Statuses, Step, Time, Worker,
};
use crate::os::children::Which;
use crate::os::wait::Reaped;
use crate::os::{clock, huge_pages, kill, mask, signals, stdio, traps, wait};

/// What a host is asked to do. New types may be added; treat one that you do not know as
/// nothing to do, and call pf_next again.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_event_type {
    /// Fork a worker; answer with pf_forked in both processes, or with pf_fork_failed. Signals
    /// that pf_trap_signal trapped are blocked until the answer.
    PF_EVENT_FORK = 1,
    /// A child was reaped. No answer.
    PF_EVENT_REAPED = 2,
    /// Nothing to do until a signal, the exit of a child, the descriptor or the time-out.
    PF_EVENT_WAIT = 3,
    /// A trapped signal has ended the run.
    PF_EVENT_STOPPED = 4,
    /// pf_drain: no worker is left.
    PF_EVENT_DRAINED = 5,
    /// pf_drain: the time-out has passed, and workers are left.
    PF_EVENT_TIMED_OUT = 6,
}

/// Why a child is reported, by what the pool makes of it; how it ended is the status.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_reason {
    /// A worker has ended; its status is zero, or it is of an earlier generation, whatever its
    /// status is.
    PF_REASON_ENDED = 0,
    /// A worker of the current generation has ended with a status that is not zero, be it by a
    /// signal that the manager sent.
    PF_REASON_FAILED = 1,
    /// A worker that was told to stop as one too many has ended, whatever its status is.
    PF_REASON_STOPPED = 2,
    /// The worker's status went to somebody else, and is given as -1.
    PF_REASON_STOLEN = 3,
    /// A child that is not a worker has ended.
    PF_REASON_FOREIGN = 4,
}

/// An event, and what it is about. Members that an event does not name are zero, and fd is -1.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pf_event {
    /// A pf_event_type.
    pub r#type: u32,
    /// REAPED: a pf_reason.
    pub reason: u32,
    /// REAPED: the child.
    pub pid: i32,
    /// REAPED: its raw status, as WIFEXITED and its kin take it; -1 if that is lost.
    pub status: i32,
    /// FORK, REAPED: the worker's generation.
    pub generation: u64,
    /// FORK, REAPED: the worker's index.
    pub index: u32,
    /// STOPPED: the signal.
    pub signal: i32,
    /// WAIT: seconds to wait at most; negative: no limit.
    pub timeout: f64,
    /// WAIT: a descriptor to watch for reading, or -1; another one than before if the program has closed that.
    pub fd: i32,
    /// DRAINED, TIMED_OUT: workers that are left.
    pub workers: u32,
    /// REAPED: what the child has used, with the descendants that it has waited for.
    pub rusage: libc::rusage,
    /// WAIT: 1 if SIGCHLD tells nothing new: children will be looked for when `timeout` is over, and not
    /// before. A host may block or discard it for this wait, as many may come.
    pub rests: u32,
    /// Room for what later versions tell.
    pub reserved: [u32; 15],
}

impl pf_event {
    pub(super) fn new(event: pf_event_type) -> pf_event {
        pf_event {
            r#type: event as u32,
            reason: 0,
            pid: 0,
            status: 0,
            generation: 0,
            index: 0,
            signal: 0,
            timeout: 0.0,
            fd: -1,
            workers: 0,
            rusage: wait::no_rusage(),
            rests: 0,
            reserved: [0; 15],
        }
    }

    /// Becomes an event of this type, in place: in the frame of pf_next a copy of each would make a page of
    /// stack more, which each fork copies.
    fn become_a(&mut self, event: pf_event_type) -> &mut pf_event {
        self.r#type = event as u32;
        self.reason = 0;
        self.pid = 0;
        self.status = 0;
        self.generation = 0;
        self.index = 0;
        self.signal = 0;
        self.timeout = 0.0;
        self.fd = -1;
        self.workers = 0;
        self.rusage = wait::no_rusage();
        self.rests = 0;
        self.reserved = [0; 15];
        self
    }

    fn become_reaped(&mut self, exit: &Exit) -> &mut pf_event {
        let reason = match exit.reason {
            Reason::Ended => pf_reason::PF_REASON_ENDED,
            Reason::Failed => pf_reason::PF_REASON_FAILED,
            Reason::Stopped => pf_reason::PF_REASON_STOPPED,
            Reason::Stolen => pf_reason::PF_REASON_STOLEN,
            Reason::Foreign => pf_reason::PF_REASON_FOREIGN,
        };
        let event = self.become_a(pf_event_type::PF_EVENT_REAPED);
        event.reason = reason as u32;
        event.pid = exit.pid;
        event.status = exit.status;
        event.generation = exit.generation;
        event.index = exit.index;
        event
    }
}

/// A pool whose statuses are in a scoreboard, if there is one.
pub(super) struct Board<'a>(Option<&'a pf_scoreboard_t>);

impl Statuses for Board<'_> {
    fn is_busy(&self, worker: &Worker) -> bool {
        self.0.is_some_and(|board| board.0.is_busy(worker))
    }
}

/// A process that is gone, as the scoreboard knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// A worker that was forked with a ticket.
    Ticket(u64),
    /// Any other process.
    Pid(Pid),
}

impl Gone {
    fn new(pid: Pid, serial: Serial) -> Gone {
        serial.ticket().map_or(Gone::Pid(pid), Gone::Ticket)
    }
}

impl Inner {
    pub(super) fn board(&self) -> Board<'static> {
        // SAFETY: pf_set_scoreboard asks that the scoreboard lives until it is taken out.
        Board(unsafe { self.scoreboard.as_ref() })
    }

    /// Takes in what has arrived since the last call.
    pub(super) fn take_arrivals(&mut self) {
        for signal in self.arrivals.take(&mut self.arrivals_seen) {
            self.machine.signal(signal);
        }
    }

    /// Runs the machine until it has something for the host.
    pub(super) fn next_event(
        &mut self,
        shared: &Shared,
        event: &mut pf_event,
    ) -> Result<(), Failure> {
        self.manager_only()?;
        self.rests_from_looking = false;
        self.free_reported_slots();
        if self.poisoned {
            self.next_after_panic(shared, event);
            return Ok(());
        }
        // Before all that it may tell of is looked at: who leaves something for us writes to it afterwards, so
        // either we find what was left, or the byte is still there when we sleep.
        if std::mem::take(&mut self.pipe_may_be_full) {
            self.drain_pipe();
        }
        if shared.is_woken.swap(false, Ordering::SeqCst) {
            self.machine.wake();
        }
        self.take_arrivals();
        if self.traps.child_arrived() == Some(true)
            || std::mem::take(&mut self.may_have_missed_children)
            || self.parent.has_reaped_child()
        {
            self.machine.children_changed(clock::now());
        }
        let mut armed: Option<((i32, i32), bool)> = None;
        let mut times_armed = 0;
        let mut unsent = None;
        let mut gets_sigchld = None;
        let waits_on = std::mem::take(&mut self.told_wait);
        loop {
            let now = clock::now();
            let board = self.board();
            let step = match unsent.take() {
                Some(step) => step,
                None => self.machine.next(now, &board)?,
            };
            match step {
                Step::Kill { pid, signal } => unsent = Some(self.send(pid, signal)?),
                Step::ReapWorker(pid) => {
                    if self.look_for(Some(pid), now, event) {
                        break;
                    }
                }
                Step::Reap => {
                    if self.look_for(None, now, event) {
                        break;
                    }
                }
                Step::Audit => self.audit(now),
                Step::UseHugePages => self.use_huge_pages(),
                Step::Fork { index, generation } => {
                    self.parent.will_fork();
                    self.block_trapped();
                    event.become_a(pf_event_type::PF_EVENT_FORK);
                    event.index = index;
                    event.generation = generation;
                    break;
                }
                Step::Reaped(exit) => {
                    self.tell_reaped(&exit, event);
                    break;
                }
                Step::Wait { until, busy } => {
                    // A change of status after the bounds were set wakes, one before is seen now. It may give other bounds,
                    // once: those whose changes do that are watched from then on.
                    if let Some((low, high)) = busy {
                        let strangers = board.0.map_or(0, |board| board.0.busy_strangers());
                        let bounds = (
                            low.saturating_add(strangers),
                            high.saturating_add(strangers),
                        );
                        let is_armed = armed.is_some_and(|(with, _)| with == bounds);
                        if !is_armed && times_armed < 2 {
                            armed = Some((bounds, self.arm_scoreboard(bounds)));
                            times_armed += 1;
                            continue;
                        }
                    }
                    if armed.is_none() && board.0.is_some_and(|board| board.0.awaits_claims()) {
                        self.watch_scoreboard();
                    }
                    let gets_sigchld =
                        *gets_sigchld.get_or_insert_with(|| self.gets_sigchld(waits_on));
                    if self
                        .machine
                        .set_looks_in_time(!gets_sigchld || self.is_unsure_of_children())
                    {
                        continue;
                    }
                    let is_uncertain = armed.is_some_and(|(_, is_certain)| !is_certain);
                    let recheck = is_uncertain || self.has_deaf_workers();
                    self.tell_wait(shared, now, until, recheck, event);
                    self.told_wait = true;
                    break;
                }
                Step::Stopped(signal) => {
                    event.become_a(pf_event_type::PF_EVENT_STOPPED).signal = signal;
                    break;
                }
                Step::Drained => {
                    event.become_a(pf_event_type::PF_EVENT_DRAINED);
                    break;
                }
                Step::TimedOut => {
                    event.become_a(pf_event_type::PF_EVENT_TIMED_OUT).workers = self.num_workers();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends this signal, and all that are to be sent now. Returns what comes after them.
    #[inline(never)] // As look_for.
    fn send(&mut self, mut pid: Pid, mut signal: Signal) -> Result<Step, Misuse> {
        // The first ones end while the last ones wait for their turn.
        let _held = mask::hold_sigchld();
        loop {
            // A worker that may not be signalled cannot be helped, and the others can.
            let _ = kill::signal_child(pid, signal);
            let step = self.machine.next(clock::now(), &self.board())?;
            let Step::Kill {
                pid: next,
                signal: its,
            } = step
            else {
                return Ok(step);
            };
            (pid, signal) = (next, its);
        }
    }

    /// From the FORK event to its answer.
    #[inline(never)] // As look_for.
    fn block_trapped(&mut self) {
        self.mask = mask::block(traps::trapped_here());
    }

    /// What is left of `next_event` when the machine has panicked, and may again: workers are
    /// reaped and waited for, and none is forked.
    #[cold]
    fn next_after_panic(&mut self, shared: &Shared, event: &mut pf_event) {
        self.drain_pipe();
        let now = clock::now();
        let reaped = self.reap();
        if matches!(reaped, Reaped::NoChildren) {
            self.machine.disown();
        }
        match (reaped, self.machine.goal()) {
            (Reaped::Child(child), _) => {
                let worker = self.machine.forget(child.pid).unwrap_or_default();
                let exit = Exit {
                    pid: child.pid,
                    status: child.status,
                    generation: worker.generation,
                    index: worker.index,
                    serial: worker.serial,
                    reason: match worker.pid {
                        0 => Reason::Foreign,
                        _ => Reason::Ended,
                    },
                };
                self.tell_reaped(&exit, event);
                event.rusage = child.rusage;
            }
            (_, Goal::Drain(_)) if self.machine.workers().is_empty() => {
                event.become_a(pf_event_type::PF_EVENT_DRAINED);
            }
            (_, Goal::Drain(Some(deadline))) if deadline <= now => {
                event.become_a(pf_event_type::PF_EVENT_TIMED_OUT).workers = self.num_workers();
            }
            (_, goal) => {
                event.become_a(pf_event_type::PF_EVENT_WAIT).timeout = match goal {
                    Goal::Drain(Some(deadline)) => deadline.since(now).as_secs_f64(),
                    Goal::Drain(None) | Goal::Rest | Goal::Run => -1.0,
                };
                self.tell_pipe(shared, event);
            }
        }
    }

    fn num_workers(&self) -> u32 {
        u32::try_from(self.machine.workers().len()).unwrap_or(u32::MAX)
    }

    /// Looks whether this child has exited, or any (none). If so, that is the event.
    #[inline(never)] // What a child has used takes room on the stack, see ARCHITECTURE.md.
    fn look_for(&mut self, child: Option<Pid>, now: Time, event: &mut pf_event) -> bool {
        let reaped = match child {
            Some(pid) => self.parent.reap(Which::One(pid)),
            None => self.reap(),
        };
        match (reaped, child) {
            (Reaped::Child(child), _) => {
                let exit = self.machine.exited(child.pid, child.status, now);
                self.tell_reaped(&exit, event);
                event.rusage = child.rusage;
                return true;
            }
            (Reaped::NoneExited, None) => {
                (self.code_has_run, self.must_look_again) = (false, false);
                self.machine.none_exited(clock::now());
            }
            (Reaped::OnlyStops, None) => {
                self.must_look_again = true;
                self.machine.none_exited(clock::now());
            }
            (Reaped::NoChildren, None) => {
                (self.code_has_run, self.must_look_again) = (false, false);
                self.machine.no_children(clock::now());
            }
            (Reaped::NoneExited | Reaped::OnlyStops | Reaped::NoChildren, Some(_)) => {}
        }
        false
    }

    /// The next call frees the slots of the child: its host may want to see what it was doing.
    fn tell_reaped(&mut self, exit: &Exit, event: &mut pf_event) {
        self.reported = Some(Gone::new(exit.pid, exit.serial));
        event.become_reaped(exit);
    }

    /// The host is through with what was reported last.
    pub(super) fn free_reported_slots(&mut self) {
        if let Some(gone) = self.reported.take() {
            self.free_slots_of(gone);
        }
    }

    /// The process that the host speaks of by this pid, as the scoreboard knows it.
    pub(super) fn gone(&self, pid: Pid) -> Gone {
        let worker = self.machine.workers().get(pid);
        let serial = worker.map_or_else(Default::default, |worker| worker.serial);
        Gone::new(pid, serial)
    }

    /// Frees the slots of a process that is gone: a worker, or one that was a worker until the host
    /// forgot it. A new worker that has the number keeps its own. A host that decides by itself does this too, and when
    /// it likes.
    pub(super) fn free_slots_of(&mut self, gone: Gone) {
        // SAFETY: as in `board`; the shared borrow of that is not in use here.
        let Some(board) = (unsafe { self.scoreboard.as_mut() }) else {
            return;
        };
        if self.machine.lead != Lead::Machine {
            return;
        }
        match gone {
            Gone::Ticket(ticket) => {
                board.0.clear_worker(ticket);
            }
            Gone::Pid(pid) => {
                let namesake = self.machine.workers().get(pid);
                match namesake.filter(|worker| !worker.exited) {
                    // It may have been a worker of a manager that had the scoreboard before.
                    None => board.0.clear(pid),
                    Some(worker) => worker.serial.ticket().is_some() && board.0.clear_other(pid),
                };
            }
        }
    }

    /// In a worker: the scoreboard is to know it by its ticket.
    fn tell_ticket(&mut self, serial: Serial) {
        // SAFETY: as in `arm_scoreboard`; a worker has a copy of what its manager has.
        if let Some(board) = unsafe { self.scoreboard.as_mut() } {
            board.0.is_worker(serial, nix::unistd::getpid().as_raw());
        }
    }

    /// Notes for the scoreboard by which pid its host speaks of a worker.
    pub(super) fn note_worker(&mut self, pid: Pid) {
        // SAFETY: as in `arm_scoreboard`.
        let board = unsafe { self.scoreboard.as_mut() };
        if let (Some(board), Some(worker)) = (board, self.machine.workers().get(pid)) {
            board.0.note_worker(worker);
        }
    }

    fn reap(&self) -> Reaped {
        if self.reaps_foreign {
            let reaped = self.parent.reap(Which::Any);
            // Workers that a look for any child leaves out may be all that there are.
            if !matches!(reaped, Reaped::NoChildren) || self.machine.workers().is_empty() {
                return reaped;
            }
        }
        let workers: Vec<Pid> = self.workers_not_reaped().collect();
        self.parent.reap(Which::Of(&workers))
    }

    #[cold]
    #[inline(never)] // It is long, and would make the frame of pf_next half as large again.
    fn use_huge_pages(&mut self) {
        huge_pages::collapse(|| {
            self.arrivals.has_more(self.arrivals_seen) || mask::manager_is_signalled()
        });
        // What ended it, or came meanwhile, is looked at before the fork.
        self.take_arrivals();
    }

    #[cold]
    fn audit(&mut self, now: Time) {
        let audited = self.parent.audit(self.workers_not_reaped());
        self.machine.audited(&audited.missing, Some(now));
        for pid in audited.ended {
            self.machine.child_ended(pid, now);
        }
        self.must_look_again |= audited.are_silent;
    }

    fn workers_not_reaped(&self) -> impl Iterator<Item = Pid> {
        let workers = self.machine.workers().iter();
        workers
            .filter(|worker| !worker.exited)
            .map(|worker| worker.pid)
    }

    /// Workers that were told to stop are no spare ones, busy or idle: the bounds of the number of
    /// busy workers do not tell what a change of theirs means. Nor do they tell what a change of a process means that is no
    /// worker.
    pub(super) fn watch_scoreboard(&mut self) {
        let is_bounded = matches!(self.machine.policy, Policy::Spare(_));
        // SAFETY: as in `board`; the shared borrow of that is not in use here.
        if let Some(board) = unsafe { self.scoreboard.as_mut() } {
            board.0.watch(self.machine.workers(), is_bounded);
        }
    }

    /// False if it has to be done again before long.
    fn arm_scoreboard(&mut self, (low, high): (i32, i32)) -> bool {
        // SAFETY: as in `board`; the shared borrow of that is not in use here.
        let board = unsafe { self.scoreboard.as_mut() };
        let is_certain = board.is_none_or(|board| board.0.arm(low, high));
        self.watch_scoreboard();
        is_certain
    }

    /// Whether it is certain that SIGCHLD comes to this manager while it waits. Any other thread may take it, by
    /// sigwait(3) or signalfd(2), and so may the one that waits, if it blocks SIGCHLD.
    #[inline(never)] // As look_for.
    fn gets_sigchld(&mut self, waits_on: bool) -> bool {
        if self.traps.is_watching_children() {
            self.may_have_missed_children = self.traps.children_unwatched();
            !self.may_have_missed_children
                && (self.waits_here || !mask::is_blocked(libc::SIGCHLD))
                && has_one_thread(waits_on)
        } else {
            match self.host_handles_sigchld {
                // Its own affair, until it says something.
                None => true,
                Some(handles) => handles && has_one_thread(waits_on),
            }
        }
    }

    /// Whether something may have hidden a SIGCHLD since children were looked for last: a handler that was
    /// replaced and put back, a call that took it.
    fn is_unsure_of_children(&self) -> bool {
        self.must_look_again || (self.code_has_run && self.traps.is_watching_children())
    }

    /// Empties the pipe, if it is still there.
    fn drain_pipe(&self) {
        if let Some(pipe) = &self.pipe {
            if !self.pipe_is_unchecked || pipe.is_readable() {
                pipe.drain();
            }
        }
    }

    /// Tells which descriptor ends a WAIT. Of a pipe that is new nobody knew, so that a signal may have come meanwhile; where
    /// none can be made it is to be tried again.
    fn tell_pipe(&mut self, shared: &Shared, event: &mut pf_event) {
        let most = match self.keep_pipe(shared) {
            Ok(false) => None,
            Ok(true) => Some(0.0),
            Err(_) => Some(TRY_PIPE_AGAIN),
        };
        if let Some(most) = most {
            if !(0.0..=most).contains(&event.timeout) {
                event.timeout = most;
            }
        }
        if most != Some(TRY_PIPE_AGAIN) {
            event.fd = self.pipe.as_ref().map_or(-1, |pipe| pipe.read_fd());
        }
    }

    fn tell_wait(
        &mut self,
        shared: &Shared,
        now: Time,
        until: Option<Time>,
        recheck: bool,
        event: &mut pf_event,
    ) {
        let mut timeout = until.map_or(-1.0, |until| until.since(now).as_secs_f64());
        // The byte in the pipe may have been read since; what it meant has not been looked at.
        let board = self.board().0;
        if self.machine.goal() == Goal::Run && board.is_some_and(|board| board.0.is_woken()) {
            timeout = 0.0;
        }
        if recheck && !(0.0..=RECHECK_BUSY).contains(&timeout) {
            timeout = RECHECK_BUSY;
        }
        self.rests_from_looking = self.machine.rests_from_looking(now);
        self.pipe_may_be_full = self.pipe.is_some();
        event.become_a(pf_event_type::PF_EVENT_WAIT).timeout = timeout;
        self.tell_pipe(shared, event);
        event.rests = u32::from(self.rests_from_looking);
    }
}

/// Seconds after which statuses are looked at again that nobody may tell of.
const RECHECK_BUSY: f64 = 0.25;

/// Seconds after which a pipe is made that could not be made, for want of descriptors.
const TRY_PIPE_AGAIN: f64 = 1.0;

/// Whether no other thread can take a SIGCHLD. Where the C library does not know that there is one thread, the system is
/// asked, but only for a wait that follows a wait: a pool that is busy waits as well without the answer.
fn has_one_thread(waits_on: bool) -> bool {
    stdio::is_known_to_have_one_thread() || (waits_on && stdio::has_one_thread())
}

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
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_begin(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.become_manager(shared)?;
            if inner.is_starting {
                return Err(Failure {
                    code: pf_result::PF_ERR_WRONG_STATE,
                    message: "pf_start is running, and this is one of its hooks".into(),
                });
            }
            inner.take_arrivals();
            inner.machine.begin();
            inner.parent.forked(None);
            inner.restore_mask();
            Ok(pf_result::PF_OK)
        })
    }
}

/// After a fork of the host's own, makes this process the manager of an empty pool, with the
/// same settings and trapped signals; the workers, the scoreboard and the descriptors stay
/// with the process that has them. Until then a trapped signal does in this process what it did
/// before it was trapped. pf_begin does it too. In the manager itself it does nothing.
///
/// Called by: manager. Also by a process that the host has forked by itself, which has to
/// call it before all others.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if the signals cannot be
/// trapped again (pipe2(2), sigaction(2)).
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_become_manager(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.become_manager(shared)?;
            Ok(pf_result::PF_OK)
        })
    }
}

/// Goes on with the run that pf_begin began, after pf_rest, pf_drain or a STOPPED event: the
/// pool is kept full again, and the generation stays what it is.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_run(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            inner.machine.set_goal(Goal::Run);
            Ok(pf_result::PF_OK)
        })
    }
}

/// No worker is forked from now on, and no signal ends the run; pf_next reaps and sends what
/// is due. A new handle rests until pf_begin.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_rest(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.set_goal(Goal::Rest);
            Ok(pf_result::PF_OK)
        })
    }
}

/// No worker is forked from now on; pf_next reaps until none is left (DRAINED) or `timeout`
/// seconds have passed (TIMED_OUT; negative: never). Another call sets another time. Nobody
/// is signalled by this. After either event the manager rests (pf_rest).
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is not a number.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_drain(pf: *mut pf_t, timeout: f64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            let deadline = if timeout < 0.0 {
                None
            } else {
                Some(clock::now().after(seconds("timeout", timeout)?))
            };
            inner.machine.set_goal(Goal::Drain(deadline));
            Ok(pf_result::PF_OK)
        })
    }
}

/// The next event, into `event`. It never blocks, never forks and calls nothing of the
/// host's. After a FORK event, answer before the next call. It reaps by wait4(2) with WNOHANG
/// and sends by kill(2). With pf_set_huge_pages the first FORK event of a generation is long in coming.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE after a FORK event without an answer, PF_ERR_WRONG_PROCESS
/// in a worker.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `event` is null or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_next(pf: *mut pf_t, event: *mut pf_event) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            let event = event.as_mut().ok_or_else(|| Failure::null("event"))?;
            inner.code_has_run();
            inner.next_event(shared, event)?;
            Ok(pf_result::PF_OK)
        })
    }
}

/// pf_next, for a loop of ours that waits by pf_wait: no code of the program has run since it says so.
///
/// # Safety
/// As pf_next; `pf` is a live handle.
pub(super) unsafe fn next_to_wait_for(pf: *mut pf_t, event: &mut pf_event) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        let shared = &(*pf).shared;
        with(pf, AfterPanic::Serve, |inner| {
            inner.waits_here = true;
            let result = inner.next_event(shared, event);
            inner.waits_here = false;
            result?;
            Ok(pf_result::PF_OK)
        })
    }
}

/// Answers FORK with `pid`, which is what fork(2) returned: the worker's in the manager, 0 in
/// the worker. The worker gets the default action of every signal that a manager of this
/// process traps (pf_trap_signal) and of a watched SIGCHLD (sigaction(2)), and both get back
/// the signal mask that they had before the event. In the worker it is async-signal-safe.
///
/// A worker may be made in other ways than by fork(2). A child that shares the memory of the manager, as those of
/// vfork(2) and posix_spawn(3) do, must not call the library: it executes another program, and the
/// manager alone answers. What pf_forked does in other workers the host does there: it gives the child a signal mask
/// (POSIX_SPAWN_SETSIGMASK), as the trapped signals are blocked, and with vfork(2) their default actions before that.
/// Such a worker has no slot in the scoreboard, and counts as idle. If the child was made by clone(2) with another exit
/// signal than SIGCHLD, or with none, the system does not tell the library of its end: the host calls pf_child_ended. A
/// manager that uses pf_watch_children also finds it by itself, within two seconds. Before Linux 4.7 such a worker is
/// taken for one that somebody else has reaped.
///
/// Called by: manager, worker. In the worker as the first call on the handle; not from hooks.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer,
/// PF_ERR_INVALID_ARGUMENT for a negative `pid`: call pf_fork_failed then.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_forked(pf: *mut pf_t, pid: i32) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            if pid < 0 {
                return Err(Failure::invalid(format!(
                    "{pid} is no pid: call pf_fork_failed when fork fails"
                )));
            }
            if pid == 0 {
                let serial = inner.machine.forked_here()?;
                shared.is_worker.store(true, Ordering::SeqCst);
                inner.tell_ticket(serial);
                inner.drop_pipe();
                for signal in traps::trapped_here() {
                    signals::reset_to_default(signal);
                }
                if let Some(held) = inner.held.take() {
                    inner.mask = Some(held.into_mask());
                }
            } else {
                inner.machine.forked(pid, clock::now())?;
                inner.parent.forked(Some(pid));
                // So may what pthread_atfork(3) has run.
                inner.pipe_is_unchecked = true;
                inner.note_worker(pid);
            }
            inner.restore_mask();
            Ok(pf_result::PF_OK)
        })
    }
}

/// Answers FORK when fork(2) has failed. Forking rests for err_respawn_interval, 0.05 seconds
/// at least. `report` (null is allowed) is set to the number of failures that should be
/// reported now: 0 if one was reported less than a second ago, otherwise those since then.
/// Look at errno(3) before.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now; `report` is null or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_fork_failed(pf: *mut pf_t, report: *mut u32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            let failures = inner.machine.fork_failed(clock::now())?;
            inner.parent.forked(None);
            inner.restore_mask();
            if let Some(report) = report.as_mut() {
                *report = failures;
            }
            Ok(pf_result::PF_OK)
        })
    }
}

/// Tells that SIGCHLD has arrived, where the host owns its handler. The next pf_next looks
/// for children that have exited, and for workers that somebody else has reaped.
///
/// Called by: manager, hook. Not by the handler of SIGCHLD itself, which may call pf_wake so
/// that the host comes to this.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_children_changed(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.children_changed(clock::now());
            Ok(pf_result::PF_OK)
        })
    }
}

/// Tells that SIGCHLD has arrived and has named `pid` (si_pid of siginfo_t), where the host owns its
/// handler. It does what pf_children_changed does; in addition, if `pid` is a worker, the next
/// pf_next reaps it first and by its number, if it has exited. wait4(2) for any child passes
/// one after the other until it finds one that has exited: 0.27 ms among 5,000. The look
/// for others follows all the same, since of several SIGCHLD that are pending only the first one
/// is kept; but a FORK for the worker that was reaped comes before that and, of 200 workers or more, a WAIT of
/// 0.5 microseconds for each of them. It may be called for several
/// before the next pf_next, and for any number that a siginfo_t had: a child that was only stopped, one
/// that was reaped meanwhile, one that is no worker.
///
/// Called by: manager, hook. Not by the handler of SIGCHLD itself, which may note the number and call
/// pf_wake so that the host comes to this.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_child_ended(pf: *mut pf_t, pid: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.child_ended(pid, clock::now());
            Ok(pf_result::PF_OK)
        })
    }
}

/// Tells that children may have exited without a notice, because SIGCHLD had its default
/// disposition for a while; with a true `each_worker`, that it was ignored, so that the
/// system may have reaped them by itself. The next pf_next looks, in the latter case for each
/// worker by its pid (waitid(2)).
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_look_for_children(pf: *mut pf_t, each_worker: bool) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.machine.look_for_children(each_worker);
            Ok(pf_result::PF_OK)
        })
    }
}

/// Tells, where the host owns the handler of SIGCHLD, whether that or the host's wait gets each SIGCHLD that comes
/// to the host's own thread. From the first call on children are looked for once a second where one may end
/// without a notice: if `handled` is false, or as long as the process has, or may have, other threads, any of
/// which may take the signal (sigwait(3), signalfd(2), a handler that runs there). WAIT has a time-out then. A host that
/// never calls it is taken at its word. It means nothing where the library handles SIGCHLD (pf_watch_children),
/// which then finds out by itself.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_set_sigchld_handled(pf: *mut pf_t, handled: bool) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.host_handles_sigchld = Some(handled);
            Ok(pf_result::PF_OK)
        })
    }
}

/// Lets the library handle SIGCHLD (sigaction(2)): the descriptor of WAIT then tells of
/// children too. A handler that the program had before is still called. pf_wait, pf_start and
/// pf_wait_all_children call this by themselves. Where it is not certain that SIGCHLD comes to this
/// thread, because there are other threads, the thread blocks it, or the program has put in another handler, WAIT has
/// a time-out of 1 second, after which children are looked for; once also after other code has run. Call pf_next after a
/// thread was made, or the handler or the mask of SIGCHLD changed, during a WAIT.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if there is no descriptor left for the
/// pipe (pipe2(2)).
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_watch_children(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller, for both uses.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    // SAFETY: as above.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            inner.manager_only()?;
            inner.trap(shared, libc::SIGCHLD)?;
            Ok(pf_result::PF_OK)
        })
    }
}

/// Ends a wait that is under way, and gives the next WAIT a time-out of 0 seconds: something
/// has changed that the host wants looked at. A wait that has no descriptor ends by a signal
/// only.
///
/// Called by: manager, hook, signal handler, other thread.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker. No message is left.
///
/// # Safety
/// `pf` is null or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_wake(pf: *mut pf_t) -> pf_result {
    // SAFETY: promised by our caller; only the shared part is touched, which is atomic.
    let Some(shared) = (unsafe { pf.as_ref() }).map(|pf| &pf.shared) else {
        return pf_result::PF_ERR_NULL;
    };
    if shared.is_worker.load(Ordering::SeqCst) {
        return pf_result::PF_ERR_WRONG_PROCESS;
    }
    shared.is_woken.store(true, Ordering::SeqCst);
    shared.end_wait();
    pf_result::PF_OK
}

/// From the first call on the host decides by itself: how many workers there are, when they
/// are forked, and when a run ends. A positive number of `workers` asks the next pf_next for
/// a FORK, one, which it gives unless a fork has just failed; 0 or less asks for none. From
/// then on max_workers, spawn_interval and err_respawn_interval mean nothing to the library,
/// STOPPED does not come, and pf_start is refused.
///
/// Called by: manager.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE in a hook of pf_start.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_demand(pf: *mut pf_t, workers: i32) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            if inner.is_starting {
                return Err(Failure {
                    code: pf_result::PF_ERR_WRONG_STATE,
                    message: "pf_start is running, and decides how many workers there are".into(),
                });
            }
            inner.machine.lead = Lead::Host;
            inner.machine.demand(workers.into());
            Ok(pf_result::PF_OK)
        })
    }
}

/// Forking rests for `rest` seconds from now on, 0 for not at all; this replaces what was set
/// before. A fork that has just failed is not tried again for 0.05 seconds all the same.
///
/// Called by: manager, hook.
///
/// # Errors
/// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `rest` is negative or not a
/// number.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_defer_spawn(pf: *mut pf_t, rest: f64) -> pf_result {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Refuse, |inner| {
            inner.manager_only()?;
            let rest = seconds("rest", rest)?;
            inner.machine.pacing.defer(clock::now(), rest);
            Ok(pf_result::PF_OK)
        })
    }
}

/// The seconds that forking still rests; 0 if a worker may be forked now, and for a null
/// handle.
///
/// Called by: manager, worker, hook.
///
/// # Safety
/// `pf` is null or a live handle that no other thread uses now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pf_spawn_delay(pf: *const pf_t) -> f64 {
    // SAFETY: promised by our caller.
    unsafe {
        with(pf, AfterPanic::Serve, |inner| {
            let open_at = inner.machine.pacing.open_at();
            Ok(open_at.since(clock::now()).as_secs_f64())
        })
    }
}
