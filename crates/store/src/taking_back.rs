//! When the journal takes back what it had accepted, because writing it failed.
//!
//! The tree and the tail change as soon as the journal accepts an event. When it takes events back, it
//! begins a new generation; the mirror remembers the one that it belongs to. Whoever builds on the
//! mirror compares them first; if they differ
//!
//! 1. the mirror and the state are made again, of the run set on disk and of what the chain has left;
//! 2. no slot gets an identity that one of those that are gone had: whoever still has it must not
//!    meet another slot under it.
//!
//! Every event is appended on the condition that the generation is the mirror's. So the chain never
//! holds one that builds on something that is gone.
//!
//! What it does *not* do: write again what is gone. Its tickets say so, and whoever waits for them
//! decides.

use std::sync::{MutexGuard, atomic::Ordering};

use icecore_journal::{AppendOptions, Batch};

use crate::{
    Error, SlotId,
    events::{Abandoned, List, encoded, kind, new_event, stream},
    open::Opened,
    shared::{Chain, Mirror, Shared},
};

/// Times that the mirror is made again before whoever wants it is told that the disk fails too often.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// Events of a batch that passes sequences over.
const PASSED_MAX: u64 = 1 << 12;

impl Shared {
    /// How often events were taken back.
    pub(crate) fn generation(&self) -> u64 {
        match &*self.chain() {
            Chain::Writer(journal) => journal.generation(),
            Chain::Reader(_) | Chain::Closed => 0,
        }
    }

    /// The mirror, for whoever builds on it or opens a view: everything in it is part of the chain.
    pub(crate) fn current_mirror(&self) -> Result<MutexGuard<'_, Mirror>, Error> {
        if let Some(mirror) = self.mirror_if_current() {
            return Ok(mirror);
        }
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        self.current_mirror_kept()
    }

    /// The same, for whoever keeps.
    pub(crate) fn current_mirror_kept(&self) -> Result<MutexGuard<'_, Mirror>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(mirror) = self.mirror_if_current() {
                return Ok(mirror);
            }
            self.make_mirror_again()?;
        }
        self.mirror_if_current().ok_or_else(|| self.taken_back_too_often())
    }

    /// The error of whoever does not try again.
    pub(crate) fn taken_back_too_often(&self) -> Error {
        icecore_journal::Error::OtherGeneration { end: self.history.end() }.into()
    }

    /// Waits until everything that was accepted is durable; an error if something was taken back since
    /// it was asked last.
    pub(crate) fn sync_and_tell(&self) -> Result<(), Error> {
        self.sync()?;
        let generation = self.generation();
        match self.told_generation.swap(generation, Ordering::Relaxed) == generation {
            true => Ok(()),
            false => Err(self.taken_back_too_often()),
        }
    }

    /// The mirror, for listings: what is known of it if it cannot be made again now.
    pub(crate) fn listed_mirror(&self) -> MutexGuard<'_, Mirror> {
        self.current_mirror().unwrap_or_else(|_| self.mirror())
    }

    fn mirror_if_current(&self) -> Option<MutexGuard<'_, Mirror>> {
        let mut mirror = self.mirror();
        // In this order: sequences that were taken back are durable as others later.
        mirror.durable_end = self.history.durable_end();
        let is_current =
            matches!(*self.chain(), Chain::Closed) || mirror.generation == Some(self.generation());
        is_current.then_some(mirror)
    }

    fn make_mirror_again(&self) -> Result<(), Error> {
        {
            let chain = self.chain();
            let journal = chain.writer()?;
            if journal.progress().accepted > self.history.end() {
                journal.sync()?;
            }
        }
        self.load_set(&mut Opened::default())
    }

    /// Sees to it that the next event has a sequence that was never given out as a slot's identity.
    pub(crate) fn pass_over_ids(&self, mirror: &Mirror) -> Result<(), Error> {
        let ids_end = self.ids_end.load(Ordering::Relaxed);
        loop {
            let next = self.chain().writer()?.progress().accepted;
            let Some(missing) = ids_end.checked_sub(next).filter(|missing| *missing > 0) else {
                return Ok(());
            };
            let payload = encoded(&Abandoned { slots: List(Vec::new()) });
            let mut batch = Batch::default();
            for _ in 0..missing.min(PASSED_MAX) {
                batch.push(&new_event(stream::ROOTS, kind::ABANDONED, &payload, &[]))?;
            }
            let _ticket = self.append(mirror, &batch, &AppendOptions::default())?;
        }
    }

    /// Notes that a slot has this identity.
    pub(crate) fn has_given_id(&self, id: SlotId) {
        self.ids_end.fetch_max(id.0 + 1, Ordering::Relaxed);
    }
}
