//! Filters: which keys an index may have, so that most files need no search at all.
//!
//! A split-block Bloom filter as the Parquet format specifies it (apache/parquet-format,
//! BloomFilter.md): blocks of 256 bits, one bit set in each of the eight words of one block. It
//! holds about 10 bits per different key, and takes about one absent key in a hundred for a present
//! one.
//!
//! Keys are mixed first, so that keys which are no hashes (sequences, kinds) do not crowd one
//! block.
//!
//! Invariant: a key that was put in is found.
//!
//! The filter of a large file is written in slabs, one pass over the keys for each, so that memory
//! does not grow with the file.

use super::{
    page::{PageWriter, u32_at},
    trailer::SectionKind,
};

/// Bits per different key: about 1 in 100 absent keys passes.
const BITS_PER_KEY: u64 = 10;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = SectionKind::Filter.entry_bytes();

/// Odd constants of the Parquet specification, one per word of a block.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Blocks that are made at a time: 8 MiB of them.
pub(crate) const SLAB_BLOCKS: u64 = (8 << 20) / BLOCK_BYTES as u64;

/// How many blocks a filter for so many different keys has. Their number fits in 32 bits.
pub(crate) fn blocks_for(distinct: u64) -> u64 {
    let block_bits = 8 * BLOCK_BYTES as u64;
    distinct.saturating_mul(BITS_PER_KEY).div_ceil(block_bits).min(u64::from(u32::MAX))
}

/// Where a key's bits are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// Number of the block.
    pub(crate) block: u64,
    /// The bit of each word.
    mask: [u32; 8],
}

impl Probe {
    /// In a filter of so many blocks, at least one.
    pub(crate) fn new(key: u64, blocks: u64) -> Self {
        let mixed = mix(key);
        // The upper half chooses the block (a multiplication in place of a division), the lower
        // half the bits.
        let block = ((mixed >> 32) * blocks) >> 32;
        let low = mixed as u32;
        Self { block, mask: SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27)) }
    }

    /// Whether a block has all bits of the key.
    pub(crate) fn is_in(&self, block: &[u8]) -> bool {
        (0..).zip(self.mask).all(|(word, bit)| u32_at(block, 4 * word) & bit != 0)
    }

    fn put_in(&self, block: &mut [u8; BLOCK_BYTES]) {
        for (word, bit) in block.chunks_exact_mut(4).zip(self.mask) {
            let bits = u32_at(word, 0) | bit;
            word.copy_from_slice(&bits.to_le_bytes());
        }
    }
}

/// Writes the blocks of a filter for `distinct` different keys.
///
/// `visit` gives every key to its argument, repeats allowed; it is called once per slab.
pub(crate) fn write<E>(
    writer: &mut PageWriter<'_, E>,
    distinct: u64,
    slab_blocks: u64,
    mut visit: impl FnMut(&mut dyn FnMut(u64)) -> Result<(), E>,
) -> Result<(), E> {
    let blocks = blocks_for(distinct);
    let mut slab: Vec<[u8; BLOCK_BYTES]> = Vec::new();
    let mut start = 0;
    while start < blocks {
        let end = blocks.min(start + slab_blocks);
        slab.clear();
        slab.resize(usize::try_from(end - start).expect("a slab"), [0; BLOCK_BYTES]);
        visit(&mut |key| {
            let probe = Probe::new(key, blocks);
            if (start..end).contains(&probe.block) {
                let block = usize::try_from(probe.block - start).expect("within the slab");
                probe.put_in(&mut slab[block]);
            }
        })?;
        for block in &slab {
            writer.put(block)?;
        }
        start = end;
    }
    Ok(())
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the key changes half of all.
pub(crate) fn mix(key: u64) -> u64 {
    let mut mixed = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
