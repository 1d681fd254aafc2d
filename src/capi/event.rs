//! Events
//!
//! A manager says what is to be done in events, one at a time. pf_start does what they say by itself; a host of
//! the pull API (below) does it in its own loop. The hook on_child_reap gets the event of each child's end.

use crate::machine::{Cause, Exit, Reason};
use crate::manager::Event;
use crate::os::wait;

/// What a host is asked to do. New types may be added; treat one that you do not know as
/// nothing to do, and call pf_next again.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_event_type {
    /// Fork a worker; answer with pf_forked in both processes, or with pf_fork_failed. The signals
    /// that any manager of this process traps, and a watched SIGCHLD, are blocked until the answer.
    PF_EVENT_FORK = 1,
    /// A child was reaped. No answer.
    PF_EVENT_REAPED = 2,
    /// Nothing to do until a signal, the exit of a child, the descriptor or the time-out.
    PF_EVENT_WAIT = 3,
    /// A trapped signal has ended the run.
    PF_EVENT_STOPPED = 4,
    /// pf_drain: no worker is left.
    PF_EVENT_DRAINED = 5,
    /// pf_drain: the time-out has passed, and workers are left.
    PF_EVENT_TIMED_OUT = 6,
    /// A worker is ready for work. Only after pf_watch_ready. No answer.
    PF_EVENT_READY = 7,
    /// The time of a worker is over (pf_set_graceful_timeout, pf_set_worker_timeout, pf_set_ready_timeout), and the
    /// system has refused to kill it: it has changed its user, and the manager has no CAP_KILL (capabilities(7)). Once
    /// for each worker, which is sent nothing more for that. It stays in the pool until it ends by itself, or somebody
    /// else ends it. No answer.
    PF_EVENT_KILL_FAILED = 8,
}

/// Why a child is reported, by what the pool makes of it; how it ended is the status.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_reason {
    /// A worker has ended; its status is zero, or it is of an earlier generation, whatever its
    /// status is.
    PF_REASON_ENDED = 0,
    /// A worker of the current generation has ended with a status that is not zero, be it by a
    /// signal that the manager sent.
    PF_REASON_FAILED = 1,
    /// A worker that was told to stop as one too many has ended, whatever its status is.
    PF_REASON_STOPPED = 2,
    /// The worker's status went to somebody else, and is given as -1.
    PF_REASON_STOLEN = 3,
    /// A child that is not a worker has ended.
    PF_REASON_FOREIGN = 4,
}

/// What made a worker end, as far as the manager can know.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pf_cause {
    /// Nothing that the manager knows of: it has ended by itself.
    PF_CAUSE_NONE = 0,
    /// The program has told it to end, by a signal that the manager has sent (pf_trap_signal,
    /// pf_signal_all_children); or another signal that was sent so has ended it.
    PF_CAUSE_ASKED = 1,
    /// The manager has told it to end, as one too many.
    PF_CAUSE_SURPLUS = 2,
    /// A signal that the manager has not sent, whether it was told to end or not: another process
    /// has sent that, the system, or the worker has made a fault.
    PF_CAUSE_EXTERNAL = 3,
    /// It was busy for too long, and the manager has told it so or killed it (pf_set_worker_timeout).
    PF_CAUSE_TIMEOUT = 4,
    /// It was not ready in time, and the manager has killed it (pf_set_ready_timeout).
    PF_CAUSE_NOT_READY = 5,
}

/// For the member `flags`: the worker was killed by the manager, as it had not ended in time after
/// it was told to (pf_set_graceful_timeout).
pub const PF_EXIT_GRACE_OVER: u32 = 1;

/// For the member `flags`: the system has killed the worker because memory was short, if
/// pf_watch_oom was called before.
pub const PF_EXIT_OUT_OF_MEMORY: u32 = 2;

/// An event, and what it is about. Members that an event does not name are zero, and fd is -1.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pf_event {
    /// A pf_event_type.
    pub r#type: u32,
    /// REAPED: a pf_reason.
    pub reason: u32,
    /// REAPED: the child. READY, KILL_FAILED: the worker.
    pub pid: i32,
    /// REAPED: its raw status, as WIFEXITED and its kin take it; -1 if that is lost. KILL_FAILED: errno(3) of kill(2).
    pub status: i32,
    /// FORK, REAPED, READY, KILL_FAILED: the worker's generation.
    pub generation: u64,
    /// FORK, REAPED, READY, KILL_FAILED: the worker's index.
    pub index: u32,
    /// STOPPED: the signal. KILL_FAILED: SIGKILL.
    pub signal: i32,
    /// WAIT: seconds to wait at most; negative: no limit.
    pub timeout: f64,
    /// WAIT: a descriptor to watch for reading, or -1; another one than before if the program has closed that. Only
    /// pf_next reads from it. It may stay in a set that is watched, level-triggered or not.
    pub fd: i32,
    /// TIMED_OUT: workers that are left.
    pub workers: u32,
    /// REAPED: what the child has used, with the descendants that it has waited for.
    pub rusage: libc::rusage,
    /// WAIT: 1 if the manager will look for children that have ended when `timeout` is over, and not before. Thousands
    /// of SIGCHLD may arrive until then, and tell nothing new: a host may block SIGCHLD for this wait.
    pub may_block_sigchld: u32,
    /// REAPED: a pf_cause.
    pub cause: u32,
    /// REAPED: the signal that the manager has sent the worker: the first that told it to end, or
    /// else the last one; 0: none.
    pub sent_signal: i32,
    /// REAPED: PF_EXIT_GRACE_OVER, PF_EXIT_OUT_OF_MEMORY, or both.
    pub flags: u32,
    /// REAPED: how many seconds after its fork its end was noticed.
    pub age: f64,
    /// REAPED: how many pieces of work it had begun (pf_busy); 0 without pf_set_worker_timeout and
    /// pf_set_ready_timeout.
    pub requests: u64,
    /// REAPED: for how many seconds it had been busy; 0 if it was not, and where `requests` is.
    pub busy_for: f64,
    /// Room for what later versions tell.
    pub reserved: [u32; 6],
}

impl pf_event {
    pub(super) fn new() -> pf_event {
        pf_event {
            r#type: pf_event_type::PF_EVENT_WAIT as u32,
            reason: 0,
            pid: 0,
            status: 0,
            generation: 0,
            index: 0,
            signal: 0,
            timeout: 0.0,
            fd: -1,
            workers: 0,
            rusage: wait::no_rusage(),
            may_block_sigchld: 0,
            cause: 0,
            sent_signal: 0,
            flags: 0,
            age: 0.0,
            requests: 0,
            busy_for: 0.0,
            reserved: [0; 6],
        }
    }

    /// Becomes this event. It is written where the host wants it: a copy would take room on the stack.
    pub(super) fn tell(&mut self, event: &Event) {
        *self = pf_event::new();
        match event {
            Event::Fork { index, generation } => {
                self.r#type = pf_event_type::PF_EVENT_FORK as u32;
                self.index = *index;
                self.generation = *generation;
            }
            Event::Reaped { exit, rusage } => {
                self.tell_exit(exit);
                self.rusage = *rusage;
            }
            Event::Ready {
                pid,
                index,
                generation,
            } => {
                self.r#type = pf_event_type::PF_EVENT_READY as u32;
                self.pid = *pid;
                self.index = *index;
                self.generation = *generation;
            }
            Event::KillFailed {
                pid,
                index,
                generation,
                errno,
            } => {
                self.r#type = pf_event_type::PF_EVENT_KILL_FAILED as u32;
                self.pid = *pid;
                self.index = *index;
                self.generation = *generation;
                self.status = *errno;
                self.signal = libc::SIGKILL;
            }
            Event::Wait(wait) => {
                self.timeout = wait.timeout.map_or(-1.0, |timeout| timeout.as_secs_f64());
                self.fd = wait.fd.unwrap_or(-1);
                self.may_block_sigchld = u32::from(wait.may_block_sigchld);
            }
            Event::Stopped(signal) => {
                self.r#type = pf_event_type::PF_EVENT_STOPPED as u32;
                self.signal = *signal;
            }
            Event::Drained => self.r#type = pf_event_type::PF_EVENT_DRAINED as u32,
            Event::TimedOut { workers } => {
                self.r#type = pf_event_type::PF_EVENT_TIMED_OUT as u32;
                self.workers = *workers;
            }
        }
    }
    /// Becomes the end of a child, without what it has used.
    pub(super) fn tell_exit(&mut self, exit: &Exit) {
        let reason = match exit.reason {
            Reason::Ended => pf_reason::PF_REASON_ENDED,
            Reason::Failed => pf_reason::PF_REASON_FAILED,
            Reason::Stopped => pf_reason::PF_REASON_STOPPED,
            Reason::Stolen => pf_reason::PF_REASON_STOLEN,
            Reason::Foreign => pf_reason::PF_REASON_FOREIGN,
        };
        let cause = match exit.cause {
            Cause::None => pf_cause::PF_CAUSE_NONE,
            Cause::Asked => pf_cause::PF_CAUSE_ASKED,
            Cause::Surplus => pf_cause::PF_CAUSE_SURPLUS,
            Cause::External => pf_cause::PF_CAUSE_EXTERNAL,
            Cause::Timeout => pf_cause::PF_CAUSE_TIMEOUT,
            Cause::NotReady => pf_cause::PF_CAUSE_NOT_READY,
        };
        let flags = [
            (exit.grace_is_over, PF_EXIT_GRACE_OVER),
            (exit.out_of_memory, PF_EXIT_OUT_OF_MEMORY),
        ];
        self.r#type = pf_event_type::PF_EVENT_REAPED as u32;
        self.reason = reason as u32;
        self.pid = exit.pid;
        self.status = exit.status;
        self.generation = exit.generation;
        self.index = exit.index;
        self.cause = cause as u32;
        self.sent_signal = exit.sent;
        self.flags = flags
            .iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, flag)| flag)
            .sum();
        self.age = exit.age.as_secs_f64();
        self.requests = exit.requests;
        self.busy_for = exit.busy_for.as_secs_f64();
    }
}
