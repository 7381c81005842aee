//! Completing a slot, making slots final, giving them up.
//!
//! A commit is one event that adopts what the slot wrote. It is accepted at once, so that children can
//! begin; it can be read by others when it is durable (design D8).

use std::sync::{Arc, Weak};

use icecore_hash::{BankHashParts, BankHashScheme, bank_hash};
use icecore_journal::{AppendOptions, Batch, Durability, EventRef, Ticket};
use icecore_types::Slot;

use crate::{
    Attachment, Error, OpenSlot, SlotId, SlotState,
    bank::{SlotStatement, StateTotals},
    events::{Abandoned, Committed, List, Rooted, encoded, kind, new_event, stream},
    gates::{COMMIT_GATES, CommitFacts},
    shared::{Mirror, Shared},
    tail::SlotIndex,
    tree::Node,
};

/// The stream of refused commits.
pub const DENIALS_STREAM: &[u8] = b"denials";

/// A slot that was accepted, or slots that became final: what is left is to wait.
#[derive(Debug)]
#[must_use = "it is durable only after waiting for it"]
pub struct Pending {
    id: SlotId,
    ticket: Ticket,
    /// The store whose root it is.
    root_of: Option<Weak<Shared>>,
}

impl Pending {
    /// The slot.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// Waits until it survives a loss of power.
    ///
    /// # Errors
    /// What the journal said: after [`icecore_journal::Error::TakenBack`] nothing of it has happened,
    /// nor of what was built on it; when a sync failed, the store has to be opened again.
    pub fn wait(&self) -> Result<(), Error> {
        let result = self.ticket.wait(Durability::Durable).map_err(Error::from);
        let store = self.root_of.as_ref().and_then(Weak::upgrade);
        match (result, store) {
            (Err(error), Some(shared)) => shared.root_with_reserve(self.id, error),
            (result, _) => result,
        }
    }

    /// Whether it is durable, without waiting.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn is_durable(&self) -> Result<bool, Error> {
        Ok(self.ticket.has(Durability::Durable)?)
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
            let mut mirror = shared.current_mirror()?;
            let index = self.check_open(&mirror.tree)?;
            let ticket = shared.append(&mirror, &Batch::of(&event)?, &options)?;
            let state = shared.state();
            let mut versions = std::mem::take(&mut self.versions);
            versions.iter_mut().for_each(|version| version.slot = index);
            let count = versions.len() as u64;
            state.tail.add(versions);
            let Committed { bank, totals, .. } = committed;
            let sequence = ticket.receipt().first_sequence;
            mirror.tree.commit(self.id, sequence, bank, totals, count);
            ticket
        };
        self.has_ended = true;
        shared.wakeup.work_may_be_due();
        Ok(Pending { id: self.id, ticket, root_of: None })
    }

    /// Somebody else may have given it up; the journal may have taken it back. Gives the index that it
    /// has now.
    fn check_open(&self, tree: &crate::tree::Tree) -> Result<SlotIndex, Error> {
        let why = match tree.get(self.id) {
            Some(node) if node.state == SlotState::Open => return Ok(node.index),
            Some(_) => "it was abandoned meanwhile",
            None => "its beginning was taken back, as writing to the disk failed; begin it again",
        };
        Err(Error::SlotRefused { slot: self.number, why })
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
    pub(crate) fn root(self: &Arc<Self>, id: SlotId) -> Result<Pending, Error> {
        let ticket = self.submit_root(id)?;
        self.wakeup.work_may_be_due();
        Ok(Pending { id, ticket, root_of: Some(Arc::downgrade(self)) })
    }

    fn submit_root(&self, id: SlotId) -> Result<Ticket, Error> {
        let mut mirror = self.current_mirror()?;
        let chain = mirror.tree.chain_to(id)?;
        let event = mirror.tree.get(id).and_then(|node| node.event);
        let parents = [EventRef::Sequence(event.expect("a committed slot has its event"))];
        let payload = encoded(&Rooted { chain: List(chain.clone()) });
        let mut event = new_event(stream::ROOTS, kind::ROOTED, &payload, &[]);
        event.parents = &parents;
        let ticket = self.append(&mirror, &Batch::of(&event)?, &AppendOptions::default())?;
        mirror.tree.apply_root(&chain, ticket.receipt().first_sequence);
        Ok(ticket)
    }

    /// Roots once more on a full disk, with the room that is kept in reserve (rule R4).
    fn root_with_reserve(&self, id: SlotId, error: Error) -> Result<(), Error> {
        let has_room = match &error {
            Error::Journal(error) => self.chain().writer()?.make_room(error),
            _ => false,
        };
        if !has_room {
            return Err(error);
        }
        match self.submit_root(id) {
            Ok(ticket) => Ok(ticket.wait(Durability::Durable)?),
            // The slot itself was taken back.
            Err(Error::NoSuchSlot { .. } | Error::SlotRefused { .. }) => Err(error),
            Err(other) => Err(other),
        }
    }

    /// Gives slots up, and what was built on them.
    pub(crate) fn abandon_slots(&self, ids: &[SlotId]) -> Result<(), Error> {
        let mut mirror = self.current_mirror()?;
        self.abandon_in(&mut mirror, ids)
    }

    /// Gives up what is open and nobody writes: when it was given up before, that was taken back or
    /// could not be recorded.
    pub(crate) fn give_up_forsaken(&self, mirror: &mut Mirror) -> Result<(), Error> {
        let is_open = |node: &&Node| node.state == SlotState::Open;
        let open = mirror.tree.nodes().filter(is_open).map(|node| node.id);
        let forsaken: Vec<_> = open.filter(|id| !self.underway.has(*id)).collect();
        self.abandon_in(mirror, &forsaken)
    }

    fn abandon_in(&self, mirror: &mut Mirror, ids: &[SlotId]) -> Result<(), Error> {
        let mut changed = Vec::new();
        for id in ids {
            if !mirror.tree.given_up(*id)?.is_empty() {
                changed.push(*id);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let payload = encoded(&Abandoned { slots: List(changed.clone()) });
        let event = new_event(stream::ROOTS, kind::ABANDONED, &payload, &[]);
        let _ticket = self.append(mirror, &Batch::of(&event)?, &AppendOptions::default())?;
        changed.into_iter().try_for_each(|id| mirror.tree.abandon(id))
    }

    /// Records that nothing is known of these slots.
    pub(crate) fn record_gap(&self, first: Slot, last: Slot) -> Result<(), Error> {
        let mut mirror = self.current_mirror()?;
        let payload = encoded(&crate::events::Gap { first, last });
        let event = new_event(stream::BASES, kind::GAP, &payload, &[]);
        let _ticket = self.append(&mirror, &Batch::of(&event)?, &AppendOptions::default())?;
        mirror.gaps.push((first, last));
        Ok(())
    }
}
