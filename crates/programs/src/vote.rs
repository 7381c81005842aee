//! Vote accounts: a validator's votes, credits and authorities, in all four layouts that snapshots
//! hold (formats.md section 4).
//!
//! A view is made in one pass that jumps over the lists; the lists are read when they are asked
//! for.
//!
//! What it does *not* do: bound the lists as the vote program does (31 votes, 64 epochs of
//! credits), or refuse a commission above 100 %: both occur in accounts that the reference client
//! accepts.

mod decode;

use icecore_types::{Epoch, Pubkey, Slot, wire_struct};

use crate::{Row, Rows};

/// Bytes of a compressed BLS12-381 public key.
pub const BLS_PUBKEY_BYTES: usize = 48;

/// The layout of a vote state, numbered as its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoteVersion {
    /// The first one: a single authorized voter. Clients since 4.x read its tag as "uninitialized".
    V0_23_5,
    /// Voters by epoch.
    V1_14_11,
    /// Votes with latency.
    V3,
    /// Collectors, commission in basis points, BLS key (SIMD-0185).
    V4,
}

wire_struct! {
    /// A vote of the tower in the older layouts: 12 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Lockout {
        slot: Slot,
        confirmation_count: u32,
    }
}

impl Row for Lockout {
    const BYTES: usize = 12;
}

wire_struct! {
    /// A vote of the tower: 13 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LandedVote {
        /// Slots from the vote's slot to the one in which it landed; 0 where the layout lacks it.
        pub latency: u8,
        /// The slot voted for.
        pub slot: Slot,
        /// Votes on top of it, itself included; its lockout is 2 to this power.
        pub confirmation_count: u32,
    }
}

impl Row for LandedVote {
    const BYTES: usize = 13;
}

wire_struct! {
    /// Credits earned in one epoch: 24 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct EpochCredits {
        /// The epoch.
        pub epoch: Epoch,
        /// All credits at the end of the epoch.
        pub credits: u64,
        /// All credits at its beginning.
        pub previous_credits: u64,
    }
}

impl Row for EpochCredits {
    const BYTES: usize = 24;
}

wire_struct! {
    /// A voter of the past: 48 bytes, in the first layout followed by a slot.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct PriorVoter {
        /// The voter.
        pub authorized_pubkey: Pubkey,
        /// The epoch in which it became the voter.
        pub epoch_of_last_authorized_switch: Epoch,
        /// The epoch from which it no longer was.
        pub target_epoch: Epoch,
    }
}

wire_struct! {
    /// The last timestamp that came with a vote: 16 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BlockTimestamp {
        /// The slot voted for.
        pub slot: Slot,
        /// Seconds since 1970.
        pub timestamp: i64,
    }
}

/// What only [`VoteVersion::V4`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteStateV4<'a> {
    /// Where the commission on inflation rewards goes.
    pub inflation_rewards_collector: Pubkey,
    /// Where block revenue goes.
    pub block_revenue_collector: Pubkey,
    /// Commission on inflation rewards, in 1/10,000.
    pub inflation_rewards_commission_bps: u16,
    /// Commission on block revenue, in 1/10,000.
    pub block_revenue_commission_bps: u16,
    /// Lamports in the account that belong to its delegators.
    pub pending_delegator_rewards: u64,
    /// The key of the validator's votes under Alpenglow.
    pub bls_pubkey: Option<&'a [u8; BLS_PUBKEY_BYTES]>,
}

/// The tower in the layout's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Votes<'a> {
    Lockouts(Rows<'a, Lockout>),
    Landed(Rows<'a, LandedVote>),
}

/// The voters in the layout's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthorizedVoters<'a> {
    One(Epoch, Pubkey),
    ByEpoch(Rows<'a, (Epoch, Pubkey)>),
}

/// A vote account's state, borrowed from its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteState<'a> {
    version: VoteVersion,
    node: Pubkey,
    withdrawer: Pubkey,
    /// In percent; of V4 its basis points by hundred, rounded up, at most 255.
    commission: u8,
    v4: Option<VoteStateV4<'a>>,
    votes: Votes<'a>,
    root: Option<Slot>,
    authorized_voters: AuthorizedVoters<'a>,
    /// 32 rows of `prior_voter_bytes`; empty in V4.
    prior_voters: &'a [u8],
    prior_voter_bytes: usize,
    epoch_credits: Rows<'a, EpochCredits>,
    last_timestamp: BlockTimestamp,
}

impl<'a> VoteState<'a> {
    /// Decodes account data, which may be longer than the state; `None` when it is not a vote
    /// state.
    ///
    /// Zero bytes are a state of the first layout without a voter: uninitialized, hence none. A
    /// later layout without voters is one, as the reference client's view has it.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let state = decode::state(data).ok()??;
        let uninitialized = matches!(
            state.authorized_voters,
            AuthorizedVoters::One(_, voter) if voter.is_zero()
        );
        (!uninitialized).then_some(state)
    }

    /// The layout.
    pub fn version(&self) -> VoteVersion {
        self.version
    }

    /// The validator's identity.
    pub fn node(&self) -> Pubkey {
        self.node
    }

    /// Who may withdraw and change the authorities.
    pub fn withdrawer(&self) -> Pubkey {
        self.withdrawer
    }

    /// The voters, each from its epoch on, in the order of the data.
    pub fn authorized_voters(&self) -> impl Iterator<Item = (Epoch, Pubkey)> + use<'a> {
        let (one, by_epoch) = match self.authorized_voters {
            AuthorizedVoters::One(epoch, voter) => (Some((epoch, voter)), None),
            AuthorizedVoters::ByEpoch(voters) => (None, Some(voters)),
        };
        one.into_iter().chain(by_epoch.into_iter().flatten())
    }

    /// Who may vote in `epoch`: the voter with the greatest epoch up to it.
    pub fn authorized_voter_for(&self, epoch: Epoch) -> Option<Pubkey> {
        self.authorized_voters()
            .filter(|(from, _)| *from <= epoch)
            .max_by_key(|(from, _)| *from)
            .map(|(_, voter)| voter)
    }

    /// Commission on inflation rewards in percent; of V4 the basis points by hundred, rounded up,
    /// at most 255, as the RPC shows it. May exceed 100.
    pub fn commission_percent(&self) -> u8 {
        self.commission
    }

    /// Commission on inflation rewards in 1/10,000; may exceed 10,000.
    pub fn commission_bps(&self) -> u16 {
        match &self.v4 {
            Some(v4) => v4.inflation_rewards_commission_bps,
            None => u16::from(self.commission) * 100,
        }
    }

    /// What only V4 holds.
    pub fn v4(&self) -> Option<&VoteStateV4<'a>> {
        self.v4.as_ref()
    }

    /// The BLS key, which only V4 can have.
    pub fn bls_pubkey(&self) -> Option<&'a [u8; BLS_PUBKEY_BYTES]> {
        self.v4.and_then(|v4| v4.bls_pubkey)
    }

    /// The tower, oldest vote first.
    pub fn votes(&self) -> impl Iterator<Item = LandedVote> + use<'a> {
        let (lockouts, landed) = match self.votes {
            Votes::Lockouts(votes) => (Some(votes), None),
            Votes::Landed(votes) => (None, Some(votes)),
        };
        let lockouts = lockouts.into_iter().flatten().map(|vote| LandedVote {
            latency: 0,
            slot: vote.slot,
            confirmation_count: vote.confirmation_count,
        });
        lockouts.chain(landed.into_iter().flatten())
    }

    /// The newest slot with maximum lockout.
    pub fn root(&self) -> Option<Slot> {
        self.root
    }

    /// Former voters, in the order of the ring that holds them; V4 has none.
    pub fn prior_voters(&self) -> impl Iterator<Item = PriorVoter> + use<'a> {
        decode::prior_voters(self.prior_voters, self.prior_voter_bytes)
    }

    /// Credits by epoch, oldest first.
    pub fn epoch_credits(&self) -> Rows<'a, EpochCredits> {
        self.epoch_credits
    }

    /// The last timestamp that came with a vote.
    pub fn last_timestamp(&self) -> BlockTimestamp {
        self.last_timestamp
    }
}

/// The validator's identity in a vote account's data; `None` when [`VoteState::decode`] gives none.
pub fn node_of(data: &[u8]) -> Option<Pubkey> {
    VoteState::decode(data).map(|state| state.node)
}
