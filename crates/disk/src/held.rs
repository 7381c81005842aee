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

use crate::{Error, aligned::assert_direct};

/// `F_SETSIG` (uapi `asm-generic/fcntl.h`): the signal that tells of a lease that somebody waits for.
const SET_SIGNAL: libc::c_int = 10;

/// A folder that is held open, and by this process alone.
#[derive(Debug)]
pub struct HeldFolder {
    folder: fs::File,
    path: PathBuf,
}

/// A file of a held folder, open for reading and writing.
#[derive(Debug)]
pub struct HeldFile {
    file: fs::File,
    /// Where it lay when it was opened, for errors.
    path: PathBuf,
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
            Ok(()) => Ok(Some(Self { folder, path })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(Error::new(path, "lock", io::Error::from(source))),
        }
    }

    /// Where it lay when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its descriptor, for a system call filter.
    pub fn raw_fd(&self) -> RawFd {
        self.folder.as_raw_fd()
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
        match held.metadata()?.is_file() {
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
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(source) => {
                Err(Error::new(self.path.join(name), "look at", io::Error::from(source)))
            }
        }
    }

    fn open_with(&self, name: &str, more: OFlags) -> Result<HeldFile, Error> {
        // Opening a pipe that nobody reads would wait for ever; for a regular file it says nothing.
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
        let path = self.path.join(name);
        let readable = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        match openat(&self.folder, name, flags, readable) {
            Ok(file) => Ok(HeldFile { file: file.into(), path }),
            Err(source) => Err(Error::new(path, "open", io::Error::from(source))),
        }
    }

    /// Gives a file another name, at once. A taken name is [`Error::Exists`].
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        renameat_with(&self.folder, from, &self.folder, to, RenameFlags::NOREPLACE).map_err(
            |source| match source {
                Errno::EXIST => Error::Exists { path: self.path.join(to) },
                _ => Error::new(self.path.join(from), "rename", io::Error::from(source)),
            },
        )
    }

    /// Takes a file's name away.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        unlinkat(&self.folder, name, AtFlags::empty())
            .map_err(|source| Error::new(self.path.join(name), "remove", io::Error::from(source)))
    }

    /// Makes its names durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.folder.sync_all().map_err(|source| Error::new(&self.path, "sync", source))
    }
}

impl HeldFile {
    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::new(&self.path, action, source)
    }

    /// Its descriptor, for a system call filter.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Its size in bytes, now.
    pub fn bytes(&self) -> Result<u64, Error> {
        Ok(self.metadata()?.len())
    }

    /// Its number in its file system, the same under every name.
    pub fn inode(&self) -> Result<u64, Error> {
        Ok(self.metadata()?.ino())
    }

    /// How many names it has, in all folders of its file system.
    pub fn names(&self) -> Result<u64, Error> {
        Ok(self.metadata()?.nlink())
    }

    fn metadata(&self) -> Result<fs::Metadata, Error> {
        self.file.metadata().map_err(|source| self.error("look at", source))
    }

    /// Writes all of `bytes` at `offset`. After an error any prefix of them may stand there.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| Error::at(&self.path, "write", offset, source))
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
        let changed = fcntl_getfl(&self.file).and_then(|mut flags| {
            flags.set(OFlags::DIRECT, is_direct);
            fcntl_setfl(&self.file, flags)
        });
        changed.is_ok()
    }

    /// Makes bytes and size durable. After an error nothing is known of what was written before.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| self.error("sync", source))
    }

    /// Cuts the file off at this size.
    pub fn truncate(&self, bytes: u64) -> Result<(), Error> {
        self.file.set_len(bytes).map_err(|source| Error::at(&self.path, "truncate", bytes, source))
    }

    /// Takes the write lease; false: somebody else has the file open. As long as it is held, who opens
    /// the file waits (or is told so, if it asked not to wait), for as long as the system says
    /// (`/proc/sys/fs/lease-break-time`, 45 seconds as it comes).
    pub fn try_lease(&self) -> Result<bool, Error> {
        // The holder is told of who waits by a signal. The usual one would end the process; this one
        // does nothing unless it is listened to. Giving a lease back forgets the choice.
        let told = self.lease_call(SET_SIGNAL, libc::SIGURG);
        match told.and_then(|_| self.lease_call(libc::F_SETLEASE, libc::F_WRLCK)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(source) => Err(self.error("lease", source)),
        }
    }

    /// Whether somebody waits for the lease to be given back.
    pub fn is_waited_for(&self) -> Result<bool, Error> {
        let held = self.lease_call(libc::F_GETLEASE, 0);
        held.map(|held| held != libc::F_WRLCK).map_err(|source| self.error("lease", source))
    }

    /// Gives the lease back.
    pub fn end_lease(&self) -> Result<(), Error> {
        self.lease_call(libc::F_SETLEASE, libc::F_UNLCK)
            .map(|_| ())
            .map_err(|source| self.error("lease", source))
    }

    fn lease_call(&self, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
        // SAFETY: the descriptor is open as long as `self` is; these commands take a number and touch
        // no memory.
        match unsafe { libc::fcntl(self.file.as_raw_fd(), command, argument) } {
            -1 => Err(io::Error::last_os_error()),
            answer => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn held(folder: &Path) -> HeldFolder {
        HeldFolder::open(folder).expect("opened").expect("nobody else holds it")
    }

    #[test]
    fn a_folder_is_held_once_and_free_when_it_is_let_go() {
        let at = tempfile::tempdir().expect("temporary folder");
        let first = held(at.path());
        assert!(HeldFolder::open(at.path()).expect("opened").is_none());
        drop(first);
        drop(held(at.path()));
        assert!(HeldFolder::open(at.path().join("none")).is_err_and(|error| error.is_absent()));
    }

    #[test]
    fn names_are_given_without_replacing_and_what_is_no_plain_file_is_refused() {
        let at = tempfile::tempdir().expect("temporary folder");
        let folder = held(at.path());
        let file = folder.create(".x").expect("created");
        assert!(matches!(folder.create(".x"), Err(Error::Exists { .. })));
        file.write_at(0, b"content").expect("written");
        file.sync().expect("synced");
        folder.rename(".x", "final").expect("renamed");
        fs::write(at.path().join("other"), b"").expect("written");
        assert!(matches!(folder.rename("other", "final"), Err(Error::Exists { .. })));
        folder.sync().expect("synced");
        drop(file);
        assert_eq!(folder.take("final").expect("taken").bytes().expect("a size"), 7);
        symlink("final", at.path().join("link")).expect("linked");
        fs::create_dir(at.path().join("folder")).expect("made");
        for (name, says) in [("link", "symbolic link"), ("folder", "directory")] {
            let error = folder.take(name).expect_err("refused").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_says_how_many_names_it_has_and_is_the_same_under_each() {
        let at = tempfile::tempdir().expect("temporary folder");
        let folder = held(at.path());
        let file = folder.create("first").expect("created");
        assert_eq!(file.names().expect("asked"), 1);
        fs::hard_link(at.path().join("first"), at.path().join("second")).expect("linked");
        assert_eq!(file.names().expect("asked"), 2);
        let second = folder.take("second").expect("taken");
        assert_eq!(second.inode().expect("asked"), file.inode().expect("asked"));
        let found = folder.inode("second").expect("asked");
        assert_eq!(found, Some(file.inode().expect("asked")));
        symlink("second", at.path().join("link")).expect("linked");
        assert_ne!(folder.inode("link").expect("asked"), found, "a link is not followed");
        folder.remove("second").expect("removed");
        assert_eq!(file.names().expect("asked"), 1);
        assert_eq!(folder.inode("second").expect("asked"), None);
    }

    #[test]
    fn a_lease_is_given_when_nobody_reads_and_tells_of_who_waits() {
        let at = tempfile::tempdir().expect("temporary folder");
        let folder = held(at.path());
        let path = at.path().join("file");
        let file = folder.create("file").expect("created");
        file.write_at(0, &[7; 10_000]).expect("written");
        for _ in 0..2 {
            let reader = fs::File::open(&path).expect("opened");
            assert!(!file.try_lease().expect("asked"));
            drop(reader);
            let opened = fs::File::open(&path).expect("opened");
            let mapping = crate::Mapping::of_file(&opened, 10_000).expect("mapped");
            drop(opened);
            assert!(!file.try_lease().expect("asked"), "a mapping reads");
            assert_eq!(mapping[0], 7);
            drop(mapping);
            assert!(file.try_lease().expect("asked"));
            assert!(!file.is_waited_for().expect("asked"));
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("an int");
            let impatient = fs::File::options().read(true).custom_flags(flags).open(&path);
            assert_eq!(impatient.expect_err("it would wait").kind(), io::ErrorKind::WouldBlock);
            assert!(file.is_waited_for().expect("asked"));
            file.end_lease().expect("given back");
        }
        assert!(file.try_lease().expect("asked"));
        file.truncate(3).expect("cut, with the lease");
        file.end_lease().expect("given back");
        assert_eq!(file.bytes().expect("a size"), 3);
    }

    #[test]
    fn what_is_written_past_the_page_cache_is_the_same() {
        let at = tempfile::tempdir().expect("temporary folder");
        let folder = held(at.path());
        let file = folder.create("file").expect("created");
        let mut buffer = crate::AlignedBuffer::new(2 * crate::DIRECT_BYTES).expect("memory");
        buffer.fill(5);
        file.set_direct(true);
        file.write_direct_at(0, &buffer).expect("written");
        assert!(file.set_direct(false));
        file.write_at(buffer.len() as u64, b"the end").expect("written");
        let content = fs::read(at.path().join("file")).expect("read");
        assert_eq!(content.len(), buffer.len() + 7);
        assert!(content[..buffer.len()].iter().all(|byte| *byte == 5));
    }
}
