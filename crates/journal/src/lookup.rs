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
    format::{
        fields::array_at,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameScratch},
        record::Record,
        reduced::{Fate, Item, Stub},
    },
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
        self.last_in_stream_below(id, stream, u64::MAX)
    }

    /// The last event of a stream below a sequence.
    pub(crate) fn last_in_stream_below(
        &self,
        id: &StreamId,
        stream: &[u8],
        end: u64,
    ) -> Result<Option<Event>, Error> {
        let catalog = self.catalog();
        let key = IndexKeys::stream(id);
        let mut search = Search::new(Arc::clone(&catalog), IndexKind::Stream, key, 0..end, true);
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
            // The receipt needs all events of the request.
            let Some(frame) = frame.frame() else { continue };
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

    /// The frame that holds an event, or what is left of it.
    pub(crate) fn frame_bytes(
        &self,
        catalog: &Catalog,
        sequence: u64,
    ) -> Result<FrameBytes, Error> {
        let place = catalog.segment_of(sequence).ok_or_else(|| self.lost(sequence))?;
        match &catalog.segments[place] {
            Segment::Sealed(segment) => {
                let event = segment.read(sequence)?.ok_or_else(|| self.lost(sequence))?;
                if segment.info.is_reduced
                    && let Item::Stub(stub) = segment.item_of(sequence)?
                {
                    if !stub.is_authentic(&self.store_keys, &mut FrameScratch::default()) {
                        let what = "what is left of a frame is not what its digest says";
                        return Err(segment.corrupt(0, what));
                    }
                    return Ok(FrameBytes { bytes: stub.bytes().to_vec(), is_stub: true });
                }
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
                let mut bytes = vec![0; FRAME_HEADER_BYTES];
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
        let frame = Frame::decode(&bytes).map_err(|malformed| (malformed.at, malformed.what))?;
        if !frame.is_authentic(&self.store_keys, &mut FrameScratch::default()) {
            return Err((0, "a frame's content is not what its digest says"));
        }
        Ok(FrameBytes { bytes, is_stub: false })
    }
}

/// A frame that was read and found sound, or what is left of one.
#[derive(Debug)]
pub(crate) struct FrameBytes {
    bytes: Vec<u8>,
    is_stub: bool,
}

impl FrameBytes {
    /// The frame, if it is whole.
    pub(crate) fn frame(&self) -> Option<Frame<'_>> {
        let decode = || Frame::decode(&self.bytes).expect("found sound when it was read");
        (!self.is_stub).then(decode)
    }

    fn stub(&self) -> Stub<'_> {
        Stub::decode(&self.bytes).expect("found sound when it was read")
    }

    pub(crate) fn header(&self) -> FrameHeader {
        self.frame().map_or_else(|| self.stub().header, |frame| frame.header)
    }

    /// The header as it is stored.
    pub(crate) fn stored_header(&self) -> [u8; FRAME_HEADER_BYTES] {
        match self.is_stub {
            true => *self.stub().header_bytes(),
            false => array_at(&self.bytes, 0),
        }
    }

    /// Leaves of the frame's Merkle tree.
    pub(crate) fn leaves(&self, scratch: &mut FrameScratch) {
        match self.frame() {
            Some(frame) => frame.leaves(&mut scratch.hasher, &mut scratch.leaves),
            None => self.stub().leaves(&mut scratch.leaves),
        }
    }

    /// The record of one of its events, if that is there.
    pub(crate) fn record(&self, index: usize) -> Option<&[u8]> {
        match self.frame() {
            Some(frame) => frame.records().nth(index).map(|(_, record)| record),
            None => match self.stub().fates().nth(index)? {
                Fate::Kept(record) => Some(record),
                Fate::Dropped(..) => None,
            },
        }
    }
}
