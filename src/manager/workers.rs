//! The table of workers, and what workers are sent.

use nix::errno::Errno;

use super::board::Said;
use super::{Failure, Manager};
use crate::machine::{Action, Pid, Signal, Statuses, Worker};
use crate::os::signals::is_signal;
use crate::os::{clock, kill, mask, wait};

/// Facts.
impl Manager {
    /// How many workers there are: those alive, and the one whose end is being told.
    pub fn num_workers(&self) -> usize {
        self.machine.workers().len()
    }

    /// The lowest pid of a worker above this one.
    pub fn next_worker(&self, pid: Pid) -> Option<Pid> {
        self.machine.workers().next_pid(pid)
    }

    /// What is known of a worker.
    pub fn worker(&self, pid: Pid) -> Option<&Worker> {
        self.machine.workers().get(pid)
    }

    /// The current generation; in a worker its own.
    pub fn generation(&self) -> u64 {
        let worker = self.machine.in_worker();
        worker.map_or(self.machine.generation(), |(_, generation)| generation)
    }

    /// In a worker its index.
    pub fn worker_index(&self) -> Option<u32> {
        self.machine.in_worker().map(|(index, _)| index)
    }

    /// How many workers were told to stop as one too many, are still there, and are idle.
    pub fn num_stopping(&self) -> usize {
        let said = Said::by(&self.board, &self.timesheet);
        let workers = self.machine.workers().iter();
        workers
            .filter(|worker| worker.stopping && !said.is_busy(worker))
            .count()
    }
}

/// Changes that the host makes.
impl Manager {
    /// Sets the current generation.
    pub fn set_generation(&mut self, generation: u64) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.set_generation(generation);
        Ok(())
    }

    /// Enters a process that the host has forked by itself as a worker.
    ///
    /// # Errors
    /// The number is no pid.
    pub fn adopt_worker(&mut self, pid: Pid, generation: u64) -> Result<(), Failure> {
        if pid <= 0 {
            return Err(Failure::invalid(format!("{pid} is no process id")));
        }
        self.check_is_manager()?;
        let is_new = self.machine.workers().get(pid).is_none();
        let board = self.board.as_ref().filter(|_| is_new);
        let had = board.and_then(|board| board.borrow_mut().take_disowned(pid));
        self.machine.adopt(pid, had, generation, clock::now());
        self.note_worker(pid);
        self.parent.adopt(pid);
        Ok(())
    }

    /// The host has reaped a worker by itself, with this raw status; nothing happens if it is none of an end.
    pub fn worker_reaped(&mut self, pid: Pid, status: i32) -> Result<(), Failure> {
        self.check_is_manager()?;
        if !wait::is_of_living(status) {
            if let Some(mut exit) = self.machine.worker_reaped(pid, status, clock::now()) {
                self.note_exit(&mut exit);
            }
            self.let_go_of(pid);
            // One whose end the host is dealing with keeps it until that is over, and one that is alive as long as
            // it is.
            let gone = self.gone(pid);
            let worker = self.machine.workers().get(pid);
            if self.reported != Some(gone) && worker.is_none_or(|worker| worker.reaped) {
                self.free_slots_of(gone);
            }
        }
        Ok(())
    }

    /// Takes a worker out of the pool, alive or not. Returns whether there was one.
    pub fn disown_worker(&mut self, pid: Pid) -> bool {
        let worker = self.machine.workers().get(pid).copied();
        let had = self.machine.disown(pid);
        let is_out = self.machine.workers().get(pid).is_none();
        let disowned = worker.filter(|worker| is_out && !worker.reaped);
        if let (Some(board), Some(worker)) = (&self.board, disowned) {
            board.borrow_mut().disown_worker(&worker);
        }
        self.let_go_of(pid);
        had
    }

    /// Takes a worker whose end was told out of the pool. Returns whether there was one.
    pub fn remove_reaped(&mut self, pid: Pid) -> bool {
        self.machine.remove_reaped(pid).is_some()
    }

    /// Nothing is kept any more for a process that is no worker of ours now.
    fn let_go_of(&self, pid: Pid) {
        let worker = self.machine.workers().get(pid);
        if worker.is_none_or(|worker| worker.reaped) {
            self.parent.remove(pid);
        }
    }
}

/// Sending.
impl Manager {
    /// Sends a signal to each worker at once; a negative one to the process groups that they lead.
    ///
    /// # Errors
    /// There is no such signal; a worker may not be signalled (the others were).
    pub fn signal_all_children(&mut self, signal: Signal) -> Result<(), Failure> {
        check_signal_to_send(signal)?;
        self.check_is_manager()?;
        let mut failure = None;
        // Those that are signalled first end while the last ones wait for their turn.
        let _blocked = mask::block_sigchld();
        let workers = self.machine.workers().signalled_in_order();
        let pids: Vec<Pid> = workers.iter().map(|worker| worker.pid).collect();
        for pid in pids {
            if let Err(errno) = self.signal_worker(pid, signal) {
                let what = format!("kill {signal}, {pid}");
                failure = Some(Failure::errno(&what, errno));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends a signal to one worker at once, and to one more after each interval during later calls.
    ///
    /// # Errors
    /// There is no such signal.
    pub fn signal_staggered(&mut self, action: Action) -> Result<(), Failure> {
        check_signal_to_send(action.send)?;
        self.check_is_manager()?;
        let now = clock::now();
        self.machine.stagger(action, now);
        while let Some((pid, signal)) = self.machine.staggered_due(now) {
            // As in next: one that may not be signalled does not keep the others.
            let _ = self.signal_worker(pid, signal);
        }
        Ok(())
    }

    /// Sends a signal to as many idle workers as it takes for `surplus` of them to be on their way out. Returns how
    /// many were sent it now.
    ///
    /// # Errors
    /// There is no such signal.
    pub fn stop_workers(&mut self, surplus: usize, signal: Signal) -> Result<usize, Failure> {
        check_signal_to_send(signal)?;
        self.check_is_manager()?;
        let pids = self
            .machine
            .stop_workers(surplus, &Said::by(&self.board, &self.timesheet));
        self.watch_scoreboard();
        for &pid in &pids {
            // One that may not be signalled does not keep the others.
            match kill::signal_child(pid, signal) {
                Ok(true) => self.machine.sent_to_stop(pid, signal, clock::now()),
                Ok(false) => {}
                Err(_) => self.machine.refused_to_stop(pid, signal, clock::now()),
            }
        }
        Ok(pids.len())
    }

    /// Sends a signal to a worker, and lets the machine know if it was sent, or was refused.
    pub(super) fn signal_worker(&mut self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        match kill::signal_child(pid, signal) {
            Ok(true) => self.machine.sent(pid, signal, clock::now()),
            Ok(false) => {}
            Err(errno) => {
                self.machine
                    .refused(pid, signal, errno as i32, clock::now());
                return Err(errno);
            }
        }
        Ok(())
    }
}

/// Fails for a signal that cannot be sent; 0 can, and only checks.
fn check_signal_to_send(signal: Signal) -> Result<(), Failure> {
    if signal == 0 || is_signal(signal.saturating_abs()) {
        Ok(())
    } else {
        Err(Failure::invalid(format!("{signal} is no signal")))
    }
}
