//! Accounts of more than 16 chunks: the `blake3` crate hashes both halves of the tree in its own
//! lanes.
//!
//! The crate is fast where whole subtrees come in one piece at a multiple of their size, but the
//! data of an account begins at byte 8 of the input. So the first bytes are copied together, and
//! from there on the data is passed on as it lies: it then begins at a multiple of the copy's size.

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, left_subtree_len},
};

use super::{
    input::{BLOCK_BYTES, Block, Input, bytes_of},
    tree::parent_block,
};

/// Bytes that are copied together.
const COPIED_BYTES: usize = 64 * 1024;

/// The room for the copy.
pub(super) struct Long {
    copied: Box<[Block]>,
}

impl Long {
    pub(super) fn new() -> Self {
        Self { copied: vec![Block::ZERO; COPIED_BYTES / BLOCK_BYTES].into() }
    }

    /// The block of the root node of an input of more than one chunk.
    pub(super) fn root_block(&mut self, input: &Input<'_>) -> Block {
        let copied = input.copy_range_to(0, &mut self.copied);
        let copied = &bytes_of(&mut self.copied)[..copied];
        let left_bytes = left_subtree_len(input.len() as u64) as usize;
        let left = subtree(input, copied, 0, left_bytes);
        let right = subtree(input, copied, left_bytes, input.len());
        parent_block(&left, &right)
    }
}

/// The chaining value of the input's bytes from `start` to `end`, one child of the root; `copied`
/// is how the input begins.
fn subtree(input: &Input<'_>, copied: &[u8], start: usize, end: usize) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start as u64);
    let from_copy = start.min(copied.len())..end.min(copied.len());
    hasher.update(&copied[from_copy]);
    for piece in input.range(start.max(copied.len()), end) {
        hasher.update(piece);
    }
    hasher.finalize_non_root()
}
