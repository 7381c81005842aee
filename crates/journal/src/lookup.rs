//! Finding events by a key, in all segments at once.
//!
//! A search goes from segment to segment in the order that is wanted and asks each for the next
//! sequences; groups of sealed segments have one merged index and are asked once. Every hit is
//! confirmed by the event itself: a key is 64 bits of a hash.
//!
//! Cost: a filter and a binary search for each segment or group, and then what is found.

use std::{ops::Range, sync::Arc};

use crate::{
    Digest, Error, Event, Receipt,
    format::{frame::FrameHeader, record::Record},
    history::History,
    index::IndexKind,
    keys::{IndexKeys, StreamId},
    segment::{Catalog, Segment, catalog::Layer, table::Wanted},
};

/// Sequences fetched from a segment's index with one search.
const FETCHED_MAX: usize = 128;

/// Sequences of the events of one key, going through all segments.
#[derive(Debug)]
pub(crate) struct Search {
    catalog: Arc<Catalog>,
    kind: IndexKind,
    key: u64,
    /// What is left to be searched.
    rest: Range<u64>,
    is_backward: bool,
    /// Fetched and not given out, in reverse order.
    fetched: Vec<u64>,
}

impl Search {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        kind: IndexKind,
        key: u64,
        sequences: Range<u64>,
        is_backward: bool,
    ) -> Self {
        Self { catalog, kind, key, rest: sequences, is_backward, fetched: Vec::new() }
    }

    /// The next sequence that may belong to the key.
    pub(crate) fn next(&mut self) -> Result<Option<u64>, Error> {
        while self.fetched.is_empty() && !self.rest.is_empty() {
            let looked_for = if self.is_backward { self.rest.end - 1 } else { self.rest.start };
            let Some((layer, covered)) = self.catalog.layer_of(looked_for, self.is_backward) else {
                self.rest = 0..0;
                break;
            };
            let part = self.rest.start.max(covered.start)..self.rest.end.min(covered.end);
            let wanted = Wanted {
                kind: self.kind,
                key: self.key,
                sequences: part.clone(),
                is_backward: self.is_backward,
                limit: FETCHED_MAX,
            };
            match layer {
                Layer::Group(group) => group.postings(&self.catalog, &wanted, &mut self.fetched)?,
                Layer::Segment(segment) => segment.postings(&wanted, &mut self.fetched)?,
            }
            let last = if self.fetched.len() < FETCHED_MAX { None } else { self.fetched.last() };
            match (self.is_backward, last) {
                (false, Some(last)) => self.rest.start = last + 1,
                (false, None) => self.rest.start = part.end.max(self.rest.start),
                (true, Some(last)) => self.rest.end = *last,
                (true, None) => self.rest.end = part.start.min(self.rest.end),
            }
            self.fetched.reverse();
        }
        Ok(self.fetched.pop())
    }
}

impl History {
    /// The last event of a stream, of those that are written.
    pub(crate) fn last_in_stream(
        &self,
        id: &StreamId,
        stream: &[u8],
    ) -> Result<Option<Event>, Error> {
        let catalog = self.catalog();
        let key = IndexKeys::stream(id);
        let mut search =
            Search::new(Arc::clone(&catalog), IndexKind::Stream, key, 0..u64::MAX, true);
        while let Some(sequence) = search.next()? {
            match catalog.read(&self.identity, sequence) {
                Ok(Some(event)) if event.stream() == stream => return Ok(Some(event)),
                // A merged index may be older than what was dropped.
                Ok(Some(_)) | Err(Error::Dropped { .. }) => {}
                Ok(None) => return Err(self.lost(sequence)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The request that was accepted under an idempotency key, from this sequence on.
    pub(crate) fn request_in_segments(
        &self,
        key: &[u8],
        from: u64,
    ) -> Result<Option<(Digest, Receipt)>, Error> {
        let catalog = self.catalog();
        let hash = self.identity.keys.idempotency(key);
        let kind = IndexKind::Idempotency;
        let mut search = Search::new(Arc::clone(&catalog), kind, hash, from..u64::MAX, true);
        while let Some(sequence) = search.next()? {
            let frame = match self.frame_bytes(&catalog, sequence) {
                // Requests whose events were dropped are forgotten.
                Err(Error::Dropped { .. }) => continue,
                frame => frame?,
            };
            let frame = frame.frame();
            let annex = frame.annex().map_err(|_| self.lost(sequence))?;
            if let Some((request, known)) = annex.idempotency
                && known == key
            {
                let versions = frame
                    .records()
                    .map(|(_, bytes)| Record::decode(bytes).map(|record| record.stream_version))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|_| self.lost(sequence))?;
                let receipt = Receipt::new(self.identity.store_id, &frame.header, &versions);
                return Ok(Some((request, receipt)));
            }
        }
        Ok(None)
    }

    /// An index names a sequence that no segment has.
    pub(crate) fn lost(&self, sequence: u64) -> Error {
        Error::Corrupt {
            path: self.folder.clone(),
            offset: sequence,
            what: "an index names an event that no segment has; the number is its sequence, not a place",
        }
    }

    /// The whole frame that holds an event.
    pub(crate) fn frame_bytes(
        &self,
        catalog: &Catalog,
        sequence: u64,
    ) -> Result<FrameBytes, Error> {
        let place = catalog.segment_of(sequence).ok_or_else(|| self.lost(sequence))?;
        match &catalog.segments[place] {
            Segment::Sealed(segment) => {
                let event = segment.read(sequence)?.ok_or_else(|| self.lost(sequence))?;
                let (header, start) = segment.frame_of(&event)?;
                let (start, end) = (start as usize, start as usize + header.frame_bytes as usize);
                let bytes = segment
                    .mapping()?
                    .get(start..end)
                    .ok_or_else(|| {
                        segment.corrupt(start as u64, "a frame ends behind its segment")
                    })?
                    .to_vec();
                self.sound_frame(bytes).map_err(|at| segment.corrupt(start as u64 + at.0, at.1))
            }
            Segment::Open(segment) => {
                let offset = {
                    let table = segment.table();
                    table.frame_of(sequence).ok_or_else(|| self.lost(sequence))?.offset
                };
                let offset = u64::from(offset);
                let mut bytes = vec![0; crate::format::frame::FRAME_HEADER_BYTES];
                segment.read_exactly(offset, &mut bytes)?;
                let header = FrameHeader::decode(bytes.first_chunk().expect("read just now"))
                    .map_err(|malformed| malformed.in_file(segment.path(), offset))?;
                bytes.resize(header.frame_bytes as usize, 0);
                segment.read_exactly(offset, &mut bytes)?;
                self.sound_frame(bytes).map_err(|at| segment.corrupt(offset + at.0, at.1))
            }
        }
    }

    fn sound_frame(&self, bytes: Vec<u8>) -> Result<FrameBytes, (u64, &'static str)> {
        let frame = crate::format::frame::Frame::decode(&bytes)
            .map_err(|malformed| (malformed.at, malformed.what))?;
        let mut scratch = crate::format::frame::FrameScratch::default();
        if !frame.is_authentic(&self.store_keys, &mut scratch) {
            return Err((0, "a frame's content is not what its digest says"));
        }
        Ok(FrameBytes { bytes })
    }
}

/// A frame that was read and found sound.
#[derive(Debug)]
pub(crate) struct FrameBytes {
    pub(crate) bytes: Vec<u8>,
}

impl FrameBytes {
    pub(crate) fn frame(&self) -> crate::format::frame::Frame<'_> {
        crate::format::frame::Frame::decode(&self.bytes).expect("found sound when it was read")
    }
}
