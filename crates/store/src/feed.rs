//! The slot feed: what a replaying validator sees, slot by slot and fork by fork, as one stream of
//! bytes (byte table: docs/formats/slot-feed.md).
//!
//! A feed is a header and then messages: a slot begins, writes accounts, ends; it is rooted or
//! abandoned. Messages of different slots interleave. [`FeedReader`] turns bytes into items,
//! [`FeedWriter`] turns the same items into bytes. A slot's end comes in several items, so that its
//! bank and its status cache, which can be large, are passed on as they arrive.
//!
//! Invariants:
//! - Whatever decodes encodes to the same bytes.
//! - The items do not depend on how the bytes are cut, but for the cuts within the bank and the
//!   status cache.
//! - No memory is set aside by what the input says: at most one account is gathered, as its bytes
//!   arrive.
//!
//! What it does *not* do: read files, decompress, or judge whether messages fit together
//! ([`ingest`](crate::ingest)).

mod fault;
mod layout;
mod reader;
mod writer;

use icecore_types::{AccountRef, DATA_BYTES_MAX, Hash, LatticeHash, Slot};

pub use self::{
    fault::{FeedError, FeedFault},
    reader::FeedReader,
    writer::FeedWriter,
};

/// The first bytes of a feed.
pub const MAGIC: [u8; 8] = *b"SLOTFEED";

/// The version that is read and written.
pub const VERSION: u32 = 1;

/// The largest bank: 4 GiB. Mainnet's manifest is about a tenth of that.
pub const BANK_BYTES_MAX: u64 = 4 << 30;

/// The largest status cache: 4 GiB.
pub const STATUS_CACHE_BYTES_MAX: u64 = 4 << 30;

/// The largest message but a slot's end: an account with the longest data.
pub const ACCOUNT_BODY_BYTES_MAX: u64 = layout::ACCOUNT_BYTES + DATA_BYTES_MAX;

/// A slot begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotBegin {
    /// Its number.
    pub slot: Slot,
    /// Its parent's number.
    pub parent_slot: Slot,
    /// Its parent's bank hash.
    pub parent_bank_hash: Hash,
}

/// The last version of an account in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotAccount<'a> {
    /// The slot's number.
    pub slot: Slot,
    /// Its place among the slot's accounts, from 0.
    pub write_index: u32,
    /// The content.
    pub account: AccountRef<'a>,
}

/// What a slot states of itself at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotEnd {
    /// Its number.
    pub slot: Slot,
    /// Its bank hash.
    pub bank_hash: Hash,
    /// Its last blockhash.
    pub last_blockhash: Hash,
    /// Signatures in its transactions.
    pub signature_count: u64,
    /// Transactions since genesis; in no hash.
    pub transaction_count: u64,
    /// Lamports of all accounts.
    pub capitalization: u64,
    /// Blocks since genesis.
    pub block_height: u64,
    /// Accounts written in the slot.
    pub accounts_written: u64,
    /// The lattice hash of all accounts.
    pub lattice: LatticeHash,
    /// Bytes of the bank that follow; 0: it is not there.
    pub bank_bytes: u64,
    /// Bytes of the status cache that follow; 0: it is not there.
    pub status_cache_bytes: u64,
}

/// An item of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem<'a> {
    /// A slot begins.
    SlotBegin(SlotBegin),
    /// An account was written.
    Account(SlotAccount<'a>),
    /// A slot's end: what it states. Then come its bank and its status cache in pieces, if they are
    /// there, then [`SlotEnded`](Self::SlotEnded), and nothing in between.
    SlotEnd(Box<SlotEnd>),
    /// A piece of the bank, never empty.
    Bank(&'a [u8]),
    /// A piece of the status cache, never empty.
    StatusCache(&'a [u8]),
    /// A slot's end is complete.
    SlotEnded,
    /// A slot became final.
    Rooted(Slot),
    /// A slot was given up.
    Abandoned(Slot),
}
