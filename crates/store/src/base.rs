//! Base points: complete states that were restored (rule R20).
//!
//! A base point lies above everything that the store holds: what it holds of the same slot already is
//! not restored again, and between two base points that no feed covers lies a gap. Whatever is not
//! final is abandoned by a newer base point.
//!
//! What it does *not* do: read archives.

use icecore_journal::{AppendOptions, Batch, BulkSession, Extent};
use icecore_types::{Hash, Slot};

use crate::{
    Error, SlotId,
    bank::BaseFacts,
    events::{BasePoint, encoded, kind, new_event, stream},
    run::RunInfo,
    run_set::{PairEntry, RunEntry},
    shared::{Chain, Shared},
};

/// Whether a state can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFit {
    /// It lies above what the store holds.
    New,
    /// The store holds it.
    Held,
}

/// What a base point consists of, written and durable.
#[derive(Debug)]
pub(crate) struct BaseParts<'a> {
    pub(crate) facts: BaseFacts,
    pub(crate) records: &'a [Extent],
    pub(crate) manifest: Extent,
    pub(crate) status_cache: Extent,
    pub(crate) verdict: Extent,
    pub(crate) by_pubkey: RunInfo,
    pub(crate) by_owner: Option<RunInfo>,
}

impl Shared {
    /// Whether a state of this slot can be restored.
    ///
    /// # Errors
    /// [`Error::BaseRefused`] when the store holds another state of the slot, or later ones.
    pub(crate) fn check_base(&self, slot: Slot, bank_hash: &Hash) -> Result<BaseFit, Error> {
        let refused = |why: String| Err(Error::BaseRefused { slot, why });
        let Some(root) = self.mirror().tree.root().map(|root| root.number) else {
            return Ok(BaseFit::New);
        };
        if slot > root {
            return Ok(BaseFit::New);
        }
        let held = match self.final_slot_at(slot) {
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

    /// Begins to write what may become a base point.
    pub(crate) fn begin_bulk(&self) -> Result<BulkSession, Error> {
        Ok(self.chain().writer()?.begin_bulk()?)
    }

    /// One event makes it a base point, and everything of it counts from then on.
    pub(crate) fn adopt_base(
        &self,
        session: &mut BulkSession,
        parts: BaseParts<'_>,
    ) -> Result<SlotId, Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        // What became final on the chain before belongs to the window before.
        self.flush_kept()?;
        let slot = parts.facts.bank.slot;
        if self.check_base(slot, &parts.facts.bank.bank_hash)? == BaseFit::Held {
            let why = "the store holds this state by now".to_string();
            return Err(Error::BaseRefused { slot, why });
        }
        let base = BasePoint {
            record_extents: u32::try_from(parts.records.len())
                .expect("bounded by an event's extents"),
            facts: parts.facts,
            runs: PairEntry {
                after: None,
                to: slot,
                by_pubkey: RunEntry::from(parts.by_pubkey),
                by_owner: parts.by_owner.map(RunEntry::from),
            },
        };
        let mut extents = parts.records.to_vec();
        extents.extend([parts.manifest, parts.status_cache, parts.verdict]);
        let payload = encoded(&base);
        let event = new_event(stream::BASES, kind::BASE, &payload, &extents);
        let batch = Batch::of(&event)?;
        let id = {
            let mut mirror = self.mirror();
            let receipt = session.adopt(&batch, &AppendOptions::default())?;
            let id = SlotId(receipt.first_sequence);
            let state = self.apply_base(&mut mirror, &self.state(), id, &base)?;
            *self.state.write().expect("nobody panics while holding it") = state;
            id
        };
        self.save_set()?;
        Ok(id)
    }

    /// Whether this process can write.
    pub(crate) fn is_writer(&self) -> bool {
        matches!(*self.chain(), Chain::Writer(_))
    }
}
