//! Random calls of the C ABI, with random arguments, on one handle: in the manager, in its workers,
//! from inside its hooks, and in a process that forked by itself. Nothing may crash or hang, and
//! every result is a code that the header knows.
//!
//! Each seed runs in a process of its own, with real workers. PREFORK_SEED=n runs one;
//! PREFORK_SEEDS=n sets how many, PREFORK_FIRST_SEED=n where they begin.

use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use prefork::capi::*;

const CALLS: usize = 300;
/// A seed takes milliseconds; this is for valgrind on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);
/// More workers are not forked: to what is asked for beyond them, fork has failed.
const MOST_WORKERS: usize = 8;
/// What may be trapped and raised. Others kill this process, as they would any.
const SIGNALS: [i32; 5] = [
    libc::SIGHUP,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

struct Fuzzer {
    rng: fastrand::Rng,
    pf: *mut pf_t,
    scoreboard: *mut pf_scoreboard_t,
    children: Vec<i32>,
    trapped: Vec<i32>,
    /// Calls of this process, to be printed when it fails.
    log: Vec<String>,
    depth: u32,
}

/// A signal that is held back, as a fork waits for its answer, meets what the program has for it when the handle is freed: here
/// nothing, which would end this process, and rightly.
fn take_held_signals() {
    // SAFETY: the set and the time are live, sigemptyset(3) initialises the set, and nobody wants to know more.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in SIGNALS {
            libc::sigaddset(&raw mut set, signal);
        }
        let at_once: libc::timespec = std::mem::zeroed();
        while libc::sigtimedwait(&raw const set, null_mut(), &raw const at_once) > 0 {}
    }
}

thread_local! {
    /// Hooks have no other way to the random numbers.
    static FUZZER: RefCell<Option<*mut Fuzzer>> = const { RefCell::new(None) };
}

impl Fuzzer {
    fn int(&mut self) -> i32 {
        match self.rng.u32(0..8) {
            0 => i32::MIN,
            1 => i32::MAX,
            2 => -1,
            3 => 0,
            4 => -self.rng.i32(1..64),
            5 => self.rng.i32(..),
            _ => self.rng.i32(1..64),
        }
    }

    fn unsigned(&mut self) -> u32 {
        match self.rng.u32(0..6) {
            0 => u32::MAX,
            1 => 0,
            2 => self.rng.u32(..),
            _ => self.rng.u32(0..10),
        }
    }

    fn seconds(&mut self) -> f64 {
        match self.rng.u32(0..10) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => 1e300,
            4 => -1.0,
            5 => 5e-324,
            6 | 7 => 0.0,
            _ => self.rng.f64() / 100.0,
        }
    }

    /// A time-out that ends soon, or that is refused.
    fn short(&mut self) -> f64 {
        match self.rng.u32(0..4) {
            0 => f64::NAN,
            1 => 0.0,
            _ => self.rng.f64() / 100.0,
        }
    }

    fn signal(&mut self) -> i32 {
        if self.rng.u32(0..4) == 0 {
            let number = self.int();
            // Neither this process nor its group may be hit by what is for workers.
            return if number.saturating_abs() > 64 {
                number
            } else {
                0
            };
        }
        *self.rng.choice(&SIGNALS).expect("a signal")
    }

    fn pid(&mut self) -> i32 {
        match self.rng.choice(&self.children.clone()) {
            Some(&pid) if self.rng.bool() => pid,
            _ => self.int(),
        }
    }

    fn handle(&mut self) -> *mut pf_t {
        if self.rng.u32(0..20) == 0 {
            null_mut()
        } else {
            self.pf
        }
    }

    fn board(&mut self) -> *mut pf_scoreboard_t {
        if self.rng.u32(0..20) == 0 {
            null_mut()
        } else {
            self.scoreboard
        }
    }

    fn note(&mut self, call: String) {
        self.log.push(call);
    }

    fn check(&mut self, what: &str, result: pf_result) -> pf_result {
        self.note(format!("{what}: {result:?}"));
        let code = result as i32;
        assert!((0..=8).contains(&code), "{code}");
        assert_ne!(result, pf_result::PF_ERR_PANIC, "{}", self.message());
        // SAFETY: pf_strerror never returns null.
        let text = unsafe { CStr::from_ptr(pf_strerror(code)) };
        assert_ne!(text, c"unknown result code");
        result
    }

    fn message(&self) -> String {
        // SAFETY: the handle is live, and the message is never null.
        let message = unsafe { CStr::from_ptr(pf_error_message(self.pf)) };
        message.to_str().expect("UTF-8").into()
    }

    /// One call, of any function that may be called anywhere.
    fn call(&mut self) {
        let pf = self.handle();
        let board = self.board();
        // SAFETY: the handle and the scoreboard are null or live, out-parameters are live or null.
        unsafe {
            match self.rng.u32(0..48) {
                0 => {
                    let n = self.unsigned();
                    let result = pf_set_max_workers(pf, n);
                    self.check(&format!("pf_set_max_workers {n}"), result);
                }
                1 => {
                    let t = self.seconds();
                    let result = pf_set_spawn_interval(pf, t);
                    self.check(&format!("pf_set_spawn_interval {t}"), result);
                }
                2 => {
                    let t = self.seconds();
                    let result = pf_set_err_respawn_interval(pf, t);
                    self.check(&format!("pf_set_err_respawn_interval {t}"), result);
                }
                3 => {
                    let (min, max, signal) = (self.unsigned(), self.unsigned(), self.signal());
                    let result = pf_set_spare_workers(pf, min, max, signal);
                    self.check(
                        &format!("pf_set_spare_workers {min} {max} {signal}"),
                        result,
                    );
                }
                4 | 5 => {
                    let (signal, send, t) = (self.signal(), self.signal(), self.seconds());
                    let result = pf_trap_signal(pf, signal, send, t);
                    let result = self.check(&format!("pf_trap_signal {signal} {send} {t}"), result);
                    if result == pf_result::PF_OK {
                        self.trapped.push(signal);
                    }
                }
                6 => {
                    let hook = self.rng.bool().then_some(on_event as _);
                    let result = pf_set_before_fork(pf, hook, null_mut());
                    self.check("pf_set_before_fork", result);
                }
                7 => {
                    let hook = self.rng.bool().then_some(on_pid as _);
                    let result = pf_set_after_fork(pf, hook, null_mut());
                    self.check("pf_set_after_fork", result);
                }
                8 => {
                    let hook = self.rng.bool().then_some(on_reap as _);
                    let result = pf_set_on_child_reap(pf, hook, null_mut());
                    self.check("pf_set_on_child_reap", result);
                }
                9 => {
                    let hook = self.rng.bool().then_some(on_failure as _);
                    let result = pf_set_on_fork_failure(pf, hook, null_mut());
                    self.check("pf_set_on_fork_failure", result);
                    let hook = self.rng.bool().then_some(on_reap as _);
                    let result = pf_set_on_kill_failure(pf, hook, null_mut());
                    self.check("pf_set_on_kill_failure", result);
                }
                10 if self.rng.bool() => {
                    let use_them = self.rng.bool();
                    let result = pf_set_huge_pages(pf, use_them);
                    self.check("pf_set_huge_pages", result);
                }
                10 if self.rng.bool() => {
                    let keep = self.rng.bool();
                    let result = pf_set_keep_reaped(pf, keep);
                    self.check("pf_set_keep_reaped", result);
                }
                10 => {
                    let reap = self.rng.bool();
                    let result = pf_set_reap_foreign(pf, reap);
                    self.check("pf_set_reap_foreign", result);
                }
                11..=13 => {
                    let result = pf_begin(pf);
                    self.check("pf_begin", result);
                }
                14 => {
                    let result = pf_resume(pf);
                    self.check("pf_resume", result);
                }
                15 => {
                    let result = pf_suspend(pf);
                    self.check("pf_suspend", result);
                }
                16 => {
                    let t = self.seconds();
                    let result = pf_drain(pf, t);
                    self.check(&format!("pf_drain {t}"), result);
                }
                17 => {
                    let n = self.int();
                    let result = pf_demand(pf, n);
                    self.check(&format!("pf_demand {n}"), result);
                }
                18 => {
                    let t = self.seconds();
                    let result = pf_set_spawn_delay(pf, t);
                    self.check(&format!("pf_set_spawn_delay {t}"), result);
                }
                19 => {
                    let delay = pf_spawn_delay(pf);
                    assert!(delay >= 0.0, "{delay}");
                }
                20 => {
                    let pid = self.pid();
                    // 0 would make this process a worker of its own.
                    let result = pf_forked(pf, if pid == 0 { -1 } else { pid });
                    self.check(&format!("pf_forked {pid}"), result);
                }
                21 => {
                    let mut report = 0;
                    let result = pf_fork_failed(pf, &raw mut report);
                    self.check("pf_fork_failed", result);
                }
                22 => {
                    let pid = if self.rng.bool() { self.pid() } else { 0 };
                    let result = pf_child_ended(pf, pid);
                    self.check(&format!("pf_child_ended {pid}"), result);
                }
                23 => {
                    let each = self.rng.bool();
                    let result = pf_look_for_children(pf, each);
                    self.check("pf_look_for_children", result);
                }
                24 => {
                    let result = pf_watch_children(pf);
                    self.check("pf_watch_children", result);
                    let handled = self.rng.bool();
                    let result = pf_set_sigchld_handled(pf, handled);
                    self.check("pf_set_sigchld_handled", result);
                }
                25 => {
                    let result = pf_wake(pf);
                    self.check("pf_wake", result);
                }
                26 => {
                    let n = self.int();
                    let result = pf_signal(pf, n);
                    self.check(&format!("pf_signal {n}"), result);
                }
                27 => {
                    // What is not trapped would end this process, and rightly.
                    if let Some(&signal) = self.rng.choice(&self.trapped) {
                        libc::raise(signal);
                    }
                }
                28 => {
                    pf_signal_received(pf);
                    pf_peek_signal(pf);
                    pf_show_next_signal(pf);
                }
                29 => {
                    let n = self.int();
                    let result = pf_set_signal_received(pf, n);
                    self.check(&format!("pf_set_signal_received {n}"), result);
                }
                30 => {
                    let n = self.int();
                    for show in [true, false] {
                        let result = pf_take_signal(pf, n, show);
                        self.check(&format!("pf_take_signal {n} {show}"), result);
                    }
                }
                31 => {
                    let n = self.signal();
                    let result = pf_signal_all_children(pf, n);
                    self.check(&format!("pf_signal_all_children {n}"), result);
                }
                32 => {
                    let (n, t) = (self.signal(), self.seconds());
                    let result = pf_signal_staggered(pf, n, t);
                    self.check(&format!("pf_signal_staggered {n} {t}"), result);
                }
                33 => {
                    let (surplus, n) = (self.unsigned() as usize, self.signal());
                    let mut told = 0;
                    let result = pf_stop_workers(pf, surplus, n, &raw mut told);
                    self.check(&format!("pf_stop_workers {surplus} {n}"), result);
                }
                34 => {
                    let (pid, generation) = (self.pid(), self.rng.u64(..));
                    let result = pf_adopt_worker(pf, pid, generation);
                    self.check(&format!("pf_adopt_worker {pid}"), result);
                }
                35 => {
                    let (pid, status) = (self.pid(), self.int());
                    let result = pf_worker_reaped(pf, pid, status);
                    self.check(&format!("pf_worker_reaped {pid}"), result);
                }
                36 => {
                    let pid = self.pid();
                    pf_disown_worker(pf, pid);
                    pf_remove_reaped(pf, pid);
                    self.note(format!("pf_disown_worker {pid}"));
                }
                37 => {
                    let mut pid = 0;
                    let mut seen = 0;
                    loop {
                        pid = pf_next_worker(pf, pid);
                        if pid == 0 {
                            break;
                        }
                        seen += 1;
                        let mut generation = 0;
                        assert!(pf_worker_generation(pf, pid, &raw mut generation));
                    }
                    assert_eq!(seen, pf_num_workers(pf));
                    assert!(pf_num_stopping(pf) <= seen);
                }
                38 => {
                    let generation = self.rng.u64(0..1 << 60);
                    let result = pf_set_generation(pf, generation);
                    self.check(&format!("pf_set_generation {generation}"), result);
                }
                39 => {
                    let result = pf_set_scoreboard(pf, board);
                    self.check("pf_set_scoreboard", result);
                }
                40 => {
                    let n = self.unsigned() % 5000;
                    let result = pf_scoreboard_grow(board, n);
                    self.check(&format!("pf_scoreboard_grow {n}"), result);
                }
                41 => {
                    let n = self.unsigned();
                    let result = pf_scoreboard_claim(board, n);
                    self.check(&format!("pf_scoreboard_claim {n}"), result);
                }
                42 => {
                    let n = self.rng.u8(..);
                    let result = pf_scoreboard_set_status(board, n);
                    self.check(&format!("pf_scoreboard_set_status {n}"), result);
                }
                43 => {
                    let mut statuses = [0; 100];
                    let room = self.rng.usize(0..=statuses.len());
                    pf_scoreboard_statuses(board, statuses.as_mut_ptr(), room);
                    assert!(statuses[room..].iter().all(|&status| status == 0));
                }
                44 => {
                    let (low, high) = (self.int(), self.int());
                    pf_scoreboard_watch(board, low, high);
                    let pid = self.pid();
                    pf_scoreboard_clear(board, pid);
                    self.note(format!("pf_scoreboard_watch {low} {high}, clear {pid}"));
                }
                45 => {
                    let t = self.seconds();
                    let result = pf_set_ready_timeout(pf, t);
                    self.check(&format!("pf_set_ready_timeout {t}"), result);
                }
                46 => {
                    let result = pf_watch_ready(pf);
                    self.check("pf_watch_ready", result);
                    let result = pf_ready(pf);
                    self.check("pf_ready", result);
                }
                _ => {
                    pf_max_workers(pf);
                    pf_generation(pf);
                    pf_worker_index(pf);
                    let room: *mut u8 = pf_host_room(pf, PF_HOST_ROOM).cast();
                    if !room.is_null() {
                        room.write_bytes(0xa5, PF_HOST_ROOM);
                    }
                    self.message();
                }
            }
        }
    }

    /// What only the manager does, and not from a hook.
    fn manager_call(&mut self) {
        let pf = self.handle();
        // SAFETY: as above.
        unsafe {
            match self.rng.u32(0..6) {
                0..=2 => {
                    let mut event = std::mem::zeroed();
                    let result = pf_next(pf, &raw mut event);
                    self.answer(result, &event);
                }
                3 => {
                    let t = self.short();
                    let mut event = std::mem::zeroed();
                    let result = pf_wait(pf, t, &raw mut event);
                    self.answer(result, &event);
                }
                4 => {
                    let t = self.short();
                    let mut left = 0;
                    let result = pf_wait_all_children(pf, t, &raw mut left);
                    self.check(&format!("pf_wait_all_children {t}"), result);
                }
                _ => {
                    // It would run until a signal comes, so one comes first.
                    let Some(&signal) = self.rng.choice(&self.trapped) else {
                        return;
                    };
                    pf_set_max_workers(self.pf, 3);
                    pf_set_signal_received(self.pf, 0);
                    pf_take_signal(self.pf, signal, false);
                    pf_signal(self.pf, signal);
                    let result = pf_start(self.pf, Some(worker), null_mut());
                    self.check("pf_start", result);
                }
            }
        }
    }

    /// Does what an event says, mostly.
    fn answer(&mut self, result: pf_result, event: &pf_event) {
        self.check(&format!("pf_next, type {}", event.r#type), result);
        if result != pf_result::PF_OK || event.r#type != pf_event_type::PF_EVENT_FORK as u32 {
            return;
        }
        // SAFETY: as above; this process has one thread.
        unsafe {
            let live = self.children.iter().filter(|&&pid| libc::kill(pid, 0) == 0);
            if live.count() >= MOST_WORKERS || self.rng.u32(0..8) == 0 {
                let result = pf_fork_failed(self.pf, null_mut());
                self.check("pf_fork_failed", result);
                return;
            }
            if self.rng.u32(0..8) == 0 {
                return;
            }
            let pid = libc::fork();
            let result = pf_forked(self.pf, pid);
            if pid == 0 {
                assert_eq!(result, pf_result::PF_OK);
                libc::_exit(worker(self.pf, null_mut()));
            }
            self.check("pf_forked", result);
            self.children.push(pid);
        }
    }

    /// A process that is no worker, and has the handle.
    fn helper(&mut self) {
        // SAFETY: as above.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                for _ in 0..20 {
                    self.call();
                }
                pf_become_manager(self.pf);
                for _ in 0..20 {
                    self.call();
                }
                pf_free(self.pf);
                libc::_exit(0);
            }
            self.children.push(pid);
        }
    }
}

fn with_fuzzer(body: impl FnOnce(&mut Fuzzer)) {
    let fuzzer = FUZZER.with(|fuzzer| *fuzzer.borrow());
    // SAFETY: it lives as long as the process, which has one thread, and is used by one frame at
    // a time: hooks run while the caller waits inside a pf_ function.
    let fuzzer = unsafe { &mut *fuzzer.expect("set in `run`") };
    if fuzzer.depth < 2 {
        fuzzer.depth += 1;
        body(fuzzer);
        fuzzer.depth -= 1;
    }
}

fn from_hook() {
    with_fuzzer(|fuzzer| {
        for _ in 0..fuzzer.rng.u32(0..3) {
            fuzzer.call();
        }
    });
}

unsafe extern "C" fn on_event(_: *mut pf_t, _: *mut c_void) {
    from_hook();
}

unsafe extern "C" fn on_pid(_: *mut pf_t, pid: i32, _: *mut c_void) {
    with_fuzzer(|fuzzer| fuzzer.children.push(pid));
    from_hook();
}

unsafe extern "C" fn on_reap(_: *mut pf_t, _: *const pf_event, _: *mut c_void) {
    from_hook();
}

unsafe extern "C" fn on_failure(_: *mut pf_t, _: i32, _: u32, _: *mut c_void) {
    from_hook();
}

/// A worker calls what is the manager's, and then waits to be killed, or ends.
unsafe extern "C" fn worker(_: *mut pf_t, _: *mut c_void) -> i32 {
    with_fuzzer(|fuzzer| {
        fuzzer.trapped.clear();
        for _ in 0..10 {
            fuzzer.call();
            let pf = fuzzer.pf;
            // SAFETY: the handle is live, `event` too.
            unsafe {
                let mut event = std::mem::zeroed();
                assert_eq!(pf_next(pf, &raw mut event), pf_result::PF_ERR_WRONG_PROCESS);
                assert_eq!(
                    pf_start(pf, None, null_mut()),
                    pf_result::PF_ERR_WRONG_PROCESS
                );
            }
        }
        if fuzzer.rng.bool() {
            // SAFETY: it ends with the process group.
            unsafe {
                libc::pause();
            }
        }
    });
    3
}

/// One seed, in a process of its own.
fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let slots = rng.u32(0..50);
    let mut fuzzer = Fuzzer {
        rng,
        pf: pf_new(),
        // SAFETY: null asks for shared memory without a file.
        scoreboard: unsafe { pf_scoreboard_new(null(), slots) },
        children: Vec::new(),
        trapped: Vec::new(),
        log: Vec::new(),
        depth: 0,
    };
    FUZZER.with(|cell| *cell.borrow_mut() = Some(&raw mut fuzzer));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..CALLS {
            match fuzzer.rng.u32(0..100) {
                0..=59 => fuzzer.call(),
                60..=98 => fuzzer.manager_call(),
                _ => fuzzer.helper(),
            }
        }
        // SAFETY: nobody uses them later.
        unsafe {
            pf_set_scoreboard(fuzzer.pf, null_mut());
            pf_scoreboard_free(fuzzer.scoreboard);
            take_held_signals();
            pf_free(fuzzer.pf);
            pf_free(null_mut());
        }
    }))
    .is_err();
    if failed {
        for call in &fuzzer.log {
            eprintln!("{call}");
        }
    }
    std::process::exit(i32::from(failed));
}

/// Runs a seed in a process group that ends with it. Returns whether it ended well.
fn try_seed(seed: u64) -> bool {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: it takes two integers.
        unsafe { libc::setpgid(0, 0) };
        run(seed);
    }
    let begin = Instant::now();
    let mut status = 0;
    // SAFETY: `status` is live.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == 0 {
        if begin.elapsed() > DEADLINE {
            eprintln!("seed {seed} hangs");
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // SAFETY: the group is that of the process that was forked above, and of its children.
    unsafe { libc::kill(-pid, libc::SIGKILL) };
    let ended = begin.elapsed() <= DEADLINE;
    if ended && status != 0 {
        eprintln!("seed {seed} ends with status {status}");
    }
    ended && status == 0
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is '{value}', and no number")),
    )
}

fn main() {
    let (first, seeds) = match number("PREFORK_SEED") {
        Some(seed) => (seed, 1),
        None => (
            number("PREFORK_FIRST_SEED").unwrap_or(0),
            number("PREFORK_SEEDS").unwrap_or(200),
        ),
    };
    let failed: Vec<u64> = (first..first + seeds)
        .filter(|&seed| !try_seed(seed))
        .collect();
    if failed.is_empty() {
        println!("{seeds} seeds of {CALLS} calls");
        println!("test result: ok. 1 passed");
    } else {
        println!("test result: FAILED. seeds {failed:?}");
        std::process::exit(1);
    }
}
