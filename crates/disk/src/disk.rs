//! What a store asks of a disk, a clock and a source of randomness, so that a simulated machine can
//! stand in for the real one.
//!
//! Invariants:
//! - Nothing is durable before a sync that returned: [`DiskFile::sync`] for the bytes and the size
//!   of a file, [`Disk::sync_folder`] for the names in a folder.
//! - Every error names the path, what was tried, where, and what to do.
//! - All calls are by path or by offset: there is no position and no current folder to share, so
//!   threads need no lock.
//!
//! What it does *not* do: buffer, retry, order one call after another, or decide what an error
//! means. After a failed sync nothing is known of what was written before it; the caller must not
//! sync again and believe the answer.

use std::{
    fmt,
    os::fd::RawFd,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use crate::{Error, FolderEntry, GrowingMapping, Mapping, Publish, aligned::assert_direct};

/// Bytes of a [`SharedPage`].
pub const SHARED_PAGE_BYTES: usize = 4096;

/// Words of a [`SharedPage`].
pub const SHARED_PAGE_WORDS: usize = SHARED_PAGE_BYTES / size_of::<u64>();

/// What an opened file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessIdentity {
    /// The number that the kernel gave it.
    pub id: u32,
    /// When it started, in clock ticks since the machine did; 0 where the kernel does not tell.
    pub start_time: u64,
}

/// A machine's files, clock, randomness and processes.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a new file, for reading and writing. A taken name is [`Error::Exists`].
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>, Error>;

    /// Opens a regular file. [`Error::is_absent`] tells that there is none.
    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn DiskFile>, Error>;

    /// Makes a folder in one that is there; fine if the folder is there already.
    fn create_folder(&self, path: &Path) -> Result<(), Error>;

    /// The entries of a folder, sorted by name.
    fn list(&self, folder: &Path) -> Result<Vec<FolderEntry>, Error>;

    /// Whether anything is at the path.
    fn exists(&self, path: &Path) -> bool;

    /// Gives a file or folder another name, at once: nobody ever sees neither name. With
    /// [`Publish::New`] a taken name is [`Error::Exists`].
    fn rename(&self, from: &Path, to: &Path, publish: Publish) -> Result<(), Error>;

    /// Takes a file's name away; who has it open or mapped keeps what it holds.
    fn remove(&self, path: &Path) -> Result<(), Error>;

    /// Makes the names in a folder durable: files made, renamed and removed there.
    fn sync_folder(&self, folder: &Path) -> Result<(), Error>;

    /// Takes the exclusive lock that a file stands for; the file is made if there is none, and a
    /// symbolic link is refused. `None`: somebody holds it, in this process or another. Dropped, or
    /// with the end of the process, it is free. It is advisory, and bound to the file: who removes
    /// the file lets others lock a new one of that name.
    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, Error>;

    /// Maps a file of [`SHARED_PAGE_BYTES`] that processes of this machine share. With
    /// [`Access::ReadWrite`] it is made, of zeros, or filled up to its size; with [`Access::Read`]
    /// it must be whole. Refused on network file systems.
    fn shared_page(&self, path: &Path, access: Access) -> Result<Arc<dyn SharedPage>, Error>;

    /// Bytes that can still be written on the file system of a folder.
    fn available_bytes(&self, folder: &Path) -> Result<u64, Error>;

    /// Nanoseconds since 1970. It can jump, in both directions.
    fn now(&self) -> u64;

    /// Fills with bytes that nobody can foretell.
    fn fill_random(&self, bytes: &mut [u8]);

    /// The process that asks.
    fn process(&self) -> ProcessIdentity;

    /// Whether this process still runs. Where that cannot be known the answer is yes.
    fn is_alive(&self, process: ProcessIdentity) -> bool;
}

/// An open file, used by position.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// The path it was opened by.
    fn path(&self) -> &Path;

    /// Its size in bytes, now.
    fn bytes(&self) -> Result<u64, Error>;

    /// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error>;

    /// Writes all of `bytes` at `offset`; a gap behind the end is filled with zeros. After an error
    /// any prefix of `bytes` may stand there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Says that much will be written with [`Self::write_direct_at`]: what has to be opened for that is
    /// opened now. Where nothing can be had, those writes are as any others.
    fn expect_direct_writes(&self) {}

    /// As [`Self::write_at`], past the page cache where the file system can and was asked to by
    /// [`Self::expect_direct_writes`]: the bytes go to the disk from where they lie. The result is the
    /// same.
    ///
    /// # Panics
    /// Unless the offset, the length and the address of the bytes are multiples of
    /// [`DIRECT_BYTES`](crate::DIRECT_BYTES), as those of parts of an
    /// [`AlignedBuffer`](crate::AlignedBuffer) can be.
    fn write_direct_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        assert_direct(offset, bytes);
        self.write_at(offset, bytes)
    }

    /// Its descriptors, for a system call filter that names what it allows; none where there is no
    /// such thing. Writing, direct or not, is `pwrite64` on them and nothing else; reading is
    /// `pread64`.
    fn raw_fds(&self) -> Vec<RawFd> {
        Vec::new()
    }

    /// Cuts the file off at this size, or lengthens it with zeros.
    fn truncate(&self, bytes: u64) -> Result<(), Error>;

    /// Makes bytes and size durable (`fdatasync`). After an error nothing is known of what was
    /// written since the last sync that returned, not even if a later one succeeds.
    fn sync(&self) -> Result<(), Error>;

    /// Takes room on the disk for the first `bytes`; a shorter file grows to that size, with zeros.
    fn reserve(&self, bytes: u64) -> Result<(), Error>;

    /// Maps the whole file as it is now. Only for files that nobody changes or truncates any more:
    /// see [`Mapping`].
    fn map(&self) -> Result<Mapping, Error>;

    /// Maps a file that is still appended to, up to `bytes_max`; `None` where files are not mapped.
    fn map_growing(&self, _bytes_max: usize) -> Result<Option<GrowingMapping>, Error> {
        Ok(None)
    }
}

/// A page of memory that processes share, kept in a file.
pub trait SharedPage: fmt::Debug + Send + Sync {
    /// Its words.
    ///
    /// A page that was mapped for reading must only be loaded from, with [`Relaxed`] order (and a
    /// [`fence`] where an order is needed: stronger loads are not promised to work on memory that
    /// cannot be written). A store into it ends the process.
    ///
    /// [`Relaxed`]: std::sync::atomic::Ordering::Relaxed
    /// [`fence`]: std::sync::atomic::fence
    fn words(&self) -> &[AtomicU64; SHARED_PAGE_WORDS];
}

/// An exclusive lock, held until it is dropped.
pub trait Lock: fmt::Debug + Send + Sync {}
