//! What the chain says of data segments beside the records that runs lead to.
//!
//! It is gathered from the events of four kinds, once, and then from those that have come since.
//!
//! - Bytes that are kept whatever runs say: manifests, banks, status caches; closed accounts that were
//!   moved (see `moving`).
//! - The lowest slot of the records in it.
//! - Up to which slot it is *clean*: it holds no version whose successor is at or below that slot.
//!   Only what a compaction has written is.
//! - Whether the journal's own compaction wrote it: then it holds nothing but what is always kept.
//!
//! What it does *not* do: know which segments are still there.

use std::collections::BTreeMap;

use icecore_journal::{By, CompactionRecord, Event, Extent, Query, reserved};
use icecore_types::Slot;

use crate::{
    Error,
    events::{StoreEvent, kind},
    record::HEADER_BYTES,
    shared::Shared,
};

/// Bytes of a record that says that an account was closed, at most: with its previous owner.
const CLOSED_BYTES: u64 = HEADER_BYTES as u64 + 32;

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    /// Bytes that are kept whatever runs say, about.
    pub(crate) kept_bytes: u64,
    /// The lowest slot of its records; [`Slot::MAX`] without any.
    pub(crate) first_slot: Slot,
    /// No version in it has a successor at or below this slot.
    pub(crate) clean_to: Slot,
    /// Written by the journal's compaction.
    pub(crate) is_kept_whole: bool,
}

impl Default for SegmentFacts {
    fn default() -> Self {
        Self { kept_bytes: 0, first_slot: Slot::MAX, clean_to: 0, is_kept_whole: false }
    }
}

impl SegmentFacts {
    /// Whether it can hold a version of which one of this slot is a successor.
    pub(crate) fn can_hold_before(&self, slot: Slot) -> bool {
        self.first_slot <= slot && self.clean_to < slot
    }
}

/// What is known of all segments.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    scanned_end: u64,
    segments: BTreeMap<u32, SegmentFacts>,
}

impl Facts {
    pub(crate) fn of(&self, segment: u32) -> SegmentFacts {
        self.segments.get(&segment).copied().unwrap_or_default()
    }

    fn segment(&mut self, extent: &Extent) -> &mut SegmentFacts {
        self.segments.entry(extent.segment).or_default()
    }

    fn records(&mut self, extents: &[Extent], slot: Slot, clean_to: Slot) {
        for extent in extents {
            let facts = self.segment(extent);
            facts.first_slot = facts.first_slot.min(slot);
            facts.clean_to = clean_to;
        }
    }

    fn attachments(&mut self, extents: &[Extent]) {
        for extent in extents {
            self.segment(extent).kept_bytes += extent.bytes;
        }
    }

    fn take(&mut self, event: &Event, decoded: &StoreEvent) {
        let extents = event.extents();
        let (records, attachments) = extents.split_at(record_extents(decoded, &extents));
        match decoded {
            StoreEvent::Base(base) => self.records(records, base.facts.bank.slot, 0),
            StoreEvent::Committed(committed) => self.records(records, committed.bank.slot, 0),
            StoreEvent::Moved(moved) => {
                let lowest = moved.inputs.0.iter().map(|input| self.of(*input).first_slot).min();
                self.records(records, lowest.unwrap_or(0), moved.horizon);
                let segments = records.len().max(1) as u64;
                for extent in records {
                    let closed_bytes = moved.closed * CLOSED_BYTES / segments;
                    self.segment(extent).kept_bytes += closed_bytes;
                }
            }
            _ => {}
        }
        self.attachments(attachments);
    }
}

/// How many of an event's extents are records; they come first.
pub(crate) fn record_extents(event: &StoreEvent, extents: &[Extent]) -> usize {
    let records = match event {
        StoreEvent::Base(base) => base.record_extents as usize,
        StoreEvent::Committed(committed) => committed.record_extents as usize,
        StoreEvent::Moved(_) => extents.len(),
        _ => 0,
    };
    records.min(extents.len())
}

/// The kinds of events that adopt records.
pub(crate) const RECORD_KINDS: [u16; 3] = [kind::BASE, kind::COMMITTED, kind::MOVED];

impl Shared {
    /// Looks at the events that have come since.
    pub(crate) fn renew_facts(&self) -> Result<(), Error> {
        let mut facts = self.facts.lock().expect("nobody panics while holding it");
        let sequences = facts.scanned_end..self.history.durable_end();
        for of in RECORD_KINDS {
            self.for_each_event(of, sequences.clone(), |event, decoded| {
                facts.take(event, decoded);
                Ok(())
            })?;
        }
        let query = Query::new(By::Kind(reserved::COMPACTED)).sequences(sequences.clone());
        for event in self.history.scan(query)? {
            let event = event?;
            let record = CompactionRecord::decode(event.payload());
            let record = record.map_err(|malformed| Error::Event {
                sequence: event.sequence(),
                what: malformed.to_string(),
            })?;
            for output in &record.outputs {
                facts.segments.entry(output.segment).or_default().is_kept_whole = true;
            }
        }
        facts.scanned_end = sequences.end;
        Ok(())
    }

    /// Shows the store's events of a kind, in order.
    pub(crate) fn for_each_event(
        &self,
        of: u16,
        sequences: std::ops::Range<u64>,
        mut visit: impl FnMut(&Event, &StoreEvent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for event in self.history.scan(Query::new(By::Kind(of)).sequences(sequences))? {
            let event = event?;
            let payload = self.history.payload(&event)?;
            if let Some(decoded) = StoreEvent::decode(&event, &payload)? {
                visit(&event, &decoded)?;
            }
        }
        Ok(())
    }
}
