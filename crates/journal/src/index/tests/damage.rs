//! Damage: the right answer or an error.

use std::{fmt::Debug, ops::Deref};

use proptest::prelude::*;

use super::open;
use crate::{
    error::Malformed,
    index::{
        IndexFile, IndexKind,
        fuzzing::{Sample, index_file, make_checks_match, sample_key},
        page::PAGE_BYTES,
    },
};

/// All questions that the tests ask, with their answers as text.
fn answers<B: Deref<Target = [u8]>>(file: &IndexFile<B>) -> Vec<Result<String, Malformed>> {
    fn text<T: Debug>(answer: Result<T, Malformed>) -> Result<String, Malformed> {
        answer.map(|answer| format!("{answer:?}"))
    }
    let mut answers = vec![
        text(Ok(*file.covers())),
        text(file.offset(181)),
        text(file.offset(399)),
        text(file.sequence_at_time(1_900)),
        text(file.sequence_at_time(0)),
        text(file.frame_at_or_before(100)),
        text(file.frame_at_or_before(130)),
        text(file.mountain_node(6, 0)),
        text(file.mountain_node(7, 0)),
    ];
    for kind in IndexKind::ALL.into_iter().filter(|&kind| file.has(kind)) {
        for key in [sample_key(kind, 200), sample_key(kind, 398), 12345] {
            answers.push(text(file.may_contain(kind, key)));
            let all = |range| file.postings(kind, key, range)?.collect::<Result<Vec<u64>, _>>();
            answers.push(text(all(0..u64::MAX)));
            answers.push(text(all(200..300)));
            let last = file.postings(kind, key, 0..u64::MAX);
            answers.push(text(last.and_then(|mut found| found.next_back().transpose())));
        }
    }
    answers
}

fn sample() -> Vec<u8> {
    Sample::new(60, 134, (3, 3)).file(&[IndexKind::Stream, IndexKind::Parent])
}

/// Whether nothing is wrong with a file but errors.
fn right_or_refused(bytes: &[u8], right: &[Result<String, Malformed>]) -> bool {
    let Ok(file) = IndexFile::open(bytes) else { return true };
    let answers = answers(&file);
    answers.len() == right.len()
        && answers.iter().zip(right).all(|(answer, right)| answer.is_err() || answer == right)
}

#[test]
fn any_flipped_bit_gives_the_right_answer_or_an_error() {
    let mut bytes = Sample::new(60, 134, (3, 3)).file(&[IndexKind::Parent]);
    let right = answers(&open(&bytes));
    assert!(right.iter().all(Result::is_ok));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(right_or_refused(&bytes, &right), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_flipped_bit_in_any_page_is_noticed_by_who_touches_it() {
    let bytes = sample();
    let right = answers(&open(&bytes));
    for page in 0..bytes.len() / PAGE_BYTES {
        let mut damaged = bytes.clone();
        damaged[page * PAGE_BYTES + 1_000] ^= 1;
        let noticed = match IndexFile::open(&damaged[..]) {
            Ok(file) => answers(&file) != right,
            Err(_) => true,
        };
        assert!(noticed, "page {page}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = sample();
    for end in 0..bytes.len() {
        assert!(IndexFile::open(&bytes[..end]).is_err(), "cut at {end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(IndexFile::open(&longer[..]).is_err());
    longer.resize(longer.len() + PAGE_BYTES - 1, 0);
    assert!(IndexFile::open(&longer[..]).is_err());
}

#[test]
fn pages_that_changed_places_or_files_are_noticed() {
    let bytes = sample();
    let right = answers(&open(&bytes));
    let pages = bytes.len() / PAGE_BYTES - 1;
    let mut other = Sample::new(60, 134, (3, 3));
    other.covers.first_segment = 2;
    other.covers.last_segment = 2;
    let other = other.file(&[IndexKind::Stream, IndexKind::Parent]);
    for to in 0..pages {
        let target = to * PAGE_BYTES..(to + 1) * PAGE_BYTES;
        for from in 0..pages {
            let mut moved = bytes.clone();
            moved.copy_within(from * PAGE_BYTES..(from + 1) * PAGE_BYTES, target.start);
            assert!(right_or_refused(&moved, &right), "page {from} at {to}");
            assert!(from == to || answers(&open(&moved)) != right);
        }
        let mut foreign = bytes.clone();
        foreign[target.clone()].copy_from_slice(&other[target]);
        assert!(answers(&open(&foreign)).iter().any(Result::is_err), "foreign page {to}");
    }
}

/// The sample with some bytes of its trailer changed and checks that match.
fn with_trailer(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = sample();
    let trailer = bytes.len() - PAGE_BYTES;
    for &(at, byte) in changes {
        bytes[trailer + at] = byte;
    }
    make_checks_match(&mut bytes);
    bytes
}

#[test]
fn both_checks_of_a_trailer_must_match() {
    let mut bytes = sample();
    let trailer = bytes.len() - PAGE_BYTES;
    bytes[trailer + 112] ^= 1;
    let check_alone = {
        let mut bytes = bytes.clone();
        let check = crc32fast::hash(&bytes[trailer + 8..trailer + 4064]);
        bytes[trailer + 4..trailer + 8].copy_from_slice(&check.to_le_bytes());
        bytes
    };
    let digest_alone = {
        let digest = blake3::hash(&bytes[trailer..trailer + 4064]);
        bytes[trailer + 4064..].copy_from_slice(digest.as_bytes());
        bytes
    };
    for bytes in [check_alone, digest_alone] {
        let refused = IndexFile::open(&bytes[..]).expect_err("one of two");
        assert_eq!(refused.what, "the trailer of an index file does not match its checks");
    }
}

#[test]
fn an_unknown_version_is_refused() {
    let refused = IndexFile::open(&with_trailer(&[(8, 2)])[..]).expect_err("unknown");
    assert_eq!(refused.what, "the version of an index file is not known");
}

#[test]
fn unknown_sections_and_index_kinds_are_passed_over() {
    let bytes = sample();
    let right = open(&bytes);
    // An eleventh section after offsets, times, frames, mountain and two indexes of three.
    let table_end = 128 + 10 * 40;
    for (section, index_kind) in [(8, 0), (255, 9), (5, 7), (7, 200)] {
        let changes = [(12, 11), (table_end, section), (table_end + 1, index_kind)];
        let bytes = with_trailer(&changes);
        assert_eq!(answers(&open(&bytes)), answers(&right));
    }
    // An index of a kind that is not known is as if it was not there.
    let changes: Vec<_> = (4..7).map(|section| (128 + section * 40 + 1, 99)).collect();
    let bytes = with_trailer(&changes);
    let file = open(&bytes);
    assert!(!file.has(IndexKind::Stream) && file.has(IndexKind::Parent));
}

#[test]
fn a_trailer_that_contradicts_itself_is_refused() {
    let section = |number: usize, field: usize| 128 + number * 40 + field;
    let due = "a section of an index file has not the entries that its range needs";
    let outside = "a section of an index file lies outside the file";
    let unfit = "the sections of an index do not fit each other";
    let contradictions: [(&[(usize, u8)], &str); 16] = [
        (&[(section(0, 8), 9)], due),
        (&[(section(1, 8), 9)], due),
        (&[(section(2, 8), 9)], due),
        (&[(section(3, 8), 9)], due),
        (&[(section(9, 16), 10)], outside),
        (&[(section(4, 23), 255), (section(4, 24), 255)], outside),
        (
            &[(section(4, 15), 255)],
            "a section of an index file has not the pages that its entries need",
        ),
        (&[(section(5, 0), 9)], "an index lacks its postings, fences or filter"),
        (&[(section(5, 8), 2)], unfit),
        (&[(section(6, 8), 50)], unfit),
        // More keys than entries, with the filter that they would need.
        (&[(section(4, 32), 230), (section(6, 8), 9)], unfit),
        (&[(section(8, 0), 5), (section(8, 1), 0)], "an index file has a section twice"),
        (&[(section(3, 0), 9)], "an index file lacks a section that every one has"),
        (&[(12, 99)], "an index file has too many sections"),
        (&[(32, 9)], "the segments of an index file are not in order"),
        (&[(47, 255), (55, 255)], "the events of an index file are not in order, or too many"),
    ];
    for (number, (changes, what)) in contradictions.into_iter().enumerate() {
        let refused = IndexFile::open(&with_trailer(changes)[..]).expect_err("a contradiction");
        assert_eq!(refused.what, what, "contradiction {number}");
    }
    assert!(IndexFile::open(&with_trailer(&[])[..]).is_ok());
}

#[test]
fn a_fence_that_is_not_the_first_entry_of_its_page_is_an_error() {
    let mut bytes = sample();
    // Offsets, times, frames, mountain and postings come before; one page each.
    bytes[5 * PAGE_BYTES + 8] ^= 1;
    make_checks_match(&mut bytes);
    let found = open(&bytes).postings(IndexKind::Stream, 3, 0..u64::MAX).expect_err("damage");
    assert_eq!(found.what, "a page of postings does not begin as its fence says");
}

#[test]
fn unsorted_postings_are_an_error_and_the_end() {
    let mut bytes = sample();
    // An entry amid those of key 0 gets another key.
    bytes[4 * PAGE_BYTES + 12 * 5 + 7] = 1;
    make_checks_match(&mut bytes);
    let file = open(&bytes);
    let mut found = file.postings(IndexKind::Stream, 0, 0..u64::MAX).expect("found");
    assert!(found.by_ref().any(|sequence| sequence.is_err()));
    assert!(found.next().is_none() && found.next_back().is_none());
}

proptest! {
    #[test]
    fn no_edits_make_a_reader_panic(
        mode in 0_u8..4,
        edits in prop::collection::vec((0_u16..5_000, any::<u8>()), 0..12),
    ) {
        let edits = edits.iter().flat_map(|&(at, byte)| {
            let at = at.to_le_bytes();
            [0, at[1], at[0], byte]
        });
        index_file(&std::iter::once(mode & 2).chain(edits).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        index_file(&bytes);
    }
}
