//! Descriptors that workers inherit, and that the programs around us do not know of.

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

/// A descriptor as a worker inherits it. A worker may close what it does not know, and open
/// something else under the same number.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    fd: RawFd,
    device: libc::dev_t,
    inode: libc::ino_t,
}

impl Inherited {
    /// What the descriptor is now; none if it is closed.
    pub fn new(fd: RawFd) -> Option<Inherited> {
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

    /// The descriptor, unless it is closed or has become something else.
    pub fn get(self) -> Option<RawFd> {
        let is_same = |now: Inherited| (now.device, now.inode) == (self.device, self.inode);
        Inherited::new(self.fd)
            .is_some_and(is_same)
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
}
