//! Runs are made anew from data segments and chain alone.

use icecore_journal::{By, Query};
use icecore_store::{At, Retention};

use crate::{
    kit::{Accounts, account, closed, key, totals},
    world::{World, assert_view},
};

#[test]
fn runs_are_rebuilt_as_they_were() {
    for retention in [Retention::Everything, Retention::BasePoints, Retention::Slots(3)] {
        let mut world = World::new(11, retention);
        for round in 0..3 {
            for _ in 0..8 {
                world.grow(20);
            }
            if round == 1 {
                world.restore_base();
            }
            world.store.tend().expect("tended");
        }
        let alive = world.write(world.root.0, world.root.1 + 1, 15);
        let state = world.forks[&alive].1.clone();
        let world = world.rebuild();
        world.check();
        // What is not final is read from its extents.
        assert_view(&world.store.view(At::Fork(alive)).expect("kept"), &state);
        let mut world = world.rebuild();
        world.grow(10);
        world.store.compact().expect("compacted");
        world.check();
    }
}

/// Records of closed accounts that a move took along though no run leads to them: behind the list of
/// segments, the horizon and the number of records.
fn closed_of(payload: &[u8]) -> u64 {
    let field = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().expect("8 bytes"));
    field(8 + 4 * field(0) as usize + 16)
}

/// An account that was closed stays closed, although the record that closed it was in a segment that
/// was rewritten and an older version of it was not.
#[test]
fn what_was_closed_does_not_come_back_when_only_its_end_was_rewritten() {
    let mut world = World::new(12, Retention::Slots(1));
    let fill = |number: u64| (key(number), account(number + 1, number % 3, 9000));
    let write = |world: &mut World, writes: Accounts| {
        let (parent, slot) = world.root;
        let mut state = world.finals[&slot].clone();
        let pending = crate::kit::write_slot(&world.store, slot + 1, parent, &mut state, &writes);
        let id = pending.expect("committed").id();
        world.forks.insert(id, (slot + 1, state));
        world.root(id);
    };
    // Full of what stays, and one account.
    write(&mut world, (100..140).map(fill).chain([(key(1), account(5, 1, 50))]).collect());
    world.store.flush().expect("flushed");
    // Full of what is written again at once, and the end of the account.
    for _ in 0..6 {
        write(&mut world, (200..240).map(fill).chain([(key(1), closed())]).collect());
    }
    for _ in 0..6 {
        write(&mut world, (200..240).map(fill).collect());
    }
    let done = world.store.compact().expect("compacted");
    assert!(done.records_left_out > 100, "{done:?}");
    // The end of the account, which no run knows, was moved with the rest.
    let moves = world.store.history().scan(Query::new(By::Kind(8))).expect("scanned");
    let closed = moves.map(|event| closed_of(event.expect("read").payload())).sum::<u64>();
    assert!(closed > 0, "older versions are still there");
    let root = world.finals[&world.root.1].clone();
    assert!(!root.contains_key(&key(1)));
    let world = world.rebuild();
    assert_view(&world.store.view(At::Root).expect("kept"), &root);
    assert_eq!(world.store.view(At::Root).expect("kept").totals().expect("read"), totals(&root));
}
