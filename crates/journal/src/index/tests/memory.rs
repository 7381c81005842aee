//! The index in memory against a plain list.

use proptest::prelude::*;

use crate::index::{Posting, Postings};

fn naive(pushed: &[Posting], key: u64, range: std::ops::Range<u64>) -> Vec<u64> {
    let found = pushed.iter().filter(|posting| posting.key == key);
    found.map(|posting| posting.sequence).filter(|sequence| range.contains(sequence)).collect()
}

proptest! {
    #[test]
    fn finds_what_a_plain_list_finds(
        keys in prop::collection::vec((0_u64..12, 0_u64..3), 0..3000),
        first in prop::sample::select(vec![0, 1, 1 << 40]),
        asked in prop::collection::vec((0_u64..13, 0_u64..4000, 0_u64..4000), 20),
    ) {
        let mut postings = Postings::new(first);
        let mut pushed = Vec::new();
        let mut sequence = first;
        for (key, step) in keys {
            sequence += step;
            let key = key.wrapping_mul(0x1234_5678_9abc_def1);
            postings.push(key, sequence);
            pushed.push(Posting { key, sequence });
        }
        prop_assert_eq!(postings.len(), pushed.len());
        for (key, start, end) in asked {
            let key = key.wrapping_mul(0x1234_5678_9abc_def1);
            let range = first + start..first + end;
            let wanted = naive(&pushed, key, range.clone());
            let forward: Vec<_> = postings.sequences(key, range.clone()).collect();
            prop_assert_eq!(&forward, &wanted);
            let mut backward: Vec<_> = postings.sequences(key, range).rev().collect();
            backward.reverse();
            prop_assert_eq!(backward, wanted);
            let all = naive(&pushed, key, 0..u64::MAX);
            prop_assert_eq!(postings.last(key), all.last().copied());
        }
        pushed.sort();
        prop_assert_eq!(postings.sorted().iter().collect::<Vec<_>>(), pushed);
    }
}

#[test]
fn every_number_of_entries_around_the_sizes_of_runs_is_found() {
    let mut postings = Postings::new(0);
    for sequence in 0..3000 {
        postings.push(sequence % 3, sequence);
        // Three keys: a bucket is full at every 96 events.
        let count = sequence + 1;
        if count % 32 < 5 {
            for key in 0..4 {
                let found: Vec<_> = postings.sequences(key, 0..u64::MAX).collect();
                let wanted: Vec<_> = (0..count).filter(|sequence| sequence % 3 == key).collect();
                assert_eq!(found, wanted);
            }
        }
    }
}

#[test]
fn a_range_that_is_empty_or_reversed_has_nothing() {
    let mut postings = Postings::new(100);
    (100..1000).for_each(|sequence| postings.push(1, sequence));
    for (start, end) in [(300, 300), (400, 300), (0, 100), (1000, u64::MAX)] {
        let range = std::ops::Range { start, end };
        assert_eq!(postings.sequences(1, range.clone()).count(), 0);
        assert_eq!(postings.sequences(1, range).next_back(), None);
    }
}

#[test]
#[should_panic(expected = "events come in order")]
fn an_older_event_is_not_taken() {
    let mut postings = Postings::new(0);
    postings.push(1, 5);
    postings.push(1, 4);
}
