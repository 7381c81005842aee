//! Questions to sound files.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{file_of, open};
use crate::index::{
    FrameMark, IndexFile, IndexKind, Posting,
    fuzzing::{Sample, sample_key, sample_node, sample_time},
};

fn found(
    file: &IndexFile<&[u8]>,
    kind: IndexKind,
    key: u64,
    range: std::ops::Range<u64>,
) -> Vec<u64> {
    let sequences = file.postings(kind, key, range).expect("sound");
    sequences.collect::<Result<_, _>>().expect("sound")
}

#[test]
fn a_file_knows_where_its_events_and_frames_are() {
    for (first, end) in [(0, 1), (0, 64), (60, 700), (64, 65), (65, 90), (5, 5)] {
        let sample = Sample::new(first, end, (3, 3));
        let bytes = sample.file(&[]);
        let file = open(&bytes);
        assert_eq!(*file.covers(), sample.covers);
        let (first_sequence, end_sequence) = (3 * first, 3 * end);
        let offset = |sequence| 4096 + (100 * (sequence - first_sequence)) as u32;
        for sequence in first_sequence..end_sequence {
            assert_eq!(file.offset(sequence), Ok(Some(offset(sequence) + 128)));
        }
        assert_eq!(file.offset(end_sequence), Ok(None));
        assert_eq!(file.offset(first_sequence.wrapping_sub(1)), Ok(None));

        for frame in first..end {
            let mark = frame / 64 * 64;
            let wanted = (mark >= first).then(|| FrameMark {
                number: mark,
                first_sequence: 3 * mark,
                offset: Some(offset(3 * mark)),
            });
            assert_eq!(file.frame_at_or_before(frame), Ok(wanted));
        }
        if first > 0 {
            assert_eq!(file.frame_at_or_before(first - 1), Ok(None));
        }
        if end > first {
            assert_eq!(file.frame_at_or_before(u64::MAX), file.frame_at_or_before(end - 1));
        }
        for level in 0..12 {
            for index in 0..20 {
                let complete = (index + 1) << level;
                let there = level >= 6 && (first + 1..=end).contains(&complete);
                let wanted = there.then(|| sample_node(level, index));
                assert_eq!(file.mountain_node(level, index), Ok(wanted));
            }
        }
    }
}

#[test]
fn a_time_leads_to_at_most_256_events_before_the_first_of_that_time() {
    let sample = Sample::new(60, 3_000, (3, 3));
    let bytes = sample.file(&[]);
    let file = open(&bytes);
    let (first, end) = (180, 9_000);
    for time in (0..sample_time(end) + 20).step_by(5) {
        let wanted = (first..end).find(|&sequence| sample_time(sequence) >= time).unwrap_or(end);
        let candidate = file.sequence_at_time(time).expect("sound");
        assert!(candidate <= wanted && wanted - candidate <= 256, "{time}: {candidate}, {wanted}");
    }
    assert_eq!(file.sequence_at_time(0), Ok(first));
}

#[test]
fn many_events_of_one_time_are_all_after_the_candidate() {
    // `file_of` gives every event another time, so this one is made by hand.
    let mut sample = Sample::new(0, 1_000, (3, 3));
    sample.marks.times.iter_mut().for_each(|(_, time)| *time = 77);
    let bytes = sample.file(&[]);
    let file = open(&bytes);
    assert_eq!(file.sequence_at_time(77), Ok(0));
    assert_eq!(file.sequence_at_time(78), Ok(2_816));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_key_leads_to_exactly_its_events(
        entries in prop::collection::btree_set((0_u64..2000, 0_u64..40), 0..1500),
        first in prop::sample::select(vec![0, 1, 1 << 40]),
        asked in prop::collection::vec((0_u64..42, 0_u64..2200, 0_u64..2200), 20),
    ) {
        let postings: Vec<Posting> = entries
            .iter()
            .map(|&(delta, key)| Posting { key: key << 58 | key, sequence: first + delta })
            .collect();
        let bytes = file_of(first, 2000, &[(IndexKind::Scope, &postings)]);
        let file = open(&bytes);
        prop_assert!(file.has(IndexKind::Scope) && !file.has(IndexKind::Stream));
        let keys: BTreeSet<u64> = postings.iter().map(|posting| posting.key).collect();
        prop_assert_eq!(file.distinct(IndexKind::Scope), Some(keys.len() as u64));
        prop_assert_eq!(file.distinct(IndexKind::Stream), None);
        prop_assert_eq!(file.may_contain(IndexKind::Stream, 1), Ok(true));
        for (key, start, end) in asked {
            let key = key << 58 | key;
            let range = first + start..first + end;
            let wanted: Vec<u64> = postings
                .iter()
                .filter(|posting| posting.key == key && range.contains(&posting.sequence))
                .map(|posting| posting.sequence)
                .collect();
            prop_assert_eq!(&found(&file, IndexKind::Scope, key, range.clone()), &wanted);
            let both_ends = file.postings(IndexKind::Scope, key, range).expect("sound");
            prop_assert_eq!(both_ends.left(), wanted.len() as u64);
            let mut both_ends = both_ends.map(|sequence| sequence.expect("sound"));
            let (mut front, mut back) = (Vec::new(), Vec::new());
            while let Some(sequence) = both_ends.next() {
                front.push(sequence);
                back.extend(both_ends.next_back());
            }
            back.reverse();
            front.extend(back);
            prop_assert_eq!(front, wanted);
            let may_contain = file.may_contain(IndexKind::Scope, key);
            prop_assert!(!keys.contains(&key) || may_contain == Ok(true));
        }
    }
}

#[test]
fn opening_touches_no_page_and_a_page_of_results_costs_the_same_anywhere() {
    const EVENTS: u64 = 200_000;
    let postings: Vec<Posting> =
        (0..EVENTS).map(|sequence| Posting { key: sequence % 2, sequence }).collect();
    let bytes = file_of(0, EVENTS, &[(IndexKind::Stream, &postings)]);
    let file = open(&bytes);
    assert_eq!(file.pages_touched(), 0);
    let mut costs = BTreeSet::new();
    for start in (0..EVENTS - 2_000).step_by(9_973) {
        for backward in [false, true] {
            let before = file.pages_touched();
            let sequences = file.postings(IndexKind::Stream, 1, start..EVENTS).expect("sound");
            let page: Vec<u64> = if backward {
                sequences.rev().take(100).map(|sequence| sequence.expect("sound")).collect()
            } else {
                sequences.take(100).map(|sequence| sequence.expect("sound")).collect()
            };
            assert_eq!(page.len(), 100);
            costs.insert(file.pages_touched() - before);
        }
    }
    // Two searches among two pages of fences, and one or two pages of entries.
    let (least, most) = (costs.first().expect("some"), costs.last().expect("some"));
    assert!(*most <= 14 && most - least <= 5, "{costs:?}");
}

#[test]
fn a_file_without_events_answers() {
    let bytes = file_of(77, 0, &[(IndexKind::Stream, &[])]);
    let file = open(&bytes);
    assert!(found(&file, IndexKind::Stream, 0, 0..u64::MAX).is_empty());
    assert_eq!(file.may_contain(IndexKind::Stream, 0), Ok(false));
    assert_eq!(file.sequence_at_time(9), Ok(77));
    assert_eq!(file.frame_at_or_before(77), Ok(None));
}

#[test]
fn every_index_is_answered_from_its_own_sections() {
    let sample = Sample::new(10, 500, (3, 3));
    let bytes = sample.file(&IndexKind::ALL);
    let file = open(&bytes);
    for kind in IndexKind::ALL {
        let key = sample_key(kind, 700);
        let wanted: Vec<u64> =
            (30..1500).filter(|&sequence| sample_key(kind, sequence) == key).collect();
        assert!(!wanted.is_empty());
        assert_eq!(found(&file, kind, key, 0..u64::MAX), wanted);
        assert_eq!(found(&file, kind, key, 700..701), [700]);
    }
}
