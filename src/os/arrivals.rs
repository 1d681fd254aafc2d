//! Which signals have arrived, and in what order: a record that handlers and other threads write to, without
//! a lock, and one thread reads. A handler does nothing else with a signal; the queue is in `machine/signals.rs`.

// `tests/arrivals.rs` compiles this file too, with other modules in the place of these two.
use super::atomics::{AtomicI32, AtomicU64, Ordering::SeqCst};
use super::signals::{SIGNALS, signal_thread};
use crate::machine::Signal;

/// Which signals have arrived, and in what order. A signal handler may write to it.
///
/// A record takes three steps, and anything may happen between two of them: another thread's take, a handler
/// that interrupts it. Each record gets a number, leaves it in the slot of its signal, and is then counted as
/// complete. So a reader that has seen the count finds the slot filled; one that has looked at the slot
/// too early will see the count change.
#[derive(Debug)]
pub struct Arrivals {
    /// How many records have begun; their numbers are 1, 2, ...
    begun: AtomicU64,
    /// By signal: the number of the record that waits; 0 for none.
    arrived: [AtomicU64; SIGNALS],
    /// How many are complete.
    complete: AtomicU64,
    /// The thread that sleeps now and then where nothing but a signal ends that; 0 for none.
    sleeper: AtomicI32,
}

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals {
            begun: AtomicU64::new(0),
            arrived: [const { AtomicU64::new(0) }; SIGNALS],
            complete: AtomicU64::new(0),
            sleeper: AtomicI32::new(0),
        }
    }
}

impl Arrivals {
    /// Records a signal; one that waits already is left where it is. Async-signal-safe.
    /// Returns whether the number can be a signal's.
    pub fn record(&self, signal: Signal) -> bool {
        let Some(slot) = usize::try_from(signal)
            .ok()
            .filter(|&n| n > 0)
            .and_then(|n| self.arrived.get(n))
        else {
            return false;
        };
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        // A failure means that an equal one is still waiting; the two are one.
        let _ = slot.compare_exchange(0, number, SeqCst, SeqCst);
        // Also for one that was merged: the record that it was merged with may not have come to this yet.
        self.complete.fetch_add(1, SeqCst);
        true
    }

    /// Says which thread is about to sleep where only signals end that (none: it is awake). What is looked at
    /// after this, and is there by then, is seen; what comes later ends the sleep: whoever leaves something
    /// looks at the sleeper afterwards, so of the two at least one sees the other.
    pub fn set_sleeper(&self, thread: Option<i32>) {
        self.sleeper.store(thread.unwrap_or(0), SeqCst);
    }

    /// Ends such a sleep, by a SIGCHLD for that thread, which holds it back; another thread may let it in.
    /// Async-signal-safe.
    pub fn end_sleep(&self) {
        let thread = self.sleeper.load(SeqCst);
        if thread != 0 {
            signal_thread(thread, libc::SIGCHLD);
        }
    }

    /// Whether any has arrived since `seen`. It may say so of one that was taken already, but then
    /// not again after the next take.
    pub fn has_more(&self, seen: u64) -> bool {
        self.complete.load(SeqCst) != seen
    }

    /// Takes out what has arrived since `seen`, which is brought up to date, in order of arrival. One thread
    /// at a time.
    pub fn take(&self, seen: &mut u64) -> Vec<Signal> {
        // Before the slots are looked at: a record that fills one later is counted later.
        let complete = self.complete.load(SeqCst);
        if complete == *seen {
            return Vec::new();
        }
        *seen = complete;
        // Later ones are left for the next take: of two that arrive during this one, the first may be in a slot
        // that has been looked at, and the second in one that has not. They are counted after this.
        let last = self.begun.load(SeqCst);
        let mut arrived: Vec<(u64, Signal)> = (1_i32..)
            .zip(&self.arrived[1..])
            .filter_map(|(signal, slot)| {
                let number = slot.load(SeqCst);
                if number == 0 || number > last {
                    return None;
                }
                // Nobody else empties a slot, and one that is full stays as it is. An equal one that came in
                // between was merged with this one before this one was taken.
                slot.store(0, SeqCst);
                Some((number, signal))
            })
            .collect();
        arrived.sort_unstable();
        arrived.into_iter().map(|(_, signal)| signal).collect()
    }
}
