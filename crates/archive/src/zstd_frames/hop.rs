//! Hops over a zstd frame from block header to block header, so that its end is found while hardly
//! any of it is read (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
//!
//! For a guess before the work begins: is this archive one frame or many? What it does *not* do:
//! check anything; [`FrameWalker`](super::FrameWalker) does when the bytes are read.

use super::{BLOCK_HEADER_BYTES, FrameKind, HEADER_BYTES_MAX, Parsed, parse};

const RLE_BLOCK: u32 = 1;

/// Where to look next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// At the block header there: three bytes.
    Block {
        /// From the start of the file.
        offset: u64,
    },
    /// The frame ends there.
    End {
        /// Offset of the first byte after it.
        offset: u64,
    },
}

/// Bytes that [`FrameHopper::new`] wants to see.
pub const HOPPER_BYTES: usize = HEADER_BYTES_MAX;

/// Hops over one frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameHopper {
    offset: u64,
    checksum_bytes: u64,
}

impl FrameHopper {
    /// From the first bytes of a frame that begins at `offset`; `None` when they are not those of
    /// a frame with content.
    pub fn new(offset: u64, first_bytes: &[u8]) -> Option<(Self, Hop)> {
        let Ok(Parsed::Header { kind, bytes }) = parse(first_bytes) else { return None };
        let FrameKind::Data { has_checksum, .. } = kind else { return None };
        let checksum_bytes = if has_checksum { 4 } else { 0 };
        let offset = offset + bytes as u64;
        Some((Self { offset, checksum_bytes }, Hop::Block { offset }))
    }

    /// From the block header at the last hop to the next.
    pub fn next(&mut self, header: [u8; BLOCK_HEADER_BYTES]) -> Hop {
        let [low, middle, high] = header.map(u32::from);
        let header = low | middle << 8 | high << 16;
        let is_last = header & 1 == 1;
        let size = match header >> 1 & 3 {
            RLE_BLOCK => 1,
            _ => u64::from(header >> 3),
        };
        self.offset += BLOCK_HEADER_BYTES as u64 + size;
        match is_last {
            true => Hop::End { offset: self.offset + self.checksum_bytes },
            false => Hop::Block { offset: self.offset },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zstd_frames::{FrameEvent, FrameWalker};

    #[test]
    fn hopping_ends_where_walking_does() {
        let content: Vec<u8> = (0..600_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for (level, has_checksum) in [(1, false), (3, true)] {
            let mut context = zstd_safe::CCtx::create();
            let parameter = zstd_safe::CParameter::ChecksumFlag(has_checksum);
            context.set_parameter(parameter).expect("known");
            let level = zstd_safe::CParameter::CompressionLevel(level);
            context.set_parameter(level).expect("known");
            let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
            let length = context.compress2(&mut frame[..], &content).expect("it fits");
            frame.truncate(length);
            // Another frame behind it is not entered.
            let file = [&frame[..], &frame].concat();

            let mut walker = FrameWalker::new();
            let mut input = &file[..];
            let walked = loop {
                match walker.next(&mut input).expect("sound").expect("an end comes") {
                    FrameEvent::FrameEnd { offset } => break offset,
                    _ => continue,
                }
            };
            let (mut hopper, mut hop) = FrameHopper::new(0, &file[..HOPPER_BYTES]).expect("begins");
            let mut hops = 0;
            let hopped = loop {
                match hop {
                    Hop::Block { offset } => {
                        let header = file[offset as usize..].first_chunk().expect("within");
                        hop = hopper.next(*header);
                        hops += 1;
                    }
                    Hop::End { offset } => break offset,
                }
            };
            assert_eq!(hopped, walked);
            assert_eq!(hopped, frame.len() as u64);
            assert!(hops > 10, "many blocks");
        }
        assert!(FrameHopper::new(0, b"no frame at all, surely").is_none());
    }
}
