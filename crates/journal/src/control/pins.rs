//! Pins: what readers, of this process and of others, ask the writer to keep for a while.
//!
//! A table of slots of four words: state, start time of the owner's process, value, end of the
//! lease. The state word has the owner's process number, a generation and a phase.
//!
//! ```text
//! free ──claim──> claimed ──publish──> pinned ──renew──> pinned
//!   ^                │                   │
//!   └──take back─────┴──take back, release
//! ```
//!
//! 1. Every change of phase, and every renewal, is one compare-exchange of the state word with the
//!    next generation. So of two who change a slot one wins, and the other learns that it lost.
//! 2. The other words are written between claim and publish; a lease is prolonged before the
//!    exchange that makes the renewal count.
//! 3. The writer takes back what is dead or over in the same look in which it leaves it out of its
//!    list. A pin is therefore either listed or lost, and its owner learns of the loss at the next
//!    renewal.
//!
//! What a pin protects is agreed like this: the reader pins, *then* looks whether what it pinned is
//! still there (the catalog's number is still the one it read). The writer changes the catalog's
//! number, *then* lists the pins. Fences between make sure that one of them sees the other.
//!
//! Invariants:
//! - Slots may hold anything: what is no pin of a living process within a lease of possible length
//!   is taken back.
//! - A process that dies between claim and publish leaves a claim. The writer takes it back when it
//!   has seen it unchanged for [`CLAIM_NANOSECONDS_MAX`]. A living process that stood still that
//!   long within these few instructions finds its claim gone and pins in another slot; its late
//!   words can damage a newer pin, whose owner learns it at its renewal.
//!
//! What it does *not* do: read clocks, or know what a value means.

use std::sync::Arc;

use icecore_disk::{ProcessIdentity, SharedPage};

use crate::layer::{Ordering, Page, WORDS, Word};

use super::ControlError;

/// Pins of all processes together, at most. Under the model two are enough.
pub(crate) const PINS_MAX: usize = if cfg!(loom) { 2 } else { 100 };

/// The longest lease: one day. A longer one in the table is no lease.
pub(crate) const LEASE_NANOSECONDS_MAX: u64 = 24 * 3600 * 1_000_000_000;

/// Values from here on mean what the journal's owner says; those below are numbers of manifests,
/// whose files are kept.
pub(crate) const OWN_VALUES: u64 = 1 << 63;

/// How long a claim may take, by the writer's clock. It is three stores.
pub(super) const CLAIM_NANOSECONDS_MAX: u64 = 10 * 1_000_000_000;

const SLOT_WORDS: usize = 4;
const STATE: usize = 0;
const START_TIME: usize = 1;
const VALUE: usize = 2;
const UNTIL: usize = 3;

/// The table is at the page's end.
pub(super) const PINS: usize = WORDS - PINS_MAX * SLOT_WORDS;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const PINNED: u64 = 2;
const PHASE_BITS: u32 = 2;
const PHASES: u64 = (1 << PHASE_BITS) - 1;
const GENERATIONS: u64 = (1 << (32 - PHASE_BITS)) - 1;

/// What a reader asks to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) owner: ProcessIdentity,
    /// What it means is between the reader and the writer.
    pub(crate) value: u64,
    /// End of the lease, in nanoseconds since 1970.
    pub(crate) until: u64,
}

/// The state that follows on `state`.
fn next(state: u64, owner: u32, phase: u64) -> u64 {
    let generation = ((state >> PHASE_BITS) + 1) & GENERATIONS;
    u64::from(owner) << 32 | generation << PHASE_BITS | phase
}

fn slot<W>(words: &[W; WORDS], index: usize) -> &[W; SLOT_WORDS] {
    words[PINS + index * SLOT_WORDS..].first_chunk().expect("the table ends with the page")
}

/// The end of a lease that begins now.
fn lease_end(now: u64, lease: u64) -> u64 {
    now.saturating_add(lease.min(LEASE_NANOSECONDS_MAX))
}

/// A pin of this process. It is given up when dropped.
#[derive(Debug)]
pub(crate) struct PinHandle<P: Page = Arc<dyn SharedPage>> {
    page: P,
    index: usize,
    state: u64,
    pin: Pin,
}

/// Takes a free slot. The caller then looks whether what it pinned is still there.
pub(super) fn pin<P: Page + Clone>(
    page: &P,
    owner: ProcessIdentity,
    value: u64,
    now: u64,
    lease: u64,
) -> Result<PinHandle<P>, ControlError> {
    let pin = Pin { owner, value, until: lease_end(now, lease) };
    for index in 0..PINS_MAX {
        let slot = slot(page.words(), index);
        let free = slot[STATE].load();
        let claimed = next(free, owner.id, CLAIMED);
        if free & PHASES != FREE || !slot[STATE].replace(free, claimed) {
            continue;
        }
        // As in a sequence lock: nobody sees the words below with the state from before.
        P::Word::fence(Ordering::Release);
        slot[START_TIME].store(owner.start_time, Ordering::Relaxed);
        slot[VALUE].store(value, Ordering::Relaxed);
        slot[UNTIL].store(pin.until, Ordering::Relaxed);
        let state = next(claimed, owner.id, PINNED);
        if slot[STATE].replace(claimed, state) {
            // The other half of the fence in `Table::live`.
            P::Word::fence(Ordering::SeqCst);
            return Ok(PinHandle { page: page.clone(), index, state, pin });
        }
    }
    Err(ControlError::PinsFull { max: PINS_MAX })
}

impl<P: Page> PinHandle<P> {
    /// What is pinned, and until when.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// Whether it is still held. What was read *before* is good if so.
    pub(crate) fn is_held(&self, now: u64) -> bool {
        // What the caller has read must not move behind the look at the slot.
        P::Word::fence(Ordering::Acquire);
        now < self.pin.until && self.is_ours()
    }

    /// Prolongs the lease, from now on.
    pub(crate) fn renew(&mut self, now: u64, lease: u64) -> Result<(), ControlError> {
        if !self.is_held(now) {
            return Err(ControlError::PinLost);
        }
        let until = lease_end(now, lease);
        let slot = slot(self.page.words(), self.index);
        let state = next(self.state, self.pin.owner.id, PINNED);
        // The lease is exchanged, too: should the slot be another's by now, so is the lease in it.
        if !slot[UNTIL].replace(self.pin.until, until) || !slot[STATE].replace(self.state, state) {
            return Err(ControlError::PinLost);
        }
        (self.state, self.pin.until) = (state, until);
        Ok(())
    }

    fn is_ours(&self) -> bool {
        let slot = slot(self.page.words(), self.index);
        slot[STATE].load() == self.state && read(slot) == self.pin
    }
}

impl<P: Page> Drop for PinHandle<P> {
    fn drop(&mut self) {
        // If it was lost, the slot has another state, and is not ours to free.
        let slot = slot(self.page.words(), self.index);
        slot[STATE].replace(self.state, next(self.state, 0, FREE));
    }
}

/// What a pinned slot says.
fn read<W: Word>(slot: &[W; SLOT_WORDS]) -> Pin {
    let id = u32::try_from(slot[STATE].load() >> 32).expect("32 bits are left");
    let owner = ProcessIdentity { id, start_time: slot[START_TIME].load() };
    Pin { owner, value: slot[VALUE].load(), until: slot[UNTIL].load() }
}

/// The writer's view of all slots: what it remembers of claims.
#[derive(Debug)]
pub(super) struct Table {
    /// Per slot the state that was no pin when last seen, and when it was first seen so.
    claims: [(u64, u64); PINS_MAX],
}

impl Table {
    pub(super) fn new() -> Self {
        Self { claims: [(FREE, 0); PINS_MAX] }
    }

    /// The pins of living processes whose lease goes on. All others are taken back.
    pub(super) fn live<W: Word>(
        &mut self,
        words: &[W; WORDS],
        now: u64,
        is_alive: &dyn Fn(ProcessIdentity) -> bool,
    ) -> Result<Vec<Pin>, ControlError> {
        // The other half of the fence in `pin`.
        W::fence(Ordering::SeqCst);
        let mut pins = Vec::new();
        for (index, claim) in self.claims.iter_mut().enumerate() {
            pins.extend(look(slot(words, index), claim, now, is_alive)?);
        }
        Ok(pins)
    }
}

/// One slot: its pin, if that is live. A slot that changes all the time is an error: to be on the
/// safe side, whoever asks must not take it for free.
fn look<W: Word>(
    slot: &[W; SLOT_WORDS],
    claim: &mut (u64, u64),
    now: u64,
    is_alive: &dyn Fn(ProcessIdentity) -> bool,
) -> Result<Option<Pin>, ControlError> {
    for attempt in 0..W::ATTEMPTS_MAX {
        let state = slot[STATE].load();
        W::fence(Ordering::Acquire);
        match state & PHASES {
            FREE => return Ok(None),
            PINNED => {
                let pin = read(slot);
                W::fence(Ordering::Acquire);
                if slot[STATE].load() != state {
                    W::pause(attempt);
                    continue;
                }
                let is_lease = (1..=LEASE_NANOSECONDS_MAX).contains(&pin.until.saturating_sub(now));
                if is_lease && is_alive(pin.owner) {
                    return Ok(Some(pin));
                }
            }
            _ => {
                if claim.0 != state {
                    *claim = (state, now);
                }
                if now.saturating_sub(claim.1) < CLAIM_NANOSECONDS_MAX {
                    return Ok(None);
                }
            }
        }
        if slot[STATE].replace(state, next(state, 0, FREE)) {
            return Ok(None);
        }
        W::pause(attempt);
    }
    Err(ControlError::Unsettled)
}
