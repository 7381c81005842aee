//! The places of the accounts of a view, without reading their records: what an archive is planned of.
//!
//! 1. There are up to three kinds of sources, each in the order of keys with one row for each: what the
//!    view sees in the tail, what it sees in spilled runs, and runs of windows, merged.
//! 2. Of the rows of one key that of the newest source counts.
//! 3. A full state takes the rows of live accounts. What was written after a slot takes the rows of
//!    later slots, tombstones as well: then delta runs are enough, of all windows back to that slot.
//!
//! Keys are compared as far as rows know them; then rows with the same hash have the same key
//! (decision 0032); of others the records are read, which is rare.
//!
//! Keys can be shared out, so that several threads walk one view ([`KeyPart`]).
//!
//! Memory, of each walk: 256 KiB for each run, and what the view sees in the tail.

use std::{
    cmp::Ordering,
    ops::{Bound, ControlFlow},
    sync::Arc,
    vec,
};

use icecore_types::Slot;

use super::View;
use crate::{
    Error,
    locator::Locator,
    run::{
        BY_PUBKEY, KeyHash, KeySource, Merge, MergedRow, PartialKey, RUNS_MERGED_MAX, Run, RunStore,
    },
    run_set::SpilledPair,
    shared::RecordKeys,
    sight::Sight,
    spilled::SpilledRows,
    tail::TailVersion,
};

/// Rows after which it is looked whether the lease still holds.
const ROWS_PER_LOOK: u64 = 1 << 16;

/// A part of all keys, by their first bytes, which every row knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    first: u8,
    last: u8,
}

impl KeyPart {
    /// All keys.
    pub const ALL: Self = Self { first: 0, last: u8::MAX };

    /// As many parts as there are, at most.
    pub const COUNT_MAX: usize = 1 << u8::BITS;

    /// Shares all keys out into parts of nearly the same size, if keys are uniform.
    ///
    /// # Panics
    /// With no parts, or more than [`KeyPart::COUNT_MAX`].
    pub fn parts(count: usize) -> Vec<Self> {
        assert!((1..=Self::COUNT_MAX).contains(&count), "{count} parts");
        let begin = |number: usize| number * Self::COUNT_MAX / count;
        let byte = |at: usize| u8::try_from(at).expect("a byte has so many values");
        let part = |number| Self { first: byte(begin(number)), last: byte(begin(number + 1) - 1) };
        (0..count).map(part).collect()
    }

    fn contains(&self, key: &[u8; BY_PUBKEY]) -> bool {
        (self.first..=self.last).contains(&key[0])
    }

    /// The first key.
    fn begin(&self) -> [u8; BY_PUBKEY] {
        let mut key = [0; BY_PUBKEY];
        key[0] = self.first;
        key
    }
}

/// The newest row of a key in one source.
#[derive(Debug, Clone, Copy)]
struct Head {
    key: PartialKey<BY_PUBKEY>,
    hash: KeyHash,
    slot: Slot,
    locator: Locator,
}

impl Head {
    fn of(row: &MergedRow<BY_PUBKEY>, slot: Slot) -> Self {
        Self { key: row.key, hash: row.hash, slot, locator: row.locator }
    }
}

/// Rows in the order of their keys, one for each.
enum Source<'a> {
    Tail(RunStore, vec::IntoIter<(Slot, TailVersion)>),
    Spilled(SpilledRows<'a, BY_PUBKEY>),
    /// Rows at or below a slot.
    Runs(Merge<'a, BY_PUBKEY>, Slot),
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Head>, Error> {
        match self {
            Self::Tail(store, versions) => Ok(versions.next().map(|(slot, version)| {
                let key = PartialKey::whole(version.key.0);
                let hash = KeyHash::of(store, &version.key.0);
                Head { key, hash, slot, locator: version.locator }
            })),
            Self::Spilled(rows) => Ok(rows.next()?.map(|(row, slot)| Head::of(&row, slot))),
            Self::Runs(merge, slot_max) => {
                while let Some(row) = merge.next_row()? {
                    let is_newest = row.newer.is_none_or(|newer| newer > *slot_max);
                    if row.slot <= *slot_max && is_newest {
                        return Ok(Some(Head::of(&row, row.slot)));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// The newest rows of all keys.
struct NewestRows<'a> {
    part: KeyPart,
    keys: &'a RecordKeys<'a>,
    /// Newest first, with their next rows.
    sources: Vec<(Source<'a>, Option<Head>)>,
    /// Places of the sources whose next rows have the first key.
    first: Vec<usize>,
}

impl<'a> NewestRows<'a> {
    /// Of what a view sees in the tail, in spilled runs, and in these runs, newest first.
    fn new(
        sight: &'a Sight,
        runs: &[Arc<Run<BY_PUBKEY>>],
        part: KeyPart,
        keys: &'a RecordKeys<'a>,
    ) -> Result<Self, Error> {
        let is_wanted = |version: &TailVersion| part.contains(&version.key.0);
        let in_tail = sight.state.tail.newest_of_all(&sight.visible, is_wanted);
        let by_pubkey = |spilled: &SpilledPair| Arc::clone(&spilled.runs.by_pubkey);
        let begin = part.begin();
        let from = Bound::Included(&begin);
        let spilled = sight.spilled_rows(by_pubkey, from, keys)?;
        let mut sources =
            vec![Source::Tail(keys.shared.identity, in_tail.into_iter()), Source::Spilled(spilled)];
        for runs in runs.chunks(RUNS_MERGED_MAX) {
            let merge = Merge::new(runs, from, keys)?;
            sources.push(Source::Runs(merge, sight.final_slot));
        }
        let mut newest = Self { part, keys, sources: Vec::new(), first: Vec::new() };
        for mut source in sources {
            if let Some(head) = source.next()? {
                newest.sources.push((source, Some(head)));
            }
        }
        Ok(newest)
    }

    /// The next row of the part.
    fn next(&mut self) -> Result<Option<(Slot, Locator)>, Error> {
        // Nothing to compare: so it is in a store that was restored, and in one that was compacted.
        if let [(source, head)] = &mut self.sources[..] {
            let Some(newest) = head.filter(|head| self.part.contains(&head.key.bytes)) else {
                return Ok(None);
            };
            *head = source.next()?;
            return Ok(Some((newest.slot, newest.locator)));
        }
        let mut first: Option<Head> = None;
        let mut places = std::mem::take(&mut self.first);
        for (place, (_, head)) in self.sources.iter().enumerate() {
            let Some(head) = head else { continue };
            let order = match &first {
                Some(first) => self.compare(head, first)?,
                None => Ordering::Less,
            };
            match order {
                Ordering::Less => {
                    first = Some(*head);
                    places.clear();
                    places.push(place);
                }
                Ordering::Equal => places.push(place),
                Ordering::Greater => {}
            }
        }
        if first.is_some_and(|first| !self.part.contains(&first.key.bytes)) {
            return Ok(None);
        }
        for place in places.drain(..) {
            let (source, head) = &mut self.sources[place];
            *head = source.next()?;
        }
        self.first = places;
        Ok(first.map(|head| (head.slot, head.locator)))
    }

    fn compare(&self, left: &Head, right: &Head) -> Result<Ordering, Error> {
        match left.key.compare(&right.key) {
            Some(order) => Ok(order),
            None if left.hash == right.hash => Ok(Ordering::Equal),
            None => Ok(self.key(left)?.cmp(&self.key(right)?)),
        }
    }

    fn key(&self, head: &Head) -> Result<[u8; BY_PUBKEY], Error> {
        match head.key.as_whole() {
            Some(key) => Ok(*key),
            None => self.keys.key(head.locator),
        }
    }
}

impl View {
    /// Calls `visit` with where the record of each live account of these keys lies, in no order that
    /// means anything, until it breaks off.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn for_each_live(
        &self,
        part: KeyPart,
        mut visit: impl FnMut(Locator) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let runs: Vec<_> = self.sight.pairs().map(|pair| Arc::clone(&pair.by_pubkey)).collect();
        self.for_each_newest(&runs, part, |_, locator| match locator.class().is_live() {
            true => visit(locator),
            false => ControlFlow::Continue(()),
        })
    }

    /// The same for each account of these keys whose newest version is of a slot after `base`, closed ones as well.
    ///
    /// # Errors
    /// [`Error::NotSince`] when it is not known of all slots after `base` what they wrote; otherwise as
    /// [`View::get`].
    pub fn for_each_written_after(
        &self,
        base: Slot,
        part: KeyPart,
        mut visit: impl FnMut(Locator) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let runs = self.runs_after(base)?;
        self.for_each_newest(&runs, part, |slot, locator| match slot > base {
            true => visit(locator),
            false => ControlFlow::Continue(()),
        })
    }

    /// Whether it is known of all slots after `base`, up to the view's, what they wrote.
    pub fn knows_since(&self, base: Slot) -> bool {
        self.runs_after(base).is_ok()
    }

    /// The delta runs that hold what was written after a slot, newest first.
    fn runs_after(&self, base: Slot) -> Result<Vec<Arc<Run<BY_PUBKEY>>>, Error> {
        let sight = &self.sight;
        let windows = &sight.state.runs.windows;
        let mut runs = Vec::new();
        let mut place = sight.window;
        loop {
            let window = &windows[place];
            let is_wanted = |delta: &&crate::run_set::RunPair| {
                delta.after < Some(sight.final_slot) && delta.to > base
            };
            let deltas = window.deltas.iter().rev().filter(is_wanted);
            runs.extend(deltas.map(|delta| Arc::clone(&delta.by_pubkey)));
            if window.first() <= base {
                return Ok(runs);
            }
            // What the window before it wrote is known if it goes on from that without a gap.
            let before = place.checked_sub(1).filter(|before| {
                window.base.is_none() && windows[*before].last == Some(window.first())
            });
            let Some(before) = before else {
                let (slot, first) = (self.slot().number, window.first());
                return Err(Error::NotSince { base, slot, first });
            };
            place = before;
        }
    }

    fn for_each_newest(
        &self,
        runs: &[Arc<Run<BY_PUBKEY>>],
        part: KeyPart,
        mut visit: impl FnMut(Slot, Locator) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let keys = self.sight.keys(&self.shared);
        let mut rows = NewestRows::new(&self.sight, runs, part, &keys)?;
        let mut given = 0;
        while let Some((slot, locator)) = rows.next()? {
            if visit(slot, locator).is_break() {
                break;
            }
            given += 1;
            if given % ROWS_PER_LOOK == 0 {
                self.check_lease()?;
            }
        }
        self.check_lease()
    }
}
