//! A store takes the slots of a feed.
//!
//! Nothing here waits until slots are durable: whoever reports them as safe calls
//! [`Store::sync`] first.

use icecore_types::{AccountRef, Slot};

use super::{SlotFacts, SlotSink};
use crate::{
    Attachment, Error, OpenSlot, SlotId, SlotInfo, SlotState, SlotStatement, Store,
    events::StoreEvent,
};

impl SlotSink for &Store {
    type Open = OpenSlot;
    type Error = Error;

    fn root(&self) -> Result<SlotFacts, Error> {
        self.root_slot().as_ref().map(SlotFacts::from).ok_or(Error::Empty)
    }

    fn first_slot(&self) -> Result<Slot, Error> {
        self.shared.first_slot().ok_or(Error::Empty)
    }

    fn slots(&self, number: Slot) -> Result<Vec<SlotFacts>, Error> {
        let mut known: Vec<SlotFacts> = {
            let mirror = self.shared.current_mirror()?;
            mirror
                .tree
                .of_number(number)
                .map(|node| SlotFacts::from(&SlotInfo::from(node)))
                .collect()
        };
        // A final slot that is far behind the root is known to runs only.
        if known.iter().all(|facts| facts.state != SlotState::Rooted)
            && number <= self.root()?.number
        {
            known.extend(self.final_slot(number)?);
        }
        known.sort_unstable_by_key(|facts| facts.id);
        Ok(known)
    }

    fn begin_slot(&mut self, number: Slot, parent: SlotId) -> Result<OpenSlot, Error> {
        Store::begin_slot(self, number, parent)
    }

    fn write(&mut self, open: &mut OpenSlot, account: &AccountRef<'_>) -> Result<(), Error> {
        open.write(account)
    }

    fn attach(
        &mut self,
        open: &mut OpenSlot,
        what: Attachment,
        bytes: u64,
        piece: &[u8],
    ) -> Result<(), Error> {
        open.attach(what, bytes, piece)
    }

    fn commit(&mut self, open: OpenSlot, statement: &SlotStatement) -> Result<SlotId, Error> {
        open.commit(statement).map(|pending| pending.id())
    }

    fn abandon_open(&mut self, open: OpenSlot) -> Result<SlotId, Error> {
        let id = open.id();
        open.abandon().map(|()| id)
    }

    fn root_slot(&mut self, slot: SlotId) -> Result<(), Error> {
        Store::root(self, slot).map(drop)
    }

    fn abandon(&mut self, slot: SlotId) -> Result<(), Error> {
        Store::abandon(self, slot)
    }

    fn record_gap(&mut self, first: Slot, last: Slot) -> Result<(), Error> {
        let is_recorded =
            self.coverage().gaps.iter().any(|gap| gap.first <= first && last <= gap.last);
        match is_recorded {
            true => Ok(()),
            false => Store::record_gap(self, first, last),
        }
    }
}

impl Store {
    /// The final slot of exactly this number, wherever it is known.
    fn final_slot(&self, number: Slot) -> Result<Option<SlotFacts>, Error> {
        let found = match self.shared.final_slot_at(number) {
            Ok(found) if found.number == number => found,
            Ok(_) | Err(Error::NotCovered { .. } | Error::InGap { .. } | Error::NoFork { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (id, parent) = match self.shared.store_event(found.event)? {
            StoreEvent::Committed(committed) => (committed.id, Some(committed.parent)),
            StoreEvent::Base(_) => (SlotId(found.event), None),
            _ => {
                let what = "it is named as a final slot's, and is none".to_string();
                return Err(Error::Event { sequence: found.event, what });
            }
        };
        let bank_hash = Some(found.bank.bank_hash);
        Ok(Some(SlotFacts { id, number, parent, state: SlotState::Rooted, bank_hash }))
    }
}

impl From<&SlotInfo> for SlotFacts {
    fn from(info: &SlotInfo) -> Self {
        let is_complete = !matches!(info.state, SlotState::Open | SlotState::Dead);
        Self {
            id: info.id,
            number: info.number,
            parent: info.parent,
            state: info.state,
            bank_hash: is_complete.then_some(info.bank.bank_hash),
        }
    }
}
