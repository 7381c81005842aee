//! Events as they are read.
//!
//! Invariant: an [`Event`] exists only if its record has been checked: its check value for this
//! store and this sequence, and the lengths of all its parts.
//!
//! Events of sealed segments lie in the mapping and are not copied; those of the open segment have
//! been read into memory of their own.

use std::{fmt, ops::Range};

use icecore_disk::Mapping;

use crate::{
    Digest, Malformed, StoreId, digest,
    format::record::{self, Ancestry, Extent, Record, flags},
};

/// Bytes of a record, wherever they lie.
#[derive(Clone)]
pub(crate) enum RecordBytes {
    Mapped { mapping: Mapping, start: usize, end: usize },
    Owned(Box<[u8]>),
}

impl std::ops::Deref for RecordBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped { mapping, start, end } => &mapping[*start..*end],
            Self::Owned(bytes) => bytes,
        }
    }
}

/// An event of the journal.
#[derive(Clone)]
pub struct Event {
    bytes: RecordBytes,
    sequence: u64,
    time: u64,
    stream_version: u64,
    kind: u16,
    payload_version: u16,
    flags: u8,
    stream: (u32, u32),
    scope: (u32, u32),
    payload: (u32, u32),
}

/// Where a part of a whole lies in it.
fn range_in(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    (start as u32, (start + part.len()) as u32)
}

fn range(range: (u32, u32)) -> Range<usize> {
    range.0 as usize..range.1 as usize
}

impl Event {
    /// The event that the record is, if it is the one with this sequence.
    pub(crate) fn check(
        bytes: RecordBytes,
        store_id: &StoreId,
        sequence: u64,
        time: u64,
    ) -> Result<Self, Malformed> {
        if !record::checks(&bytes, store_id, sequence) {
            return Err(Malformed::new(0, "an event does not check"));
        }
        let record = Record::decode(&bytes)?;
        Ok(Self {
            sequence,
            time,
            stream_version: record.stream_version,
            kind: record.kind,
            payload_version: record.payload_version,
            flags: record.flags,
            stream: range_in(&bytes, record.stream),
            scope: range_in(&bytes, record.scope),
            payload: range_in(&bytes, record.payload),
            bytes,
        })
    }

    fn record(&self) -> Record<'_> {
        Record::decode(&self.bytes).expect("decoded when the event was read")
    }

    /// Its identity within the journal: events are numbered from 0, without gaps.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was appended: nanoseconds since 1970, never less than of the event before.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The stream that it belongs to.
    pub fn stream(&self) -> &[u8] {
        &self.bytes[range(self.stream)]
    }

    /// Its place in the stream, from 0.
    pub fn stream_version(&self) -> u64 {
        self.stream_version
    }

    /// The scope that it belongs to; empty if none.
    pub fn scope(&self) -> &[u8] {
        &self.bytes[range(self.scope)]
    }

    /// Its kind.
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Version of the payload's format.
    pub fn payload_version(&self) -> u16 {
        self.payload_version
    }

    /// The payload, unless it lies in an extent: see [`Self::is_payload_in_extent`].
    pub fn payload(&self) -> &[u8] {
        &self.bytes[range(self.payload)]
    }

    /// Whether the payload is what the first extent holds.
    pub fn is_payload_in_extent(&self) -> bool {
        self.flags & flags::PAYLOAD_IN_EXTENT != 0
    }

    /// The event that led to it.
    pub fn causation(&self) -> Option<u64> {
        self.record().causation
    }

    /// What it belongs together with.
    pub fn correlation(&self) -> Option<u128> {
        self.record().correlation
    }

    /// The events that it follows on, the main one first.
    pub fn parents(&self) -> Vec<u64> {
        self.record().parents().collect()
    }

    /// The extents that it adopted.
    pub fn extents(&self) -> Vec<Extent> {
        self.record().extents().collect()
    }

    pub(crate) fn ancestry(&self) -> Ancestry {
        self.record().ancestry(self.sequence)
    }

    /// The record as it lies in its frame: what a proof is about.
    pub fn record_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How far the record lies from the start of its frame.
    pub(crate) fn frame_distance(&self) -> u32 {
        record::frame_distance(&self.bytes)
    }

    /// Its leaf in the Merkle tree of its frame.
    pub fn digest(&self) -> Digest {
        digest::leaf(&self.bytes[4..])
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Event")
            .field("sequence", &self.sequence)
            .field("time", &self.time)
            .field("stream", &String::from_utf8_lossy(self.stream()))
            .field("stream_version", &self.stream_version)
            .field("kind", &self.kind)
            .field("payload_bytes", &(self.payload.1 - self.payload.0))
            .finish_non_exhaustive()
    }
}
