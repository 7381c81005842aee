//! Dropping old events, so that room comes back and everything that is left can still be proven.
//!
//! The oldest sealed segments are read and written again without the events that a rule names:
//!
//! 1. *Plan* ([`plan`]): of each segment it is found out which events go. Neighbours that lose some
//!    are written into one new file, as far as its bounds allow.
//! 2. *Write* ([`output`]): whole frames stay as they are; of others a stub or only the digest is
//!    left (see `format::reduced`). Everything is checked again as it is written, and synced.
//! 3. *Exchange*: one change of the manifest puts the new file in the place of the old ones. After a
//!    crash it is all or nothing.
//! 4. *Record* ([`GapRecord`]): an event says what was done. If a crash comes between, the next open
//!    does it.
//! 5. The old files are removed when nobody reads them any more (see `keeping::retire`).
//!
//! It works beside the writer, which never waits for it. What always stays:
//!
//! - the last event of every stream: places in a stream go on where they were. Whoever wants all
//!   content of a stream gone appends an event that says so first;
//! - what is not yet durable, and what lies in the window in which requests are not repeated;
//! - the journal's own events, but for denials.
//!
//! What it does *not* do: give back the room of extents (see `compaction`), or touch segments of
//! which the rule names nothing, but to join small ones.

mod output;
mod plan;
mod record;

use std::{ops::Range, sync::Arc};

pub use record::GapRecord;

use crate::{
    Batch, Durability, Error, Event, Journal, NewEvent, SegmentFile,
    append::Conditions,
    format::{
        manifest::{ChainSegment, REASON_BYTES_MAX, Retired},
        reduced::Reduction,
    },
    journal::Shared,
    keeping::{merge::covered_ids, retire::Retiring},
    kinds::reserved,
    segment::{Catalog, Segment, index_path, sealed::SealedSegment},
    writer::watermarks::Stage,
};
use plan::{Limits, Planned};

/// The stream of the events that say what was dropped ([`reserved::GAP`], [`GapRecord`]).
pub const GAPS_STREAM: &[u8] = b"journal/gaps";

/// Old files that one new file replaces, at most: an event lists them.
const REPLACED_MAX: usize = 512;

/// Events that one new file stands for, at most, dropped ones included: its index has four bytes
/// for each, and they are in memory while it is written.
const EVENTS_MAX: u64 = 1 << 22;

/// Which events are dropped: those for which everything here holds.
#[derive(Clone)]
pub struct DropRule<'a> {
    /// They have these sequences.
    pub sequences: Range<u64>,
    /// They are older than this: nanoseconds since 1970.
    pub before_time: u64,
    /// So many later events of their stream are there; at least 1.
    pub later_in_stream: u64,
    /// The caller agrees.
    pub may_drop: Option<&'a dyn Fn(&Event) -> bool>,
    /// Why: 1 to 256 bytes. It is told to whoever asks for a dropped event. The same policy should
    /// give the same reason: one file knows 255 different ones.
    pub reason: &'a str,
    /// Segments are begun until so many bytes of them have been read.
    pub bytes_max: u64,
}

impl<'a> DropRule<'a> {
    /// Everything that may go, for a reason.
    pub fn new(reason: &'a str) -> Self {
        Self {
            sequences: 0..u64::MAX,
            before_time: u64::MAX,
            later_in_stream: 1,
            may_drop: None,
            reason,
            bytes_max: u64::MAX,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if !(1..=REASON_BYTES_MAX).contains(&self.reason.len()) {
            return Err(Error::Unfit { what: "the reason for dropping events has 1 to 256 bytes" });
        }
        if self.later_in_stream == 0 {
            return Err(Error::Unfit { what: "the last event of a stream is not dropped" });
        }
        Ok(())
    }
}

/// What was dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropReport {
    /// Events that are gone.
    pub events: u64,
    /// Segments that were written again.
    pub segments: u64,
    /// Bytes that these had.
    pub bytes_before: u64,
    /// Bytes that what is left of them has.
    pub bytes_after: u64,
    /// Where to go on: the rule's bound on bytes ended the work before this sequence.
    pub next_sequence: Option<u64>,
}

impl Journal {
    /// Drops the events that a rule names from sealed segments, oldest first. Reading one gives
    /// [`Error::Dropped`] from then on, scans step over them.
    ///
    /// # Errors
    /// [`Error::Unfit`] when the rule is not one, [`Error::Corrupt`] when what is read does not check,
    /// what the disk said. What was exchanged before stays so; the event about the last exchange may
    /// be missing then, and is made up for by the next call or the next open.
    pub fn drop_events(&self, rule: &DropRule<'_>) -> Result<DropReport, Error> {
        self.shared.drop_events(rule)
    }
}

impl Shared {
    fn drop_events(self: &Arc<Self>, rule: &DropRule<'_>) -> Result<DropReport, Error> {
        rule.check()?;
        let mut retiring = self.retiring();
        self.watermarks.check()?;
        self.record_gap(&mut retiring)?;
        let limits = Limits::new(rule, self.watermarks.at(Stage::Durable), &self.options);
        let mut dropped = DropReport::default();
        let (mut run, mut bytes_read): (Vec<Planned>, u64) = (Vec::new(), 0);
        let catalog = self.catalog();
        for segment in &catalog.segments {
            let Segment::Sealed(segment) = segment else { break };
            let info = &segment.info;
            if info.first_sequence >= limits.end || info.end_sequence > limits.durable_end {
                break;
            }
            if info.end_sequence <= rule.sequences.start {
                continue;
            }
            if bytes_read >= rule.bytes_max {
                dropped.next_sequence = Some(info.first_sequence);
                break;
            }
            bytes_read += info.bytes;
            let planned = self.plan(segment, rule, &limits)?;
            if planned.dropped == 0 || !self.has_room(&run, &planned) {
                self.exchange_run(std::mem::take(&mut run), rule, &mut retiring, &mut dropped)?;
            }
            if planned.dropped > 0 {
                run.push(planned);
            }
        }
        drop(catalog);
        self.exchange_run(run, rule, &mut retiring, &mut dropped)?;
        self.remove_unread(&mut retiring)?;
        Ok(dropped)
    }

    /// Whether one new file can stand for all of these.
    fn has_room(&self, run: &[Planned], next: &Planned) -> bool {
        let parts = || run.iter().chain([next]);
        run.is_empty()
            || (run.len() < REPLACED_MAX
                && parts().map(|part| part.bytes).sum::<u64>() <= self.options.segment_bytes_max
                && parts().map(Planned::events).sum::<u64>() <= EVENTS_MAX)
    }

    /// Takes in small reduced segments before the run, so that they do not become ever more: each
    /// time only those that are not larger than what is written anyway.
    fn with_neighbours(&self, mut run: Vec<Planned>) -> Vec<Planned> {
        let catalog = self.catalog();
        let first = run[0].segment.info.id;
        let place = catalog.segments.iter().position(|segment| segment.id() == first);
        let before = place.map_or(&[][..], |place| &catalog.segments[..place]);
        for segment in before.iter().rev() {
            let Segment::Sealed(segment) = segment else { break };
            let written: u64 = run.iter().map(|part| part.bytes).sum();
            let whole = Planned::whole(segment);
            if !segment.info.is_reduced || whole.bytes > written || !self.has_room(&run, &whole) {
                break;
            }
            run.insert(0, whole);
        }
        run
    }

    /// Puts one new file in the place of the run.
    fn exchange_run(
        self: &Arc<Self>,
        run: Vec<Planned>,
        rule: &DropRule<'_>,
        retiring: &mut Retiring,
        dropped: &mut DropReport,
    ) -> Result<(), Error> {
        if run.is_empty() {
            return Ok(());
        }
        let run = self.with_neighbours(run);
        let reduction = Reduction { time: self.disk.now(), reason: rule.reason.to_string() };
        let old = retired_of(&run)?;
        let info = self.write_reduced(&run, reduction)?;
        dropped.events += run.iter().map(|part| part.dropped).sum::<u64>();
        dropped.segments += run.len() as u64;
        dropped.bytes_before += run.iter().map(|part| part.segment.info.bytes).sum::<u64>();
        dropped.bytes_after += info.bytes;
        self.exchange(info, old)?;
        for part in &run {
            retiring.held.insert(part.segment.info.id, Arc::downgrade(&part.segment));
        }
        retiring.unrecorded = Some(info.id);
        self.record_gap(retiring)
    }

    /// One change of the manifest, and then of the catalog, beside which nothing is sealed.
    fn exchange(&self, info: ChainSegment, old: Vec<Retired>) -> Result<(), Error> {
        let _one = self.keeper.sealing.lock().expect("a seal that panicked ends sealing");
        let stale = self.stale_groups(&old);
        let (first, count) = (old[0].id, old.len());
        self.change_manifest(|manifest| {
            let place = manifest.chain.iter().position(|segment| segment.id == first);
            let place = place.expect("only dropping replaces sealed segments, one at a time");
            manifest.chain.splice(place..place + count, [info]);
            manifest.pending.retain(|id| *id != info.id);
            let number = manifest.number + 1;
            manifest.retired.extend(old.iter().map(|old| Retired {
                replaced_by: info.id,
                number,
                ..*old
            }));
        })?;
        let sealed = Segment::Sealed(Arc::new(self.sealed(info)));
        self.change_catalog(|catalog| {
            let place = catalog.segments.iter().position(|segment| segment.id() == first);
            let place = place.expect("the catalog is that of the manifest");
            catalog.segments.splice(place..place + count, [sealed]);
            let covered = info.first_sequence..info.end_sequence;
            catalog.groups.retain(|group| {
                let group = group.covered();
                group.end <= covered.start || group.start >= covered.end
            });
        });
        for (first, last) in stale {
            // Derived, and mapped by whoever has them; one that stays leads to events that are gone,
            // which searches step over.
            let _ = self.disk.remove(&index_path(&self.folder, first, last));
        }
        Ok(())
    }

    /// Merged index files over segments that are about to go.
    fn stale_groups(&self, old: &[Retired]) -> Vec<(u32, u32)> {
        let manifest = self.manifest.lock().expect("nobody panics while holding it");
        let place_of = |id: u32| manifest.chain.iter().position(|segment| segment.id == id);
        let (Some(start), Some(end)) = (place_of(old[0].id), place_of(old[old.len() - 1].id))
        else {
            return Vec::new();
        };
        let entries = self.disk.list(&self.folder).unwrap_or_default();
        let groups = entries.iter().filter_map(|entry| covered_ids(&entry.name));
        let is_stale = |(first, last): &(u32, u32)| match (place_of(*first), place_of(*last)) {
            (Some(first_place), Some(last_place)) => {
                first != last && first_place <= end && last_place >= start
            }
            _ => false,
        };
        groups.filter(is_stale).collect()
    }

    /// Appends the event about the last exchange, if it is missing.
    fn record_gap(self: &Arc<Self>, retiring: &mut Retiring) -> Result<(), Error> {
        let Some(id) = retiring.unrecorded else { return Ok(()) };
        let record = self.gap_record(id)?;
        let event = NewEvent::new(GAPS_STREAM, reserved::GAP, &record);
        let event = NewEvent { payload_version: GapRecord::VERSION, ..event };
        let batch = Batch::of(&event)?;
        self.submit(&batch, Conditions::default(), Vec::new())?.wait(Durability::Durable)?;
        retiring.unrecorded = None;
        Ok(())
    }

    fn gap_record(&self, id: u32) -> Result<Vec<u8>, Error> {
        let catalog = self.catalog();
        let segment = sealed_of(&catalog, id).ok_or_else(|| self.lost(0))?;
        let old = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            let old = manifest.retired.iter().filter(|retired| retired.replaced_by == id);
            old.map(|old| SegmentFile { segment: old.id, bytes: old.bytes, digest: old.digest })
                .collect()
        };
        Ok(GapRecord::of(segment, old)?.encode())
    }

    /// After an open: the event about the last exchange is appended if a crash came before it, and
    /// what was replaced is removed.
    pub(crate) fn finish_dropping(self: &Arc<Self>) -> Result<(), Error> {
        let last = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            manifest.retired.iter().map(|old| old.replaced_by).rfind(|id| *id != 0)
        };
        let mut retiring = self.retiring();
        if let Some(last) = last {
            let id = self.identity.keys.stream_id(GAPS_STREAM);
            let event = self.last_in_stream(&id, GAPS_STREAM)?;
            let recorded = event.and_then(|event| GapRecord::decode(event.payload()).ok());
            if recorded.is_none_or(|recorded| recorded.file.segment != last) {
                retiring.unrecorded = Some(last);
            }
        }
        self.record_gap(&mut retiring)?;
        self.remove_unread(&mut retiring)
    }
}

fn sealed_of(catalog: &Catalog, id: u32) -> Option<&Arc<SealedSegment>> {
    catalog.segments.iter().find_map(|segment| match segment {
        Segment::Sealed(segment) if segment.info.id == id => Some(segment),
        _ => None,
    })
}

/// What the manifest will say of the files of a run.
fn retired_of(run: &[Planned]) -> Result<Vec<Retired>, Error> {
    run.iter()
        .map(|part| {
            let file = SegmentFile::of(&part.segment)?;
            let (id, bytes, digest) = (file.segment, file.bytes, file.digest);
            Ok(Retired { id, replaced_by: 0, number: 0, bytes, digest })
        })
        .collect()
}
