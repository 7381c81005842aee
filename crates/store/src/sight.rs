//! What can be seen from one point of the tree of slots: the tail and spilled runs as far as they are
//! visible, and the runs of one window downward from a slot.
//!
//! 1. The tail's newest visible version of the key, if there is one.
//! 2. That of spilled runs.
//! 3. Delta runs from the newest that reaches below the slot; then the complete run. The first hit is
//!    the answer: runs do not overlap, and none lies above one that is newer.
//!
//! Invariant: what is seen never changes. A flush moves versions into runs of the *next* state.
//!
//! What it does *not* do: look below the complete run of its window (rule R20).

use std::sync::Arc;

use icecore_types::{Pubkey, Slot};

use crate::{
    Error,
    locator::Locator,
    record::Version,
    run::{BY_PUBKEY, Found, Sought},
    run_set::{RunPair, Window},
    shared::{RecordKeys, Shared, State},
    tail::Visible,
};

/// A point of view.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) state: Arc<State>,
    pub(crate) visible: Visible,
    /// Runs are read downward from here.
    pub(crate) final_slot: Slot,
    /// The window that they belong to, by its place.
    pub(crate) window: usize,
}

/// Keys that are looked up side by side.
const BATCH: usize = 32;

impl Sight {
    /// The window, as it is in this state.
    pub(crate) fn window(&self) -> &Window {
        &self.state.runs.windows[self.window]
    }

    /// The runs that are looked into, newest first.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &RunPair> {
        self.window().pairs_down_from(self.final_slot)
    }

    pub(crate) fn keys<'a>(&'a self, shared: &'a Shared) -> RecordKeys<'a> {
        RecordKeys { shared, segments: &self.state.runs.segments }
    }

    /// Finds the newest version of an account and reads it. Tombstones are given like any other.
    pub(crate) fn find<R>(
        &self,
        shared: &Shared,
        key: &Pubkey,
        read: impl FnOnce(Slot, Locator, &Version<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        if let Some((slot, version)) = self.visible_newest(key) {
            return self.read(shared, slot, version, read).map(Some);
        }
        let sought = shared.identity.seek(&key.0);
        if let Some((slot, locator)) = self.spilled_newest(shared, &sought)? {
            return self.read(shared, slot, locator, read).map(Some);
        }
        self.pairs().for_each(|pair| pair.by_pubkey.prefetch_filter(&sought));
        for pair in self.pairs() {
            if let Some(found) = pair.by_pubkey.newest_at(&sought, self.final_slot)? {
                return self.confirm(shared, &sought, pair, found, read);
            }
        }
        Ok(None)
    }

    fn visible_newest(&self, key: &Pubkey) -> Option<(Slot, Locator)> {
        let (slot, version) = self.state.tail.newest(key, &self.visible)?;
        Some((slot, version.locator))
    }

    fn read<R>(
        &self,
        shared: &Shared,
        slot: Slot,
        locator: Locator,
        read: impl FnOnce(Slot, Locator, &Version<'_>) -> R,
    ) -> Result<R, Error> {
        let segments = &self.state.runs.segments;
        shared.record(segments, locator, |version| read(slot, locator, version))
    }

    /// Reads what a run has found. A row says little of its key: if the record is another account's,
    /// the run is asked again, with records deciding, and then the older ones.
    fn confirm<R>(
        &self,
        shared: &Shared,
        sought: &Sought<'_, BY_PUBKEY>,
        pair: &RunPair,
        found: Found,
        read: impl FnOnce(Slot, Locator, &Version<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let Found { slot, locator, .. } = found;
        let mut read = Some(read);
        let answer = self.read(shared, slot, locator, |slot, locator, version| {
            let is_right = version.account.pubkey.0 == *sought.key;
            let read = read.take_if(|_| is_right)?;
            Some(read(slot, locator, version))
        })?;
        if answer.is_some() {
            return Ok(answer);
        }
        let read = read.expect("not asked yet");
        let keys = self.keys(shared);
        let from_here = self.pairs().skip_while(|other| other.to != pair.to);
        for pair in from_here {
            let found = pair.by_pubkey.newest_at_certain(sought, self.final_slot, &keys)?;
            if let Some(found) = found {
                return self.read(shared, found.slot, found.locator, read).map(Some);
            }
        }
        Ok(None)
    }

    /// Finds many accounts, in the order asked.
    pub(crate) fn find_many(
        &self,
        shared: &Shared,
        keys: &[Pubkey],
        mut read: impl FnMut(usize, Slot, Locator, &Version<'_>),
    ) -> Result<(), Error> {
        for (batch, keys) in keys.chunks(BATCH).enumerate() {
            let sought: Vec<_> = keys.iter().map(|key| shared.identity.seek(&key.0)).collect();
            let in_tail = |key| {
                let (slot, locator) = self.visible_newest(key)?;
                Some(Found { slot, locator, is_certain: true })
            };
            let mut found: Vec<Option<Found>> = keys.iter().map(in_tail).collect();
            for (found, sought) in
                found.iter_mut().zip(&sought).filter(|(found, _)| found.is_none())
            {
                let newest = self.spilled_newest(shared, sought)?;
                *found = newest.map(|(slot, locator)| Found { slot, locator, is_certain: true });
            }
            // Of those that were found in runs.
            let mut pair_of: Vec<Option<&RunPair>> = vec![None; keys.len()];
            for pair in self.pairs() {
                if found.iter().all(Option::is_some) {
                    break;
                }
                let before: Vec<bool> = found.iter().map(Option::is_some).collect();
                pair.by_pubkey.newest_at_many(&sought, self.final_slot, &mut found)?;
                for (place, was_found) in before.into_iter().enumerate() {
                    if !was_found && found[place].is_some() {
                        pair_of[place] = Some(pair);
                    }
                }
            }
            let locators: Vec<_> = found.iter().flatten().map(|found| found.locator).collect();
            self.state.runs.segments.prefetch(&shared.history, &locators)?;
            for (place, found) in found.into_iter().enumerate() {
                let Some(found) = found else { continue };
                let at = batch * BATCH + place;
                let read = |slot, locator, version: &Version<'_>| read(at, slot, locator, version);
                match pair_of[place] {
                    None => self.read(shared, found.slot, found.locator, read)?,
                    Some(pair) => {
                        self.confirm(shared, &sought[place], pair, found, read)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    /// The point of view of a slot of the tree.
    pub(crate) fn sight_of(
        &self,
        mirror: &crate::shared::Mirror,
        id: crate::SlotId,
    ) -> Result<Sight, Error> {
        let state = self.state();
        let (unflushed, final_slot) =
            mirror.tree.sight(id).ok_or(Error::NoSuchSlot { slot: id })?;
        let window = window_of(&state, final_slot).ok_or(Error::NoSuchSlot { slot: id })?;
        if state.runs.windows[window].last.is_some_and(|last| last < final_slot) {
            // Of its window only the base point is kept.
            return Err(Error::NoSuchSlot { slot: id });
        }
        Ok(Sight { state, visible: Visible::of(unflushed), final_slot, window })
    }
}

/// The place of the window that a slot belongs to.
pub(crate) fn window_of(state: &State, slot: Slot) -> Option<usize> {
    state.runs.windows.iter().rposition(|window| window.first() <= slot)
}
