//! Sorters against `Vec::sort`.

use std::{collections::BTreeSet, thread};

use proptest::prelude::*;

use super::{item::Item, sorted::*, sorter::*, *};
use crate::settle::Correction;

impl Item for u64 {
    const BYTES: usize = 8;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        item::read_u64(bytes, 0)
    }
}

fn read_all<T: Item>(list: &Sorted<T>, bytes_max: usize) -> Vec<T> {
    let mut reader = list.reader(bytes_max).expect("read");
    let mut all = Vec::new();
    while let Some(next) = reader.peek().copied() {
        assert!(reader.next().expect("read") == Some(next), "peeking tells the next item");
        all.push(next);
    }
    assert!(reader.next().expect("read").is_none());
    all
}

fn sorted(items: &[u64], bytes_max: usize, space: &SpillSpace) -> Sorted<u64> {
    let mut sorter = Sorter::new(bytes_max, space.file());
    items.iter().for_each(|item| sorter.push(*item).expect("pushed"));
    sorter.finish().expect("sorted")
}

/// What a bound of `bytes_max` can take: two items in memory, one in each of three buffers.
fn least(bytes_max: usize) -> u64 {
    (bytes_max as u64).max(3 * 8)
}

proptest! {
    #[test]
    fn sorting_within_any_bound_equals_sorting_in_memory(
        items in prop::collection::vec(0u64..500, 0..600),
        bytes_max in 0usize..3000,
    ) {
        let space = SpillSpace::new(None);
        let list = sorted(&items, bytes_max, &space);
        let mut expected = items;
        expected.sort_unstable();
        prop_assert_eq!(list.len(), expected.len() as u64);
        prop_assert_eq!(list.is_empty(), expected.is_empty());
        prop_assert_eq!(&read_all(&list, bytes_max), &expected);
        prop_assert_eq!(&read_all(&list, 5000), &expected);
        drop(list);
        prop_assert_eq!(space.bytes_held(), 0);
    }

    #[test]
    fn lists_of_several_threads_are_read_as_one(
        lists in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..200), 0..12),
        bytes_max in 0usize..1000,
    ) {
        let space = SpillSpace::new(None);
        let parts: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                lists.iter().map(|list| scope.spawn(|| sorted(list, bytes_max, &space))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let all = Sorted::merged(parts, &space.file(), bytes_max).expect("merged");
        let mut expected = lists.concat();
        expected.sort_unstable();
        prop_assert_eq!(read_all(&all, bytes_max), expected);
    }
}

#[test]
fn sorting_and_reading_stay_within_their_bound() {
    for bytes_max in [100, 10_000, 300_000, 1 << 20] {
        let space = SpillSpace::new(None);
        let items: Vec<u64> =
            (0..200_000).map(|number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let list = sorted(&items, bytes_max, &space);
        assert!(space.bytes_held_max() <= least(bytes_max), "{}", space.bytes_held_max());
        let mut expected = items;
        expected.sort_unstable();
        assert_eq!(read_all(&list, bytes_max), expected);
        assert!(space.bytes_held_max() <= least(bytes_max), "{}", space.bytes_held_max());
    }
}

#[test]
fn a_reader_goes_to_another_thread_and_passes_over_what_it_is_told() {
    let space = SpillSpace::new(None);
    let list = sorted(&(0..1000).rev().collect::<Vec<_>>(), 100, &space);
    let mut reader = list.reader(100).expect("read");
    drop((list, space));
    let found = thread::spawn(move || {
        let first = reader.skip_while(|item| *item < 700).expect("read");
        let same = reader.skip_while(|item| *item < 700).expect("read");
        let end = reader.skip_while(|item| *item < 5000).expect("read");
        (first, same, end)
    });
    assert_eq!(found.join().expect("no panic"), (Some(700), Some(700), None));
}

#[test]
fn a_folder_that_refuses_is_an_error_only_for_who_must_spill() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let space = SpillSpace::new(Some(&folder.path().join("none")));
    assert_eq!(space.file().raw_fd(), None);
    assert_eq!(read_all(&sorted(&[3, 1, 2], 1000, &space), 1000), [1, 2, 3]);
    let mut sorter = Sorter::new(16, space.file());
    let error = (0u64..100).try_for_each(|item| sorter.push(item)).expect_err("no such folder");
    let text = error.to_string();
    assert!(text.contains("none: cannot make a scratch file in"), "{text}");
    assert!(text.contains("name another folder with --scratch"), "{text}");
}

#[test]
fn files_differ_and_can_be_named_to_a_sandbox() {
    let space = SpillSpace::new(None);
    let files = [space.file(), space.file(), space.file()];
    let descriptors: BTreeSet<_> = files.iter().map(|file| file.raw_fd().expect("made")).collect();
    assert_eq!(descriptors.len(), 3);
}

#[test]
fn a_correction_survives_its_bytes() {
    for (full, pair) in [(0, -1), (-1, 1), (1, 0)] {
        let place = crate::pass::batch::Place::new(true, 4_999_999, 3);
        let correction = Correction { place, full, pair };
        let mut bytes = [0; Correction::BYTES];
        correction.write(&mut bytes);
        assert_eq!(Correction::read(&bytes), correction);
    }
}
