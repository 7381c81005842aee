//! Verification of the whole journal: that its history is one chain, and the one that heads state.
//!
//! 1. Every durable frame is read, by positioned reads (an I/O error on a mapping would end the
//!    process). Everything that its header says is covered: by its digest, which is computed from
//!    the content, and by its place in the chain.
//! 2. Every event checks for its sequence and store, and decodes.
//! 3. The mountain range is built along the way. It has to agree with the header of every segment,
//!    and with every head: those kept with the journal, and those that the caller kept.
//! 4. If wanted: extents have the digests that their events state, and index files are byte for
//!    byte what the frames give.
//!
//! The journal alone shows only that it is consistent: who can write to it can make another history
//! with right checks and digests. That such a history is another one shows against a head which was
//! kept where they could not change it.
//!
//! Where events were dropped, the chain goes on behind the gap as the manifest says, and the mountain
//! range as the next segment's header says; a later head shows whether that is true.
//!
//! What it does *not* do: compare streams' places with each other (the digests cover them), verify
//! signatures, or go on behind the first thing that is wrong (`check` does).

use std::{ops::ControlFlow, sync::Arc};

use icecore_disk::{Access, DiskFile};

use crate::{
    Digest, Error, Head, Malformed,
    care::{
        reduced::{Reduced, walk_reduced},
        walk::{Found, Walker},
    },
    format::{
        BLOCK_BYTES,
        frame::Frame,
        record::{Record, flags},
        reduced::{Fate, Item},
        segment_header::{Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::Follow,
    },
    history::History,
    mountain::Mountain,
    segment::{Segment, index_path, table::Table},
    signing::read_heads,
};

/// What is verified beside the chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Heads that the caller kept, in any order.
    pub heads: &'a [Head],
    /// Whether extents are read and compared with their digests.
    pub extents: bool,
    /// Whether index files are compared with what the frames give.
    pub indexes: bool,
}

/// How far a long piece of work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkProgress {
    /// Bytes read so far.
    pub bytes_done: u64,
    /// Bytes to be read, about.
    pub bytes_total: u64,
    /// Events looked at so far.
    pub events: u64,
}

/// What is told how far the work is, and can end it.
pub type Report<'a> = dyn FnMut(&WorkProgress) -> ControlFlow<()> + 'a;

/// What was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The head that the frames lead to.
    pub head: Head,
    /// Events.
    pub events: u64,
    /// Frames.
    pub frames: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Heads that the history agrees with.
    pub heads_compared: u64,
    /// Heads over frames that were dropped, which nothing can be compared with.
    pub heads_in_gaps: u64,
    /// Extents that were read.
    pub extents: u64,
    /// Index files that were compared.
    pub indexes: u64,
}

/// Said of a frame that is not the next one.
pub(crate) const MISSING: &str = "events before a frame are missing";

/// Ends the work when whoever is told wants that.
pub(crate) fn tell(report: &mut Report<'_>, progress: &WorkProgress) -> Result<(), Error> {
    match report(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

impl History {
    /// Verifies everything that is durable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first thing that is wrong, [`Error::Rewritten`] when the history is
    /// not that of a head, [`Error::Interrupted`] when `report` wants the work to end.
    pub fn verify(
        &self,
        options: &VerifyOptions<'_>,
        report: &mut Report<'_>,
    ) -> Result<Verified, Error> {
        let catalog = self.catalog();
        let durable_end = self.durable_end();
        let mut parts = Vec::new();
        for segment in &catalog.segments {
            parts.push(self.part(segment, durable_end)?);
        }
        let mut heads = Heads::new(self, options.heads)?;
        let mut progress = WorkProgress {
            bytes_total: parts.iter().map(|part| part.end.saturating_sub(BLOCK_BYTES)).sum(),
            ..WorkProgress::default()
        };
        let mut walker = Walker::new(self.identity.store_id, &self.store_keys);
        let mut verified = Verified {
            head: Head {
                store_id: self.store_id(),
                frame_count: 0,
                end_sequence: 0,
                time: 0,
                last: self.store_keys.genesis(),
                mountain_root: Digest::ZERO,
            },
            events: 0,
            frames: 0,
            segments: 0,
            bytes: 0,
            heads_compared: 0,
            heads_in_gaps: 0,
            extents: 0,
            indexes: 0,
        };
        walker.follow.last = verified.head.last;
        let mut mountain = Mountain::new();
        for part in &parts {
            let start = self.segment_start(part)?;
            for gap in &catalog.gaps {
                if gap.first_sequence == walker.follow.sequence
                    && gap.end_sequence <= start.first_sequence
                {
                    walker.follow.sequence = gap.end_sequence;
                    walker.follow.frame_number = gap.end_frame;
                    walker.follow.last = gap.last;
                    let peaks = start.peaks.clone();
                    mountain = Mountain::from_peaks(start.first_frame, peaks)
                        .ok_or_else(|| part.corrupt(0, "a header has peaks that do not fit"))?;
                }
            }
            let follows = start.first_sequence == walker.follow.sequence
                && start.first_frame == walker.follow.frame_number
                && start.previous == walker.follow.last
                && start.peaks == mountain.peaks();
            if !follows {
                return Err(part.corrupt(0, "a segment does not follow on the one before it"));
            }
            heads.compare(self, &walker, &mountain)?;
            let mut table = options.indexes.then(|| {
                Table::new(walker.follow, mountain.clone(), BLOCK_BYTES, &self.identity.indexes)
            });
            let mut adopted = Vec::new();
            let is_reduced = part.closed.is_some_and(|info| info.is_reduced);
            if is_reduced {
                let begin = walker.follow;
                let (id, keys) = (&self.identity.store_id, &self.store_keys);
                walk_reduced(&*part.file, part.end, begin, id, keys, &mut |found| {
                    let (offset, item, end) = match found {
                        Reduced::Item { offset, item, end } => (offset, item, end),
                        Reduced::Read { bytes } => {
                            progress.bytes_done += bytes;
                            tell(report, &progress)?;
                            return Ok(ControlFlow::Continue(()));
                        }
                    };
                    progress.events += item.sequences().end - item.sequences().start;
                    verified.frames += item.frames().end - item.frames().start;
                    if let Item::Gap(gap) = &item {
                        for (number, first_sequence, count, digest) in gap.frames() {
                            mountain.push(digest, |_, _, _| {});
                            walker.follow = Follow {
                                sequence: first_sequence + u64::from(count),
                                frame_number: number + 1,
                                last: digest,
                                time: gap.first_time,
                            };
                            heads.compare(self, &walker, &mountain)?;
                        }
                    } else {
                        mountain.push(end.last, |_, _, _| {});
                    }
                    walker.follow = end;
                    heads.compare(self, &walker, &mountain)?;
                    match &item {
                        Item::Frame(frame) => verified.bytes += frame.bytes.len() as u64,
                        Item::Stub(stub) => verified.bytes += stub.bytes().len() as u64,
                        Item::Gap(_) => {}
                    }
                    if options.extents {
                        note_item_extents(&item, &mut adopted);
                    }
                    if let Some(table) = &mut table {
                        table
                            .add_item(offset, &item, &self.identity.keys)
                            .map_err(|malformed| malformed.in_file(part.file.path(), offset))?;
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            let start_at = if is_reduced { part.end } else { BLOCK_BYTES };
            walker.segment(&*part.file, start_at..part.end, &mut |walker, found| {
                match found {
                    Found::Frame { offset, frame } => {
                        if frame.header.end_sequence() > durable_end {
                            return Ok(ControlFlow::Break(()));
                        }
                        if walker.missing.is_some() {
                            return Err(part.corrupt(offset, MISSING));
                        }
                        mountain.push(frame.header.digest, |_, _, _| {});
                        heads.compare(self, walker, &mountain)?;
                        progress.events += u64::from(frame.header.event_count);
                        verified.frames += 1;
                        verified.bytes += frame.bytes.len() as u64;
                        if options.extents {
                            note_extents(&frame, &mut adopted);
                        }
                        if let Some(table) = &mut table {
                            table
                                .add(offset, &frame, &self.identity.keys, None)
                                .map_err(|malformed| malformed.in_file(part.file.path(), offset))?;
                        }
                    }
                    Found::Mark { .. } => {}
                    Found::Problem { offset, what, .. } => return Err(part.corrupt(offset, what)),
                    Found::Read { bytes } => {
                        progress.bytes_done += bytes;
                        tell(report, &progress)?;
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if let Some(info) = part.closed
                && (walker.follow.sequence, walker.follow.frame_number, walker.follow.last)
                    != (info.end_sequence, info.end_frame, info.last)
            {
                return Err(part.corrupt(part.end, "a sealed segment ends with another frame"));
            }
            for (sequence, extent) in &adopted {
                verified.extents += 1;
                if !catalog.data.is_extent_sound(&*self.disk, &self.folder, extent)? {
                    return Err(Error::Corrupt {
                        path: crate::segment::data_path(&self.folder, extent.segment),
                        offset: extent.offset,
                        what: match sequence {
                            0 => "the extent of the first event is not what its digest says",
                            _ => "an extent is not what the digest in its event says",
                        },
                    });
                }
            }
            if let (Some(table), Some(_)) = (&table, part.closed) {
                verified.indexes += u64::from(self.compare_index(part.id, table)?);
            }
            verified.segments += 1;
        }
        if walker.follow.sequence != durable_end {
            let (path, offset) = match parts.last() {
                Some(part) => (part.file.path().to_path_buf(), part.end),
                None => (self.folder.clone(), 0),
            };
            let what = "the chain ends before what was acknowledged as durable";
            return Err(Error::Corrupt { path, offset, what });
        }
        heads.finish(self, &mut verified)?;
        verified.events = progress.events;
        verified.head = Head {
            store_id: self.store_id(),
            frame_count: walker.follow.frame_number,
            end_sequence: walker.follow.sequence,
            time: walker.follow.time,
            last: walker.follow.last,
            mountain_root: mountain.root(),
        };
        Ok(verified)
    }

    fn part(&self, segment: &Segment, durable_end: u64) -> Result<Part, Error> {
        Ok(match segment {
            Segment::Sealed(segment) => Part {
                id: segment.info.id,
                // Not through the mapping: see the module's head.
                file: self.disk.open(segment.path(), Access::Read)?,
                end: segment.info.bytes,
                closed: Some(segment.info),
            },
            Segment::Open(segment) => {
                let table = segment.table();
                let behind = table.frames.partition_point(|at| {
                    table.start.sequence + u64::from(at.sequence_delta) < durable_end
                });
                let end = table.frames.get(behind).map_or(table.bytes, |at| at.offset.into());
                Part { id: segment.id, file: Arc::clone(segment.file()), end, closed: None }
            }
        })
    }

    fn segment_start(
        &self,
        part: &Part,
    ) -> Result<crate::format::segment_header::ChainStart, Error> {
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let read = part.file.read_at(0, &mut block)?;
        let header = SegmentHeader::decode(&block[..read])
            .map_err(|malformed| malformed.in_file(part.file.path(), 0))?;
        if header.store_id != self.store_id() || header.segment != part.id {
            return Err(part.corrupt(0, "this is another segment's header"));
        }
        match header.content {
            Content::Chain(start) | Content::ReducedChain(start) => Ok(start),
            Content::Data { .. } => Err(part.corrupt(0, "this is no chain segment")),
        }
    }

    /// Whether there is an index file; an error when it is not what the frames give.
    fn compare_index(&self, id: u32, table: &Table) -> Result<bool, Error> {
        let path = index_path(&self.folder, id, id);
        let file = match self.disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match compare_with_file(&*file, |sink| {
            crate::keeping::seal::encode_index(&self.identity, id, table, sink)
        })? {
            None => Ok(true),
            Some(at) => {
                let what = "an index is not what its segment gives; remove the file";
                Err(Malformed::new(at, what).in_file(&path, 0))
            }
        }
    }
}

/// Compares a file with what is written again; the first byte that differs.
pub(crate) fn compare_with_file(
    file: &dyn DiskFile,
    write: impl FnOnce(&mut crate::keeping::seal::Sink<'_>) -> Result<(), Error>,
) -> Result<Option<u64>, Error> {
    let mut at = 0;
    let mut differs = None;
    let mut held = Vec::new();
    write(&mut |bytes| {
        held.resize(bytes.len(), 0);
        let read = file.read_at(at, &mut held)?;
        if differs.is_none() && held[..read] != *bytes {
            let same = held[..read].iter().zip(bytes).take_while(|(one, two)| one == two).count();
            differs = Some(at + same as u64);
        }
        at += bytes.len() as u64;
        Ok(())
    })?;
    let end = file.bytes()?;
    Ok(differs.or((end != at).then_some(at.min(end))))
}

/// A segment to be read.
struct Part {
    id: u32,
    file: Arc<dyn DiskFile>,
    /// Where its durable content ends.
    end: u64,
    closed: Option<crate::format::manifest::ChainSegment>,
}

impl Part {
    fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { path: self.file.path().to_path_buf(), offset, what }
    }
}

/// The heads that the history has to agree with, in the order of their frames.
struct Heads {
    heads: Vec<Head>,
    next: usize,
    compared: u64,
}

impl Heads {
    fn new(history: &History, given: &[Head]) -> Result<Self, Error> {
        let mut heads = given.to_vec();
        read_heads(&*history.disk, &history.folder, |signed| {
            heads.push(signed.head);
            Ok(())
        })?;
        if let Some(other) = heads.iter().find(|head| head.store_id != history.store_id()) {
            return Err(history.rewritten(other));
        }
        heads.sort_by_key(|head| head.frame_count);
        Ok(Self { heads, next: 0, compared: 0 })
    }

    /// Compares the heads over as many frames as have been walked.
    fn compare(
        &mut self,
        history: &History,
        walker: &Walker<'_>,
        mountain: &Mountain,
    ) -> Result<(), Error> {
        while let Some(head) = self.heads.get(self.next)
            && head.frame_count <= mountain.frame_count()
        {
            self.next += 1;
            if head.frame_count < mountain.frame_count() {
                continue;
            }
            let follow = &walker.follow;
            if head.mountain_root != mountain.root()
                || head.end_sequence != follow.sequence
                || (head.last != follow.last && head.frame_count > 0)
                || head.time < follow.time
            {
                return Err(history.rewritten(head));
            }
            self.compared += 1;
        }
        Ok(())
    }

    fn finish(&self, history: &History, verified: &mut Verified) -> Result<(), Error> {
        // Heads beyond the end: the journal was cut off.
        if let Some(head) = self.heads.get(self.next) {
            return Err(history.rewritten(head));
        }
        verified.heads_compared = self.compared;
        verified.heads_in_gaps = self.heads.len() as u64 - self.compared;
        Ok(())
    }
}

/// Adds the extents that the frame's events adopt, with the sequence of the event.
pub(crate) fn note_extents(frame: &Frame<'_>, extents: &mut Vec<(u64, crate::Extent)>) {
    for (sequence, (_, bytes)) in (frame.header.base_sequence..).zip(frame.records()) {
        note_record_extents(sequence, bytes, extents);
    }
}

/// The same for an item of a reduced segment, as far as its events are kept.
pub(crate) fn note_item_extents(item: &Item<'_>, extents: &mut Vec<(u64, crate::Extent)>) {
    match item {
        Item::Frame(frame) => note_extents(frame, extents),
        Item::Stub(stub) => {
            for (sequence, fate) in item.sequences().zip(stub.fates()) {
                if let Fate::Kept(bytes) = fate {
                    note_record_extents(sequence, bytes, extents);
                }
            }
        }
        Item::Gap(_) => {}
    }
}

fn note_record_extents(sequence: u64, bytes: &[u8], extents: &mut Vec<(u64, crate::Extent)>) {
    if let Ok(record) = Record::decode(bytes)
        && record.flags & flags::EXTENTS != 0
    {
        extents.extend(record.extents().map(|extent| (sequence, extent)));
    }
}
