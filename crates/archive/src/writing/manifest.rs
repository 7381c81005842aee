//! Copies a manifest and changes some of its fields on the way (decision 0030).
//!
//! Steps:
//! 1. The manifest comes in any chunking; the decoder cuts it into items.
//! 2. An item that the edit names is exchanged; every other encodes to the bytes that it was read
//!    from.
//! 3. The bytes go out in pieces.
//!
//! Invariants:
//! - An edit that changes nothing gives the same bytes, up to the end of the last field.
//! - Memory is that of the decoder, one piece, and one item: vote accounts and delegations, which
//!   make up hundreds of megabytes of mainnet's manifest, pass through.
//! - A field that was to be changed and is not there is an error: none is added, none left as it
//!   was.
//!
//! What it does *not* do: keep fields in agreement. Who changes the capitalization changes the
//! lattice hash and the bank hash, too.

use icecore_types::{Hash, LATTICE_BYTES, Slot};

use crate::manifest::{
    AccountsDbScalars, BankHashes, BankScalars, IncrementalSnapshotPersistence, LastField,
    ManifestDecoder, ManifestEnd, ManifestError, ManifestItem, Storage,
};

/// Items are gathered up to this many bytes before they go out.
const PIECE_BYTES: usize = 64 << 10;

/// What of a manifest is to be different; `None` keeps what is there. Groups of fields are
/// exchanged whole: whoever changes one field has seen the others.
#[derive(Debug, Clone, Default)]
pub struct ManifestEdit<'a> {
    /// The list of storages (B1), one for each slot, in the order in which they are to be listed.
    /// Clients up to 4.1 refuse an archive whose list is not true.
    pub storages: Option<&'a [(Slot, Storage)]>,
    /// The bank's place in the chain (A3 to A5).
    pub hashes: Option<BankHashes>,
    /// The bank's fields of fixed size (A7 to A28), among them slot, capitalization and the epoch,
    /// which clients from 2.3 to 3.1 demand to be that of the slot, and 4.1 writes as 0.
    pub scalars: Option<Box<BankScalars>>,
    /// The accounts-db fields of fixed size (B2 to B4).
    pub accounts_db: Option<AccountsDbScalars>,
    /// What an incremental archive of the Merkle era says of its base (C2).
    pub incremental_snapshot_persistence: Option<Option<IncrementalSnapshotPersistence>>,
    /// The epoch accounts hash (C3).
    pub epoch_accounts_hash: Option<Option<Hash>>,
    /// The lattice hash of all accounts (C5), as its bytes.
    pub accounts_lattice_hash: Option<&'a [u8; LATTICE_BYTES]>,
    /// The block id (C6).
    pub block_id: Option<Option<Hash>>,
}

/// How a manifest was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Bytes written.
    pub bytes: u64,
    /// How the manifest that was read ended; its trailing bytes are not copied.
    pub end: ManifestEnd,
}

/// Copies one manifest.
///
/// After an error it is of no further use.
#[derive(Debug)]
pub struct ManifestRewriter<'a> {
    decoder: ManifestDecoder,
    edit: ManifestEdit<'a>,
    piece: Vec<u8>,
    bytes: u64,
}

impl<'a> ManifestRewriter<'a> {
    /// Starts before the first byte.
    pub fn new(edit: ManifestEdit<'a>) -> Self {
        Self { decoder: ManifestDecoder::new(), edit, piece: Vec::new(), bytes: 0 }
    }

    /// Takes the next bytes, however many, and gives those of the new manifest that they complete.
    ///
    /// The size of the result is known only at its end; who needs it before writes twice, the first
    /// time to nowhere.
    pub fn feed(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), ManifestError> {
        let Self { decoder, edit, piece, bytes } = self;
        let mut flush = |piece: &mut Vec<u8>| {
            *bytes += piece.len() as u64;
            sink(piece);
            piece.clear();
        };
        decoder.feed(input, &mut |_, item| {
            edit.apply(item, &mut |item| {
                item.encode(piece);
                if piece.len() >= PIECE_BYTES {
                    flush(piece);
                }
            });
        })?;
        if !piece.is_empty() {
            flush(piece);
        }
        Ok(())
    }

    /// Says how the manifest ended; all bytes have been given.
    pub fn finish(self) -> Result<Rewritten, ManifestError> {
        let end = self.decoder.finish()?;
        match self.edit.field_behind(end.last_field) {
            Some(field) => Err(ManifestError::NoSuchField { field, last_field: end.last_field }),
            None => Ok(Rewritten { bytes: self.bytes, end }),
        }
    }
}

impl ManifestEdit<'_> {
    /// Gives what is written for an item.
    fn apply(&self, item: ManifestItem<'_>, give: &mut dyn FnMut(ManifestItem<'_>)) {
        use ManifestItem as Item;
        match (&item, self) {
            (Item::StorageSlotCount(_), Self { storages: Some(storages), .. }) => {
                give(Item::StorageSlotCount(storages.len() as u64));
                for (slot, storage) in *storages {
                    give(Item::StorageSlot { slot: *slot, storages: 1 });
                    give(Item::Storage(*storage));
                }
            }
            (Item::StorageSlot { .. } | Item::Storage(_), Self { storages: Some(_), .. }) => {}
            (Item::BankHashes(_), Self { hashes: Some(hashes), .. }) => {
                give(Item::BankHashes(*hashes));
            }
            (Item::BankScalars(_), Self { scalars: Some(scalars), .. }) => {
                give(Item::BankScalars(scalars.clone()));
            }
            (Item::AccountsDbScalars(_), Self { accounts_db: Some(scalars), .. }) => {
                give(Item::AccountsDbScalars(*scalars));
            }
            (
                Item::IncrementalSnapshotPersistence(_),
                Self { incremental_snapshot_persistence: Some(persistence), .. },
            ) => give(Item::IncrementalSnapshotPersistence(*persistence)),
            (Item::EpochAccountsHash(_), Self { epoch_accounts_hash: Some(hash), .. }) => {
                give(Item::EpochAccountsHash(*hash));
            }
            (Item::AccountsLatticeHash(_), Self { accounts_lattice_hash: Some(hash), .. }) => {
                give(Item::AccountsLatticeHash(Some(hash)));
            }
            (Item::BlockId(_), Self { block_id: Some(block_id), .. }) => {
                give(Item::BlockId(*block_id));
            }
            _ => give(item),
        }
    }

    /// A field to be changed that lies behind the last one.
    fn field_behind(&self, last_field: LastField) -> Option<&'static str> {
        [
            (
                self.incremental_snapshot_persistence.is_some(),
                LastField::IncrementalSnapshotPersistence,
                "incremental_snapshot_persistence",
            ),
            (
                self.epoch_accounts_hash.is_some(),
                LastField::EpochAccountsHash,
                "epoch_accounts_hash",
            ),
            (
                self.accounts_lattice_hash.is_some(),
                LastField::AccountsLatticeHash,
                "accounts_lt_hash",
            ),
            (self.block_id.is_some(), LastField::BlockId, "block_id"),
        ]
        .into_iter()
        .find(|(is_changed, field, _)| *is_changed && *field > last_field)
        .map(|(_, _, name)| name)
    }
}
