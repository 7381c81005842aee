//! What is known of an open segment's events: where each lies, and by what it can be found.
//!
//! Built frame by frame in order, by the writer as it writes and by whoever scans a segment without
//! an index file. The same content, sorted, becomes the index file.
//!
//! Memory: 4 bytes per event and 16 per frame, 12 to 16 per posting, and nothing of the events
//! themselves; bounded because segments are (by bytes and by events).

use std::ops::Range;

use crate::{
    Digest, Malformed, StoreId,
    format::{
        frame::{Frame, FrameHeader},
        record::Record,
        reduced::{Fate, Gap, Item, Stub},
        walk::Follow,
    },
    index::{IndexKind, Marks, Postings},
    keys::IndexKeys,
    mountain::Mountain,
};

/// In place of an offset: the event was dropped. Nothing lies where a segment's header is.
pub(crate) const DROPPED: u32 = 0;
/// With an offset: there lies what is left of the event's frame. Segments end far below.
pub(crate) const IN_STUB: u32 = 1 << 31;

/// Where a frame lies, and when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameEntry {
    /// Its first sequence, from the segment's.
    pub(crate) sequence_delta: u32,
    /// Its offset in the segment.
    pub(crate) offset: u32,
    pub(crate) time: u64,
}

/// The content of an open segment, without its bytes.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) start: Follow,
    pub(crate) end: Follow,
    /// Where the last frame ends, in bytes of the segment.
    pub(crate) bytes: u64,
    pub(crate) first_time: u64,
    /// What the index file keeps by number.
    pub(crate) marks: Marks,
    pub(crate) frames: Vec<FrameEntry>,
    pub(crate) postings: Vec<(IndexKind, Postings)>,
    /// The mountain range at `end`.
    pub(crate) mountain: Mountain,
}

impl Table {
    pub(crate) fn new(start: Follow, mountain: Mountain, bytes: u64, kinds: &[IndexKind]) -> Self {
        Self {
            start,
            end: start,
            bytes,
            first_time: 0,
            marks: Marks::default(),
            frames: Vec::new(),
            postings: kinds.iter().map(|kind| (*kind, Postings::new(start.sequence))).collect(),
            mountain,
        }
    }

    /// Adds the next frame, which lies at `offset`; `streams` are the keys of its events' streams
    /// if they have been hashed before.
    pub(crate) fn add(
        &mut self,
        offset: u64,
        frame: &Frame<'_>,
        keys: &IndexKeys,
        streams: Option<&[u64]>,
    ) -> Result<(), Malformed> {
        let header = &frame.header;
        let base = header.base_sequence;
        debug_assert_eq!(base, self.end.sequence, "frames are added in order");
        self.marks.frame(header.frame_number, base, offset as u32);
        self.begin(base, offset, header.time);
        let is_plain = self
            .postings
            .iter()
            .all(|(kind, _)| matches!(kind, IndexKind::Stream | IndexKind::Idempotency));
        for (index, (distance, bytes)) in frame.records().enumerate() {
            let sequence = base + index as u64;
            self.marks.event(sequence, header.time, offset as u32 + distance as u32);
            if let (true, Some(streams)) = (is_plain, streams) {
                self.postings_of(IndexKind::Stream).push(streams[index], sequence);
                continue;
            }
            let record = Record::decode(bytes)?;
            for (kind, postings) in &mut self.postings {
                match (*kind, streams) {
                    (IndexKind::Stream, Some(streams)) => postings.push(streams[index], sequence),
                    _ => keys.of_record(*kind, &record, |key| postings.push(key, sequence)),
                }
            }
        }
        if header.annex_bytes > 0
            && let Some((_, key)) = frame.annex()?.idempotency
        {
            let key = keys.idempotency(key);
            self.postings_of(IndexKind::Idempotency).push(key, base);
        }
        self.finish(header, offset + frame.bytes.len() as u64);
        Ok(())
    }

    /// Adds the next item of a reduced segment.
    pub(crate) fn add_item(
        &mut self,
        offset: u64,
        item: &Item<'_>,
        keys: &IndexKeys,
    ) -> Result<(), Malformed> {
        match item {
            Item::Frame(frame) => self.add(offset, frame, keys, None),
            Item::Stub(stub) => self.add_stub(offset, stub, keys),
            Item::Gap(gap) => {
                self.add_gap(offset, gap);
                Ok(())
            }
        }
    }

    /// Adds what is left of the next frame of a reduced segment. Its idempotency key is no longer
    /// found: the receipt would need all its events.
    fn add_stub(
        &mut self,
        offset: u64,
        stub: &Stub<'_>,
        keys: &IndexKeys,
    ) -> Result<(), Malformed> {
        let header = &stub.header;
        debug_assert_eq!(header.base_sequence, self.end.sequence, "frames are added in order");
        self.marks.frame(header.frame_number, header.base_sequence, offset as u32);
        self.begin(header.base_sequence, offset, header.time);
        for (sequence, fate) in (header.base_sequence..).zip(stub.fates()) {
            let Fate::Kept(bytes) = fate else {
                self.marks.event(sequence, header.time, DROPPED);
                continue;
            };
            self.marks.event(sequence, header.time, IN_STUB | offset as u32);
            let record = Record::decode(bytes)?;
            for (kind, postings) in &mut self.postings {
                keys.of_record(*kind, &record, |key| postings.push(key, sequence));
            }
        }
        self.finish(header, offset + stub.bytes().len() as u64);
        Ok(())
    }

    /// Adds a gap of a reduced segment.
    fn add_gap(&mut self, offset: u64, gap: &Gap<'_>) {
        for (number, first_sequence, count, digest) in gap.frames() {
            self.marks.frame(number, first_sequence, offset as u32);
            self.begin(first_sequence, offset, gap.first_time);
            for sequence in first_sequence..first_sequence + u64::from(count) {
                self.marks.event(sequence, gap.first_time, DROPPED);
            }
            let marks = &mut self.marks;
            self.mountain.push(digest, |level, _, digest| marks.node(level, digest.0));
        }
        self.end = Follow {
            sequence: gap.end_sequence,
            frame_number: gap.end_frame(),
            last: gap.last(),
            time: gap.last_time,
        };
        self.bytes = offset + gap.bytes() as u64;
    }

    fn begin(&mut self, base: u64, offset: u64, time: u64) {
        if self.frames.is_empty() {
            self.first_time = time;
        }
        self.frames.push(FrameEntry {
            sequence_delta: (base - self.start.sequence) as u32,
            offset: offset as u32,
            time,
        });
    }

    fn finish(&mut self, header: &FrameHeader, end: u64) {
        let marks = &mut self.marks;
        self.mountain.push(header.digest, |level, _, digest| marks.node(level, digest.0));
        self.end = self.end.after(header);
        self.bytes = end;
    }

    fn postings_of(&mut self, wanted: IndexKind) -> &mut Postings {
        self.postings
            .iter_mut()
            .find_map(|(kind, postings)| (*kind == wanted).then_some(postings))
            .expect("streams and idempotency keys are always indexed")
    }

    pub(crate) fn postings(&self, wanted: IndexKind) -> Option<&Postings> {
        self.postings.iter().find_map(|(kind, postings)| (*kind == wanted).then_some(postings))
    }

    /// Where the event's record lies and where the next thing begins; `None` outside the segment.
    pub(crate) fn place(&self, sequence: u64) -> Option<Place> {
        let index = usize::try_from(sequence.checked_sub(self.start.sequence)?).ok()?;
        let offset = self.marks.offset(index)?;
        let frame = self.frame_of(sequence)?;
        Some(Place { offset: u64::from(offset), time: frame.time })
    }

    /// The frame that holds the event.
    pub(crate) fn frame_of(&self, sequence: u64) -> Option<FrameEntry> {
        let delta = u32::try_from(sequence.checked_sub(self.start.sequence)?).ok()?;
        let behind = self.frames.partition_point(|frame| frame.sequence_delta <= delta);
        self.frames.get(behind.checked_sub(1)?).copied()
    }
}

impl Table {
    /// A node of the mountain range over 64 frames or more that its frames completed.
    pub(crate) fn mountain_node(&self, level: u8, index: u64) -> Option<Digest> {
        let (first, end) = (self.start.frame_number, self.end.frame_number);
        self.marks.mountain_node(level, index, first, end).map(Digest)
    }

    /// Sequences of a key's events, in order, up to the limit.
    pub(crate) fn collect(&self, wanted: &Wanted, out: &mut Vec<u64>) {
        let Some(postings) = self.postings(wanted.kind) else { return };
        let mut found = postings.sequences(wanted.key, wanted.sequences.clone());
        while out.len() < wanted.limit {
            match if wanted.is_backward { found.next_back() } else { found.next() } {
                Some(sequence) => out.push(sequence),
                None => break,
            }
        }
    }

    /// The first event of that time or later, of those in the table.
    pub(crate) fn first_at(&self, time: u64) -> u64 {
        let frame = self.frames.partition_point(|frame| frame.time < time);
        self.frames.get(frame).map_or(self.end.sequence, |frame| {
            self.start.sequence + u64::from(frame.sequence_delta)
        })
    }
}

/// What a search for the events of a key asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) kind: IndexKind,
    pub(crate) key: u64,
    pub(crate) sequences: Range<u64>,
    pub(crate) is_backward: bool,
    pub(crate) limit: usize,
}

/// Where an event lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) time: u64,
}

/// What every part of a journal knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) store_id: StoreId,
    pub(crate) keys: IndexKeys,
    /// The indexes that are kept: streams and idempotency keys, and what was declared.
    pub(crate) indexes: Vec<IndexKind>,
}
