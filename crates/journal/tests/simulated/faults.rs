//! The disk refuses: no room, errors of reading, writing and syncing, everywhere.

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_journal::{AppendOptions, Batch, Durability, Error, NewEvent};

use crate::{
    driver::{Driver, Style},
    for_seeds,
};

const STYLE: Style = Style { streams: 12, payload_bytes_max: 30_000, with_reopening: true };

const STEPS: usize = 40;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Works on until the steps are done, whatever happens; opens again what has ended. Returns how many
/// operations that took.
fn work_through(driver: &mut Driver) -> u64 {
    let mut has_begun = false;
    for _ in 0..STEPS {
        let result = if has_begun { driver.step() } else { driver.start() };
        has_begun = match result {
            Ok(()) => true,
            // What went wrong has ended the journal: it is opened again, sooner or later.
            Err(_) => {
                driver.journal = None;
                false
            }
        };
    }
    let operations = driver.disk.operations();
    // Nothing is wrong any more, and nothing that was acknowledged is lost.
    if !has_begun {
        driver.start().expect("faults strike once");
    }
    driver.check().expect("nothing is wrong any more");
    driver.check_keys().expect("nothing is wrong any more");
    let lost = driver.disk.power_loss(1);
    driver.go_on(lost, 2).start().expect("what was acknowledged is there");
    operations
}

fn operations(seed: u64) -> u64 {
    work_through(&mut Driver::new(SimulatedDisk::new(seed), seed, STYLE))
}

/// Lets a fault strike at every operation; how often it met a call that it is about.
fn at_every_operation(seed: u64, kinds: &[FaultKind]) -> usize {
    let mut struck = 0;
    for operation in 0..operations(seed) {
        for kind in kinds {
            let disk = SimulatedDisk::new(seed);
            disk.add_fault(Fault { point: FaultPoint::Operation(operation), kind: *kind });
            let mut driver = Driver::new(disk.clone(), seed, STYLE);
            work_through(&mut driver);
            struck += usize::from(disk.faults().is_empty());
        }
    }
    struck
}

#[test]
fn full_disk_everywhere() {
    for_seeds(30..31, |seed| {
        let no_room = [
            FaultKind::WriteFails { errno: ENOSPC },
            FaultKind::ChangeFails { errno: ENOSPC },
            FaultKind::WriteFails { errno: EIO },
            FaultKind::RenameFails,
        ];
        assert!(at_every_operation(seed, &no_room) > 50);
    });
}

#[test]
fn a_disk_that_stays_full_for_a_while_loses_nothing() {
    for_seeds(40..60, |seed| {
        let disk = SimulatedDisk::new(seed);
        let mut driver = Driver::new(disk.clone(), seed, STYLE);
        driver.start().expect("nothing is wrong");
        for round in 0..8 {
            disk.set_space(seed * 1000 * round);
            for _ in 0..20 {
                if driver.journal.is_some() {
                    if driver.step().is_err() {
                        driver.journal = None;
                    }
                } else if driver.start().is_err() {
                    driver.journal = None;
                }
            }
            disk.set_space(1 << 40);
            if driver.journal.is_none() {
                driver.start().expect("there is room again");
            }
            driver.check().expect("there is room again");
        }
        driver.check_keys().expect("there is room again");
    });
}

#[test]
fn fsync_error_drops_pages() {
    for_seeds(70..71, |seed| {
        let kinds = [FaultKind::SyncFails, FaultKind::SyncFolderFails];
        assert!(at_every_operation(seed, &kinds) > 20);
    });
}

#[test]
fn reads_that_fail_are_errors_and_change_nothing() {
    for_seeds(80..81, |seed| {
        assert!(at_every_operation(seed, &[FaultKind::ReadFails]) > 10);
    });
}

#[test]
fn after_a_failed_sync_everybody_is_told_the_same() {
    let disk = SimulatedDisk::new(1);
    let mut driver = Driver::new(disk.clone(), 1, STYLE);
    driver.start().expect("nothing is wrong");
    disk.add_fault(Fault {
        point: FaultPoint::Path { part: "chain-".into(), passed: 0 },
        kind: FaultKind::SyncFails,
    });
    let ended = loop {
        if let Err(error) = driver.step() {
            break error;
        }
    };
    // The driver has seen to it that nothing is acknowledged after it.
    assert!(matches!(ended, Error::Poisoned { .. }), "{ended}");
    driver.start().expect("a fault strikes once");
    driver.check().expect("nothing is wrong any more");
}

#[test]
fn a_batch_that_builds_on_what_was_taken_back_is_refused() {
    let disk = SimulatedDisk::new(1);
    let mut driver = Driver::new(disk.clone(), 1, STYLE);
    driver.start().expect("nothing is wrong");
    let journal = driver.journal.as_ref().expect("open");
    let batch = Batch::of(&NewEvent::new(b"stream", 1, b"payload")).expect("fits");
    let known = journal.generation();
    let options = AppendOptions { generation: Some(known), ..AppendOptions::default() };
    let ticket = journal.submit(&batch, &options).expect("accepted");
    disk.add_fault(Fault {
        point: FaultPoint::Path { part: "chain-".into(), passed: 0 },
        kind: FaultKind::WriteFails { errno: EIO },
    });
    assert!(matches!(ticket.wait(Durability::Durable), Err(Error::TakenBack { .. })));
    assert_eq!(journal.generation(), known + 1);
    let end = journal.progress().accepted;
    let error = journal.append(&batch, &options).expect_err("it knows what is gone");
    assert!(matches!(error, Error::OtherGeneration { end: at } if at == end), "{error}");
    assert_eq!(journal.progress().accepted, end);
    let options = AppendOptions { generation: Some(known + 1), ..options };
    let receipt = journal.append(&batch, &options).expect("durable");
    assert_eq!(receipt.first_sequence, end);
}
