//! Key bins against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::spill::SpillSpace;

fn entry(first: u8, last: u16, record: u32) -> Entry {
    let mut key = Pubkey([3; 32]);
    key.0[0] = first;
    key.0[30..].copy_from_slice(&last.to_le_bytes());
    Entry { key, place: Place::new(record.is_multiple_of(2), record % 7, record), mark: () }
}

fn read_bin(bins: &KeyBins, bin: usize, buffer_bytes: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    bins.for_each_in_bin(bin, buffer_bytes, |entry| {
        entries.push(entry);
        Ok(())
    })
    .expect("read");
    entries.sort_unstable();
    entries
}

proptest! {
    #[test]
    fn every_entry_is_read_from_its_bin_once(
        rows in prop::collection::vec((0u8..6, any::<u16>()), 0..200),
        bytes_max in prop::sample::select(vec![300, 2_000, 5_000, 100_000, 3 << 20]),
        buffer_bytes in 0usize..1000,
    ) {
        let space = SpillSpace::new(None);
        let mut bins = KeyBins::new(bytes_max, space.file());
        let mut model: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for (record, (first, last)) in rows.iter().enumerate() {
            // Bins at both ends.
            let entry = entry(first.wrapping_sub(3), *last, record as u32);
            bins.push(entry).expect("pushed");
            model.entry(usize::from(entry.key.0[0])).or_default().push(entry);
        }
        prop_assert_eq!(bins.len(), rows.len() as u64);
        prop_assert_eq!(bins.bytes_spilled() == 0, bins.pieces.is_empty());
        for bin in 0..BINS {
            let mut expected = model.get(&bin).cloned().unwrap_or_default();
            expected.sort_unstable();
            prop_assert_eq!(read_bin(&bins, bin, buffer_bytes), expected);
        }
    }

    #[test]
    fn entries_are_ordered_by_key_and_place(
        left in (any::<[u8; 32]>(), any::<bool>(), 0u32..5),
        right in (any::<[u8; 32]>(), any::<bool>(), 0u32..5),
        shared in 0usize..=32,
    ) {
        let entry = |(key, incremental, record): ([u8; 32], bool, u32)| {
            Entry { key: Pubkey(key), place: Place::new(incremental, 1, record), mark: () }
        };
        let mut right = right;
        right.0[..shared].copy_from_slice(&left.0[..shared]);
        let (left, right) = (entry(left), entry(right));
        let expected = (left.key.0, left.place).cmp(&(right.key.0, right.place));
        prop_assert_eq!(left.cmp(&right), expected);
        let mut bytes = [0; Entry::<()>::BYTES];
        left.write(&mut bytes);
        prop_assert_eq!(Entry::read(&bytes), left);
    }
}

proptest! {
    #[test]
    fn sorting_equals_comparing(
        rows in prop::collection::vec((0u8..2, any::<u8>(), 0u16..3), 0..400),
        is_one_bin in any::<bool>(),
        is_one_part in any::<bool>(),
    ) {
        let mut entries: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(record, (first, second, last))| {
                let mut entry = entry(if is_one_bin { 9 } else { *first }, *last, record as u32);
                entry.key.0[1] = if is_one_part { 5 } else { *second };
                entry
            })
            .collect();
        let mut expected = entries.clone();
        expected.sort_unstable();
        Entry::sort(&mut entries);
        prop_assert_eq!(entries, expected);
    }
}

#[test]
fn memory_grows_with_entries_up_to_the_bound() {
    for bytes_max in [300_000, 4 << 20] {
        let space = SpillSpace::new(None);
        let mut bins = KeyBins::new(bytes_max, space.file());
        assert_eq!(space.bytes_held(), 0);
        for number in 0..300_000u32 {
            let key = number.wrapping_mul(2_654_435_761) >> 8;
            bins.push(entry(key as u8, 0, number)).expect("pushed");
            if number == 10 {
                assert!(space.bytes_held() < 11 * 11_000);
            }
        }
        assert!(space.bytes_held_max() <= bytes_max as u64);
        assert!(space.bytes_held_max() > bytes_max as u64 / 10 * 8);
        // Chunks that are not full waste little: pieces are few.
        let pieces_min = 300_000 * Entry::<()>::BYTES / bytes_max;
        assert!(bins.pieces.len() >= pieces_min && bins.pieces.len() <= 2 * pieces_min);
    }
}
