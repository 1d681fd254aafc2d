//! The page that is written to around each fork.
//!
//! After a fork, manager and worker copy each page that they write to. So all that changes at each fork lies in this one
//! page, as far as it fits (`children::Home` is the page, and `Room` is the memory in it that one other may take). In it are
//!
//! - whose child is whose, for up to 128 children (`os/children.rs`);
//! - the first handle of the process (`pf_t`), with the table of up to 16 workers and the order by pid of up to 128;
//! - what the host of that handle keeps there (`pf_host_room`): the Perl front's `host_t`.
//!
//! To replace one of a hundred workers writes to one more page, that of its place in the table. Beyond 128 workers there
//! are trees, with pages of their own.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much there is: a page, without what `children` has in it.
const SIZE: usize = 3328;

/// The memory, and whether something is in it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Room {
    bytes: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    is_taken: AtomicBool,
}

// SAFETY: the memory is that of the one who has taken it, which one thread can.
unsafe impl Sync for Room {}

impl Default for Room {
    fn default() -> Self {
        Room {
            bytes: UnsafeCell::new([MaybeUninit::uninit(); SIZE]),
            is_taken: AtomicBool::new(false),
        }
    }
}

impl Room {
    /// Memory for a `T`, which nobody else is given until `give_back`; none if somebody has it.
    pub fn take<T>(&'static self) -> Option<NonNull<T>> {
        const { assert!(size_of::<T>() <= SIZE && align_of::<T>() <= align_of::<Room>()) }
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
