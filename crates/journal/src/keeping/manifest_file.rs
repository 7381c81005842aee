//! The manifest's file: read whole, replaced whole.
//!
//! 1. The new content is written under a temporary name and synced.
//! 2. The lock file is read: another writer with a later epoch means that this one was forgotten, and
//!    it must not touch the journal any more.
//! 3. The file is renamed over the old one, and the folder is synced.
//!
//! Up to step 3 a failure changes nothing. From there on nobody knows which of the two is there after
//! a loss of power: the writer ends (rule R3).

use std::path::{Path, PathBuf};

use icecore_disk::{Access, Disk, Publish};

use crate::{
    Error, Malformed,
    format::{
        BLOCK_BYTES,
        fields::{put, u32_at, u64_at},
        manifest::{MANIFEST_BYTES_MAX, Manifest, PENDING_MAX},
    },
    journal::Shared,
};

pub(crate) const LOCK_NAME: &str = "lock";
pub(crate) const MANIFEST_NAME: &str = "manifest";
const TEMPORARY_NAME: &str = "manifest.new";

const LOCK_MAGIC: [u8; 4] = *b"ICLK";
const LOCK_BYTES: usize = 16;

pub(crate) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST_NAME)
}

/// Reads the whole manifest.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Manifest, Error> {
    let path = manifest_path(folder);
    let file = disk.open(&path, Access::Read).map_err(|error| match error.is_absent() {
        true => absent(disk, folder),
        false => error.into(),
    })?;
    let bytes = file.bytes()?;
    if bytes > MANIFEST_BYTES_MAX as u64 {
        return Err(Malformed::new(0, "the manifest is too large").in_file(&path, 0));
    }
    let mut content = vec![0; bytes as usize];
    let read = file.read_at(0, &mut content)?;
    content.truncate(read);
    Manifest::decode(&content).map_err(|malformed| malformed.in_file(&path, 0))
}

/// There is no manifest: no journal, or one that has lost it.
pub(crate) fn absent(disk: &dyn Disk, folder: &Path) -> Error {
    let is_segment = |name: &str| name.starts_with("chain-") && name.ends_with(".seg");
    let has_segments = disk.list(folder).is_ok_and(|entries| {
        // A creation that was cut short leaves a header, and nothing to be lost.
        entries.iter().any(|entry| is_segment(&entry.name) && entry.bytes > BLOCK_BYTES)
    });
    match has_segments {
        true => Malformed::new(0, "the manifest is missing, though segments are here")
            .in_file(&manifest_path(folder), 0),
        false => Error::NoJournal { folder: folder.to_path_buf() },
    }
}

/// How far replacing came when it failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing has changed.
    Before(Error),
    /// The old or the new manifest is there.
    Unknown(Error),
}

/// Replaces the manifest; the epoch in the lock file has to be the manifest's.
pub(crate) fn replace(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), Failed> {
    let before = |error: icecore_disk::Error| Failed::Before(error.into());
    let path = manifest_path(folder);
    let bytes =
        manifest.encode().map_err(|malformed| Failed::Before(malformed.in_file(&path, 0)))?;
    let temporary = folder.join(TEMPORARY_NAME);
    if disk.exists(&temporary) {
        disk.remove(&temporary).map_err(before)?;
    }
    let written = disk.create(&temporary).and_then(|file| {
        file.write_at(0, &bytes)?;
        file.sync()
    });
    if let Err(error) = written {
        // What is left is removed by the next try; the first error is what the caller hears of.
        let _ = disk.remove(&temporary);
        return Err(before(error));
    }
    match read_epoch(disk, folder).map_err(Failed::Before)? {
        Some(epoch) if epoch != manifest.epoch => {
            return Err(Failed::Unknown(Error::Fenced { folder: folder.to_path_buf(), epoch }));
        }
        _ => {}
    }
    disk.rename(&temporary, &path, Publish::Replace)
        .and_then(|()| disk.sync_folder(folder))
        .map_err(|error| Failed::Unknown(error.into()))
}

/// The epoch that the lock file states; `None` when it states none.
pub(crate) fn read_epoch(disk: &dyn Disk, folder: &Path) -> Result<Option<u64>, Error> {
    let file = match disk.open(&folder.join(LOCK_NAME), Access::Read) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; LOCK_BYTES];
    let is_whole = file.read_at(0, &mut bytes)? == LOCK_BYTES;
    let checks = bytes[..4] == LOCK_MAGIC && u32_at(&bytes, 4) == crc32fast::hash(&bytes[8..]);
    Ok((is_whole && checks).then(|| u64_at(&bytes, 8)))
}

/// Writes a new epoch to the lock file, durably: whoever wrote before is fenced off.
pub(crate) fn write_epoch(disk: &dyn Disk, folder: &Path, epoch: u64) -> Result<(), Error> {
    let file = disk.open(&folder.join(LOCK_NAME), Access::ReadWrite)?;
    let mut bytes = [0; LOCK_BYTES];
    put(&mut bytes, 0, LOCK_MAGIC);
    put(&mut bytes, 8, epoch.to_le_bytes());
    let check = crc32fast::hash(&bytes[8..]);
    put(&mut bytes, 4, check.to_le_bytes());
    file.write_at(0, &bytes)?;
    file.sync()?;
    Ok(disk.sync_folder(folder)?)
}

impl Shared {
    /// Changes the manifest, on disk and in memory, or neither.
    pub(crate) fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), Error> {
        self.watermarks.check()?;
        let mut manifest = self.manifest.lock().expect("nobody panics while holding it");
        let mut changed = manifest.clone();
        change(&mut changed);
        changed.number += 1;
        match replace(&*self.disk, &self.folder, &changed) {
            Ok(()) => {
                self.control.set_catalog(changed.number);
                *manifest = changed;
                Ok(())
            }
            Err(Failed::Before(error)) => Err(error),
            Err(Failed::Unknown(error)) => {
                let poisoned = self.watermarks.poison(&error);
                Err(if matches!(error, Error::Fenced { .. }) { error } else { poisoned })
            }
        }
    }

    /// Takes an id that the manifest has given out for a file to be made.
    pub(crate) fn take_segment_id(&self) -> Result<u32, Error> {
        loop {
            if let Some(id) = self.spare_ids().pop_front() {
                return Ok(id);
            }
            self.give_out_ids()?;
        }
    }

    /// Has the manifest give out some ids beforehand, so that making a file need not wait for it.
    pub(crate) fn give_out_ids(&self) -> Result<(), Error> {
        let pending = self.manifest.lock().expect("nobody panics while holding it").pending.len();
        if pending + SPARE_IDS as usize > PENDING_MAX {
            return Err(Error::Unfit {
                what: "1,024 files are being made: end bulk sessions, or make their segments larger",
            });
        }
        let mut given = Vec::new();
        self.change_manifest(|manifest| given = give_out(manifest))?;
        self.spare_ids().extend(given);
        Ok(())
    }
}

/// With fewer ids left, more are given out along with the next change of the manifest.
pub(crate) const SPARE_IDS_LOW: usize = 3;

/// Ids given out at a time.
const SPARE_IDS: u32 = 4;

/// Notes some ids as given out.
pub(crate) fn give_out(manifest: &mut Manifest) -> Vec<u32> {
    let given: Vec<_> = (manifest.next_segment..manifest.next_segment + SPARE_IDS).collect();
    manifest.next_segment += SPARE_IDS;
    manifest.pending.extend(&given);
    given
}
