//! Signals that a loop of ours holds back and takes one by one, where no handler has to run for them.

use std::time::Duration;

use super::signals::{SavedMask, Set, restore, trapped_here, trapped_is_pending};
use crate::machine::Pid;

/// All that managers of this process trap, blocked until `release`; and the mask of before.
pub struct Held {
    signals: Set,
    before: SavedMask,
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: the time is over, or a handler of the program has run.
    Nothing,
    /// A SIGCHLD, which names a child that has ended; none if it says something else.
    Child(Option<Pid>),
    /// Another one, whose handler has run.
    Handled,
}

/// Holds back what is trapped here. None where that cannot be.
pub fn hold() -> Option<Held> {
    cfg!(target_os = "linux").then(|| {
        let signals = Set::of(trapped_here());
        let before = signals.block();
        Held { signals, before }
    })
}

impl Held {
    /// Lets them in again.
    pub fn release(self) {
        restore(&self.before);
    }

    /// The mask of before, for whoever puts it back later.
    pub fn into_mask(self) -> SavedMask {
        self.before
    }

    /// Takes one of those that are pending. It is asked first whether there are any: the call that takes
    /// would write to errno(3) if there are none, whose page would be copied for that after each fork.
    pub fn take_pending(&self) -> Taken {
        if trapped_is_pending() {
            self.take(Some(Duration::ZERO))
        } else {
            Taken::Nothing
        }
    }

    /// Takes one that is pending or, until the time is over (none: no limit), the next that arrives. A
    /// SIGCHLD is taken without its handler. The handlers of others run as they would have: such a
    /// signal is put back as it was and let in.
    #[cfg(target_os = "linux")]
    pub fn take(&self, timeout: Option<Duration>) -> Taken {
        use super::signals::let_in;
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
        let signal = unsafe { libc::sigtimedwait(self.signals.get(), &raw mut info, timeout) };
        if signal == libc::SIGCHLD {
            return Taken::Child(ended_child(&info));
        }
        if signal <= 0 {
            return Taken::Nothing;
        }
        // SAFETY: it sends what this process has received to itself, which may be of any si_code; the
        // pointer is to a live siginfo_t. Where real-time signals have used up the room for that
        // (EAGAIN), kill(2) still sends one.
        unsafe {
            let this = libc::getpid();
            let sent = libc::syscall(libc::SYS_rt_sigqueueinfo, this, signal, &raw const info);
            if sent != 0 {
                libc::kill(this, signal);
            }
        }
        let_in(signal);
        Taken::Handled
    }

    /// Never called, as nothing is held here.
    #[cfg(not(target_os = "linux"))]
    pub fn take(&self, _timeout: Option<Duration>) -> Taken {
        Taken::Nothing
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
