//! The file that a new archive becomes.
//!
//! 1. A file under a temporary name in the folder of its final one.
//! 2. It is written, and looked at where it lies.
//! 3. It is synced and renamed, without replacing what is there.
//!
//! Dropped before that, it is gone.

use std::path::{Path, PathBuf};

use icecore_archive::writing::{
    frame_encoder::{Packing, ZSTD_LEVEL_DEFAULT},
    frame_plan::FRAME_BYTES_DEFAULT,
};
use icecore_disk::{Output, Publish};

use crate::Error;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// How it is packed.
    pub packing: Packing,
    /// Bytes of a frame's content, one of
    /// [`FRAME_BYTES`](icecore_archive::writing::frame_plan::FRAME_BYTES).
    pub frame_bytes: u32,
    /// Whether what was written is looked at before it gets its name.
    pub verify: bool,
}

impl Default for WriteOptions {
    /// As the reference client writes, in frames of 32 MiB, looked at.
    fn default() -> Self {
        Self {
            packing: Packing::Zstd { level: ZSTD_LEVEL_DEFAULT },
            frame_bytes: FRAME_BYTES_DEFAULT,
            verify: true,
        }
    }
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
        let path = folder.join(&name);
        if icecore_disk::exists(&path) {
            return Err(icecore_disk::Error::Exists { path }.into());
        }
        Ok(Self { output: Output::create(&path)?, name, path })
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
}
