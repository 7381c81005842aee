//! An exclusive lock on a file (`flock`).
//!
//! It belongs to the open file: another opening in the same process is refused as well, and it is
//! free when the file is closed, however the process ends.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::{Error, Lock};

/// Times that a wait for the kernel's answer is begun again after a signal.
const INTERRUPTIONS_MAX: u32 = 1000;

/// The open file whose closing frees the lock.
#[derive(Debug)]
pub(super) struct RealLock {
    _file: fs::File,
}

impl RealLock {
    /// Takes it; `None` when another has it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, Error> {
        // Files that the standard library opens are closed in programs that this one starts.
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags are an int");
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(flags)
            .open(path)
            .map_err(|source| Error::new(path, "open", source))?;
        let mut answer = Err(Errno::INTR);
        for _ in 0..INTERRUPTIONS_MAX {
            answer = flock(&file, FlockOperation::NonBlockingLockExclusive);
            if answer != Err(Errno::INTR) {
                break;
            }
        }
        match answer {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(Error::new(path, "lock", io::Error::from(source))),
        }
    }
}

impl Lock for RealLock {}
