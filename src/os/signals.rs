//! Signals as they arrive: the self-pipe that ends a wait, the handlers of C hosts, and the signals that must
//! not arrive around a fork.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use signal_hook::SigId;
use signal_hook::low_level;

use super::arrivals::Arrivals;
use super::descriptor::{Inherited, above_stdio};
use super::process::Process;
use crate::machine::Signal;

/// One more than the highest signal number on any system that this builds on.
pub(super) const SIGNALS: usize = 129;

/// A pipe that a signal handler, or a worker, writes to so that a wait ends.
#[derive(Debug)]
pub struct WakePipe {
    read: Inherited,
    /// The others are the same file.
    write: RawFd,
    for_workers: RawFd,
}

/// No descriptor has this number.
const CLOSED: RawFd = -1;

impl WakePipe {
    /// A new pipe: it never blocks, and no program that is exec'd inherits it.
    pub fn new() -> Result<WakePipe, Errno> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (read, write) = (above_stdio(read)?, above_stdio(write)?);
        let identity = Inherited::new(read.as_raw_fd()).ok_or_else(Errno::last)?;
        let _ = read.into_raw_fd();
        Ok(WakePipe {
            read: identity,
            write: write.into_raw_fd(),
            for_workers: CLOSED,
        })
    }

    /// The descriptor that becomes readable.
    pub fn read_fd(&self) -> RawFd {
        self.read.number()
    }

    /// The descriptor to write to.
    pub fn write_fd(&self) -> RawFd {
        self.write
    }

    /// Whether the program has left all ends as they are.
    pub fn is_intact(&self) -> bool {
        let is_there = |&fd: &RawFd| fd == CLOSED || self.read.under(fd).get().is_some();
        [self.read_fd(), self.write, self.for_workers]
            .iter()
            .all(is_there)
    }

    /// Whether the end is there that `drain` reads from.
    pub fn is_readable(&self) -> bool {
        self.read.get().is_some()
    }

    /// The end that workers write to, if it was opened.
    pub fn end_for_workers(&self) -> Option<RawFd> {
        (self.for_workers != CLOSED).then_some(self.for_workers)
    }

    /// Opens the write end for workers: with status flags of its own, if the system can. A worker that
    /// makes what it shares with the manager block could hold up the manager itself. The caller knows that the pipe
    /// is intact.
    pub fn open_for_workers(&mut self) -> Result<RawFd, Errno> {
        self.close_for_workers();
        let name = format!("/proc/self/fd/{}", self.write);
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let end = open(name.as_str(), flags, Mode::empty()).or_else(|_| {
            // SAFETY: it is open, and stays so meanwhile.
            let write = unsafe { BorrowedFd::borrow_raw(self.write) };
            write.try_clone_to_owned().map_err(errno_of)
        })?;
        self.for_workers = above_stdio(end)?.into_raw_fd();
        Ok(self.for_workers)
    }

    /// Workers that are forked from now on have no end.
    pub fn close_for_workers(&mut self) {
        let end = std::mem::replace(&mut self.for_workers, CLOSED);
        self.read.under(end).close();
    }

    /// Leaves a worker its end, and closes the others; without a look, for a caller that knows that they are there.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn leave_to_worker(&mut self, is_intact: bool) {
        if is_intact {
            self.read.close_at_once();
            self.read.under(self.write).close_at_once();
        } else {
            self.close_what_is_there();
        }
        self.read = self.read.under(CLOSED);
        self.write = CLOSED;
    }

    #[cold]
    fn close_what_is_there(&self) {
        self.read.close();
        self.read.under(self.write).close();
    }

    /// Empties the pipe, but for what is written faster than it can be read. What the bytes
    /// meant is recorded elsewhere. The caller knows that `is_readable` is true.
    pub fn drain(&self) {
        // SAFETY: it is open, and stays so meanwhile.
        let read = unsafe { BorrowedFd::borrow_raw(self.read_fd()) };
        // Few of them: each page of the stack that a manager writes to is copied after a fork.
        let mut bytes = [0_u8; 256];
        for _ in 0..DRAIN_AT_MOST / bytes.len() {
            match nix::unistd::read(read, &mut bytes) {
                Ok(n) if n == bytes.len() => {}
                _ => return,
            }
        }
    }
}

impl Drop for WakePipe {
    fn drop(&mut self) {
        for fd in [self.read_fd(), self.write, self.for_workers] {
            self.read.under(fd).close();
        }
    }
}

/// What a pipe holds, on Linux.
const DRAIN_AT_MOST: usize = 65_536;

fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Where the pipe of a manager is, for all that end its wait: handlers, other threads, other managers. The pipe may be
/// another one tomorrow, if the program closes the descriptors.
#[derive(Debug, Default)]
pub struct Waker {
    ends: AtomicPtr<Ends>,
}

#[derive(Debug)]
struct Ends {
    read: Inherited,
    write: Inherited,
    /// The ends of before, which a handler may be reading.
    before: *mut Ends,
}

impl Waker {
    /// From now on it is this pipe. For the manager's own thread.
    pub fn set(&self, pipe: &WakePipe) {
        let ends = Ends {
            read: pipe.read,
            write: pipe.read.under(pipe.write),
            before: self.ends.load(Ordering::SeqCst),
        };
        self.ends
            .store(Box::into_raw(Box::new(ends)), Ordering::SeqCst);
    }

    /// Makes the read end readable. Async-signal-safe; a full pipe is as good as one byte more. Nothing is
    /// written if the program has closed one of the ends: the number may be a file of its own, and without the read end
    /// there would be SIGPIPE. The manager looks for that before it sleeps.
    pub fn wake(&self) {
        // SAFETY: what is stored there lives as long as this does.
        let Some(ends) = (unsafe { self.ends.load(Ordering::SeqCst).as_ref() }) else {
            return;
        };
        let errno = Errno::last();
        if let (Some(_), Some(write_fd)) = (ends.read.get(), ends.write.get()) {
            write_byte(write_fd);
        }
        errno.set();
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        let mut ends = *self.ends.get_mut();
        while !ends.is_null() {
            // SAFETY: it came from Box::into_raw, and nobody can get at it any more.
            ends = unsafe { Box::from_raw(ends) }.before;
        }
    }
}

/// Makes the read end of a wake pipe readable that another process has; a full pipe is as good as one byte more. Returns whether
/// anybody has it: if not, a worker lives on without its manager, and SIGPIPE, which such a write is answered with,
/// would end it.
pub fn wake(write_fd: RawFd) -> bool {
    let errno = Errno::last();
    let sigpipe = Set::of(std::iter::once(libc::SIGPIPE));
    let before = sigpipe.block();
    // One that the program has blocked and not looked at yet stays.
    let was_pending = before.blocks(libc::SIGPIPE) && is_pending(libc::SIGPIPE);
    let is_broken = !write_byte(write_fd) && Errno::last() == Errno::EPIPE;
    if is_broken && !was_pending {
        sigpipe.discard();
    }
    restore(&before);
    errno.set();
    !is_broken
}

fn write_byte(write_fd: RawFd) -> bool {
    // SAFETY: one byte of a live constant; a bad descriptor gives EBADF and nothing else.
    unsafe { libc::write(write_fd, [0_u8].as_ptr().cast(), 1) == 1 }
}

/// The handlers that a C host lets the library install.
#[derive(Debug)]
pub struct Traps {
    installed: BTreeMap<Signal, SigId>,
    children: Option<SigId>,
    /// The handler sets it before it ends the wait; it is cleared before children are looked for. So a child
    /// that ends after the look sets it again.
    child_arrived: Arc<AtomicBool>,
    /// A worker inherits the actions of its manager, which must do nothing there.
    owner: Process,
}

impl Default for Traps {
    fn default() -> Self {
        Traps {
            installed: BTreeMap::new(),
            children: None,
            // A child may have gone before anybody watched.
            child_arrived: Arc::new(AtomicBool::new(true)),
            owner: Process::this(),
        }
    }
}

impl Traps {
    /// Traps a signal: its arrival is recorded and ends a wait. If it is trapped already, and the program has
    /// installed another handler since, that becomes the one of before.
    pub fn trap(
        &mut self,
        signal: Signal,
        arrivals: &Arc<Arrivals>,
        waker: &Arc<Waker>,
    ) -> std::io::Result<()> {
        if let Some(&id) = self.installed.get(&signal) {
            if !is_hooks(signal) {
                let mut dispositions = dispositions();
                let before = dispositions.put_ours_before(signal)?;
                dispositions.installed(signal, before, id)?;
            }
            return Ok(());
        }
        let recorded = Arc::clone(arrivals);
        let id = self.register(signal, arrivals, waker, move || {
            recorded.record(signal);
        })?;
        self.installed.insert(signal, id);
        Ok(())
    }

    /// Lets the exit of a child end a wait.
    pub fn watch_children(
        &mut self,
        arrivals: &Arc<Arrivals>,
        waker: &Arc<Waker>,
    ) -> std::io::Result<()> {
        if self.children.is_some() {
            return Ok(());
        }
        let arrived = Arc::clone(&self.child_arrived);
        let id = self.register(libc::SIGCHLD, arrivals, waker, move || {
            arrived.store(true, Ordering::SeqCst);
        })?;
        self.children = Some(id);
        Ok(())
    }

    fn register(
        &self,
        signal: Signal,
        arrivals: &Arc<Arrivals>,
        waker: &Arc<Waker>,
        record: impl Fn() + Clone + Send + Sync + 'static,
    ) -> std::io::Result<SigId> {
        let owner = self.owner;
        let (arrivals, waker) = (Arc::clone(arrivals), Arc::clone(waker));
        let action = move || {
            if owner.is_this_and_no_vfork() {
                record();
                waker.wake();
                arrivals.end_sleep();
            }
        };
        leave_to_ancestors();
        let mut dispositions = dispositions();
        let was_trapped = dispositions.will_trap(signal);
        let before = match dispositions.put_ours_before(signal) {
            Ok(before) => before,
            Err(error) => {
                set_trapped(signal, was_trapped);
                return Err(error);
            }
        };
        // SAFETY: the action reads and stores atomics, looks at descriptors and writes a byte, all async-signal-safe.
        let id = match unsafe { low_level::register(signal, action.clone()) } {
            Ok(id) => id,
            Err(error) => {
                dispositions.refused(signal, &before);
                set_trapped(signal, was_trapped);
                return Err(error);
            }
        };
        dispositions.installed(signal, before, id)?;
        // A signal may have come to `call_previous` when signal-hook did not know the action yet: directly, or from
        // signal-hook, which waits for handlers that run without it. One that another thread has got, and
        // does not run before this is looked at, came before the trap, and is the program's.
        if known(signal).is_some_and(|known| known.was_called.load(Ordering::SeqCst)) {
            action();
        }
        Ok(id)
    }

    /// Whether the handler of SIGCHLD has run since child_arrived was asked.
    pub fn child_is_noted(&self) -> bool {
        self.child_arrived.load(Ordering::SeqCst)
    }

    /// Whether SIGCHLD has arrived since the last time this was asked; none if nobody watches.
    pub fn child_arrived(&self) -> Option<bool> {
        self.children?;
        // What is not set is not written to either: it is in a page that a fork has just made shared.
        Some(self.child_is_noted() && self.child_arrived.swap(false, Ordering::SeqCst))
    }

    /// The signals that have a handler of ours, SIGCHLD included.
    pub fn signals(&self) -> impl Iterator<Item = Signal> + Clone {
        let children = self.children.map(|_| libc::SIGCHLD);
        self.installed.keys().copied().chain(children)
    }

    /// Whether the exit of a child ends a wait.
    pub fn is_watching_children(&self) -> bool {
        self.children.is_some()
    }

    /// Whether SIGCHLD was to be watched, and the program has put a handler of its own in place of
    /// ours since. Whether that one calls ours nobody can tell.
    pub fn children_unwatched(&self) -> bool {
        self.children.is_some() && !is_hooks(libc::SIGCHLD)
    }

    /// Whether SIGCHLD is watched, and its handler does nothing but note it: it is still ours, and
    /// the program had none before.
    pub fn alone_watch_children(&self) -> bool {
        self.children.is_some() && is_ours_alone(libc::SIGCHLD)
    }

    /// Takes every action of ours out. A signal that nobody else traps gets back the handler
    /// that the program had before.
    pub fn remove(&mut self) {
        // In a child another thread of the process that trapped may have held a lock when that forked, which
        // nobody would release here; so signal-hook, which has one of its own, is left alone there. The
        // actions do nothing in a child anyway.
        let is_child = !self.owner.is_this();
        let dispositions = if is_child {
            dispositions_unless_locked()
        } else {
            Some(dispositions())
        };
        // Between the two steps below a handler may be called twice.
        let mask = block(self.signals());
        let children = self.children.take().map(|id| (libc::SIGCHLD, id));
        let installed = std::mem::take(&mut self.installed);
        if let Some(mut dispositions) = dispositions {
            for (signal, id) in installed.into_iter().chain(children) {
                let is_given_back = dispositions.removed(signal, id);
                if !is_child {
                    // It waits for handlers that run, which call what was before ours.
                    low_level::unregister(id);
                }
                if is_given_back {
                    dispositions.forget_what_is_back(signal);
                }
            }
        }
        if let Some(mask) = mask {
            restore(&mask);
        }
    }
}

/// What is known of each signal, for handlers, which can take no lock: those that the program
/// had before ours. signal-hook calls what it found
/// when it first handled the signal, for ever; so that is `call_previous`, which calls what
/// there was before the managers of today.
///
/// On the heap: in the library's data it would make that two mappings, both of which each fork copies.
static KNOWN: OnceLock<Box<[Known; SIGNALS]>> = OnceLock::new();

/// None as long as no signal has been trapped. Async-signal-safe.
fn known(signal: Signal) -> Option<&'static Known> {
    KNOWN.get().map(|known| &known[slot_of(signal)])
}

struct Known {
    /// The handler before ours, which has a link to the one before that. Null as long as there is none. It is
    /// stored before ours is put in force, so ours finds it.
    before: AtomicPtr<Before>,
    /// Whether `call_previous` was called since it was last cleared.
    was_called: AtomicBool,
}

impl Known {
    const fn new() -> Known {
        Known {
            before: AtomicPtr::new(std::ptr::null_mut()),
            was_called: AtomicBool::new(false),
        }
    }

    fn before(&self) -> Option<&'static Before> {
        // SAFETY: what is stored there is never freed (`Dispositions::found`).
        unsafe { self.before.load(Ordering::SeqCst).as_ref() }
    }

    fn set_before(&self, before: Option<&'static Before>) {
        let before = before.map_or(std::ptr::null(), std::ptr::from_ref);
        self.before.store(before.cast_mut(), Ordering::SeqCst);
    }
}

/// A handler that was found in the place of ours. It may have been installed over ours of an earlier manager, and
/// call that; then what it wants called is the one before it.
struct Before {
    action: libc::sigaction,
    /// Whether the action blocks other signals as long as it runs.
    has_mask: bool,
    next: Option<&'static Before>,
    /// Not if there was none of ours when it was first installed.
    may_call_ours: bool,
    /// The threads that are in it, where it may call ours; 0 for none. A thread writes only to places that
    /// it has claimed, and gives them back, so of its own it always knows whether they are there.
    callers: [AtomicUsize; CALLERS],
}

/// How many threads may be in such a handler at a time. It is left out for one more, which could not tell
/// whether it goes round in circles.
const CALLERS: usize = 16;

/// Whether a handler is to be called.
enum Entry<'a> {
    /// It is, and then this is set to 0 again.
    Guarded(&'a AtomicUsize),
    /// It is.
    Free,
    /// This thread is in it.
    Inside,
    /// Too many threads are.
    Full,
}

impl Before {
    fn is_same(&self, action: &libc::sigaction) -> bool {
        (self.action.sa_sigaction, self.action.sa_flags) == (action.sa_sigaction, action.sa_flags)
    }

    fn enter(&self) -> Entry<'_> {
        if !self.may_call_ours {
            return Entry::Free;
        }
        // SAFETY: it cannot fail.
        let this = unsafe { libc::pthread_self() } as usize;
        let is_ours = |caller: &AtomicUsize| caller.load(Ordering::SeqCst) == this;
        if self.callers.iter().any(is_ours) {
            return Entry::Inside;
        }
        let claim = |caller: &&AtomicUsize| {
            caller
                .compare_exchange(0, this, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        match self.callers.iter().find(claim) {
            Some(caller) => Entry::Guarded(caller),
            None => Entry::Full,
        }
    }

    /// Calls it with the signals blocked that it wants blocked. Its own one is by ours, which is running. For a
    /// handler that leaves by longjmp the mask is what it is for one that the system has called.
    ///
    /// # Safety
    /// As call.
    #[inline(never)] // It has a set on the stack.
    unsafe fn call_masked(
        &self,
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        let before = block_all_of(&self.action.sa_mask);
        // SAFETY: promised by our caller.
        unsafe { self.call(signal, info, context) };
        restore(&before);
    }

    /// # Safety
    /// It is a function, and was in force for this signal in this process; `info` and `context` are
    /// what a handler was called with.
    unsafe fn call(
        &self,
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        let function = self.action.sa_sigaction;
        // SAFETY: it is called as sigaction(2) says that one with these flags is to be called.
        unsafe {
            if self.action.sa_flags & libc::SA_SIGINFO == 0 {
                let function: extern "C" fn(libc::c_int) = std::mem::transmute(function);
                function(signal);
            } else {
                let function: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(function);
                function(signal, info, context);
            }
        }
    }
}

/// A bit for each signal that some manager of this process traps. It is set before the handler is put in force, and
/// cleared after the program's is back: a worker that another thread forks in between resets a handler that is
/// not ours yet, or no more. The other way round it would keep ours, which does nothing there, for ever.
static TRAPPED: [AtomicU64; SIGNALS.div_ceil(64)] =
    [const { AtomicU64::new(0) }; SIGNALS.div_ceil(64)];

/// The process whose managers have set them, by its number of `os::process`; 0 for none. A worker inherits the bits and does not clear them, which
/// would copy a page in each: whoever makes a manager in it does.
static TRAPPED_IN: AtomicU64 = AtomicU64::new(0);

/// In a child of the process whose managers have trapped: what they did is none of ours. A worker has reset
/// their signals, so the handlers are the program's now. A process that the host has forked by itself still has
/// those handlers of ours that the program has not replaced; its workers are to have the default there.
pub fn leave_to_ancestors() {
    let trapped_in = TRAPPED_IN.load(Ordering::SeqCst);
    if trapped_in == 0 {
        return;
    }
    let this = Process::this().life();
    if trapped_in == this {
        return;
    }
    for signal in trapped_here() {
        if !is_hooks(signal) {
            set_trapped(signal, false);
        }
    }
    TRAPPED_IN.store(this, Ordering::SeqCst);
}

fn is_trapped(signal: Signal) -> bool {
    TRAPPED[slot_of(signal) / 64].load(Ordering::SeqCst) & bit_of(signal) != 0
}

fn set_trapped(signal: Signal, is_trapped: bool) {
    let bits = &TRAPPED[slot_of(signal) / 64];
    if is_trapped {
        bits.fetch_or(bit_of(signal), Ordering::SeqCst);
    } else {
        bits.fetch_and(!bit_of(signal), Ordering::SeqCst);
    }
}

fn bit_of(signal: Signal) -> u64 {
    1 << (slot_of(signal) % 64)
}

/// The signals that some manager of this process traps, SIGCHLD included. Async-signal-safe.
pub fn trapped_here() -> impl Iterator<Item = Signal> {
    (0_i32..)
        .step_by(64)
        .zip(&TRAPPED)
        .flat_map(|(first, bits)| {
            let mut left = bits.load(Ordering::SeqCst);
            std::iter::from_fn(move || {
                let bit = i32::try_from(left.trailing_zeros())
                    .ok()
                    .filter(|&bit| bit < 64)?;
                left &= left - 1;
                Some(first + bit)
            })
        })
}

/// Where a signal is in the tables; those that do not exist share a place.
fn slot_of(signal: Signal) -> usize {
    usize::try_from(signal).map_or(0, |slot| if slot < SIGNALS { slot } else { 0 })
}

extern "C" fn call_previous(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let Some(known) = known(signal) else {
        return;
    };
    // Most often it is true already, and its page need not be copied for it after a fork.
    if !known.was_called.load(Ordering::SeqCst) {
        known.was_called.store(true, Ordering::SeqCst);
    }
    let mut next = known.before();
    while let Some(before) = next {
        if !is_function(&before.action) {
            return;
        }
        let entry = before.enter();
        // SAFETY: it is a function that was found for this signal, and we were called as it is.
        let call = || unsafe {
            if before.has_mask {
                before.call_masked(signal, info, context);
            } else {
                before.call(signal, info, context);
            }
        };
        match entry {
            Entry::Guarded(caller) => {
                call();
                caller.store(0, Ordering::SeqCst);
                return;
            }
            Entry::Free => {
                call();
                return;
            }
            Entry::Inside => next = before.next,
            Entry::Full => return,
        }
    }
}

/// What becomes of handlers in this process. signal-hook installs its own once for each signal
/// and leaves it there for good; a worker resets it, and a manager that goes gives the program
/// its own back, both of which signal-hook does not know.
#[derive(Default)]
struct Dispositions {
    /// Who traps a signal. Only what has its bit in `TRAPPED` is of this process.
    traps: BTreeMap<Signal, Trap>,
    /// signal-hook's handler, the same for all signals.
    hook: Option<libc::sigaction>,
    /// The signals that signal-hook knows.
    known: BTreeSet<Signal>,
    /// The handlers that were found, each with what was before it, once.
    found: Vec<&'static Before>,
}

struct Trap {
    /// Those of managers.
    by: Vec<SigId>,
    /// What the program has installed last.
    before: libc::sigaction,
}

static DISPOSITIONS: Mutex<Option<Dispositions>> = Mutex::new(None);

/// signal-hook's handler, once it is known. It never changes after that, so it matters to nobody when he sees it.
static HOOK: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

fn dispositions() -> DispositionsGuard {
    DispositionsGuard(DISPOSITIONS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn dispositions_unless_locked() -> Option<DispositionsGuard> {
    match DISPOSITIONS.try_lock() {
        Ok(guard) => Some(DispositionsGuard(guard)),
        Err(TryLockError::Poisoned(poisoned)) => Some(DispositionsGuard(poisoned.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

struct DispositionsGuard(MutexGuard<'static, Option<Dispositions>>);

impl DispositionsGuard {
    /// From now on workers reset the signal. Returns whether they did already.
    fn will_trap(&mut self, signal: Signal) -> bool {
        let was_trapped = is_trapped(signal);
        if !was_trapped {
            // What was left by managers of an ancestor.
            self.0.get_or_insert_default().traps.remove(&signal);
        }
        TRAPPED_IN.store(Process::this().life(), Ordering::SeqCst);
        set_trapped(signal, true);
        was_trapped
    }

    /// Makes `call_previous` what signal-hook finds, and returns what the program had.
    fn put_ours_before(&mut self, signal: Signal) -> std::io::Result<libc::sigaction> {
        let before = disposition(signal)?;
        let known = KNOWN.get_or_init(|| Box::new([const { Known::new() }; SIGNALS]));
        let known = &known[slot_of(signal)];
        known.was_called.store(false, Ordering::SeqCst);
        if is_hooks(signal) {
            return Ok(before);
        }
        let state = self.0.get_or_insert_default();
        let is_new = state.known.insert(signal);
        known.set_before(Some(state.find(&before, known.before(), !is_new)));
        if is_new {
            let mut ours = before;
            ours.sa_sigaction = call_previous as *const () as libc::sighandler_t;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            set_disposition(signal, &ours);
        }
        Ok(before)
    }

    /// signal-hook does not handle the signal after all.
    fn refused(&mut self, signal: Signal, before: &libc::sigaction) {
        self.0.get_or_insert_default().known.remove(&signal);
        set_disposition(signal, before);
    }

    fn installed(
        &mut self,
        signal: Signal,
        before: libc::sigaction,
        id: SigId,
    ) -> std::io::Result<()> {
        let state = self.0.get_or_insert_default();
        let now = disposition(signal)?;
        let hook = *state.hook.get_or_insert(now);
        HOOK.store(hook.sa_sigaction, Ordering::SeqCst);
        if now.sa_sigaction != hook.sa_sigaction {
            set_disposition(signal, &hook);
        }
        let by = Vec::new();
        let trap = state.traps.entry(signal).or_insert(Trap { by, before });
        if before.sa_sigaction != hook.sa_sigaction {
            trap.before = before;
        }
        if !trap.by.contains(&id) {
            trap.by.push(id);
        }
        Ok(())
    }

    /// A manager does not trap the signal any more. Returns whether the handler that the program had before is back;
    /// `forget_what_is_back` is to follow.
    fn removed(&mut self, signal: Signal, id: SigId) -> bool {
        let state = self.0.get_or_insert_default();
        let Some(trap) = state.traps.get_mut(&signal) else {
            return false;
        };
        let is_of_this_process = is_trapped(signal);
        trap.by.retain(|&by| by != id);
        if is_of_this_process && !trap.by.is_empty() {
            return false;
        }
        let before = trap.before;
        state.traps.remove(&signal);
        if !is_of_this_process {
            return false;
        }
        // Not if the program has installed another one since.
        let is_given_back = is_hooks(signal);
        if is_given_back {
            set_disposition(signal, &before);
        }
        set_trapped(signal, false);
        is_given_back
    }

    /// The handler that is in force again is called by the system; if it calls ours, it wants the one before it.
    fn forget_what_is_back(&mut self, signal: Signal) {
        let (Some(known), Ok(now)) = (known(signal), disposition(signal)) else {
            return;
        };
        if let Some(before) = known.before().filter(|before| before.is_same(&now)) {
            known.set_before(before.next);
        }
    }
}

impl Dispositions {
    /// This handler, in front of those that were found before. One that is there already has been installed anew
    /// since, and calls what it has found now.
    fn find(
        &mut self,
        action: &libc::sigaction,
        next: Option<&'static Before>,
        may_call_ours: bool,
    ) -> &'static Before {
        let next = self.without(action, next);
        self.node(action, next, may_call_ours)
    }

    fn without(
        &mut self,
        action: &libc::sigaction,
        list: Option<&'static Before>,
    ) -> Option<&'static Before> {
        let first = list?;
        let next = self.without(action, first.next);
        Some(if first.is_same(action) {
            return next;
        } else if is_one(next, first.next) {
            first
        } else {
            self.node(&first.action, next, first.may_call_ours)
        })
    }

    fn node(
        &mut self,
        action: &libc::sigaction,
        next: Option<&'static Before>,
        may_call_ours: bool,
    ) -> &'static Before {
        let is_it = |found: &&&'static Before| {
            found.is_same(action)
                && has_same_mask(&found.action, action)
                && found.may_call_ours == may_call_ours
                && is_one(found.next, next)
        };
        if let Some(found) = self.found.iter().find(is_it) {
            return found;
        }
        // For good: a handler may be reading it at any time.
        let found: &Before = Box::leak(Box::new(Before {
            action: *action,
            has_mask: mask_of(action).next().is_some(),
            next,
            may_call_ours,
            callers: [const { AtomicUsize::new(0) }; CALLERS],
        }));
        self.found.push(found);
        found
    }
}

fn is_one(one: Option<&'static Before>, other: Option<&'static Before>) -> bool {
    one.map(std::ptr::from_ref) == other.map(std::ptr::from_ref)
}

/// Whether the handler of a signal is signal-hook's. Without a lock, which a wait would have to
/// write to.
fn is_hooks(signal: Signal) -> bool {
    let hook = HOOK.load(Ordering::SeqCst);
    hook != libc::SIG_DFL && disposition(signal).is_ok_and(|now| now.sa_sigaction == hook)
}

/// Whether the handler of a signal is ours, and calls none of the program's.
fn is_ours_alone(signal: Signal) -> bool {
    let before = known(signal).and_then(Known::before);
    let has_before = before.is_some_and(|before| is_function(&before.action));
    !has_before && is_hooks(signal)
}

fn is_function(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
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

fn disposition(signal: Signal) -> std::io::Result<libc::sigaction> {
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

fn set_disposition(signal: Signal, to: &libc::sigaction) {
    // SAFETY: `to` was read by `disposition`: it was in force for this process before.
    unsafe { libc::sigaction(signal, to, std::ptr::null_mut()) };
}

fn this_process() -> libc::pid_t {
    // SAFETY: getpid(2) cannot fail and touches nothing.
    unsafe { libc::getpid() }
}

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
pub struct HeldSigchld(Option<SavedMask>);

/// Blocks SIGCHLD for a while in which each would only interrupt, and would tell nothing new.
pub fn hold_sigchld() -> HeldSigchld {
    HeldSigchld(block(std::iter::once(libc::SIGCHLD)))
}

impl Drop for HeldSigchld {
    fn drop(&mut self) {
        if let Some(mask) = &self.0 {
            restore(mask);
        }
    }
}

/// Whether a signal is pending.
fn is_pending(signal: Signal) -> bool {
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

/// Blocks the signals of a set. Async-signal-safe.
fn block_all_of(set: &libc::sigset_t) -> SavedMask {
    let mut old = empty_set();
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, &raw mut old) };
    SavedMask(old)
}

#[inline(never)] // It has two sets on the stack, see ARCHITECTURE.md.
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

    /// Blocks them, and returns the mask of before.
    pub fn block(&self) -> SavedMask {
        let mut old = empty_set();
        // SAFETY: both sets are initialised. It fails for a wrong `how` only (pthread_sigmask(3)).
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, self.get(), &raw mut old) };
        SavedMask(old)
    }

    /// Takes one of them out that is pending for this thread, if there is one.
    #[cfg(target_os = "linux")]
    fn discard(&self) {
        let at_once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set is initialised, the others are null or point to live variables.
        unsafe { libc::sigtimedwait(self.get(), std::ptr::null_mut(), &raw const at_once) };
    }

    /// There is no sigtimedwait(2) everywhere, and one is known to be pending.
    #[cfg(not(target_os = "linux"))]
    fn discard(&self) {
        let mut signal = 0;
        // SAFETY: the set is initialised, and the other points to a live variable.
        unsafe { libc::sigwait(self.get(), &raw mut signal) };
    }

    /// For system calls.
    pub fn get(&self) -> *const libc::sigset_t {
        &raw const self.0
    }
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

/// Puts a mask back.
pub fn restore(mask: &SavedMask) {
    // SAFETY: the set was filled in by pthread_sigmask(3).
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, std::ptr::null_mut()) };
}

fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Gives a signal its default disposition, for a worker that has just been forked.
pub fn reset_to_default(signal: Signal) {
    // SAFETY: SIG_DFL runs no code of anybody's.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Whether the number is that of a signal that exists here and can be sent.
pub fn is_signal(signal: Signal) -> bool {
    // kill(2) would tell as well, but only by sending it; sigaddset(3) checks the number alone.
    let mut set = empty_set();
    // SAFETY: the set is initialised.
    signal > 0 && unsafe { libc::sigaddset(&raw mut set, signal) } == 0
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;

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
    fn a_wake_is_seen_once_drained_never_blocks() {
        let pipe = WakePipe::new().unwrap();
        assert!(pipe.is_intact());
        for _ in 0..100_000 {
            wake(pipe.write_fd());
        }
        pipe.drain();
        pipe.drain();
    }

    #[test]
    fn the_end_for_workers_has_flags_of_its_own() {
        let mut pipe = WakePipe::new().unwrap();
        let end = pipe.open_for_workers().unwrap();
        wake(end);
        // SAFETY: they are open until the end of this test.
        let fd = |fd: RawFd| unsafe { BorrowedFd::borrow_raw(fd) };
        let mut byte = [0];
        assert_eq!(nix::unistd::read(fd(pipe.read_fd()), &mut byte), Ok(1));
        let flags = |number| fcntl(fd(number), FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        fcntl(fd(end), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        assert!(!flags(end).unwrap().contains(OFlag::O_NONBLOCK));
        assert!(flags(pipe.write_fd()).unwrap().contains(OFlag::O_NONBLOCK));
    }

    /// SIGPIPE would end this process.
    #[test]
    fn to_wake_nobody_is_no_reason_for_sigpipe() {
        let mut pipe = WakePipe::new().unwrap();
        let end = pipe.open_for_workers().unwrap();
        pipe.leave_to_worker(false);
        // The default, which the standard library has changed for programs in Rust.
        reset_to_default(libc::SIGPIPE);
        wake(end);
        let sigpipe = Set::of(std::iter::once(libc::SIGPIPE));
        let before = sigpipe.block();
        wake(end);
        assert!(!is_pending(libc::SIGPIPE));
        restore(&before);
    }

    #[test]
    fn the_waker_writes_to_its_pipe_and_to_no_other_file() {
        let waker = Waker::default();
        waker.wake();
        let pipe = WakePipe::new().unwrap();
        waker.set(&pipe);
        waker.wake();
        let mut byte = [0];
        let read_byte = |pipe: &WakePipe, byte: &mut [u8]| {
            // SAFETY: it is open meanwhile.
            nix::unistd::read(unsafe { BorrowedFd::borrow_raw(pipe.read_fd()) }, byte)
        };
        assert_eq!(read_byte(&pipe, &mut byte), Ok(1));
        let (other, next) = (WakePipe::new().unwrap(), WakePipe::new().unwrap());
        // SAFETY: all are open; from here on the number is the other pipe's.
        unsafe { libc::dup2(other.write_fd(), pipe.write_fd()) };
        assert!(pipe.is_readable() && !pipe.is_intact());
        waker.wake();
        assert_eq!(read_byte(&other, &mut byte), Err(Errno::EAGAIN));
        waker.set(&next);
        waker.wake();
        assert_eq!(read_byte(&next, &mut byte), Ok(1));
    }

    #[test]
    fn signals_that_exist() {
        assert!(is_signal(libc::SIGTERM));
        for signal in [0, -1, -15, 4000] {
            assert!(!is_signal(signal), "{signal}");
        }
    }
}
