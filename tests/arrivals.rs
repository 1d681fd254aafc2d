//! The record of signals (`src/os/arrivals.rs`), with every step of several threads in many orders: it is
//! compiled here with atomics that let another thread run between any two steps. A handler that interrupts a
//! thread is such an order too, one in which the other thread runs to its end.

mod atomics {
    pub use shuttle::sync::atomic::{AtomicI32, AtomicU64, Ordering};
}

mod machine {
    pub use prefork::machine::Signal;
}

/// What the record needs of the system: signals for a thread, which stay pending until it takes them.
mod signals {
    use shuttle::sync::{Condvar, Mutex};
    use std::sync::{Arc, Mutex as Plain};

    pub const SIGNALS: usize = 4;

    #[derive(Default)]
    pub struct Thread {
        is_signalled: Mutex<bool>,
        changed: Condvar,
    }

    impl Thread {
        /// Until one is pending, which is taken.
        pub fn sleep(&self) {
            let mut is_signalled = self.is_signalled.lock().unwrap();
            while !*is_signalled {
                is_signalled = self.changed.wait(is_signalled).unwrap();
            }
            *is_signalled = false;
        }
    }

    /// The one thread that there is to be signalled.
    pub static THREAD: Plain<Option<Arc<Thread>>> = Plain::new(None);

    pub fn signal_thread(_: i32, signal: i32) {
        assert_eq!(signal, libc::SIGCHLD);
        let thread = THREAD.lock().unwrap().clone().unwrap();
        *thread.is_signalled.lock().unwrap() = true;
        thread.changed.notify_one();
    }
}

#[path = "../src/os/arrivals.rs"]
#[allow(dead_code, reason = "not all of it is tried here")]
mod arrivals;

use arrivals::Arrivals;
use machine::Signal;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;
use shuttle::{Config, FailurePersistence, Runner};
use std::sync::Arc;

/// Orders of each kind.
const ORDERS: usize = 1000;

fn in_many_orders(test: impl Fn() + Send + Sync + Clone + 'static) {
    fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
        let mut config = Config::new();
        config.failure_persistence = FailurePersistence::Print;
        Runner::new(scheduler, config).run(test);
    }
    run(RandomScheduler::new_from_seed(1, ORDERS), test.clone());
    run(PctScheduler::new_from_seed(1, 3, ORDERS), test);
}

/// Records what each thread has, while this one takes as often as is said, and then what is left.
fn record_and_take(of_thread: &[&[Signal]], takes: usize) -> Vec<Signal> {
    let arrivals = Arc::new(Arrivals::default());
    let threads: Vec<_> = of_thread
        .iter()
        .map(|signals| {
            let (arrivals, signals) = (Arc::clone(&arrivals), signals.to_vec());
            thread::spawn(move || {
                for signal in signals {
                    assert!(arrivals.record(signal));
                }
            })
        })
        .collect();
    let (mut seen, mut taken) = (0, Vec::new());
    for _ in 0..takes {
        taken.extend(arrivals.take(&mut seen));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    // As a host does, which looks only where it is told that there is something.
    while arrivals.has_more(seen) {
        taken.extend(arrivals.take(&mut seen));
    }
    let mut everything = u64::MAX;
    let hidden = arrivals.take(&mut everything);
    assert!(hidden.is_empty(), "{hidden:?} is hidden");
    taken
}

fn position(taken: &[Signal], signal: Signal) -> usize {
    let found = taken.iter().position(|&taken| taken == signal);
    found.unwrap_or_else(|| panic!("{signal} is not in {taken:?}"))
}

#[test]
fn what_is_recorded_is_seen() {
    in_many_orders(|| {
        let taken = record_and_take(&[&[1], &[2]], 2);
        assert_eq!(taken.len(), 2);
        position(&taken, 1);
        position(&taken, 2);
    });
    in_many_orders(|| {
        // One that arrives after an equal one was taken is another one; record_and_take looks whether it is left.
        let taken = record_and_take(&[&[1, 1], &[1, 2]], 3);
        assert!((2..=4).contains(&taken.len()), "{taken:?}");
        position(&taken, 1);
        position(&taken, 2);
    });
}

#[test]
fn what_arrives_first_is_taken_first() {
    for [first, second] in [[1, 2], [2, 1], [3, 1], [1, 3]] {
        in_many_orders(move || {
            let taken = record_and_take(&[&[first, second]], 3);
            assert_eq!(taken, [first, second]);
        });
    }
    in_many_orders(|| {
        let taken = record_and_take(&[&[1, 3], &[2]], 3);
        assert!(position(&taken, 1) < position(&taken, 3), "{taken:?}");
    });
}

#[test]
fn a_sleep_that_only_signals_end_is_ended() {
    in_many_orders(|| {
        let arrivals = Arc::new(Arrivals::default());
        let sleeper = Arc::new(signals::Thread::default());
        *signals::THREAD.lock().unwrap() = Some(Arc::clone(&sleeper));
        let threads = [1, 2].map(|signal| {
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || {
                arrivals.record(signal);
                arrivals.end_sleep();
            })
        });
        let (mut seen, mut taken) = (0, 0);
        arrivals.set_sleeper(Some(4711));
        // If a signal is missed, this thread sleeps for ever, with nobody left to wake it.
        while taken < 2 {
            taken += arrivals.take(&mut seen).len();
            if taken < 2 && !arrivals.has_more(seen) {
                sleeper.sleep();
            }
        }
        arrivals.set_sleeper(None);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
