//! How a memory limit is shared out among all that grows with the number of records.
//!
//! In sixteenths of the limit:
//!
//! | share | for | lives |
//! |---|---|---|
//! | 3 | key bins of the incremental archive | until keys are settled |
//! | 4 | filter of its keys | until keys are settled |
//! | 3 | key bins of the full archive | until keys are settled |
//! | 1 | stake and vote accounts, and the delegations that manifests state | to the end |
//! | 3 | gathering and sorting bins while keys are settled | while keys are settled |
//! | 2 | what settling found | to the end |
//!
//! What the incremental archive does not need of its seven sixteenths the full one has as well.
//! What is read again after settling has buffers where bins were gathered, and what is sorted then
//! is sorted where the full archive's key bins were.
//!
//! What it does *not* do: count what does not grow with records, such as links and decoders.

use crate::spill::run::write_buffer_bytes;

/// The limit unless one is given, 128 MiB: the keys of a full archive of 2 million accounts fit
/// their share, and the filter of an incremental one of 2.9 million.
pub const MEMORY_BYTES_DEFAULT: u64 = 128 << 20;

/// The least limit that is sensible: buffers still have the size that disks want.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;

const SHARES: usize = 16;
const INCREMENTAL_BINS: usize = 3;
const FILTER: usize = 4;
const FULL_BINS: usize = 3;
const STAKES: usize = 1;
const GATHER: usize = 3;
const FOUND: usize = 2;

const _: () = assert!(INCREMENTAL_BINS + FILTER + FULL_BINS + STAKES + GATHER + FOUND == SHARES);

/// Lists of hashes: of all accounts, and of the slot's own writes.
const LEAF_LISTS: usize = 2;

/// What shares [`STAKES`]: accounts and delegations, of a full and an incremental archive.
const STAKE_LISTS: usize = 4;

/// What is known of the accounts that count: in the full archive's own view, and in the pair's.
const VIEWS: usize = 2;

/// Lists that settling writes.
const FOUND_LISTS: usize = 3;

/// The shares of a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryPlan {
    bytes_max: usize,
    threads: usize,
}

impl MemoryPlan {
    /// Shares `bytes_max` out among so many hash tiles, and as many threads that settle.
    pub(crate) fn new(bytes_max: u64, hash_tiles: usize) -> Self {
        // A limit that is more than the address space is none.
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { bytes_max, threads: hash_tiles.max(1) }
    }

    fn share(&self, sixteenths: usize) -> usize {
        self.bytes_max / SHARES * sixteenths
    }

    /// The limit.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Threads that settle.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// For the key bins of one hash tile, while the incremental archive streams by.
    pub(crate) fn incremental_bins_bytes(&self) -> usize {
        self.share(INCREMENTAL_BINS) / self.threads
    }

    /// For the filter.
    pub(crate) fn filter_bytes(&self) -> usize {
        self.share(FILTER)
    }

    /// For the key bins of one hash tile, while the full archive streams by; `bytes_held` is what
    /// the incremental archive's bins and filter hold by then.
    pub(crate) fn full_bins_bytes(&self, bytes_held: u64) -> usize {
        let bytes_held = usize::try_from(bytes_held).unwrap_or(usize::MAX);
        let both = self.share(INCREMENTAL_BINS + FILTER + FULL_BINS);
        both.saturating_sub(bytes_held).max(self.share(FULL_BINS)) / self.threads
    }

    /// For the stake and vote accounts of one archive that one hash tile comes across.
    pub(crate) fn facts_bytes(&self) -> usize {
        self.share(STAKES) / STAKE_LISTS / self.threads
    }

    /// For the delegations that one archive's manifest states.
    pub(crate) fn delegations_bytes(&self) -> usize {
        self.share(STAKES) / STAKE_LISTS
    }

    /// For those stake and vote accounts that count in one view, once keys are settled.
    pub(crate) fn newest_facts_bytes(&self) -> usize {
        self.share(FULL_BINS) / VIEWS
    }

    fn gather_bytes(&self) -> usize {
        self.share(GATHER) / self.threads
    }

    /// For the buffer through which a thread that settles reads bins.
    pub(crate) fn bin_read_bytes(&self) -> usize {
        write_buffer_bytes(self.gather_bytes())
    }

    /// For sorting a bin, on one thread.
    pub(crate) fn bin_sort_bytes(&self) -> usize {
        self.gather_bytes() - self.bin_read_bytes()
    }

    /// For one list of what one thread found.
    pub(crate) fn found_bytes(&self) -> usize {
        self.share(FOUND) / self.threads / FOUND_LISTS
    }

    /// For each list of hashes that a hash tile makes when an archive is read again, of one archive
    /// of so many: where the key bins were.
    pub(crate) fn leaf_bytes(&self, archives: usize) -> usize {
        self.share(INCREMENTAL_BINS + FILTER + FULL_BINS) / self.threads / archives / LEAF_LISTS
    }

    /// For sorting accounts by owner on one thread, when everything else is done: where bins and
    /// filter were.
    pub(crate) fn owner_sort_bytes(&self) -> usize {
        self.share(INCREMENTAL_BINS + FILTER + FULL_BINS) / self.threads
    }

    /// For each reader of a list that settling found: one list on each hash tile.
    pub(crate) fn reader_bytes(&self) -> usize {
        self.gather_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::run::BUFFER_BYTES_MIN;

    #[test]
    fn all_shares_together_are_within_the_limit() {
        for bytes_max in [1 << 20, MEMORY_BYTES_MIN, MEMORY_BYTES_DEFAULT, 1 << 40] {
            for threads in [1, 2, 3, 64] {
                let plan = MemoryPlan::new(bytes_max, threads);
                let gather = plan.bin_sort_bytes() + plan.bin_read_bytes();
                let settle = threads * (gather + FOUND_LISTS * plan.found_bytes());
                let incremental = threads * plan.incremental_bins_bytes() + plan.filter_bytes();
                let stakes = 2 * (threads * plan.facts_bytes() + plan.delegations_bytes());
                for held in [0, incremental / 2, incremental] {
                    let full = threads * plan.full_bins_bytes(held as u64);
                    assert!((held + full + stakes + settle) as u64 <= bytes_max);
                    assert!(full > 0);
                }
            }
        }
    }

    #[test]
    fn the_least_limit_has_buffers_of_full_size_on_two_tiles() {
        let plan = MemoryPlan::new(MEMORY_BYTES_MIN, 2);
        assert!(plan.found_bytes() >= 10 * BUFFER_BYTES_MIN);
        assert!(plan.bin_read_bytes() >= BUFFER_BYTES_MIN);
    }
}
