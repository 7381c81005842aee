//! The first and the last block of a run: who it is, and what it counts.
//!
//! ```text
//! header                                   footer
//!  0  checksum    8   see `block.rs`        0  checksum  8   see `block.rs`
//!  8  magic       6   "ICRUN\0"             8  magic     8   "ICRUNEND"
//! 14  version     2   2                    16  rows      8
//! 16  store      16   its id               24  keys      8   that differ
//! 32  run         4   its number           32  pages     8   of rows
//! 36  order       1   32 or 64             40  slots     8
//! 37  kind        1   1 complete, 2 delta, 48  buckets   8   of the filter; 0 for none
//!                     3 spilled            56  zero      8
//! 38  zero        2
//! 40  after       8   zero unless delta    64  digest   32   BLAKE3 of the checksums of all blocks
//! 48  to          8                                          before this, in their order
//! 56  sequence    8   of the chain         96  zeros
//! 64  digest     32   of the chain
//! 96  seed        8   hash of the key of zeros with the store's seed
//!104  zeros
//! ```
//!
//! What it does *not* do: compare a run with what the store expects of it.

use icecore_journal::Digest;

use super::{
    RunHeader, RunKind, RunStore,
    block::{BLOCK_BYTES, Block, CHECKSUM_BYTES, read_u16, read_u32, read_u64},
    key::KeyHash,
    layout::Counts,
};

const MAGIC: [u8; 6] = *b"ICRUN\0";
const VERSION: u16 = 2;
const HEADER_END: usize = 104;

const FOOTER_MAGIC: [u8; 8] = *b"ICRUNEND";
const FOOTER_END: usize = 96;

const COMPLETE: u8 = 1;
const DELTA: u8 = 2;
const SPILLED: u8 = 3;

/// What the hash that tells a wrong seed is of.
const SEED_SAMPLE: [u8; 32] = [0; 32];

/// Writes the header, without its checksum.
pub(crate) fn encode_header(order: usize, store: &RunStore, header: &RunHeader) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let (kind, after) = match header.kind {
        RunKind::Complete => (COMPLETE, 0),
        RunKind::Delta { after } => (DELTA, after),
        RunKind::Spilled => (SPILLED, 0),
    };
    block[8..14].copy_from_slice(&MAGIC);
    block[14..16].copy_from_slice(&VERSION.to_le_bytes());
    block[16..32].copy_from_slice(&store.id.0);
    block[32..36].copy_from_slice(&header.id.to_le_bytes());
    block[36] = u8::try_from(order).expect("32 or 64");
    block[37] = kind;
    block[40..48].copy_from_slice(&after.to_le_bytes());
    block[48..56].copy_from_slice(&header.to.to_le_bytes());
    block[56..64].copy_from_slice(&header.sequence.to_le_bytes());
    block[64..96].copy_from_slice(&header.digest.0);
    let seed = KeyHash::of(store, &SEED_SAMPLE);
    block[96..104].copy_from_slice(&seed.to_bits().to_le_bytes());
    block
}

/// Reads the header of a run of this store. The caller compares the checksum: which one it should be
/// depends on the run's number, [`stated_id`].
pub(crate) fn decode_header(
    order: usize,
    store: &RunStore,
    block: &Block,
) -> Result<RunHeader, &'static str> {
    if block[8..14] != MAGIC {
        return Err("this is no run");
    }
    if read_u16(block, 14) != VERSION {
        return Err("the run has a version that this program does not know");
    }
    if block[16..32] != store.id.0 {
        return Err("the run belongs to another store");
    }
    if usize::from(block[36]) != order {
        return Err("the run has another order of keys");
    }
    if read_u64(block, 96) != KeyHash::of(store, &SEED_SAMPLE).to_bits() {
        return Err("the run was made with another seed");
    }
    let (after, to) = (read_u64(block, 40), read_u64(block, 48));
    let kind = match block[37] {
        COMPLETE if after == 0 => RunKind::Complete,
        DELTA if after < to => RunKind::Delta { after },
        SPILLED if after == 0 => RunKind::Spilled,
        _ => return Err("the header of the run has fields without a meaning"),
    };
    if block[38..40] != [0; 2] || block[HEADER_END..].iter().any(|byte| *byte != 0) {
        return Err("the header of the run has fields without a meaning");
    }
    Ok(RunHeader {
        id: stated_id(block),
        kind,
        to,
        sequence: read_u64(block, 56),
        digest: Digest(block[64..96].try_into().expect("32 bytes")),
    })
}

/// The number of the run that begins with this block, before anything is checked.
pub(crate) fn stated_id(block: &Block) -> u32 {
    read_u32(block, 32)
}

/// A footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) counts: Counts,
    /// BLAKE3 of the checksums of all blocks before it.
    pub(crate) digest: [u8; 32],
}

impl Footer {
    /// Writes it, without its checksum.
    pub(crate) fn encode(&self) -> Block {
        let mut block = [0; BLOCK_BYTES];
        let Counts { rows, keys, pages, slots, buckets } = self.counts;
        block[8..16].copy_from_slice(&FOOTER_MAGIC);
        for (index, count) in [rows, keys, pages, slots, buckets].into_iter().enumerate() {
            let at = 16 + 8 * index;
            block[at..at + 8].copy_from_slice(&count.to_le_bytes());
        }
        block[64..96].copy_from_slice(&self.digest);
        block
    }

    /// Reads it from a block whose checksum matched.
    pub(crate) fn decode(block: &Block) -> Result<Self, &'static str> {
        if block[8..16] != FOOTER_MAGIC {
            return Err("the footer of the run is not where the file ends");
        }
        let zeros = block[56..64].iter().chain(&block[FOOTER_END..]);
        let [rows, keys, pages, slots, buckets] =
            [16, 24, 32, 40, 48].map(|at| read_u64(block, at));
        if zeros.copied().any(|byte| byte != 0) || pages > rows || keys > rows {
            return Err("the footer of the run has fields without a meaning");
        }
        let counts = Counts { rows, keys, pages, slots, buckets };
        Ok(Self { counts, digest: block[64..96].try_into().expect("32 bytes") })
    }
}

/// The digest of a run's checksums, block by block.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChecksumsDigest(blake3::Hasher);

impl ChecksumsDigest {
    pub(crate) fn add(&mut self, checksum: &[u8]) {
        debug_assert_eq!(checksum.len(), CHECKSUM_BYTES);
        self.0.update(checksum);
    }

    pub(crate) fn value(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
