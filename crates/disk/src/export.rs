//! Writing a folder of many small files so that it is whole or not there.
//!
//! 1. It is made under a temporary name beside its final one.
//! 2. Files are added to it, each written at once and closed.
//! 3. `publish` syncs the file system once, not every file, and renames the folder. That replaces
//!    an empty folder of the name, and nothing else.
//!
//! Dropped before that, the temporary folder is removed with what was added.

use std::{
    fs,
    io::{self, Write},
    path::{Component, Path, PathBuf},
    process,
};

use rustix::fs::syncfs;

use crate::Error;

/// A folder being written.
#[derive(Debug)]
pub struct ExportFolder {
    folder: PathBuf,
    parent: fs::File,
    temporary: Option<PathBuf>,
    files: u64,
}

impl ExportFolder {
    /// Makes the temporary folder beside `folder`, which must be new or empty.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is a file or a folder that holds anything; [`Error::Path`] when
    /// the system says no, or the path ends in no name (`.`, `..`, `/`).
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref().to_path_buf();
        let failed = |source| Error::new(&folder, "create", source);
        let Some(name) = folder.file_name() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not the name of a folder");
            return Err(failed(source));
        };
        if !is_free(&folder).map_err(failed)? {
            return Err(Error::Exists { path: folder });
        }
        let beside = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = fs::File::open(beside).map_err(failed)?;
        let mut serial = 0;
        // A killed process may have left a folder behind, and process ids come again.
        let temporary = loop {
            let temporary =
                beside.join(format!(".{}.{}-{serial}.tmp", name.display(), process::id()));
            match fs::create_dir(&temporary) {
                Ok(()) => break temporary,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => serial += 1,
                Err(source) => return Err(failed(source)),
            }
        };
        Ok(Self { folder, parent, temporary: Some(temporary), files: 0 })
    }

    /// Files added so far.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Adds a file.
    ///
    /// # Panics
    /// When `name` is not a plain file name.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        let mut components = Path::new(name).components();
        let is_plain = matches!(components.next(), Some(Component::Normal(_)));
        assert!(is_plain && components.next().is_none(), "'{name}' is no plain file name");
        let temporary = self.temporary.as_ref().expect("published by value");
        // Errors name the file as it would be called.
        let path = self.folder.join(name);
        let mut file = fs::File::options()
            .write(true)
            .create_new(true)
            .open(temporary.join(name))
            .map_err(|source| Error::new(&path, "create", source))?;
        file.write_all(content).map_err(|source| Error::new(&path, "write", source))?;
        self.files += 1;
        Ok(())
    }

    /// Syncs and gives the folder its name.
    ///
    /// # Errors
    /// [`Error::Exists`] when something has taken the name meanwhile.
    pub fn publish(mut self) -> Result<(), Error> {
        syncfs(&self.parent)
            .map_err(|source| Error::new(&self.folder, "sync", io::Error::from(source)))?;
        let temporary = self.temporary.take().expect("published once, by value");
        if let Err(source) = fs::rename(&temporary, &self.folder) {
            self.temporary = Some(temporary);
            let path = self.folder.clone();
            return Err(match source.kind() {
                io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists => Error::Exists { path },
                _ => Error::new(path, "publish", source),
            });
        }
        self.parent.sync_all().map_err(|source| Error::new(&self.folder, "sync", source))
    }
}

/// Whether nothing is at the path, or an empty folder.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::read_dir(path)?.next().is_none()),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

impl Drop for ExportFolder {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // The error that led here is what the caller hears of; a leftover has a telling name.
            let _ = fs::remove_dir_all(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("listed").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let beside = tempfile::tempdir().expect("temporary folder");
        let folder = beside.path().join("out");
        let mut export = ExportFolder::create(&folder).expect("created");
        export.add("a.json", b"1").expect("added");
        assert!(!folder.exists());
        drop(export);
        assert_eq!(names(beside.path()), Vec::<String>::new());

        let mut export = ExportFolder::create(&folder).expect("created");
        for name in ["a.json", "b.json"] {
            export.add(name, name.as_bytes()).expect("added");
        }
        assert!(export.add("a.json", b"again").is_err());
        assert_eq!(export.files(), 2);
        export.publish().expect("published");
        assert_eq!(names(beside.path()), ["out"]);
        assert_eq!(names(&folder), ["a.json", "b.json"]);
        assert_eq!(fs::read(folder.join("b.json")).expect("read"), b"b.json");
    }

    #[test]
    fn an_empty_folder_gives_way_and_nothing_else_does() {
        let beside = tempfile::tempdir().expect("temporary folder");
        let folder = beside.path().join("out");
        fs::create_dir(&folder).expect("made");
        ExportFolder::create(&folder).expect("empty").publish().expect("published");

        // Taken while the export is being written.
        let mut export = ExportFolder::create(&folder).expect("empty");
        export.add("a", b"").expect("added");
        fs::write(folder.join("mine"), "").expect("written");
        let error = export.publish().expect_err("taken");
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert_eq!(names(beside.path()), ["out"]);
        assert_eq!(names(&folder), ["mine"]);

        // Taken before: a folder with a file, a file, a link to nothing.
        let file = beside.path().join("file");
        fs::write(&file, "").expect("written");
        let link = beside.path().join("link");
        std::os::unix::fs::symlink("nothing", &link).expect("linked");
        for taken in [&folder, &file, &link] {
            let error = ExportFolder::create(taken).expect_err("taken");
            assert!(matches!(error, Error::Exists { .. }), "{error}");
        }
        for no_name in [".", "/", ".."] {
            assert!(ExportFolder::create(no_name).is_err(), "{no_name}");
        }
        assert_eq!(names(beside.path()), ["file", "link", "out"]);
    }

    #[test]
    #[should_panic(expected = "no plain file name")]
    fn a_name_that_leads_elsewhere_is_a_programmers_error() {
        let beside = tempfile::tempdir().expect("temporary folder");
        let mut export = ExportFolder::create(beside.path().join("out")).expect("created");
        let _ = export.add("../elsewhere", b"");
    }
}
