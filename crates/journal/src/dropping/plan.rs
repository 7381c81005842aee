//! Which events of a segment go.
//!
//! Every event is looked at once, in order. Of its stream the last durable event is looked up, once
//! per segment and stream; how many later events there are follows from the two places in it.

use std::{collections::HashMap, sync::Arc};

use super::DropRule;
use crate::{
    Error, Event, Options,
    format::{
        FRAME_ALIGNMENT,
        frame::FrameHeader,
        reduced::{Fate, GAP_FRAME_BYTES, Item, Stub, gap_bytes},
        walk::align,
    },
    journal::Shared,
    keys::StreamId,
    kinds::reserved,
    read::RecordBytes,
    segment::sealed::SealedSegment,
};

/// What a rule comes to at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Every event below is durable.
    pub(super) durable_end: u64,
    /// Events from here on stay.
    pub(super) end: u64,
}

impl Limits {
    pub(super) fn new(rule: &DropRule<'_>, durable_end: u64, options: &Options) -> Self {
        let window = durable_end.saturating_sub(options.idempotency_window);
        Self { durable_end, end: rule.sequences.end.min(window) }
    }
}

/// A segment, and what of it goes.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) segment: Arc<SealedSegment>,
    /// By place in the segment, whether the event goes; no entries: none does.
    drops: Vec<bool>,
    /// How many go.
    pub(super) dropped: u64,
    /// Bytes that what is left will have, at most.
    pub(super) bytes: u64,
}

impl Planned {
    /// A segment that stays as it is.
    pub(super) fn whole(segment: &Arc<SealedSegment>) -> Self {
        let bytes = segment.info.bytes;
        Self { segment: Arc::clone(segment), drops: Vec::new(), dropped: 0, bytes }
    }

    pub(super) fn events(&self) -> u64 {
        self.segment.info.end_sequence - self.segment.info.first_sequence
    }

    /// Whether an event goes that has not gone before.
    pub(super) fn drops(&self, sequence: u64) -> bool {
        let place = sequence - self.segment.info.first_sequence;
        self.drops.get(place as usize).copied().unwrap_or(false)
    }
}

/// Last places in streams, of those that came up in a segment.
type LastVersions = HashMap<StreamId, Option<u64>>;

impl Shared {
    pub(super) fn plan(
        &self,
        segment: &Arc<SealedSegment>,
        rule: &DropRule<'_>,
        limits: &Limits,
    ) -> Result<Planned, Error> {
        let mut last_versions = LastVersions::new();
        let events = segment.info.end_sequence - segment.info.first_sequence;
        let mut planned = Planned {
            drops: vec![false; usize::try_from(events).expect("segments are small")],
            ..Planned::whole(segment)
        };
        planned.bytes = 0;
        segment.visit_items(&mut |item| {
            let (header, records): (_, Vec<Option<&[u8]>>) = match item {
                Item::Gap(gap) => {
                    let frames = (gap.end_frame() - gap.first_frame) as usize;
                    planned.bytes += gap_bytes(frames) as u64;
                    return Ok(());
                }
                Item::Frame(frame) => {
                    (frame.header, frame.records().map(|(_, record)| Some(record)).collect())
                }
                Item::Stub(stub) => {
                    let kept = |fate| match fate {
                        Fate::Kept(record) => Some(record),
                        Fate::Dropped(..) => None,
                    };
                    (stub.header, stub.fates().map(kept).collect())
                }
            };
            let (mut kept, mut kept_bytes) = (0, 0);
            for (sequence, record) in (header.base_sequence..).zip(&records) {
                let Some(record) = record else { continue };
                if self.may_go(
                    segment,
                    sequence,
                    record,
                    &header,
                    rule,
                    limits,
                    &mut last_versions,
                )? {
                    planned.drops[(sequence - segment.info.first_sequence) as usize] = true;
                    planned.dropped += 1;
                } else {
                    kept += 1;
                    kept_bytes += record.len();
                }
            }
            planned.bytes += match kept {
                0 => (gap_bytes(0) + GAP_FRAME_BYTES + FRAME_ALIGNMENT as usize) as u64,
                kept if kept == records.len() => {
                    align(u64::from(header.frame_bytes), FRAME_ALIGNMENT)
                }
                kept => {
                    let bytes = Stub::bytes_of(&header, kept, kept_bytes) as u64;
                    align(bytes, FRAME_ALIGNMENT)
                }
            };
            Ok(())
        })?;
        Ok(planned)
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one event")]
    fn may_go(
        &self,
        segment: &SealedSegment,
        sequence: u64,
        record: &[u8],
        header: &FrameHeader,
        rule: &DropRule<'_>,
        limits: &Limits,
        last_versions: &mut LastVersions,
    ) -> Result<bool, Error> {
        if !(rule.sequences.start..limits.end).contains(&sequence)
            || header.time >= rule.before_time
        {
            return Ok(false);
        }
        let bytes = RecordBytes::Owned(record.into());
        let event = Event::check(bytes, &self.identity.store_id, sequence, header.time)
            .map_err(|malformed| segment.corrupt(0, malformed.what))?;
        if reserved::RANGE.contains(&event.kind()) && event.kind() != reserved::DENIAL {
            return Ok(false);
        }
        let id = self.identity.keys.stream_id(event.stream());
        let last = match last_versions.get(&id) {
            Some(last) => *last,
            None => {
                let last = self.last_in_stream_below(&id, event.stream(), limits.durable_end)?;
                let last = last.map(|last| last.stream_version());
                last_versions.insert(id, last);
                last
            }
        };
        let later = last.and_then(|last| last.checked_sub(event.stream_version()));
        Ok(later.is_some_and(|later| later >= rule.later_in_stream)
            && rule.may_drop.is_none_or(|may_drop| may_drop(&event)))
    }
}
