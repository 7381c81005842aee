//! Vote states of all four layouts, built by hand from formats.md section 4.

use icecore_programs::vote::{
    BlockTimestamp, EpochCredits, LandedVote, PriorVoter, VoteState, VoteVersion, node_of,
};

use crate::bytes::{Bytes, key};

/// Two votes, a root: with or without latency.
fn tower(bytes: Bytes, latency: bool) -> Bytes {
    let vote = |bytes: Bytes, slot: u64, count: u32| {
        let bytes = if latency { bytes.u8(3) } else { bytes };
        bytes.u64(slot).u32(count)
    };
    let bytes = vote(vote(bytes.u64(2), 100, 2), 101, 1);
    bytes.u8(1).u64(68)
}

fn voters(bytes: Bytes) -> Bytes {
    bytes.u64(2).u64(5).key(21).u64(7).key(22)
}

/// The second place of the ring is used.
fn prior_voters(bytes: Bytes, row_bytes: usize) -> Bytes {
    let bytes = bytes.zeros(row_bytes).key(31).u64(1).u64(4);
    bytes.zeros(row_bytes - 48 + 30 * row_bytes).u64(1)
}

fn tail(bytes: Bytes) -> Bytes {
    bytes.u64(2).u64(5).u64(10).u64(0).u64(6).u64(30).u64(10).u64(101).i64(-9)
}

pub(crate) fn v0() -> Vec<u8> {
    let bytes = Bytes::new().u32(0).key(11).key(21).u64(5);
    let bytes = prior_voters(bytes, 56);
    assert_eq!(bytes.0.len(), 4 + 32 + 32 + 8 + 1800);
    tail(tower(bytes.key(12).u8(101), false)).0
}

pub(crate) fn v1() -> Vec<u8> {
    let bytes = voters(tower(Bytes::new().u32(1).key(11).key(12).u8(101), false));
    let before = bytes.0.len();
    let bytes = prior_voters(bytes, 48).u8(0);
    assert_eq!(bytes.0.len() - before, 1545);
    tail(bytes).0
}

pub(crate) fn v3() -> Vec<u8> {
    let bytes = voters(tower(Bytes::new().u32(2).key(11).key(12).u8(101), true));
    tail(prior_voters(bytes, 48).u8(0)).0
}

pub(crate) fn v4(bls: bool) -> Vec<u8> {
    let bytes = Bytes::new().u32(3).key(11).key(12).key(13).key(14);
    let bytes = bytes.u16(10_001).u16(77).u64(1_000);
    let bytes = if bls { bytes.u8(1).raw(&[0xb1; 48]) } else { bytes.u8(0) };
    tail(voters(tower(bytes, true))).0
}

#[test]
fn each_layout_shows_the_same_state() {
    for (data, version, latency) in [
        (v0(), VoteVersion::V0_23_5, 0),
        (v1(), VoteVersion::V1_14_11, 0),
        (v3(), VoteVersion::V3, 3),
        (v4(true), VoteVersion::V4, 3),
    ] {
        let state = VoteState::decode(&data).expect("valid");
        assert_eq!(state.version(), version);
        assert_eq!((state.node(), state.withdrawer()), (key(11), key(12)));
        assert_eq!(node_of(&data), Some(key(11)));
        assert_eq!(state.commission_percent(), 101, "{version:?}");
        let vote = |slot, confirmation_count| LandedVote { latency, slot, confirmation_count };
        assert!(state.votes().eq([vote(100, 2), vote(101, 1)]), "{version:?}");
        assert_eq!(state.root(), Some(68));
        let credits =
            |epoch, credits, previous_credits| EpochCredits { epoch, credits, previous_credits };
        assert!(state.epoch_credits().iter().eq([credits(5, 10, 0), credits(6, 30, 10)]));
        let (slot, timestamp) = (101, -9);
        assert_eq!(state.last_timestamp(), BlockTimestamp { slot, timestamp });
        let prior: Vec<PriorVoter> = state.prior_voters().collect();
        if version == VoteVersion::V4 {
            assert_eq!(prior, []);
        } else {
            assert_eq!(prior.len(), 1, "{version:?}");
            assert_eq!(prior[0].authorized_pubkey, key(31));
            assert_eq!((prior[0].epoch_of_last_authorized_switch, prior[0].target_epoch), (1, 4));
        }
    }
}

#[test]
fn a_voter_serves_from_its_epoch_until_the_next() {
    for data in [v1(), v3(), v4(false)] {
        let state = VoteState::decode(&data).expect("valid");
        assert!(state.authorized_voters().eq([(5, key(21)), (7, key(22))]));
        for (epoch, voter) in [
            (4, None),
            (5, Some(key(21))),
            (6, Some(key(21))),
            (7, Some(key(22))),
            (u64::MAX, Some(key(22))),
        ] {
            assert_eq!(state.authorized_voter_for(epoch), voter, "epoch {epoch}");
        }
    }
    let data = v0();
    let state = VoteState::decode(&data).expect("valid");
    assert!(state.authorized_voters().eq([(5, key(21))]));
    assert_eq!(state.authorized_voter_for(4), None);
    assert_eq!(state.authorized_voter_for(9), Some(key(21)));
}

#[test]
fn basis_points_are_kept_and_commission_above_all_is_accepted() {
    let old = v3();
    let old = VoteState::decode(&old).expect("valid");
    assert_eq!((old.commission_bps(), old.v4(), old.bls_pubkey()), (10_100, None, None));
    let data = v4(true);
    let state = VoteState::decode(&data).expect("valid");
    assert_eq!((state.commission_bps(), state.commission_percent()), (10_001, 101));
    let v4 = state.v4().expect("it is one");
    assert_eq!((v4.inflation_rewards_collector, v4.block_revenue_collector), (key(13), key(14)));
    assert_eq!((v4.block_revenue_commission_bps, v4.pending_delegator_rewards), (77, 1_000));
    assert_eq!(state.bls_pubkey(), Some(&[0xb1; 48]));
    let mut most = v4_with_commission(u16::MAX);
    assert_eq!(VoteState::decode(&most).expect("valid").commission_percent(), 255);
    most[132..134].copy_from_slice(&0u16.to_le_bytes());
    assert_eq!(VoteState::decode(&most).expect("valid").commission_percent(), 0);
}

fn v4_with_commission(bps: u16) -> Vec<u8> {
    let mut data = v4(false);
    data[132..134].copy_from_slice(&bps.to_le_bytes());
    data
}

#[test]
fn empty_accounts_hold_no_state_but_the_empty_newest_layout_is_one() {
    assert_eq!(VoteState::decode(&[0; 3762]), None);
    assert_eq!(node_of(&[0; 3762]), None);
    // formats.md section 4: 186 bytes without credits.
    let empty = Bytes::new().u32(3).zeros(182).0;
    let state = VoteState::decode(&empty).expect("valid");
    assert_eq!((state.votes().count(), state.root()), (0, None));
    assert!(VoteState::decode(&empty[..185]).is_none());
}

#[test]
fn a_count_beyond_the_data_is_refused() {
    // Offsets of the counts of votes, voters and credits.
    let votes = 4 + 128 + 12 + 1;
    let voters = votes + 8 + 26 + 9;
    let credits = voters + 8 + 80;
    for offset in [votes, voters, credits] {
        for count in [3, 1 << 32, u64::MAX / 13, u64::MAX] {
            let mut data = v4(false);
            assert_eq!(data[offset..offset + 8], 2u64.to_le_bytes());
            data[offset..offset + 8].copy_from_slice(&count.to_le_bytes());
            assert_eq!(VoteState::decode(&data), None, "{count} at {offset}");
        }
    }
}
