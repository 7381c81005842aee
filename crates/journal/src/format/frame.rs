//! One frame: a header, the records of its events, an annex; written and valid as a whole.
//!
//! - The header carries everything needed to judge the frame alone: its place in the chain (base
//!   sequence, frame number, previous digest), and its digest over header and Merkle root.
//! - Two checks: the CRC tells quickly whether a header is one; the digest decides.
//!
//! What it does *not* do: judge whether the frame follows on another (see `walk`).

use crate::{
    Digest, Malformed,
    digest::{LeafHasher, StoreKeys},
    format::{
        annex::{ANNEX_BYTES_MAX, Annex},
        fields::{array_at, digest_at, put, u16_at, u32_at, u64_at},
        record,
    },
    merkle,
};

pub(crate) const FRAME_MAGIC: [u8; 4] = *b"ICEF";
pub(crate) const FRAME_HEADER_BYTES: usize = 128;
/// Bytes of a frame at most (rule R9).
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Events of one frame at most.
pub const FRAME_EVENTS_MAX: usize = 1 << 16;
const FORMAT: u16 = 1;

const CHECK: usize = 4;
const FRAME_BYTES: usize = 8;
const EVENT_COUNT: usize = 12;
const BASE_SEQUENCE: usize = 16;
const FRAME_NUMBER: usize = 24;
pub(crate) const TIME: usize = 32;
const DURABLE_UPTO: usize = 40;
const EPOCH: usize = 48;
const ANNEX_BYTES: usize = 56;
const FORMAT_AT: usize = 60;
const FLAGS: usize = 62;
const PREVIOUS: usize = 64;
const DIGEST: usize = 96;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) frame_bytes: u32,
    pub(crate) event_count: u32,
    pub(crate) base_sequence: u64,
    pub(crate) frame_number: u64,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// Every sequence below was durable when the frame was made.
    pub(crate) durable_end: u64,
    pub(crate) epoch: u64,
    pub(crate) annex_bytes: u32,
    pub(crate) previous: Digest,
    pub(crate) digest: Digest,
}

impl FrameHeader {
    /// First sequence behind the frame's events.
    pub(crate) fn end_sequence(&self) -> u64 {
        self.base_sequence + u64::from(self.event_count)
    }

    /// Reads a header and checks what can be checked without the rest of the frame.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        if bytes[..4] != FRAME_MAGIC {
            return Err(malformed(0, "no frame begins here"));
        }
        if u32_at(bytes, CHECK) != crc32fast::hash(&bytes[8..]) {
            return Err(malformed(CHECK, "the header of a frame does not check"));
        }
        if u16_at(bytes, FORMAT_AT) != FORMAT || u16_at(bytes, FLAGS) != 0 {
            return Err(malformed(
                FORMAT_AT,
                "a frame of a version that this program does not know",
            ));
        }
        let header = Self {
            frame_bytes: u32_at(bytes, FRAME_BYTES),
            event_count: u32_at(bytes, EVENT_COUNT),
            base_sequence: u64_at(bytes, BASE_SEQUENCE),
            frame_number: u64_at(bytes, FRAME_NUMBER),
            time: u64_at(bytes, TIME),
            durable_end: u64_at(bytes, DURABLE_UPTO),
            epoch: u64_at(bytes, EPOCH),
            annex_bytes: u32_at(bytes, ANNEX_BYTES),
            previous: digest_at(bytes, PREVIOUS),
            digest: digest_at(bytes, DIGEST),
        };
        let events = header.event_count as usize;
        let least = FRAME_HEADER_BYTES
            + events.min(FRAME_EVENTS_MAX) * record::RECORD_HEADER_BYTES
            + header.annex_bytes as usize;
        let is_possible = (1..=FRAME_EVENTS_MAX).contains(&events)
            && (least..=FRAME_BYTES_MAX).contains(&(header.frame_bytes as usize))
            && header.annex_bytes as usize <= ANNEX_BYTES_MAX
            && header.base_sequence < record::IN_BATCH
            && header.frame_number <= header.base_sequence;
        if !is_possible {
            return Err(malformed(FRAME_BYTES, "a frame states sizes that cannot be"));
        }
        Ok(header)
    }

    /// Writes the header over the first bytes of its frame; the digest is computed from the rest.
    pub(crate) fn encode(&mut self, keys: &StoreKeys, root: &Digest, frame: &mut [u8]) {
        put(frame, 0, FRAME_MAGIC);
        put(frame, FRAME_BYTES, self.frame_bytes.to_le_bytes());
        put(frame, EVENT_COUNT, self.event_count.to_le_bytes());
        put(frame, BASE_SEQUENCE, self.base_sequence.to_le_bytes());
        put(frame, FRAME_NUMBER, self.frame_number.to_le_bytes());
        put(frame, TIME, self.time.to_le_bytes());
        put(frame, DURABLE_UPTO, self.durable_end.to_le_bytes());
        put(frame, EPOCH, self.epoch.to_le_bytes());
        put(frame, ANNEX_BYTES, self.annex_bytes.to_le_bytes());
        put(frame, FORMAT_AT, FORMAT.to_le_bytes());
        put(frame, FLAGS, [0; 2]);
        put(frame, PREVIOUS, self.previous.0);
        self.digest = keys.frame(&array_at(frame, 8), root);
        put(frame, DIGEST, self.digest.0);
        let check = crc32fast::hash(&frame[8..FRAME_HEADER_BYTES]);
        put(frame, CHECK, check.to_le_bytes());
    }
}

/// A whole frame in memory; its lengths fit, its digest has not been looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, which may go on behind it.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, _)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(Malformed::new(bytes.len() as u64, "a frame ends within its header"));
        };
        let header = FrameHeader::decode(header)?;
        let Some(bytes) = bytes.get(..header.frame_bytes as usize) else {
            return Err(Malformed::new(
                bytes.len() as u64,
                "a frame ends before its stated length",
            ));
        };
        let frame = Self { header, bytes };
        let mut at = FRAME_HEADER_BYTES;
        let records_end = bytes.len() - header.annex_bytes as usize;
        for _ in 0..header.event_count {
            let length = record::length(&bytes[at..records_end])
                .filter(|length| *length <= records_end - at)
                .ok_or(Malformed::new(at as u64, "an event is longer than its frame"))?;
            at += length;
        }
        if at != records_end {
            return Err(Malformed::new(at as u64, "a frame has bytes that belong to no event"));
        }
        Ok(frame)
    }

    /// Offsets (from the frame's start) and bytes of its records, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let mut at = FRAME_HEADER_BYTES;
        (0..self.header.event_count).map(move |_| {
            let length = record::length(&bytes[at..]).expect("walked when the frame was decoded");
            let found = (at, &bytes[at..at + length]);
            at += length;
            found
        })
    }

    /// The annex as it is stored; empty if there is none.
    pub(crate) fn annex_bytes(&self) -> &'a [u8] {
        &self.bytes[self.bytes.len() - self.header.annex_bytes as usize..]
    }

    pub(crate) fn annex(&self) -> Result<Annex<'a>, Malformed> {
        let start = (self.bytes.len() - self.header.annex_bytes as usize) as u64;
        Annex::decode(self.annex_bytes())
            .map_err(|malformed| Malformed::new(start + malformed.at, malformed.what))
    }

    /// Leaves of the frame's Merkle tree: its records without their check values, then the annex.
    pub(crate) fn leaves(&self, hasher: &mut LeafHasher, leaves: &mut Vec<Digest>) {
        leaves.clear();
        hasher.leaves(self.leaf_bytes(), leaves);
    }

    /// What the leaves are the digests of.
    pub(crate) fn leaf_bytes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let annex = Some(self.annex_bytes()).filter(|annex| !annex.is_empty());
        self.records().map(|(_, record)| &record[4..]).chain(annex)
    }

    /// How many leaves the frame has.
    pub(crate) fn leaf_count(&self) -> usize {
        self.header.event_count as usize + usize::from(self.header.annex_bytes > 0)
    }

    /// Whether the digest is that of the frame's content in this store.
    pub(crate) fn is_authentic(&self, keys: &StoreKeys, scratch: &mut FrameScratch) -> bool {
        self.leaves(&mut scratch.hasher, &mut scratch.leaves);
        let root = merkle::root(&mut scratch.leaves);
        keys.frame(&array_at(self.bytes, 8), &root) == self.header.digest
    }
}

/// Memory that is used again from frame to frame.
#[derive(Debug, Default)]
pub(crate) struct FrameScratch {
    pub(crate) hasher: LeafHasher,
    pub(crate) leaves: Vec<Digest>,
}
