//! Space comes back, and nothing else changes.

use std::collections::BTreeMap;

use icecore_hash::account_lattice_hash;
use icecore_journal::{By, Event, Query};
use icecore_store::{At, Error, Retention, Version, View};
use icecore_types::{LATTICE_BYTES, LatticeHash};

use crate::{
    kit::Accounts,
    world::{World, assert_view},
};

/// Kinds of events as the store's documentation names them.
const BASE: u16 = 2;
const COMMITTED: u16 = 4;
const MOVED: u16 = 8;

#[test]
fn space_comes_back_while_a_writer_and_views_go_on() {
    let mut world = World::new(1, Retention::Slots(4));
    for _ in 0..40 {
        world.grow(25);
    }
    let early = world.store.view(At::Slot(100)).expect("kept");
    let early_state = world.finals[&100].clone();
    for _ in 0..40 {
        world.grow(25);
    }
    let before = world.data_bytes();
    let held = world.store.compact().expect("compacted");
    assert_eq!(held.records_moved, 0, "the view at slot 100 needs everything: {held:?}");
    assert_view(&early, &early_state);
    world.check();
    drop(early);
    let late = world.store.view(At::Slot(world.root.1 - 2)).expect("kept");
    let late_state = world.finals[&late.slot().number].clone();
    // A slot that is being written reads the old segments.
    let mut open = world.store.begin_slot(world.root.1 + 1, world.root.0).expect("begun");
    let moved = world.store.compact().expect("compacted");
    assert!(moved.segments > 10 && moved.records_left_out > 500, "{moved:?}");
    let after = world.data_bytes();
    assert!(after * 3 < before, "{before} bytes became {after}: {moved:?}");
    assert_view(&late, &late_state);
    let root = &world.finals[&world.root.1];
    for (pubkey, account) in root.iter().take(10) {
        assert_eq!(open.get(pubkey).expect("read").as_ref(), Some(account));
        open.write(&account.borrowed(pubkey)).expect("written");
    }
    assert_eq!(open.totals().expect("read"), crate::kit::totals(root));
    drop(open);
    assert!(matches!(
        world.store.view(At::Slot(100)),
        Err(Error::NotCovered { slot: 100, first, .. }) if first > 160
    ));
    world.check();
    world.grow(10);
    let mut world = world.reopen();
    world.check();
    world.grow(10);
    world.store.compact().expect("compacted");
    world.check();
}

#[test]
fn a_lease_that_is_over_is_told_so_when_its_slot_goes() {
    let mut world = World::new(2, Retention::Slots(2));
    let view = world.store.view(At::Slot(100)).expect("kept");
    for _ in 0..30 {
        world.grow(20);
    }
    world.store.compact().expect("compacted");
    assert!(view.get(&crate::kit::key(1)).is_ok());
    world.disk.advance(3601 * 1_000_000_000);
    world.store.compact().expect("compacted");
    let error = view.get(&crate::kit::key(1)).expect_err("over");
    assert!(matches!(error, Error::Expired { slot: 100 }), "{error}");
    world.check();
}

#[test]
fn base_points_are_kept_and_what_lies_between_goes() {
    let mut world = World::new(3, Retention::BasePoints);
    let mut bases = vec![100];
    for _ in 0..3 {
        for _ in 0..12 {
            world.grow(20);
        }
        world.restore_base();
        bases.push(world.root.1);
    }
    for _ in 0..12 {
        world.grow(20);
    }
    let before = world.data_bytes();
    world.store.compact().expect("compacted");
    assert!(world.data_bytes() * 2 < before, "{} of {before}", world.data_bytes());
    for reopened in [false, true] {
        world.check();
        for (slot, accounts) in &world.finals {
            let kept = bases.contains(slot) || *slot > bases[3];
            assert_eq!(world.store.view(At::Slot(*slot)).is_ok(), kept, "slot {slot}");
            if kept {
                assert_view(&world.store.view(At::Slot(*slot)).expect("kept"), accounts);
            }
        }
        if !reopened {
            world = world.reopen();
        }
    }
}

/// Lattice hashes of the records in each data segment that events have adopted, as far as they are
/// there.
fn sums(world: &World) -> BTreeMap<u32, LatticeHash> {
    let history = world.store.history();
    let seed = world.store.begin_restore(1 << 40).expect("begun").run_store().seed;
    let mut sums: BTreeMap<u32, LatticeHash> = BTreeMap::new();
    for (kind, behind) in [(BASE, 3), (COMMITTED, 0), (MOVED, 0)] {
        for event in history.scan(Query::new(By::Kind(kind))).expect("scanned") {
            let extents = event.expect("read").extents();
            for extent in &extents[..extents.len() - behind] {
                let Ok(bytes) = history.read_extent(extent, 0..extent.bytes) else { continue };
                let mut at = 0;
                while at < bytes.len() {
                    let place = (extent.segment, extent.offset + at as u64);
                    let version = Version::decode(seed, place, &bytes[at..]).expect("a record");
                    let sum = sums.entry(extent.segment).or_default();
                    sum.mix_in(&account_lattice_hash(&version.account));
                    at += version.record_bytes();
                }
            }
        }
    }
    sums
}

/// Inputs, and the lattice hashes of what was moved and what was left out, of a move.
fn moved_of(event: &Event) -> (Vec<u32>, LatticeHash, LatticeHash) {
    let payload = event.payload();
    let count = u64::from_le_bytes(payload[..8].try_into().expect("8 bytes")) as usize;
    let inputs = payload[8..8 + 4 * count].as_chunks::<4>().0;
    let inputs = inputs.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    // Horizon, records, closed ones.
    let at = 8 + 4 * count + 24;
    let lattice = |at: usize| {
        let bytes: &[u8; LATTICE_BYTES] = payload[at..at + LATTICE_BYTES].try_into().expect("all");
        LatticeHash::from_bytes(bytes)
    };
    (inputs, lattice(at), lattice(at + LATTICE_BYTES))
}

/// Any order of writes, forks, roots, base points, views, reopenings and compactions.
fn any_order(seed: u64) -> u64 {
    let retention = match seed % 4 {
        0 => Retention::Everything,
        1 => Retention::BasePoints,
        2 => Retention::Slots(2),
        _ => Retention::Slots(9),
    };
    let mut world = World::new(seed, retention);
    let mut views: Vec<(View, Accounts)> = Vec::new();
    let mut moves = 0;
    for _ in 0..60 {
        match world.random.below(14) {
            0..4 => world.grow(30),
            4 => {
                // A fork of two that is given up when the root goes on.
                let parent = world.write(world.root.0, world.root.1 + 1, 10);
                let number = world.forks[&parent].0;
                world.write(parent, number + 1, 10);
            }
            5 => {
                let slots: Vec<_> = world.finals.keys().copied().collect();
                let slot = slots[world.random.below(slots.len() as u64) as usize];
                if let Ok(view) = world.store.view(At::Slot(slot)) {
                    views.push((view, world.finals[&slot].clone()));
                }
            }
            6 => drop(views.pop()),
            7 => world.store.tend().expect("tended"),
            8 => world.store.flush().expect("flushed"),
            9 if world.random.below(3) == 0 => world.restore_base(),
            10 if world.random.below(2) == 0 => {
                views.clear();
                world = world.reopen();
            }
            11 if world.random.below(4) == 0 => {
                views.clear();
                world = world.rebuild();
                world.check();
            }
            _ => {
                let before = sums(&world);
                let end = world.store.history().end();
                let done = world.store.compact().expect("compacted");
                moves += done.records_moved;
                let mut known = before;
                let query = Query::new(By::Kind(MOVED)).sequences(end..u64::MAX);
                for event in world.store.history().scan(query).expect("scanned") {
                    let event = event.expect("read");
                    let (inputs, moved, left_out) = moved_of(&event);
                    let mut sum = moved.clone();
                    sum.mix_in(&left_out);
                    for input in inputs {
                        sum.mix_out(&known.remove(&input).unwrap_or_default());
                    }
                    assert!(sum.is_identity(), "seed {seed}: records were lost or made up");
                    if let Some(extent) = event.extents().first() {
                        known.insert(extent.segment, moved);
                    }
                }
                world.check();
            }
        }
        for (view, accounts) in &views {
            assert_view(view, accounts);
        }
    }
    world.store.compact().expect("compacted");
    world.check();
    drop(views);
    world.rebuild().check();
    moves
}

#[test]
fn compaction_against_model() {
    let moves: u64 = (0..24).map(any_order).sum();
    assert!(moves > 500, "{moves} records were moved in all");
}
