//! Records against runs.
//!
//! Records are read in the order of events; for each the runs in which it can be are asked. A row leads
//! to one place, so if as many rows were met as a run has, every row leads to the record that it should.

use std::collections::BTreeMap;

use icecore_journal::{By, Event, Query};
use icecore_types::Slot;

use super::{CheckPhase, Work};
use crate::{
    Error, Locator, Origin, SizeClass, SlotId, Store,
    compaction::facts::{RECORD_KINDS, record_extents},
    events::{StoreEvent, kind},
    record::Version,
    replay::for_each_record,
    run::{KeySource, Run, RunKind},
    run_set::{RunPair, SpilledPair, Window},
    shared::{RecordKeys, Shared, State, owner_key},
};

/// Rows that were met, by run.
type Met = BTreeMap<u32, u64>;

/// What a record is held against.
struct Runs<'a> {
    shared: &'a Shared,
    state: &'a State,
    /// Base points, and those that were built on them, by their slots.
    built_on: Vec<(Slot, Slot)>,
    met: Met,
    records: u64,
}

impl Work<'_, '_> {
    pub(super) fn records(&mut self, store: &Store) -> Result<(), Error> {
        let shared = &*store.shared;
        let state = shared.state();
        let total = shared.history.data_segments().iter().map(|info| info.bytes).sum();
        let Some(built_on) = self.noted(built_on(shared))? else { return Ok(()) };
        let mut runs = Runs { shared, state: &state, built_on, met: Met::new(), records: 0 };
        let mut done = 0;
        for of in RECORD_KINDS {
            for event in shared.history.scan(Query::new(By::Kind(of)))? {
                self.tell(CheckPhase::Records, done, total)?;
                let taken = event.map_err(Error::from).and_then(|event| runs.event(&event));
                done += self.noted(taken)?.unwrap_or(0);
            }
        }
        self.found.records = runs.records;
        let Runs { met, .. } = runs;
        for pair in state.runs.pairs() {
            let by_owner = pair.by_owner.as_ref().map(|run| (*run.info(), run.path()));
            let by_pubkey = (*pair.by_pubkey.info(), pair.by_pubkey.path());
            for (info, path) in [by_pubkey].into_iter().chain(by_owner) {
                let met = met.get(&info.id).copied().unwrap_or(0);
                if met != info.rows {
                    let what = format!(
                        "{met} of {} rows lead to a record of their account, slot and owner",
                        info.rows
                    );
                    self.damage(path, 0, what);
                }
            }
        }
        for pair in state.runs.windows.iter().flat_map(Window::pairs) {
            self.noted(Runs::slots(shared, pair))?;
        }
        for spilled in &state.runs.spilled {
            self.noted(Runs::spilled_slots(shared, spilled))?;
        }
        Ok(())
    }
}

impl<'a> Runs<'a> {
    /// Takes the records of an event; gives their bytes.
    fn event(&mut self, event: &Event) -> Result<u64, Error> {
        let shared = self.shared;
        let payload = shared.history.payload(event)?;
        let Some(decoded) = StoreEvent::decode(event, &payload)? else { return Ok(0) };
        let (is_final, spilled) = match &decoded {
            StoreEvent::Committed(committed) => {
                (self.is_final(committed.bank.slot, event)?, self.spilled(committed.id))
            }
            _ => (true, None),
        };
        let extents = event.extents();
        let mut bytes = 0;
        for extent in &extents[..record_extents(&decoded, &extents)] {
            match shared.history.open_extent(extent) {
                Err(icecore_journal::Error::ExtentDropped { .. }) => continue,
                opened => drop(opened?),
            }
            for_each_record(&shared.history, shared.seed(), extent, |place, version| {
                self.records += 1;
                let locator = version.locator(place.0, place.1);
                if let Some((id, pair)) = spilled
                    && !self.meet(pair, id.0, locator, version)?
                {
                    return Err(Error::Corrupt {
                        path: pair.by_pubkey.path().to_path_buf(),
                        offset: 0,
                        what: "the run lacks a version of one of its slots",
                    });
                }
                match is_final {
                    true => self.record(locator, version),
                    false => Ok(()),
                }
            })?;
            bytes += extent.bytes;
        }
        Ok(bytes)
    }

    /// Whether runs name the commit of a slot.
    fn is_final(&self, slot: Slot, event: &Event) -> Result<bool, Error> {
        for window in self.state.runs.windows.iter().filter(|window| window.first() <= slot) {
            match self.shared.flushed_slot_at(window, slot) {
                Ok(found) if found.event == event.sequence() => return Ok(true),
                Ok(_) | Err(Error::NoFork { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Of what lies before the first slot nothing is known but what is still needed of it.
        Ok(self.state.runs.windows.first().is_some_and(|window| slot < window.first()))
    }

    /// The spilled runs that hold what a slot wrote.
    fn spilled(&self, id: SlotId) -> Option<(SlotId, &'a RunPair)> {
        let state = self.state;
        let holds = |spilled: &&SpilledPair| spilled.slots.binary_search(&id).is_ok();
        state.runs.spilled.iter().find(holds).map(|spilled| (id, &spilled.runs))
    }

    /// A record of a base point counts for its slot, and for those that were built on it.
    fn record(&mut self, locator: Locator, version: &Version<'_>) -> Result<(), Error> {
        self.counted(version.slot, locator, version)?;
        if matches!(version.origin, Origin::Restored { .. }) {
            for place in 0..self.built_on.len() {
                let (base, slot) = self.built_on[place];
                if base == version.slot {
                    self.counted(slot, locator, version)?;
                }
            }
        }
        Ok(())
    }

    fn counted(
        &mut self,
        slot: Slot,
        locator: Locator,
        version: &Version<'_>,
    ) -> Result<(), Error> {
        let state = self.state;
        for window in &state.runs.windows {
            if slot <= window.first() {
                if window.base.is_none() || slot == window.first() {
                    self.meet(&window.complete, slot, locator, version)?;
                }
            } else if window.last.is_none_or(|last| slot <= last) {
                let reaches = |delta: &&RunPair| delta.after < Some(slot) && slot <= delta.to;
                let Some(delta) = window.deltas.iter().find(reaches) else { continue };
                let is_there = self.meet(delta, slot, locator, version)?;
                if !is_there && !self.is_elsewhere(delta, version)? {
                    return Err(Error::Corrupt {
                        path: delta.by_pubkey.path().to_path_buf(),
                        offset: 0,
                        what: "the run lacks a version that became final in its slots",
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a pair of runs leads to this record, with rows of this slot; counts the rows that do.
    fn meet(
        &mut self,
        pair: &RunPair,
        slot: Slot,
        locator: Locator,
        version: &Version<'_>,
    ) -> Result<bool, Error> {
        let account = &version.account;
        let keys = RecordKeys { shared: self.shared, segments: &self.state.runs.segments };
        if !leads(self.shared, &pair.by_pubkey, &account.pubkey.0, slot, locator, &keys)? {
            return Ok(false);
        }
        *self.met.entry(pair.by_pubkey.info().id).or_default() += 1;
        let Some(by_owner) = &pair.by_owner else { return Ok(true) };
        let live = locator.class().is_live().then_some((account.owner, locator));
        let is_complete = pair.by_pubkey.header().kind == RunKind::Complete;
        let departed = version.previous_owner.filter(|_| !is_complete);
        let departed = departed.map(|owner| (owner, locator.with_class(SizeClass::DEPARTURE)));
        for (owner, locator) in live.into_iter().chain(departed) {
            let key = owner_key(owner, account.pubkey);
            if leads(self.shared, by_owner, &key, slot, locator, &keys)? {
                *self.met.entry(by_owner.info().id).or_default() += 1;
            } else {
                return Err(Error::Corrupt {
                    path: by_owner.path().to_path_buf(),
                    offset: 0,
                    what: "the run lacks a row of an owner that the run by address has",
                });
            }
        }
        Ok(true)
    }

    /// Whether a run leads to a copy of the record: a move that did not come to its end leaves two.
    fn is_elsewhere(&self, pair: &RunPair, version: &Version<'_>) -> Result<bool, Error> {
        let keys = RecordKeys { shared: self.shared, segments: &self.state.runs.segments };
        let sought = self.shared.identity.seek(&version.account.pubkey.0);
        let slots = version.slot..=version.slot;
        Ok(pair.by_pubkey.versions(sought, slots, &keys)?.next().transpose()?.is_some())
    }

    /// The slots that a spilled run names are those of the commits that it names.
    fn spilled_slots(shared: &Shared, spilled: &SpilledPair) -> Result<(), Error> {
        let run = &spilled.runs.by_pubkey;
        for index in 0..run.slots() {
            let commit = run.slot(index)?;
            let event = shared.store_event(commit.sequence)?;
            if !matches!(event, StoreEvent::Committed(of) if of.id == SlotId(commit.slot)) {
                return Err(Error::Corrupt {
                    path: run.path().to_path_buf(),
                    offset: 0,
                    what: "the run names another slot's event for a slot",
                });
            }
        }
        Ok(())
    }

    /// The slots that a run names are those of the events that it names.
    fn slots(shared: &Shared, pair: &RunPair) -> Result<(), Error> {
        for index in 0..pair.by_pubkey.slots() {
            let commit = pair.by_pubkey.slot(index)?;
            let (bank, _) = shared.bank_at(commit.sequence)?;
            if bank.slot != commit.slot {
                return Err(Error::Corrupt {
                    path: pair.by_pubkey.path().to_path_buf(),
                    offset: 0,
                    what: "the run names another slot's event for a slot",
                });
            }
        }
        Ok(())
    }
}

/// Base points, and those that were built on them, by their slots.
fn built_on(shared: &Shared) -> Result<Vec<(Slot, Slot)>, Error> {
    let mut found = Vec::new();
    shared.for_each_event(kind::BASE, 0..shared.history.durable_end(), |_, decoded| {
        if let StoreEvent::Base(point) = decoded
            && let Some(event) = point.built_on
        {
            let (base, _) = shared.bank_at(event)?;
            found.push((base.slot, point.facts.bank.slot));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether a run has a row of this key and slot that leads here.
fn leads<const K: usize>(
    shared: &Shared,
    run: &Run<K>,
    key: &[u8; K],
    slot: Slot,
    locator: Locator,
    keys: &dyn KeySource<K>,
) -> Result<bool, Error> {
    let sought = shared.identity.seek(key);
    let found = run.versions(sought, slot..=slot, keys)?.next().transpose()?;
    Ok(found.is_some_and(|(_, found)| found == locator))
}
