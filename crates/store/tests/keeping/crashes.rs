//! The machine stops at each operation of what keeps a store.

use icecore_disk::SimulatedDisk;
use icecore_store::{Error, Retention, Store};

use crate::{kit::reopen, world::World};

/// A store in which there is much to do, closed; what it should answer.
pub(crate) fn prepared(retention: Retention) -> World {
    let mut world = World::new(7, Retention::Everything);
    for round in 0..3 {
        for _ in 0..8 {
            world.grow(30);
        }
        if round == 0 {
            world.restore_base();
        }
        world.store.flush().expect("flushed");
    }
    world.grow(10);
    world.store.sync().expect("durable");
    world.options.retention = retention;
    world
}

/// Runs `work` on copies of the store, stopped at every `step`th operation; checks what is left, and
/// that the work can then be done.
fn stop_everywhere(
    retention: Retention,
    step: usize,
    work: impl Fn(&Store) -> Result<(), Error>,
) -> u64 {
    let world = prepared(retention);
    let World { disk, store, options, random, finals, root, .. } = world;
    store.close().expect("closed");
    let opened = |disk: SimulatedDisk, store| World {
        disk,
        store,
        options: options.clone(),
        random: random.clone(),
        finals: finals.clone(),
        root,
        forks: Default::default(),
    };
    let run = |disk: &SimulatedDisk| -> Result<(), Error> {
        let store = reopen(disk, options.clone())?;
        work(&store)
    };
    let first = disk.power_loss(0);
    let begin = first.operations();
    run(&first).expect("nothing goes wrong");
    let end = first.operations();
    for operation in (begin..end).step_by(step) {
        let stopped = disk.power_loss(0);
        stopped.crash_at(operation);
        let outcome = run(&stopped);
        assert!(stopped.is_simulated_crash(), "operation {operation} is reached: {outcome:?}");
        let disk = match operation % 2 {
            0 => stopped.kill(),
            _ => stopped.power_loss(operation),
        };
        let store = reopen(&disk, options.clone())
            .unwrap_or_else(|error| panic!("operation {operation}: {error}"));
        let world = opened(disk, store);
        world.check();
        work(&world.store).expect("there is nothing in the way");
        world.check();
        let world = world.reopen();
        world.check();
    }
    end - begin
}

#[test]
fn a_crash_at_any_operation_of_compaction_loses_nothing() {
    let operations = stop_everywhere(Retention::Slots(3), 3, |store| store.compact().map(|_| ()));
    assert!(operations > 50, "{operations} operations");
}

#[test]
fn a_crash_at_any_operation_of_dropping_between_base_points_loses_nothing() {
    let operations = stop_everywhere(Retention::BasePoints, 5, |store| store.compact().map(|_| ()));
    assert!(operations > 50, "{operations} operations");
}

#[test]
fn a_crash_at_any_operation_of_flushing_and_merging_loses_nothing() {
    let operations = stop_everywhere(Retention::Everything, 1, |store| {
        store.flush()?;
        store.tend()
    });
    assert!(operations > 20, "{operations} operations");
}
