//! Bulk sessions: all of it or nothing, wherever the machine stops (rule R8).

use icecore_disk::SimulatedDisk;
use icecore_journal::{
    AppendOptions, Batch, BulkSession, By, Durability, Error, Expectation, Extent, Journal,
    NewEvent, Query, Receipt, reserved,
};

use super::{adopting, append, content, create, data_files, open, try_open};

const FIRST_BYTES: usize = 150_000;
const EXTENTS: u64 = 4;
const EXTENT_BYTES: usize = 90_000;

/// A journal that is not empty: an extent of its own, adopted.
fn begin(disk: &SimulatedDisk) -> (Journal, Extent) {
    let journal = create(disk);
    let extent = journal.write_extent(&content(99, FIRST_BYTES)).expect("written");
    append(&journal, &adopting(&[extent])).expect("appended");
    (journal, extent)
}

/// Files that are made and not written to.
const UNUSED: usize = 2;

/// Two segments with two extents each; with 256 KiB to a segment they fit.
fn write(session: &BulkSession) -> Result<Vec<Extent>, Error> {
    let mut extents = Vec::new();
    let mut segment = session.segment()?;
    for seed in 0..2 {
        extents.push(segment.append_extent(&content(seed, EXTENT_BYTES))?);
    }
    let mut writer = session.writer(1 + UNUSED)?;
    for seed in 2..4 {
        writer.write(&content(seed, EXTENT_BYTES))?;
        writer.end_extent()?;
    }
    extents.extend(writer.finish()?);
    Ok(extents)
}

fn restored(extents: &[Extent]) -> Batch {
    let mut batch = Batch::new();
    for extent in extents {
        let extents = std::slice::from_ref(extent);
        batch.push(&NewEvent { extents, ..NewEvent::new(b"restored", 3, b"") }).expect("fits");
    }
    batch
}

/// A session from its beginning to its adoption; the journal is left open.
fn run(journal: &Journal) -> Result<Receipt, Error> {
    let mut session = journal.begin_bulk()?;
    let batch = restored(&write(&session)?);
    session.adopt(&batch, &AppendOptions::default())
}

/// Whether the session's events are there: all or none, with all that they adopted.
fn is_adopted(journal: &Journal) -> bool {
    let found: Vec<_> = journal
        .history()
        .scan(Query::new(By::Stream(b"restored".to_vec())))
        .expect("scanned")
        .map(|event| event.expect("read"))
        .collect();
    assert!(found.is_empty() || found.len() as u64 == EXTENTS, "{} events", found.len());
    for (seed, event) in (0..).zip(&found) {
        let extent = event.extents()[0];
        let read = journal.read_extent(&extent, 0..extent.bytes).expect("adopted means readable");
        assert!(read == content(seed, EXTENT_BYTES));
    }
    !found.is_empty()
}

/// Kinds of the events that begin and end sessions, in order.
fn marks(journal: &Journal) -> Vec<u16> {
    let query = Query::new(By::Stream(icecore_journal::BULK_STREAM.to_vec()));
    journal
        .history()
        .scan(query)
        .expect("scanned")
        .map(|event| event.expect("read").kind())
        .collect()
}

/// What holds after any end of a session, and after any recovery.
fn check(journal: &Journal, first: &Extent, disk: &SimulatedDisk) -> bool {
    let read = journal.read_extent(first, 0..first.bytes).expect("what was there stays");
    assert!(read == content(99, FIRST_BYTES));
    let is_adopted = is_adopted(journal);
    let marks = marks(journal);
    match (is_adopted, &marks[..]) {
        (true, [reserved::BULK_BEGUN, reserved::BULK_ADOPTED]) => {}
        (false, [] | [reserved::BULK_BEGUN] | [reserved::BULK_BEGUN, reserved::BULK_ABORTED]) => {}
        other => panic!("{other:?}"),
    }
    if is_adopted {
        assert_eq!(data_files(disk).len(), 1 + 2, "what was not written to is gone");
    } else {
        // A file whose header was lost names no session: it is known, and garbage.
        for path in data_files(disk).iter().skip(1) {
            let content = disk.read_file(path);
            let is_header = content.len() >= 4096
                && content[4..8] == crc32fast::hash(&content[8..4096]).to_le_bytes();
            assert!(!is_header, "{path} is left");
        }
    }
    assert_eq!(journal.recovery().unknown_files, Vec::<String>::new());
    is_adopted
}

#[test]
fn a_session_is_adopted_with_all_that_was_written() {
    let disk = SimulatedDisk::new(1);
    let (journal, first) = begin(&disk);
    let receipt = run(&journal).expect("adopted");
    assert_eq!((receipt.first_sequence, receipt.stream_versions.len()), (2, 5));
    assert!(check(&journal, &first, &disk));
    for seed in 0..5 {
        let lost = disk.power_loss(seed);
        assert!(check(&open(&lost), &first, &lost));
    }
    journal.close().expect("closed");
    let journal = open(&disk);
    assert!(check(&journal, &first, &disk));
    assert_eq!(journal.end(), 7);
}

#[test]
fn a_session_that_is_dropped_or_aborted_leaves_nothing_but_events() {
    let disk = SimulatedDisk::new(2);
    let (journal, first) = begin(&disk);
    let before = data_files(&disk);
    let session = journal.begin_bulk().expect("begun");
    write(&session).expect("written");
    assert_eq!(data_files(&disk).len(), before.len() + 2 + UNUSED);
    session.abort().expect("aborted");
    assert_eq!(data_files(&disk), before);
    assert!(!check(&journal, &first, &disk));
    let session = journal.begin_bulk().expect("begun");
    let mut left = session.segment().expect("made");
    drop(session);
    assert_eq!(data_files(&disk), before);
    let refused = (0..3).map(|_| left.append_extent(&content(1, 200_000))).find(Result::is_err);
    assert!(
        matches!(refused, Some(Err(Error::Unfit { .. }))),
        "no file after the end: {refused:?}"
    );
    drop(left);
    assert_eq!(data_files(&disk), before);
    journal.close().expect("closed");
    let journal = open(&disk);
    assert_eq!(journal.recovery().removed_files.len(), 0);
}

#[test]
fn a_session_that_is_refused_can_be_adopted_again_or_aborted() {
    let disk = SimulatedDisk::new(3);
    let (journal, first) = begin(&disk);
    let mut session = journal.begin_bulk().expect("begun");
    let extents = write(&session).expect("written");
    let expectations: &[(&[u8], Expectation)] = &[(b"things", Expectation::NoStream)];
    let options = AppendOptions { expectations, ..AppendOptions::default() };
    let refused = session.adopt(&restored(&extents), &options);
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
    let segment = session.segment().expect("made");
    let refused = session.adopt(&restored(&extents), &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "a segment is still there: {refused:?}");
    drop(segment);
    let beyond = Extent { bytes: 1 << 20, ..extents[0] };
    let refused = session.adopt(&restored(&[beyond]), &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
    assert!(!is_adopted(&journal));
    session.adopt(&restored(&extents), &AppendOptions::default()).expect("adopted");
    session.abort().expect("nothing is left to be aborted");
    assert!(check(&journal, &first, &disk));
}

#[test]
fn adopt_crash_matrix() {
    let (operations, mut adopted, mut aborted) = (operations_of_a_session(), 0, 0);
    for operation in 0..=operations {
        let disk = SimulatedDisk::new(operation);
        let (journal, first) = begin(&disk);
        disk.crash_at(disk.operations() + operation);
        let outcome = run(&journal);
        assert!(disk.is_simulated_crash() || operation == operations, "operation {operation}");
        drop(journal);
        for machine in (0..3).map(|seed| disk.power_loss(seed)).chain([disk.kill()]) {
            // The recovery itself stops at each of its operations, too.
            for stop in (0..200).step_by(1 + operation as usize % 3) {
                let recovering = machine.power_loss(77);
                recovering.crash_at(recovering.operations() + stop);
                let opened = try_open(&recovering);
                let is_over = opened.is_ok();
                drop(opened);
                let again = recovering.power_loss(stop);
                let journal = open(&again);
                let is_adopted = check(&journal, &first, &again);
                assert!(is_adopted || outcome.is_err(), "{operation}: what was adopted is gone");
                if is_adopted {
                    adopted += 1
                } else {
                    aborted += 1
                }
                if is_over {
                    go_on(journal, &again);
                    break;
                }
                assert!(stop < 190, "a recovery has no end");
            }
        }
    }
    assert!(adopted > 100 && aborted > 100, "{adopted} adopted, {aborted} aborted");
}

/// The journal is as good as new: another session is adopted, and opening finds nothing to do.
fn go_on(journal: Journal, disk: &SimulatedDisk) {
    let mut session = journal.begin_bulk().expect("begun");
    let extents = write(&session).expect("written");
    let event = NewEvent { extents: &extents, ..NewEvent::new(b"second", 3, b"") };
    let batch = Batch::of(&event).expect("fits");
    let sequence =
        session.adopt(&batch, &AppendOptions::default()).expect("adopted").first_sequence;
    drop(session);
    drop(journal);
    let journal = open(&disk.power_loss(5));
    let event = journal.read(sequence).expect("durable");
    for (seed, extent) in (0..).zip(event.extents()) {
        let read = journal.read_extent(&extent, 0..extent.bytes).expect("read");
        assert!(read == content(seed, EXTENT_BYTES));
    }
    assert_eq!(journal.recovery().removed_files, Vec::<std::path::PathBuf>::new());
}

fn operations_of_a_session() -> u64 {
    let disk = SimulatedDisk::new(0);
    let (journal, _) = begin(&disk);
    let before = disk.operations();
    run(&journal).expect("adopted");
    disk.operations() - before
}

#[test]
fn only_files_of_the_session_are_removed_and_others_are_reported() {
    let disk = SimulatedDisk::new(5);
    let (journal, first) = begin(&disk);
    let session = journal.begin_bulk().expect("begun");
    write(&session).expect("written");
    let of_session = data_files(&disk).pop().expect("there");
    let foreign = disk.read_file(&of_session);
    // The process ends here: its session neither adopted nor aborted.
    let machine = disk.kill();
    let create = |path: &str, bytes: &[u8]| {
        let file = icecore_disk::Disk::create(&machine, path.as_ref()).expect("made");
        file.write_at(0, bytes).expect("written");
    };
    create("/journal/data-00009999.seg", &foreign);
    create("/journal/notes", b"mine");
    let journal = open(&machine);
    let unknown = ["data-00009999.seg", "notes"].map(String::from).to_vec();
    assert_eq!(journal.recovery().unknown_files, unknown);
    assert_eq!(journal.recovery().removed_files.len(), 2 + UNUSED);
    let left = data_files(&machine);
    assert_eq!(left.len(), 2, "the adopted one and the foreign one: {left:?}");
    assert!(!is_adopted(&journal));
    assert!(journal.read_extent(&first, 0..1).is_ok());
    assert_eq!(marks(&journal), [reserved::BULK_BEGUN, reserved::BULK_ABORTED]);
}

#[test]
fn a_session_that_outlives_its_journal_is_aborted_by_the_next_open() {
    let disk = SimulatedDisk::new(6);
    let (journal, first) = begin(&disk);
    let mut session = journal.begin_bulk().expect("begun");
    let extents = write(&session).expect("written");
    let buffered = AppendOptions { durability: Durability::Buffered, ..AppendOptions::default() };
    let batch = Batch::of(&NewEvent::new(b"s", 1, b"")).expect("fits");
    journal.append(&batch, &buffered).expect("appended");
    journal.close().expect("closed");
    let refused = session.adopt(&restored(&extents), &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    let journal = open(&disk);
    drop(session);
    assert!(journal.recovery().was_clean);
    assert_eq!(journal.recovery().removed_files.len(), 2 + UNUSED);
    assert!(!check(&journal, &first, &disk));
}
