//! Slots under way: those that somebody writes, and data segments that these have written to and that
//! no event names yet.
//!
//! A segment in which a slot that is not complete has an extent must not be rewritten: the commit
//! could not adopt it then. It is noted before the extent is finished, so before the segment can be
//! sealed, and forgotten when the slot has ended.
//!
//! What it does *not* do: know extents that were adopted; their versions are in the tail.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use crate::SlotId;

/// Segments by slot.
#[derive(Debug, Default)]
pub(crate) struct Underway {
    segments: Mutex<BTreeMap<SlotId, BTreeSet<u32>>>,
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
}
