//! Runs: immutable sorted files that say where account versions lie (rules R13 to R16).
//!
//! A run holds rows `(key, slot, locator)`, ordered by key upward and slot downward. There are two
//! orders: by pubkey (`K` = 32) and by owner and pubkey (`K` = 64). A *complete* run has one row for
//! each account that lives at its slot; a *delta* run has what was written in a range of slots, and a
//! filter. A *spilled* run is like a delta run, but of slots that are not final: the slot of a row, and
//! of what is said of slots here, is a slot's identity there. The byte tables are in
//! `docs/formats/runs.md`.
//!
//! Invariants:
//! - A file is a row of blocks of 4 KiB. Each block has a checksum of its own, seeded with store, run
//!   and the block's number, that is compared when the block is first touched. A damaged block is an
//!   error, never "no such account".
//! - A page holds only as many bytes of its keys as tell neighbours apart, eight behind the common
//!   prefix at most, and 47 bits of a hash of the whole key. What these cannot decide the record
//!   decides ([`KeySource`]). So nothing depends on keys being uniform, neither what is right nor
//!   O(log n).
//! - What a run contains is a function of its rows, however they came together: a merge gives the
//!   same bytes as writing its rows one by one.
//!
//! What it does *not* do: know which runs count, read records itself, drop rows by rules of retention
//! (it hands over what these need), or sync folders.

mod block;
mod check;
mod cursor;
mod fences;
mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod key;
mod layout;
mod lookup;
mod merge;
mod page;
mod part;
mod reader;
mod rewrite;
mod search;
mod slots;
#[cfg(test)]
mod tests;
mod versions;
mod writer;

use icecore_journal::{Digest, StoreId};
use icecore_types::Slot;

use crate::{Error, Locator, RecordSeed};

pub use check::check;
pub use cursor::RunCursor;
pub(crate) use key::KeyHash;
pub use key::{PartialKey, Sought};
pub use lookup::Found;
pub use merge::{Merge, MergedRow, RUNS_MERGED_MAX};
pub use part::{FinishedPart, RunPart};
pub use reader::Run;
pub use rewrite::rewrite_locators;
pub use slots::{SlotCommit, merged_slots};
pub use versions::Versions;
pub use writer::RunWriter;

/// Bytes of a pubkey: the keys of the first order.
pub const BY_PUBKEY: usize = 32;

/// Bytes of an owner and a pubkey: the keys of the second order.
pub const BY_OWNER: usize = 64;

/// The store that runs belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStore {
    /// Its id: a run of another store is refused.
    pub id: StoreId,
    /// Its secret seed, which makes the hashes of keys; no run says it.
    pub seed: RecordSeed,
}

/// What a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// The accounts that live at the run's last slot: one row each, no tombstones, no departures.
    Complete,
    /// What was written after this slot, up to the run's last slot.
    Delta {
        /// Rows are of later slots.
        after: Slot,
    },
    /// What some slots wrote that are not final. The slots of rows are identities
    /// ([`SlotId`](crate::SlotId)), which go upward along a fork as numbers do.
    Spilled,
}

impl RunKind {
    /// The slot behind which a delta run begins.
    pub(crate) fn after(self) -> Option<Slot> {
        match self {
            Self::Delta { after } => Some(after),
            Self::Complete | Self::Spilled => None,
        }
    }
}

/// What a run says of itself in its first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHeader {
    /// Its number in the store; never used again.
    pub id: u32,
    /// What it holds.
    pub kind: RunKind,
    /// Its last slot.
    pub to: Slot,
    /// The last event of the chain that it was made from.
    pub sequence: u64,
    /// The digest of the chain there.
    pub digest: Digest,
}

/// What tells a finished run from every other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunInfo {
    /// Its number in the store.
    pub id: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// BLAKE3 of the footer, which has a digest of the checksums of all other blocks.
    pub digest: [u8; 32],
}

/// One version of an account, or its departure from an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<const K: usize> {
    /// Pubkey, or owner and pubkey.
    pub key: [u8; K],
    /// The slot that the version counts for.
    pub slot: Slot,
    /// Where the record lies; the class also tells tombstones and departures.
    pub locator: Locator,
}

/// Reads the keys of records: what rows leave out.
pub trait KeySource<const K: usize> {
    /// The key of the row with this locator: the record's pubkey, or its owner and pubkey; of a
    /// departure (by the class) the record's previous owner and pubkey.
    ///
    /// # Errors
    /// When the record cannot be read.
    fn key(&self, locator: Locator) -> Result<[u8; K], Error>;
}
