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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MOST: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Time {
        Time(seconds * SECOND)
    }

    #[test]
    fn more_than_a_second_is_late() {
        let mut excuses = Excuses::default();
        excuses.is_back(at(5), at(6), MOST);
        assert_eq!(excuses.due(at(5)), at(5));
        excuses.is_back(at(5), Time(6 * SECOND + 1), MOST);
        assert_eq!(excuses.due(at(5)), Time(7 * SECOND + 2));
    }

    #[test]
    fn who_was_due_before_or_is_due_later_is_not_excused() {
        let mut excuses = Excuses::default();
        excuses.is_back(at(5), at(9), MOST);
        assert_eq!(excuses.due(Time(5 * SECOND - 1)), Time(5 * SECOND - 1));
        assert_eq!(excuses.due(at(5)), at(13));
        assert_eq!(excuses.due(at(8)), at(13));
        assert_eq!(excuses.due(at(14)), at(14));
    }

    #[test]
    fn nobody_gets_more_than_the_most() {
        let mut excuses = Excuses::default();
        excuses.is_back(at(5), at(105), MOST);
        assert_eq!(excuses.due(at(5)), at(115));
    }

    #[test]
    fn one_excuse_is_over_before_the_next_begins() {
        let mut excuses = Excuses::default();
        excuses.is_back(at(5), at(9), MOST);
        // Late again before 13, nobody gets more.
        excuses.is_back(at(10), at(12), MOST);
        assert_eq!(excuses.due(at(10)), at(13));
        // At 13 it is used up by all who were excused until then.
        excuses.is_back(at(10), at(13), MOST);
        assert_eq!(excuses.due(at(13)), at(13));
        assert_eq!(excuses.due(Time(13 * SECOND + 1)), at(16));
    }
}
