//! Which account versions stand in which storage of an archive, by arithmetic alone.
//!
//! 1. The archive's accounts are numbered as *entries*. Each storage holds the newest versions of a
//!    range of entries; ranges differ in length up to twenty times.
//! 2. Some entries have an older version, too. It stands in the storage that lies a fixed number of
//!    slots below that of the newest one, so that no storage holds a key twice.
//! 3. Some newest versions are tombstones, some of them above an older version.
//! 4. With [`Keys::Same`](super::content::Keys) one more key stands in every storage.
//! 5. Storages stand in the archive in an order that is not that of their slots.
//!
//! In an incremental archive four entries of five are accounts of the full one, evenly chosen, and
//! every fifth is new.

use std::ops::Range;

use icecore_types::Slot;

use super::{content::Content, random::Random};

/// The number of the newest version in a full archive; an older one has the number below.
pub(super) const NEWEST: u64 = 1;

/// And in an incremental archive.
const NEWEST_ABOVE: u64 = NEWEST + 2;

/// The account that stands in every storage.
pub(super) const HOT: u64 = u64::MAX;

/// Where the ranges of eight storages in a row begin, in thirty-seconds of their sum.
const RANGES: [u64; 8] = [0, 1, 2, 4, 7, 8, 9, 12];

/// What a generator is for, so that no two follow the same numbers.
const OF_TOMBSTONES: u64 = 5;
const OF_DUPLICATES: u64 = 6;

/// In an incremental archive every so many entries there is a new account.
const CREATED_EVERY: u64 = 5;

/// One account version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// The account.
    pub(super) index: u64,
    /// Which version of it.
    pub(super) number: u64,
    pub(super) is_tombstone: bool,
    /// Whether it is the newest of its archive.
    pub(super) is_newest: bool,
}

/// An archive's accounts and storages.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) seed: u64,
    /// The slot of the first storage; the others follow slot by slot.
    pub(super) first_slot: Slot,
    /// The file number of the first storage.
    pub(super) first_id: u64,
    pub(super) storages: u64,
    pub(super) entries: u64,
    /// For an incremental archive: accounts in the full one.
    pub(super) accounts_below: Option<u64>,
    /// Entries of a million with an older version.
    pub(super) duplicates_per_million: u64,
    /// Entries of a million whose newest version is a tombstone.
    pub(super) tombstones_per_million: u64,
    /// Whether one key stands in every storage.
    pub(super) has_hot_key: bool,
}

impl Layer {
    /// The slot of the last storage: the archive's.
    pub(super) fn last_slot(&self) -> Slot {
        self.first_slot + self.storages - 1
    }

    /// The storage that stands at a place of the archive.
    pub(super) fn storage_at(&self, place: u64) -> u64 {
        // A step without a common factor comes by every storage once.
        let step = (self.storages * 5 / 8..)
            .find(|step| common_factor(*step, self.storages) == 1)
            .expect("every number has neighbours without a common factor");
        let stepped = u128::from(place) * u128::from(step) % u128::from(self.storages);
        u64::try_from(stepped).expect("below the number of storages")
    }

    /// Entries whose newest version stands in a storage.
    fn entries_of(&self, storage: u64) -> Range<u64> {
        let weight = |storage: u64| storage / 8 * 32 + RANGES[(storage % 8) as usize];
        let start = |storage| {
            let share = u128::from(self.entries) * u128::from(weight(storage));
            u64::try_from(share / u128::from(weight(self.storages).max(1)))
                .expect("no more than all entries")
        };
        match self.storages {
            storages if storage >= storages => self.entries..self.entries,
            1 => 0..self.entries,
            _ => start(storage)..start(storage + 1),
        }
    }

    /// How many slots lie between an entry's two versions.
    fn apart(&self) -> u64 {
        1 + self.storages / 8
    }

    /// The account of an entry.
    fn index(&self, entry: u64) -> u64 {
        let Some(accounts_below) = self.accounts_below else { return entry };
        if entry % CREATED_EVERY == CREATED_EVERY - 1 {
            return accounts_below + entry / CREATED_EVERY;
        }
        let updated = self.entries - self.entries / CREATED_EVERY;
        (entry - entry / CREATED_EVERY) * (accounts_below / updated)
    }

    fn newest_number(&self) -> u64 {
        if self.accounts_below.is_some() { NEWEST_ABOVE } else { NEWEST }
    }

    fn version(&self, index: u64, is_newest: bool, content: &Content) -> Version {
        let number = self.newest_number();
        let is_tombstone = is_newest
            && !content.is_cached(index)
            && Random::new([self.seed ^ OF_TOMBSTONES, index, number])
                .happens(self.tombstones_per_million);
        let number = if is_newest { number } else { number - 1 };
        Version { index, number, is_tombstone, is_newest }
    }

    /// The newest version in this full archive of an account that an archive above brings again.
    pub(super) fn newest(&self, index: u64, content: &Content) -> Version {
        match index {
            HOT => self.hot(self.storages - 1),
            _ => self.version(index, true, content),
        }
    }

    fn hot(&self, storage: u64) -> Version {
        // Even and odd numbers tell newest versions of cached accounts from older ones; this is
        // none of them.
        let number = 2 * (self.first_slot + storage);
        let is_newest = storage == self.storages - 1;
        Version { index: HOT, number, is_tombstone: false, is_newest }
    }

    /// Gives the versions in a storage, in its order.
    pub(super) fn versions(&self, storage: u64, content: &Content, mut visit: impl FnMut(Version)) {
        for entry in self.entries_of(storage) {
            visit(self.version(self.index(entry), true, content));
        }
        // The first storages cannot hold newest versions of entries that have older ones; the
        // others have the more.
        let able = self.storages.saturating_sub(self.apart()).max(1);
        let per_million = self.duplicates_per_million * self.storages / able;
        for entry in self.entries_of(storage + self.apart()) {
            let index = self.index(entry);
            if Random::new([self.seed ^ OF_DUPLICATES, index, self.newest_number()])
                .happens(per_million)
            {
                visit(self.version(index, false, content));
            }
        }
        if self.has_hot_key {
            visit(self.hot(storage));
        }
    }
}

fn common_factor(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { common_factor(right, left % right) }
}
