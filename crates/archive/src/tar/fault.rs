//! What can be wrong with a tar stream.

use super::{EXTENSION_BYTES_MAX, PATH_BYTES_MAX};
use crate::members::MEMBERS_MAX;

/// What is wrong with a tar stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarFault {
    /// The header does not match its checksum, or is no header.
    #[error("the header does not match its checksum")]
    Checksum,
    /// A size is no number, negative, or does not fit 64 bits.
    #[error("the size cannot be read")]
    Size,
    /// The stream would be larger than any archive.
    #[error("the member states {bytes} bytes and ends beyond 64 TiB")]
    TooLarge {
        /// As stated.
        bytes: u64,
    },
    /// There are more members than any archive has.
    #[error("there are more than {MEMBERS_MAX} members")]
    TooManyMembers,
    /// A path is not UTF-8 or holds a NUL.
    #[error("the path is not text")]
    PathEncoding,
    /// A path is longer than any member's.
    #[error("the path has {bytes} bytes, more than {PATH_BYTES_MAX}")]
    PathTooLong {
        /// As stated.
        bytes: usize,
    },
    /// A sparse member with holes, or with a map that cannot be read.
    #[error("a sparse member whose map leaves something out, which is not read")]
    Sparse,
    /// An extension header is larger than any should be.
    #[error("the extension header states {bytes} bytes, more than {EXTENSION_BYTES_MAX}")]
    ExtensionTooLarge {
        /// As stated.
        bytes: u64,
    },
    /// A pax record cannot be read.
    #[error("a pax record cannot be read")]
    PaxRecord,
    /// A path or size for all members that follow.
    #[error("a global pax header states a path or size")]
    GlobalRecord,
    /// Two extensions state the path or size of one member.
    #[error("the path or size of one member is stated twice")]
    SaidTwice,
    /// An extension header at the archive's end.
    #[error("no member follows the extension header")]
    NoMember,
}
