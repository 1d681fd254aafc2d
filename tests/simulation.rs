//! The machine against a simulated kernel. A seeded scheduler chooses at every step among all that
//! can happen: exits, signals, failed forks, children that somebody else reaps, stalls of the
//! clock, changes of the settings, and the host's own next turn. After each step every promise is
//! checked; at the end TERM has to end it.
//!
//! A seed that fails prints what happened; PREFORK_SEED=n runs it alone. PREFORK_SEEDS=n sets how
//! many are run, and PREFORK_FIRST_SEED=n where they begin.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what does not come here is a failure of the test"
)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use prefork::machine::{
    Action, Cause, Exit, FORK_RETRY_MIN, Goal, Machine, Pid, Policy, Reason, Signal, Spare,
    Statuses, Step, Time, Times, Worker, WorkerTimeout,
};

const STEPS: usize = 200;
const TERM: Signal = 15;
const TRAPPED: [Signal; 4] = [1, 10, 12, TERM];
/// What a worker that is one too many is sent; no action sends it.
const STOP: Signal = 28;
/// What tells a worker that it is late.
const ABRT: Signal = 6;
/// What ends a worker whose time is over.
const KILL: Signal = 9;
/// Why the kernel refuses to send a signal.
const EPERM: i32 = 1;
/// The first of the numbers that actions send: each action has one of its own, so that it can be
/// told who was sent what.
const FIRST_SENT: Signal = 1000;
/// So few that numbers are given out again soon.
const PIDS: Pid = 60;

/// The busy workers, by index.
#[derive(Default)]
struct Board(BTreeSet<u32>);

/// When workers are due and who is ready, by index, who is traced, and when the manager looks.
#[derive(Default)]
struct Sheet {
    due: BTreeMap<u32, Time>,
    ready: BTreeSet<u32>,
    traced: BTreeSet<Pid>,
    looks_at: Cell<Time>,
}

struct Said<'a> {
    board: &'a Board,
    sheet: &'a Sheet,
}

impl Statuses for Said<'_> {
    fn is_busy(&self, worker: &Worker) -> bool {
        self.board.0.contains(&worker.index)
    }

    fn times(&self, worker: &Worker) -> Times {
        Times {
            due: self.sheet.due.get(&worker.index).copied(),
            is_ready: self.sheet.ready.contains(&worker.index),
            ..Times::default()
        }
    }

    fn will_look(&self, at: Time) {
        self.sheet.looks_at.set(at);
    }

    fn is_traced(&self, worker: &Worker) -> bool {
        self.sheet.traced.contains(&worker.pid)
    }
}

/// A child in the kernel: alive, or a zombie with its status.
#[derive(Clone, Copy)]
struct Child {
    is_worker: bool,
    zombie: Option<i32>,
    /// It has changed its user, so the manager may not signal it.
    is_protected: bool,
}

/// A worker that was forked, and that nobody has waited for.
#[derive(Clone, Copy)]
struct Owned {
    index: u32,
    generation: u64,
    /// It was sent STOP.
    stopping: bool,
    /// When its time is over, if that runs.
    grace: Grace,
    /// It was forked with a line on the timesheet.
    has_line: bool,
    /// It is, or was, traced: it may have been spared.
    may_be_spared: bool,
    forked_at: Time,
    start: Start,
    /// It rings when it is ready, and is told.
    rings: bool,
    /// It was killed as it was not ready.
    was_not_ready: bool,
    /// It was killed as it had not ended in time.
    grace_is_over: bool,
    /// It was told that it is late with its work, or was killed for that.
    was_late: bool,
}

/// Whether somebody waits for a worker to be ready.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// Nobody does.
    Unwatched,
    /// It is ready when it says so, or has lived for a second.
    Free,
    /// It has to say so by then.
    Until(Time),
    /// It was told that it is ready.
    Told,
}

/// What an excuse is: who was due at the first of these moments, or later, is due at the second.
type Excuse = Option<(Time, Time)>;

/// A worker that says nothing is ready after so long.
const READY_AFTER: Duration = Duration::from_secs(1);

/// The time that a worker has to end once it was told so, or was sent ABRT.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Grace {
    /// It was not told.
    None,
    /// It ends then.
    Until(Time),
    /// The same, and it was sent ABRT, which may have been refused.
    LateUntil(Time),
    /// It was sent KILL.
    Over,
}

/// A worker that somebody else has waited for.
struct Stolen {
    pid: Pid,
    worker: Owned,
    at: Time,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Outside,
    Running,
    Waiting,
}

struct Asleep {
    until: Option<Time>,
    busy: Option<(i32, i32)>,
}

/// A staggered action under way: who is left, and when the next is due.
struct Round {
    action: Action,
    left: Vec<(Pid, u64)>,
    next_at: Time,
}

/// A trapped signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrived {
    /// It has to be acted on.
    Unread,
    /// The program has read it outside of a run: it may be settled by that.
    Read,
    /// It has come again since, so its place in the queue may be the old one or a new one.
    Again,
}

struct World {
    rng: fastrand::Rng,
    machine: Machine,
    now: Time,
    board: Board,
    phase: Phase,
    asleep: Option<Asleep>,
    /// Something has happened that ends a sleep.
    woken: bool,
    /// `Machine::wake` was called, so one wait may have no length.
    may_wait_for_nothing: bool,
    notice: bool,
    /// Whom the SIGCHLD that is pending names: the first that has ended since the last one was taken.
    named: Option<Pid>,
    kernel: BTreeMap<Pid, Child>,
    last_pid: Pid,
    owned: BTreeMap<Pid, Owned>,
    stolen: Vec<Stolen>,
    /// Which fork the machine means by a pid, as long as it may send a signal there.
    serial: BTreeMap<Pid, u64>,
    forks: u64,
    ends: u64,
    arrived: Vec<(Signal, Arrived)>,
    actions: BTreeMap<Signal, Action>,
    next_sent: Signal,
    /// The signal that was acted on, until the run has ended.
    acting: Option<Signal>,
    /// Whom the action at hand has to be sent to, and has not been yet.
    to_send: Vec<(Pid, Signal)>,
    round: Option<Round>,
    gate: Time,
    retry_gate: Time,
    deadline: Option<Time>,
    /// Who else was found to be one too many with the one that was told so last.
    surplus: BTreeSet<Pid>,
    /// The last generation that memory was moved to huge pages for.
    huge_pages_in: u64,
    graceful_timeout: Option<Duration>,
    sheet: Sheet,
    worker_timeout: Option<WorkerTimeout>,
    /// When the host wanted to be back from its last wait, if it has not come to that since.
    wanted: Option<Time>,
    excuse: Excuse,
    ready_timeout: Option<Duration>,
    /// There are steps that tell who is ready.
    tells_ready: bool,
    /// The excuse of those who are not ready.
    ready_excuse: Excuse,
    /// Who was to be killed and may not be, and is to be told of.
    refused: Vec<Pid>,
    ending: bool,
    log: String,
}

macro_rules! note {
    ($world:expr, $($format:tt)*) => {
        writeln!($world.log, $($format)*).expect("a string takes everything")
    };
}

fn string_order(pids: &mut [Pid]) {
    pids.sort_by_key(ToString::to_string);
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut machine = Machine::default();
        machine.stop_signal = STOP;
        machine.target = rng.u32(0..8);
        machine.huge_pages = rng.bool();
        let grace = if rng.bool() {
            Some(Duration::from_millis(rng.u64(1..5_000)))
        } else {
            None
        };
        machine.set_graceful_timeout(grace);
        if rng.bool() {
            let min = rng.u32(1..4);
            machine.policy = Policy::Spare(Spare {
                min,
                max: min + rng.u32(0..4),
            });
        }
        let mut world = World {
            rng,
            machine,
            now: Time(1_000_000_000),
            board: Board::default(),
            phase: Phase::Outside,
            asleep: None,
            woken: false,
            may_wait_for_nothing: false,
            notice: false,
            named: None,
            kernel: BTreeMap::new(),
            last_pid: 0,
            owned: BTreeMap::new(),
            stolen: Vec::new(),
            serial: BTreeMap::new(),
            forks: 0,
            ends: 0,
            arrived: Vec::new(),
            actions: BTreeMap::new(),
            next_sent: FIRST_SENT,
            acting: None,
            to_send: Vec::new(),
            round: None,
            gate: Time::default(),
            retry_gate: Time::default(),
            deadline: None,
            surplus: BTreeSet::new(),
            huge_pages_in: 0,
            graceful_timeout: grace,
            sheet: Sheet::default(),
            worker_timeout: None,
            wanted: None,
            excuse: None,
            ready_timeout: None,
            tells_ready: false,
            ready_excuse: None,
            refused: Vec::new(),
            ending: false,
            log: String::new(),
        };
        world.set_worker_timeout();
        world.set_ready_timeout();
        if world.rng.bool() {
            world.tell_ready();
        }
        world
    }

    fn span(&mut self) -> Duration {
        let millis = match self.rng.u32(0..10) {
            0..=2 => 0,
            3..=5 => self.rng.u64(1..100),
            6..=8 => self.rng.u64(100..3_000),
            _ => self.rng.u64(3_000..10_000_000),
        };
        Duration::from_millis(millis)
    }

    fn any_pid(&mut self, wanted: impl Fn(&Child) -> bool) -> Option<Pid> {
        let pids: Vec<Pid> = self
            .kernel
            .iter()
            .filter(|(_, child)| wanted(child))
            .map(|(&pid, _)| pid)
            .collect();
        self.rng.choice(pids)
    }

    /// The kernel counts up and begins anew, and gives out no number that a child still has.
    fn new_pid(&mut self, is_worker: bool) -> Pid {
        loop {
            self.last_pid = self.last_pid % PIDS + 1;
            let pid = self.last_pid;
            // A stolen worker's number may be a new worker's at once. That it becomes some other
            // child's before anybody could look would take a wrap of all pids within a second.
            let is_stolen = self.stolen.iter().any(|stolen| stolen.pid == pid);
            if !self.kernel.contains_key(&pid) && (is_worker || !is_stolen) {
                self.kernel.insert(
                    pid,
                    Child {
                        is_worker,
                        zombie: None,
                        is_protected: false,
                    },
                );
                return pid;
            }
        }
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..=49 => self.host(),
            50..=57 => {
                let span = self.span();
                self.now = self.now.after(span);
                note!(self, "clock +{span:?}");
            }
            58..=69 => {
                if let Some(pid) = self.any_pid(|child| child.zombie.is_none()) {
                    let status = *self.rng.choice(&[0, 0, 256, 9, 15]).expect("a status");
                    self.exit(pid, status);
                }
            }
            70..=77 => {
                let signal = *self.rng.choice(&TRAPPED).expect("a signal");
                self.signal(signal);
            }
            78..=80 => self.theft(),
            81 => self.host_waits_by_itself(),
            82..=84 => {
                if self.kernel.len() < 20 {
                    let pid = self.new_pid(false);
                    note!(self, "foreign child {pid}");
                }
            }
            85..=88 => self.status_change(),
            89..=91 => self.work(),
            92..=94 => {
                if let Some(pid) = self.any_pid(|child| child.zombie.is_none()) {
                    note!(self, "{pid} changes its user, or has its own again");
                    self.kernel.get_mut(&pid).expect("a child").is_protected ^= true;
                }
            }
            _ => self.setting(),
        }
        self.check_sleep();
    }

    fn exit(&mut self, pid: Pid, status: i32) {
        note!(self, "{pid} exits with {status}");
        self.kernel.get_mut(&pid).expect("a child").zombie = Some(status);
        self.notice = true;
        self.named.get_or_insert(pid);
        self.woken = true;
    }

    /// Somebody else waits for a child of ours.
    fn theft(&mut self) {
        if let Some(pid) = self.any_pid(|_| true) {
            let child = self.kernel.remove(&pid).expect("a child");
            note!(self, "somebody else reaps {pid}");
            if child.is_worker {
                let worker = self.owned.remove(&pid).expect("ours");
                let at = self.now;
                self.stolen.push(Stolen { pid, worker, at });
            }
            self.notice = true;
            self.woken = true;
        }
    }

    /// The host reaps a worker by itself, and says so; or takes one out of the pool.
    fn host_waits_by_itself(&mut self) {
        if !self.to_send.is_empty() || self.asleep.is_some() {
            return;
        }
        let is_zombie = self.rng.bool();
        let Some(pid) =
            self.any_pid(|child| child.is_worker && child.zombie.is_some() == is_zombie)
        else {
            return;
        };
        let worker = self.owned.remove(&pid).expect("ours");
        self.serial.remove(&pid);
        self.surplus.remove(&pid);
        self.refused.retain(|&other| other != pid);
        self.ends += 1;
        if is_zombie {
            note!(self, "the host has reaped {pid}");
            self.kernel.remove(&pid);
            self.machine.worker_reaped(pid, 256, self.now);
            self.board.0.remove(&worker.index);
        } else {
            note!(self, "the host disowns {pid}");
            self.kernel.get_mut(&pid).expect("a child").is_worker = false;
            self.machine.remove(pid);
            self.board.0.remove(&worker.index);
            self.may_wait_for_nothing = true;
        }
    }

    fn signal(&mut self, signal: Signal) {
        note!(self, "signal {signal}");
        match self.arrived.iter_mut().find(|(other, _)| *other == signal) {
            Some((_, state @ Arrived::Read)) => *state = Arrived::Again,
            Some(_) => {}
            None => self.arrived.push((signal, Arrived::Unread)),
        }
        self.machine.signal(signal);
        self.woken = true;
    }

    fn status_change(&mut self) {
        let workers: Vec<Owned> = self
            .owned
            .iter()
            .filter(|(pid, _)| self.is_alive(**pid))
            .map(|(_, &worker)| worker)
            .collect();
        if let Some(Owned {
            index, stopping, ..
        }) = self.rng.choice(workers)
        {
            if !self.board.0.remove(&index) {
                self.board.0.insert(index);
            }
            note!(self, "busy: {:?}", self.board.0);
            if let Some(Asleep {
                busy: Some((low, high)),
                ..
            }) = self.asleep
            {
                let busy = self.board.0.len() as i32;
                self.woken |= stopping || busy < low || busy > high;
            }
        }
    }

    /// A worker says that it is ready, by when it will be done, or that it is; or a debugger takes hold of it, or lets it go.
    fn work(&mut self) {
        let pids: Vec<Pid> = self
            .owned
            .keys()
            .copied()
            .filter(|&pid| self.is_alive(pid))
            .collect();
        let Some(pid) = self.rng.choice(pids) else {
            return;
        };
        let worker = self.owned[&pid];
        match self.rng.u32(0..10) {
            0 | 1 if worker.has_line => {
                note!(self, "{pid} is ready");
                self.gets_ready(pid);
            }
            what @ 2..=6 if worker.has_line => {
                // A tick is no word about that.
                if what > 2 {
                    self.gets_ready(pid);
                }
                let short = self.rng.bool().then(|| self.span());
                let span = short.or(self.worker_timeout.map(|set| set.timeout));
                let due = span.map_or(Time(self.rng.u64(..)), |span| self.now.after(span));
                note!(self, "{pid} is due at {due:?}");
                self.sheet.due.insert(worker.index, due);
                if due < self.sheet.looks_at.get() {
                    self.machine.look_at_times();
                    self.woken = true;
                }
            }
            7 | 8 if worker.has_line => {
                note!(self, "{pid} is idle");
                self.gets_ready(pid);
                self.sheet.due.remove(&worker.index);
            }
            _ => {
                note!(self, "{pid} is traced, or is not any more");
                if !self.sheet.traced.remove(&pid) {
                    self.sheet.traced.insert(pid);
                }
                self.owned.get_mut(&pid).expect("ours").may_be_spared = true;
            }
        }
    }

    /// Once it rings, if somebody waits for that.
    fn gets_ready(&mut self, pid: Pid) {
        let worker = self.owned[&pid];
        if self.sheet.ready.insert(worker.index) && worker.rings {
            self.machine.look_who_is_ready();
            self.woken = true;
        }
    }

    fn tell_ready(&mut self) {
        note!(self, "who is ready is told");
        self.machine.tell_ready();
        self.tells_ready = true;
    }

    fn set_ready_timeout(&mut self) {
        let millis = self.rng.u64(1..5_000);
        let set = self.rng.bool().then(|| Duration::from_millis(millis));
        note!(self, "ready timeout {set:?}");
        self.ready_timeout = set;
        self.machine.set_ready_timeout(set);
        if set.is_none() {
            self.ready_excuse = None;
            let is_told = self.tells_ready;
            let stolen = self.stolen.iter_mut().map(|stolen| &mut stolen.worker);
            for worker in self.owned.values_mut().chain(stolen) {
                match worker.start {
                    Start::Free | Start::Until(_) if !is_told => worker.start = Start::Unwatched,
                    Start::Until(_) if !worker.was_not_ready => worker.start = Start::Free,
                    _ => {}
                }
            }
        }
        self.wake();
    }

    fn set_worker_timeout(&mut self) {
        let set = if self.rng.u32(0..4) > 0 {
            let timeout = Duration::from_millis(self.rng.u64(1..20_000));
            let grace = self.rng.bool().then(|| self.span());
            Some(WorkerTimeout { timeout, grace })
        } else {
            None
        };
        note!(self, "worker timeout {set:?}");
        if self.worker_timeout.is_none() || set.is_none() {
            self.excuse = None;
        }
        self.worker_timeout = set;
        self.machine.set_worker_timeout(set);
        self.wake();
    }

    fn setting(&mut self) {
        match self.rng.u32(0..11) {
            0 | 1 => {
                self.machine.target = self.rng.u32(0..10);
                self.wake();
                note!(self, "target {}", self.machine.target);
            }
            2 => {
                self.machine.pacing.spawn_interval = self.span();
                note!(self, "spawn {:?}", self.machine.pacing.spawn_interval);
            }
            3 => {
                self.machine.pacing.err_respawn_interval = self.span();
                note!(self, "err {:?}", self.machine.pacing.err_respawn_interval);
            }
            4 => {
                let signal = *self.rng.choice(&TRAPPED).expect("a signal");
                let interval = self.span();
                self.set_action(signal, interval);
            }
            5 => {
                // Those whose time runs already keep it.
                self.graceful_timeout = self.rng.bool().then(|| self.span());
                self.machine.set_graceful_timeout(self.graceful_timeout);
                note!(self, "graceful timeout {:?}", self.graceful_timeout);
            }
            6 => self.tell_all(),
            7 => self.set_worker_timeout(),
            8 => self.set_ready_timeout(),
            9 if self.rng.u32(0..4) == 0 => self.tell_ready(),
            _ => self.wake(),
        }
    }

    fn set_action(&mut self, signal: Signal, interval: Duration) {
        let send = self.next_sent;
        self.next_sent += 1;
        let action = Action { send, interval };
        note!(self, "action for {signal}: {action:?}");
        self.machine.actions.insert(signal, action);
        self.actions.insert(signal, action);
    }

    fn wake(&mut self) {
        self.machine.wake();
        self.woken = true;
        self.may_wait_for_nothing = true;
    }

    fn is_alive(&self, pid: Pid) -> bool {
        self.kernel
            .get(&pid)
            .is_some_and(|child| child.zombie.is_none())
    }

    /// What the host does next, if it is not asleep or something has woken it.
    fn host(&mut self) {
        if let Some(Asleep { until, .. }) = self.asleep {
            if !self.woken && until.is_none_or(|until| until > self.now) {
                return;
            }
            self.asleep = None;
        }
        self.woken = false;
        match self.phase {
            Phase::Outside if self.ending => self.begin(),
            Phase::Outside => match self.rng.u32(0..10) {
                0..=5 => self.begin(),
                6 | 7 => {
                    let span = self.span();
                    let deadline = self.rng.bool().then(|| self.now.after(span));
                    note!(self, "wait until {deadline:?}");
                    self.drain(deadline);
                }
                8 => self.read_signal(),
                _ => {
                    self.machine.set_goal(Goal::Suspended);
                    self.turn();
                }
            },
            Phase::Running | Phase::Waiting => self.turn(),
        }
    }

    fn drain(&mut self, deadline: Option<Time>) {
        self.machine.set_goal(Goal::Drain(deadline));
        self.deadline = deadline;
        self.phase = Phase::Waiting;
    }

    fn begin(&mut self) {
        note!(self, "start");
        self.machine.begin();
        // What the program had read is settled.
        self.arrived.retain(|(_, state)| *state != Arrived::Read);
        self.phase = Phase::Running;
    }

    fn read_signal(&mut self) {
        let shown = self.machine.signals.shown();
        self.machine.signals.mark_read();
        note!(self, "the program reads {shown}");
        if let Some((_, state)) = self.arrived.iter_mut().find(|(other, _)| *other == shown) {
            *state = Arrived::Read;
        }
    }

    /// The host tells of a SIGCHLD, and now and then whom it names: one that has ended, which
    /// somebody may have reaped meanwhile; or one that was only stopped, a number of long ago.
    fn take_notice(&mut self) {
        let named = self.named.take();
        let is_pending = std::mem::take(&mut self.notice);
        match named {
            Some(pid) if is_pending && self.rng.bool() => {
                note!(self, "SIGCHLD of {pid}");
                self.machine.child_ended(Some(pid), self.now);
            }
            _ if self.rng.u32(0..20) == 0 => {
                let pid = self.rng.i32(0..=PIDS);
                note!(self, "SIGCHLD of {pid}, which is alive or gone");
                self.machine.child_ended(Some(pid), self.now);
            }
            _ if is_pending => self.machine.child_ended(None, self.now),
            _ => {}
        }
    }

    /// A host that comes back late excuses, once, who was due meanwhile.
    fn come_back(&mut self) {
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        if let Some(set) = self.worker_timeout {
            self.excuse = self.excused(self.excuse, wanted, set.timeout);
        }
        if let Some(timeout) = self.ready_timeout {
            self.ready_excuse = self.excused(self.ready_excuse, wanted, timeout);
        }
    }

    fn excused(&mut self, before: Excuse, wanted: Time, most: Duration) -> Excuse {
        let late = Duration::from_nanos(self.now.0.saturating_sub(wanted.0));
        let is_excused = before.is_some_and(|(_, until)| until > self.now);
        if late <= Duration::from_secs(1) || is_excused {
            return before;
        }
        let used = before.map_or(0, |(_, until)| until.0.saturating_add(1));
        let excuse = (wanted.max(Time(used)), self.now.after(late.min(most)));
        note!(self, "late by {late:?}: {excuse:?}");
        Some(excuse)
    }

    /// When this worker is killed if it is not ready, as far as that counts.
    fn ready_by(&self, worker: &Owned) -> Option<Time> {
        let Start::Until(at) = worker.start else {
            return None;
        };
        if worker.grace != Grace::None || self.sheet.ready.contains(&worker.index) {
            return None;
        }
        let excuse = self.ready_excuse.filter(|&(from, _)| at >= from);
        Some(excuse.map_or(at, |(_, until)| at.max(until)))
    }

    /// When this worker is due, as far as that counts.
    fn due(&self, worker: &Owned) -> Option<Time> {
        if !worker.has_line || worker.grace != Grace::None || self.worker_timeout.is_none() {
            return None;
        }
        let due = *self.sheet.due.get(&worker.index)?;
        let excuse = self.excuse.filter(|&(from, _)| due >= from);
        Some(excuse.map_or(due, |(_, until)| due.max(until)))
    }

    fn turn(&mut self) {
        self.take_notice();
        self.come_back();
        let before = self.machine.signals.first();
        let said = Said {
            board: &self.board,
            sheet: &self.sheet,
        };
        let step = self.machine.next(self.now, &said).expect("a step");
        note!(self, "{step:?}");
        if self.machine.signals.first() != before {
            self.expect_action(before);
        }
        match step {
            Step::Kill { pid, signal: STOP } => self.stop(pid),
            Step::Kill { pid, signal: KILL } => self.end_time(pid),
            Step::Kill { pid, signal: ABRT } => self.tell_late(pid),
            Step::Kill { pid, signal } => self.kill(pid, signal),
            Step::ReapWorker(pid) => self.reap_worker(pid),
            Step::Reap => self.reap(),
            Step::Audit => {
                let missing: Vec<Pid> = self
                    .machine
                    .workers()
                    .iter()
                    .filter(|worker| !worker.reaped && !self.kernel.contains_key(&worker.pid))
                    .map(|worker| worker.pid)
                    .collect();
                self.machine.audited(&missing, self.now);
                self.serial.retain(|pid, _| !missing.contains(pid));
            }
            Step::UseHugePages => {
                assert!(self.machine.huge_pages, "huge pages that nobody wants");
                assert_ne!(self.huge_pages_in, self.machine.generation(), "twice");
                self.huge_pages_in = self.machine.generation();
            }
            Step::Fork { index, generation } => {
                let has_huge_pages = self.huge_pages_in == generation;
                assert_eq!(has_huge_pages, self.machine.huge_pages, "before a fork");
                self.fork(index, generation);
            }
            Step::Reaped(exit) => {
                assert_eq!(
                    (exit.status, exit.reason),
                    (-1, Reason::Stolen),
                    "what nobody reaped here was stolen"
                );
                let is_it =
                    |stolen: &Stolen| (stolen.pid, stolen.worker.index) == (exit.pid, exit.index);
                let position = self.stolen.iter().position(is_it);
                let stolen = self.stolen.remove(position.expect("it was stolen"));
                self.reported(&exit, stolen.worker);
                if exit.generation == self.machine.generation() {
                    self.close_gate(self.machine.pacing.err_respawn_interval);
                }
            }
            Step::Wait { until, busy } => {
                let may_wait_for_nothing = std::mem::take(&mut self.may_wait_for_nothing);
                assert!(
                    may_wait_for_nothing || until.is_none_or(|until| until > self.now),
                    "it spins: a wait without length, and nobody asked for it"
                );
                assert!(self.to_send.is_empty(), "not sent: {:?}", self.to_send);
                let untold = self
                    .refused
                    .iter()
                    .any(|&pid| self.owned.contains_key(&pid));
                assert!(!untold, "not told of: {:?}", self.refused);
                let excuses = self.worker_timeout.is_some() || self.ready_timeout.is_some();
                self.wanted = until.filter(|_| excuses);
                self.asleep = Some(Asleep { until, busy });
            }
            Step::Ready {
                pid,
                index,
                generation,
            } => self.is_ready(pid, index, generation),
            Step::KillFailed {
                pid,
                index,
                generation,
                errno,
            } => {
                let position = self.refused.iter().position(|&other| other == pid);
                self.refused
                    .remove(position.expect("one that may not be killed, once"));
                let worker = self.ours(pid);
                assert_eq!((worker.index, worker.generation), (index, generation));
                assert_eq!(errno, EPERM);
            }
            Step::Stopped(signal) => {
                assert!(self.phase == Phase::Running, "stopped outside of a run");
                assert!(self.to_send.is_empty(), "not sent: {:?}", self.to_send);
                assert_eq!(self.acting.take(), Some(signal));
                assert_eq!(self.machine.signals.shown(), signal);
                self.phase = Phase::Outside;
            }
            Step::Drained => {
                assert!(self.phase == Phase::Waiting);
                assert!(self.owned.is_empty() && self.stolen.is_empty());
                self.phase = Phase::Outside;
            }
            Step::TimedOut => {
                assert!(self.phase == Phase::Waiting);
                assert!(self.deadline.is_some_and(|deadline| deadline <= self.now));
                self.phase = Phase::Outside;
            }
        }
    }

    /// If the machine has taken a signal out of its queue in this turn, it was the oldest one
    /// that waited, and the workers of this moment are to be sent what its action says.
    fn expect_action(&mut self, before: Option<Signal>) {
        assert!(self.phase == Phase::Running, "acted on outside of a run");
        assert!(self.to_send.is_empty(), "the action before is not over");
        let signal = before.expect("one that waited");
        let (position, &(_, state)) = self
            .arrived
            .iter()
            .enumerate()
            .find(|(_, (other, _))| *other == signal)
            .expect("only what has arrived is acted on, and only once");
        assert!(
            state == Arrived::Again
                || self.arrived[..position]
                    .iter()
                    .all(|(_, state)| *state != Arrived::Unread),
            "{signal} was acted on before {:?}",
            self.arrived
        );
        self.arrived.remove(position);
        self.acting = Some(signal);
        let mut pids: Vec<Pid> = self
            .machine
            .workers()
            .iter()
            .filter(|worker| !worker.reaped)
            .map(|worker| worker.pid)
            .collect();
        assert!(
            self.owned.keys().all(|pid| pids.contains(pid)),
            "a worker is missing among {pids:?}"
        );
        string_order(&mut pids);
        match self.actions.get(&signal) {
            Some(&Action { send, interval }) if interval.is_zero() => {
                self.to_send = pids.into_iter().map(|pid| (pid, send)).collect();
            }
            Some(&action) => {
                let left = pids.iter().map(|pid| (*pid, self.serial[pid])).collect();
                self.round = Some(Round {
                    action,
                    left,
                    next_at: self.now,
                });
            }
            None => {}
        }
    }

    fn kill(&mut self, pid: Pid, signal: Signal) {
        self.check_target(pid);
        if self.to_send.first() == Some(&(pid, signal)) {
            self.to_send.remove(0);
        } else {
            self.staggered(pid, signal);
        }
        self.sent(pid, signal);
        if self.ending && self.is_alive(pid) {
            self.exit(pid, signal);
        }
    }

    /// One worker is too many, or several are, and each is told so.
    fn stop(&mut self, pid: Pid) {
        self.check_target(pid);
        let first = !self.surplus.remove(&pid);
        if first {
            assert!(self.surplus.is_empty(), "not told: {:?}", self.surplus);
            let told = |pid: Pid| match self.owned.get(&pid) {
                Some(worker) => worker.stopping,
                None => self
                    .stolen
                    .iter()
                    .any(|stolen| stolen.pid == pid && stolen.worker.stopping),
            };
            let workers = self.machine.workers().iter();
            self.surplus = workers
                .filter(|worker| worker.stopping && !worker.reaped && worker.pid != pid)
                .map(|worker| worker.pid)
                .filter(|&pid| !told(pid))
                .collect();
            let Policy::Spare(Spare { max, .. }) = self.machine.policy else {
                panic!("nobody is one too many");
            };
            assert!(self.phase == Phase::Running, "outside of a run");
            assert!(self.idle().0 > max as usize, "nobody is one too many");
            assert!(self.is_open(), "before its time");
            self.set_gate(self.machine.pacing.spawn_interval);
        }
        if let Some(worker) = self.owned.get_mut(&pid) {
            assert!(!worker.stopping, "{pid} was told to stop twice");
            assert!(
                !first || !self.board.0.contains(&worker.index),
                "{pid} is busy and was told to stop"
            );
            worker.stopping = true;
        }
        for stolen in &mut self.stolen {
            stolen.worker.stopping |= stolen.pid == pid;
        }
        self.sent(pid, STOP);
    }

    /// The program sends TERM to all, from a hook or a handler, once or again.
    fn tell_all(&mut self) {
        note!(self, "TERM to all");
        let pids: Vec<Pid> = self.owned.keys().copied().collect();
        for pid in pids {
            self.sent(pid, TERM);
        }
        self.woken = true;
    }

    /// A signal was sent to this worker, if it is there; os::kill sends nothing to one that is not.
    fn sent(&mut self, pid: Pid, signal: Signal) {
        if !self.kernel.contains_key(&pid) {
            return;
        }
        if self.is_refused(pid) {
            self.machine.refused(pid, signal, EPERM, self.now);
        } else {
            self.machine.sent(pid, signal, self.now);
        }
        let until = self.graceful_timeout.map(|span| self.now.after(span));
        if let (Some(until), Some(worker)) = (until, self.owned.get_mut(&pid)) {
            if matches!(signal, STOP | TERM) && worker.grace == Grace::None {
                worker.grace = Grace::Until(until);
            }
        }
    }

    /// Whether the kernel refuses to send signals to this child, dead or alive.
    fn is_refused(&self, pid: Pid) -> bool {
        self.kernel
            .get(&pid)
            .is_some_and(|child| child.is_protected)
    }

    /// A worker of ours, which somebody else may have reaped.
    fn ours(&mut self, pid: Pid) -> &mut Owned {
        let stolen = self.stolen.iter_mut().find(|stolen| stolen.pid == pid);
        let owned = self.owned.get_mut(&pid);
        let worker = owned.or(stolen.map(|stolen| &mut stolen.worker));
        worker.expect("a worker of ours")
    }

    /// A worker that was told to end, and has not, or that is late, is sent KILL, once and not before its time.
    fn end_time(&mut self, pid: Pid) {
        self.check_target(pid);
        let worker = *self.ours(pid);
        match worker.grace {
            Grace::Until(until) => {
                assert!(until <= self.now, "{pid} had some time left");
                self.ours(pid).grace_is_over = true;
            }
            Grace::LateUntil(until) => {
                assert!(until <= self.now, "{pid} had some time left");
                self.ours(pid).was_late = true;
            }
            Grace::None if self.was_not_ready(pid) => {
                let by = self.ready_by(&worker);
                assert!(
                    by.is_some_and(|by| by <= self.now),
                    "{pid} had some time left"
                );
                assert!(!self.sheet.traced.contains(&pid), "{pid} is traced");
                self.ours(pid).was_not_ready = true;
            }
            Grace::None => {
                self.check_late(pid, &worker);
                let set = self.worker_timeout.expect("somebody is late");
                assert_eq!(set.grace, None, "{pid} was to be sent ABRT first");
                self.ours(pid).was_late = true;
            }
            Grace::Over => panic!("{pid} was killed before"),
        }
        self.ours(pid).grace = Grace::Over;
        if self.is_refused(pid) {
            self.machine.refused(pid, KILL, EPERM, self.now);
            self.refused.push(pid);
            // It was not, but what it was sent before counts.
            let was_late = worker.was_late;
            let worker = self.ours(pid);
            (worker.was_not_ready, worker.grace_is_over) = (false, false);
            worker.was_late = was_late;
        } else if self.is_alive(pid) {
            self.exit(pid, KILL);
        }
    }

    fn was_not_ready(&self, pid: Pid) -> bool {
        let worker = self.machine.workers().get(pid);
        worker.is_some_and(|worker| worker.sent.was_not_ready())
    }

    /// A worker is told to be ready, once: it has said so, or has lived for a second.
    fn is_ready(&mut self, pid: Pid, index: u32, generation: u64) {
        assert!(self.tells_ready, "nobody wants to know that");
        let now = self.now;
        let has_said = self.sheet.ready.contains(&index);
        let known = *self.machine.workers().get(pid).expect("a worker");
        let said = Said {
            board: &self.board,
            sheet: &self.sheet,
        };
        assert!(self.machine.is_ready(&known, now, &said), "{pid} is not");
        let worker = self.ours(pid);
        assert!(worker.rings, "{pid} is of before");
        assert_eq!((worker.index, worker.generation), (index, generation));
        assert!(!worker.was_not_ready, "{pid} was killed as it was not");
        match worker.start {
            Start::Free => assert!(has_said || worker.forked_at.after(READY_AFTER) <= now),
            Start::Until(_) => assert!(has_said, "{pid} has not said so"),
            Start::Unwatched | Start::Told => panic!("{pid} was told before, or is of before"),
        }
        worker.start = Start::Told;
    }

    /// A worker that is late is sent ABRT, once, and may end by that.
    fn tell_late(&mut self, pid: Pid) {
        self.check_target(pid);
        let worker = *self.ours(pid);
        self.check_late(pid, &worker);
        let grace = self.worker_timeout.and_then(|set| set.grace);
        let until = self.now.after(grace.expect("time after ABRT"));
        self.ours(pid).grace = Grace::LateUntil(until);
        if self.is_refused(pid) {
            self.machine.refused(pid, ABRT, EPERM, self.now);
            return;
        }
        self.ours(pid).was_late = true;
        if self.is_alive(pid) && self.rng.bool() {
            self.exit(pid, 256);
        }
    }

    fn check_late(&self, pid: Pid, worker: &Owned) {
        let due = self.due(worker);
        assert!(due.is_some_and(|due| due <= self.now), "{pid} is not late");
        assert!(!self.sheet.traced.contains(&pid), "{pid} is traced");
    }

    /// Only workers are sent anything. Those that somebody else has reaped meanwhile os::kill leaves
    /// out, which asks the kernel first.
    fn check_target(&self, pid: Pid) {
        let is_stolen = self.stolen.iter().any(|stolen| stolen.pid == pid);
        assert!(
            self.owned.contains_key(&pid) || is_stolen && !self.kernel.contains_key(&pid),
            "{pid} is no worker of ours"
        );
    }

    /// How many workers are idle, and how many of those were told to stop.
    fn idle(&self) -> (usize, usize) {
        let idle = self.machine.workers().iter();
        let idle: Vec<bool> = idle
            .filter(|worker| !self.board.0.contains(&worker.index))
            .map(|worker| worker.stopping)
            .collect();
        (
            idle.len(),
            idle.iter().filter(|&&stopping| stopping).count(),
        )
    }

    fn is_open(&self) -> bool {
        self.gate <= self.now && self.retry_gate <= self.now
    }

    fn set_gate(&mut self, span: Duration) {
        self.gate = self.now.after(span);
    }

    /// No worker is forked for so long at least.
    fn close_gate(&mut self, span: Duration) {
        self.gate = self.gate.max(self.now.after(span));
    }

    fn staggered(&mut self, pid: Pid, signal: Signal) {
        self.forget_the_dead();
        let now = self.now;
        let round = self.round.as_mut().expect("a staggered action");
        assert_eq!(round.action.send, signal, "an action of before");
        assert!(round.next_at <= now, "before its time");
        let (next, _) = round.left.remove(0);
        assert_eq!(next, pid, "it was {next}'s turn");
        round.next_at = now.after(round.action.interval);
    }

    /// Workers that the machine knows to be gone have no turn.
    fn forget_the_dead(&mut self) {
        let serial = &self.serial;
        if let Some(round) = &mut self.round {
            round
                .left
                .retain(|(pid, number)| serial.get(pid) == Some(number));
        }
    }

    fn reap(&mut self) {
        if self.kernel.is_empty() {
            self.machine.no_children(self.now);
            self.serial.clear();
            return;
        }
        match self.any_pid(|child| child.zombie.is_some()) {
            Some(pid) => self.reap_zombie(pid),
            None => self.machine.none_ended(self.now),
        }
    }

    /// Only a worker is looked at by its number: a foreign child may be somebody else's to reap.
    fn reap_worker(&mut self, pid: Pid) {
        let is_stolen = self.stolen.iter().any(|stolen| stolen.pid == pid);
        assert!(
            self.owned.contains_key(&pid) || is_stolen,
            "{pid} is no worker of ours"
        );
        if self
            .kernel
            .get(&pid)
            .is_some_and(|child| child.zombie.is_some())
        {
            self.reap_zombie(pid);
        }
    }

    fn reap_zombie(&mut self, pid: Pid) {
        let child = self.kernel.remove(&pid).expect("a zombie");
        let status = child.zombie.expect("a status");
        let exit = self.machine.child_reaped(pid, status, self.now);
        note!(self, "{exit:?}");
        assert_eq!((exit.pid, exit.status), (pid, status));
        if child.is_worker {
            let worker = self.owned.remove(&pid).expect("reported once");
            let is_current = worker.generation == self.machine.generation();
            let reason = match (worker.stopping, status) {
                (true, _) => Reason::Stopped,
                (false, 1..) if is_current => Reason::Failed,
                _ => Reason::Ended,
            };
            assert_eq!(exit.reason, reason);
            self.serial.remove(&pid);
            self.reported(&exit, worker);
            if reason == Reason::Failed {
                self.close_gate(self.machine.pacing.err_respawn_interval);
            }
        } else {
            assert_eq!(exit.reason, Reason::Foreign);
        }
    }

    fn reported(&mut self, exit: &Exit, worker: Owned) {
        assert_eq!(
            (exit.index, exit.generation),
            (worker.index, worker.generation)
        );
        let was_not_ready = exit.cause == Cause::NotReady;
        assert_eq!(was_not_ready, worker.was_not_ready);
        assert_eq!(exit.cause == Cause::Timeout, worker.was_late);
        assert_eq!(exit.grace_is_over, worker.grace_is_over);
        self.refused.retain(|&pid| pid != exit.pid);
        self.board.0.remove(&worker.index);
        self.ends += 1;
    }

    fn fork(&mut self, index: u32, generation: u64) {
        assert!(self.phase == Phase::Running, "a fork outside of a run");
        let alive = self.machine.workers().len();
        assert!(
            (alive as u64) < u64::from(self.machine.target),
            "{alive} of {} workers, and one more",
            self.machine.target
        );
        assert!(self.is_open(), "a fork before its time");
        assert!(
            self.owned.values().all(|worker| worker.index != index),
            "two workers with index {index}"
        );
        assert_eq!(generation, self.machine.generation());
        if let Policy::Spare(Spare { min, .. }) = self.machine.policy {
            let (idle, stopping) = self.idle();
            assert!(idle - stopping < min as usize, "enough are idle");
        }
        let what = if self.ending { 2 } else { self.rng.u32(0..12) };
        if what > 1 && alive + 1 < self.machine.target as usize && self.rng.u32(0..16) == 0 {
            self.adopt(index);
        }
        match what {
            0 => {
                note!(self, "fork fails");
                self.machine.fork_failed(self.now).expect("asked");
                self.close_gate(self.machine.pacing.err_respawn_interval);
                self.retry_gate = self.now.after(FORK_RETRY_MIN);
            }
            1 => {
                note!(self, "a hook throws, and the program starts again");
                self.begin();
            }
            _ => {
                let pid = self.new_pid(true);
                note!(self, "forked {pid}");
                assert_eq!(self.machine.forked(pid, self.now), Ok(index));
                self.own(pid, index, generation);
                let start = match self.ready_timeout {
                    Some(timeout) => Start::Until(self.now.after(timeout)),
                    None if self.tells_ready => Start::Free,
                    None => Start::Unwatched,
                };
                let has_line = self.worker_timeout.is_some() || start != Start::Unwatched;
                let rings = self.tells_ready;
                let worker = self.owned.get_mut(&pid).expect("ours");
                (worker.has_line, worker.start, worker.rings) = (has_line, start, rings);
                self.set_gate(self.machine.pacing.spawn_interval);
            }
        }
    }

    /// A hook enters a process of its own while a fork waits for its answer.
    fn adopt(&mut self, asked: u32) {
        let pid = self.new_pid(true);
        let generation = self.machine.generation();
        self.machine.adopt(pid, None, generation, self.now);
        let index = self.machine.workers().get(pid).expect("entered").index;
        note!(self, "{pid} is entered, index {index}");
        assert!(
            self.owned.values().all(|worker| worker.index != index) && index != asked,
            "two workers with index {index}"
        );
        self.own(pid, index, generation);
        self.may_wait_for_nothing = true;
    }

    fn own(&mut self, pid: Pid, index: u32, generation: u64) {
        self.forks += 1;
        self.serial.insert(pid, self.forks);
        self.refused.retain(|&other| other != pid);
        self.sheet.traced.remove(&pid);
        self.sheet.due.remove(&index);
        self.sheet.ready.remove(&index);
        self.owned.insert(
            pid,
            Owned {
                index,
                generation,
                stopping: false,
                grace: Grace::None,
                has_line: false,
                may_be_spared: false,
                forked_at: self.now,
                start: Start::Unwatched,
                rings: false,
                was_not_ready: false,
                grace_is_over: false,
                was_late: false,
            },
        );
    }

    /// While the host sleeps and nothing has woken it, nothing is left undone that would need it,
    /// now or before the sleep is over.
    fn check_sleep(&mut self) {
        self.forget_the_dead();
        let Some(Asleep { until, .. }) = self.asleep else {
            return;
        };
        if self.woken || until.is_some_and(|until| until <= self.now) {
            return;
        }
        let ends_by = |at: Time| until.is_some_and(|until| until <= at);
        for worker in self.owned.values() {
            if let Grace::Until(at) | Grace::LateUntil(at) = worker.grace {
                assert!(ends_by(at), "nobody will end a worker whose time is over");
            }
            let due = self.due(worker).filter(|_| !worker.may_be_spared);
            assert!(due.is_none_or(ends_by), "nobody will see that one is late");
            let by = self.ready_by(worker).filter(|_| !worker.may_be_spared);
            assert!(
                by.is_none_or(ends_by),
                "nobody will end one that is not ready"
            );
            let lives = Some(worker.forked_at.after(READY_AFTER));
            let ready_at = lives.filter(|_| worker.start == Start::Free && worker.rings);
            assert!(
                ready_at.is_none_or(ends_by),
                "nobody will tell who is ready"
            );
            let is_watched = matches!(worker.start, Start::Free | Start::Until(_));
            let is_untold = is_watched && worker.rings && !worker.was_not_ready;
            let has_said = self.sheet.ready.contains(&worker.index);
            assert!(!is_untold || !has_said, "one is ready and not told");
        }
        assert!(
            self.kernel.values().all(|child| child.zombie.is_none()),
            "a zombie, and the host sleeps"
        );
        if let Some(round) = &self.round {
            assert!(
                round.left.is_empty() || ends_by(round.next_at),
                "nobody will send the staggered signal"
            );
        }
        for stolen in &self.stolen {
            assert!(
                ends_by(self.now.max(stolen.at).after(Duration::from_secs(1))),
                "nobody will notice that {} was stolen",
                stolen.pid
            );
        }
        match self.phase {
            Phase::Outside => {}
            Phase::Waiting => {
                assert!(
                    !self.machine.workers().is_empty(),
                    "all have gone, and the host sleeps"
                );
                assert!(
                    self.deadline.is_none_or(ends_by),
                    "it sleeps past the deadline"
                );
            }
            Phase::Running => {
                assert!(self.machine.signals.first().is_none(), "a signal waits");
                let workers = self.machine.workers();
                let may_grow = (workers.len() as u64) < u64::from(self.machine.target);
                let is_due = match self.machine.policy {
                    Policy::Spare(Spare { min, max }) => {
                        let (idle, stopping) = self.idle();
                        let staying = idle - stopping;
                        may_grow && staying < min as usize || staying > max as usize
                    }
                    _ => may_grow,
                };
                assert!(
                    !is_due || !self.is_open() && ends_by(self.gate.max(self.retry_gate)),
                    "the pool is not as it should be, and the host sleeps"
                );
            }
        }
    }

    /// The host runs until `done`; where it sleeps and nothing wakes it, time passes.
    fn run_until(&mut self, done: impl Fn(&World) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            if let Some(Asleep { until, .. }) = self.asleep {
                if !self.woken {
                    self.now = self.now.max(until.expect("it hangs"));
                }
            }
            self.host();
            self.check_sleep();
        }
        panic!("it does not come to an end");
    }

    fn stop_all(&mut self) {
        while let Some(pid) = self.any_pid(|child| child.is_worker && child.zombie.is_none()) {
            self.exit(pid, TERM);
        }
    }

    /// TERM ends it, whatever went before; and then every worker has been reported once.
    fn end(&mut self) {
        self.ending = true;
        for child in self.kernel.values_mut() {
            child.is_protected = false;
        }
        self.set_action(TERM, Duration::ZERO);
        self.signal(TERM);
        if self.phase == Phase::Waiting {
            // Whoever waits without an end waits for workers that end.
            self.stop_all();
        }
        self.run_until(|world| {
            world.phase == Phase::Outside
                && world.machine.signals.first() != Some(TERM)
                && !world.arrived.iter().any(|(signal, _)| *signal == TERM)
        });
        self.stop_all();
        self.drain(None);
        self.asleep = None;
        self.run_until(|world| world.phase == Phase::Outside);
        assert!(self.kernel.values().all(|child| !child.is_worker));
        assert_eq!(self.forks, self.ends);
        assert!(self.machine.workers().is_empty());
    }
}

/// Runs one seed; prints what happened in it if it fails.
fn simulate(seed: u64) {
    struct Report(u64, World);
    impl Drop for Report {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}seed {} fails", self.1.log, self.0);
            }
        }
    }
    let mut report = Report(seed, World::new(seed));
    let world = &mut report.1;
    for signal in TRAPPED {
        let interval = if world.rng.bool() {
            Duration::ZERO
        } else {
            world.span()
        };
        world.set_action(signal, interval);
    }
    for _ in 0..STEPS {
        world.step();
    }
    world.end();
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is '{value}', and no number")),
    )
}

#[test]
fn nothing_is_lost() {
    if let Some(seed) = number("PREFORK_SEED") {
        simulate(seed);
        return;
    }
    let first = number("PREFORK_FIRST_SEED").unwrap_or(0);
    let seeds = number("PREFORK_SEEDS").unwrap_or(2_000);
    for seed in first..first + seeds {
        simulate(seed);
    }
    println!("{seeds} seeds of {STEPS} steps");
}
