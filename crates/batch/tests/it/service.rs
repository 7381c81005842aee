//! The batch service: when it makes what, where that goes, and what happens when something is in the way.

#[path = "service/grown.rs"]
mod grown;
#[path = "service/kit.rs"]
mod kit;
#[path = "service/real.rs"]
mod real;
#[path = "service/steady.rs"]
mod steady;

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use icecore_batch::service::{Answer, FAR_BEHIND_SLOTS, Kind, Outcome, ServiceError, Told, Wanted};
use icecore_disk::HeldFolder;
use icecore_store::{At, SnapshotIntent};
use icecore_types::Slot;

use self::{
    grown::{EPOCH_SLOTS, Fake, Fault, Grown, content},
    kit::{archives_in, at_work, options, placeholder_bytes, slots_in, try_at_work},
};
use crate::support::{folder, names};

/// Every archive in a folder is whole.
fn check_all(folder: &Path) {
    for name in archives_in(folder).0 {
        let read = fs::read(folder.join(name.to_string())).expect("there");
        assert!(read == content(&name), "{name}");
    }
}

#[test]
fn archives_are_made_at_intervals_and_only_so_many_stay() {
    let grown = Grown::new(100);
    let to = folder();
    let options = options(to.path(), [50, 10], [2, 3]);
    let made = at_work(&grown.store, &options, &Fake::new(), |at_work| {
        for slot in (101..=240).filter(|slot| slot % 7 != 3) {
            grown.grow(slot);
            if slot % 5 == 0 {
                at_work.settle();
            }
        }
        at_work.settle();
        assert_eq!((at_work.status().failures, at_work.status().in_use), (0, 0));
        at_work.made()
    });
    let of = |kind| -> Vec<Slot> {
        made.iter().filter(|(of, _)| *of == kind).map(|(_, slot)| *slot).collect()
    };
    // 150 is a multiple of seven and three; 200 is there.
    assert_eq!(of(Kind::Full), [151, 200]);
    let incrementals = of(Kind::Incremental);
    assert!(incrementals.iter().all(|slot| *slot > 151 && *slot != 200), "{made:?}");
    assert!(incrementals.windows(2).all(|pair| pair[0] / 10 < pair[1] / 10), "{made:?}");
    assert_eq!(incrementals.len(), 8, "{made:?}");
    let (fulls, there) = slots_in(to.path());
    assert_eq!((fulls, &there[..]), (vec![151, 200], &incrementals[5..]));
    check_all(to.path());
    let known = grown.store.snapshots_made(1000).expect("read");
    let known: Vec<_> = known.iter().rev().map(|made| (made.base.is_some(), made.slot)).collect();
    let expected: Vec<_> =
        made.iter().map(|(kind, slot)| (*kind == Kind::Incremental, *slot)).collect();
    assert_eq!(known, expected);
    // One more of each kind than stay.
    assert_eq!(names(to.path()).len(), 3 + 4);
}

#[test]
fn incremental_archives_go_with_the_full_one_they_are_built_on() {
    let grown = Grown::new(100);
    (101..160).for_each(|slot| grown.grow(slot));
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [2, 4]), &Fake::new(), |at_work| {
        at_work.make(Kind::Full, 100);
        at_work.make(Kind::Incremental, 105);
        at_work.make(Kind::Full, 110);
        let on = [115, 120].map(|slot| at_work.make(Kind::Incremental, slot).base);
        assert_eq!(on, [Some(110); 2]);
        at_work.settle();
        assert_eq!(slots_in(to.path()), (vec![100, 110], vec![105, 115, 120]));
        at_work.make(Kind::Full, 130);
        at_work.settle();
        assert_eq!(slots_in(to.path()), (vec![110, 130], vec![115, 120]));
        at_work.make(Kind::Full, 140);
        at_work.settle();
        assert_eq!(slots_in(to.path()), (vec![130, 140], vec![]));
    });
}

#[test]
fn what_would_go_as_soon_as_it_was_made_is_not_made_on_request() {
    let grown = Grown::new(100);
    (101..160).for_each(|slot| grown.grow(slot));
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [2, 2]), &Fake::new(), |at_work| {
        for slot in [110, 130, 120] {
            at_work.make(Kind::Full, slot);
            at_work.settle();
        }
        assert_eq!(slots_in(to.path()).0, [120, 130]);
        let refused = |kind, slot, says: &str| {
            let answer = at_work.ask(Wanted::Snapshot { kind, slot: Some(slot) });
            let Answer::NotAvailable { why, .. } = answer else { panic!("{answer:?}") };
            assert!(why.contains(says), "{why}");
        };
        refused(Kind::Full, 115, "2 newer ones are there, and 2 are retained");
        assert_eq!(at_work.make(Kind::Full, 120).slot, 120, "it is there");
        for slot in [140, 150] {
            at_work.make(Kind::Incremental, slot);
        }
        refused(Kind::Incremental, 135, "2 newer ones are there, and 2 are retained");
        refused(Kind::Incremental, 115, "no full archive");
        assert_eq!(at_work.make(Kind::Incremental, 140).slot, 140, "it is there");
        assert_eq!(slots_in(to.path()), (vec![120, 130], vec![140, 150]));
    });
}

#[test]
fn archives_of_the_same_states_that_others_made_stay_and_nothing_is_built_on_them() {
    let (grown, other) = (Grown::new(100), Grown::new(100));
    for slot in 101..110 {
        grown.grow(slot);
        other.grow(slot);
    }
    let to = folder();
    let quiet = options(to.path(), [0, 0], [1, 1]);
    let foreign = at_work(&other.store, &quiet, &Fake::new(), |at_work| {
        [at_work.make(Kind::Full, 101), at_work.make(Kind::Incremental, 104)]
    });
    let copy = fs::read(to.path().join(&foreign[0].name.0)).expect("there");
    at_work(&grown.store, &quiet, &Fake::new(), |at_work| {
        let answer = at_work.ask(Wanted::Snapshot { kind: Kind::Incremental, slot: Some(105) });
        assert!(matches!(answer, Answer::NotAvailable { .. }), "{answer:?}");
        for slot in [102, 103] {
            at_work.make(Kind::Full, slot);
        }
        at_work.wait("ours goes", |_| slots_in(to.path()).0 == [101, 103]);
        assert!(!at_work.told().iter().any(|told| matches!(told, Told::Found { .. })));
    });
    assert_eq!(slots_in(to.path()), (vec![101, 103], vec![104]));
    // One that was the other's and has gone is put there again by somebody.
    at_work(&other.store, &quiet, &Fake::new(), |at_work| {
        at_work.make(Kind::Full, 106);
        at_work.wait("the first goes", |_| slots_in(to.path()).0 == [103, 106]);
    });
    fs::write(to.path().join(&foreign[0].name.0), &copy).expect("written");
    at_work(&other.store, &quiet, &Fake::new(), |at_work| {
        at_work.make(Kind::Full, 107);
        at_work.wait("the older one goes", |_| slots_in(to.path()).0 == [101, 103, 107]);
    });
    check_all(to.path());
}

#[test]
fn who_has_an_archive_under_a_second_name_keeps_it_when_it_goes() {
    let grown = Grown::new(100);
    (101..120).for_each(|slot| grown.grow(slot));
    let to = folder();
    let quiet = options(to.path(), [0, 0], [1, 1]);
    let second = to.path().join("mine");
    let (first, whole) = at_work(&grown.store, &quiet, &Fake::new(), |at_work| {
        let first = at_work.make(Kind::Full, 101);
        at_work.make(Kind::Incremental, 103);
        fs::hard_link(to.path().join(&first.name.0), &second).expect("linked");
        (first, fs::read(&second).expect("there"))
    });
    at_work(&grown.store, &quiet, &Fake::new(), |at_work| {
        at_work.settle();
        assert_eq!(slots_in(to.path()), (vec![101], vec![103]), "it is still built on");
        assert_eq!(at_work.status().last_full, Some(first));
        at_work.make(Kind::Full, 105);
        at_work.wait("it loses its name", |_| slots_in(to.path()) == (vec![105], vec![]));
        at_work.wait("there is another file", |_| names(to.path()).len() == 5);
        at_work.settle();
        assert!(fs::read(&second).expect("there") == whole);
        for slot in [107, 109] {
            at_work.make(Kind::Full, slot);
            at_work.wait("the older one goes", |_| slots_in(to.path()).0 == [slot]);
            at_work.wait("it is cleared", |_| placeholder_bytes(to.path()) == 0);
        }
        assert_eq!(at_work.status().failures, 0);
    });
    assert!(fs::read(&second).expect("there") == whole);
    check_all(to.path());
}

#[test]
fn after_an_end_it_goes_on_where_it_was() {
    let grown = Grown::new(100);
    let to = folder();
    let options = options(to.path(), [30, 6], [2, 2]);
    let make = Fake::new();
    let mut all = Vec::new();
    for round in 0..8 {
        all.extend(at_work(&grown.store, &options, &make, |at_work| {
            at_work.settle();
            assert_eq!(at_work.made(), [], "nothing is made twice: {all:?}");
            (101 + round * 10..=110 + round * 10).for_each(|slot| grown.grow(slot));
            at_work.settle();
            // One that waited for a file is made then.
            at_work.wait("old ones are cleared", |_| placeholder_bytes(to.path()) == 0);
            at_work.settle();
            at_work.made()
        }));
        assert!(names(to.path()).len() <= 6);
    }
    let fulls: Vec<_> =
        all.iter().filter(|(kind, _)| *kind == Kind::Full).map(|(_, slot)| *slot).collect();
    assert!(fulls.len() == 3 && fulls[0] >= 120 && fulls[2] >= 180, "{all:?}");
    assert!(all.len() > 5, "{all:?}");
    check_all(to.path());
    // Somebody removes all of them.
    for name in archives_in(to.path()).0 {
        fs::remove_file(to.path().join(name.to_string())).expect("removed");
    }
    let quiet = kit::options(to.path(), [0, 0], [2, 2]);
    at_work(&grown.store, &quiet, &make, |at_work| {
        let answer = at_work.ask(Wanted::Snapshot { kind: Kind::Incremental, slot: None });
        let Answer::NotAvailable { why, .. } = answer else { panic!("nothing to build on") };
        assert!(why.contains("no full archive"), "{why}");
        let made = at_work.make(Kind::Full, grown.root());
        // While it runs somebody removes it.
        fs::remove_file(to.path().join(&made.name.0)).expect("removed");
        at_work.wait("it is missed", |at_work| {
            at_work.status().is_running && at_work.status().last_full.is_none()
        });
        assert_eq!(at_work.make(Kind::Full, grown.root()), made);
        assert!(to.path().join(&made.name.0).exists());
    });
}

#[test]
fn what_was_not_made_before_an_end_is_made_after_it() {
    let grown = Grown::new(100);
    let to = folder();
    (101..=175).for_each(|slot| grown.grow(slot));
    let made =
        at_work(&grown.store, &options(to.path(), [50, 0], [2, 2]), &Fake::new(), |at_work| {
            at_work.settle();
            at_work.made()
        });
    assert_eq!(made, [(Kind::Full, 175)], "150 has passed without one");
}

#[test]
fn nothing_becomes_due_far_behind_nor_at_the_first_slot_of_an_epoch_nor_without_a_bank() {
    let grown = Grown::new(100);
    let to = folder();
    let border = 2 * EPOCH_SLOTS;
    at_work(&grown.store, &options(to.path(), [4, 0], [1, 1]), &Fake::new(), |at_work| {
        // A slot is open that is far ahead: the root is far behind.
        let root = grown.store.root_slot().expect("a root").id;
        let ahead = grown.store.begin_slot(110 + FAR_BEHIND_SLOTS + 30, root).expect("begun");
        (101..=120).for_each(|slot| grown.grow(slot));
        at_work.settle();
        assert_eq!(at_work.made(), []);
        assert!(at_work.status().is_far_behind);
        drop(ahead);
        grown.grow(121);
        at_work.settle();
        assert_eq!(at_work.made(), [(Kind::Full, 121)]);
        assert!(!at_work.status().is_far_behind);
        grown.grow(border - 1);
        at_work.settle();
        grown.grow(border);
        at_work.settle();
        grown.grow(border + 1);
        at_work.settle();
        grown.grow_with(border + 4, false);
        grown.grow_with(border + 5, false);
        at_work.settle();
        grown.grow(border + 6);
        at_work.settle();
        let expected = [121, border - 1, border + 1, border + 6].map(|slot| (Kind::Full, slot));
        assert_eq!(at_work.made(), expected);
    });
}

#[test]
fn requests_are_taken_or_told_why_not() {
    let grown = Grown::new(100);
    (101..140).filter(|slot| slot % 10 != 5).for_each(|slot| grown.grow_with(slot, slot % 2 == 0));
    let to = folder();
    let make = Fake::new();
    let quiet = options(to.path(), [0, 0], [4, 4]);
    at_work(&grown.store, &quiet, &make, |at_work| {
        let snapshot = |kind, slot| Wanted::Snapshot { kind, slot };
        // Before all that is kept; a number that no block has; a slot without a bank.
        let Answer::Past { slot, first } = at_work.ask(snapshot(Kind::Full, Some(3))) else {
            panic!("it is not kept");
        };
        assert_eq!((slot, first), (3, 100));
        for slot in [125, 127] {
            let answer = at_work.ask(snapshot(Kind::Full, Some(slot)));
            let Answer::NotAvailable { why, slots } = answer else { panic!("{answer:?}") };
            assert!(why.contains(&slot.to_string()), "{why}");
            assert_eq!((slots.before, slots.count), (Some(slot - 1), 16));
            assert!(slots.has_more, "older ones are not looked for");
        }
        let answer = at_work.ask(snapshot(Kind::Incremental, None));
        assert!(matches!(answer, Answer::NotAvailable { .. }), "{answer:?}");
        let answer = at_work.ask(Wanted::AccountsHash { slot: Some(1000) });
        assert!(matches!(answer, Answer::NotAvailable { .. }), "{answer:?}");
        // Of the past, which is kept. Once more: it is there.
        let past = at_work.make(Kind::Full, 110);
        assert_eq!((past.slot, past.base), (110, None));
        let writes = make.writes.load(Ordering::SeqCst);
        assert_eq!(at_work.make(Kind::Full, 110), past);
        assert_eq!(make.writes.load(Ordering::SeqCst), writes);
        let Outcome::Snapshot(newest) = at_work.outcome(Kind::Incremental, None) else {
            panic!("made");
        };
        assert_eq!((newest.base, newest.slot), (Some(110), 138));
        // Of a slot to come: it waits.
        let Answer::Accepted(waiting) = at_work.ask(snapshot(Kind::Full, Some(150))) else {
            panic!("it is taken");
        };
        at_work.settle();
        (140..=160).for_each(|slot| grown.grow_with(slot, slot % 9 == 0));
        let Outcome::Snapshot(made) = waiting.wait() else { panic!("made") };
        assert_eq!(made.slot, 153);
        let hashed = at_work.outcome_of(Wanted::AccountsHash { slot: Some(125) });
        let Outcome::AccountsHash(hashed) = hashed else { panic!("hashed") };
        assert_eq!(hashed.slot, 124, "the last one before it");
        assert!(hashed.agrees() && !hashed.is_of_window);
        assert_eq!(at_work.status().last_accounts_hash, Some(hashed.clone()));
        assert_eq!(grown.store.accounts_hashes(5).expect("read"), [hashed]);
    });
    let status = at_work(&grown.store, &quiet, &make, |at_work| at_work.status());
    assert_eq!(status.last_full.map(|made| made.slot), Some(153));
    assert_eq!(status.last_incremental.map(|made| made.slot), Some(138));
    assert_eq!(status.last_accounts_hash.map(|hashed| hashed.slot), Some(124));
}

#[test]
fn the_end_of_the_node_ends_a_job_and_nothing_half_has_a_name() {
    let grown = Grown::new(100);
    let to = folder();
    let make = Fake::new();
    let quiet = options(to.path(), [0, 0], [2, 2]);
    make.set(Fault::Endless);
    at_work(&grown.store, &quiet, &make, |at_work| {
        let wanted = Wanted::Snapshot { kind: Kind::Full, slot: None };
        let Answer::Accepted(endless) = at_work.ask(wanted) else { panic!("taken") };
        at_work.wait("it runs", |at_work| at_work.status().running.is_some());
        let running = at_work.status().running.expect("it runs");
        assert_eq!((running.what, running.slot), ("full snapshot", 100));
        let answer = at_work.ask(Wanted::AccountsHash { slot: None });
        assert!(matches!(answer, Answer::Busy(_)), "{answer:?}");
        at_work.wait("it has written", |_| placeholder_bytes(to.path()) > 0);
        at_work.service.stop();
        let outcome = endless.wait();
        assert!(matches!(outcome, Outcome::Ended | Outcome::Failed(_)), "{outcome:?}");
    });
    assert_eq!(archives_in(to.path()), (vec![], 6));
    make.set(Fault::None);
    at_work(&grown.store, &quiet, &make, |at_work| {
        at_work.wait("it is cleared", |_| placeholder_bytes(to.path()) == 0);
        at_work.make(Kind::Full, 100);
    });
    check_all(to.path());
}

#[test]
fn an_archive_that_is_being_read_stays_until_it_is_not() {
    let grown = Grown::new(100);
    (101..110).for_each(|slot| grown.grow(slot));
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [1, 1]), &Fake::new(), |at_work| {
        let first = at_work.make(Kind::Full, 101);
        let path = to.path().join(&first.name.0);
        let reader = fs::File::open(&path).expect("there");
        at_work.make(Kind::Full, 102);
        at_work.wait("it is in use", |at_work| at_work.status().in_use == 1);
        // Both files are taken, so the next one has to wait.
        let Outcome::Failed(why) = at_work.outcome(Kind::Full, Some(103)) else {
            panic!("there is no file");
        };
        assert!(why.contains("being read"), "{why}");
        assert_eq!(slots_in(to.path()).0, [101, 102]);
        check_all(to.path());
        drop(reader);
        at_work.wait("it goes", |at_work| at_work.status().in_use == 0);
        assert!(!path.exists());
        at_work.wait("it is cleared", |_| placeholder_bytes(to.path()) == 0);
        at_work.make(Kind::Full, 103);
        at_work.wait("the older one goes", |_| slots_in(to.path()).0 == [103]);
        let told = at_work.told();
        let in_use = told.iter().filter(|told| matches!(told, Told::InUse { .. })).count();
        assert_eq!(in_use, 1, "it is told once: {told:?}");
    });
}

#[test]
fn a_scheduled_archive_waits_for_a_file_and_is_made_of_the_newest_slot_then() {
    let grown = Grown::new(100);
    let to = folder();
    at_work(&grown.store, &options(to.path(), [10, 0], [1, 1]), &Fake::new(), |at_work| {
        let mut readers = Vec::new();
        for slot in [110, 120] {
            grown.grow(slot);
            at_work.settle();
            let name = archives_in(to.path()).0.pop().expect("made").to_string();
            readers.push(fs::File::open(to.path().join(name)).expect("there"));
        }
        for slot in [130, 140, 150] {
            grown.grow(slot);
            at_work.settle();
        }
        assert_eq!(slots_in(to.path()).0, [110, 120]);
        let waiting =
            at_work.told().iter().filter(|told| matches!(told, Told::NoFile { .. })).count();
        assert_eq!(waiting, 1, "{:?}", at_work.told());
        drop(readers);
        at_work.wait("the newest one is made", |_| slots_in(to.path()).0 == [150]);
    });
    check_all(to.path());
}

#[test]
fn who_opens_an_archive_while_it_goes_has_all_of_it_or_none() {
    let grown = Grown::new(100);
    (101..160).for_each(|slot| grown.grow(slot));
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [1, 1]), &Fake::new(), |at_work| {
        let is_over = AtomicBool::new(false);
        let read = || {
            let mut read = 0;
            while !is_over.load(Ordering::SeqCst) {
                for name in archives_in(to.path()).0 {
                    // It may have gone since it was listed.
                    let Ok(found) = fs::read(to.path().join(name.to_string())) else { continue };
                    assert!(found == content(&name), "{name}: {} bytes", found.len());
                    read += 1;
                }
                thread::yield_now();
            }
            read
        };
        thread::scope(|scope| {
            let readers = [scope.spawn(read), scope.spawn(read)];
            for slot in [105, 110, 115, 120, 125] {
                // All files may be read at the moment.
                while !matches!(at_work.outcome(Kind::Full, Some(slot)), Outcome::Snapshot(_)) {}
            }
            is_over.store(true, Ordering::SeqCst);
            for reader in readers {
                assert!(reader.join().expect("whole") > 5);
            }
        });
        at_work.wait("the older ones go", |_| slots_in(to.path()).0 == [125]);
    });
}

#[test]
fn a_full_disk_or_a_broken_one_fails_the_archive_and_the_next_one_works() {
    let grown = Grown::new(100);
    (101..110).for_each(|slot| grown.grow(slot));
    let to = folder();
    let make = Fake::new();
    at_work(&grown.store, &options(to.path(), [0, 0], [2, 2]), &make, |at_work| {
        at_work.make(Kind::Full, 101);
        for kind in [Kind::Full, Kind::Incremental] {
            for fault in [
                Fault::Write(ErrorKind::StorageFull, 0),
                Fault::Write(ErrorKind::StorageFull, 50_000),
                Fault::Write(ErrorKind::Other, 20_000),
                Fault::Prove,
            ] {
                make.set(fault);
                let before = at_work.status().failures;
                let Outcome::Failed(why) = at_work.outcome(kind, Some(105)) else {
                    panic!("{fault:?}");
                };
                assert!(why.contains("nothing was made"), "{why}");
                assert_eq!(at_work.status().failures, before + 1);
                assert_eq!(archives_in(to.path()).0.len(), 1);
                at_work.wait("its bytes are given back", |_| placeholder_bytes(to.path()) == 0);
            }
            make.set(Fault::None);
        }
        assert_eq!(at_work.make(Kind::Incremental, 105).base, Some(101));
        let told: Vec<_> = at_work.told().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("was not made")), "{told:?}");
        grown.grow(110);
    });
    check_all(to.path());
}

#[test]
fn a_failure_that_was_scheduled_is_tried_again_and_the_node_goes_on() {
    let grown = Grown::new(100);
    let to = folder();
    let make = Fake::new();
    make.set(Fault::Write(ErrorKind::StorageFull, 30_000));
    at_work(&grown.store, &options(to.path(), [20, 0], [2, 2]), &make, |at_work| {
        for slot in [119, 120, 121, 122, 123, 139] {
            grown.grow(slot);
            at_work.settle();
        }
        assert_eq!(at_work.status().failures, 3, "{:?}", at_work.told());
        assert_eq!(archives_in(to.path()).0, []);
        grown.grow(140);
        at_work.settle();
        assert_eq!(at_work.status().failures, 4);
        make.set(Fault::None);
        grown.grow(141);
        at_work.settle();
        assert_eq!(at_work.made(), [(Kind::Full, 141)]);
    });
    check_all(to.path());
}

#[test]
fn a_folder_has_one_service_and_is_free_after_it() {
    let (grown, other) = (Grown::new(100), Grown::new(100));
    let to = folder();
    let quiet = options(to.path(), [0, 0], [1, 1]);
    at_work(&grown.store, &quiet, &Fake::new(), |_| {
        let ((), ended) = try_at_work(&other.store, &quiet, &Fake::new(), |at_work| {
            let answer = at_work.ask(Wanted::AccountsHash { slot: None });
            assert!(matches!(answer, Answer::Busy(_)), "{answer:?}");
        });
        let error = ended.expect_err("it is held");
        assert!(matches!(error, ServiceError::Held { .. }), "{error}");
        assert!(HeldFolder::open(to.path()).expect("opened").is_none());
    });
    at_work(&other.store, &quiet, &Fake::new(), |_| {});
    assert!(HeldFolder::open(to.path()).expect("opened").is_some());
    let none = options(&to.path().join("none"), [0, 0], [1, 1]);
    let ((), ended) = try_at_work(&grown.store, &none, &Fake::new(), |_| {});
    assert!(ended.is_err_and(|error| error.to_string().contains("none")));
    let many = options(to.path(), [0, 0], [200, 100]);
    let ((), ended) = try_at_work(&grown.store, &many, &Fake::new(), |_| {});
    assert!(matches!(ended, Err(ServiceError::TooMany { .. })));
}

#[test]
fn whatever_step_an_end_comes_at_the_next_start_is_clean() {
    let (grown, twin) = (Grown::new(100), Grown::new(100));
    for slot in 101..110 {
        grown.grow(slot);
        twin.grow(slot);
    }
    let to = folder();
    let quiet = options(to.path(), [0, 0], [2, 2]);
    let make = Fake::new();
    let made = at_work(&grown.store, &quiet, &make, |at_work| {
        [at_work.make(Kind::Full, 101), at_work.make(Kind::Incremental, 105)]
    });
    let archive = |at: usize| to.path().join(&made[at].name.0);
    let whole = fs::read(archive(0)).expect("there");
    let clean = names(to.path());
    let start = |grown: &Grown| {
        at_work(&grown.store, &quiet, &make, |at_work| {
            at_work.wait("it is cleared", |_| placeholder_bytes(to.path()) == 0);
            at_work.told().into_iter().filter(|told| matches!(told, Told::Found { .. })).count()
        })
    };
    // Half of an archive was written; all of it, and it was not renamed.
    for written in [whole.len() / 2, whole.len()] {
        fs::write(to.path().join(".snapshot-1.partial"), &whole[..written]).expect("written");
        assert_eq!(start(&grown), 0);
        assert_eq!(names(to.path()), clean);
    }
    // It was renamed, and the journal knows no more than that it was about to be: that of a store of
    // the same states.
    let held = HeldFolder::open(to.path()).expect("opened").expect("free");
    for made in &made {
        let inode = held.inode(&made.name.0).expect("asked").expect("there");
        let view = twin.store.view(At::Slot(made.slot)).expect("kept");
        let intent = SnapshotIntent { inode, made: made.clone() };
        twin.store.record_snapshot_intent(&view, &intent).expect("recorded");
    }
    drop(held);
    assert_eq!(start(&twin), 2);
    assert_eq!(names(to.path()), clean);
    let known = twin.store.snapshots_made(9).expect("read");
    assert_eq!(known.len(), 2);
    assert!(known.contains(&made[0]), "{known:?}");
    assert_eq!(start(&twin), 0, "it is known now");
    // It lost its name, and was not cleared.
    fs::rename(archive(1), to.path().join(".incremental-snapshot-7.partial")).expect("renamed");
    assert_eq!(start(&grown), 0);
    assert_eq!(names(to.path()).len(), clean.len());
    assert_eq!(slots_in(to.path()), (vec![101], vec![]));
    check_all(to.path());
    // More stays behind than there will be files.
    for number in 0..9 {
        fs::write(to.path().join(format!(".snapshot-{number}.partial")), b"x").expect("written");
    }
    assert_eq!(start(&grown), 0);
    assert_eq!(names(to.path()).len(), clean.len());
}

#[test]
fn what_is_not_ours_is_not_touched_nor_written_through() {
    let grown = Grown::new(100);
    let to = folder();
    let quiet = options(to.path(), [0, 0], [1, 1]);
    let mine = "snapshot-100-11111111111111111111111111111111.tar.zst";
    let own = to.path().join("own");
    fs::write(to.path().join(mine), b"mine").expect("written");
    fs::write(&own, b"mine").expect("written");
    at_work(&grown.store, &quiet, &Fake::new(), |at_work| {
        at_work.make(Kind::Full, 100);
        grown.grow(101);
        at_work.make(Kind::Full, 101);
        at_work.settle();
    });
    assert_eq!(fs::read(to.path().join(mine)).expect("there"), b"mine");
    assert_eq!(slots_in(to.path()).0, [100, 101]);
    // A link, or a second name, under a placeholder's name.
    for name in names(to.path()).iter().filter(|name| name.starts_with(".snapshot")) {
        fs::remove_file(to.path().join(name)).expect("removed");
    }
    let placeholder = to.path().join(".snapshot-0.partial");
    std::os::unix::fs::symlink(&own, &placeholder).expect("linked");
    let ((), ended) = try_at_work(&grown.store, &quiet, &Fake::new(), |_| {});
    assert!(ended.is_err(), "it is not written through");
    fs::remove_file(&placeholder).expect("removed");
    fs::hard_link(&own, &placeholder).expect("linked");
    at_work(&grown.store, &quiet, &Fake::new(), |at_work| at_work.settle());
    assert_eq!(fs::read(&own).expect("there"), b"mine");
    assert_eq!(fs::read(&placeholder).expect("there is another one"), b"");
    // The name of the next one is taken.
    grown.grow(102);
    let ahead = folder();
    let made =
        at_work(&grown.store, &options(ahead.path(), [0, 0], [1, 1]), &Fake::new(), |at_work| {
            at_work.make(Kind::Full, 102)
        });
    at_work(&grown.store, &quiet, &Fake::new(), |at_work| {
        let taken = to.path().join(&made.name.0);
        fs::write(&taken, b"mine").expect("written");
        let Outcome::Failed(why) = at_work.outcome(Kind::Full, Some(102)) else {
            panic!("nothing is replaced");
        };
        assert!(why.contains("exists already"), "{why}");
        assert_eq!(fs::read(&taken).expect("there"), b"mine");
    });
}

#[test]
fn the_accounts_of_each_epochs_window_are_hashed_by_themselves() {
    let grown = Grown::new(100);
    let to = folder();
    let mut hashing = options(to.path(), [0, 0], [1, 1]);
    hashing.epoch_accounts_hash = true;
    let quarter = EPOCH_SLOTS / 4;
    // The window of the epoch in which it begins has passed; of the next ones each has one.
    let windows = [2, 3, 4].map(|epoch| epoch * EPOCH_SLOTS + quarter);
    for last in [windows[0] - 1, windows[0] + 1, windows[1] + 7, windows[2] + 1] {
        at_work(&grown.store, &hashing, &Fake::new(), |at_work| {
            // There is no block with the number of the second one.
            let slots = (grown.root() + 1..=last).filter(|slot| *slot != windows[1]);
            slots.for_each(|slot| grown.grow_with(slot, false));
            at_work.settle();
        });
    }
    let mut hashed = grown.store.accounts_hashes(100).expect("read");
    hashed.reverse();
    let slots: Vec<Slot> = hashed.iter().map(|hashed| hashed.slot).collect();
    assert_eq!(slots, [windows[0], windows[1] + 1, windows[2]]);
    assert!(hashed.iter().all(|hashed| hashed.is_of_window && hashed.agrees()));
}

#[test]
fn accounts_that_are_not_those_that_the_slot_states_are_told_loudly() {
    let grown = Grown::stating(100, |stated| stated.capitalization += 1);
    let to = folder();
    at_work(&grown.store, &options(to.path(), [0, 0], [1, 1]), &Fake::new(), |at_work| {
        let hashed = at_work.outcome_of(Wanted::AccountsHash { slot: None });
        let Outcome::AccountsHash(hashed) = hashed else { panic!("hashed") };
        assert!(!hashed.agrees());
        assert_eq!(hashed.capitalization + 1, hashed.stated_capitalization);
        let told: Vec<_> = at_work.told().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("ARE NOT THOSE")), "{told:?}");
    });
    assert!(!grown.store.accounts_hashes(1).expect("read")[0].agrees());
}
