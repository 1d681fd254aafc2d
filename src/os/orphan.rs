//! How a process learns that its parent has ended, even by SIGKILL.
//!
//! Nothing is done at the fork: a child that wants to know opens a descriptor of its parent (pidfd_open(2)), which becomes
//! readable when the parent ends. Where the system refuses that, a clock is readable once a second (timerfd_create(2)), and
//! whoever it wakes looks at getppid(2).
//!
//! A parent outside of the child's PID namespace has the number 0 for the child, whether it lives or not. Nothing tells
//! that it has ended.

use std::os::fd::{IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::descriptor::{Inherited, above_stdio};
use crate::machine::Pid;

/// A look-out for the end of the parent.
#[derive(Debug)]
pub(super) struct ParentWatch {
    /// The number that the parent has for itself.
    parent: Pid,
    tells: Tells,
}

/// What becomes readable.
#[derive(Debug)]
enum Tells {
    /// The parent's end.
    Parent(Inherited),
    /// Each second, in which the parent may have ended.
    Second(Inherited),
    /// Nothing. The parent has ended already, or cannot be seen.
    Nothing,
}

impl ParentWatch {
    /// Watches the parent, whose own number that is.
    pub(super) fn new(parent: Pid) -> Result<ParentWatch, Errno> {
        let tells = if parent_now() == parent {
            match open_process(parent).and_then(keep) {
                Ok(parent) => Tells::Parent(parent),
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => return Err(errno),
                Err(_) => open_clock()
                    .and_then(keep)
                    .map_or(Tells::Nothing, Tells::Second),
            }
        } else {
            Tells::Nothing
        };
        // If the number was somebody else's by the time when it was opened, `has_ended` knows.
        Ok(ParentWatch { parent, tells })
    }

    /// The number that the parent has for itself.
    pub(super) fn parent(&self) -> Pid {
        self.parent
    }

    /// Whether the parent has ended.
    pub(super) fn has_ended(&self) -> bool {
        let now = parent_now();
        now != self.parent && now != UNSEEN
    }

    /// What becomes readable when there may be something to see.
    pub(super) fn fd(&self) -> Option<RawFd> {
        match self.tells {
            Tells::Parent(fd) | Tells::Second(fd) => Some(fd.number()),
            Tells::Nothing => None,
        }
    }

    /// Whether it was a second that has passed; then the next one is waited for.
    pub(super) fn take_second(&self) -> bool {
        let Tells::Second(clock) = self.tells else {
            return false;
        };
        let mut passed = [0_u8; 8];
        // SAFETY: it writes to a live array of that size. The descriptor does not block.
        let read = unsafe { libc::read(clock.number(), passed.as_mut_ptr().cast(), passed.len()) };
        read == 8
    }
}

impl Drop for ParentWatch {
    fn drop(&mut self) {
        match self.tells {
            Tells::Parent(fd) | Tells::Second(fd) => fd.close(),
            Tells::Nothing => {}
        }
    }
}

/// What getppid(2) says of a parent in a PID namespace outside of this one's.
const UNSEEN: Pid = 0;

fn parent_now() -> Pid {
    nix::unistd::getppid().as_raw()
}

fn keep(fd: OwnedFd) -> Result<Inherited, Errno> {
    let fd = above_stdio(fd)?.into_raw_fd();
    Inherited::new(fd).ok_or_else(Errno::last)
}

#[cfg(target_os = "linux")]
fn open_process(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open(2) takes two integers. What it opens is closed in an exec.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Readable each second, until it is read.
#[cfg(target_os = "linux")]
fn open_clock() -> Result<OwnedFd, Errno> {
    use std::os::fd::AsRawFd;

    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: timerfd_create(2) takes two integers.
    let clock = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }.into())?;
    let second = libc::timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let each = libc::itimerspec {
        it_interval: second,
        it_value: second,
    };
    // SAFETY: it reads a live variable, and the null pointer says that nothing is to be written.
    let set = unsafe {
        libc::timerfd_settime(clock.as_raw_fd(), 0, &raw const each, std::ptr::null_mut())
    };
    Errno::result(set)?;
    Ok(clock)
}

#[cfg(target_os = "linux")]
fn owned(opened: libc::c_long) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;

    let fd = RawFd::try_from(Errno::result(opened)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the system has just opened it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// There is no such descriptor.
#[cfg(not(target_os = "linux"))]
fn open_process(_pid: Pid) -> Result<OwnedFd, Errno> {
    Err(Errno::ENOSYS)
}

#[cfg(not(target_os = "linux"))]
fn open_clock() -> Result<OwnedFd, Errno> {
    Err(Errno::ENOSYS)
}

/// Whether something becomes readable when the parent has ended. Elsewhere than on Linux nothing does, and a sleep has to
/// be short.
pub(super) const IS_TOLD: bool = cfg!(target_os = "linux");
