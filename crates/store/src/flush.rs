//! From the tail to runs: what became final since the last flush (rule R15).
//!
//! 1. What is to be flushed is decided under the mirror's lock: all final slots that no run of such
//!    holds. The chain is made durable: runs only hold what is.
//! 2. Their versions are sorted and written to a pair of delta runs for each window that they lie in
//!    (there can be two when an archive was restored since), without any lock that writers need. Were
//!    some of these slots spilled, the others are as well now, and the delta runs are merged out of
//!    spilled runs: so a flush needs no more memory than the tail, however much becomes final.
//! 3. The next state has the new runs, and a tail without what is in them. Views keep the one before.
//! 4. The run set is written. Should the process end before, the next open reads the same versions
//!    from the chain again.
//!
//! What it does *not* do: merge runs (see `merging`).

use std::{collections::BTreeMap, sync::Arc};

use icecore_journal::Digest;
use icecore_types::{Hash, Slot};

use crate::{
    Error, SlotId, SlotState,
    events::List,
    locator::SizeClass,
    run::{BY_OWNER, BY_PUBKEY, Row, RunHeader, RunKind, RunWriter, SlotCommit},
    run_set::{NodeEntry, PairEntry, RunPair, RunSet, SetFile, Window, run_path, runs_folder},
    shared::{Mirror, Shared, State, owner_key},
    spilling::{Garbage, SpilledMerge, ToSpill},
    tail::{SlotIndex, TailVersion},
    taking_back::ATTEMPTS_MAX,
};

/// Final slots of one window that are to be flushed.
#[derive(Debug)]
struct Due {
    window: usize,
    after: Slot,
    /// By index.
    slots: BTreeMap<SlotIndex, DueSlot>,
}

#[derive(Debug, Clone, Copy)]
struct DueSlot {
    id: SlotId,
    number: Slot,
    event: u64,
    versions: u64,
    is_spilled: bool,
}

impl Due {
    fn to(&self) -> Slot {
        self.slots.values().map(|slot| slot.number).max().expect("there is a slot")
    }

    fn has_spilled(&self) -> bool {
        self.slots.values().any(|slot| slot.is_spilled)
    }

    fn commits(&self) -> Vec<SlotCommit> {
        let mut commits: Vec<_> = self
            .slots
            .values()
            .map(|slot| SlotCommit { slot: slot.number, sequence: slot.event })
            .collect();
        commits.sort_unstable_by_key(|commit| commit.slot);
        commits
    }
}

impl Shared {
    /// Flushes everything that is final.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        self.flush_kept()
    }

    /// The same, by whoever keeps.
    pub(crate) fn flush_kept(&self) -> Result<(), Error> {
        let flushed = self.flush_due();
        self.remove_stray_runs();
        flushed
    }

    fn flush_due(&self) -> Result<(), Error> {
        // So few that what is added can be read and merged with them.
        self.make_room_for_delta()?;
        self.merge_spilled(Garbage::Half)?;
        let due = self.durably(|mirror| self.due(mirror))?;
        if due.is_empty() {
            return Ok(());
        }
        let has_spilled = due.iter().any(Due::has_spilled);
        if has_spilled {
            let in_tail =
                due.iter().flat_map(|due| &due.slots).filter(|(_, slot)| !slot.is_spilled);
            let in_tail: Vec<ToSpill> = in_tail
                .map(|(index, slot)| ToSpill {
                    id: slot.id,
                    index: *index,
                    event: slot.event,
                    versions: slot.versions,
                })
                .collect();
            self.spill_slots(&in_tail)?;
        }
        let state = self.state();
        let mut pairs = Vec::new();
        for due in &due {
            let pair = match has_spilled {
                true => self.merge_delta(&state, due)?,
                false => self.write_delta(&state, due)?,
            };
            pairs.push((due.window, pair));
        }
        self.disk.sync_folder(&runs_folder(&self.folder))?;
        {
            // What is flushed is durable. Should anything else of the mirror be taken back by now, the
            // set is not written.
            let mut mirror = self.mirror();
            let before = self.state();
            for due in &due {
                for slot in due.slots.values() {
                    if let Some(node) = mirror.tree.get_mut(slot.id) {
                        node.is_flushed = true;
                    }
                }
            }
            self.purge(&mut mirror);
            let add = |runs: &mut RunSet| {
                for (window, pair) in pairs {
                    runs.windows[window].deltas.push(pair);
                }
            };
            self.next_state(&mirror, &before, add, &[]);
        }
        self.save_set()
    }

    /// Chooses slots, all of which are durable then.
    pub(crate) fn durably<T>(&self, choose: impl Fn(&Mirror) -> Vec<T>) -> Result<Vec<T>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (chosen, generation) = {
                let mirror = self.current_mirror_kept()?;
                (choose(&mirror), mirror.generation)
            };
            if chosen.is_empty() {
                return Ok(chosen);
            }
            self.sync()?;
            if generation == Some(self.generation()) {
                return Ok(chosen);
            }
        }
        Err(self.taken_back_too_often())
    }

    /// What is final and in no run of final slots, by window.
    fn due(&self, mirror: &Mirror) -> Vec<Due> {
        let windows = &self.state().runs.windows;
        let mut due: BTreeMap<usize, Due> = BTreeMap::new();
        for node in mirror.tree.nodes() {
            if node.state != SlotState::Rooted || node.is_flushed {
                continue;
            }
            // The node of a later base point is flushed; so its window is the one it was built on.
            let window = windows.iter().rposition(|window| window.first() < node.number);
            let window = window.expect("a slot is built on a base point");
            let after = windows[window].flushed_to();
            let event = node.event.expect("a final slot is complete");
            due.entry(window)
                .or_insert_with(|| Due { window, after, slots: BTreeMap::new() })
                .slots
                .insert(
                    node.index,
                    DueSlot {
                        id: node.id,
                        number: node.number,
                        event,
                        versions: node.versions,
                        is_spilled: node.is_spilled,
                    },
                );
        }
        due.into_values().collect()
    }

    fn write_delta(&self, state: &State, due: &Due) -> Result<RunPair, Error> {
        let kind = RunKind::Delta { after: due.after };
        let number = |index| due.slots.get(&index).map(|slot| slot.number);
        let entry = self.write_tail(state, kind, due.to(), &number, due.commits())?;
        RunPair::open(&*self.disk, &self.folder, self.identity, &entry, &state.runs)
    }

    /// The same of slots that are all in spilled runs.
    fn merge_delta(&self, state: &State, due: &Due) -> Result<RunPair, Error> {
        let kind = RunKind::Delta { after: due.after };
        let numbers: BTreeMap<SlotId, Slot> =
            due.slots.values().map(|slot| (slot.id, slot.number)).collect();
        let merge = SpilledMerge {
            kind,
            to: due.to(),
            slot_of: &|id| numbers.get(&id).copied(),
            commits: due.commits(),
            versions: due.slots.values().map(|slot| slot.versions).sum(),
        };
        let entry = self.merge_spilled_pairs(state, &state.runs.spilled, &merge)?;
        RunPair::open(&*self.disk, &self.folder, self.identity, &entry, &state.runs)
    }

    /// Writes versions of the tail to runs of both orders: those of the slots that `slot_of` gives
    /// rows a slot for.
    pub(crate) fn write_tail(
        &self,
        state: &State,
        kind: RunKind,
        to: Slot,
        slot_of: &dyn Fn(SlotIndex) -> Option<Slot>,
        commits: Vec<SlotCommit>,
    ) -> Result<PairEntry, Error> {
        let mut versions: Vec<TailVersion> = Vec::new();
        state.tail.for_each(|version| {
            if slot_of(version.slot).is_some() {
                versions.push(*version);
            }
        });
        let slot = |version: &TailVersion| slot_of(version.slot).expect("only these were taken");
        versions.sort_unstable_by_key(|version| (version.key, u64::MAX - slot(version)));
        let rows = versions.len() as u64;
        let mut writer = self.run_writer::<BY_PUBKEY>(kind, to, rows)?;
        for version in &versions {
            let (slot, locator) = (slot(version), version.locator);
            writer.push(&Row { key: version.key.0, slot, locator })?;
        }
        let by_pubkey = writer.finish(commits.into_iter().map(Ok))?;
        let by_owner = match self.owner_order {
            false => None,
            true => {
                let rows = self.owner_rows(state, &versions, slot)?;
                let mut writer = self.run_writer::<BY_OWNER>(kind, to, rows.len() as u64)?;
                rows.iter().try_for_each(|row| writer.push(row))?;
                Some(writer.finish([])?)
            }
        };
        Ok(PairEntry::of(kind, to, by_pubkey, by_owner))
    }

    /// The rows of the second order: where live versions are, and which accounts left which owner.
    fn owner_rows(
        &self,
        state: &State,
        versions: &[TailVersion],
        slot: impl Fn(&TailVersion) -> Slot,
    ) -> Result<Vec<Row<BY_OWNER>>, Error> {
        let mut rows = Vec::with_capacity(versions.len());
        for version in versions {
            let slot = slot(version);
            let locator = version.locator;
            if locator.class() != SizeClass::TOMBSTONE {
                rows.push(Row { key: owner_key(&version.owner, &version.key), slot, locator });
            }
            if version.has_previous_owner {
                let previous = self.record(&state.runs.segments, locator, |version| {
                    *version.previous_owner.expect("the tail says that it has one")
                })?;
                let locator = locator.with_class(SizeClass::DEPARTURE);
                rows.push(Row { key: owner_key(&previous, &version.key), slot, locator });
            }
        }
        rows.sort_unstable_by_key(|row| (row.key, u64::MAX - row.slot));
        Ok(rows)
    }

    /// Begins a run.
    pub(crate) fn run_writer<const K: usize>(
        &self,
        kind: RunKind,
        to: Slot,
        rows_max: u64,
    ) -> Result<RunWriter<K>, Error> {
        let id = self.take_run_id();
        self.stray_runs.add([id]);
        let path = run_path(&self.folder, id);
        let (sequence, digest) = self.chain_end()?;
        let header = RunHeader { id, kind, to, sequence, digest };
        RunWriter::create(&*self.disk, &path, self.identity, header, rows_max)
    }

    /// The last event that is durable, and its digest.
    pub(crate) fn chain_end(&self) -> Result<(u64, Digest), Error> {
        let last = self.history.durable_end().saturating_sub(1);
        Ok((last, self.history.read(last)?.digest()))
    }

    /// Makes the next state: other runs, and what of the tail is in none of them; spilled runs that
    /// hold nothing any more that others do not are left out. The mirror's lock is held: nobody adds
    /// to the tail meanwhile.
    pub(crate) fn next_state(
        &self,
        mirror: &Mirror,
        before: &State,
        change: impl FnOnce(&mut RunSet),
        without_segments: &[u32],
    ) {
        let in_tail = |node: &&crate::tree::Node| !node.is_flushed && !node.is_spilled;
        let kept: std::collections::HashSet<SlotIndex> =
            mirror.tree.nodes().filter(in_tail).map(|node| node.index).collect();
        let mut runs = before.runs.clone();
        change(&mut runs);
        runs.number = before.runs.number + 1;
        runs.segments = self.renewed_segments(&before.runs.segments, without_segments);
        let is_spilled =
            |id: &SlotId| mirror.tree.get(*id).is_some_and(crate::tree::Node::is_only_spilled);
        runs.spilled.retain(|spilled| spilled.slots.iter().any(is_spilled));
        let tail = before.tail.retained(|version| kept.contains(&version.slot));
        let state = State { tail, runs };
        self.stray_runs.add(before.runs.ids());
        *self.state.write().expect("nobody panics while holding it") = Arc::new(state);
    }

    /// Forgets slots that are too far behind the root.
    fn purge(&self, mirror: &mut Mirror) {
        mirror.tree.purge(self.options.keep_abandoned_slots);
    }

    /// Writes the run set that counts now. Whoever calls keeps, or is alone.
    pub(crate) fn save_set(&self) -> Result<(), Error> {
        let (mut set, generation) = {
            let mirror = self.current_mirror_kept()?;
            let runs = &self.state().runs;
            let set = SetFile {
                number: runs.number,
                covered_end: self.chain().writer()?.progress().accepted,
                covered_digest: Hash::default(),
                next_run: self.next_run.load(std::sync::atomic::Ordering::Relaxed),
                windows: List(runs.windows.iter().map(Window::entry).collect()),
                spilled: List(runs.spilled.iter().map(|spilled| spilled.runs.entry()).collect()),
                nodes: List(mirror.tree.nodes().map(node_entry).collect()),
                root: mirror.tree.root().map(|root| root.id),
                gaps: List(mirror.gaps.clone()),
                horizon: mirror.horizon,
            };
            (set, mirror.generation)
        };
        // What the set says that it covers must not get lost before the set does.
        self.sync()?;
        if generation != Some(self.generation()) {
            return Err(self.taken_back_too_often());
        }
        if let Some(last) = set.covered_end.checked_sub(1) {
            set.covered_digest = Hash(self.history.read(last)?.digest().0);
        }
        self.stray_runs.may_be_named(&set);
        set.write(&*self.disk, &self.folder)?;
        self.stray_runs.are_named(&set);
        Ok(())
    }
}

fn node_entry(node: &crate::tree::Node) -> NodeEntry {
    NodeEntry {
        id: node.id,
        number: node.number,
        parent: node.parent,
        state: match node.state {
            SlotState::Open => 0,
            SlotState::Committed => 1,
            SlotState::Rooted => 2,
            SlotState::Abandoned => 3,
            SlotState::Dead => 4,
        },
        event: node.event,
        rooted_by: node.rooted_by,
        is_flushed: node.is_flushed,
        is_spilled: node.is_spilled,
    }
}
