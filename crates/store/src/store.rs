//! An open store, as callers hold it.

use std::{sync::Arc, thread::JoinHandle};

use icecore_types::{Pubkey, Slot};

use crate::{
    Error, OpenSlot, Pending, SlotId, SlotState,
    bank::{BankFields, BaseFacts, StateTotals},
    open::Opened,
    shared::Shared,
    tree::Node,
};

/// A store: open for writing by this process alone, or for reading.
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    pub(crate) opened: Opened,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// A slot that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its identity.
    pub id: SlotId,
    /// Its number.
    pub number: Slot,
    /// Its parent; `None` for a base point.
    pub parent: Option<SlotId>,
    /// What has become of it.
    pub state: SlotState,
    /// Its bank, once it is complete.
    pub bank: BankFields,
    /// Accounts that it wrote, as far as they are in no run of final slots yet.
    pub versions: u64,
}

impl From<&Node> for SlotInfo {
    fn from(node: &Node) -> Self {
        Self {
            id: node.id,
            number: node.number,
            parent: node.parent,
            state: node.state,
            bank: node.bank,
            versions: node.versions,
        }
    }
}

impl Store {
    /// Begins a slot on a parent that is complete.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::SlotRefused`], [`Error::ReadOnly`]; what the journal said.
    pub fn begin_slot(&self, number: Slot, parent: SlotId) -> Result<OpenSlot, Error> {
        self.shared.begin_slot(number, parent)
    }

    /// Makes a slot final, with its ancestors, and abandons what does not descend from it.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::SlotRefused`], [`Error::ReadOnly`]; what the journal said.
    pub fn root(&self, id: SlotId) -> Result<Pending, Error> {
        self.shared.root(id)
    }

    /// Gives a slot up, with what was built on it.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub fn abandon(&self, id: SlotId) -> Result<(), Error> {
        self.shared.abandon_slots(&[id])
    }

    /// Records that nothing is known of slots `first` to `last`.
    ///
    /// # Errors
    /// What the journal said.
    pub fn record_gap(&self, first: Slot, last: Slot) -> Result<(), Error> {
        self.shared.record_gap(first, last)
    }

    /// Waits until everything that was accepted is durable.
    ///
    /// # Errors
    /// What the journal said; [`icecore_journal::Error::OtherGeneration`] when something that was
    /// accepted since the last call is not part of the store, as writing it failed.
    pub fn sync(&self) -> Result<(), Error> {
        self.shared.sync_and_tell()
    }

    /// Writes what is final to runs.
    ///
    /// # Errors
    /// What the disk said; nothing has changed then.
    pub fn flush(&self) -> Result<(), Error> {
        self.shared.flush()
    }

    /// Does what the keeper would do, for stores without one.
    ///
    /// # Errors
    /// What the disk said.
    pub fn tend(&self) -> Result<(), Error> {
        self.shared.tend()
    }

    /// What kept the keeper from its work last; `None`: nothing did.
    pub fn keeping_error(&self) -> Option<String> {
        self.shared.wakeup.error()
    }

    /// The last final slot; `None` in a store without a state.
    pub fn root_slot(&self) -> Option<SlotInfo> {
        self.shared.listed_mirror().tree.root().map(SlotInfo::from)
    }

    /// The slots that are known by identity: not far behind the root, or above it.
    pub fn slots(&self) -> Vec<SlotInfo> {
        self.shared.listed_mirror().tree.nodes().map(SlotInfo::from).collect()
    }

    /// A slot by its identity, if it is still known so.
    pub fn slot(&self, id: SlotId) -> Option<SlotInfo> {
        self.shared.listed_mirror().tree.get(id).map(SlotInfo::from)
    }

    /// The totals of a slot that is known by identity and complete.
    pub fn slot_totals(&self, id: SlotId) -> Option<StateTotals> {
        let mirror = self.shared.listed_mirror();
        mirror.tree.get(id).filter(|node| node.event.is_some()).map(|node| (*node.totals).clone())
    }

    /// The newest base point.
    pub fn base(&self) -> Option<Arc<BaseFacts>> {
        self.shared.listed_mirror().base.clone()
    }

    /// Owners whose accounts are kept; empty: all are.
    pub fn kept_owners(&self) -> &[Pubkey] {
        &self.shared.kept_owners
    }

    /// The readable side of the journal below.
    pub fn history(&self) -> &Arc<icecore_journal::History> {
        &self.shared.history
    }

    pub(crate) fn stop(&mut self) {
        self.shared.wakeup.end();
        for thread in self.threads.drain(..) {
            thread.join().expect("the keeper does not panic");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
        // Views and slots that are still held do not keep others from opening the store.
        self.shared.close_chain();
    }
}
