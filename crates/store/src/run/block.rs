//! Blocks: what every file of a run is made of. 4 KiB each, with a checksum in the first 8 bytes.
//!
//! ```text
//!  0  checksum    8   XXH3-64 of the other 4088 bytes, with the seed of store, order, run and number
//!  8  content  4088
//! ```
//!
//! The seed makes a block that lies in another place, run or store one that does not match.
//!
//! What it does *not* do: defend against a forger. It finds damage.

use icecore_journal::StoreId;
use twox_hash::XxHash3_64;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Bytes of its checksum.
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// A block's bytes.
pub(crate) type Block = [u8; BLOCK_BYTES];

/// Seeds the checksums of one run's blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockSeed(u64);

impl BlockSeed {
    pub(crate) fn new(store: &StoreId, order: usize, run: u32) -> Self {
        let mut name = [0; 24];
        name[..16].copy_from_slice(&store.0);
        name[16..20].copy_from_slice(&run.to_le_bytes());
        name[20] = u8::try_from(order).expect("32 or 64");
        Self(XxHash3_64::oneshot(&name))
    }

    /// The multiplier is that of SplitMix64: neighbouring blocks have seeds far apart.
    fn at(self, number: u64) -> u64 {
        self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Sets the checksum of the block with this number in the file, and gives it.
    pub(crate) fn seal(self, number: u64, block: &mut Block) -> [u8; CHECKSUM_BYTES] {
        let checksum = self.checksum(number, block);
        block[..CHECKSUM_BYTES].copy_from_slice(&checksum);
        checksum
    }

    pub(crate) fn checks(self, number: u64, block: &Block) -> bool {
        self.checksum(number, block) == block[..CHECKSUM_BYTES]
    }

    fn checksum(self, number: u64, block: &Block) -> [u8; CHECKSUM_BYTES] {
        XxHash3_64::oneshot_with_seed(self.at(number), &block[CHECKSUM_BYTES..]).to_le_bytes()
    }
}

/// The integer that lies in `width` bytes, 8 at most.
pub(crate) fn read_wide(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut value = 0;
    for (index, byte) in bytes[at..at + width].iter().enumerate() {
        value |= u64::from(*byte) << (8 * index);
    }
    value
}

pub(crate) fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The eight bytes as a number of the same order as the bytes.
#[expect(clippy::big_endian_bytes, reason = "numbers that sort as keys do")]
pub(crate) fn read_ordered(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Bytes that a number needs.
pub(crate) fn width_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as usize
}
