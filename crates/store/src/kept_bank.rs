//! The bank and the status cache of a slot, as they were given with it: what makes a state an archive.
//!
//! A base point has both, from its archive. A slot of a feed has them if the feed did.
//!
//! What it does *not* do: understand them.

use std::ops::ControlFlow;

use icecore_journal::ExtentReader;
use icecore_types::Slot;

use crate::{
    Attachment, Error, SlotState, Store, View, base::BEHIND_RECORDS, events::StoreEvent,
    run_set::Window, shared::Shared,
};

/// Bytes that are given at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// A bank and a status cache.
#[derive(Debug)]
pub struct KeptBank {
    bank: ExtentReader,
    status_cache: ExtentReader,
}

impl KeptBank {
    fn reader(&self, what: Attachment) -> &ExtentReader {
        match what {
            Attachment::Bank => &self.bank,
            Attachment::StatusCache => &self.status_cache,
        }
    }

    /// Bytes of one of them.
    pub fn bytes(&self, what: Attachment) -> u64 {
        self.reader(what).bytes()
    }

    /// Gives one of them piece by piece: a manifest (of a base point with the list of its archive's
    /// storages, of another slot without storages), or a status cache.
    ///
    /// # Errors
    /// [`icecore_journal::Error::Corrupt`] when it is not what was written.
    pub fn read(&self, what: Attachment, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let reader = self.reader(what);
        let mut start = 0;
        while start < reader.bytes() {
            let end = (start + PIECE_BYTES).min(reader.bytes());
            take(&reader.read(start..end)?);
            start = end;
        }
        Ok(())
    }
}

impl View {
    /// The bank and the status cache of its slot; `None` when not both are kept.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn kept_bank(&self) -> Result<Option<KeptBank>, Error> {
        self.shared.kept_bank(self.slot().event)
    }

    /// The same as [`Store::for_each_kept_bank`].
    ///
    /// # Errors
    /// What reading runs and journal said.
    pub fn for_each_kept_bank(
        &self,
        visit: impl FnMut(Slot) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.shared.for_each_kept_bank(visit)
    }
}

impl Store {
    /// Calls `visit` with every final slot of which bank and status cache are kept, newest first, until
    /// it breaks off. Each final slot costs the reading of an event.
    ///
    /// # Errors
    /// What reading runs and journal said.
    pub fn for_each_kept_bank(
        &self,
        visit: impl FnMut(Slot) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.shared.for_each_kept_bank(visit)
    }
}

/// The final slots that a window's runs know, newest first, with their events.
fn for_each_flushed(
    window: &Window,
    look: &mut dyn FnMut(Slot, u64) -> Result<ControlFlow<()>, Error>,
) -> Result<ControlFlow<()>, Error> {
    for pair in window.deltas.iter().rev().chain([&window.complete]) {
        for index in (0..pair.by_pubkey.slots()).rev() {
            let commit = pair.by_pubkey.slot(index)?;
            if look(commit.slot, commit.sequence)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    match window.base {
        Some(event) => look(window.first(), event),
        None => Ok(ControlFlow::Continue(())),
    }
}

impl Shared {
    fn for_each_kept_bank(
        &self,
        mut visit: impl FnMut(Slot) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (mut unflushed, state) = {
            let mirror = self.current_mirror()?;
            let root = self.durable_root(&mirror)?.number;
            let nodes = mirror.tree.nodes().filter(|node| {
                node.state == SlotState::Rooted && !node.is_flushed && node.number <= root
            });
            let unflushed: Vec<_> =
                nodes.filter_map(|node| Some((node.number, node.event?))).collect();
            (unflushed, self.state())
        };
        unflushed.sort_unstable();
        // A complete run that was merged is of a slot of the window before as well.
        let mut given = None;
        let mut look = |slot: Slot, event: u64| -> Result<ControlFlow<()>, Error> {
            if given.is_some_and(|given| slot >= given) {
                return Ok(ControlFlow::Continue(()));
            }
            given = Some(slot);
            match self.keeps_bank(event)? {
                true => Ok(visit(slot)),
                false => Ok(ControlFlow::Continue(())),
            }
        };
        for (slot, event) in unflushed.into_iter().rev() {
            if look(slot, event)?.is_break() {
                return Ok(());
            }
        }
        for window in state.runs.windows.iter().rev() {
            if for_each_flushed(window, &mut look)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The bank and the status cache that a slot's event names.
    pub(crate) fn kept_bank(&self, sequence: u64) -> Result<Option<KeptBank>, Error> {
        let event = self.history.read(sequence)?;
        let payload = self.history.payload(&event)?;
        let lacks = |what: &str| Error::Event { sequence, what: what.to_string() };
        let records = match StoreEvent::decode(&event, &payload)? {
            Some(StoreEvent::Base(base)) => {
                let records = base.record_extents as usize;
                if event.extents().len() < records + BEHIND_RECORDS {
                    return Err(lacks("a base point has no manifest"));
                }
                records
            }
            Some(StoreEvent::Committed(committed)) => {
                if !(committed.has_bank && committed.has_status_cache) {
                    return Ok(None);
                }
                committed.record_extents as usize
            }
            _ => return Err(lacks("a slot's event is neither a commit nor a base point")),
        };
        let extents = event.extents();
        let open = |place: usize| match extents.get(place) {
            Some(extent) => Ok(self.history.open_extent(extent)?),
            None => Err(lacks("a slot's event lacks an extent that it states")),
        };
        Ok(Some(KeptBank { bank: open(records)?, status_cache: open(records + 1)? }))
    }

    fn keeps_bank(&self, sequence: u64) -> Result<bool, Error> {
        Ok(match self.store_event(sequence)? {
            StoreEvent::Committed(committed) => committed.has_bank && committed.has_status_cache,
            StoreEvent::Base(_) => true,
            _ => false,
        })
    }
}
