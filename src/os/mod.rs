//! Facts and effects: what the kernel knows and does. It decides nothing.

pub mod arrivals;
mod before;
pub mod children;
pub mod clock;
pub mod debug;
pub mod descriptor;
mod handler;
pub mod held;
pub mod huge_pages;
pub mod kill;
mod mapping;
pub mod mask;
pub mod oom;
mod orphan;
pub mod process;
mod recorders;
pub mod room;
pub mod shm;
pub mod signals;
pub mod sleep;
pub mod slots;
pub mod stdio;
pub mod stop;
pub mod timesheet;
pub mod traps;
pub mod wait;
pub mod wake;

/// What tests of the order of steps put something else in place of.
mod atomics {
    pub use std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering,
    };
}
