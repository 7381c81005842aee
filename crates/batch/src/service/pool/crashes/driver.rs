//! The service's dealings with its pool, as `work.rs` has them, without a store: what the journal would
//! know is kept in memory, and is durable as soon as it is recorded.
//!
//! What it does *not* do: make archives. Their bytes follow from their names.

use std::{collections::BTreeMap, io::Write as _, num::NonZeroUsize, path::Path};

use icecore_archive::names::{ArchiveName, Compression};
use icecore_disk::{DIRECT_BYTES, Disk, HeldFolder, SimulatedDisk};
use icecore_restore::Progress;
use icecore_types::{Hash, Slot};

use super::super::{
    super::{
        Kind, ServiceError,
        output::PoolOutput,
        publish::{Done, Step, carry_out},
    },
    Pool,
};
use crate::Retention;

pub(super) const FOLDER: &str = "/snapshots";

/// What others have in the folder: an archive, and something else.
pub(super) const OTHERS: [(&str, &[u8]); 2] = [
    ("snapshot-11-11111111111111111111111111111111.tar.zst", b"an archive of somebody else"),
    (".snapshot-01.partial", b"no name of ours"),
];

/// How often something is tried again that failed once.
const TRIES: usize = 2;

/// What is known outside of the folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Which file was about to get which name, with how many bytes.
    intents: Vec<(String, Intent)>,
    /// Archives of which it was said that they are there, and that were not to go since.
    pub(super) acknowledged: Vec<ArchiveName>,
}

#[derive(Debug, Clone, Copy)]
struct Intent {
    inode: u64,
    bytes: u64,
}

/// A service that is at work.
pub(super) struct Service<'a> {
    folder: HeldFolder,
    pub(super) pool: Pool,
    own: BTreeMap<String, Intent>,
    known: &'a mut Known,
}

pub(super) fn retention(full: usize, incremental: usize) -> Retention {
    let [full, incremental] =
        [full, incremental].map(|count| NonZeroUsize::new(count).expect("some"));
    Retention { full, incremental }
}

/// A machine with a folder in which others have something.
pub(super) fn machine(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    let folder = Path::new(FOLDER);
    disk.create_folder(folder).expect("made");
    for (name, bytes) in OTHERS {
        let file = disk.create(&folder.join(name)).expect("created");
        file.write_at(0, bytes).expect("written");
        file.sync().expect("synced");
    }
    disk.sync_folder(folder).expect("synced");
    disk.sync_folder(Path::new("/")).expect("synced");
    disk
}

/// The name of a full archive.
pub(super) fn full(slot: Slot) -> ArchiveName {
    ArchiveName::Full { slot, hash: Hash::default(), compression: Compression::Zstd }
}

/// What is in an archive: other bytes for each slot, not always of another length.
pub(super) fn content(name: &ArchiveName) -> Vec<u8> {
    let bytes = match name.slot() % 4 {
        0 => 2 * DIRECT_BYTES + 700,
        _ => DIRECT_BYTES + 300,
    };
    let slot = name.slot() as usize;
    (0..bytes).map(|index| (slot * 53 + index / 64) as u8 | 1).collect()
}

fn open(
    folder: &HeldFolder,
    retention: Retention,
    own: &BTreeMap<String, Intent>,
) -> Result<Pool, ServiceError> {
    let mut pool = Pool::open(folder, retention, |name, inode| {
        let intent = own.get(&name.to_string()).filter(|intent| intent.inode == inode);
        Ok(intent.map(|intent| intent.bytes))
    })?;
    pool.rest = std::time::Duration::ZERO;
    Ok(pool)
}

impl<'a> Service<'a> {
    pub(super) fn begin(
        disk: &SimulatedDisk,
        retention: Retention,
        known: &'a mut Known,
    ) -> Result<Self, ServiceError> {
        let folder = HeldFolder::open_simulated(disk, FOLDER)?.expect("nobody else holds it");
        // Of two with one name the later one.
        let own: BTreeMap<_, _> = known.intents.iter().cloned().collect();
        let pool = open(&folder, retention, &own)?;
        let mut service = Self { folder, pool, own, known };
        service.forget_what_is_gone();
        // What got its name just before an end is recorded now.
        let published = [Kind::Full, Kind::Incremental].map(|kind| service.pool.published(kind));
        for (_, name) in published.into_iter().flatten() {
            if !service.known.acknowledged.contains(&name) {
                service.known.acknowledged.push(name);
            }
        }
        Ok(service)
    }

    fn forget_what_is_gone(&mut self) {
        let names = self.pool.names();
        self.own.retain(|name, _| names.contains(name));
    }

    /// Tidies, looks whether all is there, and makes an archive; whether it is there then.
    pub(super) fn turn(&mut self, kind: Kind, slot: Slot) -> bool {
        // What is retired in the first is cleared in the second.
        for _ in 0..2 {
            self.tidy();
        }
        for _ in 0..TRIES {
            if let Ok(false) = self.pool.is_whole(&self.folder)
                && let Ok(pool) = open(&self.folder, self.pool.retention, &self.own)
            {
                self.pool = pool;
                self.forget_what_is_gone();
                self.tidy();
            }
        }
        self.make(kind, slot)
    }

    pub(super) fn tidy(&mut self) {
        for step in self.pool.tidying() {
            match self.pool.let_go_if_shared(&step, &self.folder) {
                Ok(is_shared) => assert!(!is_shared, "no file has two names"),
                // It is trouble, and comes again.
                Err(_) => continue,
            }
            let before = self.known.acknowledged.clone();
            if let Step::Retire { from, .. } = &step {
                self.known.acknowledged.retain(|name| name.to_string() != *from);
            }
            let Ok(done) = carry_out(&step, &self.folder, &self.pool.held) else { continue };
            if done == Done::InUse {
                self.known.acknowledged = before;
            }
            self.pool.tidied(&step, done);
            if let (Step::Retire { from, .. }, Done::Yes) = (step, done) {
                self.own.remove(&from);
            }
        }
    }

    fn make(&mut self, kind: Kind, slot: Slot) -> bool {
        let base = self.pool.published(Kind::Full).first().map(|(_, name)| name.slot());
        let name = match (kind, base) {
            (Kind::Full, _) => full(slot),
            (Kind::Incremental, Some(base)) => {
                let (hash, compression) = (Hash::default(), Compression::Zstd);
                ArchiveName::Incremental { base, slot, hash, compression }
            }
            (Kind::Incremental, None) => return false,
        };
        if self.pool.names().contains(&name.to_string()) {
            return true;
        }
        let Some((number, _)) = self.pool.take(kind) else { return false };
        let Ok(bytes) = self.write(number, &content(&name)) else { return false };
        let Ok(inode) = self.pool.held[number].inode() else { return false };
        let intent = Intent { inode, bytes };
        self.known.intents.push((name.to_string(), intent));
        let step = self.pool.publish(number, &name);
        let Ok(done) = carry_out(&step, &self.folder, &self.pool.held) else { return false };
        self.pool.is_published(number, name);
        self.own.insert(name.to_string(), intent);
        if done == Done::Yes {
            self.known.acknowledged.push(name);
        }
        true
    }

    fn write(&self, number: usize, content: &[u8]) -> std::io::Result<u64> {
        let progress = Progress::default();
        let mut output = PoolOutput::in_pieces(&self.pool.held[number], &progress, DIRECT_BYTES)?;
        output.write_all(content)?;
        output.finish()
    }
}
