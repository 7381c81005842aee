//! Which runs count, and what they stand for: windows, one after another (rule R15).
//!
//! A *window* begins with a complete run and goes on with delta runs; the next window begins with the
//! next complete run. Where that run was restored from an archive there may be a gap before it. Reads
//! go from the slot wanted downward to the first complete run, and never below it (rule R20).
//!
//! Beside the windows there are *spilled* runs, with what slots wrote that are not final and that
//! memory has no room for (see `spilling`).
//!
//! The run set is written to the file `set`, which is replaced as a whole:
//!
//! ```text
//!  0  "ICERUNS\0"      8
//!  8  version = 2      4
//! 12  zero             4
//! 16  body length      8
//! 24  BLAKE3 of body  32
//! 56  body: the fields of `SetFile` in order
//! ```
//!
//! It is derived from the chain: it names the event that it covers, and a set that does not fit the
//! chain is an error that says how to rebuild it.
//!
//! What it does *not* do: hold versions that are in the tail.

use std::{path::Path, sync::Arc};

use icecore_disk::{Access, Disk, Publish};
use icecore_types::{Cursor, Hash, Slot, Wire, WireError, wire_struct};

use crate::{
    Error,
    events::{List, SlotId},
    run::{BY_OWNER, BY_PUBKEY, Run, RunInfo, RunKind, RunStore},
    segments::Segments,
};

/// The runs of both orders over the same versions.
#[derive(Debug, Clone)]
pub(crate) struct RunPair {
    /// Versions are of later slots; `None`: the run is complete.
    pub(crate) after: Option<Slot>,
    /// The last slot that it covers.
    pub(crate) to: Slot,
    pub(crate) by_pubkey: Arc<Run<BY_PUBKEY>>,
    /// In a store that keeps the second order.
    pub(crate) by_owner: Option<Arc<Run<BY_OWNER>>>,
}

/// A complete run and the deltas behind it.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) complete: RunPair,
    /// Oldest first; they do not overlap.
    pub(crate) deltas: Vec<RunPair>,
    /// The event of the base point that the complete run was restored as; `None`: it was merged out
    /// of the window before.
    pub(crate) base: Option<u64>,
    /// The last slot that it covers; `None`: it goes on.
    pub(crate) last: Option<Slot>,
}

impl Window {
    /// The first slot that it covers.
    pub(crate) fn first(&self) -> Slot {
        self.complete.to
    }

    /// The slot up to which runs hold its versions.
    pub(crate) fn flushed_to(&self) -> Slot {
        self.deltas.last().map_or(self.complete.to, |delta| delta.to)
    }

    /// Its runs, newest first, as far as they hold versions at or below a slot.
    pub(crate) fn pairs_down_from(&self, slot: Slot) -> impl Iterator<Item = &RunPair> {
        let is_wanted = move |pair: &&RunPair| pair.after.is_none_or(|after| after < slot);
        self.deltas.iter().rev().chain([&self.complete]).filter(is_wanted)
    }

    /// All of its runs.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &RunPair> {
        [&self.complete].into_iter().chain(&self.deltas)
    }
}

/// Runs of both orders over versions of slots that are not final, or were not when it was made.
#[derive(Debug, Clone)]
pub(crate) struct SpilledPair {
    /// `to` is the last of the slots, by identity.
    pub(crate) runs: RunPair,
    /// Upward.
    pub(crate) slots: Arc<[SlotId]>,
}

/// All runs that count.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunSet {
    /// Counts up with every change.
    pub(crate) number: u64,
    /// Oldest first.
    pub(crate) windows: Vec<Window>,
    /// Oldest first; no two hold the same slot.
    pub(crate) spilled: Vec<SpilledPair>,
    /// For the records that the runs lead to.
    pub(crate) segments: Arc<Segments>,
}

impl RunSet {
    /// All of its runs.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &RunPair> {
        let spilled = self.spilled.iter().map(|spilled| &spilled.runs);
        self.windows.iter().flat_map(Window::pairs).chain(spilled)
    }

    /// Ids of all run files.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.pairs().flat_map(RunPair::ids)
    }
}

wire_struct! {
    /// A run, as the set names it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct RunEntry {
        pub(crate) id: u32,
        pub(crate) bytes: u64,
        pub(crate) rows: u64,
        pub(crate) digest: Hash,
    }
}

impl From<RunInfo> for RunEntry {
    fn from(info: RunInfo) -> Self {
        Self { id: info.id, bytes: info.bytes, rows: info.rows, digest: Hash(info.digest) }
    }
}

impl From<RunEntry> for RunInfo {
    fn from(entry: RunEntry) -> Self {
        Self { id: entry.id, bytes: entry.bytes, rows: entry.rows, digest: entry.digest.0 }
    }
}

wire_struct! {
    /// A pair of runs, as the set names it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct PairEntry {
        pub(crate) after: Option<Slot>,
        pub(crate) to: Slot,
        pub(crate) by_pubkey: RunEntry,
        pub(crate) by_owner: Option<RunEntry>,
    }
}

impl PairEntry {
    /// Runs that were written.
    pub(crate) fn of(
        kind: RunKind,
        to: Slot,
        by_pubkey: RunInfo,
        by_owner: Option<RunInfo>,
    ) -> Self {
        Self {
            after: kind.after(),
            to,
            by_pubkey: RunEntry::from(by_pubkey),
            by_owner: by_owner.map(RunEntry::from),
        }
    }
}

wire_struct! {
    /// A window, as the set names it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct WindowEntry {
        pub(crate) complete: PairEntry,
        pub(crate) deltas: List<PairEntry>,
        pub(crate) base: Option<u64>,
        pub(crate) last: Option<Slot>,
    }
}

impl WindowEntry {
    fn pairs(&self) -> impl Iterator<Item = &PairEntry> {
        [&self.complete].into_iter().chain(&self.deltas.0)
    }
}

wire_struct! {
    /// A slot of the tree. What it wrote, and more of it, says its event.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct NodeEntry {
        pub(crate) id: SlotId,
        pub(crate) number: Slot,
        pub(crate) parent: Option<SlotId>,
        /// 0 open, 1 committed, 2 rooted, 3 abandoned, 4 dead.
        pub(crate) state: u8,
        pub(crate) event: Option<u64>,
        pub(crate) rooted_by: Option<u64>,
        pub(crate) is_flushed: bool,
        pub(crate) is_spilled: bool,
    }
}

wire_struct! {
    /// The body of the file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct SetFile {
        pub(crate) number: u64,
        /// The events below this are in it.
        pub(crate) covered_end: u64,
        /// The digest of the last of them.
        pub(crate) covered_digest: Hash,
        /// Runs get ids from here on.
        pub(crate) next_run: u32,
        pub(crate) windows: List<WindowEntry>,
        pub(crate) spilled: List<PairEntry>,
        pub(crate) nodes: List<NodeEntry>,
        pub(crate) root: Option<SlotId>,
        pub(crate) gaps: List<(Slot, Slot)>,
        /// What lies before this slot is not kept.
        pub(crate) horizon: Slot,
    }
}

const MAGIC: &[u8; 8] = b"ICERUNS\0";
const VERSION: u32 = 2;
const HEAD_BYTES: usize = 56;

/// What a set file begins with.
pub(crate) type SetHead = [u8; HEAD_BYTES];

/// A set file, at most.
const SET_BYTES_MAX: u64 = 256 << 20;

const SET_NAME: &str = "set";
const NEW_NAME: &str = "set.new";

/// The folder of runs.
pub(crate) fn runs_folder(store: &Path) -> std::path::PathBuf {
    store.join("runs")
}

/// The file of a run.
pub(crate) fn run_path(store: &Path, id: u32) -> std::path::PathBuf {
    runs_folder(store).join(format!("{id:08x}.run"))
}

/// The id in the name of a run's file.
pub(crate) fn run_id(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".run").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}

impl SetFile {
    /// That of a store without a state.
    pub(crate) fn empty() -> Self {
        Self {
            number: 0,
            covered_end: 0,
            covered_digest: Hash::default(),
            next_run: 1,
            windows: List(Vec::new()),
            spilled: List(Vec::new()),
            nodes: List(Vec::new()),
            root: None,
            gaps: List::default(),
            horizon: 0,
        }
    }

    /// All pairs of runs.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &PairEntry> {
        self.windows.0.iter().flat_map(WindowEntry::pairs).chain(&self.spilled.0)
    }

    /// Ids of all run files.
    pub(crate) fn run_ids(&self) -> impl Iterator<Item = u32> {
        self.pairs().flat_map(|pair| {
            let owner = pair.by_owner.map(|run| run.id);
            [pair.by_pubkey.id].into_iter().chain(owner)
        })
    }

    /// Writes the file and makes it durable; runs that it names have been synced before.
    pub(crate) fn write(&self, disk: &dyn Disk, store: &Path) -> Result<(), Error> {
        let bytes = self.to_bytes();
        let folder = runs_folder(store);
        let (new, name) = (folder.join(NEW_NAME), folder.join(SET_NAME));
        if disk.exists(&new) {
            disk.remove(&new)?;
        }
        let file = disk.create(&new)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(&new, &name, Publish::Replace)?;
        Ok(disk.sync_folder(&folder)?)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        self.encode(&mut bytes);
        let (head, body) = bytes.split_at_mut(HEAD_BYTES);
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
        head[24..].copy_from_slice(blake3::hash(body).as_bytes());
        bytes
    }

    /// What the file begins with: it differs between any two sets.
    pub(crate) fn head(&self) -> SetHead {
        *self.to_bytes().first_chunk().expect("it begins with its head")
    }

    /// Reads what the file begins with; `None` when there is no file.
    pub(crate) fn read_head(disk: &dyn Disk, store: &Path) -> Result<Option<SetHead>, Error> {
        let mut head = [0; HEAD_BYTES];
        match disk.open(&runs_folder(store).join(SET_NAME), Access::Read) {
            Ok(file) => file.read_at(0, &mut head)?,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(head))
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn read(disk: &dyn Disk, store: &Path) -> Result<Option<Self>, Error> {
        let path = runs_folder(store).join(SET_NAME);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let corrupt = |offset: usize, what: &'static str| Error::Corrupt {
            path: path.clone(),
            offset: offset as u64,
            what,
        };
        let bytes_all = file.bytes()?;
        if bytes_all > SET_BYTES_MAX {
            return Err(corrupt(0, "a run set is longer than any"));
        }
        let mut bytes = vec![0; usize::try_from(bytes_all).expect("bounded")];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(corrupt(bytes.len(), "a run set ends within its head"));
        };
        if head[..8] != *MAGIC || head[8..12] != VERSION.to_le_bytes() || head[12..16] != [0; 4] {
            return Err(corrupt(0, "this is no run set of a version that is known"));
        }
        if head[16..24] != (body.len() as u64).to_le_bytes() {
            return Err(corrupt(16, "a run set has not the length that it states"));
        }
        if head[24..] != *blake3::hash(body).as_bytes() {
            return Err(corrupt(24, "the digest of a run set does not match"));
        }
        let mut cursor = Cursor::new(body);
        let set = cursor.read::<Self>();
        let at = HEAD_BYTES + cursor.position();
        let set = set.map_err(|_: WireError| corrupt(at, "a run set cannot be understood"))?;
        match cursor.remaining() {
            [] => Ok(Some(set)),
            _ => Err(corrupt(at, "a run set goes on behind its end")),
        }
    }
}

impl RunPair {
    /// Ids of its files.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        let owner = self.by_owner.as_ref().map(|run| run.info().id);
        [self.by_pubkey.info().id].into_iter().chain(owner)
    }

    pub(crate) fn entry(&self) -> PairEntry {
        PairEntry {
            after: self.after,
            to: self.to,
            by_pubkey: (*self.by_pubkey.info()).into(),
            by_owner: self.by_owner.as_ref().map(|run| (*run.info()).into()),
        }
    }

    /// Opens the runs of an entry, unless they are open.
    pub(crate) fn open(
        disk: &dyn Disk,
        store: &Path,
        identity: RunStore,
        entry: &PairEntry,
        before: &RunSet,
    ) -> Result<Self, Error> {
        let mut pairs = before.pairs();
        if let Some(open) = pairs.find(|pair| pair.entry() == *entry) {
            return Ok(open.clone());
        }
        let by_pubkey = open_run(disk, store, identity, entry.by_pubkey)?;
        let by_owner =
            entry.by_owner.map(|owner| open_run(disk, store, identity, owner)).transpose()?;
        Ok(Self { after: entry.after, to: entry.to, by_pubkey, by_owner })
    }
}

fn open_run<const K: usize>(
    disk: &dyn Disk,
    store: &Path,
    identity: RunStore,
    entry: RunEntry,
) -> Result<Arc<Run<K>>, Error> {
    Run::open(disk, &run_path(store, entry.id), &identity, &entry.into())
}

impl SpilledPair {
    /// Rows by pubkey.
    pub(crate) fn versions(&self) -> u64 {
        self.runs.by_pubkey.info().rows
    }

    pub(crate) fn open(
        disk: &dyn Disk,
        store: &Path,
        identity: RunStore,
        entry: &PairEntry,
        before: &RunSet,
    ) -> Result<Self, Error> {
        let runs = RunPair::open(disk, store, identity, entry, before)?;
        let run = &runs.by_pubkey;
        let slots = (0..run.slots()).map(|index| run.slot(index).map(|commit| SlotId(commit.slot)));
        Ok(Self { slots: slots.collect::<Result<_, _>>()?, runs })
    }
}

impl Window {
    pub(crate) fn entry(&self) -> WindowEntry {
        WindowEntry {
            complete: self.complete.entry(),
            deltas: List(self.deltas.iter().map(RunPair::entry).collect()),
            base: self.base,
            last: self.last,
        }
    }

    pub(crate) fn open(
        disk: &dyn Disk,
        store: &Path,
        identity: RunStore,
        entry: &WindowEntry,
        before: &RunSet,
    ) -> Result<Self, Error> {
        let open = |entry: &PairEntry| RunPair::open(disk, store, identity, entry, before);
        Ok(Self {
            complete: open(&entry.complete)?,
            deltas: entry.deltas.0.iter().map(open).collect::<Result<_, _>>()?,
            base: entry.base,
            last: entry.last,
        })
    }
}
