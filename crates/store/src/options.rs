//! How a store is made, opened and kept.

use std::time::Duration;

use icecore_types::{Pubkey, Slot};

/// What of the past is kept (rule R21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retention {
    /// Every version of every account.
    #[default]
    Everything,
    /// What can be read at any of so many slots behind the root.
    Slots(u64),
    /// The state at each base point, and what came after the last one.
    BasePoints,
}

/// How a store is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// Only accounts of these owners are kept; empty: all accounts are.
    pub kept_owners: Vec<Pubkey>,
    /// Whether accounts can be found by owner without reading all of them.
    pub owner_order: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { kept_owners: Vec::new(), owner_order: true }
    }
}

/// How a store is opened for writing.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the journal.
    pub journal: icecore_journal::Options,
    /// Abandoned forks can be read until the root is so many slots past them.
    pub keep_abandoned_slots: u64,
    /// Versions of rooted slots that are gathered before they go to a run.
    pub flush_versions: u64,
    /// Memory for versions that no run holds, and for sorting them when they go to runs: what becomes
    /// final is flushed, what does not is spilled.
    pub tail_bytes_max: u64,
    /// What of the past is kept.
    pub retention: Retention,
    /// Threads that look up and hash what one slot writes.
    pub threads: usize,
    /// Whether a thread flushes, merges and compacts. Without it the caller calls
    /// [`Store::tend`](crate::Store::tend).
    pub background: bool,
    /// How long a view is sure to be readable unless it asks for another time.
    pub lease: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal: icecore_journal::Options {
                data_segment_bytes_max: 256 << 20,
                ..icecore_journal::Options::default()
            },
            keep_abandoned_slots: 1000,
            flush_versions: 1 << 19,
            tail_bytes_max: 256 << 20,
            retention: Retention::Everything,
            threads: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)),
            background: true,
            lease: Duration::from_secs(3600),
        }
    }
}

/// Where in the history of a store to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The last final slot.
    Root,
    /// A final slot, or the last final one before it if no final slot has the number.
    Slot(Slot),
    /// A slot of any fork that is kept.
    Fork(crate::SlotId),
}
