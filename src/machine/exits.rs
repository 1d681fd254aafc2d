//! The end of a child: who it was, and why it ended, as far as the manager can know.

use core::time::Duration;

use super::sent::Signal;
use super::workers::{Pid, Serial, Worker};

/// Why a child is reported, by what the pool makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A worker has ended; its status is zero, or it is of an earlier generation.
    Ended,
    /// A worker of the current generation has ended with a status that is not zero.
    Failed,
    /// A worker that was told to stop as one too many has ended.
    Stopped,
    /// A worker's status went to somebody else, or to nobody; it is reported as -1.
    Stolen,
    /// A child that is not a worker has ended.
    Foreign,
}

/// What made a worker end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Nothing that the manager knows of: it has ended by itself.
    #[default]
    None,
    /// A signal that the program has sent by the manager.
    Asked,
    /// It was one too many, and was told so.
    Surplus,
    /// It was busy for too long.
    Timeout,
    /// It was not ready in time.
    NotReady,
    /// A signal that the manager has not sent.
    External,
}

/// The end of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its process id.
    pub pid: Pid,
    /// Its raw wait status; -1 if that is lost.
    pub status: i32,
    /// The generation it was forked in; 0 for a child that is not a worker.
    pub generation: u64,
    /// Its index; 0 for a child that is not a worker.
    pub index: u32,
    /// Its number; that of a worker that never was for a child that is not a worker.
    pub serial: Serial,
    /// Why it is reported.
    pub reason: Reason,
    /// What made it end.
    pub cause: Cause,
    /// The signal that the manager has sent it: the one that told it to end, or else the last one; 0: none.
    pub sent: Signal,
    /// It was sent KILL, as it had not ended in time after it was told to.
    pub grace_is_over: bool,
    /// The system has killed it because memory was short. Whoever knows the system fills this in.
    pub out_of_memory: bool,
    /// How many pieces of work it had begun, by what it said itself. Whoever knows what workers say fills this in, and the next.
    pub requests: u64,
    /// For how long it had been busy; zero if it was not.
    pub busy_for: Duration,
    /// How long after its fork its end was noticed; zero for a child that is not a worker.
    pub age: Duration,
}

impl Exit {
    /// The end of a child that is no worker.
    pub fn of_stranger(pid: Pid, status: i32) -> Exit {
        Exit {
            pid,
            status,
            generation: 0,
            index: 0,
            serial: Serial::default(),
            reason: Reason::Foreign,
            cause: Cause::None,
            sent: 0,
            grace_is_over: false,
            out_of_memory: false,
            requests: 0,
            busy_for: Duration::ZERO,
            age: Duration::ZERO,
        }
    }

    /// The end of this worker.
    pub fn of_worker(worker: &Worker, status: i32, reason: Reason, age: Duration) -> Exit {
        Exit {
            pid: worker.pid,
            status,
            generation: worker.generation,
            index: worker.index,
            serial: worker.serial,
            reason,
            cause: cause(worker, status),
            sent: worker.sent.signal(),
            grace_is_over: worker.sent.grace_is_over(),
            out_of_memory: false,
            requests: 0,
            busy_for: Duration::ZERO,
            age,
        }
    }

    /// The signal that has ended it; none if it has exited, or if its status is lost.
    pub fn signal(&self) -> Option<Signal> {
        ending_signal(self.status)
    }
}

/// As WIFSIGNALED and WTERMSIG have it, which are the same wherever this builds.
fn ending_signal(status: i32) -> Option<Signal> {
    let signal = status & 0x7f;
    (signal != 0 && signal != 0x7f).then_some(signal)
}

fn cause(worker: &Worker, status: i32) -> Cause {
    match ending_signal(status) {
        _ if worker.sent.was_late() => Cause::Timeout,
        _ if worker.sent.was_not_ready() => Cause::NotReady,
        // Whether it was told to end is still to be seen in `sent`.
        Some(signal) if !worker.sent.has(signal) => Cause::External,
        _ if worker.sent.has_told() && worker.stopping => Cause::Surplus,
        Some(_) => Cause::Asked,
        None if worker.sent.has_told() => Cause::Asked,
        None => Cause::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sent::{KILL, TERM};
    use super::*;

    const USR1: Signal = 10;
    const SEGV: Signal = 11;

    fn exit(status: i32, stopping: bool, sent: &[(Signal, bool)]) -> (Cause, Signal) {
        let mut worker = Worker {
            pid: 1,
            stopping,
            ..Worker::default()
        };
        for &(signal, tells) in sent {
            worker.sent.note(signal, tells);
        }
        let exit = Exit::of_worker(&worker, status, Reason::Ended, Duration::ZERO);
        (exit.cause, exit.sent)
    }

    #[test]
    fn one_that_was_sent_nothing_has_ended_by_itself_or_by_somebody_else() {
        assert_eq!(exit(0, false, &[]), (Cause::None, 0));
        assert_eq!(exit(256, false, &[]), (Cause::None, 0));
        assert_eq!(exit(SEGV | 0x80, false, &[]), (Cause::External, 0));
        assert_eq!(exit(-1, false, &[]), (Cause::None, 0));
    }

    #[test]
    fn the_signal_that_has_ended_it_is_the_one_of_wait() {
        let signal = |status| Exit::of_stranger(1, status).signal();
        assert_eq!(signal(SEGV), Some(SEGV));
        assert_eq!(signal(SEGV | 0x80), Some(SEGV));
        assert_eq!(signal(0), None);
        assert_eq!(signal(3 << 8), None);
        // As if it was stopped, and a status that nobody knows.
        assert_eq!(signal(0x137f), None);
        assert_eq!(signal(-1), None);
    }

    #[test]
    fn one_that_was_told_to_end_was_asked_however_it_ends() {
        for status in [0, 256, TERM] {
            assert_eq!(exit(status, false, &[(TERM, true)]), (Cause::Asked, TERM));
            assert_eq!(exit(status, true, &[(TERM, true)]), (Cause::Surplus, TERM));
        }
        // By a negative number its process group was.
        assert_eq!(exit(TERM, false, &[(-TERM, true)]), (Cause::Asked, TERM));
        assert_eq!(exit(-1, false, &[(TERM, true)]), (Cause::Asked, TERM));
    }

    #[test]
    fn a_signal_that_tells_nothing_is_the_cause_if_it_ends_the_worker() {
        assert_eq!(exit(USR1, false, &[(USR1, false)]), (Cause::Asked, USR1));
        assert_eq!(exit(0, false, &[(USR1, false)]), (Cause::None, USR1));
        assert_eq!(exit(USR1, true, &[(USR1, false)]), (Cause::Asked, USR1));
    }

    #[test]
    fn another_signal_than_those_sent_is_not_the_managers() {
        let told = [(TERM, true)];
        assert_eq!(exit(KILL, false, &told), (Cause::External, TERM));
        assert_eq!(exit(KILL, true, &told), (Cause::External, TERM));
        assert_eq!(exit(SEGV, false, &[(KILL, false)]), (Cause::External, KILL));
    }

    #[test]
    fn one_that_was_late_has_ended_for_that_however_it_did() {
        for status in [0, 256, KILL, SEGV] {
            let mut worker = Worker::default();
            worker.sent.note_late();
            worker.sent.note(KILL, false);
            let exit = Exit::of_worker(&worker, status, Reason::Ended, Duration::ZERO);
            assert_eq!((exit.cause, exit.sent), (Cause::Timeout, KILL));
        }
    }

    #[test]
    fn one_that_was_killed_as_it_was_not_ready_has_ended_for_that() {
        for told in [false, true] {
            let mut worker = Worker::default();
            worker.sent.note(TERM, told);
            worker.sent.note_not_ready();
            worker.sent.note(KILL, false);
            let exit = Exit::of_worker(&worker, KILL, Reason::Ended, Duration::ZERO);
            assert_eq!(exit.cause, Cause::NotReady);
        }
    }

    #[test]
    fn what_is_sent_after_kill_hides_nothing() {
        let sent = [(TERM, true), (KILL, false), (USR1, false), (TERM, true)];
        assert_eq!(exit(KILL, false, &sent), (Cause::Asked, TERM));
    }
}
