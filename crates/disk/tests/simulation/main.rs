//! That the simulated machine is as unkind as it says: each test would fail if it were kinder.

mod crashes;
mod faults;
mod machine;
mod names;
mod sectors;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use icecore_disk::{Access, Disk, DiskFile, SimulatedDisk};

/// Outcomes looked at where "sometimes" is promised. The seeds are fixed: there is no luck in it.
const SEEDS: u64 = 200;

/// Makes a file that is durable, name and all.
fn durable(disk: &SimulatedDisk, path: &str, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(Path::new(path)).expect("created");
    file.write_at(0, content).expect("written");
    file.sync().expect("synced");
    disk.sync_folder(Path::new(path).parent().expect("in a folder")).expect("synced");
    file
}

fn open(disk: &SimulatedDisk, path: &str) -> Arc<dyn DiskFile> {
    disk.open(Path::new(path), Access::ReadWrite).expect("opened")
}

/// All files with their bytes.
fn image(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let named = |path: std::path::PathBuf| (path.display().to_string(), disk.read_file(&path));
    disk.file_names().into_iter().map(named).collect()
}

/// What a question about the machine after a loss of power is answered, over all seeds.
fn outcomes<T: Ord>(disk: &SimulatedDisk, ask: impl Fn(&SimulatedDisk) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(|seed| ask(&disk.power_loss(seed))).collect()
}

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}
