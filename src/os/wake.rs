//! What ends a manager's wait: a pipe. Signal handlers, workers and other threads write a byte to it.
//!
//! The manager closes its pipe when it goes, and makes another one where the program has closed it (`manager/pipe.rs`). At
//! that moment a handler on another thread may be in the middle of a write to the old pipe. Nobody waits for the handler:
//! the pipe counts its users, and the last of them closes it. If it were closed too early, its number might be a file of
//! the program's when the byte comes.
//!
//! A worker shares no status flags of the pipe with the manager: it gets a write end that was opened apart, and drops the
//! manager's two ends. A worker that is taken over could otherwise make the manager block.

use std::cell::UnsafeCell;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use super::descriptor::{Inherited, above_stdio};
use super::mask::{Set, is_pending, restore};
use super::process::Process;

/// A pipe that a signal handler, or a worker, writes to so that a wait ends.
#[derive(Debug)]
pub struct WakePipe {
    read: Inherited,
    /// The others are the same file.
    write: RawFd,
    for_workers: RawFd,
    /// Who tells others of it, and where that is written down; they may be using it.
    told: Option<(Arc<Waker>, NonNull<Ends>)>,
}

/// No descriptor has this number.
const CLOSED: RawFd = -1;

impl WakePipe {
    /// A new pipe: it never blocks, and no program that is exec'd inherits it.
    pub fn new() -> Result<WakePipe, Errno> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (read, write) = (above_stdio(read)?, above_stdio(write)?);
        let identity = Inherited::new(read.as_raw_fd()).ok_or_else(Errno::last)?;
        let _ = read.into_raw_fd();
        Ok(WakePipe {
            read: identity,
            write: write.into_raw_fd(),
            for_workers: CLOSED,
            told: None,
        })
    }

    /// The descriptor that becomes readable.
    pub fn read_fd(&self) -> RawFd {
        self.read.number()
    }

    /// The descriptor to write to.
    pub fn write_fd(&self) -> RawFd {
        self.write
    }

    /// Whether the program has left all ends as they are.
    pub fn is_intact(&self) -> bool {
        let is_there = |&fd: &RawFd| fd == CLOSED || self.read.under(fd).get().is_some();
        [self.read_fd(), self.write, self.for_workers]
            .iter()
            .all(is_there)
    }

    /// Whether the end is there that `drain` reads from.
    pub fn is_readable(&self) -> bool {
        self.read.get().is_some()
    }

    /// The end that workers write to, if it was opened.
    pub fn end_for_workers(&self) -> Option<RawFd> {
        (self.for_workers != CLOSED).then_some(self.for_workers)
    }

    /// Opens the write end for workers: with status flags of its own, if the system can. A worker that
    /// makes what it shares with the manager block could hold up the manager itself. The caller knows that the pipe
    /// is intact.
    pub fn open_for_workers(&mut self) -> Result<RawFd, Errno> {
        self.close_for_workers();
        let name = format!("/proc/self/fd/{}", self.write);
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let end = open(name.as_str(), flags, Mode::empty()).or_else(|_| {
            // SAFETY: it is open, and stays so meanwhile.
            let write = unsafe { BorrowedFd::borrow_raw(self.write) };
            write.try_clone_to_owned().map_err(errno_of)
        })?;
        self.for_workers = above_stdio(end)?.into_raw_fd();
        Ok(self.for_workers)
    }

    /// Workers that are forked from now on have no end.
    pub fn close_for_workers(&mut self) {
        let end = std::mem::replace(&mut self.for_workers, CLOSED);
        self.read.under(end).close();
    }

    /// Leaves a worker its end, and closes the others. It looks at each: code of the program may have run in the fork
    /// (pthread_atfork(3)), and may have closed them and opened files of its own.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn leave_to_worker(&mut self) {
        for fd in [self.read_fd(), self.write] {
            self.read.under(fd).close_here();
        }
        self.read = self.read.under(CLOSED);
        self.write = CLOSED;
    }

    /// Empties the pipe, but for what is written faster than it can be read. What the bytes
    /// meant is recorded elsewhere. The caller knows that `is_readable` is true.
    pub fn drain(&self) {
        // SAFETY: it is open, and stays so meanwhile.
        let read = unsafe { BorrowedFd::borrow_raw(self.read_fd()) };
        // Few of them: each page of the stack that a manager writes to is copied after a fork.
        let mut bytes = [0_u8; 256];
        for _ in 0..DRAIN_AT_MOST / bytes.len() {
            match nix::unistd::read(read, &mut bytes) {
                Ok(n) if n == bytes.len() => {}
                _ => return,
            }
        }
    }
}

impl Drop for WakePipe {
    fn drop(&mut self) {
        self.close_for_workers();
        match self.told.take() {
            Some((waker, ends)) => waker.end(ends),
            None => {
                self.read.close();
                self.read.under(self.write).close();
            }
        }
    }
}

/// What a pipe holds, on Linux.
const DRAIN_AT_MOST: usize = 65_536;

fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Where the pipe of a manager is, for all that end its wait: handlers, other threads, other managers. The pipe may be
/// another one tomorrow, if the program closes the descriptors.
#[derive(Debug)]
pub struct Waker {
    now: AtomicPtr<Ends>,
    /// Enough for most. It lies here since a handler writes to it, and each page that it writes to is copied after a fork.
    first: Ends,
    /// All others that there ever were; each is used again when nobody uses it any more. They live as long as this: one who
    /// has just read `now` may be about to count itself.
    others: AtomicPtr<Ends>,
}

/// Both ends of a pipe.
#[derive(Debug)]
struct Ends {
    /// USER for each who is using the pipe, and OVER if its manager has done with it and leaves it to the last of them to close.
    state: AtomicUsize,
    pipe: UnsafeCell<Pipe>,
    next: *mut Ends,
}

#[derive(Clone, Copy, Debug)]
struct Pipe {
    read: Inherited,
    write: RawFd,
    /// Whose it is.
    process: Process,
}

// SAFETY: the pipe is written to where nobody is using it, by the manager's own thread. `next` never changes.
unsafe impl Sync for Ends {}
// SAFETY: nothing in it is of one thread.
unsafe impl Send for Ends {}

const OVER: usize = 1;
const USER: usize = 2;

impl Ends {
    fn new(next: *mut Ends) -> Ends {
        Ends {
            state: AtomicUsize::new(0),
            pipe: UnsafeCell::new(Pipe {
                read: Inherited::none(),
                write: CLOSED,
                process: Process::this(),
            }),
            next,
        }
    }

    /// For one who uses it, and for the manager's own thread.
    fn pipe(&self) -> Pipe {
        // SAFETY: it is written to only where nobody uses it.
        unsafe { *self.pipe.get() }
    }

    /// The last one closes a pipe that its manager has done with. Async-signal-safe.
    fn leave(&self) {
        let last = USER | OVER;
        let without = |state: usize| if state == last { USER } else { state - USER };
        let left = self
            .state
            .fetch_update(SeqCst, SeqCst, |state| Some(without(state)));
        if left == Ok(last) {
            self.pipe().close();
            self.state.fetch_sub(USER, SeqCst);
        }
    }
}

impl Pipe {
    fn close(self) {
        self.read.close();
        self.read.under(self.write).close();
    }
}

impl Default for Waker {
    fn default() -> Self {
        Waker {
            now: AtomicPtr::new(std::ptr::null_mut()),
            first: Ends::new(std::ptr::null_mut()),
            others: AtomicPtr::new(std::ptr::null_mut()),
        }
    }
}

impl Waker {
    /// From now on it is this pipe. For the manager's own thread.
    pub fn set(self: &Arc<Self>, pipe: &mut WakePipe) {
        let ends = self.unused();
        // SAFETY: nobody uses it; who comes across it now finds that it is not `now`, until it is stored there.
        unsafe {
            *ends.pipe.get() = Pipe {
                read: pipe.read,
                write: pipe.write,
                process: Process::this(),
            };
        }
        pipe.told = Some((Arc::clone(self), NonNull::from(ends)));
        self.now.store(std::ptr::from_ref(ends).cast_mut(), SeqCst);
    }

    /// Some that nobody uses, or will before they are `now`.
    fn unused(&self) -> &Ends {
        let now = self.now.load(SeqCst).cast_const();
        let others = self.others.load(SeqCst);
        let mut next = Some(&self.first);
        while let Some(ends) = next {
            if !std::ptr::eq(ends, now) && ends.state.load(SeqCst) == 0 {
                return ends;
            }
            let is_first = std::ptr::eq(ends, &raw const self.first);
            // SAFETY: null, or one that lives as long as this.
            next = unsafe { if is_first { others } else { ends.next }.as_ref() };
        }
        let ends = Box::into_raw(Box::new(Ends::new(others)));
        self.others.store(ends, SeqCst);
        // SAFETY: it lives as long as this.
        unsafe { &*ends }
    }

    /// It is this pipe no more. It is closed now or, if somebody uses it, by the last of those.
    fn end(&self, ends: NonNull<Ends>) {
        // Unless there is another one already.
        let none = std::ptr::null_mut();
        let _ = self
            .now
            .compare_exchange(ends.as_ptr(), none, SeqCst, SeqCst);
        // SAFETY: `set` has made it, and it lives as long as this.
        let ends = unsafe { ends.as_ref() };
        if ends.pipe().process.is_this() {
            ends.state.fetch_add(USER | OVER, SeqCst);
            ends.leave();
        } else {
            // In a child nobody uses the copy, whatever it says of users.
            ends.pipe().close();
        }
    }

    /// The pipe, in use until `leave`. Async-signal-safe.
    fn enter(&self) -> Option<&Ends> {
        loop {
            let now = self.now.load(SeqCst);
            // SAFETY: null, or one that lives as long as this.
            let ends = unsafe { now.as_ref() }?;
            ends.state.fetch_add(USER, SeqCst);
            // If it was still the one after we were counted, it is not filled anew before we leave.
            if self.now.load(SeqCst) == now {
                return Some(ends);
            }
            ends.leave();
        }
    }

    /// Makes the read end readable. Async-signal-safe; a full pipe is as good as one byte more. Nothing is
    /// written if the program has closed one of the ends: the number may be a file of its own, and without the read end
    /// there would be SIGPIPE. The manager looks for that before it sleeps.
    pub fn wake(&self) {
        let errno = Errno::last_raw();
        if let Some(ends) = self.enter() {
            let pipe = ends.pipe();
            let write = pipe.read.under(pipe.write);
            if let (Some(_), Some(write_fd)) = (pipe.read.get(), write.get()) {
                write_byte(write_fd);
            }
            ends.leave();
        }
        Errno::set_raw(errno);
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        let mut next = *self.others.get_mut();
        while !next.is_null() {
            // SAFETY: it came from Box::into_raw, and nobody can get at it any more.
            next = unsafe { Box::from_raw(next) }.next;
        }
    }
}

/// Makes the read end of a wake pipe readable that another process has; a full pipe is as good as one byte more. Returns whether
/// anybody has it: if not, a worker lives on without its manager, and SIGPIPE, which such a write is answered with,
/// would end it.
pub fn wake(write_fd: RawFd) -> bool {
    let errno = Errno::last_raw();
    let sigpipe = Set::of(std::iter::once(libc::SIGPIPE));
    let before = sigpipe.block();
    // One that the program has blocked and not looked at yet stays.
    let was_pending = before.blocks(libc::SIGPIPE) && is_pending(libc::SIGPIPE);
    let is_broken = !write_byte(write_fd) && Errno::last() == Errno::EPIPE;
    if is_broken && !was_pending {
        sigpipe.discard();
    }
    restore(&before);
    Errno::set_raw(errno);
    !is_broken
}

fn write_byte(write_fd: RawFd) -> bool {
    // SAFETY: one byte of a live constant; a bad descriptor gives EBADF and nothing else.
    unsafe { libc::write(write_fd, [0_u8].as_ptr().cast(), 1) == 1 }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;
    use crate::os::signals::reset_to_default;

    #[test]
    fn a_wake_is_seen_once_drained_never_blocks() {
        let pipe = WakePipe::new().unwrap();
        assert!(pipe.is_intact());
        for _ in 0..100_000 {
            wake(pipe.write_fd());
        }
        pipe.drain();
        pipe.drain();
    }

    #[test]
    fn the_end_for_workers_has_flags_of_its_own() {
        let mut pipe = WakePipe::new().unwrap();
        let end = pipe.open_for_workers().unwrap();
        wake(end);
        // SAFETY: they are open until the end of this test.
        let fd = |fd: RawFd| unsafe { BorrowedFd::borrow_raw(fd) };
        let mut byte = [0];
        assert_eq!(nix::unistd::read(fd(pipe.read_fd()), &mut byte), Ok(1));
        let flags = |number| fcntl(fd(number), FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        fcntl(fd(end), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        assert!(!flags(end).unwrap().contains(OFlag::O_NONBLOCK));
        assert!(flags(pipe.write_fd()).unwrap().contains(OFlag::O_NONBLOCK));
    }

    /// SIGPIPE would end this process.
    #[test]
    fn to_wake_nobody_is_no_reason_for_sigpipe() {
        let mut pipe = WakePipe::new().unwrap();
        let end = pipe.open_for_workers().unwrap();
        pipe.leave_to_worker();
        // The default, which the standard library has changed for programs in Rust.
        reset_to_default(libc::SIGPIPE);
        wake(end);
        let sigpipe = Set::of(std::iter::once(libc::SIGPIPE));
        let before = sigpipe.block();
        wake(end);
        assert!(!is_pending(libc::SIGPIPE));
        restore(&before);
    }

    #[test]
    fn the_waker_writes_to_its_pipe_and_to_no_other_file() {
        let waker = Arc::new(Waker::default());
        waker.wake();
        let mut pipe = WakePipe::new().unwrap();
        waker.set(&mut pipe);
        waker.wake();
        let mut byte = [0];
        let read_byte = |pipe: &WakePipe, byte: &mut [u8]| {
            // SAFETY: it is open meanwhile.
            nix::unistd::read(unsafe { BorrowedFd::borrow_raw(pipe.read_fd()) }, byte)
        };
        assert_eq!(read_byte(&pipe, &mut byte), Ok(1));
        let (other, mut next) = (WakePipe::new().unwrap(), WakePipe::new().unwrap());
        // SAFETY: all are open; from here on the number is the other pipe's.
        unsafe { libc::dup2(other.write_fd(), pipe.write_fd()) };
        assert!(pipe.is_readable() && !pipe.is_intact());
        waker.wake();
        assert_eq!(read_byte(&other, &mut byte), Err(Errno::EAGAIN));
        waker.set(&mut next);
        waker.wake();
        assert_eq!(read_byte(&next, &mut byte), Ok(1));
    }

    #[test]
    fn a_pipe_in_use_is_closed_by_the_last_who_uses_it() {
        let waker = Arc::new(Waker::default());
        let mut pipe = WakePipe::new().unwrap();
        waker.set(&mut pipe);
        let now = pipe.read;
        let (one, other) = (waker.enter().unwrap(), waker.enter().unwrap());
        drop(pipe);
        assert!(waker.enter().is_none() && now.get().is_some());
        one.leave();
        assert!(now.get().is_some());
        other.leave();
        assert!(now.get().is_none());
        // What nobody uses is used again.
        let mut next = WakePipe::new().unwrap();
        waker.set(&mut next);
        assert!(std::ptr::eq(waker.enter().unwrap(), other));
    }
}
