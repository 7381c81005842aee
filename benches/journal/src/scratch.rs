//! Folders that vanish with what was made in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Failure;

/// A folder of this process in a folder of the caller's; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty folder, and the one around it if that is absent.
    pub(crate) fn new(around: &Path, name: &str) -> Result<Self, Failure> {
        let path = around.join(format!("journal-benches-{}-{name}", std::process::id()));
        let made = fs::create_dir_all(around).and_then(|()| fs::create_dir(&path));
        made.map_err(|error| format!("{}: cannot make the folder: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {}: cannot remove the folder: {error}", self.0.display());
        }
    }
}

/// Bytes on disk of the files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_vanishes_with_its_files() {
        let around = std::env::temp_dir();
        let scratch = Scratch::new(&around, "vanishes").expect("a folder");
        let path = scratch.path().to_path_buf();
        fs::create_dir(path.join("below")).expect("a folder");
        fs::write(path.join("below/file"), [1; 100]).expect("a file");
        fs::write(path.join("file"), [1; 23]).expect("a file");
        assert_eq!(bytes_below(&path).expect("files"), 123);
        drop(scratch);
        assert!(!path.exists());
    }
}
