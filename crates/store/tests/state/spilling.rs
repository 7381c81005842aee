//! Slots that are not final, in stores with hardly any memory for them: everything is spilled, merged,
//! flushed out of spilled runs, and answers as a plain model does.

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
    self, Accounts, FOLDER, account, closed, key, quiet, reopen, restore, store_on, write_slot,
};

/// Accounts that are written, and owners that they have.
const KEYS: u64 = 40;
const OWNERS: u64 = 4;

/// A complete slot, as the model has it.
#[derive(Debug, Clone)]
struct ModelSlot {
    number: Slot,
    parent: Option<SlotId>,
    bank_hash: Hash,
    writes: Accounts,
    /// What it ends with.
    accounts: Accounts,
    is_final: bool,
}

/// A store and what it should answer.
struct World {
    disk: SimulatedDisk,
    store: Store,
    options: Options,
    random: u64,
    slots: BTreeMap<SlotId, ModelSlot>,
    root: SlotId,
    /// Another process that reads the store.
    reader: Option<Store>,
    /// Views that are held, and what they should go on answering.
    views: Vec<(View, Accounts)>,
}

fn arc(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn tiny(tail_bytes_max: u64, keep_abandoned_slots: u64) -> Options {
    let mut options = quiet();
    options.journal.segment_bytes_max = 64 << 10;
    options.journal.data_segment_bytes_max = 64 << 10;
    Options { tail_bytes_max, keep_abandoned_slots, flush_versions: 64, ..options }
}

impl World {
    /// A store with a base point at slot 100.
    fn new(seed: u64, options: Options, owner_order: bool) -> Self {
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

    fn add_base(&mut self, id: SlotId, accounts: Accounts) {
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

    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn some_account(&mut self) -> Account {
        match self.below(5) {
            0 => closed(),
            _ => account(1 + self.below(1 << 30), self.below(OWNERS), self.below(300) as usize),
        }
    }

    /// One of those of a state.
    fn some_slot(&mut self, states: &[SlotState]) -> Option<SlotId> {
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
    fn write(&mut self, parent: SlotId, writes: usize) -> Option<SlotId> {
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
    fn root(&mut self, id: SlotId) {
        self.store.root(id).expect("rooted").wait().expect("durable");
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !self.slots[id].is_final) {
            let slot = self.slots.get_mut(&id).expect("known");
            (slot.is_final, next) = (true, slot.parent);
        }
        self.root = id;
    }

    fn restore_base(&mut self) {
        let slot = self.slots[&self.root].number + 5;
        let accounts: Accounts = (0..KEYS / 2)
            .map(|number| (key(number), account(number + 7, number % 3, 20)))
            .collect();
        let id = restore(&self.store, slot, &accounts).expect("restored");
        self.add_base(id, accounts);
    }

    /// Ends the process in one of several ways, and opens the store again.
    fn open_again(&mut self) {
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
    fn rebuild(&mut self) {
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
    fn check_as_a_reader(&mut self) {
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
    fn check(&self, store: &Store) {
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
        }
        for number in 0..KEYS {
            self.check_history(store, &known, &key(number));
        }
    }

    fn check_history(&self, store: &Store, known: &BTreeSet<SlotId>, pubkey: &Pubkey) {
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

fn assert_view(view: &View, expected: &Accounts) {
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

fn assert_diff(old: &View, new: &View, before: &Accounts, after: &Accounts) {
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

fn check_of_the_store(disk: &SimulatedDisk) {
    let go_on = &mut |_: &icecore_store::CheckStep| ControlFlow::Continue(());
    let report = Store::check_on(arc(disk), FOLDER, go_on).expect("checked");
    assert_eq!(report.damage, 0, "{:?}", report.findings);
}

#[test]
fn whatever_happens_to_slots_that_are_spilled_they_answer_as_the_model_does() {
    for seed in 0..6 {
        let budget = [600, 2_000, 8_000][seed as usize % 3];
        let keep = [2, 1000][seed as usize % 2];
        let mut world = World::new(seed, tiny(budget, keep), seed % 4 != 3);
        let unrooted = [SlotState::Committed];
        let writable = [SlotState::Committed, SlotState::Rooted, SlotState::Abandoned];
        let mut spilled_max = 0;
        for _ in 0..160 {
            match world.below(42) {
                0..=25 => {
                    let parent = world.some_slot(&writable).unwrap_or(world.root);
                    let writes = world.below(12) as usize;
                    if world.write(parent, writes).is_none() {
                        let root = world.root;
                        world.write(root, writes);
                    }
                }
                26..=28 => {
                    if let Some(id) = world.some_slot(&unrooted) {
                        world.root(id);
                    }
                }
                29 => {
                    if let Some(id) = world.some_slot(&unrooted) {
                        world.store.abandon(id).expect("given up");
                    }
                }
                30..=32 => world.store.tend().expect("tended"),
                33 => world.store.flush().expect("flushed"),
                34 => drop(world.store.compact().expect("compacted")),
                35 | 36 => world.open_again(),
                37 if world.below(4) == 0 => world.restore_base(),
                38 => world.rebuild(),
                39 => {
                    if let Some(id) = world.some_slot(&writable)
                        && let Ok(view) = world.store.view(At::Fork(id))
                    {
                        world.views.push((view, world.slots[&id].accounts.clone()));
                    }
                }
                _ => world.check_as_a_reader(),
            }
            let stats = world.store.stats().expect("counted");
            spilled_max = spilled_max.max(stats.spilled_versions);
        }
        world.store.sync().expect("durable");
        world.check(&world.store);
        for (view, accounts) in &world.views {
            assert_view(view, accounts);
        }
        assert!(spilled_max > 0, "something is spilled");
        world.open_again();
        world.check(&world.store);
        check_of_the_store(&world.disk);
    }
}

/// A random history like those of `random`.
fn random_history(mut world: kit::world::World) {
    for _ in 0..250 {
        world.step();
    }
    world.finish();
}

#[test]
fn random_histories_of_stores_with_hardly_any_memory_answer_as_the_model_does() {
    for seed in kit::world::seeds(300..306) {
        let options = Options { tail_bytes_max: 1_500, ..kit::world::small(1000) };
        random_history(kit::world::World::new(seed, options));
    }
}

#[test]
fn random_histories_with_hardly_any_memory_and_a_disk_that_fails_answer_as_the_model_does() {
    for seed in kit::world::seeds(310..318) {
        let options = Options { tail_bytes_max: 1_500, ..kit::world::small(1000) };
        random_history(kit::world::World::with_faults(seed, options));
    }
}

/// What a slot of the long story writes.
fn story_writes(slot: u64) -> Accounts {
    let long = if slot.is_multiple_of(1024) { 10 << 20 } else { 20 };
    let mut writes = Accounts::from([
        (key(0), account(slot + 5, slot % 2, long)),
        (key(1 + slot % 30), account(slot + 6, slot % OWNERS, 8)),
    ]);
    if slot.is_multiple_of(5) {
        writes.insert(key(1 + slot / 5 % 30), closed());
    }
    writes
}

#[test]
fn thousands_of_unrooted_slots_and_the_longest_accounts_stay_within_the_memory_budget() {
    const SLOTS: u64 = 4096;
    const BUDGET: u64 = 128 << 10;
    /// A fork of one slot leaves the long one at each so many.
    const FORK_SLOTS: u64 = 8;
    let options = || {
        let mut options = tiny(BUDGET, 1 << 20);
        options.journal.data_segment_bytes_max = 32 << 20;
        options
    };
    let mut world = World::new(1, options(), true);
    let budget = |store: &Store| {
        let stats = store.stats().expect("counted");
        assert!(stats.tail_bytes <= BUDGET, "{} bytes", stats.tail_bytes);
        stats.spilled_versions
    };
    // Whole states only of some slots.
    let mut states: BTreeMap<SlotId, Accounts> = BTreeMap::new();
    let mut state = world.slots[&world.root].accounts.clone();
    let mut parent = world.root;
    let mut far = parent;
    for slot in 1..=SLOTS {
        let before = (parent, state.clone());
        let pending = write_slot(&world.store, 100 + slot, parent, &mut state, &story_writes(slot));
        parent = pending.expect("committed").id();
        if slot.is_multiple_of(97) {
            states.insert(parent, state.clone());
        }
        if slot.is_multiple_of(FORK_SLOTS) {
            let (fork, mut forked) = before;
            let writes = story_writes(slot / 2);
            let pending = write_slot(&world.store, 100 + slot, fork, &mut forked, &writes);
            let id = pending.expect("committed").id();
            if slot.is_multiple_of(240) {
                states.insert(id, forked);
            }
        }
        if slot.is_multiple_of(512) {
            budget(&world.store);
        }
        if slot == SLOTS - 700 {
            far = parent;
            states.insert(far, state.clone());
        }
    }
    states.insert(parent, state);
    world.store.sync().expect("durable");
    let all = SLOTS + SLOTS / FORK_SLOTS;
    assert!(budget(&world.store) > 2 * all * 9 / 10, "nearly all is spilled");
    let check = |store: &Store| {
        for (id, accounts) in &states {
            assert_view(&store.view(At::Fork(*id)).expect("view"), accounts);
        }
        let hot = store.history_of(&key(0), 0..=Slot::MAX).expect("read");
        assert_eq!(hot.len() as u64, 1 + all, "each of all slots");
    };
    check(&world.store);
    for _ in 0..4 {
        world.open_again();
        assert_eq!(world.store.opened().unrooted_slots, all);
        budget(&world.store);
        check(&world.store);
    }
    let reader = Store::read_on(arc(&world.disk), FOLDER, options()).expect("opened");
    budget(&reader);
    check(&reader);
    // Most becomes final at once, the rest is given up.
    world.store.root(far).expect("rooted").wait().expect("durable");
    for slot in world.store.slots() {
        if slot.state == SlotState::Committed && slot.parent == Some(far) {
            world.store.abandon(slot.id).expect("given up");
        }
    }
    reader.refresh().expect("followed");
    check(&reader);
    world.store.tend().expect("tended");
    let left = budget(&world.store);
    assert!(left < all, "what is final has left the spilled runs: {left}");
    check(&world.store);
    reader.refresh().expect("followed");
    check(&reader);
    world.open_again();
    check(&world.store);
    check_of_the_store(&world.disk);
    world.rebuild();
    budget(&world.store);
    check(&world.store);
    world.options.keep_abandoned_slots = 0;
    world.open_again();
    world.store.compact().expect("compacted");
    assert_eq!(world.store.root_slot().map(|slot| slot.id), Some(far));
    assert_view(&world.store.view(At::Root).expect("view"), &states[&far]);
}

#[test]
fn a_crash_at_any_operation_of_spilling_loses_nothing_that_was_durable() {
    let mut world = World::new(3, tiny(1_500, 1000), true);
    let mut fork = world.root;
    for _ in 0..6 {
        let id = world.write(fork, 6).expect("written");
        fork = if world.below(3) == 0 { fork } else { id };
    }
    let World { disk, store, options, slots, root, random, .. } = world;
    store.close().expect("closed");
    let run =
        |disk: &SimulatedDisk, slots: &mut BTreeMap<SlotId, ModelSlot>| -> Result<SlotId, Error> {
            let store = reopen(disk, options.clone())?;
            let mut durable = root;
            let mut parent = fork;
            for number in 0..10u64 {
                let before = slots[&parent].clone();
                let mut accounts = before.accounts;
                let writes: Accounts = (0..8)
                    .map(|at| (key((number * 5 + at) % KEYS), account(number + 1, at % 3, 9)))
                    .collect();
                let number = before.number + 1;
                let pending = write_slot(&store, number, parent, &mut accounts, &writes)?;
                let id = pending.id();
                let bank_hash = store.slot(id).expect("known").bank.bank_hash;
                let slot = ModelSlot {
                    number,
                    parent: Some(parent),
                    bank_hash,
                    writes,
                    accounts,
                    is_final: false,
                };
                slots.insert(id, slot);
                if id.0 % 3 != 0 {
                    parent = id;
                }
                pending.wait()?;
                durable = id;
            }
            store.root(parent)?.wait()?;
            store.tend()?;
            store.close()?;
            Ok(durable)
        };
    let first = disk.power_loss(random);
    let begin = first.operations();
    run(&first, &mut slots.clone()).expect("nothing goes wrong");
    let end = first.operations();
    for operation in (begin..end).step_by(3) {
        let stopped = disk.power_loss(random);
        stopped.crash_at(operation);
        let mut model = slots.clone();
        let outcome = run(&stopped, &mut model);
        assert!(stopped.is_simulated_crash(), "operation {operation} is reached: {outcome:?}");
        let left = stopped.power_loss(operation);
        let store = reopen(&left, options.clone())
            .unwrap_or_else(|error| panic!("operation {operation}: {error}"));
        let known: BTreeSet<SlotId> = store.slots().iter().map(|slot| slot.id).collect();
        assert!(slots.keys().all(|id| known.contains(id)), "operation {operation}");
        for slot in store.slots() {
            if let Ok(view) = store.view(At::Fork(slot.id)) {
                assert_view(&view, &model[&slot.id].accounts);
            }
        }
        drop(store);
        check_of_the_store(&left);
    }
}

#[test]
fn on_a_full_disk_slots_are_refused_and_nothing_is_lost() {
    let mut world = World::new(4, tiny(2_000, 1000), true);
    let mut parent = world.root;
    for _ in 0..8 {
        parent = world.write(parent, 8).expect("written");
    }
    world.store.sync().expect("durable");
    world.disk.set_space(0);
    let number = world.slots[&parent].number + 1;
    let mut refused = 0;
    for _ in 0..10 {
        let mut accounts = world.slots[&parent].accounts.clone();
        let writes: Accounts = (0..8).map(|at| (key(at), account(at + 9, 1, 9))).collect();
        let pending = write_slot(&world.store, number, parent, &mut accounts, &writes);
        refused += u64::from(pending.and_then(|pending| pending.wait()).is_err());
        let stats = world.store.stats().expect("counted");
        assert!(stats.tail_bytes <= 2 * world.options.tail_bytes_max, "{}", stats.tail_bytes);
    }
    assert!(refused >= 8, "{refused} are refused");
    for (id, slot) in &world.slots {
        assert_view(&world.store.view(At::Fork(*id)).expect("view"), &slot.accounts);
    }
    world.disk.set_space(1 << 40);
    for _ in 0..8 {
        parent = world.write(parent, 8).expect("written");
    }
    world.store.sync().expect("durable");
    world.check(&world.store);
    assert!(world.store.stats().expect("counted").spilled_versions > 0);
    world.open_again();
    world.check(&world.store);
}
