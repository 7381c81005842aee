//! What a restore will need, as far as that can be known before it begins.
//!
//! What it does *not* do: promise anything. Archives say how large they are only when they are
//! read, so that all but their compressed size is guessed from their first blocks.

use std::path::{Path, PathBuf};

use icecore_disk::Disk;

use crate::{Error, Options, Pair, into_store};

/// Tiles that are counted for the memory of a pipeline: links, blocks, windows of decompressors.
const PIPELINE_BYTES: u64 = 96 << 20;

/// Buffers of a tile that writes.
const WRITER_BYTES: u64 = 4 << 20;

/// What a restore will need, and what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The store's folder.
    pub folder: PathBuf,
    /// Bytes of the archives as they are; 0 for standard input.
    pub archive_bytes: u64,
    /// About how many the store will have more; `None` for standard input.
    pub store_bytes: Option<u64>,
    /// Bytes that can still be written where the store is.
    pub available_bytes: u64,
    /// Memory that it takes at most, about.
    pub memory_bytes: u64,
    /// Memory that could be had, if the system says.
    pub memory_available_bytes: Option<u64>,
}

impl Preflight {
    /// Looks at archives, and at the disk on which the store's folder lies.
    ///
    /// # Errors
    /// When an archive or the folder cannot be looked at.
    pub fn of(
        pair: &Pair,
        options: &Options,
        disk: &dyn Disk,
        folder: &Path,
    ) -> Result<Self, Error> {
        let sources = || [Some(&pair.full), pair.incremental.as_ref()].into_iter().flatten();
        let tiles = options.tiles.counts(options.cores, pair.may_have_frames()?).1 as u64;
        let writers = (tiles + 2) * WRITER_BYTES;
        Ok(Self {
            folder: folder.to_path_buf(),
            archive_bytes: sources().filter_map(|source| source.bytes()).sum(),
            store_bytes: unpacked_bytes(pair)?,
            available_bytes: disk.available_bytes(folder)?,
            memory_bytes: options.memory_bytes_max
                + into_store::MEMORY_BYTES
                + PIPELINE_BYTES
                + writers,
            memory_available_bytes: icecore_disk::machine().memory_available_bytes,
        })
    }

    /// Whether it will hardly fit: as much is to be written as there is room, or more.
    pub fn is_tight(&self) -> bool {
        let is_full = self.store_bytes.is_some_and(|bytes| bytes >= self.available_bytes);
        is_full || self.memory_available_bytes.is_some_and(|bytes| bytes < self.memory_bytes)
    }

    /// Whether it can fit at all: a store is larger than the archives that it was restored from.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when it cannot.
    pub fn check(&self) -> Result<(), Error> {
        if self.archive_bytes <= self.available_bytes {
            return Ok(());
        }
        Err(Error::NoRoom {
            folder: self.folder.clone(),
            needed_bytes: self.store_bytes.unwrap_or(self.archive_bytes),
            available_bytes: self.available_bytes,
        })
    }
}

/// About how many bytes the archives have when they are unpacked: about as many as their store.
/// `None` for standard input.
pub(crate) fn unpacked_bytes(pair: &Pair) -> Result<Option<u64>, Error> {
    let full = pair.full.unpacked_bytes()?;
    let incremental = match &pair.incremental {
        Some(incremental) => incremental.unpacked_bytes()?,
        None => Some(0),
    };
    Ok(full.zip(incremental).map(|(full, incremental)| full + incremental))
}
