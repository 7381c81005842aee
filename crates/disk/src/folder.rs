//! What lies in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name; names that are not UTF-8 are left out of listings, as no archive bears one.
    pub name: String,
    /// Whether it is (or links to) a regular file.
    pub is_file: bool,
    /// Its size in bytes; 0 for what is not a regular file.
    pub bytes: u64,
}

/// The entries of a folder, sorted by name.
pub fn list(folder: impl AsRef<Path>) -> Result<Vec<FolderEntry>, Error> {
    let folder = folder.as_ref();
    let failed = |source| Error::new(folder, "list", source);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // A file that is removed while the folder is listed is no longer in it.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        let is_file = metadata.is_file();
        let bytes = if is_file { metadata.len() } else { 0 };
        entries.push(FolderEntry { name, is_file, bytes });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The path from the root of the file system, for a process that works elsewhere.
pub fn absolute(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let path = path.as_ref();
    std::path::absolute(path).map_err(|source| Error::new(path, "name", source))
}

/// Whether the path is a folder.
pub fn is_folder(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_dir()
}

/// Whether anything is at the path.
pub fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}
