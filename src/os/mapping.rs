//! Memory that a process shares with those that it forks.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// Shared memory of zeros, as long as this lives. Address space is reserved for all of it, memory is used only by the pages
/// that are written to.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it is only used
// through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Of no file.
    pub(super) fn new(len: usize) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_ANONYMOUS, -1)
    }

    /// The beginning of a file, which stays that long.
    pub(super) fn of_file(fd: RawFd, len: usize) -> io::Result<Mapping> {
        Mapping::map(len, 0, fd)
    }

    fn map(len: usize, kind: i32, fd: RawFd) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | kind;
        // SAFETY: without an address of ours, mmap(2) gives us fresh address space or fails.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Mapping { start, len })
    }

    /// Where it begins: at a page.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap(2) gave us; no reference into it outlives self.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
