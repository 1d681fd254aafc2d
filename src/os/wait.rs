//! Reaping: wait4(2) and waitid(2), without waiting.
//!
//! A wait for any child leaves out children that clone(2) has made with another exit signal than SIGCHLD: they are
//! **silent** here. A wait for one pid finds them too (`__WALL`). Silent children of other code stay with that code; silent
//! workers are looked for by their pids.

use nix::errno::Errno;

use crate::machine::Pid;

/// A child that has been reaped; this was its one notice.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Its process id.
    pub pid: Pid,
    /// Its raw status, as WIFEXITED and its kin take it.
    pub status: i32,
    /// What it has used.
    pub rusage: libc::rusage,
}

/// What wait4(2) had to say.
#[derive(Debug)]
pub enum Reaped {
    /// A child has ended.
    Child(Child),
    /// There are children, and none has ended.
    NoneEnded,
    /// Traced children have told of stops, again and again, and whether one has ended is not known.
    OnlyStops,
    /// There are no children.
    NoChildren,
}

/// Reaps one child that has ended, any of them, without waiting. The kernel walks all
/// children to find it, so this is not for every turn of a loop. It leaves out silent children (`Standing::Silent`),
/// which other code may have made for itself.
pub fn reap_any() -> Reaped {
    reap(-1, 0)
}

/// Reaps this child if it has ended, of either kind. The kernel finds it by its number.
pub fn reap_one(pid: Pid) -> Reaped {
    reap(pid, OF_EITHER_KIND)
}

/// The option that makes a wait look at silent children too.
#[cfg(any(target_os = "linux", target_os = "android"))]
const OF_EITHER_KIND: i32 = libc::__WALL;

/// Elsewhere there is one kind.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const OF_EITHER_KIND: i32 = 0;

/// Reaps one of these children, if one has ended, and leaves all others to whoever waits for
/// them.
pub fn reap_of(pids: &[Pid]) -> Reaped {
    // Most often the first one that has something to tell has ended and is one of them, and no other need be
    // looked at.
    match telling_child() {
        Ok(None) => return Reaped::NoneEnded,
        Ok(Some(pid)) if pids.contains(&pid) => {
            if let Reaped::Child(child) = reap_one(pid) {
                return Reaped::Child(child);
            }
        }
        // There may be silent ones. Another error than ECHILD says nothing of children: the system may refuse
        // waitid(2), by a filter.
        Ok(Some(_)) | Err(_) => {}
    }
    let mut found = Reaped::NoChildren;
    for &pid in pids {
        match reap_one(pid) {
            reaped @ Reaped::Child(_) => return reaped,
            Reaped::OnlyStops => found = Reaped::OnlyStops,
            Reaped::NoneEnded if matches!(found, Reaped::NoChildren) => {
                found = Reaped::NoneEnded;
            }
            Reaped::NoneEnded | Reaped::NoChildren => {}
        }
    }
    found
}

/// So many stops are passed over in one look: another thread that lets a traced child go on after each of
/// them would keep us here.
const STOPS_AT_MOST: usize = 100;

fn reap(pid: Pid, options: i32) -> Reaped {
    let options = libc::WNOHANG | options;
    let mut status = 0;
    let mut rusage = no_rusage();
    let mut stops = 0;
    while stops < STOPS_AT_MOST {
        // SAFETY: both pointers are to live variables of the types that wait4(2) fills.
        let pid = unsafe { libc::wait4(pid, &raw mut status, options, &raw mut rusage) };
        match Errno::result(pid) {
            Ok(0) => return Reaped::NoneEnded,
            // Of a child that this process traces wait4(2) tells the stops too, whether it is asked to or not: each
            // of them once.
            Ok(_) if !is_end(status) => stops += 1,
            Ok(pid) => {
                return Reaped::Child(Child {
                    pid,
                    status,
                    rusage,
                });
            }
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Reaped::NoChildren,
            Err(_) => return Reaped::NoneEnded,
        }
    }
    Reaped::OnlyStops
}

/// Whether a raw status is that of a child that has ended, and not of one that was stopped or goes on.
fn is_end(status: i32) -> bool {
    libc::WIFEXITED(status) || libc::WIFSIGNALED(status)
}

/// Whether a raw status is that of a child that was stopped or goes on: it is there.
pub fn is_of_living(status: i32) -> bool {
    libc::WIFSTOPPED(status) || libc::WIFCONTINUED(status)
}

/// The exit status in the raw status of a child that has exited.
pub fn exit_code(status: i32) -> i32 {
    libc::WEXITSTATUS(status)
}

/// Whether a child was killed, and its memory is in a file now.
pub fn has_dumped_core(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WCOREDUMP(status)
}

/// What a process is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No child, or one that has been reaped.
    Stranger,
    /// A child that has not been reaped.
    Child,
    /// One whose end no SIGCHLD tells of, as clone(2) makes them with another exit signal or none. A wait for any
    /// child does not see it.
    Silent {
        /// Whether it is to be reaped.
        has_ended: bool,
    },
}

/// What the process is to this one.
pub fn standing(pid: Pid) -> Standing {
    let Ok(id) = libc::id_t::try_from(pid) else {
        return Standing::Stranger;
    };
    if !matches!(look(libc::P_PID, id, 0), Err(Errno::ECHILD)) {
        return Standing::Child;
    }
    // Before Linux 4.7, and on some that stand in for it, waitid(2) does not know the option, and says EINVAL.
    match look(libc::P_PID, id, OF_EITHER_KIND) {
        Ok(info) => Standing::Silent {
            // SAFETY: waitid(2) fills this member in, and leaves it 0 if the child has nothing to tell.
            has_ended: unsafe { info.si_pid() } != 0,
        },
        Err(_) => Standing::Stranger,
    }
}

/// Whether the process is a child of ours that has not been reaped.
pub fn is_child(pid: Pid) -> bool {
    standing(pid) != Standing::Stranger
}

/// A child that has ended or, if this process traces it, has stopped, and stays as it is; an error if there are
/// no children.
fn telling_child() -> Result<Option<Pid>, Errno> {
    let info = look(libc::P_ALL, 0, 0)?;
    // SAFETY: waitid(2) fills these members in, and leaves them 0 if nobody has something to tell.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then_some(pid))
}

fn look(which: libc::idtype_t, id: libc::id_t, options: i32) -> Result<libc::siginfo_t, Errno> {
    // SAFETY: all-zero bytes are a valid siginfo_t, which is plain data.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | options;
    // SAFETY: the pointer is to a live siginfo_t; WNOWAIT leaves the child as it is.
    let result = unsafe { libc::waitid(which, id, &raw mut info, options) };
    Errno::result(result)?;
    Ok(info)
}

/// A resource usage of nothing.
pub fn no_rusage() -> libc::rusage {
    // SAFETY: all-zero bytes are a valid rusage, which is plain numbers.
    unsafe { std::mem::zeroed() }
}
