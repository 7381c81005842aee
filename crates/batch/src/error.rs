//! Why no archive was made.

use std::io;

use icecore_archive::seek_table::SeekTableError;

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archives cannot be read, or are not sound.
    #[error(transparent)]
    Restore(#[from] icecore_restore::Error),
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// The new archive cannot be written; the error says where it stopped.
    #[error("nothing was made: {0}")]
    Write(#[from] io::Error),
    /// The new archive would have more frames than a seek table lists.
    #[error("{0}; choose larger frames")]
    Frames(#[from] SeekTableError),
    /// What was written does not hold what it was made of: the disk or memory is at fault.
    #[error("{archive}: nothing was made: what was read back of it is not what was written")]
    Differs {
        /// The name of the new archive.
        archive: String,
    },
}
