//! Folds items into a collected manifest.

use icecore_types::{Delegation, Epoch, LatticeHash};

use super::{
    accounts_db::AccountsDbFields,
    bank::{BankFields, BankHashes, BankScalars, BlockhashQueue, HardFork, UnusedAccounts},
    collected::Manifest,
    decoder::ManifestEnd,
    extra::ExtraFields,
    item::{ManifestItem, StakesOf},
    stakes::{EpochStakes, Stakes},
};

/// Collects the items of one manifest, in the decoder's order.
///
/// Items in another order, or not all of them, are a mistake of the program: it panics.
#[derive(Debug, Default)]
pub struct ManifestBuilder {
    blockhash_queue: BlockhashQueue,
    ancestors: Vec<(u64, u64)>,
    hashes: BankHashes,
    hard_forks: Vec<HardFork>,
    scalars: Option<BankScalars>,
    stakes: Stakes<Delegation>,
    unused_accounts: UnusedAccounts,
    epoch_stakes: Vec<(Epoch, EpochStakes<Delegation>)>,
    is_delta: bool,
    accounts_db: AccountsDbFields,
    extra: ExtraFields,
}

impl ManifestBuilder {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up the next item.
    pub fn visit(&mut self, item: ManifestItem<'_>) {
        use ManifestItem as Item;
        match item {
            Item::BlockhashQueue(head) => self.blockhash_queue.head = head,
            Item::Blockhash(hash, info) => self.blockhash_queue.hashes.push((hash, info)),
            Item::BlockhashMaxAge(max_age) => self.blockhash_queue.max_age = max_age,
            Item::Ancestor(slot, number) => self.ancestors.push((slot, number)),
            Item::BankHashes(hashes) => self.hashes = hashes,
            Item::HardFork(fork) => self.hard_forks.push(fork),
            Item::BankScalars(scalars) => self.scalars = Some(*scalars),
            Item::Stakes { of, item } => match of {
                StakesOf::Bank => self.stakes.visit(&item),
                StakesOf::BankEpoch(_) => last(&mut self.epoch_stakes).visit(&item),
                StakesOf::VersionedEpoch(_) => {
                    last(&mut self.extra.versioned_epoch_stakes).visit(&item);
                }
            },
            Item::UnusedFirst(pubkey) => self.unused_accounts.first.push(pubkey),
            Item::UnusedSecond(pubkey) => self.unused_accounts.second.push(pubkey),
            Item::UnusedThird(pubkey, number) => {
                self.unused_accounts.third.push((pubkey, number));
            }
            Item::BankEpoch(epoch) => self.epoch_stakes.push((epoch, EpochStakes::default())),
            Item::IsDelta(is_delta) => self.is_delta = is_delta,
            Item::StorageSlot { slot, .. } => self.accounts_db.storages.push((slot, Vec::new())),
            Item::Storage(storage) => last(&mut self.accounts_db.storages).push(storage),
            Item::AccountsDbScalars(scalars) => self.accounts_db.scalars = scalars,
            Item::HistoricalRoot(slot) => self.accounts_db.historical_roots.push(slot),
            Item::HistoricalRootWithHash(slot, hash) => {
                self.accounts_db.historical_roots_with_hash.push((slot, hash));
            }
            Item::LamportsPerSignature(lamports) => self.extra.lamports_per_signature = lamports,
            Item::IncrementalSnapshotPersistence(persistence) => {
                self.extra.incremental_snapshot_persistence = persistence;
            }
            Item::EpochAccountsHash(hash) => self.extra.epoch_accounts_hash = hash,
            Item::VersionedEpoch(epoch) => {
                self.extra.versioned_epoch_stakes.push((epoch, EpochStakes::default()))
            }
            Item::AccountsLatticeHash(hash) => {
                self.extra.accounts_lt_hash = hash.map(LatticeHash::from_bytes);
            }
            Item::BlockId(block_id) => self.extra.block_id = block_id,
            // The lists grow entry by entry; their counts are not believed.
            Item::BlockhashCount(_)
            | Item::AncestorCount(_)
            | Item::HardForkCount(_)
            | Item::UnusedFirstCount(_)
            | Item::UnusedSecondCount(_)
            | Item::UnusedThirdCount(_)
            | Item::BankEpochCount(_)
            | Item::StorageSlotCount(_)
            | Item::HistoricalRootCount(_)
            | Item::HistoricalRootWithHashCount(_)
            | Item::VersionedEpochCount(_) => {}
        }
    }

    /// The manifest, whose decoder ended with `end`.
    pub fn finish(self, end: ManifestEnd) -> Manifest {
        Manifest {
            bank: BankFields {
                blockhash_queue: self.blockhash_queue,
                ancestors: self.ancestors,
                hashes: self.hashes,
                hard_forks: self.hard_forks,
                scalars: self
                    .scalars
                    .expect("a decoder that ended well has given the bank's scalars"),
                stakes: self.stakes,
                unused_accounts: self.unused_accounts,
                epoch_stakes: self.epoch_stakes,
                is_delta: self.is_delta,
            },
            accounts_db: self.accounts_db,
            extra: self.extra,
            last_field: end.last_field,
        }
    }
}

/// The group that was begun last.
fn last<K, V>(groups: &mut [(K, V)]) -> &mut V {
    let (_, group) =
        groups.last_mut().expect("a group's own item comes before those of its entries");
    group
}
