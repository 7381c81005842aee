//! What the parts promise together, on made-up ranges of events.

mod damage;
mod lookups;
mod memory;
mod merging;
mod numbers;

use std::convert::Infallible;

use super::{Covers, IndexFile, IndexKind, Marks, Posting, Postings, encode, fuzzing::Sample};

/// Writes a file of postings alone, one time and frame mark where they are due.
fn file_of(first_sequence: u64, events: u64, postings: &[(IndexKind, &[Posting])]) -> Vec<u8> {
    let covers = Covers {
        store_id: [7; 16],
        first_segment: 5,
        last_segment: 5,
        first_sequence,
        end_sequence: first_sequence + events,
        first_frame: first_sequence,
        end_frame: first_sequence + events,
        last_digest: [9; 32],
        first_time: first_sequence,
        last_time: first_sequence + events,
    };
    let mut marks = Marks::default();
    for sequence in first_sequence..first_sequence + events {
        marks.event(sequence, sequence, (sequence - first_sequence) as u32);
        marks.frame(sequence, sequence, (sequence - first_sequence) as u32);
        for level in 0..=(sequence + 1).trailing_zeros() {
            marks.node(level as u8, [level as u8; 32]);
        }
    }
    let indexes: Vec<_> = postings
        .iter()
        .map(|&(kind, postings)| {
            let mut sorted = postings.to_vec();
            sorted.sort_by_key(|posting| posting.sequence);
            let mut index = Postings::new(first_sequence);
            sorted.iter().for_each(|posting| index.push(posting.key, posting.sequence));
            (kind, index.sorted())
        })
        .collect();
    let mut bytes = Vec::new();
    let written = encode(&covers, &marks, &indexes, &mut |page| {
        bytes.extend_from_slice(page);
        Ok::<(), Infallible>(())
    });
    written.expect("infallible");
    bytes
}

fn open(bytes: &[u8]) -> IndexFile<&[u8]> {
    IndexFile::open(bytes).expect("sound")
}

#[test]
fn kinds_keep_their_numbers() {
    for (number, kind) in (0..).zip(IndexKind::ALL) {
        assert_eq!(kind as u8, number);
        assert_eq!(IndexKind::from_byte(number), Some(kind));
    }
    assert_eq!(IndexKind::from_byte(7), None);
}

#[test]
fn the_file_of_a_sample_stays_as_it_was() {
    // The bytes of the format: a change here needs a new version.
    let bytes = Sample::new(60, 260, (3, 3)).file(&IndexKind::ALL);
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "072a91524829e5f8514b7c3ff39680fcbe36d1ad32f6efb6f564ae1320efbd3c"
    );
}
