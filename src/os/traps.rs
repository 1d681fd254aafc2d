//! The signals that managers of C hosts trap: which, by whom, and what is in force when they come and go.
//!
//! A manager that traps, or goes, takes a lock, with all signals blocked (`Alone`). The lock belongs to a process: a child
//! that finds its parent's lock makes its own. Handlers never take it.
//!
//! The order of steps loses no signal. A manager enters the list (`recorders`) before our handler is in force, and leaves the
//! list before the program's handler is back. What arrives after that is passed on to the program (`handler::pass_on`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrivals::Arrivals;
use super::handler::{Recorder, What, block_each_other, is_ours, is_ours_alone, known_or_new};
use super::mask::{SavedMask, Set, restore};
use super::process::Process;
use super::recorders::Hold;
use super::signals::{SIGNALS, slot_of};
use super::wake::Waker;
use crate::machine::Signal;

/// The signals that one manager traps.
pub struct Traps {
    installed: BTreeMap<Signal, Hold<Recorder>>,
    children: Option<Hold<Recorder>>,
    child_arrived: Arc<AtomicBool>,
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
        if self.installed.contains_key(&signal) {
            let _alone = Alone::new();
            known_or_new(signal).put_ours_in_force(signal)?;
            block_each_other(trapped_here());
            return Ok(());
        }
        let hold = self.register(signal, What::Signal(signal), arrivals, waker)?;
        self.installed.insert(signal, hold);
        Ok(())
    }

    /// Lets the exit of a child end a wait.
    pub fn watch_children(
        &mut self,
        arrivals: &Arc<Arrivals>,
        waker: &Arc<Waker>,
    ) -> std::io::Result<()> {
        if self.children.is_none() {
            let what = What::Child(Arc::clone(&self.child_arrived));
            self.children = Some(self.register(libc::SIGCHLD, what, arrivals, waker)?);
        }
        Ok(())
    }

    fn register(
        &self,
        signal: Signal,
        what: What,
        arrivals: &Arc<Arrivals>,
        waker: &Arc<Waker>,
    ) -> std::io::Result<Hold<Recorder>> {
        leave_to_ancestors();
        let _alone = Alone::new();
        let known = known_or_new(signal);
        let was_trapped = is_trapped(signal);
        if !was_trapped {
            // What is left of managers of an ancestor.
            // SAFETY: we are alone.
            unsafe { known.recorders.abandon() };
        }
        TRAPPED_IN.store(Process::this().life(), Ordering::SeqCst);
        set_trapped(signal, true);
        let recorder = Recorder {
            what,
            arrivals: Arc::clone(arrivals),
            waker: Arc::clone(waker),
            owner: self.owner,
        };
        // Before the handler is in force: it finds a manager each time that it is called.
        // SAFETY: we are alone.
        let hold = unsafe { known.recorders.hold(recorder) };
        match known.put_ours_in_force(signal) {
            Ok(()) => {
                block_each_other(trapped_here());
                Ok(hold)
            }
            Err(error) => {
                // SAFETY: we are alone, and it is of this list.
                unsafe { known.recorders.release(&hold) };
                set_trapped(signal, was_trapped);
                Err(error)
            }
        }
    }

    /// Whether the handler of SIGCHLD has run since child_arrived was asked.
    pub fn child_is_noted(&self) -> bool {
        self.child_arrived.load(Ordering::SeqCst)
    }

    /// Whether SIGCHLD has arrived since the last time this was asked; none if nobody watches.
    pub fn child_arrived(&self) -> Option<bool> {
        self.children.as_ref()?;
        // What is not set is not written to either: it is in a page that a fork has just made shared.
        Some(self.child_is_noted() && self.child_arrived.swap(false, Ordering::SeqCst))
    }

    /// The signals that have a handler of ours, SIGCHLD included.
    pub fn signals(&self) -> impl Iterator<Item = Signal> + Clone {
        let children = self.children.as_ref().map(|_| libc::SIGCHLD);
        self.installed.keys().copied().chain(children)
    }

    /// Whether the exit of a child ends a wait.
    pub fn is_watching_children(&self) -> bool {
        self.children.is_some()
    }

    /// Whether SIGCHLD was to be watched, and the program has put a handler of its own in place of
    /// ours since. Whether that one calls ours nobody can tell. It takes no lock, which would be one
    /// more page to write to for each worker.
    pub fn children_unwatched(&self) -> bool {
        self.children.is_some() && !is_ours(libc::SIGCHLD)
    }

    /// Whether SIGCHLD is watched, and its handler does nothing but note it: it is still ours, and
    /// the program had none before.
    pub fn alone_watch_children(&self) -> bool {
        self.children.is_some() && is_ours_alone(libc::SIGCHLD)
    }

    /// Hears of nothing any more. A signal that nobody else traps gets back the handler that the program had before. One that
    /// arrives in between is passed on to that by ours.
    pub fn remove(&mut self) {
        let children = self.children.take().map(|hold| (libc::SIGCHLD, hold));
        let installed = std::mem::take(&mut self.installed);
        if installed.is_empty() && children.is_none() {
            return;
        }
        let _alone = Alone::new();
        for (signal, hold) in installed.into_iter().chain(children) {
            give_up(signal, &hold);
        }
        block_each_other(trapped_here());
    }
}

/// A manager does not trap the signal any more. The caller is alone.
fn give_up(signal: Signal, hold: &Hold<Recorder>) {
    let known = known_or_new(signal);
    // SAFETY: our caller is alone, and it is of this list.
    let was_held = unsafe { known.recorders.release(hold) };
    // A worker has none of the handlers, and leaves to its ancestors what they have trapped.
    if !was_held || known.recorders.is_held() || !is_trapped(signal) {
        return;
    }
    known.give_back(signal);
    set_trapped(signal, false);
}

/// One thread at a time changes what is in force. No signal arrives in it meanwhile: a handler of the program's may fork,
/// and never come back.
struct Alone {
    _lock: MutexGuard<'static, ()>,
    _mask: Restored,
}

struct Restored(SavedMask);

impl Drop for Restored {
    fn drop(&mut self) {
        restore(&self.0);
    }
}

/// The lock of a process. Another thread may hold it while this one forks, and the child would have it locked for good; so a
/// child makes its own. What the lock guards, lists and bits, is made so that a child can go on with it whenever the fork
/// comes.
struct Lock {
    process: Process,
    mutex: Mutex<()>,
    /// The copy of the parent's, which somebody may hold; so it is kept.
    _parents: *mut Lock,
}

static LOCK: AtomicPtr<Lock> = AtomicPtr::new(std::ptr::null_mut());

impl Alone {
    fn new() -> Alone {
        let mask = Restored(Set::all().block());
        let lock = lock_of_this_process();
        Alone {
            _lock: lock.mutex.lock().unwrap_or_else(PoisonError::into_inner),
            _mask: mask,
        }
    }
}

fn lock_of_this_process() -> &'static Lock {
    loop {
        let before = LOCK.load(Ordering::SeqCst);
        // SAFETY: null, or a lock; none is ever freed once it is stored there.
        let lock = unsafe { before.as_ref() };
        if let Some(lock) = lock.filter(|lock| lock.process.is_this()) {
            return lock;
        }
        let lock = Box::into_raw(Box::new(Lock {
            process: Process::this(),
            mutex: Mutex::new(()),
            _parents: before,
        }));
        let stored = LOCK.compare_exchange(before, lock, Ordering::SeqCst, Ordering::SeqCst);
        if stored.is_err() {
            // SAFETY: it came from Box::into_raw just now, and nobody else has seen it.
            drop(unsafe { Box::from_raw(lock) });
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
        if !is_ours(signal) {
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
