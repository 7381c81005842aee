//! A store that spills beside a plain model of it: what each slot that is kept wrote and ends with.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow},
    path::Path,
    sync::Arc,
};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_store::{
    At, CreateOptions, Error, Options, OwnerFilter, RebuildStep, SlotId, SlotState, Store, View,
};
use icecore_types::{Account, Hash, Pubkey, Slot};

use crate::kit::{
    self, Accounts, FOLDER, account, closed, key,
    places::{live, written_after},
    quiet, reopen, restore, store_on, write_slot,
};

/// Accounts that are written, and owners that they have.
pub(super) const KEYS: u64 = 40;
pub(super) const OWNERS: u64 = 4;

/// A complete slot, as the model has it.
#[derive(Debug, Clone)]
pub(super) struct ModelSlot {
    pub(super) number: Slot,
    pub(super) parent: Option<SlotId>,
    pub(super) bank_hash: Hash,
    pub(super) writes: Accounts,
    /// What it ends with.
    pub(super) accounts: Accounts,
    pub(super) is_final: bool,
}

/// A store and what it should answer.
pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) store: Store,
    pub(super) options: Options,
    pub(super) random: u64,
    pub(super) slots: BTreeMap<SlotId, ModelSlot>,
    pub(super) root: SlotId,
    /// Another process that reads the store.
    pub(super) reader: Option<Store>,
    /// Views that are held, and what they should go on answering.
    pub(super) views: Vec<(View, Accounts)>,
}

pub(super) fn arc(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

pub(super) fn tiny(tail_bytes_max: u64, keep_abandoned_slots: u64) -> Options {
    let mut options = quiet();
    options.journal.segment_bytes_max = 64 << 10;
    options.journal.data_segment_bytes_max = 64 << 10;
    Options { tail_bytes_max, keep_abandoned_slots, flush_versions: 64, ..options }
}

impl World {
    /// A store with a base point at slot 100.
    pub(super) fn new(seed: u64, options: Options, owner_order: bool) -> Self {
        let disk = SimulatedDisk::new(seed);
        let create = CreateOptions { owner_order, ..CreateOptions::default() };
        let store = Store::create_on(arc(&disk), FOLDER, &create, options.clone()).expect("made");
        let accounts: Accounts = (0..KEYS / 2)
            .map(|number| (key(number), account(number + 1, number % 3, 30)))
            .collect();
        let root = restore(&store, 100, &accounts).expect("restored");
        let mut world = Self {
            disk,
            store,
            options,
            random: seed,
            slots: BTreeMap::new(),
            root,
            reader: None,
            views: Vec::new(),
        };
        world.add_base(root, accounts);
        world
    }

    pub(super) fn add_base(&mut self, id: SlotId, accounts: Accounts) {
        let number = self.store.slot(id).expect("known").number;
        let base = ModelSlot {
            number,
            parent: None,
            bank_hash: Hash([number as u8; 32]),
            writes: Accounts::new(),
            accounts,
            is_final: true,
        };
        self.slots.insert(id, base);
        self.root = id;
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(super) fn some_account(&mut self) -> Account {
        match self.below(5) {
            0 => closed(),
            _ => account(1 + self.below(1 << 30), self.below(OWNERS), self.below(300) as usize),
        }
    }

    /// One of those of a state.
    pub(super) fn some_slot(&mut self, states: &[SlotState]) -> Option<SlotId> {
        let slots = self.store.slots();
        let found: Vec<SlotId> = slots
            .iter()
            .filter(|slot| states.contains(&slot.state) && self.slots.contains_key(&slot.id))
            .map(|slot| slot.id)
            .collect();
        // Newer ones more often.
        let back = self.below(found.len().max(1) as u64).min(self.below(8));
        found.iter().rev().nth(back as usize).copied()
    }

    /// Writes a slot on a parent; `None`: it was forgotten.
    pub(super) fn write(&mut self, parent: SlotId, writes: usize) -> Option<SlotId> {
        let before = self.slots[&parent].clone();
        let number = before.number + 1 + self.below(3);
        let writes: Accounts =
            (0..writes).map(|_| (key(self.below(KEYS)), self.some_account())).collect();
        let mut accounts = before.accounts;
        let id = match write_slot(&self.store, number, parent, &mut accounts, &writes) {
            Ok(pending) => pending.id(),
            Err(Error::NoSuchSlot { .. }) if parent != self.root => return None,
            Err(error) => panic!("slot {number}: {error}"),
        };
        let bank_hash = self.store.slot(id).expect("known").bank.bank_hash;
        let slot = ModelSlot {
            number,
            parent: Some(parent),
            bank_hash,
            writes,
            accounts,
            is_final: false,
        };
        self.slots.insert(id, slot);
        Some(id)
    }

    /// Makes a slot final.
    pub(super) fn root(&mut self, id: SlotId) {
        self.store.root(id).expect("rooted").wait().expect("durable");
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !self.slots[id].is_final) {
            let slot = self.slots.get_mut(&id).expect("known");
            (slot.is_final, next) = (true, slot.parent);
        }
        self.root = id;
    }

    pub(super) fn restore_base(&mut self) {
        let slot = self.slots[&self.root].number + 5;
        let accounts: Accounts = (0..KEYS / 2)
            .map(|number| (key(number), account(number + 7, number % 3, 20)))
            .collect();
        let id = restore(&self.store, slot, &accounts).expect("restored");
        self.add_base(id, accounts);
    }

    /// Ends the process in one of several ways, and opens the store again.
    pub(super) fn open_again(&mut self) {
        self.store.sync().expect("durable");
        (self.reader, self.views) = (None, Vec::new());
        let how = self.below(3);
        let disk = match how {
            0 => self.disk.clone(),
            1 => self.disk.power_loss(self.random),
            _ => self.disk.kill(),
        };
        let none = SimulatedDisk::new(0);
        let other = store_on(&none, quiet()).expect("made");
        let before = std::mem::replace(&mut self.store, other);
        match how {
            0 => before.close().expect("closed"),
            _ => drop(before),
        }
        self.store = reopen(&disk, self.options.clone()).expect("opened");
        self.disk = disk;
    }

    /// Loses all runs and has them made anew.
    pub(super) fn rebuild(&mut self) {
        self.store.sync().expect("durable");
        (self.reader, self.views) = (None, Vec::new());
        let none = SimulatedDisk::new(0);
        self.store = store_on(&none, quiet()).expect("made");
        let disk = self.disk.power_loss(self.random);
        for file in disk.list(Path::new("/store/runs")).expect("listed") {
            disk.remove(&Path::new("/store/runs").join(&file.name)).expect("removed");
        }
        let go_on = &mut |_: &RebuildStep| ControlFlow::Continue(());
        Store::rebuild_index_on(arc(&disk), FOLDER, self.options.clone(), go_on).expect("rebuilt");
        self.store = reopen(&disk, self.options.clone()).expect("opened");
        self.disk = disk;
    }

    /// What another process reads, which sees the store grow.
    pub(super) fn check_as_a_reader(&mut self) {
        self.store.sync().expect("durable");
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Store::read_on(arc(&self.disk), FOLDER, self.options.clone()).expect("opened"),
        };
        reader.refresh().expect("followed");
        self.check(&reader);
        self.reader = Some(reader);
    }

    /// Everything is answered, by this store or by another one that reads it.
    pub(super) fn check(&self, store: &Store) {
        let known: BTreeSet<SlotId> = store.slots().iter().map(|slot| slot.id).collect();
        let mut views = Vec::new();
        for (id, slot) in &self.slots {
            if slot.is_final {
                views.push((store.view(At::Slot(slot.number)).expect("final"), slot));
            }
            if known.contains(id) {
                match store.view(At::Fork(*id)) {
                    Ok(view) => views.push((view, slot)),
                    // The complete run of its window is all that is left of it.
                    Err(Error::NoSuchSlot { .. }) if slot.is_final => {}
                    Err(error) => panic!("slot {} is {:?}: {error}", slot.number, store.slot(*id)),
                }
            }
        }
        for (view, slot) in &views {
            assert_view(view, &slot.accounts);
        }
        for (place, (old, old_slot)) in views.iter().enumerate().step_by(7) {
            let (new, new_slot) = &views[(place * 5 + 3) % views.len()];
            assert_diff(old, new, &old_slot.accounts, &new_slot.accounts);
            if old_slot.is_final && new_slot.is_final && old_slot.number < new_slot.number {
                assert_changes(new, old_slot, new_slot);
            }
        }
        for number in 0..KEYS {
            self.check_history(store, &known, &key(number));
        }
    }

    pub(super) fn check_history(&self, store: &Store, known: &BTreeSet<SlotId>, pubkey: &Pubkey) {
        let history = store.history_of(pubkey, 0..=Slot::MAX).expect("read");
        let found: Vec<_> = history
            .iter()
            .filter(|version| !version.is_base)
            .map(|version| {
                (version.slot, version.bank_hash, version.is_rooted, version.account.lamports)
            })
            .collect();
        let mut expected: Vec<_> = self
            .slots
            .iter()
            .filter(|(id, slot)| slot.is_final || known.contains(id))
            .filter_map(|(_, slot)| {
                let lamports = slot.writes.get(pubkey)?.lamports;
                Some((slot.number, slot.bank_hash, slot.is_final, lamports))
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

/// What was written between two final slots leads from one state to the other, where that is known.
fn assert_changes(view: &View, old: &ModelSlot, new: &ModelSlot) {
    let Some(changes) = written_after(view, old.number).expect("readable") else { return };
    let mut accounts = old.accounts.clone();
    for (pubkey, (_, account)) in changes {
        match account.lamports {
            0 => drop(accounts.remove(&pubkey)),
            _ => drop(accounts.insert(pubkey, account)),
        }
    }
    assert!(accounts == new.accounts, "{} to {}", old.number, new.number);
}

pub(super) fn assert_view(view: &View, expected: &Accounts) {
    let places = live(view).expect("readable").into_iter();
    let places = places.map(|(pubkey, (_, account))| (pubkey, account));
    assert!(&places.collect::<Accounts>() == expected);
    let mut found = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.last_key_value().is_none_or(|(last, _)| *last < pubkey), "in order");
        found.insert(pubkey, account);
        ControlFlow::Continue(())
    })
    .expect("scanned");
    assert!(&found == expected, "slot {}: a scan gives other accounts", view.slot().number);
    let (from, to) = (key(3), key(7));
    let range = (Bound::Excluded(from.min(to)), Bound::Included(from.max(to)));
    let mut found = Vec::new();
    view.scan(range.0.as_ref(), range.1.as_ref(), |visited| {
        found.push(*visited.account.pubkey);
        ControlFlow::Continue(())
    })
    .expect("scanned");
    assert!(found.iter().eq(expected.range(range).map(|(pubkey, _)| pubkey)));
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let many = view.get_many(&keys).expect("read");
    for (pubkey, found) in keys.iter().zip(many) {
        assert_eq!(found.map(|found| found.account).as_ref(), expected.get(pubkey));
        let one = view.get(pubkey).expect("read").map(|found| found.account);
        assert_eq!(one.as_ref(), expected.get(pubkey));
    }
    for owner in 0..OWNERS {
        let owner = account(1, owner, 0).owner;
        let mut found = Accounts::new();
        view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
            let (pubkey, account) = visited.account.to_owned();
            assert!(found.insert(pubkey, account).is_none(), "each account once");
            ControlFlow::Continue(())
        })
        .expect("scanned");
        let of_owner = |(_, account): &(&Pubkey, &Account)| account.owner == owner;
        assert!(expected.iter().filter(of_owner).eq(found.iter()), "slot {}", view.slot().number);
    }
    assert_eq!(view.totals().expect("read"), kit::totals(expected));
}

pub(super) fn assert_diff(old: &View, new: &View, before: &Accounts, after: &Accounts) {
    let mut found = BTreeMap::new();
    old.diff(new, |change| {
        let content =
            |version: Option<icecore_store::AccountVersion>| version.map(|version| version.account);
        found.insert(change.pubkey, (content(change.before), content(change.after)));
        ControlFlow::Continue(())
    })
    .expect("compared");
    let keys: BTreeSet<Pubkey> = before.keys().chain(after.keys()).copied().collect();
    let expected: BTreeMap<_, _> = keys
        .into_iter()
        .map(|key| (key, (before.get(&key).cloned(), after.get(&key).cloned())))
        .filter(|(_, (before, after))| before != after)
        .collect();
    assert!(found == expected, "{} to {}", old.slot().number, new.slot().number);
}

pub(super) fn check_of_the_store(disk: &SimulatedDisk) {
    let go_on = &mut |_: &icecore_store::CheckStep| ControlFlow::Continue(());
    let report = Store::check_on(arc(disk), FOLDER, go_on).expect("checked");
    assert_eq!(report.damage, 0, "{:?}", report.findings);
}
