//! The filter of a delta run: whether a key can be in it at all, in one cache line.
//!
//! A blocked Bloom filter over the hashes of distinct keys: the hash chooses a bucket of 64 bytes, and
//! [`BITS_PER_KEY`] bits in it. Ten bits of room for each row make one in eighty absent keys pass.
//! The bits come from the hash that rows hold, so that a merge can make a filter without reading keys.
//!
//! A block of the filter is a checksum, zeros up to byte 64, and 63 buckets.
//!
//! What it does *not* do: say that a key is there.

use super::{
    block::{BLOCK_BYTES, Block},
    key::KeyHash,
};

/// Bytes of a bucket: a cache line.
pub(crate) const BUCKET_BYTES: usize = 64;

/// Buckets of a block; the first 64 bytes of a block have its checksum.
pub(crate) const BUCKETS_PER_BLOCK: u64 = (BLOCK_BYTES / BUCKET_BYTES) as u64 - 1;

/// Bits of the filter for each row.
const BITS_PER_ROW: u64 = 10;

/// Bits that a key sets: near the best for ten bits of room, and 9 bits of a number choose each.
const BITS_PER_KEY: u32 = 6;

/// Bits of a bucket.
const BUCKET_BITS: u64 = 8 * BUCKET_BYTES as u64;

/// Where a hash belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) bucket: u64,
    /// Which bits of the bucket, nine bits each.
    choice: u64,
}

impl Spot {
    /// In a filter of so many buckets.
    pub(crate) fn of(hash: KeyHash, buckets: u64) -> Self {
        let hash = hash.to_bits();
        // The bits must not follow the bucket: the multiplier of SplitMix64 mixes them first.
        let mixed = (hash + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self {
            bucket: ((u128::from(hash) * u128::from(buckets)) >> KeyHash::BITS) as u64,
            choice: mixed >> 10,
        }
    }

    fn bits(self) -> impl Iterator<Item = usize> {
        (0..BITS_PER_KEY)
            .map(move |index| (self.choice >> (9 * index) & (BUCKET_BITS - 1)) as usize)
    }

    /// Whether a bucket's bytes have all bits.
    pub(crate) fn is_in(self, bucket: &[u8]) -> bool {
        self.bits().all(|bit| bucket[bit / 8] & 1 << (bit % 8) != 0)
    }
}

/// The number and place of a bucket's block among the filter's.
pub(crate) fn place_of(bucket: u64) -> (u64, usize) {
    let within = (bucket % BUCKETS_PER_BLOCK) as usize;
    (bucket / BUCKETS_PER_BLOCK, (1 + within) * BUCKET_BYTES)
}

/// A filter that is being made: 1.25 bytes of memory for each row.
#[derive(Debug)]
pub(crate) struct Filter {
    buckets: Vec<[u8; BUCKET_BYTES]>,
}

impl Filter {
    /// For so many rows, at most.
    pub(crate) fn new(rows_max: u64) -> Self {
        let buckets = (rows_max * BITS_PER_ROW).div_ceil(BUCKET_BITS).max(1);
        let buckets = usize::try_from(buckets).expect("less than memory");
        Self { buckets: vec![[0; BUCKET_BYTES]; buckets] }
    }

    pub(crate) fn buckets(&self) -> u64 {
        self.buckets.len() as u64
    }

    pub(crate) fn insert(&mut self, hash: KeyHash) {
        let spot = Spot::of(hash, self.buckets());
        let bucket = &mut self.buckets[spot.bucket as usize];
        for bit in spot.bits() {
            bucket[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Hands over its blocks, without checksums.
    pub(crate) fn encode<E>(
        &self,
        mut take: impl FnMut(&mut Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut block = [0; BLOCK_BYTES];
        for buckets in self.buckets.chunks(BUCKETS_PER_BLOCK as usize) {
            block.fill(0);
            let bytes = buckets.as_flattened();
            block[BUCKET_BYTES..BUCKET_BYTES + bytes.len()].copy_from_slice(bytes);
            take(&mut block)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_passes_and_few_others_do() {
        let mut filter = Filter::new(100_000);
        let hash =
            |number: u64| KeyHash::from_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17);
        (0..100_000).for_each(|number| filter.insert(hash(number)));
        let passes = |number: u64| {
            let spot = Spot::of(hash(number), filter.buckets());
            spot.is_in(&filter.buckets[spot.bucket as usize])
        };
        assert!((0..100_000).all(passes));
        let others = (100_000..1_100_000).filter(|number| passes(*number)).count();
        assert!(others < 20_000, "{others} of a million pass");
    }
}
