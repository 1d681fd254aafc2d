//! Sending signals to our own children, and to nobody else.
//!
//! The kernel is asked first whether the pid is an unreaped child of this process. So a number that the kernel has given to
//! a stranger is never hit, even if somebody else has reaped the worker unnoticed.

use nix::errno::Errno;

use super::wait;
use crate::machine::{Pid, Signal};

/// Sends a signal to a child of this process; a negative signal goes to the process group
/// that the child leads. Returns whether it was sent: not if the process is no
/// child of ours, so that a number that the kernel has given to a stranger is never hit.
///
/// # Errors
/// EINVAL for a signal that does not exist, EPERM for a child that has changed its user.
pub fn signal_child(pid: Pid, signal: Signal) -> Result<bool, Errno> {
    if pid <= 0 || !wait::is_child(pid) {
        return Ok(false);
    }
    let target = if signal < 0 { -pid } else { pid };
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    let result = unsafe { libc::kill(target, signal.saturating_abs()) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}
