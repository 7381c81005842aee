//! Why a status cache was refused.

use crate::manifest::stream::{Fault, Place};

/// A status cache that cannot be decoded. Offsets are bytes from the start of the archive member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusCacheError {
    /// A byte or tag has no meaning.
    #[error("status cache byte {offset}, in {field}: {value} is not a valid {what}")]
    Invalid {
        /// The offending value's offset; for a transaction's result that of its entry.
        offset: u64,
        /// The field that holds it.
        field: &'static str,
        /// What was to be decoded.
        what: &'static str,
        /// What was found.
        value: u64,
    },
    /// A count is above what any honest status cache holds.
    #[error("status cache byte {offset}, in {field}: {value} is above the limit of {limit}")]
    AboveLimit {
        /// The number's offset.
        offset: u64,
        /// The field that it counts.
        field: &'static str,
        /// The number.
        value: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// The status cache ends before its last entry.
    #[error(
        "the status cache ends at byte {length}, within {field}, of which an item begins at byte {offset}"
    )]
    Truncated {
        /// Where the unfinished item begins.
        offset: u64,
        /// The field to which it belongs.
        field: &'static str,
        /// The status cache's length in bytes.
        length: u64,
    },
    /// Bytes follow the last entry.
    #[error("the status cache ends at byte {offset}, but {bytes} more bytes follow")]
    TrailingBytes {
        /// Where the last entry ends.
        offset: u64,
        /// How many bytes follow it.
        bytes: u64,
    },
}

impl StatusCacheError {
    pub(super) fn at(place: Place, field: &'static str) -> Self {
        let offset = place.offset;
        match place.fault {
            Fault::Invalid { what, value } => Self::Invalid { offset, field, what, value },
            Fault::AboveLimit { value, limit } => Self::AboveLimit { offset, field, value, limit },
        }
    }
}
