//! The owners of accounts, numbered as they are met.
//!
//! There are few owners for many accounts, so an entry of the key bins has a number in place of 32
//! bytes, and the order of owners is found once for all accounts of one.
//!
//! 1. Each hash tile has an [`OwnerLook`]: the owners that it met last, by hash, so that nearly all
//!    are known without asking anybody.
//! 2. The others are asked for together, once for each batch of records, of the [`Owners`] that all
//!    tiles share.
//!
//! Memory: [`OWNERS_MAX`] owners at most, 40 bytes each, and 4 bytes each on every tile. Anybody
//! can make accounts with owners that nobody else has: owners beyond the bound are all called
//! [`OTHER`], and who wants to know them has to keep them by itself.
//!
//! What it does *not* do: forget owners, or order them.

use std::sync::{Arc, RwLock};

use icecore_types::Pubkey;

use crate::key_hash::KeyHash;

/// Owners that are told apart.
pub(crate) const OWNERS_MAX: usize = 1 << 19;

/// The number of all owners for which there was no room.
pub(crate) const OTHER: u32 = u32::MAX;

/// An owner whose number is not known yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// No entry of the table.
const EMPTY: u32 = u32::MAX;

/// Owners that a tile knows by itself.
const RECENT: usize = 1024;

/// All owners.
#[derive(Debug)]
pub(crate) struct Owners {
    hash: KeyHash,
    owners_max: usize,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    /// Numbers by hash, with linear probing; at least half of it is empty. A power of two.
    table: Vec<u32>,
    owners: Vec<Pubkey>,
}

impl Owners {
    /// Tells so many owners apart.
    pub(crate) fn new(owners_max: usize) -> Self {
        let known = Known { table: vec![EMPTY; 2], owners: Vec::new() };
        Self { hash: KeyHash::new(), owners_max, known: RwLock::new(known) }
    }

    /// All that are told apart, by number.
    pub(crate) fn all(&self) -> Vec<Pubkey> {
        self.known.read().expect("no holder of this lock panics").owners.clone()
    }

    /// Gives numbers to owners.
    fn number(&self, asked: &mut [Asked]) {
        let mut unknown = 0;
        {
            let known = self.known.read().expect("no holder of this lock panics");
            for asked in asked.iter_mut() {
                asked.number = known.find(asked);
                unknown += usize::from(asked.number == UNKNOWN);
            }
            if known.owners.len() == self.owners_max {
                asked.iter_mut().for_each(Asked::give_up);
                return;
            }
        }
        if unknown == 0 {
            return;
        }
        let mut known = self.known.write().expect("no holder of this lock panics");
        for asked in asked.iter_mut().filter(|asked| asked.number == UNKNOWN) {
            // Another tile, or the same batch, may have met it in between.
            asked.number = known.find(asked);
            if asked.number == UNKNOWN && known.owners.len() < self.owners_max {
                asked.number = known.insert(asked, &self.hash);
            }
            asked.give_up();
        }
    }
}

impl Known {
    fn place(&self, hash: u64) -> usize {
        // The top bits; the low ones choose the place among recent owners.
        (hash >> (u64::BITS - self.table.len().ilog2())) as usize
    }

    fn find(&self, asked: &Asked) -> u32 {
        let mut place = self.place(asked.hash);
        loop {
            match self.table[place] {
                EMPTY => return UNKNOWN,
                number if self.owners[number as usize] == asked.owner => return number,
                _ => place = (place + 1) & (self.table.len() - 1),
            }
        }
    }

    fn insert(&mut self, asked: &Asked, hash: &KeyHash) -> u32 {
        let number = u32::try_from(self.owners.len()).expect("less than owners_max");
        self.owners.push(asked.owner);
        if self.table.len() < 2 * self.owners.len() {
            self.table = vec![EMPTY; 2 * self.table.len()];
            for (number, owner) in self.owners.iter().enumerate() {
                let place = self.place(hash.of(owner));
                put(&mut self.table, place, number as u32);
            }
        } else {
            let place = self.place(asked.hash);
            put(&mut self.table, place, number);
        }
        number
    }
}

/// Puts a number to the first empty place.
fn put(table: &mut [u32], mut place: usize, number: u32) {
    while table[place] != EMPTY {
        place = (place + 1) & (table.len() - 1);
    }
    table[place] = number;
}

/// An owner whose number is wanted.
#[derive(Debug)]
struct Asked {
    /// Of the record, in its batch.
    record: usize,
    owner: Pubkey,
    hash: u64,
    number: u32,
}

impl Asked {
    fn give_up(&mut self) {
        if self.number == UNKNOWN {
            self.number = OTHER;
        }
    }
}

/// One tile's look at the owners.
#[derive(Debug)]
pub(crate) struct OwnerLook {
    owners: Arc<Owners>,
    recent: Vec<(Pubkey, u32)>,
    asked: Vec<Asked>,
    numbers: Vec<u32>,
    /// Records of each owner that has a number.
    counts: Vec<u32>,
}

impl OwnerLook {
    pub(crate) fn new(owners: Arc<Owners>) -> Self {
        let recent = vec![(Pubkey::default(), UNKNOWN); RECENT];
        Self { owners, recent, asked: Vec::new(), numbers: Vec::new(), counts: Vec::new() }
    }

    /// Looks at the owners of a batch's records; their numbers can then be had.
    pub(crate) fn look<'a>(&mut self, owners: impl Iterator<Item = &'a Pubkey>) {
        self.numbers.clear();
        self.asked.clear();
        for (record, owner) in owners.enumerate() {
            let hash = self.owners.hash.of(owner);
            let (recent, number) = &self.recent[hash as usize % RECENT];
            let is_known = *number != UNKNOWN && recent == owner;
            self.numbers.push(if is_known { *number } else { UNKNOWN });
            if !is_known {
                self.asked.push(Asked { record, owner: *owner, hash, number: UNKNOWN });
            }
        }
        if !self.asked.is_empty() {
            self.owners.number(&mut self.asked);
            for Asked { record, owner, hash, number } in &self.asked {
                self.numbers[*record] = *number;
                self.recent[*hash as usize % RECENT] = (*owner, *number);
            }
        }
    }

    /// The number of a record's owner; the record counts as one of that owner.
    pub(crate) fn count(&mut self, record: usize) -> u32 {
        let number = self.numbers[record];
        if number != OTHER {
            let at = number as usize;
            if self.counts.len() <= at {
                self.counts.resize(at + 1, 0);
            }
            self.counts[at] = self.counts[at].saturating_add(1);
        }
        number
    }

    /// Records counted so far, by owner.
    pub(crate) fn counts(&self) -> &[u32] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, thread};

    use super::*;

    fn owner(number: u32) -> Pubkey {
        let mut owner = Pubkey([5; 32]);
        owner.0[28..].copy_from_slice(&number.to_le_bytes());
        owner
    }

    #[test]
    fn every_owner_has_one_number_whichever_tile_asks() {
        let owners = Arc::new(Owners::new(OWNERS_MAX));
        let seen: Vec<BTreeMap<u32, u32>> = thread::scope(|scope| {
            let look = |tile: u32| {
                let mut look = OwnerLook::new(Arc::clone(&owners));
                let mut seen = BTreeMap::new();
                for batch in 0..300u32 {
                    let asked: Vec<_> =
                        (0..100).map(|at| (batch * 37 + at * at + tile) % 5000).collect();
                    let keys: Vec<_> = asked.iter().map(|number| owner(*number)).collect();
                    look.look(keys.iter());
                    for (record, asked) in asked.iter().enumerate() {
                        let number = look.count(record);
                        assert_eq!(*seen.entry(*asked).or_insert(number), number);
                    }
                }
                assert_eq!(look.counts().iter().sum::<u32>(), 30_000);
                seen
            };
            let threads: Vec<_> = (0..3).map(|tile| scope.spawn(move || look(tile))).collect();
            threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
        });
        let all = owners.all();
        for (asked, number) in seen.iter().flatten() {
            assert_eq!(all[*number as usize], owner(*asked));
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn owners_beyond_the_bound_are_others_and_the_first_stay() {
        let owners = Arc::new(Owners::new(10));
        let mut look = OwnerLook::new(Arc::clone(&owners));
        for _ in 0..2 {
            let keys: Vec<_> = (0..3000).map(owner).collect();
            look.look(keys.iter());
            for record in 0..keys.len() {
                let number = look.count(record);
                assert_eq!(number == OTHER, record >= 10, "{record}: {number}");
            }
        }
        assert_eq!(owners.all(), (0..10).map(owner).collect::<Vec<_>>());
        assert_eq!(look.counts(), [2; 10]);
    }
}
