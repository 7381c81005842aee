//! The index of one scan: (pubkey, place) of every record, 40 bytes each, in bins by the first byte
//! of the key.
//!
//! It is built without order while records stream by and settled bin by bin afterwards. It grows in
//! chunks, so that it never holds much more than what it counts; every chunk is charged to a
//! [`Budget`] before it is made.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use hashbrown::HashTable;
use icecore_types::Pubkey;

use crate::{Error, pipeline::batch::Place};

/// One record's key and place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Pubkey,
    pub(crate) place: Place,
}

/// Bytes that the index takes for a record.
pub const INDEX_BYTES_PER_RECORD: u64 = size_of::<Entry>() as u64;

const _: () = assert!(INDEX_BYTES_PER_RECORD == 40);

/// Bins, by the first byte of the key.
pub(crate) const BINS: usize = 256;

/// Entries of a chunk: 10 KiB.
const CHUNK_ENTRIES: usize = 256;

/// What all indexes of a run may take together.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: AtomicU64::new(0) }
    }

    fn charge(&self, bytes: u64) -> Result<(), Error> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let needed = before.saturating_add(bytes);
        if needed > self.bytes_max {
            let records = before / INDEX_BYTES_PER_RECORD;
            return Err(Error::Memory { records, needed, limit: self.bytes_max });
        }
        Ok(())
    }
}

/// One worker's part of the index.
pub(crate) struct Index {
    bins: Vec<Vec<Vec<Entry>>>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { bins: (0..BINS).map(|_| Vec::new()).collect() }
    }

    pub(crate) fn push(&mut self, entry: Entry, budget: &Budget) -> Result<(), Error> {
        let bin = &mut self.bins[usize::from(entry.key.0[0])];
        match bin.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ENTRIES => chunk.push(entry),
            _ => {
                budget.charge(CHUNK_ENTRIES as u64 * INDEX_BYTES_PER_RECORD)?;
                let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
                chunk.push(entry);
                bin.push(chunk);
            }
        }
        Ok(())
    }
}

/// The parts of all workers, to be taken bin by bin.
pub(crate) fn take_bin(parts: &mut [Index], bin: usize) -> Vec<Vec<Entry>> {
    parts.iter_mut().flat_map(|part| std::mem::take(&mut part.bins[bin])).collect()
}

/// All keys of the incremental archive: sorted, and to be looked up while the full one streams by.
pub(crate) struct KeySet {
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl KeySet {
    pub(crate) fn new(mut parts: Vec<Index>) -> Self {
        let mut entries = Vec::new();
        for bin in 0..BINS {
            let start = entries.len();
            for chunk in take_bin(&mut parts, bin) {
                entries.extend_from_slice(&chunk);
            }
            entries[start..].sort_unstable_by_key(|entry: &Entry| (entry.key, entry.place));
        }
        // Seeded by the system, so that nobody can choose keys that collide.
        let hasher = RandomState::new();
        let mut table = HashTable::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            if number > 0 && entries[number - 1].key == entry.key {
                continue;
            }
            let number = u32::try_from(number).expect("an incremental archive has fewer records");
            table.insert_unique(hasher.hash_one(entry.key), number, |number| {
                hasher.hash_one(entries[*number as usize].key)
            });
        }
        Self { entries, table, hasher }
    }

    pub(crate) fn contains(&self, key: &Pubkey) -> bool {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |number| self.entries[*number as usize].key == *key).is_some()
    }

    /// The entries of a bin, sorted by key and place.
    pub(crate) fn bin(&self, bin: usize) -> &[Entry] {
        let start = self.entries.partition_point(|entry| usize::from(entry.key.0[0]) < bin);
        let end = self.entries.partition_point(|entry| usize::from(entry.key.0[0]) <= bin);
        &self.entries[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: u8, last: u8, record: u32) -> Entry {
        let mut key = Pubkey([0; 32]);
        key.0[0] = first;
        key.0[31] = last;
        Entry { key, place: Place::new(true, 0, record) }
    }

    #[test]
    fn keys_with_one_long_common_prefix_are_told_apart() {
        let budget = Budget::new(u64::MAX);
        let mut parts = vec![Index::new(), Index::new()];
        for last in 0..200u8 {
            let part = usize::from(last % 2);
            parts[part].push(entry(7, last, u32::from(last)), &budget).expect("unbounded");
        }
        let keys = KeySet::new(parts);
        assert_eq!(keys.bin(7).len(), 200);
        assert!(keys.bin(7).is_sorted_by_key(|entry| entry.key));
        assert!(keys.bin(6).is_empty() && keys.bin(8).is_empty());
        assert!(keys.contains(&entry(7, 199, 0).key));
        assert!(!keys.contains(&entry(7, 200, 0).key));
    }

    #[test]
    fn the_budget_is_charged_before_memory_is_taken() {
        let budget = Budget::new(CHUNK_ENTRIES as u64 * INDEX_BYTES_PER_RECORD);
        let mut index = Index::new();
        for record in 0..CHUNK_ENTRIES as u32 {
            index.push(entry(1, 0, record), &budget).expect("within the first chunk");
        }
        let error = index.push(entry(1, 0, 0), &budget).expect_err("the second chunk");
        assert!(
            error.to_string().contains("the index of 256 records needs 20480 bytes"),
            "{error}"
        );
    }
}
