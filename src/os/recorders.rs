//! Who wants to hear of a signal: a list that handlers walk at any moment, and that managers enter and leave.
//!
//! Nobody waits for a handler here. A handler may be interrupted for as long as it likes. A fork by another thread leaves
//! the child a copy of a handler in the middle of its work, with which nobody goes on.
//!
//! So a handler raises the count of an entry, and then looks whether the entry still has an owner. Whoever takes the entry
//! away clears the owner, and then looks at the count. One of the two sees the other. An entry with a count is not filled
//! anew, and that is all: it stays in the list, and the next manager takes another one. In a child such an entry may stay
//! out of use for good.
//!
//! Entries are never freed, as a handler may be on its way along the list. `tests/recorders.rs` compiles this file too, with
//! other modules in the place of `atomics`, and tries many orders of its steps.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use super::atomics::{AtomicBool, AtomicPtr, AtomicU64, Ordering::SeqCst};

/// The list for one signal.
pub struct Recorders<T: 'static> {
    first: AtomicPtr<Entry<T>>,
}

struct Entry<T: 'static> {
    /// Which hold has it, by its number; 0: none.
    holder: AtomicU64,
    /// The number of the last hold.
    last: AtomicU64,
    /// Handlers that may be reading `value`.
    readers: AtomicU64,
    /// Whether there is a value to drop. A fork that comes in the middle of a change leaves it false in the child.
    is_full: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
    next: Option<&'static Entry<T>>,
}

// SAFETY: the value is read through shared references only, and written to by one thread at a time (`Recorders::hold`),
// when nobody reads it.
unsafe impl<T: Send + Sync> Sync for Entry<T> {}

/// An entry that somebody has, until `release`.
pub struct Hold<T: 'static> {
    entry: &'static Entry<T>,
    number: u64,
}

impl<T> Recorders<T> {
    /// An empty list.
    pub const fn new() -> Recorders<T> {
        Recorders {
            first: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Tells each that has an entry now. Async-signal-safe if `tell` is; that must return.
    pub fn tell(&self, mut tell: impl FnMut(&T)) {
        for entry in self.entries() {
            // Most have nobody, and their page need not be written to.
            if entry.holder.load(SeqCst) == 0 {
                continue;
            }
            entry.readers.fetch_add(1, SeqCst);
            if entry.holder.load(SeqCst) != 0 {
                // SAFETY: it was filled before there was a holder, and is neither dropped nor filled anew before our count
                // is gone.
                tell(unsafe { (*entry.value.get()).assume_init_ref() });
            }
            entry.readers.fetch_sub(1, SeqCst);
        }
    }

    /// Whether anybody has an entry.
    pub fn is_held(&self) -> bool {
        self.entries().any(|entry| entry.holder.load(SeqCst) != 0)
    }

    /// From now on `value` is told.
    ///
    /// # Safety
    /// No other thread of this process calls this, `release` or `abandon` on this list meanwhile.
    pub unsafe fn hold(&self, value: T) -> Hold<T> {
        let is_free = |entry: &&'static Entry<T>| {
            entry.holder.load(SeqCst) == 0 && entry.readers.load(SeqCst) == 0
        };
        let entry = self.entries().find(is_free).unwrap_or_else(|| self.add());
        // SAFETY: nobody has it and nobody reads it; who comes later finds no holder. Nobody else fills it, as promised.
        unsafe {
            entry.empty();
            (*entry.value.get()).write(value);
        }
        entry.is_full.store(true, SeqCst);
        let number = entry.last.load(SeqCst) + 1;
        entry.last.store(number, SeqCst);
        entry.holder.store(number, SeqCst);
        Hold { entry, number }
    }

    /// From now on it is not told any more, but for handlers that are in the middle of it. Returns false if it was abandoned
    /// before.
    ///
    /// # Safety
    /// As `hold`; and it is a hold of this list.
    pub unsafe fn release(&self, hold: &Hold<T>) -> bool {
        let is_held = hold.entry.holder.load(SeqCst) == hold.number;
        if is_held {
            // SAFETY: promised by our caller.
            unsafe { hold.entry.end() };
        }
        is_held
    }

    /// Releases all.
    ///
    /// # Safety
    /// As `hold`.
    pub unsafe fn abandon(&self) {
        for entry in self.entries() {
            if entry.holder.load(SeqCst) != 0 {
                // SAFETY: promised by our caller.
                unsafe { entry.end() };
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = &'static Entry<T>> {
        // SAFETY: null, or an entry, none of which is ever freed.
        let first = unsafe { self.first.load(SeqCst).as_ref() };
        std::iter::successors(first, |entry| entry.next)
    }

    fn add(&self) -> &'static Entry<T> {
        // SAFETY: as in `entries`.
        let next = unsafe { self.first.load(SeqCst).as_ref() };
        let entry: *mut Entry<T> = Box::into_raw(Box::new(Entry {
            holder: AtomicU64::new(0),
            last: AtomicU64::new(0),
            readers: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            next,
        }));
        self.first.store(entry, SeqCst);
        // SAFETY: it is there for good.
        unsafe { &*entry }
    }
}

impl<T> Entry<T> {
    /// # Safety
    /// As `Recorders::hold`.
    unsafe fn end(&self) {
        self.holder.store(0, SeqCst);
        if self.readers.load(SeqCst) == 0 {
            // SAFETY: nobody reads it, and who comes later finds no holder.
            unsafe { self.empty() };
        }
    }

    /// # Safety
    /// Nobody has it or reads it, and `Recorders::hold`'s promise.
    unsafe fn empty(&self) {
        if self.is_full.swap(false, SeqCst) {
            // SAFETY: it was filled, and not dropped since.
            unsafe { (*self.value.get()).assume_init_drop() };
        }
    }
}
