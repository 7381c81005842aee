//! Which archives of a folder go, by the rules of the reference client 4.2.2
//! (`purge_old_snapshot_archives`).
//!
//! Steps:
//! 1. Of the full archives the newest stay, as many as asked for.
//! 2. Of the incremental archives on the newest full one the newest stay, as many as asked for; on
//!    every other full one that stays, one; on those that go or are not there, none.
//! 3. The incremental archives go first, so that at no time one is without its full archive because
//!    of this.
//!
//! What it does *not* do: look into archives, or touch files that are none by their name.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use icecore_disk::{Disk, RealDisk};
use icecore_restore::{candidates, path_of};
use icecore_types::Slot;

use crate::Error;

/// How many archives stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Full archives.
    pub full: NonZeroUsize,
    /// Incremental archives on the newest full one.
    pub incremental: NonZeroUsize,
}

/// What stays and what goes, each with the newest first, full archives before incremental ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruning {
    /// Archives that stay.
    pub kept: Vec<PathBuf>,
    /// Archives that go.
    pub removed: Vec<PathBuf>,
}

/// Says what of a folder and its `remote/` goes; nothing is removed.
///
/// # Errors
/// When the folder cannot be listed.
pub fn plan_pruning(folder: &Path, retention: Retention) -> Result<Pruning, Error> {
    let mut all = candidates(folder)?;
    all.sort_by_key(|candidate| {
        let name = candidate.name;
        (name.is_incremental(), Reverse((name.slot(), candidate.file.clone(), candidate.remote)))
    });
    let mut pruning = Pruning::default();
    let mut full_kept: Vec<Slot> = Vec::new();
    let mut incremental_kept: BTreeMap<Slot, usize> = BTreeMap::new();
    for candidate in &all {
        let stays = match candidate.name.base() {
            None => {
                let stays = full_kept.len() < retention.full.get();
                if stays {
                    full_kept.push(candidate.name.slot());
                }
                stays
            }
            Some(base) => {
                let most = match full_kept.iter().position(|slot| *slot == base) {
                    Some(0) => retention.incremental.get(),
                    Some(_) => 1,
                    None => 0,
                };
                let kept = incremental_kept.entry(base).or_default();
                *kept += 1;
                *kept <= most
            }
        };
        let path = path_of(folder, candidate);
        if stays { pruning.kept.push(path) } else { pruning.removed.push(path) }
    }
    Ok(pruning)
}

/// Removes what goes.
///
/// # Errors
/// When a file cannot be removed; what went before that is gone.
pub fn prune(folder: &Path, retention: Retention) -> Result<Pruning, Error> {
    let pruning = plan_pruning(folder, retention)?;
    let disk = RealDisk;
    for path in pruning.removed.iter().rev() {
        disk.remove(path)?;
    }
    let folders: std::collections::BTreeSet<_> =
        pruning.removed.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        disk.sync_folder(folder)?;
    }
    Ok(pruning)
}

#[cfg(test)]
mod tests {
    use icecore_types::Hash;

    use super::*;

    /// Makes an empty file that is called as an archive.
    fn archive(folder: &Path, base: Option<Slot>, slot: Slot) -> String {
        let hash = Hash([7; 32]);
        let name = match base {
            None => format!("snapshot-{slot}-{hash}.tar.zst"),
            Some(base) => format!("incremental-snapshot-{base}-{slot}-{hash}.tar.zst"),
        };
        std::fs::write(folder.join(&name), b"").expect("written");
        name
    }

    fn retention(full: usize, incremental: usize) -> Retention {
        let number = |number| NonZeroUsize::new(number).expect("not zero");
        Retention { full: number(full), incremental: number(incremental) }
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let name =
            |path: &PathBuf| path.file_name().expect("a file").to_string_lossy().into_owned();
        paths.iter().map(name).collect()
    }

    #[test]
    fn the_newest_stay_and_incrementals_go_with_their_full_archive() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = folder.path();
        std::fs::create_dir(at.join("remote")).expect("made");
        let full_100 = archive(at, None, 100);
        let full_200 = archive(&at.join("remote"), None, 200);
        let full_300 = archive(at, None, 300);
        let on_100 = archive(at, Some(100), 150);
        let on_200 = [210, 220].map(|slot| archive(at, Some(200), slot));
        let on_300 = [310, 320, 1000].map(|slot| archive(at, Some(300), slot));
        let of_nothing = archive(at, Some(250), 2000);
        std::fs::write(at.join("ledger.txt"), b"mine").expect("written");

        let planned = plan_pruning(at, retention(2, 2)).expect("listed");
        let kept = [&full_300, &full_200, &on_300[2], &on_300[1], &on_200[1]];
        let removed = [&full_100, &of_nothing, &on_300[0], &on_200[0], &on_100];
        assert_eq!(names(&planned.kept), kept.map(String::clone));
        assert_eq!(names(&planned.removed), removed.map(String::clone));
        assert!(planned.kept.iter().chain(&planned.removed).all(|path| path.exists()));

        assert_eq!(prune(at, retention(2, 2)).expect("removed"), planned);
        assert!(planned.kept.iter().all(|path| path.exists()));
        assert!(!planned.removed.iter().any(|path| path.exists()));
        assert!(at.join("ledger.txt").exists());
        let again = prune(at, retention(2, 2)).expect("listed");
        assert_eq!(again, Pruning { kept: planned.kept, removed: Vec::new() });
    }
}
