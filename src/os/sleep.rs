//! The wait of C hosts that have no event loop.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::poll::ppoll;
use nix::poll::{PollFd, PollFlags};
#[cfg(not(target_os = "linux"))]
use nix::poll::{PollTimeout, poll};
use nix::sys::select::{FD_SETSIZE, FdSet, pselect};
use nix::sys::time::TimeSpec;

use super::mask;
use crate::machine::Signal;

/// Sleeps until the descriptor can be read, a signal arrives, or the time is over (none: no
/// limit). The signals given are let in meanwhile, even if the program blocks them: their
/// handlers write to the descriptor, so one that comes before the sleep ends it too.
///
/// Returns whether a handler of the program may have run: nothing but the time that is over tells that none has. If the
/// descriptor can be read, one may have closed it just before, so that it is another file.
pub fn sleep(
    fd: Option<RawFd>,
    timeout: Option<Duration>,
    let_in: impl Iterator<Item = Signal> + Clone,
) -> bool {
    let fd = fd.filter(|&fd| fd >= 0).map(|fd| {
        // SAFETY: it is used in this call alone, and a number that is not open, or another file's, makes poll(2)
        // return, no more.
        unsafe { BorrowedFd::borrow_raw(fd) }
    });
    let mut fds = [fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN))];
    let fds = fds[0].as_mut().map_or(&mut [][..], std::slice::from_mut);
    let mask = mask::unblock(let_in);
    // EINTR is a wake-up like any other, and the next event tells what it was.
    let has_timed_out = match poll_for(fds, timeout) {
        Ok(ready) => ready == 0,
        Err(Errno::EINTR | Errno::EAGAIN) => false,
        // Refused, as ppoll(2) is for a descriptor where none is allowed (RLIMIT_NOFILE of 0), or by a filter of
        // system calls.
        Err(_) => select_for(fd, timeout),
    };
    if let Some(mask) = &mask {
        mask::restore(mask);
    }
    !has_timed_out || mask.is_some()
}

/// The longest sleep in which the descriptor is not looked at.
const AT_MOST_UNSEEN: Duration = Duration::from_secs(1);

/// The longest sleep by a call that knows no descriptors.
const AT_MOST_BLIND: Duration = Duration::from_millis(100);

/// The same by an older call, and by one older still where that is refused, too. Returns whether the time is over.
#[cold]
fn select_for(fd: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> bool {
    let at_most = |most: Duration| timeout.map_or(most, |timeout| timeout.min(most));
    let mut watched = FdSet::new();
    let span = match fd {
        Some(fd) if usize::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < FD_SETSIZE) => {
            watched.insert(fd);
            timeout.map(|timeout| timeout.min(LONGEST))
        }
        Some(_) => Some(at_most(AT_MOST_UNSEEN)),
        None => timeout.map(|timeout| timeout.min(LONGEST)),
    };
    let span = span.map(TimeSpec::from_duration);
    match pselect(None, &mut watched, None, None, span.as_ref(), None) {
        Ok(ready) => ready == 0,
        Err(Errno::EINTR) => false,
        Err(_) => {
            let blind = TimeSpec::from_duration(at_most(AT_MOST_BLIND));
            // SAFETY: it reads a live timespec, and a signal may end it.
            unsafe { libc::nanosleep(blind.as_ref(), std::ptr::null_mut()) };
            false
        }
    }
}

/// More seconds than a time_t of 32 bits has are an error, or the past.
pub(super) const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// Waits until one of them is ready, a signal has come, or the time is over (none: never).
#[cfg(target_os = "linux")]
pub(super) fn poll_for(fds: &mut [PollFd], timeout: Option<Duration>) -> nix::Result<i32> {
    let timeout = timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST)));
    ppoll(fds, timeout, None)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn poll_for(fds: &mut [PollFd], timeout: Option<Duration>) -> nix::Result<i32> {
    // Rounded up, or the last millisecond before a deadline would be spun away.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        let millis = timeout.as_micros().div_ceil(1000);
        i32::try_from(millis)
            .ok()
            .and_then(|millis| PollTimeout::try_from(millis).ok())
            .unwrap_or(PollTimeout::MAX)
    });
    poll(fds, timeout)
}
