//! Where chunks wait until there are enough of them to fill all lanes.

use super::{
    group::{Chunks, GROUP},
    input::Block,
};

/// Up to [`GROUP`] chunks of at most a fixed number of blocks, lane after lane.
pub(super) struct ChunkQueue {
    blocks: Box<[Block]>,
    blocks_per_lane: usize,
    /// Bytes in each lane's chunk.
    lengths: [u32; GROUP],
    filled: usize,
}

impl ChunkQueue {
    pub(super) fn new(blocks_per_lane: usize) -> Self {
        Self {
            blocks: vec![Block::ZERO; GROUP * blocks_per_lane].into(),
            blocks_per_lane,
            lengths: [0; GROUP],
            filled: 0,
        }
    }

    /// Copies a chunk to the next lane: `copy` writes all of the lane's blocks and returns the
    /// chunk's bytes. Returns the lane. The queue is not full.
    #[inline(always)]
    pub(super) fn push(&mut self, copy: impl FnOnce(&mut [Block]) -> usize) -> usize {
        let lane = self.filled;
        let first = lane * self.blocks_per_lane;
        self.lengths[lane] = copy(&mut self.blocks[first..][..self.blocks_per_lane]) as u32;
        self.filled += 1;
        lane
    }

    /// Lanes in use.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == GROUP
    }

    pub(super) fn chunks(&self) -> Chunks<'_> {
        Chunks { blocks: &self.blocks, blocks_per_lane: self.blocks_per_lane }
    }

    /// Block `block` of `lane`.
    pub(super) fn block(&self, lane: usize, block: usize) -> &Block {
        &self.blocks[lane * self.blocks_per_lane + block]
    }

    /// Bytes by lane; without meaning in lanes that are not in use.
    pub(super) fn lengths(&self) -> &[u32; GROUP] {
        &self.lengths
    }

    /// Empties the queue.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }
}
