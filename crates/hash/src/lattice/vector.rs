//! What the kernels differ in: a vector of 32-bit words.

use super::{compress::WORDS, input::Block};

/// `LANES` words of 32 bits in a vector.
///
/// Values come only from the two unsafe functions, so whoever holds one has the CPU for it, and
/// the rest is safe.
pub(super) trait Vector: Copy {
    const LANES: usize;

    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn splat(word: u32) -> Self;

    /// The first `LANES` words.
    ///
    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn load(words: &[u32]) -> Self;

    /// Word `w` of the result holds word `w` of every lane's block; lane `i`'s is
    /// `blocks[i * stride]`.
    ///
    /// # Safety
    /// The CPU has the vector's instructions.
    unsafe fn load_blocks(blocks: &[Block], stride: usize) -> [Self; WORDS];

    /// Stores to the first `LANES` words.
    fn store(self, words: &mut [u32]);

    fn add(self, other: Self) -> Self;

    /// Adds halves of words, each wrapping by itself.
    fn add_halves(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    fn and(self, other: Self) -> Self;

    fn rotate_right_16(self) -> Self;

    fn rotate_right_12(self) -> Self;

    fn rotate_right_8(self) -> Self;

    fn rotate_right_7(self) -> Self;
}
