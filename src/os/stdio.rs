//! C's standard streams, before a fork.

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

#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    // Each thread is a folder there, and counts as a link (proc(5)). Without /proc nobody knows.
    nix::sys::stat::stat("/proc/self/task").is_ok_and(|task| task.st_nlink <= 3)
}

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
