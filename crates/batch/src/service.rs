//! The batch service: archives and accounts hashes made in the background of a node, while it commits,
//! roots and compacts.
//!
//! ```text
//! roots ──> schedule ──> due ──┐                         ┌──> journal: what was made
//!                              ├──> make ──> file of the ┤
//! requests ────────────────────┘             pool        └──> publish tile: its name, or its end
//! ```
//!
//! Steps of a turn, on one thread:
//! 1. Slots that became final since the last turn go to the schedule; none is passed over.
//! 2. Archives beyond those to retain go, unless somebody reads them.
//! 3. The next job is done: what was asked for, then what is due. One at a time.
//!
//! Invariants:
//! - Nothing half is ever under the name of an archive: it is written under a placeholder's name, looked
//!   at, synced, and renamed without replacing anything.
//! - What goes wrong with an archive (a full disk, a broken one, a state that cannot be had) is told, and
//!   leaves the node and the service running.
//! - Every archive that has its name is in the journal. That it is about to get it is recorded before, so
//!   that one that got it just before an end is known when the service starts, and recorded then.
//! - No file that others have made, or given a name, is changed or loses that name.
//!
//! What it does *not* do: print, or serve archives to others.

mod desk;
mod hashing;
mod make;
mod output;
mod pool;
mod publish;
mod schedule;
mod told;
mod work;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use icecore_restore::Options;
use icecore_store::Store;
use icecore_tile::{RunOptions, SandboxMode, give_way};
use icecore_types::Slot;

use self::{
    desk::Desk,
    pool::Pool,
    publish::Publishing,
    work::{LOOK_EVERY, Work},
};
pub use self::{
    desk::{AHEAD_SLOTS_MAX, Outcome, Running, Status, Waiting, Wanted},
    hashing::{Hashed, hash_accounts},
    make::{Archives, Make},
    pool::FILES_MAX,
    schedule::{Intervals, Kind, RETRIES_MAX, Schedule},
    told::Told,
};
use crate::{CreatableSlots, Retention};

/// Slots between two full archives, as the reference client 4.2.2 has it
/// (`DEFAULT_FULL_SNAPSHOT_ARCHIVE_INTERVAL_SLOTS`).
pub const FULL_INTERVAL_SLOTS_DEFAULT: u64 = 100_000;

/// Slots between two incremental archives (`DEFAULT_INCREMENTAL_SNAPSHOT_ARCHIVE_INTERVAL_SLOTS`).
pub const INCREMENTAL_INTERVAL_SLOTS_DEFAULT: u64 = 100;

/// Full archives that stay (`DEFAULT_MAX_FULL_SNAPSHOT_ARCHIVES_TO_RETAIN`).
pub const FULL_RETAINED_DEFAULT: usize = 2;

/// Incremental archives that stay (`DEFAULT_MAX_INCREMENTAL_SNAPSHOT_ARCHIVES_TO_RETAIN`).
pub const INCREMENTAL_RETAINED_DEFAULT: usize = 4;

/// The node is far behind when the root is so many slots behind the newest slot that it knows: nothing
/// becomes due then. The reference client calls a node that far behind unhealthy
/// (`DELINQUENT_VALIDATOR_SLOT_DISTANCE`); roots are 32 slots behind as a rule.
pub const FAR_BEHIND_SLOTS: u64 = 128;

/// What the service makes, and how.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where archives go.
    pub folder: PathBuf,
    /// How often.
    pub intervals: Intervals,
    /// How many stay. Other than `snapshot prune`, which follows the reference client, the incremental
    /// archives of all full ones count together.
    pub retention: Retention,
    /// Whether the accounts hash of each epoch's window is computed: of the first root at or past a
    /// quarter of the epoch.
    pub epoch_accounts_hash: bool,
    /// Cores, memory and scratch folder of jobs.
    pub options: Options,
    /// Whether the publish tile is closed in.
    pub sandbox: SandboxMode,
}

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Another service has the folder.
    #[error("{}: another node makes snapshots in this folder; name another one", folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
    },
    /// The file system cannot say who reads a file.
    #[error(
        "{}: this file system gives no leases (F_SETLEASE), so nobody can tell which archive is being read; name a folder on a local disk: {source}",
        folder.display()
    )]
    NoLeases {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        source: icecore_disk::Error,
    },
    /// More archives are to be retained than files can be held open.
    #[error("{most} archives can be retained at most, of both kinds together")]
    TooMany {
        /// How many.
        most: usize,
    },
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] icecore_store::Error),
    /// The publish tile has failed.
    #[error(transparent)]
    Tile(#[from] icecore_tile::Error),
}

/// Whether a request is taken.
#[derive(Debug)]
pub enum Answer {
    /// It is; the outcome can be waited for.
    Accepted(Waiting),
    /// Another request is not done yet.
    Busy(String),
    /// The slot lies before all that is kept.
    Past {
        /// The slot.
        slot: Slot,
        /// The first one that is kept.
        first: Slot,
    },
    /// No archive can be made of that slot, or none of this kind.
    NotAvailable {
        /// Why.
        why: String,
        /// Of which slots archives can be made.
        slots: CreatableSlots,
    },
}

/// Who hears what happens.
type Listener<'m> = Box<dyn FnMut(&Told) + Send + 'm>;

/// The service of a store: asked from any thread, run on one.
pub struct Service<'m> {
    make: &'m dyn Make,
    options: ServiceOptions,
    desk: Desk,
    /// What is told goes here; a listener that is slow holds up the service.
    tell: Mutex<Listener<'m>>,
}

impl std::fmt::Debug for Service<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'m> Service<'m> {
    /// A service that does not run yet; `make` writes the archives, `tell` hears what happens.
    pub fn new(
        options: ServiceOptions,
        make: &'m dyn Make,
        tell: impl FnMut(&Told) + Send + 'm,
    ) -> Self {
        Self { make, options, desk: Desk::default(), tell: Mutex::new(Box::new(tell)) }
    }

    /// Runs until [`Self::stop`] is called. The calling thread gives way to all others from now on, for
    /// good, and so do those that it starts: call it on a thread of its own.
    ///
    /// # Errors
    /// When it cannot begin: the folder is held by another, or is none; when the publish tile fails.
    /// Nothing of the store is affected.
    pub fn run(&self, store: &Store) -> Result<(), ServiceError> {
        give_way();
        let ended = self.run_until_stopped(store);
        // Who waits hears that nothing comes any more.
        self.desk.close();
        ended
    }

    fn run_until_stopped(&self, store: &Store) -> Result<(), ServiceError> {
        let folder = &self.options.folder;
        let held = icecore_disk::HeldFolder::open(folder)?
            .ok_or_else(|| ServiceError::Held { folder: folder.clone() })?;
        let held = Arc::new(held);
        let mut work = Work::begin(self, store, Arc::clone(&held))?;
        while !self.desk.is_stopping() {
            let opened = Pool::open(&held, self.options.retention, |name, inode| {
                work.published_bytes(name, inode)
            });
            let pool = match opened {
                Ok(pool) => pool,
                // It has worked: what is in the way will go.
                Err(error) if work.has_begun() => {
                    work.note_trouble(Some(error.to_string()));
                    self.desk.rest(LOOK_EVERY);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let publishing = Publishing::new(Arc::clone(&held), pool.held().to_vec());
            let run = RunOptions {
                sandbox: self.options.sandbox,
                // No tile of it is a process.
                executable: PathBuf::new(),
                // A step that was begun is finished.
                interrupt: &|| false,
            };
            let topology = Publishing::topology();
            icecore_tile::run(&topology, publishing.makers(), &run, |controller| {
                work.run(pool, &publishing, controller)
            })?;
        }
        Ok(())
    }

    /// Ends what is being done, in order: nothing half gets a name.
    pub fn stop(&self) {
        self.desk.stop();
    }

    /// Asks for something. Archives of slots to come are made of the first possible root at or past
    /// them.
    ///
    /// # Errors
    /// What reading the store said.
    pub fn request(&self, store: &Store, wanted: Wanted) -> Result<Answer, icecore_store::Error> {
        self.desk.request(store, wanted, self.options.retention)
    }

    /// What goes on, and what was made last.
    pub fn status(&self) -> Status {
        self.desk.status()
    }

    fn tell(&self, told: &Told) {
        (self.tell.lock().expect("a listener does not panic"))(told);
    }
}
