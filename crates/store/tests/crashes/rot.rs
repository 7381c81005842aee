//! A flipped bit in any file of a store: what it answers is right, or an error. Never wrong, and it
//! never panics.

use crate::kit::world::{What, World, seeds, small};

/// Every so many bytes of a file one bit is flipped: a prime, so that all places of a row are met.
const STEP: u64 = 61;

const ACTS: [What; 17] = {
    use What::{Close, Flush, Restore, Root, Sync, Tend, Write};
    [
        Restore, Write, Write, Root, Flush, Write, Root, Tend, Write, Root, Flush, Write, Write,
        Sync, Write, Sync, Close,
    ]
};

#[test]
fn a_flipped_bit_in_any_file_is_an_error_or_changes_nothing() {
    seeds(5..6).for_each(flip_everywhere);
}

fn flip_everywhere(seed: u64) {
    let mut world = World::new(seed, small(1000));
    ACTS.into_iter().for_each(|what| world.try_act(what));
    let (mut flipped, mut found) = (0, 0);
    for path in world.disk.file_names() {
        let bytes = world.disk.read_file(&path).len() as u64;
        let mut at = world.random.below(STEP);
        while at < bytes {
            let damaged = world.disk.kill();
            damaged.flip_bit(&path, at, world.random.below(8) as u32);
            flipped += 1;
            let result = world.look_at(&damaged);
            found += u64::from(result.is_err());
            at += STEP;
        }
    }
    assert!(flipped > 1000 && found > flipped / 4, "{found} of {flipped}");
}
