//! One event as it lies in a frame.
//!
//! A record is a fixed header of 32 bytes and then, each only if its flag says so: causation,
//! correlation, parents, key id, extents; then the stream key, the scope and the payload. Its own
//! length comes first, so a record can be stepped over unread.
//!
//! - [`Record::decode`] checks that all lengths add up to the record's, and nothing beyond.
//! - The check value is seeded with the store and the sequence: a record that lies where another
//!   belongs does not check.
//! - Some fields are known only when the event is accepted (its place in the stream, what the
//!   parents say about ancestry, references into the same batch): they have fixed places and are
//!   filled in by `assign_*`.
//!
//! What it does *not* do: hash (see `digest`), or judge what a kind means.

use crate::{
    Digest, Malformed, StoreId,
    format::fields::{array_at, digest_at, put, u16_at, u32_at, u64_at, u128_at},
};

/// Bytes of the fixed part.
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
/// Bytes of a record at most (rule R9).
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Bytes of a stream key at most.
pub const STREAM_BYTES_MAX: usize = 1024;
/// Bytes of a scope at most.
pub const SCOPE_BYTES_MAX: usize = 255;
/// Parents of one event at most.
pub const PARENTS_MAX: usize = 1024;
/// Extents of one event at most.
pub const EXTENTS_MAX: usize = 1 << 16;
/// A payload of this size or more lies in an extent (rule R5).
pub const INLINE_PAYLOAD_BYTES_END: usize = 64 << 10;

const RECORD_BYTES: usize = 4;
const FRAME_DISTANCE: usize = 8;
const PAYLOAD_BYTES: usize = 12;
const STREAM_VERSION: usize = 16;
const KIND: usize = 24;
const PAYLOAD_VERSION: usize = 26;
const STREAM_BYTES: usize = 28;
const SCOPE_BYTES: usize = 30;
const FLAGS: usize = 31;

const PARENTS_HEADER_BYTES: usize = 24;
const EXTENTS_HEADER_BYTES: usize = 8;
/// Bytes of an extent's description.
const EXTENT_BYTES: usize = 56;
const KEY_ID_BYTES: usize = 16;

/// Which optional parts a record has.
pub(crate) mod flags {
    pub(crate) const CAUSATION: u8 = 1;
    pub(crate) const CORRELATION: u8 = 2;
    pub(crate) const PARENTS: u8 = 4;
    pub(crate) const EXTENTS: u8 = 8;
    /// The payload is what the first extent holds.
    pub(crate) const PAYLOAD_IN_EXTENT: u8 = 16;
    /// Reserved: the payload is encrypted under the key whose id follows.
    pub(crate) const ENCRYPTED: u8 = 32;
    /// No ancestor, and not this event either, has more than one parent.
    pub(crate) const TREE: u8 = 64;
    pub(crate) const KNOWN: u8 = 127;
}

/// A reference to an event of the same batch, until it is accepted: its place in the batch.
pub(crate) const IN_BATCH: u64 = 1 << 63;

/// A range of a data segment that an event adopts by its tree digest (rule R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Id of the data segment.
    pub segment: u32,
    /// Where it starts in the segment, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Tree digest over its chunks of 64 KiB.
    pub digest: Digest,
}

/// What an event's parents say about ancestry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ancestry {
    pub(crate) depth: u32,
    pub(crate) jump: u64,
    pub(crate) jump_depth: u32,
    pub(crate) is_tree: bool,
}

/// A record, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) frame_distance: u32,
    pub(crate) stream_version: u64,
    pub(crate) kind: u16,
    pub(crate) payload_version: u16,
    pub(crate) flags: u8,
    pub(crate) causation: Option<u64>,
    pub(crate) correlation: Option<u128>,
    ancestry: Option<(u32, u64, u32)>,
    parents: &'a [u8],
    extents: &'a [u8],
    pub(crate) stream: &'a [u8],
    pub(crate) scope: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// What seeds the check value of the record with this sequence.
fn place(store_id: &StoreId, sequence: u64) -> u32 {
    let folded = (sequence ^ (sequence >> 32)) as u32;
    u32_at(&store_id.0, 0) ^ folded.wrapping_mul(0x9e37_79b1)
}

/// Whether the record's bytes are those that were written for this sequence of this store.
pub(crate) fn checks(bytes: &[u8], store_id: &StoreId, sequence: u64) -> bool {
    bytes.len() >= RECORD_HEADER_BYTES
        && u32_at(bytes, 0) == crc32fast::hash(&bytes[4..]) ^ place(store_id, sequence)
}

/// Length of the record that starts here; `None` when the bytes are too few or the length cannot be.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.get(..RECORD_HEADER_BYTES)?;
    let length = u32_at(bytes, RECORD_BYTES) as usize;
    (RECORD_HEADER_BYTES..=RECORD_BYTES_MAX).contains(&length).then_some(length)
}

/// The key of the stream of a record that has been checked or made here.
pub(crate) fn stream(bytes: &[u8]) -> &[u8] {
    let tail = u16_at(bytes, STREAM_BYTES) as usize
        + bytes[SCOPE_BYTES] as usize
        + u32_at(bytes, PAYLOAD_BYTES) as usize;
    let length = u32_at(bytes, RECORD_BYTES) as usize;
    &bytes[length - tail..][..u16_at(bytes, STREAM_BYTES) as usize]
}

/// How far the record lies from the start of its frame.
pub(crate) fn frame_distance(bytes: &[u8]) -> u32 {
    u32_at(bytes, FRAME_DISTANCE)
}

impl<'a> Record<'a> {
    /// Takes a record apart; `bytes` are exactly its own.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        if length(bytes) != Some(bytes.len()) {
            return Err(malformed(
                RECORD_BYTES,
                "the length of an event is not that of its record",
            ));
        }
        let flags = bytes[FLAGS];
        if flags & !flags::KNOWN != 0 {
            return Err(malformed(FLAGS, "an event has flags that this version does not know"));
        }
        let mut at = RECORD_HEADER_BYTES;
        let mut take = |count: usize| {
            let part = bytes.get(at..at.checked_add(count)?)?;
            at += count;
            Some(part)
        };
        let parts = (|| {
            let causation = match flags & flags::CAUSATION {
                0 => None,
                _ => Some(u64_at(take(8)?, 0)),
            };
            let correlation = match flags & flags::CORRELATION {
                0 => None,
                _ => Some(u128_at(take(16)?, 0)),
            };
            let (ancestry, parents) = match flags & flags::PARENTS {
                0 => (None, &[][..]),
                _ => {
                    let header = take(PARENTS_HEADER_BYTES)?;
                    let count = u32_at(header, 0) as usize;
                    if !(1..=PARENTS_MAX).contains(&count) {
                        return None;
                    }
                    let ancestry = (u32_at(header, 4), u64_at(header, 8), u32_at(header, 16));
                    (Some(ancestry), take(count * 8)?)
                }
            };
            if flags & flags::ENCRYPTED != 0 {
                take(KEY_ID_BYTES)?;
            }
            let extents = match flags & flags::EXTENTS {
                0 => &[][..],
                _ => {
                    let count = u32_at(take(EXTENTS_HEADER_BYTES)?, 0) as usize;
                    if !(1..=EXTENTS_MAX).contains(&count) {
                        return None;
                    }
                    take(count * EXTENT_BYTES)?
                }
            };
            let stream = take(u16_at(bytes, STREAM_BYTES) as usize)?;
            let scope = take(bytes[SCOPE_BYTES] as usize)?;
            let payload = take(u32_at(bytes, PAYLOAD_BYTES) as usize)?;
            Some((causation, correlation, ancestry, parents, extents, stream, scope, payload))
        })();
        let Some((causation, correlation, ancestry, parents, extents, stream, scope, payload)) =
            parts
        else {
            return Err(malformed(RECORD_HEADER_BYTES, "the parts of an event exceed its record"));
        };
        if at != bytes.len() {
            return Err(malformed(at, "an event has bytes that belong to none of its parts"));
        }
        if stream.is_empty() || stream.len() > STREAM_BYTES_MAX {
            return Err(malformed(STREAM_BYTES, "the key of a stream has a length that cannot be"));
        }
        if flags & flags::PAYLOAD_IN_EXTENT != 0 && (extents.is_empty() || !payload.is_empty()) {
            return Err(malformed(FLAGS, "the payload should lie in an extent and does not"));
        }
        Ok(Self {
            frame_distance: u32_at(bytes, FRAME_DISTANCE),
            stream_version: u64_at(bytes, STREAM_VERSION),
            kind: u16_at(bytes, KIND),
            payload_version: u16_at(bytes, PAYLOAD_VERSION),
            flags,
            causation,
            correlation,
            ancestry,
            parents,
            extents,
            stream,
            scope,
            payload,
        })
    }

    /// Sequences of the parents.
    pub(crate) fn parents(&self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.parents.chunks_exact(8).map(|parent| u64_at(parent, 0))
    }

    /// The extents that the event adopts.
    pub(crate) fn extents(&self) -> impl ExactSizeIterator<Item = Extent> + 'a {
        self.extents.chunks_exact(EXTENT_BYTES).map(|extent| Extent {
            segment: u32_at(extent, 0),
            offset: u64_at(extent, 8),
            bytes: u64_at(extent, 16),
            digest: digest_at(extent, 24),
        })
    }

    /// Ancestry as the event states it; an event without parents is the root of a tree.
    pub(crate) fn ancestry(&self, sequence: u64) -> Ancestry {
        match self.ancestry {
            None => Ancestry { depth: 0, jump: sequence, jump_depth: 0, is_tree: true },
            Some((depth, jump, jump_depth)) => {
                Ancestry { depth, jump, jump_depth, is_tree: self.flags & flags::TREE != 0 }
            }
        }
    }
}

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: u16,
    pub(crate) payload_version: u16,
    pub(crate) causation: Option<u64>,
    pub(crate) correlation: Option<u128>,
    pub(crate) parents: &'a [u64],
    pub(crate) extents: &'a [Extent],
    pub(crate) payload_in_extent: bool,
    pub(crate) stream: &'a [u8],
    pub(crate) scope: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Parts<'_> {
    /// Bytes that the record will have.
    pub(crate) fn record_bytes(&self) -> usize {
        let parents = match self.parents.len() {
            0 => 0,
            count => PARENTS_HEADER_BYTES + count * 8,
        };
        let extents = match self.extents.len() {
            0 => 0,
            count => EXTENTS_HEADER_BYTES + count * EXTENT_BYTES,
        };
        RECORD_HEADER_BYTES
            + self.causation.map_or(0, |_| 8)
            + self.correlation.map_or(0, |_| 16)
            + parents
            + extents
            + self.stream.len()
            + self.scope.len()
            + self.payload.len()
    }

    /// Appends the record; what is known only on acceptance is zero. The bounds have been checked.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut header = [0; RECORD_HEADER_BYTES];
        let mut flags = 0;
        for (flag, is_set) in [
            (flags::CAUSATION, self.causation.is_some()),
            (flags::CORRELATION, self.correlation.is_some()),
            (flags::PARENTS, !self.parents.is_empty()),
            (flags::EXTENTS, !self.extents.is_empty()),
            (flags::PAYLOAD_IN_EXTENT, self.payload_in_extent),
            (flags::TREE, self.parents.is_empty()),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        put(&mut header, RECORD_BYTES, (self.record_bytes() as u32).to_le_bytes());
        put(&mut header, PAYLOAD_BYTES, (self.payload.len() as u32).to_le_bytes());
        put(&mut header, KIND, self.kind.to_le_bytes());
        put(&mut header, PAYLOAD_VERSION, self.payload_version.to_le_bytes());
        put(&mut header, STREAM_BYTES, (self.stream.len() as u16).to_le_bytes());
        header[SCOPE_BYTES] = self.scope.len() as u8;
        header[FLAGS] = flags;
        out.extend_from_slice(&header);
        if let Some(causation) = self.causation {
            out.extend_from_slice(&causation.to_le_bytes());
        }
        if let Some(correlation) = self.correlation {
            out.extend_from_slice(&correlation.to_le_bytes());
        }
        if !self.parents.is_empty() {
            let mut header = [0; PARENTS_HEADER_BYTES];
            put(&mut header, 0, (self.parents.len() as u32).to_le_bytes());
            out.extend_from_slice(&header);
            for parent in self.parents {
                out.extend_from_slice(&parent.to_le_bytes());
            }
        }
        if !self.extents.is_empty() {
            out.extend_from_slice(&(self.extents.len() as u64).to_le_bytes());
            for extent in self.extents {
                let mut bytes = [0; EXTENT_BYTES];
                put_extent(&mut bytes, extent);
                out.extend_from_slice(&bytes);
            }
        }
        out.extend_from_slice(self.stream);
        out.extend_from_slice(self.scope);
        out.extend_from_slice(self.payload);
        debug_assert_eq!(out.len() - start, self.record_bytes(), "the length was stated first");
    }
}

/// Where the parts that refer to events lie in a record: causation, then parents.
fn reference_places(bytes: &[u8]) -> (Option<usize>, Option<usize>) {
    let flags = bytes[FLAGS];
    let mut at = RECORD_HEADER_BYTES;
    let causation = (flags & flags::CAUSATION != 0).then_some(at);
    at += causation.map_or(0, |_| 8);
    at += if flags & flags::CORRELATION != 0 { 16 } else { 0 };
    (causation, (flags & flags::PARENTS != 0).then_some(at))
}

/// Every event that the record refers to, references into the batch included.
pub(crate) fn references(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (causation, parents) = reference_places(bytes);
    let parents = parents.map_or(&[][..], |at| {
        &bytes[at + PARENTS_HEADER_BYTES..][..u32_at(bytes, at) as usize * 8]
    });
    let causation = causation.map(|at| u64_at(bytes, at));
    causation.into_iter().chain(parents.chunks_exact(8).map(|parent| u64_at(parent, 0)))
}

/// Replaces references into the batch by sequences, now that its first sequence is known.
pub(crate) fn assign_references(bytes: &mut [u8], base_sequence: u64) {
    let (causation, parents) = reference_places(bytes);
    let parents = parents
        .map_or(0..0, |at| {
            let count: [u8; 4] = array_at(bytes, at);
            0..u32::from_le_bytes(count) as usize
        })
        .map(|index| parents.expect("there are parents") + PARENTS_HEADER_BYTES + index * 8);
    for at in causation.into_iter().chain(parents) {
        let reference = u64_at(bytes, at);
        if reference & IN_BATCH != 0 {
            put(bytes, at, (base_sequence + (reference & !IN_BATCH)).to_le_bytes());
        }
    }
}

/// Fills in what the parents say about ancestry; only for a record that has parents.
pub(crate) fn assign_ancestry(bytes: &mut [u8], ancestry: &Ancestry) {
    let (_, parents) = reference_places(bytes);
    let at = parents.expect("only events with parents have ancestry to fill in");
    put(bytes, at + 4, ancestry.depth.to_le_bytes());
    put(bytes, at + 8, ancestry.jump.to_le_bytes());
    put(bytes, at + 16, ancestry.jump_depth.to_le_bytes());
    if ancestry.is_tree {
        bytes[FLAGS] |= flags::TREE;
    }
}

/// Fills in the event's place in its stream and in its frame; the last step but [`seal`].
pub(crate) fn assign_place(bytes: &mut [u8], stream_version: u64, frame_distance: u32) {
    put(bytes, STREAM_VERSION, stream_version.to_le_bytes());
    put(bytes, FRAME_DISTANCE, frame_distance.to_le_bytes());
}

/// Fills in the description of the extent that holds the payload, the first one.
pub(crate) fn assign_payload_extent(bytes: &mut [u8], extent: &Extent) {
    let (_, parents) = reference_places(bytes);
    let at = match parents {
        Some(at) => {
            let count: [u8; 4] = array_at(bytes, at);
            at + PARENTS_HEADER_BYTES + u32::from_le_bytes(count) as usize * 8
        }
        None => {
            let flags = bytes[FLAGS];
            RECORD_HEADER_BYTES
                + if flags & flags::CAUSATION != 0 { 8 } else { 0 }
                + if flags & flags::CORRELATION != 0 { 16 } else { 0 }
        }
    };
    put_extent(&mut bytes[at + EXTENTS_HEADER_BYTES..], extent);
}

fn put_extent(bytes: &mut [u8], extent: &Extent) {
    put(bytes, 0, extent.segment.to_le_bytes());
    put(bytes, 8, extent.offset.to_le_bytes());
    put(bytes, 16, extent.bytes.to_le_bytes());
    put(bytes, 24, extent.digest.0);
}

/// Writes the check value; nothing in the record changes after it.
pub(crate) fn seal(bytes: &mut [u8], store_id: &StoreId, sequence: u64) {
    let check = crc32fast::hash(&bytes[4..]) ^ place(store_id, sequence);
    put(bytes, 0, check.to_le_bytes());
}
