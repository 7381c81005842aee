//! What goes into and out of the kernels: always groups of 16 lanes, whatever a kernel's width.
//!
//! Blocks lie lane after lane and are transposed as they are read; chaining values and sums lie
//! word after word, lanes side by side, and are never transposed.

use icecore_types::LATTICE_LANES;

use super::{
    compress::{INITIAL, WORDS},
    input::Block,
};

/// Lanes of a group, whatever the kernel's width.
pub(super) const GROUP: usize = 16;

/// Output blocks of a lattice hash.
const OUTPUT_BLOCKS: usize = 32;

/// Words of a group, lane by lane.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lanes(pub(super) [u32; GROUP]);

/// The chaining values of a group: 8 words.
pub(super) type ChainingValues = [Lanes; 8];

/// The chaining values before a chunk's first block, and of every parent node.
pub(super) const INITIAL_VALUES: ChainingValues = {
    let mut values = [Lanes([0; GROUP]); 8];
    let mut word = 0;
    while word < 8 {
        values[word] = Lanes([INITIAL[word]; GROUP]);
        word += 1;
    }
    values
};

/// Sums of output words by lane, two `u16` in each `u32`: for every word of the 32 output blocks
/// as many lanes as the kernel's vector has, back to back, since all of it is touched for every
/// group and should stay in the first-level cache (32 KiB with 16 lanes).
pub(super) struct LaneSums {
    pub(super) lines: Box<[Lanes]>,
    lanes: usize,
}

impl LaneSums {
    /// Sums for vectors of `lanes` words, a divisor of [`GROUP`].
    pub(super) fn new(lanes: usize) -> Self {
        Self { lines: vec![Lanes([0; GROUP]); OUTPUT_BLOCKS * WORDS * lanes / GROUP].into(), lanes }
    }

    /// Adds the lanes up into `sums`, the 1,024 lanes of a lattice hash, and clears them.
    pub(super) fn drain_into(&mut self, sums: &mut [u16; LATTICE_LANES]) {
        for (word, pair) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            for at in word * self.lanes..(word + 1) * self.lanes {
                let both = self.lines[at / GROUP].0[at % GROUP];
                pair[0] = pair[0].wrapping_add(both as u16);
                pair[1] = pair[1].wrapping_add((both >> 16) as u16);
            }
        }
        self.lines.fill(Lanes([0; GROUP]));
    }
}

/// The chunks of a group: that of lane `i` begins at block `i * blocks_per_lane`.
#[derive(Clone, Copy)]
pub(super) struct Chunks<'a> {
    pub(super) blocks: &'a [Block],
    pub(super) blocks_per_lane: usize,
}

/// The root nodes of a group.
#[derive(Clone, Copy)]
pub(super) struct RootNodes<'a> {
    /// Chaining values before the node's block.
    pub(super) values: &'a ChainingValues,
    /// Where the node's blocks lie.
    pub(super) chunks: Chunks<'a>,
    /// Which block of each lane is the node's.
    pub(super) block: usize,
    /// Bytes in each block.
    pub(super) lengths: &'a [u32; GROUP],
    /// Domain flags, with [`ROOT`](super::compress::ROOT).
    pub(super) flags: &'a [u32; GROUP],
    /// Lanes in use; the rest is not added.
    pub(super) filled: usize,
}
