//! Removing files that others have replaced: chain segments from which events were dropped, and data
//! segments whose extents were moved.
//!
//! 1. The manifest names the new file and lists the old one as retired. From here on nobody who
//!    opens the journal reads it.
//! 2. Whoever had the old manifest may still be reading: in this process as long as it holds a
//!    catalog with the segment, in another as long as it has a pin whose value is the number of a
//!    manifest before the one that retired the file. The manifest's number is published before pins
//!    are looked at, and a reader looks at the number again after it has pinned.
//! 3. The file is removed, the folder is synced, and only then the manifest forgets it. A crash in
//!    between leaves nothing behind that the next open does not know.
//!
//! What it does *not* do: remove anything that the manifest does not list.

use std::{collections::HashMap, path::PathBuf, sync::Weak};

use crate::{
    Error,
    control::OWN_VALUES,
    format::manifest::Retired,
    journal::Shared,
    primitives::MutexGuard,
    segment::{chain_path, data_path, index_path, sealed::SealedSegment},
};

/// What is known of retired files beyond the manifest.
#[derive(Debug, Default)]
pub(crate) struct Retiring {
    /// Those that readers of this process may hold.
    pub(crate) held: HashMap<u32, Weak<SealedSegment>>,
    /// The segment whose making is not yet recorded by an event: what it replaced stays until then.
    pub(crate) unrecorded: Option<u32>,
}

impl Shared {
    pub(crate) fn retiring(&self) -> MutexGuard<'_, Retiring> {
        self.retiring.lock().expect("a panic while files are replaced ends replacing them")
    }

    /// Removes the files that nobody reads any more; does nothing while somebody replaces others.
    pub(crate) fn remove_retired(&self) -> Result<(), Error> {
        match self.retiring.try_lock() {
            Ok(mut retiring) => self.remove_unread(&mut retiring),
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn remove_unread(&self, retiring: &mut Retiring) -> Result<(), Error> {
        let (retired, number) = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            (manifest.retired.clone(), manifest.number)
        };
        if retired.is_empty() || retiring.unrecorded.is_some() {
            return Ok(());
        }
        let pins = self.control.live_pins(self.disk.now(), &|process| self.disk.is_alive(process));
        let files = pins?.into_iter().map(|pin| pin.value).filter(|value| *value < OWN_VALUES);
        let pinned = files.min().unwrap_or(number);
        let is_read = |retired: &Retired| {
            let held = retiring.held.get(&retired.id);
            pinned < retired.number || held.is_some_and(|held| held.strong_count() > 0)
        };
        let unread: Vec<u32> =
            retired.iter().filter(|retired| !is_read(retired)).map(|retired| retired.id).collect();
        if unread.is_empty() {
            return Ok(());
        }
        for path in unread.iter().flat_map(|id| self.files_of(*id)) {
            if self.disk.exists(&path) {
                self.disk.remove(&path)?;
            }
        }
        self.disk.sync_folder(&self.folder)?;
        self.change_manifest(|manifest| {
            manifest.retired.retain(|retired| !unread.contains(&retired.id));
            // Of a data segment that left nothing no event speaks.
            let is_gone = |id: u32| unread.contains(&id);
            manifest.data.retain(|data| !is_gone(data.id) || !data.replaced_by.is_empty());
        })?;
        retiring.held.retain(|id, _| !unread.contains(id));
        Ok(())
    }

    fn files_of(&self, id: u32) -> [PathBuf; 3] {
        let folder = &self.folder;
        [chain_path(folder, id), index_path(folder, id, id), data_path(folder, id)]
    }
}
