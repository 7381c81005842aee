//! The sysvars that are lists.

use icecore_programs::sysvar::{
    RecentBlockhashes, SLOT_HISTORY_BITS, SlotHashes, SlotHistory, SlotPresence, StakeHistory,
};
use icecore_types::{Hash, StakeHistoryEntry};

use crate::{bytes::Bytes, samples::slot_history};

#[test]
fn lists_are_newest_first_and_end_at_their_count() {
    let data = Bytes::new().u64(2).u64(9).key(1).u64(7).key(2).zeros(400).0;
    let hashes = SlotHashes::decode(&data).expect("valid");
    assert_eq!(hashes.newest(), Some((9, Hash([1; 32]))));
    assert!(hashes.iter().eq([(9, Hash([1; 32])), (7, Hash([2; 32]))]));

    let data = Bytes::new().u64(1).key(3).u64(5000).zeros(40).0;
    let recent = RecentBlockhashes::decode(&data).expect("valid");
    assert_eq!((recent.len(), recent.newest()), (1, Some((Hash([3; 32]), 5000))));

    let data = Bytes::new().u64(1).u64(4).u64(10).u64(2).u64(3).zeros(32).0;
    let history = StakeHistory::decode(&data).expect("valid");
    assert!(history.into_iter().eq([StakeHistoryEntry {
        epoch: 4,
        effective: 10,
        activating: 2,
        deactivating: 3,
    }]));
    assert!(StakeHistory::decode(&[0; 8]).expect("valid").is_empty());
}

#[test]
fn the_history_tells_ancestors_from_skipped_slots() {
    let data = slot_history(&[0, 3, 64, 127], 130);
    let history = SlotHistory::decode(&data).expect("valid");
    assert_eq!((history.newest_slot(), history.oldest_slot()), (129, 0));
    assert_eq!(history.bits_count(), SLOT_HISTORY_BITS);
    assert!(history.iter().eq([127, 64, 3, 0]));
    assert_eq!(history.presence(64), SlotPresence::Present);
    assert_eq!(history.presence(65), SlotPresence::Absent);
    assert_eq!(history.presence(130), SlotPresence::Future);
    assert!(history.contains(0) && !history.contains(130));
}

#[test]
fn the_history_is_a_ring() {
    let newest = 5 * SLOT_HISTORY_BITS + 10;
    let oldest = newest - SLOT_HISTORY_BITS + 1;
    let data = slot_history(&[newest, newest - 11, oldest], newest + 1);
    let history = SlotHistory::decode(&data).expect("valid");
    assert_eq!(history.oldest_slot(), oldest);
    assert!(history.iter().eq([newest, newest - 11, oldest]));
    assert_eq!(history.presence(oldest - 1), SlotPresence::TooOld);
    assert_eq!(
        history.presence(newest - SLOT_HISTORY_BITS),
        SlotPresence::TooOld,
        "its bit is the newest slot's"
    );
    let last = slot_history(&[u64::MAX - 1], u64::MAX);
    let history = SlotHistory::decode(&last).expect("valid");
    assert_eq!(history.iter().next(), Some(u64::MAX - 1));
    assert_eq!(history.presence(u64::MAX), SlotPresence::Future);
}

#[test]
fn a_history_of_other_measures_is_none() {
    let good = slot_history(&[1], 2);
    assert!(SlotHistory::decode(&good).is_some());
    let bits = 1 + 8 + 131_072;
    for (offset, value) in [
        (1, 16_383u64),
        (1, u64::MAX),
        (bits, SLOT_HISTORY_BITS - 1),
        (bits, u64::MAX),
        (bits + 8, 0),
    ] {
        let mut data = good.clone();
        data[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(SlotHistory::decode(&data), None, "{value} at {offset}");
    }
    assert_eq!(SlotHistory::decode(&[0; 131_097]), None, "no blocks at all");
}
