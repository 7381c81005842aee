//! Spilling: what slots wrote that are not final goes from memory to runs when there is much of it
//! (rule R19).
//!
//! 1. When the tail takes half of what it may (three quarters, for a writer that the keeper does not
//!    keep up with), what is final is flushed. If that does not suffice, the oldest slots that are
//!    complete are chosen until a quarter would be left, and the chain is made durable.
//! 2. Their versions are sorted and written to *spilled* runs, a few slots or many together. The slot
//!    of a row is the slot's identity, so that slots of all forks can share a run.
//! 3. The next state has these runs, and a tail without what is in them; the run set is written, so
//!    that an open and readers in other processes need not hold it in memory either.
//! 4. Spilled runs are merged as delta runs are, so that there are few; rows of slots that are final or
//!    forgotten by then are left out. A run of which half the slots are gone is written again, one of
//!    which all are is dropped.
//!
//! Invariants:
//! - Only what is durable is spilled: nothing of it is ever taken back.
//! - A slot is spilled after those that it was built on: they have lower identities, which are chosen
//!   first.
//! - Segments with records that spilled runs lead to are not compacted: a record says its slot's number
//!   and not its identity, so it must stay where its commit says it is.
//!
//! Memory: what is sorted is a part of the tail or a whole slot, and takes twice its room. Views keep
//! the tail that they began with: what is left of it is there beside it until they are gone. A single
//! slot can exceed the budget: it is gathered in memory until it is complete.
//!
//! What it does *not* do: hold open slots up, or spill what is being written.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, Range},
    sync::Arc,
};

use icecore_types::Slot;

use crate::{
    Error, SlotId, SlotState,
    events::StoreEvent,
    merging::due,
    run::{
        BY_OWNER, BY_PUBKEY, KeySource, Merge, MergedRow, Run, RunInfo, RunKind, SlotCommit,
        merged_slots,
    },
    run_set::{PairEntry, RunSet, SpilledPair, runs_folder},
    shared::{Mirror, RecordKeys, Shared, State},
    tail::{SlotIndex, VERSION_BYTES},
    tree::Node,
};

/// Runs that are made at once, at most, and one of what is left over. With [`DELTAS_MAX`](crate::merging::DELTAS_MAX) others they
/// can be merged at once.
const PARTS_MAX: u64 = 4;

/// A slot in the tail that is to be spilled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToSpill {
    pub(crate) id: SlotId,
    pub(crate) index: SlotIndex,
    pub(crate) event: u64,
    pub(crate) versions: u64,
}

/// What is merged out of spilled runs.
pub(crate) struct SpilledMerge<'a> {
    pub(crate) kind: RunKind,
    pub(crate) to: Slot,
    /// The slot that rows of a spilled slot are given; `None`: they are left out.
    pub(crate) slot_of: &'a dyn Fn(SlotId) -> Option<Slot>,
    /// What the run says of slots.
    pub(crate) commits: Vec<SlotCommit>,
    /// Rows by pubkey, about.
    pub(crate) versions: u64,
}

/// How much of a spilled run is of slots that are final or forgotten, when it is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Garbage {
    Any,
    Half,
}

impl Garbage {
    fn is_reached(self, slots: usize, kept: usize) -> bool {
        match self {
            Self::Any => kept < slots,
            Self::Half => 2 * kept < slots,
        }
    }
}

impl Shared {
    /// Makes room in the tail when it takes so much: what is final is flushed, what is not is spilled.
    pub(crate) fn make_room(&self, limit: u64) -> Result<(), Error> {
        if self.tail_bytes() < limit {
            return Ok(());
        }
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let made = self.flush_kept().and_then(|()| self.spill_kept());
        self.remove_stray_runs();
        made
    }

    /// Memory that the tail takes when the keeper makes room.
    pub(crate) fn spilled_from(&self) -> u64 {
        self.options.tail_bytes_max / 2
    }

    /// Spills the oldest slots if there is reason to. Whoever calls keeps.
    fn spill_kept(&self) -> Result<(), Error> {
        let bytes = self.tail_bytes();
        if bytes < self.spilled_from() {
            return Ok(());
        }
        // So many that the new ones can be merged with all that there are.
        self.merge_spilled(Garbage::Half)?;
        let excess = bytes - self.options.tail_bytes_max / 4;
        let chosen = self.durably(|mirror| oldest(mirror, excess))?;
        if chosen.is_empty() {
            return Ok(());
        }
        self.spill_slots(&chosen)?;
        self.save_set()?;
        self.merge_spilled(Garbage::Half)
    }

    /// Spills these slots, which are durable; the run set is not written yet.
    pub(crate) fn spill_slots(&self, slots: &[ToSpill]) -> Result<(), Error> {
        if slots.is_empty() {
            return Ok(());
        }
        let state = self.state();
        let versions: u64 = slots.iter().map(|slot| slot.versions).sum();
        let mut spilled = Vec::new();
        for part in parts(slots, part_versions(versions)) {
            spilled.push(self.write_spilled(&state, part)?);
        }
        self.disk.sync_folder(&runs_folder(&self.folder))?;
        let mut mirror = self.mirror();
        let before = self.state();
        for slot in slots {
            if let Some(node) = mirror.tree.get_mut(slot.id) {
                node.is_spilled = true;
            }
        }
        let add = |runs: &mut RunSet| runs.spilled.extend(spilled);
        self.next_state(&mirror, &before, add, &[]);
        Ok(())
    }

    fn write_spilled(&self, state: &State, slots: &[ToSpill]) -> Result<SpilledPair, Error> {
        let ids: BTreeMap<SlotIndex, SlotId> =
            slots.iter().map(|slot| (slot.index, slot.id)).collect();
        let slot_of = |index| ids.get(&index).map(|id| id.0);
        let mut commits: Vec<_> =
            slots.iter().map(|slot| SlotCommit { slot: slot.id.0, sequence: slot.event }).collect();
        commits.sort_unstable();
        let to = commits.last().expect("there is a slot").slot;
        let entry = self.write_tail(state, RunKind::Spilled, to, &slot_of, commits)?;
        SpilledPair::open(&*self.disk, &self.folder, self.identity, &entry, &state.runs)
    }

    /// Merges spilled runs until nothing is due. Whoever calls keeps.
    pub(crate) fn merge_spilled(&self, garbage: Garbage) -> Result<(), Error> {
        loop {
            let kept: BTreeSet<SlotId> = {
                let mirror = self.current_mirror_kept()?;
                mirror
                    .tree
                    .nodes()
                    .filter(|node| node.is_only_spilled())
                    .map(|node| node.id)
                    .collect()
            };
            let state = self.state();
            let Some(range) = spilled_due(&state.runs.spilled, &kept, garbage) else {
                return Ok(());
            };
            let merged = self.merged_spilled(&state, &state.runs.spilled[range.clone()], &kept)?;
            self.disk.sync_folder(&runs_folder(&self.folder))?;
            {
                let mirror = self.mirror();
                let change = |runs: &mut RunSet| drop(runs.spilled.splice(range, merged));
                self.next_state(&mirror, &self.state(), change, &[]);
            }
            self.save_set()?;
            self.remove_stray_runs();
        }
    }

    /// Leaves out of spilled runs all that is final or forgotten.
    pub(crate) fn merge_spilled_wholly(&self) -> Result<(), Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let merged = self.merge_spilled(Garbage::Any);
        self.remove_stray_runs();
        merged
    }

    /// One pair of runs with what of these is kept, if something is.
    fn merged_spilled(
        &self,
        state: &State,
        pairs: &[SpilledPair],
        kept: &BTreeSet<SlotId>,
    ) -> Result<Option<SpilledPair>, Error> {
        let runs = pairs.iter().map(|pair| Arc::clone(&pair.runs.by_pubkey)).collect();
        let is_kept = |commit: &Result<SlotCommit, Error>| match commit {
            Ok(commit) => kept.contains(&SlotId(commit.slot)),
            Err(_) => true,
        };
        let commits: Vec<_> = merged_slots(runs).filter(is_kept).collect::<Result<_, _>>()?;
        let Some(last) = commits.last() else { return Ok(None) };
        let merge = SpilledMerge {
            kind: RunKind::Spilled,
            to: last.slot,
            slot_of: &|id| kept.contains(&id).then_some(id.0),
            commits,
            versions: pairs.iter().map(SpilledPair::versions).sum(),
        };
        let entry = self.merge_spilled_pairs(state, pairs, &merge)?;
        SpilledPair::open(&*self.disk, &self.folder, self.identity, &entry, &state.runs).map(Some)
    }

    /// Writes runs of both orders with rows of spilled ones.
    pub(crate) fn merge_spilled_pairs(
        &self,
        state: &State,
        pairs: &[SpilledPair],
        merge: &SpilledMerge<'_>,
    ) -> Result<PairEntry, Error> {
        let is_wanted =
            |pair: &&SpilledPair| pair.slots.iter().any(|id| (merge.slot_of)(*id).is_some());
        let pairs: Vec<&SpilledPair> = pairs.iter().rev().filter(is_wanted).collect();
        let by_pubkey = pairs.iter().map(|pair| Arc::clone(&pair.runs.by_pubkey)).collect();
        let by_pubkey: RunInfo =
            self.merge_spilled_runs::<BY_PUBKEY>(state, by_pubkey, merge, merge.commits.clone())?;
        let by_owner: Option<Vec<_>> = match self.owner_order {
            true => Some(pairs.iter().filter_map(|pair| pair.runs.by_owner.clone()).collect()),
            false => None,
        };
        let by_owner = by_owner
            .map(|runs| self.merge_spilled_runs::<BY_OWNER>(state, runs, merge, Vec::new()))
            .transpose()?;
        Ok(PairEntry::of(merge.kind, merge.to, by_pubkey, by_owner))
    }

    fn merge_spilled_runs<const K: usize>(
        &self,
        state: &State,
        runs: Vec<Arc<Run<K>>>,
        merge: &SpilledMerge<'_>,
        commits: Vec<SlotCommit>,
    ) -> Result<RunInfo, Error>
    where
        for<'a> RecordKeys<'a>: KeySource<K>,
    {
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let rows: u64 = runs.iter().map(|run| run.info().rows).sum();
        // An account that changes its owner has two rows by owner.
        let mut writer = self.run_writer(merge.kind, merge.to, rows.min(2 * merge.versions))?;
        let mut merged = Merge::new(&runs, Bound::Unbounded, &keys)?;
        while let Some(row) = merged.next_row()? {
            if let Some(slot) = (merge.slot_of)(SlotId(row.slot)) {
                writer.push_merged(&MergedRow { slot, ..row }, row.locator, &keys)?;
            }
        }
        writer.finish_merged(commits.into_iter().map(Ok), &keys)
    }

    /// Spills what slots wrote that are not final and that no run holds, reading it from their
    /// extents, if it is too much for the tail. The run set is there, and nobody else has the store.
    pub(crate) fn spill_from_extents(&self) -> Result<(), Error> {
        let unflushed: Vec<(SlotId, SlotIndex, u64)> = {
            let mirror = self.mirror();
            let nodes = mirror.tree.nodes().filter(|node| !node.is_flushed && !node.is_spilled);
            nodes.filter_map(|node| Some((node.id, node.index, node.event?))).collect()
        };
        for (id, index, event) in unflushed {
            let StoreEvent::Committed(committed) = self.store_event(event)? else { continue };
            let versions = self.versions_of(&self.history.read(event)?, &committed, index)?;
            if let Some(node) = self.mirror().tree.get_mut(id) {
                node.versions = versions.len() as u64;
            }
            self.state().tail.add(versions);
            self.spill_kept()?;
        }
        Ok(())
    }
}

/// The oldest complete slots in the tail that take so many bytes.
fn oldest(mirror: &Mirror, bytes: u64) -> Vec<ToSpill> {
    let is_complete = |node: &&Node| {
        matches!(node.state, SlotState::Committed | SlotState::Abandoned | SlotState::Rooted)
    };
    let in_tail = mirror.tree.nodes().filter(|node| !node.is_flushed && !node.is_spilled);
    let mut taken = 0;
    in_tail
        .filter(is_complete)
        .filter(|node| node.versions > 0)
        .take_while(|node| {
            let is_wanted = taken < bytes;
            taken += node.versions * VERSION_BYTES as u64;
            is_wanted
        })
        .map(|node| ToSpill {
            id: node.id,
            index: node.index,
            event: node.event.expect("a complete slot has its event"),
            versions: node.versions,
        })
        .collect()
}

/// Versions of a part. Slots that wrote nothing do not make parts of their own.
fn part_versions(all: u64) -> u64 {
    all.div_ceil(PARTS_MAX).max(1)
}

/// Slots in parts of at least so many versions, but for the last.
fn parts(slots: &[ToSpill], versions: u64) -> impl Iterator<Item = &[ToSpill]> {
    let mut rest = slots;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let full = rest.iter().position(|slot| {
            sum += slot.versions;
            sum >= versions
        });
        let (part, behind) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        rest = behind;
        (!part.is_empty()).then_some(part)
    })
}

/// Which spilled runs are to become one.
fn spilled_due(
    spilled: &[SpilledPair],
    kept: &BTreeSet<SlotId>,
    garbage: Garbage,
) -> Option<Range<usize>> {
    let is_wasteful = |pair: &SpilledPair| {
        let kept = pair.slots.iter().filter(|id| kept.contains(id)).count();
        garbage.is_reached(pair.slots.len(), kept)
    };
    if let Some(place) = spilled.iter().position(is_wasteful) {
        return Some(place..place + 1);
    }
    let lengths: Vec<u64> = spilled.iter().map(SpilledPair::versions).collect();
    due(&lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_and_hold_whole_slots() {
        let slot = |number: u64, versions| ToSpill {
            id: SlotId(number),
            index: SlotIndex(number as u32),
            event: 0,
            versions,
        };
        for versions in [[1; 7], [9, 0, 0, 1, 0, 0, 1], [0, 0, 3, 0, 0, 0, 0], [0; 7]] {
            let slots: Vec<_> =
                versions.iter().zip(1..).map(|(versions, id)| slot(id, *versions)).collect();
            let sum: u64 = versions.iter().sum();
            let parts: Vec<_> = parts(&slots, part_versions(sum)).collect();
            assert!(parts.len() as u64 <= PARTS_MAX + 1, "{parts:?}");
            let ids: Vec<_> = parts.concat().iter().map(|slot| slot.id.0).collect();
            assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
        }
        assert_eq!(parts(&[], 0).count(), 0);
    }
}
