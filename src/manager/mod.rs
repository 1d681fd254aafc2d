//! The manager: it carries out what the machine decides with what the system offers, and owns all that takes.
//!
//! It never blocks (but for [`Manager::wait`]), never forks and calls nothing of its host's. The host asks for the
//! next event, does what it says, and answers a fork:
//!
//! ```
//! use prefork::manager::{Event, Manager};
//! use prefork::os::process::{exit_at_once, fork};
//!
//! let mut manager = Manager::new();
//! manager.set_max_workers(2)?;
//! manager.begin()?;
//! let mut ended = 0;
//! while ended < 4 {
//!     match manager.wait(None)? {
//!         Event::Fork { .. } => {
//!             // SAFETY: this program has one thread.
//!             match unsafe { fork() } {
//!                 Ok(pid) => manager.forked(pid)?,
//!                 Err(_) => drop(manager.fork_failed()?),
//!             }
//!             if manager.is_worker() {
//!                 exit_at_once(0); // The worker's code would stand here.
//!             }
//!         }
//!         Event::Reaped { exit, .. } => {
//!             assert_eq!(exit.status, 0);
//!             ended += 1;
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok::<(), prefork::manager::Failure>(())
//! ```
//!
//! The C ABI is made of this, and so is every host behind it.

mod board;
mod event;
mod exits;
mod failure;
mod next;
mod pipe;
mod remote;
mod settings;
mod sigchld;
mod stopping;
mod timesheet;
mod wait;
mod workers;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::machine::{Exit, Goal, Machine, Pid, Signal};
use crate::os::children::Parent;
use crate::os::clock;
use crate::os::mask::{SavedMask, restore};
use crate::os::process::Process;
use crate::os::shm::Scoreboard;
use crate::os::stop::Stop;
use crate::os::timesheet::Timesheet;
use crate::os::traps::{Traps, leave_to_ancestors};

pub use event::{Event, Wait};
pub use failure::{Failure, FailureKind};
pub use remote::Remote;
pub use stopping::{StopReason, Waited};

use board::Gone;
use exits::OomWatch;
use pipe::Pipe;
use sigchld::Sigchld;

/// A manager of workers. It is used by one thread at a time; for others, and for signal handlers, there is its
/// [`Remote`].
pub struct Manager {
    machine: Machine,
    remote: Remote,
    arrivals_seen: u64,
    pipe: Pipe,
    sigchld: Sigchld,
    traps: Traps,
    /// What was blocked when a fork was asked for.
    mask: Option<SavedMask>,
    owner: Process,
    parent: Parent,
    reaps_foreign: bool,
    /// The worker whose end the host is dealing with.
    reported: Option<Gone>,
    last_exit: Option<Exit>,
    /// Not in the page that each fork writes to: it is used when something is wrong.
    oom_watch: Option<Box<OomWatch>>,
    board: Option<Rc<RefCell<Scoreboard>>>,
    /// What a worker is sent when its manager ends; 0: nothing.
    death_signal: Signal,
    /// The worker that has asked the system for that.
    tied: Pid,
    /// None until something is set that needs it.
    timesheet: Option<Timesheet>,
    /// The last event was a wait.
    told_wait: bool,
    /// A loop of the library's own runs, which decides when a run begins.
    is_in_loop: bool,
    /// In a worker that has asked for it.
    stop: Option<Box<Stop>>,
}

impl Default for Manager {
    fn default() -> Manager {
        Manager::new()
    }
}

/// Its life.
impl Manager {
    /// A manager of 10 workers: no spawn interval, a pause of 1 second after a failure, no signal trapped, no handler
    /// installed.
    pub fn new() -> Manager {
        leave_to_ancestors();
        Manager {
            machine: Machine::default(),
            remote: Remote::default(),
            arrivals_seen: 0,
            pipe: Pipe::default(),
            sigchld: Sigchld::default(),
            traps: Traps::default(),
            mask: None,
            owner: Process::this(),
            parent: Parent::new(),
            reaps_foreign: true,
            reported: None,
            last_exit: None,
            oom_watch: None,
            board: None,
            death_signal: 0,
            tied: 0,
            timesheet: None,
            told_wait: false,
            is_in_loop: false,
            stop: None,
        }
    }

    /// This manager, for signal handlers and other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Fails unless this process is the manager.
    pub fn check_is_manager(&self) -> Result<(), Failure> {
        if self.is_worker() || !self.owner.is_this() {
            return Err(Failure::not_the_manager());
        }
        Ok(())
    }

    /// Whether this process is a worker.
    pub fn is_worker(&self) -> bool {
        self.machine.in_worker().is_some()
    }

    /// Begins a run: a new generation, and from now on the pool is kept full. A trapped signal that has arrived
    /// before, and that the program has not read, ends it at once. A fork that waits for its answer is withdrawn. In a
    /// process that the host has forked by itself this does what `become_manager` does, first.
    ///
    /// # Errors
    /// In a worker, in a hook of a loop of the library's own, and those of `become_manager`.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.become_manager()?;
        if self.is_in_loop {
            return Err(Failure::wrong_state(
                "pf_start is running, and this is one of its hooks",
            ));
        }
        if self.death_signal != 0 {
            settings::check_is_first_thread()?;
        }
        self.take_arrivals();
        self.machine.begin();
        self.parent.forked(None);
        self.restore_mask();
        Ok(())
    }

    /// Makes this process the manager: of its own pool or, after a fork of the host's own, of
    /// an empty one. What its parent has is left to the parent: the pipe, the scoreboard and the timesheet too, in whose place
    /// there are new ones where the settings need them.
    ///
    /// # Errors
    /// In a worker; where the signals cannot be trapped again (pipe2(2), sigaction(2)), or a timesheet not be made (mmap(2)).
    pub fn become_manager(&mut self) -> Result<(), Failure> {
        if self.is_worker() {
            return Err(Failure::not_the_manager());
        }
        if self.owner.is_this() {
            return Ok(());
        }
        // What may fail comes first: the next call is to find all as it was.
        let mut pipe = match (self.traps.signals().next(), &self.timesheet) {
            (None, None) => None,
            (_, _) => Some(pipe::make()?),
        };
        let timesheet = match (&self.timesheet, &mut pipe) {
            (Some(_), Some(pipe)) => Some(timesheet::make(Some(pipe::open_for_workers(pipe)?))?),
            (_, _) => None,
        };
        self.owner = Process::this();
        leave_to_ancestors();
        self.parent = Parent::new();
        self.machine.reset_after_fork();
        self.is_in_loop = false;
        self.reported = None;
        self.board = None;
        self.timesheet = timesheet;
        let trapped: Vec<Signal> = self.traps.signals().collect();
        self.traps.remove();
        self.traps = Traps::default();
        // No answer will come here to a fork that was asked for.
        self.give_back_mask();
        self.pipe.close();
        if let Some(pipe) = pipe {
            self.use_pipe(pipe);
        }
        for signal in trapped {
            self.handle(signal)?;
        }
        Ok(())
    }

    /// Goes on with the run: the pool is kept full again, in the same generation.
    pub fn resume(&mut self) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.keep_running();
        Ok(())
    }

    /// The same, for a caller that knows that this is the manager.
    pub(crate) fn keep_running(&mut self) {
        self.machine.set_goal(Goal::Run);
    }

    /// No worker is forked from now on, and no signal ends the run.
    pub fn suspend(&mut self) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.set_goal(Goal::Suspended);
        Ok(())
    }

    /// No worker is forked from now on; events end with one that says that no worker is left, or that the time is over
    /// (none: never).
    pub fn drain(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.check_is_manager()?;
        let deadline = timeout.map(|timeout| clock::now().after(timeout));
        self.machine.set_goal(Goal::Drain(deadline));
        Ok(())
    }

    /// A loop of the library's own begins, or ends: from its hooks no other run is begun.
    pub(crate) fn set_in_loop(&mut self, is_in_loop: bool) {
        self.is_in_loop = is_in_loop;
    }

    /// What was blocked from the request for a fork to its answer is let in.
    fn restore_mask(&mut self) {
        if let Some(mask) = self.mask.take() {
            restore(&mask);
        }
    }

    /// Nothing of ours is blocked in this thread any more.
    pub(crate) fn give_back_mask(&mut self) {
        // The other way round SIGCHLD would stay blocked: it was when the fork was asked for.
        self.restore_mask();
        self.release_sigchld();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if self.check_is_manager().is_ok() {
            self.let_go_of_scoreboard();
        }
        // What writes to the pipe goes first: its number may be somebody else's in a moment.
        self.traps.remove();
        // After that: a signal that was held back until now meets what the program has for it.
        self.give_back_mask();
    }
}
