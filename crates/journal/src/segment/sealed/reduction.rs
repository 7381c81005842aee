//! A sealed segment from which events were dropped: its items, and what is said of what is gone.
//!
//! The index leads to kept events as ever; of a dropped one it knows only that it is gone. Why, and
//! which others went with it, stands in the segment: from the last marked frame before, at most 63
//! frames are walked over.

use std::ops::Range;

use super::{SealedIndex, SealedSegment};
use crate::{
    Digest, Error, Event, Malformed,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        frame::FrameScratch,
        reduced::{self, Item, Reduction, Step, locate, step},
        walk,
    },
    read::RecordBytes,
    segment::table::{DROPPED, Table},
};

impl SealedSegment {
    /// When and why events were dropped from a reduced segment, and where its first item lies.
    pub(crate) fn reductions(&self) -> Result<(Vec<Reduction>, u64), Error> {
        let content = self.content()?;
        let (reductions, bytes) =
            reduced::take_reductions(content.get(BLOCK_BYTES as usize..).unwrap_or_default())
                .map_err(|malformed| malformed.in_file(self.path(), BLOCK_BYTES))?;
        Ok((reductions, BLOCK_BYTES + bytes as u64))
    }

    /// The item of a reduced segment that lies at an offset, and where the next one does.
    pub(crate) fn item_at(&self, offset: u64) -> Result<(Item<'_>, u64), Error> {
        let content = self.content()?;
        match step(content.get(offset as usize..).unwrap_or_default(), offset) {
            Step::Item { item, next } => Ok((item, next)),
            Step::Needs(_) => Err(self.corrupt(offset, "a reduced segment ends within an item")),
            Step::Bad(malformed) => Err(malformed.in_file(self.path(), offset)),
        }
    }

    /// The item of a reduced segment that stands for an event, kept or dropped.
    pub(crate) fn item_of(&self, sequence: u64) -> Result<Item<'_>, Error> {
        let mark = self.with_index(|index| match index {
            SealedIndex::File(file) => {
                Ok(file.frame_mark_before(sequence)?.and_then(|mark| mark.offset))
            }
            SealedIndex::Scanned(table) => Ok(table.frame_of(sequence).map(|frame| frame.offset)),
        })?;
        self.walk_to(mark, |item| item.sequences().contains(&sequence))
    }

    /// The item of a reduced segment that stands for a frame.
    pub(crate) fn item_of_frame(&self, number: u64) -> Result<Item<'_>, Error> {
        let mark = self.with_index(|index| match index {
            SealedIndex::File(file) => {
                Ok(file.frame_at_or_before(number)?.and_then(|mark| mark.offset))
            }
            SealedIndex::Scanned(_) => Ok(None),
        })?;
        self.walk_to(mark, |item| item.frames().contains(&number))
    }

    /// Numbers and digests of some frames of a reduced segment.
    pub(crate) fn frame_digests(&self, numbers: Range<u64>) -> Result<Vec<(u64, Digest)>, Error> {
        let mut digests = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let item = self.item_of_frame(next)?;
            let wanted = next..item.frames().end.min(numbers.end);
            next = wanted.end;
            match item {
                Item::Frame(frame) => digests.push((wanted.start, frame.header.digest)),
                Item::Stub(stub) => digests.push((wanted.start, stub.header.digest)),
                Item::Gap(gap) => digests.extend(wanted.map(|number| {
                    (number, gap.digest(number).expect("the gap stands for the frame"))
                })),
            }
        }
        Ok(digests)
    }

    fn walk_to(
        &self,
        mark: Option<u32>,
        is_it: impl Fn(&Item<'_>) -> bool,
    ) -> Result<Item<'_>, Error> {
        let mut offset = match mark {
            Some(mark) => u64::from(mark),
            None => self.reductions()?.1,
        };
        while offset < self.info.bytes {
            let (item, next) = self.item_at(offset)?;
            if is_it(&item) {
                return Ok(item);
            }
            offset = next;
        }
        Err(self.corrupt(offset, "what stands for an event is not where its index says"))
    }

    /// The first event of these that was dropped. Looks at the place of each.
    pub(crate) fn first_dropped(&self, sequences: Range<u64>) -> Result<Option<u64>, Error> {
        if !self.info.is_reduced {
            return Ok(None);
        }
        let start = sequences.start.max(self.info.first_sequence);
        for sequence in start..sequences.end.min(self.info.end_sequence) {
            if self.offset_of(sequence)? == DROPPED {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// Digest of the frame that holds an event of this segment, or held it.
    pub(crate) fn frame_digest(&self, sequence: u64) -> Result<Digest, Error> {
        let lost = || self.corrupt(0, "no frame of a segment has one of its events");
        if !self.info.is_reduced {
            let event = self.read(sequence)?.ok_or_else(lost)?;
            return Ok(self.frame_of(&event)?.0.digest);
        }
        match self.item_of(sequence)? {
            Item::Frame(frame) => Ok(frame.header.digest),
            Item::Stub(stub) => Ok(stub.header.digest),
            Item::Gap(gap) => gap
                .frames()
                .find(|(_, first, count, _)| {
                    (*first..first + u64::from(*count)).contains(&sequence)
                })
                .map(|(.., digest)| digest)
                .ok_or_else(lost),
        }
    }

    /// The error that says that an event was dropped, and with which others.
    pub(super) fn dropped(&self, sequence: u64) -> Result<Error, Error> {
        let around = match self.item_of(sequence)? {
            Item::Gap(gap) => Some((gap.first_sequence..gap.end_sequence, gap.reduction)),
            Item::Stub(stub) => stub.dropped_around(sequence),
            Item::Frame(_) => None,
        };
        let Some((around, reduction)) = around else {
            return Err(self.corrupt(0, "an index says of an event that it was dropped"));
        };
        let (reductions, items_start) = self.reductions()?;
        let reduction = reductions.get(usize::from(reduction) - 1).ok_or_else(|| {
            self.corrupt(items_start, "an event was dropped for a reason that is not listed")
        })?;
        Ok(Error::Dropped {
            sequence,
            first: around.start,
            end: around.end,
            reason: reduction.reason.clone(),
        })
    }

    /// The error that says that the frame of a kept event is not whole any more.
    pub(super) fn lost_neighbour(&self, sequence: u64) -> Result<Error, Error> {
        let item = self.item_of(sequence)?;
        let gone = match &item {
            Item::Stub(stub) => {
                item.sequences().find(|sequence| stub.dropped_around(*sequence).is_some())
            }
            _ => None,
        };
        match gone {
            Some(gone) => self.dropped(gone),
            None => Err(self.corrupt(0, "an index leads to a stub where a whole frame is")),
        }
    }

    /// The kept event whose frame's stub lies at an offset.
    pub(super) fn event_in_stub(
        &self,
        content: &[u8],
        offset: u32,
        sequence: u64,
    ) -> Result<Event, Error> {
        let in_file = |malformed: Malformed| malformed.in_file(self.path(), offset.into());
        let stub = content.get(offset as usize..).unwrap_or_default();
        let (range, header) = locate(stub, sequence).map_err(in_file)?;
        let (start, end) = (offset as usize + range.start, offset as usize + range.end);
        let bytes = RecordBytes::Mapped { mapping: self.mapping()?.clone(), start, end };
        Event::check(bytes, &self.identity.store_id, sequence, header.time).map_err(in_file)
    }

    /// Shows every item of a segment, reduced or not, in order. Items check as far as they do by
    /// themselves.
    pub(crate) fn visit_items(
        &self,
        visit: &mut dyn FnMut(Item<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let content = self.content()?;
        if self.info.is_reduced {
            let (_, mut offset) = self.reductions()?;
            while offset < self.info.bytes {
                let (item, next) = self.item_at(offset)?;
                visit(item)?;
                offset = next;
            }
            return Ok(());
        }
        let mut offset = BLOCK_BYTES;
        while offset < self.info.bytes {
            offset = match walk::step(&content[offset as usize..], offset) {
                walk::Step::Frame { frame, next } => {
                    visit(Item::Frame(frame))?;
                    next
                }
                walk::Step::Mark { next, .. } | walk::Step::Padding { next } => next,
                walk::Step::Needs(_) => {
                    return Err(self.corrupt(offset, "a frame ends behind its sealed segment"));
                }
                walk::Step::Bad(malformed) => return Err(malformed.in_file(self.path(), offset)),
            };
        }
        Ok(())
    }

    /// Walks over the whole segment, checking everything, and adds it to a table.
    pub(super) fn scan_reduced(
        &self,
        content: &[u8],
        keys: &StoreKeys,
        table: &mut Table,
    ) -> Result<(), Error> {
        let (reductions, mut offset) = self.reductions()?;
        let mut scratch = FrameScratch::default();
        while offset < content.len() as u64 {
            let (item, next) = self.item_at(offset)?;
            reduced::follow(&table.end, &item, reductions.len(), keys, &mut scratch)
                .and_then(|_| table.add_item(offset, &item, &self.identity.keys))
                .map_err(|malformed| malformed.in_file(self.path(), offset))?;
            offset = next;
        }
        Ok(())
    }
}
