//! Thousands of slots that are not final, with forks and the longest accounts, and hardly any memory.

use std::collections::BTreeMap;

use icecore_store::{At, SlotId, SlotState, Store};
use icecore_types::Slot;

use super::world::{OWNERS, World, arc, assert_view, check_of_the_store, tiny};
use crate::kit::{Accounts, FOLDER, account, closed, key, write_slot};

/// What a slot of the long story writes.
fn story_writes(slot: u64) -> Accounts {
    let long = if slot.is_multiple_of(1024) { 10 << 20 } else { 20 };
    let mut writes = Accounts::from([
        (key(0), account(slot + 5, slot % 2, long)),
        (key(1 + slot % 30), account(slot + 6, slot % OWNERS, 8)),
    ]);
    if slot.is_multiple_of(5) {
        writes.insert(key(1 + slot / 5 % 30), closed());
    }
    writes
}

#[test]
fn thousands_of_unrooted_slots_and_the_longest_accounts_stay_within_the_memory_budget() {
    const SLOTS: u64 = 4096;
    const BUDGET: u64 = 128 << 10;
    /// A fork of one slot leaves the long one at each so many.
    const FORK_SLOTS: u64 = 8;
    let options = || {
        let mut options = tiny(BUDGET, 1 << 20);
        options.journal.data_segment_bytes_max = 32 << 20;
        options
    };
    let mut world = World::new(1, options(), true);
    let budget = |store: &Store| {
        let stats = store.stats().expect("counted");
        assert!(stats.tail_bytes <= BUDGET, "{} bytes", stats.tail_bytes);
        stats.spilled_versions
    };
    // Whole states only of some slots.
    let mut states: BTreeMap<SlotId, Accounts> = BTreeMap::new();
    let mut state = world.slots[&world.root].accounts.clone();
    let mut parent = world.root;
    let mut far = parent;
    for slot in 1..=SLOTS {
        let before = (parent, state.clone());
        let pending = write_slot(&world.store, 100 + slot, parent, &mut state, &story_writes(slot));
        parent = pending.expect("committed").id();
        if slot.is_multiple_of(97) {
            states.insert(parent, state.clone());
        }
        if slot.is_multiple_of(FORK_SLOTS) {
            let (fork, mut forked) = before;
            let writes = story_writes(slot / 2);
            let pending = write_slot(&world.store, 100 + slot, fork, &mut forked, &writes);
            let id = pending.expect("committed").id();
            if slot.is_multiple_of(240) {
                states.insert(id, forked);
            }
        }
        if slot.is_multiple_of(512) {
            budget(&world.store);
        }
        if slot == SLOTS - 700 {
            far = parent;
            states.insert(far, state.clone());
        }
    }
    states.insert(parent, state);
    world.store.sync().expect("durable");
    let all = SLOTS + SLOTS / FORK_SLOTS;
    assert!(budget(&world.store) > 2 * all * 9 / 10, "nearly all is spilled");
    let check = |store: &Store| {
        for (id, accounts) in &states {
            assert_view(&store.view(At::Fork(*id)).expect("view"), accounts);
        }
        let hot = store.history_of(&key(0), 0..=Slot::MAX).expect("read");
        assert_eq!(hot.len() as u64, 1 + all, "each of all slots");
    };
    check(&world.store);
    for _ in 0..4 {
        world.open_again();
        assert_eq!(world.store.opened().unrooted_slots, all);
        budget(&world.store);
        check(&world.store);
    }
    let reader = Store::read_on(arc(&world.disk), FOLDER, options()).expect("opened");
    budget(&reader);
    check(&reader);
    // Most becomes final at once, the rest is given up.
    world.store.root(far).expect("rooted").wait().expect("durable");
    for slot in world.store.slots() {
        if slot.state == SlotState::Committed && slot.parent == Some(far) {
            world.store.abandon(slot.id).expect("given up");
        }
    }
    reader.refresh().expect("followed");
    check(&reader);
    world.store.tend().expect("tended");
    let left = budget(&world.store);
    assert!(left < all, "what is final has left the spilled runs: {left}");
    check(&world.store);
    reader.refresh().expect("followed");
    check(&reader);
    world.open_again();
    check(&world.store);
    check_of_the_store(&world.disk);
    world.rebuild();
    budget(&world.store);
    check(&world.store);
    world.options.keep_abandoned_slots = 0;
    world.open_again();
    world.store.compact().expect("compacted");
    assert_eq!(world.store.root_slot().map(|slot| slot.id), Some(far));
    assert_view(&world.store.view(At::Root).expect("view"), &states[&far]);
}
