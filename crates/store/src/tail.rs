//! The versions that no run holds yet: those of unrooted slots, and of slots rooted since the last
//! flush (rule R19).
//!
//! A table from key to versions; each version names the slot that wrote it by a small number, the
//! slot's *index*. A reader brings the set of indexes that it can see ([`Visible`]) and takes the
//! newest of these. Values are not held, only where they lie.
//!
//! Invariants:
//! - Versions are only added. What is not wanted any more goes when a flush makes the next tail out
//!   of the rest; views keep the tail that they began with.
//! - Along a fork slot numbers grow, so the newest version is that of the highest number.
//! - Which shard a key goes to, and where in it, depends on a secret number: keys cannot be chosen to
//!   collide.
//!
//! What it does *not* do: know forks.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{RwLock, RwLockReadGuard},
};

use hashbrown::HashTable;
use icecore_types::{Pubkey, Slot};

use crate::locator::Locator;

/// Parts of the table, so that readers and the writer rarely meet.
const SHARDS: usize = 64;

/// A slot, as versions in the tail name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotIndex(pub(crate) u32);

/// A version in the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailVersion {
    pub(crate) key: Pubkey,
    pub(crate) owner: Pubkey,
    pub(crate) locator: Locator,
    pub(crate) slot: SlotIndex,
    /// Whether the account had another owner before.
    pub(crate) has_previous_owner: bool,
}

/// Memory of a version, about: the table is between 7/16 and 7/8 full.
pub(crate) const VERSION_BYTES: usize = size_of::<TailVersion>() * 3 / 2;

/// The slots that a view sees in the tail, with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visible {
    first: u32,
    /// By index from `first` on: the slot's number and 1, or 0 if it is not seen.
    numbers: Vec<u64>,
}

impl Visible {
    pub(crate) fn of(slots: impl IntoIterator<Item = (SlotIndex, Slot)>) -> Self {
        let slots: Vec<_> = slots.into_iter().collect();
        let Some(first) = slots.iter().map(|(index, _)| index.0).min() else {
            return Self::default();
        };
        let mut visible = Self { first, numbers: Vec::new() };
        for (index, number) in slots {
            let place = (index.0 - first) as usize;
            if visible.numbers.len() <= place {
                visible.numbers.resize(place + 1, 0);
            }
            visible.numbers[place] = number + 1;
        }
        visible
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The number of a slot, if it is seen.
    pub(crate) fn number(&self, slot: SlotIndex) -> Option<Slot> {
        let place = slot.0.checked_sub(self.first)?;
        self.numbers.get(place as usize).and_then(|number| number.checked_sub(1))
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Tail {
    shards: Vec<RwLock<HashTable<TailVersion>>>,
    state: RandomState,
}

impl Default for Tail {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), state: RandomState::new() }
    }
}

impl Tail {
    fn hash(&self, key: &Pubkey) -> u64 {
        self.state.hash_one(key.0)
    }

    fn shard(&self, hash: u64) -> RwLockReadGuard<'_, HashTable<TailVersion>> {
        // The table itself uses the low bits and the seven highest.
        let shard = (hash >> 40) as usize % SHARDS;
        self.shards[shard].read().expect("nobody panics while holding it")
    }

    /// Adds versions.
    pub(crate) fn add(&self, versions: impl IntoIterator<Item = TailVersion>) {
        for version in versions {
            let hash = self.hash(&version.key);
            let shard = &self.shards[(hash >> 40) as usize % SHARDS];
            let mut table = shard.write().expect("nobody panics while holding it");
            table.insert_unique(hash, version, |other| self.hash(&other.key));
        }
    }

    /// The newest version of a key that is seen, with the slot's number.
    pub(crate) fn newest(&self, key: &Pubkey, visible: &Visible) -> Option<(Slot, TailVersion)> {
        if visible.is_empty() {
            return None;
        }
        let hash = self.hash(key);
        let table = self.shard(hash);
        table
            .iter_hash(hash)
            .filter(|version| version.key == *key)
            .filter_map(|version| Some((visible.number(version.slot)?, *version)))
            .max_by_key(|(number, _)| *number)
    }

    /// All versions of a key, in no order.
    pub(crate) fn versions(&self, key: &Pubkey) -> Vec<TailVersion> {
        let hash = self.hash(key);
        let table = self.shard(hash);
        table.iter_hash(hash).filter(|version| version.key == *key).copied().collect()
    }

    /// Calls `visit` for every version, in no order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&TailVersion)) {
        for shard in &self.shards {
            let table = shard.read().expect("nobody panics while holding it");
            table.iter().for_each(&mut visit);
        }
    }

    /// The versions that are seen, the newest of each key, sorted by key.
    pub(crate) fn newest_of_all(
        &self,
        visible: &Visible,
        mut wants: impl FnMut(&TailVersion) -> bool,
    ) -> Vec<(Slot, TailVersion)> {
        let mut found = Vec::new();
        if visible.is_empty() {
            return found;
        }
        self.for_each(|version| {
            if wants(version)
                && let Some(number) = visible.number(version.slot)
            {
                found.push((number, *version));
            }
        });
        found.sort_unstable_by_key(|(number, version)| (version.key, u64::MAX - number));
        found.dedup_by_key(|(_, version)| version.key);
        found
    }

    /// Versions held.
    pub(crate) fn len(&self) -> usize {
        let len = |shard: &RwLock<HashTable<_>>| shard.read().expect("nobody panics").len();
        self.shards.iter().map(len).sum()
    }

    /// A tail of the versions that are wanted.
    pub(crate) fn retained(&self, mut wants: impl FnMut(&TailVersion) -> bool) -> Self {
        let retained = Self::default();
        self.for_each(|version| {
            if wants(version) {
                retained.add([*version]);
            }
        });
        retained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(key: u8, slot: u32) -> TailVersion {
        TailVersion {
            key: Pubkey([key; 32]),
            owner: Pubkey([9; 32]),
            locator: Locator::from_bits(u64::from(slot) << 8),
            slot: SlotIndex(slot),
            has_previous_owner: false,
        }
    }

    #[test]
    fn a_view_takes_the_newest_version_of_the_slots_that_it_sees() {
        let tail = Tail::default();
        tail.add([version(1, 5), version(1, 6), version(1, 7), version(2, 6)]);
        // Index 7 was begun last and has the lower number: another fork.
        let visible = Visible::of([(SlotIndex(5), 100), (SlotIndex(6), 103)]);
        let newest = |key: u8, visible: &Visible| {
            tail.newest(&Pubkey([key; 32]), visible).map(|(number, at)| (number, at.slot.0))
        };
        assert_eq!(newest(1, &visible), Some((103, 6)));
        assert_eq!(newest(1, &Visible::of([(SlotIndex(7), 102)])), Some((102, 7)));
        assert_eq!(newest(2, &Visible::of([(SlotIndex(5), 100)])), None);
        assert_eq!(newest(3, &visible), None);
        assert_eq!(newest(1, &Visible::default()), None);
        let all: Vec<_> = tail
            .newest_of_all(&visible, |_| true)
            .into_iter()
            .map(|(number, at)| (number, at.key.0[0]))
            .collect();
        assert_eq!(all, [(103, 1), (103, 2)]);
        let rest = tail.retained(|version| version.slot.0 == 7);
        assert_eq!((tail.len(), rest.len()), (4, 1));
        assert_eq!(rest.versions(&Pubkey([1; 32])), [version(1, 7)]);
    }
}
