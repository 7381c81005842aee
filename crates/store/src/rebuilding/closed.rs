//! The accounts of which a base point has records, and that are closed there all the same: complete runs
//! say nothing of them, and no record says that they are closed.
//!
//! They lie in an extent of the base point's event, by address. They are walked through side by side
//! with the rows that are put into runs.
//!
//! Memory: a mebibyte.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use icecore_journal::{Extent, History};
use icecore_types::Slot;

use crate::{
    Error,
    base::BEHIND_RECORDS,
    events::StoreEvent,
    run::{BY_PUBKEY, KeySource, MergedRow, PartialKey},
    shared::Shared,
};

/// Bytes that are read at a time: whole addresses.
const PIECE_BYTES: u64 = 1 << 20;

/// Walks through the closed accounts of a base point.
pub(super) struct Closed {
    history: Arc<History>,
    event: u64,
    /// The base point's slot.
    slot: Slot,
    extent: Option<Extent>,
    /// Of the extent, how much was read.
    read: u64,
    piece: VecDeque<[u8; BY_PUBKEY]>,
    next: Option<[u8; BY_PUBKEY]>,
}

impl Shared {
    /// The closed accounts of a base point, whose event it is.
    pub(super) fn closed_of(&self, event: u64) -> Result<Closed, Error> {
        let StoreEvent::Base(point) = self.store_event(event)? else {
            let what = "a stretch begins with no base point".to_string();
            return Err(Error::Event { sequence: event, what });
        };
        let extents = self.history.read(event)?.extents();
        let place = point.record_extents as usize + BEHIND_RECORDS;
        let mut closed = Closed {
            history: Arc::clone(&self.history),
            event,
            slot: point.facts.bank.slot,
            extent: extents.get(place).copied(),
            read: 0,
            piece: VecDeque::new(),
            next: None,
        };
        closed.step()?;
        Ok(closed)
    }
}

impl Closed {
    /// Whether a row is of an account that is closed here, and of a slot up to here. Rows come in order.
    pub(super) fn closes(
        &mut self,
        row: &MergedRow<BY_PUBKEY>,
        keys: &dyn KeySource<BY_PUBKEY>,
    ) -> Result<bool, Error> {
        if row.slot > self.slot {
            return Ok(false);
        }
        let mut key = row.key;
        while let Some(next) = self.next {
            let whole = PartialKey::whole(next);
            let order = match whole.compare(&key) {
                Some(order) => order,
                None => {
                    key = PartialKey::whole(keys.key(row.locator)?);
                    continue;
                }
            };
            match order {
                Ordering::Less => self.step()?,
                Ordering::Equal => return Ok(true),
                Ordering::Greater => break,
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<(), Error> {
        let before = self.next.take();
        if self.piece.is_empty()
            && let Some(extent) = self.extent.filter(|extent| self.read < extent.bytes)
        {
            let end = (self.read + PIECE_BYTES).min(extent.bytes);
            let bytes = self.history.read_extent(&extent, self.read..end)?;
            let (keys, rest) = bytes.as_chunks::<BY_PUBKEY>();
            if !rest.is_empty() {
                return Err(self.malformed());
            }
            self.piece.extend(keys);
            self.read = end;
        }
        self.next = self.piece.pop_front();
        match self.next {
            Some(next) if before.is_some_and(|before| before >= next) => Err(self.malformed()),
            _ => Ok(()),
        }
    }

    fn malformed(&self) -> Error {
        let what = "its closed accounts are no list of addresses that go upward".to_string();
        Error::Event { sequence: self.event, what }
    }
}
