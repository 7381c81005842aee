//! Makes slot feeds that are right: a model is told what happens, slot by slot, and says what each
//! slot has to state at its end.

use std::collections::BTreeMap;

use icecore_store::{
    Attachment, BankFields, SlotId, SlotState, SlotStatement,
    feed::{SlotBegin, SlotEnd},
    ingest::SlotSink,
};
use icecore_types::{Account, Hash, LatticeHash, Pubkey, Slot};

use super::{
    messages::Message,
    model::{Base, Model, ModelOpen},
};

/// A feed in the making.
pub struct Story {
    /// What a store has to be after the feed.
    pub model: Model,
    pub messages: Vec<Message>,
    open: BTreeMap<Slot, (ModelOpen, u32)>,
    /// The slot that a number means now.
    current: BTreeMap<Slot, SlotId>,
}

/// What a slot states beside what follows from its accounts.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    pub last_blockhash: Hash,
    pub signature_count: u64,
    pub transaction_count: u64,
    pub block_height: u64,
    pub bank: Vec<u8>,
    pub status_cache: Vec<u8>,
}

impl Story {
    pub fn new(base: &Base) -> Self {
        let model = Model::new(base);
        let current = BTreeMap::from([(base.slot, model.root_id())]);
        Self { model, messages: Vec::new(), open: BTreeMap::new(), current }
    }

    pub fn begin(&mut self, slot: Slot, parent: Slot) -> &mut Self {
        let parent_id = self.current[&parent];
        let open = (&mut self.model).begin_slot(slot, parent_id).expect("the story is right");
        self.open.insert(slot, (open, 0));
        let parent_bank_hash = self.model.slot(parent_id).bank_hash.expect("complete");
        self.messages.push(Message::Begin(SlotBegin {
            slot,
            parent_slot: parent,
            parent_bank_hash,
        }));
        self
    }

    pub fn write(&mut self, slot: Slot, pubkey: Pubkey, account: Account) -> &mut Self {
        let (open, count) = self.open.get_mut(&slot).expect("the story is right");
        let borrowed = account.borrowed(&pubkey);
        (&mut self.model).write(open, &borrowed).expect("the story is right");
        let write_index = *count;
        *count += 1;
        self.messages.push(Message::Account { slot, write_index, pubkey, account });
        self
    }

    pub fn end(&mut self, slot: Slot) -> &mut Self {
        let number = slot.to_le_bytes().repeat(4);
        self.end_with(
            slot,
            Stated {
                last_blockhash: Hash(number.try_into().expect("32 bytes")),
                signature_count: slot,
                transaction_count: slot * 10,
                block_height: slot,
                ..Stated::default()
            },
        )
    }

    pub fn end_with(&mut self, slot: Slot, stated: Stated) -> &mut Self {
        let (mut open, _) = self.open.remove(&slot).expect("the story is right");
        for (what, bytes) in
            [(Attachment::Bank, &stated.bank), (Attachment::StatusCache, &stated.status_cache)]
        {
            (&mut self.model)
                .attach(&mut open, what, bytes.len() as u64, bytes)
                .expect("the model takes any");
        }
        let Stated { last_blockhash, signature_count, transaction_count, .. } = stated;
        let bank = BankFields {
            last_blockhash,
            signature_count,
            transaction_count,
            block_height: stated.block_height,
            ..BankFields::default()
        };
        let statement = SlotStatement {
            bank,
            lattice: LatticeHash::default(),
            capitalization: 0,
            accounts_written: 0,
        };
        let statement = self.model.sealed(&open, statement);
        let id = (&mut self.model).commit(open, &statement).expect("it was sealed");
        self.current.insert(slot, id);
        let end = SlotEnd {
            slot,
            bank_hash: statement.bank.bank_hash,
            last_blockhash,
            signature_count,
            transaction_count,
            capitalization: statement.capitalization,
            block_height: stated.block_height,
            accounts_written: statement.accounts_written,
            lattice: statement.lattice,
            bank_bytes: stated.bank.len() as u64,
            status_cache_bytes: stated.status_cache.len() as u64,
        };
        let (bank, status_cache) = (stated.bank, stated.status_cache);
        self.messages.push(Message::End { end: Box::new(end), bank, status_cache });
        self
    }

    /// A whole slot that writes these keys, each with this balance.
    pub fn whole(&mut self, slot: Slot, parent: Slot, writes: &[(u8, u64)]) -> &mut Self {
        self.begin(slot, parent);
        for (key, lamports) in writes {
            self.write(slot, key_of(*key), account_of(*lamports));
        }
        self.end(slot)
    }

    pub fn root(&mut self, slot: Slot) -> &mut Self {
        let id = self.current[&slot];
        (&mut self.model).root_slot(id).expect("the story is right");
        self.messages.push(Message::Rooted(slot));
        self
    }

    /// Gives up a slot, open or not.
    pub fn abandon(&mut self, slot: Slot) -> &mut Self {
        match self.open.remove(&slot) {
            Some((open, _)) => {
                (&mut self.model).abandon_open(open).expect("the story is right");
            }
            None => {
                // Another slot's root may have abandoned it before.
                let _ = (&mut self.model).abandon(self.current[&slot]);
            }
        }
        self.messages.push(Message::Abandoned(slot));
        self
    }

    /// The same story with these messages: what they state at the ends of slots, and of parents, is
    /// made right; everything else is as it is.
    pub fn retold(base: &Base, messages: &[Message]) -> Self {
        let mut story = Self::new(base);
        for message in messages {
            match message.clone() {
                Message::Begin(begin) => story.begin(begin.slot, begin.parent_slot),
                Message::Account { slot, pubkey, account, .. } => {
                    story.write(slot, pubkey, account)
                }
                Message::End { end, bank, status_cache } => story.end_with(
                    end.slot,
                    Stated {
                        last_blockhash: end.last_blockhash,
                        signature_count: end.signature_count,
                        transaction_count: end.transaction_count,
                        block_height: end.block_height,
                        bank,
                        status_cache,
                    },
                ),
                Message::Rooted(slot) => story.root(slot),
                Message::Abandoned(slot) => story.abandon(slot),
            };
        }
        story
    }
}

/// Random numbers that are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn choice<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len() as u64) as usize])
    }
}

impl Story {
    /// A random story on [`small_base`]: forks of forks, slots in flight side by side, dead slots,
    /// numbers that begin again, roots that jump; everything that ends is rooted or abandoned
    /// explicitly, or is left at the end.
    pub fn random(seed: u64, steps: usize) -> Self {
        let mut random = Random(seed);
        let mut story = Self::new(&small_base());
        let base = story.model.root_id();
        // Slots that have ended and whose number is still in use.
        let mut waiting: Vec<Slot> = Vec::new();
        for _ in 0..steps {
            let open: Vec<Slot> = story.open.keys().copied().collect();
            match random.below(20) {
                0..=3 if open.len() < 5 => {
                    let carrying = |story: &Self, slot: &Slot| {
                        let id = story.current[slot];
                        let state = story.model.slot(id).state;
                        id == story.model.root_id() || state == SlotState::Committed
                    };
                    let parents: Vec<Slot> = story
                        .current
                        .keys()
                        .copied()
                        .filter(|slot| carrying(&story, slot))
                        .collect();
                    let parent = random.choice(&parents).expect("the root carries");
                    let slot = parent + 1 + random.below(3);
                    let is_used = open.contains(&slot) || waiting.contains(&slot);
                    let is_final = story.current.get(&slot).is_some_and(|id| {
                        *id == base || story.model.slot(*id).state == SlotState::Rooted
                    });
                    if !is_used && !is_final {
                        story.begin(slot, parent);
                    }
                }
                4..=12 => {
                    let Some(slot) = random.choice(&open) else { continue };
                    let key = key_of(random.below(40) as u8);
                    let id = story.open[&slot].0.0;
                    if !story.model.slot(id).written.contains_key(&key) {
                        let lamports = random.below(4) * random.below(1000);
                        story.write(slot, key, account_of(lamports));
                    }
                }
                13..=15 => {
                    let Some(slot) = random.choice(&open) else { continue };
                    let bank = vec![slot as u8; random.below(3) as usize * 10];
                    let status_cache = vec![1; random.below(2) as usize * 7];
                    let last_blockhash = Hash([random.next() as u8; 32]);
                    let signature_count = random.below(9);
                    let stated = Stated {
                        last_blockhash,
                        signature_count,
                        bank,
                        status_cache,
                        ..Stated::default()
                    };
                    story.end_with(slot, stated);
                    waiting.push(slot);
                }
                16 => {
                    for _ in 0..=random.below(2) {
                        let root = story.model.root_id();
                        let is_child = |slot: &&Slot| {
                            let slot = story.model.slot(story.current[*slot]);
                            slot.parent == Some(root) && slot.state == SlotState::Committed
                        };
                        let children: Vec<Slot> =
                            waiting.iter().filter(is_child).copied().collect();
                        let Some(slot) = random.choice(&children) else { break };
                        story.root(slot);
                        waiting.retain(|other| *other != slot);
                    }
                }
                17 => {
                    if let Some(slot) = random.choice(&open) {
                        story.abandon(slot);
                    }
                }
                18..=19 => {
                    let Some(slot) = random.choice(&waiting) else { continue };
                    let state = story.model.slot(story.current[&slot]).state;
                    // Forks that are given up while they could still be final are rarer.
                    if state == SlotState::Abandoned || random.below(4) == 0 {
                        story.abandon(slot);
                        waiting.retain(|other| *other != slot);
                    }
                }
                _ => {}
            }
        }
        story
    }
}

/// A key.
pub fn key_of(number: u8) -> Pubkey {
    Pubkey([number; 32])
}

/// An account with a balance, its data and its owner made of it; closed without a balance.
pub fn account_of(lamports: u64) -> Account {
    if lamports == 0 {
        return Account::default();
    }
    Account {
        lamports,
        data: lamports.to_le_bytes().repeat(1 + (lamports % 5) as usize),
        owner: Pubkey([100 + (lamports % 3) as u8; 32]),
        executable: lamports.is_multiple_of(7),
        rent_epoch: u64::MAX,
    }
}

/// A small state at slot 100.
pub fn small_base() -> Base {
    let accounts = (0..20).map(|key| (key_of(key), (90, account_of(1000 + u64::from(key)))));
    Base { slot: 100, bank_hash: Hash([77; 32]), accounts: accounts.collect() }
}
