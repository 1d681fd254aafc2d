//! What the manager can say of a child that has ended: whether memory was short, and a line for people.

use std::fmt::Write;
use std::time::Duration;

use super::{Failure, Manager};
use crate::machine::{Cause, Exit, Reason, Signal, Time};
use crate::os::{clock, oom, signals, wait};

/// Which workers were killed because memory was short: as many as the system's count of that has gone up by.
#[derive(Clone, Copy, Debug)]
pub(super) struct OomWatch {
    seen: u64,
    /// How many of those seen have not been found among our workers.
    unclaimed: u64,
    seen_at: Time,
}

/// A worker that was killed is reaped before this has passed; a process that is no worker of ours never is.
const UNCLAIMED_FOR: Duration = Duration::from_secs(1);

impl OomWatch {
    /// Whether a worker that was killed at `now`, nobody knows by whom, is one of those; `kills` is the count.
    fn claim(&mut self, kills: u64, now: Time) -> bool {
        if self.seen_at.after(UNCLAIMED_FOR) <= now {
            self.unclaimed = 0;
        }
        if kills > self.seen {
            self.unclaimed += kills - self.seen;
            self.seen_at = now;
        }
        self.seen = kills;
        self.unclaimed > 0 && {
            self.unclaimed -= 1;
            true
        }
    }
}

/// Ends.
impl Manager {
    /// From now on an exit says if memory was short. The system's count of that is read now, and when a worker was killed
    /// by a signal that the manager has not sent.
    ///
    /// # Errors
    /// The system does not tell the count; then no exit will say so.
    pub fn watch_oom(&mut self) -> Result<(), Failure> {
        self.check_is_manager()?;
        if self.oom_watch.is_none() {
            let seen = oom::kills()
                .map_err(|error| Failure::system("the number of out-of-memory kills", error))?;
            self.oom_watch = Some(Box::new(OomWatch {
                seen,
                unclaimed: 0,
                seen_at: clock::now(),
            }));
        }
        Ok(())
    }

    /// The end that was told last, or that the host has told of.
    pub fn last_exit(&self) -> Option<&Exit> {
        self.last_exit.as_ref()
    }

    /// Keeps an end, with what the machine does not know of it.
    pub(super) fn note_exit(&mut self, exit: &mut Exit) {
        exit.out_of_memory = self.was_out_of_memory(exit);
        if let Some(timesheet) = &self.timesheet {
            let worker = self.machine.workers().with_index(exit.index);
            if worker.is_some_and(|worker| worker.serial == exit.serial && worker.has_line()) {
                let times = timesheet.times(exit.index);
                exit.requests = times.requests;
                if times.is_busy {
                    // Whoever writes to the sheet may write anything.
                    exit.busy_for = clock::now().since(times.since).min(exit.age);
                }
            }
        }
        self.last_exit = Some(exit.clone());
    }

    fn was_out_of_memory(&mut self, exit: &Exit) -> bool {
        let is_killed = exit.cause == Cause::External && exit.signal() == Some(libc::SIGKILL);
        let Some(watch) = self.oom_watch.as_mut().filter(|_| is_killed) else {
            return false;
        };
        oom::kills().is_ok_and(|kills| watch.claim(kills, clock::now()))
    }

    /// A line for people about the last end, without a newline; none if nothing about it is out of the ordinary: the
    /// worker has exited with 0, or has ended by the signal that told it to, or it was no worker.
    pub fn exit_line(&self) -> Option<String> {
        let exit = self.last_exit.as_ref()?;
        if is_ordinary(exit) {
            return None;
        }
        let mut line = format!(
            "worker {} (pid {}, generation {}) {} after {:.1} s",
            exit.index,
            exit.pid,
            exit.generation,
            how(exit),
            exit.age.as_secs_f64(),
        );
        if exit.requests > 0 {
            let s = if exit.requests == 1 { "" } else { "s" };
            let _ = write!(line, ", {} request{s}", exit.requests);
        }
        if wait::has_dumped_core(exit.status) {
            line.push_str(" (core dumped)");
        }
        for (i, note) in self.notes(exit).iter().enumerate() {
            let _ = write!(line, "{} {note}", if i == 0 { ":" } else { "," });
        }
        Some(line)
    }

    /// Why it has ended, as far as that is known.
    fn notes(&self, exit: &Exit) -> Vec<String> {
        let mut notes = Vec::new();
        if exit.cause == Cause::External && !is_fault(exit.signal()) {
            notes.push("the manager did not send that".to_owned());
        }
        if exit.out_of_memory {
            notes.push("its control group was out of memory".to_owned());
        }
        if exit.grace_is_over && exit.cause != Cause::External {
            let timeout = self.machine.graceful_timeout().unwrap_or_default();
            notes.push(format!("graceful_timeout of {} s", timeout.as_secs_f64()));
        }
        if exit.cause == Cause::Timeout {
            let set = self.machine.worker_timeout().map(|set| set.timeout);
            // It may have said another time by itself, or another one may be set since.
            notes.push(match set.filter(|&timeout| exit.busy_for >= timeout) {
                Some(timeout) => format!("worker_timeout of {} s", timeout.as_secs_f64()),
                None => "worker_timeout".to_owned(),
            });
        }
        if exit.cause == Cause::NotReady {
            // It is not set any more, perhaps.
            notes.push(match self.machine.ready_timeout() {
                Some(timeout) => format!("ready_timeout of {} s", timeout.as_secs_f64()),
                None => "ready_timeout".to_owned(),
            });
        }
        if !exit.busy_for.is_zero() {
            notes.push(format!("busy for {:.1} s", exit.busy_for.as_secs_f64()));
        }
        let was_told = !matches!(exit.cause, Cause::Timeout | Cause::NotReady)
            || ![libc::SIGABRT, libc::SIGKILL].contains(&exit.sent);
        if exit.sent != 0 && was_told && exit.signal() != Some(exit.sent) {
            let surplus = match exit.cause {
                Cause::Surplus => " as one too many",
                Cause::None | Cause::Asked | Cause::Timeout | Cause::NotReady | Cause::External => {
                    ""
                }
            };
            notes.push(format!("it was sent {}{surplus}", signals::name(exit.sent)));
        }
        notes
    }
}

/// Whether an end is what operators expect of a pool.
fn is_ordinary(exit: &Exit) -> bool {
    let is_told = || match exit.signal() {
        // One that may not be told to end is killed, and was sent nothing else.
        Some(libc::SIGKILL) if exit.grace_is_over => false,
        Some(signal) => signal == exit.sent && matches!(exit.cause, Cause::Asked | Cause::Surplus),
        None => exit.status == 0,
    };
    exit.reason == Reason::Foreign || is_told()
}

fn how(exit: &Exit) -> String {
    match exit.signal() {
        _ if exit.reason == Reason::Stolen => "was reaped by other code".to_owned(),
        Some(signal) => format!("was killed by {}", signals::name(signal)),
        None => format!("exited with status {}", wait::exit_code(exit.status)),
    }
}

/// Whether a process most often gets this signal for what it has done itself: nobody needs to be told that the manager has not
/// sent it.
fn is_fault(signal: Option<Signal>) -> bool {
    const FAULTS: [Signal; 8] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGABRT,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGPIPE,
    ];
    signal.is_some_and(|signal| FAULTS.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_killed_as_its_time_to_end_is_over_is_out_of_the_ordinary_whatever_it_was_sent_before()
     {
        let exit = |grace_is_over, sent| {
            let mut exit = Exit::of_stranger(1, libc::SIGKILL);
            (exit.reason, exit.cause) = (Reason::Ended, Cause::Asked);
            (exit.grace_is_over, exit.sent) = (grace_is_over, sent);
            exit
        };
        assert!(!is_ordinary(&exit(true, libc::SIGTERM)));
        // TERM was refused.
        assert!(!is_ordinary(&exit(true, libc::SIGKILL)));
        assert!(is_ordinary(&exit(false, libc::SIGKILL)));
    }

    fn watch() -> OomWatch {
        OomWatch {
            seen: 7,
            unclaimed: 0,
            seen_at: Time(0),
        }
    }

    #[test]
    fn as_many_were_out_of_memory_as_were_counted() {
        let mut watch = watch();
        assert!(!watch.claim(7, Time(1)));
        assert!(watch.claim(9, Time(2)) && watch.claim(9, Time(3)));
        assert!(!watch.claim(9, Time(4)));
    }

    #[test]
    fn one_that_was_no_worker_is_not_taken_for_a_later_one() {
        let mut watch = watch();
        assert!(watch.claim(9, Time(0)));
        assert!(!watch.claim(9, Time(0).after(UNCLAIMED_FOR)));
        assert!(watch.claim(10, Time(0).after(2 * UNCLAIMED_FOR)));
    }

    #[test]
    fn a_count_that_goes_back_counts_for_nothing() {
        let mut watch = watch();
        assert!(!watch.claim(0, Time(1)));
        assert!(watch.claim(1, Time(2)));
    }
}
