//! The slots of a store of which archives can be made.

use std::{fmt, ops::ControlFlow};

use icecore_store::{Store, View};
use icecore_types::Slot;

use crate::Error;

/// Slots that are listed one by one, at most.
pub const NEWEST_LISTED_MAX: usize = 16;

/// The final slots of which a store keeps bank and status cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreatableSlots {
    /// How many there are; with `has_more` at least.
    pub count: u64,
    /// Whether it was not looked for older ones: there may be millions.
    pub has_more: bool,
    /// The first of them that was found.
    pub first: Option<Slot>,
    /// The newest ones, newest first, [`NEWEST_LISTED_MAX`] at most.
    pub newest: Vec<Slot>,
    /// The last one at or before the slot that was asked for.
    pub before: Option<Slot>,
    /// The first one after it.
    pub after: Option<Slot>,
}

/// Which slots archives can be made of; those nearest to `slot` are named.
///
/// # Errors
/// When the store cannot be read.
pub fn creatable_slots(store: &Store, slot: Slot) -> Result<CreatableSlots, Error> {
    let mut slots = CreatableSlots::default();
    store.for_each_kept_bank(|found| slots.add(found, slot))?;
    Ok(slots)
}

impl CreatableSlots {
    /// The newest ones and those nearest to `slot`: looks no further than that, and no longer than
    /// `goes_on` says.
    pub(crate) fn nearest(
        store: &Store,
        slot: Slot,
        goes_on: impl Fn() -> bool,
    ) -> Result<Self, icecore_store::Error> {
        let mut slots = Self::default();
        store.for_each_kept_bank(|found| {
            // One more than are wanted tells that there are more.
            let has_all = slots.newest.len() == NEWEST_LISTED_MAX && slots.before.is_some();
            if has_all || !goes_on() {
                slots.has_more = true;
                return ControlFlow::Break(());
            }
            slots.add(found, slot)
        })?;
        Ok(slots)
    }

    /// Those of a view's store.
    pub(super) fn of(view: &View, slot: Slot) -> Result<Self, Error> {
        let mut slots = Self::default();
        view.for_each_kept_bank(|found| slots.add(found, slot))?;
        Ok(slots)
    }

    /// The next older slot.
    fn add(&mut self, found: Slot, asked: Slot) -> ControlFlow<()> {
        self.count += 1;
        self.first = Some(found);
        if self.newest.len() < NEWEST_LISTED_MAX {
            self.newest.push(found);
        }
        if found > asked {
            self.after = Some(found);
        } else if self.before.is_none() {
            self.before = Some(found);
        }
        ControlFlow::Continue(())
    }
}

impl fmt::Display for CreatableSlots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.first, self.newest.first()) else {
            return formatter.write_str("it keeps them of no slot");
        };
        match self.has_more {
            true => {
                write!(formatter, "it keeps them of {} slots and more up to {last}", self.count)?
            }
            false => {
                write!(formatter, "it keeps them of {} slots from {first} to {last}", self.count)?
            }
        }
        let nearest: Vec<_> =
            [self.before, self.after].iter().flatten().map(ToString::to_string).collect();
        write!(formatter, "; the nearest: {}", nearest.join(" and "))
    }
}
