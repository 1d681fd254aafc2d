//! Time for workers that were due while the manager itself was away.
//!
//! It was stopped, as the whole machine may have been, and its workers with it. If it comes back from a wait later than
//! it wanted, by more than a second, then whoever was due meanwhile gets as much time again, up to a limit. Each gets
//! that once: else a manager that is always late would never end anybody.

use core::time::Duration;

use super::timers::Time;

/// So much later than it wanted a manager may come back from a wait on a machine that is busy.
const NOT_LATE: Duration = Duration::from_secs(1);

/// The shortest time that there is.
const TICK: Duration = Duration::from_nanos(1);

/// Who is excused, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuses(Option<Excuse>);

#[derive(Clone, Copy, Debug)]
struct Excuse {
    /// For those who were due at this moment, or later.
    from: Time,
    /// They are due now.
    until: Time,
}

impl Excuses {
    /// The manager has waited, and has wanted to be back at `wanted` at the latest. Nobody gets more than `most` again.
    pub fn is_back(&mut self, wanted: Time, now: Time, most: Duration) {
        let late = now.since(wanted);
        let is_excused = self.0.is_some_and(|excuse| excuse.until > now);
        if late <= NOT_LATE || is_excused {
            return;
        }
        let used_up = self.0.map_or(wanted, |excuse| excuse.until.after(TICK));
        self.0 = Some(Excuse {
            from: wanted.max(used_up),
            until: now.after(late.min(most)),
        });
    }

    /// When somebody is due who was due at this time.
    pub fn due(&self, due: Time) -> Time {
        let excuse = self.0.filter(|excuse| due >= excuse.from);
        excuse.map_or(due, |excuse| due.max(excuse.until))
    }
}
