//! A fragment in the hands of a consumer, and the count of what is in such hands.
//!
//! Invariants:
//! - The last clone dropped releases. Whatever the order, the progress published is the lowest
//!   sequence that is not released.
//! - The counts belong to one thread, the one that took first; a consumer or a producer with held
//!   fragments that was moved to another thread afterwards panics when it touches them.
//!
//! What it does *not* do: check descriptors; the consumer has.

use std::{
    cell::Cell,
    slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::shape::{Descriptor, Mark, PROGRESS_SEQUENCE, PROGRESS_STREAM};
use crate::{
    bell::Bell,
    layer::{Region, Words},
};

/// A fragment of a link: what the producer said of it, and its bytes where they lie.
///
/// It is released when its last clone is dropped, and may be kept for as long as needed: the
/// producer waits once its memory or its ring is full.
#[derive(Debug)]
pub struct Fragment {
    holds: Arc<Holds>,
    descriptor: Descriptor,
}

impl Fragment {
    /// Its number on its link, from 0.
    pub fn sequence(&self) -> u64 {
        self.descriptor.sequence
    }

    /// Position of its first byte in the link's stream of bytes.
    pub fn stream_offset(&self) -> u64 {
        self.descriptor.stream_offset
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.descriptor.bytes as usize
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the producer says of it.
    pub fn mark(&self) -> Mark {
        self.descriptor.mark
    }

    /// Its bytes, where they lie. Panics on a foreign link: use [`Fragment::copy_to`] there.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        assert!(
            !self.holds.foreign,
            "another process can write this link's bytes meanwhile: copy them first"
        );
        let address = self.holds.memory.readable(self.place(), self.len());
        // SAFETY: the region checked the bounds. Only the producer writes there, which is in this
        // process and waits until this fragment is released; what it wrote before, the acquire that
        // took this fragment has made visible.
        unsafe { slice::from_raw_parts(address, self.len()) }
    }

    /// Copies its bytes from `from` on, as many as `into` takes; panics if there are fewer. What a
    /// foreign process writes meanwhile may arrive or not, but does not change afterwards.
    pub fn copy_to(&self, from: usize, into: &mut [u8]) {
        assert!(
            from.checked_add(into.len()).is_some_and(|end| end <= self.len()),
            "{} bytes from {from} on of a fragment of {}",
            into.len(),
            self.len()
        );
        if self.holds.foreign {
            self.holds.memory.copy_shared(self.place() + from, into);
        } else {
            into.copy_from_slice(&self.bytes()[from..from + into.len()]);
        }
    }

    pub(super) fn new(holds: &Arc<Holds>, slot: usize, descriptor: Descriptor) -> Self {
        holds.counts[slot].set(1);
        holds.ends[slot].set(descriptor.stream_offset.wrapping_add(u64::from(descriptor.bytes)));
        Self { holds: holds.clone(), descriptor }
    }

    /// Where its bytes lie, from the start of the workspace.
    pub(super) fn place(&self) -> usize {
        self.descriptor.place as usize
    }

    pub(super) fn memory(&self) -> &Region {
        &self.holds.memory
    }
}

impl Clone for Fragment {
    fn clone(&self) -> Self {
        self.holds.stay_on_thread();
        let count = self.holds.count(self.descriptor.sequence);
        count.set(count.get().checked_add(1).expect("fewer than 2^32 clones of a fragment"));
        Self { holds: self.holds.clone(), descriptor: self.descriptor }
    }
}

impl Drop for Fragment {
    #[inline]
    fn drop(&mut self) {
        self.holds.stay_on_thread();
        let count = self.holds.count(self.descriptor.sequence);
        count.set(count.get() - 1);
        if count.get() == 0 && self.descriptor.sequence == self.holds.released.get() {
            self.holds.release();
        }
    }
}

/// What a consumer has taken and not released. It outlives the consumer while there is any.
#[derive(Debug)]
pub(super) struct Holds {
    /// The thread that takes; 0 before the first time.
    thread: AtomicUsize,
    /// Clones alive of each fragment taken, by slot.
    counts: Box<[Cell<u32>]>,
    /// Stream offset behind each fragment taken, by slot.
    ends: Box<[Cell<u64>]>,
    /// The next sequence to take.
    taken: Cell<u64>,
    /// The lowest sequence not released.
    released: Cell<u64>,
    /// This consumer's progress line.
    progress: Words,
    memory: Region,
    foreign: bool,
    producer_bell: Bell,
}

impl Holds {
    pub(super) fn new(
        depth: u32,
        progress: Words,
        memory: Region,
        foreign: bool,
        producer_bell: Bell,
    ) -> Self {
        Self {
            thread: AtomicUsize::new(0),
            counts: (0..depth).map(|_| Cell::new(0)).collect(),
            ends: (0..depth).map(|_| Cell::new(0)).collect(),
            taken: Cell::new(0),
            released: Cell::new(0),
            progress,
            memory,
            foreign,
            producer_bell,
        }
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.get()
    }

    pub(super) fn released(&self) -> u64 {
        self.released.get()
    }

    pub(super) fn region(&self) -> &Region {
        &self.memory
    }

    pub(super) fn take_next(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    /// Panics on any thread but the first that called this: the counts are plain memory.
    #[inline]
    pub(super) fn stay_on_thread(&self) {
        let here = this_thread();
        if self.thread.load(Ordering::Relaxed) != here {
            self.thread
                .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed)
                .expect("fragments stay on the thread that took them");
        }
    }

    #[inline]
    fn count(&self, sequence: u64) -> &Cell<u32> {
        &self.counts[self.slot(sequence)]
    }

    #[inline]
    fn slot(&self, sequence: u64) -> usize {
        // The depth is a power of two.
        sequence as usize & (self.counts.len() - 1)
    }

    /// Moves on to the lowest sequence that is still held, or to the next to take. At most one turn
    /// of the ring, as no more can be taken.
    #[inline]
    fn release(&self) {
        let mut released = self.released.get();
        while released < self.taken.get() && self.count(released).get() == 0 {
            released += 1;
        }
        self.released.set(released);
        let end = self.ends[self.slot(released - 1)].get();
        self.progress.store(PROGRESS_STREAM, end, Ordering::Relaxed);
        self.progress.store(PROGRESS_SEQUENCE, released, Ordering::Release);
        self.producer_bell.ring();
    }
}

/// A number that no other living thread has: the address of something of its own.
#[inline]
fn this_thread() -> usize {
    thread_local!(static OWN: Cell<u8> = const { Cell::new(0) });
    OWN.with(|own| std::ptr::from_ref(own).addr())
}
