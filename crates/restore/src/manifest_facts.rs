//! What the checks need of a manifest, folded while it streams by.
//!
//! Large maps are kept as digests: cached vote accounts in memory, stake delegations in a list that
//! is sorted within a bound of memory ([`Delegations`]). Everything else that grows with the input
//! has a named bound; a manifest beyond one is told as such and not believed.

mod delegations;

use std::collections::{BTreeMap, HashMap, HashSet};

use icecore_archive::manifest::{
    AccountsDbScalars, BankHashes, BankScalars, HardFork, IncrementalSnapshotPersistence,
    ManifestEnd, ManifestItem, StakesItem, StakesOf, VoteAccountRef,
};
use icecore_programs::vote::VoteState;
use icecore_types::{Epoch, Hash, LatticeHash, Pubkey, Slot, StakeHistoryEntry};

pub(crate) use self::delegations::{Delegation, Delegations};
use crate::{
    account_facts::{digest_of_account, digest_of_wire},
    spill::{SpillError, sorter::Sorter},
};

/// Vote accounts of the stakes cache, and those that anybody delegates to: mainnet has about 6,000.
const VOTE_ACCOUNTS_MAX: usize = 1_000_000;

/// Vote accounts, nodes and voters of one epoch's stakes together: mainnet has about 20,000.
const EPOCH_ENTRIES_MAX: usize = 4_000_000;

/// Epochs with stakes: clients keep six.
const EPOCHS_MAX: usize = 64;

/// Entries of the storages list: one for each slot with accounts, 450,000 on mainnet.
const STORAGES_MAX: usize = 5_000_000;

/// The blockhash queue.
#[derive(Debug, Default)]
pub(crate) struct BlockhashQueue {
    pub(crate) last_hash_index: u64,
    pub(crate) last_hash: Option<Hash>,
    /// (blockhash, index).
    pub(crate) entries: Vec<(Hash, u64)>,
    pub(crate) max_age: u64,
}

/// The stakes cache.
#[derive(Debug, Default)]
pub(crate) struct StakesCache {
    pub(crate) epoch: Epoch,
    /// Digests of the cached vote accounts.
    pub(crate) votes: HashMap<Pubkey, Hash>,
    /// Digests of the delegations by stake account.
    pub(crate) delegations: Delegations,
    /// Vote accounts that anybody delegates to.
    pub(crate) voters: HashSet<Pubkey>,
    pub(crate) history: Vec<StakeHistoryEntry>,
    /// Keys that stand twice in one of the maps.
    pub(crate) repeated: u64,
}

impl StakesCache {
    /// Whether nothing at all is cached.
    pub(crate) fn is_empty(&self) -> bool {
        self.epoch == 0
            && self.votes.is_empty()
            && self.delegations.is_empty()
            && self.history.is_empty()
    }
}

/// A vote account of an epoch's stakes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpochVote {
    pub(crate) vote: Pubkey,
    pub(crate) stake: u64,
    /// From its vote state, if it has one.
    pub(crate) node: Option<Pubkey>,
    /// The voter that its vote state authorizes for the epoch.
    pub(crate) authorized_voter: Option<Pubkey>,
}

/// A node of an epoch's stakes.
#[derive(Debug, Default)]
pub(crate) struct EpochNode {
    pub(crate) node: Pubkey,
    pub(crate) votes: Vec<Pubkey>,
    pub(crate) total_stake: u64,
}

/// The stakes frozen for one epoch.
#[derive(Debug, Default)]
pub(crate) struct EpochStakes {
    pub(crate) votes: Vec<EpochVote>,
    pub(crate) total_stake: u64,
    pub(crate) nodes: Vec<EpochNode>,
    pub(crate) authorized_voters: HashMap<Pubkey, Pubkey>,
    pub(crate) repeated: u64,
    /// What was kept of all maps together.
    entries: usize,
}

/// A manifest, as far as the checks need it.
#[derive(Debug)]
pub(crate) struct ManifestFacts {
    pub(crate) blockhash_queue: BlockhashQueue,
    pub(crate) hashes: BankHashes,
    pub(crate) hard_forks: Vec<(Slot, u64)>,
    pub(crate) bank: BankScalars,
    pub(crate) stakes: StakesCache,
    /// Epochs in the bank's own, older field for epoch stakes.
    pub(crate) bank_epochs: u64,
    /// slot to (id, length).
    pub(crate) storages: HashMap<Slot, (u64, u64)>,
    /// Slots that the list names twice, without a storage, or with several.
    pub(crate) storages_odd: u64,
    pub(crate) accounts_db: AccountsDbScalars,
    pub(crate) persistence: Option<IncrementalSnapshotPersistence>,
    pub(crate) epoch_accounts_hash: Option<Hash>,
    pub(crate) epoch_stakes: BTreeMap<Epoch, EpochStakes>,
    pub(crate) lattice: Option<LatticeHash>,
    pub(crate) end: ManifestEnd,
    /// What went beyond a bound.
    pub(crate) beyond: Vec<&'static str>,
}

/// Folds items into facts.
pub(crate) struct ManifestFold {
    delegations: Sorter<Delegation>,
    delegations_count: u64,
    /// The scratch folder refused delegations.
    refused: Option<SpillError>,
    blockhash_queue: BlockhashQueue,
    hashes: Option<BankHashes>,
    hard_forks: Vec<(Slot, u64)>,
    bank: Option<BankScalars>,
    stakes: StakesCache,
    bank_epochs: u64,
    storages: HashMap<Slot, (u64, u64)>,
    storages_odd: u64,
    storage_slot: Slot,
    accounts_db: Option<AccountsDbScalars>,
    persistence: Option<IncrementalSnapshotPersistence>,
    epoch_accounts_hash: Option<Hash>,
    epoch_stakes: BTreeMap<Epoch, EpochStakes>,
    lattice: Option<LatticeHash>,
    beyond: Vec<&'static str>,
}

impl ManifestFold {
    /// Delegations go to `delegations`.
    pub(crate) fn new(delegations: Sorter<Delegation>) -> Self {
        Self {
            delegations,
            delegations_count: 0,
            refused: None,
            blockhash_queue: BlockhashQueue::default(),
            hashes: None,
            hard_forks: Vec::new(),
            bank: None,
            stakes: StakesCache::default(),
            bank_epochs: 0,
            storages: HashMap::new(),
            storages_odd: 0,
            storage_slot: 0,
            accounts_db: None,
            persistence: None,
            epoch_accounts_hash: None,
            epoch_stakes: BTreeMap::new(),
            lattice: None,
            beyond: Vec::new(),
        }
    }

    /// Whether `length` more may be kept; told once if not.
    fn fits(&mut self, length: usize, length_max: usize, what: &'static str) -> bool {
        let fits = length < length_max;
        if !fits && !self.beyond.contains(&what) {
            self.beyond.push(what);
        }
        fits
    }

    pub(crate) fn visit(&mut self, item: &ManifestItem<'_>) {
        match item {
            ManifestItem::BlockhashQueue(head) => {
                self.blockhash_queue.last_hash_index = head.last_hash_index;
                self.blockhash_queue.last_hash = head.last_hash;
            }
            // The decoder bounds blockhashes and hard forks by themselves.
            ManifestItem::Blockhash(hash, info) => {
                self.blockhash_queue.entries.push((*hash, info.hash_index));
            }
            ManifestItem::BlockhashMaxAge(max_age) => self.blockhash_queue.max_age = *max_age,
            ManifestItem::BankHashes(hashes) => self.hashes = Some(*hashes),
            ManifestItem::HardFork(HardFork { slot, count }) => {
                self.hard_forks.push((*slot, *count));
            }
            ManifestItem::BankScalars(scalars) => self.bank = Some((**scalars).clone()),
            ManifestItem::Stakes { of, item } => self.stakes(*of, item),
            ManifestItem::BankEpochCount(count) => self.bank_epochs = *count,
            ManifestItem::StorageSlot { slot, storages } => {
                self.storage_slot = *slot;
                self.storages_odd += u64::from(*storages != 1);
            }
            ManifestItem::Storage(storage)
                if self.fits(self.storages.len(), STORAGES_MAX, "listed storages") =>
            {
                let entry = (storage.id, storage.accounts_current_len);
                let before = self.storages.insert(self.storage_slot, entry);
                self.storages_odd += u64::from(before.is_some());
            }
            ManifestItem::AccountsDbScalars(scalars) => self.accounts_db = Some(*scalars),
            ManifestItem::IncrementalSnapshotPersistence(persistence) => {
                self.persistence = *persistence;
            }
            ManifestItem::EpochAccountsHash(hash) => self.epoch_accounts_hash = *hash,
            ManifestItem::AccountsLatticeHash(bytes) => {
                self.lattice = bytes.map(LatticeHash::from_bytes);
            }
            _ => {}
        }
    }

    fn stakes(&mut self, of: StakesOf, item: &StakesItem<'_>) {
        match of {
            StakesOf::Bank => self.stakes_cache(item),
            StakesOf::BankEpoch(epoch) | StakesOf::VersionedEpoch(epoch) => {
                self.stakes_of_epoch(epoch, item);
            }
        }
    }

    fn stakes_cache(&mut self, item: &StakesItem<'_>) {
        match item {
            StakesItem::VoteAccount(VoteAccountRef { account, .. })
                if self.fits(self.stakes.votes.len(), VOTE_ACCOUNTS_MAX, "vote accounts") =>
            {
                let digest = digest_of_account(account);
                let before = self.stakes.votes.insert(*account.pubkey, digest);
                self.stakes.repeated += u64::from(before.is_some());
            }
            StakesItem::Delegation(key, delegation) => {
                let (number, digest) = (self.delegations_count, digest_of_wire(delegation));
                self.delegations_count += 1;
                // A folder that refused once is asked no more.
                if self.refused.is_none() {
                    let item = Delegation { key: *key, number, digest };
                    self.refused = self.delegations.push(item).err();
                }
                let voter = delegation.voter_pubkey;
                if !self.stakes.voters.contains(&voter)
                    && self.fits(self.stakes.voters.len(), VOTE_ACCOUNTS_MAX, "voters")
                {
                    self.stakes.voters.insert(voter);
                }
            }
            StakesItem::Scalars(scalars) => self.stakes.epoch = scalars.epoch,
            StakesItem::History(entry) => self.stakes.history.push(*entry),
            _ => {}
        }
    }

    fn stakes_of_epoch(&mut self, epoch: Epoch, item: &StakesItem<'_>) {
        let known = self.epoch_stakes.contains_key(&epoch);
        if !known && !self.fits(self.epoch_stakes.len(), EPOCHS_MAX, "epochs with stakes") {
            return;
        }
        let stakes = self.epoch_stakes.entry(epoch).or_default();
        let room = stakes.entries < EPOCH_ENTRIES_MAX;
        stakes.entries += usize::from(room && is_entry_of_an_epoch(item));
        match item {
            StakesItem::VoteAccount(VoteAccountRef { stake, account }) if room => {
                let state = VoteState::decode(account.data);
                stakes.votes.push(EpochVote {
                    vote: *account.pubkey,
                    stake: *stake,
                    node: state.as_ref().map(VoteState::node),
                    authorized_voter: state.and_then(|state| state.authorized_voter_for(epoch)),
                });
            }
            StakesItem::TotalStake(total) => stakes.total_stake = *total,
            StakesItem::Node { node, .. } if room => {
                stakes.nodes.push(EpochNode { node: *node, ..EpochNode::default() });
            }
            StakesItem::NodeVoteAccount(vote) if room => {
                if let Some(node) = stakes.nodes.last_mut() {
                    node.votes.push(*vote);
                }
            }
            StakesItem::NodeTotalStake(total) => {
                if let Some(node) = stakes.nodes.last_mut() {
                    node.total_stake = *total;
                }
            }
            StakesItem::AuthorizedVoter(vote, voter) if room => {
                let before = stakes.authorized_voters.insert(*vote, *voter);
                stakes.repeated += u64::from(before.is_some());
            }
            _ if !room => {
                self.fits(EPOCH_ENTRIES_MAX, EPOCH_ENTRIES_MAX, "entries of an epoch's stakes");
            }
            _ => {}
        }
    }

    /// The facts, once the decoder has reached the end; delegations are read through buffers of
    /// `bytes_max`.
    ///
    /// # Errors
    /// When delegations had to be spilled and the scratch folder refused.
    pub(crate) fn finish(
        mut self,
        end: ManifestEnd,
        bytes_max: usize,
    ) -> Result<ManifestFacts, SpillError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        self.stakes.delegations = Delegations::new(self.delegations.finish()?, bytes_max)?;
        let whole = "a decoder that reaches the end has given every field of the bank";
        Ok(ManifestFacts {
            blockhash_queue: self.blockhash_queue,
            hashes: self.hashes.expect(whole),
            hard_forks: self.hard_forks,
            bank: self.bank.expect(whole),
            stakes: self.stakes,
            bank_epochs: self.bank_epochs,
            storages: self.storages,
            storages_odd: self.storages_odd,
            accounts_db: self.accounts_db.expect(whole),
            persistence: self.persistence,
            epoch_accounts_hash: self.epoch_accounts_hash,
            epoch_stakes: self.epoch_stakes,
            lattice: self.lattice,
            end,
            beyond: self.beyond,
        })
    }
}

/// Whether an item of an epoch's stakes takes memory here: delegations do not.
fn is_entry_of_an_epoch(item: &StakesItem<'_>) -> bool {
    matches!(
        item,
        StakesItem::VoteAccount(_)
            | StakesItem::Node { .. }
            | StakesItem::NodeVoteAccount(_)
            | StakesItem::AuthorizedVoter(..)
    )
}
