//! Lists longer than memory: kept up to a bound, written to nameless files beyond it.
//!
//! - [`SpillSpace`] knows the scratch folder and makes [`SpillFile`]s.
//! - [`sorter::Sorter`] takes items in any order and gives a [`sorted::Sorted`] list of them.
//! - [`run`] writes and reads items one behind the other.
//!
//! Invariants:
//! - A file is made before anything is written, so that a sandbox can be told its descriptor and
//!   never needs to open one. A folder that refuses is an error only for who must spill.
//! - Whoever holds a buffer in proportion to a bound holds a [`Held`] as well: the space knows what
//!   is held now, and the most that ever was.
//!
//! What it does *not* do: give disk space back before a file is dropped, or keep anything.

pub(crate) mod item;
pub(crate) mod run;
pub(crate) mod sorted;
pub(crate) mod sorter;

use std::{
    os::fd::RawFd,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use icecore_disk::Scratch;

/// The scratch folder refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "what is more than the memory limit goes to a scratch file: {0}; name another folder with --scratch, or raise --memory-limit"
)]
pub struct SpillError(Arc<icecore_disk::Error>);

impl From<icecore_disk::Error> for SpillError {
    fn from(error: icecore_disk::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Memory in proportion to a bound: held now, and the most that ever was.
#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicU64,
    bytes_max: AtomicU64,
}

impl Gauge {
    fn add(&self, bytes: u64) {
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes_max.fetch_max(held, Ordering::Relaxed);
    }
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    gauge: Arc<Gauge>,
    bytes: u64,
}

impl Held {
    /// Counts more bytes as held.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.gauge.add(bytes as u64);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where spilled data goes.
#[derive(Debug, Clone)]
pub struct SpillSpace {
    folder: PathBuf,
    gauge: Arc<Gauge>,
}

impl SpillSpace {
    /// Nameless files on the file system of `folder`; without one, of the system's folder for
    /// temporary files.
    pub fn new(folder: Option<&Path>) -> Self {
        let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
        Self { folder, gauge: Arc::default() }
    }

    /// A new file, made when something is spilled or its descriptor is asked for.
    pub fn file(&self) -> Arc<SpillFile> {
        let (folder, gauge) = (self.folder.clone(), Arc::clone(&self.gauge));
        Arc::new(SpillFile { folder, scratch: OnceLock::new(), gauge })
    }

    /// Counts bytes as held.
    pub(crate) fn hold(&self, bytes: usize) -> Held {
        hold(&self.gauge, bytes)
    }

    /// Bytes held in buffers by all that spill here.
    pub(crate) fn bytes_held(&self) -> u64 {
        self.gauge.bytes.load(Ordering::Relaxed)
    }

    /// The most that was held at once.
    #[cfg(test)]
    pub(crate) fn bytes_held_max(&self) -> u64 {
        self.gauge.bytes_max.load(Ordering::Relaxed)
    }
}

fn hold(gauge: &Arc<Gauge>, bytes: usize) -> Held {
    let mut held = Held { gauge: Arc::clone(gauge), bytes: 0 };
    held.grow(bytes);
    held
}

/// A nameless file for spilled data, shared by threads.
#[derive(Debug)]
pub struct SpillFile {
    folder: PathBuf,
    scratch: OnceLock<Result<Scratch, SpillError>>,
    gauge: Arc<Gauge>,
}

impl SpillFile {
    fn scratch(&self) -> Result<&Scratch, SpillError> {
        let create = || Scratch::create(&self.folder).map_err(SpillError::from);
        self.scratch.get_or_init(create).as_ref().map_err(SpillError::clone)
    }

    /// Gives out room in one piece; returns its offset.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<u64, SpillError> {
        Ok(self.scratch()?.reserve(bytes))
    }

    /// Fills room that was given out.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), SpillError> {
        Ok(self.scratch()?.write_at(offset, bytes)?)
    }

    /// Reads what was written before: the buffer is always filled.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SpillError> {
        let count = self.scratch()?.read_at(offset, buffer)?;
        assert_eq!(count, buffer.len(), "only what was written is read");
        Ok(())
    }

    /// Bytes spilled so far.
    pub(crate) fn bytes(&self) -> u64 {
        match self.scratch.get() {
            Some(Ok(scratch)) => scratch.bytes(),
            Some(Err(_)) | None => 0,
        }
    }

    /// The descriptor, for a sandbox in which the file could not be made any more; `None` when the
    /// folder refused it, which is an error only for who must spill.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        self.scratch().ok().map(Scratch::raw_fd)
    }

    /// Counts bytes as held.
    pub(crate) fn hold(&self, bytes: usize) -> Held {
        hold(&self.gauge, bytes)
    }
}

#[cfg(test)]
mod tests;
