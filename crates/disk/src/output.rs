//! Writing a file so that it is whole or not there.
//!
//! 1. It is created under a temporary name in the folder of its final one, which tells whose it is.
//!    What a process left there that was killed while it wrote the same file goes.
//! 2. It is written from front to back; a large one past the page cache, in whole blocks that are
//!    gathered first.
//! 3. `publish` syncs it, renames it and syncs the folder.
//!
//! Invariant: whatever stops the machine, under the final name there is nothing, what was there
//! before, or all of it.
//!
//! Dropped before that, the temporary file is removed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{AlignedBuffer, Disk, DiskFile, Error, ProcessIdentity, RealDisk};

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
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    temporary: Option<PathBuf>,
    path: PathBuf,
    /// Bytes in the file, without those that are gathered.
    bytes: u64,
    gathered: Option<Gathered>,
}

/// Bytes on their way into a large file.
#[derive(Debug)]
struct Gathered {
    buffer: AlignedBuffer,
    filled: usize,
}

/// Bytes that are gathered for one write: what disks write at once at full speed.
const GATHERED_BYTES: usize = 4 << 20;

/// Tells temporary files of one process apart.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// What temporary names end with.
const TEMPORARY: &str = ".tmp";

impl Output {
    /// Creates the temporary file beside `path`.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::create_on(Arc::new(RealDisk), path)
    }

    /// The same on a machine that may be simulated.
    pub fn create_on(disk: Arc<dyn Disk>, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let Some(name) = path.file_name() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a file name");
            return Err(Error::new(path, "create", source));
        };
        let start = format!(".{}.", name.display());
        remove_leftovers(&*disk, folder_of(&path), &start);
        let ProcessIdentity { id, start_time } = disk.process();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary =
            path.with_file_name(format!("{start}{id}-{start_time}-{serial}{TEMPORARY}"));
        let file = disk.create(&temporary).map_err(|error| named(&path, "create", None, error))?;
        Ok(Self { disk, file, temporary: Some(temporary), path, bytes: 0, gathered: None })
    }

    /// Says that the file will be large: it is written past the page cache. What was written is to
    /// be seen by others after a flush only.
    pub fn expect_large(&mut self) -> Result<(), Error> {
        self.file.expect_direct_writes();
        let buffer = AlignedBuffer::new(GATHERED_BYTES)?;
        self.gathered.get_or_insert(Gathered { buffer, filled: 0 });
        Ok(())
    }

    /// Where it lies until it is published, for whoever looks at what was written before that.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.as_deref().expect("taken by publishing only, which takes all of it")
    }

    /// Syncs and gives the file its name.
    pub fn publish(mut self, publish: Publish) -> Result<(), Error> {
        self.write_gathered()?;
        self.file.sync().map_err(|error| named(&self.path, "sync", None, error))?;
        let temporary = self.temporary.take().expect("published once, by value");
        if let Err(error) = self.disk.rename(&temporary, &self.path, publish) {
            self.temporary = Some(temporary);
            return Err(named(&self.path, "publish", None, error));
        }
        self.disk.sync_folder(folder_of(&self.path)).inspect_err(|_| {
            // Nobody is told of a file that may lose its name. If it cannot be removed it is whole.
            if publish == Publish::New {
                let _ = self.disk.remove(&self.path);
            }
        })
    }

    /// Writes what is gathered, which stays gathered: the block that it ends in is not whole.
    fn write_gathered(&mut self) -> Result<(), Error> {
        let Some(Gathered { buffer, filled }) = &self.gathered else { return Ok(()) };
        let written = match *filled == buffer.len() {
            true => self.file.write_direct_at(self.bytes, buffer),
            false => self.file.write_at(self.bytes, &buffer[..*filled]),
        };
        written.map_err(|error| named(&self.path, "write", Some(self.bytes), error))
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let Some(gathered) = &mut self.gathered else {
            self.file
                .write_at(self.bytes, bytes)
                .map_err(|error| named(&self.path, "write", Some(self.bytes), error))?;
            self.bytes += bytes.len() as u64;
            return Ok(bytes.len());
        };
        let Gathered { buffer, filled } = gathered;
        let count = bytes.len().min(buffer.len() - *filled);
        buffer[*filled..][..count].copy_from_slice(&bytes[..count]);
        *filled += count;
        if *filled == GATHERED_BYTES {
            self.write_gathered()?;
            self.bytes += GATHERED_BYTES as u64;
            self.gathered.as_mut().expect("just filled").filled = 0;
        }
        Ok(count)
    }
}

/// An error of ours as the standard library has it.
fn as_io(error: Error) -> io::Error {
    match &error {
        Error::Path { source, .. } => io::Error::new(source.kind(), error),
        Error::Exists { .. } => io::Error::new(io::ErrorKind::AlreadyExists, error),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The error of a call on the temporary file, by the name that the caller knows.
fn named(path: &Path, action: &'static str, offset: Option<u64>, error: Error) -> Error {
    let path = path.to_path_buf();
    match error {
        Error::Path { source, .. } => Error::Path { path, action, offset, source },
        Error::Exists { .. } => Error::Exists { path },
    }
}

/// Removes temporary files that begin so and whose process is gone.
fn remove_leftovers(disk: &dyn Disk, folder: &Path, start: &str) {
    // Whoever cannot list the folder may still write there.
    for entry in disk.list(folder).unwrap_or_default() {
        let owner = entry.name.strip_prefix(start).and_then(owner_of);
        if owner.is_some_and(|owner| !disk.is_alive(owner)) {
            // What stays has a telling name, and is in nobody's way.
            let _ = disk.remove(&folder.join(&entry.name));
        }
    }
}

/// Whose a temporary file is, by the rest of its name.
fn owner_of(rest: &str) -> Option<ProcessIdentity> {
    let (id, rest) = rest.strip_suffix(TEMPORARY)?.split_once('-')?;
    let (start_time, serial) = rest.split_once('-')?;
    serial.parse::<u64>().ok()?;
    Some(ProcessIdentity { id: id.parse().ok()?, start_time: start_time.parse().ok()? })
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
        self.write_some(bytes).map_err(as_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_gathered().map_err(as_io)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // The error that led here is what the caller hears of; a leftover has a telling name.
            let _ = self.disk.remove(&temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, FaultKind, FaultPoint, SimulatedDisk};

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

    /// A simulated machine with a folder.
    fn machine() -> (SimulatedDisk, PathBuf) {
        let disk = SimulatedDisk::new(1);
        let folder = PathBuf::from("/archives");
        disk.create_folder(&folder).expect("made");
        disk.sync_folder(Path::new("/")).expect("durable");
        (disk, folder)
    }

    /// Writes a file in three pieces and publishes it.
    fn write_to(disk: &SimulatedDisk, path: &Path, content: u8, how: Publish) -> io::Result<()> {
        let other = |error: Error| io::Error::other(error);
        let mut output = Output::create_on(Arc::new(disk.clone()), path).map_err(other)?;
        if content == LARGE {
            output.expect_large().map_err(other)?;
        }
        for _ in 0..3 {
            output.write_all(&[content; PIECE_BYTES])?;
        }
        output.publish(how).map_err(other)
    }

    const PIECE_BYTES: usize = 3000;

    /// The content of a file that is written as a large one.
    const LARGE: u8 = 2;

    /// What is under the name: the byte of which it is made.
    fn found(disk: &SimulatedDisk, path: &Path) -> Option<u8> {
        disk.exists(path).then(|| {
            let content = disk.read_file(path);
            assert_eq!(content.len(), 3 * PIECE_BYTES, "all of it");
            assert!(content.iter().all(|byte| *byte == content[0]), "of one writer");
            content[0]
        })
    }

    #[test]
    fn a_crash_at_any_operation_leaves_nothing_the_old_file_or_all_of_the_new_one() {
        for how in [Publish::New, Publish::Replace] {
            let (whole, folder) = machine();
            let path = folder.join("snapshot");
            let old = (how == Publish::Replace).then_some(1);
            let before = |disk: &SimulatedDisk| {
                if let Some(old) = old {
                    write_to(disk, &path, old, how).expect("nothing is wrong");
                }
                disk.operations()
            };
            let first = before(&whole);
            write_to(&whole, &path, 2, how).expect("nothing is wrong");
            let mut kept = 0;
            for operation in first..whole.operations() {
                let (disk, _) = machine();
                before(&disk);
                disk.crash_at(operation);
                write_to(&disk, &path, 2, how).expect_err("it stops");
                for after in (0..8).map(|seed| disk.power_loss(seed)).chain([disk.kill()]) {
                    let found = found(&after, &path);
                    assert!(found == old || found == Some(2), "{operation}: {found:?}");
                    kept += u32::from(found == old);
                    if found == old {
                        // The next one finds the way free, and leaves nothing but what it made.
                        let next = after.with_process(4242, 7);
                        after.set_alive(after.process(), false);
                        write_to(&next, &path, 3, how).expect("the way is free");
                        assert_eq!(next.file_names(), std::slice::from_ref(&path));
                    }
                }
            }
            assert!(kept > 0);
        }
    }

    #[test]
    fn a_full_disk_is_named_with_the_byte_it_stopped_at_and_nothing_stays() {
        for space in 0..3 * PIECE_BYTES as u64 {
            if space % 500 != 0 {
                continue;
            }
            let (disk, folder) = machine();
            let path = folder.join("snapshot");
            disk.set_space(space);
            let error = write_to(&disk, &path, 1, Publish::New).expect_err("it is full");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let piece = space / PIECE_BYTES as u64 * PIECE_BYTES as u64;
            let said = error.to_string();
            assert!(said.contains(&format!("snapshot: cannot write at byte {piece}:")), "{said}");
            assert!(said.contains("free space"), "{said}");
            assert_eq!(disk.file_names(), Vec::<PathBuf>::new());
        }
    }

    #[test]
    fn a_large_file_has_the_bytes_that_were_written_whenever_it_was_flushed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("archive");
        let content: Vec<u8> = (0..2 * GATHERED_BYTES + 4321).map(|at| (at / 7) as u8).collect();
        let mut output = Output::create(&path).expect("created");
        output.expect_large().expect("memory");
        let (mut written, mut length) = (0, 1);
        while written < content.len() {
            let now = &content[written..content.len().min(written + length)];
            output.write_all(now).expect("written");
            written += now.len();
            length = length * 3 + 1;
            if length % 2 == 0 {
                output.flush().expect("written");
                let seen = fs::read(output.temporary_path()).expect("read");
                assert!(seen == content[..written], "{written}");
            }
        }
        output.publish(Publish::New).expect("published");
        assert!(fs::read(&path).expect("read") == content);
    }

    #[test]
    fn a_name_that_is_not_sure_to_last_is_taken_back() {
        let (disk, folder) = machine();
        let path = folder.join("snapshot");
        let point = FaultPoint::Path { part: "archives".into(), passed: 0 };
        disk.add_fault(Fault { point, kind: FaultKind::SyncFolderFails });
        write_to(&disk, &path, 2, Publish::New).expect_err("the folder is not synced");
        assert_eq!(disk.file_names(), Vec::<PathBuf>::new());
        write_to(&disk, &path, 2, Publish::New).expect("the way is free");
        assert_eq!(found(&disk, &path), Some(2));
    }

    #[test]
    fn what_a_process_that_lives_is_writing_stays() {
        let (disk, folder) = machine();
        let path = folder.join("snapshot");
        let mut first = Output::create_on(Arc::new(disk.clone()), &path).expect("created");
        let other = disk.with_process(4242, 7);
        write_to(&other, &path, 2, Publish::New).expect("published");
        first.write_all(b"still there").expect("written");
        let error = first.publish(Publish::New).expect_err("taken");
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert_eq!(disk.file_names(), [path]);
    }
}
