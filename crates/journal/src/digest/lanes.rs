//! Many digests at once: leaves of equal length in blocks, and pairs of nodes, side by side in the
//! lanes of wide registers.
//!
//! Inputs of up to 1,024 bytes are one BLAKE3 chunk, which is hashed block after block; so as many
//! of them as a register has lanes can be hashed in one go, if they have the same number of blocks.
//! 1. A leaf is copied into the row of its number of blocks, padded with zeros.
//! 2. A row that is full is hashed; the digests go to the places of their leaves.
//! 3. At the end the rows that are not full are hashed.
//!
//! It rests on a function that BLAKE3's crate keeps for its own benchmarks; the version of the
//! crate is therefore pinned, and the tests compare every length with the public function.
//!
//! What it does *not* do: hash leaves of more than a chunk, or empty ones, side by side.

use blake3::{IncrementCounter, platform::Platform};

use super::{BLOCK_BYTES, Digest, LEAF_KEY, NODE_KEY, leaf};

/// Blocks in a BLAKE3 chunk.
const BLOCKS_MAX: usize = 16;

/// Inputs that are hashed in one go: the widest registers (AVX-512) have 16 lanes of 32 bits;
/// narrower ones take them in several goes.
const LANES: usize = 16;

/// Bytes of all rows: for every number of blocks, as many leaves as there are lanes.
const ROWS_BYTES: usize = row_start(BLOCKS_MAX + 1);

/// Flags of BLAKE3's compression function, from section 2.2 of its paper.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Where the row of leaves with that many blocks begins.
const fn row_start(blocks: usize) -> usize {
    LANES * BLOCK_BYTES * (blocks * (blocks - 1) / 2)
}

/// BLAKE3 takes a key as eight little-endian words.
fn key_words(key: &[u8; 32]) -> [u32; 8] {
    let (words, _) = key.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

/// Hashes up to [`LANES`] inputs of N bytes each, which lie one after the other.
fn hash_lanes<const N: usize>(
    platform: Platform,
    key: &[u32; 8],
    bytes: &[u8],
    out: &mut [[u8; 32]; LANES],
) {
    let (inputs, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty() && inputs.len() <= LANES, "whole inputs, one for a lane at most");
    let Some(first) = inputs.first() else { return };
    let mut lanes = [first; LANES];
    for (lane, input) in lanes.iter_mut().zip(inputs) {
        *lane = input;
    }
    platform.hash_many(
        &lanes[..inputs.len()],
        key,
        0,
        IncrementCounter::No,
        KEYED_HASH,
        CHUNK_START,
        CHUNK_END | ROOT,
        out.as_flattened_mut(),
    );
}

type HashLanes = fn(Platform, &[u32; 8], &[u8], &mut [[u8; 32]; LANES]);

/// [`hash_lanes`] for leaves of 1 to 16 blocks.
const HASH_ROW: [HashLanes; BLOCKS_MAX] = [
    hash_lanes::<64>,
    hash_lanes::<128>,
    hash_lanes::<192>,
    hash_lanes::<256>,
    hash_lanes::<320>,
    hash_lanes::<384>,
    hash_lanes::<448>,
    hash_lanes::<512>,
    hash_lanes::<576>,
    hash_lanes::<640>,
    hash_lanes::<704>,
    hash_lanes::<768>,
    hash_lanes::<832>,
    hash_lanes::<896>,
    hash_lanes::<960>,
    hash_lanes::<1024>,
];

/// Hashes leaves, many at a time. It owns the memory for that: 136 KiB.
#[derive(Debug)]
pub(crate) struct LeafHasher {
    platform: Platform,
    key: [u32; 8],
    /// The rows, from that of one block to that of sixteen.
    bytes: Box<[u8]>,
    rows: [Row; BLOCKS_MAX],
}

/// The leaves that wait in a row: where their digests go.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    count: usize,
    places: [usize; LANES],
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self {
            platform: Platform::detect(),
            key: key_words(&LEAF_KEY),
            bytes: vec![0; ROWS_BYTES].into_boxed_slice(),
            rows: [Row::default(); BLOCKS_MAX],
        }
    }
}

impl LeafHasher {
    /// Appends the digests of the leaves to `out`, in their order, and returns how many were hashed
    /// side by side with another. Nothing is allocated but room in `out`.
    pub(crate) fn leaves<'a>(
        &mut self,
        leaves: impl Iterator<Item = &'a [u8]>,
        out: &mut Vec<Digest>,
    ) -> usize {
        let mut side_by_side = 0;
        for bytes in leaves {
            let blocks = bytes.len().div_ceil(BLOCK_BYTES);
            if blocks == 0 || blocks > BLOCKS_MAX {
                out.push(leaf(bytes));
                continue;
            }
            let row = &mut self.rows[blocks - 1];
            let start = row_start(blocks) + row.count * blocks * BLOCK_BYTES;
            let lane = &mut self.bytes[start..start + blocks * BLOCK_BYTES];
            lane[..bytes.len()].copy_from_slice(bytes);
            lane[bytes.len()..].fill(0);
            row.places[row.count] = out.len();
            row.count += 1;
            out.push(Digest::ZERO);
            if row.count == LANES {
                side_by_side += self.hash_row(blocks, out);
            }
        }
        for blocks in 1..=BLOCKS_MAX {
            side_by_side += self.hash_row(blocks, out);
        }
        side_by_side
    }

    /// Hashes what waits in a row, and returns how many those were if they were several.
    fn hash_row(&mut self, blocks: usize, out: &mut [Digest]) -> usize {
        let row = &mut self.rows[blocks - 1];
        let count = std::mem::take(&mut row.count);
        if count == 0 {
            return 0;
        }
        let start = row_start(blocks);
        let bytes = &self.bytes[start..start + count * blocks * BLOCK_BYTES];
        if count == 1 {
            out[row.places[0]] = leaf(bytes);
            return 0;
        }
        let mut digests = [[0; 32]; LANES];
        HASH_ROW[blocks - 1](self.platform, &self.key, bytes, &mut digests);
        for (place, digest) in row.places[..count].iter().zip(digests) {
            out[*place] = Digest(digest);
        }
        count
    }
}

/// Replaces one level of a tree by the level above it, in place: node i becomes the parent of nodes
/// 2i and 2i + 1. A last node without a sibling rises as it is.
pub(crate) fn parents(level: &mut Vec<Digest>) {
    let platform = Platform::detect();
    let key = key_words(&NODE_KEY);
    let count = level.len() / 2;
    let mut pairs = [[[0; 32]; 2]; LANES];
    let mut digests = [[0; 32]; LANES];
    for first in (0..count).step_by(LANES) {
        let width = LANES.min(count - first);
        for (lane, pair) in pairs.iter_mut().zip(first..first + width) {
            *lane = [level[2 * pair].0, level[2 * pair + 1].0];
        }
        let bytes = pairs[..width].as_flattened().as_flattened();
        hash_lanes::<64>(platform, &key, bytes, &mut digests);
        for (place, digest) in level[first..first + width].iter_mut().zip(digests) {
            *place = Digest(digest);
        }
    }
    if level.len() % 2 == 1 {
        level[count] = level[2 * count];
    }
    level.truncate(level.len() - count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::node;

    /// Bytes that look like nothing, the same for the same seed.
    fn bytes(length: usize, seed: usize) -> Vec<u8> {
        let mut all = vec![0; length];
        blake3::Hasher::new().update(&(seed as u64).to_le_bytes()).finalize_xof().fill(&mut all);
        all
    }

    fn check(records: &[Vec<u8>], hasher: &mut LeafHasher) -> usize {
        let mut out = vec![Digest::ZERO];
        let side_by_side = hasher.leaves(records.iter().map(Vec::as_slice), &mut out);
        assert_eq!(out.len(), records.len() + 1, "what was there before stays");
        for (record, digest) in records.iter().zip(&out[1..]) {
            assert_eq!(*digest, leaf(record), "length {}", record.len());
        }
        side_by_side
    }

    #[test]
    fn leaves_of_every_length_hash_to_what_the_public_function_gives() {
        let mut hasher = LeafHasher::default();
        for length in 0..=2100 {
            let records: Vec<_> = (0..5).map(|seed| bytes(length, seed)).collect();
            let side_by_side = check(&records, &mut hasher);
            assert_eq!(side_by_side, if (1..=1024).contains(&length) { 5 } else { 0 });
        }
    }

    #[test]
    fn batches_of_every_size_hash_side_by_side_but_for_the_last() {
        let mut hasher = LeafHasher::default();
        for blocks in 1..=BLOCKS_MAX {
            for size in 1..=40 {
                let records: Vec<_> =
                    (0..size).map(|seed| bytes(blocks * 64 - seed % 64, seed)).collect();
                let alone = if size % LANES == 1 { 1 } else { 0 };
                assert_eq!(check(&records, &mut hasher), size - alone);
            }
        }
    }

    #[test]
    fn leaves_of_mixed_lengths_keep_their_order() {
        let records: Vec<_> = (0..500).map(|seed| bytes(seed * 37 % 1300, seed)).collect();
        let mut hasher = LeafHasher::default();
        assert!(check(&records, &mut hasher) > 300);
        assert!(check(&records[100..], &mut hasher) > 200, "nothing waits from the batch before");
    }

    #[test]
    fn parents_of_levels_of_every_width_are_nodes_of_pairs() {
        for width in 0..=100 {
            let level: Vec<_> = (0..width).map(|seed| leaf(&bytes(8, seed))).collect();
            let expected: Vec<_> = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    [last] => *last,
                    _ => panic!("chunks of two"),
                })
                .collect();
            let mut above = level;
            parents(&mut above);
            assert_eq!(above, expected, "width {width}");
        }
    }
}
