//! Which keys the incremental archive has, to be asked while the full one streams by.
//!
//! A table of 64-bit fingerprints ([`KeyHash`]), addressed by their top bits, with linear probing.
//!
//! Invariants:
//! - Every key that was put in is found.
//! - A key that was not may be found, too, with a chance of 2^-63 or so for each that was. That is
//!   harmless: settling asks the same filter, and corrects what was summed elsewhere.
//! - A table that would be larger than its bound is not made at all. Then no key counts as found,
//!   and corrections put that right, too.
//!
//! What it does *not* do: forget keys, or say where they are.

use icecore_types::Pubkey;

use crate::{
    key_bins::{BINS, KeyBins, Mark},
    key_hash::KeyHash,
    spill::{Held, SpillError, SpillSpace, run::BUFFER_BYTES_MIN},
};

/// Slots for each 10 keys: the table is full to 0.35 (just doubled) up to 0.7.
const SLOTS_PER_10_KEYS: u64 = 14;

/// Keys that are looked up side by side.
const BATCH: usize = 32;

/// A slot without a fingerprint.
const EMPTY: u64 = 0;

/// A set of keys, perhaps with some more.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    /// A power of two.
    table: Vec<u64>,
    /// How far a fingerprint is shifted to give its slot.
    shift: u32,
    hash: KeyHash,
    _held: Held,
}

impl KeyFilter {
    /// Of all keys in `parts`; `None` when the table would need more than `bytes_max`.
    pub(crate) fn build<M: Mark>(
        parts: &[KeyBins<M>],
        bytes_max: usize,
        space: &SpillSpace,
    ) -> Result<Option<Self>, SpillError> {
        let keys: u64 = parts.iter().map(KeyBins::len).sum();
        let slots = keys.saturating_mul(SLOTS_PER_10_KEYS).div_ceil(10).max(2).next_power_of_two();
        let buffer_bytes = BUFFER_BYTES_MIN.min(bytes_max / 8);
        if slots.saturating_mul(size_of::<u64>() as u64) > bytes_max as u64 {
            return Ok(None);
        }
        let slots = usize::try_from(slots).expect("within bytes_max");
        let mut filter = Self {
            table: vec![EMPTY; slots],
            shift: u64::BITS - slots.ilog2(),
            hash: KeyHash::new(),
            _held: space.hold(slots * size_of::<u64>()),
        };
        for bin in 0..BINS {
            for part in parts {
                part.for_each_in_bin(bin, buffer_bytes, |entry| {
                    filter.insert(&entry.key);
                    Ok(())
                })?;
            }
        }
        #[cfg(test)]
        tests::insert_false(&mut filter);
        Ok(Some(filter))
    }

    fn slot(&self, fingerprint: u64) -> usize {
        (fingerprint >> self.shift) as usize
    }

    fn insert(&mut self, key: &Pubkey) {
        let fingerprint = self.hash.of(key);
        let mut slot = self.slot(fingerprint);
        // Some slots are always empty.
        while self.table[slot] != EMPTY && self.table[slot] != fingerprint {
            slot = (slot + 1) & (self.table.len() - 1);
        }
        self.table[slot] = fingerprint;
    }

    /// Whether the slot or one behind it has the fingerprint; `found` is what the slot has.
    fn probe(&self, fingerprint: u64, mut found: u64) -> bool {
        let mut slot = self.slot(fingerprint);
        while found != EMPTY && found != fingerprint {
            slot = (slot + 1) & (self.table.len() - 1);
            found = self.table[slot];
        }
        found == fingerprint
    }

    /// Whether the key was put in; see the head for keys that were not.
    pub(crate) fn contains(&self, key: &Pubkey) -> bool {
        let fingerprint = self.hash.of(key);
        self.probe(fingerprint, self.table[self.slot(fingerprint)])
    }

    /// Asks for many keys and adds the answers to `found`, in their order. First all slots are
    /// computed, then all are read, so that the processor waits for many at once.
    pub(crate) fn contains_each<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Pubkey>,
        found: &mut Vec<bool>,
    ) {
        let mut keys = keys.into_iter();
        let mut fingerprints = [0; BATCH];
        let mut slots = [0; BATCH];
        loop {
            let mut count = 0;
            for (fingerprint, key) in fingerprints.iter_mut().zip(keys.by_ref().take(BATCH)) {
                *fingerprint = self.hash.of(key);
                count += 1;
            }
            for (slot, fingerprint) in slots[..count].iter_mut().zip(&fingerprints) {
                *slot = self.table[self.slot(*fingerprint)];
            }
            let pairs = fingerprints[..count].iter().zip(&slots);
            found.extend(pairs.map(|(fingerprint, slot)| self.probe(*fingerprint, *slot)));
            if count < BATCH {
                return;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::{key_bins::Entry, pass::batch::Place};

    thread_local! {
        /// Keys that every filter made on this thread has.
        static FALSE_KEYS: RefCell<Vec<Pubkey>> = const { RefCell::new(Vec::new()) };
    }

    /// Lets filters have these keys although nobody put them in.
    pub(crate) fn set_false_keys(keys: Vec<Pubkey>) {
        FALSE_KEYS.set(keys);
    }

    pub(super) fn insert_false(filter: &mut KeyFilter) {
        FALSE_KEYS.with_borrow(|keys| {
            let keys: Vec<_> = keys.iter().filter(|key| !filter.contains(key)).copied().collect();
            let has_room = keys.is_empty() || keys.len() < filter.table.len() / 4;
            assert!(has_room, "a quarter of the table is empty at least");
            keys.iter().for_each(|key| filter.insert(key));
        });
    }

    /// Keys that differ in few bytes.
    fn key(number: u32) -> Pubkey {
        let mut key = Pubkey([7; 32]);
        key.0[28..].copy_from_slice(&number.to_le_bytes());
        key.0[0] = (number % 5) as u8;
        key
    }

    fn bins(space: &SpillSpace, numbers: impl Iterator<Item = u32>) -> Vec<KeyBins> {
        let mut parts = [0; 2].map(|_| KeyBins::new(4000, space.file()));
        for number in numbers {
            let place = Place::new(true, 0, number);
            parts[number as usize % 2]
                .push(Entry { key: key(number), place, mark: () })
                .expect("pushed");
        }
        parts.into()
    }

    #[test]
    fn every_key_that_was_put_in_is_found_and_hardly_any_other() {
        let space = SpillSpace::new(None);
        for count in [0, 1, 2, 31, 32, 33, 10_000] {
            let parts = bins(&space, (0..count).chain(0..count / 2));
            let filter = KeyFilter::build(&parts, 1 << 20, &space).expect("read").expect("fits");
            assert!((0..count).all(|number| filter.contains(&key(number))));
            assert!((count..count + 10_000).all(|number| !filter.contains(&key(number))));
            let asked: Vec<_> = (0..2 * count).map(key).collect();
            let mut found = Vec::new();
            filter.contains_each(&asked, &mut found);
            assert_eq!(found, (0..2 * count).map(|number| number < count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_table_of_any_size_has_an_empty_slot() {
        let space = SpillSpace::new(None);
        for count in 0..40 {
            let parts = bins(&space, 0..count);
            let filter = KeyFilter::build(&parts, 1 << 20, &space).expect("read").expect("fits");
            assert!(filter.table.contains(&EMPTY), "{count} keys");
            assert!(!filter.contains(&key(count)));
        }
    }

    #[test]
    fn a_table_beyond_its_bound_is_not_made() {
        let space = SpillSpace::new(None);
        let parts = bins(&space, 0..1000);
        // 1400 slots, rounded up.
        let bytes = 2048 * 8;
        let filter = KeyFilter::build(&parts, bytes, &space).expect("read").expect("fits");
        assert_eq!(filter.table.len() * size_of::<u64>(), bytes);
        assert!(KeyFilter::build(&parts, bytes - 1, &space).expect("read").is_none());
    }
}
