//! The thin layer under the control page: words that several processes share.
//!
//! It exists twice with the same interface: the processor's atomics, and loom's (`--cfg loom`), so
//! that what is built on it runs unchanged under every schedule.
//!
//! Invariants:
//! - Loads are relaxed, and ordered by fences: a page that is mapped for reading only promises no
//!   stronger ones.
//! - Whatever waits for another process gives up after [`Word::ATTEMPTS_MAX`] attempts.
//!
//! What it does *not* do: know what the words mean.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{self, AtomicU64},
    },
    thread,
};

pub(crate) use std::sync::atomic::Ordering;

use icecore_disk::{SHARED_PAGE_WORDS, SharedPage};

/// Words of a page: 4096 bytes.
pub(crate) const WORDS: usize = SHARED_PAGE_WORDS;

/// One word.
pub(crate) trait Word {
    /// How often something is tried that another process may be in the middle of.
    const ATTEMPTS_MAX: u32;

    /// Reads it, relaxed.
    fn load(&self) -> u64;

    /// Writes it.
    fn store(&self, value: u64, order: Ordering);

    /// Replaces `expected`; both an acquire and a release. Returns whether it did.
    fn replace(&self, expected: u64, value: u64) -> bool;

    /// Orders what comes before and what comes after.
    fn fence(order: Ordering);

    /// Waits a little after this many attempts in vain.
    fn pause(attempt: u32);
}

/// A page of them.
pub(crate) trait Page {
    /// What it is made of.
    type Word: Word;

    /// All words.
    fn words(&self) -> &[Self::Word; WORDS];
}

impl Page for Arc<dyn SharedPage> {
    type Word = AtomicU64;

    fn words(&self) -> &[AtomicU64; WORDS] {
        SharedPage::words(&**self)
    }
}

/// Attempts that only spin: a publish takes far less time. After those the processor is given away,
/// for the other process may wait for it.
const SPINS_MAX: u32 = 64;

impl Word for AtomicU64 {
    // Giving the processor away takes at least half a microsecond: some milliseconds in all.
    const ATTEMPTS_MAX: u32 = SPINS_MAX + 10_000;

    fn load(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn replace(&self, expected: u64, value: u64) -> bool {
        self.compare_exchange(expected, value, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn fence(order: Ordering) {
        atomic::fence(order);
    }

    fn pause(attempt: u32) {
        if attempt < SPINS_MAX { hint::spin_loop() } else { thread::yield_now() }
    }
}

#[cfg(loom)]
impl Word for loom::sync::atomic::AtomicU64 {
    const ATTEMPTS_MAX: u32 = 2;

    fn load(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn replace(&self, expected: u64, value: u64) -> bool {
        self.compare_exchange(expected, value, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }

    fn pause(_: u32) {
        loom::thread::yield_now();
    }
}
