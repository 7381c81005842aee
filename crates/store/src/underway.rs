//! Slots under way: those that somebody writes, and data segments that these have written to and that
//! no event names yet.
//!
//! A segment in which a slot that is not complete has an extent must not be rewritten: the commit
//! could not adopt it then. It is noted before the extent is finished, so before the segment can be
//! sealed, and forgotten when the slot has ended.
//!
//! Also counts base points that something is being built on: their records must stay where they are,
//! and nothing is compacted meanwhile.
//!
//! What it does *not* do: know extents that were adopted; their versions are in the tail.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::SlotId;

/// Segments by slot.
#[derive(Debug, Default)]
pub(crate) struct Underway {
    segments: Mutex<BTreeMap<SlotId, BTreeSet<u32>>>,
    built_on: AtomicUsize,
}

impl Underway {
    /// A slot has begun.
    pub(crate) fn begin(&self, slot: SlotId) {
        let mut segments = self.segments.lock().expect("nobody panics while holding it");
        segments.entry(slot).or_default();
    }

    /// Whether somebody writes a slot.
    pub(crate) fn has(&self, slot: SlotId) -> bool {
        self.segments.lock().expect("nobody panics while holding it").contains_key(&slot)
    }

    /// A slot is about to finish an extent in a segment.
    pub(crate) fn note(&self, slot: SlotId, segment: u32) {
        let mut segments = self.segments.lock().expect("nobody panics while holding it");
        segments.entry(slot).or_default().insert(segment);
    }

    /// The slot was committed and its versions are in the tail, or it is dead.
    pub(crate) fn end(&self, slot: SlotId) {
        self.segments.lock().expect("nobody panics while holding it").remove(&slot);
    }

    /// All of the segments.
    pub(crate) fn segments(&self) -> BTreeSet<u32> {
        let segments = self.segments.lock().expect("nobody panics while holding it");
        segments.values().flatten().copied().collect()
    }

    /// Something is being built on a base point. Said while the run set cannot change.
    pub(crate) fn build(&self) {
        self.built_on.fetch_add(1, Ordering::AcqRel);
    }

    /// It was adopted, or given up.
    pub(crate) fn end_build(&self) {
        self.built_on.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether records must stay where they are.
    pub(crate) fn is_building(&self) -> bool {
        self.built_on.load(Ordering::Acquire) > 0
    }
}
