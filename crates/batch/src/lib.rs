//! Archives and stores to new archives: the snapshot factory.
//!
//! - [`create`] makes an archive of a store's state, [`write_archive`] into a file that is open.
//! - [`extract`] gives members of an archive as files.
//! - [`merge`] makes one full archive of a full and an incremental one.
//! - [`minimize`] keeps few accounts and makes all hashes anew.
//! - [`prune`] removes old archives, by the rules of the reference client.
//! - [`recompress`] packs the same tar stream anew.
//! - [`service`] makes archives in the background of a node.
//!
//! Invariants:
//! - A new archive is written under a temporary name, looked at unless that is waived, synced and
//!   renamed without replacing anything. Whatever fails before that leaves nothing.
//! - The same input files and options give the same bytes for any number of threads and tiles.
//! - Memory is bounded by options: frames on their way, and what the scan of archives may hold.
//!
//! What it does *not* do: print, or repair archives that are damaged.

mod bank_members;
mod create;
mod error;
mod extract;
mod members;
mod merge;
mod minimize;
mod packer;
mod plan;
mod prune;
mod recompress;
pub mod service;
mod state;
mod tar_packer;
mod target;

pub use create::{
    Composed, CreatableSlots, Created, Extent, LEASE, NEWEST_LISTED_MAX, Proof, creatable_slots,
    create, newest_base, prove, write_archive,
};
pub use error::Error;
pub use extract::{Extracted, extract};
pub use merge::{Merged, merge};
pub use minimize::{KEPT_OWNERS, Minimized, Named, minimize};
pub use plan::PACKED_BYTES_MAX;
pub use prune::{Pruning, Retention, plan_pruning, prune};
pub use recompress::{Recompressed, recompress};
pub use target::{Made, WriteOptions};
