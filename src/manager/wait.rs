//! The wait of hosts that have nothing else to wait for: poll(2), or sigtimedwait(2) while SIGCHLD is held back
//! (`os/held.rs`).
//!
//! While a large pool is waited for, WAIT may be a time in which SIGCHLD tells nothing new (`machine/reaping.rs`). Then
//! SIGCHLD is blocked for the time of the sleep.

use std::os::fd::RawFd;
use std::time::Duration;

use super::{Event, Failure, Manager, Wait};
use crate::os::held::Taken;
use crate::os::{clock, mask, sleep};

impl Manager {
    /// The next event that is no wait: what the events ask to wait for is waited for here (poll(2)), for this time in
    /// all at most (none: for ever). When the time is over it is a wait. Signals that were trapped, and SIGCHLD, end
    /// the sleep even if the thread blocks them.
    ///
    /// # Errors
    /// Those of `watch_children` and `next_event`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Event, Failure> {
        self.code_has_run();
        self.wait_quietly(timeout, Manager::next_event)
    }

    /// The same, where no code of the program has run that `code_has_run` does not know of. `next_event` may be the one for
    /// after a panic.
    pub(crate) fn wait_quietly(
        &mut self,
        timeout: Option<Duration>,
        next: fn(&mut Manager) -> Result<Event, Failure>,
    ) -> Result<Event, Failure> {
        if !self.traps.is_watching_children() {
            self.watch_children()?;
        }
        let deadline = timeout.map(|timeout| clock::now().after(timeout));
        loop {
            self.sigchld.waits_here = true;
            let event = next(self);
            self.sigchld.waits_here = false;
            let event = event?;
            let Event::Wait(wait) = &event else {
                return Ok(event);
            };
            let left = deadline.map(|deadline| deadline.since(clock::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(event);
            }
            self.sleep(wait, left);
        }
    }

    /// Sleeps until the event says, or for `most`, or until a signal or a worker wakes us.
    fn sleep(&mut self, wait: &Wait, most: Option<Duration>) {
        let timeout = wait.timeout.into_iter().chain(most).min();
        if let (Some(held), false, false) = (
            &self.sigchld.held,
            wait.may_block_sigchld,
            self.sigchld.may_be_missed,
        ) {
            // A handler, of ours or one that calls pf_wake, sends a signal since SIGCHLD is held; what came
            // before has left something to see.
            let has_more = self.remote.is_woken()
                || self.remote.arrivals().has_more(self.arrivals_seen)
                || self.traps.child_is_noted();
            let taken = held.take(if has_more {
                Some(Duration::ZERO)
            } else {
                timeout
            });
            // Nobody has waited for the pipe; what is in it ends the next wait that does.
            self.pipe.may_be_full = false;
            // A handler has interrupted it, perhaps.
            self.pipe.is_unchecked |= matches!(taken, Taken::Nothing);
            self.note(taken);
        } else if self.poll(wait.fd, timeout, wait.may_block_sigchld) {
            self.pipe.is_unchecked = true;
        }
    }

    /// The sleep where SIGCHLD is not held back, or tells nothing new. Returns whether a handler of the program may have
    /// run, which may close the pipe.
    fn poll(&self, fd: Option<RawFd>, timeout: Option<Duration>, may_block_sigchld: bool) -> bool {
        let trapped = self.traps.signals();
        if may_block_sigchld {
            let _blocked = mask::block_sigchld();
            sleep::sleep(
                fd,
                timeout,
                trapped.filter(|&signal| signal != libc::SIGCHLD),
            );
            // That of SIGCHLD runs at the end of this.
            true
        } else {
            sleep::sleep(fd, timeout, trapped)
        }
    }
}
