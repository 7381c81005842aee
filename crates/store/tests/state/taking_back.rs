//! When writing fails, the journal takes back what it had accepted: the store is then what the chain
//! says, and goes on.

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_store::{At, Error, Options, SlotId, SlotState, Store};

use crate::kit::{
    Accounts, account, key, quiet, reopen, restore, statement, store_on, totals, write_slot,
};

const ENOSPC: i32 = 28;

fn fail(disk: &SimulatedDisk, part: &str, kind: FaultKind) {
    disk.add_fault(Fault { point: FaultPoint::Path { part: part.into(), passed: 0 }, kind });
}

fn with_base(disk: &SimulatedDisk, options: Options) -> (Store, SlotId, Accounts) {
    let store = store_on(disk, options).expect("made");
    let state: Accounts = (0..5).map(|at| (key(at), account(at + 1, 0, 10))).collect();
    let base = restore(&store, 10, &state).expect("restored");
    (store, base, state)
}

fn lamports(store: &Store, at: At) -> u64 {
    let view = store.view(at).expect("view");
    view.get(&key(1)).expect("read").expect("it lives").account.lamports
}

fn writes(lamports: u64) -> Accounts {
    Accounts::from([(key(1), account(lamports, 0, 10))])
}

#[test]
fn what_was_taken_back_is_gone_and_its_identities_are_not_given_again() {
    let disk = SimulatedDisk::new(1);
    let (store, base, mut state) = with_base(&disk, quiet());
    let kept = write_slot(&store, 11, base, &mut state, &writes(100)).expect("committed");
    kept.wait().expect("durable");
    let lost =
        write_slot(&store, 12, kept.id(), &mut state.clone(), &writes(200)).expect("committed");
    let mut open = store.begin_slot(13, kept.id()).expect("begun");
    open.write(&account(300, 0, 10).borrowed(&key(1))).expect("written");
    fail(&disk, "chain-", FaultKind::WriteFails { errno: ENOSPC });
    store.root(lost.id()).expect_err("what it builds on cannot be written");
    let is_taken_back =
        |error: &Error| matches!(error, Error::Journal(icecore_journal::Error::TakenBack { .. }));
    assert!(is_taken_back(&lost.wait().expect_err("writing failed")));
    assert!(is_taken_back(&lost.is_durable().expect_err("writing failed")));
    // Views, slots and the root are what the chain says.
    assert_eq!(store.root_slot().expect("restored").id, base);
    assert_eq!((lamports(&store, At::Root), lamports(&store, At::Fork(kept.id()))), (2, 100));
    assert!(matches!(store.view(At::Fork(lost.id())), Err(Error::NoSuchSlot { .. })));
    assert!(matches!(store.begin_slot(13, lost.id()), Err(Error::NoSuchSlot { .. })));
    assert!(matches!(store.root(lost.id()), Err(Error::NoSuchSlot { .. })));
    let stated = statement(&store, &open, kept.id(), &totals(&state), 1);
    let open_id = open.id();
    let error = open.commit(&stated).expect_err("its beginning is gone");
    assert!(matches!(error, Error::SlotRefused { slot: 13, .. }), "{error}");
    // Whoever waits for everything hears of it, once.
    let error = store.sync().expect_err("something was lost");
    assert!(matches!(error, Error::Journal(icecore_journal::Error::OtherGeneration { .. })));
    store.sync().expect("durable");
    // The same again, under other identities.
    let again = write_slot(&store, 12, kept.id(), &mut state, &writes(200)).expect("committed");
    assert!(again.id() > open_id && open_id > lost.id());
    store.root(again.id()).expect("rooted").wait().expect("durable");
    assert_eq!(lamports(&store, At::Root), 200);
    let known: Vec<_> = store.slots().iter().map(|slot| slot.id).collect();
    store.close().expect("closed");
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(store.slots().iter().map(|slot| slot.id).collect::<Vec<_>>(), known);
    assert_eq!(lamports(&store, At::Root), 200);
}

#[test]
fn a_slot_whose_beginning_was_written_goes_on_after_others_were_taken_back() {
    let disk = SimulatedDisk::new(1);
    let (store, base, mut state) = with_base(&disk, quiet());
    let mut open = store.begin_slot(11, base).expect("begun");
    open.write(&account(100, 0, 10).borrowed(&key(1))).expect("written");
    store.sync().expect("durable");
    let lost = write_slot(&store, 12, base, &mut state.clone(), &writes(200)).expect("committed");
    fail(&disk, "chain-", FaultKind::WriteFails { errno: ENOSPC });
    lost.wait().expect_err("writing failed");
    state.extend(writes(100));
    let stated = statement(&store, &open, base, &totals(&state), 1);
    let pending = open.commit(&stated).expect("committed");
    store.root(pending.id()).expect("rooted").wait().expect("durable");
    assert_eq!(lamports(&store, At::Root), 100);
}

#[test]
fn a_slot_is_given_up_again_when_giving_it_up_was_taken_back() {
    let disk = SimulatedDisk::new(1);
    let (store, base, mut state) = with_base(&disk, quiet());
    let open = store.begin_slot(11, base).expect("begun");
    store.sync().expect("durable");
    open.abandon().expect("given up");
    fail(&disk, "chain-", FaultKind::WriteFails { errno: ENOSPC });
    store.sync().expect_err("writing failed");
    let pending = write_slot(&store, 11, base, &mut state, &writes(100)).expect("begun again");
    pending.wait().expect("durable");
    let states: Vec<_> = store.slots().iter().map(|slot| slot.state).collect();
    assert_eq!(states, [SlotState::Rooted, SlotState::Dead, SlotState::Committed]);
    let disk = disk.kill();
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(lamports(&store, At::Fork(pending.id())), 100);
}

#[test]
fn a_full_disk_can_still_be_rooted_on_with_the_room_that_is_kept_in_reserve() {
    let disk = SimulatedDisk::new(1);
    let mut options = quiet();
    options.journal.reserve_bytes = 1 << 20;
    let (store, base, mut state) = with_base(&disk, options.clone());
    let slot = write_slot(&store, 11, base, &mut state, &writes(100)).expect("committed");
    slot.wait().expect("durable");
    disk.set_space(0);
    let other = write_slot(&store, 12, slot.id(), &mut state.clone(), &writes(200));
    assert!(other.and_then(|pending| pending.wait()).is_err(), "there is no room for slots");
    store.root(slot.id()).expect("rooted").wait().expect("durable all the same");
    assert_eq!(lamports(&store, At::Root), 100);
    let disk = disk.power_loss(1);
    disk.set_space(u64::MAX / 2);
    let store = reopen(&disk, options).expect("opened");
    assert_eq!(lamports(&store, At::Root), 100);
}

#[test]
fn a_slot_that_was_open_when_a_set_was_written_and_then_committed_is_not_abandoned_by_an_open() {
    let disk = SimulatedDisk::new(1);
    let (store, base, state) = with_base(&disk, quiet());
    let first = write_slot(&store, 11, base, &mut state.clone(), &writes(50)).expect("committed");
    store.root(first.id()).expect("rooted").wait().expect("durable");
    let mut open = store.begin_slot(12, first.id()).expect("begun");
    open.write(&account(100, 0, 10).borrowed(&key(1))).expect("written");
    store.flush().expect("the set knows the slot as open");
    let mut ends = state;
    ends.extend(writes(100));
    let stated = statement(&store, &open, first.id(), &totals(&ends), 1);
    let pending = open.commit(&stated).expect("committed");
    pending.wait().expect("durable");
    let disk = disk.kill();
    let store = reopen(&disk, quiet()).expect("opened");
    assert_eq!(store.slot(pending.id()).expect("known").state, SlotState::Committed);
    store.root(pending.id()).expect("rooted").wait().expect("durable");
    assert_eq!(lamports(&store, At::Root), 100);
}

#[test]
fn a_base_point_counts_when_the_run_set_behind_it_cannot_be_written() {
    let disk = SimulatedDisk::new(1);
    let (store, _, mut state) = with_base(&disk, quiet());
    state.extend(writes(700));
    fail(&disk, "set.new", FaultKind::WriteFails { errno: ENOSPC });
    restore(&store, 20, &state).expect("restored");
    assert_eq!(lamports(&store, At::Root), 700);
    drop(store);
    let disk = disk.power_loss(1);
    let store = reopen(&disk, quiet()).expect("its runs are there");
    assert_eq!((lamports(&store, At::Root), lamports(&store, At::Slot(10))), (700, 2));
}

#[test]
fn an_account_that_is_refused_the_second_time_stays_as_it_was_written() {
    let disk = SimulatedDisk::new(1);
    let (store, base, _) = with_base(&disk, quiet());
    let mut open = store.begin_slot(11, base).expect("begun");
    open.write(&account(100, 0, 10).borrowed(&key(1))).expect("written");
    let error = open.write(&account(200, 0, 10).borrowed(&key(1))).expect_err("twice");
    assert!(matches!(error, Error::WrittenTwice { slot: 11, .. }), "{error}");
    let found = open.get(&key(1)).expect("read").expect("it lives");
    assert_eq!(found.lamports, 100);
}

#[test]
fn a_slot_of_which_a_write_failed_can_only_be_given_up() {
    let disk = SimulatedDisk::new(1);
    let (store, base, mut state) = with_base(&disk, quiet());
    let long = account(100, 0, 2 << 20);
    let mut open = store.begin_slot(11, base).expect("begun");
    fail(&disk, "data-", FaultKind::WriteFails { errno: ENOSPC });
    let error = open.write(&long.borrowed(&key(1))).expect_err("the disk is full");
    assert!(matches!(error, Error::Journal(_)), "{error}");
    // There is room again, but what was written is nowhere.
    let is_refused = |error: Error| matches!(error, Error::SlotRefused { slot: 11, .. });
    assert!(is_refused(open.write(&long.borrowed(&key(2))).expect_err("half written")));
    assert!(is_refused(open.get(&key(1)).expect_err("half written")));
    assert!(is_refused(open.totals().expect_err("half written")));
    let mut after = state.clone();
    after.insert(key(1), long.clone());
    let stated = statement(&store, &open, base, &totals(&after), 1);
    assert!(is_refused(open.commit(&stated).expect_err("half written")));
    let writes = Accounts::from([(key(1), long)]);
    let again = write_slot(&store, 11, base, &mut state, &writes).expect("committed");
    store.root(again.id()).expect("rooted").wait().expect("durable");
    assert_eq!(lamports(&store, At::Root), 100);
}
