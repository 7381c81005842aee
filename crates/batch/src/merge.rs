//! A full and an incremental archive to one full archive at the incremental's slot.
//!
//! Steps:
//! 1. The pair is verified; a bad one is refused. On the way is added up what will be written. Where
//!    nothing is to be verified, accounts are not hashed; all else is checked even then.
//! 2. Its live accounts are written as a full archive (see `state`): each in a storage of the slot in
//!    which it was last written.
//! 3. The bank is the incremental's: its status cache as it is, its manifest with the list of
//!    storages that is true now, with the epoch of its slot, which clients from 2.3 to 3.1 demand,
//!    and without what an incremental archive of the Merkle era says of its base.
//!
//! What it does *not* do: name the archive by a Merkle accounts hash, as clients before 3.0 did. It
//! is named by the lattice hash, as all later ones do; without one in the manifest it is refused.

use std::path::Path;

use icecore_archive::{manifest::BankScalars, names::ArchiveName, writing::manifest::ManifestEdit};
use icecore_hash::lattice_checksum;
use icecore_restore::{Hashing, Options, Pair, Progress, tallied_accounts};
use icecore_types::{AccountRef, Hash, Slot};

use crate::{
    Error, WriteOptions,
    bank_members::BankMembers,
    plan::Plan,
    state::FullArchive,
    target::{Made, check_name},
};

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The new archive, at the incremental one's slot.
    pub made: Made,
    /// The slot of the full archive that went in.
    pub base_slot: Slot,
    /// The bank hash, the incremental archive's.
    pub bank_hash: Hash,
    /// The sum of all lamports.
    pub capitalization: u64,
    /// Live accounts.
    pub num_accounts: u64,
}

/// Merges a pair into `folder`. The name follows from slot and lattice hash.
///
/// # Errors
/// When the pair is bad, there is such a file already, or the operating system refuses; then nothing
/// is left behind.
pub fn merge(
    full: &Path,
    incremental: &Path,
    folder: &Path,
    write: &WriteOptions,
    options: &Options,
    progress: &Progress,
) -> Result<Merged, Error> {
    let pair = Pair::files(full, Some(incremental))?;
    let base_slot = pair.full.name().slot();
    let last = pair.incremental.as_ref().expect("just given");
    let bank_of = last.label().to_string();
    // Archives with a lattice hash are named by it; what is in the way is told before the work.
    let (slot, hash) = (last.name().slot(), *last.name().hash());
    let compression = write.packing.compression();
    check_name(folder, &ArchiveName::Full { slot, hash, compression }.to_string())?;
    let keep = |_: &AccountRef<'_>| true;
    let hashing = if write.verify { Hashing::Recomputed } else { Hashing::AsStated };
    let (mut live, tallies) = tallied_accounts(pair, options.clone(), &keep, hashing, progress)?;
    let scratch = options.scratch.as_deref().unwrap_or(folder);
    let bank = BankMembers::read(incremental, scratch, options, progress)?;
    let plan = Plan::new(&tallies, write.pack, &bank_of)?;
    let storages = plan.list();
    let stated = &bank.stated;
    let edit = ManifestEdit {
        storages: Some(&storages),
        scalars: Some(with_epoch(&stated.scalars)),
        incremental_snapshot_persistence: stated.persistence.map(|_| None),
        ..ManifestEdit::default()
    };
    let archive = FullArchive {
        bank_of: &bank_of,
        bank: &bank,
        plan: &plan,
        edit,
        keep: &keep,
        hash: lattice_checksum(&stated.lattice),
    };
    Ok(Merged {
        made: archive.make(&mut live, folder, write, options, progress)?,
        base_slot,
        bank_hash: stated.hashes.hash,
        capitalization: stated.scalars.capitalization,
        num_accounts: tallies.totals.accounts,
    })
}

/// A bank's fields with the epoch that belongs to its slot.
pub(crate) fn with_epoch(scalars: &BankScalars) -> Box<BankScalars> {
    let epoch = scalars.epoch_schedule.epoch_of(scalars.slot);
    Box::new(BankScalars { epoch, ..scalars.clone() })
}
