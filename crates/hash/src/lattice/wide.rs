//! The three things that kernels do with a group: hash chunks that begin an account, hash chunks
//! anywhere in an account, and expand root nodes into the sums.
//!
//! The functions are generic and inlined into the kernels' entry points ([`entry_points`]), where
//! the target features are on. Nothing here may stay a function of its own, closures included: it
//! would be compiled without the features.

use std::hint::black_box;

use super::{
    compress::{CHUNK_END, CHUNK_START, WORDS, rounds},
    group::{ChainingValues, Chunks, GROUP, INITIAL_VALUES, LaneSums, Lanes, RootNodes},
    input::BLOCK_BYTES,
    vector::Vector,
};

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
/// the chunks' bytes (a lane that is not in use gets a value without meaning), `indices` their places in
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

/// Makes the compiler align the frame that this is inlined into. It does not do so for the vectors
/// that it spills later on: with AVX2 those then straddle cache lines and pages, which halves the
/// speed in the runs that are unlucky with the position of their stack.
#[inline(always)]
pub(super) fn align_frame() {
    black_box(&mut Lanes([0; GROUP]));
}

/// Compiles the functions above for one vector, with its target features on.
macro_rules! entry_points {
    ($vector:ty, $(#[$attribute:meta])?) => {
        $(#[$attribute])?
        pub(super) fn chain(chunks: Chunks<'_>, blocks: usize, values: &mut ChainingValues) {
            wide::align_frame();
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
            wide::align_frame();
            // SAFETY: the vector's instructions are this function's target features.
            unsafe { wide::chunk_values::<$vector>(chunks, lengths, indices, values) }
        }

        $(#[$attribute])?
        pub(super) fn expand(nodes: RootNodes<'_>, sums: &mut LaneSums) {
            wide::align_frame();
            // SAFETY: the vector's instructions are this function's target features.
            unsafe { wide::expand::<$vector>(nodes, sums) }
        }
    };
}

pub(super) use entry_points;
