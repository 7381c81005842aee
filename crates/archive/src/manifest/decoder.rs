//! The streaming decoder: bytes in any chunking to items, one after the other.

use icecore_types::{Cursor, Epoch};
use serde::Serialize;

use super::{
    ManifestError,
    item::{ManifestItem, StakesOf, VERSIONED_EPOCH_STAKES_CURRENT},
    stakes_decoder::StakesDecoder,
    stream::{Fault, Grammar, ItemError, Items, Place, STREAM_BYTES_MAX, entries_max, read_count},
};

/// The largest manifest: 32 GiB (`MAX_STREAM_SIZE` of the reference client 4.2.2).
pub const MANIFEST_BYTES_MAX: u64 = STREAM_BYTES_MAX;

/// Blockhashes of the queue. The reference client keeps 300 and the one being added.
const BLOCKHASHES_MAX: u64 = 1 << 10;
/// Ancestors. 2.x writes those since the last root, 1.x somewhat more.
const ANCESTORS_MAX: u64 = 1 << 20;
/// Hard forks. Mainnet has had fewer than ten.
const HARD_FORKS_MAX: u64 = 1 << 12;
/// Epochs with stakes. The reference client keeps six (`MAX_LEADER_SCHEDULE_STAKES` and one).
const EPOCHS_MAX: u64 = 1 << 10;
/// Storages of a slot: one since 3.0; 1.x wrote one per thread and flush.
const SLOT_STORAGES_MAX: u64 = 1 << 20;
/// What is not bounded by the protocol is bounded by the room for its smallest entries.
const STORAGE_SLOTS_MAX: u64 = entries_max(16);
const ROOTS_MAX: u64 = entries_max(8);
const ROOTS_WITH_HASH_MAX: u64 = entries_max(40);
const UNUSED_MAX: u64 = entries_max(32);

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    BlockhashQueue,
    BlockhashCount,
    Blockhash,
    BlockhashMaxAge,
    AncestorCount,
    Ancestor,
    BankHashes,
    HardForkCount,
    HardFork,
    BankScalars,
    /// Stakes of any owner; where they end their owner says what follows.
    Stakes,
    UnusedFirstCount,
    UnusedFirst,
    UnusedSecondCount,
    UnusedSecond,
    UnusedThirdCount,
    UnusedThird,
    BankEpochCount,
    BankEpoch,
    IsDelta,
    StorageSlotCount,
    StorageSlot,
    Storage,
    AccountsDbScalars,
    HistoricalRootCount,
    HistoricalRoot,
    HistoricalRootWithHashCount,
    HistoricalRootWithHash,
    LamportsPerSignature,
    IncrementalSnapshotPersistence,
    EpochAccountsHash,
    VersionedEpochCount,
    VersionedEpoch,
    AccountsLatticeHash,
    BlockId,
    Trailing,
}

/// The last field that a manifest holds. A file may end after any of these, and holds all before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LastField {
    /// B4: none of the fields that may be missing is there.
    BankHashInfo,
    /// B5.
    HistoricalRoots,
    /// B6.
    HistoricalRootsWithHash,
    /// C1.
    LamportsPerSignature,
    /// C2.
    IncrementalSnapshotPersistence,
    /// C3: the last of 1.x.
    EpochAccountsHash,
    /// C4: the last of 2.0.
    VersionedEpochStakes,
    /// C5: the last of 2.1 to 4.0; there but `None` before the lattice hash was switched on.
    AccountsLatticeHash,
    /// C6: the last of 4.1 and later.
    BlockId,
}

/// How a manifest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEnd {
    /// The last field that it holds.
    pub last_field: LastField,
    /// Bytes after the last field that is known. The reference client does not look at them.
    pub trailing_bytes: u64,
    /// Whether all of these are zero.
    pub trailing_all_zero: bool,
}

/// Decodes a manifest that comes in chunks.
///
/// After an error the decoder is of no further use.
#[derive(Debug)]
pub struct ManifestDecoder {
    items: Items,
    walk: Walk,
}

/// The decoder without its buffer.
#[derive(Debug)]
struct Walk {
    grammar: Grammar<At>,
    stakes: StakesDecoder,
    /// Epochs left in the epoch stakes, this one included.
    epochs: u64,
    trailing_bytes: u64,
    trailing_all_zero: bool,
}

impl Default for ManifestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ManifestDecoder {
    /// Starts before the first byte.
    pub fn new() -> Self {
        Self {
            items: Items::default(),
            walk: Walk {
                grammar: Grammar::new(At::BlockhashQueue),
                stakes: StakesDecoder::new(StakesOf::Bank),
                epochs: 0,
                trailing_bytes: 0,
                trailing_all_zero: true,
            },
        }
    }

    /// Takes the next bytes, however many, and calls `visit` with the offset of each item that
    /// they complete.
    pub fn feed(
        &mut self,
        input: &[u8],
        visit: &mut dyn FnMut(u64, ManifestItem<'_>),
    ) -> Result<(), ManifestError> {
        let length = self.length() + input.len() as u64;
        if length > MANIFEST_BYTES_MAX {
            return Err(ManifestError::AboveLimit {
                offset: self.length(),
                field: "the manifest",
                value: length,
                limit: MANIFEST_BYTES_MAX,
            });
        }
        let walk = &mut self.walk;
        self.items
            .feed(input, |offset, cursor| {
                if walk.grammar.at == At::Trailing {
                    walk.pass_trailing(cursor)
                } else {
                    visit(offset, walk.item(cursor)?);
                    Ok(())
                }
            })
            .map_err(|place: Place| ManifestError::at(place, self.walk.field()))
    }

    /// Says how the manifest ended. No item is left to be visited.
    pub fn finish(self) -> Result<ManifestEnd, ManifestError> {
        let last_field = match self.walk.last_field() {
            Some(last_field) if self.items.pending_bytes() == 0 => last_field,
            _ => {
                return Err(ManifestError::Truncated {
                    offset: self.items.offset(),
                    field: self.walk.field(),
                    length: self.length(),
                });
            }
        };
        Ok(ManifestEnd {
            last_field,
            trailing_bytes: self.walk.trailing_bytes,
            trailing_all_zero: self.walk.trailing_all_zero,
        })
    }

    /// Bytes fed so far.
    fn length(&self) -> u64 {
        self.items.offset() + self.items.pending_bytes()
    }
}

impl Walk {
    fn pass_trailing(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ItemError> {
        let bytes = cursor.take(cursor.remaining().len())?;
        self.trailing_bytes += bytes.len() as u64;
        self.trailing_all_zero &= bytes.iter().all(|byte| *byte == 0);
        Ok(())
    }

    /// Decodes the next item: the manifest's grammar, in file order.
    fn item<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<ManifestItem<'a>, ItemError> {
        use ManifestItem as Item;
        let at = &mut self.grammar;
        Ok(match at.at {
            At::BlockhashQueue => Item::BlockhashQueue(at.one(cursor, At::BlockhashCount)?),
            At::BlockhashCount => Item::BlockhashCount(at.list(
                cursor,
                BLOCKHASHES_MAX,
                At::Blockhash,
                At::BlockhashMaxAge,
            )?),
            At::Blockhash => {
                let (hash, info) = at.entry(cursor, At::BlockhashMaxAge)?;
                Item::Blockhash(hash, info)
            }
            At::BlockhashMaxAge => Item::BlockhashMaxAge(at.one(cursor, At::AncestorCount)?),
            At::AncestorCount => {
                Item::AncestorCount(at.list(cursor, ANCESTORS_MAX, At::Ancestor, At::BankHashes)?)
            }
            At::Ancestor => {
                let (slot, number) = at.entry(cursor, At::BankHashes)?;
                Item::Ancestor(slot, number)
            }
            At::BankHashes => Item::BankHashes(at.one(cursor, At::HardForkCount)?),
            At::HardForkCount => Item::HardForkCount(at.list(
                cursor,
                HARD_FORKS_MAX,
                At::HardFork,
                At::BankScalars,
            )?),
            At::HardFork => Item::HardFork(at.entry(cursor, At::BankScalars)?),
            At::BankScalars => Item::BankScalars(Box::new(at.one(cursor, At::Stakes)?)),
            At::Stakes => return self.stakes_item(cursor),
            At::UnusedFirstCount => Item::UnusedFirstCount(at.list(
                cursor,
                UNUSED_MAX,
                At::UnusedFirst,
                At::UnusedSecondCount,
            )?),
            At::UnusedFirst => Item::UnusedFirst(at.entry(cursor, At::UnusedSecondCount)?),
            At::UnusedSecondCount => Item::UnusedSecondCount(at.list(
                cursor,
                UNUSED_MAX,
                At::UnusedSecond,
                At::UnusedThirdCount,
            )?),
            At::UnusedSecond => Item::UnusedSecond(at.entry(cursor, At::UnusedThirdCount)?),
            At::UnusedThirdCount => Item::UnusedThirdCount(at.list(
                cursor,
                UNUSED_MAX,
                At::UnusedThird,
                At::BankEpochCount,
            )?),
            At::UnusedThird => {
                let (pubkey, number) = at.entry(cursor, At::BankEpochCount)?;
                Item::UnusedThird(pubkey, number)
            }
            At::BankEpochCount => {
                Item::BankEpochCount(self.epochs(cursor, At::BankEpoch, At::IsDelta)?)
            }
            At::BankEpoch => {
                let epoch = at.one(cursor, At::Stakes)?;
                self.stakes = StakesDecoder::new(StakesOf::BankEpoch(epoch));
                Item::BankEpoch(epoch)
            }
            At::IsDelta => Item::IsDelta(at.one(cursor, At::StorageSlotCount)?),
            At::StorageSlotCount => Item::StorageSlotCount(at.groups(
                cursor,
                STORAGE_SLOTS_MAX,
                At::StorageSlot,
                At::AccountsDbScalars,
            )?),
            At::StorageSlot => {
                let slot = cursor.read()?;
                let storages = at.list(cursor, SLOT_STORAGES_MAX, At::Storage, At::StorageSlot)?;
                if storages == 0 {
                    at.group_done(At::StorageSlot, At::AccountsDbScalars);
                }
                Item::StorageSlot { slot, storages }
            }
            At::Storage => {
                let storage = cursor.read()?;
                if at.entry_done(At::StorageSlot) {
                    at.group_done(At::StorageSlot, At::AccountsDbScalars);
                }
                Item::Storage(storage)
            }
            At::AccountsDbScalars => {
                Item::AccountsDbScalars(at.one(cursor, At::HistoricalRootCount)?)
            }
            At::HistoricalRootCount => Item::HistoricalRootCount(at.list(
                cursor,
                ROOTS_MAX,
                At::HistoricalRoot,
                At::HistoricalRootWithHashCount,
            )?),
            At::HistoricalRoot => {
                Item::HistoricalRoot(at.entry(cursor, At::HistoricalRootWithHashCount)?)
            }
            At::HistoricalRootWithHashCount => Item::HistoricalRootWithHashCount(at.list(
                cursor,
                ROOTS_WITH_HASH_MAX,
                At::HistoricalRootWithHash,
                At::LamportsPerSignature,
            )?),
            At::HistoricalRootWithHash => {
                let (slot, hash) = at.entry(cursor, At::LamportsPerSignature)?;
                Item::HistoricalRootWithHash(slot, hash)
            }
            At::LamportsPerSignature => {
                Item::LamportsPerSignature(at.one(cursor, At::IncrementalSnapshotPersistence)?)
            }
            At::IncrementalSnapshotPersistence => {
                Item::IncrementalSnapshotPersistence(at.one(cursor, At::EpochAccountsHash)?)
            }
            At::EpochAccountsHash => {
                Item::EpochAccountsHash(at.one(cursor, At::VersionedEpochCount)?)
            }
            At::VersionedEpochCount => Item::VersionedEpochCount(self.epochs(
                cursor,
                At::VersionedEpoch,
                At::AccountsLatticeHash,
            )?),
            At::VersionedEpoch => {
                let (epoch, variant) = cursor.read::<(Epoch, u32)>()?;
                if variant != VERSIONED_EPOCH_STAKES_CURRENT {
                    return Err(ItemError::Fault {
                        fault: Fault::Invalid {
                            what: "variant of epoch stakes",
                            value: variant.into(),
                        },
                        bytes_before: size_of::<u32>(),
                    });
                }
                self.stakes = StakesDecoder::new(StakesOf::VersionedEpoch(epoch));
                at.at = At::Stakes;
                Item::VersionedEpoch(epoch)
            }
            At::AccountsLatticeHash => {
                let is_there: bool = cursor.read()?;
                let hash = is_there.then(|| cursor.array()).transpose()?;
                at.at = At::BlockId;
                Item::AccountsLatticeHash(hash)
            }
            At::BlockId => Item::BlockId(at.one(cursor, At::Trailing)?),
            At::Trailing => unreachable!("whoever calls passes trailing bytes himself"),
        })
    }

    fn stakes_item<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<ManifestItem<'a>, ItemError> {
        let of = self.stakes.of();
        let item = self.stakes.item(cursor)?;
        if self.stakes.is_done() {
            self.grammar.at = match of {
                StakesOf::Bank => At::UnusedFirstCount,
                StakesOf::BankEpoch(_) => self.epoch_done(At::BankEpoch, At::IsDelta),
                StakesOf::VersionedEpoch(_) => {
                    self.epoch_done(At::VersionedEpoch, At::AccountsLatticeHash)
                }
            };
        }
        Ok(ManifestItem::Stakes { of, item })
    }

    fn epochs(&mut self, cursor: &mut Cursor<'_>, epoch: At, next: At) -> Result<u64, ItemError> {
        let count = read_count(cursor, EPOCHS_MAX)?;
        self.epochs = count;
        self.grammar.at = if count == 0 { next } else { epoch };
        Ok(count)
    }

    fn epoch_done(&mut self, epoch: At, next: At) -> At {
        self.epochs -= 1;
        if self.epochs == 0 { next } else { epoch }
    }

    /// The last field so far, when the manifest may end before the next item.
    fn last_field(&self) -> Option<LastField> {
        match self.grammar.at {
            At::HistoricalRootCount => Some(LastField::BankHashInfo),
            At::HistoricalRootWithHashCount => Some(LastField::HistoricalRoots),
            At::LamportsPerSignature => Some(LastField::HistoricalRootsWithHash),
            At::IncrementalSnapshotPersistence => Some(LastField::LamportsPerSignature),
            At::EpochAccountsHash => Some(LastField::IncrementalSnapshotPersistence),
            At::VersionedEpochCount => Some(LastField::EpochAccountsHash),
            At::AccountsLatticeHash => Some(LastField::VersionedEpochStakes),
            At::BlockId => Some(LastField::AccountsLatticeHash),
            At::Trailing => Some(LastField::BlockId),
            _ => None,
        }
    }

    /// The field to which the next item belongs.
    fn field(&self) -> &'static str {
        match self.grammar.at {
            At::BlockhashQueue | At::BlockhashCount | At::Blockhash | At::BlockhashMaxAge => {
                "blockhash_queue"
            }
            At::AncestorCount | At::Ancestor => "ancestors",
            At::BankHashes => "hash, parent_hash, parent_slot",
            At::HardForkCount | At::HardFork => "hard_forks",
            At::BankScalars => "transaction_count to inflation",
            At::Stakes => self.stakes.field(),
            At::UnusedFirstCount
            | At::UnusedFirst
            | At::UnusedSecondCount
            | At::UnusedSecond
            | At::UnusedThirdCount
            | At::UnusedThird => "unused_accounts",
            At::BankEpochCount | At::BankEpoch => "epoch_stakes",
            At::IsDelta => "is_delta",
            At::StorageSlotCount | At::StorageSlot | At::Storage => "storages",
            At::AccountsDbScalars => "write_version, slot, bank_hash_info",
            At::HistoricalRootCount | At::HistoricalRoot => "historical_roots",
            At::HistoricalRootWithHashCount | At::HistoricalRootWithHash => {
                "historical_roots_with_hash"
            }
            At::LamportsPerSignature => "lamports_per_signature",
            At::IncrementalSnapshotPersistence => "incremental_snapshot_persistence",
            At::EpochAccountsHash => "epoch_accounts_hash",
            At::VersionedEpochCount | At::VersionedEpoch => "versioned_epoch_stakes",
            At::AccountsLatticeHash => "accounts_lt_hash",
            At::BlockId => "block_id",
            At::Trailing => "trailing bytes",
        }
    }
}
