//! A file without a name: written from front to back, read by position, gone with the process.

use std::{
    fs,
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::Error;

/// A nameless temporary file.
#[derive(Debug)]
pub struct Scratch {
    file: fs::File,
    folder: PathBuf,
    bytes: u64,
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
        Ok(Self { file, folder: folder.to_path_buf(), bytes: 0 })
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|source| Error::at(&self.folder, "write scratch in", self.bytes, source))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = wanted.min(buffer.len());
        self.file
            .read_exact_at(&mut buffer[..count], offset)
            .map_err(|source| Error::at(&self.folder, "read scratch in", offset, source))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_name_and_reads_back_what_was_written() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut scratch = Scratch::create(folder.path()).expect("created");
        scratch.append(b"hello ").expect("appended");
        scratch.append(b"world").expect("appended");
        assert_eq!(crate::list(folder.path()).expect("listed"), vec![]);
        let mut buffer = [0; 8];
        assert_eq!(scratch.read_at(6, &mut buffer).expect("read"), 5);
        assert_eq!(&buffer[..5], b"world");
        assert_eq!(scratch.read_at(11, &mut buffer).expect("read"), 0);
    }
}
