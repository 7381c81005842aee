//! Cases that rules name: a number that is begun twice, base points on base points, keys that are
//! chosen to be alike.

use std::ops::{Bound, ControlFlow};

use icecore_disk::SimulatedDisk;
use icecore_store::{At, BaseFit, Error, SlotState, View};
use icecore_types::Pubkey;

use crate::kit::{
    Accounts, account, base_bank_hash, closed, key, quiet, reopen, restore, restore_written,
    store_on, totals, write_slot,
};

fn all(view: &View) -> Accounts {
    let mut found = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.insert(pubkey, account).is_none(), "each account comes once");
        ControlFlow::Continue(())
    })
    .expect("read");
    found
}

/// A dead slot, a duplicate block, a crash between them, and the last one becomes final.
#[test]
fn same_number_twice() {
    let disk = SimulatedDisk::new(1);
    let base_state: Accounts = (0..10).map(|at| (key(at), account(at + 1, at % 3, 20))).collect();
    let (disk, base) = {
        let store = store_on(&disk, quiet()).expect("made");
        let base = restore(&store, 10, &base_state).expect("restored");
        let mut dead = store.begin_slot(11, base).expect("begun");
        dead.write(&account(77, 0, 5).borrowed(&key(1))).expect("written");
        assert!(matches!(store.begin_slot(11, base), Err(Error::SlotRefused { .. })));
        dead.abandon().expect("given up");
        let mut dying = store.begin_slot(11, base).expect("begun again");
        dying.write(&account(78, 0, 5).borrowed(&key(2))).expect("written");
        store.sync().expect("durable");
        let killed = disk.kill();
        drop((dying, store));
        (killed, base)
    };
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(store.opened().dead_slots, 1);
    let mut first_state = base_state.clone();
    let writes = Accounts::from([(key(1), account(500, 1, 9)), (key(3), closed())]);
    let first = write_slot(&store, 11, base, &mut first_state, &writes).expect("committed");
    let child = write_slot(&store, 12, first.id(), &mut first_state.clone(), &writes);
    let child = child.expect("committed").id();
    let mut second_state = base_state.clone();
    let writes = Accounts::from([(key(1), account(600, 2, 9)), (key(4), closed())]);
    let second = write_slot(&store, 11, base, &mut second_state, &writes).expect("committed");
    second.wait().expect("durable");
    let numbered: Vec<_> = store.slots().into_iter().filter(|slot| slot.number == 11).collect();
    let states: Vec<_> = numbered.iter().map(|slot| slot.state).collect();
    assert_eq!(
        states,
        [SlotState::Dead, SlotState::Dead, SlotState::Committed, SlotState::Committed]
    );
    let error = store.find_fork(11, None).expect_err("two of them");
    assert!(matches!(error, Error::SeveralForks { ref bank_hashes, .. } if bank_hashes.len() == 2));
    let hash = store.slot(first.id()).expect("known").bank.bank_hash;
    assert_eq!(store.find_fork(11, Some(hash)).expect("named"), first.id());
    store.root(second.id()).expect("rooted").wait().expect("durable");
    for _ in 0..3 {
        assert_eq!(all(&store.view(At::Slot(11)).expect("view")), second_state);
        assert_eq!(all(&store.view(At::Fork(first.id())).expect("view")), first_state);
        for lost in [first.id(), child] {
            assert_eq!(store.slot(lost).expect("known").state, SlotState::Abandoned);
        }
        let history = store.history_of(&key(1), 0..=u64::MAX).expect("read");
        let of_final: Vec<_> = history
            .iter()
            .filter(|version| version.is_rooted)
            .map(|version| version.account.lamports)
            .collect();
        assert_eq!(of_final, [2, 600]);
        assert_eq!(history.len(), 4, "{history:?}");
        store.flush().expect("flushed");
        store.tend().expect("merged");
    }
    store.close().expect("closed");
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(all(&store.view(At::Root).expect("view")), second_state);
    assert_eq!(all(&store.view(At::Fork(first.id())).expect("view")), first_state);
}

/// An archive, and later a full one: it has no tombstones, its storages are packed to slot 1, one is
/// above its slot. What was closed stays closed, the first state is still what it was, and between
/// them is a gap.
#[test]
fn base_on_base() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let first: Accounts = (0..20).map(|at| (key(at), account(at + 1, at % 3, 20))).collect();
    restore(&store, 100, &first).expect("restored");
    let tip = store.root_slot().expect("restored").id;
    let mut followed = first.clone();
    let writes = Accounts::from([(key(0), closed()), (key(30), account(9, 1, 3))]);
    let next = write_slot(&store, 101, tip, &mut followed, &writes).expect("committed");
    store.root(next.id()).expect("rooted").wait().expect("durable");
    let old = store.view(At::Slot(100)).expect("view");
    let mut second = followed.clone();
    second.remove(&key(5));
    second.remove(&key(30));
    second.insert(key(6), account(1000, 2, 50));
    second.insert(key(40), account(4, 0, 0));
    let written = |pubkey: &Pubkey| if *pubkey == key(7) { 125 } else { 1 };
    let base = restore_written(&store, 120, &second, written).expect("restored");
    for opened in 0..3 {
        assert_eq!(all(&store.view(At::Root).expect("view")), second, "{opened}");
        assert_eq!(all(&store.view(At::Slot(120)).expect("view")), second);
        assert_eq!(all(&store.view(At::Slot(101)).expect("view")), followed);
        assert_eq!(all(&store.view(At::Slot(100)).expect("view")), first);
        assert_eq!(all(&old), first);
        let root = store.view(At::Root).expect("view");
        for gone in [0, 5, 30] {
            assert_eq!(root.get(&key(gone)).expect("read"), None, "closed stays closed");
        }
        let found = root.get(&key(7)).expect("read").expect("it lives");
        assert_eq!((found.slot, found.written), (120, 125), "it counts from the base point on");
        assert_eq!(root.totals().expect("read"), totals(&second));
        for (slot, first, last) in [(102, 102, 119), (119, 102, 119)] {
            let error = store.view(At::Slot(slot)).expect_err("nothing is known of it");
            let Error::InGap { slot: at, first: from, last: to } = error else { panic!("{error}") };
            assert_eq!((at, from, to), (slot, first, last));
        }
        for slot in [99, 121] {
            let error = store.view(At::Slot(slot)).expect_err("outside");
            assert!(matches!(error, Error::NotCovered { first: 100, last: 120, .. }), "{error}");
        }
        let history = store.history_of(&key(6), 0..=u64::MAX).expect("read");
        let versions: Vec<_> =
            history.iter().map(|version| (version.slot, version.is_base)).collect();
        assert_eq!(versions, [(100, true), (120, true)]);
        let fit = store.check_base(120, &base_bank_hash(120)).expect("it is held");
        assert_eq!(fit, BaseFit::Held);
        for (slot, hash) in
            [(120, base_bank_hash(1)), (110, base_bank_hash(110)), (99, base_bank_hash(99))]
        {
            let error = store.check_base(slot, &hash).expect_err("it does not fit");
            assert!(matches!(error, Error::BaseRefused { .. }), "{error}");
        }
        assert!(matches!(restore(&store, 110, &second), Err(Error::BaseRefused { .. })));
        store.flush().expect("flushed");
        store.tend().expect("merged");
    }
    // The chain of before cannot be gone on with, but its last slot can be read.
    let other =
        write_slot(&store, 103, next.id(), &mut followed.clone(), &writes).expect("committed");
    assert_eq!(store.slot(other.id()).expect("known").state, SlotState::Abandoned);
    let mut third = second.clone();
    let writes = Accounts::from([(key(6), closed())]);
    let on = write_slot(&store, 121, base, &mut third, &writes).expect("committed");
    store.root(on.id()).expect("rooted").wait().expect("durable");
    assert_eq!(all(&store.view(At::Root).expect("view")), third);
    drop(store);
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(all(&store.view(At::Root).expect("view")), third);
    assert_eq!(all(&store.view(At::Slot(100)).expect("view")), first);
}

/// Keys that differ in their last two bytes only, of owners that do as well: in a base point, in slots
/// and in merged runs.
#[test]
fn hostile_keys_with_thirty_bytes_in_common_are_all_found() {
    const KEYS: u16 = 20_000;
    let hostile = |number: u16| {
        let mut bytes = [0xab; 32];
        bytes[30..].copy_from_slice(&[(number >> 8) as u8, number as u8]);
        Pubkey(bytes)
    };
    let content = |number: u16, round: u64| {
        let mut account = account(1 + u64::from(number) + round, 0, usize::from(number % 9));
        account.owner = hostile(number % 3);
        account
    };
    let disk = SimulatedDisk::new(1);
    let mut options = quiet();
    options.journal.data_segment_bytes_max = 64 << 20;
    let store = store_on(&disk, options).expect("made");
    let mut state: Accounts = (0..KEYS).map(|at| (hostile(at * 3), content(at, 0))).collect();
    let mut tip = restore(&store, 100, &state).expect("restored");
    let check = |state: &Accounts| {
        let view = store.view(At::Root).expect("view");
        let keys: Vec<Pubkey> = (0..=u16::MAX).map(hostile).collect();
        let found = view.get_many(&keys).expect("read");
        for (pubkey, found) in keys.iter().zip(found) {
            assert_eq!(found.map(|found| found.account).as_ref(), state.get(pubkey), "{pubkey}");
        }
        for pubkey in keys.iter().step_by(701) {
            let found = view.get(pubkey).expect("read").map(|found| found.account);
            assert_eq!(found.as_ref(), state.get(pubkey), "{pubkey}");
        }
        assert_eq!(&all(&view), state);
        for owner in (0..3).map(hostile) {
            let mut found = 0;
            view.scan_owner(&owner, &Default::default(), |visited| {
                assert_eq!(state.get(visited.account.pubkey), Some(&visited.account.to_owned().1));
                found += 1;
                ControlFlow::Continue(())
            })
            .expect("read");
            assert_eq!(found, state.values().filter(|account| account.owner == owner).count());
        }
    };
    check(&state);
    for round in 1..4u16 {
        let written = |at: &u16| at % 5 == round;
        let writes: Accounts = (0..=u16::MAX)
            .filter(written)
            .map(|at| match at % 7 {
                0 => (hostile(at), closed()),
                _ => (hostile(at), content(at, u64::from(round))),
            })
            .collect();
        let number = 100 + u64::from(round);
        let slot = write_slot(&store, number, tip, &mut state, &writes).expect("committed");
        tip = slot.id();
        store.root(tip).expect("rooted").wait().expect("durable");
        check(&state);
        store.flush().expect("flushed");
        check(&state);
    }
    store.tend().expect("merged");
    check(&state);
}

/// Nothing is known of some slots; then an archive of one of them comes.
#[test]
fn a_base_point_within_a_gap_is_known_and_what_lies_before_it_is_not() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let first: Accounts = (0..5).map(|at| (key(at), account(at + 1, 0, 20))).collect();
    restore(&store, 100, &first).expect("restored");
    store.record_gap(101, 130).expect("recorded");
    let mut second = first.clone();
    second.insert(key(1), account(77, 0, 20));
    let base = restore(&store, 120, &second).expect("restored");
    let mut third = second.clone();
    let writes = Accounts::from([(key(2), closed())]);
    let next = write_slot(&store, 125, base, &mut third, &writes).expect("committed");
    store.root(next.id()).expect("rooted").wait().expect("durable");
    for _ in 0..2 {
        for (slot, state) in [(100, &first), (120, &second), (124, &second), (125, &third)] {
            assert_eq!(&all(&store.view(At::Slot(slot)).expect("view")), state, "{slot}");
        }
        for slot in [101, 119] {
            let error = store.view(At::Slot(slot)).expect_err("nothing is known of it");
            assert!(matches!(error, Error::InGap { .. }), "{error}");
        }
        store.flush().expect("flushed");
    }
}

/// What is still held of a store that was dropped keeps nobody from opening it.
#[test]
fn a_store_that_was_dropped_can_be_opened_while_its_slots_roots_and_views_are_held() {
    let disk = SimulatedDisk::new(1);
    let store = store_on(&disk, quiet()).expect("made");
    let mut state: Accounts = (0..5).map(|at| (key(at), account(at + 1, 0, 20))).collect();
    let base_state = state.clone();
    let base = restore(&store, 10, &state).expect("restored");
    let writes = Accounts::from([(key(1), account(50, 0, 20))]);
    let slot = write_slot(&store, 11, base, &mut state, &writes).expect("committed");
    let root = store.root(slot.id()).expect("rooted");
    root.wait().expect("durable");
    let view = store.view(At::Slot(10)).expect("view");
    let mut open = store.begin_slot(12, slot.id()).expect("begun");
    open.write(&account(60, 0, 20).borrowed(&key(1))).expect("written");
    drop(store);
    let store = reopen(&disk, quiet()).expect("nobody holds it");
    assert_eq!(all(&view), base_state);
    assert!(matches!(open.abandon(), Err(Error::ReadOnly)), "its store is gone");
    root.wait().expect("it is durable");
    let next = write_slot(&store, 12, slot.id(), &mut state, &writes).expect("committed");
    store.root(next.id()).expect("rooted").wait().expect("durable");
    assert_eq!(all(&store.view(At::Root).expect("view")), state);
    assert_eq!(all(&view), base_state);
}
