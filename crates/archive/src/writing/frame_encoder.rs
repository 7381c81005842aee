//! Packs the content of one frame after the other: zstd, lz4, or as it is (decision 0031).
//!
//! - zstd: each frame is one of its own, with its content's size and checksum. Behind the last one
//!   comes a [`SeekTable`].
//! - lz4: the reference client reads one lz4 frame and no more, so the file is one; of it a "frame"
//!   here is some blocks that refer to no block before them, each with a checksum.
//! - tar: the content.
//!
//! Invariant: a frame is a function of its content and the packing, whatever the encoder packed
//! before.
//!
//! What it does *not* do: decide where frames end ([`FramePlan`](super::frame_plan::FramePlan)).

use std::ops::RangeInclusive;

use twox_hash::XxHash32;
use zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use crate::{
    container::LZ4_MAGIC,
    names::Compression,
    seek_table::{PackedFrame, SeekTable},
    writing::frame_plan::FRAME_BYTES,
};

/// Levels of zstd that can be asked for.
pub const ZSTD_LEVELS: RangeInclusive<i32> = 1..=22;

/// The level of the reference client's own archives.
pub const ZSTD_LEVEL_DEFAULT: i32 = 1;

/// Content of an lz4 block: 4 MiB, the largest there is.
const LZ4_BLOCK_BYTES: usize = 4 << 20;

/// Version 1, blocks independent, blocks with checksums; blocks of 4 MiB.
const LZ4_FLAGS: [u8; 2] = [0x40 | 0x20 | 0x10, 7 << 4];

/// Set in a block's size when the block is not compressed.
const LZ4_RAW: u32 = 1 << 31;

/// Bytes of a block's size and of a checksum.
const WORD_BYTES: usize = 4;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// zstd frames and a seek table.
    Zstd {
        /// One of [`ZSTD_LEVELS`].
        level: i32,
    },
    /// One lz4 frame.
    Lz4,
    /// Not at all. The reference client reads no such archive since 3.0.
    Tar,
}

impl Packing {
    /// What a file's name says of it.
    pub fn compression(self) -> Compression {
        match self {
            Self::Zstd { .. } => Compression::Zstd,
            Self::Lz4 => Compression::Lz4,
            Self::Tar => Compression::None,
        }
    }

    /// What comes before the first frame.
    pub fn head(self) -> Vec<u8> {
        match self {
            Self::Lz4 => {
                let mut head = LZ4_MAGIC.to_le_bytes().to_vec();
                head.extend(LZ4_FLAGS);
                head.push((XxHash32::oneshot(0, &LZ4_FLAGS) >> 8) as u8);
                head
            }
            Self::Zstd { .. } | Self::Tar => Vec::new(),
        }
    }

    /// What comes behind the last of `frames`.
    pub fn tail(self, frames: &SeekTable) -> Vec<u8> {
        match self {
            Self::Zstd { .. } => frames.encode(),
            // A block of no bytes ends an lz4 frame.
            Self::Lz4 => vec![0; WORD_BYTES],
            Self::Tar => Vec::new(),
        }
    }

    /// The most bytes of a frame of so many bytes of content.
    pub fn frame_bytes_max(self, content_bytes: usize) -> usize {
        match self {
            Self::Zstd { .. } => compress_bound(content_bytes),
            // A block that does not shrink is stored as it is.
            Self::Lz4 => content_bytes + content_bytes.div_ceil(LZ4_BLOCK_BYTES) * 2 * WORD_BYTES,
            Self::Tar => content_bytes,
        }
    }
}

/// Packs frames.
pub struct FrameEncoder {
    packing: Packing,
    /// An lz4 block, which may be larger than its content before it is given up.
    block: Vec<u8>,
}

impl FrameEncoder {
    /// An encoder. A level outside of [`ZSTD_LEVELS`] is a mistake of the program: it panics.
    pub fn new(packing: Packing) -> Self {
        if let Packing::Zstd { level } = packing {
            assert!(ZSTD_LEVELS.contains(&level), "options are checked where they are given");
        }
        Self { packing, block: Vec::new() }
    }

    /// Packs a frame to the front of `output`, which has room for
    /// [`frame_bytes_max`](Packing::frame_bytes_max).
    ///
    /// Content that is empty, or longer than any frame's, is a mistake of the program: it panics.
    pub fn encode(&mut self, content: &[u8], output: &mut [u8]) -> PackedFrame {
        let content_bytes = u32::try_from(content.len()).expect("no frame has 4 GiB");
        assert!(content_bytes > 0 && content_bytes <= *FRAME_BYTES.end(), "a frame's content");
        let output = &mut output[..self.packing.frame_bytes_max(content.len())];
        let frame_bytes = match self.packing {
            Packing::Zstd { level } => zstd(level, content, output),
            Packing::Lz4 => self.lz4(content, output),
            Packing::Tar => {
                output.copy_from_slice(content);
                content.len()
            }
        };
        let checksum = match self.packing {
            Packing::Zstd { .. } => output[..frame_bytes].last_chunk().copied(),
            Packing::Lz4 | Packing::Tar => None,
        };
        PackedFrame {
            frame_bytes: u32::try_from(frame_bytes).expect("a frame hardly grows"),
            content_bytes,
            checksum: checksum.map(u32::from_le_bytes),
        }
    }

    /// Packs content as blocks: size, bytes, checksum of these.
    fn lz4(&mut self, content: &[u8], output: &mut [u8]) -> usize {
        let mut end = 0;
        let mut put = |bytes: &[u8]| {
            output[end..][..bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        };
        for content in content.chunks(LZ4_BLOCK_BYTES) {
            self.block.resize(lz4_flex::block::get_maximum_output_size(content.len()), 0);
            let length = lz4_flex::block::compress_into(content, &mut self.block)
                .expect("there is room for whatever comes");
            let (size, bytes) = match length < content.len() {
                true => (length as u32, &self.block[..length]),
                false => (content.len() as u32 | LZ4_RAW, content),
            };
            put(&size.to_le_bytes());
            put(bytes);
            put(&XxHash32::oneshot(0, bytes).to_le_bytes());
        }
        end
    }
}

/// Packs content as a zstd frame.
///
/// The context is a new one. One that was used seeds its match tables with what it saw before
/// (`ZSTD_advanceHashSalt`, zstd 1.5.7), so that a frame could depend on the one before it; and it is
/// no faster: for 16 MiB at any level both take the same time.
fn zstd(level: i32, content: &[u8], output: &mut [u8]) -> usize {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::ContentSizeFlag(true),
        CParameter::ChecksumFlag(true),
    ] {
        context.set_parameter(parameter).expect("every build of the library knows these");
    }
    context.compress2(output, content).unwrap_or_else(|code| {
        // There is room, and the parameters are sound: only memory can be lacking.
        panic!("zstd cannot compress: {}", get_error_name(code))
    })
}
