//! A run of frames that were dropped whole: what they were, and their digests.
//!
//! ```text
//! 0 magic "ICEG" | 4 check: CRC-32 of bytes 8.. | 8 bytes u32 | 12 frames u32
//! 16 first sequence u64 | 24 first frame u64 | 32 events u64 | 40 first time u64 | 48 last time u64
//! 56 reduction u8, from 1 | 57 zero [7] | 64 events of each frame u32 | digest of each frame [32]
//! zeros up to a multiple of 8
//! ```

use crate::{
    Digest, Malformed,
    format::{
        FRAME_ALIGNMENT,
        fields::{digest_at, put, u32_at, u64_at},
        frame::{FRAME_EVENTS_MAX, FrameHeader},
        record::IN_BATCH,
    },
};

use super::{CHECK, COVERED, Length, seal};

pub(super) const GAP_MAGIC: [u8; 4] = *b"ICEG";

/// Frames of one gap at most; longer ones are several.
pub(crate) const GAP_FRAMES_MAX: usize = 1 << 16;

const BYTES: usize = 8;
const FRAMES: usize = 12;
const FIRST_SEQUENCE: usize = 16;
const FIRST_FRAME: usize = 24;
const EVENTS: usize = 32;
const FIRST_TIME: usize = 40;
const LAST_TIME: usize = 48;
const REDUCTION: usize = 56;
const ZERO: usize = 57;
const COUNTS: usize = 64;
/// Bytes for each frame: the number of its events, its digest.
pub(crate) const GAP_FRAME_BYTES: usize = 4 + 32;

/// Bytes of a gap of so many frames.
pub(crate) const fn gap_bytes(frames: usize) -> usize {
    (COUNTS + frames * GAP_FRAME_BYTES).next_multiple_of(FRAME_ALIGNMENT as usize)
}

/// Frames that are gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap<'a> {
    pub(crate) first_sequence: u64,
    pub(crate) end_sequence: u64,
    pub(crate) first_frame: u64,
    /// Time of the first frame.
    pub(crate) first_time: u64,
    pub(crate) last_time: u64,
    /// Which of the segment's reductions, from 1.
    pub(crate) reduction: u8,
    counts: &'a [u8],
    digests: &'a [u8],
}

pub(super) fn length(bytes: &[u8]) -> Result<usize, Length> {
    let head = bytes.get(..COUNTS).ok_or(Length::Unknown)?;
    let frames = u32_at(head, FRAMES) as usize;
    let length = u32_at(head, BYTES) as usize;
    if !(1..=GAP_FRAMES_MAX).contains(&frames) || length != gap_bytes(frames) {
        let what = "a gap states sizes that cannot be";
        return Err(Length::Bad(Malformed::new(BYTES as u64, what)));
    }
    Ok(length)
}

impl<'a> Gap<'a> {
    /// Reads a gap; `bytes` are exactly its own, its length having been judged.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        if u32_at(bytes, CHECK) != crc32fast::hash(&bytes[COVERED..]) {
            return Err(malformed(CHECK, "a gap does not check"));
        }
        let frames = u32_at(bytes, FRAMES) as usize;
        let (first_sequence, events) = (u64_at(bytes, FIRST_SEQUENCE), u64_at(bytes, EVENTS));
        let counts = &bytes[COUNTS..COUNTS + frames * 4];
        let digests_end = COUNTS + frames * GAP_FRAME_BYTES;
        let gap = Self {
            first_sequence,
            end_sequence: first_sequence.saturating_add(events),
            first_frame: u64_at(bytes, FIRST_FRAME),
            first_time: u64_at(bytes, FIRST_TIME),
            last_time: u64_at(bytes, LAST_TIME),
            reduction: bytes[REDUCTION],
            counts,
            digests: &bytes[COUNTS + frames * 4..digests_end],
        };
        let are_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if gap.reduction == 0 || !are_zero(&bytes[ZERO..COUNTS]) || !are_zero(&bytes[digests_end..])
        {
            return Err(malformed(REDUCTION, "a gap has no reason, or bytes that must be zero"));
        }
        if gap.end_sequence > IN_BATCH || gap.first_frame > first_sequence {
            return Err(malformed(FIRST_SEQUENCE, "a gap has numbers that cannot be"));
        }
        let counted = gap.counts().try_fold(0_u64, |sum, count| {
            (1..=FRAME_EVENTS_MAX as u32).contains(&count).then(|| sum + u64::from(count))
        });
        if counted != Some(events) {
            return Err(malformed(EVENTS, "a gap has not the events that it states"));
        }
        if gap.last_time < gap.first_time {
            return Err(malformed(FIRST_TIME, "a gap ends before it begins"));
        }
        Ok(gap)
    }

    /// Bytes of the gap.
    pub(crate) fn bytes(&self) -> usize {
        gap_bytes(self.digests.len() / 32)
    }

    fn counts(&self) -> impl Iterator<Item = u32> + 'a {
        self.counts.chunks_exact(4).map(|count| u32_at(count, 0))
    }

    pub(crate) fn end_frame(&self) -> u64 {
        self.first_frame + (self.digests.len() / 32) as u64
    }

    /// Each frame: its number, its first sequence, how many events it had, its digest.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (u64, u64, u32, Digest)> + 'a {
        let digests = self.digests.chunks_exact(32).map(|digest| digest_at(digest, 0));
        let mut sequence = self.first_sequence;
        (self.first_frame..).zip(self.counts().zip(digests)).map(
            move |(number, (count, digest))| {
                let first = sequence;
                sequence += u64::from(count);
                (number, first, count, digest)
            },
        )
    }

    /// The digest of one of its frames.
    pub(crate) fn digest(&self, frame_number: u64) -> Option<Digest> {
        let index = usize::try_from(frame_number.checked_sub(self.first_frame)?).ok()?;
        self.digests.get(index.checked_mul(32)?..)?.first_chunk().map(|bytes| Digest(*bytes))
    }

    /// The digest of the last frame.
    pub(crate) fn last(&self) -> Digest {
        digest_at(self.digests, self.digests.len() - 32)
    }
}

/// A gap in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GapBuilder {
    pub(crate) first_sequence: u64,
    pub(crate) first_frame: u64,
    first_time: u64,
    last_time: u64,
    pub(crate) reduction: u8,
    counts: Vec<u32>,
    digests: Vec<Digest>,
}

impl GapBuilder {
    /// Of one frame.
    pub(crate) fn new(header: &FrameHeader, reduction: u8) -> Self {
        Self {
            first_sequence: header.base_sequence,
            first_frame: header.frame_number,
            first_time: header.time,
            last_time: header.time,
            reduction,
            counts: vec![header.event_count],
            digests: vec![header.digest],
        }
    }

    /// What was read, with another number for its reduction.
    pub(crate) fn of(gap: &Gap<'_>, reduction: u8) -> Self {
        Self {
            first_sequence: gap.first_sequence,
            first_frame: gap.first_frame,
            first_time: gap.first_time,
            last_time: gap.last_time,
            reduction,
            counts: gap.counts().collect(),
            digests: gap.frames().map(|(.., digest)| digest).collect(),
        }
    }

    /// Adds what follows directly; gives it back when it was dropped for another reason, or there
    /// is no room.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        let frames = self.counts.len() + next.counts.len();
        if next.reduction != self.reduction || frames > GAP_FRAMES_MAX {
            return Some(next);
        }
        debug_assert_eq!(self.first_frame + self.counts.len() as u64, next.first_frame);
        self.counts.extend(next.counts);
        self.digests.extend(next.digests);
        self.last_time = next.last_time;
        None
    }

    /// Appends the gap.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let bytes = gap_bytes(self.counts.len());
        let events: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        out.resize(start + COUNTS, 0);
        let head = &mut out[start..];
        put(head, 0, GAP_MAGIC);
        put(head, FRAMES, (self.counts.len() as u32).to_le_bytes());
        put(head, FIRST_SEQUENCE, self.first_sequence.to_le_bytes());
        put(head, FIRST_FRAME, self.first_frame.to_le_bytes());
        put(head, EVENTS, events.to_le_bytes());
        put(head, FIRST_TIME, self.first_time.to_le_bytes());
        put(head, LAST_TIME, self.last_time.to_le_bytes());
        head[REDUCTION] = self.reduction;
        out.extend(self.counts.iter().flat_map(|count| count.to_le_bytes()));
        out.extend(self.digests.iter().flat_map(|digest| digest.0));
        out.resize(start + bytes, 0);
        seal(&mut out[start..], bytes, BYTES, bytes);
    }
}
