//! Time as the machine sees it, and the pacing of forks.
//!
//! The machine has no clock: every moment comes in as an argument, so that a test can
//! drive it through years in a millisecond.

use core::time::Duration;

/// A moment on a clock that never goes back, in nanoseconds since some fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// The moment `span` later; the end of time if that is too far away to count.
    pub fn after(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }

    /// How long it is from `earlier` to this moment; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A failed fork is not tried again sooner than this, whatever `err_respawn_interval` says:
/// the system is short of something, and trying harder makes it shorter.
pub const FORK_RETRY_MIN: Duration = Duration::from_millis(50);

/// Failed forks are reported at most this often.
pub const FORK_WARNING_EVERY: Duration = Duration::from_secs(1);

/// When the next worker may be forked.
#[derive(Debug)]
pub struct Pacing {
    /// Time between two forks, and after a worker was told to stop.
    pub spawn_interval: Duration,
    /// Time without a fork after a worker of the current generation has failed.
    pub err_respawn_interval: Duration,
    not_before: Time,
    retry_not_before: Time,
    unreported_failures: u32,
    reported_at: Option<Time>,
}

impl Default for Pacing {
    fn default() -> Self {
        Pacing {
            spawn_interval: Duration::ZERO,
            err_respawn_interval: Duration::from_secs(1),
            not_before: Time::default(),
            retry_not_before: Time::default(),
            unreported_failures: 0,
            reported_at: None,
        }
    }
}

impl Pacing {
    /// No worker is forked for `span` from `now` on; this replaces what was set before.
    pub fn defer(&mut self, now: Time, span: Duration) {
        self.not_before = if span.is_zero() {
            Time::default()
        } else {
            now.after(span)
        };
    }

    /// The same for `span` at least; it may be longer for another reason.
    pub fn defer_at_least(&mut self, now: Time, span: Duration) {
        self.not_before = self.not_before.max(now.after(span));
    }

    /// A fork failed at `now`. Returns how many failures the host should report: 0 means
    /// that it reported one less than a second ago, and that this one is kept for the next.
    pub fn fork_failed(&mut self, now: Time) -> u32 {
        self.defer(now, self.err_respawn_interval);
        self.retry_not_before = now.after(FORK_RETRY_MIN);
        self.unreported_failures = self.unreported_failures.saturating_add(1);
        match self.reported_at {
            Some(at) if now.since(at) < FORK_WARNING_EVERY => 0,
            Some(_) | None => {
                self.reported_at = Some(now);
                std::mem::take(&mut self.unreported_failures)
            }
        }
    }

    /// The first moment at which a fork may be tried after one that failed.
    pub fn retry_at(&self) -> Time {
        self.retry_not_before
    }

    /// The first moment at which a worker may be forked.
    pub fn open_at(&self) -> Time {
        self.not_before.max(self.retry_not_before)
    }

    /// Whether a worker may be forked at `now`.
    pub fn is_open(&self, now: Time) -> bool {
        self.open_at() <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_closes_the_gate_even_without_an_interval() {
        let mut pacing = Pacing {
            err_respawn_interval: Duration::ZERO,
            ..Pacing::default()
        };
        let now = Time(1_000);
        assert_eq!(pacing.fork_failed(now), 1);
        assert!(!pacing.is_open(now));
        assert!(!pacing.is_open(now.after(FORK_RETRY_MIN - Duration::from_nanos(1))));
        assert!(pacing.is_open(now.after(FORK_RETRY_MIN)));
    }

    #[test]
    fn failures_are_counted_up_between_reports() {
        let mut pacing = Pacing::default();
        let mut now = Time(0);
        let mut reports = Vec::new();
        for _ in 0..45 {
            reports.push(pacing.fork_failed(now));
            now = now.after(FORK_RETRY_MIN);
        }
        assert_eq!(reports[0], 1);
        assert_eq!(reports[20], 20);
        assert_eq!(reports[40], 20);
        assert_eq!(reports.iter().filter(|&&n| n > 0).count(), 3);
    }

    #[test]
    fn a_later_deferral_replaces_an_earlier_one() {
        let mut pacing = Pacing::default();
        pacing.defer(Time(0), Duration::from_secs(10));
        assert!(!pacing.is_open(Time(5)));
        pacing.defer(Time(5), Duration::ZERO);
        assert!(pacing.is_open(Time(5)));
    }

    #[test]
    fn time_saturates() {
        assert_eq!(Time(7).after(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(7).since(Time(9)), Duration::ZERO);
    }
}
