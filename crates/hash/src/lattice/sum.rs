//! The accumulator: sorts accounts into queues, and runs the kernel on whatever is full.

use icecore_types::{AccountRef, LatticeHash};

use super::{
    chunk::ChunkQueue,
    compress::{CHUNK_END, CHUNK_START, ROOT},
    group::{GROUP, INITIAL_VALUES, RootNodes},
    input::{BLOCK_BYTES, CHUNK_BLOCKS, CHUNK_BYTES, FIXED_BYTES, Input},
    kernel::{Engine, Kernel},
    long::Long,
    roots::{RootNode, Roots},
    tree::{CHUNKS_MAX, Trees},
};

/// Blocks of the shortest input.
const BLOCKS_MIN: usize = FIXED_BYTES.div_ceil(BLOCK_BYTES);

/// How accounts went through a [`LatticeSum`] since it was made. An account that waits is in none
/// of the first two yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatticeCounters {
    /// Accounts whose root node was expanded in a group without an empty lane.
    pub full_lanes: u64,
    /// Accounts whose root node was expanded in a group with empty lanes.
    pub partial_lanes: u64,
    /// Accounts of 2 to 16 chunks, whose chunks were hashed in lanes.
    pub several_chunks: u64,
    /// Accounts of more than 16 chunks, which went through the `blake3` crate up to the root node.
    pub many_chunks: u64,
    /// Tombstones, which add nothing.
    pub tombstones: u64,
}

/// The sum of the lattice hashes of the accounts added to it.
///
/// One per thread: it owns some 300 KiB of queues and lane sums. Accounts are copied as they are
/// added, so they need not outlive the call, and batches of any size fill all lanes.
pub struct LatticeSum {
    engine: Engine,
    /// Inputs of one chunk, by number of blocks from [`BLOCKS_MIN`] on.
    one_chunk: Vec<ChunkQueue>,
    trees: Trees,
    long: Long,
    roots: Roots,
}

impl LatticeSum {
    /// The sum of no accounts.
    ///
    /// # Panics
    /// When this CPU cannot run `kernel`, which is then neither from [`Kernel::available`] nor
    /// from [`Kernel::chosen`].
    pub fn new(kernel: Kernel) -> Self {
        let engine = Engine::new(kernel);
        Self {
            engine,
            one_chunk: (BLOCKS_MIN..=CHUNK_BLOCKS).map(ChunkQueue::new).collect(),
            trees: Trees::new(engine),
            long: Long::new(),
            roots: Roots::new(engine),
        }
    }

    /// Adds accounts of any sizes in any order; tombstones add nothing.
    pub fn add(&mut self, accounts: &[AccountRef<'_>]) {
        for account in accounts {
            self.add_one(account);
        }
    }

    #[inline(always)]
    fn add_one(&mut self, account: &AccountRef<'_>) {
        let counters = &mut self.roots.expanded.counters;
        if account.is_tombstone() {
            counters.tombstones += 1;
            return;
        }
        let input = Input::new(account);
        if input.len() <= CHUNK_BYTES {
            let blocks = input.len().div_ceil(BLOCK_BYTES);
            let queue = &mut self.one_chunk[blocks - BLOCKS_MIN];
            queue.push(|blocks| {
                input.copy_to(blocks);
                input.len()
            });
            if queue.is_full() {
                expand_one_chunk(self.engine, queue, blocks - 1, &mut self.roots);
            }
        } else if input.len() <= CHUNKS_MAX * CHUNK_BYTES {
            counters.several_chunks += 1;
            self.trees.add(&input, &mut self.roots);
        } else {
            counters.many_chunks += 1;
            let block = self.long.root_block(&input);
            self.roots.push(&RootNode::parent(&block));
        }
    }

    /// How accounts went through so far.
    pub fn counters(&self) -> &LatticeCounters {
        &self.roots.expanded.counters
    }

    /// The kernel that works here.
    pub fn kernel(&self) -> Kernel {
        self.engine.kernel()
    }

    /// The sum of all accounts added since the last call; begins again from the identity.
    pub fn finish(&mut self) -> LatticeHash {
        self.trees.drain(&mut self.roots);
        for (queue, last) in self.one_chunk.iter_mut().zip(BLOCKS_MIN - 1..) {
            drain_one_chunk(self.engine, queue, last, &mut self.roots);
        }
        self.roots.drain()
    }
}

/// Hashes and expands a full queue of accounts of one chunk, whose last block is `last`.
fn expand_one_chunk(engine: Engine, queue: &mut ChunkQueue, last: usize, roots: &mut Roots) {
    let mut values = INITIAL_VALUES;
    engine.chain(queue.chunks(), last, &mut values);
    roots.expanded.add(RootNodes {
        values: &values,
        chunks: queue.chunks(),
        block: last,
        lengths: &queue.lengths().map(|length| length - (last * BLOCK_BYTES) as u32),
        flags: &[one_chunk_flags(last); GROUP],
        filled: GROUP,
    });
    queue.clear();
}

/// Hashes what waits in a queue of accounts of one chunk, and lets the root nodes wait with those
/// of other queues.
fn drain_one_chunk(engine: Engine, queue: &mut ChunkQueue, last: usize, roots: &mut Roots) {
    if queue.filled() == 0 {
        return;
    }
    let mut values = INITIAL_VALUES;
    engine.chain(queue.chunks(), last, &mut values);
    for lane in 0..queue.filled() {
        roots.push(&RootNode {
            value: values.map(|word| word.0[lane]),
            block: queue.block(lane, last),
            length: queue.lengths()[lane] - (last * BLOCK_BYTES) as u32,
            flags: one_chunk_flags(last),
        });
    }
    queue.clear();
}

/// The flags of the root node of an account of one chunk, whose last block is `last`.
fn one_chunk_flags(last: usize) -> u32 {
    let start = if last == 0 { CHUNK_START } else { 0 };
    start | CHUNK_END | ROOT
}
