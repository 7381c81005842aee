//! An open file of the real disk.
//!
//! Invariants:
//! - Every call names its offset; the file position is never used.
//! - Only regular files are opened: reading a pipe or a device would not be by position.

use std::{
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, OFlags, fallocate},
    io::Errno,
};

use super::network::is_on_network;
use crate::{Access, DiskFile, Error, Mapping, file::fill};

/// Largest file that is copied where it cannot be mapped.
const COPY_BYTES_MAX: u64 = 256 << 20;

/// A file, open for positioned calls.
#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let created = fs::File::options().read(true).write(true).create_new(true).open(path);
        match created {
            Ok(file) => Ok(Self { file, path: path.to_path_buf() }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { path: path.to_path_buf() })
            }
            Err(source) => Err(Error::new(path, "create", source)),
        }
    }

    pub(super) fn open(path: &Path, access: Access) -> Result<Self, Error> {
        // Opening a pipe that nobody writes would wait for ever; for a regular file it says nothing.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags are an int");
        let file = fs::File::options()
            .read(true)
            .write(access == Access::ReadWrite)
            .custom_flags(flags)
            .open(path)
            .map_err(|source| Error::new(path, "open", source))?;
        let opened = Self { file, path: path.to_path_buf() };
        if !opened.metadata()?.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::new(path, "open", source));
        }
        Ok(opened)
    }

    fn metadata(&self) -> Result<fs::Metadata, Error> {
        self.file.metadata().map_err(|source| Error::new(&self.path, "read the size of", source))
    }
}

impl DiskFile for RealFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn bytes(&self) -> Result<u64, Error> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        fill(&self.file, &self.path, offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| Error::at(&self.path, "write", offset, source))
    }

    fn truncate(&self, bytes: u64) -> Result<(), Error> {
        self.file.set_len(bytes).map_err(|source| Error::at(&self.path, "truncate", bytes, source))
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| Error::new(&self.path, "sync", source))
    }

    fn reserve(&self, bytes: u64) -> Result<(), Error> {
        // The kernel refuses to reserve nothing.
        if bytes == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // The file system cannot: the size is all that can be had, and a write may find the
            // disk full, as it may after any open.
            Err(Errno::OPNOTSUPP) if self.bytes()? < bytes => self.truncate(bytes),
            Err(Errno::OPNOTSUPP) => Ok(()),
            Err(source) => {
                let source = io::Error::from(source);
                Err(Error::at(&self.path, "reserve room in", bytes, source))
            }
        }
    }

    fn map(&self) -> Result<Mapping, Error> {
        let failed = |source| Error::new(&self.path, "map", source);
        let file_bytes = self.bytes()?;
        let bytes = usize::try_from(file_bytes)
            .map_err(|_| failed(io::Error::other("more bytes than this machine can address")))?;
        if !is_on_network(&self.file).map_err(failed)? {
            return Mapping::of_file(&self.file, bytes).map_err(failed);
        }
        if file_bytes > COPY_BYTES_MAX {
            let text = format!(
                "{file_bytes} bytes on a network file system, where files are not mapped and only \
                 {COPY_BYTES_MAX} are copied; name a folder on a local disk"
            );
            return Err(failed(io::Error::other(text)));
        }
        let mut content = vec![0; bytes];
        let count = self.read_at(0, &mut content)?;
        content.truncate(count);
        Ok(Mapping::from_vec(content))
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("made");
        for access in [Access::Read, Access::ReadWrite] {
            let error = RealFile::open(&path, access).expect_err("a pipe");
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
    }
}
