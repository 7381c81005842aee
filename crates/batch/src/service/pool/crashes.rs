//! The pool on the simulated disk: stopped and killed at every operation, with every fault at every
//! operation, and with both.
//!
//! What must hold after each:
//! - An archive of which it was said that it is there, and that was not to go since, is there and whole.
//! - Under the name of an archive is nothing but what was written for that name, or nothing at all; the
//!   next start takes away what is empty.
//! - What others have in the folder is as it was.
//! - The next start opens the pool, makes archives, and has no more files than before.
//!
//! What it does *not* do: give files second names; tests of the service on a real disk do.

mod driver;

use std::path::{Path, PathBuf};

use icecore_archive::names::ArchiveName;
use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_types::Slot;

use self::driver::{FOLDER, Known, OTHERS, Service, content, full, machine, retention};
use super::Kind;
use crate::Retention;

/// What is made, in order.
const ARCHIVES: [(Kind, Slot); 10] = [
    (Kind::Full, 20),
    (Kind::Full, 21),
    (Kind::Incremental, 22),
    (Kind::Incremental, 23),
    (Kind::Incremental, 24),
    (Kind::Full, 28),
    (Kind::Incremental, 29),
    (Kind::Full, 32),
    (Kind::Incremental, 36),
    (Kind::Incremental, 40),
];

/// What is made after that, by who comes next.
const NEXT: [(Kind, Slot); 4] =
    [(Kind::Full, 50), (Kind::Incremental, 51), (Kind::Full, 52), (Kind::Incremental, 56)];

/// Losses of power that are looked at for each moment.
const LOSSES: u64 = 6;

/// Operations after a fault, or a start, at which the machine is stopped: more than an archive takes, with
/// those that go for it.
const OPERATIONS_AFTER_FAULT: u64 = 20;

const FAULTS: [FaultKind; 8] = [
    FaultKind::WriteFails { errno: ENOSPC },
    FaultKind::WriteFails { errno: EIO },
    // What a file system says that does not write past the page cache.
    FaultKind::WriteFails { errno: EINVAL },
    FaultKind::ChangeFails { errno: ENOSPC },
    FaultKind::ChangeFails { errno: EIO },
    FaultKind::SyncFails,
    FaultKind::RenameFails,
    FaultKind::SyncFolderFails,
];

/// Numbers of Linux (uapi `asm-generic/errno-base.h`).
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

fn retentions() -> [Retention; 2] {
    [retention(1, 1), retention(2, 2)]
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Files of the folder, with their names.
fn files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let paths = disk.file_names().into_iter();
    let name = |path: &Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), disk.read_file(&path))).collect()
}

/// Looks at everything in the folder; an archive may be empty where it is said.
fn check_files(disk: &SimulatedDisk, known: &Known, can_be_empty: bool, when: &str) {
    let files = files(disk);
    for (name, bytes) in OTHERS {
        assert!(files.contains(&(name.to_string(), bytes.to_vec())), "{name}, {when}");
    }
    for (name, bytes) in &files {
        let is_others = OTHERS.iter().any(|(other, _)| other == name);
        if let Ok(archive) = ArchiveName::parse(name)
            && !is_others
            && !(bytes.is_empty() && can_be_empty)
        {
            assert!(*bytes == content(&archive), "{name} has {} other bytes, {when}", bytes.len());
        }
    }
    for archive in &known.acknowledged {
        let is_there = files.contains(&(archive.to_string(), content(archive)));
        assert!(is_there, "{archive} is gone or broken, {when}");
    }
}

/// Makes archives until the machine stops; which of them.
fn run(
    disk: &SimulatedDisk,
    retention: Retention,
    archives: &[(Kind, Slot)],
    known: &mut Known,
) -> Vec<bool> {
    // Who finds that a service does not start starts it again.
    let service = match Service::begin(disk, retention, known) {
        Err(_) => Service::begin(disk, retention, known),
        begun => begun,
    };
    let Ok(mut service) = service else {
        assert!(disk.is_simulated_crash(), "it starts, now or the second time");
        return Vec::new();
    };
    let turns = archives.iter().map(|(kind, slot)| service.turn(*kind, *slot));
    turns.take_while(|_| !disk.is_simulated_crash()).collect()
}

/// The next start, on a machine on which something went wrong.
fn check_start(after: &SimulatedDisk, retention: Retention, known: &Known, when: &str) {
    let mut known = known.clone();
    check_files(after, &known, true, when);
    let service = Service::begin(after, retention, &mut known);
    let service = service.unwrap_or_else(|error| panic!("it starts, {when}: {error}"));
    let names = service.pool.names();
    drop(service);
    for archive in &known.acknowledged {
        assert!(names.contains(&archive.to_string()), "{archive} is known, {when}");
    }
    check_files(after, &known, false, when);
    let count_max = OTHERS.len() + retention.full.get() + retention.incremental.get() + 2;
    assert_eq!(files(after).len(), count_max, "{when}");
    let made = run(after, retention, &NEXT, &mut known);
    assert_eq!(made, [true; NEXT.len()], "{when}");
    assert_eq!(files(after).len(), count_max, "{when}");
    assert!(known.acknowledged.iter().any(|archive| archive.slot() == 56), "{when}");
    check_files(after, &known, false, when);
    check_files(&after.power_loss(1), &known, true, when);
}

/// The next start after a kill, and after so many losses of power: other ones at each moment.
fn check_starts(
    disk: &SimulatedDisk,
    losses: u64,
    retention: Retention,
    known: &Known,
    when: &str,
) {
    check_start(&disk.kill(), retention, known, &format!("{when}, killed"));
    for loss in disk.operations() * losses..(disk.operations() + 1) * losses {
        let when = format!("{when}, loss {loss}");
        check_start(&disk.power_loss(loss), retention, known, &when);
    }
}

/// Operations before the first of a run, and of it.
fn operations(retention: Retention) -> std::ops::Range<u64> {
    let disk = machine(1);
    let first = disk.operations();
    let mut known = Known::default();
    assert_eq!(run(&disk, retention, &ARCHIVES, &mut known), [true; ARCHIVES.len()]);
    check_files(&disk, &known, false, "nothing went wrong");
    assert!(known.acknowledged.len() > 1, "some stay");
    first..disk.operations()
}

#[test]
fn wherever_a_machine_stops_what_was_published_is_whole_and_nothing_half_has_a_name() {
    for retention in retentions() {
        for operation in operations(retention) {
            let disk = machine(operation);
            disk.crash_at(operation);
            let mut known = Known::default();
            run(&disk, retention, &ARCHIVES, &mut known);
            assert!(disk.is_simulated_crash());
            check_starts(&disk, LOSSES, retention, &known, &format!("stopped at {operation}"));
        }
    }
}

#[test]
fn wherever_the_next_start_stops_as_well_the_one_after_it_is_clean() {
    let retention = retention(1, 1);
    for operation in operations(retention) {
        let disk = machine(operation);
        disk.crash_at(operation);
        let mut known = Known::default();
        run(&disk, retention, &ARCHIVES, &mut known);
        for again in [disk.kill(), disk.power_loss(operation)] {
            for second in 0..OPERATIONS_AFTER_FAULT {
                // A machine of its own for each: a kill leaves the one before as it is.
                let (again, mut known) = (again.kill(), known.clone());
                again.crash_at(second);
                run(&again, retention, &NEXT, &mut known);
                let when = format!("stopped at {operation}, then at {second}");
                check_starts(&again, 1, retention, &known, &when);
            }
        }
    }
}

/// Runs with a fault at an operation, and one at the next; `None` if there is nothing there that they
/// could strike.
fn run_with(
    faults: &[FaultKind],
    operation: u64,
    retention: Retention,
    stop_at: Option<u64>,
) -> Option<(SimulatedDisk, Known, Vec<bool>)> {
    let disk = machine(operation);
    for (kind, operation) in faults.iter().zip(operation..) {
        disk.add_fault(Fault { point: FaultPoint::Operation(operation), kind: *kind });
    }
    if let Some(operation) = stop_at {
        disk.crash_at(operation);
    }
    let mut known = Known::default();
    let made = run(&disk, retention, &ARCHIVES, &mut known);
    disk.faults().is_empty().then_some((disk, known, made))
}

#[test]
fn whatever_fails_once_costs_one_archive_at_most_and_leaves_nothing_half() {
    for retention in retentions() {
        for operation in operations(retention) {
            for fault in FAULTS {
                let when = format!("{fault:?} at {operation}");
                let Some((disk, known, made)) = run_with(&[fault], operation, retention, None)
                else {
                    continue;
                };
                let failures = made.iter().filter(|is_made| !**is_made).count();
                assert!(failures <= 1, "{when}: {made:?}");
                check_files(&disk, &known, false, &when);
                check_starts(&disk, 1, retention, &known, &when);
            }
        }
    }
}

#[test]
fn a_name_that_was_taken_back_does_not_return_to_lead_to_another_archive() {
    let retention = retention(1, 1);
    for operation in operations(retention) {
        for fault in FAULTS {
            for stop in operation + 1..=operation + OPERATIONS_AFTER_FAULT {
                let stopped = run_with(&[fault], operation, retention, Some(stop));
                let Some((disk, known, _)) = stopped else { break };
                let when = format!("{fault:?} at {operation}, stopped at {stop}");
                check_starts(&disk, 2, retention, &known, &when);
            }
        }
    }
}

#[test]
fn a_name_that_can_neither_be_made_durable_nor_taken_back_leads_to_its_archive_or_nowhere() {
    let retention = retention(1, 1);
    let faults = [FaultKind::SyncFolderFails, FaultKind::RenameFails];
    let mut has_struck = false;
    for operation in operations(retention) {
        for stop in operation + 2..=operation + OPERATIONS_AFTER_FAULT {
            let stopped = run_with(&faults, operation, retention, Some(stop));
            let Some((disk, known, _)) = stopped else { break };
            has_struck = true;
            let when = format!("neither at {operation}, stopped at {stop}");
            check_starts(&disk, LOSSES, retention, &known, &when);
        }
    }
    assert!(has_struck);
}

/// Has an archive read while it should go, and its file while it should be cleared.
fn run_with_reader(disk: &SimulatedDisk, known: &mut Known) {
    let Ok(mut service) = Service::begin(disk, retention(1, 1), known) else { return };
    let first = full(20);
    let with_first = || files(disk).into_iter().find(|(_, bytes)| *bytes == content(&first));
    service.turn(Kind::Full, 20);
    service.turn(Kind::Full, 21);
    let Some((name, _)) = with_first().filter(|(name, _)| *name == first.to_string()) else {
        return assert!(disk.is_simulated_crash());
    };
    disk.set_being_read(path(&name), true);
    assert!(!service.turn(Kind::Full, 28), "there is no file for it");
    assert_eq!(with_first().map(|(name, _)| name), Some(name.clone()), "it is as it was");
    disk.set_being_read(path(&name), false);
    // It goes, and rests.
    service.tidy();
    let Some((name, _)) = with_first().filter(|(name, _)| *name != first.to_string()) else {
        return assert!(disk.is_simulated_crash());
    };
    disk.set_being_read(path(&name), true);
    service.tidy();
    assert!(with_first().is_some(), "who reads it has all of it");
    disk.set_being_read(path(&name), false);
    let is_made = service.turn(Kind::Full, 28);
    assert!(is_made || disk.is_simulated_crash());
}

#[test]
fn what_is_being_read_is_left_as_it_is_wherever_the_machine_stops() {
    let disk = machine(1);
    let first = disk.operations();
    run_with_reader(&disk, &mut Known::default());
    for operation in first..disk.operations() {
        let disk = machine(operation);
        disk.crash_at(operation);
        let mut known = Known::default();
        run_with_reader(&disk, &mut known);
        assert!(disk.is_simulated_crash());
        let when = format!("read, stopped at {operation}");
        check_starts(&disk, LOSSES, retention(1, 1), &known, &when);
    }
}

#[test]
fn an_archive_of_ours_that_is_empty_goes_and_one_that_was_changed_is_left_alone() {
    let retention = retention(1, 1);
    for (bytes, is_left) in [(0, false), (1000, true)] {
        let disk = machine(1);
        let mut known = Known::default();
        run(&disk, retention, &[(Kind::Full, 20)], &mut known);
        let name = full(20).to_string();
        disk.truncate_file(path(&name), bytes);
        let service = Service::begin(&disk, retention, &mut known).expect("it starts");
        assert!(service.pool.names().is_empty(), "it is not an archive any more");
        assert_eq!(disk.file_names().contains(&path(&name)), is_left);
    }
}

#[test]
fn a_full_disk_leaves_what_is_there_and_goes_on_when_it_has_room_again() {
    let retention = retention(1, 1);
    for room in (0..40_000).step_by(500) {
        let disk = machine(room);
        disk.set_space(room);
        let mut known = Known::default();
        run(&disk, retention, &ARCHIVES, &mut known);
        let when = format!("with room for {room} bytes");
        check_files(&disk, &known, false, &when);
        disk.set_space(1 << 20);
        check_starts(&disk, 1, retention, &known, &when);
    }
}
