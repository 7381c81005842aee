//! Merging against building from everything.

use std::convert::Infallible;

use proptest::prelude::*;

use super::open;
use crate::index::{
    FrameMark, IndexFile, IndexKind, MergeError,
    fuzzing::{Sample, make_checks_match},
    merge,
};

fn merged(inputs: &[&IndexFile<&[u8]>]) -> Result<Vec<u8>, MergeError<Infallible>> {
    let mut bytes = Vec::new();
    merge(inputs, &mut |page| {
        bytes.extend_from_slice(page);
        Ok(())
    })?;
    Ok(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_merged_file_is_the_file_of_all_entries(
        first in 0_u64..200,
        counts in prop::collection::vec(0_u64..300, 2..6),
        segment_steps in prop::collection::vec(1_u32..4, 6),
        kinds in prop::sample::subsequence(IndexKind::ALL.to_vec(), 0..=7),
        grouped in 1_usize..5,
    ) {
        let (mut frame, mut segment) = (first, 0);
        let mut files = Vec::new();
        for (count, step) in counts.iter().zip(&segment_steps) {
            segment += step;
            files.push(Sample::new(frame, frame + count, (segment, segment)).file(&kinds));
            frame += count;
        }
        let mut whole = Sample::new(first, frame, (segment_steps[0], segment));
        // Ranges without frames have no times.
        let framed: Vec<_> = counts.iter().zip(&files).filter(|(count, _)| **count > 0).collect();
        let earliest = framed.first().map_or(&files[0], |(_, file)| file);
        let latest = framed.last().map_or(&files[0], |(_, file)| file);
        whole.covers.first_time = open(earliest).covers().first_time;
        whole.covers.last_time = open(latest).covers().last_time;
        let wanted = whole.file(&kinds);

        let opened: Vec<_> = files.iter().map(|file| open(file)).collect();
        let at_once = merged(&opened.iter().collect::<Vec<_>>()).expect("consecutive");
        prop_assert!(at_once == wanted);

        // Merging in steps gives the same.
        let grouped = grouped.min(opened.len());
        let head = merged(&opened[..grouped].iter().collect::<Vec<_>>()).expect("consecutive");
        let head = open(&head);
        let rest: Vec<_> = std::iter::once(&head).chain(&opened[grouped..]).collect();
        prop_assert!(merged(&rest).expect("consecutive") == wanted);
    }
}

#[test]
fn a_merged_file_has_marks_without_offsets() {
    let (first, second) = (Sample::new(0, 100, (1, 1)), Sample::new(100, 200, (4, 4)));
    let (first, second) = (first.file(&[]), second.file(&[]));
    let bytes = merged(&[&open(&first), &open(&second)]).expect("consecutive");
    let file = open(&bytes);
    assert_eq!(file.offset(5), Ok(None));
    let mark = FrameMark { number: 128, first_sequence: 384, offset: None };
    assert_eq!(file.frame_at_or_before(190), Ok(Some(mark)));
}

#[test]
fn only_indexes_that_all_inputs_have_are_merged() {
    let first = Sample::new(0, 100, (1, 1)).file(&[IndexKind::Stream, IndexKind::Kind]);
    let second = Sample::new(100, 200, (2, 2)).file(&[IndexKind::Kind, IndexKind::Scope]);
    let bytes = merged(&[&open(&first), &open(&second)]).expect("consecutive");
    let file = open(&bytes);
    let there: Vec<_> = IndexKind::ALL.into_iter().filter(|&kind| file.has(kind)).collect();
    assert_eq!(there, [IndexKind::Kind]);
}

#[test]
fn files_that_do_not_join_are_not_merged() {
    let first = Sample::new(0, 100, (5, 5)).file(&[]);
    let mut other_store = Sample::new(100, 200, (6, 6));
    other_store.covers.store_id = [0; 16];
    let mut earlier = Sample::new(100, 200, (6, 6));
    earlier.covers.first_time = 0;
    let wrong = [
        Sample::new(101, 200, (6, 6)),
        Sample::new(99, 200, (6, 6)),
        Sample::new(100, 200, (5, 5)),
        Sample::new(100, 200, (4, 4)),
        other_store,
        earlier,
    ];
    for second in wrong {
        let second = second.file(&[]);
        let refused = merged(&[&open(&first), &open(&second)]);
        assert!(matches!(refused, Err(MergeError::Malformed { input: 1, .. })));
    }
    let second = Sample::new(100, 200, (6, 6)).file(&[]);
    assert!(merged(&[&open(&first), &open(&second)]).is_ok());
}

#[test]
fn the_error_of_the_sink_comes_back() {
    let file = Sample::new(0, 100, (5, 5)).file(&[IndexKind::Stream]);
    let mut pages = 0;
    let refused = merge(&[&open(&file)], &mut |_| {
        pages += 1;
        if pages == 2 { Err("full") } else { Ok(()) }
    });
    assert_eq!(refused, Err(MergeError::Sink("full")));
    assert_eq!(pages, 2);
}

#[test]
fn a_damaged_or_unsorted_input_is_not_merged() {
    let good = Sample::new(0, 400, (5, 5)).file(&[IndexKind::Stream]);
    // After the offsets (2 pages), the times, the frames and the mountain, one page each.
    let postings = 5 * 4096;
    let mut damaged = good.clone();
    damaged[postings + 99] ^= 1;
    let mut unsorted = good.clone();
    unsorted[postings + 12 * 50] ^= 1;
    make_checks_match(&mut unsorted);
    for bad in [damaged, unsorted] {
        let refused = merged(&[&open(&bad)]);
        assert!(matches!(refused, Err(MergeError::Malformed { input: 0, .. })), "{refused:?}");
    }
}
