//! Heads of a journal, and proofs against them.
//!
//! A head states what is durable. What is proven is proven against a head that the caller has, so
//! that the proof fits what whoever checks it was given; every proof is verified here before it is
//! given out, so that a journal that was rewritten since the head gives an error and no proof.
//!
//! Where the nodes of the mountain range come from:
//!
//! - Nodes over 64 frames or more: from the index of the segment that completed them.
//! - Nodes over fewer frames: from the headers of the block of 64 frames that they lie in. A proof
//!   touches two such blocks at most, that of the frame and that of the head's end; so it reads at
//!   most [`HEADERS_READ_MAX`] headers, however long the journal is.
//! - Where frames were dropped: from the peaks in the header of the segment behind the gap.
//!
//! What it does *not* do: sign (see `signing`), or check the journal as a whole (see `verify`).

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use crate::{
    ConsistencyProof, Digest, Error, EventProof, FrameProof, Head,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        fields::array_at,
        frame::{FRAME_HEADER_BYTES, FrameHeader, FrameScratch},
        segment_header::{Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::{Follow, Step, align, step},
    },
    history::History,
    index::{FRAME_STRIDE, NODE_LEVEL_MIN},
    merkle,
    mountain::{NodeSource, side_root},
    proof::InclusionProof,
    segment::{Catalog, Segment},
};

/// Headers that a proof reads at most: two blocks of 64 frames, each perhaps begun 63 frames before
/// the segment that is looked for, and the frame itself.
#[cfg(test)]
const HEADERS_READ_MAX: u64 = 4 * FRAME_STRIDE + 1;

impl History {
    /// The head of what is durable now. Its time is that of the last frame.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what it is computed from does not check.
    pub fn head(&self) -> Result<Head, Error> {
        self.retry(|| {
            let end = self.durable_end();
            let nodes = Nodes::new(self);
            let end = nodes.follow_at(end)?;
            Ok(Head {
                store_id: self.store_id(),
                frame_count: end.frame_number,
                end_sequence: end.sequence,
                time: end.time,
                last: end.last,
                mountain_root: side_root(&nodes, 0, end.frame_number)?,
            })
        })
    }

    /// Shows that an event is part of the history of a head of this journal.
    ///
    /// # Errors
    /// [`Error::NoSuchEvent`] when the head does not cover the event, [`Error::Rewritten`] when the
    /// head is not of this journal's history, [`Error::Dropped`] when what is needed was dropped.
    pub fn prove(&self, sequence: u64, head: &Head) -> Result<EventProof, Error> {
        self.retry(|| {
            let (nodes, header, bytes) = self.frame_to_prove(sequence, head)?;
            let inclusion = InclusionProof::make(&nodes, header.frame_number, head.frame_count)?;
            let mut scratch = FrameScratch::default();
            bytes.leaves(&mut scratch);
            let index = (sequence - header.base_sequence) as u32;
            let proof =
                EventProof::new(&bytes.stored_header(), index, &mut scratch.leaves, inclusion);
            let record = bytes.record(index as usize).expect("the event was read from it");
            proof.verify(record, head).map_err(|_| self.rewritten(head))?;
            Ok(proof)
        })
    }

    /// Shows that the frame (the batch) which holds an event is part of the history of a head.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn prove_frame(&self, sequence: u64, head: &Head) -> Result<FrameProof, Error> {
        self.retry(|| {
            let (nodes, header, bytes) = self.frame_to_prove(sequence, head)?;
            let inclusion = InclusionProof::make(&nodes, header.frame_number, head.frame_count)?;
            let mut scratch = FrameScratch::default();
            bytes.leaves(&mut scratch);
            let root = merkle::root(&mut scratch.leaves);
            let proof = FrameProof::new(&bytes.stored_header(), root, inclusion);
            proof.verify(head).map_err(|_| self.rewritten(head))?;
            Ok(proof)
        })
    }

    /// Shows that the history of one head begins with that of an older one.
    ///
    /// # Errors
    /// [`Error::Proof`] when the heads cannot be of one history, [`Error::Rewritten`] when they are
    /// not both of this journal's.
    pub fn prove_consistency(&self, old: &Head, new: &Head) -> Result<ConsistencyProof, Error> {
        self.retry(|| {
            self.check_head(new)?;
            if old.frame_count > new.frame_count {
                let what = "the newer one has fewer frames";
                return Err(crate::ProofError::Heads { what }.into());
            }
            let nodes = Nodes::new(self);
            let proof = ConsistencyProof::make(&nodes, old.frame_count, new.frame_count)?;
            match proof.verify(old, new) {
                Ok(()) => Ok(proof),
                Err(crate::ProofError::NotConsistent) => Err(self.rewritten(old)),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn check_head(&self, head: &Head) -> Result<(), Error> {
        let end = Nodes::new(self).follow_at(self.durable_end())?;
        if head.store_id != self.store_id() || head.frame_count > end.frame_number {
            return Err(self.rewritten(head));
        }
        Ok(())
    }

    pub(crate) fn rewritten(&self, head: &Head) -> Error {
        Error::Rewritten {
            folder: self.folder.clone(),
            frame_count: head.frame_count,
            end_sequence: head.end_sequence,
        }
    }

    fn frame_to_prove(
        &self,
        sequence: u64,
        head: &Head,
    ) -> Result<(Nodes<'_>, FrameHeader, crate::lookup::FrameBytes), Error> {
        self.check_head(head)?;
        if sequence >= head.end_sequence {
            return Err(Error::NoSuchEvent { sequence, end: head.end_sequence });
        }
        let nodes = Nodes::new(self);
        // An event that was dropped is told from one that is lost.
        nodes.catalog.read(&self.identity, sequence)?.ok_or_else(|| self.lost(sequence))?;
        let bytes = self.frame_bytes(&nodes.catalog, sequence)?;
        let header = bytes.header();
        if header.frame_number >= head.frame_count {
            return Err(self.rewritten(head));
        }
        Ok((nodes, header, bytes))
    }
}

/// The nodes of a journal's mountain range, wherever they are.
pub(crate) struct Nodes<'a> {
    history: &'a History,
    catalog: Arc<Catalog>,
    /// Nodes that were read and may be asked for again.
    known: RefCell<HashMap<(u8, u64), Digest>>,
    /// Blocks of 64 frames that were read.
    blocks: RefCell<HashSet<u64>>,
    headers_read: Cell<u64>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        Self {
            history,
            catalog: history.catalog(),
            known: RefCell::default(),
            blocks: RefCell::default(),
            headers_read: Cell::new(0),
        }
    }

    /// Where the chain stands at `end`, which is where a frame ends.
    pub(crate) fn follow_at(&self, end: u64) -> Result<Follow, Error> {
        let lost = || self.history.lost(end);
        let place = self.catalog.segment_of(end).ok_or_else(lost)?;
        let segment = &self.catalog.segments[place];
        if segment.first_sequence() == end {
            return Ok(match segment {
                Segment::Open(segment) => segment.table().start,
                Segment::Sealed(segment) => Follow {
                    sequence: end,
                    frame_number: segment.info.first_frame,
                    last: segment.info.previous,
                    time: segment.info.first_time,
                },
            });
        }
        let header = match segment {
            Segment::Open(segment) => {
                let frame = segment.table().frame_of(end - 1).ok_or_else(lost)?;
                self.open_header(segment, u64::from(frame.offset))?
            }
            Segment::Sealed(segment) => {
                let event = segment.read(end - 1)?.ok_or_else(lost)?;
                self.headers_read.set(self.headers_read.get() + 1);
                segment.frame_of(&event)?.0
            }
        };
        let start =
            Follow { sequence: end, frame_number: 0, last: Digest::ZERO, time: header.time };
        let end_of_frame = start.after(&header);
        if end_of_frame.sequence != end { Err(lost()) } else { Ok(end_of_frame) }
    }

    fn open_header(
        &self,
        segment: &crate::segment::open::OpenSegment,
        offset: u64,
    ) -> Result<FrameHeader, Error> {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        segment.read_exactly(offset, &mut bytes)?;
        self.headers_read.set(self.headers_read.get() + 1);
        FrameHeader::decode(&bytes).map_err(|malformed| malformed.in_file(segment.path(), offset))
    }

    fn get(&self, level: u8, index: u64) -> Option<Digest> {
        self.known.borrow().get(&(level, index)).copied()
    }

    fn know(&self, level: u8, index: u64, digest: Digest) {
        self.known.borrow_mut().insert((level, index), digest);
    }

    /// A node over 64 frames or more, as the frame completed it that is its last.
    fn large(&self, level: u8, index: u64) -> Result<Option<Digest>, Error> {
        let last = ((index + 1) << level) - 1;
        for segment in &self.catalog.segments {
            if frames_of(segment).contains(&last) {
                return match segment {
                    Segment::Open(segment) => Ok(segment.table().mountain_node(level, index)),
                    Segment::Sealed(segment) => segment.mountain_node(level, index),
                };
            }
        }
        for group in &self.catalog.groups {
            if let Ok(Some(node)) = group.file().mountain_node(level, index) {
                return Ok(Some(Digest(node)));
            }
        }
        let behind = self.catalog.segments.iter().find(|at| frames_of(at).start > last);
        if let Some(segment) = behind {
            self.know_peaks(segment)?;
        }
        Ok(self.get(level, index))
    }

    /// Notes the peaks over all frames before a segment, from its header.
    fn know_peaks(&self, segment: &Segment) -> Result<(), Error> {
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let path = match segment {
            Segment::Open(segment) => {
                segment.read_exactly(0, &mut block)?;
                segment.path()
            }
            Segment::Sealed(segment) => {
                block = array_at(segment.content()?, 0);
                segment.path()
            }
        };
        let header =
            SegmentHeader::decode(&block).map_err(|malformed| malformed.in_file(path, 0))?;
        let (Content::Chain(start) | Content::ReducedChain(start)) = header.content else {
            return Ok(());
        };
        let mut at = 0;
        let mut peaks = start.peaks.iter();
        for level in (0..64).rev().filter(|level| start.first_frame >> level & 1 == 1) {
            if let Some(peak) = peaks.next() {
                self.know(level, at >> level, *peak);
            }
            at += 1 << level;
        }
        Ok(())
    }

    /// Reads the digests of the frames of one block of 64.
    fn read_block(&self, block: u64) -> Result<(), Error> {
        if !self.blocks.borrow_mut().insert(block) {
            return Ok(());
        }
        let wanted = block * FRAME_STRIDE..(block + 1) * FRAME_STRIDE;
        for gap in self.catalog.gaps.iter().filter(|gap| wanted.contains(&(gap.end_frame - 1))) {
            self.know(0, gap.end_frame - 1, gap.last);
        }
        for segment in &self.catalog.segments {
            let frames = frames_of(segment);
            if wanted.contains(&frames.start) && frames.start > wanted.start {
                self.know_peaks(segment)?;
            }
            let part = wanted.start.max(frames.start)..wanted.end.min(frames.end);
            if !part.is_empty() {
                self.read_frames(segment, part)?;
            }
        }
        Ok(())
    }

    fn read_frames(&self, segment: &Segment, numbers: Range<u64>) -> Result<(), Error> {
        match segment {
            Segment::Open(segment) => {
                let offsets: Vec<u32> = {
                    let table = segment.table();
                    let first = (numbers.start - table.start.frame_number) as usize;
                    let count = (numbers.end - numbers.start) as usize;
                    table.frames.iter().skip(first).take(count).map(|at| at.offset).collect()
                };
                for (number, offset) in numbers.zip(offsets) {
                    let header = self.open_header(segment, u64::from(offset))?;
                    self.know(0, number, header.digest);
                }
            }
            Segment::Sealed(segment) if segment.info.is_reduced => {
                self.headers_read.set(self.headers_read.get() + (numbers.end - numbers.start));
                for (number, digest) in segment.frame_digests(numbers)? {
                    self.know(0, number, digest);
                }
            }
            Segment::Sealed(segment) => {
                let content = segment.content()?;
                let (mut number, mut offset) = segment.frame_mark(numbers.start)?;
                while number < numbers.end {
                    let bytes = content.get(offset as usize..).unwrap_or_default();
                    let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
                        return Err(segment.corrupt(offset, "a sealed segment ends too early"));
                    };
                    if let Ok(header) = FrameHeader::decode(header) {
                        self.headers_read.set(self.headers_read.get() + 1);
                        if header.frame_number != number {
                            return Err(segment.corrupt(offset, "a frame has another number"));
                        }
                        self.know(0, number, header.digest);
                        number += 1;
                        offset = align(offset + u64::from(header.frame_bytes), FRAME_ALIGNMENT);
                        continue;
                    }
                    offset = match step(bytes, offset) {
                        Step::Padding { next } | Step::Mark { next, .. } => next,
                        _ => return Err(segment.corrupt(offset, "no frame begins here")),
                    };
                }
            }
        }
        Ok(())
    }
}

impl NodeSource for Nodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
        if let Some(known) = self.get(level, index) {
            return Ok(known);
        }
        if level >= NODE_LEVEL_MIN {
            if let Some(node) = self.large(level, index)? {
                return Ok(node);
            }
        } else {
            self.read_block((index << level) / FRAME_STRIDE)?;
            if let Some(known) = self.get(level, index) {
                return Ok(known);
            }
        }
        // Of a large node that a dropped frame completed, the left half is complete without it.
        if level > 0 {
            let left = self.node(level - 1, 2 * index)?;
            let right = self.node(level - 1, 2 * index + 1)?;
            return Ok(crate::digest::node(&left, &right));
        }
        let frames = index << level..(index + 1) << level;
        let is_hit = |gap: &&crate::format::manifest::Gap| {
            gap.first_frame < frames.end && frames.start < gap.end_frame
        };
        match self.catalog.gaps.iter().find(is_hit) {
            Some(gap) => Err(Error::Dropped {
                sequence: gap.first_sequence,
                first: gap.first_sequence,
                end: gap.end_sequence,
                reason: gap.reason.clone(),
            }),
            None => Err(Error::Corrupt {
                path: self.history.folder.clone(),
                offset: frames.start,
                what: "no segment has a frame of the chain; the number is the frame's, not a place",
            }),
        }
    }
}

fn frames_of(segment: &Segment) -> Range<u64> {
    match segment {
        Segment::Sealed(segment) => segment.info.first_frame..segment.info.end_frame,
        Segment::Open(segment) => {
            let table = segment.table();
            table.start.frame_number..table.end.frame_number
        }
    }
}

const _: () = assert!(BLOCK_BYTES as usize == SEGMENT_HEADER_BYTES);
const _: () = assert!(FRAME_STRIDE == 1 << NODE_LEVEL_MIN);

#[cfg(test)]
mod tests {
    use icecore_disk::SimulatedDisk;

    use super::*;
    use crate::{
        AppendOptions, Batch, CreateOptions, Durability, Journal, NewEvent, Options, Receipt,
    };

    fn options() -> Options {
        Options {
            background: false,
            segment_bytes_max: 64 << 10,
            stream_heads_max: 1 << 10,
            ..Options::default()
        }
    }

    fn append(journal: &Journal, number: u64, durability: Durability) -> Receipt {
        let payload = vec![number as u8; (number % 90) as usize];
        let mut batch = Batch::new();
        for _ in 0..=number % 3 {
            batch.push(&NewEvent::new(b"stream", 1, &payload)).expect("fits");
        }
        let options = AppendOptions { durability, ..AppendOptions::default() };
        journal.append(&batch, &options).expect("appended")
    }

    /// A journal of many segments, and a receipt for each frame.
    fn journal(frames: u64) -> (Journal, Vec<Receipt>) {
        let disk = Arc::new(SimulatedDisk::new(7));
        let journal = Journal::create_on(disk, "/journal", CreateOptions::default(), options())
            .expect("created");
        let receipts = (0..frames)
            .map(|number| {
                let receipt = append(&journal, number, Durability::Written);
                if number % 200 == 199 {
                    journal.tend().expect("tended");
                }
                receipt
            })
            .collect();
        journal.sync().expect("synced");
        (journal, receipts)
    }

    #[test]
    fn every_event_of_a_journal_of_many_segments_is_proven_against_its_head() {
        let (journal, receipts) = journal(3000);
        assert!(journal.catalog().segments.len() > 5, "several segments");
        let head = journal.head().expect("a head");
        let active = Arc::clone(journal.catalog().active().expect("one is written to"));
        assert_eq!(head.mountain_root, active.table().mountain.root());
        assert_eq!(head.frame_count, 3000);
        for receipt in receipts.iter().step_by(7) {
            let frame = journal.prove_frame(receipt.first_sequence, &head).expect("proven");
            receipt.verify(&frame, &head).expect("the receipt is of this journal");
            for sequence in receipt.sequences() {
                let proof = journal.prove(sequence, &head).expect("proven");
                let event = journal.read(sequence).expect("read");
                receipt.verify_event(event.record_bytes(), &proof, &head).expect("it is this one");
            }
        }
    }

    #[test]
    fn a_proof_reads_as_few_headers_at_the_start_as_at_the_end() {
        let (journal, _) = journal(3000);
        let head = journal.head().expect("a head");
        for frame_number in (0..head.frame_count).step_by(97) {
            let nodes = Nodes::new(&journal);
            InclusionProof::make(&nodes, frame_number, head.frame_count).expect("made");
            let read = nodes.headers_read.get();
            assert!(read <= HEADERS_READ_MAX, "{read} headers for frame {frame_number}");
        }
    }

    #[test]
    fn a_head_is_of_what_is_durable_and_old_heads_are_consistent_with_new_ones() {
        let (journal, _) = journal(10);
        let mut heads = vec![journal.head().expect("a head")];
        for number in 10..400 {
            append(&journal, number, Durability::Written);
            assert_eq!(journal.head().expect("a head"), *heads.last().expect("one"));
            if number % 40 == 0 {
                journal.sync().expect("synced");
                heads.push(journal.head().expect("a head"));
            }
        }
        for (index, old) in heads.iter().enumerate() {
            for new in &heads[index..] {
                let proof = journal.prove_consistency(old, new).expect("one history");
                proof.verify(old, new).expect("one history");
            }
        }
        let end = heads[1].end_sequence;
        assert!(matches!(journal.prove(end, &heads[1]), Err(Error::NoSuchEvent { .. })));
        let mut other = heads[1];
        other.mountain_root.0[0] ^= 1;
        assert!(matches!(journal.prove(0, &other), Err(Error::Rewritten { .. })));
        let consistency = journal.prove_consistency(&other, &heads[2]);
        assert!(matches!(consistency, Err(Error::Rewritten { .. })));
    }

    #[test]
    fn a_journal_without_events_has_a_head_that_everything_continues() {
        let (journal, _) = journal(0);
        let empty = journal.head().expect("a head");
        assert_eq!((empty.frame_count, empty.mountain_root), (0, Digest::ZERO));
        append(&journal, 0, Durability::Durable);
        let head = journal.head().expect("a head");
        let proof = journal.prove_consistency(&empty, &head).expect("made");
        proof.verify(&empty, &head).expect("anything continues nothing");
    }
}
