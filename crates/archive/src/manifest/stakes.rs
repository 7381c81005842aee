//! Stakes: who voted for whom with how much, at a slot (A29) or for an epoch (A31, C4).

use icecore_types::{Account, Delegation, Epoch, Pubkey, Stake, StakeHistoryEntry, wire_struct};
use serde::Serialize;

use super::{
    item::{StakesItem, VoteAccountRef},
    json,
};

wire_struct! {
    /// What lies between the delegations and the stake history.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct StakesScalars {
        /// Unused.
        pub unused: u64,
        /// The epoch of these stakes.
        pub epoch: Epoch,
    }
}

/// A vote account of a stakes cache: the whole account and the stake delegated to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoteAccount {
    /// Effective stake, in lamports.
    pub stake: u64,
    /// The account.
    #[serde(serialize_with = "json::account")]
    pub account: Account,
}

/// Stakes, collected; maps are kept in file order. `D` is [`Delegation`] in the bank and [`Stake`]
/// in the versioned epoch stakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stakes<D> {
    /// Vote accounts by address.
    pub vote_accounts: Vec<(Pubkey, VoteAccount)>,
    /// Delegations by stake account. 4.x writes none for an epoch.
    pub stake_delegations: Vec<(Pubkey, D)>,
    /// The fixed fields.
    #[serde(flatten)]
    pub scalars: StakesScalars,
    /// The stake history, newest epoch first.
    pub stake_history: Vec<StakeHistoryEntry>,
}

/// The stakes from which an epoch's leader schedule is drawn, collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpochStakes<D> {
    /// The stakes.
    pub stakes: Stakes<D>,
    /// Their sum, in lamports.
    pub total_stake: u64,
    /// Vote accounts by the identity of their node.
    pub node_id_to_vote_accounts: Vec<(Pubkey, NodeVoteAccounts)>,
    /// The authorized voter of each vote account.
    pub epoch_authorized_voters: Vec<(Pubkey, Pubkey)>,
}

/// The vote accounts of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NodeVoteAccounts {
    /// Their addresses.
    pub vote_accounts: Vec<Pubkey>,
    /// The sum of their stakes, in lamports.
    pub total_stake: u64,
}

/// What is kept per stake account, and its item.
pub(super) trait StakeEntry: Copy {
    fn item(&self, stake_account: Pubkey) -> StakesItem<'static>;
    fn of(item: &StakesItem<'_>) -> Option<(Pubkey, Self)>;
}

impl StakeEntry for Delegation {
    fn item(&self, stake_account: Pubkey) -> StakesItem<'static> {
        StakesItem::Delegation(stake_account, *self)
    }

    fn of(item: &StakesItem<'_>) -> Option<(Pubkey, Self)> {
        match item {
            StakesItem::Delegation(stake_account, delegation) => {
                Some((*stake_account, *delegation))
            }
            _ => None,
        }
    }
}

impl StakeEntry for Stake {
    fn item(&self, stake_account: Pubkey) -> StakesItem<'static> {
        StakesItem::Stake(stake_account, *self)
    }

    fn of(item: &StakesItem<'_>) -> Option<(Pubkey, Self)> {
        match item {
            StakesItem::Stake(stake_account, stake) => Some((*stake_account, *stake)),
            _ => None,
        }
    }
}

impl<D> Default for Stakes<D> {
    fn default() -> Self {
        Self {
            vote_accounts: Vec::new(),
            stake_delegations: Vec::new(),
            scalars: StakesScalars::default(),
            stake_history: Vec::new(),
        }
    }
}

impl<D> Default for EpochStakes<D> {
    fn default() -> Self {
        Self {
            stakes: Stakes::default(),
            total_stake: 0,
            node_id_to_vote_accounts: Vec::new(),
            epoch_authorized_voters: Vec::new(),
        }
    }
}

impl<D> Stakes<D> {
    /// Takes up an item of these stakes.
    pub(super) fn visit(&mut self, item: &StakesItem<'_>)
    where
        D: StakeEntry,
    {
        match item {
            StakesItem::VoteAccount(vote_account) => {
                let (pubkey, account) = vote_account.account.to_owned();
                let stake = vote_account.stake;
                self.vote_accounts.push((pubkey, VoteAccount { stake, account }));
            }
            StakesItem::Scalars(scalars) => self.scalars = *scalars,
            StakesItem::History(entry) => self.stake_history.push(*entry),
            _ => self.stake_delegations.extend(D::of(item)),
        }
    }

    /// Gives the items again.
    pub(super) fn items(&self, visit: &mut dyn FnMut(StakesItem<'_>))
    where
        D: StakeEntry,
    {
        visit(StakesItem::VoteAccountCount(self.vote_accounts.len() as u64));
        for (pubkey, VoteAccount { stake, account }) in &self.vote_accounts {
            visit(StakesItem::VoteAccount(VoteAccountRef {
                stake: *stake,
                account: account.borrowed(pubkey),
            }));
        }
        visit(StakesItem::DelegationCount(self.stake_delegations.len() as u64));
        for (pubkey, entry) in &self.stake_delegations {
            visit(entry.item(*pubkey));
        }
        visit(StakesItem::Scalars(self.scalars));
        visit(StakesItem::HistoryCount(self.stake_history.len() as u64));
        for entry in &self.stake_history {
            visit(StakesItem::History(*entry));
        }
    }
}

impl<D> EpochStakes<D> {
    /// Takes up an item of this epoch's stakes.
    pub(super) fn visit(&mut self, item: &StakesItem<'_>)
    where
        D: StakeEntry,
    {
        match item {
            StakesItem::TotalStake(total) => self.total_stake = *total,
            StakesItem::Node { node, .. } => {
                self.node_id_to_vote_accounts.push((*node, NodeVoteAccounts::default()))
            }
            StakesItem::NodeVoteAccount(vote_account) => {
                self.last_node().vote_accounts.push(*vote_account);
            }
            StakesItem::NodeTotalStake(total) => self.last_node().total_stake = *total,
            StakesItem::AuthorizedVoter(vote_account, voter) => {
                self.epoch_authorized_voters.push((*vote_account, *voter));
            }
            _ => self.stakes.visit(item),
        }
    }

    fn last_node(&mut self) -> &mut NodeVoteAccounts {
        let (_, node) = self
            .node_id_to_vote_accounts
            .last_mut()
            .expect("a node's item comes before those of its vote accounts");
        node
    }

    /// Gives the items again.
    pub(super) fn items(&self, visit: &mut dyn FnMut(StakesItem<'_>))
    where
        D: StakeEntry,
    {
        self.stakes.items(visit);
        visit(StakesItem::TotalStake(self.total_stake));
        visit(StakesItem::NodeCount(self.node_id_to_vote_accounts.len() as u64));
        for (node, of_node) in &self.node_id_to_vote_accounts {
            visit(StakesItem::Node {
                node: *node,
                vote_accounts: of_node.vote_accounts.len() as u64,
            });
            for vote_account in &of_node.vote_accounts {
                visit(StakesItem::NodeVoteAccount(*vote_account));
            }
            visit(StakesItem::NodeTotalStake(of_node.total_stake));
        }
        visit(StakesItem::AuthorizedVoterCount(self.epoch_authorized_voters.len() as u64));
        for (vote_account, voter) in &self.epoch_authorized_voters {
            visit(StakesItem::AuthorizedVoter(*vote_account, *voter));
        }
    }
}
