//! Crashes at every operation: what was acknowledged is there, nothing is half there, and the store
//! goes on.

use icecore_disk::SimulatedDisk;

use crate::kit::world::{What, World, seeds, small};

/// What is done before the crash may come.
const BEFORE: &[What] = {
    use What::{End, Flush, Restore, Root, Sync, Write};
    &[Restore, Write, Write, Write, Root, Sync, Write, Flush, End]
};

/// How the machine goes on after it was stopped.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Killed,
    LostPower(u64),
    /// Killed, opened, and then the power is lost.
    Both(u64),
}

fn after(outcome: Outcome, disk: &SimulatedDisk) -> SimulatedDisk {
    match outcome {
        Outcome::Killed | Outcome::Both(_) => disk.kill(),
        Outcome::LostPower(seed) => disk.power_loss(seed),
    }
}

/// What happens until the machine stops.
struct Acts<'a> {
    seed: u64,
    before: &'a [What],
    acts: &'a [What],
}

impl Acts<'_> {
    fn prepared(&self) -> World {
        let mut world = World::new(self.seed, small(1000));
        self.before.iter().for_each(|what| world.try_act(*what));
        world
    }
}

/// Crashes at every operation of what is done, in each way; the first time once more in each of the
/// `again` first operations of the recovery.
fn crash_everywhere(story: &Acts<'_>, outcomes: &[Outcome], again: u64) {
    let acts = story.acts;
    let mut world = story.prepared();
    let first = world.disk.operations();
    acts.iter().for_each(|what| world.try_act(*what));
    let end = world.disk.operations();
    assert!(end > first + 5, "{acts:?} write to the disk");
    for operation in first..end {
        for outcome in outcomes {
            let mut world = story.prepared();
            world.disk.crash_at(operation);
            for what in acts {
                world.try_act(*what);
                if world.disk.is_simulated_crash() {
                    break;
                }
            }
            assert!(world.disk.is_simulated_crash(), "operation {operation} comes again");
            let mut disk = after(*outcome, &world.disk);
            for crash in 0..again {
                disk.crash_at(disk.operations() + crash);
                world.try_open(&disk);
                if !disk.is_simulated_crash() {
                    break;
                }
                disk = after(*outcome, &disk);
            }
            world.go_on(disk);
            if let Outcome::Both(seed) = outcome {
                world.check().expect("nothing fails any more");
                world.go_on(world.disk.power_loss(*seed));
            }
            for what in [What::Check, What::Write, What::Root, What::Restore, What::Tend] {
                world.try_act(what);
            }
            world.finish();
        }
    }
}

#[test]
fn adopt_crash_matrix() {
    let outcomes = [Outcome::Killed, Outcome::LostPower(1), Outcome::LostPower(2)];
    for seed in seeds(0..1) {
        for before in [BEFORE, &[]] {
            crash_everywhere(&Acts { seed, before, acts: &[What::Restore] }, &outcomes, 0);
        }
    }
}

#[test]
fn a_crash_in_any_operation_of_commits_roots_flushes_and_merges_loses_nothing_acknowledged() {
    use What::{Close, Compact, Flush, Root, Sync, Tend, Write};
    let outcomes = [Outcome::Killed, Outcome::LostPower(3), Outcome::LostPower(4)];
    let acts = [
        Write, Sync, Root, Flush, Write, Write, Root, Tend, Write, Root, Compact, Close, Write,
        Sync,
    ];
    for seed in seeds(10..11) {
        crash_everywhere(&Acts { seed, before: BEFORE, acts: &acts }, &outcomes, 0);
    }
}

#[test]
fn five_crashes_within_recovery_change_nothing() {
    let outcomes = [Outcome::Killed, Outcome::LostPower(5)];
    let acts = [What::Write, What::Root, What::Sync, What::Restore];
    for seed in seeds(20..21) {
        crash_everywhere(&Acts { seed, before: BEFORE, acts: &acts }, &outcomes, 5);
    }
}

#[test]
fn kill_then_power_loss() {
    use What::{Flush, Restore, Root, Sync, Write};
    let outcomes = [Outcome::Both(6), Outcome::Both(7)];
    let acts = [Write, Root, Write, Sync, Flush, Write, Root, Restore, Write];
    for seed in seeds(30..31) {
        crash_everywhere(&Acts { seed, before: BEFORE, acts: &acts }, &outcomes, 0);
    }
}
