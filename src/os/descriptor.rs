//! Descriptors of ours that the program does not know of. A program, such as a daemon, may close what it does not know, and
//! open files of its own under the same numbers.
//!
//! So a descriptor is known by the device and the inode of what it was opened as. Before it is used, fstat(2) tells whether
//! the number still is that file.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

/// The same under a number above 2. Where a program runs with stdin, stdout or stderr closed, a
/// descriptor of ours would become that, and what is printed would go into it.
pub fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    let above = match fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(libc::STDERR_FILENO + 1)) {
        // So it says where the limit is lower than that.
        Err(Errno::EINVAL) => return Err(Errno::EMFILE),
        result => result?,
    };
    // SAFETY: fcntl(2) has just opened it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(above) })
}

/// A descriptor as it was when it was ours, and the worker's that has inherited it.
///
/// It is told by the device and the inode. As long as somebody has it open no other file has these two. Later
/// another pipe may get them, but the system counts to four thousand million before it gives a number out again.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    fd: RawFd,
    device: libc::dev_t,
    inode: libc::ino_t,
}

impl Inherited {
    /// What the descriptor is now; none if it is closed.
    pub fn new(fd: RawFd) -> Option<Inherited> {
        Inherited::now(fd)
    }

    #[inline(always)]
    fn now(fd: RawFd) -> Option<Inherited> {
        // SAFETY: all-zero bytes are a valid stat, which is plain numbers.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live stat.
        let result = unsafe { libc::fstat(fd, &raw mut stat) };
        (result == 0).then_some(Inherited {
            fd,
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }

    /// None.
    pub(super) fn none() -> Inherited {
        Inherited {
            fd: -1,
            device: 0,
            inode: 0,
        }
    }

    /// The descriptor, unless it is closed or has become something else. Async-signal-safe.
    pub fn get(self) -> Option<RawFd> {
        Inherited::new(self.fd)
            .is_some_and(|now| now.is_same_file(self))
            .then_some(self.fd)
    }

    /// The same, opened for writing, of a process that has it still; none where there is no /proc, and where
    /// that process is another user's.
    pub fn open_in(self, pid: libc::pid_t) -> Option<OwnedFd> {
        let path = format!("/proc/{pid}/fd/{}", self.fd);
        // What another file would make of being opened is not for us to find out.
        let stat = nix::sys::stat::stat(path.as_str()).ok()?;
        if (stat.st_dev, stat.st_ino) != (self.device, self.inode) {
            return None;
        }
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let fd = open(path.as_str(), flags, Mode::empty()).ok()?;
        let opened = Inherited::new(fd.as_raw_fd())?;
        let is_same = (opened.device, opened.inode) == (self.device, self.inode);
        is_same.then_some(fd)
    }

    /// Whether it is a descriptor of the same file.
    pub fn is_same_file(self, other: Inherited) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The same file under another number.
    pub fn under(self, fd: RawFd) -> Inherited {
        Inherited { fd, ..self }
    }

    /// Closes it, unless it is closed or has become something else.
    pub fn close(self) {
        if let Some(fd) = self.get() {
            close(fd);
        }
    }

    /// The same where each worker comes: code elsewhere, as `close` has it, is one more page fault.
    #[inline(always)]
    pub fn close_here(self) {
        if Inherited::now(self.fd).is_some_and(|now| now.is_same_file(self)) {
            close(self.fd);
        }
    }

    /// Its number.
    pub fn number(self) -> RawFd {
        self.fd
    }
}

fn close(fd: RawFd) {
    // SAFETY: it is ours: whoever has made an `Inherited` of it to close it owns it, and nothing else does.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn what_has_taken_its_number_is_left_alone() {
        let other = File::open("/dev/zero").unwrap();
        let number = File::open("/dev/null").unwrap().into_raw_fd();
        let ours = Inherited::new(number).unwrap();
        assert_eq!(ours.get(), Some(number));
        // SAFETY: both are open; from here on the number is the other file's.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), number) }, number);
        assert_eq!(ours.get(), None);
        ours.close();
        let now = Inherited::new(number).unwrap();
        assert!(now.is_same_file(Inherited::new(other.as_raw_fd()).unwrap()));
        now.close();
        assert!(Inherited::new(number).is_none());
    }
}
