//! What can go wrong, with the place and what to do about it.

use std::path::PathBuf;

/// An operation on a store that did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// The journal below refused.
    #[error(transparent)]
    Journal(#[from] icecore_journal::Error),
    /// Bytes on disk are not what they should be.
    #[error("{}: {what} at byte {offset}; run `icecore store check`, and restore the store from a copy if records are damaged, or run `icecore store rebuild-index` if only runs are", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}
