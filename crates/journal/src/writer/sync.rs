//! Making durable: one sync for all who wait.
//!
//! Whoever waits first does it (the leader): it writes what was accepted, notes which files have
//! unsynced content, syncs them in the order of the chain, and publishes how far that was. Whoever
//! comes meanwhile is accepted, may be written, and is served by the next sync (see `gathering`).
//!
//! The order matters: a chain segment is synced before those that follow on it, data segments with
//! extents before or with the frames that adopt them, and the folder before anything in a new file
//! counts.
//!
//! The kernel tells of a page that it could not write once. So one thread at a time syncs, whatever
//! it is for, and who is told ends all writing before the next one can learn that its sync went well.

use std::sync::Arc;

use icecore_disk::{DiskFile, Stopwatch};

use crate::{
    Error,
    journal::Shared,
    primitives::{Condvar, Mutex, MutexGuard},
    writer::{gathering::Gathering, watermarks::Stage},
};

/// Who syncs, and what has to be synced.
#[derive(Debug, Default)]
pub(crate) struct SyncRole {
    is_taken: Mutex<bool>,
    freed: Condvar,
    gathering: Gathering,
    /// Held while files are synced; nothing else is locked meanwhile.
    syncing: Mutex<()>,
    unsynced: Mutex<Unsynced>,
}

/// Files with content that is not known to be durable.
#[derive(Debug, Default)]
struct Unsynced {
    files: Vec<Arc<dyn DiskFile>>,
    has_new_names: bool,
    bytes: u64,
}

impl SyncRole {
    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().expect("nobody panics while holding it")
    }

    /// Notes that a file has content to be synced: after it was written, as a sync that is under way
    /// takes all notes with it.
    pub(crate) fn wrote(&self, file: &Arc<dyn DiskFile>, bytes: usize) {
        let mut unsynced = self.unsynced();
        unsynced.bytes += bytes as u64;
        if !unsynced.files.iter().any(|noted| Arc::ptr_eq(noted, file)) {
            unsynced.files.push(Arc::clone(file));
        }
    }

    /// The same of a file with extents: it is synced before the frames that adopt them.
    pub(crate) fn wrote_data(&self, file: &Arc<dyn DiskFile>, bytes: usize) {
        let mut unsynced = self.unsynced();
        unsynced.bytes = unsynced.bytes.saturating_add(bytes as u64);
        unsynced.files.retain(|noted| !Arc::ptr_eq(noted, file));
        unsynced.files.insert(0, Arc::clone(file));
    }

    /// Bytes that were written since the last sync.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced().bytes
    }

    /// Notes that a file was made whose name has to be synced.
    pub(crate) fn named(&self) {
        self.unsynced().has_new_names = true;
    }
}

/// The role of the leader; given up when dropped, however that comes about.
struct Leader<'a>(&'a SyncRole);

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        *self.0.is_taken.lock().expect("nobody panics while holding it") = false;
        self.0.freed.notify_all();
    }
}

impl Shared {
    /// Waits until a batch that ends here is durable, syncing if nobody else does.
    pub(crate) fn sync_to(&self, end: u64, generation: u64) -> Result<(), Error> {
        let role = &self.sync_role;
        let _waiting = role.gathering.enter();
        loop {
            let leader = {
                let mut is_taken = role.is_taken.lock().expect("nobody panics while holding it");
                loop {
                    // In this order: sequences that were taken back are durable as others later.
                    let is_durable = self.watermarks.at(Stage::Durable) >= end;
                    self.check_ticket(end, generation)?;
                    if is_durable {
                        return Ok(());
                    }
                    self.watermarks.check()?;
                    if !*is_taken {
                        *is_taken = true;
                        break Leader(role);
                    }
                    is_taken = role.freed.wait(is_taken).expect("nobody panics while holding it");
                }
            };
            role.gathering.gather();
            let watch = Stopwatch::start();
            let synced = self.sync_now();
            role.gathering.synced(watch.elapsed());
            drop(leader);
            if let Err(error) = synced {
                // The error is of what was being written, which may not have been this batch.
                self.check_ticket(end, generation)?;
                return Err(error);
            }
        }
    }

    /// Makes everything durable that has been accepted.
    pub(crate) fn sync_all(&self) -> Result<(), Error> {
        let generation = self.watermarks.generation();
        self.sync_to(self.watermarks.at(Stage::Accepted), generation)
    }

    /// As the leader: writes, syncs, publishes.
    fn sync_now(&self) -> Result<(), Error> {
        let frontier = self.flush(true)?;
        let unsynced = std::mem::take(&mut *self.sync_role.unsynced());
        self.sync_in_order(&unsynced.files, unsynced.has_new_names)?;
        self.publish(&frontier);
        Ok(())
    }

    /// Syncs files, and then the folder if that is wanted; a failure ends all writing (rule R3).
    pub(crate) fn sync_in_order(
        &self,
        files: &[Arc<dyn DiskFile>],
        with_folder: bool,
    ) -> Result<(), Error> {
        let _one = self.sync_role.syncing.lock().expect("nobody panics while holding it");
        self.watermarks.check()?;
        let mut synced = Ok(());
        for file in files {
            synced = synced.and_then(|()| file.sync());
        }
        if with_folder {
            synced = synced.and_then(|()| self.disk.sync_folder(&self.folder));
        }
        synced.map_err(|error| self.watermarks.poison(&error.into()))
    }
}
