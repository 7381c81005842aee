//! Sysvars in the shape of the RPC.

use icecore_types::{EpochSchedule, Hash, Pubkey, StakeHistoryEntry, programs};
use serde::{Serialize, Serializer};

use super::{FeeCalculator, Info, Parsed};
use crate::sysvar::{
    Clock, EpochRewards, Fees, LastRestartSlot, RecentBlockhashes, Rent, Rewards, SlotHashes,
    SlotHistory, StakeHistory, epoch_schedule,
};

/// A sysvar's state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum SysvarInfo<'a> {
    Clock(Clock),
    EpochSchedule(EpochScheduleInfo),
    Rent(Rent),
    EpochRewards(EpochRewards),
    LastRestartSlot(LastRestartSlot),
    Rewards(Rewards),
    Fees(FeesInfo),
    #[serde(serialize_with = "recent_blockhashes")]
    RecentBlockhashes(RecentBlockhashes<'a>),
    #[serde(serialize_with = "slot_hashes")]
    SlotHashes(SlotHashes<'a>),
    #[serde(serialize_with = "stake_history")]
    StakeHistory(StakeHistory<'a>),
    SlotHistory(SlotHistoryInfo),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EpochScheduleInfo {
    slots_per_epoch: u64,
    leader_schedule_slot_offset: u64,
    warmup: bool,
    first_normal_epoch: u64,
    first_normal_slot: u64,
}

impl From<EpochSchedule> for EpochScheduleInfo {
    fn from(schedule: EpochSchedule) -> Self {
        Self {
            slots_per_epoch: schedule.slots_per_epoch,
            leader_schedule_slot_offset: schedule.leader_schedule_slot_offset,
            warmup: schedule.warmup,
            first_normal_epoch: schedule.first_normal_epoch,
            first_normal_slot: schedule.first_normal_slot,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeesInfo {
    fee_calculator: FeeCalculator,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SlotHistoryInfo {
    next_slot: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecentBlockhashInfo {
    blockhash: Hash,
    fee_calculator: FeeCalculator,
}

#[derive(Serialize)]
struct SlotHashInfo {
    slot: u64,
    hash: Hash,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StakeHistoryInfo {
    epoch: u64,
    stake_history: StakeHistoryAmounts,
}

#[derive(Serialize)]
struct StakeHistoryAmounts {
    effective: u64,
    activating: u64,
    deactivating: u64,
}

fn recent_blockhashes<S: Serializer>(
    list: &RecentBlockhashes<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|(blockhash, lamports_per_signature)| {
        RecentBlockhashInfo { blockhash, fee_calculator: FeeCalculator { lamports_per_signature } }
    }))
}

fn slot_hashes<S: Serializer>(list: &SlotHashes<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|(slot, hash)| SlotHashInfo { slot, hash }))
}

fn stake_history<S: Serializer>(list: &StakeHistory<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(
        |StakeHistoryEntry { epoch, effective, activating, deactivating }| {
            let stake_history = StakeHistoryAmounts { effective, activating, deactivating };
            StakeHistoryInfo { epoch, stake_history }
        },
    ))
}

/// Parses the sysvar at `address`.
pub(super) fn parse<'a>(address: &Pubkey, data: &'a [u8]) -> Option<Parsed<'a>> {
    let (kind, info) = match *address {
        programs::SYSVAR_CLOCK => ("clock", SysvarInfo::Clock(Clock::decode(data)?)),
        programs::SYSVAR_EPOCH_SCHEDULE => {
            ("epochSchedule", SysvarInfo::EpochSchedule(epoch_schedule(data)?.into()))
        }
        programs::SYSVAR_RENT => ("rent", SysvarInfo::Rent(Rent::decode(data)?)),
        programs::SYSVAR_EPOCH_REWARDS => {
            ("epochRewards", SysvarInfo::EpochRewards(EpochRewards::decode(data)?))
        }
        programs::SYSVAR_LAST_RESTART_SLOT => {
            ("lastRestartSlot", SysvarInfo::LastRestartSlot(LastRestartSlot::decode(data)?))
        }
        programs::SYSVAR_REWARDS => ("rewards", SysvarInfo::Rewards(Rewards::decode(data)?)),
        programs::SYSVAR_FEES => {
            let lamports_per_signature = Fees::decode(data)?.lamports_per_signature;
            let fee_calculator = FeeCalculator { lamports_per_signature };
            ("fees", SysvarInfo::Fees(FeesInfo { fee_calculator }))
        }
        programs::SYSVAR_RECENT_BLOCKHASHES => {
            ("recentBlockhashes", SysvarInfo::RecentBlockhashes(RecentBlockhashes::decode(data)?))
        }
        programs::SYSVAR_SLOT_HASHES => {
            ("slotHashes", SysvarInfo::SlotHashes(SlotHashes::decode(data)?))
        }
        programs::SYSVAR_STAKE_HISTORY => {
            ("stakeHistory", SysvarInfo::StakeHistory(StakeHistory::decode(data)?))
        }
        programs::SYSVAR_SLOT_HISTORY => {
            let next_slot = SlotHistory::decode(data)?.next_slot();
            ("slotHistory", SysvarInfo::SlotHistory(SlotHistoryInfo { next_slot }))
        }
        _ => return None,
    };
    Some(Parsed { program: "sysvar", kind, info: Info::Sysvar(info) })
}
