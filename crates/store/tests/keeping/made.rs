//! What was made of states is remembered, and slots that become final are told.

use std::collections::BTreeSet;

use icecore_store::{
    AccountsHashed, At, FileName, Retention, RootedSlot, SnapshotIntent, SnapshotMade, Store,
};
use icecore_types::{Hash, Slot};

use crate::world::World;

fn snapshot(slot: Slot, base: Option<Slot>) -> SnapshotMade {
    SnapshotMade {
        slot,
        base,
        snapshot_hash: Hash([slot as u8; 32]),
        bank_hash: Hash([1; 32]),
        capitalization: 7 * slot,
        num_accounts: 60,
        num_tombstones: base.unwrap_or(0),
        bytes: 1 << 33,
        name: FileName(format!("snapshot-{slot}.tar.zst")),
    }
}

fn accounts_hash(slot: Slot, is_of_window: bool) -> AccountsHashed {
    AccountsHashed {
        slot,
        is_of_window,
        lattice_checksum: Hash([2; 32]),
        stated_lattice_checksum: Hash([2; 32]),
        merkle: Hash([3; 32]),
        capitalization: slot,
        stated_capitalization: slot,
        num_accounts: 9,
    }
}

#[test]
fn what_was_made_is_remembered_through_a_loss_of_power_compaction_and_rebuilding() {
    for retention in [Retention::Everything, Retention::Slots(3)] {
        let mut world = World::new(21, retention);
        let (mut snapshots, mut hashes) = (Vec::new(), Vec::new());
        let mut intents = Vec::new();
        for round in 0..4 {
            for _ in 0..6 {
                world.grow(20);
            }
            let root = world.root.1;
            let view = world.store.view(At::Root).expect("a view");
            let made = snapshot(root, snapshots.first().map(|made: &SnapshotMade| made.slot));
            let intent = SnapshotIntent { inode: 1 << 40 | root, made: made.clone() };
            world.store.record_snapshot_intent(&view, &intent).expect("recorded");
            world.store.record_snapshot(&view, &made).expect("recorded");
            let hashed = accounts_hash(root, round % 2 == 0);
            world.store.record_accounts_hash(&view, &hashed).expect("recorded");
            drop(view);
            snapshots.insert(0, made);
            intents.insert(0, intent);
            hashes.insert(0, hashed);
            world = match round {
                0 => world,
                1 => world.reopen(),
                2 => world.rebuild(),
                _ => {
                    world.store.tend().expect("tended");
                    world.store.compact().expect("compacted");
                    world.reopen()
                }
            };
            assert_eq!(world.store.snapshots_made(9).expect("read"), snapshots);
            assert_eq!(world.store.accounts_hashes(9).expect("read"), hashes);
            let mut names: BTreeSet<_> = snapshots.iter().map(|made| made.name.0.clone()).collect();
            assert_eq!(world.store.snapshots_named(&names).expect("read"), names);
            assert_eq!(world.store.snapshot_intents(&names).expect("read"), intents);
            names.remove(&snapshots[0].name.0);
            assert_eq!(world.store.snapshots_named(&names).expect("read"), names);
            assert_eq!(world.store.snapshot_intents(&names).expect("read"), intents[1..]);
        }
        assert_eq!(world.store.snapshots_made(2).expect("read"), snapshots[..2]);
        world.check();
        assert!(hashes.iter().all(AccountsHashed::agrees));
        let other = AccountsHashed { capitalization: 0, ..accounts_hash(5, false) };
        assert!(!other.agrees());
    }
}

/// All that is told from a sequence on, so many slots at a time.
fn told(store: &Store, mut from: u64, limit: usize) -> Vec<RootedSlot> {
    let mut all = Vec::new();
    loop {
        let (slots, next) = store.rooted_since(from, limit).expect("followed");
        if next == from {
            assert!(slots.is_empty());
            return all;
        }
        from = next;
        all.extend(slots);
    }
}

#[test]
fn every_slot_that_becomes_final_is_told_once_and_in_order() {
    let mut world = World::new(22, Retention::Everything);
    for round in 0..30 {
        let (parent, root) = world.root;
        // Several slots become final at once; beside them a fork that does not.
        let mut tip = parent;
        for slot in 1..=round % 4 + 1 {
            let _fork = world.write(tip, root + 3 * slot + 1, 2);
            tip = world.write(tip, root + 3 * slot, 3);
            let (_, accounts) = world.forks[&tip].clone();
            if slot < round % 4 + 1 {
                world.finals.insert(root + 3 * slot, accounts);
            }
        }
        world.root(tip);
        if round == 17 {
            world.restore_base();
        }
    }
    let finals: Vec<Slot> = world.finals.keys().copied().collect();
    for limit in [1, 2, 1000] {
        let told = told(&world.store, 0, limit);
        let numbers: Vec<Slot> = told.iter().map(|slot| slot.number).collect();
        assert_eq!(numbers, finals);
        for slot in told {
            assert_eq!(slot.has_bank, slot.is_base, "only base points have one here");
            let view = world.store.view(At::Slot(slot.number)).expect("kept");
            assert_eq!((view.slot().event, view.slot().bank), (slot.event, slot.bank));
        }
    }
    let last = world.store.last_rooting().expect("there is a root");
    let rest = told(&world.store, last, 10);
    assert_eq!(rest.last().map(|slot| slot.number), finals.last().copied());
    let view = world.store.view(At::Root).expect("a view");
    world.store.record_snapshot(&view, &snapshot(1, None)).expect("recorded");
    assert_eq!(told(&world.store, last + 1, 10), []);
}

#[test]
#[should_panic(expected = "no name of a file")]
fn a_name_that_could_not_be_read_again_is_a_programmers_error() {
    let world = World::new(23, Retention::Everything);
    let view = world.store.view(At::Root).expect("a view");
    let long = SnapshotMade { name: FileName("x".repeat(256)), ..snapshot(100, None) };
    let _never = world.store.record_snapshot(&view, &long);
}
