//! The state of a simulated machine, and each call on it.
//!
//! A call that changes something goes like this:
//! 1. Is the machine on, and the process alive? If not, the call fails.
//! 2. The call takes the next operation number; the plan of the crash and the list of faults are
//!    asked for that number and these paths.
//! 3. It happens: whole, in part, elsewhere or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::{
    content::SECTOR_BYTES,
    fault::{Call, Fault, FaultKind},
    page::Page,
    random::Random,
    tree::{FileNode, NodeId, Tree},
};
use crate::{Access, ProcessIdentity, disk::SHARED_PAGE_BYTES};

/// When a new machine's clock starts: 14 November 2023, in nanoseconds since 1970.
const START: u64 = 1_700_000_000_000_000_000;

/// Nanoseconds that pass each time the clock is read.
const TICK: u64 = 1000;

/// Largest file; also the room that there always is when no bound was set.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// Takes the caller's random bytes from another stream than the machine's own choices.
const CALLER_STREAM: u64 = 0x0063_616C_6C65_7200;

/// The process of a new machine's first handle.
pub(super) const FIRST_PROCESS: ProcessIdentity = ProcessIdentity { id: 1000, start_time: 1 };

/// Who opened which file how.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) process: ProcessIdentity,
    pub(super) node: NodeId,
    pub(super) path: PathBuf,
    pub(super) access: Access,
}

/// What becomes of an operation.
enum Fate {
    Happens,
    /// The machine stops in the middle of it.
    IsTheLast,
    Meets(Fault),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) tree: Tree,
    random: Random,
    pub(super) caller_random: Random,
    pub(super) now: u64,
    pub(super) operations: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) is_off: bool,
    pub(super) faults: Vec<Fault>,
    /// Bytes of all files, at most, if there is a bound.
    capacity: Option<u64>,
    /// Locked files and folders, with the number of the lock and who holds it.
    locks: BTreeMap<NodeId, (u64, ProcessIdentity)>,
    /// Locks given out so far.
    lock_count: u64,
    /// Files that somebody has open who is told of here, and nowhere else.
    being_read: BTreeSet<NodeId>,
    alive: BTreeSet<ProcessIdentity>,
    /// The highest process so far: a new one is another than all before.
    newest: ProcessIdentity,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            tree: Tree::new(),
            random: Random::new(seed),
            caller_random: Random::new(seed ^ CALLER_STREAM),
            now: START,
            operations: 0,
            crash_at: None,
            is_off: false,
            faults: Vec::new(),
            capacity: None,
            locks: BTreeMap::new(),
            lock_count: 0,
            being_read: BTreeSet::new(),
            alive: BTreeSet::from([FIRST_PROCESS]),
            newest: FIRST_PROCESS,
        }
    }

    /// The machine after its processes were killed: a new process finds everything that was live,
    /// as far from durable as it was.
    pub(super) fn killed(&mut self) -> (Self, ProcessIdentity) {
        self.tree.absorb_pages(false);
        let mut tree = self.tree.clone();
        tree.absorb_pages(true);
        let ProcessIdentity { id, start_time } = self.newest;
        let process = ProcessIdentity { id: id + 1, start_time: start_time + 1 };
        let world = Self {
            tree,
            random: self.random.clone(),
            caller_random: self.caller_random.clone(),
            now: self.now,
            capacity: self.capacity,
            alive: BTreeSet::from([process]),
            newest: process,
            ..Self::new(0)
        };
        (world, process)
    }

    /// The machine after a loss of power.
    pub(super) fn powerless(&mut self, seed: u64) -> (Self, ProcessIdentity) {
        let (mut world, process) = self.killed();
        world.random = Random::new(seed);
        world.caller_random = Random::new(seed ^ CALLER_STREAM);
        world.tree.lose_power(&mut world.random);
        (world, process)
    }

    /// Room for so many bytes more.
    pub(super) fn set_space(&mut self, bytes: u64) {
        self.capacity = Some(self.tree.used_bytes().saturating_add(bytes));
    }

    fn space(&self) -> u64 {
        self.capacity
            .map_or(FILE_BYTES_MAX, |capacity| capacity.saturating_sub(self.tree.used_bytes()))
    }

    /// Whether this process can still call.
    pub(super) fn check(&self, process: ProcessIdentity) -> io::Result<()> {
        if self.is_off {
            return Err(off());
        }
        if !self.alive.contains(&process) {
            return Err(io::Error::other("the simulated process has ended"));
        }
        Ok(())
    }

    fn turn_off(&mut self) -> io::Error {
        self.is_off = true;
        // What a dead process stores from here on is not seen.
        self.tree.absorb_pages(true);
        self.locks.clear();
        off()
    }

    fn strike(&mut self, call: Call, operation: u64, paths: &[&Path]) -> Option<Fault> {
        let strikes: Vec<_> =
            self.faults.iter_mut().map(|fault| fault.strikes(call, operation, paths)).collect();
        let first = strikes.iter().position(|strikes| *strikes)?;
        Some(self.faults.remove(first))
    }

    fn fate(&mut self, process: ProcessIdentity, call: Call, paths: &[&Path]) -> io::Result<Fate> {
        self.check(process)?;
        let operation = self.operations;
        self.operations += 1;
        if self.crash_at == Some(operation) {
            return Ok(Fate::IsTheLast);
        }
        Ok(self.strike(call, operation, paths).map_or(Fate::Happens, Fate::Meets))
    }

    /// An operation that happens or does not.
    pub(super) fn change<T>(
        &mut self,
        process: ProcessIdentity,
        call: Call,
        paths: &[&Path],
        act: impl FnOnce(&mut Self) -> Result<T, Errno>,
    ) -> io::Result<T> {
        match self.fate(process, call, paths)? {
            Fate::Happens => Ok(act(self)?),
            Fate::IsTheLast => {
                if self.random.coin() {
                    // Nobody is there any more to hear of its failure.
                    let _ = act(self);
                }
                Err(self.turn_off())
            }
            Fate::Meets(fault) => Err(io::Error::from_raw_os_error(fault.errno())),
        }
    }

    fn file(&mut self, opened: &Opened) -> &mut FileNode {
        self.tree.file_mut(opened.node)
    }

    pub(super) fn bytes(&self, opened: &Opened) -> io::Result<u64> {
        self.check(opened.process)?;
        Ok(self.tree.file(opened.node).content.bytes())
    }

    pub(super) fn read(
        &mut self,
        opened: &Opened,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.check(opened.process)?;
        if let Some(fault) = self.strike(Call::Read, self.operations, &[&opened.path]) {
            return Err(io::Error::from_raw_os_error(fault.errno()));
        }
        let file = self.file(opened);
        file.absorb_page();
        Ok(file.content.read(offset, buffer))
    }

    pub(super) fn map(&mut self, opened: &Opened) -> io::Result<Vec<u8>> {
        self.check(opened.process)?;
        Ok(self.read_whole(opened.node))
    }

    pub(super) fn read_whole(&mut self, node: NodeId) -> Vec<u8> {
        let file = self.tree.file_mut(node);
        file.absorb_page();
        let bytes = usize::try_from(file.content.bytes()).expect("a simulated file fits memory");
        let mut content = vec![0; bytes];
        file.content.read(0, &mut content);
        content
    }

    pub(super) fn write(&mut self, opened: &Opened, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(opened.process)?;
        writable(opened)?;
        let whole = bytes.len() as u64;
        let end =
            offset.checked_add(whole).filter(|end| *end <= FILE_BYTES_MAX).ok_or(Errno::FBIG)?;
        let fate = self.fate(opened.process, Call::Write, &[&opened.path])?;
        let is_the_last = matches!(fate, Fate::IsTheLast);
        let (count, answer) = match fate {
            Fate::Happens => {
                let room = self.file(opened).content.bytes().saturating_add(self.space());
                if end <= room {
                    (whole, Ok(()))
                } else {
                    (room.saturating_sub(offset), Err(Errno::NOSPC.into()))
                }
            }
            Fate::IsTheLast => {
                // Whole sectors: a prefix that ends at a border of two, nothing, or all.
                let sectors = end.div_ceil(SECTOR_BYTES) - offset / SECTOR_BYTES;
                let border =
                    (offset / SECTOR_BYTES + self.random.below(sectors + 1)) * SECTOR_BYTES;
                (border.clamp(offset, end) - offset, Ok(()))
            }
            Fate::Meets(Fault { kind: FaultKind::Misdirect, .. }) => {
                self.misdirect(opened.node, offset, bytes);
                return Ok(());
            }
            Fate::Meets(fault) => {
                let answer = Err(io::Error::from_raw_os_error(fault.errno()));
                (self.random.below(whole.max(1)), answer)
            }
        };
        let file = self.file(opened);
        file.absorb_page();
        file.content.write(offset, &bytes[..count as usize]);
        file.show_in_page();
        if is_the_last { Err(self.turn_off()) } else { answer }
    }

    /// Writes whole sectors away from where it was meant; the file grows as if nothing was wrong.
    fn misdirect(&mut self, node: NodeId, offset: u64, bytes: &[u8]) {
        let others: Vec<_> = self
            .tree
            .files()
            .into_iter()
            .map(|(_, other)| other)
            .filter(|other| *other != node && self.tree.file(*other).content.bytes() > 0)
            .collect();
        let target = if !others.is_empty() && self.random.coin() {
            others[self.random.below(others.len() as u64) as usize]
        } else {
            node
        };
        let end = self.tree.file(target).content.bytes();
        let within = offset % SECTOR_BYTES;
        let sectors: Vec<_> = (0..end.saturating_sub(within).div_ceil(SECTOR_BYTES))
            .filter(|sector| target != node || *sector != offset / SECTOR_BYTES)
            .collect();
        // In a file without another sector the bytes are lost altogether.
        if !sectors.is_empty() {
            let sector = sectors[self.random.below(sectors.len() as u64) as usize];
            let lands_at = sector * SECTOR_BYTES + within;
            let count = bytes.len().min((end - lands_at) as usize);
            let file = self.tree.file_mut(target);
            file.absorb_page();
            file.content.write(lands_at, &bytes[..count]);
            file.show_in_page();
        }
        let content = &mut self.tree.file_mut(node).content;
        content.truncate(content.bytes().max(offset + bytes.len() as u64));
    }

    pub(super) fn truncate(&mut self, opened: &Opened, bytes: u64) -> io::Result<()> {
        self.resize(opened, |_| bytes)
    }

    pub(super) fn reserve(&mut self, opened: &Opened, bytes: u64) -> io::Result<()> {
        self.resize(opened, |before| before.max(bytes))
    }

    fn resize(&mut self, opened: &Opened, size: impl FnOnce(u64) -> u64) -> io::Result<()> {
        self.change(opened.process, Call::Change, &[&opened.path], |world| {
            writable(opened)?;
            let space = world.space();
            let file = world.file(opened);
            let before = file.content.bytes();
            let bytes = size(before);
            if bytes > FILE_BYTES_MAX {
                return Err(Errno::FBIG);
            }
            if bytes.saturating_sub(before) > space {
                return Err(Errno::NOSPC);
            }
            file.absorb_page();
            file.content.truncate(bytes);
            file.show_in_page();
            Ok(())
        })
    }

    pub(super) fn sync(&mut self, opened: &Opened) -> io::Result<()> {
        let fate = self.fate(opened.process, Call::Sync, &[&opened.path])?;
        let coin = self.random.coin();
        let file = self.tree.file_mut(opened.node);
        file.absorb_page();
        match fate {
            Fate::Happens => file.content.sync(),
            Fate::IsTheLast => {
                if coin {
                    file.content.sync();
                }
                return Err(self.turn_off());
            }
            Fate::Meets(fault) => {
                file.content.fail_sync(coin);
                file.show_in_page();
                return Err(io::Error::from_raw_os_error(fault.errno()));
            }
        }
        Ok(())
    }

    /// The file at a path, made if there is none.
    fn find_or_create(&mut self, process: ProcessIdentity, path: &Path) -> io::Result<NodeId> {
        self.check(process)?;
        match self.tree.find_file(path) {
            Err(Errno::NOENT) => {
                self.change(process, Call::Change, &[path], |world| world.tree.create_file(path))
            }
            found => Ok(found?),
        }
    }

    /// Takes a lock and returns its number, unless it is held.
    pub(super) fn lock(
        &mut self,
        process: ProcessIdentity,
        path: &Path,
    ) -> io::Result<Option<(NodeId, u64)>> {
        let node = self.find_or_create(process, path)?;
        Ok(self.lock_node(process, node))
    }

    /// As [`Self::lock`], of a folder that is there.
    pub(super) fn lock_folder(
        &mut self,
        process: ProcessIdentity,
        path: &Path,
    ) -> io::Result<Option<(NodeId, u64)>> {
        self.check(process)?;
        let node = self.tree.find_folder(path)?;
        Ok(self.lock_node(process, node))
    }

    fn lock_node(&mut self, process: ProcessIdentity, node: NodeId) -> Option<(NodeId, u64)> {
        if self.locks.contains_key(&node) {
            return None;
        }
        self.lock_count += 1;
        self.locks.insert(node, (self.lock_count, process));
        Some((node, self.lock_count))
    }

    /// Frees a lock, unless it was lost before.
    pub(super) fn unlock(&mut self, node: NodeId, number: u64) {
        if self.locks.get(&node).is_some_and(|(held, _)| *held == number) {
            self.locks.remove(&node);
        }
    }

    pub(super) fn set_being_read(&mut self, node: NodeId, is_read: bool) {
        match is_read {
            true => self.being_read.insert(node),
            false => self.being_read.remove(&node),
        };
    }

    pub(super) fn is_being_read(&self, opened: &Opened) -> io::Result<bool> {
        self.check(opened.process)?;
        Ok(self.being_read.contains(&opened.node))
    }

    pub(super) fn is_alive(&self, process: ProcessIdentity) -> bool {
        self.alive.contains(&process)
    }

    pub(super) fn begin_process(&mut self, process: ProcessIdentity) {
        self.alive.insert(process);
        self.newest = self.newest.max(process);
    }

    pub(super) fn end_process(&mut self, process: ProcessIdentity) {
        self.alive.remove(&process);
        self.locks.retain(|_, (_, holder)| *holder != process);
    }

    pub(super) fn page(
        &mut self,
        process: ProcessIdentity,
        path: &Path,
        access: Access,
    ) -> io::Result<Arc<Page>> {
        self.check(process)?;
        let node = match access {
            Access::Read => self.tree.find_file(path)?,
            Access::ReadWrite => self.find_or_create(process, path)?,
        };
        let file = self.tree.file_mut(node);
        let (bytes, wanted) = (file.content.bytes(), SHARED_PAGE_BYTES as u64);
        if bytes > wanted || (bytes < wanted && access == Access::Read) {
            let text = format!("{bytes} bytes, not {wanted}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        file.content.truncate(wanted);
        let page = file.page.get_or_insert_with(|| Arc::new(Page::of(&file.content)));
        Ok(Arc::clone(page))
    }

    pub(super) fn available_bytes(
        &self,
        process: ProcessIdentity,
        folder: &Path,
    ) -> io::Result<u64> {
        self.check(process)?;
        self.tree.find(folder)?;
        Ok(self.space())
    }

    pub(super) fn tick(&mut self) -> u64 {
        let now = self.now;
        self.now = self.now.saturating_add(TICK);
        now
    }
}

fn off() -> io::Error {
    io::Error::other("the simulated machine is off")
}

fn writable(opened: &Opened) -> Result<(), Errno> {
    match opened.access {
        Access::Read => Err(Errno::BADF),
        Access::ReadWrite => Ok(()),
    }
}
