//! The protocol of the scoreboard, with a manager and workers that stop between any two steps, some of them for
//! good. `src/os/slots.rs` itself runs here, on atomics of the model, which tries schedules at random.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use shuttle::rand::Rng;
use shuttle::sync::{Condvar, Mutex};

/// Each access is a step, before which others may run, and before which a worker may end.
mod atomics {
    pub use std::sync::atomic::Ordering;

    macro_rules! stepwise {
        ($name:ident, $number:ty, $modelled:ident) => {
            #[derive(Default)]
            pub struct $name(shuttle::sync::atomic::$modelled);

            #[allow(dead_code, reason = "not all numbers are used in all ways")]
            impl $name {
                pub fn new(number: $number) -> Self {
                    $name(shuttle::sync::atomic::$modelled::new(number))
                }

                pub fn load(&self, order: Ordering) -> $number {
                    super::step();
                    self.0.load(order)
                }

                pub fn store(&self, number: $number, order: Ordering) {
                    super::step();
                    self.0.store(number, order);
                }

                pub fn swap(&self, number: $number, order: Ordering) -> $number {
                    super::step();
                    self.0.swap(number, order)
                }

                pub fn fetch_add(&self, number: $number, order: Ordering) -> $number {
                    super::step();
                    self.0.fetch_add(number, order)
                }

                pub fn fetch_sub(&self, number: $number, order: Ordering) -> $number {
                    super::step();
                    self.0.fetch_sub(number, order)
                }

                pub fn fetch_or(&self, number: $number, order: Ordering) -> $number {
                    super::step();
                    self.0.fetch_or(number, order)
                }

                pub fn fetch_and(&self, number: $number, order: Ordering) -> $number {
                    super::step();
                    self.0.fetch_and(number, order)
                }

                pub fn compare_exchange(
                    &self,
                    old: $number,
                    new: $number,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$number, $number> {
                    super::step();
                    self.0.compare_exchange(old, new, success, failure)
                }
            }
        };
    }

    stepwise!(AtomicU8, u8, AtomicU8);
    stepwise!(AtomicI32, i32, AtomicI32);
    stepwise!(AtomicU32, u32, AtomicU32);
    stepwise!(AtomicU64, u64, AtomicU64);
}

#[path = "../src/os/slots.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod slots;

use atomics::Ordering::SeqCst;
use slots::{
    Beside, CHANGE_END, EMPTY_SLOT, Numbers, Owner, Role, STATUS_IDLE, STATUS_NEXIST, Slots, Text,
    Watched,
};

const BUSY: u8 = b'B';

/// The series of the tickets of all workers here.
const SERIES: u32 = 1;

/// All workers have the same pid for themselves, as each in a PID namespace of its own has: their tickets tell them apart.
const FIRST: i32 = 1;

fn ticket(number: i32) -> Owner {
    Owner::ticket(((number as u64) << 20) | u64::from(SERIES))
}

shuttle::thread_local! {
    /// How many steps this process still makes.
    static STEPS_LEFT: Cell<u32> = Cell::new(u32::MAX);
    /// After how many steps it is stopped, until it is told to go on; and by whom.
    static STOPS_AFTER: Cell<u32> = Cell::new(u32::MAX);
    static STOPPED_BY: RefCell<Option<Arc<World>>> = RefCell::new(None);
}

/// How a process leaves what it does.
struct Gone;

fn step() {
    if STOPS_AFTER.with(|left| left.replace(left.get().saturating_sub(1))) == 0 {
        STOPS_AFTER.with(|left| left.set(u32::MAX));
        let world = STOPPED_BY.with(|world| world.borrow().clone());
        world.expect("it was told").stops();
    }
    STEPS_LEFT.with(|left| {
        match left.get() {
            u32::MAX => {}
            0 => resume_unwind(Box::new(Gone)),
            steps => left.set(steps - 1),
        };
    });
}

/// Runs this for so many steps at most. None if it has not come to its end by then. The end of a process
/// ends all that it does.
fn for_steps<R>(steps: u32, body: impl FnOnce() -> R) -> Option<R> {
    let outer = STEPS_LEFT.with(|left| left.replace(steps.min(left.get())));
    let result = catch_unwind(AssertUnwindSafe(body));
    let ends = STEPS_LEFT.with(|left| {
        let done = steps.min(outer) - left.get();
        left.set(if outer == u32::MAX {
            outer
        } else {
            outer - done
        });
        outer < steps
    });
    match result {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Gone>() && !ends => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// What is shared, and what the kernel knows.
struct World {
    numbers: Numbers,
    beside: Vec<Beside>,
    texts: Vec<Text>,
    kernel: Mutex<Kernel>,
    changed: Condvar,
}

#[derive(Default)]
struct Kernel {
    bell: bool,
    dead: Vec<Owner>,
    /// How many workers have come to their end, or are stopped.
    at_rest: i32,
    /// Those that are stopped go on.
    goes_on: bool,
    /// Nothing happens any more.
    is_over: bool,
    /// The manager sleeps...
    sleeps: bool,
    /// ... and is content with so many busy workers.
    bounds: (i32, i32),
}

impl World {
    fn new(slots: u32) -> Arc<World> {
        Arc::new(World {
            numbers: Numbers::default(),
            beside: (0..slots).map(|_| Beside::default()).collect(),
            texts: (0..slots)
                .map(|_| EMPTY_SLOT.map(atomics::AtomicU8::new))
                .collect(),
            kernel: Mutex::new(Kernel::default()),
            changed: Condvar::new(),
        })
    }

    fn slots(&self) -> Slots<'_> {
        Slots {
            numbers: &self.numbers,
            beside: &self.beside,
            texts: &self.texts,
        }
    }

    fn len(&self) -> u32 {
        self.texts.len() as u32
    }

    /// Two system calls: the process may be stopped, or die, before and after.
    fn ring(&self) -> bool {
        step();
        self.kernel.lock().unwrap().bell = true;
        self.changed.notify_all();
        step();
        true
    }

    fn set_status(&self, slot: u32, status: u8) {
        if self.slots().set_status(slot, status) {
            self.slots().wake(|| self.ring());
        }
    }

    /// The same as perl/host.c does it, with a handler that leaves after so many steps.
    fn set_status_quickly(&self, slot: u32, status: u8, steps: u32) {
        let changes = &self.beside[slot as usize].changes;
        let before = changes.load(SeqCst);
        let is_whole = Cell::new(false);
        let is_wanted = for_steps(steps, || {
            self.slots().make_change(slot, status);
            is_whole.set(true);
            changes.fetch_add(CHANGE_END, SeqCst);
            self.slots().is_wanted(slot)
        });
        if is_wanted == Some(false) {
            return;
        }
        let is_wanted = if is_whole.get() {
            self.slots().end_change(slot, before)
        } else {
            self.slots().left_change(slot, before);
            true
        };
        if is_wanted {
            self.slots().wake(|| self.ring());
        }
    }

    fn count(&self, what: impl Fn(u8) -> bool) -> i32 {
        let statuses = (0..self.len()).map(|slot| self.slots().status(slot));
        statuses.filter(|&status| what(status)).count() as i32
    }

    fn count_busy(&self) -> i32 {
        self.count(slots::is_busy)
    }

    fn count_busy_of(&self, workers: i32) -> i32 {
        let is_busy = |&number: &i32| self.slots().is_owner_busy(self.len(), 0, ticket(number));
        (1..=workers).filter(is_busy).count() as i32
    }

    /// What the manager of so many workers does.
    fn watch(&self, workers: i32) -> Watched {
        self.slots()
            .watch(self.len(), SERIES, 0, false, |_, owner| {
                if (1..=workers).any(|number| ticket(number) == owner) {
                    Role::Worker
                } else {
                    Role::Stranger
                }
            })
    }

    /// The manager sleeps until something has happened. Those that are dead; None if nothing will happen.
    fn sleep(&self) -> Option<Vec<Owner>> {
        let mut kernel = self.kernel.lock().unwrap();
        while !kernel.bell && kernel.dead.is_empty() {
            if kernel.is_over {
                return None;
            }
            kernel.sleeps = true;
            self.changed.notify_all();
            kernel = self.changed.wait(kernel).unwrap();
        }
        kernel.sleeps = false;
        kernel.bell = false;
        Some(std::mem::take(&mut kernel.dead))
    }

    fn tell(&self, what: impl FnOnce(&mut Kernel)) {
        what(&mut self.kernel.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait_until(&self, what: impl Fn(&Kernel) -> bool) {
        let mut kernel = self.kernel.lock().unwrap();
        while !what(&kernel) {
            kernel = self.changed.wait(kernel).unwrap();
        }
    }

    /// Nothing happens any more for now, and the manager has come to rest as well, rightly but for so many.
    fn manager_is_content(&self, workers: i32, but_for: i32) {
        let sleeps = |kernel: &Kernel| kernel.sleeps && !kernel.bell && kernel.dead.is_empty();
        self.wait_until(sleeps);
        let (low, high) = self.kernel.lock().unwrap().bounds;
        let busy = self.count_busy_of(workers);
        assert!(
            low - but_for <= busy && busy <= high + but_for,
            "{busy} are busy, and it sleeps between {low} and {high}"
        );
    }

    /// A worker is stopped here, as SIGSTOP does.
    fn stops(&self) {
        self.tell(|kernel| kernel.at_rest += 1);
        self.wait_until(|kernel| kernel.goes_on);
        self.tell(|kernel| kernel.at_rest -= 1);
    }

    fn clear(&self, owner: Owner) -> bool {
        self.slots().clear(self.len(), owner, |_| {}).had_slot
    }
}

/// What happens to the workers in a trial.
#[derive(Clone, Copy, Default)]
struct Trial {
    workers: i32,
    /// The last so many of the processes are no workers.
    strangers: i32,
    /// They may die after any step.
    they_die: bool,
    /// One is stopped after any step, until all others are at rest.
    one_stops: bool,
    /// Handlers leave after any step.
    they_leave: bool,
}

impl Trial {
    fn processes(self) -> i32 {
        self.workers + self.strangers
    }

    /// The owner of the slots of a process.
    fn owner(self, number: i32) -> Owner {
        if number > self.workers {
            Owner::process(number)
        } else {
            ticket(number)
        }
    }
}

/// Whether it comes to its end.
fn work(world: &Arc<World>, trial: Trial, number: i32, stops: bool) -> bool {
    let mut random = shuttle::rand::thread_rng();
    let owner = trial.owner(number);
    if stops {
        STOPPED_BY.with(|by| *by.borrow_mut() = Some(Arc::clone(world)));
        STOPS_AFTER.with(|left| left.set(random.gen_range(16..50)));
    }
    let steps = if trial.they_die && random.gen_bool(0.5) {
        random.gen_range(0..50)
    } else {
        u32::MAX
    };
    let lives = for_steps(steps, || {
        let claimed = world.slots().claim(world.len(), 0, owner, FIRST);
        let (slot, _) = claimed.expect("there is a slot for each");
        for turn in 0..random.gen_range(1..4) {
            let status = if turn % 2 == 0 { BUSY } else { STATUS_IDLE };
            if trial.they_leave {
                world.set_status_quickly(slot, status, random.gen_range(0..12));
            } else {
                world.set_status(slot, status);
            }
        }
    });
    // One that is stopped when it has come to its end is stopped no more.
    STOPS_AFTER.with(|left| left.set(u32::MAX));
    STOPPED_BY.with(|by| *by.borrow_mut() = None);
    lives.is_some()
}

/// The manager has said within which bounds it need not know of changes, and sleeps. Once the
/// others are at rest it sleeps on only if its workers are within the bounds.
fn keeps_up(trial: Trial) {
    let world = World::new(trial.processes() as u32);
    assert_eq!(world.slots().new_series(), SERIES);
    let stops = if trial.one_stops {
        shuttle::rand::thread_rng().gen_range(1..=trial.processes())
    } else {
        0
    };
    let workers: Vec<_> = (1..=trial.processes())
        .map(|number| {
            let world = Arc::clone(&world);
            shuttle::thread::spawn(move || {
                let lives = work(&world, trial, number, number == stops);
                world.tell(|kernel| {
                    kernel.at_rest += 1;
                    if !lives {
                        kernel.dead.push(trial.owner(number));
                    }
                });
            })
        })
        .collect();
    let manager = {
        let world = Arc::clone(&world);
        shuttle::thread::spawn(move || {
            while let Some(dead) = manage(&world, trial) {
                for owner in dead {
                    world.clear(owner);
                }
            }
        })
    };
    let all_at_rest = |kernel: &Kernel| kernel.at_rest == trial.processes();
    world.wait_until(all_at_rest);
    if trial.one_stops {
        // What that one has changed last may not have been told yet.
        world.manager_is_content(trial.workers, 1);
        world.tell(|kernel| kernel.goes_on = true);
        for worker in workers {
            worker.join().unwrap();
        }
    }
    world.manager_is_content(trial.workers, 0);
    world.tell(|kernel| kernel.is_over = true);
    manager.join().unwrap();
    // Nobody is in the middle of anything.
    assert!(world.slots().arm(world.len(), 0, 0), "nothing is in doubt");
    assert_eq!(world.numbers.busy.load(SeqCst), world.count_busy());
    for number in 1..=trial.processes() {
        world.clear(trial.owner(number));
    }
    let slots = trial.processes();
    assert_eq!(world.count(|status| status == STATUS_NEXIST), slots);
    assert!(world.slots().arm(world.len(), 0, 0));
    assert_eq!(world.numbers.busy.load(SeqCst), 0);
}

/// What `Inner::next_event` does with the scoreboard until it is woken.
fn manage(world: &World, trial: Trial) -> Option<Vec<Owner>> {
    let mut random = shuttle::rand::thread_rng();
    // What it has counted the last time, or anything.
    let mut strangers = random.gen_range(0..=trial.strangers);
    loop {
        let seen = world.count_busy_of(trial.workers);
        let low = seen - random.gen_range(0..3);
        let high = seen + random.gen_range(0..3);
        let mut armed = None;
        let mut is_content = true;
        for _ in 0..2 {
            if armed == Some(strangers) {
                break;
            }
            armed = Some(strangers);
            let (low_of_all, high_of_all) = (low + strangers, high + strangers);
            world.slots().arm(world.len(), low_of_all, high_of_all);
            strangers = world.watch(trial.workers).busy_strangers;
            is_content &= (low..=high).contains(&world.count_busy_of(trial.workers));
        }
        if is_content {
            world.kernel.lock().unwrap().bounds = (low, high);
            return world.sleep();
        }
    }
}

/// How many schedules: PREFORK_SCHEDULES times as many as are enough for every day.
fn schedules(number: usize) -> usize {
    let times = std::env::var("PREFORK_SCHEDULES").ok();
    number * times.and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn check(trial: Trial) {
    let most = if trial.strangers > 0 { 2 } else { 3 };
    for workers in most - 1..=most {
        let trial = Trial { workers, ..trial };
        shuttle::check_random(move || keeps_up(trial), schedules(400));
        shuttle::check_pct(move || keeps_up(trial), schedules(400), 4);
    }
}

#[test]
fn no_change_is_slept_through() {
    check(Trial::default());
}

#[test]
fn those_that_are_no_workers_hide_nothing() {
    for strangers in 1..=2 {
        let strange = Trial {
            strangers,
            ..Trial::default()
        };
        check(strange);
        check(Trial {
            they_die: true,
            one_stops: true,
            they_leave: true,
            ..strange
        });
    }
}

#[test]
fn a_worker_may_die_after_any_step() {
    check(Trial {
        they_die: true,
        ..Trial::default()
    });
}

#[test]
fn a_worker_may_be_stopped_after_any_step() {
    check(Trial {
        one_stops: true,
        ..Trial::default()
    });
}

#[test]
fn a_handler_may_leave_after_any_step() {
    check(Trial {
        they_leave: true,
        ..Trial::default()
    });
}

#[test]
fn all_of_that_may_happen_at_once() {
    check(Trial {
        they_die: true,
        one_stops: true,
        they_leave: true,
        ..Trial::default()
    });
}

/// A worker leaves a change while the manager, which has been rung for, sets its bounds anew: the manager learns of the doubt, or
/// is rung for again. Otherwise the next change of another worker would look as if nobody had become idle.
#[test]
fn a_change_that_is_left_while_the_bounds_are_set_is_not_forgotten() {
    let trial = || {
        let world = World::new(2);
        for number in 1..=2 {
            let claimed = world.slots().claim(world.len(), 0, ticket(number), FIRST);
            claimed.expect("there is a slot for each");
        }
        world.slots().arm(world.len(), 0, 0);
        world.set_status(0, BUSY);
        world.set_status(1, BUSY);
        assert!(std::mem::take(&mut world.kernel.lock().unwrap().bell));

        let leaver = {
            let world = Arc::clone(&world);
            shuttle::thread::spawn(move || {
                // The status is idle then, and the number has not gone down yet.
                world.set_status_quickly(1, STATUS_IDLE, 2);
            })
        };
        let is_certain = world.slots().arm(world.len(), 1, 2);
        let is_content = world.count_busy_of(2) >= 1;
        leaver.join().unwrap();
        world.set_status(0, STATUS_IDLE);
        let has_rung = world.kernel.lock().unwrap().bell;
        assert!(
            has_rung || !is_certain || !is_content,
            "nobody is busy, and the manager waits until fewer than one is"
        );
    };
    shuttle::check_random(trial, schedules(2000));
}

/// Workers come and go in fewer slots than there are workers in all.
fn slots_are_had_again(they_die: bool) {
    let world = World::new(2);
    let pools: Vec<_> = (0..2)
        .map(|pool| {
            let world = Arc::clone(&world);
            shuttle::thread::spawn(move || {
                for turn in 1..=3 {
                    let number = pool * 10 + turn;
                    let owner = ticket(number);
                    let mut random = shuttle::rand::thread_rng();
                    let steps = if they_die {
                        random.gen_range(0..40)
                    } else {
                        u32::MAX
                    };
                    let slot = for_steps(steps, || {
                        let slot = world.slots().claim(world.len(), 0, owner, number);
                        let (slot, _) =
                            slot.expect("there are as many slots as workers at one time");
                        world.set_status(slot, BUSY);
                        slot
                    });
                    if let Some(slot) = slot {
                        let text = &world.texts[slot as usize][..];
                        let digits = slots::pid_text(number);
                        assert_eq!(text[0].load(SeqCst), BUSY);
                        assert!(
                            text[1..]
                                .iter()
                                .zip(&digits)
                                .all(|(byte, &digit)| byte.load(SeqCst) == digit),
                            "the slot is this worker's alone"
                        );
                    }
                    // The pool's manager has reaped it.
                    let had_slot = world.clear(owner);
                    assert!(had_slot || slot.is_none());
                }
            })
        })
        .collect();
    for pool in pools {
        pool.join().unwrap();
    }
    assert_eq!(world.count(|status| status == STATUS_NEXIST), 2);
    for slot in &world.texts {
        let text = slot.iter().map(|byte| byte.load(SeqCst));
        assert!(text.eq(EMPTY_SLOT));
    }
    world.slots().arm(2, 0, 0);
    assert_eq!(world.numbers.busy.load(SeqCst), 0);
}

#[test]
fn a_slot_is_one_workers_and_is_had_again() {
    for they_die in [false, true] {
        shuttle::check_random(move || slots_are_had_again(they_die), schedules(250));
        shuttle::check_pct(move || slots_are_had_again(they_die), schedules(250), 3);
    }
}

/// A worker that is to leave turns busy or idle: that is seen, or wakes.
fn a_mark_wakes() {
    let world = World::new(2);
    let owner = ticket(7);
    world.slots().claim(2, 1, owner, FIRST).unwrap();
    world.slots().disarm(2);
    let worker = {
        let world = Arc::clone(&world);
        shuttle::thread::spawn(move || world.set_status(1, BUSY))
    };
    world.slots().arm(2, i32::MIN, i32::MAX);
    let watched = world.slots().watch(2, 0, 1, false, |_, _| Role::Stopping);
    assert_eq!((watched.stopping, watched.busy_strangers), (1, 0));
    if !slots::is_busy(world.slots().status(1)) {
        assert!(world.sleep().is_some());
        assert!(slots::is_busy(world.slots().status(1)));
    }
    worker.join().unwrap();
}

/// A process that is no worker claims a slot and turns busy: that is counted, or wakes.
fn a_stranger_is_counted() {
    let world = World::new(2);
    world.slots().disarm(2);
    let other = {
        let world = Arc::clone(&world);
        shuttle::thread::spawn(move || {
            let stranger = Owner::process(FIRST);
            let (slot, is_wanted) = world.slots().claim(2, 0, stranger, FIRST).unwrap();
            assert!(!is_wanted);
            world.set_status(slot, BUSY);
        })
    };
    world.slots().arm(2, i32::MIN, i32::MAX);
    if world.watch(0).busy_strangers == 0 {
        assert!(world.sleep().is_some());
        assert_eq!(world.watch(0).busy_strangers, 1);
    }
    other.join().unwrap();
}

/// The same of one that was a worker until it was disowned, and does not know that it is none any more.
fn one_that_is_disowned_is_counted() {
    let world = World::new(2);
    world.slots().disarm(2);
    let other = {
        let world = Arc::clone(&world);
        shuttle::thread::spawn(move || {
            let (slot, is_wanted) = world.slots().claim(2, 0, ticket(7), FIRST).unwrap();
            if is_wanted {
                world.slots().wake(|| world.ring());
            }
            world.set_status(slot, BUSY);
        })
    };
    loop {
        world.slots().arm(2, i32::MIN, i32::MAX);
        let stranger = |_, _| Role::Stranger;
        let is_awaited = world.slots().slot_of(2, 0, ticket(7)).is_none();
        let watched = world.slots().watch(2, SERIES, 0, is_awaited, stranger);
        if watched.busy_strangers > 0 {
            break;
        }
        assert!(world.sleep().is_some());
    }
    other.join().unwrap();
}

#[test]
fn a_stranger_is_counted_in_time() {
    for stranger in [a_stranger_is_counted, one_that_is_disowned_is_counted] {
        shuttle::check_random(stranger, schedules(500));
        shuttle::check_pct(stranger, schedules(500), 3);
    }
}

/// A worker that was told to stop claims a slot, not the one of its index, and turns busy: it is found, and marked,
/// and then that is seen; or it wakes.
fn a_claim_wakes() {
    let world = World::new(2);
    let (owner, other) = (ticket(7), ticket(6));
    world.slots().claim(2, 0, other, FIRST).unwrap();
    world.slots().disarm(2);
    let worker = {
        let world = Arc::clone(&world);
        shuttle::thread::spawn(move || {
            let (slot, is_wanted) = world.slots().claim(2, 0, owner, FIRST).unwrap();
            if is_wanted {
                world.slots().wake(|| world.ring());
            }
            world.set_status(slot, BUSY);
        })
    };
    let role = |_, seen| {
        if seen == owner {
            Role::Stopping
        } else {
            Role::Worker
        }
    };
    loop {
        world.slots().arm(2, i32::MIN, i32::MAX);
        world.slots().watch(2, SERIES, 1, false, role);
        if world.slots().is_owner_busy(2, 0, owner) {
            break;
        }
        assert!(world.sleep().is_some());
    }
    worker.join().unwrap();
}

#[test]
fn a_claim_is_seen_in_time() {
    shuttle::check_random(a_claim_wakes, schedules(500));
    shuttle::check_pct(a_claim_wakes, schedules(500), 3);
}

#[test]
fn a_mark_is_seen_in_time() {
    shuttle::check_random(a_mark_wakes, schedules(500));
    shuttle::check_pct(a_mark_wakes, schedules(500), 3);
}
