//! Why a call could not do its work.

use nix::errno::Errno;

use crate::machine::Misuse;

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// An argument is not of the form or in the range that the call takes.
    InvalidArgument,
    /// The call does not fit what went before it.
    WrongState,
    /// The call is the manager's and this is a worker, or the other way round.
    WrongProcess,
    /// A system call failed.
    System,
}

/// A failure: its kind, and what there is to say, with the name and the value that are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// One line for people.
    pub message: String,
}

impl Failure {
    pub(crate) fn invalid(message: String) -> Failure {
        Failure {
            kind: FailureKind::InvalidArgument,
            message,
        }
    }

    pub(crate) fn wrong_state(message: &str) -> Failure {
        Failure {
            kind: FailureKind::WrongState,
            message: message.into(),
        }
    }

    pub(crate) fn wrong_process(message: &str) -> Failure {
        Failure {
            kind: FailureKind::WrongProcess,
            message: message.into(),
        }
    }

    pub(crate) fn system(what: &str, why: impl std::fmt::Display) -> Failure {
        Failure {
            kind: FailureKind::System,
            message: format!("{what}: {why}"),
        }
    }

    pub(crate) fn errno(what: &str, errno: Errno) -> Failure {
        Failure::system(what, errno.desc())
    }

    pub(crate) fn not_the_manager() -> Failure {
        Failure::wrong_process("this is the manager's call, and this process is not the manager")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Failure {
        match misuse {
            Misuse::Unanswered => Failure::wrong_state(
                "the last FORK event is not answered: call pf_forked or pf_fork_failed first",
            ),
            Misuse::NotAsked => Failure::wrong_state("no FORK event is waiting for an answer"),
            Misuse::InWorker => Failure::not_the_manager(),
        }
    }
}
