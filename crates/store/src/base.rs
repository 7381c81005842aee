//! Base points: complete states that were restored (rule R20).
//!
//! A base point lies above everything that the store holds: what it holds of the same slot already is
//! not restored again, and between two base points that no feed covers lies a gap. Whatever is not
//! final is abandoned by a newer base point.
//!
//! What it does *not* do: read archives.

use std::path::PathBuf;

use icecore_disk::Disk;
use icecore_journal::{AppendOptions, Batch, BulkSession, Extent};
use icecore_types::{Hash, Slot};

use crate::{
    Adopted, Error, Restoring, SlotId, Store,
    events::{BasePoint, encoded, kind, new_event, stream},
    run::RunStore,
    run_set::{PairEntry, RunEntry, run_path, runs_folder},
    shared::{Mirror, Shared},
};

/// Extents of a base point behind those of its records: manifest, status cache, verdict. Closed
/// accounts may follow.
pub(crate) const BEHIND_RECORDS: usize = 3;

/// Whether a state can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFit {
    /// It lies above what the store holds.
    New,
    /// The store holds it.
    Held,
}

impl Store {
    /// Whether the state of a slot, with this bank hash, can be restored.
    ///
    /// # Errors
    /// [`Error::BaseRefused`] when the store holds another state of the slot, or only later ones.
    pub fn check_base(&self, slot: Slot, bank_hash: &Hash) -> Result<BaseFit, Error> {
        self.shared.check_base(slot, bank_hash)
    }

    /// Begins to restore the state of a slot.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; what the journal said.
    pub fn begin_restore(&self, slot: Slot) -> Result<Restoring<'_>, Error> {
        let session = self.shared.chain().writer()?.begin_bulk()?;
        Ok(Restoring::begin(self, slot, session, self.shared.chain_end()?))
    }

    pub(crate) fn run_store(&self) -> RunStore {
        self.shared.identity
    }

    /// Whether accounts can be found by owner without reading all of them.
    pub fn has_owner_order(&self) -> bool {
        self.shared.owner_order
    }

    pub(crate) fn data_segment_bytes_max(&self) -> u64 {
        self.shared.options.journal.data_segment_bytes_max
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.shared.disk
    }

    /// An id for a run, and where its file goes.
    pub(crate) fn new_run(&self) -> (u32, PathBuf) {
        let id = self.shared.take_run_id();
        (id, run_path(&self.shared.folder, id))
    }

    /// Removes run files that nobody names; what is left the next open removes.
    pub(crate) fn remove_runs(&self, ids: &[u32]) {
        for id in ids {
            let _ = self.shared.disk.remove(&run_path(&self.shared.folder, *id));
        }
    }
}

impl Shared {
    /// Whether a state of this slot can be restored.
    ///
    /// # Errors
    /// [`Error::BaseRefused`] when the store holds another state of the slot, or later ones.
    pub(crate) fn check_base(&self, slot: Slot, bank_hash: &Hash) -> Result<BaseFit, Error> {
        let mirror = self.current_mirror()?;
        self.check_base_in(&mirror, slot, bank_hash)
    }

    fn check_base_in(
        &self,
        mirror: &Mirror,
        slot: Slot,
        bank_hash: &Hash,
    ) -> Result<BaseFit, Error> {
        let refused = |why: String| Err(Error::BaseRefused { slot, why });
        let Some(root) = mirror.tree.root().map(|root| root.number) else {
            return Ok(BaseFit::New);
        };
        if slot > root {
            return Ok(BaseFit::New);
        }
        let held = match self.final_slot_in(mirror, slot) {
            Ok(held) => held,
            Err(Error::NotCovered { first, .. }) => {
                return refused(format!(
                    "the store begins at slot {first}; base points are restored in order, oldest first"
                ));
            }
            Err(Error::InGap { first, last, .. }) => {
                return refused(format!(
                    "it lies in the gap from slot {first} to {last}; base points are restored in order, oldest first"
                ));
            }
            Err(error) => return Err(error),
        };
        if held.number != slot {
            return refused(format!(
                "the store's chain has no block of that number: slot {} is followed by a later one",
                held.number
            ));
        }
        match held.bank.bank_hash == *bank_hash {
            true => Ok(BaseFit::Held),
            false => refused(format!(
                "it has the bank hash {bank_hash}, the store's slot {slot} has {}",
                held.bank.bank_hash
            )),
        }
    }

    /// One event makes it a base point, and everything of it counts from then on. What fails behind
    /// that is tried again when the store is used next: the chain says all of it.
    pub(crate) fn adopt_base(
        &self,
        session: &mut BulkSession,
        adopted: &Adopted,
        extents: &[Extent],
        records: usize,
        built_on: Option<u64>,
    ) -> Result<SlotId, Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        // What became final on the chain before belongs to the window before.
        self.flush_kept()?;
        let slot = adopted.facts.bank.slot;
        // The folder of the runs that it names has to be durable before it.
        self.disk.sync_folder(&runs_folder(&self.folder))?;
        let base = BasePoint {
            record_extents: u32::try_from(records).expect("bounded by an event's extents"),
            facts: adopted.facts.clone(),
            runs: PairEntry {
                after: None,
                to: slot,
                by_pubkey: RunEntry::from(adopted.by_pubkey),
                by_owner: adopted.by_owner.map(RunEntry::from),
            },
            built_on,
        };
        let payload = encoded(&base);
        let event = new_event(stream::BASES, kind::BASE, &payload, extents);
        let batch = Batch::of(&event)?;
        let id = {
            let mut mirror = self.current_mirror_kept()?;
            let bank_hash = &adopted.facts.bank.bank_hash;
            if self.check_base_in(&mirror, slot, bank_hash)? == BaseFit::Held {
                let why = "the store holds this state by now".to_string();
                return Err(Error::BaseRefused { slot, why });
            }
            self.pass_over_ids(&mirror)?;
            let options =
                AppendOptions { generation: mirror.generation, ..AppendOptions::default() };
            let receipt = session.adopt(&batch, &options)?;
            let id = SlotId(receipt.first_sequence);
            self.has_given_id(id);
            match self.apply_base(&mut mirror, &self.state(), id, &base) {
                Ok(state) => {
                    *self.state.write().expect("nobody panics while holding it") = state;
                }
                Err(_) => mirror.generation = None,
            }
            id
        };
        let _ = self.save_set();
        Ok(id)
    }
}
