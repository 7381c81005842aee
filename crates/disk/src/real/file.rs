//! An open file of the real disk.
//!
//! Invariants:
//! - Every call names its offset; the file position is never used.
//! - Only regular files are opened: reading a pipe or a device would not be by position.
//! - Direct writes go through a descriptor of their own, so that all else can have any length and
//!   place. The kernel keeps the page cache in step. Where it cannot be had, or a write is refused
//!   through it, the bytes go through the page cache.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustix::{
    fs::{FallocateFlags, OFlags, fallocate},
    io::Errno,
};

use super::network::is_on_network;
use crate::{Access, DiskFile, Error, GrowingMapping, Mapping, aligned::assert_direct, file::fill};

/// Largest file that is copied where it cannot be mapped.
const COPY_BYTES_MAX: u64 = 256 << 20;

/// A file, open for positioned calls.
#[derive(Debug)]
pub(super) struct RealFile {
    file: Arc<fs::File>,
    path: PathBuf,
    access: Access,
    /// For direct writes, once they are expected and if there can be any.
    direct: OnceLock<Option<fs::File>>,
}

impl RealFile {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let created = fs::File::options().read(true).write(true).create_new(true).open(path);
        match created {
            Ok(file) => Ok(Self::of(file, path, Access::ReadWrite)),
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
        let opened = Self::of(file, path, access);
        if !opened.metadata()?.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::new(path, "open", source));
        }
        Ok(opened)
    }

    fn of(file: fs::File, path: &Path, access: Access) -> Self {
        Self { file: Arc::new(file), path: path.to_path_buf(), access, direct: OnceLock::new() }
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

    fn expect_direct_writes(&self) {
        if self.access == Access::ReadWrite {
            self.direct.get_or_init(|| open_direct(&self.file).ok());
        }
    }

    fn write_direct_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        assert_direct(offset, bytes);
        let Some(Some(direct)) = self.direct.get() else { return self.write_at(offset, bytes) };
        match direct.write_all_at(bytes, offset) {
            // Some file systems open a file so and then want larger blocks, or do not write so.
            Err(source) if is_refused(&source) => self.write_at(offset, bytes),
            written => written.map_err(|source| Error::at(&self.path, "write", offset, source)),
        }
    }

    fn raw_fds(&self) -> Vec<RawFd> {
        let direct = self.direct.get().into_iter().flatten();
        [&*self.file].into_iter().chain(direct).map(AsRawFd::as_raw_fd).collect()
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

    fn map_growing(&self, bytes_max: usize) -> Result<Option<GrowingMapping>, Error> {
        let failed = |source| Error::new(&self.path, "map", source);
        if is_on_network(&self.file).map_err(failed)? {
            return Ok(None);
        }
        let file = Arc::clone(&self.file);
        GrowingMapping::of_file(file, bytes_max).map(Some).map_err(failed)
    }
}

/// Opens the same file, whatever its name is by now, past the page cache.
fn open_direct(file: &fs::File) -> io::Result<fs::File> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).expect("open flags are an int");
    let same = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::File::options().write(true).custom_flags(flags).open(same)
}

/// Whether a direct write was refused for being one.
fn is_refused(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::{AlignedBuffer, DIRECT_BYTES};

    #[test]
    fn direct_writes_have_a_descriptor_of_their_own_and_go_on_where_they_are_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("file");
        let mut file = RealFile::create(&path).expect("created");
        assert_eq!(file.raw_fds(), [file.file.as_raw_fd()]);
        // The name is of no account.
        fs::rename(&path, folder.path().join("renamed")).expect("renamed");
        file.expect_direct_writes();
        let is_direct = file.direct.get().expect("asked for").is_some();
        assert_eq!(file.raw_fds().len(), 1 + usize::from(is_direct));
        let mut buffer = AlignedBuffer::new(2 * DIRECT_BYTES).expect("memory");
        buffer.fill(1);
        file.write_direct_at(0, &buffer).expect("written");
        buffer.fill(2);
        let opened = |path| Some(fs::File::options().write(true).open(path).expect("opened"));
        // It wants a number: the answer is the one of file systems that do not write directly.
        file.direct = OnceLock::from(opened("/proc/self/oom_score_adj"));
        file.write_direct_at(4096, &buffer).expect("written the other way");
        assert_eq!(file.bytes().expect("a size"), 3 * 4096);
        file.direct = OnceLock::from(opened("/dev/full"));
        let error = file.write_direct_at(8192, &buffer).expect_err("it is full");
        assert!(error.to_string().contains("at byte 8192"), "{error}");
        let mut content = vec![0; 3 * 4096];
        assert_eq!(file.read_at(0, &mut content).expect("read"), content.len());
        assert!(content[..4096].iter().all(|byte| *byte == 1));
        assert!(content[4096..].iter().all(|byte| *byte == 2));
    }

    #[test]
    fn only_a_refusal_of_direct_writes_is_one() {
        for (error, refused) in [
            (Errno::INVAL, true),
            (Errno::OPNOTSUPP, true),
            (Errno::NOSPC, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_refused(&io::Error::from(error)), refused, "{error}");
        }
    }

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
