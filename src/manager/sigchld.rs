//! How the manager learns that a child has ended: who gets SIGCHLD, and what to do where that is not certain.
//!
//! `gets_sigchld` says whether SIGCHLD certainly comes to this manager. Where it may get lost, the machine looks for children
//! once a second, and for each worker by its pid as well (`machine/reaping.rs`). It is certain only in a process with one
//! thread. The C library often knows that without a system call. Where it does not, the system is asked, but only for a
//! wait that follows a wait.
//!
//! `hold_sigchld` decides whether `pf_start` may hold SIGCHLD back (`os/held.rs`). SIGCHLD is also held back while a signal
//! goes to all workers: the first ones end while the last ones wait for their turn.

use super::{Failure, Manager};
use crate::machine::Pid;
use crate::os::held::{self, Held, Taken};
use crate::os::{clock, mask, stdio};

/// What is known of SIGCHLD.
pub(super) struct Sigchld {
    /// One may have gone to somebody else.
    pub(super) may_be_missed: bool,
    /// Code of the program has run since children were looked for last: it may have taken SIGCHLD away for a while.
    pub(super) code_has_run: bool,
    /// The last look was not to its end, or has left out workers whose end no SIGCHLD tells of.
    pub(super) must_look_again: bool,
    /// The wait is the library's own, which lets SIGCHLD in.
    pub(super) waits_here: bool,
    /// What the host has said of it, if it has a handler of its own.
    host_handles_it: Option<bool>,
    /// Held back by a loop of the library's own, while no code of the program runs.
    pub(super) held: Option<Held>,
    /// The system has refused to wait for it.
    cannot_take: bool,
}

impl Default for Sigchld {
    fn default() -> Self {
        Sigchld {
            may_be_missed: false,
            code_has_run: true,
            must_look_again: false,
            waits_here: false,
            host_handles_it: None,
            held: None,
            cannot_take: false,
        }
    }
}

/// What the host tells of children.
impl Manager {
    /// SIGCHLD has arrived, where the host owns its handler, and may have named a child.
    pub fn child_ended(&mut self, pid: Option<Pid>) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.child_ended(pid, clock::now());
        Ok(())
    }

    /// Children may have ended without a notice; if `each`, the system may have reaped them by itself.
    pub fn look_for_children(&mut self, each: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.machine.look_for_children(each);
        Ok(())
    }

    /// Whether the host's own handler, or its wait, gets each SIGCHLD that comes to its thread.
    pub fn set_sigchld_handled(&mut self, handled: bool) -> Result<(), Failure> {
        self.check_is_manager()?;
        self.sigchld.host_handles_it = Some(handled);
        Ok(())
    }

    /// Code of the program has run. Whatever that has done, the pipe is looked at before the next wait, and
    /// children before long.
    pub(crate) fn code_has_run(&mut self) {
        self.sigchld.code_has_run = true;
        self.pipe.is_unchecked = true;
    }
}

impl Manager {
    /// Whether it is certain that SIGCHLD comes to this manager while it waits. Any other thread may take it, by
    /// sigwait(3) or signalfd(2), and so may the one that waits, if it blocks SIGCHLD.
    pub(super) fn gets_sigchld(&mut self, waits_on: bool) -> bool {
        if self.traps.is_watching_children() {
            self.sigchld.may_be_missed = self.traps.children_unwatched();
            !self.sigchld.may_be_missed
                && (self.sigchld.waits_here || !mask::is_blocked(libc::SIGCHLD))
                && has_one_thread(waits_on)
        } else {
            match self.sigchld.host_handles_it {
                // Its own affair, until it says something.
                None => true,
                Some(handles) => handles && has_one_thread(waits_on),
            }
        }
    }

    /// Whether something may have hidden a SIGCHLD since children were looked for last: a handler that was
    /// replaced and put back, a call that took it.
    pub(super) fn is_unsure_of_children(&self) -> bool {
        self.sigchld.must_look_again
            || (self.sigchld.code_has_run && self.traps.is_watching_children())
    }

    /// Holds SIGCHLD back if nobody but this manager wants to know of it, and lets it in again when that
    /// has changed: while it is held its handler need not run, and a wait takes it where it is pending.
    pub(crate) fn hold_sigchld(&mut self) {
        let may_hold = !self.sigchld.cannot_take
            && self.board.is_none()
            && !self.pipe.is_for_workers()
            && stdio::is_known_to_have_one_thread()
            && self.parent.is_alone();
        if !may_hold {
            self.release_sigchld();
        } else if self.sigchld.held.is_none() && self.traps.alone_watch_children() {
            self.hold();
        }
    }

    fn hold(&mut self) {
        self.sigchld.held = held::hold();
        let thread = self.sigchld.held.as_ref().map(Held::thread);
        self.remote.arrivals().set_sleeper(thread);
    }

    /// Before code of the program runs: it has the mask that it had.
    pub(crate) fn release_sigchld(&mut self) {
        if self.sigchld.held.is_some() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(held) = self.take_held() {
            held.release();
        }
    }

    /// For whoever puts back the mask of before.
    fn take_held(&mut self) -> Option<Held> {
        let held = self.sigchld.held.take()?;
        self.remote.arrivals().set_sleeper(None);
        Some(held)
    }

    /// Before a hook that is called with trapped signals blocked: from now on the fork that was asked for
    /// has the mask of before, and gives it back, as in a host that forks by itself.
    pub(crate) fn leave_mask_to_fork(&mut self) {
        if let Some(held) = self.take_held() {
            self.mask = Some(held.into_mask());
        }
    }

    /// The same in the worker.
    pub(super) fn leave_mask_to_worker(&mut self) {
        // What the sleeper is, is the manager's; and a page that is not written to need not be copied.
        if let Some(held) = self.sigchld.held.take() {
            self.mask = Some(held.into_mask());
        }
    }

    pub(super) fn note(&mut self, taken: Taken) {
        match taken {
            Taken::Child(pid) => self.machine.child_ended(pid, clock::now()),
            Taken::Nothing => {}
            Taken::Refused => {
                self.sigchld.cannot_take = true;
                self.release_sigchld();
            }
        }
    }
}

/// Whether no other thread can take a SIGCHLD. Where the C library does not know that there is one thread, the system is
/// asked, but only for a wait that follows a wait: a pool that is busy waits as well without the answer.
fn has_one_thread(waits_on: bool) -> bool {
    stdio::is_known_to_have_one_thread() || (waits_on && stdio::has_one_thread())
}
