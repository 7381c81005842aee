//! Full disks, failing writes and failing syncs; the reserve (rules R3, R4).

use std::sync::Arc;

use icecore_disk::{Disk, Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, CreateOptions, Durability, Error, Extent, Journal, NewEvent, Options,
};

use super::{FOLDER, adopting, append, content, create, data_files, open, options};

const ENOSPC: i32 = 28;

/// One of everything that writes data segments; what worked is in `kept`.
fn work(journal: &Journal, seed: u64, kept: &mut Vec<(u64, Extent, Vec<u8>)>) -> Result<(), Error> {
    let whole = content(seed, 100_000);
    let extent = journal.write_extent(&whole)?;
    let receipt = append(journal, &adopting(&[extent]))?;
    kept.push((receipt.first_sequence, extent, whole));
    let payload = content(seed + 1, 70_000);
    let batch = Batch::of(&NewEvent::new(b"large", 1, &payload)).expect("fits");
    let receipt = append(journal, &batch)?;
    let extent = journal.read(receipt.first_sequence)?.extents()[0];
    kept.push((receipt.first_sequence, extent, payload));
    let mut session = journal.begin_bulk()?;
    let whole = content(seed + 2, 80_000);
    let extent = session.segment()?.append_extent(&whole)?;
    let receipt = session.adopt(&adopting(&[extent]), &AppendOptions::default())?;
    kept.push((receipt.first_sequence, extent, whole));
    Ok(())
}

fn check(journal: &Journal, kept: &[(u64, Extent, Vec<u8>)]) {
    for (sequence, extent, whole) in kept {
        let event = journal.read(*sequence).expect("acknowledged");
        assert_eq!(event.extents(), [*extent]);
        assert!(journal.read_extent(extent, 0..extent.bytes).expect("read") == *whole);
    }
    let mut extents = 0;
    for sequence in 0..journal.end() {
        let event = journal.read(sequence).expect("read");
        for extent in event.extents() {
            journal.read_extent(&extent, 0..extent.bytes).expect("adopted means readable");
            extents += 1;
        }
    }
    assert_eq!(extents, kept.len(), "what was refused is not there");
}

#[test]
fn a_full_disk_at_any_operation_loses_nothing_and_adopts_nothing_by_halves() {
    let mut struck = 0;
    for operation in 0.. {
        let disk = SimulatedDisk::new(operation);
        let (journal, mut kept) = (create(&disk), Vec::new());
        work(&journal, 10, &mut kept).expect("there is room");
        let at = FaultPoint::Operation(disk.operations() + operation);
        for kind in
            [FaultKind::WriteFails { errno: ENOSPC }, FaultKind::ChangeFails { errno: ENOSPC }]
        {
            disk.add_fault(Fault { point: at.clone(), kind });
        }
        let before = disk.operations();
        let outcome = work(&journal, 20, &mut kept);
        let is_over = outcome.is_ok() && disk.operations() - before <= operation;
        struck += u64::from(outcome.is_err());
        check(&journal, &kept);
        if is_over {
            break;
        }
        work(&journal, 30, &mut kept).expect("there is room again");
        check(&journal, &kept);
        drop(journal);
        for machine in [disk.power_loss(operation), disk.kill(), disk] {
            let journal = open(&machine);
            assert_eq!(journal.recovery().unknown_files, Vec::<String>::new());
            check(&journal, &kept);
        }
    }
    assert!(struck > 10, "{struck}");
}

#[test]
fn a_disk_that_fills_up_anywhere_is_left_as_it_was_acknowledged() {
    for space in (0..420_000).step_by(7_001) {
        let disk = SimulatedDisk::new(space);
        let (journal, mut kept) = (create(&disk), Vec::new());
        work(&journal, 10, &mut kept).expect("there is room");
        disk.set_space(space);
        let _ = work(&journal, 20, &mut kept);
        check(&journal, &kept);
        disk.set_space(1 << 40);
        work(&journal, 30, &mut kept).expect("there is room again");
        journal.close().expect("closed");
        let journal = open(&disk);
        assert_eq!(journal.recovery().unknown_files, Vec::<String>::new());
        check(&journal, &kept);
    }
}

#[test]
fn a_failed_sync_of_a_data_segment_ends_writing() {
    let disk = SimulatedDisk::new(1);
    let (journal, mut kept) = (create(&disk), Vec::new());
    work(&journal, 10, &mut kept).expect("written");
    let point = FaultPoint::Path { part: "/data-".into(), passed: 0 };
    disk.add_fault(Fault { point, kind: FaultKind::SyncFails });
    let extent = journal.write_extent(&content(1, 100_000)).expect("written");
    let lost = append(&journal, &adopting(&[extent]));
    assert!(matches!(lost, Err(Error::Poisoned { .. })), "{lost:?}");
    let refused = journal.write_extent(b"more");
    assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    drop(journal);
    for seed in 0..20 {
        check(&open(&disk.power_loss(seed)), &kept);
    }
}

#[test]
fn pieces_that_could_not_be_written_can_be_given_again() {
    let disk = SimulatedDisk::new(9);
    let journal = create(&disk);
    let whole = content(1, 1_000_000);
    let mut writer = journal.extent_writer(whole.len() as u64).expect("begun");
    let mut failed = 0;
    for (number, piece) in whole.chunks(100_000).enumerate() {
        if number % 3 == 0 && number < 9 {
            let point = FaultPoint::Operation(disk.operations());
            disk.add_fault(Fault { point, kind: FaultKind::WriteFails { errno: ENOSPC } });
        }
        if writer.write(piece).is_err() {
            failed += 1;
            writer.write(piece).expect("there is room again");
        }
    }
    let extent = writer.finish().expect("finished");
    assert!(journal.read_extent(&extent, 0..extent.bytes).expect("read") == whole);
    assert!(failed > 1, "{failed}");
}

fn with_reserve(disk: &SimulatedDisk) -> Options {
    disk.set_space(10 << 20);
    Options { reserve_bytes: 1 << 20, ..options() }
}

fn has_reserve(disk: &SimulatedDisk) -> bool {
    disk.exists(format!("{FOLDER}/reserve").as_ref())
}

#[test]
fn the_reserve_is_there_for_those_who_may_use_it() {
    let disk = SimulatedDisk::new(2);
    let options = with_reserve(&disk);
    let shared = Arc::new(disk.clone());
    let create = CreateOptions::default();
    let journal =
        Journal::create_on(shared.clone(), FOLDER, create, options.clone()).expect("created");
    assert!(has_reserve(&disk));
    let session = journal.begin_bulk().expect("begun");
    session.segment().expect("made").append_extent(&content(1, 50_000)).expect("written");
    disk.set_space(0);
    let batch = Batch::of(&NewEvent::new(b"s", 1, b"small")).expect("fits");
    assert!(append(&journal, &batch).is_err());
    assert!(has_reserve(&disk), "who may not use it does not");
    session.abort().expect("aborting works on a full disk");
    assert!(!has_reserve(&disk));
    assert!(data_files(&disk).is_empty());
    disk.set_space(10 << 20);
    journal.tend().expect("tended");
    assert!(has_reserve(&disk), "it is made again when there is room");
    disk.set_space(0);
    let root = AppendOptions { use_reserve: true, ..AppendOptions::default() };
    let sequence = journal.append(&batch, &root).expect("appended").first_sequence;
    assert!(!has_reserve(&disk));
    disk.set_space(0);
    assert!(journal.append(&batch, &root).is_err(), "it can be used once");
    drop(journal);
    disk.set_space(10 << 20);
    let journal = Journal::open_on(shared, FOLDER, options).expect("opened");
    assert_eq!(journal.read(sequence).expect("read").payload(), b"small");
    assert!(has_reserve(&disk));
}

#[test]
fn a_disk_without_room_for_the_reserve_has_none() {
    let disk = SimulatedDisk::new(3);
    let options = Options { reserve_bytes: 8 << 20, ..with_reserve(&disk) };
    let shared = Arc::new(disk.clone());
    let create = CreateOptions::default();
    let journal = Journal::create_on(shared, FOLDER, create, options).expect("created");
    assert!(!has_reserve(&disk));
    disk.set_space(100 << 20);
    journal.tend().expect("tended");
    assert!(has_reserve(&disk));
}

#[test]
fn a_session_left_on_a_full_disk_is_aborted_with_the_reserve() {
    let disk = SimulatedDisk::new(4);
    let options = with_reserve(&disk);
    let create = CreateOptions::default();
    let shared = Arc::new(disk.clone());
    let journal = Journal::create_on(shared, FOLDER, create, options.clone()).expect("created");
    let session = journal.begin_bulk().expect("begun");
    session.segment().expect("made").append_extent(&content(1, 500_000)).expect("written");
    let left = disk.kill();
    assert_eq!(data_files(&left).len(), 1);
    for space in (0..48 << 10).step_by(4 << 10) {
        let machine = left.kill();
        machine.set_space(space);
        let journal = Journal::open_on(Arc::new(machine.clone()), FOLDER, options.clone());
        let journal = journal.expect("the reserve is for that");
        assert!(data_files(&machine).is_empty(), "{space}");
        assert!(!has_reserve(&machine), "{space}");
        drop(journal);
    }
}

/// A sync fails and the process ends. What it had written can still be read, and the kernel calls it
/// clean: the next open must not take syncing it for enough.
#[test]
fn what_a_failed_sync_left_readable_is_on_the_medium_after_the_next_open() {
    let mut readable = 0;
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let (journal, mut kept) = (create(&disk), Vec::new());
        let whole = content(seed, 100_000);
        let extent = journal.write_extent(&whole).expect("written");
        let unsynced =
            AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
        let receipt = journal.append(&adopting(&[extent]), &unsynced).expect("written");
        disk.add_fault(Fault {
            point: FaultPoint::Path { part: "data-".into(), passed: 0 },
            kind: FaultKind::SyncFails,
        });
        journal.sync().expect_err("the sync fails");
        drop(journal);
        let disk = disk.kill();
        let journal = open(&disk);
        if journal.end() > receipt.first_sequence {
            kept.push((receipt.first_sequence, extent, whole));
            readable += 1;
        }
        check(&journal, &kept);
        // What somebody has seen after the recovery survives a loss of power.
        for loss in 0..4 {
            check(&open(&disk.power_loss(loss)), &kept);
        }
    }
    assert!((5..35).contains(&readable), "{readable}");
}
