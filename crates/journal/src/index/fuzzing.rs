//! Every question to any file: what a fuzzer runs, and what tests build upon.
//!
//! The input is edits of a sound file, or a file. Checks can be made to match again, so that what
//! lies behind them is reached. Then the questions must be answered or refused, without a panic, in
//! bounded time, and forward and backward alike.

use std::{convert::Infallible, ops::Deref, sync::OnceLock};

use super::{
    Covers, IndexFile, IndexKind, Marks, Postings, encode, merge,
    page::{self, PAGE_BYTES},
    trailer::{self, Trailer},
};

/// The first byte of the input: a whole file follows, not edits.
const WHOLE_FILE: u8 = 1;

/// The first byte of the input: checks are made to match.
const MAKE_CHECKS_MATCH: u8 = 2;

/// Answers that are looked at, of each question.
const ANSWERS_MAX: usize = 4096;

/// Events of each frame of a sample.
const FRAME_EVENTS: u64 = 3;

/// Time of an event of a sample.
pub(super) fn sample_time(sequence: u64) -> u64 {
    1_000 + sequence / FRAME_EVENTS * 10
}

/// Key of an event of a sample in an index.
pub(super) fn sample_key(kind: IndexKind, sequence: u64) -> u64 {
    match kind {
        IndexKind::Kind => 0,
        IndexKind::Stream => sequence % 7,
        kind => (sequence / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind as u64,
    }
}

/// The digest that a node of a sample has.
pub(super) fn sample_node(level: u8, index: u64) -> [u8; 32] {
    let mut node = [level; 32];
    node[..8].copy_from_slice(&index.to_le_bytes());
    node
}

/// A made-up range of events: event `sequence` has the keys, time and place that follow from its
/// number. Frames have three events.
pub(super) struct Sample {
    pub(super) covers: Covers,
    pub(super) marks: Marks,
}

impl Sample {
    /// The frames `first..end`, in the segments `segments`.
    pub(super) fn new(first: u64, end: u64, segments: (u32, u32)) -> Self {
        let first_time = sample_time(FRAME_EVENTS * first);
        let covers = Covers {
            store_id: *b"store of samples",
            first_segment: segments.0,
            last_segment: segments.1,
            first_sequence: FRAME_EVENTS * first,
            end_sequence: FRAME_EVENTS * end,
            first_frame: first,
            end_frame: end,
            last_digest: sample_node(u8::MAX, end),
            first_time,
            last_time: sample_time((FRAME_EVENTS * end).saturating_sub(1)).max(first_time),
        };
        let mut marks = Marks::default();
        for frame in first..end {
            let offset = |sequence| 4096 + (100 * (sequence - covers.first_sequence)) as u32;
            let sequence = FRAME_EVENTS * frame;
            marks.frame(frame, sequence, offset(sequence));
            for sequence in sequence..sequence + FRAME_EVENTS {
                marks.event(sequence, sample_time(sequence), offset(sequence) + 128);
            }
            for level in 0..=(frame + 1).trailing_zeros() {
                marks.node(level as u8, sample_node(level as u8, frame >> level));
            }
        }
        Self { covers, marks }
    }

    /// One index of the range.
    pub(super) fn postings(&self, kind: IndexKind) -> Postings {
        let mut postings = Postings::new(self.covers.first_sequence);
        for sequence in self.covers.first_sequence..self.covers.end_sequence {
            postings.push(sample_key(kind, sequence), sequence);
        }
        postings
    }

    /// The file of the range.
    pub(super) fn file(&self, kinds: &[IndexKind]) -> Vec<u8> {
        let sorted = |&kind| (kind, self.postings(kind).sorted());
        let indexes: Vec<_> = kinds.iter().map(sorted).collect();
        let mut bytes = Vec::new();
        let written = encode(&self.covers, &self.marks, &indexes, &mut |page| {
            bytes.extend_from_slice(page);
            Ok::<(), Infallible>(())
        });
        written.expect("infallible");
        bytes
    }
}

/// Asks a file everything about some events, frames and keys, and wants no panic.
fn ask<B: Deref<Target = [u8]>>(file: &IndexFile<B>) {
    let covers = *file.covers();
    let middle = covers.first_sequence.midpoint(covers.end_sequence);
    for sequence in [0, covers.first_sequence, middle, covers.end_sequence, u64::MAX] {
        let _ = file.offset(sequence);
        let _ = file.sequence_at_time(sample_time(sequence.min(1 << 40)));
    }
    for frame in [0, covers.first_frame, covers.end_frame / 2, covers.end_frame, u64::MAX] {
        let _ = file.frame_at_or_before(frame);
        for level in [0, 5, 6, 7, 9, 63, 64, u8::MAX] {
            let _ = file.mountain_node(level, frame >> (level % 64));
        }
    }
    for kind in IndexKind::ALL.into_iter().filter(|&kind| file.has(kind)) {
        for key in
            [0, 3, u64::MAX, sample_key(kind, covers.first_sequence), sample_key(kind, middle)]
        {
            let _ = file.may_contain(kind, key);
            let Ok(found) = file.postings(kind, key, 0..u64::MAX) else { continue };
            let left = found.left();
            let forward: Result<Vec<u64>, _> = found.take(ANSWERS_MAX).collect();
            let backward = file.postings(kind, key, 0..u64::MAX).expect("as before");
            let backward: Result<Vec<u64>, _> = backward.rev().take(ANSWERS_MAX).collect();
            if let (Ok(forward), Ok(mut backward), true) =
                (forward, backward, left <= ANSWERS_MAX as u64)
            {
                backward.reverse();
                assert_eq!(forward, backward);
                assert_eq!(forward.len() as u64, left);
            }
        }
    }
    let mut pages = 0;
    let merged = merge(&[file], &mut |page| {
        assert_eq!(page.len(), PAGE_BYTES);
        pages += 1;
        Ok::<(), Infallible>(())
    });
    assert!(merged.is_err() || pages > 0);
}

/// Makes every check of a file match, as far as its trailer makes sense.
pub(super) fn make_checks_match(bytes: &mut [u8]) {
    let file_bytes = bytes.len() as u64;
    let Some((pages, last)) = bytes.split_last_chunk_mut::<PAGE_BYTES>() else { return };
    trailer::seal(last);
    if let Ok(trailer) = Trailer::decode(last, file_bytes) {
        page::make_checks_match(pages, &trailer.covers);
    }
}

/// Makes a file of `input` and asks it everything.
pub fn index_file(input: &[u8]) {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let Some((&mode, input)) = input.split_first() else { return };
    let mut bytes = if mode & WHOLE_FILE != 0 {
        input.to_vec()
    } else {
        let kinds = [IndexKind::Stream, IndexKind::Kind, IndexKind::Correlation];
        let sound = SOUND.get_or_init(|| Sample::new(60, 260, (3, 3)).file(&kinds));
        let mut bytes = sound.clone();
        for edit in input.as_chunks::<4>().0 {
            let at = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
            // Counted from the end: the trailer is what is worth most edits.
            let at = bytes.len() - 1 - at % bytes.len();
            bytes[at] = edit[3];
        }
        bytes
    };
    if mode & MAKE_CHECKS_MATCH != 0 {
        make_checks_match(&mut bytes);
    }
    if let Ok(file) = IndexFile::open(&bytes[..]) {
        ask(&file);
    }
}
