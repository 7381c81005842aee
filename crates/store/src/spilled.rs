//! Reading what was spilled: versions of slots that are not final, in runs (see `spilling`).
//!
//! Spilled runs hold slots of all forks, each under its identity. A reader brings the set of those that
//! it sees, with their numbers ([`Visible`]). Along a fork identities go upward, so of the versions that
//! it sees the one with the highest identity is the newest.
//!
//! What is found in the tail is newer: a slot is spilled after those that it was built on.

use std::{ops::Bound, sync::Arc};

use icecore_types::{Pubkey, Slot};

use crate::{
    Error, SlotId,
    locator::Locator,
    run::{BY_PUBKEY, KeySource, Merge, MergedRow, Run, Sought},
    run_set::SpilledPair,
    shared::{RecordKeys, Shared},
    sight::Sight,
    tail::Visible,
};

impl Sight {
    /// Spilled runs, if something of them is seen.
    fn spilled(&self) -> &[SpilledPair] {
        match self.visible.last_spilled() {
            Some(_) => &self.state.runs.spilled,
            None => &[],
        }
    }

    /// The newest version of a key in spilled slots, for certain, with the slot's number.
    pub(crate) fn spilled_newest(
        &self,
        shared: &Shared,
        sought: &Sought<'_, BY_PUBKEY>,
    ) -> Result<Option<(Slot, Locator)>, Error> {
        let Some(last) = self.visible.last_spilled() else { return Ok(None) };
        let keys = self.keys(shared);
        self.spilled().iter().for_each(|pair| pair.runs.by_pubkey.prefetch_filter(sought));
        let mut newest: Option<(SlotId, Slot, Locator)> = None;
        for pair in self.spilled().iter().rev() {
            let is_newer = |id: SlotId| newest.is_none_or(|(newest, ..)| newest < id);
            if !is_newer(SlotId(pair.runs.to)) {
                continue;
            }
            for version in pair.runs.by_pubkey.versions(*sought, 0..=last.0, &keys)? {
                let (id, locator) = version?;
                if !is_newer(SlotId(id)) {
                    break;
                }
                if let Some(number) = self.visible.spilled_number(SlotId(id)) {
                    newest = Some((SlotId(id), number, locator));
                    break;
                }
            }
        }
        Ok(newest.map(|(_, number, locator)| (number, locator)))
    }

    /// The rows of spilled runs that are seen, the newest of each key, in order.
    pub(crate) fn spilled_rows<'a, const K: usize>(
        &'a self,
        order: impl Fn(&SpilledPair) -> Arc<Run<K>>,
        from: Bound<&[u8; K]>,
        keys: &'a dyn KeySource<K>,
    ) -> Result<SpilledRows<'a, K>, Error> {
        let runs: Vec<_> = self.spilled().iter().rev().map(order).collect();
        let merge = Merge::new(&runs, from, keys)?;
        Ok(SpilledRows { merge, visible: &self.visible, given: None })
    }

    /// Shows the keys that spilled slots after a number wrote.
    pub(crate) fn for_each_spilled_after(
        &self,
        shared: &Shared,
        after: Slot,
        mut visit: impl FnMut(Pubkey),
    ) -> Result<(), Error> {
        let keys = self.keys(shared);
        let by_pubkey = |spilled: &SpilledPair| Arc::clone(&spilled.runs.by_pubkey);
        let mut rows = self.spilled_rows(by_pubkey, Bound::Unbounded, &keys)?;
        while let Some((row, number)) = rows.next()? {
            if number > after {
                visit(whole_key(&row, &keys)?);
            }
        }
        Ok(())
    }
}

/// The key of a row by pubkey, from its record if need be.
pub(crate) fn whole_key(
    row: &MergedRow<BY_PUBKEY>,
    keys: &RecordKeys<'_>,
) -> Result<Pubkey, Error> {
    match row.key.as_whole() {
        Some(key) => Ok(Pubkey(*key)),
        None => keys.key(row.locator).map(Pubkey),
    }
}

/// Rows of spilled runs that a view sees, the newest of each key.
pub(crate) struct SpilledRows<'a, const K: usize> {
    merge: Merge<'a, K>,
    visible: &'a Visible,
    /// The number of the key whose row was given last.
    given: Option<u64>,
}

impl<const K: usize> SpilledRows<'_, K> {
    /// The next row, with the number of its slot.
    pub(crate) fn next(&mut self) -> Result<Option<(MergedRow<K>, Slot)>, Error> {
        while let Some(row) = self.merge.next_row()? {
            let number = self.visible.spilled_number(SlotId(row.slot));
            if let Some(number) = number.filter(|_| self.given != Some(row.key_number)) {
                self.given = Some(row.key_number);
                return Ok(Some((row, number)));
            }
        }
        Ok(None)
    }
}
