//! The machine, driven by hand: what it asks for, and when.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else comes is what the test is not about, and fails it"
)]

use std::time::Duration;

use prefork::machine::{
    Action, Cause, Exit, FORK_RETRY_MIN, Goal, Lead, Machine, Misuse, NoStatuses, Pid, Reason,
    Serial, Signal, Step, Time, Worker, WorkerTimeout,
};

const TERM: Signal = 15;
const HUP: Signal = 1;

/// A machine, its clock, and a kernel that gives out pids from 100.
struct Driver {
    machine: Machine,
    now: Time,
    next_pid: Pid,
    killed: Vec<(Pid, Signal)>,
    forked: Vec<(Pid, u32)>,
    /// How many workers there had been when memory was moved to huge pages.
    huge_pages_before: Vec<usize>,
}

impl Driver {
    fn new(target: u32) -> Driver {
        let mut machine = Machine::default();
        machine.target = target;
        machine.pacing.err_respawn_interval = Duration::ZERO;
        Driver {
            machine,
            now: Time(1_000_000_000),
            next_pid: 100,
            killed: Vec::new(),
            forked: Vec::new(),
            huge_pages_before: Vec::new(),
        }
    }

    fn sleep(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Where no worker says anything.
    fn is_ready(&self, worker: &Worker) -> bool {
        self.machine.is_ready(worker, self.now, &NoStatuses)
    }

    /// Carries out what it asks for, with no child that has ended, until it wants the host
    /// to wait or to return; returns that step.
    fn run(&mut self) -> Step {
        loop {
            match self.machine.next(self.now, &NoStatuses).expect("a step") {
                Step::Kill { pid, signal } => self.killed.push((pid, signal)),
                Step::ReapWorker(pid) => panic!("{pid} was not named"),
                Step::Reap => self.machine.none_ended(self.now),
                Step::Audit => self.machine.audited(&[], self.now),
                Step::UseHugePages => self.huge_pages_before.push(self.forked.len()),
                Step::Fork { index, .. } => {
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    assert_eq!(self.machine.forked(pid, self.now), Ok(index));
                    self.forked.push((pid, index));
                }
                step @ (Step::Reaped(_)
                | Step::Ready { .. }
                | Step::KillFailed { .. }
                | Step::Wait { .. }
                | Step::Stopped(_)
                | Step::Drained
                | Step::TimedOut) => return step,
            }
        }
    }

    /// As `run`, when only a wait is expected; returns how long.
    #[track_caller]
    fn wait(&mut self) -> Option<Duration> {
        match self.run() {
            Step::Wait { until, .. } => until.map(|until| until.since(self.now)),
            step => panic!("not a wait: {step:?}"),
        }
    }

    fn exit(&mut self, pid: Pid, status: i32) -> Exit {
        self.machine.look_for_children(false);
        loop {
            match self.machine.next(self.now, &NoStatuses).expect("a step") {
                Step::Reap => return self.machine.child_reaped(pid, status, self.now),
                Step::Kill { pid, signal } => self.killed.push((pid, signal)),
                step => panic!("not a reap: {step:?}"),
            }
        }
    }
}

fn started(target: u32) -> Driver {
    let mut driver = Driver::new(target);
    driver.machine.begin();
    driver.wait();
    driver
}

/// A host that decides by itself has demanded one worker, 100, and got it.
fn decided_by_host() -> Driver {
    let mut driver = Driver::new(2);
    driver.machine.lead = Lead::Host;
    driver.machine.begin();
    driver.machine.demand(1);
    driver.wait();
    driver
}

#[test]
fn a_pool_is_filled_and_then_nothing_is_to_be_done() {
    let mut driver = Driver::new(3);
    driver.machine.begin();
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.forked, [(100, 0), (101, 1), (102, 2)]);
    driver.sleep(Duration::from_secs(1_000_000));
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.forked.len(), 3);
}

#[test]
fn a_worker_that_ends_is_replaced_under_its_index() {
    let mut driver = started(3);
    let exit = driver.exit(101, 0);
    assert_eq!(
        (exit.index, exit.generation, exit.reason),
        (1, 1, Reason::Ended)
    );
    assert_eq!(
        driver.machine.workers().len(),
        3,
        "counted while it is reported"
    );
    driver.wait();
    assert_eq!(driver.forked.last(), Some(&(103, 1)));
    assert_eq!(driver.machine.workers().len(), 3);
}

#[test]
fn a_failure_of_the_current_generation_defers_forking_and_no_other() {
    let mut driver = started(2);
    driver.machine.pacing.err_respawn_interval = Duration::from_secs(5);
    assert_eq!(driver.exit(100, 256).reason, Reason::Failed);
    assert_eq!(driver.wait(), Some(Duration::from_secs(5)));
    assert_eq!(driver.machine.workers().len(), 1);
    driver.sleep(Duration::from_secs(5));
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.machine.workers().len(), 2);

    driver.machine.signal(HUP);
    assert_eq!(driver.run(), Step::Stopped(HUP));
    driver.machine.begin();
    assert_eq!(driver.exit(101, 9).reason, Reason::Ended);
    assert_eq!(
        driver.wait(),
        None,
        "an old worker's status does not matter"
    );
}

#[test]
fn forks_keep_their_interval() {
    let mut driver = Driver::new(3);
    driver.machine.pacing.spawn_interval = Duration::from_millis(10);
    driver.machine.begin();
    for workers in 1..3 {
        assert_eq!(driver.wait(), Some(Duration::from_millis(10)));
        assert_eq!(driver.forked.len(), workers);
        driver.sleep(Duration::from_millis(10));
    }
    assert_eq!(driver.wait(), None);
}

#[test]
fn memory_is_moved_to_huge_pages_before_the_first_fork_of_a_generation() {
    let mut driver = Driver::new(2);
    driver.machine.huge_pages = true;
    driver.machine.begin();
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [0]);
    driver.machine.target = 3;
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [0], "once");
    driver.machine.begin();
    driver.machine.target = 5;
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [0, 3], "and once in the next");
    assert_eq!(driver.forked.len(), 5);
}

#[test]
fn memory_is_moved_to_huge_pages_only_if_that_is_wanted_and_a_fork_follows() {
    let mut driver = Driver::new(0);
    driver.machine.huge_pages = true;
    driver.machine.begin();
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [], "nothing is to be forked");
    driver.machine.huge_pages = false;
    driver.machine.target = 2;
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [], "it is not wanted");
    driver.machine.huge_pages = true;
    driver.machine.target = 3;
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.huge_pages_before, [2], "it is wanted from now on");
}

/// A host that shares the lead, of a pool of so many.
fn shared(target: u32) -> Driver {
    let mut driver = Driver::new(target);
    driver.machine.lead = Lead::Shared;
    driver.machine.begin();
    driver
}

#[test]
fn a_host_that_shares_the_lead_forks_when_it_is_ready() {
    let mut driver = shared(1);
    assert_eq!(driver.wait(), Some(Duration::ZERO), "it is to ask at once");
    assert!(driver.forked.is_empty());
    assert!(driver.machine.wants_fork(driver.now, &NoStatuses));
    driver.machine.demand(1);
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.forked, [(100, 0)]);
    assert!(!driver.machine.wants_fork(driver.now, &NoStatuses));
}

#[test]
fn a_host_that_shares_the_lead_is_told_when_a_pause_is_over() {
    let second = Duration::from_secs(1);
    let mut driver = shared(2);
    driver.machine.demand(1);
    assert_eq!(driver.wait(), Some(Duration::ZERO));
    driver.machine.pacing.defer(driver.now, second);
    let open_at = driver.now.after(second);
    assert_eq!(driver.wait(), Some(second));
    assert!(!driver.machine.wants_fork(driver.now, &NoStatuses));
    assert!(driver.machine.wants_fork(open_at, &NoStatuses));
}

#[test]
fn a_host_that_has_a_part_in_the_lead_makes_the_pauses() {
    let goals = [Goal::Run, Goal::Drain(None)];
    for (lead, goal) in [Lead::Shared, Lead::Host]
        .into_iter()
        .flat_map(|lead| goals.map(|goal| (lead, goal)))
    {
        let mut driver = shared(1);
        driver.machine.lead = lead;
        driver.machine.pacing.spawn_interval = Duration::from_secs(9);
        driver.machine.pacing.err_respawn_interval = Duration::from_secs(1);
        driver.machine.demand(1);
        driver.wait();
        assert_eq!(driver.forked, [(100, 0)]);
        driver.machine.set_goal(goal);
        driver.machine.child_reaped(100, 256, driver.now);
        assert!(
            driver.machine.pacing.is_open(driver.now),
            "{lead:?}, {goal:?}"
        );
    }
}

#[test]
fn a_host_that_shares_the_lead_acts_on_signals_by_itself() {
    let mut driver = shared(0);
    driver.machine.signal(TERM);
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.machine.signals.first(), Some(TERM));
}

#[test]
fn a_host_that_demands_a_worker_gets_it_after_the_huge_pages() {
    let mut driver = Driver::new(0);
    driver.machine.lead = Lead::Host;
    driver.machine.huge_pages = true;
    driver.machine.begin();
    driver.machine.demand(1);
    assert_eq!(driver.wait(), None);
    assert_eq!(
        (&driver.huge_pages_before[..], driver.forked.len()),
        (&[0][..], 1)
    );
    driver.machine.demand(1);
    assert_eq!(driver.wait(), None);
    assert_eq!(
        (&driver.huge_pages_before[..], driver.forked.len()),
        (&[0][..], 2)
    );
}

#[test]
fn a_failed_fork_is_tried_again_but_not_at_once() {
    let mut driver = Driver::new(1);
    driver.machine.begin();
    let step = driver.machine.next(driver.now, &NoStatuses);
    assert_eq!(
        step,
        Ok(Step::Fork {
            index: 0,
            generation: 1
        })
    );
    assert_eq!(driver.machine.fork_failed(driver.now), Ok(1));
    assert_eq!(driver.wait(), Some(FORK_RETRY_MIN));
    driver.sleep(FORK_RETRY_MIN);
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.forked, [(100, 0)]);
}

#[test]
fn every_fork_needs_its_answer() {
    let mut driver = Driver::new(1);
    driver.machine.begin();
    assert_eq!(driver.machine.forked(7, driver.now), Err(Misuse::NotAsked));
    assert!(!driver.machine.is_asked());
    assert!(driver.machine.next(driver.now, &NoStatuses).is_ok());
    assert!(driver.machine.is_asked());
    assert_eq!(
        driver.machine.next(driver.now, &NoStatuses),
        Err(Misuse::Unanswered)
    );
    assert_eq!(driver.machine.forked(7, driver.now), Ok(0));
    assert_eq!(
        driver.machine.fork_failed(driver.now),
        Err(Misuse::NotAsked)
    );
}

#[test]
fn a_worker_is_no_manager() {
    let mut driver = Driver::new(1);
    driver.machine.begin();
    assert!(driver.machine.next(driver.now, &NoStatuses).is_ok());
    assert!(driver.machine.forked_here().is_ok());
    assert_eq!(driver.machine.in_worker(), Some((0, 1)));
    assert_eq!(
        driver.machine.next(driver.now, &NoStatuses),
        Err(Misuse::InWorker)
    );
}

/// The numbers that a worker is known by in its manager and in itself, where the host does this between the
/// FORK event and the fork, and then that before its answer.
fn serials(before: impl Fn(&mut Machine), after: impl Fn(&mut Machine)) -> [Serial; 2] {
    let ask = || {
        let mut driver = Driver::new(1);
        driver.machine.set_series(5);
        driver.machine.begin();
        assert!(driver.machine.next(driver.now, &NoStatuses).is_ok());
        before(&mut driver.machine);
        driver
    };
    let (mut manager, mut worker) = (ask(), ask());
    after(&mut manager.machine);
    manager.machine.forked(100, manager.now).expect("asked");
    let entered = manager.machine.workers().get(100).expect("entered").serial;
    [entered, worker.machine.forked_here().expect("asked")]
}

#[test]
fn manager_and_worker_know_the_same_ticket() {
    let nothing = |_: &mut Machine| {};
    let enter = |machine: &mut Machine| machine.adopt(900, None, 1, Time(0));
    let [entered, own] = serials(nothing, nothing);
    assert!(entered == own && own.ticket().is_some());
    let [entered, own] = serials(enter, enter);
    assert!(entered == own && own.ticket().is_some());
    let [entered, own] = serials(|machine| machine.set_series(0), nothing);
    assert!(entered == own && own.ticket().is_none());
}

#[test]
fn a_process_of_the_hosts_has_no_ticket_unless_it_was_a_worker() {
    let mut driver = Driver::new(1);
    driver.machine.set_series(5);
    driver.machine.begin();
    driver.run();
    let serial = |driver: &Driver, pid| driver.machine.workers().get(pid).expect("there").serial;
    let before = serial(&driver, 100);
    driver.machine.adopt(900, None, 1, driver.now);
    assert_eq!(serial(&driver, 900).ticket(), None);
    assert!(serial(&driver, 900) > before);
    driver.machine.remove(100);
    driver.machine.adopt(100, Some(before), 1, driver.now);
    assert_eq!(serial(&driver, 100), before);
    driver.machine.reset_after_fork();
    driver.run();
    assert_eq!(serial(&driver, 101).ticket(), None);
}

#[test]
fn signals_end_runs_one_after_the_other() {
    let mut driver = started(2);
    for signal in [TERM, HUP] {
        let action = Action {
            send: signal,
            interval: Duration::ZERO,
        };
        driver.machine.actions.insert(signal, action);
    }
    driver.machine.signal(TERM);
    driver.machine.signal(HUP);
    assert_eq!(driver.run(), Step::Stopped(TERM));
    assert_eq!(driver.killed, [(100, TERM), (101, TERM)]);
    assert_eq!(driver.wait(), None, "outside of a run nothing is acted on");
    driver.machine.begin();
    assert_eq!(driver.run(), Step::Stopped(HUP));
    assert_eq!(driver.killed[2..], [(100, HUP), (101, HUP)]);
    assert_eq!(driver.forked.len(), 2, "no worker was forked in between");
}

#[test]
fn a_staggered_signal_goes_on_while_the_pool_drains() {
    let mut driver = started(3);
    let interval = Duration::from_secs(2);
    driver.machine.actions.insert(
        TERM,
        Action {
            send: TERM,
            interval,
        },
    );
    driver.machine.signal(TERM);
    assert_eq!(driver.run(), Step::Stopped(TERM));
    assert_eq!(driver.killed, [(100, TERM)]);
    driver.machine.set_goal(Goal::Drain(None));
    assert_eq!(driver.wait(), Some(interval));
    driver.exit(101, 0);
    driver.sleep(interval);
    assert_eq!(driver.wait(), None);
    assert_eq!(
        driver.killed,
        [(100, TERM), (102, TERM)],
        "the dead one costs no time"
    );
}

#[test]
fn draining_ends_with_the_last_worker_or_with_the_deadline() {
    let mut driver = started(2);
    driver
        .machine
        .set_goal(Goal::Drain(Some(driver.now.after(Duration::from_secs(3)))));
    assert_eq!(driver.wait(), Some(Duration::from_secs(3)));
    driver.exit(100, 0);
    driver.sleep(Duration::from_secs(3));
    assert_eq!(driver.run(), Step::TimedOut);
    assert_eq!(driver.forked.len(), 2, "nobody is replaced");
    driver.machine.set_goal(Goal::Drain(None));
    driver.exit(101, 0);
    assert_eq!(driver.run(), Step::Drained);
}

#[test]
fn workers_that_somebody_else_has_reaped_are_reported_and_replaced() {
    let mut driver = started(2);
    driver.machine.child_ended(None, driver.now);
    assert_eq!(driver.machine.next(driver.now, &NoStatuses), Ok(Step::Reap));
    driver.machine.no_children(driver.now);
    let mut stolen = Vec::new();
    while let Step::Reaped(exit) = driver.run() {
        assert_eq!((exit.status, exit.reason), (-1, Reason::Stolen));
        stolen.push(exit.pid);
    }
    assert_eq!(stolen, [100, 101]);
    assert_eq!(driver.machine.workers().len(), 2);
}

#[test]
fn a_worker_that_was_named_is_replaced_before_others_are_looked_for() {
    let mut driver = started(3);
    driver.machine.child_ended(Some(101), driver.now);
    let next = |driver: &mut Driver| driver.machine.next(driver.now, &NoStatuses);
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(101)));
    let exit = driver.machine.child_reaped(101, 0, driver.now);
    assert_eq!((exit.index, exit.reason), (1, Reason::Ended));
    let fork = Step::Fork {
        index: 1,
        generation: 1,
    };
    assert_eq!(next(&mut driver), Ok(fork));
    assert_eq!(driver.machine.forked(103, driver.now), Ok(1));
    driver.next_pid = 104;
    // Another one may have ended with the same notice, which comes before the wait.
    assert_eq!(next(&mut driver), Ok(Step::Reap));
    driver.machine.child_reaped(100, 0, driver.now);
    driver.wait();
    assert_eq!(driver.forked.last(), Some(&(104, 0)));
}

#[test]
fn of_many_the_others_are_looked_for_some_time_after_one_that_was_named() {
    let mut driver = started(2000);
    let next = |driver: &mut Driver| loop {
        let step = driver.machine.next(driver.now, &NoStatuses);
        match step.expect("a step") {
            Step::Audit => driver.machine.audited(&[], driver.now),
            step => return step,
        }
    };
    let end_and_replace = |driver: &mut Driver, pid: Pid| {
        driver.machine.child_reaped(pid, 0, driver.now);
        assert!(matches!(next(driver), Step::Fork { .. }));
        let forked = driver.machine.forked(driver.next_pid, driver.now);
        forked.expect("asked");
        driver.next_pid += 1;
    };
    let looked_for = driver.now.after(Duration::from_millis(1));
    let wait = Step::Wait {
        until: Some(looked_for),
        busy: None,
    };
    for pid in [101, 102] {
        driver.machine.child_ended(Some(pid), driver.now);
        assert_eq!(next(&mut driver), Step::ReapWorker(pid));
        end_and_replace(&mut driver, pid);
        assert_eq!(next(&mut driver), wait);
        // The next one is news all the same, and does not put the look off.
        assert!(!driver.machine.puts_off_looking(driver.now));
        driver.now = driver.now.after(Duration::from_micros(400));
    }
    driver.now = looked_for;
    assert_eq!(next(&mut driver), Step::Reap);
    end_and_replace(&mut driver, 103);
    assert_eq!(next(&mut driver), Step::Reap);
    driver.machine.none_ended(driver.now);

    // A notice that names nobody is looked into at once.
    driver.machine.child_ended(Some(104), driver.now);
    assert_eq!(next(&mut driver), Step::ReapWorker(104));
    driver.machine.child_ended(None, driver.now);
    assert_eq!(next(&mut driver), Step::Reap);
    // So is all that one was before the named one.
    driver.machine.child_ended(Some(104), driver.now);
    assert_eq!(next(&mut driver), Step::ReapWorker(104));
    assert_eq!(next(&mut driver), Step::Reap);
}

#[test]
fn several_that_were_named_are_looked_at_in_order_and_each_once() {
    let mut driver = started(3);
    for pid in [102, 100, 102, 100] {
        driver.machine.child_ended(Some(pid), driver.now);
    }
    let next = |driver: &mut Driver| driver.machine.next(driver.now, &NoStatuses);
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(102)));
    // It was only stopped, and is named again later.
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(100)));
    assert_eq!(next(&mut driver), Ok(Step::Reap));
    driver.machine.none_ended(driver.now);
    driver.wait();
    driver.machine.child_ended(Some(102), driver.now);
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(102)));
}

#[test]
fn a_name_that_is_no_workers_is_a_notice_and_no_more() {
    let mut driver = started(2);
    let next = |driver: &mut Driver| driver.machine.next(driver.now, &NoStatuses);
    for pid in [99, 0, -1, i32::MIN, i32::MAX] {
        driver.machine.child_ended(Some(pid), driver.now);
        assert_eq!(next(&mut driver), Ok(Step::Reap), "{pid}");
        driver.wait();
    }
    // Reaped since it was named, and its number given to one that nobody has named.
    driver.machine.child_ended(Some(100), driver.now);
    driver.machine.worker_reaped(100, 0, driver.now);
    driver.next_pid = 100;
    driver.wait();
    assert_eq!(driver.forked.last(), Some(&(100, 0)));
    driver.machine.child_ended(Some(101), driver.now);
    driver.machine.remove(101);
    driver.wait();
}

#[test]
fn one_that_was_named_is_reaped_while_the_look_for_others_is_put_off() {
    let mut driver = started(4000);
    driver.machine.set_goal(Goal::Drain(None));
    driver.machine.child_ended(Some(4000), driver.now);
    let step = driver.machine.next(driver.now, &NoStatuses);
    assert_eq!(step, Ok(Step::ReapWorker(4000)));
    driver.machine.child_reaped(4000, 0, driver.now);
    assert!(driver.wait().is_some_and(|left| !left.is_zero()));
}

#[test]
fn while_many_end_the_looks_for_them_are_some_time_apart() {
    let mut driver = started(4000);
    let notice = |driver: &mut Driver| {
        driver.machine.look_for_children(false);
        driver.run()
    };
    let end = driver.now.after(Duration::from_micros(5500));
    assert_eq!(driver.wait(), None);
    driver.machine.set_goal(Goal::Drain(Some(end)));
    driver.sleep(Duration::from_millis(2));
    driver.exit(100, 0);
    assert!(!driver.machine.puts_off_looking(driver.now));
    // Looked for others just now: there were none.
    let until = Step::Wait {
        until: Some(end),
        busy: None,
    };
    assert_eq!(driver.run(), until);

    driver.sleep(Duration::from_micros(500));
    let looked_at = driver.now.after(Duration::from_micros(1500));
    match notice(&mut driver) {
        Step::Wait { until, .. } => {
            let until = until.expect("a time");
            assert!(until > driver.now && until <= looked_at, "{until:?}");
            driver.now = until;
        }
        step => panic!("not a wait: {step:?}"),
    }
    assert!(!driver.machine.puts_off_looking(driver.now));
    driver.exit(101, 0);
    assert_eq!(driver.run(), until);

    // A deadline finds all that have ended.
    let put_off = notice(&mut driver);
    assert!(matches!(put_off, Step::Wait { .. }));
    assert!(driver.machine.puts_off_looking(driver.now));
    driver.now = end;
    driver.exit(102, 0);
    assert_eq!(driver.run(), Step::TimedOut);
}

#[test]
fn a_pool_that_runs_or_is_small_is_looked_at_at_once() {
    for (workers, goal) in [
        (4000, Goal::Run),
        (4000, Goal::Suspended),
        (100, Goal::Drain(None)),
    ] {
        let mut driver = started(workers);
        driver.machine.set_goal(goal);
        driver.machine.look_for_children(false);
        driver.run();
        driver.machine.look_for_children(false);
        let step = driver.machine.next(driver.now, &NoStatuses);
        assert_eq!(step, Ok(Step::Reap), "{workers}, {goal:?}");
    }
}

#[test]
fn one_of_many_that_was_stolen_is_looked_for_at_most_once_a_second() {
    let mut driver = started(2);
    let sweep = |driver: &mut Driver| {
        driver.machine.child_ended(None, driver.now);
        let mut audits = 0;
        loop {
            match driver
                .machine
                .next(driver.now, &NoStatuses)
                .expect("a step")
            {
                Step::Reap => driver.machine.none_ended(driver.now),
                Step::Audit => {
                    audits += 1;
                    driver.machine.audited(&[101], driver.now);
                }
                Step::Reaped(exit) => assert_eq!((exit.pid, exit.status), (101, -1)),
                Step::Fork { .. } => {
                    driver
                        .machine
                        .forked(driver.next_pid, driver.now)
                        .expect("asked");
                    driver.next_pid += 1;
                }
                Step::Wait { until, .. } => return (audits, until),
                step => panic!("unexpected: {step:?}"),
            }
        }
    };
    driver.sleep(Duration::from_secs(10));
    assert_eq!(sweep(&mut driver).0, 1);
    driver.sleep(Duration::from_millis(400));
    let (audits, until) = sweep(&mut driver);
    assert_eq!(audits, 0);
    assert_eq!(until, Some(driver.now.after(Duration::from_millis(600))));
    driver.sleep(Duration::from_millis(600));
    assert_eq!(sweep(&mut driver).0, 1);
}

#[test]
fn where_a_notice_may_get_lost_children_are_looked_for_once_a_second() {
    let mut driver = started(2);
    let look = |driver: &mut Driver| {
        let (mut looks, mut audits) = (0, 0);
        loop {
            match driver
                .machine
                .next(driver.now, &NoStatuses)
                .expect("a step")
            {
                Step::Reap => {
                    looks += 1;
                    driver.machine.none_ended(driver.now);
                }
                Step::Audit => {
                    audits += 1;
                    driver.machine.audited(&[], driver.now);
                }
                Step::Wait { until, .. } => {
                    let left = until.map(|until| until.since(driver.now));
                    return (looks, audits, left);
                }
                step => panic!("unexpected: {step:?}"),
            }
        }
    };
    let in_millis = |millis| Some(Duration::from_millis(millis));
    assert_eq!(look(&mut driver), (0, 0, None));
    assert!(driver.machine.set_looks_in_time(true));
    assert!(!driver.machine.set_looks_in_time(true));
    assert_eq!(look(&mut driver), (0, 0, in_millis(1000)));
    driver.sleep(Duration::from_millis(400));
    assert_eq!(look(&mut driver), (0, 0, in_millis(600)));
    driver.sleep(Duration::from_millis(600));
    assert_eq!(look(&mut driver), (1, 1, in_millis(1000)));
    // A look for another reason is as good.
    driver.sleep(Duration::from_millis(400));
    driver.machine.look_for_children(false);
    assert_eq!(look(&mut driver), (1, 0, in_millis(1000)));
    driver.sleep(Duration::from_millis(1000));
    driver.machine.look_for_children(false);
    assert_eq!(look(&mut driver), (1, 1, in_millis(1000)));
    assert!(driver.machine.set_looks_in_time(false));
    driver.sleep(Duration::from_secs(10));
    assert_eq!(look(&mut driver), (0, 0, None));
}

#[test]
fn a_reaped_pid_that_was_given_out_again_stays() {
    let mut driver = decided_by_host();
    driver.exit(100, 0);
    // Before the host moves on, the kernel gives the number to a worker of a nested run.
    driver.machine.remove_reaped(100);
    driver.next_pid = 100;
    driver.machine.demand(1);
    driver.wait();
    driver.wait();
    assert_eq!(driver.machine.workers().len(), 1);
    let worker = driver
        .machine
        .workers()
        .get(100)
        .expect("it is in the table");
    assert!(!worker.reaped);
}

#[test]
fn a_pid_given_out_again_is_counted_until_its_own_end_is_reported() {
    let mut driver = decided_by_host();
    driver.machine.demand(1);
    assert!(matches!(
        driver.machine.next(driver.now, &NoStatuses),
        Ok(Step::Fork { .. })
    ));
    // While the host forks, the first worker ends, and its number is the new one's, which is stolen.
    driver.machine.child_reaped(100, 0, driver.now);
    driver.machine.remove_reaped(100);
    assert_eq!(driver.machine.forked(100, driver.now), Ok(1));
    driver.machine.no_children(driver.now);
    assert!(matches!(
        driver.run(),
        Step::Reaped(Exit {
            pid: 100,
            reason: Reason::Stolen,
            ..
        })
    ));
    assert_eq!(driver.machine.workers().len(), 1);
    driver.wait();
    assert_eq!(driver.machine.workers().len(), 0);
}

#[test]
fn a_number_that_the_system_gave_out_again_tells_of_a_stolen_worker() {
    let mut driver = started(3);
    driver.exit(102, 0);
    driver.next_pid = 101;
    assert!(matches!(
        driver.run(),
        Step::Reaped(Exit {
            pid: 101,
            status: -1,
            index: 1,
            reason: Reason::Stolen,
            ..
        })
    ));
    assert_eq!(driver.forked[3..], [(101, 2), (102, 1)]);
    driver.wait();
    assert_eq!(driver.machine.workers().len(), 3);
}

#[test]
fn what_the_host_says_of_a_stolen_worker_is_not_about_who_has_its_pid() {
    let the_other_is_there = |host_says: fn(&mut Machine)| {
        let mut driver = started(3);
        driver.exit(102, 0);
        driver.next_pid = 101;
        let stolen = driver.run();
        assert!(matches!(stolen, Step::Reaped(Exit { pid: 101, .. })));
        host_says(&mut driver.machine);
        driver.wait();
        let workers = driver.machine.workers();
        workers.len() == 3 && workers.get(101).is_some_and(|worker| !worker.reaped)
    };
    assert!(the_other_is_there(|machine| {
        machine.worker_reaped(101, -1, Time(0));
        assert!(machine.remove_reaped(101).is_none());
    }));
    assert!(the_other_is_there(|machine| {
        assert!(machine.disown(101));
    }));
    assert!(!the_other_is_there(|machine| {
        machine.disown(101);
        machine.disown(101);
    }));
    // Another status is news of the one that is there.
    assert!(!the_other_is_there(|machine| {
        machine.worker_reaped(101, 0, Time(0));
    }));
}

#[test]
fn a_number_that_the_host_has_seen_the_end_of_is_free() {
    let mut driver = started(2);
    driver.exit(101, 0);
    assert!(matches!(
        driver.machine.next(driver.now, &NoStatuses),
        Ok(Step::Fork { .. })
    ));
    driver.machine.worker_reaped(100, 0, driver.now);
    assert_eq!(driver.machine.forked(100, driver.now), Ok(1));
    driver.wait();
    assert_eq!(driver.machine.workers().len(), 2);
}

#[test]
fn a_worker_can_be_released_once_its_end_is_known() {
    let mut driver = started(1);
    assert!(driver.machine.remove_reaped(100).is_none());
    driver.exit(100, 0);
    assert_eq!(
        driver.machine.remove_reaped(100).map(|worker| worker.pid),
        Some(100)
    );
    assert!(driver.machine.workers().is_empty());
}

/// The next fork that is asked for: its index.
fn asked_to_fork(driver: &mut Driver) -> u32 {
    loop {
        match driver.machine.next(driver.now, &NoStatuses) {
            Ok(Step::Reap) => driver.machine.none_ended(driver.now),
            Ok(Step::Fork { index, .. }) => return index,
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn an_index_that_a_fork_was_told_is_no_others() {
    let mut driver = Driver::new(3);
    driver.machine.begin();
    assert_eq!(asked_to_fork(&mut driver), 0);
    driver.machine.adopt(900, None, 1, driver.now);
    assert_eq!(driver.machine.forked(100, driver.now), Ok(0));
    assert_eq!(driver.machine.workers().get(900).unwrap().index, 1);

    assert_eq!(asked_to_fork(&mut driver), 2);
    driver.machine.remove(100);
    assert_eq!(driver.machine.forked(102, driver.now), Ok(2));
    assert_eq!(asked_to_fork(&mut driver), 0);
}

#[test]
fn an_index_is_free_again_when_its_fork_has_failed_or_was_withdrawn() {
    let mut driver = Driver::new(1);
    driver.machine.begin();
    assert_eq!(asked_to_fork(&mut driver), 0);
    assert_eq!(driver.machine.fork_failed(driver.now), Ok(1));
    driver.sleep(FORK_RETRY_MIN);
    assert_eq!(asked_to_fork(&mut driver), 0);
    driver.machine.begin();
    assert_eq!(asked_to_fork(&mut driver), 0);
}

#[test]
fn adopting_a_worker_that_is_there_changes_its_generation_and_nothing_else() {
    let mut driver = started(2);
    driver.machine.stop_workers(1, &NoStatuses);
    driver.machine.adopt(101, None, 7, driver.now);
    let worker = driver
        .machine
        .workers()
        .get(101)
        .expect("it is in the table");
    assert_eq!(
        (worker.generation, worker.index, worker.stopping),
        (7, 1, true)
    );
}

#[test]
fn a_worker_that_the_host_reaped_is_not_signalled() {
    let mut driver = started(2);
    driver.machine.worker_reaped(100, 0, driver.now);
    driver.machine.actions.insert(
        TERM,
        Action {
            send: TERM,
            interval: Duration::ZERO,
        },
    );
    driver.machine.signal(TERM);
    assert_eq!(driver.run(), Step::Stopped(TERM));
    assert_eq!(driver.killed, [(101, TERM)]);
    assert_eq!(driver.machine.workers().len(), 1);
}

#[test]
fn a_number_that_is_given_up_between_two_signals_gets_none() {
    for give_up in [
        |machine: &mut Machine| {
            machine.remove(102);
        },
        |machine: &mut Machine| {
            machine.worker_reaped(102, 0, Time(0));
        },
    ] {
        let mut driver = started(3);
        driver.machine.actions.insert(
            TERM,
            Action {
                send: TERM,
                interval: Duration::ZERO,
            },
        );
        driver.machine.signal(TERM);
        let first = driver.machine.next(driver.now, &NoStatuses);
        assert!(matches!(first, Ok(Step::Kill { pid: 100, .. })));
        give_up(&mut driver.machine);
        assert_eq!(driver.run(), Step::Stopped(TERM));
        assert_eq!(driver.killed, [(101, TERM)]);
    }
}

#[test]
fn a_foreign_child_is_reported_as_such() {
    let mut driver = started(1);
    let exit = driver.exit(4711, 256);
    assert_eq!((exit.reason, exit.status), (Reason::Foreign, 256));
    assert_eq!(driver.wait(), None);
}

#[test]
fn a_host_that_decides_gets_what_it_demands_and_no_more() {
    let mut driver = Driver::new(5);
    driver.machine.lead = Lead::Host;
    driver.machine.begin();
    assert_eq!(driver.wait(), None);
    assert!(driver.forked.is_empty());
    driver.machine.demand(1);
    assert_eq!(driver.wait(), None);
    assert_eq!(driver.forked.len(), 1);
    driver
        .machine
        .pacing
        .defer(driver.now, Duration::from_secs(1));
    driver.machine.demand(1);
    driver.wait();
    assert_eq!(driver.forked.len(), 2, "its pause is the host's own affair");
    driver.machine.demand(1);
    assert!(driver.machine.next(driver.now, &NoStatuses).is_ok());
    assert_eq!(driver.machine.fork_failed(driver.now), Ok(1));
    driver.machine.demand(1);
    assert_eq!(driver.wait(), Some(FORK_RETRY_MIN), "a failure is not");
    driver.sleep(FORK_RETRY_MIN);
    driver.machine.demand(1);
    driver.wait();
    assert_eq!(driver.forked.len(), 3, "until its time has come");
    driver.machine.signal(TERM);
    assert_eq!(driver.wait(), None, "nor does the machine end a run for it");
}

#[test]
fn the_generation_can_be_set() {
    let mut driver = started(1);
    driver.machine.set_generation(41);
    driver.machine.begin();
    assert_eq!(driver.machine.generation(), 42);
}

#[test]
fn a_wake_ends_one_wait() {
    let mut driver = started(1);
    driver.machine.wake();
    assert_eq!(driver.wait(), Some(Duration::ZERO));
    assert_eq!(driver.wait(), None);
}

#[test]
fn the_surplus_is_told_once() {
    let mut driver = started(6);
    assert_eq!(driver.machine.stop_workers(2, &NoStatuses), [105, 104]);
    assert_eq!(
        driver.machine.stop_workers(2, &NoStatuses),
        Vec::<Pid>::new()
    );
    assert_eq!(driver.machine.stop_workers(3, &NoStatuses), [103]);
    assert_eq!(driver.exit(104, TERM).reason, Reason::Stopped);
}

#[test]
fn a_process_that_forked_by_itself_has_no_workers() {
    let mut driver = started(3);
    driver.machine.reset_after_fork();
    assert!(driver.machine.workers().is_empty());
    driver.machine.begin();
    driver.wait();
    assert_eq!(driver.forked.len(), 6);
    assert_eq!(driver.forked[3].1, 0, "indexes begin anew");
}

#[test]
fn the_times_that_were_set_are_told() {
    let mut machine = Machine::default();
    assert_eq!(
        (machine.worker_timeout(), machine.ready_timeout()),
        (None, None)
    );
    machine.set_graceful_timeout(Some(Duration::from_secs(5)));
    assert_eq!(
        (machine.worker_timeout(), machine.ready_timeout()),
        (None, None)
    );
    let set = Some(WorkerTimeout {
        timeout: Duration::from_secs(7),
        grace: None,
    });
    machine.set_worker_timeout(set);
    machine.set_ready_timeout(Some(Duration::from_secs(6)));
    assert_eq!(machine.worker_timeout(), set);
    assert_eq!(machine.ready_timeout(), Some(Duration::from_secs(6)));
    machine.set_worker_timeout(None);
    machine.set_ready_timeout(None);
    assert_eq!(
        (machine.worker_timeout(), machine.ready_timeout()),
        (None, None)
    );
}

#[test]
fn where_nobody_awaits_that_a_worker_is_ready_after_a_second_and_no_wait_ends_for_it() {
    let mut driver = started(1);
    driver
        .machine
        .set_graceful_timeout(Some(Duration::from_secs(5)));
    assert!(!driver.machine.tells_ready());
    let worker = *driver.machine.workers().get(100).expect("a worker");
    driver.sleep(Duration::from_nanos(999_999_999));
    assert!(!driver.is_ready(&worker));
    driver.sleep(Duration::from_nanos(1));
    assert!(driver.is_ready(&worker));
    assert_eq!(driver.wait(), None);
}

#[test]
fn a_worker_that_is_ready_is_told_once_by_what_it_is() {
    let mut driver = Driver::new(1);
    driver.machine.tell_ready();
    assert!(driver.machine.tells_ready());
    driver.machine.begin();
    assert_eq!(driver.wait(), Some(Duration::from_secs(1)));
    assert!(driver.machine.awaits_a_ring());
    let worker = *driver.machine.workers().get(100).expect("a worker");
    assert!(!driver.is_ready(&worker));
    driver.sleep(Duration::from_secs(1));
    let ready = Step::Ready {
        pid: 100,
        index: 0,
        generation: 1,
    };
    assert_eq!(driver.run(), ready);
    assert!(driver.is_ready(&worker));
    assert!(!driver.machine.awaits_a_ring());
    assert_eq!(driver.wait(), None);
}

#[test]
fn what_the_host_has_forked_by_itself_is_ready_and_nobody_is_told() {
    let mut driver = Driver::new(1);
    driver
        .machine
        .set_ready_timeout(Some(Duration::from_secs(5)));
    driver.machine.tell_ready();
    driver.machine.adopt(50, None, 1, driver.now);
    driver.machine.begin();
    driver.wait();
    let worker = *driver.machine.workers().get(50).expect("a worker");
    assert!(driver.is_ready(&worker));
    assert_eq!(driver.wait(), None);
}

#[test]
fn one_that_comes_back_after_it_was_disowned_is_ready() {
    let mut driver = Driver::new(1);
    driver
        .machine
        .set_ready_timeout(Some(Duration::from_secs(5)));
    driver.machine.begin();
    assert_eq!(driver.wait(), Some(Duration::from_secs(5)));
    let serial = driver.machine.workers().get(100).expect("a worker").serial;
    assert!(driver.machine.disown(100));
    driver.machine.adopt(100, Some(serial), 1, driver.now);
    driver.wait();
    assert_eq!(driver.wait(), None);
}

#[test]
fn one_that_has_ended_before_it_was_ready_is_not_awaited_nor_told() {
    let mut driver = Driver::new(2);
    driver.machine.keeps_reaped = true;
    driver.machine.tell_ready();
    driver.machine.begin();
    driver.wait();
    driver.machine.target = 0;
    driver.exit(100, 0);
    driver.exit(101, 0);
    assert!(!driver.machine.awaits_a_ring());
    driver.sleep(Duration::from_secs(5));
    driver.machine.look_who_is_ready();
    assert_eq!(driver.wait(), None);
}

const KILL: Signal = 9;
const EPERM: i32 = 1;

/// A machine whose worker, 100, has five seconds to end. Its clock is where they are over. TERM was sent to it, or to its
/// group, or was refused.
fn with_time_over(signal: Signal, is_refused: bool) -> Driver {
    let mut driver = Driver::new(1);
    let grace = Duration::from_secs(5);
    driver.machine.set_graceful_timeout(Some(grace));
    driver.machine.begin();
    driver.wait();
    if is_refused {
        driver.machine.refused(100, signal, EPERM, driver.now);
    } else {
        driver.machine.sent(100, signal, driver.now);
    }
    assert_eq!(driver.wait(), Some(grace));
    driver.sleep(grace);
    driver
}

/// Carries out what it asks for, where no signal may be sent, and no worker ends; returns what it says before it waits.
fn refuse_all(driver: &mut Driver) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = driver.machine.next(driver.now, &NoStatuses);
        let step = step.expect("a step");
        match step {
            Step::Kill { pid, signal } => {
                driver.machine.refused(pid, signal, EPERM, driver.now);
            }
            Step::Wait { .. } => return steps,
            _ => {}
        }
        steps.push(step);
    }
}

#[test]
fn one_that_may_not_be_killed_is_told_once_and_is_not_sent_it_again() {
    for is_refused in [false, true] {
        let mut driver = with_time_over(TERM, is_refused);
        let expected = [
            Step::ReapWorker(100),
            Step::Kill {
                pid: 100,
                signal: KILL,
            },
            Step::ReapWorker(100),
            Step::KillFailed {
                pid: 100,
                index: 0,
                generation: 1,
                errno: EPERM,
            },
        ];
        assert_eq!(refuse_all(&mut driver), expected);
        // Whatever it is told later.
        driver.machine.refused(100, TERM, EPERM, driver.now);
        driver.machine.sent(100, TERM, driver.now);
        driver.machine.refused(100, KILL, EPERM, driver.now);
        driver.sleep(Duration::from_secs(3600));
        assert_eq!(refuse_all(&mut driver), []);
    }
}

#[test]
fn one_that_may_not_be_killed_was_not_killed_by_the_manager() {
    let mut driver = with_time_over(TERM, false);
    refuse_all(&mut driver);
    let exit = driver.exit(100, 0);
    assert!(!exit.grace_is_over);
    assert_eq!((exit.cause, exit.sent), (Cause::Asked, TERM));
    let mut driver = with_time_over(TERM, true);
    refuse_all(&mut driver);
    let exit = driver.exit(100, KILL);
    assert!(!exit.grace_is_over);
    assert_eq!((exit.cause, exit.sent), (Cause::External, 0));
}

#[test]
fn only_where_neither_the_group_nor_the_worker_may_be_killed_it_is_told() {
    for sent in [0, 1, 2] {
        let mut driver = with_time_over(-TERM, true);
        let mut kills = Vec::new();
        let told = loop {
            match driver.machine.next(driver.now, &NoStatuses) {
                Ok(Step::Kill { pid, signal }) if kills.len() + 1 == sent => {
                    driver.machine.sent(pid, signal, driver.now);
                    kills.push(signal);
                }
                Ok(Step::Kill { pid, signal }) => {
                    driver.machine.refused(pid, signal, EPERM, driver.now);
                    kills.push(signal);
                }
                Ok(Step::KillFailed { .. }) => break true,
                Ok(Step::Wait { .. }) => break false,
                Ok(_) => {}
                Err(misuse) => panic!("{misuse:?}"),
            }
        };
        assert_eq!(kills, [-KILL, KILL]);
        // That of the group may have reached others in it alone.
        assert_eq!(told, sent != 2);
    }
}

#[test]
fn one_that_has_ended_is_not_told_of_as_one_that_may_not_be_killed() {
    let mut driver = with_time_over(TERM, false);
    let next = |driver: &mut Driver| driver.machine.next(driver.now, &NoStatuses);
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(100)));
    assert!(matches!(next(&mut driver), Ok(Step::Kill { .. })));
    driver.machine.refused(100, KILL, EPERM, driver.now);
    // It has ended just before.
    assert_eq!(next(&mut driver), Ok(Step::ReapWorker(100)));
    assert!(
        !driver
            .machine
            .child_reaped(100, 0, driver.now)
            .grace_is_over
    );
    driver.machine.target = 0;
    assert_eq!(driver.wait(), None);
}

#[test]
fn what_the_program_sends_may_be_refused_and_nobody_is_told() {
    let mut driver = started(1);
    driver.machine.refused(100, KILL, EPERM, driver.now);
    driver.machine.refused(100, TERM, EPERM, driver.now);
    assert_eq!(driver.wait(), None);
    let mut driver = with_time_over(TERM, false);
    driver.machine.refused(100, KILL, EPERM, driver.now);
    let steps = refuse_all(&mut driver);
    let told = |step: &&Step| matches!(step, Step::KillFailed { .. });
    assert_eq!(steps.iter().filter(told).count(), 1);
}

#[test]
fn the_host_has_its_fork_before_it_is_told_of_one_that_may_not_be_killed() {
    let mut driver = decided_by_host();
    let grace = Duration::from_secs(5);
    driver.machine.set_graceful_timeout(Some(grace));
    driver.machine.sent(100, TERM, driver.now);
    driver.sleep(grace);
    while !matches!(
        driver.machine.next(driver.now, &NoStatuses),
        Ok(Step::Kill { .. })
    ) {}
    driver.machine.refused(100, KILL, EPERM, driver.now);
    driver.machine.demand(1);
    let step = driver.machine.next(driver.now, &NoStatuses);
    assert!(matches!(step, Ok(Step::Fork { .. })), "{step:?}");
    assert_eq!(driver.machine.forked(101, driver.now), Ok(1));
    let steps = refuse_all(&mut driver);
    assert!(
        matches!(steps[..], [Step::ReapWorker(100), Step::KillFailed { .. }]),
        "{steps:?}"
    );
}
