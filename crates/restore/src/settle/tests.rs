//! Settling against a model that keeps everything in maps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::index::Budget;

/// A record of the model: storage number and a small key.
type Rows = Vec<(u32, u8)>;

fn key(small: u8) -> Pubkey {
    // Half of the keys share one long prefix, the rest lie in bins of their own.
    let mut key = Pubkey([9; 32]);
    if small.is_multiple_of(2) {
        key.0[31] = small;
    } else {
        key.0[0] = small;
    }
    key
}

fn places(rows: &Rows, incremental: bool) -> Vec<Entry> {
    let mut next = BTreeMap::new();
    rows.iter()
        .map(|(storage, small)| {
            let record = next.entry(*storage).or_insert(0u32);
            let place = Place::new(incremental, *storage, *record);
            *record += 1;
            Entry { key: key(*small), place }
        })
        .collect()
}

fn index(entries: &[Entry]) -> Vec<Index> {
    let budget = Budget::new(u64::MAX);
    let mut parts = vec![Index::new(), Index::new(), Index::new()];
    for (number, entry) in entries.iter().enumerate() {
        parts[number % 3].push(*entry, &budget).expect("unbounded");
    }
    parts
}

fn heads(slots: &[Slot]) -> Vec<StorageHead> {
    slots.iter().map(|slot| StorageHead { slot: *slot, id: 0, bytes: 0 }).collect()
}

/// The winners of the model: for each key the place of its highest (slot, place).
fn winners(entries: &[(Slot, Entry)]) -> BTreeMap<Pubkey, Place> {
    let mut newest: BTreeMap<Pubkey, (Slot, Place)> = BTreeMap::new();
    for (slot, entry) in entries {
        let best = newest.entry(entry.key).or_insert((*slot, entry.place));
        *best = (*best).max((*slot, entry.place));
    }
    newest.into_iter().map(|(key, (_, place))| (key, place)).collect()
}

proptest! {
    #[test]
    fn sums_with_corrections_equal_the_models_winners(
        full_rows in prop::collection::vec((0u32..6, 0u8..12), 0..60),
        incremental_rows in prop::collection::vec((0u32..4, 0u8..12), 0..30),
        full_slots in prop::sample::subsequence((0u64..12).collect::<Vec<_>>(), 6),
        incremental_slots in prop::sample::subsequence((6u64..18).collect::<Vec<_>>(), 4),
        threads in 1usize..4,
    ) {
        let full = places(&full_rows, false);
        let incremental = places(&incremental_rows, true);
        let (lower, upper) = (heads(&full_slots), heads(&incremental_slots));
        let keys = KeySet::new(index(&incremental));
        let replaced: HashSet<Slot> =
            full_slots.iter().filter(|slot| incremental_slots.contains(slot)).copied().collect();
        let settled = settle(
            index(&full),
            &lower,
            Some(&Upper { keys: &keys, storages: &upper, replaced: &replaced }),
            threads,
        );

        let slot_of = |entry: &Entry| match entry.place.is_incremental() {
            true => incremental_slots[entry.place.storage() as usize],
            false => full_slots[entry.place.storage() as usize],
        };
        let with_slot = |entry: &Entry| (slot_of(entry), *entry);
        let all_full: Vec<_> = full.iter().map(with_slot).collect();
        let all_pair: Vec<_> = full
            .iter()
            .filter(|entry| !replaced.contains(&slot_of(entry)))
            .chain(&incremental)
            .map(with_slot)
            .collect();
        let (won_full, won_pair) = (winners(&all_full), winners(&all_pair));

        for entry in full.iter().chain(&incremental) {
            let correction = settled
                .corrections
                .binary_search_by_key(&entry.place, |correction| correction.place)
                .map_or((0, 0), |at| {
                    (settled.corrections[at].full, settled.corrections[at].pair)
                });
            let is_full = !entry.place.is_incremental();
            let summed_full = i8::from(is_full);
            let summed_pair = i8::from(
                !is_full || (!keys.contains(&entry.key) && !replaced.contains(&slot_of(entry))),
            );
            let counts_full = is_full && won_full[&entry.key] == entry.place;
            let counts_pair = won_pair.get(&entry.key) == Some(&entry.place);
            prop_assert_eq!(summed_full + correction.0, i8::from(counts_full));
            prop_assert_eq!(summed_pair + correction.1, i8::from(counts_pair));
            prop_assert_eq!(
                settled.excluded_full.binary_search(&entry.place).is_ok(),
                is_full && !counts_full
            );
            prop_assert_eq!(settled.excluded_pair.binary_search(&entry.place).is_ok(), !counts_pair);
        }
    }
}

#[test]
fn a_key_twice_in_one_storage_is_named_and_counted() {
    let entries = places(&vec![(0, 1), (0, 2), (0, 1), (1, 1)], false);
    let settled = settle(index(&entries), &heads(&[5, 6]), None, 1);
    assert_eq!(settled.twice_count, 1);
    let expected =
        Twice { place: Place::new(false, 0, 2), other: Place::new(false, 0, 0), key: key(1) };
    assert_eq!(settled.twice, vec![expected]);
    assert_eq!(settled.excluded_full.len(), 2);
}

#[test]
fn without_duplicates_nothing_is_looked_at_again() {
    let entries = places(&vec![(0, 1), (0, 2), (1, 3)], false);
    let settled = settle(index(&entries), &heads(&[5, 6]), None, 2);
    assert_eq!(settled.corrections, vec![]);
    assert_eq!(settled.excluded_full, vec![]);
}
