//! Memory for one thing in the page that is written to around each fork (`machine/page.rs`). It is taken by the first handle
//! of the process (`pf_t`); `children::Home` is the page.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::machine::page::ROOM;

/// The memory, and whether something is in it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Room {
    bytes: UnsafeCell<[MaybeUninit<u8>; ROOM]>,
    is_taken: AtomicBool,
}

// SAFETY: the memory is that of the one who has taken it, which one thread can.
unsafe impl Sync for Room {}

impl Default for Room {
    fn default() -> Self {
        Room {
            bytes: UnsafeCell::new([MaybeUninit::uninit(); ROOM]),
            is_taken: AtomicBool::new(false),
        }
    }
}

impl Room {
    /// Memory for a `T`, which nobody else is given until `give_back`; none if somebody has it.
    pub fn take<T>(&'static self) -> Option<NonNull<T>> {
        const { assert!(size_of::<T>() <= ROOM && align_of::<T>() <= align_of::<Room>()) }
        // What the one before has done to the memory comes before his `give_back`, and so before this.
        if self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        NonNull::new(self.bytes.get().cast())
    }

    /// Whoever took the memory has no use for it any more.
    pub fn give_back(&self) {
        self.is_taken.store(false, Ordering::Release);
    }
}
