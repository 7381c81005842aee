//! A state of a store to an archive, full or incremental (decision 0035).
//!
//! Steps:
//! 1. A view holds the state; what is written, rooted, compacted meanwhile does not show in it.
//! 2. *Plan*: where the records of the state lie, and of which storage each becomes part (`plan`).
//! 3. *Write*: the bank that came with the slot, with a true list of storages; then the accounts,
//!    each record checked as it is read (`write`).
//! 4. *Prove*: what was written is looked at, as far as it can be (`proof`).
//! 5. The archive gets its name.
//!
//! Invariants:
//! - Accounts lie in a storage of the slot in which they were last written, in the order in which the
//!   store has them.
//! - A full archive has no tombstones: there is no older version that could come back. An incremental
//!   one has all of them.
//! - Memory is what the options allow for places of records, one entry for each storage, and the
//!   frames on their way: it does not grow with the number of accounts.
//!
//! What it does *not* do: make archives of slots that are not final, of stores that keep some accounts
//! only, or of slots whose bank nobody kept.

mod base;
mod plan;
mod proof;
mod slots;
mod write;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use icecore_restore::{Options, Progress};
use icecore_store::{At, Store};
use icecore_types::{Hash, Slot};

pub use self::{
    base::newest_base,
    proof::{Proof, prove},
    slots::{CreatableSlots, NEWEST_LISTED_MAX, creatable_slots},
    write::{Composed, write_archive},
};
use crate::{Error, WriteOptions, target::Target};

/// How long the state of an archive is sure to be readable: making one of mainnet's takes minutes.
pub const LEASE: Duration = Duration::from_secs(6 * 3600);

/// What an archive holds of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All live accounts.
    Full,
    /// What was written after the full archive of a slot, closed accounts as well.
    Incremental {
        /// That slot. It must be final, and the store must know all that was written since.
        base: Slot,
    },
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The new archive.
    pub path: PathBuf,
    /// Its slot: the one asked for, or the last final one before it.
    pub slot: Slot,
    /// The slot of the full archive that an incremental one builds on.
    pub base_slot: Option<Slot>,
    /// The hash in its name.
    pub snapshot_hash: Hash,
    /// The bank hash.
    pub bank_hash: Hash,
    /// The sum of all lamports of the state.
    pub capitalization: u64,
    /// Live accounts in the archive.
    pub num_accounts: u64,
    /// Closed accounts in the archive.
    pub num_tombstones: u64,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Frames, or what an lz4 or tar archive has in their place.
    pub frames: u64,
    /// What is known of what was written.
    pub proof: Proof,
}

/// Makes an archive of a state of a store, in `folder`. The name follows from slot and lattice hash.
///
/// # Errors
/// When the state cannot be had as an archive, which says what can; when the store is damaged, there is
/// such a file already, or the operating system refuses. Then nothing is left behind.
pub fn create(
    store: &Store,
    at: At,
    extent: Extent,
    folder: &Path,
    write: &WriteOptions,
    options: &Options,
    progress: &Progress,
) -> Result<Created, Error> {
    let view = store.view_for(at, "snapshot", LEASE)?;
    let name = write::name(&view, extent, write)?;
    let mut target = Target::create(folder, name.to_string())?;
    let composed = write_archive(&view, extent, &mut target.output, write, options, progress)?;
    // What is looked at is on disk or in the kernel's memory; the store is not needed any more.
    drop(view);
    let proof = match write.verify {
        true => {
            let full = proof::full_archive(folder, &composed)?;
            let written = target.output.temporary_path();
            prove(written, &composed, full.as_deref(), options, progress)?
        }
        false => Proof::Nothing,
    };
    let bytes = target.bytes()?;
    Ok(Created {
        path: target.publish()?,
        slot: composed.name.slot(),
        base_slot: composed.name.base(),
        snapshot_hash: *composed.name.hash(),
        bank_hash: composed.bank_hash,
        capitalization: composed.capitalization,
        num_accounts: composed.num_accounts,
        num_tombstones: composed.num_tombstones,
        bytes,
        frames: composed.frames,
        proof,
    })
}
