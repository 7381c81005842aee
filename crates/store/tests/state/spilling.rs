//! Slots that are not final, in stores with hardly any memory for them: everything is spilled, merged,
//! flushed out of spilled runs, and answers as a plain model does.

mod faults;
mod story;
mod world;

use icecore_disk::SimulatedDisk;
use icecore_store::{At, Options, SlotState};

use self::world::{World, assert_view, check_of_the_store, tiny};
use crate::kit;

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

#[test]
fn slots_that_wrote_nothing_are_flushed_with_one_that_was_spilled() {
    let disk = SimulatedDisk::new(7);
    let options = Options { tail_bytes_max: 2_000, ..kit::quiet() };
    let store = kit::store_on(&disk, options.clone()).expect("made");
    let mut state = kit::Accounts::from([(kit::key(0), kit::account(5, 0, 10))]);
    let base = kit::restore(&store, 10, &state).expect("restored");
    let writes = (1..60).map(|at| (kit::key(at), kit::account(at, 0, 10))).collect();
    let full = kit::write_slot(&store, 11, base, &mut state, &writes).expect("committed");
    full.wait().expect("durable");
    store.tend().expect("room on the disk");
    assert_eq!(store.stats().expect("stats").spilled_versions, 59);
    let mut parent = full.id();
    for number in 12..40 {
        let empty = kit::Accounts::new();
        let slot = kit::write_slot(&store, number, parent, &mut state, &empty);
        parent = slot.expect("committed").id();
    }
    store.root(parent).expect("rooted").wait().expect("durable");
    store.flush().expect("room on the disk");
    world::assert_view(&store.view(At::Root).expect("view"), &state);
    store.close().expect("closed");
    let store = kit::reopen(&disk, options).expect("opened");
    assert_eq!(store.stats().expect("stats").spilled_versions, 0);
    world::assert_view(&store.view(At::Root).expect("view"), &state);
}
