//! Facts and effects: what the kernel knows and does. It decides nothing.

/// Those that the scoreboard is made of.
mod atomics {
    pub use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};
}
pub mod children;
pub mod clock;
pub mod debug;
pub mod descriptor;
pub mod held;
pub mod huge_pages;
pub mod kill;
pub mod room;
pub mod shm;
pub mod signals;
pub mod sleep;
pub mod slots;
pub mod stdio;
pub mod wait;
