//! The list of those who want to hear of a signal (`src/os/recorders.rs`), with every step of several threads in many
//! orders: it is compiled here with atomics that let another thread run between any two steps. A handler that interrupts a
//! thread, for however long, is such an order too.

mod atomics {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
}

#[path = "../src/os/recorders.rs"]
mod recorders;

use recorders::Recorders;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shuttle::thread;
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::Cell;
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

/// What the tests put in.
struct Manager {
    number: u64,
    is_dropped: Arc<AtomicU64>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        assert_eq!(self.is_dropped.swap(1, SeqCst), 0, "dropped twice");
    }
}

fn manager(number: u64) -> (Manager, Arc<AtomicU64>) {
    let is_dropped = Arc::new(AtomicU64::new(0));
    let manager = Manager {
        number,
        is_dropped: Arc::clone(&is_dropped),
    };
    (manager, is_dropped)
}

/// A handler: it reads each slowly, and returns the numbers.
fn handler(list: &Recorders<Manager>) -> Vec<u64> {
    let mut told = Vec::new();
    list.tell(|manager| {
        let number = manager.number;
        // Others run in between.
        assert_eq!(
            manager.is_dropped.load(SeqCst),
            0,
            "{number} is told after it was dropped"
        );
        assert_eq!(
            manager.is_dropped.load(SeqCst),
            0,
            "{number} is dropped while it is told"
        );
        assert_eq!(manager.number, number, "it became another");
        told.push(number);
    });
    told
}

fn list() -> &'static Recorders<Manager> {
    Box::leak(Box::new(Recorders::new()))
}

#[test]
fn what_is_told_is_there_as_long_as_it_is_told() {
    in_many_orders(|| {
        let list = list();
        let handlers: Vec<_> = (0..2)
            .map(|_| thread::spawn(move || (handler(list), handler(list))))
            .collect();
        let mut before = None;
        for number in 1..=3 {
            // SAFETY: no other thread changes the list.
            let hold = unsafe { list.hold(manager(number).0) };
            assert!(handler(list).contains(&number), "{number} is not told");
            if let Some(before) = before.take() {
                // SAFETY: as above.
                assert!(!unsafe { list.release(&before) }, "it is another's");
            }
            // SAFETY: as above.
            assert!(unsafe { list.release(&hold) });
            // SAFETY: as above.
            assert!(!unsafe { list.release(&hold) }, "once");
            assert!(!list.is_held());
            assert!(handler(list).is_empty());
            before = Some(hold);
        }
        for thread in handlers {
            thread.join().unwrap();
        }
    });
}

#[test]
fn an_entry_is_told_by_each_handler_that_begins_and_ends_in_its_time() {
    in_many_orders(|| {
        let list = list();
        // SAFETY: no other thread changes the list; the same below.
        let (first, second) = unsafe { (list.hold(manager(1).0), list.hold(manager(2).0)) };
        let threads: Vec<_> = (0..2)
            .map(|_| thread::spawn(move || assert!(handler(list).contains(&1))))
            .collect();
        // SAFETY: as above.
        unsafe {
            list.release(&second);
            list.hold(manager(3).0);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        // SAFETY: as above.
        unsafe {
            list.release(&first);
            list.abandon();
        }
        assert!(!list.is_held());
    });
}

/// As a child finds it that was forked while another thread was in a handler, or while a handler is interrupted by
/// code that comes and goes.
#[test]
fn what_a_handler_is_in_the_middle_of_is_not_used_again() {
    let in_one_order = |test: fn()| shuttle::check_random(test, 1);
    in_one_order(|| {
        let list = list();
        let (first, is_dropped) = manager(1);
        // SAFETY: one thread.
        let hold = unsafe { list.hold(first) };
        let is_first = Cell::new(true);
        list.tell(|manager_told| {
            if !is_first.replace(false) {
                return;
            }
            // SAFETY: one thread.
            unsafe {
                assert!(list.release(&hold));
                let next = list.hold(manager(2).0);
                assert_eq!(manager_told.number, 1);
                assert_eq!(is_dropped.load(SeqCst), 0);
                // It is of another one by now.
                assert!(!list.release(&hold));
                assert!(list.release(&next));
            }
        });
        // It is dropped when the place is used again.
        // SAFETY: one thread.
        let holds = [3, 4].map(|number| unsafe { list.hold(manager(number).0) });
        assert_eq!(is_dropped.load(SeqCst), 1);
        let mut told = handler(list);
        told.sort_unstable();
        assert_eq!(told, [3, 4]);
        for hold in &holds {
            // SAFETY: one thread.
            assert!(unsafe { list.release(hold) });
        }
    });
}
