//! Reaping.

use nix::errno::Errno;

use crate::machine::Pid;

/// What wait4(2) had to say.
#[derive(Debug)]
pub enum Reaped {
    /// A child has exited, and this was its one notice.
    Child {
        /// Its process id.
        pid: Pid,
        /// Its raw status, as WIFEXITED and its kin take it.
        status: i32,
        /// What it has used.
        rusage: libc::rusage,
    },
    /// There are children, and none has exited.
    NoneExited,
    /// There are no children.
    NoChildren,
}

/// Reaps one child that has exited, any of them, without waiting. The kernel walks all
/// children to find it, so this is not for every turn of a loop.
pub fn reap_any() -> Reaped {
    let mut status = 0;
    let mut rusage = no_rusage();
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4(2) fills.
        let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut rusage) };
        match Errno::result(pid) {
            Ok(0) => return Reaped::NoneExited,
            Ok(pid) => {
                return Reaped::Child {
                    pid,
                    status,
                    rusage,
                };
            }
            Err(Errno::EINTR) => {}
            Err(_) => return Reaped::NoChildren,
        }
    }
}

/// Whether the process is a child of ours that has not been reaped.
pub fn is_child(pid: Pid) -> bool {
    let Ok(id) = libc::id_t::try_from(pid) else {
        return false;
    };
    // SAFETY: all-zero bytes are a valid siginfo_t, which is plain data.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a live siginfo_t; WNOWAIT leaves the child as it is.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) };
    !matches!(Errno::result(result), Err(Errno::ECHILD))
}

/// A resource usage of nothing.
pub fn no_rusage() -> libc::rusage {
    // SAFETY: all-zero bytes are a valid rusage, which is plain numbers.
    unsafe { std::mem::zeroed() }
}
