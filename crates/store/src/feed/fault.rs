//! What can be wrong with a feed's bytes, and where.
//!
//! What it does *not* do: faults of the story that the messages tell (`ingest`).

use super::{BANK_BYTES_MAX, STATUS_CACHE_BYTES_MAX, VERSION};

/// Bytes that are no slot feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the slot feed: {fault}")]
pub struct FeedError {
    /// Where in the feed, in bytes, uncompressed.
    pub offset: u64,
    /// What is wrong.
    pub fault: FeedFault,
}

/// What can be wrong with a feed's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedFault {
    /// The first bytes are others.
    #[error("it does not begin with \"SLOTFEED\": give a slot feed, decompressed")]
    Magic,
    /// A version that is not known.
    #[error("version {version} is not known, only {VERSION}: a newer icecore may read it")]
    Version {
        /// As stated.
        version: u32,
    },
    /// A kind of message that is not known.
    #[error(
        "messages of kind {kind} are not known: the feed is damaged here, or made by something newer"
    )]
    Kind {
        /// As stated.
        kind: u32,
    },
    /// A message has another length than its kind has.
    #[error("a message of kind {kind} has no {bytes} bytes: the feed is damaged here")]
    Length {
        /// The kind of message.
        kind: u32,
        /// Its length as stated.
        bytes: u64,
    },
    /// An account's data has another length than its message leaves for it.
    #[error(
        "an account states {stated} bytes of data in a message that has {there}: the feed is \
         damaged here"
    )]
    DataLength {
        /// As stated.
        stated: u64,
        /// What the message's length leaves.
        there: u64,
    },
    /// A bank or a status cache is longer than its message, or than any.
    #[error(
        "a slot's end states a {what} of {stated} bytes where at most {most} can be: the feed is \
         damaged here (a bank has at most {BANK_BYTES_MAX} bytes, a status cache \
         {STATUS_CACHE_BYTES_MAX})"
    )]
    PartLength {
        /// Bank or status cache.
        what: &'static str,
        /// As stated, or as the message's length says.
        stated: u64,
        /// What would be possible.
        most: u64,
    },
    /// A flag is neither 0 nor 1.
    #[error("the flag for executable is {value}, neither 0 nor 1: the feed is damaged here")]
    Executable {
        /// As it stands.
        value: u8,
    },
    /// Bytes that have to be zero are not.
    #[error("bytes that have to be zero are not: the feed is damaged here")]
    NotZero,
    /// A closed account still has data or an owner.
    #[error(
        "an account without lamports has data or an owner, which closed ones do not: the feed is \
         damaged here"
    )]
    ClosedWithContent,
    /// The bytes end within the header or a message.
    #[error("it is cut off here: fetch the rest and give it again, from its beginning")]
    Cut,
}
