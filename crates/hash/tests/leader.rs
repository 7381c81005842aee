//! The leader schedule beside the reference client's own crate.

use std::num::NonZeroUsize;

use icecore_hash::{SLOTS_PER_LEADER, StakedVoteAccount, leader_schedule, slot_leader};
use icecore_types::{Pubkey, programs};
use proptest::prelude::*;
use solana_account::AccountSharedData;
use solana_leader_schedule::LeaderSchedule;
use solana_vote::vote_account::VoteAccount;

/// A vote account's data: version 1 of the vote state with a node and nothing else.
fn vote_state(node: &Pubkey) -> Vec<u8> {
    const VOTE_STATE_BYTES: usize = 3731;
    let mut data = 1u32.to_le_bytes().to_vec();
    data.extend(node.0);
    data.resize(VOTE_STATE_BYTES, 0);
    data
}

/// The reference client's schedule: the node of every slot.
fn reference(epoch: u64, slots: usize, accounts: &[StakedVoteAccount]) -> Vec<Pubkey> {
    let vote_accounts = accounts
        .iter()
        .map(|account| {
            let data = vote_state(&account.node);
            let owner = programs::VOTE.0.into();
            let account_data = AccountSharedData::from(solana_account::Account {
                lamports: 1,
                data,
                owner,
                executable: false,
                rent_epoch: 0,
            });
            let vote_account = VoteAccount::try_from(account_data).expect("a vote account");
            (account.vote.0.into(), (account.stake, vote_account))
        })
        .collect();
    let repeat = NonZeroUsize::new(SLOTS_PER_LEADER as usize).expect("four");
    LeaderSchedule::new(&vote_accounts, epoch, slots, repeat)
        .get_slot_leaders()
        .map(|leader| Pubkey(leader.id.to_bytes()))
        .collect()
}

fn accounts() -> impl Strategy<Value = Vec<StakedVoteAccount>> {
    // Few different stakes, so that ties in stake are common.
    let stake = prop_oneof![0u64..4, Just(1 << 40), 0..u64::MAX >> 8];
    let account = (any::<[u8; 32]>(), any::<[u8; 32]>(), stake).prop_map(|(vote, node, stake)| {
        StakedVoteAccount { vote: Pubkey(vote), node: Pubkey(node), stake }
    });
    proptest::collection::vec(account, 1..60).prop_filter("someone has stake", |accounts| {
        accounts.iter().any(|account| account.stake > 0)
    })
}

proptest! {
    #[test]
    fn the_schedule_is_the_reference_clients(
        epoch: u64,
        groups in 1usize..50,
        accounts in accounts(),
    ) {
        let slots = groups * SLOTS_PER_LEADER as usize;
        let expected = reference(epoch, slots, &accounts);
        let first_slot = 1_000;
        for (slot, node) in expected.iter().enumerate() {
            let leader = slot_leader(epoch, first_slot, first_slot + slot as u64, &accounts);
            prop_assert_eq!(leader, Some(*node));
        }
        let schedule: Vec<_> =
            leader_schedule(epoch, slots as u64, &accounts).expect("someone has stake").collect();
        let every_fourth: Vec<_> =
            expected.iter().copied().step_by(SLOTS_PER_LEADER as usize).collect();
        prop_assert_eq!(schedule, every_fourth);
    }
}

#[test]
fn an_account_given_twice_counts_once() {
    let account = |vote, stake| StakedVoteAccount {
        vote: Pubkey([vote; 32]),
        node: Pubkey([vote + 100; 32]),
        stake,
    };
    let once = [account(1, 5), account(2, 5), account(3, 9)];
    let twice = [account(3, 9), account(1, 5), account(2, 5), account(1, 5), account(3, 9)];
    let schedule = |accounts: &[StakedVoteAccount]| -> Vec<_> {
        leader_schedule(7, 400, accounts).expect("stake").collect()
    };
    assert_eq!(schedule(&once), schedule(&twice));
}
