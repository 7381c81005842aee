//! A chain segment from which events were dropped: what is left of its frames, and what stands for
//! the rest, so that all proofs about what is left still hold.
//!
//! Behind the segment's header lies the list of [`Reduction`]s (when and why events were dropped),
//! and then, one behind the other, items:
//!
//! - a whole frame, as it always was;
//! - a [`Stub`]: the header of a frame of which some events were dropped, and for each event its
//!   record or its leaf. Root and digest of the frame still verify;
//! - a [`Gap`]: the digests of frames that were dropped whole. The mountain range over all frames
//!   can still be built, and the frame behind the gap follows on the last of these digests.
//!
//! Items start at multiples of 8. There are no head marks and no padding of blocks: the file is
//! written once, synced, and never changed.
//!
//! Invariants:
//! - Every item has a check value of its own; no length is believed before it is checked.
//! - One way to write each: what is read writes the same bytes again.
//!
//! What it does *not* do: decide what is dropped (see `dropping`).

mod gap;
mod stub;

pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

pub(crate) use gap::{GAP_FRAME_BYTES, Gap, GapBuilder, gap_bytes};
pub(crate) use stub::{Fate, Stub, locate};

use crate::{
    Malformed,
    digest::StoreKeys,
    format::{
        FRAME_ALIGNMENT,
        fields::{put, u32_at},
        frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, Frame, FrameHeader, FrameScratch},
        manifest::REASON_BYTES_MAX,
        pieces::{Piece, Pieces, put_list, put_text},
        walk::{Follow, align},
    },
};

const REDUCTIONS_MAGIC: [u8; 4] = *b"ICEL";

/// Reductions of one segment at most: a byte per event says which.
pub(crate) const REDUCTIONS_MAX: usize = 255;

const CHECK: usize = 4;
const COVERED: usize = 8;
const BYTES: usize = 8;
const LIST: usize = 12;
const REDUCTION_BYTES_MIN: usize = 10;
const REDUCTIONS_BYTES_MAX: usize =
    LIST + 4 + REDUCTIONS_MAX * (REDUCTION_BYTES_MIN + REASON_BYTES_MAX) + FRAME_ALIGNMENT as usize;

/// When and why events were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reduction {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) reason: String,
}

impl Piece for Reduction {
    const BYTES_MIN: usize = REDUCTION_BYTES_MIN;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self { time: pieces.u64()?, reason: pieces.text(REASON_BYTES_MAX)? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        put_text(out, &self.reason);
    }
}

/// Appends the list that stands before the items.
pub(crate) fn put_reductions(reductions: &[Reduction], out: &mut Vec<u8>) {
    assert!((1..=REDUCTIONS_MAX).contains(&reductions.len()), "a byte says which");
    let start = out.len();
    out.extend_from_slice(&REDUCTIONS_MAGIC);
    out.extend_from_slice(&[0; LIST - CHECK]);
    put_list(out, reductions);
    let bytes = (out.len() - start).next_multiple_of(FRAME_ALIGNMENT as usize);
    out.resize(start + bytes, 0);
    seal(&mut out[start..], bytes, BYTES, bytes);
}

/// Reads the list at the start of `bytes`; it ends where the first item begins, that many bytes on.
pub(crate) fn take_reductions(bytes: &[u8]) -> Result<(Vec<Reduction>, usize), Malformed> {
    let malformed = |at: usize, what| Malformed::new(at as u64, what);
    let head =
        bytes.get(..LIST).ok_or(malformed(0, "a reduced segment ends within its reasons"))?;
    if head[..4] != REDUCTIONS_MAGIC {
        return Err(malformed(0, "a reduced segment does not begin with its reasons"));
    }
    let length = u32_at(head, BYTES) as usize;
    let is_possible = (LIST..=REDUCTIONS_BYTES_MAX).contains(&length)
        && length.is_multiple_of(FRAME_ALIGNMENT as usize);
    let bytes = bytes
        .get(..length)
        .filter(|_| is_possible)
        .ok_or(malformed(BYTES, "the reasons of a reduced segment have a length that cannot be"))?;
    if u32_at(bytes, CHECK) != crc32fast::hash(&bytes[COVERED..]) {
        return Err(malformed(CHECK, "the reasons of a reduced segment do not check"));
    }
    let mut pieces = Pieces::new(bytes, LIST);
    let reductions: Vec<Reduction> = pieces.list(REDUCTIONS_MAX)?;
    let mut again = Vec::with_capacity(length);
    if !reductions.is_empty() {
        put_reductions(&reductions, &mut again);
    }
    if again != bytes {
        return Err(malformed(LIST, "the reasons of a reduced segment are written in another way"));
    }
    Ok((reductions, length))
}

/// Writes the length of a part and its check value, which covers `covered` bytes from byte 8 on.
fn seal(part: &mut [u8], bytes: usize, at: usize, covered: usize) {
    put(part, at, u32::try_from(bytes).expect("parts are bounded").to_le_bytes());
    let check = crc32fast::hash(&part[COVERED..covered]);
    put(part, CHECK, check.to_le_bytes());
}

/// What is left of one frame or several.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    Frame(Frame<'a>),
    Stub(Stub<'a>),
    Gap(Gap<'a>),
}

impl Item<'_> {
    /// Sequences that it stands for.
    pub(crate) fn sequences(&self) -> std::ops::Range<u64> {
        match self {
            Self::Frame(frame) => frame.header.base_sequence..frame.header.end_sequence(),
            Self::Stub(stub) => stub.header.base_sequence..stub.header.end_sequence(),
            Self::Gap(gap) => gap.first_sequence..gap.end_sequence,
        }
    }

    /// Numbers of the frames that it stands for.
    pub(crate) fn frames(&self) -> std::ops::Range<u64> {
        match self {
            Self::Frame(Frame { header, .. }) | Self::Stub(Stub { header, .. }) => {
                header.frame_number..header.frame_number + 1
            }
            Self::Gap(gap) => gap.first_frame..gap.end_frame(),
        }
    }
}

/// What lies at an offset of a reduced segment.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// An item that checks as far as that can be told from itself; the next one is at `next`.
    Item { item: Item<'a>, next: u64 },
    /// At least this many bytes are needed from here on.
    Needs(usize),
    /// Neither.
    Bad(Malformed),
}

type Decode = fn(&[u8]) -> Result<Item<'_>, Malformed>;

/// Looks at the bytes that lie at `offset` (a multiple of 8) of a segment, behind its reductions.
pub(crate) fn step(bytes: &[u8], offset: u64) -> Step<'_> {
    debug_assert_eq!(offset % FRAME_ALIGNMENT, 0);
    let Some((magic, _)) = bytes.split_first_chunk::<4>() else {
        return Step::Needs(FRAME_HEADER_BYTES);
    };
    let (length, decode): (_, Decode) = match *magic {
        FRAME_MAGIC => (frame_length(bytes), |bytes| Frame::decode(bytes).map(Item::Frame)),
        stub::STUB_MAGIC => (stub::length(bytes), |bytes| Stub::decode(bytes).map(Item::Stub)),
        gap::GAP_MAGIC => (gap::length(bytes), |bytes| Gap::decode(bytes).map(Item::Gap)),
        _ => return Step::Bad(Malformed::new(0, "nothing of a reduced segment begins here")),
    };
    match length {
        Ok(length) if bytes.len() < length => Step::Needs(length),
        Ok(length) => match decode(&bytes[..length]) {
            Ok(item) => Step::Item { item, next: align(offset + length as u64, FRAME_ALIGNMENT) },
            Err(malformed) => Step::Bad(malformed),
        },
        Err(Length::Unknown) => Step::Needs(FRAME_HEADER_BYTES),
        Err(Length::Bad(malformed)) => Step::Bad(malformed),
    }
}

/// Why the length of an item is not known.
enum Length {
    /// The bytes are too few; a frame's header is enough for all.
    Unknown,
    Bad(Malformed),
}

fn frame_length(bytes: &[u8]) -> Result<usize, Length> {
    let header = bytes.first_chunk::<FRAME_HEADER_BYTES>().ok_or(Length::Unknown)?;
    let header = FrameHeader::decode(header).map_err(Length::Bad)?;
    Ok(header.frame_bytes as usize)
}

/// Whether the item continues the chain with sound content; if so, what comes after it.
///
/// `reductions` is how many the segment lists. The digests of a gap are taken as they are, but for the last one, on which the next frame has to
/// follow: all of them are covered by the mountain range, which whoever verifies compares.
pub(crate) fn follow(
    end: &Follow,
    item: &Item<'_>,
    reductions: usize,
    keys: &StoreKeys,
    scratch: &mut FrameScratch,
) -> Result<Follow, Malformed> {
    let newest = match item {
        Item::Frame(_) => 0,
        Item::Stub(stub) => stub.newest_reduction(),
        Item::Gap(gap) => gap.reduction,
    };
    if usize::from(newest) > reductions {
        return Err(Malformed::new(0, "events were dropped for a reason that is not listed"));
    }
    match item {
        Item::Frame(frame) => end.accept(frame, keys, scratch),
        Item::Stub(stub) => {
            end.check_place(&stub.header)?;
            if !stub.is_authentic(keys, scratch) {
                let what = "what is left of a frame is not what its digest says";
                return Err(Malformed::new(0, what));
            }
            Ok(end.after(&stub.header))
        }
        Item::Gap(gap) => {
            if gap.first_sequence != end.sequence || gap.first_frame != end.frame_number {
                let what = "a gap has other numbers than those that belong here";
                return Err(Malformed::new(0, what));
            }
            if gap.first_time < end.time {
                return Err(Malformed::new(0, "a gap is older than the frame before it"));
            }
            Ok(Follow {
                sequence: gap.end_sequence,
                frame_number: gap.end_frame(),
                last: gap.last(),
                time: gap.last_time,
            })
        }
    }
}
