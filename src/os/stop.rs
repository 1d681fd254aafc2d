//! How a worker learns that it is to stop: by a signal, or because its manager is gone.
//!
//! From the first call on, signals are recorded by the library's handler (`handler`), which also writes to a pipe of the
//! worker's own. Nothing reads from that pipe. So there is no moment at which a signal can get lost: one that comes before a
//! sleep has left the pipe readable. No signal is blocked, and programs that the worker executes inherit no mask.
//!
//! One descriptor, of epoll(7), is readable if the pipe is or if the parent has ended (`orphan`).
//!
//! The program may install a handler of its own at any time. Each call looks whether it has, and puts the library's over it,
//! which calls it. What the program ignores stays ignored.

use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::arrivals::Arrivals;
use super::clock;
use super::descriptor::{Inherited, above_stdio};
use super::mask;
use super::orphan::{self, ParentWatch};
use super::process::Process;
use super::signals::{can_be_trapped, is_ignored};
use super::sleep::poll_for;
use super::traps::Traps;
use super::wake::{WakePipe, Waker};
use crate::machine::{Pid, Signal};

/// Why a worker is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A signal that tells it to has arrived.
    Signal,
    /// Its manager has ended.
    ManagerGone,
}

/// What has ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// This one of the descriptors is readable, has come to its end or has an error.
    Readable(usize),
    /// The worker is to stop.
    Stopping,
    /// The time is over.
    TimedOut,
    /// This one of the descriptors is not open.
    NotOpen(usize),
}

/// The look-out of one worker.
pub struct Stop {
    signals: Vec<Signal>,
    traps: Traps,
    arrivals: Arc<Arrivals>,
    waker: Arc<Waker>,
    /// What the waker writes to.
    _pipe: WakePipe,
    parent: ParentWatch,
    /// Readable if either of the two is.
    all: Inherited,
    owner: Process,
    /// The descriptor that a wait has given last: the next one begins behind it.
    last: RawFd,
}

impl Stop {
    /// For this process, which was forked by the one with this number and is told to stop by these signals. None is caught
    /// before `catch_signals`.
    pub fn new(parent: Pid, signals: impl Iterator<Item = Signal>) -> std::io::Result<Stop> {
        let mut wanted: Vec<Signal> = signals.filter(|&signal| can_be_trapped(signal)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let waker = Arc::new(Waker::default());
        let (pipe, parent, all) = open(&waker, parent)?;
        let stop = Stop {
            signals: wanted,
            traps: Traps::default(),
            arrivals: Arc::default(),
            waker,
            _pipe: pipe,
            parent,
            all,
            owner: Process::this(),
            last: NONE,
        };
        stop.show_end_of_parent();
        Ok(stop)
    }

    /// Whether it is of this process, and not of one that has forked it.
    pub fn is_of_this_process(&self) -> bool {
        self.owner.is_this()
    }

    /// Puts the library's handler over those that the program has installed since.
    pub fn catch_signals(&mut self) -> std::io::Result<()> {
        for &signal in &self.signals {
            if !is_ignored(signal) {
                self.traps.trap(signal, &self.arrivals, &self.waker)?;
            }
        }
        Ok(())
    }

    /// Readable when the worker is to stop. If the system tells nothing better, it is also readable once a second, until
    /// `reason` is asked.
    pub fn fd(&self) -> RawFd {
        self.all.number()
    }

    /// Why the worker is to stop; none if it is not.
    pub fn reason(&mut self) -> std::io::Result<Option<StopReason>> {
        let reason = self.known_reason();
        if reason.is_none() && self.is_readable() && !self.parent.take_second() {
            // What came between the two looks is a reason. Otherwise the descriptor is not ours any more.
            let late = self.known_reason();
            if late.is_none() {
                self.open_again()?;
            }
            return Ok(late);
        }
        Ok(reason)
    }

    fn known_reason(&self) -> Option<StopReason> {
        if self.has_signal() {
            Some(StopReason::Signal)
        } else if self.parent.has_ended() {
            Some(StopReason::ManagerGone)
        } else {
            None
        }
    }

    fn has_signal(&self) -> bool {
        self.arrivals.has_more(0)
    }

    /// Waits until one of the descriptors is readable, the worker is to stop, or the time is over (none: never). The signals
    /// that stop it are let in meanwhile, even if the thread blocks them.
    ///
    /// Of several that are readable it gives the one behind that of the last time, so that none has to wait for ever.
    pub fn wait(&mut self, fds: &[RawFd], timeout: Option<Duration>) -> std::io::Result<Waited> {
        if let Some(closed) = fds.iter().position(|&fd| fd < 0) {
            return Ok(Waited::NotOpen(closed));
        }
        let blocked = mask::unblock(self.signals.iter().copied());
        let waited = self.wait_for(fds, timeout);
        if let Some(blocked) = &blocked {
            mask::restore(blocked);
        }
        if let Ok(Waited::Readable(which)) = waited {
            self.last = fds[which];
        }
        waited
    }

    fn wait_for(&mut self, fds: &[RawFd], timeout: Option<Duration>) -> std::io::Result<Waited> {
        let until = timeout.map(|timeout| clock::now().after(timeout));
        loop {
            if self.has_signal() || (!orphan::IS_TOLD && self.parent.has_ended()) {
                return Ok(Waited::Stopping);
            }
            let left = until.map(|until| until.since(clock::now()));
            let most = (!orphan::IS_TOLD).then_some(LOOK_EACH);
            let poll_fd = |&fd: &RawFd| {
                // SAFETY: it is used in this call alone, and a number that is not open makes poll(2) say so, no more.
                let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                PollFd::new(fd, PollFlags::POLLIN)
            };
            let all = [self.fd()];
            let mut polled: Vec<PollFd> = all.iter().chain(fds).map(poll_fd).collect();
            match poll_for(&mut polled, left.into_iter().chain(most).min()) {
                Ok(_) => {}
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let is_ready =
                |polled: &PollFd| polled.revents().is_some_and(|revents| !revents.is_empty());
            if is_ready(&polled[0]) {
                if self.reason()?.is_some() {
                    return Ok(Waited::Stopping);
                }
                // It may be another one now.
                continue;
            }
            let ready = &polled[1..];
            let is_closed = |polled: &PollFd| {
                polled
                    .revents()
                    .is_some_and(|revents| revents.contains(PollFlags::POLLNVAL))
            };
            if let Some(closed) = ready.iter().position(is_closed) {
                return Ok(Waited::NotOpen(closed));
            }
            let behind = fds
                .iter()
                .position(|&fd| fd == self.last)
                .map_or(0, |at| at + 1);
            let in_turn = (behind..fds.len()).chain(0..behind);
            if let Some(which) = in_turn.into_iter().find(|&which| is_ready(&ready[which])) {
                return Ok(Waited::Readable(which));
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::TimedOut);
            }
        }
    }

    /// Whether the descriptor is readable, or is not ours any more.
    fn is_readable(&self) -> bool {
        // SAFETY: as in `wait_for`.
        let all = unsafe { BorrowedFd::borrow_raw(self.fd()) };
        let mut polled = [PollFd::new(all, PollFlags::POLLIN)];
        poll_for(&mut polled, Some(Duration::ZERO)).is_ok_and(|ready| ready > 0)
    }

    /// The program has closed what it does not know, and perhaps opened files of its own under these numbers.
    #[cold]
    fn open_again(&mut self) -> std::io::Result<()> {
        let (pipe, parent, all) = open(&self.waker, self.parent.parent())?;
        self._pipe = pipe;
        self.parent = parent;
        self.all.close();
        self.all = all;
        self.show_end_of_parent();
        Ok(())
    }

    /// If the parent has ended before it was watched.
    fn show_end_of_parent(&self) {
        if self.parent.has_ended() {
            self.waker.wake();
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // What writes to the pipe goes first: its number may be somebody else's in a moment.
        self.traps.remove();
        self.all.close();
    }
}

/// No descriptor has this number.
const NONE: RawFd = -1;

/// How long a wait lasts at most where nothing tells of the parent's end.
const LOOK_EACH: Duration = Duration::from_secs(1);

fn open(waker: &Arc<Waker>, parent: Pid) -> Result<(WakePipe, ParentWatch, Inherited), Errno> {
    let mut pipe = WakePipe::new()?;
    let parent = ParentWatch::new(parent)?;
    let all = above_stdio(join(pipe.read_fd(), parent.fd())?)?.into_raw_fd();
    let all = Inherited::new(all).ok_or_else(Errno::last)?;
    waker.set(&mut pipe);
    Ok((pipe, parent, all))
}

/// A descriptor that is readable if either is.
#[cfg(target_os = "linux")]
fn join(one: RawFd, other: Option<RawFd>) -> Result<OwnedFd, Errno> {
    use std::os::fd::{AsRawFd, FromRawFd};

    // SAFETY: epoll_create1(2) takes an integer.
    let all = Errno::result(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the system has just opened it, and nobody else knows of it.
    let all = unsafe { OwnedFd::from_raw_fd(all) };
    for fd in std::iter::once(one).chain(other) {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 0,
        };
        // SAFETY: it reads a live variable.
        let added =
            unsafe { libc::epoll_ctl(all.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        Errno::result(added)?;
    }
    Ok(all)
}

/// Only the pipe is there.
#[cfg(not(target_os = "linux"))]
fn join(one: RawFd, _other: Option<RawFd>) -> Result<OwnedFd, Errno> {
    // SAFETY: it is open, and stays so meanwhile.
    let one = unsafe { BorrowedFd::borrow_raw(one) };
    one.try_clone_to_owned()
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}
