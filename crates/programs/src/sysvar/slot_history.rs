//! Which of the last 1,048,576 slots are ancestors: a ring of bits, borrowed where it lies.
//!
//! Wire shape (`solana-slot-history` 3.x over `bv` 0.11): `u8` 1, `u64` 16,384 blocks, the blocks
//! of `u64`, `u64` 1,048,576 bits, `u64` next slot; 131,097 bytes. Slot `s` has bit `s mod
//! 1,048,576`, and bit `b` lies in block `b / 64` at weight `2^(b mod 64)`, which in little endian
//! is bit `b mod 8` of byte `b / 8`.
//!
//! Any other number of blocks or bits is malformed: the reference client indexes the ring by this
//! number without looking.

use icecore_types::{Cursor, Slot};

/// Slots that the ring remembers (`MAX_ENTRIES` of `solana-slot-history`).
pub const SLOT_HISTORY_BITS: u64 = 1024 * 1024;

/// Blocks of 64 bits.
const BLOCKS: u64 = SLOT_HISTORY_BITS / 64;

/// What the history says of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPresence {
    /// Newer than the newest slot known.
    Future,
    /// Older than the ring reaches.
    TooOld,
    /// An ancestor.
    Present,
    /// Skipped, or on another fork.
    Absent,
}

/// The slot history sysvar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotHistory<'a> {
    /// `BLOCKS * 8` bytes.
    bits: &'a [u8],
    /// At least 1.
    next_slot: Slot,
}

impl<'a> SlotHistory<'a> {
    /// Decodes account data; `None` when it is not a slot history.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        let has_blocks = cursor.read::<u8>().ok()? == 1;
        if !has_blocks || cursor.read::<u64>().ok()? != BLOCKS {
            return None;
        }
        let bits = cursor.take(usize::try_from(BLOCKS * 8).expect("128 KiB")).ok()?;
        let bits_count = cursor.read::<u64>().ok()?;
        let next_slot = cursor.read::<u64>().ok()?;
        (bits_count == SLOT_HISTORY_BITS && next_slot > 0).then_some(Self { bits, next_slot })
    }

    /// The newest slot known: that of the bank that wrote this.
    pub fn newest_slot(&self) -> Slot {
        self.next_slot - 1
    }

    /// The slot after the newest one known.
    pub fn next_slot(&self) -> Slot {
        self.next_slot
    }

    /// The oldest slot that the ring reaches.
    pub fn oldest_slot(&self) -> Slot {
        self.next_slot.saturating_sub(SLOT_HISTORY_BITS)
    }

    /// Bits in the ring, always [`SLOT_HISTORY_BITS`].
    pub fn bits_count(&self) -> u64 {
        SLOT_HISTORY_BITS
    }

    /// What the history says of `slot`.
    pub fn presence(&self, slot: Slot) -> SlotPresence {
        if slot > self.newest_slot() {
            SlotPresence::Future
        } else if slot < self.oldest_slot() {
            SlotPresence::TooOld
        } else if self.bit(slot) {
            SlotPresence::Present
        } else {
            SlotPresence::Absent
        }
    }

    /// Whether `slot` is known to be an ancestor.
    pub fn contains(&self, slot: Slot) -> bool {
        self.presence(slot) == SlotPresence::Present
    }

    /// The ancestors, newest first.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + use<'a> {
        let history = *self;
        (history.oldest_slot()..=history.newest_slot()).rev().filter(move |slot| history.bit(*slot))
    }

    /// The bit of a slot within the ring's reach.
    fn bit(&self, slot: Slot) -> bool {
        let bit = slot % SLOT_HISTORY_BITS;
        let byte = usize::try_from(bit / 8).expect("below 128 Ki");
        self.bits[byte] >> (bit % 8) & 1 == 1
    }
}
