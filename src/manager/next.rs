//! The next event: the machine's steps, carried out until one of them is for the host. And the answers to FORK.

use std::time::Duration;

use super::board::{Gone, Said};
use super::{Event, Failure, Manager, Wait};
use crate::machine::{Exit, Goal, Misuse, Pid, Reason, Signal, Step, Time};
use crate::os::children::Which;
use crate::os::wait::Reaped;
use crate::os::{clock, huge_pages, mask, signals, traps, wait};

/// Statuses that nobody may tell of are looked at again after so long.
const RECHECK_BUSY: Duration = Duration::from_millis(250);

/// Events, and the answers to them.
impl Manager {
    /// The next event. It never blocks, never forks, and calls nothing of the host's. A fork is to be answered before
    /// the next call.
    ///
    /// # Errors
    /// In a worker; after a fork without an answer.
    pub fn next_event(&mut self) -> Result<Event, Failure> {
        self.check_is_manager()?;
        self.free_reported_slots();
        // Before all that it may tell of is looked at: who leaves something for us writes to it afterwards, so
        // either we find what was left, or the byte is still there when we sleep.
        if std::mem::take(&mut self.pipe.may_be_full) {
            self.pipe.drain();
        }
        if self.remote.take_wake() {
            self.machine.wake();
        }
        self.answer_ring();
        self.take_arrivals();
        if self.traps.child_arrived() == Some(true)
            || std::mem::take(&mut self.sigchld.may_be_missed)
            || self.parent.has_reaped_child()
        {
            self.machine.child_ended(None, clock::now());
        }
        let mut armed: Option<((i32, i32), bool)> = None;
        let mut times_armed = 0;
        let mut unsent = None;
        let mut gets_sigchld = None;
        let waits_on = std::mem::take(&mut self.told_wait);
        loop {
            let now = clock::now();
            let step = match unsent.take() {
                Some(step) => step,
                None => self
                    .machine
                    .next(now, &Said::by(&self.board, &self.timesheet))?,
            };
            match step {
                Step::Kill { pid, signal } => unsent = Some(self.send(pid, signal)?),
                Step::ReapWorker(pid) => {
                    if let Some(event) = self.look_for(Some(pid), now) {
                        return Ok(event);
                    }
                }
                Step::Reap => {
                    if let Some(event) = self.look_for(None, now) {
                        return Ok(event);
                    }
                }
                Step::Audit => self.audit(now),
                Step::UseHugePages => self.use_huge_pages(),
                Step::Fork { index, generation } => {
                    self.parent.will_fork();
                    self.prepare_line(index, generation);
                    self.block_trapped();
                    return Ok(Event::Fork { index, generation });
                }
                Step::Reaped(exit) => return Ok(self.reaped(exit, wait::no_rusage())),
                Step::Wait { until, busy } => {
                    // A change of status after the bounds were set wakes, one before is seen now. It may give other bounds,
                    // once: those whose changes do that are watched from then on.
                    if let Some(bounds) = busy.map(|bounds| self.with_strangers(bounds)) {
                        let is_armed = armed.is_some_and(|(with, _)| with == bounds);
                        if !is_armed && times_armed < 2 {
                            armed = Some((bounds, self.arm_scoreboard(bounds)));
                            times_armed += 1;
                            continue;
                        }
                    }
                    if armed.is_none() && self.awaits_claims() {
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
                    return Ok(Event::Wait(self.tell_wait(now, until, recheck)));
                }
                Step::Ready {
                    pid,
                    index,
                    generation,
                } => {
                    return Ok(Event::Ready {
                        pid,
                        index,
                        generation,
                    });
                }
                Step::KillFailed {
                    pid,
                    index,
                    generation,
                    errno,
                } => {
                    return Ok(Event::KillFailed {
                        pid,
                        index,
                        generation,
                        errno,
                    });
                }
                Step::Stopped(signal) => return Ok(Event::Stopped(signal)),
                Step::Drained => return Ok(Event::Drained),
                Step::TimedOut => return Ok(self.timed_out()),
            }
        }
    }

    /// Answers a fork: the pid of the worker, or 0 in the worker. There, trapped signals get their default action, and
    /// in both processes the mask is that of before. In the worker this is async-signal-safe.
    ///
    /// # Errors
    /// No fork waits for its answer; a negative number.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn forked(&mut self, pid: Pid) -> Result<(), Failure> {
        if pid < 0 {
            return Err(Failure::invalid(format!(
                "{pid} is no pid: call pf_fork_failed when fork fails"
            )));
        }
        if pid == 0 {
            let serial = self.machine.forked_here()?;
            if self.death_signal != 0 {
                self.tie_to_manager();
            }
            self.tell_ticket(serial);
            if self.timesheet.is_some() {
                self.take_line();
            }
            self.pipe.leave_to_worker();
            for signal in traps::trapped_here() {
                signals::reset_to_default(signal);
            }
            self.leave_mask_to_worker();
        } else {
            let index = self.machine.forked(pid, clock::now())?;
            self.note_on_timesheet(index, pid);
            self.parent.forked(Some(pid));
            // What pthread_atfork(3) has run may close descriptors.
            self.pipe.is_unchecked = true;
            self.note_worker(pid);
        }
        self.restore_mask();
        Ok(())
    }

    /// Answers a fork that has failed. Returns how many failures are to be reported now.
    ///
    /// # Errors
    /// No fork waits for its answer.
    pub fn fork_failed(&mut self) -> Result<u32, Failure> {
        let failures = self.machine.fork_failed(clock::now())?;
        self.parent.forked(None);
        self.restore_mask();
        Ok(failures)
    }

    /// Whether a fork waits for its answer.
    pub fn is_asked_to_fork(&self) -> bool {
        self.machine.is_asked()
    }

    /// What is left of `next_event` when that has panicked, and may again: workers are reaped and waited for, and none is
    /// forked.
    ///
    /// # Errors
    /// In a worker.
    #[cold]
    pub fn next_after_panic(&mut self) -> Result<Event, Failure> {
        self.check_is_manager()?;
        self.free_reported_slots();
        self.pipe.drain();
        let now = clock::now();
        let reaped = self.reap();
        if matches!(reaped, Reaped::NoChildren) {
            self.machine.reset_after_fork();
        }
        Ok(match (reaped, self.machine.goal()) {
            (Reaped::Child(child), _) => {
                let exit = match self.machine.remove(child.pid) {
                    Some(worker) => {
                        let age = now.since(worker.spawned_at);
                        Exit::of_worker(&worker, child.status, Reason::Ended, age)
                    }
                    None => Exit::of_stranger(child.pid, child.status),
                };
                self.reaped(exit, child.rusage)
            }
            (_, Goal::Drain(_)) if self.machine.workers().is_empty() => Event::Drained,
            (_, Goal::Drain(Some(deadline))) if deadline <= now => self.timed_out(),
            (_, goal) => {
                let mut wait = Wait {
                    timeout: match goal {
                        Goal::Drain(Some(deadline)) => Some(deadline.since(now)),
                        Goal::Drain(None) | Goal::Suspended | Goal::Run => None,
                    },
                    fd: None,
                    may_block_sigchld: false,
                };
                self.tell_pipe(&mut wait);
                Event::Wait(wait)
            }
        })
    }
}

impl Manager {
    /// Sends this signal, and all that are to be sent now. Returns what comes after them.
    fn send(&mut self, mut pid: Pid, mut signal: Signal) -> Result<Step, Misuse> {
        // The first ones end while the last ones wait for their turn.
        let _blocked = mask::block_sigchld();
        loop {
            // A worker that may not be signalled does not keep the others. The machine knows of it.
            let _ = self.signal_worker(pid, signal);
            let step = self
                .machine
                .next(clock::now(), &Said::by(&self.board, &self.timesheet))?;
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

    /// From the request for a fork to its answer.
    fn block_trapped(&mut self) {
        self.mask = mask::block(traps::trapped_here());
    }

    /// Looks whether this child has ended, or any (none).
    fn look_for(&mut self, child: Option<Pid>, now: Time) -> Option<Event> {
        let reaped = match child {
            Some(pid) => self.parent.reap(Which::One(pid)),
            None => self.reap(),
        };
        match (reaped, child) {
            (Reaped::Child(child), _) => {
                let exit = self.machine.child_reaped(child.pid, child.status, now);
                return Some(self.reaped(exit, child.rusage));
            }
            (Reaped::NoneEnded, None) => {
                (self.sigchld.code_has_run, self.sigchld.must_look_again) = (false, false);
                self.machine.none_ended(clock::now());
            }
            (Reaped::OnlyStops, None) => {
                self.sigchld.must_look_again = true;
                self.machine.none_ended(clock::now());
            }
            (Reaped::NoChildren, None) => {
                (self.sigchld.code_has_run, self.sigchld.must_look_again) = (false, false);
                self.machine.no_children(clock::now());
            }
            (Reaped::NoneEnded | Reaped::OnlyStops | Reaped::NoChildren, Some(_)) => {}
        }
        None
    }

    /// The next call frees the slots of the child: its host may want to see what it was doing.
    fn reaped(&mut self, mut exit: Exit, rusage: libc::rusage) -> Event {
        self.reported = Some(Gone::new(exit.pid, exit.serial));
        self.note_exit(&mut exit);
        Event::Reaped { exit, rusage }
    }

    fn timed_out(&self) -> Event {
        let workers = u32::try_from(self.num_workers()).unwrap_or(u32::MAX);
        Event::TimedOut { workers }
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
    fn use_huge_pages(&mut self) {
        huge_pages::collapse(|| {
            self.remote.arrivals().has_more(self.arrivals_seen) || mask::manager_is_signalled()
        });
        // What ended it, or came meanwhile, is looked at before the fork.
        self.take_arrivals();
    }

    #[cold]
    fn audit(&mut self, now: Time) {
        let audited = self.parent.audit(self.workers_not_reaped());
        self.machine.audited(&audited.missing, now);
        for pid in audited.ended {
            self.machine.child_ended(Some(pid), now);
        }
        self.sigchld.must_look_again |= audited.are_silent;
    }

    fn workers_not_reaped(&self) -> impl Iterator<Item = Pid> {
        let workers = self.machine.workers().iter();
        workers
            .filter(|worker| !worker.reaped)
            .map(|worker| worker.pid)
    }

    fn tell_wait(&mut self, now: Time, until: Option<Time>, recheck: bool) -> Wait {
        let mut wait = Wait {
            timeout: until.map(|until| until.since(now)),
            fd: None,
            may_block_sigchld: self.machine.puts_off_looking(now),
        };
        // The byte in the pipe may have been read since; what it meant has not been looked at.
        let board = self.board.as_ref();
        if self.machine.goal() == Goal::Run && board.is_some_and(|board| board.borrow().is_woken())
        {
            wait.timeout = Some(Duration::ZERO);
        }
        if recheck {
            wait.at_most(RECHECK_BUSY);
        }
        self.told_wait = true;
        self.pipe.may_be_full = true;
        self.tell_pipe(&mut wait);
        wait
    }
}
