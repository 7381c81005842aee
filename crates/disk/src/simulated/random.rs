//! Numbers that a seed decides (SplitMix64, Steele, Lea and Flood 2014).

/// A generator; its clone goes on the same way.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`; the tiny excess of small numbers does not matter here.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "a range with something in it");
        self.number() % end
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Some of so many things: from none of them, over a part, to all of them.
    pub(super) fn some_of(&mut self, count: usize) -> Vec<bool> {
        // With even odds alone, "all" and "none" of many would never be seen.
        let quarters = self.below(5);
        (0..count).map(|_| self.below(4) < quarters).collect()
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
    }
}
