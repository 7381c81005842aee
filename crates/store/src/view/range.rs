//! All accounts of a view in the order of their addresses.
//!
//! The runs of the window are merged; of each key the newest row at or below the view's slot counts.
//! What the view sees in the tail is sorted and goes between, or in place of what the runs say.
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
    shared::RecordKeys,
    tail::TailVersion,
};

/// The newest version of every key of a view, tombstones included, in order.
pub(crate) struct ScanCursor<'a> {
    view: &'a View,
    merge: Merge<'a, BY_PUBKEY>,
    in_runs: Option<(Pubkey, Slot, Locator)>,
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
        let mut cursor =
            Self { view, merge, in_runs: None, in_tail: in_tail.into_iter().peekable() };
        cursor.step_runs()?;
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
            let segments = &sight.state.runs.segments;
            let key = match row.key.as_whole() {
                Some(key) => Pubkey(*key),
                None => self
                    .view
                    .shared
                    .record(segments, row.locator, |version| *version.account.pubkey)?,
            };
            self.in_runs = Some((key, row.slot, row.locator));
            return Ok(());
        }
        Ok(())
    }

    /// The next key with its newest version.
    pub(crate) fn next(&mut self) -> Result<Option<(Pubkey, Slot, Locator)>, Error> {
        let in_tail = self.in_tail.peek().map(|(_, version)| version.key);
        let in_runs = self.in_runs.map(|(key, _, _)| key);
        match (in_tail, in_runs) {
            (None, None) => Ok(None),
            (Some(tail), runs) if runs.is_none_or(|runs| tail <= runs) => {
                if runs == Some(tail) {
                    self.step_runs()?;
                }
                let (slot, version) = self.in_tail.next().expect("just peeked");
                Ok(Some((version.key, slot, version.locator)))
            }
            _ => {
                let found = self.in_runs;
                self.step_runs()?;
                Ok(found)
            }
        }
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
