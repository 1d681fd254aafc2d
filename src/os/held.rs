//! SIGCHLD, where `pf_start` holds it back and takes it without a handler.
//!
//! A handler for SIGCHLD costs `pf_start` more than the rest of a turn: the kernel writes a signal frame to a page that was
//! shared since the fork, and a byte goes into the pipe and out again. So while no code of the program runs, `pf_start`
//! blocks SIGCHLD (`hold`) and takes it by sigtimedwait(2) (`take`), whose siginfo names the child. The worker gets the
//! mask of before.
//!
//! Handlers of the other trapped signals run as they come, so the order of arrival is known. (Of several that are pending
//! the kernel would deliver the lowest number first.) Others leave something for the manager and then end the sleep, by a
//! SIGCHLD for just this thread (`Arrivals::end_sleep`): such a handler, `pf_wake`, `pf_signal`, another thread that has got
//! the SIGCHLD, another manager that has reaped a child of this one. They do so from the moment when SIGCHLD is held,
//! which is before the manager's last look at what they leave. So the manager sees it, or the signal is pending.
//!
//! The mask of before is put back before each hook, and at the end. SIGCHLD is held only where nobody else wants to know
//! of it (`Manager::hold_sigchld`):
//!
//! - the process has one thread, as far as the C library knows, and one manager;
//! - there is no scoreboard, whose workers write to the pipe;
//! - the handler for SIGCHLD is the library's, and the program had none before it;
//! - the thread blocks no other trapped signal.
//!
//! Otherwise, or where the system refuses sigtimedwait(2), the loop waits as `pf_wait` does.

use std::time::Duration;

use nix::errno::Errno;

use super::mask::{SavedMask, Set, restore};
use super::traps::trapped_here;
use crate::machine::Pid;

/// SIGCHLD, blocked in this thread until `release`; and the mask of before.
pub struct Held {
    sigchld: Set,
    before: SavedMask,
    thread: i32,
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: the time is over, or a handler has run.
    Nothing,
    /// A SIGCHLD, which names a child that has ended; none if it says something else.
    Child(Option<Pid>),
    /// The system does not let us wait like that.
    Refused,
}

/// Holds it back. None where that cannot be, or where this thread blocks another signal that is trapped: the
/// wait has to let that in.
#[cfg(target_os = "linux")]
pub fn hold() -> Option<Held> {
    let sigchld = Set::of(std::iter::once(libc::SIGCHLD));
    let before = sigchld.block();
    if trapped_here().any(|signal| signal != libc::SIGCHLD && before.blocks(signal)) {
        restore(&before);
        return None;
    }
    // SAFETY: gettid(2) cannot fail and touches nothing.
    let thread = unsafe { libc::gettid() };
    Some(Held {
        sigchld,
        before,
        thread,
    })
}

/// There is no sigtimedwait(2) everywhere.
#[cfg(not(target_os = "linux"))]
pub fn hold() -> Option<Held> {
    None
}

impl Held {
    /// Lets it in again.
    pub fn release(self) {
        restore(&self.before);
    }

    /// The mask of before, for whoever puts it back later.
    pub fn into_mask(self) -> SavedMask {
        self.before
    }

    /// The thread that holds it, by the number that the system has for it.
    pub fn thread(&self) -> i32 {
        self.thread
    }

    /// Takes one that is pending or, until the time is over (none: no limit), the next that arrives. A
    /// handler of another signal ends the wait.
    #[cfg(target_os = "linux")]
    pub fn take(&self, timeout: Option<Duration>) -> Taken {
        use super::sleep::LONGEST;

        let timeout = timeout.map(|timeout| {
            let timeout = timeout.min(LONGEST);
            libc::timespec {
                tv_sec: timeout.as_secs() as libc::time_t,
                tv_nsec: timeout.subsec_nanos() as _,
            }
        });
        let timeout = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: all-zero bytes are a valid siginfo_t, which is plain data.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is initialised, the others are null or point to live variables.
        let signal = unsafe { libc::sigtimedwait(self.sigchld.get(), &raw mut info, timeout) };
        if signal == libc::SIGCHLD {
            return Taken::Child(ended_child(&info));
        }
        if matches!(Errno::last(), Errno::EAGAIN | Errno::EINTR) {
            Taken::Nothing
        } else {
            Taken::Refused
        }
    }

    /// Never called, as nothing is held here.
    #[cfg(not(target_os = "linux"))]
    pub fn take(&self, _timeout: Option<Duration>) -> Taken {
        Taken::Refused
    }
}

/// The child that a SIGCHLD says has ended. One that was stopped, or a signal that somebody has sent by
/// kill(2), names nobody who has.
#[cfg(target_os = "linux")]
fn ended_child(info: &libc::siginfo_t) -> Option<Pid> {
    let has_ended = matches!(
        info.si_code,
        libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED
    );
    // SAFETY: these codes of SIGCHLD are the kernel's, which fills in the member.
    has_ended.then(|| unsafe { info.si_pid() })
}
