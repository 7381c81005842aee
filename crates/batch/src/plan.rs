//! Which storages a new archive has (decisions 0034 and 0039).
//!
//! Each storage of the archives that are read becomes one of the same slot. Packed, small ones that
//! follow each other become one, up to [`PACKED_BYTES_MAX`]; it has the highest of their slots, so
//! that no two have the same and each slot is still below those of an incremental archive on top.
//!
//! Invariants:
//! - The order is that of the archives: accounts are written as they are read.
//! - Storages are numbered from 1 as they come.
//! - Memory is one entry for each storage that is read.

use icecore_archive::manifest::Storage;
use icecore_restore::{StorageTally, Tallies};
use icecore_types::{RECORD_ALIGN, Slot};

use crate::{Error, bank_members::damaged};

/// Up to how many bytes small storages are packed into one: a quarter of a frame of the default size,
/// so that none lies in two frames.
pub const PACKED_BYTES_MAX: u64 = 8 << 20;

/// A storage that is read, as far as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Whether it is the incremental archive's, and its number there.
    pub(crate) from: (bool, u32),
    /// Bytes of its records, nothing behind the last.
    pub(crate) bytes: u64,
    /// The storage that it goes to, counted from 0.
    pub(crate) storage: usize,
}

/// A storage to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) slot: Slot,
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) parts: Vec<Part>,
    pub(crate) storages: Vec<Planned>,
}

impl Plan {
    /// Plans for what was tallied of `archive`, packed or not.
    ///
    /// # Errors
    /// When two storages have one slot: no client loads that.
    pub(crate) fn new(tallies: &Tallies, pack: bool, archive: &str) -> Result<Self, Error> {
        let mut slots: Vec<_> = tallies.storages.iter().map(|storage| storage.slot).collect();
        slots.sort_unstable();
        if let Some(twice) = slots.windows(2).find(|pair| pair[0] == pair[1]) {
            let problem = format!("slot {} has more than one storage", twice[0]);
            return Err(damaged(archive, problem));
        }
        let mut plan = Self::default();
        for tally in &tallies.storages {
            plan.add(tally, pack);
        }
        Ok(plan)
    }

    fn add(&mut self, tally: &StorageTally, pack: bool) {
        let StorageTally { is_incremental, number, slot, bytes } = *tally;
        match self.storages.last_mut().filter(|_| pack) {
            Some(last) if joined(last.bytes, bytes) <= PACKED_BYTES_MAX => {
                last.bytes = joined(last.bytes, bytes);
                last.slot = last.slot.max(slot);
            }
            _ => {
                let id = self.storages.len() as u64 + 1;
                self.storages.push(Planned { slot, id, bytes });
            }
        }
        let storage = self.storages.len() - 1;
        self.parts.push(Part { from: (is_incremental, number), bytes, storage });
    }

    /// The list for the manifest, by slot.
    pub(crate) fn list(&self) -> Vec<(Slot, Storage)> {
        let listed = |storage: &Planned| {
            (storage.slot, Storage { id: storage.id, accounts_current_len: storage.bytes })
        };
        let mut list: Vec<_> = self.storages.iter().map(listed).collect();
        list.sort_unstable_by_key(|(slot, _)| *slot);
        list
    }
}

/// Bytes of records behind others.
fn joined(bytes: u64, more: u64) -> u64 {
    bytes.next_multiple_of(RECORD_ALIGN) + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(storages: &[(Slot, u64)]) -> Tallies {
        let tally = |(number, (slot, bytes)): (usize, &(Slot, u64))| StorageTally {
            is_incremental: *slot > 100,
            number: number as u32,
            slot: *slot,
            bytes: *bytes,
        };
        let storages = storages.iter().enumerate().map(tally).collect();
        Tallies { storages, ..Tallies::default() }
    }

    #[test]
    fn small_storages_become_one_of_the_highest_slot_and_large_ones_stay_alone() {
        let large = PACKED_BYTES_MAX - 100;
        let storages = [(7, 137), (3, 200), (90, large), (4, 136), (101, 1000)];
        let told = tallies(&storages);
        let plan = Plan::new(&told, true, "archive").expect("no slot twice");
        let planned = |slot, id, bytes| Planned { slot, id, bytes };
        // Behind 137 bytes come 7 of padding.
        let expected = [planned(7, 1, 344), planned(90, 2, large), planned(101, 3, 1136)];
        assert_eq!(plan.storages, expected);
        assert_eq!(plan.parts.iter().map(|part| part.storage).collect::<Vec<_>>(), [0, 0, 1, 2, 2]);
        let listed: Vec<_> = plan.list().iter().map(|(slot, listed)| (*slot, listed.id)).collect();
        assert_eq!(listed, [(7, 1), (90, 2), (101, 3)]);

        let plan = Plan::new(&told, false, "archive").expect("no slot twice");
        assert_eq!(plan.storages.len(), storages.len());
        assert!(plan.list().is_sorted_by_key(|(slot, _)| *slot));
    }

    #[test]
    fn a_slot_with_two_storages_is_refused_packed_or_not() {
        for pack in [false, true] {
            let error = Plan::new(&tallies(&[(5, 136), (5, 136)]), pack, "archive");
            let error = error.map(drop).expect_err("no client loads it");
            assert!(error.to_string().contains("slot 5 has more than one storage"), "{error}");
        }
    }
}
