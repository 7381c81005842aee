//! Where the data lies: bundled with the project, or shared by all checkouts of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The bundled set: a full archive at slot 46, an incremental one at 62, genesis and truth.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// The bundled full archive.
pub(crate) fn tiny_full() -> PathBuf {
    archives_in(&tiny()).0
}

/// The bundled incremental archive.
pub(crate) fn tiny_incremental() -> PathBuf {
    archives_in(&tiny()).1.expect("the set has one")
}

/// A folder of the shared data, if this machine has it.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The full archive of a folder and the incremental one, if there is one.
pub(crate) fn archives_in(folder: &Path) -> (PathBuf, Option<PathBuf>) {
    let mut full = None;
    let mut incremental = None;
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snapshot-") {
            assert!(full.replace(entry.path()).is_none(), "one full archive in {folder:?}");
        } else if name.starts_with("incremental-snapshot-") {
            assert!(incremental.replace(entry.path()).is_none(), "one incremental in {folder:?}");
        }
    }
    (full.expect("the folder has a full archive"), incremental)
}
