//! Why a manifest was refused.

use super::{
    decoder::LastField,
    stream::{Fault, Place},
};

/// A manifest that cannot be decoded. Offsets are bytes from the start of the archive member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A byte or tag has no meaning.
    #[error("manifest byte {offset}, in {field}: {value} is not a valid {what}")]
    Invalid {
        /// The offending value's offset.
        offset: u64,
        /// The field, or the group of fields, that holds it.
        field: &'static str,
        /// What was to be decoded.
        what: &'static str,
        /// What was found.
        value: u64,
    },
    /// A count or length is above what any honest manifest holds.
    #[error("manifest byte {offset}, in {field}: {value} is above the limit of {limit}")]
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
    /// The manifest ends within a field, or before one that every version writes.
    #[error("the manifest ends at byte {length}, within {field}, which begins at byte {offset}")]
    Truncated {
        /// Where the unfinished item begins.
        offset: u64,
        /// The field to which it belongs.
        field: &'static str,
        /// The manifest's length in bytes.
        length: u64,
    },
    /// A field was to be changed that the manifest does not have.
    #[error("the manifest ends with {last_field:?}, so that its {field} cannot be changed")]
    NoSuchField {
        /// The field.
        field: &'static str,
        /// The last field that it has.
        last_field: LastField,
    },
}

impl ManifestError {
    pub(super) fn at(place: Place, field: &'static str) -> Self {
        let offset = place.offset;
        match place.fault {
            Fault::Invalid { what, value } => Self::Invalid { offset, field, what, value },
            Fault::AboveLimit { value, limit } => Self::AboveLimit { offset, field, value, limit },
        }
    }
}
