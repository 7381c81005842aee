//! For the fuzz target, and for tests that build upon it.

use super::*;

/// Any bytes, as they are and with a right magic and check values: no panic, and what is read is
/// written again byte for byte.
pub fn reduced(bytes: &[u8]) {
    look(bytes);
    let Some((kind, rest)) = bytes.split_first() else { return };
    let mut mended = rest.to_vec();
    mended.truncate(1 << 20);
    if mended.len() < 160 {
        return;
    }
    let covered = match kind % 3 {
        0 => {
            put(&mut mended, 0, REDUCTIONS_MAGIC);
            u32_at(&mended, BYTES) as usize
        }
        1 => {
            put(&mut mended, 0, gap::GAP_MAGIC);
            u32_at(&mended, BYTES) as usize
        }
        _ => {
            put(&mut mended, 0, stub::STUB_MAGIC);
            put(&mut mended, 24, FRAME_MAGIC);
            let check = crc32fast::hash(&mended[24 + 8..24 + FRAME_HEADER_BYTES]);
            put(&mut mended, 24 + 4, check.to_le_bytes());
            u32_at(&mended, LIST) as usize
        }
    };
    if let Some(covered) = mended.get(COVERED..covered) {
        let check = crc32fast::hash(covered);
        put(&mut mended, CHECK, check.to_le_bytes());
    }
    look(&mended);
}

fn look(bytes: &[u8]) {
    if let Ok((reductions, length)) = take_reductions(bytes) {
        assert!(reductions.iter().all(|reduction| reduction.reason.len() <= REASON_BYTES_MAX));
        assert!(length <= bytes.len());
    }
    let _ = locate(bytes, 0);
    let item = match step(bytes, 0) {
        Step::Item { item, next } => {
            assert!(next as usize <= bytes.len().next_multiple_of(FRAME_ALIGNMENT as usize));
            item
        }
        Step::Needs(more) => {
            assert!(more > bytes.len(), "more is asked for than is there");
            return;
        }
        Step::Bad(_) => return,
    };
    let (sequences, frames) = (item.sequences(), item.frames());
    assert!(sequences.end - sequences.start >= frames.end - frames.start);
    let mut again = Vec::new();
    match item {
        Item::Frame(_) => return,
        Item::Gap(gap) => {
            assert_eq!(gap.frames().count() as u64, frames.end - frames.start);
            assert_eq!(gap.digest(frames.end - 1), Some(gap.last()));
            assert_eq!(gap.digest(frames.end), None);
            GapBuilder::of(&gap, gap.reduction).encode(&mut again);
        }
        Item::Stub(stub) => {
            let fates: Vec<_> = stub.fates().collect();
            for (sequence, fate) in sequences.clone().zip(&fates) {
                match (fate, locate(bytes, sequence)) {
                    (Fate::Kept(record), Ok((range, header))) => {
                        assert_eq!((&bytes[range], header), (*record, stub.header));
                        assert_eq!(stub.dropped_around(sequence), None);
                    }
                    (Fate::Dropped(_, reduction), Err(_)) => {
                        let (around, found) = stub.dropped_around(sequence).expect("dropped");
                        assert!(found == *reduction && around.contains(&sequence));
                    }
                    _ => panic!("event {sequence} is kept and not kept"),
                }
            }
            Stub::encode(stub.header_bytes(), &fates, stub.annex_bytes(), &mut again);
        }
    }
    assert!(bytes.starts_with(&again), "it is written as it was read");
}
