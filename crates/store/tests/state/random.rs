//! Random histories of a store, held against a model: slot trees, roots, abandoned forks, base points,
//! views that are held over flushes and merges, restarts, crashes, and a disk that fails.

use crate::kit::world::{World, seeds, small};

const STEPS: usize = 250;

/// Each of these has happened often, if there were enough seeds for it.
fn have_told(worlds: &[World], least: u64, things: &[&str]) {
    for what in things {
        let told: u64 = worlds.iter().filter_map(|world| world.told.get(what)).sum();
        assert!(told > least || worlds.len() < 10, "{what}: {told}");
    }
}

fn run(seed: u64, mut world: World) -> World {
    for step in 0..STEPS {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.step()));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}, step {step}");
            std::panic::resume_unwind(panic);
        }
    }
    world.finish();
    world
}

#[test]
fn a_store_answers_as_the_model_does() {
    let worlds: Vec<_> =
        seeds(0..12).map(|seed| run(seed, World::new(seed, small(1000)))).collect();
    have_told(
        &worlds,
        10,
        &["commit", "root", "dead", "base point", "gap", "close", "kill", "power loss"],
    );
}

#[test]
fn a_store_that_soon_forgets_forks_answers_as_the_model_does() {
    for seed in seeds(100..108) {
        run(seed, World::new(seed, small(4)));
    }
}

#[test]
fn a_store_on_a_disk_that_fails_now_and_then_is_always_what_it_was_at_some_point() {
    let worlds: Vec<_> =
        seeds(200..216).map(|seed| run(seed, World::with_faults(seed, small(1000)))).collect();
    have_told(&worlds, 20, &["commit", "trouble", "taken back"]);
}
