//! A chain segment that is never changed again.
//!
//! - Its bytes are mapped; an event is a part of the mapping.
//! - What finds its events is its index file. The index is derived: when it is missing, or turns out
//!   to be wrong at any time, the segment is scanned instead, every frame checked, and the answer is
//!   the same; the report of the journal says so.
//!
//! What it does *not* do: trust its index. An offset from it leads to a record that has to check for
//! the sequence that was asked for.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use icecore_disk::{Access, Disk, Mapping};

use crate::{
    Digest, Error, Event, Malformed,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        fields::u64_at,
        frame::{FRAME_HEADER_BYTES, FrameHeader, FrameScratch, TIME},
        manifest::ChainSegment,
        record,
        segment_header::{Content, SegmentHeader},
        walk::{Follow, Step, step},
    },
    index::{FrameMark, IndexFile},
    mountain::Mountain,
    primitives::{Mutex, RwLock},
    read::RecordBytes,
    segment::{
        index_path,
        table::{DROPPED, IN_STUB, Identity, Table, Wanted},
    },
};

mod reduction;

/// A sealed segment.
pub(crate) struct SealedSegment {
    pub(crate) info: ChainSegment,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    index_path: PathBuf,
    identity: Identity,
    mapping: OnceLock<Mapping>,
    mapping_made: Mutex<()>,
    index: RwLock<Option<Arc<SealedIndex>>>,
    fallbacks: Arc<AtomicU64>,
}

/// What finds the events of a sealed segment.
enum SealedIndex {
    File(Box<IndexFile<Mapping>>),
    Scanned(Box<Table>),
}

impl std::fmt::Debug for SealedSegment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SealedSegment").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SealedSegment {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        info: ChainSegment,
        identity: Identity,
        fallbacks: Arc<AtomicU64>,
    ) -> Self {
        Self {
            path: super::chain_path(folder, info.id),
            index_path: index_path(folder, info.id, info.id),
            info,
            disk,
            identity,
            mapping: OnceLock::new(),
            mapping_made: Mutex::new(()),
            index: RwLock::new(None),
            fallbacks,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The segment's bytes, as far as they are its content.
    pub(crate) fn mapping(&self) -> Result<&Mapping, Error> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        let _one = self.mapping_made.lock().expect("mapping does not panic");
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        let mapping = self.disk.open(&self.path, Access::Read)?.map()?;
        if (mapping.len() as u64) < self.info.bytes {
            return Err(self.corrupt(mapping.len() as u64, "a sealed segment is too short"));
        }
        Ok(self.mapping.get_or_init(|| mapping))
    }

    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { path: self.path.clone(), offset, what }
    }

    pub(crate) fn content(&self) -> Result<&[u8], Error> {
        let bytes = usize::try_from(self.info.bytes).expect("segments are small");
        Ok(&self.mapping()?[..bytes])
    }

    /// Reads an event; `None` when the sequence is not of this segment.
    pub(crate) fn read(&self, sequence: u64) -> Result<Option<Event>, Error> {
        if !(self.info.first_sequence..self.info.end_sequence).contains(&sequence) {
            return Ok(None);
        }
        let content = self.content()?;
        match self.event_at(content, self.offset_of(sequence)?, sequence) {
            Err(dropped @ Error::Dropped { .. }) => Err(dropped),
            // An index that leads astray is as good as none.
            Err(_) if self.distrust_index()? => {
                self.event_at(content, self.offset_of(sequence)?, sequence).map(Some)
            }
            read => read.map(Some),
        }
    }

    /// What the index has for an event of this segment.
    fn offset_of(&self, sequence: u64) -> Result<u32, Error> {
        self.with_index(|index| match index {
            SealedIndex::File(file) => indexed(file.offset(sequence)?),
            SealedIndex::Scanned(table) => {
                let place = table.place(sequence).expect("the table covers the segment");
                Ok(place.offset as u32)
            }
        })
    }

    /// The event whose record lies at an offset.
    pub(crate) fn event_at(
        &self,
        content: &[u8],
        offset: u32,
        sequence: u64,
    ) -> Result<Event, Error> {
        if self.info.is_reduced && offset == DROPPED {
            return Err(self.dropped(sequence)?);
        }
        if self.info.is_reduced && offset & IN_STUB != 0 {
            return self.event_in_stub(content, offset & !IN_STUB, sequence);
        }
        let start = offset as usize;
        let offset = u64::from(offset);
        let bytes = content.get(start..).unwrap_or_default();
        let length = record::length(bytes)
            .filter(|length| *length <= bytes.len())
            .ok_or_else(|| self.corrupt(offset, "no event lies where one should"))?;
        let frame = offset
            .checked_sub(u64::from(record::frame_distance(bytes)))
            .filter(|frame| *frame >= BLOCK_BYTES)
            .ok_or_else(|| self.corrupt(offset, "an event lies outside any frame"))?;
        let time = u64_at(content, frame as usize + TIME);
        let bytes =
            RecordBytes::Mapped { mapping: self.mapping()?.clone(), start, end: start + length };
        Event::check(bytes, &self.identity.store_id, sequence, time)
            .map_err(|malformed| malformed.in_file(&self.path, offset))
    }

    /// Sequences of a key's events, in order, up to the limit.
    pub(crate) fn postings(&self, wanted: &Wanted, out: &mut Vec<u64>) -> Result<(), Error> {
        let before = out.len();
        self.with_index(|index| {
            out.truncate(before);
            match index {
                SealedIndex::File(file) => collect(file, wanted, out),
                SealedIndex::Scanned(table) => {
                    table.collect(wanted, out);
                    Ok(())
                }
            }
        })
    }

    /// The first event of this time or later; the segment's end if there is none.
    pub(crate) fn first_at(&self, time: u64) -> Result<u64, Error> {
        let mut sequence = self.with_index(|index| match index {
            SealedIndex::File(file) => file.sequence_at_time(time),
            SealedIndex::Scanned(table) => Ok(table.first_at(time)),
        })?;
        // The index has every 256th event: a few are left to look at.
        loop {
            match self.read(sequence) {
                Ok(Some(event)) if event.time() < time => sequence += 1,
                Ok(_) => return Ok(sequence),
                Err(Error::Dropped { end, .. }) => sequence = end,
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a lookup; when the index file turns out to be wrong, once more on a scan.
    fn with_index<T>(
        &self,
        mut lookup: impl FnMut(&SealedIndex) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let index = self.index()?;
        match lookup(&index) {
            Ok(found) => Ok(found),
            Err(malformed) => {
                if !self.distrust_index()? {
                    return Err(malformed.in_file(&self.index_path, 0));
                }
                lookup(&*self.index()?).map_err(|malformed| malformed.in_file(&self.path, 0))
            }
        }
    }

    fn index(&self) -> Result<Arc<SealedIndex>, Error> {
        if let Some(index) = &*self.index.read().expect("lookups do not panic") {
            return Ok(Arc::clone(index));
        }
        let mut slot = self.index.write().expect("lookups do not panic");
        if let Some(index) = &*slot {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(match self.open_index() {
            Some(file) => SealedIndex::File(Box::new(file)),
            None => {
                self.fallbacks.fetch_add(1, Ordering::Relaxed);
                SealedIndex::Scanned(Box::new(self.scan()?))
            }
        });
        *slot = Some(Arc::clone(&index));
        Ok(index)
    }

    /// The index file, if it is there, sound as far as opening tells, and of this very content.
    fn open_index(&self) -> Option<IndexFile<Mapping>> {
        let mapping = self.disk.open(&self.index_path, Access::Read).ok()?.map().ok()?;
        let file = IndexFile::open(mapping).ok()?;
        let covers = file.covers();
        let is_ours = covers.store_id == self.identity.store_id.0
            && (covers.first_segment, covers.last_segment) == (self.info.id, self.info.id)
            && covers.first_sequence == self.info.first_sequence
            && covers.end_sequence == self.info.end_sequence
            && covers.last_digest == self.info.last.0
            && self.identity.indexes.iter().all(|kind| file.has(*kind));
        is_ours.then_some(file)
    }

    /// How many pages of the index file were touched.
    #[cfg(test)]
    pub(crate) fn index_pages_touched(&self) -> u64 {
        match self.index.read().expect("lookups do not panic").as_deref() {
            Some(SealedIndex::File(file)) => file.pages_touched(),
            _ => 0,
        }
    }

    /// Replaces an index file by a scan; false when it was a scan already.
    fn distrust_index(&self) -> Result<bool, Error> {
        let mut slot = self.index.write().expect("lookups do not panic");
        if let Some(index) = &*slot
            && matches!(**index, SealedIndex::Scanned(_))
        {
            return Ok(false);
        }
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        *slot = Some(Arc::new(SealedIndex::Scanned(Box::new(self.scan()?))));
        Ok(true)
    }

    /// Reads the whole segment, checking every frame, and makes the table of its events.
    pub(crate) fn scan(&self) -> Result<Table, Error> {
        let content = self.content()?;
        let keys = StoreKeys::new(&self.identity.store_id);
        let at = |offset: u64| move |malformed: Malformed| (offset, malformed);
        let header = SegmentHeader::decode(&content[..BLOCK_BYTES as usize])
            .map_err(|malformed| malformed.in_file(&self.path, 0))?;
        let mountain = match header.content {
            Content::Chain(start) | Content::ReducedChain(start) => {
                Mountain::from_peaks(self.info.first_frame, start.peaks)
            }
            _ => None,
        };
        let mountain = mountain
            .ok_or_else(|| self.corrupt(0, "a chain segment begins with another's header"))?;
        let start = Follow {
            sequence: self.info.first_sequence,
            frame_number: self.info.first_frame,
            last: self.info.previous,
            time: 0,
        };
        let mut table = Table::new(start, mountain, BLOCK_BYTES, &self.identity.indexes);
        let mut scratch = FrameScratch::default();
        if self.info.is_reduced {
            self.scan_reduced(content, &keys, &mut table)?;
        }
        let mut offset = if self.info.is_reduced { self.info.bytes } else { BLOCK_BYTES };
        while offset < self.info.bytes {
            let next = match step(&content[offset as usize..], offset) {
                Step::Frame { frame, next } => table
                    .end
                    .accept(&frame, &keys, &mut scratch)
                    .and_then(|_| table.add(offset, &frame, &self.identity.keys, None))
                    .map(|()| next)
                    .map_err(at(offset)),
                Step::Mark { next, .. } | Step::Padding { next } => Ok(next),
                Step::Needs(_) => {
                    Err((offset, Malformed::new(0, "a frame ends behind its sealed segment")))
                }
                Step::Bad(malformed) => Err((offset, malformed)),
            };
            offset = next.map_err(|(offset, malformed)| malformed.in_file(&self.path, offset))?;
        }
        if table.end.sequence != self.info.end_sequence || table.end.last != self.info.last {
            return Err(self.corrupt(self.info.bytes, "a sealed segment ends with another frame"));
        }
        Ok(table)
    }

    /// A node of the mountain range over 64 frames or more that its frames completed.
    pub(crate) fn mountain_node(&self, level: u8, index: u64) -> Result<Option<Digest>, Error> {
        self.with_index(|found| match found {
            SealedIndex::File(file) => Ok(file.mountain_node(level, index)?.map(Digest)),
            SealedIndex::Scanned(table) => Ok(table.mountain_node(level, index)),
        })
    }

    /// Where to begin looking for a frame of the segment: the number and the offset of one that is
    /// not past it, and at most 63 before it.
    pub(crate) fn frame_mark(&self, number: u64) -> Result<(u64, u64), Error> {
        let first = (self.info.first_frame, BLOCK_BYTES);
        self.with_index(|index| match index {
            SealedIndex::File(file) => Ok(match file.frame_at_or_before(number)? {
                Some(FrameMark { number, offset: Some(offset), .. }) => (number, offset.into()),
                _ => first,
            }),
            SealedIndex::Scanned(table) => {
                let place = number.checked_sub(self.info.first_frame);
                let frame = place.and_then(|place| table.frames.get(usize::try_from(place).ok()?));
                Ok(frame.map_or(first, |frame| (number, frame.offset.into())))
            }
        })
    }

    /// The frame that holds an event: its header and where it starts.
    pub(crate) fn frame_of(&self, event: &Event) -> Result<(FrameHeader, u64), Error> {
        let content = self.content()?;
        let offset = self.offset_of(event.sequence())?;
        if self.info.is_reduced && offset & IN_STUB != 0 {
            return Err(self.lost_neighbour(event.sequence())?);
        }
        let offset = u64::from(offset);
        let start = offset - u64::from(event.frame_distance());
        let header = content
            .get(start as usize..)
            .and_then(|bytes| bytes.first_chunk::<FRAME_HEADER_BYTES>())
            .ok_or_else(|| self.corrupt(start, "an event lies outside any frame"))?;
        let header = FrameHeader::decode(header)
            .map_err(|malformed| malformed.in_file(&self.path, start))?;
        Ok((header, start))
    }
}

/// What the index of one segment has for each of its events.
fn indexed(offset: Option<u32>) -> Result<u32, Malformed> {
    offset.ok_or(Malformed::new(0, "an index has no place for an event of its segment"))
}

/// Sequences of a key's events out of an index file.
pub(crate) fn collect(
    file: &IndexFile<Mapping>,
    wanted: &Wanted,
    out: &mut Vec<u64>,
) -> Result<(), Malformed> {
    if !file.may_contain(wanted.kind, wanted.key)? {
        return Ok(());
    }
    let mut found = file.postings(wanted.kind, wanted.key, wanted.sequences.clone())?;
    while out.len() < wanted.limit {
        let next = if wanted.is_backward { found.next_back() } else { found.next() };
        match next {
            Some(sequence) => out.push(sequence?),
            None => break,
        }
    }
    Ok(())
}
