//! What keeps an answer from being reached, as opposed to what is wrong in an archive's bytes
//! (which is a finding in a verdict).

use std::path::PathBuf;

use crate::spill::SpillError;

/// Why no answer could be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// A file's name is not that of a snapshot archive.
    #[error(
        "{file}: {reason}; an archive is called snapshot-SLOT-HASH.tar.zst or incremental-snapshot-BASE-SLOT-HASH.tar.zst"
    )]
    Name {
        /// The file name as given.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive is given where one of the other class belongs.
    #[error("{file}: {problem}")]
    Class {
        /// The file name as given.
        file: String,
        /// What was expected.
        problem: &'static str,
    },
    /// A folder holds no full archive.
    #[error("{}: no full snapshot archive there (looked in the folder and in its remote/)", folder.display())]
    NoArchive {
        /// The folder.
        folder: PathBuf,
    },
    /// Standard input would have to be read twice.
    #[error(
        "standard input must be looked at again ({reason}) and cannot be read twice: give --scratch DIR with room for the archive, or verify it as a file"
    )]
    NeedsScratch {
        /// Why.
        reason: String,
    },
    /// Rows were asked of an archive whose bytes are wrong.
    #[error("{archive}: {problem}")]
    Damaged {
        /// The archive.
        archive: String,
        /// What is wrong, with its place.
        problem: String,
    },
    /// `ICECORE_SIMD` names a kernel that is unknown or not to be had.
    #[error(transparent)]
    Hash(#[from] icecore_hash::Error),
    /// What did not fit memory could not be kept on disk.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// The tiles could not be run, or one of them failed by itself.
    #[error(transparent)]
    Tile(icecore_tile::Error),
    /// A tile's footprint is too small: a defect.
    #[error(transparent)]
    Arena(#[from] icecore_tile::ArenaFull),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What a tile of ours gave as its error comes back as what it was.
impl From<icecore_tile::Error> for Error {
    fn from(error: icecore_tile::Error) -> Self {
        match error {
            icecore_tile::Error::Interrupted => Self::Interrupted,
            icecore_tile::Error::Tile { tile, source } => match source.downcast::<Self>() {
                Ok(own) => *own,
                Err(source) => Self::Tile(icecore_tile::Error::Tile { tile, source }),
            },
            other => Self::Tile(other),
        }
    }
}
