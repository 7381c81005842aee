//! The items of a manifest, in file order: fixed groups of fields, counts of lists, entries.

use icecore_types::{
    AccountRef, Delegation, Epoch, Hash, LATTICE_BYTES, Pubkey, Slot, Stake, StakeHistoryEntry,
    Wire,
};

use super::{
    accounts_db::{AccountsDbScalars, Storage},
    bank::{BankHashes, BankScalars, BlockhashInfo, BlockhashQueueHead, HardFork},
    extra::IncrementalSnapshotPersistence,
    stakes::StakesScalars,
};

/// The variant of the versioned epoch stakes that every version writes (`Current`).
pub(super) const VERSIONED_EPOCH_STAKES_CURRENT: u32 = 0;

/// One item. Every byte of a manifest up to the end of its last field belongs to exactly one.
///
/// A count is followed by so many entries of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestItem<'a> {
    /// The blockhash queue begins (A1).
    BlockhashQueue(BlockhashQueueHead),
    /// Count of blockhashes.
    BlockhashCount(u64),
    /// A blockhash.
    Blockhash(Hash, BlockhashInfo),
    /// The blockhash queue's last field, `max_age`.
    BlockhashMaxAge(u64),
    /// Count of ancestors (A2).
    AncestorCount(u64),
    /// An ancestor's slot and an unused number.
    Ancestor(Slot, u64),
    /// This bank's and its parent's hash (A3 to A5).
    BankHashes(BankHashes),
    /// Count of hard forks (A6).
    HardForkCount(u64),
    /// A hard fork.
    HardFork(HardFork),
    /// The bank's fields of fixed size (A7 to A28).
    BankScalars(Box<BankScalars>),
    /// A part of the stakes of `of`.
    Stakes {
        /// Whose stakes.
        of: StakesOf,
        /// Which part.
        item: StakesItem<'a>,
    },
    /// Count of the first unused set (A30).
    UnusedFirstCount(u64),
    /// An entry of the first unused set.
    UnusedFirst(Pubkey),
    /// Count of the second unused set.
    UnusedSecondCount(u64),
    /// An entry of the second unused set.
    UnusedSecond(Pubkey),
    /// Count of the unused map.
    UnusedThirdCount(u64),
    /// An entry of the unused map.
    UnusedThird(Pubkey, u64),
    /// Count of epochs in the bank's own epoch stakes (A31); 0 since 2.2.
    BankEpochCount(u64),
    /// An epoch of these, whose stakes follow.
    BankEpoch(Epoch),
    /// The bank's last field (A32).
    IsDelta(bool),
    /// Count of slots with storages (B1).
    StorageSlotCount(u64),
    /// A slot and the count of its storages.
    StorageSlot {
        /// The slot.
        slot: Slot,
        /// How many storages follow; 1 since 3.0.
        storages: u64,
    },
    /// A storage of the slot before.
    Storage(Storage),
    /// The accounts-db fields of fixed size (B2 to B4).
    AccountsDbScalars(AccountsDbScalars),
    /// Count of old roots (B5).
    HistoricalRootCount(u64),
    /// An old root.
    HistoricalRoot(Slot),
    /// Count of old roots with hashes (B6).
    HistoricalRootWithHashCount(u64),
    /// An old root with its hash.
    HistoricalRootWithHash(Slot, Hash),
    /// The fee of a signature, in lamports (C1).
    LamportsPerSignature(u64),
    /// What an incremental archive of the Merkle era says of its base (C2).
    IncrementalSnapshotPersistence(Option<IncrementalSnapshotPersistence>),
    /// The epoch accounts hash (C3).
    EpochAccountsHash(Option<Hash>),
    /// Count of epochs in the versioned epoch stakes (C4).
    VersionedEpochCount(u64),
    /// An epoch of these, whose stakes follow. The only variant is `Current`.
    VersionedEpoch(Epoch),
    /// The lattice hash of all accounts (C5), as its bytes.
    AccountsLatticeHash(Option<&'a [u8; LATTICE_BYTES]>),
    /// The block id (C6).
    BlockId(Option<Hash>),
}

/// Whose stakes an item belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StakesOf {
    /// The stakes cache at the bank's slot (A29); delegations without credits.
    Bank,
    /// An epoch of the bank's own epoch stakes (A31); delegations without credits.
    BankEpoch(Epoch),
    /// An epoch of the versioned epoch stakes (C4); delegations with credits.
    VersionedEpoch(Epoch),
}

/// A part of stakes. From `TotalStake` on only an epoch's stakes have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StakesItem<'a> {
    /// Count of vote accounts.
    VoteAccountCount(u64),
    /// A vote account.
    VoteAccount(VoteAccountRef<'a>),
    /// Count of delegations, with or without credits.
    DelegationCount(u64),
    /// A stake account's address and delegation.
    Delegation(Pubkey, Delegation),
    /// A stake account's address and delegation, with credits.
    Stake(Pubkey, Stake),
    /// The fixed fields.
    Scalars(StakesScalars),
    /// Count of epochs in the stake history.
    HistoryCount(u64),
    /// An epoch of the stake history.
    History(StakeHistoryEntry),
    /// The sum of the stakes, in lamports.
    TotalStake(u64),
    /// Count of nodes.
    NodeCount(u64),
    /// A node's identity and the count of its vote accounts.
    Node {
        /// The identity.
        node: Pubkey,
        /// How many vote accounts follow.
        vote_accounts: u64,
    },
    /// A vote account's address, of the node before.
    NodeVoteAccount(Pubkey),
    /// The sum of the stakes of the node's vote accounts, in lamports.
    NodeTotalStake(u64),
    /// Count of vote accounts with an authorized voter.
    AuthorizedVoterCount(u64),
    /// A vote account's address and its authorized voter.
    AuthorizedVoter(Pubkey, Pubkey),
}

/// A vote account, borrowed from the bytes that were fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteAccountRef<'a> {
    /// Effective stake, in lamports.
    pub stake: u64,
    /// The account with its address.
    pub account: AccountRef<'a>,
}

impl ManifestItem<'_> {
    /// Appends the item's bytes, exactly as they were in the file.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::BlockhashQueue(head) => head.encode(out),
            Self::Blockhash(hash, info) => {
                hash.encode(out);
                info.encode(out);
            }
            Self::Ancestor(slot, number) => (*slot, *number).encode(out),
            Self::BankHashes(hashes) => hashes.encode(out),
            Self::HardFork(fork) => fork.encode(out),
            Self::BankScalars(scalars) => scalars.encode(out),
            Self::Stakes { item, .. } => item.encode(out),
            Self::UnusedFirst(pubkey) | Self::UnusedSecond(pubkey) => pubkey.encode(out),
            Self::UnusedThird(pubkey, number) => (*pubkey, *number).encode(out),
            Self::IsDelta(flag) => flag.encode(out),
            Self::StorageSlot { slot, storages } => (*slot, *storages).encode(out),
            Self::Storage(storage) => storage.encode(out),
            Self::AccountsDbScalars(scalars) => scalars.encode(out),
            Self::HistoricalRootWithHash(slot, hash) => (*slot, *hash).encode(out),
            Self::IncrementalSnapshotPersistence(persistence) => persistence.encode(out),
            Self::EpochAccountsHash(hash) | Self::BlockId(hash) => hash.encode(out),
            Self::VersionedEpoch(epoch) => (*epoch, VERSIONED_EPOCH_STAKES_CURRENT).encode(out),
            Self::AccountsLatticeHash(hash) => {
                hash.is_some().encode(out);
                out.extend(hash.iter().copied().flatten());
            }
            Self::BlockhashCount(number)
            | Self::BlockhashMaxAge(number)
            | Self::AncestorCount(number)
            | Self::HardForkCount(number)
            | Self::UnusedFirstCount(number)
            | Self::UnusedSecondCount(number)
            | Self::UnusedThirdCount(number)
            | Self::BankEpochCount(number)
            | Self::BankEpoch(number)
            | Self::StorageSlotCount(number)
            | Self::HistoricalRootCount(number)
            | Self::HistoricalRoot(number)
            | Self::HistoricalRootWithHashCount(number)
            | Self::LamportsPerSignature(number)
            | Self::VersionedEpochCount(number) => number.encode(out),
        }
    }
}

impl StakesItem<'_> {
    /// Appends the item's bytes, exactly as they were in the file.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::VoteAccount(VoteAccountRef { stake, account }) => {
                (*account.pubkey, *stake).encode(out);
                (account.lamports, account.data.len() as u64).encode(out);
                out.extend_from_slice(account.data);
                (*account.owner, account.executable).encode(out);
                account.rent_epoch.encode(out);
            }
            Self::Delegation(pubkey, delegation) => {
                pubkey.encode(out);
                delegation.encode(out);
            }
            Self::Stake(pubkey, stake) => {
                pubkey.encode(out);
                stake.encode(out);
            }
            Self::Scalars(scalars) => scalars.encode(out),
            Self::History(entry) => entry.encode(out),
            Self::Node { node, vote_accounts } => (*node, *vote_accounts).encode(out),
            Self::NodeVoteAccount(vote_account) => vote_account.encode(out),
            Self::AuthorizedVoter(vote_account, voter) => (*vote_account, *voter).encode(out),
            Self::VoteAccountCount(number)
            | Self::DelegationCount(number)
            | Self::HistoryCount(number)
            | Self::TotalStake(number)
            | Self::NodeCount(number)
            | Self::NodeTotalStake(number)
            | Self::AuthorizedVoterCount(number) => number.encode(out),
        }
    }
}
