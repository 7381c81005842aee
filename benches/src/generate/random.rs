//! Numbers that look random and follow from a seed (SplitMix64; Steele, Lea and Flood 2014): the
//! same archive comes out of the same options on every machine.

/// The step between two states: the odd number next to 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes all bits of a number into all bits of another one; no two numbers give the same.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A generator.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// One generator for each combination of numbers.
    pub(super) fn new(numbers: [u64; 3]) -> Self {
        let state = numbers
            .iter()
            .fold(STEP, |state, number| mix(state.wrapping_add(mix(number.wrapping_add(STEP)))));
        Self { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number below `limit`, which is not zero.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(limit);
        u64::try_from(product >> 64).expect("the high half of a product of two u64")
    }

    /// Whether something with so many chances in a million happens.
    pub(super) fn happens(&mut self, per_million: u64) -> bool {
        self.below(1_000_000) < per_million
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }
}
