//! Rules that can be seen in what is written: which blocks, by whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use icecore_disk::{
    Access, Disk, DiskFile, Error as DiskError, FolderEntry, Lock, Mapping, ProcessIdentity,
    Publish, SharedPage, SimulatedDisk,
};
use icecore_journal::{AppendOptions, Batch, Durability, Error, Journal, NewEvent};

use crate::{create_options, driver, folder, options, random::Random};

const BLOCK_BYTES: u64 = 4096;

/// Which blocks of chain segments were synced, and which of them must not be written again.
#[derive(Debug, Default)]
struct Blocks {
    written: BTreeMap<PathBuf, BTreeSet<u64>>,
    synced: BTreeSet<(PathBuf, u64)>,
    acknowledged: BTreeSet<(PathBuf, u64)>,
}

impl Blocks {
    fn write(&mut self, path: &Path, offset: u64, bytes: u64) {
        if bytes == 0 || !path.to_string_lossy().contains("chain-") {
            return;
        }
        for block in offset / BLOCK_BYTES..=(offset + bytes - 1) / BLOCK_BYTES {
            let place = (path.to_path_buf(), block);
            assert!(
                !self.acknowledged.contains(&place),
                "{place:?} is acknowledged, and rewritten"
            );
            self.written.entry(place.0).or_default().insert(block);
        }
    }

    fn sync(&mut self, path: &Path) {
        for block in self.written.remove(path).unwrap_or_default() {
            self.synced.insert((path.to_path_buf(), block));
        }
    }
}

/// A disk on which it is noted what is written.
#[derive(Debug, Clone)]
struct Watched {
    disk: SimulatedDisk,
    blocks: Arc<Mutex<Blocks>>,
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn DiskFile>,
    blocks: Arc<Mutex<Blocks>>,
}

impl Watched {
    fn watch(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(WatchedFile { file, blocks: Arc::clone(&self.blocks) })
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().expect("checks fail in the thread of the test")
    }

    fn acknowledged(&self) {
        let mut blocks = self.blocks();
        let synced = blocks.synced.clone();
        blocks.acknowledged.extend(synced);
    }
}

impl DiskFile for WatchedFile {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn bytes(&self) -> Result<u64, DiskError> {
        self.file.bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut blocks = self.blocks.lock().expect("checks fail in the thread of the test");
        blocks.write(self.path(), offset, bytes.len() as u64);
        self.file.write_at(offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        let end = self.bytes()?;
        let mut blocks = self.blocks.lock().expect("checks fail in the thread of the test");
        blocks.write(self.path(), bytes, end.saturating_sub(bytes));
        self.file.truncate(bytes)
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()?;
        self.blocks.lock().expect("checks fail in the thread of the test").sync(self.path());
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<(), DiskError> {
        self.file.reserve(bytes)
    }

    fn map(&self) -> Result<Mapping, DiskError> {
        self.file.map()
    }
}

impl Disk for Watched {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.watch(self.disk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.watch(self.disk.open(path, access)?))
    }

    fn create_folder(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.create_folder(path)
    }

    fn list(&self, folder: &Path) -> Result<Vec<FolderEntry>, DiskError> {
        self.disk.list(folder)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path, publish: Publish) -> Result<(), DiskError> {
        self.disk.rename(from, to, publish)
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk.sync_folder(folder)
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, DiskError> {
        self.disk.lock(path)
    }

    fn shared_page(&self, path: &Path, access: Access) -> Result<Arc<dyn SharedPage>, DiskError> {
        self.disk.shared_page(path, access)
    }

    fn available_bytes(&self, folder: &Path) -> Result<u64, DiskError> {
        self.disk.available_bytes(folder)
    }

    fn now(&self) -> u64 {
        self.disk.now()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.disk.fill_random(bytes);
    }

    fn process(&self) -> ProcessIdentity {
        self.disk.process()
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        self.disk.is_alive(process)
    }
}

fn event(bytes: usize) -> Batch {
    Batch::of(&NewEvent::new(b"stream", 1, &vec![7; bytes])).expect("fits")
}

#[test]
fn r2_no_block_that_was_acknowledged_is_written_again() {
    let disk = SimulatedDisk::new(1);
    disk.create_folder(Path::new("/state")).expect("made");
    let watched = Watched { disk, blocks: Arc::default() };
    let mut random = Random::new(1);
    let mut journal =
        Journal::create_on(Arc::new(watched.clone()), folder(), create_options(), options())
            .expect("created");
    for round in 0..1500 {
        let durability = match random.below(5) {
            0 => Durability::Durable,
            1 => Durability::Written,
            _ => Durability::Buffered,
        };
        let options_of_append = AppendOptions { durability, ..AppendOptions::default() };
        let batch = event(random.below(3000) as usize);
        journal.append(&batch, &options_of_append).expect("appended");
        if durability == Durability::Durable {
            watched.acknowledged();
        }
        if random.once_in(20) {
            journal.tend().expect("tended");
            watched.acknowledged();
        }
        if round % 300 == 299 {
            if round % 600 == 599 {
                journal.close().expect("closed");
            } else {
                journal.sync().expect("synced");
                drop(journal);
            }
            watched.acknowledged();
            journal =
                Journal::open_on(Arc::new(watched.clone()), folder(), options()).expect("opened");
        }
    }
    assert!(watched.blocks().acknowledged.len() > 300);
}

#[test]
fn a_second_writer_waits_until_the_first_has_ended() {
    let first_disk = SimulatedDisk::new(1);
    let first = driver::create(&first_disk).expect("created");
    first.append(&event(10), &AppendOptions::default()).expect("appended");
    let second_disk = first_disk.with_process(2000, 5);
    assert!(matches!(driver::open(&second_disk), Err(Error::Locked { .. })));
    first_disk.set_alive(first_disk.process(), false);
    let second = driver::open(&second_disk).expect("the lock is free");
    assert_eq!(second.end(), 1);
    second.append(&event(10), &AppendOptions::default()).expect("appended");
    assert!(first.append(&event(10), &AppendOptions::default()).is_err());
    assert_eq!(second.end(), 2);
}

#[test]
fn a_writer_that_was_forgotten_is_fenced_off_and_changes_no_history() {
    let first_disk = SimulatedDisk::new(1);
    let first = driver::create(&first_disk).expect("created");
    for _ in 0..5 {
        first.append(&event(1000), &AppendOptions::default()).expect("appended");
    }
    // Somebody removes the lock file while it is held: the lock is lost, and nobody notices.
    let second_disk = first_disk.with_process(2000, 5);
    second_disk.remove(&folder().join("lock")).expect("removed");
    let second = driver::open(&second_disk).expect("nobody holds the new lock");
    assert_eq!(second.end(), 5);
    // The first one goes on until it has to change the manifest.
    let fenced = (0..300)
        .find_map(|_| {
            let appended = first.append(&event(3000), &AppendOptions::default());
            let ended = appended.and_then(|_| first.tend());
            // Ids of segments may be taken: that ends a batch, not the writer.
            ended.err().filter(|error| !matches!(error, Error::TakenBack { .. }))
        })
        .expect("it is fenced off");
    assert!(matches!(fenced, Error::Fenced { .. }), "{fenced}");
    let refused = first.append(&event(1), &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Poisoned { .. })));
    for _ in 0..100 {
        second.append(&event(3000), &AppendOptions::default()).expect("appended");
        second.tend().expect("tended");
    }
    drop((first, second));
    let third = driver::open(&second_disk).expect("history is whole");
    assert_eq!(third.end(), 105);
    for sequence in 0..105 {
        let bytes = if sequence < 5 { 1000 } else { 3000 };
        assert_eq!(third.read(sequence).expect("read").payload(), vec![7; bytes]);
    }
}

#[test]
fn files_that_nobody_knows_are_reported_and_left_alone() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    journal.append(&event(10), &AppendOptions::default()).expect("appended");
    drop(journal);
    for name in ["notes.txt", "chain-00009999.seg"] {
        let file = disk.create(&folder().join(name)).expect("made");
        file.write_at(0, b"mine").expect("written");
    }
    let journal = driver::open(&disk).expect("opened");
    let mut unknown = journal.recovery().unknown_files.clone();
    unknown.sort();
    assert_eq!(unknown, ["chain-00009999.seg", "notes.txt"]);
    assert_eq!(disk.read_file(folder().join("chain-00009999.seg")), b"mine");
}
