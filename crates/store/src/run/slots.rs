//! The rooted slots that a run covers, with the sequences of their commits.
//!
//! A block of slots is a checksum, 8 zeros, and up to 255 entries `(slot, sequence)` of 16 bytes, by
//! slot upward; all blocks are full but the last.
//!
//! What it does *not* do: say what the events of these sequences are.

use std::sync::Arc;

use icecore_types::Slot;

use super::{
    Run,
    block::{BLOCK_BYTES, Block, read_u64},
};
use crate::Error;

const HEADER_BYTES: usize = 16;

const ENTRY_BYTES: usize = 16;

/// Entries of a block.
pub(crate) const SLOTS_PER_BLOCK: u64 = ((BLOCK_BYTES - HEADER_BYTES) / ENTRY_BYTES) as u64;

/// A rooted slot, and the event that committed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotCommit {
    /// The slot.
    pub slot: Slot,
    /// The sequence of its commit in the chain.
    pub sequence: u64,
}

/// Fills a block with entries until it is full: true, and the block is to be written.
pub(crate) fn put(block: &mut Block, index: u64, commit: SlotCommit) -> bool {
    let within = index % SLOTS_PER_BLOCK;
    if within == 0 {
        block.fill(0);
    }
    let at = HEADER_BYTES + within as usize * ENTRY_BYTES;
    block[at..at + 8].copy_from_slice(&commit.slot.to_le_bytes());
    block[at + 8..at + 16].copy_from_slice(&commit.sequence.to_le_bytes());
    within + 1 == SLOTS_PER_BLOCK
}

/// The entry with this index among all, in its block.
pub(crate) fn entry(block: &Block, index: u64) -> SlotCommit {
    let at = HEADER_BYTES + (index % SLOTS_PER_BLOCK) as usize * ENTRY_BYTES;
    SlotCommit { slot: read_u64(block, at), sequence: read_u64(block, at + 8) }
}

impl<const K: usize> Run<K> {
    /// How many rooted slots the run names.
    pub fn slots(&self) -> u64 {
        self.counts.slots
    }

    /// The rooted slot with this index, by slot upward.
    ///
    /// # Panics
    /// When there are not so many.
    ///
    /// # Errors
    /// When the run is damaged there.
    pub fn slot(&self, index: u64) -> Result<SlotCommit, Error> {
        assert!(index < self.counts.slots, "an index of a slot");
        let block = self.block(self.layout.first_slots + index / SLOTS_PER_BLOCK)?;
        Ok(entry(block, index))
    }

    /// How many of the run's rooted slots are at or below this one. So the newest of them, if any,
    /// has this less one for its index.
    ///
    /// # Errors
    /// When the run is damaged there.
    pub fn slots_at_or_before(&self, slot: Slot) -> Result<u64, Error> {
        let (mut low, mut high) = (0, self.counts.slots);
        while low < high {
            let middle = low.midpoint(high);
            match self.slot(middle)?.slot <= slot {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }
}

/// The rooted slots of several runs, upward, each once. Of a slot that several name the newest run's
/// entry counts: they are given newest first.
pub fn merged_slots<const K: usize>(
    runs: Vec<Arc<Run<K>>>,
) -> impl Iterator<Item = Result<SlotCommit, Error>> {
    let mut indexes = vec![0; runs.len()];
    std::iter::from_fn(move || next_slot(&runs, &mut indexes).transpose())
}

fn next_slot<const K: usize>(
    runs: &[Arc<Run<K>>],
    indexes: &mut [u64],
) -> Result<Option<SlotCommit>, Error> {
    let mut least: Option<SlotCommit> = None;
    for (run, index) in runs.iter().zip(&*indexes) {
        if *index < run.slots() {
            let commit = run.slot(*index)?;
            if least.is_none_or(|least| commit.slot < least.slot) {
                least = Some(commit);
            }
        }
    }
    if let Some(least) = least {
        for (run, index) in runs.iter().zip(indexes) {
            if *index < run.slots() && run.slot(*index)?.slot == least.slot {
                *index += 1;
            }
        }
    }
    Ok(least)
}
