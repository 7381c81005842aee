//! What must not stop the service, nor make it do something else: a past that goes too soon, a folder that
//! is away for a while, readers that stay, requests that wait, starts at any time.

use std::{fs, thread, time::Duration};

use icecore_batch::service::{AHEAD_SLOTS_MAX, Answer, Kind, Outcome, Told, Wanted};
use icecore_types::Slot;

use super::{
    grown::{EPOCH_SLOTS, Fake, Fault, Grown},
    kit::{AtWork, archives_in, at_work, options, placeholder_bytes, slots_in},
};
use crate::support::folder;

/// Waits until the store has dropped the past before a slot, while it grows.
fn grow_until_dropped(grown: &Grown, slot: Slot) {
    for _ in 0..2000 {
        if grown.store.coverage().first.is_some_and(|first| first > slot) {
            return;
        }
        grown.grow(grown.root() + 1);
        thread::sleep(Duration::from_millis(2));
    }
    panic!("nothing was dropped: {:?}", grown.store.coverage());
}

/// Grows up to a slot, without a number that is passed over: an epoch's first one is no possible root.
fn grow_to(grown: &Grown, slot: Slot) {
    (grown.root() + 1..=slot).for_each(|slot| grown.grow(slot));
}

fn snapshot(kind: Kind, slot: Slot) -> Wanted {
    Wanted::Snapshot { kind, slot: Some(slot) }
}

fn failures(at_work: &AtWork<'_, '_>) -> usize {
    at_work.told().iter().filter(|told| matches!(told, Told::Failed { .. })).count()
}

#[test]
fn who_reads_full_archives_does_not_keep_incremental_ones_from_being_made() {
    let grown = Grown::new(100);
    let to = folder();
    at_work(&grown.store, &options(to.path(), [20, 5], [1, 2]), &Fake::new(), |at_work| {
        let mut readers = Vec::new();
        for slot in [120, 140] {
            grow_to(&grown, slot);
            at_work.settle();
            let name = archives_in(to.path()).0.pop().expect("made").to_string();
            readers.push(fs::File::open(to.path().join(name)).expect("there"));
        }
        for slot in [160, 165, 170] {
            grow_to(&grown, slot);
            at_work.settle();
        }
        assert_eq!(slots_in(to.path()), (vec![120, 140], vec![165, 170]));
        let waiting =
            at_work.told().iter().filter(|told| matches!(told, Told::NoFile { .. })).count();
        assert_eq!(waiting, 1, "it is told once: {:?}", at_work.told());
        drop(readers);
        at_work.wait("the full one is made", |_| slots_in(to.path()).0 == [160]);
    });
}

#[test]
fn a_window_whose_slot_is_not_kept_any_more_is_told_and_following_goes_on() {
    let grown = Grown::keeping(100, 3);
    let to = folder();
    let mut hashing = options(to.path(), [0, 0], [1, 1]);
    hashing.epoch_accounts_hash = true;
    let window = 2 * EPOCH_SLOTS + EPOCH_SLOTS / 4;
    let make = Fake::new();
    at_work(&grown.store, &hashing, &make, |at_work| {
        make.set(Fault::Endless);
        let Answer::Accepted(waiting) = at_work.ask(snapshot(Kind::Full, 100)) else {
            panic!("taken");
        };
        at_work.wait("it has written", |_| placeholder_bytes(to.path()) > 0);
        // It fails, and while that is told nobody follows.
        let held_up = at_work.hold_up();
        make.set(Fault::None);
        while at_work.status().running.is_some() {
            thread::sleep(Duration::from_millis(2));
        }
        grow_until_dropped(&grown, window);
        drop(held_up);
        assert!(matches!(waiting.wait(), Outcome::Failed(_)));
        at_work.wait("it is told", |at_work| {
            let is_told =
                |told: &Told| matches!(told, Told::NotHashed { slot, .. } if *slot == window);
            at_work.told().iter().any(is_told)
        });
        let next = grown.root() + 5;
        let Answer::Accepted(waiting) = at_work.ask(snapshot(Kind::Full, next)) else {
            panic!("taken");
        };
        grown.grow(next);
        let Outcome::Snapshot(made) = waiting.wait() else { panic!("made") };
        assert_eq!(made.slot, next);
        let told = at_work.told();
        assert!(!told.iter().any(|told| matches!(told, Told::Trouble { .. })), "{told:?}");
    });
}

#[test]
fn incremental_archives_go_on_when_the_store_keeps_less_than_a_full_interval() {
    let grown = Grown::keeping(100, 3);
    let to = folder();
    let options = options(to.path(), [1000, 50], [1, 2]);
    at_work(&grown.store, &options, &Fake::new(), |at_work| {
        at_work.make(Kind::Full, 100);
        let held = || -> Vec<Slot> {
            let leases = grown.store.leases().into_iter();
            leases
                .filter(|lease| lease.purpose.starts_with("base"))
                .map(|lease| lease.slot)
                .collect()
        };
        assert_eq!(held(), [100]);
        for slot in 101..=400 {
            grown.grow(slot);
            // The store finds time to drop what it may.
            thread::sleep(Duration::from_millis(5));
            if slot % 50 == 0 {
                at_work.settle();
            }
        }
        assert_eq!(slots_in(to.path()), (vec![100], vec![350, 400]));
        assert_eq!(at_work.status().failures, 0, "{:?}", at_work.told());
        // What was written since the next one is enough from then on.
        grow_to(&grown, 1000);
        at_work.settle();
        assert_eq!((slots_in(to.path()).0, held()), (vec![1000], vec![1000]));
        grow_until_dropped(&grown, 400);
    });
}

#[test]
fn a_full_archive_on_which_nothing_can_be_built_any_more_is_told_once() {
    let grown = Grown::keeping(100, 60);
    let to = folder();
    let options = options(to.path(), [1000, 50], [1, 2]);
    at_work(&grown.store, &options, &Fake::new(), |at_work| at_work.make(Kind::Full, 100));
    // Nobody holds it meanwhile.
    grow_until_dropped(&grown, 101);
    at_work(&grown.store, &options, &Fake::new(), |at_work| {
        for _ in 0..3 {
            grow_to(&grown, grown.root() / 50 * 50 + 51);
            at_work.settle();
        }
        assert_eq!((failures(at_work), at_work.status().failures), (1, 1), "{:?}", at_work.told());
        let why = at_work.status().last_failure.expect("it is told");
        assert!(why.contains("no full archive that it could build on"), "{why}");
        let full = at_work.make(Kind::Full, grown.root());
        grow_to(&grown, full.slot + 50);
        at_work.settle();
        let (fulls, incrementals) = slots_in(to.path());
        assert_eq!((fulls, incrementals.len()), (vec![full.slot], 1));
        assert_eq!(at_work.status().failures, 1);
    });
}

#[test]
fn a_folder_that_cannot_be_read_for_a_while_does_not_end_the_service() {
    let grown = Grown::new(100);
    let parent = folder();
    let (to, away) = (parent.path().join("to"), parent.path().join("away"));
    fs::create_dir(&to).expect("made");
    at_work(&grown.store, &options(&to, [0, 0], [2, 2]), &Fake::new(), |at_work| {
        let first = at_work.make(Kind::Full, 100);
        let troubles = |at_work: &AtWork<'_, '_>| {
            at_work.told().iter().filter(|told| matches!(told, Told::Trouble { .. })).count()
        };
        // While it is looked at.
        fs::rename(&to, &away).expect("moved");
        at_work.wait("it is told", |at_work| troubles(at_work) == 1);
        at_work.settle();
        fs::rename(&away, &to).expect("moved back");
        grown.grow(101);
        at_work.make(Kind::Full, 101);
        // While it is opened anew: what cannot be taken over has a file's name.
        let placeholder = to.join(".snapshot-9.partial");
        fs::create_dir(&placeholder).expect("made");
        fs::remove_file(to.join(&first.name.0)).expect("removed");
        at_work.wait("it is told", |at_work| troubles(at_work) == 2);
        at_work.settle();
        fs::remove_dir(&placeholder).expect("removed");
        grown.grow(102);
        at_work.make(Kind::Full, 102);
        assert_eq!(troubles(at_work), 2, "{:?}", at_work.told());
        assert_eq!(slots_in(&to).0, [101, 102]);
    });
}

#[test]
fn a_request_that_waits_for_its_slot_gives_way_and_none_waits_for_ever() {
    let grown = Grown::new(100);
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [2, 2]), &Fake::new(), |at_work| {
        for ahead in [AHEAD_SLOTS_MAX + 1, u64::MAX - 100] {
            let answer = at_work.ask(snapshot(Kind::Full, 100 + ahead));
            let Answer::NotAvailable { why, .. } = answer else { panic!("{answer:?}") };
            assert!(why.contains("ahead of the root"), "{why}");
        }
        let mut before = None;
        for slot in [100 + AHEAD_SLOTS_MAX, 120, 110] {
            let Answer::Accepted(waiting) = at_work.ask(snapshot(Kind::Full, slot)) else {
                panic!("it is taken");
            };
            at_work.settle();
            if let Some(replaced) = before.replace(waiting) {
                let Outcome::Failed(why) = replaced.wait() else { panic!("it is replaced") };
                assert!(why.contains("another request came"), "{why}");
            }
        }
        (101..=125).for_each(|slot| grown.grow(slot));
        let last = before.expect("it was taken").wait();
        assert!(matches!(&last, Outcome::Snapshot(made) if made.slot == 110), "{last:?}");
        at_work.settle();
        assert_eq!(at_work.made(), [(Kind::Full, 110)], "the others are given up");
        let hashed = at_work.outcome_of(Wanted::AccountsHash { slot: None });
        assert!(matches!(hashed, Outcome::AccountsHash(_)), "{hashed:?}");
    });
}

#[test]
fn the_window_of_an_epoch_is_the_same_slot_whenever_the_service_begins() {
    let grown = Grown::new(100);
    let to = folder();
    let mut hashing = options(to.path(), [0, 0], [1, 1]);
    hashing.epoch_accounts_hash = true;
    let window = 2 * EPOCH_SLOTS + EPOCH_SLOTS / 4;
    // No block has its number; the service begins behind it, again and again.
    (101..window + 9).filter(|slot| *slot != window).for_each(|slot| grown.grow(slot));
    for _ in 0..3 {
        at_work(&grown.store, &hashing, &Fake::new(), |at_work| {
            grown.grow(grown.root() + 1);
            at_work.settle();
        });
    }
    let hashed = grown.store.accounts_hashes(9).expect("read");
    let slots: Vec<Slot> = hashed.iter().map(|hashed| hashed.slot).collect();
    assert_eq!(slots, [window + 1]);
    assert!(hashed[0].is_of_window);
}
