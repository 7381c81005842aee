//! Whatever is wrong in a store's files is found.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_store::{CheckReport, Retention, Store};

use crate::{
    kit::{FOLDER, reopen},
    world::World,
};

fn check(disk: &SimulatedDisk) -> CheckReport {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::check_on(disk, FOLDER, &mut |_| ControlFlow::Continue(())).expect("it was checked")
}

/// A closed store with a bit of everything.
fn closed_store(seed: u64, retention: Retention) -> World {
    let mut world = World::new(seed, retention);
    for round in 0..3 {
        for _ in 0..6 {
            world.grow(12);
        }
        if round == 1 {
            world.restore_base();
        }
        world.store.tend().expect("tended");
    }
    world.store.compact().expect("compacted");
    world.grow(12);
    world.write(world.root.0, world.root.1 + 1, 5);
    world
}

#[test]
fn a_sound_store_has_no_findings_whatever_was_done_to_it() {
    for (seed, retention) in
        [(21, Retention::Everything), (22, Retention::Slots(3)), (23, Retention::BasePoints)]
    {
        let world = closed_store(seed, retention);
        let beside_a_writer = check(&world.disk);
        assert_eq!(beside_a_writer.findings, [], "seed {seed}");
        world.store.sync().expect("durable");
        let World { disk, store, root, .. } = world;
        drop(store);
        let disk = disk.power_loss(seed);
        let unclean = check(&disk);
        assert_eq!(unclean.damage, 0, "seed {seed}: {:?}", unclean.findings);
        let store = reopen(&disk, crate::world::small(retention));
        store.expect("opened").close().expect("closed");
        let report = check(&disk.power_loss(seed));
        assert_eq!(report.damage, 0, "seed {seed}: {:?}", report.findings);
        assert!(report.states.contains(&root.1) && report.states.len() > 1, "{report:?}");
        assert!(report.records > 50 && report.rows > 100 && report.runs > 2, "{report:?}");
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_found_or_is_in_what_nobody_reads() {
    let world = closed_store(24, Retention::Slots(6));
    let World { disk, store, options, random, finals, root, .. } = world;
    store.close().expect("closed");
    assert_eq!(check(&disk).findings, []);
    let mut random = random;
    let (mut found, mut unread) = (0, 0);
    for path in disk.file_names() {
        let bytes = disk.power_loss(0).read_file(&path).len() as u64;
        let is_index = path.starts_with(Path::new(FOLDER).join("runs"));
        for _ in 0..if is_index { 24 } else { 8 } {
            if bytes == 0 {
                continue;
            }
            let damaged = disk.power_loss(0);
            let (byte, bit) = (random.below(bytes), random.below(8) as u32);
            damaged.flip_bit(&path, byte, bit);
            if check(&damaged).damage > 0 {
                found += 1;
                continue;
            }
            assert!(!is_index, "{}: bit {bit} of byte {byte} is not found", path.display());
            // Nothing that is kept depends on it: all answers are what they were.
            unread += 1;
            let store = reopen(&damaged, options.clone())
                .unwrap_or_else(|error| panic!("{}: byte {byte}: {error}", path.display()));
            let world = World {
                disk: damaged,
                store,
                options: options.clone(),
                random: random.clone(),
                finals: finals.clone(),
                root,
                forks: Default::default(),
            };
            world.check();
        }
    }
    assert!(found > 4 * unread, "{found} were found, {unread} are in what nobody reads");
}

#[test]
fn runs_that_do_not_belong_to_their_records_are_found() {
    // The runs of another store of the same shape, and of the same store at another time.
    let world = closed_store(25, Retention::Everything);
    world.store.close().expect("closed");
    let disk = world.disk;
    let names = disk.file_names();
    let runs: Vec<_> =
        names.iter().filter(|name| name.extension().is_some_and(|end| end == "run")).collect();
    assert!(runs.len() > 2);
    let damaged = disk.power_loss(0);
    let bytes = damaged.read_file(runs[0]);
    let arc: Arc<dyn Disk> = Arc::new(damaged.clone());
    arc.remove(runs[1]).expect("removed");
    let file = arc.create(runs[1]).expect("made");
    file.write_at(0, &bytes).expect("written");
    assert!(check(&damaged).damage > 0);
    let damaged = disk.power_loss(0);
    let arc: Arc<dyn Disk> = Arc::new(damaged.clone());
    arc.remove(runs[2]).expect("removed");
    let report = check(&damaged);
    assert!(
        report.damage > 0
            && report
                .findings
                .iter()
                .any(|found| found.path == *runs[2] || found.what.contains("run")),
        "{report:?}"
    );
}

#[test]
fn figures_say_what_a_store_consists_of() {
    let mut world = World::new(26, Retention::Slots(2));
    for _ in 0..20 {
        world.grow(20);
    }
    let view = world.store.view(icecore_store::At::Root).expect("view");
    world.write(world.root.0, world.root.1 + 1, 5);
    let before = world.store.stats().expect("figures");
    assert_eq!(before.root, Some(world.root.1));
    assert_eq!(before.accounts, world.finals[&world.root.1].len() as u64);
    assert_eq!((before.slots.committed, before.leases.len()), (1, 1));
    assert!(before.tail_versions > 0 && before.garbage_bytes() < before.data_bytes() / 2);
    drop(view);
    let held = world.data_bytes();
    world.store.compact().expect("compacted");
    let after = world.store.stats().expect("figures");
    assert!(after.data_bytes() < before.data_bytes() && after.data_bytes() < held);
    assert!(after.runs >= 2 && after.run_rows > 0 && after.run_bytes > 8192);
    assert!(after.progress.is_some() && after.leases.is_empty());
}
