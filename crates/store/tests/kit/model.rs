//! A store as plain as can be, to compare with: a list of what was accepted, and what comes of it.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use icecore_store::{SlotId, SlotState};
use icecore_types::{Account, Hash, Pubkey, Slot};

use super::Accounts;

/// A version of an account: where it counts from, where it was last written, its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) slot: Slot,
    pub(crate) written: Slot,
    pub(crate) account: Account,
}

/// Live accounts.
pub(crate) type State = BTreeMap<Pubkey, Held>;

/// The accounts alone.
pub(crate) fn contents(state: &State) -> Accounts {
    state.iter().map(|(pubkey, held)| (*pubkey, held.account.clone())).collect()
}

/// The slot in which tests say that a restored account was last written.
pub(crate) fn last_written(slot: Slot, pubkey: &Pubkey) -> Slot {
    slot.saturating_sub(1 + u64::from(pubkey.0[0]) % 5)
}

/// Something that a store accepts.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Begin { id: SlotId, number: Slot, parent: SlotId },
    Commit { id: SlotId, writes: Accounts, bank_hash: Hash },
    Root(SlotId),
    Abandon(SlotId),
    Base { id: SlotId, slot: Slot, accounts: Accounts, bank_hash: Hash },
    Gap(Slot, Slot),
}

/// A slot.
#[derive(Debug, Clone)]
pub(crate) struct ModelSlot {
    pub(crate) number: Slot,
    pub(crate) parent: Option<SlotId>,
    pub(crate) state: SlotState,
    pub(crate) bank_hash: Hash,
    /// What it wrote, tombstones included; of a base point everything.
    pub(crate) writes: Arc<State>,
    /// What it ends with.
    pub(crate) ends: Arc<State>,
}

impl ModelSlot {
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self.state, SlotState::Open | SlotState::Dead)
    }
}

/// What comes of a list of acts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) slots: BTreeMap<SlotId, ModelSlot>,
    pub(crate) root: Option<SlotId>,
    /// Final slots, by number.
    pub(crate) finals: BTreeMap<Slot, SlotId>,
    /// Recorded, or between base points, in the order in which they came about.
    pub(crate) gaps: Vec<(Slot, Slot)>,
    /// Those between base points.
    base_gaps: Vec<(Slot, Slot)>,
}

/// What a reader at a slot of the final chain is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Slot(SlotId),
    NotCovered(Slot, Slot),
    InGap(Slot, Slot),
    Empty,
}

impl Model {
    pub(crate) fn slot(&self, id: SlotId) -> &ModelSlot {
        &self.slots[&id]
    }

    pub(crate) fn root_number(&self) -> Option<Slot> {
        self.root.map(|root| self.slots[&root].number)
    }

    pub(crate) fn apply(&mut self, act: &Act) {
        match act {
            Act::Begin { id, number, parent } => {
                let slot = ModelSlot {
                    number: *number,
                    parent: Some(*parent),
                    state: SlotState::Open,
                    bank_hash: Hash::default(),
                    writes: Arc::default(),
                    ends: Arc::default(),
                };
                assert!(self.slots.insert(*id, slot).is_none(), "an identity is given once");
            }
            Act::Commit { id, writes, bank_hash } => self.commit(*id, writes, *bank_hash),
            Act::Root(id) => self.root(*id),
            Act::Abandon(id) => self.abandon(*id),
            Act::Base { id, slot, accounts, bank_hash } => {
                self.base(*id, *slot, accounts, *bank_hash);
            }
            Act::Gap(first, last) => self.gaps.push((*first, *last)),
        }
    }

    fn commit(&mut self, id: SlotId, writes: &Accounts, bank_hash: Hash) {
        let parent = self.slots[&id].parent.expect("it was begun");
        let is_carried = self.is_carried(parent);
        let mut ends = State::clone(&self.slots[&parent].ends);
        let slot = self.slots.get_mut(&id).expect("it was begun");
        let held = |account: &Account| Held {
            slot: slot.number,
            written: slot.number,
            account: account.clone(),
        };
        let writes: State =
            writes.iter().map(|(pubkey, account)| (*pubkey, held(account))).collect();
        for (pubkey, held) in &writes {
            match held.account.lamports {
                0 => drop(ends.remove(pubkey)),
                _ => drop(ends.insert(*pubkey, held.clone())),
            }
        }
        slot.state = if is_carried { SlotState::Committed } else { SlotState::Abandoned };
        slot.bank_hash = bank_hash;
        slot.writes = Arc::new(writes);
        slot.ends = Arc::new(ends);
    }

    /// Whether what is built on a slot may become final.
    fn is_carried(&self, id: SlotId) -> bool {
        self.root == Some(id) || self.slots[&id].state == SlotState::Committed
    }

    /// The slots that become final with one.
    pub(crate) fn chain_to(&self, id: SlotId) -> Vec<SlotId> {
        let up = std::iter::successors(Some(id), |id| self.slots[id].parent);
        let mut chain: Vec<_> = up.take_while(|id| self.root != Some(*id)).collect();
        chain.reverse();
        chain
    }

    fn root(&mut self, id: SlotId) {
        for id in self.chain_to(id) {
            let slot = self.slots.get_mut(&id).expect("known");
            slot.state = SlotState::Rooted;
            self.finals.insert(slot.number, id);
        }
        self.root = Some(id);
        self.abandon_others();
    }

    fn abandon_others(&mut self) {
        // A child begins after its parent: its id is higher.
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            let ModelSlot { parent, state, .. } = self.slots[&id];
            let is_carried = parent.is_some_and(|parent| self.is_carried(parent));
            if state == SlotState::Committed && !is_carried {
                self.slots.get_mut(&id).expect("known").state = SlotState::Abandoned;
            }
        }
    }

    fn abandon(&mut self, id: SlotId) {
        let slot = self.slots.get_mut(&id).expect("known");
        slot.state = match slot.state {
            SlotState::Open => SlotState::Dead,
            SlotState::Committed => SlotState::Abandoned,
            state => state,
        };
        self.abandon_others();
    }

    fn base(&mut self, id: SlotId, slot: Slot, accounts: &Accounts, bank_hash: Hash) {
        if let Some(root) = self.root_number()
            && root + 1 < slot
        {
            self.gaps.push((root + 1, slot - 1));
            self.base_gaps.push((root + 1, slot - 1));
        }
        let held = |(pubkey, account): (&Pubkey, &Account)| {
            let written = last_written(slot, pubkey);
            (*pubkey, Held { slot, written, account: account.clone() })
        };
        let state: Arc<State> = Arc::new(accounts.iter().map(held).collect());
        let base = ModelSlot {
            number: slot,
            parent: None,
            state: SlotState::Rooted,
            bank_hash,
            writes: Arc::clone(&state),
            ends: state,
        };
        assert!(self.slots.insert(id, base).is_none(), "an identity is given once");
        self.finals.insert(slot, id);
        self.root = Some(id);
        self.abandon_others();
    }

    /// What is left of it when the store is opened next: what was open is dead.
    pub(crate) fn end(&mut self) {
        for slot in self.slots.values_mut() {
            if slot.state == SlotState::Open {
                slot.state = SlotState::Dead;
            }
        }
    }

    /// The last final slot at or before a number.
    pub(crate) fn at(&self, number: Slot) -> Answer {
        let Some(root) = self.root_number() else { return Answer::Empty };
        let first = *self.finals.keys().next().expect("the root is final");
        if number < first || number > root {
            return Answer::NotCovered(first, root);
        }
        let (found, id) = self.finals.range(..=number).next_back().expect("the first is below");
        let hides =
            |(first, last): &&(Slot, Slot)| (*first..=*last).contains(&number) && *found < *first;
        match self.base_gaps.iter().chain(&self.gaps).find(hides) {
            Some((first, last)) => Answer::InGap(*first, *last),
            None => Answer::Slot(*id),
        }
    }

    /// The versions of an account in these slots, of those that are `known`, as a history gives them:
    /// slot, bank hash, whether it is final, and the version.
    pub(crate) fn history(
        &self,
        pubkey: &Pubkey,
        slots: &RangeInclusive<Slot>,
        is_known: impl Fn(SlotId) -> bool,
    ) -> Vec<(Slot, Hash, bool, Held)> {
        let mut found: BTreeMap<(Slot, Hash), (bool, Held)> = BTreeMap::new();
        for (id, slot) in &self.slots {
            let is_final = slot.state == SlotState::Rooted;
            if !slot.is_complete() || !slots.contains(&slot.number) || !is_final && !is_known(*id) {
                continue;
            }
            if let Some(held) = slot.writes.get(pubkey) {
                let place = found.entry((slot.number, slot.bank_hash));
                let one = place.or_insert((is_final, held.clone()));
                one.0 |= is_final;
            }
        }
        found
            .into_iter()
            .map(|((slot, hash), (is_final, held))| (slot, hash, is_final, held))
            .collect()
    }
}
