//! What the summary shows of a manifest, folded while it streams by: fixed fields, and counts of
//! what is large.

use icecore_archive::manifest::{
    HardFork, IncrementalSnapshotPersistence, LastField, ManifestEnd, ManifestItem, StakesItem,
    StakesOf,
};
use icecore_hash::lattice_checksum;
use icecore_types::{Epoch, EpochSchedule, Hash, LatticeHash, Pubkey, Slot};
use serde::Serialize;

/// The manifest's fields; those that were not read are `None`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Bank {
    pub(super) slot: Option<Slot>,
    pub(super) parent_slot: Option<Slot>,
    /// By the epoch schedule: since 4.1 the manifest itself says 0.
    pub(super) epoch: Option<Epoch>,
    pub(super) block_height: Option<u64>,
    pub(super) bank_hash: Option<Hash>,
    pub(super) parent_hash: Option<Hash>,
    pub(super) last_blockhash: Option<Hash>,
    pub(super) block_id: Option<Hash>,
    pub(super) accounts_lt_hash_checksum: Option<Hash>,
    /// Of the Merkle era; absent when it is zero.
    pub(super) accounts_hash: Option<Hash>,
    pub(super) epoch_accounts_hash: Option<Hash>,
    pub(super) incremental_snapshot_persistence: Option<IncrementalSnapshotPersistence>,
    pub(super) capitalization: Option<u64>,
    pub(super) transaction_count: Option<u64>,
    pub(super) signature_count: Option<u64>,
    pub(super) accounts_data_len: Option<u64>,
    pub(super) lamports_per_signature: Option<u64>,
    pub(super) leader: Option<Pubkey>,
    pub(super) tick_height: Option<u64>,
    pub(super) max_tick_height: Option<u64>,
    pub(super) ticks_per_slot: Option<u64>,
    pub(super) hashes_per_tick: Option<u64>,
    pub(super) ns_per_slot: Option<u128>,
    pub(super) genesis_creation_time: Option<i64>,
    pub(super) hard_forks: Vec<HardFork>,
    pub(super) epoch_schedule: Option<EpochSchedule>,
    /// Entries of the blockhash queue.
    pub(super) blockhashes: Option<u64>,
    /// The stakes cache.
    pub(super) stakes: StakesCounts,
    /// The stakes kept for epochs, at most 1,024 of them.
    pub(super) epoch_stakes: Vec<EpochStakesCounts>,
    pub(super) manifest: ManifestExtent,
}

/// The manifest as a file.
#[derive(Debug, Default, Serialize)]
pub(super) struct ManifestExtent {
    /// Bytes of the member.
    pub(super) bytes: Option<u64>,
    /// The last field that it holds.
    pub(super) last_field: Option<LastField>,
    /// Bytes behind that.
    pub(super) trailing_bytes: Option<u64>,
    /// Whether the last field was reached.
    pub(super) is_whole: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct StakesCounts {
    pub(super) epoch: Option<Epoch>,
    pub(super) vote_accounts: u64,
    pub(super) stake_delegations: u64,
    pub(super) stake_history: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct EpochStakesCounts {
    pub(super) epoch: Epoch,
    pub(super) vote_accounts: u64,
    pub(super) stake_delegations: u64,
    pub(super) nodes: u64,
    pub(super) total_stake: u64,
}

impl Bank {
    /// Takes up an item.
    pub(super) fn visit(&mut self, item: &ManifestItem<'_>) {
        match item {
            ManifestItem::BlockhashQueue(head) => self.last_blockhash = head.last_hash,
            ManifestItem::BlockhashCount(count) => self.blockhashes = Some(*count),
            ManifestItem::BankHashes(hashes) => {
                self.bank_hash = Some(hashes.hash);
                self.parent_hash = Some(hashes.parent_hash);
                self.parent_slot = Some(hashes.parent_slot);
            }
            // The decoder lets 4,096 of them pass at most.
            ManifestItem::HardFork(fork) => self.hard_forks.push(*fork),
            ManifestItem::BankScalars(scalars) => {
                self.slot = Some(scalars.slot);
                self.epoch = Some(scalars.epoch_schedule.epoch_of(scalars.slot));
                self.block_height = Some(scalars.block_height);
                self.capitalization = Some(scalars.capitalization);
                self.transaction_count = Some(scalars.transaction_count);
                self.signature_count = Some(scalars.signature_count);
                self.accounts_data_len = Some(scalars.accounts_data_len);
                self.leader = Some(scalars.leader_id);
                self.tick_height = Some(scalars.tick_height);
                self.max_tick_height = Some(scalars.max_tick_height);
                self.ticks_per_slot = Some(scalars.ticks_per_slot);
                self.hashes_per_tick = scalars.hashes_per_tick;
                self.ns_per_slot = Some(scalars.ns_per_slot);
                self.genesis_creation_time = Some(scalars.genesis_creation_time);
                self.epoch_schedule = Some(scalars.epoch_schedule);
            }
            ManifestItem::Stakes { of: StakesOf::Bank, item } => self.stakes.visit(item),
            ManifestItem::BankEpoch(epoch) | ManifestItem::VersionedEpoch(epoch) => {
                self.epoch_stakes.push(EpochStakesCounts { epoch: *epoch, ..Default::default() });
            }
            ManifestItem::Stakes { item, .. } => {
                let epoch = self.epoch_stakes.last_mut();
                epoch.expect("an epoch's item comes before those of its stakes").visit(item);
            }
            ManifestItem::AccountsDbScalars(scalars) => {
                let hash = scalars.bank_hash_info.accounts_hash;
                self.accounts_hash = (!hash.is_zero()).then_some(hash);
            }
            ManifestItem::LamportsPerSignature(lamports) => {
                self.lamports_per_signature = Some(*lamports);
            }
            ManifestItem::IncrementalSnapshotPersistence(persistence) => {
                self.incremental_snapshot_persistence = *persistence;
            }
            ManifestItem::EpochAccountsHash(hash) => self.epoch_accounts_hash = *hash,
            ManifestItem::AccountsLatticeHash(bytes) => {
                self.accounts_lt_hash_checksum =
                    bytes.map(|bytes| lattice_checksum(&LatticeHash::from_bytes(bytes)));
            }
            ManifestItem::BlockId(hash) => self.block_id = *hash,
            _ => {}
        }
    }

    /// The end was reached.
    pub(super) fn finish(&mut self, end: ManifestEnd) {
        self.manifest.last_field = Some(end.last_field);
        self.manifest.trailing_bytes = Some(end.trailing_bytes);
        self.manifest.is_whole = true;
        // In the file they stand in no order.
        self.epoch_stakes.sort_by_key(|stakes| stakes.epoch);
    }
}

impl StakesCounts {
    fn visit(&mut self, item: &StakesItem<'_>) {
        match item {
            StakesItem::VoteAccountCount(count) => self.vote_accounts = *count,
            StakesItem::DelegationCount(count) => self.stake_delegations = *count,
            StakesItem::Scalars(scalars) => self.epoch = Some(scalars.epoch),
            StakesItem::HistoryCount(count) => self.stake_history = *count,
            _ => {}
        }
    }
}

impl EpochStakesCounts {
    fn visit(&mut self, item: &StakesItem<'_>) {
        match item {
            StakesItem::VoteAccountCount(count) => self.vote_accounts = *count,
            StakesItem::DelegationCount(count) => self.stake_delegations = *count,
            StakesItem::NodeCount(count) => self.nodes = *count,
            StakesItem::TotalStake(total) => self.total_stake = *total,
            _ => {}
        }
    }
}
