//! Writing a file so that it is whole or not there.
//!
//! 1. It is created under a temporary name in the folder of its final one.
//! 2. It is written from front to back.
//! 3. `publish` syncs it, renames it and syncs the folder.
//!
//! Dropped before that, the temporary file is removed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::Error;

/// Whether a file of the same name gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// An existing file is an error.
    New,
    /// An existing file is replaced at once (reports).
    Replace,
}

/// A file being written.
#[derive(Debug)]
pub struct Output {
    file: fs::File,
    temporary: Option<PathBuf>,
    path: PathBuf,
    bytes: u64,
}

/// Tells temporary files of one process apart.
static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Output {
    /// Creates the temporary file beside `path`.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let Some(name) = path.file_name() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a file name");
            return Err(Error::new(path, "create", source));
        };
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary =
            path.with_file_name(format!(".{}.{}-{serial}.tmp", name.display(), process::id()));
        let file = fs::File::options()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|source| Error::new(&path, "create", source))?;
        Ok(Self { file, temporary: Some(temporary), path, bytes: 0 })
    }

    /// Where it lies until it is published, for whoever looks at what was written before that.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.as_deref().expect("taken by publishing only, which takes all of it")
    }

    /// Syncs and gives the file its name.
    pub fn publish(mut self, publish: Publish) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| Error::new(&self.path, "sync", source))?;
        let temporary = self.temporary.take().expect("published once, by value");
        if let Err(source) = rename(&temporary, &self.path, publish) {
            self.temporary = Some(temporary);
            let path = self.path.clone();
            return Err(match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists { path },
                _ => Error::new(path, "publish", source),
            });
        }
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync_folder(folder)
    }
}

/// Gives a file or folder another name, at once.
pub(crate) fn rename(from: &Path, to: &Path, publish: Publish) -> io::Result<()> {
    match publish {
        Publish::Replace => fs::rename(from, to),
        Publish::New => {
            renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from)
        }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| Error::new(folder, "sync", source))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes).map_err(|error| {
            let at = Error::at(&self.path, "write", self.bytes, error);
            match &at {
                Error::Path { source, .. } => io::Error::new(source.kind(), at),
                Error::Exists { .. } => unreachable!("made just above"),
            }
        })?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // The error that led here is what the caller hears of; a leftover has a telling name.
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        crate::list(folder).expect("listed").into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn nothing_is_there_before_it_is_published_and_nothing_after_it_is_dropped() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("report");
        let mut output = Output::create(&path).expect("created");
        output.write_all(b"half").expect("written");
        assert!(!path.exists());
        drop(output);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn publishing_never_replaces_unless_told_to() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("report");
        for (publish, content, works) in [
            (Publish::New, "one", true),
            (Publish::New, "two", false),
            (Publish::Replace, "three", true),
        ] {
            let mut output = Output::create(&path).expect("created");
            output.write_all(content.as_bytes()).expect("written");
            match output.publish(publish) {
                Ok(()) => assert!(works),
                Err(error) => {
                    assert!(!works && matches!(error, Error::Exists { .. }), "{error}");
                }
            }
            let expected = if works { content } else { "one" };
            assert_eq!(fs::read_to_string(&path).expect("read"), expected);
            assert_eq!(names(folder.path()), vec!["report"]);
        }
    }

    #[test]
    fn a_full_disk_is_named_with_the_byte_it_stopped_at() {
        let Ok(file) = fs::File::options().write(true).open("/dev/full") else {
            return;
        };
        let mut output =
            Output { file, temporary: None, path: PathBuf::from("/dev/full"), bytes: 7 };
        let error = output.write_all(b"x").expect_err("/dev/full is always full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("at byte 7"), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
    }
}
