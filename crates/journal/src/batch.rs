//! What is appended together: events, encoded as they are added.
//!
//! A batch is written and valid as a whole. It can be cleared and filled again; its memory stays.
//!
//! What it does *not* do: know the journal. Sequences, places in streams and ancestry are filled in
//! when the batch is accepted; payloads too large for the chain are kept aside until then.

use crate::{
    Digest, Error,
    format::{
        frame::{FRAME_BYTES_MAX, FRAME_EVENTS_MAX, FRAME_HEADER_BYTES},
        record::{
            self, EXTENTS_MAX, Extent, INLINE_PAYLOAD_BYTES_END, PARENTS_MAX, Parts,
            RECORD_BYTES_MAX, SCOPE_BYTES_MAX, STREAM_BYTES_MAX,
        },
    },
};

/// Room that a frame keeps for its header and its annex.
const FRAME_OVERHEAD_BYTES_MAX: usize = FRAME_HEADER_BYTES + (64 << 10);
/// Bytes of a payload at most, wherever it lies.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// An event that another refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRef {
    /// One that is in the journal.
    Sequence(u64),
    /// One of the same batch, by its place in it; it must come before.
    InBatch(u32),
}

impl EventRef {
    fn encode(self) -> u64 {
        match self {
            Self::Sequence(sequence) => sequence,
            Self::InBatch(index) => record::IN_BATCH | u64::from(index),
        }
    }
}

/// An event to be appended.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// The stream that it continues: 1 to 1,024 bytes.
    pub stream: &'a [u8],
    /// The scope that it belongs to: up to 255 bytes; may be empty.
    pub scope: &'a [u8],
    /// Its kind; 0xF000 and above are the journal's own.
    pub kind: u16,
    /// Version of its payload's format.
    pub payload_version: u16,
    /// The content: up to 1 GiB; from 64 KiB on it is put into an extent.
    pub payload: &'a [u8],
    /// The event that led to it.
    pub causation: Option<EventRef>,
    /// What it belongs together with.
    pub correlation: Option<u128>,
    /// The events that it follows on, the main one first.
    pub parents: &'a [EventRef],
    /// Extents that it adopts, written before.
    pub extents: &'a [Extent],
}

impl<'a> NewEvent<'a> {
    /// An event with no more than it must have.
    pub fn new(stream: &'a [u8], kind: u16, payload: &'a [u8]) -> Self {
        Self {
            stream,
            scope: &[],
            kind,
            payload_version: 1,
            payload,
            causation: None,
            correlation: None,
            parents: &[],
            extents: &[],
        }
    }
}

/// Events that are appended together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Records one after another.
    pub(crate) records: Vec<u8>,
    /// Where each record starts.
    pub(crate) starts: Vec<u32>,
    /// Payloads that go to extents: place of the event, place of its extent's description.
    pub(crate) large: Vec<LargePayload>,
    pub(crate) has_parents: bool,
    pub(crate) has_references: bool,
    pub(crate) has_extents: bool,
    pub(crate) has_reserved_kinds: bool,
}

/// A payload that is written to a data segment before its event is accepted.
#[derive(Debug, Clone)]
pub(crate) struct LargePayload {
    /// Which event it is of.
    pub(crate) event: u32,
    pub(crate) payload: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of one event.
    pub fn of(event: &NewEvent<'_>) -> Result<Self, Error> {
        let mut batch = Self::new();
        batch.push(event)?;
        Ok(batch)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes that its events take in the chain.
    pub fn bytes(&self) -> usize {
        self.records.len()
    }

    /// Takes everything out; the memory is kept.
    pub fn clear(&mut self) {
        self.records.clear();
        self.starts.clear();
        self.large.clear();
        self.has_parents = false;
        self.has_references = false;
        self.has_extents = false;
        self.has_reserved_kinds = false;
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`Error::Unfit`] when something exceeds its bound; the batch is as it was.
    pub fn push(&mut self, event: &NewEvent<'_>) -> Result<(), Error> {
        let unfit = |what| Err(Error::Unfit { what });
        if event.stream.is_empty() || event.stream.len() > STREAM_BYTES_MAX {
            return unfit("a stream's key has 1 to 1,024 bytes");
        }
        if event.scope.len() > SCOPE_BYTES_MAX {
            return unfit("a scope has at most 255 bytes");
        }
        if event.payload.len() > PAYLOAD_BYTES_MAX {
            return unfit("a payload has at most 1 GiB: write extents and adopt them");
        }
        if event.parents.len() > PARENTS_MAX || event.extents.len() >= EXTENTS_MAX {
            return unfit("an event has at most 1,024 parents and 65,535 extents");
        }
        if self.len() == FRAME_EVENTS_MAX {
            return unfit("a batch has at most 65,536 events");
        }
        let index = self.len() as u32;
        for reference in event.parents.iter().chain(&event.causation) {
            let is_possible = match *reference {
                EventRef::Sequence(sequence) => sequence < record::IN_BATCH,
                EventRef::InBatch(earlier) => earlier < index,
            };
            if !is_possible {
                return unfit("an event refers to one of its batch that does not come before it");
            }
        }
        let is_large = event.payload.len() >= INLINE_PAYLOAD_BYTES_END;
        let parents: Vec<_> = event.parents.iter().map(|parent| parent.encode()).collect();
        let mut extents = Vec::new();
        if is_large {
            let unwritten = Extent { segment: 0, offset: 0, bytes: 0, digest: Digest::ZERO };
            extents.push(unwritten);
        }
        extents.extend_from_slice(event.extents);
        let parts = Parts {
            kind: event.kind,
            payload_version: event.payload_version,
            causation: event.causation.map(EventRef::encode),
            correlation: event.correlation,
            parents: &parents,
            extents: &extents,
            payload_in_extent: is_large,
            stream: event.stream,
            scope: event.scope,
            payload: if is_large { &[] } else { event.payload },
        };
        let bytes = parts.record_bytes();
        if bytes > RECORD_BYTES_MAX {
            return unfit("an event has at most 16 MiB");
        }
        if self.records.len() + bytes > FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES_MAX {
            return unfit("a batch has at most 64 MiB: append it in parts");
        }
        self.starts.push(self.records.len() as u32);
        parts.encode(&mut self.records);
        if is_large {
            self.large.push(LargePayload { event: index, payload: event.payload.to_vec() });
        }
        self.has_parents |= !parents.is_empty();
        self.has_references |= !parents.is_empty() || event.causation.is_some();
        self.has_extents |= !extents.is_empty();
        self.has_reserved_kinds |= crate::reserved::RANGE.contains(&event.kind);
        Ok(())
    }

    /// Offsets of the records, each with its end.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let ends = self.starts.iter().skip(1).copied().chain([self.records.len() as u32]);
        self.starts.iter().zip(ends).map(|(start, end)| (*start as usize, end as usize))
    }

    /// Digest of what is asked for, before anything is filled in: tells a repeated request from
    /// another one under the same key.
    pub(crate) fn request_digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("icecore journal 1 request");
        hasher.update(&self.records);
        for large in &self.large {
            hasher.update(&(large.payload.len() as u64).to_le_bytes());
            hasher.update(&large.payload);
        }
        Digest(*hasher.finalize().as_bytes())
    }
}
