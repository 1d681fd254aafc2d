//! Processes: which one this is, how another one is made, how one ends.
//!
//! A pid does not tell whether something was made in this process, or in one that has forked it. A worker that is the first
//! process of a PID namespace has pid 1 there, and its manager may have pid 1 in the namespace outside.
//!
//! So there is a page that each fork gives to the child full of zeros (MADV_WIPEONFORK), even a fork by raw clone(2). A
//! process writes a number into it, and finds it as long as it is the same process. This takes no system call where
//! getpid(2) was one, and costs each fork one more mapping to copy.
//!
//! Before Linux 4.14 there is no such page. There pthread_atfork(3) clears a number in the child, and pids are compared as
//! well. Known gap there: a child of raw clone(2) that has its parent's pid, both as PID 1, takes itself for the parent.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::machine::{Pid, Signal};

pub use nix::errno::Errno;

/// A process, and none that it has forked, or that has its number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// A number that no process has which this one descends from.
    life: u64,
    pid: Pid,
}

impl Process {
    /// This process.
    pub fn this() -> Process {
        let pid = nix::unistd::getpid().as_raw();
        let life = match page() {
            Some(page) if is_stand_in(page) => stand_in::life(page, pid),
            Some(page) => life_in(page),
            None => u64::from(pid.unsigned_abs()),
        };
        Process { life, pid }
    }

    /// Its number here, which is never 0.
    pub fn life(self) -> u64 {
        self.life
    }

    /// Where this process, and no other, finds its number as long as it lives; none where the system has no such place.
    pub fn life_of_this() -> Option<&'static AtomicU64> {
        known_page()
    }

    /// A word that is this process's alone, next to that number: each fork gives the child a 0 there. None where the system
    /// has no such place.
    #[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
    pub fn own_word() -> Option<&'static AtomicU64> {
        let page = known_page().filter(|&page| !is_stand_in(page))?;
        // SAFETY: it is in the page, which stays mapped, and is only used as this.
        Some(unsafe { &*std::ptr::from_ref(page).add(1) })
    }

    /// The number that it has for itself.
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// None that is there.
    #[cfg(test)]
    pub(super) fn another() -> Process {
        Process {
            life: u64::MAX,
            pid: 0,
        }
    }

    /// Whether it is this process. Where the system can, without a system call. Async-signal-safe.
    pub fn is_this(self) -> bool {
        match known_page() {
            Some(page) => {
                page.load(Ordering::Relaxed) == self.life
                    && (!is_stand_in(page) || self.has_its_pid())
            }
            None => self.has_its_pid(),
        }
    }

    /// The same for signal handlers: a child of vfork(2) has the memory of this process, and is another one.
    pub fn is_this_and_no_vfork(self) -> bool {
        self.is_this() && self.has_its_pid()
    }

    fn has_its_pid(self) -> bool {
        nix::unistd::getpid().as_raw() == self.pid
    }
}

/// A page that each fork gives to the child full of zeros (madvise(2), MADV_WIPEONFORK), be it by fork(3) or by
/// clone(2): what a process has written there is its own. Null: it was not made yet.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// There is no such page, nor what stands in for it, and pids have to do.
const NONE: *mut AtomicU64 = std::ptr::without_provenance_mut(usize::MAX);

fn page() -> Option<&'static AtomicU64> {
    if PAGE.load(Ordering::Acquire).is_null() {
        let page = make_page()
            .or_else(stand_in::get)
            .map_or(NONE, NonNull::as_ptr);
        let stored = PAGE.compare_exchange(
            std::ptr::null_mut(),
            page,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if let (Err(_), Some(page)) = (
            stored,
            NonNull::new(page).filter(|&page| page.as_ptr() != NONE && !is_stand_in(page.as_ptr())),
        ) {
            unmap(page);
        }
    }
    known_page()
}

#[inline(always)]
fn is_stand_in(page: *const AtomicU64) -> bool {
    std::ptr::eq(page, &raw const stand_in::NUMBER)
}

/// What stands in for the page where the system has none: a number that fork(3) clears in the child. A child of
/// clone(2) keeps it, and is known by its pid; not if that is the same, in a PID namespace of its own.
mod stand_in {
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::machine::Pid;

    pub static NUMBER: AtomicU64 = AtomicU64::new(0);

    /// None if the system does not let us clear it.
    #[cold]
    pub fn get() -> Option<NonNull<AtomicU64>> {
        // SAFETY: it is declared as POSIX says, and takes no pointers but those to functions.
        unsafe extern "C" {
            safe fn pthread_atfork(
                prepare: Option<extern "C" fn()>,
                parent: Option<extern "C" fn()>,
                child: Option<extern "C" fn()>,
            ) -> i32;
        }
        extern "C" fn clear() {
            NUMBER.store(0, Ordering::Relaxed);
        }
        // The library stays in memory when it is closed, and so does the function.
        (pthread_atfork(None, None, Some(clear)) == 0).then(|| NonNull::from(&NUMBER))
    }

    /// The number of this process, which has that pid. The pid is half of it: so one step both finds that it is a parent's
    /// and puts another in its place.
    pub fn life(number: &AtomicU64, pid: Pid) -> u64 {
        let life = number.load(Ordering::Relaxed);
        let pid = u64::from(pid.unsigned_abs());
        if life != 0 && life & 0xffff_ffff == pid {
            return life;
        }
        super::next_life(number, life, |count| (count << 32) | pid)
    }
}

#[inline(always)]
fn known_page() -> Option<&'static AtomicU64> {
    let page = PAGE.load(Ordering::Acquire);
    if page == NONE {
        return None;
    }
    // SAFETY: null, or a page of zeros at first that stays mapped, and is only used as this.
    unsafe { page.as_ref() }
}

/// The number of this process.
fn life_in(page: &AtomicU64) -> u64 {
    // In a child that has no number yet this page is not there: to read it first, and then to write to it, would be two page
    // faults.
    match page.fetch_or(0, Ordering::Relaxed) {
        0 => next_life(page, 0, |count| count),
        life => life,
    }
}

/// Takes a number, made of a count, where `before` stands. A fork copies the last count, so that a child takes a higher one
/// than any of those that it descends from. If another thread has taken one meanwhile, that is it.
fn next_life(page: &AtomicU64, before: u64, make: impl FnOnce(u64) -> u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let next = make(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    match page.compare_exchange(before, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(life) => life,
    }
}

#[cfg(target_os = "linux")]
const SIZE: usize = 4096;

#[cfg(target_os = "linux")]
fn make_page() -> Option<NonNull<AtomicU64>> {
    /// No advice has this number. What takes it (an emulator, say) does nothing with any.
    const NO_ADVICE: i32 = -1;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: without an address of ours, mmap(2) gives us fresh address space or fails.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let page = NonNull::new(start.cast())?;
    // SAFETY: exactly what mmap(2) gave us, in which there is nothing yet.
    let is_wiped = unsafe {
        libc::madvise(start, SIZE, NO_ADVICE) != 0
            && libc::madvise(start, SIZE, libc::MADV_WIPEONFORK) == 0
    };
    if is_wiped {
        return Some(page);
    }
    unmap(page);
    None
}

#[cfg(target_os = "linux")]
fn unmap(page: NonNull<AtomicU64>) {
    // SAFETY: exactly what `make_page` gave, which nobody uses.
    unsafe { libc::munmap(page.as_ptr().cast(), SIZE) };
}

#[cfg(not(target_os = "linux"))]
fn make_page() -> Option<NonNull<AtomicU64>> {
    None
}

#[cfg(not(target_os = "linux"))]
fn unmap(_page: NonNull<AtomicU64>) {}

/// The number of this process.
pub fn pid() -> Pid {
    nix::unistd::getpid().as_raw()
}

/// The number of the process that this one is a child of; 0 if that is in another PID namespace, where nobody here can see it.
/// Async-signal-safe.
pub fn parent() -> Pid {
    nix::unistd::getppid().as_raw()
}

/// Whether this is the thread that the process began with. Async-signal-safe.
pub fn is_first_thread() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: gettid(2) cannot fail and touches nothing.
        unsafe { libc::gettid() == libc::getpid() }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        true
    }
}

/// Whether the system can do what comes next.
pub const HAS_PARENT_DEATH_SIGNAL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// From now on the system sends this process the signal (0: none) when the thread that has forked it ends. It forgets that
/// when the process changes its user, or executes a program that is set-user-ID (PR_SET_PDEATHSIG in prctl(2)).
/// Async-signal-safe.
///
/// # Errors
/// EINVAL if there is no such signal; ENOSYS where the system knows nothing like this.
pub fn set_parent_death_signal(signal: Signal) -> Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let number = libc::c_ulong::from(signal.unsigned_abs());
        // SAFETY: this option takes a number.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, number) }).map(drop)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = signal;
        Err(Errno::ENOSYS)
    }
}

/// Which signal that is; 0: none, or none any more.
///
/// # Errors
/// ENOSYS where the system knows nothing like this.
pub fn parent_death_signal() -> Result<Signal, Errno> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut signal: libc::c_int = 0;
        // SAFETY: this option writes to a live int.
        let result = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
        Errno::result(result).map(|_| signal)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        Err(Errno::ENOSYS)
    }
}

/// Sends this process a signal.
pub fn signal_this(signal: Signal) {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Makes a process (fork(3)): its number, and 0 in the new one.
///
/// # Errors
/// There is no memory, no number, or no room under a limit (fork(2)).
///
/// # Safety
/// Where the process has several threads, the new one calls what is async-signal-safe only, as far as it does not
/// know more of the others (POSIX).
pub unsafe fn fork() -> Result<Pid, Errno> {
    // SAFETY: promised by our caller.
    Errno::result(unsafe { libc::fork() })
}

/// Ends the process as at the end of main (exit(3)).
#[inline(always)] // Each worker comes here, and code elsewhere is one more page fault.
pub fn exit(status: i32) -> ! {
    // SAFETY: exit(3) may be called once, from one thread: the one that has the manager.
    unsafe { libc::exit(status) }
}

/// Ends the process, and flushes and calls nothing (_exit(2)).
pub fn exit_at_once(status: i32) -> ! {
    // SAFETY: _exit(2) does not touch memory.
    unsafe { libc::_exit(status) }
}

/// Whether a debugger has hold of this process (TracerPid in /proc/PID/status); false where nobody tells.
pub fn is_traced(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    /// Whether this is so in a child.
    fn in_child(what: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child makes system calls and ends.
        match unsafe { fork() }.unwrap() {
            // SAFETY: as above.
            ForkResult::Child => unsafe { libc::_exit(i32::from(what())) },
            ForkResult::Parent { child } => {
                matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 1)))
            }
        }
    }

    #[test]
    fn a_child_is_another_process_and_so_is_its_child() {
        let this = Process::this();
        assert!(this.is_this() && this.is_this_and_no_vfork());
        assert_eq!(this, Process::this());
        assert!(in_child(|| {
            let child = Process::this();
            !this.is_this()
                && child.is_this()
                && child != this
                && in_child(|| !this.is_this() && !child.is_this() && Process::this() != this)
        }));
        assert!(this.is_this());
    }
}
