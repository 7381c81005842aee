//! Blocks of decompressed bytes that return to their pool when the last reference is dropped.

use std::ops::Deref;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// Bytes of a block: small enough for the second-level cache, large enough that few records
/// straddle two.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// A decompressor's own blocks. Each decompressor has its own pool, so that one working on a later
/// frame can never take the blocks that the frame now due needs.
pub(crate) struct BlockPool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    made: usize,
    blocks_max: usize,
}

impl BlockPool {
    /// A pool of at most `blocks_max` blocks, made when first needed.
    pub(crate) fn new(blocks_max: usize) -> Self {
        // Never more than `blocks_max` buffers exist, so this queue is bounded by them.
        let (home, free) = unbounded();
        Self { free, home, made: 0, blocks_max }
    }

    /// A buffer of [`BLOCK_BYTES`]; waits for one to come back when all are out.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if let Ok(buffer) = self.free.try_recv() {
            return buffer;
        }
        if self.made < self.blocks_max {
            self.made += 1;
            return vec![0; BLOCK_BYTES];
        }
        self.free.recv().expect("the pool itself holds a sender")
    }

    /// Makes a block of the first `bytes` of a buffer of this pool.
    pub(crate) fn block(&self, buffer: Vec<u8>, bytes: usize) -> Block {
        debug_assert!(buffer.len() == BLOCK_BYTES && bytes <= BLOCK_BYTES);
        Block { buffer, bytes, home: self.home.clone() }
    }
}

/// Decompressed bytes.
pub(crate) struct Block {
    buffer: Vec<u8>,
    bytes: usize,
    home: Sender<Vec<u8>>,
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.bytes]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // When the pool is gone the buffer is simply freed.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_is_the_next_one_taken() {
        let mut pool = BlockPool::new(1);
        let mut buffer = pool.take();
        buffer[0] = 42;
        let block = pool.block(buffer, 10);
        assert_eq!((block.len(), block[0]), (10, 42));
        drop(block);
        assert_eq!(pool.take()[0], 42, "recycled, not made anew");
    }
}
