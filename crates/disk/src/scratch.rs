//! A file without a name, shared by threads: written and read by position, gone with the process.
//!
//! Invariants:
//! - Every write and read names its offset (`pwrite64`, `pread64`): there is no file position to
//!   share, so threads need no lock, and a system call filter can allow these two alone.
//! - Room is given out once, by an atomic end: what two threads append never overlaps.
//!
//! What it does *not* do: give room back, or order a read after the write of another thread.

use std::{
    fs,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;

use crate::Error;

/// A nameless temporary file.
#[derive(Debug)]
pub struct Scratch {
    file: fs::File,
    folder: PathBuf,
    end: AtomicU64,
}

impl Scratch {
    /// Creates one on the file system of `folder`.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let flags = i32::try_from(OFlags::TMPFILE.bits()).expect("open flags are an int");
        let file = fs::File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(folder)
            .map_err(|source| Error::new(folder, "make a scratch file in", source))?;
        Ok(Self { file, folder: folder.to_path_buf(), end: AtomicU64::new(0) })
    }

    /// Bytes given out so far.
    pub fn bytes(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Gives out room for `bytes` in one piece, to be filled by [`Self::write_at`]; returns its
    /// offset.
    pub fn reserve(&self, bytes: u64) -> u64 {
        self.end.fetch_add(bytes, Ordering::Relaxed)
    }

    /// Writes all of `bytes` at `offset`, within room that was given out.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        debug_assert!(offset + bytes.len() as u64 <= self.bytes(), "room that was given out");
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| Error::at(&self.folder, "write scratch in", offset, source))
    }

    /// Appends, behind whatever other threads append; returns the offset.
    pub fn append(&self, bytes: &[u8]) -> Result<u64, Error> {
        let offset = self.reserve(bytes.len() as u64);
        self.write_at(offset, bytes)?;
        Ok(offset)
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = wanted.min(buffer.len());
        self.file
            .read_exact_at(&mut buffer[..count], offset)
            .map_err(|source| Error::at(&self.folder, "read scratch in", offset, source))?;
        Ok(count)
    }

    /// The open file.
    pub(crate) fn file(&self) -> &fs::File {
        &self.file
    }

    /// The descriptor, for a system call filter that names what it allows.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn it_has_no_name_and_reads_back_what_was_written() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let scratch = Scratch::create(folder.path()).expect("created");
        assert_eq!(scratch.append(b"hello ").expect("appended"), 0);
        assert_eq!(scratch.append(b"world").expect("appended"), 6);
        assert_eq!(crate::list(folder.path()).expect("listed"), vec![]);
        let mut buffer = [0; 8];
        assert_eq!(scratch.read_at(6, &mut buffer).expect("read"), 5);
        assert_eq!(&buffer[..5], b"world");
        assert_eq!(scratch.read_at(11, &mut buffer).expect("read"), 0);
    }

    #[test]
    fn threads_append_without_overlap_and_each_finds_its_own() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let scratch = Scratch::create(folder.path()).expect("created");
        thread::scope(|scope| {
            for thread in 1..=4u8 {
                let scratch = &scratch;
                scope.spawn(move || {
                    for round in 1..100usize {
                        let written = vec![thread; round * 37];
                        let offset = scratch.append(&written).expect("appended");
                        let mut read = vec![0; written.len()];
                        assert_eq!(scratch.read_at(offset, &mut read).expect("read"), read.len());
                        assert_eq!(read, written);
                    }
                });
            }
        });
        assert_eq!(scratch.bytes(), 4 * 37 * (99 * 100 / 2));
    }

    #[test]
    fn reserved_room_is_filled_out_of_order() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let scratch = Scratch::create(folder.path()).expect("created");
        let offset = scratch.reserve(6);
        let after = scratch.append(b"!").expect("appended");
        scratch.write_at(offset + 3, b"def").expect("written");
        scratch.write_at(offset, b"abc").expect("written");
        let mut buffer = [0; 7];
        scratch.read_at(offset, &mut buffer).expect("read");
        assert_eq!((after, &buffer), (6, b"abcdef!"));
    }
}
