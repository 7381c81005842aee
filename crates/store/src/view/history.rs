//! All versions of an account that are kept, and what differs between two slots.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow, RangeInclusive},
    sync::Arc,
};

use icecore_types::{Account, Hash, Pubkey, Slot};

use super::{AccountVersion, View, VisitedAccount, range::ScanCursor};
use crate::{
    Error, SlotId, Store,
    locator::Locator,
    run::{Merge, Run},
    run_set::Window,
    shared::{RecordKeys, Shared, State},
    tree::Node,
};

/// A version of an account; one with zero lamports says that it was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryVersion {
    /// The slot that it counts from.
    pub slot: Slot,
    /// The slot in which it was last written (see [`AccountVersion::written`]).
    pub written: Slot,
    /// The slot's bank hash.
    pub bank_hash: Hash,
    /// Whether the slot is final.
    pub is_rooted: bool,
    /// Whether the version was restored with a base point.
    pub is_base: bool,
    /// The content.
    pub account: Account,
}

impl Store {
    /// The versions of an account in a range of slots: those of final slots, and those of other forks
    /// as long as these are kept; oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what lies there is not what was written.
    pub fn history_of(
        &self,
        pubkey: &Pubkey,
        slots: RangeInclusive<Slot>,
    ) -> Result<Vec<HistoryVersion>, Error> {
        let shared = &self.shared;
        let (state, mut versions) = shared.unflushed_history(pubkey, &slots)?;
        for place in 0..state.runs.windows.len() {
            versions.extend(shared.window_history(&state, place, pubkey, &slots)?);
        }
        // A slot that was begun twice with one content counts once, as what became final of it.
        let order =
            |version: &HistoryVersion| (version.slot, version.bank_hash, !version.is_rooted);
        versions.sort_by_key(|version| (order(version), !version.is_base));
        versions.dedup_by_key(|version| (version.slot, version.bank_hash));
        Ok(versions)
    }
}

impl Shared {
    /// What slots wrote that runs of final slots do not hold.
    fn unflushed_history(
        &self,
        pubkey: &Pubkey,
        slots: &RangeInclusive<Slot>,
    ) -> Result<(Arc<State>, Vec<HistoryVersion>), Error> {
        let mut found = Vec::new();
        let (state, spilled) = {
            let mirror = self.current_mirror()?;
            let state = self.state();
            let is_durable =
                |event: Option<u64>| event.is_some_and(|event| event < mirror.durable_end);
            let wanted = |node: &&Node| slots.contains(&node.number) && is_durable(node.event);
            let facts =
                |node: &Node| (node.number, node.bank.bank_hash, is_durable(node.rooted_by));
            for version in state.tail.versions(pubkey) {
                let node = mirror.tree.nodes().find(|node| node.index == version.slot);
                found.extend(node.filter(wanted).map(|node| (facts(node), version.locator)));
            }
            let spilled = mirror.tree.nodes().filter(|node| node.is_only_spilled()).filter(wanted);
            let spilled: BTreeMap<SlotId, _> = spilled.map(|node| (node.id, facts(node))).collect();
            (state, spilled)
        };
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let sought = self.identity.seek(&pubkey.0);
        if let Some((last, _)) = spilled.last_key_value() {
            for pair in &state.runs.spilled {
                for version in pair.runs.by_pubkey.versions(sought, 0..=last.0, &keys)? {
                    let (id, locator) = version?;
                    found.extend(spilled.get(&SlotId(id)).map(|facts| (*facts, locator)));
                }
            }
        }
        let read = |((slot, bank_hash, is_rooted), locator): ((Slot, Hash, bool), Locator)| {
            self.history_version(&state, slot, bank_hash, is_rooted, locator)
        };
        let versions = found.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok((state, versions))
    }

    fn window_history(
        &self,
        state: &State,
        place: usize,
        pubkey: &Pubkey,
        slots: &RangeInclusive<Slot>,
    ) -> Result<Vec<HistoryVersion>, Error> {
        let window = &state.runs.windows[place];
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let sought = self.identity.seek(&pubkey.0);
        let mut found: Vec<(Slot, Locator)> = Vec::new();
        for pair in window.pairs() {
            // A complete run that was merged repeats what the window before has.
            let is_repetition = pair.after.is_none() && window.base.is_none() && place > 0;
            if !is_repetition {
                for version in pair.by_pubkey.versions(sought, slots.clone(), &keys)? {
                    found.push(version?);
                }
            }
        }
        let mut versions = Vec::new();
        for (slot, locator) in found {
            let bank_hash = self.bank_hash_of(window, slot)?;
            versions.push(self.history_version(state, slot, bank_hash, true, locator)?);
        }
        Ok(versions)
    }

    /// The bank hash of a final slot that runs know; of a slot before the first that is kept nothing
    /// is known any more.
    fn bank_hash_of(&self, window: &Window, slot: Slot) -> Result<Hash, Error> {
        match self.flushed_slot_at(window, slot) {
            Ok(found) if found.number == slot => Ok(found.bank.bank_hash),
            Ok(_) | Err(Error::NoFork { .. }) => Ok(Hash::default()),
            Err(error) => Err(error),
        }
    }

    fn history_version(
        &self,
        state: &State,
        slot: Slot,
        bank_hash: Hash,
        is_rooted: bool,
        locator: Locator,
    ) -> Result<HistoryVersion, Error> {
        self.record(&state.runs.segments, locator, |version| {
            let is_base = matches!(version.origin, crate::Origin::Restored { .. });
            let AccountVersion { slot, written, account } =
                VisitedAccount::of(slot, version).to_owned();
            HistoryVersion { slot, written, bank_hash, is_rooted, is_base, account }
        })
    }
}

/// An account that differs between two views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// Its address.
    pub pubkey: Pubkey,
    /// What it was; `None`: it was not there.
    pub before: Option<AccountVersion>,
    /// What it is; `None`: it is closed.
    pub after: Option<AccountVersion>,
}

impl View {
    /// Calls `visit` for every account that differs in another view, in the order of addresses.
    /// Accounts that were written again without a change are left out.
    ///
    /// Where both views see one chain in one stretch, only what was written between them is looked
    /// at; otherwise all accounts of both are.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn diff(
        &self,
        after: &View,
        mut visit: impl FnMut(AccountChange) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut compare = |pubkey: Pubkey| -> Result<ControlFlow<()>, Error> {
            let (old, new) = (self.get(&pubkey)?, after.get(&pubkey)?);
            let content = |version: &Option<AccountVersion>| {
                version.as_ref().map(|version| version.account.clone())
            };
            if content(&old) == content(&new) {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(AccountChange { pubkey, before: old, after: new }))
        };
        if let Some(runs) = self.runs_between(after) {
            for pubkey in self.written_between(after, &runs)? {
                if compare(pubkey)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let (keys, other_keys) = (self.sight.keys(&self.shared), after.sight.keys(&after.shared));
        let mut old = ScanCursor::new(self, &keys, Bound::Unbounded)?;
        let mut new = ScanCursor::new(after, &other_keys, Bound::Unbounded)?;
        let (mut left, mut right) = (old.next()?, new.next()?);
        loop {
            let (in_old, in_new) = (left.map(|found| found.0), right.map(|found| found.0));
            let Some(pubkey) = in_old.into_iter().chain(in_new).min() else { return Ok(()) };
            // The same record is the same account.
            let is_same = left.map(|found| found.2) == right.map(|found| found.2);
            if in_old == Some(pubkey) {
                left = old.next()?;
            }
            if in_new == Some(pubkey) {
                right = new.next()?;
            }
            let is_same = is_same && in_old == in_new;
            if !is_same && compare(pubkey)?.is_break() {
                return Ok(());
            }
        }
    }

    /// The delta runs that hold what was written between two views of one stretch of the final chain;
    /// `None` when they are not of one.
    fn runs_between(&self, after: &View) -> Option<Vec<Arc<Run<32>>>> {
        let state = &after.sight.state;
        let (from, to) = (self.sight.final_slot, after.sight.final_slot);
        let is_final = |view: &View| view.sight.final_slot == view.slot.number;
        if !is_final(self) || !is_final(after) || from > to {
            return None;
        }
        let first = crate::sight::window_of(state, from)?;
        let windows = &state.runs.windows[first..=after.sight.window];
        if windows.iter().skip(1).any(|window| window.base.is_some()) {
            return None;
        }
        let deltas = windows.iter().rev().flat_map(|window| window.deltas.iter().rev());
        let runs: Vec<_> = deltas
            .filter(|pair| pair.to > from && pair.after.is_none_or(|behind| behind < to))
            .map(|pair| Arc::clone(&pair.by_pubkey))
            .collect();
        (runs.len() <= crate::run::RUNS_MERGED_MAX).then_some(runs)
    }

    fn written_between(
        &self,
        after: &View,
        runs: &[Arc<Run<32>>],
    ) -> Result<BTreeSet<Pubkey>, Error> {
        let (from, to) = (self.sight.final_slot, after.sight.final_slot);
        let sight = &after.sight;
        let keys = sight.keys(&after.shared);
        let mut merge = Merge::new(runs, Bound::Unbounded, &keys)?;
        let mut written = BTreeSet::new();
        while let Some(row) = merge.next_row()? {
            if row.slot > from && row.slot <= to {
                let segments = &sight.state.runs.segments;
                written.insert(match row.key.as_whole() {
                    Some(key) => Pubkey(*key),
                    None => after
                        .shared
                        .record(segments, row.locator, |version| *version.account.pubkey)?,
                });
            }
        }
        sight.for_each_spilled_after(&after.shared, from, |pubkey| {
            written.insert(pubkey);
        })?;
        sight.state.tail.for_each(|version| {
            if sight.visible.number(version.slot).is_some_and(|number| number > from) {
                written.insert(version.key);
            }
        });
        Ok(written)
    }
}
