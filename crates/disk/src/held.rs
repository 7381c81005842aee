//! A folder, and files in it, that are held open: for a writer that may open nothing later.
//!
//! Whoever fills a fixed set of files again and again opens them beforehand, under names that nobody
//! looks for. A full one gets the name that others look for, without replacing anything, and loses it
//! again once nobody reads it.
//!
//! Invariants:
//! - A held file is regular and was opened through no symbolic link. [`HeldFile::names`] says whether
//!   somebody has given it a second name: what is written is then seen there as well.
//! - A held folder is held by one process; the next one is told so.
//! - All that is done to a held file goes through its one descriptor, and all that is done to names
//!   through the one of the folder.
//!
//! Who reads a file is found out by a *write lease* (`F_SETLEASE`): the kernel gives it only while no
//! other descriptor of the file is open, in any process, mappings included. While it is held, who opens
//! the file waits until it is given back. Network file systems and some in user space know no leases;
//! [`HeldFile::try_lease`] is an error there.
//!
//! Both can be of a [`SimulatedDisk`] as well, for tests of what must survive crashes and faults. There
//! a lease is given unless the test says that the file is being read
//! ([`SimulatedDisk::set_being_read`]), nobody waits for it, no file has a second name, and nothing has
//! a descriptor.
//!
//! What it does *not* do: choose names, or know what is in the files.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fcntl_getfl, fcntl_setfl, flock,
        openat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};

use crate::{
    Access, Disk, DiskFile, Error, FolderEntry, Lock, Publish, SimulatedDisk,
    aligned::assert_direct, folder, simulated::SimulatedFile,
};

/// `F_SETSIG` (uapi `asm-generic/fcntl.h`): the signal that tells of a lease that somebody waits for.
const SET_SIGNAL: libc::c_int = 10;

/// A folder that is held open, and by this process alone.
#[derive(Debug)]
pub struct HeldFolder {
    folder: Folder,
    path: PathBuf,
}

#[derive(Debug)]
enum Folder {
    Real(fs::File),
    Simulated { disk: SimulatedDisk, _lock: Box<dyn Lock> },
}

/// A file of a held folder, open for reading and writing.
#[derive(Debug)]
pub struct HeldFile {
    file: File,
    /// Where it lay when it was opened, for errors.
    path: PathBuf,
}

#[derive(Debug)]
enum File {
    Real(fs::File),
    Simulated(SimulatedFile),
}

impl HeldFolder {
    /// Opens a folder that is there; `None`: another one holds it, in this process or another.
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let path = path.as_ref().to_path_buf();
        let flags = i32::try_from(OFlags::DIRECTORY.bits()).expect("open flags are an int");
        let folder = fs::File::options()
            .read(true)
            .custom_flags(flags)
            .open(&path)
            .map_err(|source| Error::new(&path, "open the folder", source))?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { folder: Folder::Real(folder), path })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(Error::new(path, "lock", io::Error::from(source))),
        }
    }

    /// As [`Self::open`], of a simulated machine.
    pub fn open_simulated(
        disk: &SimulatedDisk,
        path: impl AsRef<Path>,
    ) -> Result<Option<Self>, Error> {
        let path = path.as_ref().to_path_buf();
        let lock = disk.lock_folder(&path)?;
        Ok(lock.map(|lock| Self {
            folder: Folder::Simulated { disk: disk.clone(), _lock: lock },
            path,
        }))
    }

    /// Where it lay when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its descriptor, for a system call filter.
    ///
    /// # Panics
    /// It is simulated.
    pub fn raw_fd(&self) -> RawFd {
        match &self.folder {
            Folder::Real(folder) => folder.as_raw_fd(),
            Folder::Simulated { .. } => panic!("a simulated folder has no descriptor"),
        }
    }

    /// Its entries, sorted by name.
    pub fn list(&self) -> Result<Vec<FolderEntry>, Error> {
        match &self.folder {
            Folder::Real(_) => folder::list(&self.path),
            Folder::Simulated { disk, .. } => disk.list(&self.path),
        }
    }

    /// Makes a new file. A taken name is [`Error::Exists`].
    pub fn create(&self, name: &str) -> Result<HeldFile, Error> {
        match self.open_with(name, OFlags::CREATE | OFlags::EXCL) {
            Err(Error::Path { path, source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(Error::Exists { path })
            }
            opened => opened,
        }
    }

    /// Opens a file that is there. What is no regular file, or is a symbolic link, is refused. Whether it
    /// has other names as well is for the caller to ask: what is written there is seen under them too.
    pub fn take(&self, name: &str) -> Result<HeldFile, Error> {
        let held = self.open_with(name, OFlags::empty())?;
        let is_file = match &held.file {
            File::Real(file) => held.metadata(file)?.is_file(),
            // It knows no others, and opens no folders.
            File::Simulated(_) => true,
        };
        match is_file {
            true => Ok(held),
            false => {
                let problem = "not a regular file; remove it";
                Err(held.error("take over", io::Error::new(io::ErrorKind::InvalidInput, problem)))
            }
        }
    }

    /// The inode that a name leads to, without following a link and without opening anything; `None`:
    /// there is none.
    pub fn inode(&self, name: &str) -> Result<Option<u64>, Error> {
        let folder = match &self.folder {
            Folder::Real(folder) => folder,
            Folder::Simulated { disk, .. } => return disk.inode(&self.path.join(name)),
        };
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(source) => {
                Err(Error::new(self.path.join(name), "look at", io::Error::from(source)))
            }
        }
    }

    fn open_with(&self, name: &str, more: OFlags) -> Result<HeldFile, Error> {
        let path = self.path.join(name);
        let folder = match &self.folder {
            Folder::Real(folder) => folder,
            Folder::Simulated { disk, .. } => {
                let file = match more.contains(OFlags::CREATE) {
                    true => disk.create_file(&path)?,
                    false => disk.open_file(&path, Access::ReadWrite)?,
                };
                return Ok(HeldFile { file: File::Simulated(file), path });
            }
        };
        // Opening a pipe that nobody reads would wait for ever; for a regular file it says nothing.
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
        let readable = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        match openat(folder, name, flags, readable) {
            Ok(file) => Ok(HeldFile { file: File::Real(file.into()), path }),
            Err(source) => Err(Error::new(path, "open", io::Error::from(source))),
        }
    }

    /// Gives a file another name, at once. A taken name is [`Error::Exists`].
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from_path, to_path) = (self.path.join(from), self.path.join(to));
        match &self.folder {
            Folder::Real(folder) => renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE)
                .map_err(|source| match source {
                    Errno::EXIST => Error::Exists { path: to_path },
                    _ => Error::new(from_path, "rename", io::Error::from(source)),
                }),
            Folder::Simulated { disk, .. } => disk.rename(&from_path, &to_path, Publish::New),
        }
    }

    /// Takes a file's name away.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match &self.folder {
            Folder::Real(folder) => unlinkat(folder, name, AtFlags::empty())
                .map_err(|source| Error::new(path, "remove", io::Error::from(source))),
            Folder::Simulated { disk, .. } => disk.remove(&path),
        }
    }

    /// Makes its names durable.
    pub fn sync(&self) -> Result<(), Error> {
        match &self.folder {
            Folder::Real(folder) => {
                folder.sync_all().map_err(|source| Error::new(&self.path, "sync", source))
            }
            Folder::Simulated { disk, .. } => disk.sync_folder(&self.path),
        }
    }
}

impl HeldFile {
    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::new(&self.path, action, source)
    }

    /// Its descriptor, for a system call filter.
    ///
    /// # Panics
    /// It is simulated.
    pub fn raw_fd(&self) -> RawFd {
        match &self.file {
            File::Real(file) => file.as_raw_fd(),
            File::Simulated(_) => panic!("a simulated file has no descriptor"),
        }
    }

    /// Its size in bytes, now.
    pub fn bytes(&self) -> Result<u64, Error> {
        match &self.file {
            File::Real(file) => Ok(self.metadata(file)?.len()),
            File::Simulated(file) => file.bytes(),
        }
    }

    /// Its number in its file system, the same under every name.
    pub fn inode(&self) -> Result<u64, Error> {
        match &self.file {
            File::Real(file) => Ok(self.metadata(file)?.ino()),
            File::Simulated(file) => file.inode(),
        }
    }

    /// How many names it has, in all folders of its file system.
    pub fn names(&self) -> Result<u64, Error> {
        match &self.file {
            File::Real(file) => Ok(self.metadata(file)?.nlink()),
            File::Simulated(file) => file.names(),
        }
    }

    fn metadata(&self, file: &fs::File) -> Result<fs::Metadata, Error> {
        file.metadata().map_err(|source| self.error("look at", source))
    }

    /// Writes all of `bytes` at `offset`. After an error any prefix of them may stand there.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        match &self.file {
            File::Real(file) => file
                .write_all_at(bytes, offset)
                .map_err(|source| Error::at(&self.path, "write", offset, source)),
            File::Simulated(file) => file.write_at(offset, bytes),
        }
    }

    /// As [`Self::write_at`], for [`Self::set_direct`].
    ///
    /// # Panics
    /// Unless the offset, the length and the address of the bytes are multiples of
    /// [`DIRECT_BYTES`](crate::DIRECT_BYTES).
    pub fn write_direct_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        assert_direct(offset, bytes);
        self.write_at(offset, bytes)
    }

    /// From now on what is written goes past the page cache, or through it; whether it is as asked. A
    /// file system that cannot write past it says so here, or refuses what is written.
    pub fn set_direct(&self, is_direct: bool) -> bool {
        match &self.file {
            File::Real(file) => {
                let changed = fcntl_getfl(file).and_then(|mut flags| {
                    flags.set(OFlags::DIRECT, is_direct);
                    fcntl_setfl(file, flags)
                });
                changed.is_ok()
            }
            // What is written either way is the same.
            File::Simulated(_) => true,
        }
    }

    /// Makes bytes and size durable. After an error nothing is known of what was written before.
    pub fn sync(&self) -> Result<(), Error> {
        match &self.file {
            File::Real(file) => file.sync_all().map_err(|source| self.error("sync", source)),
            File::Simulated(file) => file.sync(),
        }
    }

    /// Cuts the file off at this size.
    pub fn truncate(&self, bytes: u64) -> Result<(), Error> {
        match &self.file {
            File::Real(file) => file
                .set_len(bytes)
                .map_err(|source| Error::at(&self.path, "truncate", bytes, source)),
            File::Simulated(file) => file.truncate(bytes),
        }
    }

    /// Takes the write lease; false: somebody else has the file open. As long as it is held, who opens
    /// the file waits (or is told so, if it asked not to wait), for as long as the system says
    /// (`/proc/sys/fs/lease-break-time`, 45 seconds as it comes).
    pub fn try_lease(&self) -> Result<bool, Error> {
        let file = match &self.file {
            File::Real(file) => file,
            File::Simulated(file) => return Ok(!file.is_being_read()?),
        };
        // The holder is told of who waits by a signal. The usual one would end the process; this one
        // does nothing unless it is listened to. Giving a lease back forgets the choice.
        let told = lease_call(file, SET_SIGNAL, libc::SIGURG);
        match told.and_then(|_| lease_call(file, libc::F_SETLEASE, libc::F_WRLCK)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(source) => Err(self.error("lease", source)),
        }
    }

    /// Whether somebody waits for the lease to be given back.
    pub fn is_waited_for(&self) -> Result<bool, Error> {
        match &self.file {
            File::Real(file) => lease_call(file, libc::F_GETLEASE, 0)
                .map(|held| held != libc::F_WRLCK)
                .map_err(|source| self.error("lease", source)),
            File::Simulated(_) => Ok(false),
        }
    }

    /// Gives the lease back.
    pub fn end_lease(&self) -> Result<(), Error> {
        match &self.file {
            File::Real(file) => lease_call(file, libc::F_SETLEASE, libc::F_UNLCK)
                .map(|_| ())
                .map_err(|source| self.error("lease", source)),
            // It was a question, and holds nothing.
            File::Simulated(_) => Ok(()),
        }
    }
}

fn lease_call(
    file: &fs::File,
    command: libc::c_int,
    argument: libc::c_int,
) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open as long as `file` is; these commands take a number and touch
    // no memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests;
