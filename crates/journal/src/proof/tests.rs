//! Proofs against histories made here: every place shows, every change fails.

use proptest::prelude::*;

use super::*;
use crate::{
    digest::{Digest, StoreId, StoreKeys, leaf},
    format::{
        annex,
        fields::array_at,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader},
        record::{self, Parts},
    },
    head::Head,
    merkle::{self, MerklePath},
    mountain::{
        NodeSource,
        tests::{Nodes, frame},
    },
    receipt::Receipt,
};

const STORE_ID: StoreId = StoreId([7; 16]);

/// A history in memory.
struct History {
    keys: StoreKeys,
    nodes: Nodes,
    frames: Vec<Vec<u8>>,
    /// The head after each number of frames.
    heads: Vec<Head>,
}

impl History {
    fn new() -> Self {
        let keys = StoreKeys::new(&STORE_ID);
        let head = Head {
            store_id: STORE_ID,
            frame_count: 0,
            end_sequence: 0,
            time: 0,
            last: keys.genesis(),
            mountain_root: Digest::ZERO,
        };
        Self { keys, nodes: Nodes::new(), frames: Vec::new(), heads: vec![head] }
    }

    /// Frames of 1, 2, 3, ... events; every other one has an annex.
    fn of_frames(count: u64) -> Self {
        let mut history = Self::new();
        for number in 0..count {
            history.add(number + 1, number % 2 == 1);
        }
        history
    }

    fn head(&self) -> &Head {
        self.heads.last().expect("there is one for no frames")
    }

    fn add(&mut self, event_count: u64, has_annex: bool) {
        let before = *self.head();
        let mut bytes = vec![0; FRAME_HEADER_BYTES];
        let mut leaves = Vec::new();
        for index in 0..event_count {
            let start = bytes.len();
            let sequence = before.end_sequence + index;
            let payload = vec![sequence as u8; sequence as usize % 90];
            let parts = Parts {
                kind: 3,
                payload_version: 1,
                causation: sequence.checked_sub(1),
                correlation: None,
                parents: &[],
                extents: &[],
                payload_in_extent: false,
                stream: b"stream",
                scope: b"",
                payload: &payload,
            };
            parts.encode(&mut bytes);
            record::assign_place(&mut bytes[start..], sequence * 2, start as u32);
            record::seal(&mut bytes[start..], &STORE_ID, sequence);
            leaves.push(leaf(&bytes[start + 4..]));
        }
        let records_end = bytes.len();
        if has_annex {
            annex::put_idempotency(&mut bytes, &leaf(b"request"), b"key");
            leaves.push(leaf(&bytes[records_end..]));
        }
        let mut header = FrameHeader {
            frame_bytes: bytes.len() as u32,
            event_count: event_count as u32,
            base_sequence: before.end_sequence,
            frame_number: before.frame_count,
            time: before.time + 10,
            durable_end: 0,
            epoch: 1,
            annex_bytes: (bytes.len() - records_end) as u32,
            previous: before.last,
            digest: Digest::ZERO,
        };
        header.encode(&self.keys, &merkle::root(&mut leaves), &mut bytes);
        self.nodes.push(header.digest);
        self.frames.push(bytes);
        self.heads.push(Head {
            frame_count: before.frame_count + 1,
            end_sequence: before.end_sequence + event_count,
            time: header.time,
            last: header.digest,
            mountain_root: self.nodes.range.root(),
            ..before
        });
    }

    fn frame(&self, number: u64) -> Frame<'_> {
        Frame::decode(&self.frames[number as usize]).expect("made here")
    }

    fn record(&self, number: u64, index: u32) -> &[u8] {
        self.frame(number).records().nth(index as usize).expect("made here").1
    }

    fn prove_event(&self, number: u64, index: u32, frame_count: u64) -> EventProof {
        let mut leaves = self.leaves(number);
        let header = array_at(&self.frames[number as usize], 0);
        EventProof::new(&header, index, &mut leaves, self.inclusion(number, frame_count))
    }

    fn prove_frame(&self, number: u64, frame_count: u64) -> FrameProof {
        let root = merkle::root(&mut self.leaves(number));
        let header = array_at(&self.frames[number as usize], 0);
        FrameProof::new(&header, root, self.inclusion(number, frame_count))
    }

    fn inclusion(&self, number: u64, frame_count: u64) -> InclusionProof {
        InclusionProof::make(&self.nodes, number, frame_count).expect("in memory")
    }

    fn leaves(&self, number: u64) -> Vec<Digest> {
        let mut leaves = Vec::new();
        self.frame(number).leaves(&mut Default::default(), &mut leaves);
        leaves
    }

    fn receipt(&self, number: u64) -> Receipt {
        let header = self.frame(number).header;
        let sequences = header.base_sequence..header.end_sequence();
        let versions: Vec<_> = sequences.map(|sequence| sequence * 2).collect();
        Receipt::new(STORE_ID, &header, &versions)
    }
}

/// The head of a range whose frames have one event each.
fn range_head(range_root: Digest, frame_count: u64) -> Head {
    Head {
        store_id: STORE_ID,
        frame_count,
        end_sequence: frame_count,
        time: frame_count,
        last: frame(frame_count.wrapping_sub(1)),
        mountain_root: range_root,
    }
}

/// Heads of the first 0, 1, 2, ... frames, and the nodes of all.
fn range(frame_count: u64) -> (Nodes, Vec<Head>) {
    let mut nodes = Nodes::new();
    let mut heads = vec![range_head(nodes.range.root(), 0)];
    for number in 0..frame_count {
        nodes.push(frame(number));
        heads.push(range_head(nodes.range.root(), number + 1));
    }
    (nodes, heads)
}

#[test]
fn every_frame_of_every_history_is_shown_with_the_path_of_one_tree() {
    let (nodes, heads) = range(130);
    for count in 1..=130 {
        for number in 0..count {
            let proof = InclusionProof::make(&nodes, number, count).expect("in memory");
            assert_eq!(proof.verify(number, frame(number), &heads[count as usize]), Ok(()));
            let path = MerklePath::of_leaf(&mut (0..count).map(frame).collect(), number as usize);
            assert_eq!(proof.path, path, "frame {number} of {count}");
        }
    }
}

#[test]
fn a_frame_is_not_shown_at_another_place_or_in_another_history() {
    let (nodes, heads) = range(20);
    for count in 1..=19 {
        let head = &heads[count as usize];
        for number in 0..count {
            let proof = InclusionProof::make(&nodes, number, count).expect("in memory");
            for other in (0..20).filter(|other| *other != number) {
                assert!(proof.verify(other, frame(number), head).is_err());
                assert!(proof.verify(number, frame(other), head).is_err());
            }
            let longer = proof.verify(number, frame(number), &heads[count as usize + 1]);
            assert_eq!(longer, Err(ProofError::OtherHead { proof: count, head: count + 1 }));
        }
    }
}

#[test]
fn every_history_is_consistent_with_all_that_it_began_with() {
    let (nodes, heads) = range(130);
    for new in 0..=130_u64 {
        for old in 0..=new {
            let proof = ConsistencyProof::make(&nodes, old, new).expect("in memory");
            let verified = proof.verify(&heads[old as usize], &heads[new as usize]);
            assert_eq!(verified, Ok(()), "{old} to {new}");
            assert_eq!(ConsistencyProof::decode(&proof.encode()), Ok(proof));
        }
    }
}

#[test]
fn histories_that_differ_in_any_frame_are_not_consistent() {
    let (nodes, heads) = range(24);
    for changed in 0..16 {
        let mut other = Nodes::new();
        let mut other_heads = vec![heads[0]];
        for number in 0..24 {
            other.push(if number == changed { frame(1000) } else { frame(number) });
            other_heads.push(range_head(other.range.root(), number + 1));
        }
        for old in changed + 1..24 {
            for new in old + 1..=24 {
                let (kept, now) = (&heads[old as usize], &other_heads[new as usize]);
                for source in [&nodes, &other] {
                    let proof = ConsistencyProof::make(source, old, new).expect("in memory");
                    assert_eq!(proof.verify(kept, now), Err(ProofError::NotConsistent));
                }
            }
        }
    }
}

#[test]
fn heads_that_contradict_each_other_are_refused_whatever_their_roots() {
    let (nodes, heads) = range(9);
    let proof = ConsistencyProof::make(&nodes, 5, 9).expect("in memory");
    let (old, new) = (&heads[5], &heads[9]);
    assert_eq!(proof.verify(old, new), Ok(()));
    let is_refused =
        |old: &Head, new: &Head| matches!(proof.verify(old, new), Err(ProofError::Heads { .. }));
    assert!(is_refused(old, &Head { store_id: StoreId([8; 16]), ..*new }));
    assert!(is_refused(old, &Head { end_sequence: 4, ..*new }));
    assert!(is_refused(old, &Head { time: 4, ..*new }));
    assert!(matches!(proof.verify(new, old), Err(ProofError::OtherHead { .. })));
    let same = ConsistencyProof::make(&nodes, 9, 9).expect("in memory");
    let later = Head { time: new.time + 1, ..*new };
    assert_eq!(same.verify(new, &later), Ok(()), "a head can be taken again");
    let forged = Head { last: frame(0), ..*new };
    assert_eq!(same.verify(new, &forged), Err(ProofError::NotConsistent));
    let mut bytes = proof.encode();
    bytes.swap(8, 16);
    let backwards = ConsistencyProof::decode(&bytes).expect("counts alone are not judged");
    assert!(matches!(backwards.verify(new, old), Err(ProofError::Heads { .. })));
    let from_nothing = ConsistencyProof::make(&nodes, 0, 9).expect("in memory");
    let forged = Head { mountain_root: frame(0), ..heads[0] };
    assert_eq!(from_nothing.verify(&forged, new), Err(ProofError::NotConsistent));
}

#[test]
fn every_event_and_frame_of_every_history_is_shown_from_the_bytes_of_its_proof() {
    let history = History::of_frames(12);
    for count in 1..=12 {
        let head = &history.heads[count as usize];
        for number in 0..count {
            let proof = history.prove_frame(number, count);
            assert_eq!(FrameProof::decode(&proof.encode()), Ok(proof.clone()));
            let receipt = history.receipt(number);
            assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt.clone()));
            assert_eq!(receipt.verify(&proof, head), Ok(()));
            assert_eq!(proof.frame_count(), count);
            for index in 0..number as u32 + 1 {
                let record = history.record(number, index);
                let proof = history.prove_event(number, index, count);
                assert_eq!(EventProof::decode(&proof.encode()), Ok(proof.clone()));
                let event = receipt.verify_event(record, &proof, head).expect("it is there");
                assert_eq!(event.sequence, receipt.first_sequence + u64::from(index));
                assert_eq!(event.stream_version, event.sequence * 2);
                assert!(receipt.sequences().contains(&event.sequence));
                assert_eq!(proof.frame_count(), count);
            }
        }
    }
}

#[test]
fn any_bit_flipped_in_a_proof_a_record_or_a_head_fails() {
    let history = History::of_frames(7);
    let record = history.record(3, 2);
    let bytes = history.prove_event(3, 2, 7).encode();
    let proof = EventProof::decode(&bytes).expect("just encoded");
    assert!(proof.verify(record, history.head()).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let shown = EventProof::decode(&flipped)
            .is_ok_and(|proof| proof.verify(record, history.head()).is_ok());
        assert!(!shown, "bit {bit} of the proof");
    }
    for bit in 0..record.len() * 8 {
        let mut flipped = record.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(proof.verify(&flipped, history.head()).is_err(), "bit {bit} of the record");
    }
    let bytes = history.prove_frame(3, 7).encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let shown =
            FrameProof::decode(&flipped).is_ok_and(|proof| proof.verify(history.head()).is_ok());
        assert!(!shown, "bit {bit} of a frame's proof");
    }
    let (old, new) = (&history.heads[5], history.head());
    let bytes = ConsistencyProof::make(&history.nodes, 5, 7).expect("in memory").encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let shown =
            ConsistencyProof::decode(&flipped).is_ok_and(|proof| proof.verify(old, new).is_ok());
        assert!(!shown, "bit {bit} of a proof of consistency");
    }
    let mut head = *history.head();
    head.store_id.0[3] ^= 1;
    assert!(proof.verify(record, &head).is_err(), "another store");
    head = *history.head();
    head.mountain_root.0[31] ^= 1;
    assert_eq!(proof.verify(record, &head), Err(ProofError::NotInHistory));
}

#[test]
fn a_receipt_changed_in_any_bit_does_not_verify() {
    let history = History::of_frames(5);
    let frame_proof = history.prove_frame(2, 5);
    let bytes = history.receipt(2).encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(receipt) = Receipt::decode(&flipped) else { continue };
        let batch = receipt.verify(&frame_proof, history.head());
        let events = (0..3).all(|index| {
            let proof = history.prove_event(2, index, 5);
            receipt.verify_event(history.record(2, index), &proof, history.head()).is_ok()
        });
        assert!(batch.is_err() || !events, "bit {bit}");
    }
}

#[test]
fn an_annex_or_a_node_cannot_pass_for_an_event() {
    let history = History::of_frames(4);
    let mut leaves = history.leaves(1);
    let header = array_at(&history.frames[1], 0);
    let annex_index = leaves.len() as u32 - 1;
    let proof = EventProof::new(&header, annex_index, &mut leaves, history.inclusion(1, 4));
    let record = history.record(1, 0);
    assert!(matches!(proof.verify(record, history.head()), Err(ProofError::Frame { .. })));
}

#[test]
fn zeros_behind_a_record_do_not_pass_although_leaves_are_padded() {
    let history = History::of_frames(4);
    let proof = history.prove_event(2, 1, 4);
    let mut record = history.record(2, 1).to_vec();
    assert!(proof.verify(&record, history.head()).is_ok());
    record.push(0);
    assert_eq!(proof.verify(&record, history.head()), Err(ProofError::Record));
}

#[test]
fn a_head_that_misstates_its_last_frame_or_its_events_shows_nothing() {
    let history = History::of_frames(4);
    let head = history.head();
    for forged in [
        Head { last: frame(0), ..*head },
        Head { end_sequence: head.end_sequence + 1, ..*head },
        Head { time: head.time - 1, ..*head },
    ] {
        let shown = history.prove_frame(3, 4).verify(&forged);
        assert_eq!(shown, Err(ProofError::NotInHistory));
    }
    let forged = Head { end_sequence: 3, ..*head };
    assert_eq!(history.prove_frame(1, 4).verify(&forged), Err(ProofError::NotInHistory));
}

#[test]
fn bytes_cut_or_prolonged_are_no_proof() {
    let history = History::of_frames(6);
    let consistency = ConsistencyProof::make(&history.nodes, 3, 6).expect("in memory");
    let all = [
        history.prove_event(4, 2, 6).encode(),
        history.prove_frame(4, 6).encode(),
        consistency.encode(),
        history.receipt(4).encode(),
    ];
    let decodes = |bytes: &[u8]| {
        EventProof::decode(bytes).is_ok()
            || FrameProof::decode(bytes).is_ok()
            || ConsistencyProof::decode(bytes).is_ok()
            || Receipt::decode(bytes).is_ok()
    };
    for mut bytes in all {
        assert!(decodes(&bytes));
        for length in 0..bytes.len() {
            assert!(!decodes(&bytes[..length]), "cut to {length} bytes");
        }
        for _ in 0..64 {
            bytes.push(0);
            assert!(!decodes(&bytes), "{} bytes", bytes.len());
        }
    }
}

/// A source that makes up the nodes of a range too long to be kept.
struct Endless;

impl NodeSource for Endless {
    fn node(&self, level: u8, index: u64) -> Result<Digest, crate::Error> {
        assert!(u128::from(index + 1) << level <= u128::from(u64::MAX), "the node exists");
        Ok(leaf(&[&[level][..], &index.to_le_bytes()].concat()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The paths' lengths, at any size, are those that verification walks.
    #[test]
    fn proofs_of_any_range_have_the_length_that_the_verifier_expects(
        a in any::<u64>(), b in any::<u64>(), shift in 0..64u32,
    ) {
        let (old, new) = ((a >> shift).min(b >> shift), (a >> shift).max(b >> shift));
        prop_assume!(old < new);
        let proof = InclusionProof::make(&Endless, old, new).expect("made up");
        prop_assert!(proof.path.root(frame(0), old, new).is_some());
        prop_assert!(proof.path.partners().len() <= merkle::PATH_DIGESTS_MAX);
        let proof = ConsistencyProof::make(&Endless, old, new).expect("made up");
        prop_assert_eq!(ConsistencyProof::decode(&proof.encode()), Ok(proof.clone()));
        let heads = [range_head(frame(1), old), range_head(frame(2), new)];
        let refused = proof.verify(&heads[0], &heads[1]);
        prop_assert_eq!(refused, Err(ProofError::NotConsistent));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        kind in 0..4u8, places in prop::collection::vec((any::<u16>(), any::<u8>()), 0..4),
    ) {
        let history = History::of_frames(3);
        let mut bytes = match kind {
            0 => history.prove_event(1, 1, 3).encode(),
            1 => history.prove_frame(1, 3).encode(),
            2 => ConsistencyProof::make(&history.nodes, 1, 3).expect("in memory").encode(),
            _ => history.receipt(1).encode(),
        };
        for (at, byte) in places {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        fuzzing::journal_proof(&bytes);
    }
}
