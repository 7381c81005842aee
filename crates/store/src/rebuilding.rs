//! Making all runs anew, from data segments and chain alone.
//!
//! 1. All events are read: which slots are final, where stretches begin, what is kept ([`chronicle`]).
//! 2. The records that events have adopted and that are still there are read, wherever they are now,
//!    and sorted by pubkey ([`sorting`]). Each says which slot it belongs to. Of a base point the record
//!    of the highest storage slot counts (rule R20). One that was built on another has the records of
//!    both. Its event says of which accounts there are records although they are closed ([`closed`]).
//! 3. For each stretch a complete run is written, at its first slot that is kept, and a delta run of
//!    what was written behind it.
//! 4. The records are read again for the order of owners: those that these runs lead to, and their
//!    departures.
//! 5. What slots wrote that are not final is spilled if there is much of it.
//! 6. The run set is written, and run files that it does not name are removed.
//!
//! Accounts are counted and compared with what the chain states of each complete run's slot.
//!
//! Memory: rows as [`sorting`] bounds them, and 16 bytes for each final slot.
//!
//! What it does *not* do: repair records.

mod chronicle;
mod closed;
mod sorting;

use std::{collections::BTreeSet, ops::ControlFlow, path::Path, sync::Arc};

use icecore_disk::{Disk, RealDisk};
use icecore_journal::{By, Event, Journal, Query};
use icecore_types::Slot;

use self::{
    chronicle::{Chronicle, Kept, Stretch},
    closed::Closed,
    sorting::Sorter,
};
use crate::{
    Error, Locator, Options, Origin, SizeClass, Store,
    compaction::facts::{RECORD_KINDS, record_extents},
    events::StoreEvent,
    open::{JOURNAL_FOLDER, absent, assembled},
    record::Version,
    replay::for_each_record,
    run::{BY_OWNER, BY_PUBKEY, RunInfo, RunKind, RunWriter, SlotCommit},
    run_set::{
        PairEntry, RunEntry, RunPair, RunSet, SetFile, Window, run_id, run_path, runs_folder,
    },
    segments::Segments,
    shared::{Chain, Mirror, RecordKeys, Shared, State, owner_key},
    tail::Tail,
};

/// How far rebuilding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RebuildStep {
    /// Bytes of records read so far.
    pub bytes_done: u64,
    /// Bytes to be read, about.
    pub bytes_total: u64,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Windows.
    pub windows: u64,
    /// Run files.
    pub runs: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first slot that is kept.
    pub first: Option<Slot>,
    /// The last.
    pub last: Option<Slot>,
}

impl Store {
    /// Makes all runs of a store anew on the real disk.
    ///
    /// # Errors
    /// As [`Self::rebuild_index_on`].
    pub fn rebuild_index(
        folder: impl AsRef<Path>,
        options: Options,
        report: &mut dyn FnMut(&RebuildStep) -> ControlFlow<()>,
    ) -> Result<Rebuilt, Error> {
        Self::rebuild_index_on(Arc::new(RealDisk), folder, options, report)
    }

    /// Makes all runs of a store anew. Those that there are stay as long as it is not done. `report`
    /// is told how far it is, and can break off.
    ///
    /// # Errors
    /// [`Error::NoStore`]; [`icecore_journal::Error::Locked`] while another process writes it;
    /// [`Error::Corrupt`] when a record is damaged; [`icecore_journal::Error::Interrupted`].
    pub fn rebuild_index_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        options: Options,
        report: &mut dyn FnMut(&RebuildStep) -> ControlFlow<()>,
    ) -> Result<Rebuilt, Error> {
        let folder = folder.as_ref();
        let journal_folder = folder.join(JOURNAL_FOLDER);
        let opened = Journal::open_on(Arc::clone(&disk), &journal_folder, options.journal.clone());
        let journal = opened.map_err(|error| absent(error, folder))?;
        let shared = assembled(disk, folder, Chain::Writer(journal), options)?;
        let rebuilt = shared.rebuild(report)?;
        let mut chain = shared.chain.write().expect("nobody panics while holding it");
        match std::mem::replace(&mut *chain, Chain::Closed) {
            Chain::Writer(journal) => journal.close()?,
            Chain::Reader(_) | Chain::Closed => {}
        }
        Ok(rebuilt)
    }
}

/// The records of all events, as they are read.
struct Records<'a> {
    shared: &'a Shared,
    chronicle: &'a Chronicle,
    step: RebuildStep,
    report: &'a mut dyn FnMut(&RebuildStep) -> ControlFlow<()>,
}

/// A record that belongs into a run.
struct Found<'a> {
    stretch: usize,
    /// That it counts for in this stretch.
    slot: Slot,
    locator: Locator,
    version: &'a Version<'a>,
}

impl Records<'_> {
    /// Shows every record that is there of final slots of which something is kept, in the order of
    /// events.
    fn for_each(
        &mut self,
        mut visit: impl FnMut(Found<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let sequences = 0..self.chronicle.end;
        // Moved records come last: it does not matter which copy counts, but both orders agree.
        for of in RECORD_KINDS {
            for event in
                self.shared.history.scan(Query::new(By::Kind(of)).sequences(sequences.clone()))?
            {
                self.event(&event?, &mut visit)?;
            }
        }
        Ok(())
    }

    fn event(
        &mut self,
        event: &Event,
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (shared, chronicle) = (self.shared, self.chronicle);
        let payload = shared.history.payload(event)?;
        let Some(decoded) = StoreEvent::decode(event, &payload)? else { return Ok(()) };
        if let StoreEvent::Committed(committed) = &decoded {
            let slot = committed.bank.slot;
            let stretch = chronicle.stretch_of(slot).map(|place| &chronicle.stretches[place]);
            let commit = stretch.and_then(|stretch| stretch.commit(slot));
            if commit.is_none_or(|commit| commit.sequence != event.sequence()) {
                return Ok(());
            }
        }
        let extents = event.extents();
        for extent in &extents[..record_extents(&decoded, &extents)] {
            match shared.history.open_extent(extent) {
                // What was needed of it is elsewhere.
                Err(icecore_journal::Error::ExtentDropped { .. }) => continue,
                opened => drop(opened?),
            }
            for_each_record(&shared.history, shared.seed(), extent, |place, version| {
                let locator = version.locator(place.0, place.1);
                for (stretch, slot) in belongs(chronicle, version) {
                    visit(Found { stretch, slot, locator, version })?;
                }
                Ok(())
            })?;
            self.step.bytes_done += extent.bytes;
            if (self.report)(&self.step).is_break() {
                return Err(icecore_journal::Error::Interrupted.into());
            }
        }
        Ok(())
    }
}

/// The stretches whose runs a record of a final slot can be in, and the slots that it counts for there:
/// one of a base point also in those that were built on it.
fn belongs<'c>(
    chronicle: &'c Chronicle,
    version: &Version<'_>,
) -> impl Iterator<Item = (usize, Slot)> + use<'c> {
    let slot = version.slot;
    let own = chronicle.stretch_of(slot);
    let is_base = matches!(version.origin, Origin::Restored { .. });
    let is_of_slot = own.is_some_and(|place| {
        let stretch = &chronicle.stretches[place];
        if is_base { slot == stretch.first } else { stretch.commit(slot).is_some() }
    });
    let is_kept = move |stretch: &Stretch| match stretch.kept {
        Kept::Nothing => false,
        Kept::BasePoint => is_base,
        Kept::From(_) => true,
    };
    let stretches = chronicle.stretches.iter().enumerate().skip(own.unwrap_or(0));
    stretches.filter(move |_| is_of_slot).filter_map(move |(place, stretch)| {
        let counts_for = match Some(place) == own {
            true => slot,
            false if is_base && stretch.built_on == own => stretch.first,
            false => return None,
        };
        is_kept(stretch).then_some((place, counts_for))
    })
}

impl Shared {
    /// Makes all runs anew, and the run set.
    fn rebuild(
        &self,
        report: &mut dyn FnMut(&RebuildStep) -> ControlFlow<()>,
    ) -> Result<Rebuilt, Error> {
        let folder = runs_folder(&self.folder);
        self.disk.create_folder(&folder)?;
        self.disk.sync_folder(&self.folder)?;
        let ids: Vec<u32> =
            self.disk.list(&folder)?.iter().filter_map(|entry| run_id(&entry.name)).collect();
        let first_free = ids.iter().max().map_or(1, |id| id + 1);
        self.next_run.store(first_free, std::sync::atomic::Ordering::Relaxed);
        let segments = self.renewed_segments(&Segments::default(), &[]);
        let number = SetFile::read(&*self.disk, &self.folder).ok().flatten();
        // Beyond that of any set that a reader may have seen.
        let number = number.map_or(self.history.end(), |set| set.number) + 1;
        let empty = RunSet { number, windows: Vec::new(), spilled: Vec::new(), segments };
        self.set_state(empty.clone());
        let chronicle = self.chronicle()?;
        let bytes_of_records: u64 =
            self.history.data_segments().iter().map(|info| info.bytes).sum();
        let passes = 1 + u64::from(self.owner_order);
        let step = RebuildStep { bytes_done: 0, bytes_total: bytes_of_records * passes };
        let mut records = Records { shared: self, chronicle: &chronicle, step, report };
        let drafts = self.by_pubkey(&mut records)?;
        let windows = self.with_owners(&mut records, drafts)?;
        self.disk.sync_folder(&folder)?;
        let Chronicle { tree, gaps, horizon, base, end, .. } = chronicle;
        let last = tree.root().map(|root| root.number);
        *self.mirror() = Mirror {
            tree,
            applied_end: end,
            generation: Some(self.generation()),
            base,
            gaps,
            horizon,
            ..Mirror::default()
        };
        self.set_state(RunSet { windows, ..empty });
        self.spill_from_extents()?;
        self.save_set()?;
        self.remove_stray_runs();
        let state = self.state();
        let named: BTreeSet<u32> = state.runs.ids().collect();
        for id in ids.into_iter().filter(|id| !named.contains(id)) {
            self.disk.remove(&run_path(&self.folder, id))?;
        }
        let mut rebuilt = Rebuilt {
            windows: state.runs.windows.len() as u64,
            first: self.first_slot(),
            last,
            ..Rebuilt::default()
        };
        for pair in state.runs.pairs() {
            let by_owner = pair.by_owner.as_ref().map(|run| *run.info());
            for info in [*pair.by_pubkey.info()].into_iter().chain(by_owner) {
                rebuilt.runs += 1;
                rebuilt.rows += info.rows;
                rebuilt.bytes += info.bytes;
            }
        }
        Ok(rebuilt)
    }

    fn set_state(&self, runs: RunSet) {
        let state = Arc::new(State { tail: Tail::default(), runs });
        *self.state.write().expect("nobody panics while holding it") = state;
    }

    /// The runs by pubkey of each stretch of which something is kept.
    fn by_pubkey(&self, records: &mut Records<'_>) -> Result<Vec<Draft>, Error> {
        let chronicle = records.chronicle;
        let mut sorter = Sorter::<BY_PUBKEY>::new(self);
        records.for_each(|found| {
            let version = found.version;
            let slot = match version.origin {
                // Within a base point the storage's slot decides; all are older than what comes.
                Origin::Restored { written } => written.min(version.slot),
                Origin::First | Origin::Replaces { .. } => version.slot,
            };
            sorter.push(found.stretch, version.account.pubkey.0, slot, found.locator)
        })?;
        sorter.end()?;
        let mut drafts = Vec::new();
        for (place, stretch) in chronicle.stretches.iter().enumerate() {
            if stretch.kept != Kept::Nothing {
                let base = stretch.built_on.map(|place| chronicle.stretches[place].base);
                let closed = [Some(stretch.base), base].into_iter().flatten();
                let closed = closed.map(|event| self.closed_of(event));
                let closed = closed.collect::<Result<Vec<_>, _>>()?;
                drafts.push(self.draft(&sorter, place, stretch, closed)?);
            }
        }
        Ok(drafts)
    }

    fn draft(
        &self,
        sorter: &Sorter<'_, BY_PUBKEY>,
        place: usize,
        stretch: &Stretch,
        mut closed: Vec<Closed>,
    ) -> Result<Draft, Error> {
        let state = self.state();
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let (first, commits) = match stretch.kept {
            Kept::From(slot) => {
                let behind = stretch.slots.partition_point(|commit| commit.slot <= slot);
                (slot, &stretch.slots[behind..])
            }
            Kept::Nothing | Kept::BasePoint => (stretch.first, &[][..]),
        };
        let rows_max = sorter.rows(place);
        let mut complete = self.run_writer::<BY_PUBKEY>(RunKind::Complete, first, rows_max)?;
        let mut delta = match commits.last() {
            None => None,
            Some(last) => {
                let kind = RunKind::Delta { after: first };
                Some(self.run_writer::<BY_PUBKEY>(kind, last.slot, rows_max)?)
            }
        };
        sorter.for_each(place, &keys, |mut row| {
            for closed in &mut closed {
                if closed.closes(&row, &keys)? {
                    return Ok(());
                }
            }
            let is_newest = row.slot <= first && row.newer.is_none_or(|newer| newer > first);
            row.slot = row.slot.max(stretch.first);
            match &mut delta {
                Some(delta) if row.slot > first => delta.push_merged(&row, row.locator, &keys),
                _ if is_newest && row.locator.class().is_live() => {
                    complete.push_merged(&row, row.locator, &keys)
                }
                _ => Ok(()),
            }
        })?;
        let stated = self.totals_of(stretch, first)?.num_accounts;
        if complete.rows() != stated {
            let found = complete.rows();
            let what = format!(
                "slot {first} has {stated} accounts, but records of {found} are left; the runs that there are were not touched"
            );
            return Err(Error::Event { sequence: stretch.base, what });
        }
        let of_first: Vec<SlotCommit> = stretch.commit(first).into_iter().collect();
        let complete = complete.finish_merged(of_first.into_iter().map(Ok), &keys)?;
        let delta = match (delta, commits.last()) {
            (Some(delta), Some(last)) => {
                let info = delta.finish_merged(commits.iter().copied().map(Ok), &keys)?;
                Some((info, last.slot))
            }
            _ => None,
        };
        let base = (first == stretch.first).then_some(stretch.base);
        let last = match stretch.kept {
            Kept::BasePoint => stretch.first,
            Kept::Nothing | Kept::From(_) => stretch.last(),
        };
        Ok(Draft { stretch: place, first, complete, delta, base, last })
    }

    /// The runs by owner, and with them the windows.
    fn with_owners(
        &self,
        records: &mut Records<'_>,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Window>, Error> {
        let mut windows = drafts
            .iter()
            .map(|draft| self.window(draft, None, None))
            .collect::<Result<Vec<_>, Error>>()?;
        if self.owner_order {
            let mut sorter = Sorter::<BY_OWNER>::new(self);
            records.for_each(|found| {
                let place = drafts.iter().position(|draft| draft.stretch == found.stretch);
                let place = place.expect("of what is kept there is a draft");
                self.owner_rows_of(&mut sorter, place, &windows[place], &found)
            })?;
            sorter.end()?;
            for (place, draft) in drafts.iter().enumerate() {
                let kind = RunKind::Complete;
                let complete = self.owner_run(&sorter, 2 * place, kind, draft.first)?;
                let kind = RunKind::Delta { after: draft.first };
                let delta = match draft.delta {
                    None => None,
                    Some((_, to)) => Some(self.owner_run(&sorter, 2 * place + 1, kind, to)?),
                };
                windows[place] = self.window(draft, Some(complete), delta)?;
            }
        }
        let count = windows.len();
        for (place, window) in windows.iter_mut().enumerate() {
            if place + 1 < count {
                window.last = Some(drafts[place].last);
            }
        }
        Ok(windows)
    }

    fn window(
        &self,
        draft: &Draft,
        complete_owner: Option<RunInfo>,
        delta_owner: Option<RunInfo>,
    ) -> Result<Window, Error> {
        let open = |after, to, by_pubkey: RunInfo, by_owner: Option<RunInfo>| {
            let entry = PairEntry {
                after,
                to,
                by_pubkey: RunEntry::from(by_pubkey),
                by_owner: by_owner.map(RunEntry::from),
            };
            RunPair::open(&*self.disk, &self.folder, self.identity, &entry, &RunSet::default())
        };
        let complete = open(None, draft.first, draft.complete, complete_owner)?;
        let deltas = match draft.delta {
            None => Vec::new(),
            Some((info, to)) => vec![open(Some(draft.first), to, info, delta_owner)?],
        };
        Ok(Window { complete, deltas, base: draft.base, last: None })
    }

    /// The rows by owner of a record that a run by pubkey leads to.
    fn owner_rows_of(
        &self,
        sorter: &mut Sorter<'_, BY_OWNER>,
        place: usize,
        window: &Window,
        found: &Found<'_>,
    ) -> Result<(), Error> {
        let state = self.state();
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let Found { slot, locator, version, .. } = *found;
        let account = &version.account;
        let delta = window.deltas.first().filter(|_| slot > window.first());
        let pair = delta.unwrap_or(&window.complete);
        let sought = self.identity.seek(&account.pubkey.0);
        let known = pair.by_pubkey.versions(sought, slot..=slot, &keys)?.next().transpose()?;
        if known.is_none_or(|(_, known)| known != locator) {
            return Ok(());
        }
        let heap = 2 * place + usize::from(delta.is_some());
        if locator.class().is_live() {
            sorter.push(heap, owner_key(account.owner, account.pubkey), slot, locator)?;
        }
        if let (Some(previous), Some(_)) = (version.previous_owner, delta) {
            let locator = locator.with_class(SizeClass::DEPARTURE);
            sorter.push(heap, owner_key(previous, account.pubkey), slot, locator)?;
        }
        Ok(())
    }

    fn owner_run(
        &self,
        sorter: &Sorter<'_, BY_OWNER>,
        heap: usize,
        kind: RunKind,
        to: Slot,
    ) -> Result<RunInfo, Error> {
        let state = self.state();
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let mut writer: RunWriter<BY_OWNER> = self.run_writer(kind, to, sorter.rows(heap))?;
        sorter.for_each(heap, &keys, |row| writer.push_merged(&row, row.locator, &keys))?;
        writer.finish_merged([], &keys)
    }
}

/// The runs by pubkey of a stretch.
#[derive(Debug)]
struct Draft {
    stretch: usize,
    /// The first slot that is kept.
    first: Slot,
    complete: RunInfo,
    /// With its last slot.
    delta: Option<(RunInfo, Slot)>,
    base: Option<u64>,
    last: Slot,
}
