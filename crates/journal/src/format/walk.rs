//! From frame to frame through a chain segment: the one parser of chain segments.
//!
//! [`step`] looks at the bytes from an offset on and says what lies there. It is given as many bytes
//! as there are at the moment and says how many more it needs: any chunking gives the same steps.
//! [`Follow`] knows what has to come next and says whether a frame is it.
//!
//! What it does *not* do: read files, or decide what a bad frame means (see `recovery`).

use crate::{
    Digest, Malformed,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameScratch},
        mark::{HeadMark, MARK_MAGIC},
    },
};

/// What lies at an offset of a chain segment.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A frame whose lengths fit; the next step is at `next`.
    Frame { frame: Frame<'a>, next: u64 },
    /// A head mark; the next step is at `next`.
    Mark { mark: HeadMark, next: u64 },
    /// Nothing up to `next`.
    Padding { next: u64 },
    /// At least this many bytes are needed from here on.
    Needs(usize),
    /// Neither.
    Bad(Malformed),
}

pub(crate) fn align(offset: u64, alignment: u64) -> u64 {
    offset.next_multiple_of(alignment)
}

/// Looks at the bytes that lie at `offset` (a multiple of [`FRAME_ALIGNMENT`]) of a segment.
pub(crate) fn step(bytes: &[u8], offset: u64) -> Step<'_> {
    debug_assert_eq!(offset % FRAME_ALIGNMENT, 0);
    let Some((magic, _)) = bytes.split_first_chunk::<4>() else {
        return Step::Needs(FRAME_ALIGNMENT as usize);
    };
    match *magic {
        [0, 0, 0, 0] => Step::Padding { next: align(offset + 1, BLOCK_BYTES) },
        MARK_MAGIC if offset.is_multiple_of(BLOCK_BYTES) => {
            match bytes.first_chunk::<{ BLOCK_BYTES as usize }>() {
                None => Step::Needs(BLOCK_BYTES as usize),
                Some(block) => match HeadMark::decode(block) {
                    Ok(mark) => Step::Mark { mark, next: offset + BLOCK_BYTES },
                    Err(malformed) => Step::Bad(malformed),
                },
            }
        }
        _ => {
            let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
                return Step::Needs(FRAME_HEADER_BYTES);
            };
            match FrameHeader::decode(header) {
                Ok(header) if bytes.len() < header.frame_bytes as usize => {
                    Step::Needs(header.frame_bytes as usize)
                }
                Ok(_) => match Frame::decode(bytes) {
                    Ok(frame) => {
                        let end = offset + frame.bytes.len() as u64;
                        Step::Frame { frame, next: align(end, FRAME_ALIGNMENT) }
                    }
                    Err(malformed) => Step::Bad(malformed),
                },
                Err(malformed) => Step::Bad(malformed),
            }
        }
    }
}

/// What the next frame of a chain has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) sequence: u64,
    pub(crate) frame_number: u64,
    pub(crate) last: Digest,
    pub(crate) time: u64,
}

impl Follow {
    /// Whether the frame continues the chain with sound content; if so, what comes after it.
    pub(crate) fn accept(
        &self,
        frame: &Frame<'_>,
        keys: &StoreKeys,
        scratch: &mut FrameScratch,
    ) -> Result<Self, Malformed> {
        self.check_place(&frame.header)?;
        if !frame.is_authentic(keys, scratch) {
            return Err(Malformed::new(0, "a frame's content is not what its digest says"));
        }
        Ok(self.after(&frame.header))
    }

    /// Whether a frame with this header is the one that comes next.
    pub(crate) fn check_place(&self, header: &FrameHeader) -> Result<(), Malformed> {
        let malformed = |what| Err(Malformed::new(0, what));
        if header.base_sequence != self.sequence || header.frame_number != self.frame_number {
            return malformed("a frame has another number than the one that belongs here");
        }
        if header.previous != self.last {
            return malformed("a frame does not follow on the one before it");
        }
        if header.time < self.time {
            return malformed("a frame is older than the one before it");
        }
        if header.durable_end > self.sequence {
            return malformed("a frame states that events behind it were durable");
        }
        Ok(())
    }

    /// What comes after a frame that was accepted.
    pub(crate) fn after(&self, header: &FrameHeader) -> Self {
        Self {
            sequence: header.end_sequence(),
            frame_number: header.frame_number + 1,
            last: header.digest,
            time: header.time,
        }
    }
}
