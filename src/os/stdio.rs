//! C's standard streams, before a fork.

#[cfg(target_os = "linux")]
use std::{
    ffi::c_char,
    sync::atomic::{AtomicPtr, Ordering},
};

/// Writes out what is in the buffers of stdio, which a fork would double.
///
/// fflush(3) waits for the lock of each stream, and a thread that reads from one holds its lock
/// until there is input. So in a process with other threads only stdout and stderr are written
/// out, each if no thread holds it.
pub fn flush() {
    if is_single_threaded() {
        // SAFETY: null stands for all streams (fflush(3)).
        unsafe { libc::fflush(std::ptr::null_mut()) };
    } else {
        flush_unheld();
    }
}

/// Whether this process is known to have one thread, without a system call.
#[cfg(target_os = "linux")]
pub fn is_known_to_have_one_thread() -> bool {
    glibc_knows_one_thread()
}

/// Nobody knows.
#[cfg(not(target_os = "linux"))]
pub fn is_known_to_have_one_thread() -> bool {
    false
}

/// Whether this process has one thread, by a system call: where it had another one before, or the C library
/// does not tell. False if nobody knows.
#[cfg(target_os = "linux")]
pub fn has_one_thread() -> bool {
    proc_knows_one_thread()
}

/// Nobody knows.
#[cfg(not(target_os = "linux"))]
pub fn has_one_thread() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    glibc_knows_one_thread() || proc_knows_one_thread()
}

/// Each thread is a folder there, and counts as a link (proc(5)). Without /proc nobody knows.
#[cfg(target_os = "linux")]
#[inline(never)] // It has a page of stack for the path, which the caller should not have each time.
fn proc_knows_one_thread() -> bool {
    nix::sys::stat::stat("/proc/self/task").is_ok_and(|task| task.st_nlink <= 3)
}

/// Whether the C library says that there is one thread. It may also say no where there was another
/// one; glibc has it from 2.32 on, other C libraries may not.
#[cfg(target_os = "linux")]
fn glibc_knows_one_thread() -> bool {
    static FLAG: AtomicPtr<c_char> = AtomicPtr::new(NOT_SOUGHT);
    // Every thread that seeks finds the same, and nothing else comes with it.
    let mut flag = FLAG.load(Ordering::Relaxed);
    if flag == NOT_SOUGHT {
        // SAFETY: the name ends with NUL.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
        flag = found.cast();
        FLAG.store(flag, Ordering::Relaxed);
    }
    // SAFETY: null, or the C library's variable of that name: a char that lives as long as the
    // process, and that another thread writes to only where there is one.
    !flag.is_null() && unsafe { flag.read_volatile() } != 0
}

#[cfg(target_os = "linux")]
const NOT_SOUGHT: *mut c_char = std::ptr::without_provenance_mut(usize::MAX);

#[cfg(target_os = "linux")]
fn flush_unheld() {
    unsafe extern "C" {
        static stdout: *mut libc::FILE;
        static stderr: *mut libc::FILE;
        fn ftrylockfile(stream: *mut libc::FILE) -> libc::c_int;
        fn funlockfile(stream: *mut libc::FILE);
    }
    // SAFETY: the C library sets both before main, and a program may store only other streams;
    // a stream is unlocked only where it was locked (flockfile(3)).
    unsafe {
        for stream in [stdout, stderr] {
            if !stream.is_null() && ftrylockfile(stream) == 0 {
                libc::fflush(stream);
                funlockfile(stream);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn is_single_threaded() -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
fn flush_unheld() {}
