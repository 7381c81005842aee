//! What is left of a frame of which some events were dropped.
//!
//! ```text
//! 0 magic "ICET" | 4 check: CRC-32 of bytes 8 up to the records | 8 bytes u32 | 12 records start u32
//! 16 kept events u32 | 20 zero u32 | 24 the frame's header [128]
//! 152 of each event u8: 0 it is kept, else the reduction that dropped it
//!     of each kept event u32: where its record ends
//!     of each dropped event [32]: its leaf
//!     the annex
//!     records of the kept events
//! ```
//!
//! Records have check values of their own. A record's distance to its frame is that in the frame as
//! it was.

use crate::{
    Digest, Malformed,
    digest::{StoreKeys, leaf},
    format::{
        fields::{array_at, digest_at, put, u32_at},
        frame::{FRAME_BYTES_MAX, FRAME_EVENTS_MAX, FRAME_HEADER_BYTES, FrameHeader, FrameScratch},
        record::{self, RECORD_HEADER_BYTES},
    },
    merkle,
};

use super::{CHECK, COVERED, Length, seal};

pub(super) const STUB_MAGIC: [u8; 4] = *b"ICET";

const BYTES: usize = 8;
const RECORDS_START: usize = 12;
const KEPT: usize = 16;
const ZERO: usize = 20;
const HEADER: usize = 24;
const FATES: usize = HEADER + FRAME_HEADER_BYTES;
const END_BYTES: usize = 4;
const LEAF_BYTES: usize = 32;
/// A frame, and what a stub says about each of its events.
const STUB_BYTES_MAX: usize =
    FRAME_BYTES_MAX + FATES + FRAME_EVENTS_MAX * (1 + END_BYTES + LEAF_BYTES);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate<'a> {
    /// Its record.
    Kept(&'a [u8]),
    /// Its leaf, and which of the segment's reductions dropped it, from 1.
    Dropped(Digest, u8),
}

/// A frame without some of its events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stub<'a> {
    /// Of the frame as it was.
    pub(crate) header: FrameHeader,
    bytes: &'a [u8],
}

pub(super) fn length(bytes: &[u8]) -> Result<usize, Length> {
    let head = bytes.get(..HEADER).ok_or(Length::Unknown)?;
    let length = u32_at(head, BYTES) as usize;
    if !(FATES..=STUB_BYTES_MAX).contains(&length) {
        let what = "what is left of a frame states a size that cannot be";
        return Err(Length::Bad(Malformed::new(BYTES as u64, what)));
    }
    Ok(length)
}

/// Where the parts of a stub begin.
#[derive(Debug, Clone, Copy)]
struct Places {
    ends: usize,
    leaves: usize,
    annex: usize,
    records: usize,
}

impl Places {
    fn new(header: &FrameHeader, kept: usize) -> Option<Self> {
        let events = header.event_count as usize;
        let ends = FATES + events;
        let leaves = ends + kept * END_BYTES;
        let annex = leaves + events.checked_sub(kept)? * LEAF_BYTES;
        Some(Self { ends, leaves, annex, records: annex + header.annex_bytes as usize })
    }
}

/// Header and places, as far as they fit into the bytes. Nothing is checked beyond lengths.
fn take_apart(bytes: &[u8]) -> Result<(FrameHeader, Places), Malformed> {
    let malformed = |at: usize, what| Malformed::new(at as u64, what);
    let fixed = bytes
        .get(..FATES)
        .filter(|bytes| bytes[..4] == STUB_MAGIC)
        .ok_or(malformed(0, "no stub of a frame begins here"))?;
    let header = FrameHeader::decode(&array_at(fixed, HEADER))
        .map_err(|malformed| Malformed::new(HEADER as u64 + malformed.at, malformed.what))?;
    let places = Places::new(&header, u32_at(fixed, KEPT) as usize)
        .filter(|places| {
            places.records == u32_at(fixed, RECORDS_START) as usize && places.records <= bytes.len()
        })
        .ok_or(malformed(KEPT, "what is left of a frame has parts of other sizes"))?;
    Ok((header, places))
}

/// Where the kept record of an event lies in the stub at the start of `bytes`, and the frame's
/// header; the record has to be checked, since nothing else was.
pub(crate) fn locate(
    bytes: &[u8],
    sequence: u64,
) -> Result<(std::ops::Range<usize>, FrameHeader), Malformed> {
    let what = "an index leads to what is left of another frame";
    let malformed = Malformed::new(0, what);
    let (header, places) = take_apart(bytes)?;
    let index = sequence
        .checked_sub(header.base_sequence)
        .filter(|index| *index < u64::from(header.event_count))
        .ok_or(malformed)? as usize;
    let fates = &bytes[FATES..places.ends];
    if fates[index] != 0 {
        return Err(malformed);
    }
    let before = fates[..index].iter().filter(|fate| **fate == 0).count();
    let end_at = |kept: usize| -> Result<usize, Malformed> {
        let at = places.ends + kept * END_BYTES;
        let end = bytes[..places.leaves].get(at..at + END_BYTES).ok_or(malformed)?;
        Ok(u32_at(end, 0) as usize)
    };
    let start = if before == 0 { places.records } else { end_at(before - 1)? };
    let end = end_at(before)?;
    match bytes.get(start..end) {
        Some(_) if start >= places.records => Ok((start..end, header)),
        _ => Err(malformed),
    }
}

impl<'a> Stub<'a> {
    /// Reads a stub; `bytes` are exactly its own.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        let (header, places) = take_apart(bytes)?;
        if u32_at(bytes, CHECK) != crc32fast::hash(&bytes[COVERED..places.records]) {
            return Err(malformed(CHECK, "what is left of a frame does not check"));
        }
        let kept = (places.leaves - places.ends) / END_BYTES;
        let fates = &bytes[FATES..places.ends];
        let is_counted = fates.iter().filter(|fate| **fate == 0).count() == kept;
        if !is_counted || kept == 0 || kept == fates.len() || u32_at(bytes, ZERO) != 0 {
            return Err(malformed(KEPT, "what is left of a frame has other events than it states"));
        }
        let mut start = places.records;
        for at in (places.ends..places.leaves).step_by(END_BYTES) {
            let end = u32_at(bytes, at) as usize;
            let is_record = bytes
                .get(start..end)
                .is_some_and(|record| record::length(record) == Some(record.len()));
            if !is_record {
                return Err(malformed(at, "a kept event ends where it cannot"));
            }
            start = end;
        }
        if start != bytes.len() {
            return Err(malformed(start, "what is left of a frame has bytes of no event"));
        }
        Ok(Self { header, bytes })
    }

    fn places(&self) -> Places {
        let kept = u32_at(self.bytes, KEPT) as usize;
        Places::new(&self.header, kept).expect("judged when it was decoded")
    }

    /// Bytes of the stub.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header of the frame, as it was.
    pub(crate) fn header_bytes(&self) -> &'a [u8; FRAME_HEADER_BYTES] {
        self.bytes[HEADER..].first_chunk().expect("judged when it was decoded")
    }

    /// The annex, as it was.
    pub(crate) fn annex_bytes(&self) -> &'a [u8] {
        let places = self.places();
        &self.bytes[places.annex..places.records]
    }

    /// What became of each event, in order.
    pub(crate) fn fates(&self) -> impl Iterator<Item = Fate<'a>> + use<'a> {
        let (bytes, places) = (self.bytes, self.places());
        let mut start = places.records;
        let mut ends = (places.ends..places.leaves).step_by(END_BYTES);
        let mut leaves = (places.leaves..places.annex).step_by(LEAF_BYTES);
        bytes[FATES..places.ends].iter().map(move |fate| match fate {
            0 => {
                let end = u32_at(bytes, ends.next().expect("counted when it was decoded")) as usize;
                let record = &bytes[start..end];
                start = end;
                Fate::Kept(record)
            }
            reduction => {
                let at = leaves.next().expect("counted when it was decoded");
                Fate::Dropped(digest_at(bytes, at), *reduction)
            }
        })
    }

    /// How many events were dropped.
    pub(crate) fn dropped_count(&self) -> u64 {
        u64::from(self.header.event_count) - u64::from(u32_at(self.bytes, KEPT))
    }

    /// The highest number of a reduction that dropped events of the frame.
    pub(super) fn newest_reduction(&self) -> u8 {
        let fates = &self.bytes[FATES..FATES + self.header.event_count as usize];
        fates.iter().copied().max().unwrap_or(0)
    }

    /// The dropped events around one that was dropped, and the reduction that dropped it; `None` if
    /// it was not.
    pub(crate) fn dropped_around(&self, sequence: u64) -> Option<(std::ops::Range<u64>, u8)> {
        let base = self.header.base_sequence;
        let index = usize::try_from(sequence.checked_sub(base)?).ok()?;
        let fates = &self.bytes[FATES..FATES + self.header.event_count as usize];
        let reduction = *fates.get(index).filter(|fate| **fate != 0)?;
        let others = |fate: &u8| *fate != reduction;
        let first = fates[..index].iter().rposition(others).map_or(0, |before| before + 1);
        let end = fates[index..].iter().position(others).map_or(fates.len(), |end| index + end);
        Some((base + first as u64..base + end as u64, reduction))
    }

    /// Leaves of the frame's Merkle tree: those of its records, kept or not, then the annex.
    pub(crate) fn leaves(&self, leaves: &mut Vec<Digest>) {
        leaves.clear();
        leaves.extend(self.fates().map(|fate| match fate {
            Fate::Kept(record) => leaf(&record[4..]),
            Fate::Dropped(digest, _) => digest,
        }));
        leaves.extend(Some(self.annex_bytes()).filter(|annex| !annex.is_empty()).map(leaf));
    }

    /// Whether the digest in the header is that of the frame as it was, in this store.
    pub(crate) fn is_authentic(&self, keys: &StoreKeys, scratch: &mut FrameScratch) -> bool {
        self.leaves(&mut scratch.leaves);
        let root = merkle::root(&mut scratch.leaves);
        keys.frame(&array_at(self.header_bytes(), 8), &root) == self.header.digest
    }

    /// Bytes of the stub of a frame with this header of which so many events are kept, their
    /// records having so many bytes.
    pub(crate) fn bytes_of(header: &FrameHeader, kept: usize, record_bytes: usize) -> usize {
        let places = Places::new(header, kept).expect("not more are kept than there are");
        places.records + record_bytes
    }

    /// Appends the stub of a frame of which some events are kept and some are not.
    pub(crate) fn encode(
        header: &[u8; FRAME_HEADER_BYTES],
        fates: &[Fate<'_>],
        annex: &[u8],
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(&STUB_MAGIC);
        out.resize(start + HEADER, 0);
        out.extend_from_slice(header);
        let kept = || {
            fates.iter().filter_map(|fate| match fate {
                Fate::Kept(record) => Some(*record),
                Fate::Dropped(..) => None,
            })
        };
        out.extend(fates.iter().map(|fate| match fate {
            Fate::Kept(_) => 0,
            Fate::Dropped(_, reduction) => *reduction,
        }));
        let kept_count = kept().count();
        let leaves_bytes = (fates.len() - kept_count) * LEAF_BYTES;
        let records_start = out.len() - start + kept_count * END_BYTES + leaves_bytes + annex.len();
        let mut end = records_start;
        for record in kept() {
            debug_assert!(record.len() >= RECORD_HEADER_BYTES);
            end += record.len();
            out.extend_from_slice(&(end as u32).to_le_bytes());
        }
        for fate in fates {
            if let Fate::Dropped(digest, _) = fate {
                out.extend_from_slice(&digest.0);
            }
        }
        out.extend_from_slice(annex);
        kept().for_each(|record| out.extend_from_slice(record));
        let stub = &mut out[start..];
        put(stub, RECORDS_START, (records_start as u32).to_le_bytes());
        put(stub, KEPT, (kept_count as u32).to_le_bytes());
        let bytes = stub.len();
        seal(stub, bytes, BYTES, records_start);
    }
}
