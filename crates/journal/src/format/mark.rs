//! The head mark: one block that says how far the chain was durable when nothing followed.
//!
//! Frames say it of those before them; after the last frame there is nobody to say it of that one
//! (rule R6). An idle journal therefore writes a mark. It is no part of the chain.
//!
//! A torn frame may leave the bytes of a payload where a mark could lie. A mark is therefore sealed
//! with the journal's secret: a payload that was made to look like one is not taken for it.

use crate::{
    Digest, Malformed,
    format::{
        BLOCK_BYTES,
        fields::{array_at, digest_at, put, u32_at, u64_at},
    },
    keys::IndexKeys,
};

pub(crate) const MARK_MAGIC: [u8; 4] = *b"ICEM";
const CLEAN_CLOSE: u32 = 1;

const SEALED: std::ops::Range<usize> = 8..80;
const SEAL: usize = 80;

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
    /// Keyed with the journal's secret; set when it is written.
    pub(crate) seal: [u8; 16],
}

impl HeadMark {
    /// The block without its seal and its check value.
    fn unsealed(&self) -> [u8; BLOCK_BYTES as usize] {
        let mut block = [0; BLOCK_BYTES as usize];
        put(&mut block, 0, MARK_MAGIC);
        put(&mut block, 8, self.epoch.to_le_bytes());
        put(&mut block, 16, self.durable_end.to_le_bytes());
        put(&mut block, 24, self.frame_count.to_le_bytes());
        put(&mut block, 32, self.last.0);
        put(&mut block, 64, self.time.to_le_bytes());
        put(&mut block, 72, if self.is_clean_close { CLEAN_CLOSE } else { 0 }.to_le_bytes());
        block
    }

    pub(crate) fn encode(&self, keys: &IndexKeys) -> [u8; BLOCK_BYTES as usize] {
        let mut block = self.unsealed();
        let seal = keys.seal(&block[SEALED]);
        put(&mut block, SEAL, seal);
        let check = crc32fast::hash(&block[8..]);
        put(&mut block, 4, check.to_le_bytes());
        block
    }

    /// Whether the journal itself wrote it, and not somebody into a payload that looks like one.
    pub(crate) fn is_genuine(&self, keys: &IndexKeys) -> bool {
        self.seal == keys.seal(&self.unsealed()[SEALED])
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
            seal: array_at(block, SEAL),
        })
    }
}
