//! Settling against a model that keeps everything in maps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{key_bins::Entry, rows::NoRows};

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
            Entry { key: key(*small), place, mark: () }
        })
        .collect()
}

/// The entries as so many tiles see them.
fn bins(entries: &[Entry], tiles: usize, bytes_max: usize, space: &SpillSpace) -> Vec<KeyBins> {
    let mut bins: Vec<_> = (0..tiles).map(|_| KeyBins::new(bytes_max, space.file())).collect();
    for (number, entry) in entries.iter().enumerate() {
        bins[number % tiles].push(*entry).expect("pushed");
    }
    bins
}

fn heads(slots: &[Slot]) -> Vec<StorageHead> {
    slots.iter().map(|slot| StorageHead { slot: *slot, id: 0, bytes: 0, tar_offset: 0 }).collect()
}

fn read_all<T: Item>(list: &Sorted<T>) -> Vec<T> {
    let mut reader = list.reader(1 << 20).expect("read");
    std::iter::from_fn(|| reader.next().expect("read")).collect()
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

/// The keys that stand twice in a storage, of the model: later places with the ones before.
fn twice(entries: &[Entry]) -> Vec<Twice> {
    let mut last: BTreeMap<(Pubkey, bool, u32), Place> = BTreeMap::new();
    let mut twice: Vec<_> = entries
        .iter()
        .filter_map(|Entry { key, place, .. }| {
            let other = last.insert((*key, place.is_incremental(), place.storage()), *place)?;
            Some(Twice { place: *place, other, key: *key })
        })
        .collect();
    twice.sort_unstable();
    twice
}

proptest! {
    #[test]
    fn sums_with_corrections_equal_the_models_winners(
        full_rows in prop::collection::vec((0u32..6, 0u8..12), 0..100),
        incremental_rows in prop::collection::vec((0u32..4, 0u8..12), 0..60),
        full_slots in prop::sample::subsequence((0u64..12).collect::<Vec<_>>(), 6),
        incremental_slots in prop::sample::subsequence((6u64..18).collect::<Vec<_>>(), 4),
        tiles in 1usize..4,
        threads in 1usize..4,
        bytes_max in prop::sample::select(vec![5_000, 20_000, 100_000, 16 << 20]),
        is_filtered in any::<bool>(),
        // Keys that the filter has although the incremental archive has not.
        false_rows in prop::collection::vec((0u32..4, 0u8..12), 0..4),
    ) {
        let space = SpillSpace::new(None);
        let plan = MemoryPlan::new(bytes_max, threads);
        let full = places(&full_rows, false);
        let incremental = places(&incremental_rows, true);
        let (lower, upper) = (heads(&full_slots), heads(&incremental_slots));
        let bins_above = bins(&incremental, tiles, plan.incremental_bins_bytes(), &space);
        let filter_bytes = if is_filtered { 1 << 20 } else { 0 };
        let known = [&incremental[..], &places(&false_rows, true)].concat();
        let bins_known = bins(&known, tiles, 100_000, &space);
        let filter = KeyFilter::build(&bins_known, filter_bytes, &space).expect("read");
        prop_assert_eq!(filter.is_some(), is_filtered);
        let bins_below = bins(&full, tiles, plan.full_bins_bytes(space.bytes_held()), &space);
        let replaced: HashSet<Slot> =
            full_slots.iter().filter(|slot| incremental_slots.contains(slot)).copied().collect();
        let settled = settle(
            Lower { bins: &bins_below, storages: &lower },
            Some(Upper {
                bins: &bins_above,
                storages: &upper,
                filter: filter.as_ref(),
                replaced: &replaced,
            }),
            &plan,
            &space,
            &space.file(),
            &NoRows,
        )
        .expect("settled");
        let corrections = read_all(&settled.corrections);
        let excluded_full = read_all(&settled.excluded_full);
        let excluded_pair = read_all(&settled.excluded_pair);

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

        let mut count = 0;
        for entry in full.iter().chain(&incremental) {
            let correction = corrections
                .binary_search_by_key(&entry.place, |correction| correction.place)
                .map_or((0, 0), |at| (corrections[at].full, corrections[at].pair));
            count += usize::from(correction != (0, 0));
            let is_full = !entry.place.is_incremental();
            let summed_full = i8::from(is_full);
            let is_known = is_filtered && known.iter().any(|above| above.key == entry.key);
            let summed_pair =
                i8::from(!is_full || (!is_known && !replaced.contains(&slot_of(entry))));
            let counts_full = is_full && won_full[&entry.key] == entry.place;
            let counts_pair = won_pair.get(&entry.key) == Some(&entry.place);
            prop_assert_eq!(summed_full + correction.0, i8::from(counts_full));
            prop_assert_eq!(summed_pair + correction.1, i8::from(counts_pair));
            prop_assert_eq!(
                excluded_full.binary_search(&entry.place).is_ok(),
                is_full && !counts_full
            );
            prop_assert_eq!(excluded_pair.binary_search(&entry.place).is_ok(), !counts_pair);
        }
        prop_assert_eq!(corrections.len(), count);
        for list in [excluded_full, excluded_pair] {
            prop_assert!(list.is_sorted_by(|one, next| one < next), "each place once");
        }
        let mut all_twice = twice(&[full, incremental].concat());
        prop_assert_eq!(settled.twice_count, all_twice.len() as u64);
        all_twice.truncate(TWICE_NAMED_MAX);
        prop_assert_eq!(&settled.twice, &all_twice);
        if bytes_max == 16 << 20 {
            prop_assert_eq!(settled.work, SettleWork::default());
        }
    }
}

/// Settles a full archive alone.
fn settle_full(
    entries: &[Entry],
    slots: &[Slot],
    plan: &MemoryPlan,
    space: &SpillSpace,
) -> Settlement {
    let bins = bins(entries, plan.threads(), plan.full_bins_bytes(0), space);
    let lower = Lower { bins: &bins, storages: &heads(slots) };
    settle(lower, None, plan, space, &space.file(), &NoRows).expect("settled")
}

#[test]
fn a_key_twice_in_one_storage_is_named_and_counted() {
    let entries = places(&vec![(0, 1), (0, 2), (0, 1), (1, 1)], false);
    let space = SpillSpace::new(None);
    let settled = settle_full(&entries, &[5, 6], &MemoryPlan::new(1 << 20, 1), &space);
    assert_eq!(settled.twice_count, 1);
    let expected =
        Twice { place: Place::new(false, 0, 2), other: Place::new(false, 0, 0), key: key(1) };
    assert_eq!(settled.twice, vec![expected]);
    assert_eq!(settled.excluded_full.len(), 2);
}

#[test]
fn no_limit_is_a_limit_like_others() {
    let entries = places(&(0..1000).map(|number| (number % 2, number as u8)).collect(), false);
    let space = SpillSpace::new(None);
    let plan = MemoryPlan::new(u64::MAX, 2);
    let bins = bins(&entries, 2, plan.full_bins_bytes(0), &space);
    let filter = KeyFilter::build(&bins, plan.filter_bytes(), &space).expect("read");
    assert!(filter.is_some_and(|filter| filter.contains(&key(1))));
    let settled = settle_full(&entries, &[5, 6], &plan, &space);
    assert_eq!(settled.excluded_full.len(), 1000 - 256);
    assert_eq!(settled.work, SettleWork::default());
}

#[test]
fn without_duplicates_nothing_is_looked_at_again() {
    let entries = places(&vec![(0, 1), (0, 2), (1, 3)], false);
    let space = SpillSpace::new(None);
    let settled = settle_full(&entries, &[5, 6], &MemoryPlan::new(1 << 20, 2), &space);
    assert!(settled.corrections.is_empty());
    assert!(settled.excluded_full.is_empty());
}

#[test]
fn two_million_records_of_one_key_are_settled_within_a_mebibyte() {
    const RECORDS: u32 = 2_000_000;
    const STORAGES: u32 = 1000;
    let space = SpillSpace::new(None);
    let plan = MemoryPlan::new(1 << 20, 2);
    let mut bins = [0; 2].map(|_| KeyBins::new(plan.full_bins_bytes(0), space.file()));
    for number in 0..RECORDS {
        let place = Place::new(false, number % STORAGES, number / STORAGES);
        bins[number as usize % 2].push(Entry { key: key(2), place, mark: () }).expect("pushed");
    }
    // The newest slot is that of a storage in the middle.
    let slots: Vec<_> = (0..u64::from(STORAGES)).map(|storage| storage * 7 % 1000).collect();
    let newest = slots.iter().position(|slot| *slot == 999).expect("7 and 1000 are coprime");
    let lower = Lower { bins: &bins, storages: &heads(&slots) };
    let settled = settle(lower, None, &plan, &space, &space.file(), &NoRows).expect("settled");
    assert!(space.bytes_held_max() <= 1 << 20, "{} bytes", space.bytes_held_max());

    let (corrections, excluded) = (&settled.corrections, &settled.excluded_full);
    assert_eq!([corrections.len(), excluded.len()], [u64::from(RECORDS) - 1; 2]);
    let mut corrections = corrections.reader(plan.reader_bytes()).expect("read");
    let mut excluded = excluded.reader(plan.reader_bytes()).expect("read");
    let winner = Place::new(false, newest as u32, RECORDS / STORAGES - 1);
    let all = (0..STORAGES).flat_map(|storage| {
        (0..RECORDS / STORAGES).map(move |record| Place::new(false, storage, record))
    });
    for place in all.filter(|place| *place != winner) {
        let expected = Correction { place, full: -1, pair: 0 };
        assert_eq!(corrections.next().expect("read"), Some(expected));
        assert_eq!(excluded.next().expect("read"), Some(place));
    }
    assert!(space.bytes_held_max() <= 1 << 20, "{} bytes", space.bytes_held_max());
    assert_eq!(settled.twice_count, u64::from(RECORDS - STORAGES));
    let first =
        Twice { place: Place::new(false, 0, 1), other: Place::new(false, 0, 0), key: key(2) };
    assert_eq!((settled.twice.len(), settled.twice[0]), (TWICE_NAMED_MAX, first));
    assert_eq!(settled.work.bins_split, 1);
    assert!(settled.work.bytes_spilled > u64::from(RECORDS) * (40 + 8 + 10));
}

#[test]
fn a_folder_that_refuses_matters_only_beyond_the_limit() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let space = SpillSpace::new(Some(&folder.path().join("none")));
    let entries = places(&(0..10_000).map(|number| (number % 2, 2)).collect(), false);
    let plan = MemoryPlan::new(16 << 20, 2);
    assert_eq!(settle_full(&entries, &[5, 6], &plan, &space).excluded_full.len(), 9_999);
    let plan_small = MemoryPlan::new(1 << 20, 2);
    let bins = bins(&entries, 2, 1 << 20, &space);
    let lower = Lower { bins: &bins, storages: &heads(&[5, 6]) };
    let error =
        settle(lower, None, &plan_small, &space, &space.file(), &NoRows).expect_err("must spill");
    assert!(error.to_string().contains("--scratch"), "{error}");
}
