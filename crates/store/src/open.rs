//! Making a store, opening it for writing or for reading, closing it.
//!
//! Opening:
//! 1. The journal is opened; it recovers what an unclean end left.
//! 2. The run set is read and held against the chain; its runs are opened.
//! 3. What its slots wrote and no run holds is read from their extents.
//! 4. The events that the run set does not cover are applied.
//! 5. A writer records what was left open as dead, and removes run files that nobody names.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use icecore_disk::{Disk, RealDisk};
use icecore_hash::Kernel;
use icecore_journal::{
    AppendOptions, Batch, By, Durability, History, Indexes, Journal, Query, Reader, Recovery,
};

use crate::{
    CreateOptions, Error, Options, SlotState, Store,
    events::{Created, List, SlotId, StoreEvent, encoded, kind, new_event, stream},
    keeper::{self, Wakeup},
    leases::Leases,
    record::RecordSeed,
    run::RunStore,
    run_set::{RunSet, SetFile, SpilledPair, Window, run_id, run_path, runs_folder},
    segments::Segments,
    shared::{Chain, Mirror, Shared, State},
    stray_runs::StrayRuns,
    summing::Summers,
    tail::Tail,
    underway::Underway,
};

/// The program that the journal of a store belongs to.
pub const JOURNAL_OWNER: &str = "icecore-store";

pub(crate) const JOURNAL_FOLDER: &str = "journal";

/// Times that a reader tries to get a run set and files that belong together.
const ATTEMPTS_MAX: usize = 8;

/// What opening a store found and did.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// What the journal found; `None` for a store that is only read.
    pub journal: Option<Recovery>,
    /// Events that the run set did not cover, and that were applied one by one.
    pub replayed_events: u64,
    /// Slots that are committed and not final.
    pub unrooted_slots: u64,
    /// Slots that were being written when the last writer ended: they are dead.
    pub dead_slots: u64,
    /// Run files that nobody names any more, removed.
    pub removed_runs: u64,
}

impl Store {
    /// Makes a store on the real disk and opens it.
    ///
    /// # Errors
    /// As [`Self::create_on`].
    pub fn create(
        folder: impl AsRef<Path>,
        create: &CreateOptions,
        options: Options,
    ) -> Result<Self, Error> {
        Self::create_on(Arc::new(RealDisk), folder, create, options)
    }

    /// Makes a store in a folder that has none, and opens it.
    ///
    /// # Errors
    /// [`icecore_journal::Error::Exists`] when there is one; what the disk said.
    pub fn create_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        create: &CreateOptions,
        options: Options,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let journal_folder = folder.join(JOURNAL_FOLDER);
        disk.create_folder(folder)?;
        disk.create_folder(&runs_folder(folder))?;
        let of_journal = icecore_journal::CreateOptions {
            indexes: Indexes { kind: true, parent: true, ..Indexes::default() },
            owner: JOURNAL_OWNER.to_string(),
        };
        let made = Journal::create_on(
            Arc::clone(&disk),
            &journal_folder,
            of_journal,
            options.journal.clone(),
        );
        let journal = match made {
            // A creation that did not come to its end goes on.
            Err(exists @ icecore_journal::Error::Exists { .. }) => {
                let reader = Reader::open_on(Arc::clone(&disk), &journal_folder)?;
                if first_event(reader.history())?.is_some() {
                    return Err(exists.into());
                }
                Journal::open_on(Arc::clone(&disk), &journal_folder, options.journal.clone())?
            }
            made => made?,
        };
        let mut seed = [0; 8];
        disk.fill_random(&mut seed);
        let created = Created {
            record_seed: u64::from_le_bytes(seed),
            kept_owners: List(create.kept_owners.clone()),
            owner_order: create.owner_order,
        };
        let set = SetFile::empty();
        set.write(&*disk, folder)?;
        disk.sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_folder(parent)?;
        }
        let payload = encoded(&created);
        let event = new_event(stream::STORE, kind::CREATED, &payload, &[]);
        journal.append(&Batch::of(&event)?, &AppendOptions::default())?;
        Self::load(disk, folder, Chain::Writer(journal), options)
    }

    /// Opens a store for writing on the real disk.
    ///
    /// # Errors
    /// As [`Self::open_on`].
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::open_on(Arc::new(RealDisk), folder, options)
    }

    /// Opens a store for writing.
    ///
    /// # Errors
    /// [`Error::NoStore`]; [`icecore_journal::Error::Locked`] while another process writes it;
    /// [`Error::Corrupt`] and [`Error::StaleRuns`] when runs are damaged or do not fit the chain.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let journal_folder = folder.join(JOURNAL_FOLDER);
        let opened = Journal::open_on(Arc::clone(&disk), &journal_folder, options.journal.clone());
        let journal = opened.map_err(|error| absent(error, folder))?;
        Self::load(disk, folder, Chain::Writer(journal), options)
    }

    /// Opens a store for reading on the real disk, beside a writer or not.
    ///
    /// # Errors
    /// As [`Self::read_on`].
    pub fn read(folder: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::read_on(Arc::new(RealDisk), folder, options)
    }

    /// Opens a store for reading. Nothing is changed or repaired.
    ///
    /// # Errors
    /// As [`Self::open_on`], but for the lock.
    pub fn read_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let opened = Reader::open_on(Arc::clone(&disk), folder.join(JOURNAL_FOLDER));
        let reader = opened.map_err(|error| absent(error, folder))?;
        Self::load(disk, folder, Chain::Reader(reader), options)
    }

    fn load(
        disk: Arc<dyn Disk>,
        folder: &Path,
        chain: Chain,
        options: Options,
    ) -> Result<Self, Error> {
        let journal = chain.writer().ok().map(|journal| journal.recovery().clone());
        let shared = assembled(disk, folder, chain, options)?;
        let mut opened = Opened { journal, ..Opened::default() };
        shared.load_set(&mut opened)?;
        if shared.chain().writer().is_ok() {
            shared.tidy_up(&mut opened)?;
        }
        let threads = keeper::start(&shared);
        Ok(Self { shared, opened, threads })
    }

    /// What opening found and did.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Flushes, and leaves a store that opens at once. Views that are still held can be read on.
    ///
    /// # Errors
    /// What the disk said; nothing is lost then that was acknowledged.
    pub fn close(mut self) -> Result<(), Error> {
        self.stop();
        if self.shared.chain().writer().is_err() {
            return Ok(());
        }
        self.shared.flush()?;
        {
            let _keeping = self.shared.keeping.lock().expect("nobody panics while keeping");
            self.shared.save_set()?;
        }
        match self.shared.close_chain() {
            Some(journal) => Ok(journal.close()?),
            None => Ok(()),
        }
    }
}

/// What the parts of a store share, before anything of it was read.
pub(crate) fn assembled(
    disk: Arc<dyn Disk>,
    folder: &Path,
    chain: Chain,
    options: Options,
) -> Result<Arc<Shared>, Error> {
    let history = match &chain {
        Chain::Writer(journal) => Arc::clone(journal.history()),
        Chain::Reader(reader) => Arc::clone(reader.history()),
        Chain::Closed => unreachable!("a closed chain is not loaded"),
    };
    let created =
        first_event(&history)?.ok_or_else(|| Error::NoStore { folder: folder.to_path_buf() })?;
    let identity = RunStore { id: history.store_id(), seed: RecordSeed(created.record_seed) };
    let kernel = Kernel::chosen()?;
    Ok(Arc::new(Shared {
        disk,
        folder: folder.to_path_buf(),
        options,
        chain: RwLock::new(chain),
        history,
        identity,
        kept_owners: created.kept_owners.0,
        owner_order: created.owner_order,
        mirror: Mutex::default(),
        state: RwLock::default(),
        keeping: Mutex::default(),
        segments_in_use: Mutex::default(),
        next_run: AtomicU32::new(1),
        stray_runs: StrayRuns::default(),
        told_generation: AtomicU64::new(0),
        ids_end: AtomicU64::new(0),
        leases: Leases::default(),
        summers: Summers::new(kernel),
        wakeup: Wakeup::default(),
        underway: Underway::default(),
        facts: Mutex::default(),
        last_look: Mutex::default(),
    }))
}

impl Store {
    /// What the runs of a store belong to.
    pub(crate) fn identity_on(disk: &Arc<dyn Disk>, folder: &Path) -> Result<RunStore, Error> {
        let opened = Reader::open_on(Arc::clone(disk), folder.join(JOURNAL_FOLDER));
        let reader = opened.map_err(|error| absent(error, folder))?;
        let created = first_event(reader.history())?;
        let created = created.ok_or_else(|| Error::NoStore { folder: folder.to_path_buf() })?;
        let seed = RecordSeed(created.record_seed);
        Ok(RunStore { id: reader.history().store_id(), seed })
    }
}

/// A journal that is not there is a store that is not there.
pub(crate) fn absent(error: icecore_journal::Error, folder: &Path) -> Error {
    match error {
        icecore_journal::Error::NoJournal { .. } => Error::NoStore { folder: folder.to_path_buf() },
        error => error.into(),
    }
}

/// The event with which a store begins.
fn first_event(history: &Arc<History>) -> Result<Option<Created>, Error> {
    let query = Query::new(By::Stream(stream::STORE.to_vec()));
    let Some(event) = history.scan(query)?.next().transpose()? else { return Ok(None) };
    match StoreEvent::decode(&event, event.payload())? {
        Some(StoreEvent::Created(created)) => Ok(Some(created)),
        _ => Err(Error::Event {
            sequence: event.sequence(),
            what: "a store's first event is its creation".to_string(),
        }),
    }
}

impl Shared {
    /// Makes the mirror and the state of the run set and of what the chain has beyond it. A run or a
    /// segment that is gone means that a writer has replaced the set meanwhile: once more.
    pub(crate) fn load_set(&self, opened: &mut Opened) -> Result<(), Error> {
        let is_reading = self.chain().writer().is_err();
        let mut result = self.load_set_once(opened);
        for _ in 1..ATTEMPTS_MAX {
            match &result {
                Err(error) if is_reading && error.is_replaced() => {
                    result = self.load_set_once(opened);
                }
                _ => break,
            }
        }
        result
    }

    fn load_set_once(&self, opened: &mut Opened) -> Result<(), Error> {
        let stale = |why: &'static str| Error::StaleRuns { folder: self.folder.clone(), why };
        let generation = self.generation();
        let set = SetFile::read(&*self.disk, &self.folder)?
            .ok_or_else(|| stale("there is no run set"))?;
        // What a set covers was durable before it was written.
        self.history.refresh()?;
        if set.covered_end > self.history.end() {
            return Err(stale("the run set covers events that the chain does not have"));
        }
        if let Some(last) = set.covered_end.checked_sub(1) {
            let digest = self.history.read(last)?.digest();
            if digest.0 != set.covered_digest.0 {
                return Err(stale("the run set was made of another chain"));
            }
        }
        let before = self.state();
        let open =
            |entry| Window::open(&*self.disk, &self.folder, self.identity, entry, &before.runs);
        let windows = set.windows.0.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let open = |entry| {
            SpilledPair::open(&*self.disk, &self.folder, self.identity, entry, &before.runs)
        };
        let spilled = set.spilled.0.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let segments = self.renewed_segments(&Segments::default(), &[]);
        let runs = RunSet { number: set.number, windows, spilled, segments };
        let mut state = Arc::new(State { tail: Tail::default(), runs });
        let mut mirror = Mirror {
            applied_end: set.covered_end,
            set_head: Some(set.head()),
            generation: Some(generation),
            gaps: set.gaps.0.clone(),
            horizon: set.horizon,
            ..Mirror::default()
        };
        for entry in &set.nodes.0 {
            let mut node = self.node_of(&mut mirror, entry)?;
            if let (Some(sequence), false) = (node.event, node.is_flushed)
                && let StoreEvent::Committed(committed) = self.store_event(sequence)?
            {
                node.versions = committed.accounts_written;
                if !node.is_spilled {
                    let event = self.history.read(sequence)?;
                    let versions = self.versions_of(&event, &committed, node.index)?;
                    node.versions = versions.len() as u64;
                    state.tail.add(versions);
                }
            }
            mirror.tree.insert(node);
        }
        if let Some(root) = set.root {
            mirror.tree.set_root(root);
        }
        // The window that it begins may be gone: what it says of the chain still holds.
        let bases = Query::new(By::Kind(kind::BASE)).sequences(0..set.covered_end).backward();
        if let Some(event) = self.history.scan(bases)?.next().transpose()?
            && let StoreEvent::Base(base) = self.store_event(event.sequence())?
        {
            mirror.base = Some(Arc::new(base.facts));
        }
        self.catch_up(&mut mirror, &mut state)?;
        opened.replayed_events = mirror.applied_end - set.covered_end;
        let is_unrooted = |node: &&crate::tree::Node| node.state == SlotState::Committed;
        opened.unrooted_slots = mirror.tree.nodes().filter(is_unrooted).count() as u64;
        // Runs of base points that the set does not know have higher numbers.
        let last = state.runs.ids().max().unwrap_or(0);
        self.next_run.fetch_max(set.next_run.max(last + 1), Ordering::Relaxed);
        self.stray_runs.are_named(&set);
        self.stray_runs.add(before.runs.ids());
        // Whoever has the mirror sees the state that belongs to it.
        let mut place = self.mirror();
        *place = mirror;
        *self.state.write().expect("nobody panics while holding it") = state;
        Ok(())
    }

    /// The next table of segments; the one before stays good for who has it.
    pub(crate) fn renewed_segments(&self, before: &Segments, without: &[u32]) -> Arc<Segments> {
        let renewed = Arc::new(before.renewed(without));
        let mut in_use = self.segments_in_use.lock().expect("nobody panics while holding it");
        in_use.retain(|table| table.strong_count() > 0);
        in_use.push(Arc::downgrade(&renewed));
        renewed
    }

    /// What a writer does first: slots that were left open are dead, stray run files go.
    fn tidy_up(&self, opened: &mut Opened) -> Result<(), Error> {
        let left_open: Vec<SlotId> = {
            let mirror = self.mirror();
            let is_open = |node: &&crate::tree::Node| node.state == SlotState::Open;
            mirror.tree.nodes().filter(is_open).map(|node| node.id).collect()
        };
        opened.dead_slots = left_open.len() as u64;
        if !left_open.is_empty() {
            self.abandon_slots(&left_open)?;
        }
        let named: BTreeSet<u32> = self.state().runs.ids().collect();
        let mut highest = 0;
        for entry in self.disk.list(&runs_folder(&self.folder))? {
            let Some(id) = run_id(&entry.name) else { continue };
            highest = highest.max(id);
            if !named.contains(&id) {
                self.disk.remove(&run_path(&self.folder, id))?;
                opened.removed_runs += 1;
            }
        }
        self.next_run.fetch_max(highest + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends writing; gives the journal if it was open for that.
    pub(crate) fn close_chain(&self) -> Option<Journal> {
        let mut chain = self.chain.write().expect("nobody panics while holding it");
        match std::mem::replace(&mut *chain, Chain::Closed) {
            Chain::Writer(journal) => Some(journal),
            reader @ Chain::Reader(_) => {
                *chain = reader;
                None
            }
            Chain::Closed => None,
        }
    }

    /// Waits until everything that was accepted is durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        Ok(self.chain().writer()?.sync()?)
    }

    /// Appends an event, which builds on what the mirror says; the mirror's lock is held by the
    /// caller, who applies it.
    pub(crate) fn append(
        &self,
        mirror: &Mirror,
        batch: &Batch,
        options: &AppendOptions<'_>,
    ) -> Result<icecore_journal::Ticket, Error> {
        let options = AppendOptions { generation: mirror.generation, ..*options };
        let chain = self.chain();
        let ticket = chain.writer()?.submit(batch, &options)?;
        ticket.wait(Durability::Buffered)?;
        Ok(ticket)
    }
}
