//! A valid sample of each state, built by hand; and what every cut and every longer form of it is.

use icecore_programs::{
    config::Config,
    feature::Feature,
    lookup_table::LookupTable,
    nonce::Nonce,
    stake::{self, StakeState},
    sysvar::{
        self, Clock, EpochRewards, Fees, LastRestartSlot, RecentBlockhashes, Rent, Rewards,
        SlotHashes, SlotHistory, StakeHistory,
    },
    token::{Mint, Multisig, TokenAccount, token_account_mint_owner_amount},
    upgradeable_loader::LoaderState,
    vote::VoteState,
};
use icecore_types::{Bits64, Cursor, Delegation, Hash, Pubkey, Wire, programs};

use crate::{
    bytes::{Bytes, key},
    tokens, votes,
};

/// Whether data decodes.
pub(crate) type Decodes = fn(&[u8]) -> bool;

/// A state's name, its bytes without anything behind them, and its decoder.
pub(crate) type Sample = (&'static str, Vec<u8>, Decodes);

fn stake_meta(bytes: Bytes) -> Bytes {
    bytes.u64(2_282_880).key(1).key(2).i64(-7).u64(8).key(3)
}

fn delegation(bytes: Bytes) -> Bytes {
    bytes.key(4).u64(5).u64(6).u64(u64::MAX).u64(0x3FD0_0000_0000_0001)
}

pub(crate) fn delegated() -> Vec<u8> {
    delegation(stake_meta(Bytes::new().u32(2))).u64(99).u8(1).0
}

pub(crate) fn slot_history(present: &[u64], next_slot: u64) -> Vec<u8> {
    let mut blocks = vec![0u64; 16_384];
    for slot in present {
        let bit = slot % (1 << 20);
        blocks[usize::try_from(bit / 64).expect("small")] |= 1 << (bit % 64);
    }
    let bytes = Bytes::new().u8(1).u64(16_384);
    let bytes = blocks.into_iter().fold(bytes, Bytes::u64);
    bytes.u64(1 << 20).u64(next_slot).0
}

fn nonce(version: u32) -> Vec<u8> {
    Bytes::new().u32(version).u32(1).key(1).key(2).u64(5000).0
}

/// States that may be followed by anything.
pub(crate) fn samples() -> Vec<Sample> {
    let list = |row: Bytes| Bytes::new().u64(2).raw(&row.0).raw(&row.0).0;
    vec![
        ("clock", Bytes::new().u64(46).i64(-1).u64(1).u64(2).i64(3).0, |data| {
            Clock::decode(data).is_some()
        }),
        ("epoch schedule", Bytes::new().u64(32).u64(32).u8(1).u64(0).u64(0).0, |data| {
            sysvar::epoch_schedule(data).is_some()
        }),
        ("rent", Bytes::new().u64(3480).f64(2.0).u8(50).0, |data| Rent::decode(data).is_some()),
        ("fees", Bytes::new().u64(5000).0, |data| Fees::decode(data).is_some()),
        ("rewards", Bytes::new().f64(0.5).f64(0.0).0, |data| Rewards::decode(data).is_some()),
        ("last restart slot", Bytes::new().u64(7).0, |data| {
            LastRestartSlot::decode(data).is_some()
        }),
        (
            "epoch rewards",
            Bytes::new().u64(1).u64(2).key(3).u128(1 << 70).u64(4).u64(5).u8(1).0,
            |data| EpochRewards::decode(data).is_some(),
        ),
        ("recent blockhashes", list(Bytes::new().key(1).u64(2)), |data| {
            RecentBlockhashes::decode(data).is_some()
        }),
        ("slot hashes", list(Bytes::new().u64(1).key(2)), |data| {
            SlotHashes::decode(data).is_some()
        }),
        ("stake history", list(Bytes::new().u64(1).u64(2).u64(3).u64(4)), |data| {
            StakeHistory::decode(data).is_some()
        }),
        ("slot history", slot_history(&[0, 1], 2), |data| SlotHistory::decode(data).is_some()),
        ("uninitialized stake", Bytes::new().u32(0).0, |data| StakeState::decode(data).is_some()),
        ("initialized stake", stake_meta(Bytes::new().u32(1)).0, |data| {
            StakeState::decode(data).is_some()
        }),
        ("delegated stake", delegated(), |data| {
            let delegation = stake::delegation(data);
            let state = StakeState::decode(data);
            assert_eq!(delegation.is_some(), state.is_some());
            state.is_some()
        }),
        ("vote 0.23.5", votes::v0(), |data| VoteState::decode(data).is_some()),
        ("vote 1.14.11", votes::v1(), |data| VoteState::decode(data).is_some()),
        ("vote 3", votes::v3(), |data| VoteState::decode(data).is_some()),
        ("vote 4", votes::v4(true), |data| VoteState::decode(data).is_some()),
        ("vote 4 without a BLS key", votes::v4(false), |data| VoteState::decode(data).is_some()),
        ("config", Bytes::new().u8(2).key(1).u8(0).key(2).u8(1).0, |data| {
            Config::decode(data).is_some()
        }),
        ("pending feature", vec![0], |data| Feature::decode(data).is_some()),
        ("feature", Bytes::new().u8(1).u64(5).0, |data| Feature::decode(data).is_some()),
        ("program", Bytes::new().u32(2).key(1).0, |data| LoaderState::decode(data).is_some()),
        ("program data", Bytes::new().u32(3).u64(9).u8(1).key(1).0, |data| {
            LoaderState::decode(data).is_some()
        }),
        ("immutable program data", Bytes::new().u32(3).u64(9).u8(0).0, |data| {
            LoaderState::decode(data).is_some()
        }),
        ("buffer", Bytes::new().u32(1).u8(1).key(1).0, |data| LoaderState::decode(data).is_some()),
    ]
}

/// States of one length only.
pub(crate) fn exact_samples() -> Vec<Sample> {
    vec![
        ("nonce", nonce(1), |data| Nonce::decode(data).is_some()),
        ("legacy nonce", nonce(0), |data| Nonce::decode(data).is_some()),
        ("uninitialized nonce", vec![0; 80], |data| Nonce::decode(data).is_some()),
        ("token account", tokens::account().0, |data| {
            let account = TokenAccount::decode(&programs::TOKEN, data);
            assert!(account.is_none() || token_account_mint_owner_amount(data).is_some());
            account.is_some()
        }),
        ("mint", tokens::mint().0, |data| Mint::decode(&programs::TOKEN, data).is_some()),
        ("multisig", tokens::multisig(), |data| Multisig::decode(&programs::TOKEN, data).is_some()),
        ("multisig of token-2022", tokens::multisig(), |data| {
            Multisig::decode(&programs::TOKEN_2022, data).is_some()
        }),
    ]
}

/// Lengths at which to cut: all of a short sample, of a long one those around its parts.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |at| length < 8192 || *at < 64 || at % 4093 == 0 || length - at < 64)
}

#[test]
fn a_state_that_is_cut_anywhere_is_none_and_may_be_followed_by_anything() {
    for (name, bytes, decodes) in samples() {
        assert!(decodes(&bytes), "{name}");
        for at in cuts(bytes.len()) {
            assert!(!decodes(&bytes[..at]), "{name} cut at {at}");
        }
        for filling in [0, 0xff] {
            let mut longer = bytes.clone();
            longer.resize(bytes.len() + 100, filling);
            assert!(decodes(&longer), "{name} followed by {filling}");
        }
    }
}

#[test]
fn a_state_of_one_length_has_no_other() {
    for (name, bytes, decodes) in exact_samples() {
        assert!(decodes(&bytes), "{name}");
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(!decodes(&longer), "{name} with a byte more");
        for at in 0..bytes.len() {
            assert!(!decodes(&bytes[..at]), "{name} cut at {at}");
        }
    }
}

#[test]
fn every_tag_and_boolean_beyond_its_values_is_none() {
    // Offset of the tag or boolean in the sample of that name, and the first value beyond.
    for (name, offset, value) in [
        ("epoch schedule", 16, 2),
        ("epoch rewards", 80, 2),
        ("slot history", 0, 2),
        ("slot history", 1, 1),
        ("delegated stake", 0, 4),
        ("vote 4", 0, 4),
        ("vote 4", 144, 2),
        ("config", 33, 2),
        ("feature", 0, 2),
        ("program", 0, 4),
        ("program data", 12, 2),
        ("nonce", 0, 2),
        ("nonce", 4, 2),
        ("token account", 72, 2),
        ("token account", 108, 0),
        ("token account", 108, 3),
        ("mint", 45, 0),
        ("mint", 45, 2),
        ("multisig", 2, 0),
    ] {
        let all = samples().into_iter().chain(exact_samples());
        let (_, mut bytes, decodes) =
            all.into_iter().find(|sample| sample.0 == name).expect("a sample has this name");
        bytes[offset] = value;
        assert!(!decodes(&bytes), "{name} with {value} at {offset}");
    }
}

#[test]
fn a_delegation_encodes_to_the_bytes_it_was_read_from() {
    let data = delegated();
    let StakeState::Stake(meta, stake, flags) = StakeState::decode(&data).expect("valid") else {
        panic!("the tag is 2");
    };
    assert_eq!(stake::delegation(&data), Some(stake.delegation));
    assert_eq!(
        stake.delegation,
        Delegation {
            voter_pubkey: key(4),
            stake: 5,
            activation_epoch: 6,
            deactivation_epoch: u64::MAX,
            warmup_cooldown_rate: Bits64(0x3FD0_0000_0000_0001),
        }
    );
    assert_eq!((stake.credits_observed, flags), (99, 1));
    assert_eq!(meta.authorized.withdrawer, key(2));
    assert_eq!((meta.lockup.unix_timestamp, meta.lockup.epoch), (-7, 8));
    let mut encoded = 2u32.to_le_bytes().to_vec();
    meta.encode(&mut encoded);
    assert_eq!(encoded.len(), 124);
    stake.delegation.encode(&mut encoded);
    assert_eq!(encoded, data[..188]);
    assert_eq!(Cursor::new(&encoded[124..]).read(), Ok(stake.delegation));
}

#[test]
fn fields_lie_where_the_layout_says() {
    let clock = samples().swap_remove(0).1;
    let clock = Clock::decode(&clock).expect("valid");
    assert_eq!((clock.slot, clock.epoch_start_timestamp), (46, -1));
    assert_eq!((clock.epoch, clock.leader_schedule_epoch, clock.unix_timestamp), (1, 2, 3));

    let nonce = Nonce::decode(&nonce(1)).expect("valid").data.expect("initialized");
    assert_eq!((nonce.authority, nonce.durable_nonce), (key(1), Hash([2; 32])));
    assert_eq!(nonce.lamports_per_signature, 5000);

    let data = Bytes::new().u32(3).u64(9).u8(0).zeros(32).raw(b"code").0;
    assert_eq!(
        LoaderState::decode(&data),
        Some(LoaderState::ProgramData { slot: 9, upgrade_authority: None, code: b"code" })
    );

    let info = Bytes::new().u64(4).raw(b"{  }").0;
    let keys =
        Bytes::new().u8(2).raw(&icecore_programs::config::VALIDATOR_INFO.0).u8(0).key(2).u8(1);
    let data = keys.raw(&info).0;
    let config = Config::decode(&data).expect("valid");
    assert_eq!(config.validator_info(), Some("{  }"));
    assert!(config.keys().map(|(_, signer)| signer).eq([false, true]));
    assert_eq!(
        Config::decode(&data[..data.len() - 1]).and_then(|config| config.validator_info()),
        None
    );
}

#[test]
fn a_lookup_table_is_its_meta_and_whole_addresses() {
    let meta = |authority: u8| {
        let bytes = Bytes::new().u32(1).u64(u64::MAX).u64(7).u8(1).u8(authority);
        let padding = 56 - bytes.0.len();
        bytes.zeros(padding)
    };
    let data = meta(0).key(1).key(2).0;
    let table = LookupTable::decode(&data).expect("valid");
    assert_eq!((table.deactivation_slot, table.last_extended_slot), (u64::MAX, 7));
    assert_eq!(table.authority, None);
    assert!(table.addresses.iter().eq([key(1), key(2)]));
    assert_eq!(LookupTable::decode(&meta(1).0).expect("valid").authority, Some(Pubkey::default()));
    for at in 0..data.len() {
        let whole = at == 56 || at == 88;
        assert_eq!(LookupTable::decode(&data[..at]).is_some(), whole, "cut at {at}");
    }
}
