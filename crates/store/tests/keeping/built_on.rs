//! Base points that are built on others: compaction, retention, rebuilding and crashes beside a model.

use std::collections::BTreeMap;

use icecore_disk::SimulatedDisk;
use icecore_store::{
    Adopted, At, BankFields, BaseFacts, Error, Locator, Retention, SlotId, Store,
    run::{BY_OWNER, BY_PUBKEY},
};
use icecore_types::{AccountRef, EpochSchedule, Hash, Slot};

use crate::{
    kit::{Accounts, account, closed, key, reopen, totals},
    world::{KEYS, OWNERS, World, assert_view},
};

/// The key of the second order.
fn owner_key(account: &AccountRef<'_>) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&account.owner.0);
    key[32..].copy_from_slice(&account.pubkey.0);
    key
}

/// What an incremental archive has that leads from one state to another.
fn changes(from: &Accounts, to: &Accounts) -> Accounts {
    let changed = to.iter().filter(|(key, account)| from.get(key) != Some(account));
    let gone = from.keys().filter(|key| !to.contains_key(key));
    let changed = changed.map(|(key, account)| (*key, account.clone()));
    changed.chain(gone.map(|key| (*key, closed()))).collect()
}

/// Restores a state as what was written since a base point. Of accounts that are closed older records
/// are written, too, as archives have them.
fn build_on(
    store: &Store,
    (base, before): (Slot, &Accounts),
    (slot, state): (Slot, &Accounts),
) -> Result<SlotId, Error> {
    let base = store.keep_base(base)?;
    let mut restoring = store.begin_restore(slot)?;
    let mut writer = restoring.writers(1, 0)?.remove(0);
    let mut gone = restoring.content()?;
    let mut succession = base.succession(slot, restoring.run::<BY_PUBKEY>()?)?;
    let mut by_owner: BTreeMap<[u8; 64], Option<Locator>> = BTreeMap::new();
    for (pubkey, written) in changes(before, state) {
        let newest = match written.lamports {
            0 => {
                gone.write(&pubkey.0)?;
                writer.write(&account(7, 1, 40).borrowed(&pubkey), base.facts().bank.slot + 1)?;
                None
            }
            _ => Some(writer.write(&written.borrowed(&pubkey), slot)?),
        };
        if let Some(replaced) = succession.put(&pubkey.0, newest)? {
            by_owner.insert(base.read(replaced, owner_key)?, None);
        }
        if newest.is_some() {
            by_owner.insert(owner_key(&written.borrowed(&pubkey)), newest);
        }
    }
    let by_pubkey = succession.finish()?;
    let mut succession = base.succession_by_owner(slot, restoring.run::<BY_OWNER>()?)?;
    for (key, newest) in &by_owner {
        succession.put(key, *newest)?;
    }
    let by_owner = Some(succession.finish()?);
    let content = |bytes: &[u8]| -> Result<_, Error> {
        let mut writer = restoring.content()?;
        writer.write(bytes)?;
        writer.finish()
    };
    let (manifest, status_cache) = (content(b"manifest")?, content(b"status cache")?);
    let facts = BaseFacts {
        bank: BankFields {
            slot,
            parent_slot: slot - 1,
            bank_hash: Hash([slot as u8; 32]),
            ..BankFields::default()
        },
        totals: totals(state),
        epoch_schedule: EpochSchedule {
            slots_per_epoch: 432_000,
            leader_schedule_slot_offset: 432_000,
            warmup: false,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        },
        hard_forks: Vec::new(),
        archives: vec!["full".to_string(), format!("incremental-{slot}")],
        is_anchored: false,
    };
    let records = vec![writer.finish()?];
    let verdict = b"{}".to_vec();
    let adopted = Adopted { facts, records, manifest, status_cache, verdict, by_pubkey, by_owner };
    restoring.adopt_closing(adopted, gone.finish()?, Some(&base))
}

impl World {
    /// Restores a newer state as what was written since some base point that is kept.
    fn build_base(&mut self) -> bool {
        let kept = |slot: &&Slot| self.store.keep_base(**slot).is_ok();
        let bases: Vec<Slot> = self.finals.keys().filter(kept).copied().collect();
        if bases.is_empty() {
            return false;
        }
        let base = bases[self.random.below(bases.len() as u64) as usize];
        let (slot, state) = self.next_state();
        let built = build_on(&self.store, (base, &self.finals[&base]), (slot, &state));
        self.root = (built.expect("built"), slot);
        self.finals.insert(slot, state);
        true
    }

    /// A state some slots above the root, with other accounts written and closed.
    fn next_state(&mut self) -> (Slot, Accounts) {
        let slot = self.root.1 + 1 + self.random.below(6);
        let mut state = self.finals[&self.root.1].clone();
        for _ in 0..20 {
            let key = key(self.random.below(KEYS));
            let random = &mut self.random;
            match random.below(4) {
                0 => drop(state.remove(&key)),
                _ => {
                    let lamports = 1 + random.below(1 << 30);
                    let written =
                        account(lamports, random.below(OWNERS), random.below(3000) as usize);
                    state.insert(key, written);
                }
            }
        }
        (slot, state)
    }
}

/// Any order of writes, base points of both kinds, reopenings, rebuilds and compactions.
fn any_order(seed: u64) -> u64 {
    let retention = match seed % 4 {
        0 => Retention::Everything,
        1 => Retention::BasePoints,
        2 => Retention::Slots(2),
        _ => Retention::Slots(9),
    };
    let mut world = World::new(seed, retention);
    let mut built = 0;
    for _ in 0..40 {
        match world.random.below(10) {
            0..3 => world.grow(20),
            3 => world.store.tend().expect("tended"),
            4 if world.random.below(3) == 0 => world.restore_base(),
            4..7 => built += u64::from(world.build_base()),
            7 => world = world.reopen(),
            8 if world.random.below(2) == 0 => world = world.rebuild(),
            _ => {
                world.store.compact().expect("compacted");
                let again = world.store.compact().expect("compacted");
                assert_eq!(again.records_left_out, 0, "seed {seed}: {again:?}");
            }
        }
        world.check();
    }
    world.store.compact().expect("compacted");
    world.check();
    world.rebuild().check();
    built
}

#[test]
fn what_is_built_on_base_points_against_model() {
    let built: u64 = (0..24).map(any_order).sum();
    assert!(built > 50, "{built} base points were built on others");
}

#[test]
fn nothing_moves_and_nothing_is_dropped_while_something_is_built_on_it() {
    let mut world = World::new(5, Retention::Slots(1));
    let state = world.finals[&100].clone();
    let base = world.store.keep_base(100).expect("kept");
    for _ in 0..30 {
        let number = world.root.1 + 1;
        let mut next = world.finals[&world.root.1].clone();
        let writes = (0..20).map(|at| (key(at), account(number + at, at % OWNERS, 2000)));
        let writes = writes.collect();
        let pending =
            crate::kit::write_slot(&world.store, number, world.root.0, &mut next, &writes);
        let id = pending.expect("committed").id();
        world.store.root(id).expect("rooted").wait().expect("durable");
        world.finals.insert(number, next);
        world.root = (id, number);
    }
    let done = world.store.compact().expect("compacted");
    assert_eq!(done.segments, 0, "{done:?}");
    assert_view(base.view(), &state);
    drop(base);
    let done = world.store.compact().expect("compacted");
    assert!(done.segments > 0, "{done:?}");
    assert!(matches!(world.store.keep_base(100), Err(Error::NoBase { slot: 100, .. })));
    world.check();
}

#[test]
fn a_crash_at_any_operation_of_building_on_a_base_point_leaves_it_whole_or_nothing() {
    let mut world = World::new(9, Retention::Everything);
    for _ in 0..6 {
        world.grow(20);
    }
    world.store.flush().expect("flushed");
    let (slot, state) = world.next_state();
    let base = world.finals[&100].clone();
    let World { disk, store, options, random, finals, root, .. } = world;
    store.close().expect("closed");
    let work = |store: &Store| build_on(store, (100, &base), (slot, &state));
    let run = |disk: &SimulatedDisk| -> Result<(), Error> {
        work(&reopen(disk, options.clone())?).map(|_| ())
    };
    let first = disk.power_loss(0);
    let begin = first.operations();
    run(&first).expect("nothing goes wrong");
    let end = first.operations();
    let mut adopted = 0;
    for operation in begin..end {
        let stopped = disk.power_loss(0);
        stopped.crash_at(operation);
        let outcome = run(&stopped);
        assert!(stopped.is_simulated_crash(), "operation {operation} is reached: {outcome:?}");
        let disk = stopped.power_loss(operation);
        let store = reopen(&disk, options.clone())
            .unwrap_or_else(|error| panic!("operation {operation}: {error}"));
        let mut world = World {
            disk,
            store,
            options: options.clone(),
            random: random.clone(),
            finals: finals.clone(),
            root,
            forks: BTreeMap::new(),
        };
        let info = world.store.root_slot().expect("a state");
        if info.number == slot {
            adopted += 1;
            world.root = (info.id, slot);
        } else {
            world.check();
            let id = work(&world.store).expect("there is nothing in the way");
            world.root = (id, slot);
        }
        world.finals.insert(slot, state.clone());
        world.check();
        world = world.reopen();
        world.check();
        assert_view(&world.store.view(At::Slot(100)).expect("kept"), &base);
    }
    assert!(end - begin > 20 && adopted > 0, "{} operations, {adopted} adopted", end - begin);
}
