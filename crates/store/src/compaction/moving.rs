//! Writing the live records of some data segments again, elsewhere.
//!
//! All extents of records in these segments are read in the order in which they lie. Each record is
//! checked. One that a run leads to is written again, with the checksum of its new place; the others
//! are left out, but for some that say that an account was closed.
//!
//! *Closed accounts.* Runs forget that an account was closed when nothing before is kept. The record
//! that says so can still be needed to rebuild the runs: as long as some segment may hold an older
//! version of the account, which would come back to life (rule R21). So it goes only when no other
//! segment can; compaction leaves clean segments behind, and in the end it goes.
//!
//! What it does *not* do: change runs.

use std::collections::{BTreeMap, BTreeSet};

use icecore_hash::LatticeSum;
use icecore_journal::{AppendOptions, Batch, BulkSession, BulkWriter, Durability, Extent};
use icecore_types::Slot;

use super::{
    facts::{RECORD_KINDS, SegmentFacts, record_extents},
    survey::{LiveRecords, place_of},
};
use crate::{
    Error, Locator, SizeClass, SlotId,
    events::{List, Moved, StoreEvent, encoded, kind, new_event, stream},
    record::Version,
    replay::for_each_record,
    shared::{Shared, State},
};

/// Data segments that are made for what is moved, at most; the last one takes up to 32 GiB.
const OUTPUTS_MAX: u64 = 48;

/// Where records went.
#[derive(Debug, Default)]
pub(crate) struct MovedTo {
    /// Old place and new place, sorted.
    places: Vec<(u64, u64)>,
    /// Bytes written.
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) left_out: u64,
    /// Versions whose successor is at or below this slot were left out.
    pub(crate) horizon: Slot,
}

impl MovedTo {
    /// Where the record is now that was at this place.
    pub(crate) fn find(&self, place: u64, class: SizeClass) -> Option<Locator> {
        let found = self.places.binary_search_by_key(&place, |(old, _)| *old).ok()?;
        Some(Locator::from_bits(self.places[found].1 << 8).with_class(class))
    }
}

/// An extent to be read.
#[derive(Debug, Clone, Copy)]
struct Input {
    extent: Extent,
    /// Whether a record that says that an account was closed can be needed: its slot is final.
    is_final: bool,
}

/// The move under way.
struct Move<'a> {
    shared: &'a Shared,
    /// Of the segments that stay.
    others: Vec<SegmentFacts>,
    output: Option<(BulkSession, BulkWriter)>,
    outputs: usize,
    moved_sum: LatticeSum,
    left_out_sum: LatticeSum,
    closed: u64,
    to: MovedTo,
}

impl Shared {
    /// Moves the live records of these segments, durably and by one event.
    pub(super) fn move_records(
        &self,
        state: &State,
        inputs: &BTreeSet<u32>,
        live: &LiveRecords,
    ) -> Result<MovedTo, Error> {
        let chain = self.chain();
        let journal = chain.writer()?;
        let extents = self.record_extents_in(inputs)?;
        let others = {
            let facts = self.facts.lock().expect("nobody panics while holding it");
            let others = journal.data_segments().into_iter();
            others.filter(|info| !inputs.contains(&info.id)).map(|info| facts.of(info.id)).collect()
        };
        let bytes: u64 = extents.values().map(|input| input.extent.bytes).sum();
        let outputs = bytes / self.options.journal.data_segment_bytes_max + 2;
        let horizon = state.runs.windows.first().map_or(0, crate::run_set::Window::first);
        let mut moving = Move {
            shared: self,
            others,
            output: None,
            outputs: outputs.min(OUTPUTS_MAX) as usize,
            moved_sum: self.summers.lend(),
            left_out_sum: self.summers.lend(),
            closed: 0,
            to: MovedTo { horizon, ..MovedTo::default() },
        };
        let mut wanted = live.places.iter().copied().peekable();
        for input in extents.values() {
            for_each_record(&self.history, self.seed(), &input.extent, |place, version| {
                let old = place_of(version.locator(place.0, place.1));
                if wanted.next_if_eq(&old).is_some() {
                    let new = moving.write(version)?;
                    moving.to.places.push((old, place_of(new)));
                } else if input.is_final && moving.is_needed_closed(version) {
                    moving.write(version)?;
                    moving.closed += 1;
                } else {
                    moving.leave_out(version);
                }
                Ok(())
            })?;
        }
        if let Some(place) = wanted.next() {
            let locator = Locator::from_bits(place << 8);
            return Err(Error::Corrupt {
                path: self.history.data_segment(locator.segment())?.path().to_path_buf(),
                offset: locator.offset(),
                what: "a run leads to where no record was adopted",
            });
        }
        moving.adopt(inputs)
    }

    /// The extents of records in these segments, by place.
    fn record_extents_in(
        &self,
        inputs: &BTreeSet<u32>,
    ) -> Result<BTreeMap<(u32, u64), Input>, Error> {
        let mut found = BTreeMap::new();
        let mut slot_of: BTreeMap<SlotId, Vec<(u32, u64)>> = BTreeMap::new();
        let sequences = 0..self.history.durable_end();
        for of in RECORD_KINDS {
            self.for_each_event(of, sequences.clone(), |event, decoded| {
                let extents = event.extents();
                for extent in &extents[..record_extents(decoded, &extents)] {
                    if !inputs.contains(&extent.segment) {
                        continue;
                    }
                    let place = (extent.segment, extent.offset);
                    let is_final = match decoded {
                        StoreEvent::Committed(committed) => {
                            slot_of.entry(committed.id).or_default().push(place);
                            false
                        }
                        _ => true,
                    };
                    found.insert(place, Input { extent: *extent, is_final });
                }
                Ok(())
            })?;
        }
        self.for_each_event(kind::ROOTED, sequences, |_, decoded| {
            let StoreEvent::Rooted(rooted) = decoded else { return Ok(()) };
            for place in rooted.chain.0.iter().filter_map(|id| slot_of.get(id)).flatten() {
                found.get_mut(place).expect("put in just now").is_final = true;
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl Move<'_> {
    /// Writes a record again; gives its new place.
    fn write(&mut self, version: &Version<'_>) -> Result<Locator, Error> {
        if self.output.is_none() {
            let session = self.shared.chain().writer()?.begin_bulk()?;
            let writer = session.writer(self.outputs)?;
            self.output = Some((session, writer));
        }
        let (_, writer) = self.output.as_mut().expect("just made");
        let bytes = version.record_bytes();
        let space = writer.space(bytes)?;
        let place = (space.segment, space.offset);
        version.encode(self.shared.seed(), place, space.bytes);
        writer.commit(bytes)?;
        self.moved_sum.add(std::slice::from_ref(&version.account));
        self.to.bytes += bytes as u64;
        self.to.records += 1;
        Ok(version.locator(place.0, place.1))
    }

    /// Whether a record that no run leads to says that an account was closed of which a segment that
    /// stays can hold an older version.
    fn is_needed_closed(&self, version: &Version<'_>) -> bool {
        version.account.is_tombstone()
            && self.others.iter().any(|facts| facts.can_hold_before(version.slot))
    }

    fn leave_out(&mut self, version: &Version<'_>) {
        self.left_out_sum.add(std::slice::from_ref(&version.account));
        self.to.left_out += 1;
    }

    /// The event that says so.
    fn adopt(mut self, inputs: &BTreeSet<u32>) -> Result<MovedTo, Error> {
        let moved = Moved {
            inputs: List(inputs.iter().copied().collect()),
            horizon: self.to.horizon,
            records: self.to.records,
            closed: self.closed,
            lattice: *self.moved_sum.finish().to_bytes(),
            lattice_left_out: *self.left_out_sum.finish().to_bytes(),
            left_out: self.to.left_out,
        };
        self.shared.summers.give_back(self.moved_sum);
        self.shared.summers.give_back(self.left_out_sum);
        let payload = encoded(&moved);
        let options = AppendOptions {
            use_reserve: true,
            durability: Durability::Durable,
            ..AppendOptions::default()
        };
        match self.output {
            None => {
                let event = new_event(stream::MOVES, kind::MOVED, &payload, &[]);
                self.shared.chain().writer()?.append(&Batch::of(&event)?, &options)?;
            }
            Some((mut session, mut writer)) => {
                let extents = writer.finish()?;
                drop(writer);
                let event = new_event(stream::MOVES, kind::MOVED, &payload, &extents);
                session.adopt(&Batch::of(&event)?, &options)?;
            }
        }
        Ok(self.to)
    }
}
