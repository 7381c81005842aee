//! A base point that another one is built on: an incremental archive alone (rule R20).
//!
//! An incremental archive has the accounts that were written since its full one. Where the store keeps
//! that one as a base point, the next is made of both:
//! 1. [`KeptBase`] finds the base point. As long as it is held nothing of it is dropped or moved.
//! 2. A [`Succession`] for each order walks through its complete run, side by side with the newest
//!    versions of the incremental archive, and writes the next complete run. Rows of both count for the
//!    new slot: it reads as if the pair had been restored.
//! 3. The event of the new base point names the one it was built on, so that runs can be made anew.
//!
//! Invariant: a base point is built on one that was restored from a full archive alone, so that there
//! are two links at most.
//!
//! What it does *not* do: read archives, or judge what comes of them.

use std::{cmp::Ordering, ops::Bound, sync::Arc, time::Duration};

use icecore_types::{AccountRef, Slot};

use crate::{
    At, Attachment, BaseFacts, Error, Locator, Store, View,
    events::{BasePoint, StoreEvent},
    run::{
        BY_OWNER, BY_PUBKEY, KeyHash, KeySource, MergedRow, PartialKey, RunCursor, RunInfo,
        RunStore, RunWriter,
    },
    run_set::{RunPair, Window},
    shared::{RecordKeys, Shared, State},
};

/// A lease that does not end before its holder does.
const WITHOUT_END: Duration = Duration::MAX;

/// A base point that is kept, and can be built on.
#[derive(Debug)]
pub struct KeptBase<'s> {
    store: &'s Store,
    event: u64,
    point: BasePoint,
    pair: RunPair,
    state: Arc<State>,
    view: View,
    _hold: Hold,
}

/// As long as it is there no records move.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.underway.end_build();
    }
}

/// The next complete run of one order, while it is made.
pub struct Succession<'a, const K: usize> {
    keys: Box<dyn KeySource<K> + 'a>,
    identity: RunStore,
    cursor: RunCursor<K>,
    writer: RunWriter<K>,
    /// That rows count for.
    slot: Slot,
}

impl<const K: usize> std::fmt::Debug for Succession<'_, K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Succession").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Store {
    /// The base point at a slot that was restored from a full archive alone.
    ///
    /// # Errors
    /// [`Error::NoBase`] says which there are; what reading said.
    pub fn keep_base(&self, slot: Slot) -> Result<KeptBase<'_>, Error> {
        let shared = &self.shared;
        let (hold, state) = {
            // What moves records, or drops runs, is done, or sees the hold.
            let _keeping = shared.keeping.lock().expect("nobody panics while keeping");
            shared.underway.build();
            (Hold(Arc::clone(shared)), shared.state())
        };
        let mut kept = Vec::new();
        for window in &state.runs.windows {
            let Some((event, point)) = shared.base_of(window)? else { continue };
            if point.facts.archives.len() != 1 {
                continue;
            }
            kept.push(window.first());
            if window.first() == slot {
                let view = self.view_for(At::Slot(slot), "building on it", WITHOUT_END)?;
                let pair = window.complete.clone();
                return Ok(KeptBase { store: self, event, point, pair, state, view, _hold: hold });
            }
        }
        Err(Error::NoBase { slot, kept })
    }
}

impl Shared {
    /// The base point that a window begins with, and its event.
    pub(crate) fn base_of(&self, window: &Window) -> Result<Option<(u64, BasePoint)>, Error> {
        let Some(event) = window.base else { return Ok(None) };
        match self.store_event(event)? {
            StoreEvent::Base(point) => Ok(Some((event, *point))),
            _ => {
                let what = "a window's base point is none".to_string();
                Err(Error::Event { sequence: event, what })
            }
        }
    }
}

impl KeptBase<'_> {
    /// Its event.
    pub fn event(&self) -> u64 {
        self.event
    }

    /// What is kept of its bank and its accounts.
    pub fn facts(&self) -> &BaseFacts {
        &self.point.facts
    }

    /// Its accounts.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Gives the manifest of its archive, piece by piece.
    ///
    /// # Errors
    /// What reading said.
    pub fn manifest(&self, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        let kept = self.store.shared.kept_bank(self.event)?;
        kept.expect("a base point has a manifest").read(Attachment::Bank, &mut take)
    }

    /// Reads an account that its runs lead to.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what lies there is not what was written.
    pub fn read<R>(
        &self,
        locator: Locator,
        read: impl FnOnce(&AccountRef<'_>) -> R,
    ) -> Result<R, Error> {
        let segments = &self.state.runs.segments;
        self.store.shared.record(segments, locator, |version| read(&version.account))
    }

    /// What follows its run by pubkey, to be written to a complete run of `slot`.
    ///
    /// # Errors
    /// When its run is damaged.
    pub fn succession(
        &self,
        slot: Slot,
        writer: RunWriter<BY_PUBKEY>,
    ) -> Result<Succession<'_, BY_PUBKEY>, Error> {
        let (keys, identity) = (self.keys(), self.store.shared.identity);
        let cursor = self.pair.by_pubkey.cursor(Bound::Unbounded, &keys)?;
        Ok(Succession { keys: Box::new(keys), identity, cursor, writer, slot })
    }

    /// The same by owner and pubkey.
    ///
    /// # Errors
    /// When its run is damaged.
    ///
    /// # Panics
    /// In a store without that order.
    pub fn succession_by_owner(
        &self,
        slot: Slot,
        writer: RunWriter<BY_OWNER>,
    ) -> Result<Succession<'_, BY_OWNER>, Error> {
        let run = self.pair.by_owner.as_ref().expect("asked only where the order is kept");
        let (keys, identity) = (self.keys(), self.store.shared.identity);
        let cursor = run.cursor(Bound::Unbounded, &keys)?;
        Ok(Succession { keys: Box::new(keys), identity, cursor, writer, slot })
    }

    fn keys(&self) -> RecordKeys<'_> {
        RecordKeys { shared: &self.store.shared, segments: &self.state.runs.segments }
    }
}

impl<const K: usize> Succession<'_, K> {
    /// Takes the newest version of a key, or that there is none any more. Keys go upward. Gives where
    /// the base point's version of it lies, if it has one.
    ///
    /// # Errors
    /// When the run is damaged, a record cannot be read, or the disk refuses.
    ///
    /// # Panics
    /// When keys do not go upward.
    pub fn put(
        &mut self,
        key: &[u8; K],
        newest: Option<Locator>,
    ) -> Result<Option<Locator>, Error> {
        let (whole, hash) = (PartialKey::whole(*key), KeyHash::of(&self.identity, key));
        let mut replaced = None;
        while let Some(own) = self.cursor.key() {
            let order = match own.compare(&whole) {
                Some(order) => order,
                None if self.cursor.hash() == Some(hash) => Ordering::Equal,
                None => self.cursor.whole_key(&*self.keys)?.cmp(key),
            };
            match order {
                Ordering::Less => self.pass()?,
                Ordering::Equal => {
                    replaced = self.cursor.version().map(|(_, locator)| locator);
                    self.cursor.advance()?;
                    break;
                }
                Ordering::Greater => break,
            }
        }
        if let Some(locator) = newest {
            self.push(whole, hash, locator)?;
        }
        Ok(replaced)
    }

    /// A row of the base point stays.
    fn pass(&mut self) -> Result<(), Error> {
        let at = (self.cursor.key(), self.cursor.hash(), self.cursor.version());
        let (Some(key), Some(hash), Some((_, locator))) = at else { return Ok(()) };
        let key = *key;
        self.push(key, hash, locator)?;
        self.cursor.advance()
    }

    fn push(&mut self, key: PartialKey<K>, hash: KeyHash, locator: Locator) -> Result<(), Error> {
        // Every key has one row.
        let row = MergedRow {
            key,
            key_number: self.writer.rows(),
            hash,
            slot: self.slot,
            locator,
            newer: None,
            older: None,
        };
        self.writer.push_merged(&row, locator, &*self.keys)
    }

    /// No keys are left.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn finish(mut self) -> Result<RunInfo, Error> {
        while self.cursor.key().is_some() {
            self.pass()?;
        }
        self.writer.finish_merged([], &*self.keys)
    }
}
