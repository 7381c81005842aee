//! Applies a slot feed to a store.
//!
//! Bytes go in ([`Ingest::push`]), in chunks of any size; slots, roots and abandonments go to a
//! [`SlotSink`] message by message. Several slots are in flight at once.
//!
//! A slot of the feed, and a slot of the store:
//! - A feed names slots by number. At any place in it a number means one slot: the one that began
//!   last. It has to be abandoned before the number may begin again.
//! - The parent is the store's slot with that number and that bank hash.
//! - A slot that is abandoned without an end is recorded as dead.
//!
//! The same feed may be given again, after it was cut off or after a crash:
//! 1. When a slot begins that could be one that the store has (the same number on the same parent),
//!    its accounts are held in memory. At its end its bank hash tells: either it is there, and what
//!    was held is dropped, or it is another one, and is begun and written then.
//! 2. Each of the store's slots stands for one slot of the feed, in the order in which they began: a
//!    number that was begun twice is found twice.
//! 3. Roots and abandonments that are done already are passed by.
//! 4. Forks behind the root with which this began, of which the store knows nothing any more, are
//!    passed over: they will never be final.
//!
//! Slots that were open when a store was left are dead; they are begun again.
//!
//! Where to stop: [`IngestOptions::until`] stops right after the first slot of that number that has
//! an end, whatever became of the forks around it, so that they can still be read; slots that are
//! open then are recorded as dead, and begun again when the feed is given again. A number that dies
//! does not stop it, nor does one that never comes.
//!
//! Gaps: without its parent's state nothing can be said of a slot. So a feed that begins on a slot
//! that the store does not hold is refused. With [`IngestOptions::allow_gap`] slots on parents of
//! unknown numbers are passed over, with all that is built on them, and as many as were rooted after
//! the store's last final slot are recorded as a gap. As soon as a parent is known slots are taken:
//! restore an archive of a slot within the feed, and give the feed again.
//!
//! Invariants:
//! - Nothing is guessed: what does not fit is refused ([`Refusal`]), and what came before stays.
//! - Memory: [`HELD_BYTES_MAX`] and one account, beside what the sink needs for
//!   [`OPEN_SLOTS_MAX`] open slots.
//!
//! What it does *not* do: check hashes, sums, or that an account comes once in a slot (the store's
//! gates do), check accounts of slots that are there already beyond their number, or read files.

mod counters;
mod held;
mod refusal;
mod sink;
mod slots;
mod store;

use std::ops::ControlFlow;

use icecore_types::Slot;

use self::slots::Slots;
pub use self::{
    counters::Counters,
    refusal::{IngestError, Refusal},
    sink::{SlotFacts, SlotSink},
};
use crate::feed::FeedReader;

/// Slots that are open at the same time, at most. Mainnet's forks are a few.
pub const OPEN_SLOTS_MAX: usize = 1024;

/// Slots of the feed that wait to be rooted or abandoned, at most: seven hours without a root.
pub const WAITING_SLOTS_MAX: usize = 1 << 16;

/// Bytes of accounts that are held for slots that may be there already, at most: 64 MiB. Beyond it a
/// slot is taken for the one that is there, and refused if it turns out to be another one.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// What the caller can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestOptions {
    /// Stop after the end of the first slot with this number.
    pub until: Option<Slot>,
    /// Pass over slots whose parent the store does not hold, and record the gap.
    pub allow_gap: bool,
}

/// What was done with a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How much.
    pub counters: Counters,
    /// The gap that was recorded, its first and its last slot.
    pub gap: Option<(Slot, Slot)>,
    /// Whether the slot to stop at was reached.
    pub is_stopped: bool,
}

/// Applies one feed to a store.
pub struct Ingest<S: SlotSink> {
    reader: FeedReader,
    slots: Slots<S>,
    is_stopped: bool,
}

impl<S: SlotSink> Ingest<S> {
    /// At the beginning of a feed.
    ///
    /// # Errors
    /// What the sink says when it is asked for its root.
    pub fn new(sink: S, options: IngestOptions) -> Result<Self, S::Error> {
        let slots = Slots::new(sink, options)?;
        Ok(Self { reader: FeedReader::new(), slots, is_stopped: false })
    }

    /// Takes the next bytes of the feed, uncompressed. `Break`: the slot to stop at has ended; nothing
    /// behind it was or will be taken.
    ///
    /// # Errors
    /// [`IngestError`]: the bytes are no feed, do not fit, or the store refused. What came before is
    /// applied; nothing more can be given.
    pub fn push(&mut self, bytes: &[u8]) -> Result<ControlFlow<()>, IngestError<S::Error>> {
        let mut input = bytes;
        while !self.is_stopped {
            let Some((offset, item)) = self.reader.next(&mut input)? else {
                return Ok(ControlFlow::Continue(()));
            };
            self.is_stopped = self.slots.apply(offset, item)?.is_break();
        }
        Ok(ControlFlow::Break(()))
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        Counters { bytes: self.reader.offset(), ..self.slots.counters() }
    }

    /// Ends: the feed is over, or was stopped. Slots that are open are recorded as dead.
    ///
    /// # Errors
    /// [`FeedFault::Cut`](crate::feed::FeedFault::Cut) when the bytes ended within a message; what came
    /// before is applied. Or what the store says.
    pub fn finish(mut self) -> Result<Summary, IngestError<S::Error>> {
        let offset = self.reader.offset();
        self.slots.close().map_err(|(slot, source)| IngestError::Store { offset, slot, source })?;
        if !self.is_stopped {
            self.reader.finish()?;
        }
        let is_stopped = self.is_stopped;
        Ok(Summary { counters: self.counters(), gap: self.slots.gap(), is_stopped })
    }
}
