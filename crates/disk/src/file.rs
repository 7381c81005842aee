//! Reading: a file by position, and standard input from front to back.

use std::{
    fs, io,
    num::NonZeroU64,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::FileExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Advice, fadvise},
    io::{Errno, read},
    stdio::stdin,
};

use crate::Error;

/// A file opened for reading by position.
#[derive(Debug)]
pub struct File {
    file: fs::File,
    path: PathBuf,
    bytes: u64,
}

impl File {
    /// Opens a regular file; folders, pipes and devices are refused.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = fs::File::open(path).map_err(|source| Error::new(path, "open", source))?;
        let metadata =
            file.metadata().map_err(|source| Error::new(path, "read the size of", source))?;
        if !metadata.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::new(path, "read", source));
        }
        Ok(Self { file, path: path.to_path_buf(), bytes: metadata.len() })
    }

    /// The open file and its size.
    pub(crate) fn into_parts(self) -> (fs::File, u64) {
        (self.file, self.bytes)
    }

    /// Says that small pieces far apart will be read: nothing is read ahead then.
    pub fn expect_scattered_reads(&self) {
        // A hint; a file system that does not take it reads more than is needed.
        let _ = fadvise(&self.file, 0, None, Advice::Random);
    }

    /// Says that these bytes will be read soon: they are fetched while other things are done.
    pub fn expect_read(&self, offset: u64, bytes: u64) {
        // A hint as well.
        let _ = fadvise(&self.file, offset, NonZeroU64::new(bytes), Advice::WillNeed);
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor, for a sandbox that lets a thread read it.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Its size in bytes when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        fill(&self.file, &self.path, offset, buffer)
    }

    /// The whole file, refused above `bytes_max`.
    pub fn read_all(&self, bytes_max: u64) -> Result<Vec<u8>, Error> {
        if self.bytes > bytes_max {
            let text = format!("{} bytes, more than the {bytes_max} expected of it", self.bytes);
            return Err(Error::new(&self.path, "read", io::Error::other(text)));
        }
        let mut content = vec![0; usize::try_from(self.bytes).expect("bounded by bytes_max")];
        let count = self.read_at(0, &mut content)?;
        content.truncate(count);
        Ok(content)
    }
}

/// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
pub(crate) fn fill(
    file: &fs::File,
    path: &Path,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        let position = offset + filled as u64;
        match file.read_at(&mut buffer[filled..], position) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::at(path, "read", position, source)),
        }
    }
    Ok(filled)
}

/// Standard input, read once, from front to back.
#[derive(Debug, Default)]
pub struct StandardInput {
    /// Bytes read so far.
    offset: u64,
}

impl StandardInput {
    /// From where it stands.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what is there, once anything is; 0 at the end, and `None` when nothing came in this
    /// time. Besides memory it asks the system to wait and to read, nothing else.
    pub fn read(&mut self, patience: Duration, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let failed = |source: Errno| {
            Error::at("standard input", "read", self.offset, io::Error::from(source))
        };
        let patience = Timespec::try_from(patience).expect("less than the age of the universe");
        let input = stdin();
        let mut waiting = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut waiting, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(source) => return Err(failed(source)),
        }
        match read(input, buffer) {
            Ok(count) => {
                self.offset += count as u64;
                Ok(Some(count))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_missing_file_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let error = File::open(folder.path()).expect_err("a folder");
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let error = File::open(folder.path().join("none")).expect_err("missing");
        assert!(error.to_string().contains("none: cannot open"), "{error}");
        assert!(error.to_string().contains("check the path"), "{error}");
    }

    #[test]
    fn reads_by_position_end_with_the_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("file");
        fs::write(&path, (0..=255u8).collect::<Vec<_>>()).expect("written");
        let file = File::open(&path).expect("opened");
        let mut buffer = [0; 100];
        assert_eq!(file.read_at(200, &mut buffer).expect("read"), 56);
        assert_eq!(buffer[0], 200);
        assert_eq!(file.read_all(256).expect("read").len(), 256);
        assert!(file.read_all(255).is_err());
    }
}
