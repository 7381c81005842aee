//! A whole manifest in memory.

use serde::Serialize;

use super::{
    ManifestError,
    accounts_db::AccountsDbFields,
    bank::BankFields,
    builder::ManifestBuilder,
    decoder::{LastField, ManifestDecoder, ManifestEnd},
    extra::ExtraFields,
    item::{ManifestItem, StakesOf},
};

/// A manifest, collected. Maps are kept in file order, so that it encodes to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Part A.
    pub bank: BankFields,
    /// Part B.
    pub accounts_db: AccountsDbFields,
    /// Part C.
    pub extra: ExtraFields,
    /// The last field that the file holds; those after it have their defaults, and are not
    /// encoded.
    pub last_field: LastField,
}

impl Manifest {
    /// Decodes a manifest of which all bytes are there.
    pub fn decode(bytes: &[u8]) -> Result<(Self, ManifestEnd), ManifestError> {
        let mut decoder = ManifestDecoder::new();
        let mut builder = ManifestBuilder::new();
        decoder.feed(bytes, &mut |_, item| builder.visit(item))?;
        let end = decoder.finish()?;
        Ok((builder.finish(end), end))
    }

    /// The file's bytes up to the end of its last field.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.items(&mut |item| item.encode(&mut bytes));
        bytes
    }

    /// Gives the items in file order.
    pub fn items(&self, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        self.bank.items(visit);
        self.accounts_db.items(self.last_field, visit);
        self.extra.items(self.last_field, visit);
    }
}

impl BankFields {
    fn items(&self, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        use ManifestItem as Item;
        visit(Item::BlockhashQueue(self.blockhash_queue.head));
        visit(Item::BlockhashCount(count(&self.blockhash_queue.hashes)));
        for (hash, info) in &self.blockhash_queue.hashes {
            visit(Item::Blockhash(*hash, *info));
        }
        visit(Item::BlockhashMaxAge(self.blockhash_queue.max_age));
        visit(Item::AncestorCount(count(&self.ancestors)));
        for (slot, number) in &self.ancestors {
            visit(Item::Ancestor(*slot, *number));
        }
        visit(Item::BankHashes(self.hashes));
        visit(Item::HardForkCount(count(&self.hard_forks)));
        for fork in &self.hard_forks {
            visit(Item::HardFork(*fork));
        }
        visit(Item::BankScalars(Box::new(self.scalars.clone())));
        let of = StakesOf::Bank;
        self.stakes.items(&mut |item| visit(Item::Stakes { of, item }));
        visit(Item::UnusedFirstCount(count(&self.unused_accounts.first)));
        for pubkey in &self.unused_accounts.first {
            visit(Item::UnusedFirst(*pubkey));
        }
        visit(Item::UnusedSecondCount(count(&self.unused_accounts.second)));
        for pubkey in &self.unused_accounts.second {
            visit(Item::UnusedSecond(*pubkey));
        }
        visit(Item::UnusedThirdCount(count(&self.unused_accounts.third)));
        for (pubkey, number) in &self.unused_accounts.third {
            visit(Item::UnusedThird(*pubkey, *number));
        }
        visit(Item::BankEpochCount(count(&self.epoch_stakes)));
        for (epoch, stakes) in &self.epoch_stakes {
            visit(Item::BankEpoch(*epoch));
            let of = StakesOf::BankEpoch(*epoch);
            stakes.items(&mut |item| visit(Item::Stakes { of, item }));
        }
        visit(Item::IsDelta(self.is_delta));
    }
}

impl AccountsDbFields {
    fn items(&self, last_field: LastField, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        use ManifestItem as Item;
        visit(Item::StorageSlotCount(count(&self.storages)));
        for (slot, storages) in &self.storages {
            visit(Item::StorageSlot { slot: *slot, storages: count(storages) });
            for storage in storages {
                visit(Item::Storage(*storage));
            }
        }
        visit(Item::AccountsDbScalars(self.scalars));
        if last_field >= LastField::HistoricalRoots {
            visit(Item::HistoricalRootCount(count(&self.historical_roots)));
            for slot in &self.historical_roots {
                visit(Item::HistoricalRoot(*slot));
            }
        }
        if last_field >= LastField::HistoricalRootsWithHash {
            visit(Item::HistoricalRootWithHashCount(count(&self.historical_roots_with_hash)));
            for (slot, hash) in &self.historical_roots_with_hash {
                visit(Item::HistoricalRootWithHash(*slot, *hash));
            }
        }
    }
}

impl ExtraFields {
    fn items(&self, last_field: LastField, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        use ManifestItem as Item;
        if last_field >= LastField::LamportsPerSignature {
            visit(Item::LamportsPerSignature(self.lamports_per_signature));
        }
        if last_field >= LastField::IncrementalSnapshotPersistence {
            visit(Item::IncrementalSnapshotPersistence(self.incremental_snapshot_persistence));
        }
        if last_field >= LastField::EpochAccountsHash {
            visit(Item::EpochAccountsHash(self.epoch_accounts_hash));
        }
        if last_field >= LastField::VersionedEpochStakes {
            visit(Item::VersionedEpochCount(count(&self.versioned_epoch_stakes)));
            for (epoch, stakes) in &self.versioned_epoch_stakes {
                visit(Item::VersionedEpoch(*epoch));
                let of = StakesOf::VersionedEpoch(*epoch);
                stakes.items(&mut |item| visit(Item::Stakes { of, item }));
            }
        }
        if last_field >= LastField::AccountsLatticeHash {
            let bytes = self.accounts_lt_hash.as_ref().map(|hash| hash.to_bytes());
            visit(Item::AccountsLatticeHash(bytes.as_deref()));
        }
        if last_field >= LastField::BlockId {
            visit(Item::BlockId(self.block_id));
        }
    }
}

fn count<T>(list: &[T]) -> u64 {
    list.len() as u64
}
