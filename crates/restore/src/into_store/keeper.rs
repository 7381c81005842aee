//! Keeps records in a store while they stream by, on one hash tile.
//!
//! Not written are records that close an account, since a complete state has none of them, those of
//! owners that the store does not keep, and records that seem to be replaced by the incremental
//! archive. Should one of the latter count after
//! all, it is written when it is looked at again.

use std::{collections::HashSet, sync::Arc};

use icecore_store::{Locator, RecordWriter, SizeClass};
use icecore_types::{AccountRef, Pubkey};

use super::owners::{OTHER, OwnerLook, Owners};
use crate::{
    Error,
    destination::{Keeper, Passing},
    key_bins::{Entry, KeyBins, Mark},
    pass::batch::Batch,
    spill::{SpillFile, item::read_u64},
};

/// What was made of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    locator: Locator,
    /// The number of its owner.
    pub(super) owner: u32,
}

impl Stored {
    /// No record lies there.
    const NOT_KEPT: u64 = u64::MAX;

    /// It closes its account, or the store does not keep accounts like it: nothing is written.
    fn closed() -> Self {
        Self { locator: Locator::new(0, 0, SizeClass::TOMBSTONE), owner: OTHER }
    }

    /// It seemed to be replaced.
    fn not_kept() -> Self {
        Self { locator: Locator::from_bits(Self::NOT_KEPT), owner: OTHER }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.locator.to_bits() != Self::NOT_KEPT
    }

    /// Where the record lies; `None`: there is no account to be kept.
    pub(super) fn locator(&self) -> Option<Locator> {
        debug_assert!(self.is_kept(), "asked before");
        (self.locator.class() != SizeClass::TOMBSTONE).then_some(self.locator)
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self::closed()
    }
}

impl Mark for Stored {
    const BYTES: usize = 12;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..8].copy_from_slice(&self.locator.to_bits().to_le_bytes());
        bytes[8..12].copy_from_slice(&self.owner.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let owner = u32::from_le_bytes(*bytes[8..].first_chunk().expect("twelve bytes"));
        Self { locator: Locator::from_bits(read_u64(bytes, 0)), owner }
    }
}

/// The owner of a record, where he has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OtherOwner(pub(super) Pubkey);

impl Mark for OtherOwner {
    const BYTES: usize = 32;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.0);
    }

    fn read(bytes: &[u8]) -> Self {
        Self(Pubkey(*bytes.first_chunk().expect("32 bytes")))
    }
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct StoreKeeper {
    pub(super) writer: RecordWriter,
    /// None: all are.
    kept_owners: Arc<HashSet<Pubkey>>,
    pub(super) owners: OwnerLook,
    /// Of records whose owners have no numbers.
    others: KeyBins<OtherOwner>,
    others_bytes: usize,
    spill: Arc<SpillFile>,
}

impl StoreKeeper {
    /// Owners without a number take `others_bytes`, then go to `spill`.
    pub(super) fn new(
        writer: RecordWriter,
        kept_owners: Arc<HashSet<Pubkey>>,
        owners: Arc<Owners>,
        others_bytes: usize,
        spill: Arc<SpillFile>,
    ) -> Self {
        let others = KeyBins::new(others_bytes, Arc::clone(&spill));
        let owners = OwnerLook::new(owners);
        Self { writer, kept_owners, owners, others, others_bytes, spill }
    }

    /// The owners without numbers that were met since this was asked last.
    pub(super) fn take_others(&mut self) -> KeyBins<OtherOwner> {
        let next = KeyBins::new(self.others_bytes, Arc::clone(&self.spill));
        std::mem::replace(&mut self.others, next)
    }
}

impl Keeper for StoreKeeper {
    type Mark = Stored;

    fn leaves_out(&self, account: &AccountRef<'_>) -> bool {
        !self.kept_owners.is_empty() && !self.kept_owners.contains(account.owner)
    }

    fn look(&mut self, batch: &Batch<'_>) {
        self.owners.look(batch.records().map(|(_, record)| &record.header.owner));
    }

    fn keep(&mut self, record: &Passing<'_>, is_replaced: bool) -> Result<Stored, Error> {
        let Passing { number, place, slot, account } = *record;
        if account.is_tombstone() || self.leaves_out(&account) {
            return Ok(Stored::closed());
        }
        if is_replaced {
            return Ok(Stored::not_kept());
        }
        let locator = self.writer.write(&account, slot)?;
        let owner = self.owners.count(number);
        if owner == OTHER {
            let mark = OtherOwner(*account.owner);
            self.others.push(Entry { key: *account.pubkey, place, mark })?;
        }
        Ok(Stored { locator, owner })
    }
}
