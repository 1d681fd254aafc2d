//! The scoreboard of a manager's workers. `os/shm.rs` and `os/slots.rs` have what is shared; here the manager uses it.
//! And what the machine is told of that, and of the timesheet.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use super::{Failure, Manager};
use crate::machine::{Pid, Policy, Serial, Statuses, Time, Times, Worker};
use crate::os::process;
use crate::os::shm::Scoreboard;
use crate::os::timesheet::Timesheet;

/// What the machine asks of a scoreboard and of a timesheet, if they are there.
pub(super) struct Said<'a> {
    board: Option<Ref<'a, Scoreboard>>,
    timesheet: Option<&'a Timesheet>,
}

impl<'a> Said<'a> {
    pub(super) fn by(
        board: &'a Option<Rc<RefCell<Scoreboard>>>,
        timesheet: &'a Option<Timesheet>,
    ) -> Said<'a> {
        Said {
            board: board.as_ref().map(|board| board.borrow()),
            timesheet: timesheet.as_ref(),
        }
    }
}

impl Statuses for Said<'_> {
    fn is_busy(&self, worker: &Worker) -> bool {
        let board = self.board.as_ref();
        board.is_some_and(|board| board.is_busy(worker))
    }

    fn times(&self, worker: &Worker) -> Times {
        let timesheet = self.timesheet.filter(|_| worker.has_line());
        timesheet.map_or_else(Times::default, |timesheet| timesheet.times(worker.index))
    }

    fn will_look(&self, at: Time) {
        if let Some(timesheet) = self.timesheet {
            timesheet.will_look(at);
        }
    }

    fn is_traced(&self, worker: &Worker) -> bool {
        process::is_traced(worker.pid)
    }
}

/// A process that is gone, as the scoreboard knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// A worker that was forked with a ticket.
    Ticket(u64),
    /// Any other process.
    Pid(Pid),
}

impl Gone {
    pub(super) fn new(pid: Pid, serial: Serial) -> Gone {
        serial.ticket().map_or(Gone::Pid(pid), Gone::Ticket)
    }
}

impl Manager {
    /// Gives the manager the scoreboard of its workers, or takes it out. It is one manager's at a time: of two
    /// that are given it, only the last one is woken by its changes.
    ///
    /// # Errors
    /// There is no descriptor left for the pipe (pipe2(2)).
    pub fn set_scoreboard(
        &mut self,
        board: Option<Rc<RefCell<Scoreboard>>>,
    ) -> Result<(), Failure> {
        self.become_manager()?;
        if let Some(board) = &board {
            self.wake_pipe()?;
            board.borrow_mut().set_wake_fd(self.pipe.end_for_workers()?);
        }
        if self.board.as_ref().map(Rc::as_ptr) != board.as_ref().map(Rc::as_ptr) {
            self.let_go_of_scoreboard();
            let series = board
                .as_ref()
                .map_or(0, |board| board.borrow().new_series());
            self.machine.set_series(series);
        }
        match &board {
            Some(board) => board.borrow_mut().set_user(self.remote.address()),
            None if self.timesheet.is_none() => self.pipe.close_for_workers(),
            None => {}
        }
        self.board = board;
        Ok(())
    }

    /// The scoreboard is not this manager's any more. If it is another one's meanwhile, it is not touched.
    pub(super) fn let_go_of_scoreboard(&mut self) {
        self.free_reported_slots();
        let board = self.board.take();
        if let Some(board) = board.filter(|board| board.borrow().is_users(self.remote.address())) {
            let mut board = board.borrow_mut();
            board.disarm();
            board.set_wake_fd(None);
            board.set_user(0);
        }
    }

    /// The host is through with what it was told last.
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
    /// disowned it. A new worker that has the number keeps its own. A host that decides by itself does this too, and when
    /// it likes.
    pub(super) fn free_slots_of(&self, gone: Gone) {
        let Some(board) = self.board.as_ref().filter(|_| !self.host_leads()) else {
            return;
        };
        match gone {
            Gone::Ticket(ticket) => {
                board.borrow_mut().clear_worker(ticket);
            }
            Gone::Pid(pid) => {
                let worker = self.machine.workers().get(pid);
                match worker.filter(|worker| !worker.reaped) {
                    // It may have been a worker of a manager that had the scoreboard before.
                    None => board.borrow_mut().clear(pid),
                    Some(worker) => {
                        worker.serial.ticket().is_some() && board.borrow_mut().clear_other(pid)
                    }
                };
            }
        }
    }

    /// In a worker: the scoreboard is to know it by its ticket.
    pub(super) fn tell_ticket(&self, serial: Serial) {
        if let Some(board) = &self.board {
            board.borrow_mut().is_worker(serial, process::pid());
        }
    }

    /// Notes for the scoreboard by which pid its host speaks of a worker.
    pub(super) fn note_worker(&self, pid: Pid) {
        if let (Some(board), Some(worker)) = (&self.board, self.machine.workers().get(pid)) {
            board.borrow_mut().note_worker(worker);
        }
    }

    /// Workers that were told to stop are no spare ones, busy or idle: the bounds of the number of
    /// busy workers do not tell what a change of theirs means. Nor do they tell what a change of a process means that is no
    /// worker.
    pub(super) fn watch_scoreboard(&self) {
        let is_bounded = matches!(self.machine.policy, Policy::Spare(_));
        if let Some(board) = &self.board {
            board.borrow_mut().watch(self.machine.workers(), is_bounded);
        }
    }

    /// Bounds of the number of busy workers, as bounds of the number of busy processes: some are no workers.
    pub(super) fn with_strangers(&self, (low, high): (i32, i32)) -> (i32, i32) {
        let board = self.board.as_ref();
        let strangers = board.map_or(0, |board| board.borrow().busy_strangers());
        (
            low.saturating_add(strangers),
            high.saturating_add(strangers),
        )
    }

    /// From now on a process wakes the manager by whose change the number of busy ones leaves the bounds. False if this
    /// has to be done again before long.
    pub(super) fn arm_scoreboard(&self, (low, high): (i32, i32)) -> bool {
        let board = self.board.as_ref();
        let is_certain = board.is_none_or(|board| board.borrow_mut().arm(low, high));
        self.watch_scoreboard();
        is_certain
    }

    /// Whether one that was told to stop has no slot yet, so that it is to be looked for again.
    pub(super) fn awaits_claims(&self) -> bool {
        let board = self.board.as_ref();
        board.is_some_and(|board| board.borrow().awaits_claims())
    }
}
