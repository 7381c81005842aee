//! No data whatsoever makes a view or [`parse`] panic, and whatever a view shows can be read to its
//! end.

use icecore_programs::{
    config::Config,
    parse, stake,
    sysvar::{RecentBlockhashes, SlotHashes, SlotHistory, StakeHistory},
    token::{Mint, Multisig, TokenAccount, token_account_mint_owner_amount},
    vote::{VoteState, node_of},
};
use icecore_types::{Pubkey, programs};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{reference, samples};

/// Every owner that `parse` knows, with every address that makes a difference.
fn roles() -> Vec<(Pubkey, Pubkey)> {
    let other = Pubkey([9; 32]);
    let owners = [
        programs::STAKE,
        programs::VOTE,
        programs::SYSTEM,
        programs::CONFIG,
        programs::TOKEN,
        programs::TOKEN_2022,
        programs::FEATURE,
        programs::ADDRESS_LOOKUP_TABLE,
        programs::BPF_LOADER_UPGRADEABLE,
        other,
    ];
    let sysvars = [
        programs::SYSVAR_CLOCK,
        programs::SYSVAR_EPOCH_SCHEDULE,
        programs::SYSVAR_RENT,
        programs::SYSVAR_RECENT_BLOCKHASHES,
        programs::SYSVAR_SLOT_HASHES,
        programs::SYSVAR_SLOT_HISTORY,
        programs::SYSVAR_STAKE_HISTORY,
        programs::SYSVAR_LAST_RESTART_SLOT,
        programs::SYSVAR_EPOCH_REWARDS,
        programs::SYSVAR_FEES,
        programs::SYSVAR_REWARDS,
        other,
    ];
    owners
        .map(|owner| (other, owner))
        .into_iter()
        .chain(sysvars.map(|address| (address, programs::SYSVAR)))
        .chain([(programs::STAKE_CONFIG, programs::CONFIG)])
        .collect()
}

/// Reads everything that any view finds in `data`.
fn read_everything(data: &[u8]) {
    stake::delegation(data);
    let state = VoteState::decode(data);
    assert_eq!(node_of(data), state.map(|state| state.node()));
    if let Some(state) = state {
        assert!(state.votes().count() * 12 <= data.len());
        assert!(state.prior_voters().count() <= 32);
        assert!(state.epoch_credits().iter().count() * 24 <= data.len());
        assert!(state.authorized_voters().count() * 32 <= data.len());
        for (epoch, _) in state.authorized_voters() {
            assert!(state.authorized_voter_for(epoch).is_some());
        }
    }
    let counts = [
        RecentBlockhashes::decode(data).map(|list| list.iter().count() * 40),
        SlotHashes::decode(data).map(|list| list.iter().count() * 40),
        StakeHistory::decode(data).map(|list| list.iter().count() * 32),
        Config::decode(data).map(|config| config.keys().count() * 33),
    ];
    assert!(counts.into_iter().flatten().all(|bytes| bytes < data.len()));
    if let Some(history) = SlotHistory::decode(data) {
        let newest = history.iter().take(300);
        assert!(newest.into_iter().all(|slot| history.contains(slot)));
    }
    for owner in [&programs::TOKEN, &programs::TOKEN_2022] {
        let account = TokenAccount::decode(owner, data);
        let cheap = token_account_mint_owner_amount(data);
        if let Some(account) = account {
            assert_eq!(cheap, Some((account.mint, account.owner, account.amount)));
        }
        let mint = Mint::decode(owner, data);
        let multisig = Multisig::decode(owner, data);
        let states = [account.is_some(), mint.is_some(), multisig.is_some()];
        assert!(states.into_iter().filter(|found| *found).count() <= 1);
        let extensions =
            account.map(|account| account.extensions).or(mint.map(|mint| mint.extensions));
        for extension in extensions.into_iter().flatten() {
            extension.decode();
        }
    }
}

fn parse_in_every_role(data: &[u8]) {
    for (pubkey, owner) in roles() {
        if let Some(parsed) = parse(&reference::account(&pubkey, &owner, data)) {
            serde_json::to_string(&parsed).expect("it serializes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..600)) {
        read_everything(&data);
        parse_in_every_role(&data);
    }

    /// Small numbers make tags, counts and lengths that lead further in.
    #[test]
    fn any_small_bytes(data in vec(0u8..4, 0..4000)) {
        read_everything(&data);
        parse_in_every_role(&data);
    }

    #[test]
    fn any_bytes_in_a_valid_state(
        data in select(reference::samples().into_iter().map(|sample| sample.data)
            .chain(samples::samples().into_iter().map(|sample| sample.1))
            .collect::<Vec<_>>()),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut data = data;
        for (at, byte) in changes {
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
            }
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len() + 1));
        }
        read_everything(&data);
        parse_in_every_role(&data);
    }
}

#[test]
fn every_cut_of_every_real_sample_is_read_or_refused() {
    for sample in reference::samples() {
        for at in 0..sample.data.len().min(2000) {
            let data = &sample.data[..at];
            if let Some(parsed) = parse(&reference::account(&sample.pubkey, &sample.owner, data)) {
                serde_json::to_string(&parsed).expect("it serializes");
            }
        }
    }
}
