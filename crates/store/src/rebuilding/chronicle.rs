//! What the chain says of slots, from its first event to its last: which are final, in which stretch,
//! and what of it is kept.
//!
//! A *stretch* begins with a base point and goes on to the slot before the next one.
//!
//! What it does *not* do: read records.

use std::sync::Arc;

use icecore_journal::{By, Query};
use icecore_types::Slot;

use crate::{
    Error, SlotId, SlotState,
    bank::{BankFields, BaseFacts, StateTotals},
    events::StoreEvent,
    run::SlotCommit,
    shared::Shared,
    tree::{Node, Tree},
};

/// Slots that are forgotten only when the root is so much further past them than the options say: a
/// writer forgets later than at once.
const LATE_SLOTS: u64 = 10_000;

/// Slots between two purges.
const PURGE_SLOTS: usize = 1_000;

/// Slots from one base point to the next.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The event of the base point.
    pub(super) base: u64,
    pub(super) first: Slot,
    /// Final slots behind it, and their commits.
    pub(super) slots: Vec<SlotCommit>,
    /// The stretch before it, by its place, whose base point it was built on.
    pub(super) built_on: Option<usize>,
    pub(super) kept: Kept,
}

/// What of a stretch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// The state at its base point.
    BasePoint,
    /// Everything from this slot on: the base point's, or a later one.
    From(Slot),
}

/// What the chain says.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    pub(super) tree: Tree,
    pub(super) stretches: Vec<Stretch>,
    pub(super) gaps: Vec<(Slot, Slot)>,
    pub(super) horizon: Slot,
    /// Base points from here on are kept.
    bases_from: Slot,
    pub(super) base: Option<Arc<BaseFacts>>,
    /// Events below this were looked at.
    pub(super) end: u64,
}

impl Stretch {
    pub(super) fn last(&self) -> Slot {
        self.slots.last().map_or(self.first, |commit| commit.slot)
    }

    /// The commit of a final slot.
    pub(super) fn commit(&self, slot: Slot) -> Option<SlotCommit> {
        let found = self.slots.binary_search_by_key(&slot, |commit| commit.slot).ok()?;
        Some(self.slots[found])
    }
}

impl Chronicle {
    /// The stretch that a slot lies in, by its place.
    pub(super) fn stretch_of(&self, slot: Slot) -> Option<usize> {
        self.stretches.partition_point(|stretch| stretch.first <= slot).checked_sub(1)
    }

    fn take(&mut self, sequence: u64, event: StoreEvent) -> Result<(), Error> {
        match event {
            StoreEvent::Created(_)
            | StoreEvent::Moved(_)
            | StoreEvent::Snapshot(_)
            | StoreEvent::AccountsHash(_)
            | StoreEvent::SnapshotIntent(_) => {}
            StoreEvent::Begun(begun) => {
                // What was built on a slot that is forgotten here was never final.
                if self.tree.get(begun.parent).is_some() {
                    self.tree.begin(SlotId(sequence), begun.number, begun.parent)?;
                }
            }
            StoreEvent::Committed(committed) => {
                if self.tree.get(committed.id).is_some() {
                    let (bank, totals) = (committed.bank, committed.totals);
                    self.tree.commit(committed.id, sequence, bank, totals, 0);
                }
            }
            StoreEvent::Rooted(rooted) => self.root(sequence, &rooted.chain.0)?,
            StoreEvent::Abandoned(abandoned) => {
                for id in abandoned.slots.0 {
                    if self.tree.get(id).is_some() {
                        self.tree.abandon(id)?;
                    }
                }
            }
            StoreEvent::Base(base) => {
                let (built_on, facts) = (base.built_on, base.facts);
                let place = |event| self.stretches.iter().position(|known| known.base == event);
                let place = match built_on {
                    None => None,
                    Some(event) => Some(place(event).ok_or_else(|| Error::Event {
                        sequence,
                        what: "it was built on a base point that there is not".to_string(),
                    })?),
                };
                self.begin_stretch(sequence, facts, place);
            }
            StoreEvent::Gap(gap) => self.gaps.push((gap.first, gap.last)),
            StoreEvent::Horizon(horizon) => {
                self.horizon = self.horizon.max(horizon.slot);
                if !horizon.keeps_bases {
                    self.bases_from = self.bases_from.max(horizon.slot);
                }
            }
        }
        Ok(())
    }

    fn root(&mut self, sequence: u64, chain: &[SlotId]) -> Result<(), Error> {
        self.tree.apply_root(chain, sequence);
        for id in chain {
            let node = self.tree.get_mut(*id).ok_or(Error::NoSuchSlot { slot: *id })?;
            // It will be: in the runs that are made now.
            node.is_flushed = true;
            let event = node.event.ok_or(Error::NoSuchSlot { slot: *id })?;
            let commit = SlotCommit { slot: node.number, sequence: event };
            let stretch = self.stretches.last_mut().ok_or(Error::Empty)?;
            stretch.slots.push(commit);
        }
        Ok(())
    }

    fn begin_stretch(&mut self, sequence: u64, facts: BaseFacts, built_on: Option<usize>) {
        let slot = facts.bank.slot;
        let root = self.tree.root().map(|root| root.number);
        if let Some(root) = root.filter(|root| root + 1 < slot) {
            self.gaps.push((root + 1, slot - 1));
        }
        let index = self.tree.take_index();
        self.tree.set_base(Node {
            id: SlotId(sequence),
            index,
            number: slot,
            parent: None,
            state: SlotState::Rooted,
            event: Some(sequence),
            rooted_by: Some(sequence),
            bank: facts.bank,
            totals: Arc::new(facts.totals.clone()),
            versions: 0,
            is_flushed: true,
            is_spilled: false,
        });
        self.base = Some(Arc::new(facts));
        let (slots, kept) = (Vec::new(), Kept::Nothing);
        self.stretches.push(Stretch { base: sequence, first: slot, slots, built_on, kept });
    }

    /// Nothing more comes: says what is kept.
    fn close(&mut self) {
        for stretch in &mut self.stretches {
            stretch.kept = if stretch.first >= self.horizon {
                Kept::From(stretch.first)
            } else if stretch.last() >= self.horizon {
                Kept::From(self.horizon)
            } else if stretch.first >= self.bases_from {
                Kept::BasePoint
            } else {
                Kept::Nothing
            };
        }
        let bases_from = self.bases_from;
        self.gaps.retain(|(_, last)| *last >= bases_from);
    }
}

impl Shared {
    /// Reads all events.
    pub(super) fn chronicle(&self) -> Result<Chronicle, Error> {
        let mut chronicle = Chronicle { end: self.history.end(), ..Chronicle::default() };
        let mut begun = 0;
        let events = Query::new(By::Sequence).sequences(0..chronicle.end);
        for event in self.history.scan(events)? {
            let event = event?;
            let payload = self.history.payload(&event)?;
            let Some(decoded) = StoreEvent::decode(&event, &payload)? else { continue };
            begun += usize::from(matches!(decoded, StoreEvent::Begun(_)));
            chronicle.take(event.sequence(), decoded)?;
            if begun == PURGE_SLOTS {
                begun = 0;
                chronicle.tree.purge(self.options.keep_abandoned_slots + LATE_SLOTS);
            }
        }
        chronicle.tree.purge(self.options.keep_abandoned_slots);
        self.forget_dropped(&mut chronicle.tree)?;
        chronicle.close();
        Ok(chronicle)
    }

    /// Abandoned slots whose records were given back are forgotten.
    fn forget_dropped(&self, tree: &mut Tree) -> Result<(), Error> {
        let abandoned: Vec<(SlotId, u64)> = tree
            .nodes()
            .filter(|node| node.state == SlotState::Abandoned)
            .filter_map(|node| Some((node.id, node.event?)))
            .collect();
        let mut dropped = Vec::new();
        for (id, event) in abandoned {
            for extent in self.history.read(event)?.extents() {
                match self.history.open_extent(&extent) {
                    Err(icecore_journal::Error::ExtentDropped { .. }) => dropped.push(id),
                    opened => drop(opened?),
                }
            }
        }
        for id in dropped {
            // What was built on it was abandoned with it, and is of no use without it.
            let is_on_it = |node: &&Node| tree.upward(node.id).any(|before| before.id == id);
            let on_it: Vec<SlotId> = tree.nodes().filter(is_on_it).map(|node| node.id).collect();
            on_it.into_iter().for_each(|id| tree.forget(id));
        }
        Ok(())
    }

    /// What a slot of a stretch states of itself.
    pub(super) fn totals_of(&self, stretch: &Stretch, slot: Slot) -> Result<StateTotals, Error> {
        let event = stretch.commit(slot).map_or(stretch.base, |commit| commit.sequence);
        let (_, totals): (BankFields, StateTotals) = self.bank_at(event)?;
        Ok(totals)
    }
}
