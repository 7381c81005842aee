//! What a feed is applied to.
//!
//! What it does *not* do: prescribe how slots are kept.

use icecore_types::{AccountRef, Hash, Slot};

use crate::{Attachment, SlotId, SlotState, SlotStatement};

/// What a feed needs to know of a slot of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFacts {
    /// Its identity. Later ones began later.
    pub id: SlotId,
    /// Its number.
    pub number: Slot,
    /// Its parent; `None` for a base point.
    pub parent: Option<SlotId>,
    /// What has become of it.
    pub state: SlotState,
    /// Its bank hash; `None` when it was never completed.
    pub bank_hash: Option<Hash>,
}

/// Takes the slots of a feed.
///
/// A slot is seen by [`slots`](Self::slots) from its begin on, whether it is durable or not.
pub trait SlotSink {
    /// A slot that is being written. Dropping it leaves the slot as a crash would: dead.
    type Open;
    /// What can go wrong.
    type Error: std::error::Error + 'static;

    /// The last final slot.
    ///
    /// # Errors
    /// There is none: the store is empty.
    fn root(&self) -> Result<SlotFacts, Self::Error>;

    /// The number of the first slot that is held: the oldest base point.
    ///
    /// # Errors
    /// As the sink has them.
    fn first_slot(&self) -> Result<Slot, Self::Error>;

    /// All slots of a number that are known, in the order in which they began: final ones however
    /// old, others as far as they are kept.
    ///
    /// # Errors
    /// As the sink has them.
    fn slots(&self, number: Slot) -> Result<Vec<SlotFacts>, Self::Error>;

    /// Begins a slot. The parent is complete, and may be abandoned.
    ///
    /// # Errors
    /// As the sink has them.
    fn begin_slot(&mut self, number: Slot, parent: SlotId) -> Result<Self::Open, Self::Error>;

    /// Writes an account's version in the slot.
    ///
    /// # Errors
    /// The slot has the account already (which may also be said at its commit), or as the sink has
    /// them.
    fn write(&mut self, open: &mut Self::Open, account: &AccountRef<'_>)
    -> Result<(), Self::Error>;

    /// Appends a piece to what goes with the slot, which has `bytes` in all. The bank comes before the
    /// status cache, each whole before the commit.
    ///
    /// # Errors
    /// As the sink has them.
    fn attach(
        &mut self,
        open: &mut Self::Open,
        what: Attachment,
        bytes: u64,
        piece: &[u8],
    ) -> Result<(), Self::Error>;

    /// Completes the slot, if what was written agrees with what it states. A slot that does not
    /// descend from the root is abandoned from then on.
    ///
    /// # Errors
    /// A gate's refusal: hash, capitalization, bank hash, an account twice; or as the sink has them.
    fn commit(
        &mut self,
        open: Self::Open,
        statement: &SlotStatement,
    ) -> Result<SlotId, Self::Error>;

    /// Gives a slot up that was begun and not completed: it is dead.
    ///
    /// # Errors
    /// As the sink has them.
    fn abandon_open(&mut self, open: Self::Open) -> Result<SlotId, Self::Error>;

    /// Makes a slot final whose parent is the root. What does not descend from it is abandoned.
    ///
    /// # Errors
    /// As the sink has them.
    fn root_slot(&mut self, slot: SlotId) -> Result<(), Self::Error>;

    /// Gives a complete slot up that is not final, with what was built on it.
    ///
    /// # Errors
    /// As the sink has them.
    fn abandon(&mut self, slot: SlotId) -> Result<(), Self::Error>;

    /// Records that nothing is known of the slots with these numbers, both included. Recording what is
    /// recorded changes nothing.
    ///
    /// # Errors
    /// As the sink has them.
    fn record_gap(&mut self, first: Slot, last: Slot) -> Result<(), Self::Error>;
}
