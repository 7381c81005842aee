//! What can be read: the chain as far as it is written (in the writer's process) or durable (in
//! others), and how to find events in it.
//!
//! It never writes. The writer changes its catalog as segments begin, are sealed, and go; a search
//! keeps the catalog that it began with.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use icecore_disk::Disk;

use crate::{
    Error, Event, StoreId,
    digest::StoreKeys,
    primitives::RwLock,
    reader::Follower,
    segment::{Catalog, Segment, table::Identity},
    writer::watermarks::{Stage, Watermarks},
};

/// The readable side of a journal.
#[derive(Debug)]
pub struct History {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) store_keys: StoreKeys,
    pub(crate) watermarks: Watermarks,
    pub(crate) catalog: RwLock<Arc<Catalog>>,
    /// In processes that do not write.
    pub(crate) follower: Option<Follower>,
    /// Segments that had to be scanned because their index was missing or wrong.
    pub(crate) fallbacks: Arc<AtomicU64>,
}

impl History {
    /// The journal's identity.
    pub fn store_id(&self) -> StoreId {
        self.identity.store_id
    }

    /// Events that can be read: every sequence below, but what was dropped.
    pub fn end(&self) -> u64 {
        self.watermarks.at(Stage::Written)
    }

    /// Events that are durable: every sequence below.
    pub fn durable_end(&self) -> u64 {
        self.watermarks.at(Stage::Durable)
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().expect("nobody panics while holding it"))
    }

    /// Makes a new catalog out of the one that there is.
    pub(crate) fn change_catalog(&self, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = self.catalog.write().expect("nobody panics while holding it");
        let mut changed = Catalog::clone(&catalog);
        change(&mut changed);
        changed.number += 1;
        *catalog = Arc::new(changed);
    }

    /// Segments without an index file that are or were written to.
    pub(crate) fn open_segments(&self) -> usize {
        let catalog = self.catalog();
        catalog.segments.iter().filter(|segment| matches!(segment, Segment::Open(_))).count()
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`Error::NoSuchEvent`] at and beyond [`Self::end`], [`Error::Dropped`] where events were
    /// dropped, [`Error::Corrupt`] when what lies there does not check.
    pub fn read(&self, sequence: u64) -> Result<Event, Error> {
        let end = self.end();
        if sequence >= end {
            return Err(Error::NoSuchEvent { sequence, end });
        }
        let event = self.retry(|| self.catalog().read(&self.identity, sequence))?;
        event.ok_or_else(|| self.lost(sequence))
    }
}
