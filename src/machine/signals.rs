//! Trapped signals: the queue in which they wait, what the program sees of them, and the actions that they call for.
//! SIGNALS.md has the rules for programs.
//!
//! Every trapped signal is acted on once, in order of arrival. Equal ones that still wait are one. The program sees a
//! single value (`signal_received`). The signal that was acted on last stays visible until the program has read it, so
//! that the program does not take a signal that waits for the one that was acted on. What has arrived and was not read
//! waits in any case, and the next `start` returns with it at once.

use core::time::Duration;
use std::collections::VecDeque;

use super::sent::Signal;
use super::timers::Time;
use super::workers::{Key, Pid, Worker, Workers};

/// The queue and the value that the program sees.
#[derive(Debug, Default)]
pub struct Signals {
    waiting: VecDeque<Signal>,
    shown: Signal,
    read: bool,
    acted_on: bool,
}

impl Signals {
    /// A trapped signal has arrived, while `start` was running or not.
    pub fn arrived(&mut self, signal: Signal, running: bool) {
        if !self.waiting.contains(&signal) {
            self.waiting.push_back(signal);
        }
        let is_kept = if running {
            // `start` is about to look at it.
            self.shown != 0
        } else {
            self.acted_on && !self.read
        };
        if !is_kept {
            if self.read && self.shown != signal {
                // The program has seen it outside of `start`, so it is done with.
                self.remove(self.shown);
            }
            self.show(signal);
        } else if self.shown == signal {
            self.read = false;
        }
    }

    /// The value that the program sees; 0 for none, anything else is the host's.
    pub fn shown(&self) -> Signal {
        self.shown
    }

    /// The program has read the value.
    pub fn mark_read(&mut self) {
        self.read = true;
    }

    /// The program has stored a value (0: none) of its own. What it had read before is
    /// settled by that; what it had not read keeps waiting.
    pub fn store(&mut self, value: Signal) {
        if self.read {
            self.remove(self.shown);
        }
        self.show(value);
    }

    /// `start` begins: what the program has read is cleared, what it has not is acted on.
    pub fn begin(&mut self) {
        self.store(0);
    }

    /// If there is no value, or the program has read it, show what waits next: the host is
    /// about to act on it, or the program polls and would never see it.
    pub fn show_next(&mut self) {
        if (self.read || self.shown == 0) && !self.waiting.is_empty() {
            self.remove(self.shown);
            if let Some(&next) = self.waiting.front() {
                self.show(next);
            }
        }
    }

    /// The oldest signal that waits to be acted on.
    pub fn first(&self) -> Option<Signal> {
        self.waiting.front().copied()
    }

    /// This signal is acted on now, and it is what the program sees next.
    pub fn take(&mut self, signal: Signal) {
        self.remove(signal);
        self.show(signal);
        self.acted_on = true;
    }

    /// The program keeps this signal to itself: nobody else is to act on it or to see it.
    pub fn drop_signal(&mut self, signal: Signal) {
        self.remove(signal);
        if self.shown == signal {
            self.show(0);
        }
    }

    fn show(&mut self, value: Signal) {
        self.shown = value;
        self.read = false;
        self.acted_on = false;
    }

    fn remove(&mut self, signal: Signal) {
        self.waiting.retain(|&waiting| waiting != signal);
    }
}

/// What is done with the workers when a trapped signal has ended `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// What the workers are sent; 0 sends nothing.
    pub send: Signal,
    /// Time between two workers; zero: all at once.
    pub interval: Duration,
}

/// A signal on its way to one worker after the other.
#[derive(Debug)]
pub struct Staggered {
    send: Signal,
    interval: Duration,
    next_at: Time,
    left: VecDeque<Key>,
}

impl Staggered {
    /// Sends to the workers that are there now, the first of them at `now`.
    pub fn new(action: Action, workers: &Workers, now: Time) -> Staggered {
        Staggered {
            send: action.send,
            interval: action.interval,
            next_at: now,
            left: workers
                .signalled_in_order()
                .iter()
                .map(|worker| worker.key())
                .collect(),
        }
    }

    /// When the next worker is due; none when nobody is left.
    pub fn next_at(&self, workers: &Workers) -> Option<Time> {
        self.left
            .iter()
            .any(|&target| alive(workers, target).is_some())
            .then_some(self.next_at)
    }

    /// The worker that is due at `now`, and what it is sent. Those that are gone cost no time.
    pub fn due(&mut self, workers: &Workers, now: Time) -> Option<(Pid, Signal)> {
        if now < self.next_at {
            return None;
        }
        while let Some(target) = self.left.pop_front() {
            if let Some(worker) = alive(workers, target) {
                // From now, not from when it was due: after a pause nothing comes in a burst.
                self.next_at = now.after(self.interval);
                return Some((worker.pid, self.send));
            }
        }
        None
    }
}

fn alive(workers: &Workers, target: Key) -> Option<&Worker> {
    workers.with_key(target).filter(|worker| !worker.reaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUP: Signal = 1;
    const TERM: Signal = 15;

    #[test]
    fn nothing_hides_behind_another_signal() {
        let mut signals = Signals::default();
        signals.begin();
        signals.arrived(TERM, true);
        signals.arrived(HUP, true);
        signals.arrived(TERM, true);
        assert_eq!(signals.shown(), TERM);
        signals.take(TERM);
        assert_eq!(signals.shown(), TERM);
        signals.mark_read();
        signals.begin();
        assert_eq!(signals.first(), Some(HUP));
        signals.take(HUP);
        assert_eq!(signals.first(), None);
    }

    #[test]
    fn the_one_acted_on_is_seen_before_a_later_one() {
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.take(HUP);
        signals.arrived(TERM, false);
        assert_eq!(signals.shown(), HUP);
        signals.mark_read();
        signals.begin();
        assert_eq!(signals.first(), Some(TERM));
    }

    #[test]
    fn read_outside_start_is_cleared_by_the_next_start() {
        let mut signals = Signals::default();
        signals.arrived(TERM, false);
        assert_eq!(signals.shown(), TERM);
        signals.mark_read();
        signals.begin();
        assert_eq!(signals.first(), None);
    }

    #[test]
    fn a_read_value_gives_way_outside_start_but_not_inside() {
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.mark_read();
        signals.arrived(TERM, true);
        assert_eq!(signals.shown(), HUP);
        assert_eq!(signals.first(), Some(HUP));

        let mut signals = Signals::default();
        signals.arrived(HUP, false);
        signals.mark_read();
        signals.arrived(TERM, false);
        assert_eq!(signals.shown(), TERM);
        assert_eq!(signals.first(), Some(TERM));
    }

    #[test]
    fn a_program_that_polls_outside_start_sees_the_latest_and_loses_none() {
        let mut signals = Signals::default();
        signals.arrived(TERM, false);
        signals.arrived(HUP, false);
        assert_eq!(signals.shown(), HUP);
        signals.mark_read();
        signals.begin();
        assert_eq!(signals.first(), Some(TERM));
        signals.take(TERM);
        assert_eq!(signals.first(), None);
    }

    #[test]
    fn the_same_signal_again_after_a_read_is_acted_on() {
        let mut signals = Signals::default();
        signals.arrived(TERM, false);
        signals.mark_read();
        signals.arrived(TERM, false);
        signals.begin();
        assert_eq!(signals.first(), Some(TERM));
    }

    #[test]
    fn the_same_signal_again_while_start_runs_is_acted_on_though_it_was_read() {
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.mark_read();
        signals.arrived(TERM, true);
        signals.arrived(HUP, true);
        signals.begin();
        assert_eq!(signals.first(), Some(HUP));
        // Another one that arrives makes what was read no less read.
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.mark_read();
        signals.arrived(TERM, true);
        signals.begin();
        assert_eq!(signals.first(), Some(TERM));
    }

    #[test]
    fn a_store_settles_what_was_read_and_nothing_else() {
        let mut signals = Signals::default();
        signals.arrived(TERM, true);
        signals.store(0);
        assert_eq!(signals.first(), Some(TERM));
        let mut signals = Signals::default();
        signals.arrived(TERM, true);
        signals.mark_read();
        signals.store(0);
        assert_eq!(signals.first(), None);
    }

    #[test]
    fn a_signal_that_the_program_keeps_hides_no_other() {
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.drop_signal(HUP);
        assert_eq!(signals.first(), None);
        signals.arrived(TERM, true);
        assert_eq!(signals.shown(), TERM);
    }

    #[test]
    fn a_polling_program_sees_the_next_signal() {
        let mut signals = Signals::default();
        signals.arrived(HUP, true);
        signals.take(HUP);
        signals.arrived(TERM, false);
        signals.show_next();
        assert_eq!(signals.shown(), HUP);
        signals.mark_read();
        signals.show_next();
        assert_eq!(signals.shown(), TERM);
    }

    #[test]
    fn staggered_sending_skips_the_dead_and_never_bursts() {
        let mut workers = Workers::default();
        for pid in 1..=4 {
            workers.enter(pid, 1, Time(0));
        }
        let action = Action {
            send: TERM,
            interval: Duration::from_nanos(10),
        };
        let mut staggered = Staggered::new(action, &workers, Time(100));
        assert_eq!(staggered.due(&workers, Time(100)), Some((1, TERM)));
        assert_eq!(staggered.due(&workers, Time(109)), None);
        workers.remove(2);
        // Number 3 was given to another worker since.
        workers.remove(3);
        workers.enter(3, 1, Time(105));
        assert_eq!(staggered.due(&workers, Time(500)), Some((4, TERM)));
        assert_eq!(staggered.due(&workers, Time(501)), None);
        assert_eq!(staggered.next_at(&workers), None);
    }
}
