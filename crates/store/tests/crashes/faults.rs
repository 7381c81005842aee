//! The disk refuses: no room, errors of writing, renaming and syncing, at every operation. Then it
//! works again, and so does the store.

use icecore_disk::FaultKind;

use crate::kit::world::{What, World, seeds, small};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const ACTS: [What; 18] = {
    use What::{Close, Compact, End, Flush, HoldViews, Kill, Restore, Root, Sync, Tend, Write};
    [
        Restore, Write, Write, Root, Flush, HoldViews, Write, Sync, Write, Root, Tend, Restore,
        Write, Kill, Write, Close, End, Compact,
    ]
};

fn act(world: &mut World) {
    for (place, what) in ACTS.into_iter().enumerate() {
        world.try_act(what);
        if place % 3 == 2 {
            world.try_act(What::Check);
        }
    }
}

fn at_every_operation(seed: u64, kinds: &[FaultKind]) {
    let mut world = World::new(seed, small(1000));
    let first = world.disk.operations();
    act(&mut world);
    let end = world.disk.operations();
    let mut struck = 0;
    for operation in first..end {
        for kind in kinds {
            let mut world = World::new(seed, small(1000));
            world.fail_at(operation, *kind);
            act(&mut world);
            world.try_act(What::CheckHeldViews);
            let has_struck = world.disk.faults().is_empty();
            struck += usize::from(has_struck);
            if has_struck {
                world.finish();
            }
        }
    }
    assert!(struck > 60, "{struck}");
}

#[test]
fn full_disk_everywhere() {
    let no_room =
        [FaultKind::WriteFails { errno: ENOSPC }, FaultKind::ChangeFails { errno: ENOSPC }];
    seeds(1..2).for_each(|seed| at_every_operation(seed, &no_room));
}

#[test]
fn an_error_of_the_disk_in_any_operation_is_survived() {
    let broken = [
        FaultKind::WriteFails { errno: EIO },
        FaultKind::RenameFails,
        FaultKind::SyncFails,
        FaultKind::SyncFolderFails,
        FaultKind::ReadFails,
    ];
    seeds(2..3).for_each(|seed| at_every_operation(seed, &broken));
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_nothing() {
    for seed in seeds(0..20) {
        let mut world = World::with_faults(seed, small(1000));
        for what in &ACTS[..8] {
            world.try_act(*what);
        }
        world.disk.set_space(world.random.below(40_000));
        for _ in 0..60 {
            world.step();
        }
        world.disk.set_space(u64::MAX / 2);
        for _ in 0..20 {
            world.step();
        }
        world.finish();
    }
}
