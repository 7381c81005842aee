//! All versions of a key in a run, newest first, and for certain.
//!
//! In each page the rows with the key's suffix and hash are groups of one key each. Where the page does
//! not know keys to the end, the record of one row of a group tells whose it is. Other keys with the
//! same suffix and hash are passed over: so one record is read, nearly always.
//!
//! What it does *not* do: keep more than a page's place, however many versions there are.

use std::ops::RangeInclusive;

use icecore_types::Slot;

use super::{Found, KeySource, Run, Sought};
use crate::{Error, Locator};

/// The versions of a key in a run.
pub struct Versions<'a, const K: usize> {
    run: &'a Run<K>,
    sought: Sought<'a, K>,
    slots: RangeInclusive<Slot>,
    keys: &'a dyn KeySource<K>,
    /// The page and the next row to look at; `None` at the end.
    at: Option<(u64, usize)>,
    /// Whether the group in which the next row lies is the key's, if that is known.
    is_key: Option<bool>,
}

impl<const K: usize> Run<K> {
    /// The versions of a key with slots in a range, newest first.
    ///
    /// # Errors
    /// When the run is damaged where it is looked at.
    pub fn versions<'a>(
        &'a self,
        sought: Sought<'a, K>,
        slots: RangeInclusive<Slot>,
        keys: &'a dyn KeySource<K>,
    ) -> Result<Versions<'a, K>, Error> {
        let mut at = None;
        if self.may_have(&sought)?
            && let Some(page) = self.page_of(sought.key, *slots.end())?
        {
            let from = self.page(page)?.first_at_or_above(sought.key).from;
            at = Some((page, from));
        }
        Ok(Versions { run: self, sought, slots, keys, at, is_key: None })
    }

    /// The newest version of a key at or below a slot, for certain: records are read where the run
    /// does not know.
    ///
    /// # Errors
    /// When the run is damaged where it is looked at, or a record cannot be read.
    pub fn newest_at_certain(
        &self,
        sought: &Sought<'_, K>,
        slot_max: Slot,
        keys: &dyn KeySource<K>,
    ) -> Result<Option<Found>, Error> {
        let newest = self.versions(*sought, 0..=slot_max, keys)?.next().transpose()?;
        Ok(newest.map(|(slot, locator)| Found { slot, locator, is_certain: true }))
    }
}

impl<const K: usize> Versions<'_, K> {
    fn step(&mut self) -> Result<Option<(Slot, Locator)>, Error> {
        while let Some((page, index)) = self.at {
            let view = self.run.page(page)?;
            let key = self.sought.key;
            if index == view.rows() || !view.is_tied(index, key) {
                // Behind the last row that can be the key's: or it goes on in the next page.
                let is_last = index == view.rows();
                let next = if is_last { self.run.continued(page, key)? } else { None };
                self.at = next.map(|next| (next, 0));
                self.is_key = next.map(|_| true);
                continue;
            }
            self.at = Some((page, index + 1));
            let entry = view.entry(index);
            if !entry.continues {
                self.is_key = None;
            }
            if entry.hash != self.sought.hash || !self.slots.contains(&entry.slot) {
                continue;
            }
            let is_key = match self.is_key {
                Some(is_key) => is_key,
                None if view.knows_whole_keys() => true,
                None => self.keys.key(entry.locator)? == *key,
            };
            self.is_key = Some(is_key);
            if is_key {
                return Ok(Some((entry.slot, entry.locator)));
            }
        }
        Ok(None)
    }
}

impl<const K: usize> Iterator for Versions<'_, K> {
    type Item = Result<(Slot, Locator), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.at = None;
        }
        step.transpose()
    }
}
