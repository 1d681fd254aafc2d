//! The handlers that the program had before ours, and how ours calls them.
//!
//! There is a list for each signal, and not one handler. A program may put a handler over that of one manager, and the next
//! manager then traps the signal. The program's handler may call ours, which then has to call the one below it. Ours has to
//! know that it is called from inside of that handler. The stack tells: what a handler calls lies further down the stack
//! than the handler. A flag alone would not do, as a handler that has left by siglongjmp(3) does not clear it.
//!
//! An entry never changes and is never freed, as a handler may be reading it.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use super::mask::{Set, restore};
use super::signals::{SIGNALS, is_function};
use crate::machine::Signal;

/// A handler that was found in the place of ours. It never changes and is never freed: a handler may be reading it at
/// any time.
pub(super) struct Before {
    signal: Signal,
    action: libc::sigaction,
    /// Whether the signals that it lets in differ from those that ours does.
    changes_mask: bool,
    pub(super) next: Option<&'static Before>,
    /// Not if there was none of ours when it was first installed.
    may_call_ours: bool,
    /// It was to be called once (SA_RESETHAND), and was.
    is_spent: AtomicBool,
    /// Where a handler that may call ours is running.
    callers: [Caller; CALLERS],
    /// All that were ever found, for whatever signal.
    found_before: Option<&'static Before>,
}

/// A thread that is in a handler; 0 for none. A thread writes only to places that it has claimed, so of its own it always
/// knows whether they are there.
struct Caller {
    thread: AtomicUsize,
    /// Where its stack was. A handler that has left by longjmp(3) does not give its place back; but what calls ours from
    /// inside of it is further down the stack.
    stack: AtomicUsize,
    /// Where on the stack what it was called with is, and how far apart the two are. The system always lays that out alike.
    context: AtomicUsize,
    apart: AtomicUsize,
}

impl Caller {
    const fn none() -> Caller {
        Caller {
            thread: AtomicUsize::new(0),
            stack: AtomicUsize::new(0),
            context: AtomicUsize::new(0),
            apart: AtomicUsize::new(0),
        }
    }

    fn note(&self) -> Note {
        Note {
            stack: self.stack.load(SeqCst),
            context: self.context.load(SeqCst),
            apart: self.apart.load(SeqCst),
        }
    }

    /// For the thread that has claimed it.
    fn set(&self, note: Note) {
        self.stack.store(note.stack, SeqCst);
        self.context.store(note.context, SeqCst);
        self.apart.store(note.apart, SeqCst);
    }

    /// Whether ours is called from inside of the handler that was noted here. If it is the system that calls us, which has
    /// put its arguments on the stack since then, the handler has left, or wants to be interrupted. Who calls us by hand
    /// passes on those of before, or what happens to be there.
    fn calls(&self, arrival: &Arrival) -> bool {
        let (noted, now) = (self.note(), Note::of(arrival));
        let is_new = now.stack < now.context && now.context < noted.context;
        let is_of_system = is_new && now.apart == noted.apart;
        now.stack < noted.stack && !is_of_system
    }
}

/// What a `Caller` has of a call.
#[derive(Clone, Copy)]
struct Note {
    stack: usize,
    context: usize,
    apart: usize,
}

impl Note {
    fn of(arrival: &Arrival) -> Note {
        let context = arrival.context.addr();
        Note {
            stack: arrival.stack,
            context,
            apart: arrival.info.addr().wrapping_sub(context),
        }
    }
}

/// How many threads may be in such a handler at a time. It is left out for one more, which could not tell
/// whether it goes round in circles.
const CALLERS: usize = 16;

/// Whether a handler is to be called.
enum Place<'a> {
    /// It is, and then this is given back.
    Claimed(&'a Caller),
    /// It is, again. The note of before is put back then: it may be in the middle of it.
    Again(&'a Caller, Note),
    /// It is.
    Free,
    /// This thread is in it.
    Inside,
    /// Too many threads are.
    Full,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// A handler was called, or all are running.
    Done,
    /// The program ignores the signal.
    Ignored,
    /// The program has the default action for it.
    Default,
}

/// What a handler is called with.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) signal: Signal,
    pub(super) info: *mut libc::siginfo_t,
    pub(super) context: *mut libc::c_void,
    /// Where the stack is.
    pub(super) stack: usize,
}

/// Calls the first of the list that this thread is not in.
///
/// # Safety
/// All of the list were in force for this signal in this process, and a handler was called with what is in `arrival`.
pub(super) unsafe fn call_first(list: Option<&'static Before>, arrival: &Arrival) -> Called {
    let mut is_inside = false;
    for before in std::iter::successors(list, |before| before.next) {
        // What the handler that is inside would have found then: with these two it calls nobody.
        match before.now() {
            libc::SIG_IGN => return Called::Ignored,
            libc::SIG_DFL if is_inside => return Called::Done,
            libc::SIG_DFL => return Called::Default,
            _ => {}
        }
        match before.enter(arrival) {
            Place::Inside => is_inside = true,
            Place::Full => return Called::Done,
            place @ (Place::Claimed(_) | Place::Again(..) | Place::Free) => {
                // It is the system that resets a handler, not another one that calls it.
                if !is_inside && !before.may_be_called() {
                    place.leave();
                    return Called::Default;
                }
                // SAFETY: promised by our caller.
                unsafe { before.call(arrival, is_inside) };
                place.leave();
                return Called::Done;
            }
        }
    }
    Called::Done
}

impl Place<'_> {
    fn leave(self) {
        match self {
            Place::Claimed(caller) => caller.thread.store(0, SeqCst),
            Place::Again(caller, note) => caller.set(note),
            Place::Free | Place::Inside | Place::Full => {}
        }
    }
}

impl Before {
    /// Whether `action` is this handler.
    pub(super) fn is_same(&self, action: &libc::sigaction) -> bool {
        (self.action.sa_sigaction, self.action.sa_flags) == (action.sa_sigaction, action.sa_flags)
    }

    /// What to put back into force: after the one call that a handler was for, that is the default.
    pub(super) fn to_give_back(&self) -> libc::sigaction {
        libc::sigaction {
            sa_sigaction: self.now(),
            ..self.action
        }
    }

    /// Whether there is a handler of the program's to call.
    pub(super) fn is_function(&self) -> bool {
        is_function(&self.to_give_back())
    }

    /// Whether it may call ours, when the system calls it.
    pub(super) fn may_call_ours(&self) -> bool {
        self.may_call_ours
    }

    fn now(&self) -> libc::sighandler_t {
        if self.is_spent.load(SeqCst) {
            libc::SIG_DFL
        } else {
            self.action.sa_sigaction
        }
    }

    /// False for one that was to be called once, and was.
    fn may_be_called(&self) -> bool {
        self.action.sa_flags & libc::SA_RESETHAND == 0 || !self.is_spent.swap(true, SeqCst)
    }

    fn enter(&self, arrival: &Arrival) -> Place<'_> {
        if !self.may_call_ours {
            return Place::Free;
        }
        // SAFETY: it cannot fail.
        let this = unsafe { libc::pthread_self() } as usize;
        let is_ours = |caller: &&Caller| caller.thread.load(SeqCst) == this;
        if let Some(caller) = self.callers.iter().find(is_ours) {
            if caller.calls(arrival) {
                return Place::Inside;
            }
            let before = caller.note();
            caller.set(Note::of(arrival));
            return Place::Again(caller, before);
        }
        let claim = |caller: &&Caller| {
            caller
                .thread
                .compare_exchange(0, this, SeqCst, SeqCst)
                .is_ok()
        };
        match self.callers.iter().find(claim) {
            Some(caller) => {
                caller.set(Note::of(arrival));
                Place::Claimed(caller)
            }
            None => Place::Full,
        }
    }

    /// # Safety
    /// As `call_first`; it is a function.
    unsafe fn call(&self, arrival: &Arrival, by_another: bool) {
        // SAFETY: promised by our caller.
        unsafe {
            if self.changes_mask {
                self.call_masked(arrival, by_another);
            } else {
                self.call_now(arrival);
            }
        }
    }

    /// Calls it with the signals blocked that it wants blocked. Its own one is by ours, which is running; a handler that wants
    /// to be interrupted by that (SA_NODEFER) is, unless another one has called us, which it would interrupt as well. For
    /// one that leaves by longjmp the mask is what it is for one that the system has called.
    ///
    /// # Safety
    /// As `call`.
    #[inline(never)] // It has sets on the stack.
    unsafe fn call_masked(&self, arrival: &Arrival, by_another: bool) {
        let wanted = Set::from(self.action.sa_mask);
        let before = wanted.block();
        if self.action.sa_flags & libc::SA_NODEFER != 0
            && !by_another
            && !wanted.has(arrival.signal)
        {
            Set::of(std::iter::once(arrival.signal)).unblock();
        }
        // SAFETY: promised by our caller.
        unsafe { self.call_now(arrival) };
        restore(&before);
    }

    /// # Safety
    /// As `call`.
    unsafe fn call_now(&self, arrival: &Arrival) {
        // It may leave past us, by longjmp(3) or pthread_exit(3): no frame of ours from the handler to here has anything
        // to drop.
        let function = self.action.sa_sigaction;
        // SAFETY: it is called as sigaction(2) says that one with these flags is to be called.
        unsafe {
            if self.action.sa_flags & libc::SA_SIGINFO == 0 {
                let function: extern "C-unwind" fn(libc::c_int) = std::mem::transmute(function);
                function(arrival.signal);
            } else {
                let function: extern "C-unwind" fn(
                    libc::c_int,
                    *mut libc::siginfo_t,
                    *mut libc::c_void,
                ) = std::mem::transmute(function);
                function(arrival.signal, arrival.info, arrival.context);
            }
        }
    }
}

/// The flags of ours that are up to the program's handler. On the alternate stack (sigaltstack(2)) where that wants it, as it is called
/// from ours, and where there is none: languages with small stacks of their own ask for that, and ours needs little. But
/// a handler that has not asked for it may need more stack than there is.
pub(super) fn flags_for(before: &Before) -> libc::c_int {
    if before.is_function() {
        before.action.sa_flags & (libc::SA_ONSTACK | libc::SA_NOCLDSTOP)
    } else {
        libc::SA_ONSTACK
    }
}

/// The handler that was just found in force for a signal, in front of those that were found before. One that is there already
/// has been installed anew since, and calls what it has found now.
pub(super) fn found(
    signal: Signal,
    action: &libc::sigaction,
    next: Option<&'static Before>,
    may_call_ours: bool,
) -> &'static Before {
    let next = without(signal, action, next);
    let before = node(signal, action, next, may_call_ours);
    if before.is_spent.load(SeqCst) {
        before.is_spent.store(false, SeqCst);
    }
    before
}

fn without(
    signal: Signal,
    action: &libc::sigaction,
    list: Option<&'static Before>,
) -> Option<&'static Before> {
    let first = list?;
    let next = without(signal, action, first.next);
    Some(if first.is_same(action) {
        return next;
    } else if is_one(next, first.next) {
        first
    } else {
        let same = node(signal, &first.action, next, first.may_call_ours);
        same.is_spent.store(first.is_spent.load(SeqCst), SeqCst);
        same
    })
}

/// All that were ever found.
static FOUND: AtomicPtr<Before> = AtomicPtr::new(std::ptr::null_mut());

fn node(
    signal: Signal,
    action: &libc::sigaction,
    next: Option<&'static Before>,
    may_call_ours: bool,
) -> &'static Before {
    // SAFETY: null, or one that is never freed.
    let newest = unsafe { FOUND.load(SeqCst).as_ref() };
    let is_it = |found: &&'static Before| {
        found.signal == signal
            && found.is_same(action)
            && has_same_mask(&found.action, action)
            && found.may_call_ours == may_call_ours
            && is_one(found.next, next)
    };
    if let Some(found) = std::iter::successors(newest, |found| found.found_before).find(is_it) {
        return found;
    }
    let found: *mut Before = Box::into_raw(Box::new(Before {
        signal,
        action: *action,
        changes_mask: mask_of(action).next().is_some() || action.sa_flags & libc::SA_NODEFER != 0,
        next,
        may_call_ours,
        is_spent: AtomicBool::new(false),
        callers: [const { Caller::none() }; CALLERS],
        found_before: newest,
    }));
    FOUND.store(found, SeqCst);
    // SAFETY: it is there for good.
    unsafe { &*found }
}

fn is_one(one: Option<&'static Before>, other: Option<&'static Before>) -> bool {
    one.map(std::ptr::from_ref) == other.map(std::ptr::from_ref)
}

/// The signals that are blocked as long as the handler runs, beside its own.
fn mask_of(action: &libc::sigaction) -> impl Iterator<Item = Signal> {
    // SAFETY: sigaction(2) has filled in the set, and a number that is no signal's is an error code.
    let is_in = |&signal: &Signal| unsafe { libc::sigismember(&action.sa_mask, signal) } == 1;
    (1..SIGNALS as Signal).filter(is_in)
}

fn has_same_mask(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    mask_of(one).eq(mask_of(other))
}
