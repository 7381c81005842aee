//! What the parts of an open store share.
//!
//! - The *tree* says which slots there are. It is changed under its lock, in the order of the events
//!   of the chain: an event is accepted by the journal and applied to the tree in one go.
//! - The *state* is the tail and the run set, together. A view keeps the state that it began with. A
//!   flush makes the next one; in between commits add to the tail of the current one.
//!
//! In a process that only reads, the same is built by following the chain.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, Weak,
        atomic::{AtomicU32, AtomicU64},
    },
};

use icecore_disk::Disk;
use icecore_journal::{History, Journal, Reader};
use icecore_types::{Pubkey, Slot};

use crate::{
    Error, Options,
    bank::BaseFacts,
    compaction::{LastLook, facts::Facts},
    keeper::Wakeup,
    leases::Leases,
    locator::Locator,
    record::{RecordSeed, Version},
    run::{BY_OWNER, BY_PUBKEY, KeySource, RunStore},
    run_set::{RunSet, SetHead},
    segments::Segments,
    stray_runs::StrayRuns,
    summing::Summers,
    tail::Tail,
    tree::Tree,
    underway::Underway,
};

/// The tail and the runs, as they belong together.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tail: Tail,
    pub(crate) runs: RunSet,
}

/// The chain, as far as this process can use it.
#[derive(Debug)]
pub(crate) enum Chain {
    /// It writes.
    Writer(Journal),
    /// It only reads.
    Reader(Reader),
    /// It was closed.
    Closed,
}

/// What of the store is known by slots, beside the tree's nodes.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    pub(crate) tree: Tree,
    /// The head of the run set that it was made of.
    pub(crate) set_head: Option<SetHead>,
    /// Events below this are applied: those of an open, and those that a reader follows.
    pub(crate) applied_end: u64,
    /// The journal's generation that it belongs to; `None`: it has to be made again.
    pub(crate) generation: Option<u64>,
    /// Events below this were durable when it was last held against the chain.
    pub(crate) durable_end: u64,
    /// The newest base point.
    pub(crate) base: Option<Arc<BaseFacts>>,
    /// Slots of which nothing is known, oldest first.
    pub(crate) gaps: Vec<(Slot, Slot)>,
    /// What lies before this slot is not kept.
    pub(crate) horizon: Slot,
}

/// What the parts of an open store share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) chain: RwLock<Chain>,
    pub(crate) history: Arc<History>,
    pub(crate) identity: RunStore,
    pub(crate) kept_owners: Vec<Pubkey>,
    pub(crate) owner_order: bool,
    pub(crate) mirror: Mutex<Mirror>,
    pub(crate) state: RwLock<Arc<State>>,
    /// One at a time changes the run set. Taken before the mirror.
    pub(crate) keeping: Mutex<()>,
    /// Tables of segments that some view may use.
    pub(crate) segments_in_use: Mutex<Vec<Weak<Segments>>>,
    pub(crate) next_run: AtomicU32,
    pub(crate) stray_runs: StrayRuns,
    /// The generation of which whoever syncs was told.
    pub(crate) told_generation: AtomicU64,
    /// Slots have got identities below this.
    pub(crate) ids_end: AtomicU64,
    pub(crate) leases: Leases,
    pub(crate) summers: Summers,
    pub(crate) wakeup: Wakeup,
    /// Segments with extents that no event names yet.
    pub(crate) underway: Underway,
    /// What the chain says of data segments.
    pub(crate) facts: Mutex<Facts>,
    pub(crate) last_look: Mutex<LastLook>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Shared {
    /// The mirror as it is; see [`Self::current_mirror`].
    pub(crate) fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().expect("nobody panics while holding it")
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().expect("nobody panics while holding it"))
    }

    pub(crate) fn chain(&self) -> RwLockReadGuard<'_, Chain> {
        self.chain.read().expect("nobody panics while holding it")
    }

    pub(crate) fn seed(&self) -> RecordSeed {
        self.identity.seed
    }

    /// Reads a record with the segments of a state.
    pub(crate) fn record<R>(
        &self,
        segments: &Segments,
        locator: Locator,
        read: impl FnOnce(&Version<'_>) -> R,
    ) -> Result<R, Error> {
        segments.record(&self.history, self.seed(), locator, read)
    }

    /// An id for a run.
    pub(crate) fn take_run_id(&self) -> u32 {
        self.next_run.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

impl Chain {
    /// The journal, to write to.
    pub(crate) fn writer(&self) -> Result<&Journal, Error> {
        match self {
            Self::Writer(journal) => Ok(journal),
            Self::Reader(_) | Self::Closed => Err(Error::ReadOnly),
        }
    }
}

/// Reads the keys of rows from records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKeys<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) segments: &'a Segments,
}

impl KeySource<BY_PUBKEY> for RecordKeys<'_> {
    fn key(&self, locator: Locator) -> Result<[u8; BY_PUBKEY], Error> {
        self.shared.record(self.segments, locator, |version| version.account.pubkey.0)
    }
}

impl KeySource<BY_OWNER> for RecordKeys<'_> {
    fn key(&self, locator: Locator) -> Result<[u8; BY_OWNER], Error> {
        let is_departure = locator.class() == crate::SizeClass::DEPARTURE;
        self.shared.record(self.segments, locator, |version| {
            let owner = match (is_departure, version.previous_owner) {
                (true, Some(previous)) => previous,
                _ => version.account.owner,
            };
            owner_key(owner, version.account.pubkey)
        })
    }
}

/// The key of the second order.
pub(crate) fn owner_key(owner: &Pubkey, pubkey: &Pubkey) -> [u8; BY_OWNER] {
    let mut key = [0; BY_OWNER];
    key[..32].copy_from_slice(&owner.0);
    key[32..].copy_from_slice(&pubkey.0);
    key
}
