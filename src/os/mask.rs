//! Sets of signals, and masks: which signals a thread lets in.

use crate::machine::Signal;

/// The mask to put back.
pub struct SavedMask(libc::sigset_t);

impl SavedMask {
    /// Whether a signal is blocked by it.
    pub fn blocks(&self, signal: Signal) -> bool {
        // SAFETY: the set was filled in by pthread_sigmask(3).
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }
}

/// Blocks these signals until `restore`: from before a fork until the parent knows the
/// pid and the child has its own dispositions. None if there are none to block.
pub fn block(signals: impl Iterator<Item = Signal>) -> Option<SavedMask> {
    change_mask(libc::SIG_BLOCK, signals)
}

/// SIGCHLD is blocked as long as this lives.
pub struct BlockedSigchld(Option<SavedMask>);

/// Blocks SIGCHLD for a while in which each would only interrupt, and would tell nothing new.
pub fn block_sigchld() -> BlockedSigchld {
    BlockedSigchld(block(std::iter::once(libc::SIGCHLD)))
}

impl Drop for BlockedSigchld {
    fn drop(&mut self) {
        if let Some(mask) = &self.0 {
            restore(mask);
        }
    }
}

/// Whether a signal is pending.
pub(super) fn is_pending(signal: Signal) -> bool {
    let mut pending = empty_set();
    // SAFETY: the set is written to, and then initialised in any case.
    unsafe { libc::sigpending(&raw mut pending) };
    SavedMask(pending).blocks(signal)
}

/// Whether this thread blocks a signal.
pub fn is_blocked(signal: Signal) -> bool {
    let mut now = empty_set();
    // SAFETY: with a null pointer for the new mask, pthread_sigmask(3) fills in the set.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut now) };
    SavedMask(now).blocks(signal)
}

/// Lets these signals in until `restore`. None if they are let in already.
pub fn unblock(signals: impl Iterator<Item = Signal> + Clone) -> Option<SavedMask> {
    let mut now = empty_set();
    // SAFETY: with a null pointer for the new mask, pthread_sigmask(3) fills in the set.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut now) };
    // SAFETY: the set is initialised, and a number that is no signal's is an error code.
    let is_blocked = |signal| unsafe { libc::sigismember(&raw const now, signal) } == 1;
    if !signals.clone().any(is_blocked) {
        return None;
    }
    change_mask(libc::SIG_UNBLOCK, signals)
}

fn change_mask(how: i32, signals: impl Iterator<Item = Signal>) -> Option<SavedMask> {
    // nix's set of signals has no room for the real-time ones.
    let mut set = empty_set();
    let mut any = false;
    for signal in signals {
        // SAFETY: the set is initialised, and a number that is no signal's is an error code.
        any |= unsafe { libc::sigaddset(&raw mut set, signal) } == 0;
    }
    if !any {
        return None;
    }
    let mut old = empty_set();
    // SAFETY: both sets are initialised. It fails for a wrong `how` only (pthread_sigmask(3)).
    unsafe { libc::pthread_sigmask(how, &raw const set, &raw mut old) };
    Some(SavedMask(old))
}

/// Whether a signal is pending that usually ends or reloads a manager: its host has blocked it, and
/// may be waiting for the end of this call to let it in.
pub fn manager_is_signalled() -> bool {
    let mut pending = empty_set();
    // SAFETY: the set is written to, and then initialised in any case.
    unsafe { libc::sigpending(&raw mut pending) };
    let signals = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ];
    signals.iter().any(|&signal| {
        // SAFETY: the set is initialised, and the numbers are those of signals.
        unsafe { libc::sigismember(&raw const pending, signal) == 1 }
    })
}

/// A set of signals.
pub struct Set(libc::sigset_t);

impl From<libc::sigset_t> for Set {
    /// One that the system has filled in.
    fn from(set: libc::sigset_t) -> Set {
        Set(set)
    }
}

impl Set {
    /// These signals.
    pub fn of(signals: impl Iterator<Item = Signal>) -> Set {
        let mut set = empty_set();
        for signal in signals {
            // SAFETY: the set is initialised, and a number that is no signal's is an error code.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        Set(set)
    }

    /// All signals.
    pub fn all() -> Set {
        let mut set = empty_set();
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&raw mut set) };
        Set(set)
    }

    /// Whether a signal is one of them.
    pub fn has(&self, signal: Signal) -> bool {
        // SAFETY: the set is initialised, and a number that is no signal's is an error code.
        unsafe { libc::sigismember(self.get(), signal) == 1 }
    }

    /// Blocks them, and returns the mask of before. Async-signal-safe.
    pub fn block(&self) -> SavedMask {
        self.change(libc::SIG_BLOCK)
    }

    /// Lets them in, and returns the mask of before. Async-signal-safe.
    pub fn unblock(&self) -> SavedMask {
        self.change(libc::SIG_UNBLOCK)
    }

    fn change(&self, how: i32) -> SavedMask {
        let mut old = empty_set();
        // SAFETY: both sets are initialised. It fails for a wrong `how` only (pthread_sigmask(3)).
        unsafe { libc::pthread_sigmask(how, self.get(), &raw mut old) };
        SavedMask(old)
    }

    /// Takes one of them out that is pending for this thread, if there is one.
    #[cfg(target_os = "linux")]
    pub(super) fn discard(&self) {
        let at_once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set is initialised, the others are null or point to live variables.
        unsafe { libc::sigtimedwait(self.get(), std::ptr::null_mut(), &raw const at_once) };
    }

    /// There is no sigtimedwait(2) everywhere, and one is known to be pending.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn discard(&self) {
        let mut signal = 0;
        // SAFETY: the set is initialised, and the other points to a live variable.
        unsafe { libc::sigwait(self.get(), &raw mut signal) };
    }

    /// For system calls.
    pub fn get(&self) -> *const libc::sigset_t {
        &raw const self.0
    }
}

impl From<Set> for libc::sigset_t {
    /// For sigaction(2).
    fn from(set: Set) -> libc::sigset_t {
        set.0
    }
}

/// Puts a mask back.
pub fn restore(mask: &SavedMask) {
    // SAFETY: the set was filled in by pthread_sigmask(3).
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, std::ptr::null_mut()) };
}

pub(super) fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}
