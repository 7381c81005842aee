//! The full archive that an incremental one builds on, found in a folder.

use std::path::Path;

use icecore_hash::lattice_checksum;
use icecore_restore::candidates;
use icecore_store::{At, Store, View};
use icecore_types::{Hash, Slot};

use super::LEASE;
use crate::Error;

/// The slot of the newest full archive in a folder, or its `remote/`, on which an incremental one of a
/// state can be made: the store has a state of that slot and hash, and knows what was written since.
///
/// # Errors
/// [`Error::NoBase`] when there is none; when the folder or the store cannot be read.
pub fn newest_base(store: &Store, at: At, folder: &Path) -> Result<Slot, Error> {
    let view = store.view_for(at, "snapshot", LEASE)?;
    let slot = view.slot().number;
    let mut fulls: Vec<(Slot, Hash)> = candidates(folder)?
        .iter()
        .filter(|candidate| !candidate.name.is_incremental())
        .map(|candidate| (candidate.name.slot(), *candidate.name.hash()))
        .filter(|(base, _)| *base < slot)
        .collect();
    fulls.sort_unstable();
    for (base, hash) in fulls.into_iter().rev() {
        if fits(&view, base, hash)? {
            return Ok(base);
        }
    }
    Err(Error::NoBase { slot, folder: folder.to_path_buf() })
}

/// Whether an archive of that slot and hash is of this store, and can be built on.
fn fits(view: &View, base: Slot, hash: Hash) -> Result<bool, Error> {
    use icecore_store::Error as Refused;
    match view.final_slot(base) {
        Ok((found, totals)) => Ok(found.number == base
            && lattice_checksum(&totals.lattice) == hash
            && view.knows_since(base)),
        Err(Refused::NotCovered { .. } | Refused::InGap { .. } | Refused::NoFork { .. }) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
