//! Compaction: the room of records that nobody needs comes back (rule R17).
//!
//! 1. *Survey*: how much of each data segment runs and tail lead to (`survey`, `facts`). Segments with
//!    much garbage are chosen; never one with records that only tail or spilled runs lead to.
//! 2. *Move*: the records that runs lead to are read in the order in which they lie, checked, and
//!    written again through a bulk session; what they are does not change, only where (`moving`).
//! 3. *Adopt*: one event says which segments are not used any more, adopts the new records, and states
//!    the lattice hashes of what was moved and of what was left out.
//! 4. *Exchange*: runs that lead to moved records are written anew, and the run set is replaced. Tables
//!    of segments that views still use open the old segments, so that views read on.
//! 5. *Give back*: the journal drops the old records' extents, keeps the others elsewhere, and removes
//!    the files.
//!
//! A crash or an error before 4 leaves the old segments as they are; the new ones are garbage then, for
//! the next compaction. After 4 the old ones are.
//!
//! What it does *not* do: decide which versions are kept; `retention` does, and runs say so.

pub(crate) mod facts;
mod moving;
mod survey;

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use icecore_journal::{CompactionRule, Event, Extent, ExtentFate};
use icecore_types::Slot;

pub use survey::SegmentUse;

use self::{
    facts::record_extents,
    moving::MovedTo,
    survey::{LiveRecords, choose, place_of},
};
use crate::{
    Error, Locator, Store,
    events::StoreEvent,
    run::{KeySource, Run, RunHeader, RunInfo, rewrite_locators},
    run_set::{PairEntry, RunEntry, RunPair, Window, run_path},
    segments::Segments,
    shared::{RecordKeys, Shared, State},
};

/// A segment is rewritten when so many percent of it are garbage: what is alive then takes 1.33 times
/// its own room at most.
pub(crate) const GARBAGE_PERCENT_MIN: u64 = 25;

/// Bytes of records that are moved at a time, about. Where they went is in memory meanwhile, 16 bytes
/// each: 128 MiB for the smallest records.
pub(crate) const MOVED_BYTES_MAX: u64 = 1 << 30;

/// Segments that are rewritten at a time, at most: the journal takes no more.
pub(crate) const INPUTS_MAX: usize = 64;

/// Times that the segments with most garbage are rewritten in one call, at most: with 64 of at least
/// 64 KiB each time that is more than there are.
const ROUNDS_MAX: usize = 1 << 18;

/// What compacting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compaction {
    /// Data segments that are gone.
    pub segments: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes that were written in their place.
    pub bytes_after: u64,
    /// Records that were moved.
    pub records_moved: u64,
    /// Records that nobody needed.
    pub records_left_out: u64,
}

impl Compaction {
    /// Whether all that was rewritten is alive: how much is garbage is known about, and a segment of a
    /// few small records can look worse than it is. It would do so again and again.
    fn is_vain(&self) -> bool {
        self.records_left_out == 0
    }
}

/// When the keeper looked for garbage last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastLook {
    data_bytes: u64,
    first_slot: Option<Slot>,
}

impl Store {
    /// Flushes, drops what is not to be kept, and gives back the room of records that nobody needs.
    /// Writers and readers go on meanwhile.
    ///
    /// # Errors
    /// What the disk said; nothing is lost then, and the next call goes on.
    pub fn compact(&self) -> Result<Compaction, Error> {
        let shared = &self.shared;
        shared.flush()?;
        shared.merge_runs()?;
        shared.merge_spilled_wholly()?;
        shared.retain()?;
        let mut sum = Compaction::default();
        for _ in 0..ROUNDS_MAX {
            let Some(done) = shared.compact_once()? else { break };
            sum.segments += done.segments;
            sum.bytes_before += done.bytes_before;
            sum.bytes_after += done.bytes_after;
            sum.records_moved += done.records_moved;
            sum.records_left_out += done.records_left_out;
            if done.is_vain() {
                break;
            }
        }
        Ok(sum)
    }
}

impl Shared {
    /// Compacts if there may be reason to: more was dropped, or much was written, since the last look.
    pub(crate) fn compact_if_due(&self) -> Result<(), Error> {
        if self.underway.is_building() {
            // Nothing would be looked at; what there is to give back is looked for afterwards.
            return Ok(());
        }
        let look = || -> Result<LastLook, Error> {
            let segments = self.chain().writer()?.data_segments();
            let data_bytes = segments.iter().map(|info| info.bytes).sum();
            Ok(LastLook { data_bytes, first_slot: self.first_slot() })
        };
        let now = look()?;
        let last = *self.last_look.lock().expect("nobody panics while holding it");
        let has_grown = now.data_bytes.saturating_sub(last.data_bytes) * 100
            >= now.data_bytes.saturating_mul(GARBAGE_PERCENT_MIN);
        if now.first_slot == last.first_slot && !has_grown {
            return Ok(());
        }
        while let Some(done) = self.compact_once()? {
            if self.wakeup.is_ending() {
                return Ok(());
            }
            if done.is_vain() {
                break;
            }
        }
        *self.last_look.lock().expect("nobody panics while holding it") = look()?;
        Ok(())
    }

    /// Rewrites the segments with most garbage; `None`: there are none worth it.
    pub(crate) fn compact_once(&self) -> Result<Option<Compaction>, Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        if self.underway.is_building() {
            return Ok(None);
        }
        let inputs = choose(&self.survey()?);
        if inputs.is_empty() {
            return Ok(None);
        }
        let state = self.state();
        let live = self.live_in(&state, &inputs)?;
        let moved = self.move_records(&state, &inputs, &live)?;
        let windows = self.rewritten_windows(&state, &inputs, &live, &moved)?;
        let ids: Vec<u32> = inputs.iter().copied().collect();
        self.exchange_runs(windows, &ids)?;
        let state = self.state();
        if state.runs.windows.iter().flat_map(Window::pairs).any(|pair| live.leads(pair)) {
            // The state was made again of the set before: the new runs do not count.
            return Err(self.taken_back_too_often());
        }
        self.open_for_views(&ids)?;
        let decide = |event: &Event, extent: &Extent| match self.is_of_records(event, extent) {
            true => ExtentFate::Drop,
            false => ExtentFate::Keep,
        };
        let rule = CompactionRule {
            segments: Some(&ids),
            decide: Some(&decide),
            horizon: moved.horizon,
            ..CompactionRule::default()
        };
        let compacted = self.chain().writer()?.compact_data(&rule)?;
        Ok(Some(Compaction {
            segments: compacted.inputs.len() as u64,
            bytes_before: compacted.bytes_before,
            bytes_after: compacted.bytes_after + moved.bytes,
            records_moved: moved.records,
            records_left_out: moved.left_out,
        }))
    }

    /// Whether an extent holds records, as far as its event can be understood.
    fn is_of_records(&self, event: &Event, extent: &Extent) -> bool {
        let Ok(payload) = self.history.payload(event) else { return false };
        let Ok(Some(decoded)) = StoreEvent::decode(event, &payload) else { return false };
        let extents = event.extents();
        extents[..record_extents(&decoded, &extents)].contains(extent)
    }

    /// The windows, with new runs where records have moved.
    fn rewritten_windows(
        &self,
        state: &State,
        inputs: &BTreeSet<u32>,
        live: &LiveRecords,
        moved: &MovedTo,
    ) -> Result<Vec<Window>, Error> {
        let mut windows = state.runs.windows.clone();
        for window in &mut windows {
            let pairs = [&mut window.complete].into_iter().chain(&mut window.deltas);
            for pair in pairs.filter(|pair| live.leads(pair)) {
                let by_pubkey = self.rewrite_run(state, &pair.by_pubkey, inputs, moved)?;
                let by_owner = match &pair.by_owner {
                    Some(run) => Some(self.rewrite_run(state, run, inputs, moved)?),
                    None => None,
                };
                let entry = PairEntry {
                    after: pair.after,
                    to: pair.to,
                    by_pubkey: RunEntry::from(by_pubkey),
                    by_owner: by_owner.map(RunEntry::from),
                };
                *pair =
                    RunPair::open(&*self.disk, &self.folder, self.identity, &entry, &state.runs)?;
            }
        }
        Ok(windows)
    }

    fn rewrite_run<const K: usize>(
        &self,
        state: &State,
        run: &Arc<Run<K>>,
        inputs: &BTreeSet<u32>,
        moved: &MovedTo,
    ) -> Result<RunInfo, Error>
    where
        for<'a> RecordKeys<'a>: KeySource<K>,
    {
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let id = self.take_run_id();
        self.stray_runs.add([id]);
        let (sequence, digest) = self.chain_end()?;
        let RunHeader { kind, to, .. } = *run.header();
        let header = RunHeader { id, kind, to, sequence, digest };
        let path = run_path(&self.folder, id);
        let is_lost = Cell::new(false);
        let place = |locator: Locator| {
            if !inputs.contains(&locator.segment()) {
                return Some(locator);
            }
            let now = moved.find(place_of(locator), locator.class());
            if now.is_none() {
                is_lost.set(true);
            }
            now
        };
        let info = rewrite_locators(run, &*self.disk, &path, self.identity, header, &keys, &place)?;
        match is_lost.get() {
            false => Ok(info),
            true => Err(Error::Corrupt {
                path: run.path().to_path_buf(),
                offset: 0,
                what: "a row of the run leads to where no record was adopted",
            }),
        }
    }

    /// Views that look into these segments go on doing so when the files are gone.
    fn open_for_views(&self, segments: &[u32]) -> Result<(), Error> {
        let tables: Vec<Arc<Segments>> = {
            let in_use = self.segments_in_use.lock().expect("nobody panics while holding it");
            in_use.iter().filter_map(Weak::upgrade).collect()
        };
        let current = self.state();
        for table in tables {
            // The current one would keep the files as long as the store is open.
            if Arc::ptr_eq(&table, &current.runs.segments) {
                continue;
            }
            for segment in segments {
                table.open(&self.history, *segment)?;
            }
        }
        Ok(())
    }
}
