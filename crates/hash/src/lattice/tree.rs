//! Accounts of 2 to 16 chunks: their chunks are hashed side by side with those of other accounts.
//!
//! Whole chunks wait in one queue, the accounts' last chunks, which mostly are shorter, in another;
//! so a lane seldom waits for a longer neighbour. An account takes a seat with room for its
//! chaining values until the last of them is known. Every seated account has a chunk in one of the
//! two queues, so there are never more than twice [`GROUP`] between calls.

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root};

use super::{
    chunk::ChunkQueue,
    group::{ChainingValues, GROUP, INITIAL_VALUES},
    input::{Block, CHUNK_BLOCKS, CHUNK_BYTES, Input},
    kernel::Engine,
    roots::{RootNode, Roots},
};

/// Chunks of the longest account that is hashed this way.
pub(super) const CHUNKS_MAX: usize = 16;

/// Seats: one for each chunk that can wait, and one for the account that is being added.
const SEATS: usize = 2 * GROUP + 1;

/// An account on the way to its root node.
#[derive(Clone, Copy)]
struct Seat {
    values: [ChainingValue; CHUNKS_MAX],
    chunks: usize,
    /// Chunks whose values are not known yet; zero in a free seat.
    missing: usize,
}

/// Chunks that wait, and to whom they belong.
struct Waiting {
    chunks: ChunkQueue,
    seats: [usize; GROUP],
    indices: [u32; GROUP],
}

impl Waiting {
    fn new() -> Self {
        Self { chunks: ChunkQueue::new(CHUNK_BLOCKS), seats: [0; GROUP], indices: [0; GROUP] }
    }
}

/// The two queues and the seats.
pub(super) struct Trees {
    engine: Engine,
    whole: Waiting,
    last: Waiting,
    seats: Box<[Seat; SEATS]>,
}

impl Trees {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            whole: Waiting::new(),
            last: Waiting::new(),
            seats: Box::new([Seat { values: [[0; 32]; CHUNKS_MAX], chunks: 0, missing: 0 }; SEATS]),
        }
    }

    /// Adds an account of 2 to [`CHUNKS_MAX`] chunks; root nodes that are known by now go to
    /// `roots`.
    pub(super) fn add(&mut self, input: &Input<'_>, roots: &mut Roots) {
        let seat =
            self.seats.iter().position(|seat| seat.missing == 0).expect(
                "each of the other seats has a chunk in a queue, and queues are never full",
            );
        let chunks = input.len().div_ceil(CHUNK_BYTES);
        self.seats[seat].chunks = chunks;
        self.seats[seat].missing = chunks;
        for index in 0..chunks {
            let start = index * CHUNK_BYTES;
            let waiting = match input.len() - start {
                ..CHUNK_BYTES => &mut self.last,
                CHUNK_BYTES.. => &mut self.whole,
            };
            let lane = waiting.chunks.push(|blocks| input.copy_range_to(start, blocks));
            waiting.seats[lane] = seat;
            waiting.indices[lane] = index as u32;
            if waiting.chunks.is_full() {
                hash_waiting(self.engine, waiting, &mut self.seats, roots);
            }
        }
    }

    /// Hashes whatever waits.
    pub(super) fn drain(&mut self, roots: &mut Roots) {
        for waiting in [&mut self.whole, &mut self.last] {
            hash_waiting(self.engine, waiting, &mut self.seats, roots);
        }
    }
}

/// Hashes the chunks of a queue and empties it.
fn hash_waiting(
    engine: Engine,
    waiting: &mut Waiting,
    seats: &mut [Seat; SEATS],
    roots: &mut Roots,
) {
    let mut values = INITIAL_VALUES;
    engine.chunk_values(
        waiting.chunks.chunks(),
        waiting.chunks.lengths(),
        &waiting.indices,
        &mut values,
    );
    for lane in 0..waiting.chunks.filled() {
        let seat = &mut seats[waiting.seats[lane]];
        seat.values[waiting.indices[lane] as usize] = value_of(&values, lane);
        seat.missing -= 1;
        if seat.missing == 0 {
            let [left, right] = children(&seat.values[..seat.chunks]);
            roots.push(&RootNode::parent(&parent_block(&left, &right)));
        }
    }
    waiting.chunks.clear();
}

/// The chaining value of one lane, as bytes.
fn value_of(values: &ChainingValues, lane: usize) -> ChainingValue {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *four = word.0[lane].to_le_bytes();
    }
    bytes
}

/// The chaining values of the two children of a node over `values`, which are two or more. The left
/// child covers the largest power of two of chunks that leaves one for the right.
fn children(values: &[ChainingValue]) -> [ChainingValue; 2] {
    let left = values.len().next_power_of_two() / 2;
    let (left, right) = values.split_at(left);
    [subtree(left), subtree(right)]
}

/// The chaining value of a node that is not the root.
fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [one] => *one,
        _ => {
            let [left, right] = children(values);
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
    }
}

/// The block of a parent node.
pub(super) fn parent_block(left: &ChainingValue, right: &ChainingValue) -> Block {
    let mut block = Block::ZERO;
    block.0[..32].copy_from_slice(left);
    block.0[32..].copy_from_slice(right);
    block
}
