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
    if is_known_to_have_one_thread() && nothing_to_write() {
        // As most often; fflush(3) would write to its locks, whose page is copied for that after each fork.
    } else if is_single_threaded() {
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

#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    if glibc_knows_one_thread() {
        return true;
    }
    // Each thread is a folder there, and counts as a link (proc(5)). Without /proc nobody knows.
    nix::sys::stat::stat("/proc/self/task").is_ok_and(|task| task.st_nlink <= 3)
}

/// Whether the C library says that there is one thread. It may also say no where there was another
/// one; glibc has it from 2.32 on, other C libraries may not.
#[cfg(target_os = "linux")]
fn glibc_knows_one_thread() -> bool {
    static FLAG: AtomicPtr<c_char> = AtomicPtr::new(NOT_SOUGHT);
    let flag = sought(&FLAG, c"__libc_single_threaded");
    // SAFETY: null, or the C library's variable of that name: a char that lives as long as the
    // process, and that another thread writes to only where there is one.
    !flag.is_null() && unsafe { flag.read_volatile() } != 0
}

/// Whether the buffers of all streams are known to hold nothing that fflush(3) would write out. Only in a
/// process with one thread, as it takes no lock.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn nothing_to_write() -> bool {
    /// What comes first in a FILE of the GNU C library (struct_FILE.h), which it keeps as it is
    /// for programs that were compiled with it.
    #[repr(C)]
    struct Stream {
        flags: libc::c_int,
        buffers: [*mut c_char; 11],
        markers: *mut libc::c_void,
        next: *mut Stream,
    }
    unsafe extern "C" {
        fn __fpending(stream: *mut Stream) -> usize;
    }
    static STREAMS: AtomicPtr<c_char> = AtomicPtr::new(NOT_SOUGHT);
    let streams: *mut *mut Stream = sought(&STREAMS, c"_IO_list_all").cast();
    if streams.is_null() {
        return false;
    }
    // SAFETY: it is the C library's variable of that name, the head of the list of all streams that are
    // open. No other thread opens or closes one, and handlers of signals may not; __fpending reads only.
    unsafe {
        let mut stream = *streams;
        while !stream.is_null() {
            if __fpending(stream) != 0 {
                return false;
            }
            stream = (*stream).next;
        }
    }
    true
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn nothing_to_write() -> bool {
    false
}

/// The C library's variable of that name, looked for once; null if it has none.
#[cfg(target_os = "linux")]
fn sought(found: &AtomicPtr<c_char>, name: &std::ffi::CStr) -> *mut c_char {
    let mut variable = found.load(Ordering::Relaxed);
    if variable == NOT_SOUGHT {
        // SAFETY: the name ends with NUL.
        variable = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast();
        found.store(variable, Ordering::Relaxed);
    }
    variable
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
