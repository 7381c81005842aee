//! Completing a slot, making slots final, giving them up.
//!
//! A commit is one event that adopts what the slot wrote. It is accepted at once, so that children can
//! begin; it can be read by others when it is durable (design D8).

use std::sync::Arc;

use icecore_hash::{BankHashParts, BankHashScheme, bank_hash};
use icecore_journal::{AppendOptions, Batch, Durability, EventRef, Ticket};
use icecore_types::Slot;

use crate::{
    Attachment, Error, OpenSlot, SlotId,
    bank::{SlotStatement, StateTotals},
    events::{Abandoned, Committed, List, Rooted, encoded, kind, new_event, stream},
    gates::{COMMIT_GATES, CommitFacts},
    shared::Shared,
};

/// The stream of refused commits.
pub const DENIALS_STREAM: &[u8] = b"denials";

/// A slot that was accepted, or slots that became final: what is left is to wait.
#[derive(Debug)]
#[must_use = "it is durable only after waiting for it"]
pub struct Pending {
    id: SlotId,
    ticket: Option<Ticket>,
}

impl Pending {
    /// The slot.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// Waits until it survives a loss of power.
    ///
    /// # Errors
    /// What the journal said; when a sync failed, the store has to be opened again.
    pub fn wait(&self) -> Result<(), Error> {
        match &self.ticket {
            Some(ticket) => Ok(ticket.wait(Durability::Durable)?),
            None => Ok(()),
        }
    }

    /// Whether it is durable, without waiting.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn is_durable(&self) -> Result<bool, Error> {
        match &self.ticket {
            Some(ticket) => Ok(ticket.has(Durability::Durable)?),
            None => Ok(true),
        }
    }
}

impl OpenSlot {
    /// Completes the slot, if what was written is what it states: all gates are asked.
    ///
    /// # Errors
    /// [`icecore_journal::Error::Denied`] names all that does not fit ([`Error::denial`]); the denial
    /// is recorded, and the slot is dead, as after any other error.
    pub fn commit(mut self, stated: &SlotStatement) -> Result<Pending, Error> {
        self.take_waiting()?;
        self.write_extent()?;
        let (totals, capitalization) = self.totals_after(stated);
        let shared = Arc::clone(&self.shared);
        let facts = CommitFacts {
            stated: stated.clone(),
            number: self.number,
            parent_number: self.parent.number,
            parent_bank_hash: self.parent.bank.bank_hash,
            accounts_written: self.accounts_written(),
            lattice: totals.lattice.clone(),
            capitalization,
            bank_hash: self.bank_hash(stated, &totals),
        };
        let mut extents = std::mem::take(&mut self.extents);
        let record_extents = u32::try_from(extents.len()).expect("bounded by an event's extents");
        let chain = shared.chain();
        let journal = chain.writer()?;
        let bank = self.take_attached(Attachment::Bank)?;
        let status_cache = self.take_attached(Attachment::StatusCache)?;
        extents.extend(bank.iter().chain(&status_cache));
        let committed = Committed {
            id: self.id,
            parent: self.parent.id,
            bank: stated.bank,
            totals,
            accounts_written: self.accounts_written(),
            record_extents,
            has_bank: bank.is_some(),
            has_status_cache: status_cache.is_some(),
        };
        let payload = encoded(&committed);
        let parents =
            [EventRef::Sequence(self.parent.event.expect("a slot with children is complete"))];
        let mut event = new_event(stream::SLOTS, kind::COMMITTED, &payload, &extents);
        event.parents = &parents;
        event.causation = Some(EventRef::Sequence(self.id.0));
        let options = AppendOptions {
            gates: &COMMIT_GATES,
            context: &facts,
            record_denial: Some(DENIALS_STREAM),
            durability: Durability::Buffered,
            ..AppendOptions::default()
        };
        let ticket = {
            let mut mirror = shared.mirror();
            self.check_open(&mirror.tree)?;
            let ticket = journal.submit(&Batch::of(&event)?, &options)?;
            let state = shared.state();
            let versions = std::mem::take(&mut self.versions);
            let count = versions.len() as u64;
            state.tail.add(versions);
            let Committed { bank, totals, .. } = committed;
            let sequence = ticket.receipt().first_sequence;
            mirror.tree.commit(self.id, sequence, bank, totals, count);
            ticket
        };
        self.has_ended = true;
        shared.wakeup.work_may_be_due();
        Ok(Pending { id: self.id, ticket: Some(ticket) })
    }

    /// Somebody else may have given it up.
    fn check_open(&self, tree: &crate::tree::Tree) -> Result<(), Error> {
        match tree.get(self.id).map(|node| node.state) {
            Some(crate::SlotState::Open) => Ok(()),
            _ => Err(Error::SlotRefused { slot: self.number, why: "it was abandoned meanwhile" }),
        }
    }

    fn bank_hash(&self, stated: &SlotStatement, totals: &StateTotals) -> icecore_types::Hash {
        let hard_forks = self.shared.mirror().base.clone();
        let parts = BankHashParts {
            parent_hash: self.parent.bank.bank_hash,
            signature_count: stated.bank.signature_count,
            last_blockhash: stated.bank.last_blockhash,
            lattice: Some(&totals.lattice),
            accounts_delta_hash: None,
            epoch_accounts_hash: None,
            hard_forks: hard_forks.as_ref().map_or(&[], |base| &base.hard_forks),
            parent_slot: self.parent.number,
            slot: self.number,
        };
        bank_hash(&parts, BankHashScheme::Lattice)
            .expect("all parts of the lattice scheme are there")
    }
}

impl Shared {
    /// Makes a slot final, with its ancestors; the rest is abandoned.
    pub(crate) fn root(&self, id: SlotId) -> Result<Pending, Error> {
        let ticket = {
            let mut mirror = self.mirror();
            let chain = mirror.tree.chain_to(id)?;
            let event = mirror.tree.get(id).and_then(|node| node.event);
            let parents = [EventRef::Sequence(event.expect("a committed slot has its event"))];
            let payload = encoded(&Rooted { chain: List(chain.clone()) });
            let mut event = new_event(stream::ROOTS, kind::ROOTED, &payload, &[]);
            event.parents = &parents;
            let options = AppendOptions { use_reserve: true, ..AppendOptions::default() };
            let ticket = self.append(&Batch::of(&event)?, &options)?;
            mirror.tree.apply_root(&chain, ticket.receipt().first_sequence);
            ticket
        };
        self.wakeup.work_may_be_due();
        Ok(Pending { id, ticket: Some(ticket) })
    }

    /// Gives slots up, and what was built on them.
    pub(crate) fn abandon_slots(&self, ids: &[SlotId]) -> Result<(), Error> {
        let mut mirror = self.mirror();
        let mut changed = Vec::new();
        for id in ids {
            if mirror.tree.abandon(*id)? {
                changed.push(*id);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let payload = encoded(&Abandoned { slots: List(changed) });
        let event = new_event(stream::ROOTS, kind::ABANDONED, &payload, &[]);
        let options = AppendOptions { use_reserve: true, ..AppendOptions::default() };
        let _ticket = self.append(&Batch::of(&event)?, &options)?;
        Ok(())
    }

    /// Records that nothing is known of these slots.
    pub(crate) fn record_gap(&self, first: Slot, last: Slot) -> Result<(), Error> {
        let mut mirror = self.mirror();
        let payload = encoded(&crate::events::Gap { first, last });
        let event = new_event(stream::BASES, kind::GAP, &payload, &[]);
        let _ticket = self.append(&Batch::of(&event)?, &AppendOptions::default())?;
        mirror.gaps.push((first, last));
        Ok(())
    }
}
