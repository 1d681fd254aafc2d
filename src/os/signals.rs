//! Signals as the system has them: their numbers, and what becomes of one that arrives (its disposition, sigaction(2)).

use nix::errno::Errno;

use super::mask;
use crate::machine::Signal;

/// One more than the highest signal number on any system that this builds on.
pub(super) const SIGNALS: usize = 129;

/// Where a signal is in tables; those that do not exist share a place.
pub(super) fn slot_of(signal: Signal) -> usize {
    usize::try_from(signal).map_or(0, |slot| if slot < SIGNALS { slot } else { 0 })
}

/// Whether the number is that of a signal that exists here and can be sent.
pub fn is_signal(signal: Signal) -> bool {
    // kill(2) would tell as well, but only by sending it; sigaddset(3) checks the number alone.
    let mut set = mask::empty_set();
    // SAFETY: the set is initialised.
    signal > 0 && unsafe { libc::sigaddset(&raw mut set, signal) } == 0
}

/// The name of a signal, for people.
pub fn name(signal: Signal) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

/// Whether a handler may be installed that notes the signal and returns. For two the system refuses it; after the other
/// three the process would run into the same fault again, for ever.
pub fn can_be_trapped(signal: Signal) -> bool {
    const NOT: [Signal; 5] = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGSEGV,
    ];
    is_signal(signal) && !NOT.contains(&signal)
}

/// What the signal does now.
pub(super) fn disposition(signal: Signal) -> std::io::Result<libc::sigaction> {
    // SAFETY: all-zero bytes are a valid sigaction, with SIG_DFL.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: with a null pointer for the new one, sigaction(2) only reads into a live variable.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    if result == 0 {
        Ok(now)
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Whether the signal is ignored.
pub(super) fn is_ignored(signal: Signal) -> bool {
    disposition(signal).is_ok_and(|now| now.sa_sigaction == libc::SIG_IGN)
}

/// From now on the signal does this.
///
/// # Safety
/// If it is a function, it may be called for this signal, whenever that arrives.
pub(super) unsafe fn set_disposition(signal: Signal, to: &libc::sigaction) -> std::io::Result<()> {
    // SAFETY: promised by our caller.
    let result = unsafe { libc::sigaction(signal, to, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Gives a signal its default disposition, for a worker that has just been forked.
pub fn reset_to_default(signal: Signal) {
    // SAFETY: SIG_DFL runs no code of anybody's.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Whether a handler is called, and the signal is neither ignored nor has its default action.
pub(super) fn is_function(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// Sends a signal to a thread of this process. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(super) fn signal_thread(thread: i32, signal: Signal) {
    let errno = Errno::last();
    // SAFETY: tgkill(2) takes three integers, and finds no thread that is not of this process.
    unsafe { libc::syscall(libc::SYS_tgkill, this_process(), thread, signal) };
    errno.set();
}

/// There is no such sleep.
#[cfg(not(target_os = "linux"))]
pub(super) fn signal_thread(_thread: i32, _signal: Signal) {}

#[cfg(target_os = "linux")]
fn this_process() -> libc::pid_t {
    // SAFETY: getpid(2) cannot fail and touches nothing.
    unsafe { libc::getpid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::arrivals::Arrivals;

    #[test]
    fn arrivals_keep_their_order_and_merge() {
        let arrivals = Arrivals::default();
        let mut seen = 0;
        for signal in [15, 1, 10, 1, 15] {
            assert!(arrivals.record(signal));
        }
        assert_eq!(arrivals.take(&mut seen), [15, 1, 10]);
        assert!(arrivals.take(&mut seen).is_empty());
        arrivals.record(1);
        assert_eq!(arrivals.take(&mut seen), [1]);
    }

    #[test]
    fn only_numbers_of_signals_are_recorded() {
        let arrivals = Arrivals::default();
        for signal in [0, -1, i32::MIN, i32::MAX, 129] {
            assert!(!arrivals.record(signal), "{signal}");
        }
        assert!(arrivals.take(&mut 0).is_empty());
    }

    #[test]
    fn signals_that_exist() {
        assert!(is_signal(libc::SIGTERM));
        for signal in [0, -1, -15, 4000] {
            assert!(!is_signal(signal), "{signal}");
        }
    }
}
