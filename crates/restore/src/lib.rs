//! Archives to a verdict, to rows, and to a store.
//!
//! - [`verify`] says whether a full archive, or a full and an incremental one, hold together.
//! - [`restore_into`] makes a base point of a store out of them, unless the verdict is bad;
//!   [`Preflight`] says before what that will need.
//! - [`LiveAccounts`] gives the newest version of every live account, for exports and epoch jobs;
//!   [`tallied_accounts`] says how much of each storage that is, too.
//! - [`index_archives`] makes an index beside archives, and [`IndexedArchives`] look accounts up
//!   through it, reading few frames.
//! - [`Stats`] and [`diff`] say what the live accounts are, and which differ between two states.
//! - [`Sorter`] sorts lists that are longer than memory.
//! - [`read_archive`], [`read_unpacked`] and [`read_frames`] look into one archive without judging it.
//!
//! Invariants:
//! - What is wrong in an archive's bytes is a finding in a verdict; an [`Error`] is something that
//!   keeps the answer from being reached.
//! - The answer does not depend on the number of threads.
//! - Memory for what grows with the number of account records stays within
//!   [`Options::memory_bytes_max`]; what is more goes to nameless scratch files. Nothing else that
//!   an archive decides goes beyond named bounds.
//!
//! What it does *not* do: write archives, print.

mod account_facts;
mod archive_index;
mod capture;
mod check_id;
mod checks;
mod damage;
mod destination;
mod diff;
mod error;
mod findings;
mod first_look;
mod frames;
mod genesis;
mod into_store;
mod key_bins;
mod key_filter;
mod key_hash;
mod live;
mod manifest_facts;
mod memory_plan;
mod pass;
mod preflight;
mod progress;
mod reading;
mod rows;
mod second_look;
mod settle;
mod source;
mod spill;
mod stats;
mod tally;
mod tiles;
mod totals;
mod verdict;
mod verify;

pub use archive_index::{
    IndexUse, IndexedAccount, IndexedArchives, LookupWork, MadeIndex, index_archives, index_path,
};
pub use check_id::CheckId;
pub use damage::Damage;
pub use diff::{AccountDiff, AccountState, BankDifference, Change, Diff, StateSummary, diff};
pub use error::Error;
pub use findings::WrongRecord;
pub use frames::{Frame, FramesEnd, read_frames};
pub use genesis::Genesis;
pub use into_store::{Restored, restore_into};
pub use live::{LiveAccount, LiveAccounts, live_accounts, tallied_accounts};
pub use memory_plan::{MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN};
pub use pass::{ContainerReport, batch::Place, enter_tile, restore_topology, walk::StorageHead};
pub use preflight::Preflight;
pub use progress::Progress;
pub use reading::{ReadEnd, read_archive, read_unpacked};
pub use source::{Pair, Source, candidates, path_of};
pub use spill::{
    SpillError, SpillFile, SpillSpace,
    item::Item,
    sorted::{Sorted, SortedReader},
    sorter::Sorter,
};
pub use stats::{OWNERS_MAX, Stats, StatsCollector, Tally};
pub use tally::{Choose, StorageTally, Tallies};
pub use tiles::{Cores, Isolation, Placement, TILES_OF_A_KIND_MAX, TilePlan};
pub use totals::{Hashing, Totals};
pub use verdict::{
    Answer, CheckOutcome, NOT_COVERED, Outcome, Recomputed, Report, Stated, Verdict, Work,
};
pub use verify::{Expected, Options, verify};
