//! The portable vector: one lane, in plain integers.
//!
//! Arrays of several lanes were measured too: the compiler does not put them into vectors, and
//! runs out of registers.

use super::{
    group::{ChainingValues, Chunks, GROUP, LaneSums, RootNodes},
    input::Block,
    vector::Vector,
    wide::{self, entry_points},
};

/// Lanes of the vector.
pub(super) const LANES: usize = 1;

/// One word.
#[derive(Clone, Copy)]
struct Portable(u32);

entry_points!(Portable,);

impl Vector for Portable {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self(word)
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        Self(words[0])
    }

    #[inline(always)]
    unsafe fn load_blocks(blocks: &[Block], _stride: usize) -> [Self; 16] {
        let mut words = [Self(0); 16];
        for (word, bytes) in words.iter_mut().zip(blocks[0].0.as_chunks::<4>().0) {
            *word = Self(u32::from_le_bytes(*bytes));
        }
        words
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        words[0] = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    #[inline(always)]
    fn add_halves(self, other: Self) -> Self {
        let low = (self.0 as u16).wrapping_add(other.0 as u16);
        let high = ((self.0 >> 16) as u16).wrapping_add((other.0 >> 16) as u16);
        Self(u32::from(low) | u32::from(high) << 16)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[inline(always)]
    fn rotate_right_16(self) -> Self {
        Self(self.0.rotate_right(16))
    }

    #[inline(always)]
    fn rotate_right_12(self) -> Self {
        Self(self.0.rotate_right(12))
    }

    #[inline(always)]
    fn rotate_right_8(self) -> Self {
        Self(self.0.rotate_right(8))
    }

    #[inline(always)]
    fn rotate_right_7(self) -> Self {
        Self(self.0.rotate_right(7))
    }
}
