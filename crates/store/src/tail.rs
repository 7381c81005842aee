//! The versions that no run holds yet: those of unrooted slots that were not spilled, and of slots
//! rooted since the last flush (rule R19).
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

use crate::{SlotId, locator::Locator};

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

/// A slot that no run of final slots holds: its versions are in the tail, or in spilled runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unflushed {
    pub(crate) index: SlotIndex,
    pub(crate) id: SlotId,
    pub(crate) number: Slot,
    pub(crate) is_spilled: bool,
}

/// The slots that a view sees in the tail and in spilled runs, with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visible {
    first: u32,
    /// By index from `first` on: the slot's number and 1, or 0 if it is not seen in the tail.
    numbers: Vec<u64>,
    /// Those in spilled runs, sorted.
    spilled: Vec<(SlotId, Slot)>,
}

impl Visible {
    pub(crate) fn of(slots: impl IntoIterator<Item = Unflushed>) -> Self {
        let (spilled, in_tail): (Vec<_>, Vec<_>) =
            slots.into_iter().partition(|slot: &Unflushed| slot.is_spilled);
        let mut spilled: Vec<_> = spilled.iter().map(|slot| (slot.id, slot.number)).collect();
        spilled.sort_unstable();
        let first = in_tail.iter().map(|slot| slot.index.0).min().unwrap_or(0);
        let mut visible = Self { first, numbers: Vec::new(), spilled };
        for slot in in_tail {
            let place = (slot.index.0 - first) as usize;
            if visible.numbers.len() <= place {
                visible.numbers.resize(place + 1, 0);
            }
            visible.numbers[place] = slot.number + 1;
        }
        visible
    }

    /// Whether nothing of the tail is seen.
    fn is_without_tail(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The last of the spilled slots that are seen.
    pub(crate) fn last_spilled(&self) -> Option<SlotId> {
        self.spilled.last().map(|(id, _)| *id)
    }

    /// The number of a spilled slot, if it is seen.
    pub(crate) fn spilled_number(&self, id: SlotId) -> Option<Slot> {
        let place = self.spilled.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.spilled[place].1)
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
        if visible.is_without_tail() {
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
        if visible.is_without_tail() {
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

    fn unflushed(index: u32, number: Slot) -> Unflushed {
        let id = SlotId(u64::from(index) + 1000);
        Unflushed { index: SlotIndex(index), id, number, is_spilled: false }
    }

    #[test]
    fn a_view_takes_the_newest_version_of_the_slots_that_it_sees() {
        let tail = Tail::default();
        tail.add([version(1, 5), version(1, 6), version(1, 7), version(2, 6)]);
        // Index 7 was begun last and has the lower number: another fork.
        let visible = Visible::of([unflushed(5, 100), unflushed(6, 103)]);
        let newest = |key: u8, visible: &Visible| {
            tail.newest(&Pubkey([key; 32]), visible).map(|(number, at)| (number, at.slot.0))
        };
        assert_eq!(newest(1, &visible), Some((103, 6)));
        assert_eq!(newest(1, &Visible::of([unflushed(7, 102)])), Some((102, 7)));
        assert_eq!(newest(2, &Visible::of([unflushed(5, 100)])), None);
        assert_eq!(newest(3, &visible), None);
        assert_eq!(newest(1, &Visible::default()), None);
        let all: Vec<_> = tail
            .newest_of_all(&visible, |_| true)
            .into_iter()
            .map(|(number, at)| (number, at.key.0[0]))
            .collect();
        assert_eq!(all, [(103, 1), (103, 2)]);
        let spilled = Unflushed { is_spilled: true, ..unflushed(6, 103) };
        let visible = Visible::of([unflushed(5, 100), spilled]);
        assert_eq!(newest(1, &visible), Some((100, 5)), "what was spilled is not looked for here");
        assert_eq!(visible.last_spilled(), Some(SlotId(1006)));
        assert_eq!(visible.spilled_number(SlotId(1006)), Some(103));
        assert_eq!(visible.spilled_number(SlotId(1005)), None);
        let rest = tail.retained(|version| version.slot.0 == 7);
        assert_eq!((tail.len(), rest.len()), (4, 1));
        assert_eq!(rest.versions(&Pubkey([1; 32])), [version(1, 7)]);
    }
}
