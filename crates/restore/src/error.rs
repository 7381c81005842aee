//! What keeps an answer from being reached, as opposed to what is wrong in an archive's bytes
//! (which is a finding in a verdict).

use std::path::PathBuf;

use crate::{Report, spill::SpillError};

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
    /// Archives were to be restored whose verdict is bad.
    #[error("the verdict is bad, and nothing was restored: {}", first_failure(report))]
    Bad {
        /// All of the verdict.
        report: Box<Report>,
    },
    /// An incremental archive cannot be restored by itself.
    #[error("{archive}: {why}; give the full archive with it")]
    NeedsFull {
        /// The archive.
        archive: String,
        /// Why not.
        why: String,
    },
    /// A store cannot fit where it is to be.
    #[error(
        "{}: a restore needs about {needed_bytes} bytes and there is room for {available_bytes}: make room, or choose a folder on another disk",
        folder.display()
    )]
    NoRoom {
        /// The store's folder.
        folder: PathBuf,
        /// About how many bytes the store would have.
        needed_bytes: u64,
        /// Bytes that can still be written there.
        available_bytes: u64,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] icecore_store::Error),
    /// An archive cannot be indexed as it is packed.
    #[error(
        "{archive} {why}: 'snapshot recompress' packs it in frames of which few have to be read for one account"
    )]
    NotInFrames {
        /// The archive.
        archive: String,
        /// How it is packed.
        why: String,
    },
    /// The index beside an archive cannot be used.
    #[error(
        "{}: {problem}; make it anew with 'snapshot index --force', or remove it",
        path.display()
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// What was to be made cannot be written; the error says where it stopped.
    #[error("nothing was made: {0}")]
    Write(#[from] std::io::Error),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The first thing that is wrong.
fn first_failure(report: &Report) -> String {
    let failed = |verdict: &crate::Verdict| {
        let check = verdict.failures().next()?;
        Some(format!("{}: {} {}: {}", verdict.archive, check.id, check.id.title(), check.detail))
    };
    report.archives.iter().find_map(failed).unwrap_or_default()
}

impl Error {
    /// What threads that worked together came to. When one fails the others are interrupted: that is
    /// told only if nothing else is.
    pub(crate) fn first<T>(outcomes: Vec<Result<T, Self>>) -> Result<Vec<T>, Self> {
        let mut interrupted = None;
        let mut values = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(value) => values.push(value),
                Err(Self::Interrupted) => interrupted = Some(Self::Interrupted),
                Err(error) => return Err(error),
            }
        }
        interrupted.map_or(Ok(values), Err)
    }
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
