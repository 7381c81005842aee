//! An account as BLAKE3 input, and the blocks into which it is copied.

use icecore_types::AccountRef;

/// Bytes of an account's input besides its data.
pub(super) const FIXED_BYTES: usize = 8 + 1 + 32 + 32;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;

/// Blocks of a whole chunk.
pub(super) const CHUNK_BLOCKS: usize = 16;

/// Bytes of a whole chunk.
pub(super) const CHUNK_BYTES: usize = BLOCK_BYTES * CHUNK_BLOCKS;

/// A block in a cache line of its own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u8; BLOCK_BYTES]);

impl Block {
    pub(super) const ZERO: Self = Self([0; BLOCK_BYTES]);
}

/// The blocks' bytes, back to back.
pub(super) fn bytes_of(blocks: &mut [Block]) -> &mut [u8] {
    let length = size_of_val(blocks);
    // SAFETY: Block is repr(C) with 64 bytes of u8 and an alignment of 64, so it has no padding and
    // every bit pattern is valid; the slice covers exactly the blocks, borrowed mutably as they.
    unsafe { std::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), length) }
}

/// The input of one account: three pieces, of which only the data is not copied.
pub(super) struct Input<'a> {
    head: [u8; 8],
    data: &'a [u8],
    tail: [u8; FIXED_BYTES - 8],
}

impl<'a> Input<'a> {
    #[inline(always)]
    pub(super) fn new(account: &AccountRef<'a>) -> Self {
        let mut tail = [0; FIXED_BYTES - 8];
        tail[0] = u8::from(account.executable);
        tail[1..33].copy_from_slice(account.owner.as_bytes());
        tail[33..].copy_from_slice(account.pubkey.as_bytes());
        Self { head: account.lamports.to_le_bytes(), data: account.data, tail }
    }

    /// Bytes of the whole input.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        FIXED_BYTES + self.data.len()
    }

    /// Copies the whole input to the start of `blocks`, which are as many as it needs, and fills
    /// the last one up with zeros.
    #[inline(always)]
    pub(super) fn copy_to(&self, blocks: &mut [Block]) {
        let bytes = bytes_of(blocks);
        let (head, rest) = bytes.split_at_mut(8);
        let (data, rest) = rest.split_at_mut(self.data.len());
        let (tail, padding) = rest.split_at_mut(self.tail.len());
        head.copy_from_slice(&self.head);
        data.copy_from_slice(self.data);
        tail.copy_from_slice(&self.tail);
        padding.fill(0);
    }

    /// Copies what the input has from `start` on to `blocks`, until they are full or it ends, and
    /// fills the rest with zeros; the number of bytes copied.
    pub(super) fn copy_range_to(&self, start: usize, blocks: &mut [Block]) -> usize {
        let bytes = bytes_of(blocks);
        let mut copied = 0;
        for piece in self.range(start, start + bytes.len()) {
            bytes[copied..][..piece.len()].copy_from_slice(piece);
            copied += piece.len();
        }
        bytes[copied..].fill(0);
        copied
    }

    /// The pieces of the input from byte `start` up to byte `end` or the input's end.
    pub(super) fn range(&self, start: usize, end: usize) -> impl Iterator<Item = &[u8]> {
        let mut piece_start = 0;
        [&self.head[..], self.data, &self.tail[..]].into_iter().map(move |piece| {
            let from = start.saturating_sub(piece_start).min(piece.len());
            let to = end.saturating_sub(piece_start).min(piece.len());
            piece_start += piece.len();
            &piece[from..to.max(from)]
        })
    }
}
