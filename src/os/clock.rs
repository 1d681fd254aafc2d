//! The monotonic clock: it never jumps, whatever happens to the time of day.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::machine::Time;

/// The present moment, or one that is up to `BEHIND` earlier. Where the system can, it takes a fraction of the time of `now`
/// (CLOCK_MONOTONIC_COARSE, of the last tick of the kernel's timer).
pub fn about_now() -> Time {
    #[cfg(target_os = "linux")]
    if let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) {
        return time_of(now);
    }
    now()
}

/// How far behind it is: the kernel's timer ticks 100 times a second, or more often.
pub const BEHIND: Duration = Duration::from_millis(10);

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
