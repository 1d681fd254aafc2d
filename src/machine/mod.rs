//! The decisions. Replies, signals, exits and the time go in; what is to be done comes out.
//!
//! No system call, no clock, no environment, no unsafe code: what this module does depends
//! on nothing but its arguments, so it can be tested against any sequence of events.

#![forbid(unsafe_code)]

mod compact;
mod deadlines;
mod excuses;
mod exits;
mod overdue;
pub mod page;
mod readiness;
mod reaping;
mod refusals;
mod said;
mod sent;
mod signals;
mod spare;
mod state;
mod timers;
mod workers;

pub use compact::Few;
pub use exits::{Cause, Exit, Reason};
pub use overdue::WorkerTimeout;
pub use said::{NoStatuses, Statuses, Times};
pub use sent::Signal;
pub use signals::Action;
pub use spare::{Counts, Spare, busy_bounds, wanted};
pub use state::{Goal, Lead, Machine, Misuse, Policy, Step};
pub use timers::{FORK_RETRY_MIN, FORK_WARNING_EVERY, Time};
pub use workers::{Line, Pid, SERIES, Serial, Worker, Workers};
