//! The first things that a store must do right, one at a time.

use std::ops::{Bound, ControlFlow};

use icecore_disk::SimulatedDisk;
use icecore_store::{At, Error, KeyPart, OwnerFilter, SlotState, Store, View};

use crate::kit::{
    self, Accounts, account, closed, key, quiet, reopen, restore, store_on, write_slot,
};

fn all(view: &View) -> Accounts {
    let mut found = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.insert(pubkey, account).is_none(), "each account once");
        ControlFlow::Continue(())
    })
    .expect("scanned");
    found
}

fn assert_view(view: &View, expected: &Accounts) {
    assert_eq!(&all(view), expected);
    let keys: Vec<_> = (0..60).map(key).collect();
    let many = view.get_many(&keys).expect("read");
    for (pubkey, found) in keys.iter().zip(many) {
        let expected = expected.get(pubkey);
        assert_eq!(found.map(|found| found.account).as_ref(), expected);
        let one = view.get(pubkey).expect("read").map(|found| found.account);
        assert_eq!(one.as_ref(), expected);
    }
    for owner in 0..5 {
        let owner = account(1, owner, 0).owner;
        let mut found = Accounts::new();
        view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
            let (pubkey, account) = visited.account.to_owned();
            assert!(found.insert(pubkey, account).is_none(), "each account once");
            ControlFlow::Continue(())
        })
        .expect("scanned");
        let expected: Accounts = expected
            .iter()
            .filter(|(_, account)| account.owner == owner)
            .map(|(pubkey, account)| (*pubkey, account.clone()))
            .collect();
        assert_eq!(found, expected);
    }
    let totals = view.totals().expect("read");
    assert_eq!(totals, kit::totals(expected));
}

/// A base of 40 accounts at slot 100, and slots 101, 102 on it, and 103 on 101.
fn forked(store: &Store) -> [(icecore_store::SlotId, Accounts); 4] {
    let mut state: Accounts =
        (0..40).map(|number| (key(number), account(number + 1, number % 4, 30))).collect();
    let base = restore(store, 100, &state).expect("restored");
    let base_state = state.clone();
    let writes = Accounts::from([
        (key(1), account(500, 1, 10)),
        (key(2), closed()),
        (key(3), account(7, 4, 100)),
        (key(50), account(9, 2, 0)),
    ]);
    let first = write_slot(store, 101, base, &mut state, &writes).expect("committed").id();
    let first_state = state.clone();
    let writes = Accounts::from([(key(2), account(3, 0, 5)), (key(3), account(7, 3, 100))]);
    let second = write_slot(store, 102, first, &mut state, &writes).expect("committed").id();
    let second_state = state;
    let mut state = first_state.clone();
    let writes = Accounts::from([(key(1), closed()), (key(51), closed())]);
    let other = write_slot(store, 103, first, &mut state, &writes).expect("committed").id();
    [(base, base_state), (first, first_state), (second, second_state), (other, state)]
}

#[test]
fn forks_roots_and_the_past_are_read_as_they_were() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let [(_, base), (first, one), (second, two), (other, three)] = forked(&store);
    store.sync().expect("durable");
    assert_view(&store.view(At::Root).expect("view"), &base);
    for (id, state) in [(first, &one), (second, &two), (other, &three)] {
        assert_view(&store.view(At::Fork(id)).expect("view"), state);
    }
    let before = store.view(At::Root).expect("view");
    store.root(second).expect("rooted").wait().expect("durable");
    assert_eq!(store.slot(other).expect("known").state, SlotState::Abandoned);
    for _ in 0..2 {
        assert_view(&before, &base);
        assert_view(&store.view(At::Root).expect("view"), &two);
        assert_view(&store.view(At::Slot(101)).expect("view"), &one);
        assert_view(&store.view(At::Slot(100)).expect("view"), &base);
        assert_view(&store.view(At::Fork(other)).expect("view"), &three);
        let error = store.view(At::Slot(103)).expect_err("beyond the root");
        assert!(matches!(error, Error::NotCovered { first: 100, last: 102, .. }), "{error}");
        assert!(store.view(At::Slot(99)).is_err());
        let history = store.history_of(&key(3), 0..=u64::MAX).expect("read");
        let slots: Vec<_> = history.iter().map(|version| version.slot).collect();
        assert_eq!(slots, [100, 101, 102]);
        let mut changes = Vec::new();
        let (from, to) = (store.view(At::Slot(100)), store.view(At::Slot(102)));
        from.expect("view")
            .diff(&to.expect("view"), |change| {
                changes.push((change.pubkey, change.before.is_some(), change.after.is_some()));
                ControlFlow::Continue(())
            })
            .expect("compared");
        let mut expected = [
            (key(1), true, true),
            (key(2), true, true),
            (key(3), true, true),
            (key(50), false, true),
        ];
        expected.sort_unstable();
        assert_eq!(changes, expected);
        store.flush().expect("flushed");
    }
    drop(before);
    store.close().expect("closed");
    for _ in 0..2 {
        let store = reopen(&disk, quiet()).expect("opened");
        assert_view(&store.view(At::Root).expect("view"), &two);
        assert_view(&store.view(At::Slot(101)).expect("view"), &one);
        assert_view(&store.view(At::Slot(100)).expect("view"), &base);
        assert_view(&store.view(At::Fork(other)).expect("view"), &three);
    }
}

#[test]
fn an_account_that_is_closed_with_data_keeps_none_of_it_and_its_place_can_be_read() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let mut state = Accounts::from([(key(1), account(5, 1, 3)), (key(2), account(6, 1, 3))]);
    let base = restore(&store, 10, &state).expect("restored");
    let writes = Accounts::from([(key(1), account(0, 3, 500))]);
    let next = write_slot(&store, 11, base, &mut state, &writes).expect("committed").id();
    store.root(next).expect("rooted").wait().expect("durable");
    let view = store.view(At::Root).expect("view");
    assert_view(&view, &state);
    let mut places = Vec::new();
    view.for_each_written_after(10, KeyPart::ALL, |place| {
        places.push(place);
        ControlFlow::Continue(())
    })
    .expect("known");
    let mut heads = Vec::new();
    view.record_heads(&places, |_, head| {
        heads.push((head.written, head.lamports, head.data_bytes))
    })
    .expect("read");
    assert_eq!(heads, [(11, 0, 0)]);
}

#[test]
fn what_was_committed_survives_the_end_of_the_process_rooted_or_not() {
    let disk = SimulatedDisk::new(1);
    let (disk, states) = {
        let store = store_on(&disk, quiet()).expect("made");
        let states = forked(&store);
        store.root(states[1].0).expect("rooted").wait().expect("durable");
        let open = store.begin_slot(104, states[2].0).expect("begun");
        store.sync().expect("durable");
        let killed = disk.kill();
        drop((open, store));
        (killed, states)
    };
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!((store.opened().unrooted_slots, store.opened().dead_slots), (2, 1));
    for (id, state) in &states {
        assert_view(&store.view(At::Fork(*id)).expect("view"), state);
    }
    assert_view(&store.view(At::Root).expect("view"), &states[1].1);
    store.root(states[3].0).expect("rooted").wait().expect("durable");
    assert_view(&store.view(At::Root).expect("view"), &states[3].1);
}

#[test]
fn a_slot_that_is_not_what_it_states_is_refused_with_all_reasons() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let mut state = Accounts::from([(key(1), account(5, 1, 3))]);
    let base = restore(&store, 10, &state).expect("restored");
    let mut open = store.begin_slot(11, base).expect("begun");
    open.write(&account(6, 1, 3).borrowed(&key(1))).expect("written");
    let mut stated = kit::statement(&store, &open, base, &kit::totals(&state), 2);
    stated.bank.parent_slot = 9;
    let id = open.id();
    let error = open.commit(&stated).expect_err("nothing of it is true");
    let denials: Vec<_> = error
        .denial()
        .expect("the gates refused it")
        .denied()
        .iter()
        .map(|denial| denial.code().to_string())
        .collect();
    assert_eq!(
        denials,
        [
            "other-slot",
            "other-count",
            "other-lattice-hash",
            "other-capitalization",
            "other-bank-hash"
        ]
    );
    assert_eq!(store.slot(id).expect("known").state, SlotState::Dead);
    let writes = Accounts::from([(key(1), account(6, 1, 3))]);
    let _ = write_slot(&store, 11, base, &mut state, &writes).expect("committed");
}

#[test]
fn a_store_that_is_flushed_often_and_never_tended_has_few_runs_all_the_same() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let mut state: Accounts =
        (0..40).map(|number| (key(number), account(number + 1, 1, 30))).collect();
    let mut parent = restore(&store, 100, &state).expect("restored");
    for slot in 101..141 {
        // Ever fewer, so that no two runs are of one length.
        let writes = (0..141 - slot).map(|number| (key(number), account(slot + number, 2, 9)));
        let writes: Accounts = writes.collect();
        parent = write_slot(&store, slot, parent, &mut state, &writes).expect("committed").id();
        store.root(parent).expect("rooted").wait().expect("durable");
        store.flush().expect("flushed");
        let windows = store.coverage().windows;
        assert!(windows.iter().all(|window| window.deltas <= 9), "{windows:?}");
    }
    assert_view(&store.view(At::Root).expect("view"), &state);
}
