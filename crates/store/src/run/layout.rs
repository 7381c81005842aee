//! Where the parts of a run lie: computed from what its footer counts.
//!
//! Blocks: the header, pages of rows, fences level by level, slots, the filter, the footer.
//!
//! What it does *not* do: check what the parts hold.

use super::{fences::fences_per_block, filter::BUCKETS_PER_BLOCK, slots::SLOTS_PER_BLOCK};

/// Levels of fences, at most: with 56 in a block they lead to 2^40 pages.
const LEVELS_MAX: usize = 7;

/// Blocks of a run, at most: 2^40, which is 4 PiB. Whatever states more is damaged.
pub(crate) const BLOCKS_MAX: u64 = 1 << 40;

/// What a footer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    /// Keys that differ.
    pub(crate) keys: u64,
    pub(crate) pages: u64,
    pub(crate) slots: u64,
    /// Buckets of the filter, 0 for none.
    pub(crate) buckets: u64,
}

/// A level of fences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) first_block: u64,
    pub(crate) fences: u64,
}

/// Numbers of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// From the one with a fence for each page up to the one of one block.
    pub(crate) levels: Vec<Level>,
    pub(crate) first_slots: u64,
    pub(crate) first_filter: u64,
    pub(crate) footer: u64,
}

/// The first page lies behind the header.
pub(crate) const FIRST_PAGE: u64 = 1;

impl Layout {
    /// `None` when there is no file as large as these counts say.
    pub(crate) fn of(order: usize, counts: &Counts) -> Option<Self> {
        let largest = counts.pages.max(counts.slots).max(counts.buckets);
        if largest > BLOCKS_MAX {
            return None;
        }
        let per_block = fences_per_block(order) as u64;
        let (mut levels, mut at) = (Vec::with_capacity(LEVELS_MAX), FIRST_PAGE + counts.pages);
        let mut fences = counts.pages;
        while fences > 0 {
            levels.push(Level { first_block: at, fences });
            let blocks = fences.div_ceil(per_block);
            at += blocks;
            fences = if blocks > 1 { blocks } else { 0 };
        }
        let first_slots = at;
        let first_filter = first_slots + counts.slots.div_ceil(SLOTS_PER_BLOCK);
        let footer = first_filter + counts.buckets.div_ceil(BUCKETS_PER_BLOCK);
        Some(Self { levels, first_slots, first_filter, footer })
    }

    /// Blocks of the file.
    pub(crate) fn blocks(&self) -> u64 {
        self.footer + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_fences_end_with_one_block() {
        let counts = |pages| Counts { rows: 0, keys: 0, pages, slots: 256, buckets: 64 };
        let layout = Layout::of(32, &counts(0)).expect("small");
        assert_eq!((layout.levels.len(), layout.first_slots, layout.blocks()), (0, 1, 6));
        let layout = Layout::of(32, &counts(102)).expect("small");
        assert_eq!(layout.levels, [Level { first_block: 103, fences: 102 }]);
        let layout = Layout::of(32, &counts(103)).expect("small");
        let expected =
            [Level { first_block: 104, fences: 103 }, Level { first_block: 106, fences: 2 }];
        assert_eq!((&layout.levels[..], layout.first_slots), (&expected[..], 107));
        assert!(Layout::of(64, &counts(BLOCKS_MAX)).expect("largest").levels.len() <= LEVELS_MAX);
        assert_eq!(Layout::of(64, &counts(BLOCKS_MAX + 1)), None);
    }
}
