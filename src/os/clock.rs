//! The monotonic clock: it never jumps, whatever happens to the time of day.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::machine::Time;

/// The present moment (clock_gettime(2), CLOCK_MONOTONIC).
pub fn now() -> Time {
    // POSIX requires this clock of every system with timers; it cannot fail where it exists.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is missing");
    time_of(now)
}

fn time_of(clock: TimeSpec) -> Time {
    let (seconds, nanos) = (clock.tv_sec(), clock.tv_nsec());
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Time(u64::try_from(nanos).unwrap_or(0))
}
