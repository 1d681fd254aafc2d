//! What signal handlers and other threads may do to a manager while a call is under way, and in a worker to its line on the
//! timesheet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::machine::Signal;
use crate::os::arrivals::Arrivals;
use crate::os::signals::is_signal;
use crate::os::timesheet::{OwnLine, OwnLineCell};
use crate::os::wake::Waker;

/// A manager, or a worker of one, for signal handlers and other threads.
#[derive(Clone, Debug, Default)]
pub struct Remote(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    arrivals: Arc<Arrivals>,
    waker: Arc<Waker>,
    /// Set before the pipe is written to, and looked at after that is emptied.
    is_woken: AtomicBool,
    /// Of the worker that this process is.
    own_line: OwnLineCell,
}

impl Remote {
    /// Tells that a signal has arrived, and ends a wait. Returns whether there is such a signal. Async-signal-safe;
    /// errno(3) stays.
    pub fn signal(&self, signal: Signal) -> bool {
        if !is_signal(signal) || !self.0.arrivals.record(signal) {
            return false;
        }
        self.end_wait();
        true
    }

    /// Ends a wait, and gives the next one no time. Async-signal-safe; errno(3) stays.
    pub fn wake(&self) {
        self.0.is_woken.store(true, Ordering::SeqCst);
        self.end_wait();
    }

    /// In a worker that was forked with a timesheet: its line there. Async-signal-safe.
    pub fn own_line(&self) -> Option<&OwnLine> {
        self.0.own_line.get()
    }

    #[inline(always)]
    pub(super) fn set_own_line(&self, line: OwnLine) {
        self.0.own_line.set(line);
    }

    /// Whether `wake` was called since this was asked last.
    pub(super) fn take_wake(&self) -> bool {
        // What is not set is not written to either: a fork has just made the page shared.
        self.0.is_woken.load(Ordering::SeqCst) && self.0.is_woken.swap(false, Ordering::SeqCst)
    }

    /// Whether `wake` was called and not asked for yet.
    pub(super) fn is_woken(&self) -> bool {
        self.0.is_woken.load(Ordering::SeqCst)
    }

    /// A number that no other manager has as long as this one is there.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(super) fn arrivals(&self) -> &Arc<Arrivals> {
        &self.0.arrivals
    }

    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.0.waker
    }

    fn end_wait(&self) {
        self.0.waker.wake();
        self.0.arrivals.end_sleep();
    }
}
