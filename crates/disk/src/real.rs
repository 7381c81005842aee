//! The machine that we run on.
//!
//! What it does *not* do: hide what a file system cannot do. A network file system maps nothing (a
//! mapping is a copy there, up to a bound), and reserving room is only a size where the file system
//! does not know how.

mod file;
mod locked;
pub(crate) mod network;
mod processes;

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::statvfs,
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use crate::{
    Access, Disk, DiskFile, Error, FolderEntry, Lock, ProcessIdentity, Publish, SharedPage, folder,
    output, shared_page::RealPage,
};

/// The disks, clock and processes of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>, Error> {
        Ok(Arc::new(file::RealFile::create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn DiskFile>, Error> {
        Ok(Arc::new(file::RealFile::open(path, access)?))
    }

    fn create_folder(&self, path: &Path) -> Result<(), Error> {
        match fs::create_dir(path) {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                if folder::is_folder(path) {
                    Ok(())
                } else {
                    Err(Error::Exists { path: path.to_path_buf() })
                }
            }
            done => done.map_err(|source| Error::new(path, "make the folder", source)),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<FolderEntry>, Error> {
        folder::list(folder)
    }

    fn exists(&self, path: &Path) -> bool {
        folder::exists(path)
    }

    fn rename(&self, from: &Path, to: &Path, publish: Publish) -> Result<(), Error> {
        output::rename(from, to, publish).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: to.to_path_buf() },
            _ => Error::new(from, "rename", source),
        })
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        fs::remove_file(path).map_err(|source| Error::new(path, "remove", source))
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Error> {
        output::sync_folder(folder)
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, Error> {
        Ok(locked::RealLock::take(path)?.map(|lock| Box::new(lock) as Box<dyn Lock>))
    }

    fn shared_page(&self, path: &Path, access: Access) -> Result<Arc<dyn SharedPage>, Error> {
        Ok(Arc::new(RealPage::map(path, access)?))
    }

    fn available_bytes(&self, folder: &Path) -> Result<u64, Error> {
        let state = statvfs(folder).map_err(|source| {
            Error::new(folder, "read the free space of", io::Error::from(source))
        })?;
        Ok(state.f_bavail.saturating_mul(state.f_frsize))
    }

    fn now(&self) -> u64 {
        // A clock before 1970 is wrong, and as good as one that stands still.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => panic!("the kernel gives no random bytes: {error}"),
            }
        }
    }

    fn process(&self) -> ProcessIdentity {
        processes::this()
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        processes::is_alive(process)
    }
}
