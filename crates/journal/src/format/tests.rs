//! Records, frames, marks and the walk through them: what was made is read, what was changed is not.

use proptest::prelude::*;

use crate::{
    Digest, Extent, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        annex::{Annex, put_gates, put_idempotency},
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameScratch},
        fuzzing::frames,
        mark::HeadMark,
        record::{self, Ancestry, Parts, Record},
        walk::{Follow, Step, align, step},
    },
    keys::IndexKeys,
    merkle,
};

const STORE: StoreId = StoreId([7; 16]);

#[derive(Debug, Clone)]
struct Content {
    kind: u16,
    causation: Option<u64>,
    correlation: Option<u128>,
    parents: Vec<u64>,
    extents: Vec<Extent>,
    stream: Vec<u8>,
    scope: Vec<u8>,
    payload: Vec<u8>,
}

impl Content {
    fn parts(&self) -> Parts<'_> {
        Parts {
            kind: self.kind,
            payload_version: 3,
            causation: self.causation,
            correlation: self.correlation,
            parents: &self.parents,
            extents: &self.extents,
            payload_in_extent: false,
            stream: &self.stream,
            scope: &self.scope,
            payload: &self.payload,
        }
    }
}

prop_compose! {
    fn content()(
        kind: u16,
        causation in proptest::option::of(0..1u64 << 40),
        correlation: Option<u128>,
        parents in proptest::collection::vec(0..1u64 << 40, 0..4),
        places in proptest::collection::vec((1u32..9, 0u64..1 << 40), 0..3),
        stream in proptest::collection::vec(any::<u8>(), 1..40),
        scope in proptest::collection::vec(any::<u8>(), 0..20),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) -> Content {
        let extents = places
            .into_iter()
            .map(|(segment, offset)| Extent { segment, offset, bytes: 9, digest: Digest([5; 32]) })
            .collect();
        Content { kind, causation, correlation, parents, extents, stream, scope, payload }
    }
}

/// A frame of these events, as the writer makes one.
fn make(contents: &[Content], follow: &Follow, annex: &[u8]) -> (Vec<u8>, Follow) {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    let mut leaves = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let start = bytes.len();
        content.parts().encode(&mut bytes);
        let record = &mut bytes[start..];
        if !content.parents.is_empty() {
            let ancestry = Ancestry { depth: 4, jump: 2, jump_depth: 1, is_tree: true };
            record::assign_ancestry(record, &ancestry);
        }
        record::assign_place(record, index as u64, start as u32);
        record::seal(record, &STORE, follow.sequence + index as u64);
        leaves.push(crate::digest::leaf(&record[4..]));
    }
    bytes.extend_from_slice(annex);
    if !annex.is_empty() {
        leaves.push(crate::digest::leaf(annex));
    }
    let mut header = FrameHeader {
        frame_bytes: bytes.len() as u32,
        event_count: contents.len() as u32,
        base_sequence: follow.sequence,
        frame_number: follow.frame_number,
        time: follow.time + 5,
        durable_end: follow.sequence,
        epoch: 1,
        annex_bytes: annex.len() as u32,
        previous: follow.last,
        digest: Digest::ZERO,
    };
    header.encode(&StoreKeys::new(&STORE), &merkle::root(&mut leaves), &mut bytes);
    (bytes, follow.after(&header))
}

fn start() -> Follow {
    Follow { sequence: 0, frame_number: 0, last: StoreKeys::new(&STORE).genesis(), time: 0 }
}

fn accepts(bytes: &[u8], follow: &Follow) -> bool {
    let keys = StoreKeys::new(&STORE);
    Frame::decode(bytes).is_ok_and(|frame| {
        follow.accept(&frame, &keys, &mut FrameScratch::default()).is_ok()
            && frame.records().enumerate().all(|(index, (_, record))| {
                record::checks(record, &STORE, follow.sequence + index as u64)
            })
    })
}

proptest! {
    #[test]
    fn a_record_has_all_that_was_put_in_and_no_cut_of_it_is_one(content in content()) {
        let mut bytes = Vec::new();
        content.parts().encode(&mut bytes);
        let record = Record::decode(&bytes).expect("made soundly");
        prop_assert_eq!(record.kind, content.kind);
        prop_assert_eq!(record.payload_version, 3);
        prop_assert_eq!(record.causation, content.causation);
        prop_assert_eq!(record.correlation, content.correlation);
        prop_assert_eq!(record.parents().collect::<Vec<_>>(), content.parents);
        prop_assert_eq!(record.extents().collect::<Vec<_>>(), content.extents);
        prop_assert_eq!(record.stream, &content.stream[..]);
        prop_assert_eq!(record::stream(&bytes), &content.stream[..]);
        prop_assert_eq!(record.scope, &content.scope[..]);
        prop_assert_eq!(record.payload, &content.payload[..]);
        for end in 0..bytes.len() {
            prop_assert!(Record::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn a_frame_with_any_bit_changed_is_refused(
        contents in proptest::collection::vec(content(), 1..4),
        with_annex: bool,
    ) {
        let mut annex = Vec::new();
        if with_annex {
            put_idempotency(&mut annex, &Digest([9; 32]), b"key");
            put_gates(&mut annex, &["one".into(), "two".into()]);
        }
        let (frame, _) = make(&contents, &start(), &annex);
        prop_assert!(accepts(&frame, &start()));
        for bit in 0..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!accepts(&changed, &start()), "bit {} of byte {}", bit % 8, bit / 8);
        }
    }

    #[test]
    fn a_step_needs_what_is_missing_and_is_the_same_for_any_chunking(
        contents in proptest::collection::vec(content(), 1..3),
    ) {
        let (mut bytes, _) = make(&contents, &start(), &[]);
        let frame_bytes = bytes.len();
        bytes.extend_from_slice(&[0xa5; 100]);
        for end in 0..bytes.len() {
            match step(&bytes[..end], BLOCK_BYTES) {
                Step::Needs(needs) => {
                    prop_assert!(end < frame_bytes, "{end} bytes are enough");
                    prop_assert!(needs > end && needs <= frame_bytes);
                }
                Step::Frame { frame, next } => {
                    prop_assert!(end >= frame_bytes);
                    prop_assert_eq!(frame.bytes.len(), frame_bytes);
                    let next_frame = align(BLOCK_BYTES + frame_bytes as u64, FRAME_ALIGNMENT);
                    prop_assert_eq!(next, next_frame);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn any_bytes_are_walked_through(mut bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
        frames(&bytes);
        // With magics strewn in, more than the first look is tried.
        for at in (0..bytes.len().saturating_sub(4)).step_by(264) {
            let magic = if at % 3 == 0 { b"ICEM" } else { b"ICEF" };
            bytes[at..at + 4].copy_from_slice(magic);
        }
        frames(&bytes);
    }
}

fn small(number: u8) -> Content {
    Content {
        kind: 1,
        causation: None,
        correlation: None,
        parents: Vec::new(),
        extents: Vec::new(),
        stream: vec![b's', number],
        scope: Vec::new(),
        payload: vec![number; 20],
    }
}

#[test]
fn only_the_frame_that_belongs_there_follows() {
    let (first, second_place) = make(&[small(1)], &start(), &[]);
    let (second, third_place) = make(&[small(2), small(3)], &second_place, &[]);
    assert!(accepts(&first, &start()) && accepts(&second, &second_place));
    assert!(!accepts(&second, &start()), "the first is missing");
    assert!(!accepts(&first, &second_place), "it was there before");
    let other_last = Follow { last: Digest([1; 32]), ..second_place };
    assert!(!accepts(&second, &other_last), "it follows on another");
    let later = Follow { time: third_place.time + 1, ..second_place };
    assert!(!accepts(&second, &later), "it is older");
    let others = StoreKeys::new(&StoreId([8; 16]));
    let frame = Frame::decode(&first).expect("a frame");
    assert!(!frame.is_authentic(&others, &mut FrameScratch::default()), "it is another store's");
}

#[test]
fn a_record_checks_for_its_own_store_and_sequence_alone() {
    let (frame, _) = make(&[small(1), small(1)], &start(), &[]);
    let frame = Frame::decode(&frame).expect("a frame");
    let records: Vec<_> = frame.records().map(|(_, record)| record).collect();
    for sequence in 0..100 {
        assert_eq!(record::checks(records[0], &STORE, sequence), sequence == 0);
        assert_eq!(record::checks(records[1], &STORE, sequence), sequence == 1);
    }
    assert!(!record::checks(records[0], &StoreId([8; 16]), 0));
}

#[test]
fn an_annex_says_which_request_and_which_gates_and_steps_over_what_it_does_not_know() {
    let mut annex = vec![77, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3];
    put_idempotency(&mut annex, &Digest([9; 32]), b"key");
    put_gates(&mut annex, &["one".into(), "two".into()]);
    let read = Annex::decode(&annex).expect("sound");
    assert_eq!(read.idempotency, Some((Digest([9; 32]), &b"key"[..])));
    assert_eq!(read.gates(), ["one", "two"]);
    for end in 0..annex.len() {
        // Between two entries a cut leaves an annex; the frame's digest knows better.
        let is_between = [0, 11, 11 + 8 + 35].contains(&end);
        assert_eq!(Annex::decode(&annex[..end]).is_ok(), is_between, "{end}");
    }
}

#[test]
fn a_head_mark_with_any_bit_changed_is_none() {
    let mark = HeadMark {
        epoch: 1,
        durable_end: 2,
        frame_count: 3,
        last: Digest([4; 32]),
        time: 5,
        is_clean_close: true,
        seal: [0; 16],
    };
    let keys = IndexKeys::new([6; 32]);
    let block = mark.encode(&keys);
    let read = HeadMark::decode(&block).expect("just made");
    assert_eq!(HeadMark { seal: [0; 16], ..read }, mark);
    assert!(read.is_genuine(&keys) && !read.is_genuine(&IndexKeys::new([7; 32])));
    assert!(!HeadMark { durable_end: 9, ..read }.is_genuine(&keys));
    for bit in 32..block.len() * 8 {
        let mut changed = block;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(HeadMark::decode(&changed).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
    }
}

#[test]
fn padding_goes_to_the_next_block_and_marks_lie_at_blocks() {
    let zeros = [0; 64];
    for (offset, next) in [(4096, 8192), (4104, 8192), (8184, 8192)] {
        assert!(matches!(step(&zeros, offset), Step::Padding { next: at } if at == next));
    }
    let mark = HeadMark {
        epoch: 1,
        durable_end: 0,
        frame_count: 0,
        last: Digest::ZERO,
        time: 0,
        is_clean_close: false,
        seal: [0; 16],
    };
    let block = mark.encode(&IndexKeys::new([6; 32]));
    assert!(matches!(step(&block, 4096), Step::Mark { next: 8192, .. }));
    assert!(matches!(step(&block, 4104), Step::Bad(_)));
    assert!(matches!(step(&block[..4000], 4096), Step::Needs(4096)));
}
