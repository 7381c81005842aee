//! The file that a new archive becomes.
//!
//! 1. A file under a temporary name in the folder of its final one.
//! 2. It is written, and looked at where it lies.
//! 3. It is synced and renamed, without replacing what is there.
//!
//! Dropped before that, it is gone.

use std::path::{Path, PathBuf};

use icecore_archive::{
    names::ArchiveName,
    seek_table::SeekTable,
    writing::{
        frame_encoder::{Packing, ZSTD_LEVEL_DEFAULT},
        frame_plan::FRAME_BYTES_DEFAULT,
    },
};
use icecore_disk::{Disk, Output, Publish, RealDisk};
use icecore_types::{Hash, Slot};

use crate::Error;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// How it is packed.
    pub packing: Packing,
    /// Bytes of a frame's content, one of
    /// [`FRAME_BYTES`](icecore_archive::writing::frame_plan::FRAME_BYTES).
    pub frame_bytes: u32,
    /// Whether what was written is looked at before it gets its name, and accounts of a pair that is
    /// merged are hashed.
    pub verify: bool,
    /// Whether small storages become larger ones, up to [`PACKED_BYTES_MAX`](crate::PACKED_BYTES_MAX).
    /// The slot in which each account was last written is lost. Recompressing changes no storage.
    pub pack: bool,
}

impl Default for WriteOptions {
    /// As the reference client writes, in frames of 32 MiB, looked at.
    fn default() -> Self {
        Self {
            packing: Packing::Zstd { level: ZSTD_LEVEL_DEFAULT },
            frame_bytes: FRAME_BYTES_DEFAULT,
            verify: true,
            pack: false,
        }
    }
}

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it lies.
    pub path: PathBuf,
    /// The slot of its state.
    pub slot: Slot,
    /// The hash in its name.
    pub snapshot_hash: Hash,
    /// Its bytes.
    pub bytes: u64,
    /// Frames, or what an lz4 or tar archive has in their place.
    pub frames: u64,
    /// Whether it was looked at before it got its name.
    pub is_verified: bool,
}

/// A file on its way.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) output: Output,
}

impl Target {
    /// Begins a file of that name. A taken name is an error now, before any work.
    pub(crate) fn create(folder: &Path, name: String) -> Result<Self, Error> {
        let path = check_name(folder, &name)?;
        let mut output = Output::create(&path)?;
        output.expect_large()?;
        Ok(Self { output, name, path })
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> Result<u64, Error> {
        Ok(icecore_disk::File::open(self.output.temporary_path())?.bytes())
    }

    /// Gives the file its name, durably.
    pub(crate) fn publish(self) -> Result<PathBuf, Error> {
        self.output.publish(Publish::New)?;
        Ok(self.path)
    }

    /// The same of an archive with so many frames.
    pub(crate) fn publish_archive(
        self,
        name: &ArchiveName,
        frames: &SeekTable,
        is_verified: bool,
    ) -> Result<Made, Error> {
        let bytes = self.bytes()?;
        Ok(Made {
            path: self.publish()?,
            slot: name.slot(),
            snapshot_hash: *name.hash(),
            bytes,
            frames: frames.frames().len() as u64,
            is_verified,
        })
    }
}

/// Makes the folder, unless it is there: what stands in the way of that is an error now, before any work.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    Ok(RealDisk.create_folder(folder)?)
}

/// Whether a folder, which is made if it is not there, has room for this name; its path then.
pub(crate) fn check_name(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    make_folder(folder)?;
    let path = folder.join(name);
    match icecore_disk::exists(&path) {
        true => Err(icecore_disk::Error::Exists { path }.into()),
        false => Ok(path),
    }
}
