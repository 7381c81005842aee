//! A store in memory, as plain as can be: every slot keeps what it wrote, and every answer walks
//! along the chain of parents. It is what stores are compared with.
//!
//! What it does *not* do: be fast, be durable, or run out of anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use icecore_hash::{BankHashParts, BankHashScheme, account_lattice_hash, bank_hash};
use icecore_store::{
    Attachment, SlotId, SlotState, SlotStatement,
    ingest::{SlotFacts, SlotSink},
};
use icecore_types::{Account, AccountRef, Hash, LatticeHash, Pubkey, Slot};

/// A complete state: of a base point.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// The slot of which this is the state.
    pub slot: Slot,
    /// Its bank hash.
    pub bank_hash: Hash,
    /// Live accounts, with the slots in which they were last written.
    pub accounts: BTreeMap<Pubkey, (Slot, Account)>,
}

/// Which state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The last final one.
    Root,
    /// The last final one at or before a slot.
    Slot(Slot),
    /// That of a slot, final or not.
    Fork(SlotId),
}

/// What can be added up over a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    pub lattice: LatticeHash,
    pub capitalization: u64,
    pub num_accounts: u64,
    pub total_data_len: u64,
}

/// A slot.
#[derive(Debug, Clone)]
pub struct ModelSlot {
    pub id: SlotId,
    pub number: Slot,
    pub parent: Option<SlotId>,
    pub state: SlotState,
    pub bank_hash: Option<Hash>,
    /// `None`: a base point, or not complete.
    pub statement: Option<SlotStatement>,
    pub totals: Totals,
    /// What it wrote, tombstones included, with the slot in which it was written: its own number but
    /// for a base point.
    pub written: BTreeMap<Pubkey, (Slot, Account)>,
    pub bank: Vec<u8>,
    pub status_cache: Vec<u8>,
}

/// A version in an account's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub slot: SlotId,
    pub number: Slot,
    pub state: SlotState,
    pub account: Account,
}

/// What a store holds, without identities.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outline {
    /// By number and bank hash.
    pub complete: Vec<Told>,
    /// Slots of each number that were never completed.
    pub dead: BTreeMap<Slot, usize>,
}

impl fmt::Debug for Told {
    /// In a line: stores are shown when they differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, bank_hash, parent, state, .. } = self;
        write!(
            f,
            "{number}@{bank_hash:.8} on {parent:.8?} {state:?}, {} accounts",
            self.written.len()
        )
    }
}

/// A complete slot without its identity.
#[derive(Clone, PartialEq)]
pub struct Told {
    pub number: Slot,
    pub bank_hash: Hash,
    pub parent: Option<Hash>,
    pub state: SlotState,
    pub statement: Option<SlotStatement>,
    pub written: BTreeMap<Pubkey, (Slot, Account)>,
    pub attachments: (Vec<u8>, Vec<u8>),
}

/// Why the model refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("account {0} comes twice in slot {1}")]
    WrittenTwice(Pubkey, Slot),
    #[error("the {0} of slot {1} is not what it states")]
    Gate(&'static str, Slot),
    #[error("slot {0} cannot be {1}")]
    Cannot(Slot, &'static str),
}

/// The store.
#[derive(Debug, Clone, Default)]
pub struct Model {
    slots: BTreeMap<SlotId, ModelSlot>,
    root: Option<SlotId>,
    next_id: u64,
    pub gaps: BTreeSet<(Slot, Slot)>,
    /// Calls of `write` so far.
    pub writes: u64,
}

impl Model {
    pub fn new(base: &Base) -> Self {
        let mut model = Self::default();
        model.restore(base);
        model
    }

    /// A base point: the new root.
    pub fn restore(&mut self, base: &Base) -> SlotId {
        let mut totals = Totals::default();
        for (pubkey, (_, account)) in &base.accounts {
            totals.add(&account.borrowed(pubkey));
        }
        let id = self.take_id();
        let slot = ModelSlot {
            id,
            number: base.slot,
            parent: None,
            state: SlotState::Rooted,
            bank_hash: Some(base.bank_hash),
            statement: None,
            totals,
            written: base.accounts.clone(),
            bank: Vec::new(),
            status_cache: Vec::new(),
        };
        self.slots.insert(id, slot);
        self.root = Some(id);
        self.abandon_others();
        id
    }

    fn take_id(&mut self) -> SlotId {
        self.next_id += 1;
        SlotId(self.next_id)
    }

    /// What is left after a crash: slots that were open are dead.
    pub fn crash(&mut self) {
        for slot in self.slots.values_mut() {
            if slot.state == SlotState::Open {
                slot.state = SlotState::Dead;
            }
        }
    }

    /// Forgets a slot, as stores do with forks behind the root.
    pub fn forget(&mut self, id: SlotId) {
        self.slots.remove(&id).expect("it is known");
    }

    /// The complete slots with all that is known of them but their identities, and how many died of
    /// each number.
    pub fn outline(&self) -> Outline {
        let mut outline = Outline::default();
        for slot in self.slots.values() {
            let Some(bank_hash) = slot.bank_hash else {
                *outline.dead.entry(slot.number).or_default() += 1;
                continue;
            };
            let parent = slot.parent.and_then(|parent| self.slots[&parent].bank_hash);
            outline.complete.push(Told {
                number: slot.number,
                bank_hash,
                parent,
                state: slot.state,
                statement: slot.statement.clone(),
                written: slot.written.clone(),
                attachments: (slot.bank.clone(), slot.status_cache.clone()),
            });
        }
        outline.complete.sort_by_key(|told| (told.number, told.bank_hash));
        outline
    }

    /// What one of two stores has and the other has not; empty: they hold the same slots.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.outline(), other.outline());
        let only = |here: &Outline, there: &Outline, whose: &str| -> Vec<String> {
            let is_only = |told: &&Told| !there.complete.contains(told);
            let mut only: Vec<_> = here.complete.iter().filter(is_only).collect();
            only.truncate(10);
            only.into_iter().map(|told| format!("only {whose}: {told:?}")).collect()
        };
        let mut found = only(&ours, &theirs, "ours");
        found.extend(only(&theirs, &ours, "theirs"));
        if found.is_empty() && ours.complete.len() != theirs.complete.len() {
            found.push(format!("{} and {} slots", ours.complete.len(), theirs.complete.len()));
        }
        found
    }

    pub fn slot(&self, id: SlotId) -> &ModelSlot {
        &self.slots[&id]
    }

    pub fn all_slots(&self) -> impl Iterator<Item = &ModelSlot> {
        self.slots.values()
    }

    pub fn root_id(&self) -> SlotId {
        self.root.expect("it has a base")
    }

    /// The slots of a number, in the order in which they began.
    pub fn of_number(&self, number: Slot) -> Vec<&ModelSlot> {
        self.slots.values().filter(|slot| slot.number == number).collect()
    }

    /// The slot of a number with a bank hash; the last begun of several.
    pub fn find(&self, number: Slot, bank_hash: Hash) -> Option<&ModelSlot> {
        self.of_number(number).into_iter().rfind(|slot| slot.bank_hash == Some(bank_hash))
    }

    /// The slot whose state is meant; `None` before the first base point.
    pub fn at(&self, at: At) -> Option<SlotId> {
        match at {
            At::Root => self.root,
            At::Fork(id) => Some(id),
            At::Slot(number) => self
                .slots
                .values()
                .filter(|slot| slot.state == SlotState::Rooted && slot.number <= number)
                .max_by_key(|slot| (slot.number, slot.id))
                .map(|slot| slot.id),
        }
    }

    /// A slot and its ancestors, newest first, down to a base point.
    fn upward(&self, id: SlotId) -> impl Iterator<Item = &ModelSlot> {
        std::iter::successors(self.slots.get(&id), |slot| self.slots.get(&slot.parent?))
    }

    /// The version of an account that a slot sees, a tombstone included.
    pub fn version(&self, id: SlotId, pubkey: &Pubkey) -> Option<&(Slot, Account)> {
        self.upward(id).find_map(|slot| slot.written.get(pubkey))
    }

    /// The account that a slot sees, with the slot in which it was written; `None`: there is none.
    pub fn get(&self, at: At, pubkey: &Pubkey) -> Option<&(Slot, Account)> {
        self.version(self.at(at)?, pubkey).filter(|(_, account)| account.lamports > 0)
    }

    /// All live accounts, by key.
    pub fn scan(&self, at: At) -> BTreeMap<Pubkey, (Slot, Account)> {
        let mut seen = BTreeMap::new();
        let slots: Vec<_> = self.at(at).into_iter().flat_map(|id| self.upward(id)).collect();
        for slot in slots.into_iter().rev() {
            seen.extend(slot.written.iter().map(|(pubkey, version)| (*pubkey, version.clone())));
        }
        seen.retain(|_, (_, account)| account.lamports > 0);
        seen
    }

    /// The live accounts of an owner, by key.
    pub fn scan_owner(&self, at: At, owner: &Pubkey) -> BTreeMap<Pubkey, (Slot, Account)> {
        let mut accounts = self.scan(at);
        accounts.retain(|_, (_, account)| account.owner == *owner);
        accounts
    }

    /// Accounts that differ between two states, before and after.
    pub fn diff(&self, a: At, b: At) -> BTreeMap<Pubkey, (Option<Account>, Option<Account>)> {
        let (a, b) = (self.scan(a), self.scan(b));
        let keys: BTreeSet<_> = a.keys().chain(b.keys()).copied().collect();
        let of = |state: &BTreeMap<Pubkey, (Slot, Account)>, key: &Pubkey| {
            state.get(key).map(|(_, account)| account.clone())
        };
        keys.into_iter()
            .map(|key| (key, (of(&a, &key), of(&b, &key))))
            .filter(|(_, (before, after))| before != after)
            .collect()
    }

    /// Every version of an account in a complete slot, in the order in which the slots began.
    pub fn history(&self, pubkey: &Pubkey) -> Vec<Version> {
        let is_complete = |slot: &&ModelSlot| slot.bank_hash.is_some();
        self.slots
            .values()
            .filter(is_complete)
            .filter_map(|slot| {
                let (number, account) = slot.written.get(pubkey)?;
                let (number, account) = (*number, account.clone());
                Some(Version { slot: slot.id, number, state: slot.state, account })
            })
            .collect()
    }

    pub fn totals(&self, at: At) -> Option<&Totals> {
        self.at(at).map(|id| &self.slots[&id].totals)
    }

    /// Whether what is built on a slot may become final.
    fn carries(&self, id: SlotId) -> bool {
        self.root == Some(id) || self.slots[&id].state == SlotState::Committed
    }

    fn abandon_others(&mut self) {
        // A child begins after its parent: its id is higher.
        let ids: Vec<_> = self.slots.keys().copied().collect();
        for id in ids {
            let ModelSlot { parent, state, .. } = self.slots[&id];
            let is_carried = parent.is_some_and(|parent| self.carries(parent));
            if state == SlotState::Committed && !is_carried {
                self.slots.get_mut(&id).expect("known").state = SlotState::Abandoned;
            }
        }
    }

    /// What a slot that is open would state if it ended now: sums and bank hash are right.
    pub fn sealed(&self, open: &ModelOpen, mut stated: SlotStatement) -> SlotStatement {
        let totals = self.totals_of(open.0);
        let parent = &self.slots[&self.slots[&open.0].parent.expect("it was begun")];
        stated.bank.slot = self.slots[&open.0].number;
        stated.bank.parent_slot = parent.number;
        stated.bank.parent_bank_hash = parent.bank_hash.expect("complete");
        stated.capitalization = totals.capitalization;
        stated.accounts_written = self.slots[&open.0].written.len() as u64;
        stated.lattice = totals.lattice;
        stated.bank.bank_hash = bank_hash_of(&stated);
        stated
    }

    /// The totals of a slot: its parent's, without what it replaced, with what it wrote.
    fn totals_of(&self, id: SlotId) -> Totals {
        let slot = &self.slots[&id];
        let parent = slot.parent.expect("it was begun");
        let mut totals = self.slots[&parent].totals.clone();
        for (pubkey, (_, account)) in &slot.written {
            if let Some((_, before)) = self.version(parent, pubkey) {
                totals.remove(&before.borrowed(pubkey));
            }
            totals.add(&account.borrowed(pubkey));
        }
        totals
    }
}

fn bank_hash_of(stated: &SlotStatement) -> Hash {
    let parts = BankHashParts {
        parent_hash: stated.bank.parent_bank_hash,
        signature_count: stated.bank.signature_count,
        last_blockhash: stated.bank.last_blockhash,
        lattice: Some(&stated.lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &[],
        parent_slot: stated.bank.parent_slot,
        slot: stated.bank.slot,
    };
    bank_hash(&parts, BankHashScheme::Lattice).expect("all parts are there")
}

impl Totals {
    // Lamports wrap: hostile feeds may state any.
    fn add(&mut self, account: &AccountRef<'_>) {
        self.lattice.mix_in(&account_lattice_hash(account));
        self.capitalization = self.capitalization.wrapping_add(account.lamports);
        if !account.is_tombstone() {
            self.num_accounts += 1;
            self.total_data_len += account.data.len() as u64;
        }
    }

    fn remove(&mut self, account: &AccountRef<'_>) {
        self.lattice.mix_out(&account_lattice_hash(account));
        self.capitalization = self.capitalization.wrapping_sub(account.lamports);
        if !account.is_tombstone() {
            self.num_accounts -= 1;
            self.total_data_len -= account.data.len() as u64;
        }
    }
}

/// A slot that is being written.
#[derive(Debug)]
pub struct ModelOpen(pub SlotId);

impl SlotSink for &mut Model {
    type Open = ModelOpen;
    type Error = ModelError;

    fn root(&self) -> Result<SlotFacts, ModelError> {
        Ok(facts(self.slot(self.root_id())))
    }

    fn first_slot(&self) -> Result<Slot, ModelError> {
        let bases = self.slots.values().filter(|slot| slot.parent.is_none());
        Ok(bases.map(|slot| slot.number).min().expect("it has a base"))
    }

    fn slots(&self, number: Slot) -> Result<Vec<SlotFacts>, ModelError> {
        Ok(self.of_number(number).into_iter().map(facts).collect())
    }

    fn begin_slot(&mut self, number: Slot, parent: SlotId) -> Result<ModelOpen, ModelError> {
        let is_complete = self.slots.get(&parent).is_some_and(|slot| slot.bank_hash.is_some());
        if !is_complete || self.slots[&parent].number >= number {
            return Err(ModelError::Cannot(number, "begun there"));
        }
        let id = self.take_id();
        let slot = ModelSlot {
            id,
            number,
            parent: Some(parent),
            state: SlotState::Open,
            bank_hash: None,
            statement: None,
            totals: Totals::default(),
            written: BTreeMap::new(),
            bank: Vec::new(),
            status_cache: Vec::new(),
        };
        self.slots.insert(id, slot);
        Ok(ModelOpen(id))
    }

    fn write(&mut self, open: &mut ModelOpen, account: &AccountRef<'_>) -> Result<(), ModelError> {
        self.writes += 1;
        let slot = self.slots.get_mut(&open.0).expect("it was begun");
        let (pubkey, account) = account.to_owned();
        match slot.written.insert(pubkey, (slot.number, account)) {
            None => Ok(()),
            Some(_) => Err(ModelError::WrittenTwice(pubkey, slot.number)),
        }
    }

    fn attach(
        &mut self,
        open: &mut ModelOpen,
        what: Attachment,
        bytes: u64,
        piece: &[u8],
    ) -> Result<(), ModelError> {
        let slot = self.slots.get_mut(&open.0).expect("it was begun");
        let attachment = match what {
            Attachment::Bank => &mut slot.bank,
            Attachment::StatusCache => &mut slot.status_cache,
        };
        attachment.extend_from_slice(piece);
        assert!(attachment.len() as u64 <= bytes, "as many as were announced");
        Ok(())
    }

    fn commit(&mut self, open: ModelOpen, statement: &SlotStatement) -> Result<SlotId, ModelError> {
        let totals = self.totals_of(open.0);
        let parent = self.slots[&open.0].parent.expect("it was begun");
        let is_carried = self.carries(parent);
        let parent_bank_hash = self.slots[&parent].bank_hash;
        let slot = self.slots.get_mut(&open.0).expect("it was begun");
        let gates = [
            ("parent", Some(statement.bank.parent_bank_hash) == parent_bank_hash),
            ("number of accounts", statement.accounts_written == slot.written.len() as u64),
            ("lattice hash", statement.lattice == totals.lattice),
            ("capitalization", statement.capitalization == totals.capitalization),
            ("bank hash", statement.bank.bank_hash == bank_hash_of(statement)),
        ];
        for (gate, is_right) in gates {
            if !is_right {
                slot.state = SlotState::Dead;
                return Err(ModelError::Gate(gate, slot.number));
            }
        }
        slot.state = if is_carried { SlotState::Committed } else { SlotState::Abandoned };
        slot.bank_hash = Some(statement.bank.bank_hash);
        slot.statement = Some(statement.clone());
        slot.totals = totals;
        Ok(open.0)
    }

    fn abandon_open(&mut self, open: ModelOpen) -> Result<SlotId, ModelError> {
        self.slots.get_mut(&open.0).expect("it was begun").state = SlotState::Dead;
        Ok(open.0)
    }

    fn root_slot(&mut self, id: SlotId) -> Result<(), ModelError> {
        let root = self.root;
        let slot = self.slots.get_mut(&id).expect("known");
        if slot.state != SlotState::Committed || slot.parent != root {
            return Err(ModelError::Cannot(slot.number, "rooted"));
        }
        slot.state = SlotState::Rooted;
        self.root = Some(id);
        self.abandon_others();
        Ok(())
    }

    fn abandon(&mut self, id: SlotId) -> Result<(), ModelError> {
        let slot = self.slots.get_mut(&id).expect("known");
        if slot.state != SlotState::Committed {
            return Err(ModelError::Cannot(slot.number, "abandoned"));
        }
        slot.state = SlotState::Abandoned;
        self.abandon_others();
        Ok(())
    }

    fn record_gap(&mut self, first: Slot, last: Slot) -> Result<(), ModelError> {
        self.gaps.insert((first, last));
        Ok(())
    }
}

fn facts(slot: &ModelSlot) -> SlotFacts {
    let ModelSlot { id, number, parent, state, bank_hash, .. } = *slot;
    SlotFacts { id, number, parent, state, bank_hash }
}
