//! A machine in memory whose disk does everything that a disk is allowed to do.
//!
//! It is for tests of what must survive crashes, faults and rot. A seed decides everything: the
//! same seed and the same calls, in the same order, give the same machine.
//!
//! Invariants:
//! - Nothing is durable before its sync. Of what was not synced, [`SimulatedDisk::power_loss`]
//!   keeps any subset, sector by sector and name by name, in no order; see `content.rs` and
//!   `tree.rs` for the two kinds.
//! - Sectors of 512 bytes are whole or not there; what was synced stays.
//! - *Operations* are the calls that change the medium: create, create_folder, write_at, truncate,
//!   reserve, sync, rename, remove, sync_folder, and the making of a file by `lock` and
//!   `shared_page`. They are counted from 0, and crashes and faults can be put at each. Reads, and
//!   stores into shared pages, are not counted.
//! - A stopped machine answers nothing more: every call fails, and what was stored into shared
//!   pages after it is not seen.
//!
//! What it does *not* do: start threads, know links or permissions, remove folders, or look at
//! timing. Paths begin at the root, relative ones too; folders have to be made, as on a real disk.

mod content;
mod fault;
mod held;
mod page;
mod random;
mod tree;
mod world;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fault::Call;
pub use fault::{Fault, FaultKind, FaultPoint};
use tree::{FileNode, NodeId};
use world::{FIRST_PROCESS, Opened, World};

use crate::{
    Access, Disk, DiskFile, Error, FolderEntry, Lock, Mapping, ProcessIdentity, Publish, SharedPage,
};

/// A handle of a simulated machine. Its clone is the same process on the same machine.
#[derive(Clone)]
pub struct SimulatedDisk {
    world: Arc<Mutex<World>>,
    process: ProcessIdentity,
}

/// The state, also after a test that held it has failed: what it asks then is for its report.
fn enter(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedDisk {
    /// A machine with an empty disk.
    pub fn new(seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed))), process: FIRST_PROCESS }
    }

    fn of((world, process): (World, ProcessIdentity)) -> Self {
        Self { world: Arc::new(Mutex::new(world)), process }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        enter(&self.world)
    }

    /// Operations so far: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Stops the machine at the operation with this number. A write is applied up to some border of
    /// two sectors; anything else happens, or does not; the call fails, and every later one.
    pub fn crash_at(&self, operation: u64) {
        self.world().crash_at = Some(operation);
    }

    /// Whether the machine was stopped, and thus every call fails.
    pub fn is_simulated_crash(&self) -> bool {
        self.world().is_off
    }

    /// The machine as it is after the power was lost now. This one goes on as if nothing was; more
    /// than one outcome can be had of it.
    pub fn power_loss(&self, seed: u64) -> Self {
        Self::of(self.world().powerless(seed))
    }

    /// The machine as it is after all its processes were killed now: a new process reads everything
    /// that was written, none of which became durable by that. Locks are free. This one goes on.
    pub fn kill(&self) -> Self {
        Self::of(self.world().killed())
    }

    /// Adds a fault to the list; of several that strike the same call the first one added does.
    pub fn add_fault(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// Faults that have not struck.
    pub fn faults(&self) -> Vec<Fault> {
        self.world().faults.clone()
    }

    /// Leaves room for so many bytes more than all files have now. A write beyond it is applied as
    /// far as there is room, and fails with `ENOSPC`; remove and truncate give room back.
    pub fn set_space(&self, bytes: u64) {
        self.world().set_space(bytes);
    }

    /// Sets the clock, in nanoseconds since 1970. It advances a microsecond each time it is read.
    pub fn set_now(&self, now: u64) {
        self.world().now = now;
    }

    /// Lets time pass.
    pub fn advance(&self, nanoseconds: u64) {
        let mut world = self.world();
        world.now = world.now.saturating_add(nanoseconds);
    }

    /// The same machine as seen by another process, which is alive from now on.
    pub fn with_process(&self, id: u32, start_time: u64) -> Self {
        let process = ProcessIdentity { id, start_time };
        self.world().begin_process(process);
        Self { world: Arc::clone(&self.world), process }
    }

    /// Says whether a process is alive. One that is not has lost its locks, and its calls fail.
    pub fn set_alive(&self, process: ProcessIdentity, is_alive: bool) {
        let mut world = self.world();
        if is_alive {
            world.begin_process(process);
        } else {
            world.end_process(process);
        }
    }

    /// Says whether somebody has a file open, so that no lease is given
    /// ([`HeldFile::try_lease`](crate::HeldFile::try_lease)). It stays so under other names, until it is
    /// said otherwise or all processes end.
    ///
    /// # Panics
    /// There is no such file.
    pub fn set_being_read(&self, path: impl AsRef<Path>, is_read: bool) {
        let mut world = self.world();
        let node = existing(&world, path.as_ref());
        world.set_being_read(node, is_read);
    }

    /// All files, in the order of their paths, which begin with `/`. Works on a stopped machine,
    /// as the rest of what damages and inspects does.
    pub fn file_names(&self) -> Vec<PathBuf> {
        self.world().tree.files().into_iter().map(|(path, _)| path).collect()
    }

    /// A file's bytes, as reads see them.
    ///
    /// # Panics
    /// There is no such file.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let mut world = self.world();
        let node = existing(&world, path.as_ref());
        world.read_whole(node)
    }

    /// Flips one of the eight bits of a byte, on the medium and in what reads see.
    ///
    /// # Panics
    /// There is no such byte, or no such bit.
    pub fn flip_bit(&self, path: impl AsRef<Path>, byte_offset: u64, bit: u32) {
        assert!(bit < 8, "a byte has no bit {bit}");
        self.damage(path.as_ref(), |file| file.content.flip(byte_offset, 1 << bit));
    }

    /// Replaces bytes, on the medium and in what reads see.
    ///
    /// # Panics
    /// There is no such file, or it ends before.
    pub fn overwrite(&self, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) {
        self.damage(path.as_ref(), |file| file.content.overwrite(offset, bytes));
    }

    /// Cuts a file off, on the medium and in what reads see.
    ///
    /// # Panics
    /// There is no such file, or it is shorter.
    pub fn truncate_file(&self, path: impl AsRef<Path>, bytes: u64) {
        self.damage(path.as_ref(), |file| {
            assert!(bytes <= file.content.bytes(), "damage does not lengthen a file");
            file.content.cut(bytes);
        });
    }

    fn damage(&self, path: &Path, act: impl FnOnce(&mut FileNode)) {
        let mut world = self.world();
        let node = existing(&world, path);
        let file = world.tree.file_mut(node);
        file.absorb_page();
        act(file);
        file.show_in_page();
    }

    pub(crate) fn create_file(&self, path: &Path) -> Result<SimulatedFile, Error> {
        let node = self
            .world()
            .change(self.process, Call::Change, &[path], |world| world.tree.create_file(path))
            .map_err(|source| refused(path, "create", path, source))?;
        Ok(self.opened(path, node, Access::ReadWrite))
    }

    pub(crate) fn open_file(&self, path: &Path, access: Access) -> Result<SimulatedFile, Error> {
        let world = self.world();
        let node = world
            .check(self.process)
            .and_then(|()| Ok(world.tree.find_file(path)?))
            .map_err(|source| Error::new(path, "open", source))?;
        Ok(self.opened(path, node, access))
    }

    fn opened(&self, path: &Path, node: NodeId, access: Access) -> SimulatedFile {
        let opened = Opened { process: self.process, node, path: path.to_path_buf(), access };
        SimulatedFile { world: Arc::clone(&self.world), opened }
    }

    fn locked(&self, (node, number): (NodeId, u64)) -> Box<dyn Lock> {
        Box::new(SimulatedLock { world: Arc::clone(&self.world), node, number })
    }
}

fn existing(world: &World, path: &Path) -> NodeId {
    let found = world.tree.find_file(path);
    found.unwrap_or_else(|error| panic!("{}: no such simulated file: {error}", path.display()))
}

/// The error of a call, with `taken` as the path if what it would make is there.
fn refused(path: &Path, action: &'static str, taken: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: taken.to_path_buf() },
        _ => Error::new(path, action, source),
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>, Error> {
        Ok(Arc::new(self.create_file(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn DiskFile>, Error> {
        Ok(Arc::new(self.open_file(path, access)?))
    }

    fn create_folder(&self, path: &Path) -> Result<(), Error> {
        self.world()
            .change(self.process, Call::Change, &[path], |world| world.tree.create_folder(path))
            .map_err(|source| refused(path, "make the folder", path, source))
    }

    fn list(&self, folder: &Path) -> Result<Vec<FolderEntry>, Error> {
        let world = self.world();
        world
            .check(self.process)
            .and_then(|()| Ok(world.tree.list(folder)?))
            .map_err(|source| Error::new(folder, "list", source))
    }

    fn exists(&self, path: &Path) -> bool {
        let world = self.world();
        world.check(self.process).is_ok() && world.tree.find(path).is_ok()
    }

    fn rename(&self, from: &Path, to: &Path, publish: Publish) -> Result<(), Error> {
        self.world()
            .change(self.process, Call::Rename, &[from, to], |world| {
                world.tree.rename(from, to, publish)
            })
            .map_err(|source| refused(from, "rename", to, source))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        self.world()
            .change(self.process, Call::Change, &[path], |world| world.tree.remove(path))
            .map_err(|source| Error::new(path, "remove", source))
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Error> {
        self.world()
            .change(self.process, Call::SyncFolder, &[folder], |world| {
                world.tree.sync_folder(folder)
            })
            .map_err(|source| Error::new(folder, "sync", source))
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, Error> {
        let taken = self
            .world()
            .lock(self.process, path)
            .map_err(|source| Error::new(path, "lock", source))?;
        Ok(taken.map(|lock| self.locked(lock)))
    }

    fn shared_page(&self, path: &Path, access: Access) -> Result<Arc<dyn SharedPage>, Error> {
        let page = self.world().page(self.process, path, access);
        Ok(page.map_err(|source| Error::new(path, "map", source))?)
    }

    fn available_bytes(&self, folder: &Path) -> Result<u64, Error> {
        self.world()
            .available_bytes(self.process, folder)
            .map_err(|source| Error::new(folder, "read the free space of", source))
    }

    fn now(&self) -> u64 {
        self.world().tick()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.world().caller_random.fill(bytes);
    }

    fn process(&self) -> ProcessIdentity {
        self.process
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        self.world().is_alive(process)
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatedDisk")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// An open file.
pub(crate) struct SimulatedFile {
    world: Arc<Mutex<World>>,
    opened: Opened,
}

impl SimulatedFile {
    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::new(&self.opened.path, action, source)
    }

    fn failed_at(&self, action: &'static str, offset: u64, source: io::Error) -> Error {
        Error::at(&self.opened.path, action, offset, source)
    }
}

impl DiskFile for SimulatedFile {
    fn path(&self) -> &Path {
        &self.opened.path
    }

    fn bytes(&self) -> Result<u64, Error> {
        let answer = enter(&self.world).bytes(&self.opened);
        answer.map_err(|source| self.failed("read the size of", source))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let answer = enter(&self.world).read(&self.opened, offset, buffer);
        answer.map_err(|source| self.failed_at("read", offset, source))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let answer = enter(&self.world).write(&self.opened, offset, bytes);
        answer.map_err(|source| self.failed_at("write", offset, source))
    }

    fn truncate(&self, bytes: u64) -> Result<(), Error> {
        let answer = enter(&self.world).truncate(&self.opened, bytes);
        answer.map_err(|source| self.failed_at("truncate", bytes, source))
    }

    fn sync(&self) -> Result<(), Error> {
        let answer = enter(&self.world).sync(&self.opened);
        answer.map_err(|source| self.failed("sync", source))
    }

    fn reserve(&self, bytes: u64) -> Result<(), Error> {
        let answer = enter(&self.world).reserve(&self.opened, bytes);
        answer.map_err(|source| self.failed_at("reserve room in", bytes, source))
    }

    fn map(&self) -> Result<Mapping, Error> {
        let answer = enter(&self.world).map(&self.opened);
        Ok(Mapping::from_vec(answer.map_err(|source| self.failed("map", source))?))
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatedFile")
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

/// A held lock.
struct SimulatedLock {
    world: Arc<Mutex<World>>,
    node: NodeId,
    number: u64,
}

impl Lock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        enter(&self.world).unlock(self.node, self.number);
    }
}

impl fmt::Debug for SimulatedLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatedLock")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
