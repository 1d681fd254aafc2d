//! The machine: one exhaustive decision, `next`, over all that is known.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::compact::ShortQueue;
use super::deadlines::{Deadlines, Over, Why};
use super::exits::{Exit, Reason};
use super::overdue::WorkerTimeout;
use super::readiness::READY_AFTER;
use super::reaping::{Look, Looks};
use super::refusals::Refused;
use super::said::Statuses;
use super::sent::{ABRT, KILL, Signal, tells_to_end};
use super::signals::{Action, Signals, Staggered};
use super::spare::{self, Spare};
use super::timers::{Pacing, Time};
use super::workers::{Key, Line, Pid, Serial, Worker, Workers};

/// What the host wants of the machine at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// No worker is forked: nothing but what has to be done anyway, reap, and send what is due.
    Suspended,
    /// Keep the pool full until a trapped signal arrives.
    Run,
    /// Wait for every worker, until the deadline if there is one.
    Drain(Option<Time>),
}

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As many as the target says.
    Fixed,
    /// So many that the idle ones are between two bounds, and all of them under the target.
    Spare(Spare),
}

/// Who decides that a worker is to be forked, or one is to go, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// The machine decides, and asks for forks.
    Machine,
    /// The machine decides, and the host, which asks what is wanted, demands each fork when it is ready for it. Trapped
    /// signals, slots and pauses are the host's affair, but for the pause after a fork that has failed.
    Shared,
    /// The host decides and paces, and demands each fork.
    Host,
}

/// What is to be done next. The first five are for the system below, the rest for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the signal to the worker.
    Kill {
        /// The worker.
        pid: Pid,
        /// What it is sent; negative: its process group.
        signal: Signal,
    },
    /// Look whether this worker has ended, and at no other; answer with `child_reaped` if it has.
    ReapWorker(Pid),
    /// Look for one child that has ended; answer with `child_reaped`, `none_ended` or `no_children`.
    Reap,
    /// Look which workers are no children any more; answer with `audited`.
    Audit,
    /// Move the memory of this process to huge pages: the first fork of a generation is next, and all
    /// that workers are to inherit is there.
    UseHugePages,
    /// Fork a worker; answer with `forked` or `fork_failed`.
    Fork {
        /// The worker's index.
        index: u32,
        /// Its generation.
        generation: u64,
    },
    /// Other code has reaped a worker. (One that we reap by `Reap` or `ReapWorker` the manager tells of by itself.)
    Reaped(Exit),
    /// A worker is ready for work. Only after `tell_ready`; once for each worker, and not after its end.
    Ready {
        /// The worker.
        pid: Pid,
        /// Its index.
        index: u32,
        /// Its generation.
        generation: u64,
    },
    /// The time of a worker is over, and the system has refused to kill it. Once for each worker; nothing more is sent
    /// to it for that.
    KillFailed {
        /// The worker.
        pid: Pid,
        /// Its index.
        index: u32,
        /// Its generation.
        generation: u64,
        /// Why, as `refused` was told.
        errno: i32,
    },
    /// Sleep until something happens, or until the moment given.
    Wait {
        /// When to come back at the latest.
        until: Option<Time>,
        /// The numbers of busy workers outside of which to come back at once.
        busy: Option<(i32, i32)>,
    },
    /// A trapped signal has ended the run.
    Stopped(Signal),
    /// No worker is left.
    Drained,
    /// The deadline has passed.
    TimedOut,
}

/// What this process is in the machine's life.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// The manager.
    Manager,
    /// The manager, or the worker, after a fork was asked for and before its outcome is reported.
    Asked { index: u32, serial: Serial },
    /// A worker.
    Worker { index: u32, generation: u64 },
}

/// A call that does not fit what went before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// A fork was asked for and its outcome has not been reported.
    Unanswered,
    /// No fork was asked for.
    NotAsked,
    /// This is a worker, and the call is the manager's.
    InWorker,
}

/// All that the manager knows.
#[derive(Debug)]
pub struct Machine {
    /// How many workers there are to be.
    pub policy: Policy,
    /// Who decides.
    pub lead: Lead,
    /// The most workers there are to be.
    pub target: u32,
    /// What a worker is sent when it is one too many.
    pub stop_signal: Signal,
    /// Whether memory is moved to huge pages before the first fork of each generation.
    pub huge_pages: bool,
    /// Whether workers whose reap was reported stay in the table until the host takes them out.
    pub keeps_reaped: bool,
    /// When forks may happen.
    pub pacing: Pacing,
    /// Trapped signals, and what the program sees of them.
    pub signals: Signals,
    /// What trapped signals do to the workers, where the host leaves that to the machine.
    pub actions: BTreeMap<Signal, Action>,
    generation: u64,
    has_huge_pages: bool,
    goal: Goal,
    workers: Workers,
    role: Role,
    demand: i64,
    staggered: Option<Staggered>,
    outbox: VecDeque<(Pid, Signal)>,
    stopped_by: Option<Signal>,
    stolen: VecDeque<Exit>,
    to_settle: ShortQueue<Key>,
    reused_pid: Option<Pid>,
    looks: Looks,
    woken: bool,
    /// None until a time is set.
    deadlines: Option<Box<Deadlines>>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            policy: Policy::Fixed,
            lead: Lead::Machine,
            target: 10,
            stop_signal: 15,
            huge_pages: false,
            keeps_reaped: false,
            pacing: Pacing::default(),
            signals: Signals::default(),
            actions: BTreeMap::new(),
            generation: 0,
            has_huge_pages: false,
            goal: Goal::Suspended,
            workers: Workers::default(),
            role: Role::Manager,
            demand: 0,
            staggered: None,
            outbox: VecDeque::new(),
            stopped_by: None,
            stolen: VecDeque::new(),
            to_settle: ShortQueue::default(),
            reused_pid: None,
            looks: Looks::default(),
            woken: false,
            deadlines: None,
        }
    }
}

impl Machine {
    /// A run begins: a new generation, and whatever the program has read is settled.
    pub fn begin(&mut self) {
        self.signals.begin();
        self.generation = self.generation.wrapping_add(1);
        self.has_huge_pages = false;
        self.goal = Goal::Run;
        self.withdraw();
        // Children that ended while nobody asked may have left without a notice.
        self.look_for_children(false);
    }

    /// Sets what the host wants from the next step on.
    pub fn set_goal(&mut self, goal: Goal) {
        self.goal = goal;
    }

    /// What the host wants at present.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The current generation; workers forked from now on belong to it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets the current generation.
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// The next step is a fork, where the host has a part in the lead: it wants a worker, and is ready for it.
    pub fn demand(&mut self, workers: i64) {
        self.demand = workers;
    }

    /// Sets how long a worker may take to end that is told so from now on; none: as long as it likes.
    pub fn set_graceful_timeout(&mut self, timeout: Option<Duration>) {
        if timeout.is_some() || self.deadlines.is_some() {
            self.deadlines.get_or_insert_default().graceful_timeout = timeout;
        }
    }

    /// How long a worker may take to end that is told so; none: as long as it likes.
    pub fn graceful_timeout(&self) -> Option<Duration> {
        self.deadlines.as_ref()?.graceful_timeout
    }

    /// Sets how long workers may be busy that are forked from now on, and have a line on the timesheet; none: as long as they
    /// like, and all others, too.
    pub fn set_worker_timeout(&mut self, set: Option<WorkerTimeout>) {
        if set.is_some() || self.deadlines.is_some() {
            self.deadlines
                .get_or_insert_default()
                .set_worker_timeout(set);
        }
    }

    /// How long workers may be busy that are forked now, and what then becomes of them.
    pub fn worker_timeout(&self) -> Option<WorkerTimeout> {
        self.deadlines.as_ref()?.worker_timeout()
    }

    /// Sets how long after its fork a worker has to be ready that is forked from now on; none: it need not say so, and
    /// all others need not, either.
    pub fn set_ready_timeout(&mut self, timeout: Option<Duration>) {
        if timeout.is_some() || self.deadlines.is_some() {
            self.deadlines
                .get_or_insert_default()
                .set_ready_timeout(timeout, &self.workers);
        }
    }

    /// How long after its fork a worker has to be ready that is forked now.
    pub fn ready_timeout(&self) -> Option<Duration> {
        self.deadlines.as_ref()?.ready_timeout()
    }

    /// From now on there is a step for each worker that gets ready.
    pub fn tell_ready(&mut self) {
        self.deadlines.get_or_insert_default().tell_ready();
    }

    /// Whether workers that are forked now ring when they are ready.
    pub fn tells_ready(&self) -> bool {
        let deadlines = self.deadlines.as_ref();
        deadlines.is_some_and(|deadlines| deadlines.tells_ready())
    }

    /// Whether there is a worker that is to ring when it is ready.
    pub fn awaits_a_ring(&self) -> bool {
        let deadlines = self.deadlines.as_ref();
        deadlines.is_some_and(|deadlines| deadlines.awaits_a_ring())
    }

    /// Whether this worker is ready for work: it has said so or, where there is no `ready_timeout`, has lived for a
    /// second. As long as nobody awaits that, what workers say is not looked at.
    pub fn is_ready(&self, worker: &Worker, now: Time, said: &dyn Statuses) -> bool {
        let deadlines = self.deadlines.as_ref();
        match deadlines.filter(|deadlines| deadlines.awaits_ready()) {
            Some(deadlines) => !deadlines.is_starting(worker.key()) || said.times(worker).is_ready,
            None => now.since(worker.spawned_at) >= READY_AFTER,
        }
    }

    /// A worker has rung as it is ready.
    pub fn look_who_is_ready(&mut self) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.look_who_is_ready();
        }
    }

    /// A worker has rung as it is due before the manager looks at the timesheet.
    pub fn look_at_times(&mut self) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.look_soon();
        }
    }

    /// A worker has been sent this signal. Its time runs if that, or the pool, tells it to end.
    pub fn sent(&mut self, pid: Pid, signal: Signal, now: Time) {
        let Some(worker) = self.workers.get_mut(pid) else {
            return;
        };
        let tells = tells_this_one_to_end(worker, signal, self.stop_signal);
        worker.sent.note(signal, tells);
        if tells {
            self.begin_grace(pid, signal, now);
        }
    }

    /// A worker may not be sent this signal: the system has refused that, with this errno. If it was KILL as a time was
    /// over, a step tells of it. A time to end runs as if it was sent: it ends with that step, or the manager would wait
    /// for ever.
    pub fn refused(&mut self, pid: Pid, signal: Signal, errno: i32, now: Time) {
        let (Some(deadlines), Some(worker)) = (&mut self.deadlines, self.workers.get_mut(pid))
        else {
            return;
        };
        if signal == KILL && worker.sent.take_back_kill() {
            deadlines.refusals.add(worker.key(), errno);
            return;
        }
        if signal == ABRT {
            worker.sent.take_back_abort();
        }
        if tells_this_one_to_end(worker, signal, self.stop_signal) {
            self.begin_grace(pid, signal, now);
        }
    }

    /// A worker has been sent this signal, as it is one too many.
    pub fn sent_to_stop(&mut self, pid: Pid, signal: Signal, now: Time) {
        if let Some(worker) = self.workers.get_mut(pid) {
            worker.sent.note(signal, true);
        }
        self.begin_grace(pid, signal, now);
    }

    /// The system has refused to send a worker this signal, as it is one too many. See `refused`.
    pub fn refused_to_stop(&mut self, pid: Pid, signal: Signal, now: Time) {
        self.begin_grace(pid, signal, now);
    }

    fn begin_grace(&mut self, pid: Pid, signal: Signal, now: Time) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.told(pid, signal, now, &mut self.workers);
        }
    }

    /// The next wait ends at once: something has changed that the host has not looked at.
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// A trapped signal has arrived.
    pub fn signal(&mut self, signal: Signal) {
        let running = matches!(self.goal, Goal::Run);
        self.signals.arrived(signal, running);
    }

    /// There was a notice that a child has ended, which may have named it.
    pub fn child_ended(&mut self, pid: Option<Pid>, now: Time) {
        match pid {
            Some(pid) => self.looks.named(pid, now, &mut self.workers),
            None => self.looks.noticed(now, &self.workers),
        }
    }

    /// Children may have ended without a notice. With `each`, the system may also have
    /// reaped them by itself: every worker is looked at by its pid.
    pub fn look_for_children(&mut self, each: bool) {
        self.looks.unnoticed(each);
    }

    /// Sets whether a child may end without a notice, because somebody else may have got it. Children are then
    /// looked for once a second, and as after a notice each worker, whom that one may have reaped. Returns whether
    /// this has changed: a `Wait` of before is not right any more.
    pub fn set_looks_in_time(&mut self, looks_in_time: bool) -> bool {
        self.looks.set_in_time(looks_in_time)
    }

    /// The workers.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// In a worker: its index and generation.
    pub fn in_worker(&self) -> Option<(u32, u64)> {
        match self.role {
            Role::Worker { index, generation } => Some((index, generation)),
            Role::Manager | Role::Asked { .. } => None,
        }
    }

    /// The scoreboard that workers are to be known to has given this series of tickets; 0: there is none.
    pub fn set_series(&mut self, new: u32) {
        self.workers.set_series(new);
        if let Role::Asked { serial, .. } = &mut self.role {
            *serial = serial.of(new);
        }
    }

    /// This process has forked by itself, and is no worker: the workers are its parent's.
    pub fn reset_after_fork(&mut self) {
        self.workers.clear();
        self.stolen.clear();
        self.outbox.clear();
        self.staggered = None;
        self.take_asked();
        self.workers.set_series(0);
        self.to_settle.clear();
        self.reused_pid = None;
        self.looks.clear_named();
        self.stopped_by = None;
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.clear();
        }
    }

    /// Enters a process that the host has forked by itself as a worker, or one that was a worker until the host disowned it,
    /// which had this number; one that is there already only changes its generation.
    pub fn adopt(&mut self, pid: Pid, had: Option<Serial>, generation: u64, now: Time) {
        match self.workers.get_mut(pid) {
            Some(worker) => worker.generation = generation,
            None => {
                let index = self.workers.reserve_index();
                // Nobody has told it a ticket.
                let serial = had.unwrap_or_else(|| self.workers.take_serial().of(0));
                self.workers.insert(pid, index, serial, generation, now);
            }
        }
        self.woken = true;
    }

    /// The host has reaped a worker by itself. Returns its end, unless that is known already.
    pub fn worker_reaped(&mut self, pid: Pid, status: i32, now: Time) -> Option<Exit> {
        let is_of_former = self.reused_pid == Some(pid) && status == -1;
        let worker = self.workers.get(pid).filter(|worker| !worker.reaped);
        if is_of_former || worker.is_none() {
            return None;
        }
        let exit = self.mark_reaped(pid, status, false, now);
        self.send_nothing_to(pid);
        Some(exit)
    }

    /// Takes a worker out of the table, whatever it does.
    pub fn remove(&mut self, pid: Pid) -> Option<Worker> {
        self.woken = true;
        self.send_nothing_to(pid);
        self.take_out(pid)
    }

    /// One that is kept until now is not to be settled later.
    fn take_out(&mut self, pid: Pid) -> Option<Worker> {
        let worker = self.workers.remove(pid)?;
        if worker.reaped {
            self.to_settle.retain(|key| *key != worker.key());
        }
        // One that is alive may come back with the same key.
        if let Some(deadlines) = self.deadlines.as_mut().filter(|_| !worker.reaped) {
            let key = worker.key();
            if worker.leaving || worker.line == Line::Late || deadlines.is_starting(key) {
                deadlines.forget(key);
            }
        }
        Some(worker)
    }

    /// A number that is no worker's any more may be anybody's.
    fn send_nothing_to(&mut self, pid: Pid) {
        self.outbox.retain(|&(receiver, _)| receiver != pid);
    }

    /// The host takes a worker out of its pool, alive or not. Returns whether there was one.
    pub fn disown(&mut self, pid: Pid) -> bool {
        if self.reused_pid == Some(pid) {
            self.reused_pid = None;
            return true;
        }
        self.remove(pid).is_some()
    }

    /// Takes a worker out of the table if it was reaped. One that is alive stays: it has got the number of one that was.
    pub fn remove_reaped(&mut self, pid: Pid) -> Option<Worker> {
        if self.workers.get(pid)?.reaped {
            self.take_out(pid)
        } else {
            None
        }
    }

    /// Whether a fork was asked for, and its outcome has not been reported.
    pub fn is_asked(&self) -> bool {
        matches!(self.role, Role::Asked { .. })
    }

    fn take_asked(&mut self) -> Option<(u32, Serial)> {
        match self.role {
            Role::Asked { index, serial } => {
                self.role = Role::Manager;
                Some((index, serial))
            }
            Role::Manager | Role::Worker { .. } => None,
        }
    }

    /// The fork that was asked for has made a worker, and this is its parent.
    pub fn forked(&mut self, pid: Pid, now: Time) -> Result<u32, Misuse> {
        let (index, serial) = self.take_asked().ok_or(Misuse::NotAsked)?;
        if self.workers.get(pid).is_some_and(|worker| !worker.reaped) {
            // The system has given the number out again, so somebody has reaped that one.
            let exit = self.mark_reaped(pid, -1, true, now);
            self.stolen.push_back(exit);
        }
        self.workers
            .insert(pid, index, serial, self.generation, now);
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.forked(pid, now, &mut self.workers);
        }
        if self.lead == Lead::Machine {
            self.pacing.defer(now, self.pacing.spawn_interval);
        }
        Ok(index)
    }

    /// The fork that was asked for has made a worker, and this is it. Returns its number. Nothing is freed: a
    /// page that is not touched need not be copied.
    pub fn forked_here(&mut self) -> Result<Serial, Misuse> {
        let (index, serial) = self.take_asked().ok_or(Misuse::NotAsked)?;
        let generation = self.generation;
        self.role = Role::Worker { index, generation };
        Ok(serial)
    }

    /// The fork that was asked for has failed. Returns how many failures to report now.
    pub fn fork_failed(&mut self, now: Time) -> Result<u32, Misuse> {
        if !self.is_asked() {
            return Err(Misuse::NotAsked);
        }
        self.withdraw();
        Ok(self.pacing.fork_failed(now))
    }

    /// There is no answer any more to a fork that was asked for.
    fn withdraw(&mut self) {
        if let Some((index, _)) = self.take_asked() {
            self.workers.give_index_back(index);
        }
    }

    /// The system has reaped a child.
    pub fn child_reaped(&mut self, pid: Pid, status: i32, now: Time) -> Exit {
        let exit = self.mark_reaped(pid, status, false, now);
        if matches!(exit.reason, Reason::Failed) {
            self.pause_after_failure(now);
        }
        exit
    }

    /// A worker has failed.
    fn pause_after_failure(&mut self, now: Time) {
        let interval = self.pacing.err_respawn_interval;
        if self.lead == Lead::Machine {
            self.pacing.defer_at_least(now, interval);
        }
    }

    /// The system has children, and none of them has ended.
    pub fn none_ended(&mut self, now: Time) {
        self.looks.found_none(now);
    }

    /// The system has no children: every worker's status went elsewhere.
    pub fn no_children(&mut self, now: Time) {
        self.looks.found_none(now);
        let pids: Vec<Pid> = self.workers.iter().map(|worker| worker.pid).collect();
        self.are_gone(&pids, now);
    }

    /// All workers were looked at, and these are no children any more.
    pub fn audited(&mut self, missing: &[Pid], now: Time) {
        self.looks.looked_at_each(now);
        self.are_gone(missing, now);
    }

    /// Other code has reaped these workers.
    fn are_gone(&mut self, missing: &[Pid], now: Time) {
        for &pid in missing {
            if self.workers.get(pid).is_some_and(|worker| !worker.reaped) {
                let exit = self.mark_reaped(pid, -1, true, now);
                self.stolen.push_back(exit);
            }
        }
    }

    fn mark_reaped(&mut self, pid: Pid, status: i32, stolen: bool, now: Time) -> Exit {
        let generation = self.generation;
        let Some(worker) = self.workers.get_mut(pid) else {
            return Exit::of_stranger(pid, status);
        };
        worker.reaped = true;
        let reason = if stolen {
            Reason::Stolen
        } else if worker.stopping {
            Reason::Stopped
        } else if status != 0 && worker.generation == generation {
            Reason::Failed
        } else {
            Reason::Ended
        };
        let age = now.since(worker.spawned_at);
        let exit = Exit::of_worker(worker, status, reason, age);
        let key = worker.key();
        if !stolen {
            self.to_settle.push_back(key);
        }
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.ended(key);
        }
        exit
    }

    /// Starts to send a signal to one worker after the other; replaces what was under way.
    pub fn stagger(&mut self, action: Action, now: Time) {
        self.staggered = Some(Staggered::new(action, &self.workers, now));
    }

    /// The staggered signal that is due.
    pub fn staggered_due(&mut self, now: Time) -> Option<(Pid, Signal)> {
        self.staggered.as_mut()?.due(&self.workers, now)
    }

    /// Marks as many idle workers as are needed for `surplus` to be on their way out, and
    /// returns those that are to be told so.
    pub fn stop_workers(&mut self, surplus: usize, pool: &dyn Statuses) -> Vec<Pid> {
        let pids = spare::to_stop(&self.workers, surplus, pool);
        for &pid in &pids {
            if let Some(worker) = self.workers.get_mut(pid) {
                worker.stopping = true;
            }
        }
        pids
    }

    /// What the pool wants by the machine's own policy: more than 0, a worker; less than 0,
    /// so many fewer.
    fn decide(&self, pool: &dyn Statuses) -> i64 {
        match self.policy {
            Policy::Fixed => spare::decide(&self.workers, self.target, None, pool),
            Policy::Spare(bounds) => spare::decide(&self.workers, self.target, Some(bounds), pool),
        }
    }

    /// The next thing to do, of all that may be due what comes first. Deterministic: the same history gives the same
    /// step.
    pub fn next(&mut self, now: Time, pool: &dyn Statuses) -> Result<Step, Misuse> {
        match self.role {
            Role::Worker { .. } => return Err(Misuse::InWorker),
            Role::Asked { .. } => return Err(Misuse::Unanswered),
            Role::Manager => {}
        }
        self.settle();
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.is_back(now);
        }
        if let Some(step) = self.demanded(now) {
            return Ok(step);
        }
        self.take_signal(now);
        let step = self
            .next_to_send(now)
            .or_else(|| self.next_refusal())
            .or_else(|| self.end_a_time(now, pool))
            .or_else(|| self.next_ready())
            .or_else(|| self.stopped());
        if let Some(step) = step {
            return Ok(step);
        }
        let wanted = self.wanted(pool);
        let step = self
            .adjust(wanted, now, pool)
            .or_else(|| self.report_stolen(now))
            .or_else(|| self.look(now))
            .or_else(|| self.end_of_drain(now));
        Ok(match step {
            Some(step) => step,
            None => self.wait(wanted, now, pool),
        })
    }

    /// The fork that the host demands. Whether this is the time it has asked, or decides by itself; but a fork that has
    /// just failed is not for it to repeat.
    fn demanded(&mut self, now: Time) -> Option<Step> {
        let demand = std::mem::take(&mut self.demand);
        if demand <= 0 || self.lead == Lead::Machine {
            return None;
        }
        let open_at = self.pacing.retry_at();
        if open_at > now {
            return Some(Step::Wait {
                until: Some(open_at),
                busy: None,
            });
        }
        let step = self.ask_for_fork();
        if matches!(step, Step::UseHugePages) {
            self.demand = demand;
        }
        Some(step)
    }

    /// The oldest trapped signal ends the run: what it calls for is sent first.
    fn take_signal(&mut self, now: Time) {
        let is_for_us = matches!(self.goal, Goal::Run) && self.lead == Lead::Machine;
        if !is_for_us || self.stopped_by.is_some() {
            return;
        }
        if let Some(signal) = self.signals.first() {
            self.signals.take(signal);
            self.act_on(signal, now);
            self.stopped_by = Some(signal);
        }
    }

    /// A worker that may not be killed.
    fn next_refusal(&mut self) -> Option<Step> {
        let refusals = &mut self.deadlines.as_mut()?.refusals;
        Some(match refusals.next(&self.workers)? {
            Refused::Look(pid) => Step::ReapWorker(pid),
            Refused::Tell(worker, errno) => Step::KillFailed {
                pid: worker.pid,
                index: worker.index,
                generation: worker.generation,
                errno,
            },
        })
    }

    /// The next signal for a worker that is due.
    fn next_to_send(&mut self, now: Time) -> Option<Step> {
        let next = self.outbox.pop_front();
        let (pid, signal) = next.or_else(|| self.staggered_due(now))?;
        Some(Step::Kill { pid, signal })
    }

    /// The end of a worker whose time is over: it was told to end and has not, is not done with what it does, or is not
    /// ready.
    fn end_a_time(&mut self, now: Time, pool: &dyn Statuses) -> Option<Step> {
        let deadlines = self.deadlines.as_mut()?;
        deadlines.look(now, &mut self.workers, pool);
        let over = deadlines.next_over(now, &mut self.workers, pool)?;
        let (pid, signal) = match over {
            Over::Look(pid) => return Some(Step::ReapWorker(pid)),
            Over::Abort(pid) => (pid, ABRT),
            Over::Kill(pid, Why::GraceOfGroupOver) => {
                // It may have left its group since.
                self.outbox.push_back((pid, KILL));
                (pid, -KILL)
            }
            Over::Kill(
                pid,
                Why::GraceOver | Why::Late | Why::StillThere | Why::NotReady | Why::HasLived,
            ) => (pid, KILL),
        };
        if let Some(worker) = self.workers.get_mut(pid) {
            match over {
                Over::Kill(_, Why::GraceOver | Why::GraceOfGroupOver) => {
                    worker.sent.note_end_of_grace();
                }
                Over::Kill(_, Why::NotReady) => worker.sent.note_not_ready(),
                Over::Abort(_) => worker.sent.note_aborted(),
                Over::Look(_) | Over::Kill(_, Why::Late | Why::StillThere | Why::HasLived) => {
                    worker.sent.note_late();
                }
            }
        }
        Some(Step::Kill { pid, signal })
    }

    /// A worker that is ready.
    fn next_ready(&mut self) -> Option<Step> {
        let worker = self.deadlines.as_mut()?.next_ready(&self.workers)?;
        Some(Step::Ready {
            pid: worker.pid,
            index: worker.index,
            generation: worker.generation,
        })
    }

    /// The end of the run.
    fn stopped(&mut self) -> Option<Step> {
        let signal = self.stopped_by.take()?;
        self.goal = Goal::Suspended;
        Some(Step::Stopped(signal))
    }

    /// What the pool wants, while it runs and the machine decides.
    fn wanted(&self, pool: &dyn Statuses) -> i64 {
        match (self.goal, self.lead) {
            (Goal::Run, Lead::Machine | Lead::Shared) => self.decide(pool),
            (Goal::Run, Lead::Host) | (Goal::Suspended | Goal::Drain(_), _) => 0,
        }
    }

    /// Whether a worker is to be forked now: what a host that shares the lead asks before it demands that.
    pub fn wants_fork(&self, now: Time, pool: &dyn Statuses) -> bool {
        self.wanted(pool) > 0 && self.pacing.is_open(now)
    }

    /// One worker more, or some fewer.
    fn adjust(&mut self, wanted: i64, now: Time, pool: &dyn Statuses) -> Option<Step> {
        if wanted == 0 || !self.pacing.is_open(now) {
            return None;
        }
        if wanted > 0 {
            return (self.lead == Lead::Machine).then(|| self.ask_for_fork());
        }
        let surplus = usize::try_from(-wanted).unwrap_or(0);
        let told = self.stop_workers(surplus, pool);
        if told.is_empty() {
            return None;
        }
        let stop_signal = self.stop_signal;
        self.outbox
            .extend(told.iter().map(|&pid| (pid, stop_signal)));
        if self.lead == Lead::Machine {
            self.pacing.defer(now, self.pacing.spawn_interval);
        }
        self.next_to_send(now)
    }

    /// A worker that somebody else has reaped is reported.
    fn report_stolen(&mut self, now: Time) -> Option<Step> {
        let exit = self.stolen.pop_front()?;
        // Its status may have been anything, a failure among them.
        if exit.generation == self.generation {
            self.pause_after_failure(now);
        }
        match self.workers.get(exit.pid) {
            // A new worker has the number already: what the host says of it until the next
            // step is about the one that is gone.
            Some(worker) if !worker.reaped => self.reused_pid = Some(exit.pid),
            Some(worker) => self.to_settle.push_back(worker.key()),
            None => {}
        }
        Some(Step::Reaped(exit))
    }

    /// A look for children that have ended.
    fn look(&mut self, now: Time) -> Option<Step> {
        let draining = self.is_draining(now);
        let look = self.looks.next(now, &mut self.workers, draining)?;
        Some(match look {
            Look::Worker(pid) => Step::ReapWorker(pid),
            Look::Any => Step::Reap,
            Look::Each => Step::Audit,
        })
    }

    /// The end of the wait for all workers.
    fn end_of_drain(&mut self, now: Time) -> Option<Step> {
        let Goal::Drain(deadline) = self.goal else {
            return None;
        };
        let step = if self.all_have_ended() {
            Step::Drained
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            Step::TimedOut
        } else {
            return None;
        };
        self.goal = Goal::Suspended;
        Some(step)
    }

    /// Nothing is due.
    fn wait(&mut self, wanted: i64, now: Time, pool: &dyn Statuses) -> Step {
        let staggered_at = self
            .staggered
            .as_ref()
            .and_then(|staggered| staggered.next_at(&self.workers));
        let draining = self.is_draining(now);
        let look_at = self.looks.next_at(now, &self.workers, draining);
        let goal_at = match self.goal {
            Goal::Drain(deadline) => deadline,
            Goal::Run if wanted != 0 && !self.pacing.is_open(now) => Some(self.pacing.open_at()),
            // The host has not asked yet.
            Goal::Run if wanted > 0 => Some(now),
            Goal::Run | Goal::Suspended => None,
        };
        let woken_at = std::mem::take(&mut self.woken).then_some(now);
        let deadlines = self.deadlines.as_mut();
        let ends_at = deadlines.and_then(|deadlines| deadlines.wants_to_act_at(&self.workers));
        let busy = match (self.policy, self.goal, self.lead) {
            (Policy::Spare(bounds), Goal::Run, Lead::Machine | Lead::Shared) => {
                Some(spare::bounds(&self.workers, self.target, bounds, pool))
            }
            (Policy::Spare(_), _, _) | (Policy::Fixed, _, _) => None,
        };
        let until = [staggered_at, ends_at, look_at, goal_at, woken_at]
            .into_iter()
            .flatten()
            .min();
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.will_be_back(until);
        }
        Step::Wait { until, busy }
    }

    /// Whether the next wait comes before a look for children that is put off, which one more notice of an exit
    /// would not bring about sooner.
    pub fn puts_off_looking(&self, now: Time) -> bool {
        let draining = self.is_draining(now);
        self.looks.is_put_off(now, &self.workers, draining)
    }

    /// Whether all workers are waited for. A deadline still finds those that have ended.
    fn is_draining(&self, now: Time) -> bool {
        match self.goal {
            Goal::Drain(deadline) => deadline.is_none_or(|deadline| deadline > now),
            Goal::Run | Goal::Suspended => false,
        }
    }

    fn ask_for_fork(&mut self) -> Step {
        if self.huge_pages && !std::mem::replace(&mut self.has_huge_pages, true) {
            return Step::UseHugePages;
        }
        // From now on it is that worker's: a hook before the fork may enter another one.
        let index = self.workers.reserve_index();
        self.role = Role::Asked {
            index,
            serial: self.workers.take_serial(),
        };
        Step::Fork {
            index,
            generation: self.generation,
        }
    }

    fn act_on(&mut self, signal: Signal, now: Time) {
        let Some(&action) = self.actions.get(&signal) else {
            return;
        };
        if action.send == 0 {
            return;
        }
        if action.interval.is_zero() {
            self.outbox.extend(
                self.workers
                    .signalled_in_order()
                    .iter()
                    .map(|worker| (worker.pid, action.send)),
            );
        } else {
            self.stagger(action, now);
        }
    }

    /// Whether no worker is left to wait for; the host may keep some that it was told of.
    fn all_have_ended(&self) -> bool {
        self.workers.is_empty()
            || (self.keeps_reaped && self.workers.iter().all(|worker| worker.reaped))
    }

    /// The workers that have been reported leave the table: the host has moved on. A host that decides by itself has
    /// counted them until now, and looks again.
    fn settle(&mut self) {
        self.reused_pid = None;
        if self.keeps_reaped {
            return;
        }
        while let Some(key) = self.to_settle.pop_front() {
            if let Some(&Worker { pid, .. }) = self.workers.with_key(key) {
                self.workers.remove(pid);
                self.woken |= self.lead != Lead::Machine;
            }
        }
    }
}

/// Whether this signal tells this worker to end; `stop` is the one for workers that are too many.
fn tells_this_one_to_end(worker: &Worker, signal: Signal, stop: Signal) -> bool {
    tells_to_end(signal) || (worker.stopping && signal.saturating_abs() == stop)
}
