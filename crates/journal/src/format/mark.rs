//! The head mark: one block that says how far the chain was durable when nothing followed.
//!
//! Frames say it of those before them; after the last frame there is nobody to say it of that one
//! (rule R6). An idle journal therefore writes a mark. It is no part of the chain: forging one can
//! make a journal be refused, never believed.

use crate::{
    Digest, Malformed,
    format::{
        BLOCK_BYTES,
        fields::{digest_at, put, u32_at, u64_at},
    },
};

pub(crate) const MARK_MAGIC: [u8; 4] = *b"ICEM";
const CLEAN_CLOSE: u32 = 1;

/// What a head mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadMark {
    pub(crate) epoch: u64,
    /// Every sequence below is durable.
    pub(crate) durable_end: u64,
    pub(crate) frame_count: u64,
    /// Digest of the last frame.
    pub(crate) last: Digest,
    pub(crate) time: u64,
    pub(crate) is_clean_close: bool,
}

impl HeadMark {
    pub(crate) fn encode(&self) -> [u8; BLOCK_BYTES as usize] {
        let mut block = [0; BLOCK_BYTES as usize];
        put(&mut block, 0, MARK_MAGIC);
        put(&mut block, 8, self.epoch.to_le_bytes());
        put(&mut block, 16, self.durable_end.to_le_bytes());
        put(&mut block, 24, self.frame_count.to_le_bytes());
        put(&mut block, 32, self.last.0);
        put(&mut block, 64, self.time.to_le_bytes());
        put(&mut block, 72, if self.is_clean_close { CLEAN_CLOSE } else { 0 }.to_le_bytes());
        let check = crc32fast::hash(&block[8..]);
        put(&mut block, 4, check.to_le_bytes());
        block
    }

    /// Reads a block; it has been seen to begin with [`MARK_MAGIC`].
    pub(crate) fn decode(block: &[u8; BLOCK_BYTES as usize]) -> Result<Self, Malformed> {
        if u32_at(block, 4) != crc32fast::hash(&block[8..]) {
            return Err(Malformed::new(4, "a head mark does not check"));
        }
        Ok(Self {
            epoch: u64_at(block, 8),
            durable_end: u64_at(block, 16),
            frame_count: u64_at(block, 24),
            last: digest_at(block, 32),
            time: u64_at(block, 64),
            is_clean_close: u32_at(block, 72) & CLEAN_CLOSE != 0,
        })
    }
}
