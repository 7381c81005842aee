//! Which slots are those of epochs' windows, of which the accounts are hashed by themselves.
//!
//! A window's slot is the first final one at or past a quarter of its epoch. It is known by itself and its
//! parent, so it is the same wherever following began. At the start the epoch that the root lies in is
//! looked at once more: its window may have come just before an end.
//!
//! What it does *not* do: hash, or look for windows of epochs that passed while the service did not run.

use icecore_store::{At, Error as StoreError};
use icecore_types::{EpochSchedule, Slot};

use super::Work;
use crate::{create::LEASE, service::Told};

impl Work<'_, '_> {
    /// The first root at or past a quarter of its epoch is that of the epoch's window: its parent lies
    /// before. So it is known by itself, wherever following began.
    pub(super) fn look_for_window(
        &mut self,
        slot: Slot,
        parent: Slot,
        epochs: &EpochSchedule,
    ) -> Result<(), StoreError> {
        let start = window_start(slot, epochs);
        if slot < start || parent >= start || self.window_done.is_some_and(|done| done >= slot) {
            return Ok(());
        }
        // Held from now on: jobs may take long before it is its turn.
        match self.store.view_for(At::Slot(slot), "accounts hash", LEASE) {
            Ok(view) => self.window_due = Some(view),
            // It will not come back: following goes on.
            Err(error) if is_not_kept(&error) => {
                self.service.tell(&Told::NotHashed { slot, why: error.to_string() });
            }
            Err(error) => return Err(error),
        }
        self.window_done = Some(slot);
        Ok(())
    }

    /// The window of the epoch that the root lies in, when its slot became final before an end and was
    /// not hashed any more. Final slots are in order, so it is found by halving.
    pub(super) fn look_for_missed_window(&mut self) -> Result<(), StoreError> {
        let Some(epochs) = self.store.base().map(|base| base.epoch_schedule) else { return Ok(()) };
        let Some(root) = self.store.coverage().last else { return Ok(()) };
        let start = window_start(root, &epochs);
        let (mut before, mut at) = (start, root);
        if root < start || self.window_done.is_some_and(|done| done >= start) {
            return Ok(());
        }
        while before < at {
            let middle = before + (at - before) / 2;
            match self.store.view(At::Slot(middle)) {
                Ok(view) if view.slot().number >= start => at = view.slot().number.min(middle),
                Ok(_) => before = middle + 1,
                Err(error) if is_not_kept(&error) => before = middle + 1,
                Err(error) => return Err(error),
            }
        }
        match self.store.view(At::Slot(at)) {
            Ok(view) => {
                let bank = view.slot().bank;
                self.look_for_window(bank.slot, bank.parent_slot, &epochs)
            }
            Err(error) if is_not_kept(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The first slot of the window of a slot's epoch: a quarter of it has passed.
fn window_start(slot: Slot, epochs: &EpochSchedule) -> Slot {
    let epoch = epochs.epoch_of(slot);
    epochs.first_slot(epoch).saturating_add(epochs.slots_in(epoch) / 4)
}

/// Whether a slot cannot be read because it is not kept, or never was there.
pub(super) fn is_not_kept(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotCovered { .. }
            | StoreError::InGap { .. }
            | StoreError::NoFork { .. }
            | StoreError::Empty
    )
}
