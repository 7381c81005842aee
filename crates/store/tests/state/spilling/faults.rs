//! Spilling on disks that end, are full, or forget.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use icecore_disk::SimulatedDisk;
use icecore_store::{At, Error, SlotId, Store};

use super::world::{KEYS, ModelSlot, World, arc, assert_view, check_of_the_store, tiny};
use crate::kit::{Accounts, FOLDER, account, key, reopen, write_slot};

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

#[test]
fn a_flipped_bit_in_a_spilled_run_is_found_and_never_a_wrong_answer() {
    /// Where the header of a run says its kind, and the kind of spilled runs (`docs/formats/runs.md`).
    const KIND: (usize, u8) = (37, 3);
    const BLOCK_BYTES: u64 = 4096;
    let mut world = World::new(5, tiny(1_500, 1000), true);
    let mut parent = world.root;
    for _ in 0..20 {
        let id = world.write(parent, 8).expect("written");
        parent = if world.below(3) == 0 { parent } else { id };
    }
    world.store.sync().expect("durable");
    let World { disk, store, options, slots, mut random, .. } = world;
    store.close().expect("closed");
    let is_spilled = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "run")
            && disk.read_file(path)[KIND.0] == KIND.1
    };
    let runs: Vec<_> = disk.file_names().into_iter().filter(is_spilled).collect();
    assert!(runs.len() >= 2, "{runs:?}");
    for run in runs {
        for block in 0..disk.read_file(&run).len() as u64 / BLOCK_BYTES {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let flipped = disk.power_loss(random);
            flipped.flip_bit(&run, block * BLOCK_BYTES + (random >> 33) % BLOCK_BYTES, 3);
            let go_on = &mut |_: &icecore_store::CheckStep| ControlFlow::Continue(());
            let report = Store::check_on(arc(&flipped), FOLDER, go_on).expect("checked");
            assert!(report.damage > 0, "{}, block {block}", run.display());
            let Ok(store) = reopen(&flipped, options.clone()) else { continue };
            for (id, slot) in &slots {
                let view = store.view(At::Fork(*id)).expect("view");
                for number in 0..KEYS {
                    if let Ok(found) = view.get(&key(number)) {
                        let found = found.map(|found| found.account);
                        assert_eq!(found.as_ref(), slot.accounts.get(&key(number)));
                    }
                }
            }
        }
    }
}
