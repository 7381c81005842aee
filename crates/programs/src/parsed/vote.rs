//! Vote accounts in the shape of the RPC, which shows every layout as the newest: what an older one
//! lacks is what the vote program would fill in when it converts it (SIMD-0185). Former voters,
//! which the conversion drops, are shown where the layout has them.

use icecore_types::Pubkey;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Info, Parsed, as_text, base58::Base58};
use crate::vote::{BlockTimestamp, EpochCredits, LandedVote, PriorVoter, VoteState};

/// The share of block revenue that a validator keeps by default: all of it.
const BLOCK_REVENUE_COMMISSION_BPS_DEFAULT: u16 = 10_000;

/// A vote account's state, and its address, which is its default collector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct VoteInfo<'a> {
    state: VoteState<'a>,
    address: Pubkey,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VoteRow {
    latency: u8,
    slot: u64,
    confirmation_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizedVoterRow {
    epoch: u64,
    authorized_voter: Pubkey,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PriorVoterRow {
    authorized_pubkey: Pubkey,
    epoch_of_last_authorized_switch: u64,
    target_epoch: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EpochCreditsRow {
    epoch: u64,
    #[serde(serialize_with = "as_text")]
    credits: u64,
    #[serde(serialize_with = "as_text")]
    previous_credits: u64,
}

#[derive(Serialize)]
struct TimestampRow {
    slot: u64,
    timestamp: i64,
}

/// A list that is made while it is written.
struct List<F>(F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// A value that is written as a string.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_text(&self.0, serializer)
    }
}

impl Serialize for VoteInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = &self.state;
        let BlockTimestamp { slot, timestamp } = state.last_timestamp();
        let v4 = state.v4();
        let mut info = serializer.serialize_struct("VoteInfo", 15)?;
        info.serialize_field("nodePubkey", &state.node())?;
        info.serialize_field("authorizedWithdrawer", &state.withdrawer())?;
        info.serialize_field("commission", &state.commission_percent())?;
        info.serialize_field("votes", &List(|| state.votes().map(vote_row)))?;
        info.serialize_field("rootSlot", &state.root())?;
        info.serialize_field(
            "authorizedVoters",
            &List(|| state.authorized_voters().map(authorized_voter_row)),
        )?;
        info.serialize_field("priorVoters", &List(|| state.prior_voters().map(prior_voter_row)))?;
        info.serialize_field(
            "epochCredits",
            &List(|| state.epoch_credits().into_iter().map(epoch_credits_row)),
        )?;
        info.serialize_field("lastTimestamp", &TimestampRow { slot, timestamp })?;
        info.serialize_field("inflationRewardsCommissionBps", &state.commission_bps())?;
        info.serialize_field(
            "inflationRewardsCollector",
            &v4.map_or(self.address, |v4| v4.inflation_rewards_collector),
        )?;
        info.serialize_field(
            "blockRevenueCollector",
            &v4.map_or(state.node(), |v4| v4.block_revenue_collector),
        )?;
        info.serialize_field(
            "blockRevenueCommissionBps",
            &v4.map_or(BLOCK_REVENUE_COMMISSION_BPS_DEFAULT, |v4| v4.block_revenue_commission_bps),
        )?;
        info.serialize_field(
            "pendingDelegatorRewards",
            &Text(v4.map_or(0, |v4| v4.pending_delegator_rewards)),
        )?;
        info.serialize_field(
            "blsPubkeyCompressed",
            &state.bls_pubkey().map(|key| Text(Base58(key))),
        )?;
        info.end()
    }
}

fn vote_row(vote: LandedVote) -> VoteRow {
    VoteRow { latency: vote.latency, slot: vote.slot, confirmation_count: vote.confirmation_count }
}

fn authorized_voter_row((epoch, authorized_voter): (u64, Pubkey)) -> AuthorizedVoterRow {
    AuthorizedVoterRow { epoch, authorized_voter }
}

fn prior_voter_row(voter: PriorVoter) -> PriorVoterRow {
    PriorVoterRow {
        authorized_pubkey: voter.authorized_pubkey,
        epoch_of_last_authorized_switch: voter.epoch_of_last_authorized_switch,
        target_epoch: voter.target_epoch,
    }
}

fn epoch_credits_row(credits: EpochCredits) -> EpochCreditsRow {
    EpochCreditsRow {
        epoch: credits.epoch,
        credits: credits.credits,
        previous_credits: credits.previous_credits,
    }
}

/// Parses the vote account at `address`.
pub(super) fn parse<'a>(address: &Pubkey, data: &'a [u8]) -> Option<Parsed<'a>> {
    Some(Parsed {
        program: "vote",
        kind: "vote",
        info: Info::Vote(VoteInfo { state: VoteState::decode(data)?, address: *address }),
    })
}
