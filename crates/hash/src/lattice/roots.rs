//! Root nodes of any kind: they wait for their group to fill, and are expanded into the sums.

use icecore_types::LatticeHash;

use super::{
    chunk::ChunkQueue,
    compress::{INITIAL, PARENT, ROOT},
    group::{ChainingValues, GROUP, INITIAL_VALUES, LaneSums, RootNodes},
    input::{BLOCK_BYTES, Block},
    kernel::Engine,
    sum::LatticeCounters,
};

/// A root node by itself.
pub(super) struct RootNode<'a> {
    /// Chaining value before the block.
    pub(super) value: [u32; 8],
    pub(super) block: &'a Block,
    /// Bytes in the block.
    pub(super) length: u32,
    /// Domain flags, with [`ROOT`].
    pub(super) flags: u32,
}

impl<'a> RootNode<'a> {
    /// The root node of more than one chunk: the parent of the two halves of the tree.
    pub(super) fn parent(block: &'a Block) -> Self {
        Self { value: INITIAL, block, length: BLOCK_BYTES as u32, flags: PARENT | ROOT }
    }
}

/// The sums, and the root nodes that are not in them yet.
pub(super) struct Roots {
    /// What is in the sums: groups that are complete elsewhere go there at once.
    pub(super) expanded: Expanded,
    values: ChainingValues,
    nodes: ChunkQueue,
    flags: [u32; GROUP],
}

/// The sums, and how accounts got there.
pub(super) struct Expanded {
    engine: Engine,
    sums: LaneSums,
    pub(super) counters: LatticeCounters,
}

impl Expanded {
    /// Expands a group into the sums.
    pub(super) fn add(&mut self, nodes: RootNodes<'_>) {
        self.engine.expand(nodes, &mut self.sums);
        match nodes.filled {
            GROUP => self.counters.full_lanes += GROUP as u64,
            filled => self.counters.partial_lanes += filled as u64,
        }
    }
}

impl Roots {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            expanded: Expanded {
                engine,
                sums: LaneSums::new(engine.kernel().lanes()),
                counters: LatticeCounters::default(),
            },
            values: INITIAL_VALUES,
            nodes: ChunkQueue::new(1),
            flags: [0; GROUP],
        }
    }

    /// Adds one root node.
    pub(super) fn push(&mut self, node: &RootNode<'_>) {
        let lane = self.nodes.push(|blocks| {
            blocks[0] = *node.block;
            node.length as usize
        });
        for (word, value) in self.values.iter_mut().zip(node.value) {
            word.0[lane] = value;
        }
        self.flags[lane] = node.flags;
        if self.nodes.is_full() {
            self.expand_waiting();
        }
    }

    fn expand_waiting(&mut self) {
        self.expanded.add(RootNodes {
            values: &self.values,
            chunks: self.nodes.chunks(),
            block: 0,
            lengths: self.nodes.lengths(),
            flags: &self.flags,
            filled: self.nodes.filled(),
        });
        self.nodes.clear();
    }

    /// Expands what waits; the sum of everything since the last call.
    pub(super) fn drain(&mut self) -> LatticeHash {
        self.expand_waiting();
        let mut hash = LatticeHash::default();
        self.expanded.sums.drain_into(&mut hash.lanes);
        hash
    }
}
