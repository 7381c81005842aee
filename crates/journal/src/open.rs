//! Creating, opening and closing.
//!
//! Opening for writing:
//!
//! 1. The lock is taken; the next epoch is written to it, durably, so that a writer that was
//!    forgotten is fenced off before anything is changed.
//! 2. The manifest is read, and the folder is compared with it.
//! 3. The tail is read: after a clean close it has to be what the manifest says; after an unclean end
//!    it is recovered (see `recovery`).
//! 4. A manifest with the new epoch is written. From here on the journal is open.
//!
//! Steps 3 and 4 change nothing before the new manifest; a crash at any point leaves a journal that
//! opens the same way.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use icecore_disk::{Disk, Lock};

use crate::{
    Error, StoreId,
    control::{ControlWriter, WriterIdentity},
    digest::StoreKeys,
    extents::{files::DataSegments, room::DataRoom},
    format::{
        BLOCK_BYTES,
        manifest::{ChainSegment, Lineage, Manifest, Secret, SegmentState},
        segment_header::{ChainStart, Content, SegmentHeader},
        walk::{Follow, align},
    },
    history::History,
    index::IndexKind,
    journal::{Journal, Options, Shared},
    keeping::{
        Keeper,
        manifest_file::{self, Failed, LOCK_NAME, give_out, manifest_path},
        merge::find_groups,
        seal::closed,
        threads,
    },
    keys::IndexKeys,
    mountain::Mountain,
    primitives::{Mutex, RwLock},
    recovery::{self, Recovered},
    reserve::{Reserve, make_room_to_open},
    segment::{
        Catalog, Segment, chain_path,
        open::OpenSegment,
        sealed::SealedSegment,
        table::{Identity, Table},
    },
    writer::{accept::Accept, flush::Writer, sync::SyncRole, watermarks::Watermarks},
};

/// By what events can be found beside sequence, stream and time; chosen when a journal is created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indexes {
    /// By kind.
    pub kind: bool,
    /// By scope.
    pub scope: bool,
    /// By correlation.
    pub correlation: bool,
    /// Children by parent: needed to ask for descendants.
    pub parent: bool,
    /// Effects by causation.
    pub causation: bool,
}

impl Indexes {
    /// All of them.
    pub const ALL: Self =
        Self { kind: true, scope: true, correlation: true, parent: true, causation: true };

    fn bits(self) -> u32 {
        [
            (IndexKind::Kind, self.kind),
            (IndexKind::Scope, self.scope),
            (IndexKind::Correlation, self.correlation),
            (IndexKind::Parent, self.parent),
            (IndexKind::Causation, self.causation),
        ]
        .into_iter()
        .filter(|(_, is_wanted)| *is_wanted)
        .fold(0, |bits, (kind, _)| bits | 1 << kind as u32)
    }
}

/// How a journal is created.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// By what else events can be found.
    pub indexes: Indexes,
    /// The program that the journal belongs to, up to 64 bytes: tools then refuse to change it.
    pub owner: String,
}

/// The indexes that a journal keeps.
pub(crate) fn kept_indexes(bits: u32) -> Vec<IndexKind> {
    IndexKind::ALL
        .into_iter()
        .filter(|kind| {
            matches!(kind, IndexKind::Stream | IndexKind::Idempotency)
                || bits & 1 << *kind as u32 != 0
        })
        .collect()
}

pub(crate) fn identity_of(manifest: &Manifest) -> Identity {
    Identity {
        store_id: manifest.store_id,
        keys: IndexKeys::new(manifest.secret.0),
        indexes: kept_indexes(manifest.indexes),
    }
}

impl Journal {
    /// Creates a journal on the real disk and opens it.
    ///
    /// # Errors
    /// See [`Self::create_on`].
    pub fn create(
        folder: impl AsRef<Path>,
        create: CreateOptions,
        options: Options,
    ) -> Result<Self, Error> {
        Self::create_on(Arc::new(icecore_disk::RealDisk), folder, create, options)
    }

    /// Creates a journal in a folder that has none, and opens it.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one; [`Error::Locked`] when another process is creating it.
    pub fn create_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        create: CreateOptions,
        options: Options,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        make_folder(&*disk, folder)?;
        if let Some(parent) = folder.parent() {
            let is_here = parent.as_os_str().is_empty();
            disk.sync_folder(if is_here { Path::new(".") } else { parent })?;
        }
        let lock = take_lock(&*disk, folder)?;
        if disk.exists(&manifest_path(folder)) {
            return Err(Error::Exists { folder: folder.to_path_buf() });
        }
        let mut store_id = StoreId([0; 16]);
        disk.fill_random(&mut store_id.0);
        let mut secret = [0; 32];
        disk.fill_random(&mut secret);
        make(&*disk, folder, store_id, secret, None, &create)?;
        open_locked(disk, folder, options, lock)
    }

    /// Opens a journal for writing.
    ///
    /// # Errors
    /// [`Error::NoJournal`], [`Error::Locked`] by another writer, [`Error::NeedsRepair`] under the
    /// strict policy, [`Error::Damaged`] when acknowledged events are damaged.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if !disk.exists(&manifest_path(folder)) {
            return Err(manifest_file::absent(&*disk, folder));
        }
        let lock = take_lock(&*disk, folder)?;
        open_locked(disk, folder, options, lock)
    }
}

/// Makes the folder of a journal; its name is durable before anything in it is acknowledged.
pub(crate) fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk.create_folder(folder)?;
    match folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => Ok(disk.sync_folder(parent)?),
        None => Ok(()),
    }
}

pub(crate) fn take_lock(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Lock>, Error> {
    disk.lock(&folder.join(LOCK_NAME))?
        .ok_or_else(|| Error::Locked { folder: folder.to_path_buf() })
}

/// Makes the first segment and the manifest.
pub(crate) fn make(
    disk: &dyn Disk,
    folder: &Path,
    store_id: StoreId,
    secret: [u8; 32],
    lineage: Option<Lineage>,
    create: &CreateOptions,
) -> Result<(), Error> {
    const FIRST: u32 = 1;
    let epoch = 1;
    let created = disk.now();
    manifest_file::write_epoch(disk, folder, epoch)?;
    let genesis = StoreKeys::new(&store_id).genesis();
    let header = SegmentHeader {
        store_id,
        epoch,
        segment: FIRST,
        created,
        content: Content::Chain(ChainStart {
            previous_segment: 0,
            first_sequence: 0,
            first_frame: 0,
            previous: genesis,
            peaks: Vec::new(),
        }),
    };
    let path = chain_path(folder, FIRST);
    // A creation that a crash ended leaves a header at most; anything else is not ours to remove.
    if let Ok(left) = disk.open(&path, icecore_disk::Access::Read)
        && left.bytes()? <= BLOCK_BYTES
    {
        disk.remove(&path)?;
    }
    let file = disk.create(&path)?;
    file.write_at(0, &header.encode())?;
    file.sync()?;
    disk.sync_folder(folder)?;
    let mut manifest = Manifest {
        number: 1,
        store_id,
        lineage,
        secret: Secret(secret),
        created,
        indexes: create.indexes.bits(),
        owner: create.owner.clone(),
        epoch,
        is_clean: true,
        next_segment: FIRST + 1,
        pending: Vec::new(),
        kinds: Vec::new(),
        chain: vec![ChainSegment {
            id: FIRST,
            state: SegmentState::Active,
            is_reduced: false,
            first_sequence: 0,
            end_sequence: 0,
            first_frame: 0,
            end_frame: 0,
            bytes: 0,
            first_time: 0,
            last_time: 0,
            previous: genesis,
            last: genesis,
        }],
        data: Vec::new(),
        gaps: Vec::new(),
        sessions: Vec::new(),
        retired: Vec::new(),
    };
    give_out(&mut manifest);
    replace(disk, folder, &manifest)
}

/// Replaces a manifest while no journal is open that could be poisoned.
pub(crate) fn replace(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), Error> {
    manifest_file::replace(disk, folder, manifest).map_err(|failed| match failed {
        Failed::Before(error) | Failed::Unknown(error) => error,
    })
}

fn open_locked(
    disk: Arc<dyn Disk>,
    folder: &Path,
    options: Options,
    lock: Box<dyn Lock>,
) -> Result<Journal, Error> {
    options.check()?;
    make_room_to_open(&*disk, folder, options.reserve_bytes)?;
    let mut manifest = manifest_file::read(&*disk, folder)?;
    let stored: Vec<_> = manifest.kinds.clone();
    options.kinds.check_against(&stored)?;
    let stated = manifest_file::read_epoch(&*disk, folder)?.unwrap_or(0);
    let epoch = manifest.epoch.max(stated) + 1;
    manifest_file::write_epoch(&*disk, folder, epoch)?;

    let identity = identity_of(&manifest);
    let Recovered { segment, offset, durable_stated, report, leftovers } =
        recovery::recover(&disk, folder, &mut manifest, &identity, epoch, options.policy)?;
    manifest.number += 1;
    manifest.epoch = epoch;
    manifest.is_clean = false;
    for (kind, name) in options.kinds.names() {
        if !manifest.kinds.iter().any(|(stored, _)| *stored == kind) {
            manifest.kinds.push((kind, name.to_string()));
        }
    }
    let spare: VecDeque<_> = give_out(&mut manifest).into();
    replace(&*disk, folder, &manifest)?;
    let mut report = report;
    for path in &leftovers {
        disk.remove(path)?;
    }
    if !leftovers.is_empty() {
        disk.sync_folder(folder)?;
        // The manifest on disk still knows them, in case that they were not removed.
        manifest.pending.retain(|id| !leftovers.contains(&chain_path(folder, *id)));
    }
    report.removed_files = leftovers;

    let end = segment.table().end;
    let segment = Arc::new(segment);
    let fallbacks = Arc::new(AtomicU64::new(0));
    let catalog =
        catalog_of(&disk, folder, &manifest, &identity, Some(Arc::clone(&segment)), &fallbacks);
    let page = disk.shared_page(&folder.join(CONTROL_NAME), icecore_disk::Access::ReadWrite)?;
    let writer = Writer::new(Arc::clone(&segment), offset, durable_stated);
    let identity_of_writer =
        WriterIdentity { store_id: manifest.store_id, process: disk.process(), epoch };
    let frontier = writer.written().frontier();
    let control =
        ControlWriter::initialise(page, identity_of_writer, frontier, manifest.number, disk.now());
    let history = Arc::new(History {
        store_keys: StoreKeys::new(&manifest.store_id),
        identity,
        watermarks: Watermarks::new(end.sequence),
        follower: None,
        catalog: RwLock::new(Arc::new(catalog)),
        fallbacks,
        folder: folder.to_path_buf(),
        disk,
    });
    let mut shared = Arc::new(Shared {
        history,
        epoch,
        accept: Mutex::new(Accept::new(end, options.stream_heads_max)),
        writer: Mutex::new(writer),
        sync_role: SyncRole::default(),
        manifest: Mutex::new(manifest),
        spare_ids: Mutex::new(spare),
        data_room: DataRoom::default(),
        reserve: Reserve::default(),
        control,
        keeper: Keeper::default(),
        recovery: report,
        signing: Mutex::default(),
        retiring: Mutex::default(),
        options,
        lock: Mutex::new(Some(lock)),
    });
    shared.keep_reserve();
    let removed = shared.finish_sessions()?;
    let own = Arc::get_mut(&mut shared).expect("no thread and no caller has it yet");
    own.recovery.removed_files.extend(removed);
    // What cannot be ended now, for want of room say, the next drop or compaction ends first.
    let _ = shared.finish_dropping();
    let _ = shared.finish_compaction();
    let threads = match shared.options.background {
        true => threads::start(&shared),
        false => Vec::new(),
    };
    Ok(Journal { shared, threads })
}

/// The page that tells other processes how far the journal is durable.
pub(crate) const CONTROL_NAME: &str = "control";

/// The catalog of a manifest, with the segment that is written to.
pub(crate) fn catalog_of(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    manifest: &Manifest,
    identity: &Identity,
    active: Option<Arc<OpenSegment>>,
    fallbacks: &Arc<AtomicU64>,
) -> Catalog {
    let mut segments: Vec<_> = manifest
        .chain
        .iter()
        .filter(|info| info.state == SegmentState::Closed)
        .map(|info| {
            let disk = Arc::clone(disk);
            let fallbacks = Arc::clone(fallbacks);
            let sealed = SealedSegment::new(disk, folder, *info, identity.clone(), fallbacks);
            Segment::Sealed(Arc::new(sealed))
        })
        .collect();
    segments.extend(active.map(Segment::Open));
    let groups = find_groups(&**disk, folder, manifest, identity);
    let data = Arc::new(DataSegments::of(manifest));
    Catalog { number: manifest.number, segments, gaps: manifest.gaps.clone(), groups, data }
}

/// A segment of this size or more is sealed when the journal is closed; a smaller one is read again
/// when it is opened, and goes on.
const CLOSE_UNSEALED_BYTES_MAX: u64 = 8 << 20;

impl Shared {
    /// Makes everything durable, and leaves a journal that opens without a scan to speak of.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.sync_all()?;
        {
            let mut writer = self.writer.lock().expect("a writer that panicked ends all writing");
            if writer.offset > CLOSE_UNSEALED_BYTES_MAX {
                self.roll(&mut writer)?;
            }
        }
        while self.seal_oldest()? {}
        self.data_room.end_segment();
        let data = self.data_room.listing();
        self.sync_in_order(&data.files(), false)?;
        self.write_mark(true)?;
        let active = {
            let writer = self.writer.lock().expect("a writer that panicked ends all writing");
            // A roll without events leaves a new file that nobody has synced.
            self.sync_in_order(std::slice::from_ref(writer.segment.file()), true)?;
            let info = closed(writer.segment.id, &writer.segment.table());
            ChainSegment { state: SegmentState::Active, bytes: 0, ..info }
        };
        self.change_manifest(|manifest| {
            manifest.is_clean = true;
            data.put_in(manifest);
            let last = manifest.chain.last_mut().expect("a journal has a segment");
            *last = active;
        })?;
        self.sign_if_due(true)?;
        self.end_writing();
        Ok(())
    }
}

/// The state at a segment's start, from its header.
pub(crate) fn start_of(info: &ChainSegment, time: u64) -> Follow {
    Follow {
        sequence: info.first_sequence,
        frame_number: info.first_frame,
        last: info.previous,
        time,
    }
}

/// A new, empty table behind `end`.
pub(crate) fn table_behind(end: Follow, mountain: Mountain, identity: &Identity) -> Table {
    Table::new(end, mountain, BLOCK_BYTES, &identity.indexes)
}

/// Where writing goes on behind content that is durable.
pub(crate) fn next_block(offset: u64) -> u64 {
    align(offset.max(BLOCK_BYTES), BLOCK_BYTES)
}
