//! The storage reader against a plain loop over the whole storage, in any chunking.

mod common;

use common::in_chunks;
use icecore_archive::storage::{STORAGE_BYTES_MAX, StorageEvent, StorageFault, StorageReader};
use proptest::prelude::*;

/// What happened, records as offset, number and bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Walk {
    records: Vec<(u64, u32, Vec<u8>)>,
    faults: Vec<(u64, u32, StorageFault)>,
    end: Option<(u32, u64, u64)>,
}

fn walk(bytes: &[u8], listed: Option<u64>, sizes: &[usize]) -> Walk {
    let mut reader = StorageReader::new(bytes.len() as u64, listed);
    let mut walk = Walk::default();
    in_chunks(bytes, sizes, |input| {
        let piece = input.as_ptr_range();
        while let Some(event) = reader.next(input)? {
            assert!(walk.end.is_none(), "nothing follows the end");
            match event {
                StorageEvent::Record { offset, number, bytes } => {
                    let found = bytes.as_ptr_range();
                    assert!(found.start >= piece.start && found.end <= piece.end, "in place");
                    walk.records.push((offset, number, bytes.to_vec()));
                }
                StorageEvent::Joined { offset, number, bytes } => {
                    walk.records.push((offset, number, bytes));
                }
                StorageEvent::Fault { offset, number, kind } => {
                    walk.faults.push((offset, number, kind));
                }
                StorageEvent::End { records, records_end, trailing_bytes } => {
                    walk.end = Some((records, records_end, trailing_bytes));
                }
            }
        }
        assert!(input.is_empty(), "it asks for more with input left");
        Ok(())
    })
    .expect("a storage has faults, no errors");
    walk
}

/// The same by a plain loop.
fn expected(bytes: &[u8], listed: Option<u64>) -> Walk {
    let mut walk = Walk::default();
    let limit = listed.unwrap_or(u64::MAX).min(bytes.len() as u64) as usize;
    let mut at = 0;
    let mut end = 0;
    let number = |walk: &Walk| walk.records.len() as u32;
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    if bytes.is_empty() {
        walk.faults.push((0, 0, StorageFault::Empty));
    }
    loop {
        if limit < at + 136 || bytes[at + 16..at + 56] == [0; 40] {
            let tail = at.min(limit);
            if let Some(index) = bytes[tail..limit].iter().position(|byte| *byte != 0) {
                let place = (tail + index) as u64;
                walk.faults.push((place, number(&walk), StorageFault::PaddingNotZero));
            }
            break;
        }
        let data_bytes = u64_at(at + 8);
        let left = (limit - at) as u64;
        if data_bytes > 10 << 20 {
            let fault = StorageFault::DataTooLong { data_bytes };
            walk.faults.push((at as u64, number(&walk), fault));
            break;
        }
        let needed = 136 + data_bytes;
        if needed > left {
            let fault = StorageFault::RecordDoesNotFit { needed, left };
            walk.faults.push((at as u64, number(&walk), fault));
            break;
        }
        end = at + needed as usize;
        walk.records.push((at as u64, number(&walk), bytes[at..end].to_vec()));
        at = end.next_multiple_of(8);
    }
    walk.end = Some((number(&walk), end as u64, (bytes.len() - end) as u64));
    walk
}

fn record(key: u8, lamports: u64, data_bytes: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 136];
    bytes[8..16].copy_from_slice(&data_bytes.to_le_bytes());
    bytes[16..48].fill(key);
    bytes[48..56].copy_from_slice(&lamports.to_le_bytes());
    bytes[97..104].fill(0xaa);
    bytes.extend(data);
    bytes
}

/// Records, padded with something, and then what a storage may end with.
fn storage() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..5000usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let record = (any::<u8>(), 0..3u64, data, any::<u8>());
    let tail = prop_oneof![
        Just(vec![]),
        (0..400usize).prop_map(|length| vec![0; length]),
        proptest::collection::vec(prop_oneof![9 => Just(0u8), 1 => any::<u8>()], 0..400),
        proptest::collection::vec(any::<u8>(), 0..400),
        prop_oneof![Just((10 << 20) + 1), Just(u64::MAX), 0..5000u64]
            .prop_map(|data_bytes| self::record(1, 1, data_bytes, &[])),
    ];
    (proptest::collection::vec(record, 0..8), any::<bool>(), tail).prop_map(
        |(records, is_padded, tail)| {
            let mut bytes = Vec::new();
            let mut padding = 0;
            for (key, lamports, data, filler) in records {
                bytes.resize(bytes.len().next_multiple_of(8), padding);
                bytes.extend(self::record(key, lamports, data.len() as u64, &data));
                padding = filler;
            }
            if is_padded || !tail.is_empty() {
                bytes.resize(bytes.len().next_multiple_of(8), padding);
            }
            bytes.extend(tail);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn records_and_faults_are_those_of_a_plain_loop_in_any_chunking(
        bytes in storage(),
        listed in proptest::option::of(0..12_000u64),
        sizes in proptest::collection::vec(prop_oneof![1..8usize, 1..3000usize], 1..6),
    ) {
        let expected = expected(&bytes, listed);
        prop_assert_eq!(&walk(&bytes, listed, &[usize::MAX]), &expected);
        prop_assert_eq!(&walk(&bytes, listed, &sizes), &expected);
    }

    #[test]
    fn damage_never_makes_a_panic(
        bytes in storage(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..8),
        sizes in proptest::collection::vec(1..3000usize, 1..6),
    ) {
        let mut bytes = bytes;
        for (index, bit) in flips {
            if !bytes.is_empty() {
                let index = index.index(bytes.len());
                bytes[index] ^= 1 << bit;
            }
        }
        prop_assert_eq!(walk(&bytes, None, &sizes), expected(&bytes, None));
    }
}

#[test]
fn records_lie_in_place_and_the_last_has_no_padding() {
    let first = record(1, 5, 3, b"abc");
    let bytes = [&first[..], &[0xff; 5], &record(2, 0, 0, &[])].concat();
    for cut in 1..bytes.len() {
        let walk = walk(&bytes, None, &[cut, usize::MAX / 2]);
        assert_eq!(walk.records.len(), 2);
        assert_eq!(walk.records[0], (0, 0, first.clone()));
        assert_eq!(walk.records[1], (144, 1, record(2, 0, 0, &[])));
        assert_eq!(walk.faults, []);
        assert_eq!(walk.end, Some((2, 280, 0)));
    }
}

#[test]
fn a_storage_cut_anywhere_has_a_fault_or_fewer_records() {
    let bytes = [record(1, 5, 3, b"abc"), vec![0; 5], record(2, 9, 8, b"12345678")].concat();
    for cut in 1..bytes.len() {
        let walk = walk(&bytes[..cut], None, &[64]);
        // The first 8 bytes of a record are zero, so alone they are no fault.
        let is_clean = cut <= 8 || (139..=152).contains(&cut);
        assert_eq!(walk.faults.is_empty(), is_clean, "cut at {cut}");
        assert_eq!(walk.records.len(), usize::from(cut >= 139));
    }
}

#[test]
fn records_end_at_the_listed_length_and_what_follows_is_not_looked_at() {
    let one = record(1, 5, 8, b"12345678");
    let bytes = [&one[..], &one, &[0xff; 100]].concat();
    for (listed, records, faults) in [
        (None, 2, vec![StorageFault::PaddingNotZero]),
        (Some(144), 1, vec![]),
        (Some(288), 2, vec![]),
        (Some(0), 0, vec![]),
        (Some(287), 1, vec![StorageFault::RecordDoesNotFit { needed: 144, left: 143 }]),
        (Some(289), 2, vec![StorageFault::PaddingNotZero]),
        (Some(u64::MAX), 2, vec![StorageFault::PaddingNotZero]),
    ] {
        for sizes in [[1], [200], [usize::MAX]] {
            let walk = walk(&bytes, listed, &sizes);
            assert_eq!(walk.records.len(), records, "{listed:?}");
            let found: Vec<_> = walk.faults.iter().map(|(_, _, fault)| *fault).collect();
            assert_eq!(found, faults, "{listed:?}");
            let end = 144 * records as u64;
            assert_eq!(walk.end, Some((records as u32, end, 388 - end)));
        }
    }
}

#[test]
fn sizes_that_no_storage_has_are_faults() {
    let mut empty = StorageReader::new(0, None);
    let kind = StorageFault::Empty;
    let fault = StorageEvent::Fault { offset: 0, number: 0, kind };
    assert_eq!(empty.next(&mut &[][..]), Ok(Some(fault)));
    let end = StorageEvent::End { records: 0, records_end: 0, trailing_bytes: 0 };
    assert_eq!(empty.next(&mut &b"another member"[..]), Ok(Some(end)));
    assert_eq!(empty.next(&mut &b"another member"[..]), Ok(None));

    let bytes = STORAGE_BYTES_MAX + 1;
    let mut large = StorageReader::new(bytes, None);
    let kind = StorageFault::TooLarge { bytes };
    let fault = StorageEvent::Fault { offset: 0, number: 0, kind };
    let record = record(1, 1, 0, &[]);
    let mut input = &record[..];
    assert_eq!(large.next(&mut input), Ok(Some(fault)));
    assert_eq!(large.next(&mut input), Ok(None));
    assert!(input.is_empty());
}

#[test]
fn the_largest_data_is_read_and_one_byte_more_is_a_fault() {
    let data = vec![3; 10 << 20];
    let bytes = record(1, 1, 10 << 20, &data);
    for sizes in [[100_000], [usize::MAX]] {
        let walk = walk(&bytes, None, &sizes);
        assert_eq!(walk.end, Some((1, bytes.len() as u64, 0)));
        assert!(walk.records[0].2 == bytes);
    }
    let bytes = record(1, 1, (10 << 20) + 1, &vec![3; (10 << 20) + 1]);
    let walk = walk(&bytes, None, &[100_000]);
    let fault = StorageFault::DataTooLong { data_bytes: (10 << 20) + 1 };
    assert_eq!(walk.faults, [(0, 0, fault)]);
    assert_eq!(walk.end, Some((0, 0, bytes.len() as u64)));
}

#[test]
fn room_for_a_record_that_is_joined_is_asked_for_where_it_ends() {
    let bytes = record(1, 5, 1000, &[7; 1000]);
    for cut in [1, 100, 136, 500] {
        let mut reader = StorageReader::new(bytes.len() as u64, None);
        assert_eq!(reader.joined_bytes(&bytes, bytes.len()), 0, "nothing is begun");
        let mut input = &bytes[..cut];
        assert_eq!(reader.next(&mut input).expect("sound"), None);
        assert_eq!(reader.begun_bytes(), cut);
        let next = &bytes[cut..];
        for (next_bytes, joined) in
            [(next.len(), 1136), (next.len() + 9, 1136), (next.len() - 1, 0)]
        {
            let head = &next[..136.min(next_bytes)];
            assert_eq!(reader.joined_bytes(head, next_bytes), joined, "{cut} {next_bytes}");
        }
    }
}
