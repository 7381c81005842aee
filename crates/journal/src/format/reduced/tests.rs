//! What is left of a segment: what is written is read and still verifies, and nothing else is read.

use proptest::prelude::*;

use super::*;
use crate::{
    Digest, StoreId,
    digest::leaf,
    format::{
        fields::array_at,
        record::{self, Parts},
    },
    merkle,
};

const STORE: StoreId = StoreId([7; 16]);

/// A frame of events with payloads of these sizes, and what follows on it.
fn frame(follow: &Follow, payloads: &[usize], annex: &[u8]) -> (Vec<u8>, Follow) {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    let mut leaves = Vec::new();
    for (index, payload_bytes) in payloads.iter().enumerate() {
        let start = bytes.len();
        let payload = vec![index as u8; *payload_bytes];
        let parts = Parts {
            kind: 1,
            payload_version: 1,
            causation: None,
            correlation: None,
            parents: &[],
            extents: &[],
            payload_in_extent: false,
            stream: b"stream",
            scope: b"",
            payload: &payload,
        };
        parts.encode(&mut bytes);
        record::assign_place(&mut bytes[start..], index as u64, start as u32);
        record::seal(&mut bytes[start..], &STORE, follow.sequence + index as u64);
        leaves.push(leaf(&bytes[start + 4..]));
    }
    bytes.extend_from_slice(annex);
    leaves.extend((!annex.is_empty()).then(|| leaf(annex)));
    let mut header = FrameHeader {
        frame_bytes: bytes.len() as u32,
        event_count: payloads.len() as u32,
        base_sequence: follow.sequence,
        frame_number: follow.frame_number,
        time: follow.time + 1,
        durable_end: 0,
        epoch: 1,
        annex_bytes: annex.len() as u32,
        previous: follow.last,
        digest: Digest::ZERO,
    };
    header.encode(&StoreKeys::new(&STORE), &merkle::root(&mut leaves), &mut bytes);
    (bytes, follow.after(&header))
}

fn start() -> Follow {
    Follow { sequence: 40, frame_number: 9, last: Digest([3; 32]), time: 100 }
}

/// The stub of a frame, without the events that are named.
fn stub(bytes: &[u8], dropped: &[bool]) -> Vec<u8> {
    let frame = Frame::decode(bytes).expect("made soundly");
    let fates: Vec<_> = frame
        .records()
        .zip(dropped)
        .map(|((_, record), dropped)| match dropped {
            true => Fate::Dropped(leaf(&record[4..]), 2),
            false => Fate::Kept(record),
        })
        .collect();
    let annex = &bytes[bytes.len() - frame.header.annex_bytes as usize..];
    let mut out = Vec::new();
    Stub::encode(bytes.first_chunk().expect("a header"), &fates, annex, &mut out);
    out
}

fn gap(frames: usize) -> (Vec<u8>, Follow) {
    let mut end = start();
    let mut builder: Option<GapBuilder> = None;
    for number in 0..frames {
        let (bytes, next) = frame(&end, &[number % 7, 3], b"");
        let header = Frame::decode(&bytes).expect("made soundly").header;
        let next_gap = GapBuilder::new(&header, 1);
        match &mut builder {
            None => builder = Some(next_gap),
            Some(builder) => assert_eq!(builder.join(next_gap), None),
        }
        end = next;
    }
    let mut out = Vec::new();
    builder.expect("frames were given").encode(&mut out);
    (out, end)
}

fn item(bytes: &[u8]) -> Item<'_> {
    match step(bytes, 0) {
        Step::Item { item, .. } => item,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stub_verifies_as_the_frame_did_and_gives_what_was_kept() {
    let keys = StoreKeys::new(&STORE);
    let annex = [5, 0, 0, 0, 1, 0, 0, 0, 9];
    for annex in [&annex[..], b""] {
        let (bytes, end) = frame(&start(), &[10, 0, 300, 7, 7], annex);
        for kept in 1..31_u32 {
            let dropped: Vec<_> = (0..5).map(|index| kept >> index & 1 == 0).collect();
            let out = stub(&bytes, &dropped);
            let header = FrameHeader::decode(&array_at(&bytes, 0)).expect("made soundly");
            let item = item(&out);
            let mut scratch = FrameScratch::default();
            assert_eq!(follow(&start(), &item, 2, &keys, &mut scratch), Ok(end));
            assert!(follow(&start(), &item, 1, &keys, &mut scratch).is_err(), "an unlisted reason");
            let Item::Stub(stub) = item else { panic!("a stub") };
            let kept_bytes = Frame::decode(&bytes)
                .expect("made soundly")
                .records()
                .zip(&dropped)
                .map(|((_, record), dropped)| if *dropped { 0 } else { record.len() })
                .sum();
            let count = kept.count_ones() as usize;
            assert_eq!(Stub::bytes_of(&header, count, kept_bytes), out.len());
            for (sequence, is_dropped) in (40..).zip(&dropped) {
                assert_eq!(stub.dropped_around(sequence).is_some(), *is_dropped);
                match locate(&out, sequence) {
                    Ok((range, _)) => {
                        assert!(!is_dropped && record::checks(&out[range], &STORE, sequence));
                    }
                    Err(_) => assert!(is_dropped),
                }
            }
            assert!(locate(&out, 39).is_err() && locate(&out, 45).is_err());
        }
    }
}

#[test]
fn the_range_around_a_dropped_event_ends_where_another_reason_begins() {
    let (bytes, _) = frame(&start(), &[1; 6], b"");
    let frame = Frame::decode(&bytes).expect("made soundly");
    let fates: Vec<_> = frame
        .records()
        .zip([1, 1, 2, 0, 2, 2])
        .map(|((_, record), reduction)| match reduction {
            0 => Fate::Kept(record),
            reduction => Fate::Dropped(leaf(&record[4..]), reduction),
        })
        .collect();
    let mut out = Vec::new();
    Stub::encode(bytes.first_chunk().expect("a header"), &fates, b"", &mut out);
    let Item::Stub(stub) = item(&out) else { panic!("a stub") };
    let around: Vec<_> = (40..46).map(|sequence| stub.dropped_around(sequence)).collect();
    let expected = [
        Some((40..42, 1)),
        Some((40..42, 1)),
        Some((42..43, 2)),
        None,
        Some((44..46, 2)),
        Some((44..46, 2)),
    ];
    assert_eq!(around, expected);
}

#[test]
fn a_gap_leads_from_the_frame_before_it_to_the_one_behind_it() {
    let keys = StoreKeys::new(&STORE);
    for frames in [1, 2, 7, 100] {
        let (bytes, end) = gap(frames);
        let item = item(&bytes);
        let mut scratch = FrameScratch::default();
        assert_eq!(follow(&start(), &item, 1, &keys, &mut scratch), Ok(end));
        let later = Follow { time: end.time + 1, ..start() };
        assert!(follow(&later, &item, 1, &keys, &mut scratch).is_err());
        let other = Follow { sequence: 41, ..start() };
        assert!(follow(&other, &item, 1, &keys, &mut scratch).is_err());
    }
}

#[test]
fn gaps_of_two_reasons_stay_two() {
    let (bytes, end) = gap(3);
    let Item::Gap(gap) = item(&bytes) else { panic!("a gap") };
    let (next, _) = frame(&end, &[1], b"");
    let header = FrameHeader::decode(&array_at(&next, 0)).expect("made soundly");
    let mut builder = GapBuilder::of(&gap, 1);
    let other = GapBuilder::new(&header, 2);
    assert_eq!(builder.join(other.clone()), Some(other));
    assert_eq!(builder.join(GapBuilder::new(&header, 1)), None);
}

#[test]
fn each_flipped_bit_of_what_is_not_a_record_is_noticed() {
    let (bytes, _) = frame(&start(), &[10, 0, 30], &[5, 0, 0, 0, 1, 0, 0, 0, 9]);
    let stub = stub(&bytes, &[false, true, false]);
    let keys = StoreKeys::new(&STORE);
    for whole in [stub, gap(3).0] {
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let mut scratch = FrameScratch::default();
            let sound = match step(&damaged, 0) {
                Step::Item { item, .. } => follow(&start(), &item, 2, &keys, &mut scratch).is_ok(),
                _ => false,
            };
            // The check value of a record is not part of what is hashed: reading looks at it.
            let is_check = locate(&whole, 40).is_ok_and(|(range, _)| {
                let second = locate(&whole, 42).expect("kept").0.start;
                (range.start..range.start + 4).contains(&(bit / 8))
                    || (second..second + 4).contains(&(bit / 8))
            });
            assert!(!sound || is_check, "bit {bit}");
        }
        for bytes in 0..whole.len() {
            assert!(matches!(step(&whole[..bytes], 0), Step::Needs(more) if more > bytes));
        }
    }
}

#[test]
fn reasons_are_read_as_they_were_written_and_in_no_other_way() {
    let reductions = |count: usize| -> Vec<Reduction> {
        (0..count)
            .map(|index| Reduction { time: index as u64, reason: "år".repeat(index % 80) })
            .collect()
    };
    for count in [1, 2, 3, REDUCTIONS_MAX] {
        let mut bytes = Vec::new();
        put_reductions(&reductions(count), &mut bytes);
        let length = bytes.len();
        bytes.extend([1, 2, 3]);
        assert_eq!(take_reductions(&bytes), Ok((reductions(count), length)));
        for bit in 0..length.min(400) * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(take_reductions(&damaged).is_err(), "bit {bit}");
        }
        for short in 0..length {
            assert!(take_reductions(&bytes[..short]).is_err());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzzing::reduced(&bytes);
    }

    #[test]
    fn any_change_of_a_valid_one_is_judged(
        which in 0_u8..3,
        edits in proptest::collection::vec((0_usize..400, any::<u8>()), 1..4),
    ) {
        let (bytes, _) = frame(&start(), &[10, 0, 30], b"");
        let mut list = Vec::new();
        put_reductions(&[Reduction { time: 1, reason: "x".repeat(200) }], &mut list);
        let mut whole = vec![which];
        whole.extend(match which {
            0 => list,
            1 => gap(9).0,
            _ => stub(&bytes, &[true, false, false]),
        });
        for (at, byte) in edits {
            let at = 1 + at % (whole.len() - 1);
            whole[at] = byte;
        }
        fuzzing::reduced(&whole);
        fuzzing::reduced(&whole[1..]);
    }
}

#[test]
fn the_bytes_of_known_items_stay_the_same() {
    let (bytes, _) = frame(&start(), &[10, 0, 30], b"");
    let mut whole = stub(&bytes, &[false, true, false]);
    whole.extend(gap(3).0);
    put_reductions(&[Reduction { time: 1, reason: "old".into() }], &mut whole);
    assert_eq!(
        blake3::hash(&whole).to_hex().as_str(),
        "95a91c078b2b7edc31eb450633262aebc6a733115cdba510ed88c5e580a0a9b6"
    );
}
