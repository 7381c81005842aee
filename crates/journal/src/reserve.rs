//! Room that is kept in reserve, so that what ends and what frees something still works on a full
//! disk (rule R4).
//!
//! It is a file of nothing but its size. Who may use it tries first without; when the disk is full
//! the file is removed and it is tried once more. Opening on a full disk uses it first. The file is
//! made again when there is room.

use std::{io, path::Path};

use icecore_disk::{Access, Disk};

use crate::{
    Error,
    journal::{Journal, Shared},
    primitives::Mutex,
};

/// Name of the file.
pub(crate) const RESERVE_NAME: &str = "reserve";

/// The reserve is made only where so many times its size is available.
const ROOM_FACTOR: u64 = 2;

/// Opening uses the reserve when less than one part in so many of its size is available.
const OPENING_PARTS: u64 = 4;

/// Frees the reserve on a disk so full that the journal could not even be opened in order to free
/// something: opening writes a manifest, and what was not proven to be durable once more.
pub(crate) fn make_room_to_open(
    disk: &dyn Disk,
    folder: &Path,
    reserve_bytes: u64,
) -> Result<(), Error> {
    let path = folder.join(RESERVE_NAME);
    let is_scarce = disk.available_bytes(folder)? < reserve_bytes / OPENING_PARTS;
    if is_scarce && disk.exists(&path) {
        disk.remove(&path)?;
    }
    Ok(())
}

/// Whether the reserve is there, as far as this writer knows.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    is_held: Mutex<bool>,
}

/// Whether the disk had no room.
fn is_full(error: &Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let kind = match error {
        Error::Disk(icecore_disk::Error::Path { source, .. }) => source.kind(),
        _ => return false,
    };
    matches!(kind, StorageFull | QuotaExceeded)
}

impl Journal {
    /// Gives the room that is kept in reserve back to the disk, if this error is one of a full disk;
    /// says whether it is worth trying again. For what ends or frees something, where
    /// [`AppendOptions::use_reserve`](crate::AppendOptions::use_reserve) is not enough because the
    /// caller has to look again before.
    pub fn make_room(&self, error: &Error) -> bool {
        self.shared.may_be_full(error) && self.shared.release_reserve()
    }
}

impl Shared {
    /// Does something, on a full disk once more without the reserve.
    pub(crate) fn with_reserve<T>(&self, act: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        match act() {
            Err(error) if self.may_be_full(&error) && self.release_reserve() => act(),
            result => result,
        }
    }

    /// Whether the error comes of a full disk. A batch that was taken back does not say why.
    fn may_be_full(&self, error: &Error) -> bool {
        let is_scarce = || {
            let available = self.disk.available_bytes(&self.folder);
            available.is_ok_and(|bytes| bytes < self.options.reserve_bytes)
        };
        is_full(error) || matches!(error, Error::TakenBack { .. }) && is_scarce()
    }

    /// Gives the reserved room back to the disk; false when there is none.
    fn release_reserve(&self) -> bool {
        let mut is_held = self.reserve.is_held.lock().expect("nobody panics while holding it");
        let path = self.folder.join(RESERVE_NAME);
        std::mem::take(&mut *is_held) && self.disk.remove(&path).is_ok()
    }

    /// Makes the reserve if it is missing and there is room. Without room there is none: that is no
    /// error.
    pub(crate) fn keep_reserve(&self) {
        let wanted = self.options.reserve_bytes;
        let mut is_held = self.reserve.is_held.lock().expect("nobody panics while holding it");
        if wanted == 0 || *is_held {
            return;
        }
        let path = self.folder.join(RESERVE_NAME);
        if let Ok(file) = self.disk.open(&path, Access::Read) {
            if file.bytes().is_ok_and(|bytes| bytes >= wanted) {
                *is_held = true;
                return;
            }
            // One of another size, or one that was being made when the process ended.
            if self.disk.remove(&path).is_err() {
                return;
            }
        }
        let available = self.disk.available_bytes(&self.folder).unwrap_or(0);
        if available / ROOM_FACTOR < wanted {
            return;
        }
        let made = self.disk.create(&path).and_then(|file| file.reserve(wanted));
        *is_held = made.is_ok();
        if !*is_held {
            // Half a reserve helps nobody.
            let _ = self.disk.remove(&path);
        }
    }
}
