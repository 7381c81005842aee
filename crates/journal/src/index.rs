//! Index files: what a range of chain segments holds, by stream, kind, scope, correlation, parent,
//! causation, idempotency key, time, frame number and position in the mountain range.
//!
//! An index file is derived. Its trailer names what it was made from; a file that is damaged or
//! does not fit is thrown away and made again by scanning the segments. The byte tables are in
//! `docs/formats/journal/index.md`.
//!
//! Invariants:
//! - Opening reads the trailer only, so the time to open does not grow with the number of events.
//! - Every page is checked when it is first touched. Damage is an error, never a wrong or a missing
//!   answer; that holds for fences and filters as well.
//! - No bytes, damaged or forged, make a reader panic or loop.
//! - A lookup reads O(log n) pages, and a page of results costs the same wherever it begins.
//! - A merged file is byte for byte the file that would be built from all entries at once.
//!
//! The parts:
//! - [`Postings`] holds one index of the active segment in memory.
//! - [`Marks`] collects the sparse marks of a segment while it is written or scanned.
//! - [`encode`] writes the file of one segment, or of a range of segments that was scanned.
//! - [`IndexFile`] answers from a file.
//! - [`merge`] makes one file of several consecutive ones.
//!
//! What it does *not* do: open files, know events, or hash keys. A key is 64 bits that the caller
//! derives; different things may share one, so the caller compares the record that it finds.

mod encode;
mod file;
mod filter;
pub(crate) mod fuzzing;
mod lookup;
mod marks;
mod merge;
mod page;
mod postings;
mod trailer;

#[cfg(test)]
mod tests;

pub(crate) use encode::encode;
pub(crate) use file::{FrameMark, IndexFile};
pub(crate) use marks::{FRAME_STRIDE, Marks, NODE_LEVEL_MIN};
pub(crate) use merge::{MergeError, merge};
pub(crate) use postings::{Postings, SortedPostings};
pub(crate) use trailer::Covers;

/// What an index is over. The number is the one in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum IndexKind {
    /// The events of a stream.
    Stream = 0,
    /// The events of a kind.
    Kind = 1,
    /// The events of a scope.
    Scope = 2,
    /// The events with a correlation.
    Correlation = 3,
    /// The events that have a given event as parent.
    Parent = 4,
    /// The events that a given event caused.
    Causation = 5,
    /// The event that an idempotency key was used for.
    Idempotency = 6,
}

impl IndexKind {
    /// How many there are.
    pub(crate) const COUNT: usize = 7;

    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Stream,
        Self::Kind,
        Self::Scope,
        Self::Correlation,
        Self::Parent,
        Self::Causation,
        Self::Idempotency,
    ];

    /// The kind with this number; `None` for one that a later version may know.
    #[cfg(test)]
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// One entry of an index: the event `sequence` is found under `key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posting {
    /// What the caller derived from the stream, kind, scope and so on.
    pub(crate) key: u64,
    /// The event.
    pub(crate) sequence: u64,
}
