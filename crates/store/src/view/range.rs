//! All accounts of a view in the order of their addresses.
//!
//! The runs of the window are merged; of each key the newest row at or below the view's slot counts.
//! What the view sees in spilled runs goes between, or in place of what these say; and what it sees in
//! the tail, which is sorted before, in place of both.
//!
//! Memory: 256 KiB for each run, and what the view sees in the tail.

use std::{
    iter::Peekable,
    ops::{Bound, ControlFlow},
    sync::Arc,
    vec,
};

use icecore_types::{Pubkey, Slot};

use super::{View, VisitedAccount};
use crate::{
    Error,
    locator::Locator,
    run::{BY_PUBKEY, Merge},
    run_set::SpilledPair,
    shared::RecordKeys,
    spilled::{SpilledRows, whole_key},
    tail::TailVersion,
};

/// The newest version of every key of a view, tombstones included, in order.
pub(crate) struct ScanCursor<'a> {
    view: &'a View,
    keys: &'a RecordKeys<'a>,
    merge: Merge<'a, BY_PUBKEY>,
    in_runs: Option<(Pubkey, Slot, Locator)>,
    spilled: SpilledRows<'a, BY_PUBKEY>,
    in_spilled: Option<(Pubkey, Slot, Locator)>,
    in_tail: Peekable<vec::IntoIter<(Slot, TailVersion)>>,
}

impl<'a> ScanCursor<'a> {
    /// Starts at the first key that the bound lets in.
    pub(crate) fn new(
        view: &'a View,
        keys: &'a RecordKeys<'a>,
        from: Bound<&Pubkey>,
    ) -> Result<Self, Error> {
        let sight = &view.sight;
        let runs: Vec<_> = sight.pairs().map(|pair| Arc::clone(&pair.by_pubkey)).collect();
        let is_wanted = |version: &TailVersion| match from {
            Bound::Included(key) => version.key >= *key,
            Bound::Excluded(key) => version.key > *key,
            Bound::Unbounded => true,
        };
        let in_tail = sight.state.tail.newest_of_all(&sight.visible, is_wanted);
        let merge = Merge::new(&runs, from.map(|key| &key.0), keys)?;
        let by_pubkey = |spilled: &SpilledPair| Arc::clone(&spilled.runs.by_pubkey);
        let spilled = sight.spilled_rows(by_pubkey, from.map(|key| &key.0), keys)?;
        let in_tail = in_tail.into_iter().peekable();
        let mut cursor =
            Self { view, keys, merge, in_runs: None, spilled, in_spilled: None, in_tail };
        cursor.step_runs()?;
        cursor.step_spilled()?;
        Ok(cursor)
    }

    fn step_runs(&mut self) -> Result<(), Error> {
        let sight = &self.view.sight;
        self.in_runs = None;
        while let Some(row) = self.merge.next_row()? {
            let slot_max = sight.final_slot;
            if row.slot > slot_max || row.newer.is_some_and(|newer| newer <= slot_max) {
                continue;
            }
            self.in_runs = Some((whole_key(&row, self.keys)?, row.slot, row.locator));
            return Ok(());
        }
        Ok(())
    }

    fn step_spilled(&mut self) -> Result<(), Error> {
        self.in_spilled = match self.spilled.next()? {
            Some((row, slot)) => Some((whole_key(&row, self.keys)?, slot, row.locator)),
            None => None,
        };
        Ok(())
    }

    fn step_tail(&mut self) -> Option<(Pubkey, Slot, Locator)> {
        let (slot, version) = self.in_tail.next()?;
        Some((version.key, slot, version.locator))
    }

    /// The next key with its newest version.
    pub(crate) fn next(&mut self) -> Result<Option<(Pubkey, Slot, Locator)>, Error> {
        let in_tail = self.in_tail.peek().map(|(_, version)| version.key);
        let (in_spilled, in_runs) = (self.in_spilled, self.in_runs);
        let key_of = |found: Option<(Pubkey, Slot, Locator)>| found.map(|(key, ..)| key);
        let keys = [in_tail, key_of(in_spilled), key_of(in_runs)];
        let Some(first) = keys.into_iter().flatten().min() else { return Ok(None) };
        let [is_in_tail, is_spilled, is_in_runs] = keys.map(|key| key == Some(first));
        if is_spilled {
            self.step_spilled()?;
        }
        if is_in_runs {
            self.step_runs()?;
        }
        Ok(match (is_in_tail, is_spilled) {
            (true, _) => self.step_tail(),
            (false, true) => in_spilled,
            (false, false) => in_runs,
        })
    }
}

impl View {
    /// Calls `visit` for every account with an address from one bound to the other, in order, until it
    /// breaks off.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn scan(
        &self,
        from: Bound<&Pubkey>,
        to: Bound<&Pubkey>,
        mut visit: impl FnMut(VisitedAccount<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let keys = self.sight.keys(&self.shared);
        let mut cursor = ScanCursor::new(self, &keys, from)?;
        while let Some((key, slot, locator)) = cursor.next()? {
            let is_behind = match to {
                Bound::Included(to) => key > *to,
                Bound::Excluded(to) => key >= *to,
                Bound::Unbounded => false,
            };
            if is_behind {
                break;
            }
            if !locator.class().is_live() {
                continue;
            }
            let segments = &self.sight.state.runs.segments;
            let flow = self
                .shared
                .record(segments, locator, |version| visit(VisitedAccount::of(slot, version)))?;
            self.check_lease()?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}
