//! BLAKE3's compression function in many lanes at once, over any vector of `u32`.
//!
//! Everything here works on groups of [`GROUP`] lanes, in slices as wide as the vector. Blocks lie
//! lane after lane ([`Chunks`]) and are transposed as they are read; chaining values and sums lie
//! word after word, lanes side by side.
//!
//! The functions are generic and inlined into the kernels' entry points
//! ([`entry_points`](super::wide::entry_points)), where the target features are on.

use icecore_types::LATTICE_LANES;

use super::input::{BLOCK_BYTES, Block};

/// Lanes of a group, whatever the kernel's width.
pub(super) const GROUP: usize = 16;

/// Output blocks of a lattice hash.
const OUTPUT_BLOCKS: usize = 32;

/// Words of a block and of the compression state.
const WORDS: usize = 16;

/// SHA-256's and BLAKE3's initial chaining value.
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

pub(super) const CHUNK_START: u32 = 1;
pub(super) const CHUNK_END: u32 = 2;
pub(super) const PARENT: u32 = 4;
pub(super) const ROOT: u32 = 8;

/// Which message word goes where, by round: BLAKE3's permutation, applied again and again.
const SCHEDULE: [[usize; WORDS]; 7] = {
    const PERMUTATION: [usize; WORDS] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut schedule = [[0; WORDS]; 7];
    let mut round = 0;
    while round < 7 {
        let mut word = 0;
        while word < WORDS {
            schedule[round][word] = match round {
                0 => word,
                _ => schedule[round - 1][PERMUTATION[word]],
            };
            word += 1;
        }
        round += 1;
    }
    schedule
};

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
    lines: Box<[Lanes]>,
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
    /// Domain flags, with [`ROOT`].
    pub(super) flags: &'a [u32; GROUP],
    /// Lanes in use; the rest is not added.
    pub(super) filled: usize,
}

/// `LANES` words of 32 bits in a vector.
///
/// Values come only from the two unsafe functions, so whoever holds one has the CPU for it, and
/// the rest is safe.
pub(super) trait Vector: Copy {
    const LANES: usize;

    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn splat(word: u32) -> Self;

    /// The first `LANES` words.
    ///
    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn load(words: &[u32]) -> Self;

    /// Word `w` of the result holds word `w` of every lane's block; lane `i`'s is
    /// `blocks[i * stride]`.
    ///
    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn load_blocks(blocks: &[Block], stride: usize) -> [Self; WORDS];

    /// Stores to the first `LANES` words.
    fn store(self, words: &mut [u32]);

    fn add(self, other: Self) -> Self;

    /// Adds halves of words, each wrapping by itself.
    fn add_halves(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    fn and(self, other: Self) -> Self;

    fn rotate_right_16(self) -> Self;

    fn rotate_right_12(self) -> Self;

    fn rotate_right_8(self) -> Self;

    fn rotate_right_7(self) -> Self;
}

/// Four quarter-rounds on independent words: `a`, `b`, `c`, `d` name each one's state words.
#[inline(always)]
fn quarter_rounds<V: Vector>(
    state: &mut [V; WORDS],
    [a, b, c, d]: [[usize; 4]; 4],
    first: [V; 4],
    second: [V; 4],
) {
    for i in 0..4 {
        // The message goes first: it is there before the other operand.
        state[a[i]] = state[a[i]].add(first[i]).add(state[b[i]]);
    }
    for i in 0..4 {
        state[d[i]] = state[d[i]].xor(state[a[i]]).rotate_right_16();
    }
    for i in 0..4 {
        state[c[i]] = state[c[i]].add(state[d[i]]);
    }
    for i in 0..4 {
        state[b[i]] = state[b[i]].xor(state[c[i]]).rotate_right_12();
    }
    for i in 0..4 {
        state[a[i]] = state[a[i]].add(second[i]).add(state[b[i]]);
    }
    for i in 0..4 {
        state[d[i]] = state[d[i]].xor(state[a[i]]).rotate_right_8();
    }
    for i in 0..4 {
        state[c[i]] = state[c[i]].add(state[d[i]]);
    }
    for i in 0..4 {
        state[b[i]] = state[b[i]].xor(state[c[i]]).rotate_right_7();
    }
}

/// One round: columns, then diagonals.
#[inline(always)]
fn round<V: Vector, const ROUND: usize>(state: &mut [V; WORDS], message: &[V; WORDS]) {
    let word = |at: usize| message[SCHEDULE[ROUND][at]];
    quarter_rounds(
        state,
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]],
        [word(0), word(2), word(4), word(6)],
        [word(1), word(3), word(5), word(7)],
    );
    quarter_rounds(
        state,
        [[0, 1, 2, 3], [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]],
        [word(8), word(10), word(12), word(14)],
        [word(9), word(11), word(13), word(15)],
    );
}

/// The state after all rounds. `counter` is the low word of the 64-bit counter; the high one is
/// always zero: no account has 2^32 chunks.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
unsafe fn rounds<V: Vector>(
    values: &[V; 8],
    message: &[V; WORDS],
    counter: V,
    length: V,
    flags: V,
) -> [V; WORDS] {
    // SAFETY: as for this function.
    let [i0, i1, i2, i3, zero] = unsafe {
        [
            V::splat(INITIAL[0]),
            V::splat(INITIAL[1]),
            V::splat(INITIAL[2]),
            V::splat(INITIAL[3]),
            V::splat(0),
        ]
    };
    let [v0, v1, v2, v3, v4, v5, v6, v7] = *values;
    let mut state = [v0, v1, v2, v3, v4, v5, v6, v7, i0, i1, i2, i3, counter, zero, length, flags];
    round::<V, 0>(&mut state, message);
    round::<V, 1>(&mut state, message);
    round::<V, 2>(&mut state, message);
    round::<V, 3>(&mut state, message);
    round::<V, 4>(&mut state, message);
    round::<V, 5>(&mut state, message);
    round::<V, 6>(&mut state, message);
    state
}

/// The chaining values of one slice of lanes.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
unsafe fn load_values<V: Vector>(values: &ChainingValues, first_lane: usize) -> [V; 8] {
    // SAFETY: as for this function.
    unsafe {
        let mut loaded = [V::splat(0); 8];
        for (word, lanes) in loaded.iter_mut().zip(values) {
            *word = V::load(&lanes.0[first_lane..]);
        }
        loaded
    }
}

/// Hashes the first `blocks` blocks of every lane's chunk, the first of its account, to chaining
/// values; none of them is the chunk's last.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn chain<V: Vector>(
    chunks: Chunks<'_>,
    blocks: usize,
    values: &mut ChainingValues,
) {
    for first_lane in (0..GROUP).step_by(V::LANES) {
        let lanes = &chunks.blocks[first_lane * chunks.blocks_per_lane..];
        // SAFETY: as for this function.
        unsafe {
            let mut chain = load_values::<V>(&INITIAL_VALUES, 0);
            let [zero, length] = [V::splat(0), V::splat(BLOCK_BYTES as u32)];
            for block in 0..blocks {
                let message = V::load_blocks(&lanes[block..], chunks.blocks_per_lane);
                let flags = V::splat(if block == 0 { CHUNK_START } else { 0 });
                let state = rounds(&chain, &message, zero, length, flags);
                for word in 0..8 {
                    chain[word] = state[word].xor(state[word + 8]);
                }
            }
            for (word, lanes) in chain.into_iter().zip(values.iter_mut()) {
                word.store(&mut lanes.0[first_lane..]);
            }
        }
    }
}

/// Hashes every lane's chunk, one of several of its account, to its chaining value. `lengths` are
/// the chunks' bytes (a lane with none gets a value without meaning), `indices` their places in
/// their accounts.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn chunk_values<V: Vector>(
    chunks: Chunks<'_>,
    lengths: &[u32; GROUP],
    indices: &[u32; GROUP],
    values: &mut ChainingValues,
) {
    for first_lane in (0..GROUP).step_by(V::LANES) {
        let lanes = &chunks.blocks[first_lane * chunks.blocks_per_lane..];
        let lengths = &lengths[first_lane..][..V::LANES];
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        // SAFETY: as for this function.
        unsafe {
            let mut chain = load_values::<V>(&INITIAL_VALUES, 0);
            let index = V::load(&indices[first_lane..]);
            for block in 0..longest.div_ceil(BLOCK_BYTES) {
                let message = V::load_blocks(&lanes[block..], chunks.blocks_per_lane);
                let start = if block == 0 { CHUNK_START } else { 0 };
                let [mut length, mut flags, mut active] = [[0; GROUP]; 3];
                for lane in 0..V::LANES {
                    let left = lengths[lane].saturating_sub((block * BLOCK_BYTES) as u32);
                    length[lane] = left.min(BLOCK_BYTES as u32);
                    flags[lane] =
                        if left <= BLOCK_BYTES as u32 { start | CHUNK_END } else { start };
                    active[lane] = if left == 0 { 0 } else { u32::MAX };
                }
                let state = rounds(&chain, &message, index, V::load(&length), V::load(&flags));
                let active = V::load(&active);
                // Lanes whose chunk has ended keep their value.
                for word in 0..8 {
                    let next = state[word].xor(state[word + 8]);
                    chain[word] = chain[word].xor(chain[word].xor(next).and(active));
                }
            }
            for (word, lanes) in chain.into_iter().zip(values.iter_mut()) {
                word.store(&mut lanes.0[first_lane..]);
            }
        }
    }
}

/// Compresses every lane's root node to its 32 output blocks and adds them to `sums`.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn expand<V: Vector>(nodes: RootNodes<'_>, sums: &mut LaneSums) {
    for first_lane in (0..nodes.filled).step_by(V::LANES) {
        // SAFETY: as for this function.
        unsafe {
            if first_lane + V::LANES <= nodes.filled {
                expand_slice::<V, false>(nodes, first_lane, sums);
            } else {
                expand_slice::<V, true>(nodes, first_lane, sums);
            }
        }
    }
}

/// [`expand`] for the lanes of one vector; with `PARTIAL`, lanes that are not filled add zero.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
unsafe fn expand_slice<V: Vector, const PARTIAL: bool>(
    nodes: RootNodes<'_>,
    first_lane: usize,
    sums: &mut LaneSums,
) {
    let RootNodes { chunks, .. } = nodes;
    let blocks = &chunks.blocks[first_lane * chunks.blocks_per_lane + nodes.block..];
    let mask: [u32; GROUP] =
        std::array::from_fn(|lane| if first_lane + lane < nodes.filled { u32::MAX } else { 0 });
    // SAFETY: as for this function.
    unsafe {
        let message = V::load_blocks(blocks, chunks.blocks_per_lane);
        let values = load_values::<V>(nodes.values, first_lane);
        let length = V::load(&nodes.lengths[first_lane..]);
        let flags = V::load(&nodes.flags[first_lane..]);
        let mask = V::load(&mask);
        for (counter, lines) in sums.lines.chunks_exact_mut(V::LANES).enumerate() {
            // Three of the first four quarter-rounds do not depend on the counter: the compiler
            // takes them out of the loop.
            let state = rounds(&values, &message, V::splat(counter as u32), length, flags);
            for word in 0..WORDS {
                let at = word * V::LANES;
                let sum = &mut lines[at / GROUP].0[at % GROUP..];
                let other = if word < 8 { state[word + 8] } else { values[word - 8] };
                let mut output = state[word].xor(other);
                if PARTIAL {
                    output = output.and(mask);
                }
                V::load(sum).add_halves(output).store(sum);
            }
        }
    }
}

/// Compiles the functions above for one vector, with its target features on.
macro_rules! entry_points {
    ($vector:ty, $(#[$attribute:meta])?) => {
        $(#[$attribute])?
        pub(super) fn chain(chunks: Chunks<'_>, blocks: usize, values: &mut ChainingValues) {
            // SAFETY: the vector's instructions are this function's target features.
            unsafe { wide::chain::<$vector>(chunks, blocks, values) }
        }

        $(#[$attribute])?
        pub(super) fn chunk_values(
            chunks: Chunks<'_>,
            lengths: &[u32; GROUP],
            indices: &[u32; GROUP],
            values: &mut ChainingValues,
        ) {
            // SAFETY: the vector's instructions are this function's target features.
            unsafe { wide::chunk_values::<$vector>(chunks, lengths, indices, values) }
        }

        $(#[$attribute])?
        pub(super) fn expand(nodes: RootNodes<'_>, sums: &mut LaneSums) {
            // SAFETY: the vector's instructions are this function's target features.
            unsafe { wide::expand::<$vector>(nodes, sums) }
        }
    };
}

pub(super) use entry_points;
