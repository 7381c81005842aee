//! The slots that matter now: the root, those that were rooted not long ago, all that are unrooted,
//! and abandoned ones that are still kept (rules R18, R19).
//!
//! A slot is a node with a parent. The nodes form a tree below the oldest ones known; the chain from
//! there to the root is final.
//!
//! ```text
//! open ──commit──> committed ──root──> rooted
//!   └──abandon──> dead  └──abandon, or another slot becomes root──> abandoned
//! ```
//!
//! Invariants:
//! - A parent is never open or dead when a child is begun, and its number is lower.
//! - What does not descend from the root, and is not the root or before it, is abandoned or dead,
//!   unless it is open.
//!
//! What it does *not* do: hold accounts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use icecore_types::{Hash, Slot};

use crate::{
    Error,
    bank::{BankFields, StateTotals},
    events::SlotId,
    tail::{SlotIndex, Unflushed},
};

/// What has become of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// It is being written.
    Open,
    /// It is complete, and may become final or be abandoned.
    Committed,
    /// It is final.
    Rooted,
    /// It was complete, and will never be final.
    Abandoned,
    /// It was never completed.
    Dead,
}

/// A slot.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: SlotId,
    pub(crate) index: SlotIndex,
    pub(crate) number: Slot,
    /// `None` for a base point.
    pub(crate) parent: Option<SlotId>,
    pub(crate) state: SlotState,
    /// Sequence of its commit, or of its base point; `None` while it is open.
    pub(crate) event: Option<u64>,
    /// Sequence of the event that made it final.
    pub(crate) rooted_by: Option<u64>,
    /// Known once it is committed.
    pub(crate) bank: BankFields,
    pub(crate) totals: Arc<StateTotals>,
    /// Versions that it has in the tail or in spilled runs.
    pub(crate) versions: u64,
    /// Whether runs of final slots hold what it wrote.
    pub(crate) is_flushed: bool,
    /// Whether spilled runs do, or did before these.
    pub(crate) is_spilled: bool,
}

impl Node {
    /// Whether what it wrote is in spilled runs, and in no others.
    pub(crate) fn is_only_spilled(&self) -> bool {
        self.is_spilled && !self.is_flushed
    }

    /// As views name it while no run of final slots holds what it wrote.
    fn unflushed(&self) -> Option<Unflushed> {
        let Self { index, id, number, is_spilled, .. } = *self;
        (!self.is_flushed).then_some(Unflushed { index, id, number, is_spilled })
    }
}

/// The tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<SlotId, Node>,
    root: Option<SlotId>,
    next_index: u32,
}

impl Tree {
    pub(crate) fn get(&self, id: SlotId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The last final slot.
    pub(crate) fn root(&self) -> Option<&Node> {
        self.root.map(|id| &self.nodes[&id])
    }

    /// The slots of a number, the last begun last.
    pub(crate) fn of_number(&self, number: Slot) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(move |node| node.number == number)
    }

    /// An index that no slot had before.
    pub(crate) fn take_index(&mut self) -> SlotIndex {
        let index = SlotIndex(self.next_index);
        self.next_index = self.next_index.checked_add(1).expect("4 billion slots in one run");
        index
    }

    /// Puts a node in as it is.
    pub(crate) fn insert(&mut self, node: Node) {
        self.next_index = self.next_index.max(node.index.0 + 1);
        self.nodes.insert(node.id, node);
    }

    /// A base point becomes the root; whatever is not final is abandoned.
    pub(crate) fn set_base(&mut self, node: Node) {
        let id = node.id;
        self.insert(node);
        self.root = Some(id);
        self.abandon_others();
    }

    /// Says which node is the root, of nodes that were put in as they are.
    pub(crate) fn set_root(&mut self, id: SlotId) {
        assert!(self.nodes.contains_key(&id), "the root was put in before");
        self.root = Some(id);
    }

    /// Whether a child of this number can begin.
    pub(crate) fn check_begin(&self, number: Slot, parent: SlotId) -> Result<&Node, Error> {
        let Some(node) = self.nodes.get(&parent) else {
            return Err(Error::NoSuchSlot { slot: parent });
        };
        let refused = |why: &'static str| Err(Error::SlotRefused { slot: number, why });
        match node.state {
            SlotState::Open => {
                return refused("its parent is still being written: commit it first");
            }
            SlotState::Dead => return refused("its parent was never completed"),
            SlotState::Committed | SlotState::Rooted | SlotState::Abandoned => {}
        }
        if number <= node.number {
            return refused("a slot's number is higher than its parent's");
        }
        let twin = |other: &Node| other.number == number && other.parent == Some(parent);
        if self.nodes.values().any(|other| twin(other) && other.state == SlotState::Open) {
            return refused("a slot of this number and parent is being written already");
        }
        Ok(node)
    }

    /// Begins a slot.
    pub(crate) fn begin(&mut self, id: SlotId, number: Slot, parent: SlotId) -> Result<(), Error> {
        self.check_begin(number, parent)?;
        let index = self.take_index();
        self.nodes.insert(
            id,
            Node {
                id,
                index,
                number,
                parent: Some(parent),
                state: SlotState::Open,
                event: None,
                rooted_by: None,
                bank: BankFields::default(),
                totals: Arc::default(),
                versions: 0,
                is_flushed: false,
                is_spilled: false,
            },
        );
        Ok(())
    }

    /// Completes a slot; it is abandoned at once when it does not descend from the root.
    pub(crate) fn commit(
        &mut self,
        id: SlotId,
        event: u64,
        bank: BankFields,
        totals: StateTotals,
        versions: u64,
    ) {
        let is_on_root = self.descends_from_root(id);
        let node = self.nodes.get_mut(&id).expect("a slot that is being written is known");
        node.state = if is_on_root { SlotState::Committed } else { SlotState::Abandoned };
        node.event = Some(event);
        node.bank = bank;
        node.totals = Arc::new(totals);
        node.versions = versions;
    }

    fn descends_from_root(&self, id: SlotId) -> bool {
        for node in self.upward(id) {
            if Some(node.id) == self.root {
                return true;
            }
            if matches!(node.state, SlotState::Abandoned | SlotState::Dead) {
                return false;
            }
        }
        false
    }

    /// A node and its ancestors as far as they are known.
    pub(crate) fn upward(&self, id: SlotId) -> impl Iterator<Item = &Node> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let node = self.nodes.get(&next?)?;
            next = node.parent;
            Some(node)
        })
    }

    /// The slots that become final with this one, oldest first.
    pub(crate) fn chain_to(&self, id: SlotId) -> Result<Vec<SlotId>, Error> {
        let node = self.nodes.get(&id).ok_or(Error::NoSuchSlot { slot: id })?;
        let refused = |why: &'static str| Err(Error::SlotRefused { slot: node.number, why });
        match node.state {
            SlotState::Committed => {}
            SlotState::Rooted => return refused("it is rooted already"),
            SlotState::Open => return refused("it is still being written"),
            SlotState::Abandoned => return refused("it was abandoned: another fork was rooted"),
            SlotState::Dead => return refused("it was never completed"),
        }
        let mut chain: Vec<_> = self
            .upward(id)
            .take_while(|node| Some(node.id) != self.root)
            .map(|node| node.id)
            .collect();
        chain.reverse();
        Ok(chain)
    }

    /// Makes slots final, oldest first; the rest is abandoned unless it descends from the last.
    pub(crate) fn apply_root(&mut self, chain: &[SlotId], sequence: u64) {
        for id in chain {
            if let Some(node) = self.nodes.get_mut(id) {
                node.state = SlotState::Rooted;
                node.rooted_by = Some(sequence);
                self.root = Some(*id);
            }
        }
        self.abandon_others();
    }

    fn abandon_others(&mut self) {
        let mut alive: BTreeSet<SlotId> = self.root.into_iter().collect();
        // A child is begun after its parent: its id is higher.
        for node in self.nodes.values_mut() {
            if node.parent.is_some_and(|parent| alive.contains(&parent))
                && matches!(node.state, SlotState::Open | SlotState::Committed)
            {
                alive.insert(node.id);
            } else if node.state == SlotState::Committed {
                node.state = SlotState::Abandoned;
            }
        }
    }

    /// What becomes of slots when one is given up, with what was built on it: those that change.
    pub(crate) fn given_up(&self, id: SlotId) -> Result<Vec<(SlotId, SlotState)>, Error> {
        let node = self.nodes.get(&id).ok_or(Error::NoSuchSlot { slot: id })?;
        if node.state == SlotState::Rooted {
            let why = "it is rooted: what is final cannot be abandoned";
            return Err(Error::SlotRefused { slot: node.number, why });
        }
        let mut gone: BTreeSet<SlotId> = BTreeSet::from([id]);
        let mut changed = Vec::new();
        for (other, node) in self.nodes.range(id..) {
            if *other != id && !node.parent.is_some_and(|parent| gone.contains(&parent)) {
                continue;
            }
            gone.insert(*other);
            let state = match node.state {
                SlotState::Committed => SlotState::Abandoned,
                SlotState::Open if *other == id => SlotState::Dead,
                state => state,
            };
            if state != node.state {
                changed.push((*other, state));
            }
        }
        Ok(changed)
    }

    /// Gives a slot up.
    pub(crate) fn abandon(&mut self, id: SlotId) -> Result<(), Error> {
        for (id, state) in self.given_up(id)? {
            self.nodes.get_mut(&id).expect("just looked at").state = state;
        }
        Ok(())
    }

    /// What a view of a slot sees beside the runs of final slots: slots that these do not hold, and the
    /// slot up to which it sees what is final.
    pub(crate) fn sight(&self, id: SlotId) -> Option<(Vec<Unflushed>, Slot)> {
        let mut unflushed = Vec::new();
        let mut final_slot = None;
        for node in self.upward(id) {
            if node.state == SlotState::Rooted {
                final_slot.get_or_insert(node.number);
            }
            unflushed.extend(node.unflushed());
        }
        Some((unflushed, final_slot?))
    }

    /// What a view of the final state at a slot sees beside the runs of final slots.
    pub(crate) fn rooted_sight(&self, slot: Slot) -> Vec<Unflushed> {
        self.nodes
            .values()
            .filter(|node| node.state == SlotState::Rooted && node.number <= slot)
            .filter_map(Node::unflushed)
            .collect()
    }

    /// Forgets what is so many slots behind the root: abandoned and dead slots, and rooted ones that
    /// runs hold and nothing is built on. Gives those that are gone.
    pub(crate) fn purge(&mut self, keep_slots: u64) -> Vec<Node> {
        let Some(root) = self.root().map(|node| node.number) else { return Vec::new() };
        let is_old = |node: &Node| node.number.saturating_add(keep_slots) < root;
        let mut parents: BTreeSet<SlotId> = BTreeSet::new();
        let mut gone = Vec::new();
        // From the newest on, so that a parent is looked at when all its children were.
        for (id, node) in self.nodes.iter().rev() {
            let may_go = match node.state {
                SlotState::Abandoned | SlotState::Dead => !parents.contains(id),
                SlotState::Rooted => {
                    node.is_flushed && !parents.contains(id) && Some(*id) != self.root
                }
                SlotState::Open | SlotState::Committed => false,
            };
            if may_go && is_old(node) {
                gone.push(*id);
            } else if node.state != SlotState::Rooted || !node.is_flushed {
                // Also of a final slot that no run holds: its event may not be durable yet, and then
                // its parent is the root that is read.
                parents.extend(node.parent);
            }
        }
        gone.iter().filter_map(|id| self.nodes.remove(id)).collect()
    }

    /// Forgets a slot that is not the root.
    pub(crate) fn forget(&mut self, id: SlotId) {
        if Some(id) != self.root {
            self.nodes.remove(&id);
        }
    }

    /// The one slot of a number that is kept, or that has this bank hash.
    pub(crate) fn find_fork(&self, number: Slot, hash: Option<Hash>) -> Result<&Node, Error> {
        let is_complete = |node: &&Node| node.event.is_some();
        let mut found: Vec<_> = self.of_number(number).filter(is_complete).collect();
        if let Some(hash) = hash {
            found.retain(|node| node.bank.bank_hash == hash);
            // The same content begun twice: the last one stands for all.
            found.drain(..found.len().saturating_sub(1));
        }
        match found[..] {
            [] => Err(Error::NoFork { slot: number }),
            [node] => Ok(node),
            _ => Err(Error::SeveralForks {
                slot: number,
                bank_hashes: found.iter().map(|node| node.bank.bank_hash).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let base = Node {
            id: SlotId(1),
            index: SlotIndex(0),
            number: 100,
            parent: None,
            state: SlotState::Rooted,
            event: Some(1),
            rooted_by: Some(1),
            bank: BankFields::default(),
            totals: Arc::default(),
            versions: 0,
            is_flushed: true,
            is_spilled: false,
        };
        tree.set_base(base);
        tree
    }

    fn grow(tree: &mut Tree, id: u64, number: Slot, parent: u64) {
        tree.begin(SlotId(id), number, SlotId(parent)).expect("begun");
        let bank =
            BankFields { slot: number, bank_hash: Hash([id as u8; 32]), ..BankFields::default() };
        tree.commit(SlotId(id), id + 1000, bank, StateTotals::default(), 1);
    }

    fn state(tree: &Tree, id: u64) -> SlotState {
        tree.get(SlotId(id)).expect("known").state
    }

    #[test]
    fn rooting_a_slot_makes_its_chain_final_and_abandons_the_rest() {
        let mut tree = tree();
        grow(&mut tree, 2, 101, 1);
        grow(&mut tree, 3, 102, 2);
        grow(&mut tree, 4, 103, 2);
        grow(&mut tree, 5, 104, 3);
        grow(&mut tree, 6, 105, 4);
        let chain = tree.chain_to(SlotId(3)).expect("committed");
        assert_eq!(chain, [SlotId(2), SlotId(3)]);
        tree.apply_root(&chain, 2000);
        use SlotState::{Abandoned, Committed, Rooted};
        let states = [2, 3, 4, 5, 6].map(|id| state(&tree, id));
        assert_eq!(states, [Rooted, Rooted, Abandoned, Committed, Abandoned]);
        assert!(tree.chain_to(SlotId(6)).is_err() && tree.chain_to(SlotId(3)).is_err());
        assert!(tree.abandon(SlotId(2)).is_err(), "it is final");
        let (seen, final_slot) = tree.sight(SlotId(6)).expect("known");
        let numbers: Vec<_> = seen.iter().map(|slot| slot.number).collect();
        assert_eq!((numbers, final_slot), (vec![105, 103, 101], 101));
        // A child of an abandoned slot is abandoned when it is complete.
        grow(&mut tree, 7, 106, 6);
        assert_eq!(state(&tree, 7), Abandoned);
    }

    #[test]
    fn the_same_number_twice_is_two_slots() {
        let mut tree = tree();
        tree.begin(SlotId(2), 101, SlotId(1)).expect("begun");
        assert!(tree.begin(SlotId(3), 101, SlotId(1)).is_err(), "it is being written");
        assert!(tree.begin(SlotId(3), 102, SlotId(2)).is_err(), "its parent is open");
        assert_eq!(tree.given_up(SlotId(2)).expect("known"), [(SlotId(2), SlotState::Dead)]);
        tree.abandon(SlotId(2)).expect("known");
        assert_eq!(state(&tree, 2), SlotState::Dead);
        assert!(tree.begin(SlotId(3), 102, SlotId(2)).is_err(), "its parent is dead");
        grow(&mut tree, 3, 101, 1);
        grow(&mut tree, 4, 101, 1);
        let error = tree.find_fork(101, None).expect_err("two of them");
        assert!(
            matches!(error, Error::SeveralForks { ref bank_hashes, .. } if bank_hashes.len() == 2)
        );
        assert_eq!(tree.find_fork(101, Some(Hash([4; 32]))).expect("named").id, SlotId(4));
        assert!(tree.begin(SlotId(5), 101, SlotId(3)).is_err(), "a parent has a lower number");
        assert!(tree.find_fork(99, None).is_err());
    }

    #[test]
    fn what_is_far_behind_the_root_is_forgotten_unless_something_is_built_on_it() {
        let mut tree = tree();
        grow(&mut tree, 2, 101, 1);
        grow(&mut tree, 3, 102, 1);
        grow(&mut tree, 4, 103, 2);
        grow(&mut tree, 5, 110, 4);
        tree.apply_root(&[SlotId(2), SlotId(4), SlotId(5)], 2000);
        assert_eq!(state(&tree, 3), SlotState::Abandoned);
        assert!(tree.purge(10).is_empty());
        for node in [2, 4, 5] {
            tree.get_mut(SlotId(node)).expect("known").is_flushed = true;
        }
        let mut gone: Vec<_> = tree.purge(8).into_iter().map(|node| node.id.0).collect();
        gone.sort_unstable();
        assert_eq!(gone, [2], "slot 102 is 8 slots old and kept, and so is what it is built on");
        let mut gone: Vec<_> = tree.purge(7).into_iter().map(|node| node.id.0).collect();
        gone.sort_unstable();
        assert_eq!(gone, [1, 3]);
    }
}
