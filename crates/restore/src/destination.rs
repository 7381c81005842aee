//! What becomes of an archive's records besides being judged: nothing for a verification, a store
//! for a restore.
//!
//! A [`Destination`] has a [`Keeper`] for each hash tile, which is given every record once while
//! the archives stream by, and [`Rows`], which are given those that count once keys are settled.
//!
//! Invariants:
//! - Keepers are out with the tiles during a pass, and at home between passes.
//! - What a keeper says of a record comes back with it, unchanged, from the key bins.

use icecore_types::{AccountRef, Slot};

use crate::{
    Error, Source,
    account_facts::{ByKey, Sysvars},
    capture::Capture,
    first_look::ArchiveFacts,
    key_bins::{Entry, Mark},
    manifest_facts::ManifestFacts,
    pass::{
        Writes,
        batch::{Batch, Place},
    },
    rows::{NoRows, Rows},
    spill::sorted::Sorted,
    totals::{Hashing, Totals},
};

/// Keeps records, on one hash tile.
pub(crate) trait Keeper: Send {
    /// What is to be known of a record that was kept.
    type Mark: Mark;

    /// Whether accounts like this one are not wanted. They are summed up by themselves, too.
    fn leaves_out(&self, account: &AccountRef<'_>) -> bool {
        let _ = account;
        false
    }

    /// Looks at a batch, before its records are kept one after the other.
    fn look(&mut self, batch: &Batch<'_>);

    /// Keeps the next record of the batch. `is_replaced`: another record seems to replace it, so
    /// that it will hardly ever count.
    fn keep(&mut self, record: &Passing<'_>, is_replaced: bool) -> Result<Self::Mark, Error>;
}

/// A record to be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing<'a> {
    /// In its batch.
    pub(crate) number: usize,
    pub(crate) place: Place,
    /// The slot of its storage.
    pub(crate) slot: Slot,
    pub(crate) account: AccountRef<'a>,
}

/// Where records go.
pub(crate) trait Destination {
    /// What keepers say of records.
    type Mark: Mark;
    /// For each hash tile.
    type Keeper: Keeper<Mark = Self::Mark>;
    /// For what counts.
    type Rows: Rows<Self::Mark>;

    /// Whether accounts are to be hashed.
    fn hashing(&self) -> Hashing {
        Hashing::Recomputed
    }

    /// Makes a keeper for each hash tile; says what they and the capture write to.
    fn prepare(&mut self, tiles: usize) -> Result<Writes, Error>;

    /// The keepers, for a pass.
    fn send(&mut self) -> Vec<Self::Keeper>;

    /// They are home again.
    fn receive(&mut self, keepers: Vec<Self::Keeper>);

    /// What takes the last archive's members besides storages, if they are wanted.
    fn capture(&mut self) -> Option<Capture>;

    /// It has been given what there is of an archive with this manifest, if it could be decoded.
    fn captured(&mut self, capture: Capture, manifest: Option<&ManifestFacts>)
    -> Result<(), Error>;

    /// Begins with the rows. Records in `late` were not kept when they streamed by, but later.
    fn rows(&mut self, late: &[Entry<Self::Mark>]) -> Result<Self::Rows, Error>;

    /// All rows have been given; says whether all of their records were kept.
    fn received(&mut self, rows: Self::Rows) -> Result<bool, Error>;

    /// What is known of the full archive that the only archive builds on, where that is a base point
    /// of a store.
    fn take_base(&mut self) -> Option<ArchiveFacts> {
        None
    }

    /// The state of that base point, without what the archive replaces; all rows were received.
    fn beneath(&mut self, archive: &Source, facts: &ArchiveFacts) -> Result<Beneath, Error> {
        let _ = (archive, facts);
        Ok(Beneath::default())
    }
}

/// A state that an archive builds on, as far as it still counts.
#[derive(Debug, Default)]
pub(crate) struct Beneath {
    pub(crate) totals: Totals,
    /// Its stake and vote accounts.
    pub(crate) facts: Sorted<ByKey>,
    pub(crate) sysvars: Sysvars,
}

/// No destination: archives are only judged.
#[derive(Default)]
pub(crate) struct Nowhere {
    tiles: usize,
}

/// Keeps nothing.
pub(crate) struct NoKeeper;

impl Keeper for NoKeeper {
    type Mark = ();

    fn look(&mut self, _: &Batch<'_>) {}

    #[inline]
    fn keep(&mut self, _: &Passing<'_>, _: bool) -> Result<(), Error> {
        Ok(())
    }
}

impl Destination for Nowhere {
    type Mark = ();
    type Keeper = NoKeeper;
    type Rows = NoRows;

    fn prepare(&mut self, tiles: usize) -> Result<Writes, Error> {
        self.tiles = tiles;
        Ok(Writes::default())
    }

    fn send(&mut self) -> Vec<NoKeeper> {
        (0..self.tiles).map(|_| NoKeeper).collect()
    }

    fn receive(&mut self, _: Vec<NoKeeper>) {}

    fn capture(&mut self) -> Option<Capture> {
        None
    }

    fn captured(&mut self, _: Capture, _: Option<&ManifestFacts>) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, _: &[Entry]) -> Result<NoRows, Error> {
        Ok(NoRows)
    }

    fn received(&mut self, _: NoRows) -> Result<bool, Error> {
        Ok(true)
    }
}
