//! Manifests: what is written is read, whatever is read is consistent, and nothing else is read.

use proptest::prelude::*;

use super::*;
use crate::{Digest, format::segment_header::SEGMENT_ID_END};

fn digest(seed: u64) -> Digest {
    Digest(*blake3::hash(&seed.to_le_bytes()).as_bytes())
}

/// One with everything in it: a gap, a reduced, an empty and an active segment.
fn whole() -> Manifest {
    let segment = |id, first: u64, end: u64| ChainSegment {
        id,
        state: SegmentState::Closed,
        is_reduced: id == 3,
        first_sequence: first * 10,
        end_sequence: end * 10,
        first_frame: first,
        end_frame: end,
        bytes: 8192,
        first_time: 1000 + first,
        last_time: 1000 + end,
        previous: digest(first),
        last: digest(end),
    };
    let active = ChainSegment { state: SegmentState::Active, bytes: 0, ..segment(9, 9, 9) };
    Manifest {
        number: 17,
        store_id: StoreId([1; 16]),
        lineage: Some(Lineage { parent: StoreId([2; 16]), end_sequence: 7, last: digest(7) }),
        secret: Secret([3; 32]),
        created: 1_700_000_000_000_000_000,
        indexes: 0b1011,
        owner: "a store".into(),
        epoch: 5,
        is_clean: false,
        next_segment: 15,
        pending: vec![11, 10],
        kinds: vec![(7, "payment".into()), (3, "refund".into())],
        chain: vec![segment(3, 0, 2), segment(4, 2, 2), segment(5, 4, 9), active],
        data: vec![
            DataSegment { id: 1, session: 4, bytes: 4096, is_sealed: true, replaced_by: vec![2] },
            DataSegment { id: 2, session: 0, bytes: 9, is_sealed: false, replaced_by: vec![] },
        ],
        gaps: vec![Gap {
            first_sequence: 20,
            end_sequence: 40,
            first_frame: 2,
            end_frame: 4,
            last: digest(4),
            time: 9,
            reason: "older than a year".into(),
        }],
        sessions: vec![Session { id: 4, epoch: 5, begun_sequence: 21 }],
        retired: vec![
            Retired { id: 13, replaced_by: 3, number: 16, bytes: 9000, digest: digest(13) },
            Retired { id: 1, replaced_by: 0, number: 17, bytes: 4096, digest: digest(1) },
        ],
    }
}

fn encoded(manifest: &Manifest) -> Vec<u8> {
    manifest.encode().expect("it is consistent")
}

/// Parts of a chain: how many frames, events per frame, and what it is.
fn parts() -> impl Strategy<Value = Vec<(u64, u64, u8)>> {
    proptest::collection::vec((0..4u64, 1..4u64, 0..4u8), 0..12)
}

/// A chain of these parts.
fn chained(parts: &[(u64, u64, u8)], mut manifest: Manifest) -> Manifest {
    (manifest.chain, manifest.gaps, manifest.data) = (vec![], vec![], vec![]);
    (manifest.pending, manifest.retired) = (vec![], vec![]);
    let (mut sequence, mut frame) = (0, 0);
    for (index, (frames, events, what)) in parts.iter().enumerate() {
        let (end_sequence, end_frame) = (sequence + frames * events, frame + frames);
        let last = digest(end_frame);
        if *what == 0 && *frames > 0 {
            let (time, reason) = (index as u64, "x".repeat(index));
            manifest.gaps.push(Gap {
                first_sequence: sequence,
                end_sequence,
                first_frame: frame,
                end_frame,
                last,
                time,
                reason,
            });
        } else {
            let is_active = *what == 1 && index + 1 == parts.len();
            manifest.chain.push(ChainSegment {
                id: 100 - index as u32,
                state: if is_active { SegmentState::Active } else { SegmentState::Closed },
                is_reduced: *what == 2,
                first_sequence: sequence,
                end_sequence,
                first_frame: frame,
                end_frame,
                bytes: if is_active { 0 } else { 4096 },
                first_time: frame,
                last_time: end_frame,
                previous: digest(frame),
                last,
            });
        }
        (sequence, frame) = (end_sequence, end_frame);
    }
    manifest.next_segment = 101;
    manifest
}

proptest! {
    #[test]
    fn any_chain_without_holes_is_written_and_read(
        parts in parts(),
        number: u64,
        secret: [u8; 32],
        is_clean: bool,
        owner in "[a-zå]{0,20}",
    ) {
        let secret = Secret(secret);
        let manifest = Manifest { number, secret, is_clean, owner, ..whole() };
        let manifest = chained(&parts, manifest);
        let file = manifest.encode();
        prop_assert_eq!(file.clone().map(|file| Manifest::decode(&file)), Ok(Ok(manifest)));
    }

    #[test]
    fn any_part_missing_or_moved_makes_a_hole(parts in parts(), at: prop::sample::Index) {
        let manifest = chained(&parts, whole());
        let end = manifest.chain.iter().map(|segment| segment.end_frame);
        let end = end.chain(manifest.gaps.iter().map(|gap| gap.end_frame)).max();
        if !manifest.gaps.is_empty() {
            let mut without = manifest.clone();
            let gap = without.gaps.remove(at.index(manifest.gaps.len()));
            // Without its last part a chain ends earlier, that is all.
            prop_assert!(without.check().is_err() || Some(gap.end_frame) == end);
        }
        if !manifest.chain.is_empty() {
            let at = at.index(manifest.chain.len());
            let mut without = manifest.clone();
            let segment = without.chain.remove(at);
            let is_empty = segment.first_frame == segment.end_frame;
            let is_last = Some(segment.end_frame) == end;
            prop_assert!(without.check().is_err() || is_empty || is_last);
            let mut moved = manifest;
            moved.chain[at].first_frame += 1;
            moved.chain[at].end_frame += 1;
            prop_assert!(moved.check().is_err());
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzzing::manifest(&bytes);
    }

    #[test]
    fn any_change_of_a_valid_one_is_judged(at: prop::sample::Index, byte: u8, cut: bool) {
        let mut file = encoded(&whole());
        let at = at.index(file.len());
        file[at] = byte;
        file.truncate(if cut { at } else { file.len() });
        fuzzing::manifest(&file);
    }
}

#[test]
fn what_is_written_is_read_and_writes_the_same_bytes() {
    let file = encoded(&whole());
    let manifest = Manifest::decode(&file).expect("as written");
    assert_eq!(manifest, whole());
    assert_eq!(encoded(&manifest), file);
}

#[test]
fn each_flipped_bit_and_each_cut_is_refused() {
    let file = encoded(&whole());
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::decode(&damaged).is_err(), "bit {bit}");
    }
    for bytes in 0..file.len() {
        assert!(Manifest::decode(&file[..bytes]).is_err(), "{bytes} bytes");
    }
}

#[test]
fn the_bytes_of_a_known_manifest_stay_the_same() {
    let digest = blake3::hash(&encoded(&whole())).to_hex();
    assert_eq!(digest.as_str(), "468d448dc1c7d125986322c52195998b77235ad5d9c9776010886aaec6c62d88");
}

#[test]
fn a_manifest_never_shows_its_secret() {
    assert!(!format!("{:?}", whole()).contains("3, 3"));
}

#[test]
fn what_does_not_fit_together_is_neither_written_nor_read() {
    type Spoil = (&'static str, fn(&mut Manifest));
    let cases: &[Spoil] = &[
        ("next id 0", |m| m.next_segment = 0),
        ("next id too large", |m| m.next_segment = SEGMENT_ID_END + 1),
        ("id not given out", |m| m.chain[0].id = 15),
        ("id 0", |m| m.data[0].id = 0),
        ("one id twice", |m| m.data[1].id = 3),
        ("pending and there", |m| m.pending[0] = 5),
        ("replaced by itself", |m| m.data[0].replaced_by = vec![1]),
        ("replaced by what is not given out", |m| m.data[0].replaced_by = vec![15]),
        ("replaced by one twice", |m| m.data[0].replaced_by = vec![2, 2]),
        ("replaced by too many", |m| {
            m.next_segment = 1000;
            m.data[0].replaced_by = (100..165).collect();
        }),
        ("retired and there", |m| m.retired[0].id = 4),
        ("retired and pending", |m| m.retired[0].id = 10),
        ("retired twice", |m| m.retired.push(m.retired[0])),
        ("retired and not given out", |m| m.retired[0].id = 15),
        ("retired for what is not given out", |m| m.retired[0].replaced_by = 15),
        ("retired for itself", |m| m.retired[0].replaced_by = 13),
        ("retired data that never was", |m| m.retired[1].id = 14),
        ("retired in times to come", |m| m.retired[0].number = 18),
        ("no start", |m| m.chain[0].first_sequence = 1),
        ("no gap", |m| m.gaps.clear()),
        ("gap too short", |m| m.gaps[0].end_sequence = 39),
        ("gap twice", |m| m.gaps.push(m.gaps[0].clone())),
        ("gap over a segment", |m| {
            let gap = &m.gaps[0];
            m.gaps.push(Gap {
                first_frame: 4,
                first_sequence: 40,
                end_frame: 9,
                end_sequence: 90,
                ..gap.clone()
            });
        }),
        ("gap backwards", |m| m.gaps[0].end_frame = 1),
        ("gap of nothing", |m| {
            let gap = &m.gaps[0];
            let empty = Gap { end_frame: 2, end_sequence: 20, ..gap.clone() };
            m.gaps.insert(0, empty);
        }),
        ("frames without events", |m| m.chain[0].end_sequence = 1),
        ("segment backwards", |m| m.chain[2].end_sequence = 39),
        ("other digest", |m| m.chain[2].previous = digest(99)),
        ("other digest after a gap", |m| m.gaps[0].last = digest(99)),
        ("empty with a last frame", |m| m.chain[1].last = digest(99)),
        ("active in the middle", |m| m.chain[2].state = SegmentState::Active),
        ("active with an end", |m| m.chain[3].bytes = 1),
        ("times decrease inside", |m| m.chain[2].last_time = 1),
        ("times decrease between", |m| m.chain[2].first_time = 1),
        ("kind twice", |m| m.kinds[0].0 = 3),
        ("kind's name twice", |m| m.kinds[0].1 = "refund".into()),
        ("kind without a name", |m| m.kinds[0].1.clear()),
        ("kind's name too long", |m| m.kinds[0].1 = "x".repeat(65)),
        ("owner's name too long", |m| m.owner = "x".repeat(65)),
        ("reason too long", |m| m.gaps[0].reason = "x".repeat(257)),
        ("session 0", |m| m.sessions[0].id = 0),
        ("session twice", |m| m.sessions.push(m.sessions[0])),
        ("session of an epoch to come", |m| m.sessions[0].epoch = 6),
        ("too many sessions", |m| {
            let session = |id| Session { id, epoch: 1, begun_sequence: id };
            m.sessions = (1..=1025).map(session).collect();
        }),
        ("too many pending", |m| {
            m.next_segment = 5000;
            m.pending = (100..1125).collect();
        }),
        ("too many kinds", |m| {
            m.kinds = (0..4097).map(|kind| (kind, format!("k{kind}"))).collect()
        }),
    ];
    for (name, spoil) in cases {
        let mut manifest = whole();
        spoil(&mut manifest);
        assert!(manifest.check().is_err(), "{name}");
        assert!(manifest.encode().is_err(), "{name}");
    }
}

#[test]
fn the_largest_lists_are_written_and_read() {
    let mut manifest = whole();
    manifest.next_segment = SEGMENT_ID_END;
    manifest.pending = (100..1124).collect();
    manifest.kinds = (0..4096).map(|kind| (kind, format!("{kind:064}"))).collect();
    manifest.data[0].replaced_by = (100..164).collect();
    manifest.gaps[0].reason = "x".repeat(256);
    manifest.owner = "x".repeat(64);
    assert_eq!(Manifest::decode(&encoded(&manifest)), Ok(manifest));
}

#[test]
fn segments_are_bounded_chain_and_data_together() {
    let data = |id| DataSegment { id, session: 0, bytes: 0, is_sealed: true, replaced_by: vec![] };
    let mut manifest = chained(&[], whole());
    manifest.next_segment = SEGMENT_ID_END;
    manifest.data = (1..=SEGMENTS_MAX as u32).map(data).collect();
    assert_eq!(Manifest::decode(&encoded(&manifest)).as_ref(), Ok(&manifest));
    manifest.data.push(data(SEGMENTS_MAX as u32 + 1));
    assert!(manifest.encode().is_err());
}
