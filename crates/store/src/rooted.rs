//! Following which slots become final: for whoever has to do something at some of them, and may not
//! miss any while it is busy.
//!
//! Steps: events that make slots final are read from a sequence on, as far as they are durable. Each
//! names its newest slot's event; the ones before are found by their parents.
//!
//! What it does *not* do: hold anything. Whether a slot can still be read says a view.

use std::collections::BTreeMap;

use icecore_journal::{By, Query};
use icecore_types::Slot;

use crate::{
    Error, Store,
    bank::BankFields,
    events::{StoreEvent, kind},
};

/// A slot that became final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootedSlot {
    /// Its number.
    pub number: Slot,
    /// Its event in the journal: the commit, or the base point.
    pub event: u64,
    /// Its bank's fields.
    pub bank: BankFields,
    /// Whether its bank and its status cache are kept: what an archive needs besides accounts.
    pub has_bank: bool,
    /// Whether it was restored, as a base point.
    pub is_base: bool,
}

impl Store {
    /// The event by which the root became final; `None` without a root.
    pub fn last_rooting(&self) -> Option<u64> {
        let mirror = self.shared.listed_mirror();
        self.shared.durable_root(&mirror).ok().and_then(|root| root.rooted_by)
    }

    /// The slots that were made final by events from this sequence on, in order, as far as that is
    /// durable, and the sequence to go on from. Ends after the event with which there are `limit`.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn rooted_since(
        &self,
        sequence: u64,
        limit: usize,
    ) -> Result<(Vec<RootedSlot>, u64), Error> {
        let shared = &self.shared;
        let end = {
            let mirror = shared.current_mirror()?;
            let root = match shared.durable_root(&mirror) {
                Ok(root) => root,
                Err(Error::Empty) => return Ok((Vec::new(), sequence)),
                Err(error) => return Err(error),
            };
            root.rooted_by.expect("a root was made final") + 1
        };
        if sequence >= end {
            return Ok((Vec::new(), sequence));
        }
        let mut events = BTreeMap::new();
        for of in [kind::BASE, kind::ROOTED] {
            let query = Query::new(By::Kind(of)).sequences(sequence..end);
            for event in shared.history.scan(query)?.take(limit.max(1)) {
                let event = event?;
                events.insert(event.sequence(), event);
            }
        }
        let mut slots = Vec::new();
        for (sequence, event) in events {
            let payload = shared.history.payload(&event)?;
            match StoreEvent::decode(&event, &payload)? {
                Some(StoreEvent::Rooted(rooted)) => {
                    let newest = event.parents().first().copied();
                    self.chain_of(newest, rooted.chain.0.len(), &mut slots)?;
                }
                Some(StoreEvent::Base(base)) => slots.push(RootedSlot {
                    number: base.facts.bank.slot,
                    event: sequence,
                    bank: base.facts.bank,
                    has_bank: true,
                    is_base: true,
                }),
                _ => {}
            }
            if slots.len() >= limit {
                return Ok((slots, sequence + 1));
            }
        }
        Ok((slots, end))
    }

    /// Adds a chain of slots of so many, given the event of its last one.
    fn chain_of(
        &self,
        newest: Option<u64>,
        count: usize,
        slots: &mut Vec<RootedSlot>,
    ) -> Result<(), Error> {
        let (from, mut next) = (slots.len(), newest);
        for _ in 0..count {
            let Some(sequence) = next else { break };
            let event = self.shared.history.read(sequence)?;
            let payload = self.shared.history.payload(&event)?;
            let Some(StoreEvent::Committed(committed)) = StoreEvent::decode(&event, &payload)?
            else {
                let what = "a slot that became final has no commit".to_string();
                return Err(Error::Event { sequence, what });
            };
            slots.push(RootedSlot {
                number: committed.bank.slot,
                event: sequence,
                bank: committed.bank,
                has_bank: committed.has_bank && committed.has_status_cache,
                is_base: false,
            });
            next = event.parents().first().copied();
        }
        slots[from..].reverse();
        Ok(())
    }
}
