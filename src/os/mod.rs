//! Facts and effects: what the kernel knows and does. It decides nothing.

pub mod arrivals;
pub mod children;
pub mod clock;
pub mod debug;
pub mod descriptor;
pub mod held;
pub mod huge_pages;
pub mod kill;
pub mod process;
pub mod room;
pub mod shm;
pub mod signals;
pub mod sleep;
pub mod slots;
pub mod stdio;
pub mod wait;

/// What tests of the order of steps put something else in place of.
mod atomics {
    pub use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
}
