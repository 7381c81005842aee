//! Writing what is left of some segments into a new file.
//!
//! 1. The header says where in the chain it begins: where the first of them did.
//! 2. The reasons of all are listed, equal ones once.
//! 3. Item for item is taken over. What was only just made is read again and checked as a reader
//!    would; in the end the chain must have come to where it did.
//! 4. File, index and folder are synced. Nobody knows the file yet; a file that is not finished is
//!    removed, now or by the next open, which finds its id among those given out.

use std::{path::PathBuf, sync::Arc};

use icecore_disk::DiskFile;

use super::plan::Planned;
use crate::{
    Error, Malformed,
    digest::{StoreKeys, leaf},
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        fields::array_at,
        frame::{Frame, FrameScratch},
        manifest::ChainSegment,
        reduced::{
            Fate, GapBuilder, Item, REDUCTIONS_MAX, Reduction, Step, Stub, follow, put_reductions,
            step,
        },
        segment_header::{Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::{Follow, align},
    },
    journal::Shared,
    keeping::seal::{closed, write_index},
    mountain::Mountain,
    segment::{chain_path, sealed::SealedSegment, table::Table},
};

/// Bytes written with one call, about.
const WRITTEN_AT_ONCE_BYTES: usize = 4 << 20;

/// Reasons of the new file, and for each old one what its numbers are there.
struct Reasons {
    listed: Vec<Reduction>,
}

impl Reasons {
    /// The number under which a reduction is listed; equal reasons share one, with the latest time.
    fn number(&mut self, reduction: Reduction) -> Result<u8, Error> {
        let known = self.listed.iter().position(|listed| listed.reason == reduction.reason);
        let place = known.unwrap_or(self.listed.len());
        match self.listed.get_mut(place) {
            Some(listed) => listed.time = listed.time.max(reduction.time),
            None if place < REDUCTIONS_MAX => self.listed.push(reduction),
            None => {
                let what = "a file knows 255 reasons for which events were dropped; \
                            give the same reason for the same policy";
                return Err(Error::Unfit { what });
            }
        }
        Ok(place as u8 + 1)
    }
}

/// The new file.
struct Output<'a> {
    shared: &'a Shared,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Where the buffer goes.
    offset: u64,
    buffer: Vec<u8>,
    table: Table,
    /// Digests of frames that are gone, and that may be continued.
    gap: Option<GapBuilder>,
    /// How many reasons are listed.
    reasons: usize,
    keys: StoreKeys,
    scratch: FrameScratch,
}

impl Shared {
    /// Writes one file for all segments of the run, durably. Nobody knows it yet.
    pub(super) fn write_reduced(
        &self,
        run: &[Planned],
        reduction: Reduction,
    ) -> Result<ChainSegment, Error> {
        let id = self.take_segment_id()?;
        let path = chain_path(&self.folder, id);
        let written = self.write_reduced_as(id, run, reduction);
        if written.is_err() && (!self.disk.exists(&path) || self.disk.remove(&path).is_ok()) {
            // The id is used up; should this fail, the next open sees to it.
            let _ = self.change_manifest(|manifest| manifest.pending.retain(|other| *other != id));
        }
        written
    }

    fn write_reduced_as(
        &self,
        id: u32,
        run: &[Planned],
        reduction: Reduction,
    ) -> Result<ChainSegment, Error> {
        let first = &run[0].segment;
        let mut reasons = Reasons { listed: Vec::new() };
        let mut numbers: Vec<Vec<u8>> = Vec::with_capacity(run.len());
        for part in run {
            let known = match part.segment.info.is_reduced {
                true => part.segment.reductions()?.0,
                false => Vec::new(),
            };
            numbers
                .push(known.into_iter().map(|one| reasons.number(one)).collect::<Result<_, _>>()?);
        }
        let created = reduction.time;
        let new = reasons.number(reduction)?;
        let mut header = header_of(first)?;
        let (Content::Chain(start) | Content::ReducedChain(start)) = header.content else {
            return Err(first.corrupt(0, "this is no chain segment"));
        };
        let mountain = Mountain::from_peaks(first.info.first_frame, start.peaks.clone())
            .ok_or_else(|| first.corrupt(0, "a header has peaks that do not fit"))?;
        (header.epoch, header.segment, header.created) = (self.epoch, id, created);
        header.content = Content::ReducedChain(start);
        let begin = Follow {
            sequence: first.info.first_sequence,
            frame_number: first.info.first_frame,
            last: first.info.previous,
            time: 0,
        };
        let path = chain_path(&self.folder, id);
        let mut output = Output {
            shared: self,
            file: self.disk.create(&path)?,
            path,
            offset: 0,
            buffer: header.encode().to_vec(),
            table: Table::new(begin, mountain, BLOCK_BYTES, &self.identity.indexes),
            gap: None,
            reasons: reasons.listed.len(),
            keys: StoreKeys::new(&self.identity.store_id),
            scratch: FrameScratch::default(),
        };
        put_reductions(&reasons.listed, &mut output.buffer);
        for (part, numbers) in run.iter().zip(&numbers) {
            part.segment.visit_items(&mut |item| output.take_over(part, &item, numbers, new))?;
        }
        output.finish(&run[run.len() - 1].segment.info)?;
        let table = &output.table;
        write_index(&*self.disk, &self.folder, &self.identity, id, table)?;
        self.disk.sync_folder(&self.folder)?;
        let info = ChainSegment { is_reduced: true, ..closed(id, table) };
        debug_assert_eq!(info.first_time, first.info.first_time);
        Ok(info)
    }
}

fn header_of(segment: &SealedSegment) -> Result<SegmentHeader, Error> {
    SegmentHeader::decode(&segment.content()?[..SEGMENT_HEADER_BYTES])
        .map_err(|malformed| malformed.in_file(segment.path(), 0))
}

impl Output<'_> {
    /// Writes what is left of an item. `numbers` are those of the old file's reasons in the new one,
    /// `new` is the number of the reason that is added.
    fn take_over(
        &mut self,
        part: &Planned,
        item: &Item<'_>,
        numbers: &[u8],
        new: u8,
    ) -> Result<(), Error> {
        let renumbered = |reduction: u8| {
            numbers.get(usize::from(reduction) - 1).copied().ok_or_else(|| {
                part.segment.corrupt(0, "an event was dropped for a reason that is not listed")
            })
        };
        let fates: Vec<Fate<'_>> = match item {
            Item::Gap(gap) => {
                return self.put_gap(GapBuilder::of(gap, renumbered(gap.reduction)?));
            }
            Item::Frame(frame) => frame.records().map(|(_, record)| Fate::Kept(record)).collect(),
            Item::Stub(stub) => stub
                .fates()
                .map(|fate| match fate {
                    Fate::Dropped(leaf, reduction) => {
                        Ok(Fate::Dropped(leaf, renumbered(reduction)?))
                    }
                    kept => Ok(kept),
                })
                .collect::<Result<_, Error>>()?,
        };
        let fates: Vec<_> = (item.sequences().start..)
            .zip(fates)
            .map(|(sequence, fate)| match fate {
                Fate::Kept(record) if part.drops(sequence) => {
                    Fate::Dropped(leaf(&record[4..]), new)
                }
                fate => fate,
            })
            .collect();
        let kept = fates.iter().filter(|fate| matches!(fate, Fate::Kept(_))).count();
        let (header, header_bytes, annex) = match item {
            Item::Frame(frame) if kept == fates.len() => return self.put_frame(frame),
            Item::Frame(frame) => (frame.header, array_at(frame.bytes, 0), frame.annex_bytes()),
            Item::Stub(stub) => (stub.header, *stub.header_bytes(), stub.annex_bytes()),
            Item::Gap(_) => unreachable!("taken over before"),
        };
        if kept == 0 {
            let newest = fates.iter().map(|fate| match fate {
                Fate::Dropped(_, reduction) => *reduction,
                Fate::Kept(_) => 0,
            });
            return self.put_gap(GapBuilder::new(&header, newest.max().unwrap_or(new)));
        }
        self.end_gap()?;
        let start = self.buffer.len();
        Stub::encode(&header_bytes, &fates, annex, &mut self.buffer);
        self.add(start)
    }

    fn put_frame(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.end_gap()?;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(frame.bytes);
        self.add(start)
    }

    /// Joins the gap before, or begins one.
    fn put_gap(&mut self, gap: GapBuilder) -> Result<(), Error> {
        let left = match &mut self.gap {
            Some(before) => before.join(gap),
            None => Some(gap),
        };
        if left.is_some() {
            self.end_gap()?;
            self.gap = left;
        }
        Ok(())
    }

    fn end_gap(&mut self) -> Result<(), Error> {
        let Some(gap) = self.gap.take() else { return Ok(()) };
        let start = self.buffer.len();
        gap.encode(&mut self.buffer);
        self.add(start)
    }

    /// Checks what was put into the buffer last, from `start` on, and writes when it is enough.
    fn add(&mut self, start: usize) -> Result<(), Error> {
        let at = self.offset + start as u64;
        let in_file = |malformed: Malformed| malformed.in_file(&self.path, at);
        let item = match step(&self.buffer[start..], at) {
            Step::Item { item, .. } => item,
            Step::Needs(_) => return Err(in_file(Malformed::new(0, "an item was cut short"))),
            Step::Bad(malformed) => return Err(in_file(malformed)),
        };
        follow(&self.table.end, &item, self.reasons, &self.keys, &mut self.scratch)
            .and_then(|_| self.table.add_item(at, &item, &self.shared.identity.keys))
            .map_err(in_file)?;
        let aligned = align(self.buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        self.buffer.resize(aligned, 0);
        if self.buffer.len() >= WRITTEN_AT_ONCE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, and syncs; `last` is the segment that the chain has to come to the end of.
    fn finish(&mut self, last: &ChainSegment) -> Result<(), Error> {
        self.end_gap()?;
        self.write()?;
        let end = &self.table.end;
        if end.sequence != last.end_sequence || end.last != last.last {
            let what = "what was read does not end where its segment does";
            return Err(Malformed::new(0, what).in_file(&self.path, self.table.bytes));
        }
        self.file.sync()?;
        Ok(())
    }
}
