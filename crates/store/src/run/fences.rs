//! Fences: where each page begins, and a tree above them to find the page of a key.
//!
//! A fence block has the fences of consecutive pages of rows (level 0) or of consecutive fence blocks
//! of the level below; all blocks of a level are full but the last, so that places are computed. The
//! uppermost level is one block.
//!
//! ```text
//!  0  checksum  8   see `block.rs`
//!  8  fences    2
//! 10  prefix    1   bytes that all keys of the block begin with, 8 fewer than a key has at most
//! 11  zero      5
//! 16  fences        key (32 or 64), slot (8)
//!     zeros
//! ```
//!
//! What a fence says is told at [`Fence`]. Within a block the eight bytes behind the prefix are a
//! number by which one searches; where they are equal the whole key decides.
//!
//! What it does *not* do: read blocks.

use std::cmp::Ordering;

use icecore_types::Slot;

use super::{
    block::{BLOCK_BYTES, Block, read_ordered, read_u16, read_u64},
    key::{Fence, common_bytes},
    search::{first_not_before, interpolated},
};

const HEADER_BYTES: usize = 16;

/// Bytes of the number by which one searches.
const NUMBER_BYTES: usize = 8;

/// Bytes of a fence.
const fn fence_bytes(order: usize) -> usize {
    order + size_of::<Slot>()
}

/// Fences of a full block.
pub(crate) const fn fences_per_block(order: usize) -> usize {
    (BLOCK_BYTES - HEADER_BYTES) / fence_bytes(order)
}

/// Writes a block of fences, without its checksum.
pub(crate) fn encode<const K: usize>(fences: &[Fence<K>], block: &mut Block) {
    assert!(fences.len() <= fences_per_block(K), "as many as fit");
    block.fill(0);
    let count = u16::try_from(fences.len()).expect("as many as fit");
    block[8..10].copy_from_slice(&count.to_le_bytes());
    if let (Some(first), Some(last)) = (fences.first(), fences.last()) {
        let prefix = common_bytes(&first.key, &last.key).min(K - NUMBER_BYTES);
        block[10] = u8::try_from(prefix).expect("56 at most");
    }
    let places = block[HEADER_BYTES..].chunks_exact_mut(fence_bytes(K));
    for (place, fence) in places.zip(fences) {
        place[..K].copy_from_slice(&fence.key);
        place[K..].copy_from_slice(&fence.slot.to_le_bytes());
    }
}

/// A block of fences that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FenceView<'a, const K: usize> {
    block: &'a Block,
    count: usize,
    prefix: usize,
}

impl<'a, const K: usize> FenceView<'a, K> {
    /// Of a block whose checksum matched and that must have so many fences.
    pub(crate) fn new(block: &'a Block, count: usize) -> Result<Self, &'static str> {
        let prefix = usize::from(block[10]);
        if usize::from(read_u16(block, 8)) != count || prefix > K - NUMBER_BYTES {
            return Err("a block of fences has a shape that cannot be");
        }
        Ok(Self { block, count, prefix })
    }

    fn place(index: usize) -> usize {
        HEADER_BYTES + index * fence_bytes(K)
    }

    fn key(&self, index: usize) -> &'a [u8; K] {
        let at = Self::place(index);
        (&self.block[at..at + K]).try_into().expect("K bytes")
    }

    pub(crate) fn fence(&self, index: usize) -> Fence<K> {
        Fence { key: *self.key(index), slot: read_u64(self.block, Self::place(index) + K) }
    }

    fn number(&self, index: usize) -> u64 {
        read_ordered(self.block, Self::place(index) + self.prefix)
    }

    /// About where a key lies in what a fence leads to, if keys are uniform, of `count` places.
    pub(crate) fn place_behind(&self, index: usize, key: &[u8; K], count: usize) -> usize {
        let end = if index + 1 < self.count { self.number(index + 1) } else { u64::MAX };
        interpolated(read_ordered(key, self.prefix), self.number(index), end, count)
    }

    /// How many fences are at or before a key and slot.
    pub(crate) fn count_at_or_before(&self, key: &[u8; K], slot: Slot) -> usize {
        match key[..self.prefix].cmp(&self.key(0)[..self.prefix]) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.count,
            Ordering::Equal => {}
        }
        let sought = read_ordered(key, self.prefix);
        let guess = interpolated(sought, self.number(0), self.number(self.count - 1), self.count);
        first_not_before(guess, self.count, |index| {
            let number = self.number(index);
            if number != sought {
                return number < sought;
            }
            self.fence(index).is_at_or_before(key, slot)
        })
    }
}
