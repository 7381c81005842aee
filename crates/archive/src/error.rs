//! What can be wrong with an archive: one error type for the crate, each value naming the place.
//!
//! Offsets count bytes of the layer that the error speaks of: of the file for containers, of the
//! decompressed stream for tar. [`Error::check_id`] says which check of a verdict an error fails.

use crate::{
    container::ContainerKind, lz4_stream::Lz4Fault, manifest::ManifestError, members::MemberError,
    names::NameError, seek_table::SeekTableError, status_cache::StatusCacheError,
    storage::StorageFault, tar::TarFault, zstd_frames::ZstdFault,
};

/// Why an archive cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file name is not an archive's.
    #[error(transparent)]
    Name(#[from] NameError),

    /// The content is no container that is read here.
    #[error("offset {offset}: the content is {what}, not zstd, lz4 or tar")]
    NotAContainer {
        /// Where the bytes lie that say so.
        offset: u64,
        /// What the content is.
        what: &'static str,
    },

    /// The input ends within a frame.
    #[error("{container} ends at offset {offset}, within the frame that begins at {frame_offset}")]
    ContainerEnds {
        /// Which container.
        container: ContainerKind,
        /// Where the input ends.
        offset: u64,
        /// Where the incomplete frame begins; the end of the input when no frame came at all.
        frame_offset: u64,
    },

    /// A zstd frame is damaged or asks for more than is given.
    #[error("zstd, offset {offset}: {fault}")]
    Zstd {
        /// Offset of the header concerned: the block's, or the frame's.
        offset: u64,
        /// What is wrong.
        fault: ZstdFault,
    },

    /// The seek table behind zstd frames is damaged, or another file's.
    #[error(transparent)]
    SeekTable(#[from] SeekTableError),

    /// An lz4 frame is damaged or asks for more than is given.
    #[error("lz4, offset {offset}: {fault}")]
    Lz4 {
        /// Offset of the frame's or block's header.
        offset: u64,
        /// What is wrong.
        fault: Lz4Fault,
    },

    /// The tar stream is damaged or holds what is not read.
    #[error("tar, offset {offset}: {fault}")]
    Tar {
        /// Offset of the header concerned.
        offset: u64,
        /// What is wrong.
        fault: TarFault,
    },

    /// The tar stream ends within a header or a member.
    #[error("tar ends at offset {offset}, within what begins at {began}")]
    TarEnds {
        /// Where the stream ends.
        offset: u64,
        /// Where the incomplete header, or the incomplete member's header, begins.
        began: u64,
    },

    /// A member does not belong into an archive.
    #[error(transparent)]
    Member(#[from] MemberError),

    /// The manifest cannot be decoded.
    #[error(transparent)]
    Manifest(#[from] ManifestError),

    /// The status cache cannot be decoded.
    #[error(transparent)]
    StatusCache(#[from] StatusCacheError),

    /// A storage is damaged: for callers that stop at the first
    /// [`Fault`](crate::storage::StorageEvent::Fault).
    #[error("storage, offset {offset}, record {number}: {fault}")]
    Storage {
        /// Offset in the storage.
        offset: u64,
        /// Number of the record concerned.
        number: u32,
        /// What is wrong.
        fault: StorageFault,
    },

    /// The `version` member says something else than 1.2.0.
    #[error("the snapshot version is '{found}', not 1.2.0")]
    Version {
        /// What it says, cut to 16 characters, bytes that are no text escaped.
        found: String,
    },
}

impl Error {
    /// The check of a verdict that this error fails.
    pub fn check_id(&self) -> &'static str {
        match self {
            Self::Name(_) => "C1",
            Self::NotAContainer { .. }
            | Self::ContainerEnds { .. }
            | Self::Zstd { .. }
            | Self::SeekTable(_)
            | Self::Lz4 { .. } => "C2",
            Self::Tar { .. } | Self::TarEnds { .. } | Self::Member(_) => "C3",
            Self::Version { .. } => "C4",
            Self::Manifest(_) => "M1",
            Self::StatusCache(_) => "T1",
            Self::Storage { .. } => "A1",
        }
    }
}
