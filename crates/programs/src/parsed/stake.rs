//! Stake accounts in the shape of the RPC.

use icecore_types::{Pubkey, Stake};
use serde::Serialize;

use super::{Info, Parsed, as_text};
use crate::stake::{Meta, StakeState};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StakeInfo {
    meta: MetaInfo,
    stake: Option<DelegatedInfo>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct MetaInfo {
    #[serde(serialize_with = "as_text")]
    rent_exempt_reserve: u64,
    authorized: AuthorizedInfo,
    lockup: LockupInfo,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct AuthorizedInfo {
    staker: Pubkey,
    withdrawer: Pubkey,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LockupInfo {
    unix_timestamp: i64,
    epoch: u64,
    custodian: Pubkey,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DelegatedInfo {
    delegation: DelegationInfo,
    credits_observed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DelegationInfo {
    voter: Pubkey,
    #[serde(serialize_with = "as_text")]
    stake: u64,
    #[serde(serialize_with = "as_text")]
    activation_epoch: u64,
    #[serde(serialize_with = "as_text")]
    deactivation_epoch: u64,
}

/// Parses a stake account.
pub(super) fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let (kind, info) = match StakeState::decode(data)? {
        StakeState::Uninitialized => ("uninitialized", Info::Nothing),
        StakeState::Initialized(meta) => ("initialized", stake_info(meta, None)),
        StakeState::Stake(meta, stake, _) => ("delegated", stake_info(meta, Some(stake))),
        StakeState::RewardsPool => ("rewardsPool", Info::Nothing),
    };
    Some(Parsed { program: "stake", kind, info })
}

fn stake_info(meta: Meta, stake: Option<Stake>) -> Info<'static> {
    Info::Stake(StakeInfo {
        meta: MetaInfo {
            rent_exempt_reserve: meta.rent_exempt_reserve,
            authorized: AuthorizedInfo {
                staker: meta.authorized.staker,
                withdrawer: meta.authorized.withdrawer,
            },
            lockup: LockupInfo {
                unix_timestamp: meta.lockup.unix_timestamp,
                epoch: meta.lockup.epoch,
                custodian: meta.lockup.custodian,
            },
        },
        stake: stake.map(|stake| DelegatedInfo {
            delegation: DelegationInfo {
                voter: stake.delegation.voter_pubkey,
                stake: stake.delegation.stake,
                activation_epoch: stake.delegation.activation_epoch,
                deactivation_epoch: stake.delegation.deactivation_epoch,
            },
            credits_observed: stake.credits_observed,
        }),
    })
}
