//! Our signal handler: one function, `arrives`, for all signals.
//!
//! First it tells the managers that trap the signal (`recorders`). Then it does what the program had in mind for the signal:
//! it calls the handler of before (`before`). If no manager of this process wants the signal, and there is no handler of
//! before, it gives the signal its default action. It holds nothing meanwhile, so a handler of before may leave by longjmp(3),
//! fork or exit.
//!
//! Why not a crate, such as signal-hook? Such a crate calls the program's handler inside of a guard, and the next trap and
//! the next free wait for that guard. A handler that jumps, forks or exits leaves the guard held for good, and so does a
//! fork by another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst};

use nix::errno::Errno;

use super::arrivals::Arrivals;
use super::before::{self, Arrival, Before, Called};
use super::mask::{Set, restore};
use super::process::Process;
use super::recorders::Recorders;
use super::signals::{SIGNALS, disposition, is_function, set_disposition, slot_of};
use super::wake::Waker;
use crate::machine::Signal;

/// A manager that wants to hear of a signal.
pub(super) struct Recorder {
    pub(super) what: What,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) waker: Arc<Waker>,
    /// A child inherits the handler, and is another process: what arrives there is none of the manager's.
    pub(super) owner: Process,
}

/// What it is told.
pub(super) enum What {
    Signal(Signal),
    /// This is set before the wait ends, and cleared before children are looked for. So a child that ends after the look
    /// sets it again.
    Child(Arc<AtomicBool>),
}

impl Recorder {
    /// Returns whether this is the manager's process. Async-signal-safe.
    fn record(&self) -> bool {
        if !self.owner.is_this_and_no_vfork() {
            return false;
        }
        match &self.what {
            What::Signal(signal) => {
                self.arrivals.record(*signal);
            }
            What::Child(arrived) => arrived.store(true, SeqCst),
        }
        self.waker.wake();
        self.arrivals.end_sleep();
        true
    }
}

/// What is known of a signal.
pub(super) struct Known {
    pub(super) recorders: Recorders<Recorder>,
    /// The handler before ours, which has a link to the one before that. Null as long as ours was never in force. It is
    /// stored before ours is put in force, so ours finds it.
    before: AtomicPtr<Before>,
}

/// On the heap: in the library's data it would make that two mappings, both of which each fork copies. Null as long as
/// no signal was trapped. It stays where it is.
static KNOWN: AtomicPtr<[Known; SIGNALS]> = AtomicPtr::new(std::ptr::null_mut());

/// None as long as no signal was trapped. Async-signal-safe.
pub(super) fn known(signal: Signal) -> Option<&'static Known> {
    // SAFETY: null, or what `known_or_new` has made, which is never freed.
    let known = unsafe { KNOWN.load(SeqCst).as_ref() };
    known.map(|known| &known[slot_of(signal)])
}

pub(super) fn known_or_new(signal: Signal) -> &'static Known {
    loop {
        if let Some(known) = known(signal) {
            return known;
        }
        let new = Box::into_raw(Box::new([const { Known::new() }; SIGNALS]));
        let none = std::ptr::null_mut();
        if KNOWN.compare_exchange(none, new, SeqCst, SeqCst).is_err() {
            // SAFETY: it came from Box::into_raw just now, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

impl Known {
    const fn new() -> Known {
        Known {
            recorders: Recorders::new(),
            before: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn before(&self) -> Option<&'static Before> {
        // SAFETY: null, or one that is never freed.
        unsafe { self.before.load(SeqCst).as_ref() }
    }

    fn set_before(&self, before: Option<&'static Before>) {
        let before = before.map_or(std::ptr::null(), std::ptr::from_ref);
        self.before.store(before.cast_mut(), SeqCst);
    }

    /// Makes ours the handler of the signal. If the program has installed another one since, that becomes the one of before.
    /// One thread of this process at a time.
    pub(super) fn put_ours_in_force(&self, signal: Signal) -> std::io::Result<()> {
        let now = disposition(signal)?;
        if is_our(&now) {
            return Ok(());
        }
        let last = self.before();
        let found = before::found(signal, &now, last, last.is_some());
        self.set_before(Some(found));
        // SAFETY: all-zero bytes are a valid sigaction, whose mask is empty.
        let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = OURS as *const () as libc::sighandler_t;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | before::flags_for(found);
        // SAFETY: ours may be called for any signal at any time.
        unsafe { set_disposition(signal, &ours) }.inspect_err(|_| self.set_before(last))
    }

    /// Gives the program back what it had before ours, unless it has installed something else since. One thread of this process
    /// at a time.
    pub(super) fn give_back(&self, signal: Signal) {
        if let Some(before) = self.before().filter(|_| is_ours(signal)) {
            // SAFETY: it was in force for this signal when ours took its place.
            let _ = unsafe { set_disposition(signal, &before.to_give_back()) };
        }
    }
}

/// Whether the handler of a signal is ours. Without a lock, which a wait would have to write to.
pub(super) fn is_ours(signal: Signal) -> bool {
    disposition(signal).is_ok_and(|now| is_our(&now))
}

fn is_our(action: &libc::sigaction) -> bool {
    action.sa_sigaction == OURS as *const () as libc::sighandler_t
}

/// Whether the handler of a signal is ours, and calls none of the program's.
pub(super) fn is_ours_alone(signal: Signal) -> bool {
    let before = known(signal).and_then(Known::before);
    !before.is_some_and(Before::is_function) && is_ours(signal)
}

/// Of these signals, those for which ours calls none of the program's handlers block each other while it runs. Each of several that
/// arrive at once would have a frame on the stack, on top of one another, and an alternate stack has room for two or three. No
/// other signal is blocked: the system would give it to another thread, which its handler may not be made for. One
/// thread of this process at a time.
pub(super) fn block_each_other(signals: impl Iterator<Item = Signal>) {
    let alone: Vec<Signal> = signals.filter(|&signal| is_ours_alone(signal)).collect();
    for &signal in &alone {
        let Ok(mut ours) = disposition(signal) else {
            continue;
        };
        if is_our(&ours) {
            ours.sa_mask = Set::of(alone.iter().copied()).into();
            // SAFETY: ours may be called for any signal at any time. The system has taken it for this one before.
            let _ = unsafe { set_disposition(signal, &ours) };
        }
    }
}

const OURS: extern "C-unwind" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = arrives;

extern "C-unwind" fn arrives(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let errno = Errno::last_raw();
    if let Some(known) = known(signal) {
        let mut has_manager = false;
        known
            .recorders
            .tell(|recorder| has_manager |= recorder.record());
        let arrival = Arrival {
            signal,
            info,
            context,
            stack: stack_pointer(),
        };
        // The program's handler finds what it would find without ours.
        Errno::set_raw(errno);
        if has_manager {
            // SAFETY: what is in the list was in force for this signal, and we were called as it is.
            unsafe { before::call_first(known.before(), &arrival) };
        } else {
            pass_on(known, &arrival);
        }
    }
    Errno::set_raw(errno);
}

/// Where the stack is. AddressSanitizer may have the variables of a function elsewhere, so their address does not tell.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: it reads a register.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// On other processors a variable has to do.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

/// No manager wants the signal: the last one has just gone, or has gone and the program has put ours back that it had saved, or this
/// is a child that the program has forked by itself. So the program gets it as if ours was not there.
#[cold]
#[inline(never)]
fn pass_on(known: &Known, arrival: &Arrival) {
    let Ok(now) = disposition(arrival.signal) else {
        return;
    };
    let first = known.before();
    // Has the system called us, or the handler that is in force? One that never saw ours cannot have.
    let is_called_by = |before: &Before| before.may_call_ours() && before.is_same(&now);
    let is_another = is_function(&now) && !is_our(&now);
    let list = match first {
        Some(before) if is_another && is_called_by(before) => before.next,
        first => first,
    };
    // SAFETY: as in `arrives`.
    let called = unsafe { before::call_first(list, arrival) };
    if called == Called::Default && !is_another {
        take_default_action(arrival.signal, &now);
    }
}

/// Does what the system does by default. `now` is in force: ours or, if it was given back since we were called, the default
/// action, or that the signal is ignored.
fn take_default_action(signal: Signal, now: &libc::sigaction) {
    let does_nothing = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    if does_nothing.contains(&signal) || now.sa_sigaction == libc::SIG_IGN {
        return;
    }
    // SAFETY: all-zero bytes are a valid sigaction, with SIG_DFL.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    let is_this_signal = Set::of(std::iter::once(signal));
    // SAFETY: SIG_DFL runs no code of anybody's; raise(3) sends the signal to this thread.
    unsafe {
        if is_our(now) && set_disposition(signal, &default).is_err() {
            return;
        }
        libc::raise(signal);
    }
    // Here the process ends or stops.
    let before = is_this_signal.unblock();
    restore(&before);
    // It goes on after SIGCONT, or is one that the system spares (the first of a PID namespace).
    let is_default = |now: libc::sigaction| now.sa_sigaction == libc::SIG_DFL;
    if is_our(now) && disposition(signal).is_ok_and(is_default) {
        // SAFETY: it is ours, which was in force before.
        let _ = unsafe { set_disposition(signal, now) };
    }
}
