//! Rewriting data segments: what is kept is read as before, room comes back, a crash leaves before or
//! after.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use icecore_disk::SimulatedDisk;
use icecore_journal::{
    AppendOptions, Batch, COMPACTIONS_STREAM, CompactionRecord, CompactionRule, CreateOptions,
    DropRule, Durability, Error, Event, Extent, ExtentFate, Journal, NewEvent, Options, Reader,
    care, reserved,
};

const FOLDER: &str = "/journal";
const SEGMENT_BYTES: u64 = 512 << 10;

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        idempotency_window: 0,
        reserve_bytes: 0,
        data_segment_bytes_max: SEGMENT_BYTES,
        ..Options::default()
    }
}

fn create(disk: &SimulatedDisk) -> Journal {
    let create = CreateOptions::default();
    Journal::create_on(Arc::new(disk.clone()), Path::new(FOLDER), create, options())
        .expect("created")
}

fn open(disk: &SimulatedDisk) -> Journal {
    Journal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options()).expect("opened")
}

fn payload(number: u64) -> Vec<u8> {
    let bytes = 65_536 + (number * 7919 % 30_000) as usize;
    (0..bytes).map(|at| (at as u64 * 31 + number) as u8).collect()
}

fn append(journal: &Journal, event: &NewEvent<'_>) -> u64 {
    let options = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
    let batch = Batch::of(event).expect("fits");
    journal.append(&batch, &options).expect("appended").first_sequence
}

/// Events with large payloads, and as many extents that nobody adopts; the journal is then closed
/// and opened, so that all data segments are sealed.
fn fill(disk: &SimulatedDisk, journal: Journal, numbers: std::ops::Range<u64>) -> Journal {
    for number in numbers {
        append(&journal, &NewEvent::new(b"stream", 1, &payload(number)));
        if number.is_multiple_of(2) {
            journal.write_extent(&payload(number + 1000)).expect("written");
        }
    }
    journal.close().expect("closed");
    open(disk)
}

fn data_files(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.file_names().into_iter().map(|path| path.to_string_lossy().into_owned());
    names.filter(|name| name.contains("/data-")).collect()
}

fn data_bytes(disk: &SimulatedDisk) -> u64 {
    data_files(disk).iter().map(|name| disk.read_file(name).len() as u64).sum()
}

/// Every payload is what was written, but of the events that are named.
fn check(journal: &Journal, numbers: u64, is_gone: impl Fn(u64) -> bool) {
    for number in 0..numbers {
        let event = journal.read(number).expect("the event stays");
        match journal.payload(&event) {
            Ok(content) => {
                assert!(!is_gone(number), "payload {number} is still there");
                assert_eq!(*content, payload(number), "payload {number}");
                let extent = event.extents()[0];
                let part = journal.read_extent(&extent, 100..70_000.min(extent.bytes));
                let end = 70_000.min(extent.bytes as usize);
                assert_eq!(part.expect("a part"), payload(number)[100..end]);
            }
            Err(Error::ExtentDropped { .. }) => assert!(is_gone(number), "payload {number}"),
            Err(error) => panic!("payload {number}: {error}"),
        }
    }
}

fn verify(journal: &Journal) {
    let options = icecore_journal::VerifyOptions { extents: true, ..Default::default() };
    journal
        .verify(&options, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn room_of_what_nobody_adopted_comes_back_and_all_else_is_read_as_before() {
    let disk = SimulatedDisk::new(1);
    let journal = fill(&disk, create(&disk), 0..24);
    let (files, bytes) = (data_files(&disk), data_bytes(&disk));
    let rule = CompactionRule { garbage_percent_min: 10, ..CompactionRule::default() };
    let compacted = journal.compact_data(&rule).expect("compacted");
    assert_eq!((compacted.kept, compacted.dropped, compacted.rewritten), (24, 0, 0));
    assert!(compacted.bytes_after < compacted.bytes_before * 3 / 4, "{compacted:?}");
    assert_eq!(bytes - data_bytes(&disk), compacted.bytes_before - compacted.bytes_after);
    assert!(files.iter().all(|name| !data_files(&disk).contains(name)), "the old files are gone");
    check(&journal, 24, |_| false);
    verify(&journal);
    // Nothing is left to be done.
    assert_eq!(journal.compact_data(&rule).expect("looked").inputs, []);
    // An event says what was replaced by what.
    let event = journal.read(journal.end() - 1).expect("the last one");
    assert_eq!((event.kind(), event.stream()), (reserved::COMPACTED, COMPACTIONS_STREAM));
    let record = CompactionRecord::decode(event.payload()).expect("sound");
    let inputs: Vec<u32> = record.inputs.iter().map(|(id, _)| *id).collect();
    assert_eq!(inputs, compacted.inputs);
    for output in &record.outputs {
        let content = disk.read_file(format!("{FOLDER}/data-{:08}.seg", output.segment));
        assert_eq!(content.len() as u64, output.bytes);
        assert_eq!(blake3::hash(&content).as_bytes(), output.digest.as_bytes());
    }
    journal.close().expect("closed");
    let journal = open(&disk);
    assert!(journal.recovery().was_clean && journal.recovery().unknown_files.is_empty());
    check(&journal, 24, |_| false);
    verify(&journal);
}

#[test]
fn extents_of_dropped_events_are_garbage() {
    let disk = SimulatedDisk::new(2);
    let mut journal = fill(&disk, create(&disk), 0..20);
    for _ in 0..400 {
        append(&journal, &NewEvent::new(b"stream", 2, &[7; 400]));
    }
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    let dropped = journal
        .drop_events(&DropRule { sequences: 0..10, ..DropRule::new("old") })
        .expect("dropped");
    assert_eq!(dropped.events, 10);
    let rule = CompactionRule { garbage_percent_min: 1, ..CompactionRule::default() };
    let compacted = journal.compact_data(&rule).expect("compacted");
    assert_eq!(compacted.kept, 10);
    for round in 0..2 {
        for number in 10..20 {
            let event = journal.read(number).expect("kept");
            assert_eq!(*journal.payload(&event).expect("kept"), payload(number), "{round}");
        }
        verify(&journal);
        journal.close().expect("closed");
        journal = open(&disk);
    }
}

#[test]
fn the_caller_decides_what_is_kept_dropped_and_rewritten_also_when_it_was_moved_before() {
    let disk = SimulatedDisk::new(3);
    let journal = fill(&disk, create(&disk), 0..18);
    let all = |journal: &Journal, fate: &dyn Fn(&Event, &Extent) -> ExtentFate| {
        let ids: BTreeSet<u32> = data_files(&disk)
            .iter()
            .map(|name| name[name.len() - 12..name.len() - 4].parse().expect("an id"))
            .collect();
        let ids: Vec<u32> = ids.into_iter().collect();
        let rule =
            CompactionRule { segments: Some(&ids), decide: Some(fate), ..Default::default() };
        journal.compact_data(&rule).expect("compacted")
    };
    let compacted = all(&journal, &|event, _| match event.sequence() % 3 {
        0 => ExtentFate::Drop,
        _ => ExtentFate::Keep,
    });
    assert_eq!((compacted.kept, compacted.dropped), (12, 6));
    check(&journal, 18, |number| number.is_multiple_of(3));
    let compacted = all(&journal, &|event, _| match event.sequence() {
        4 => ExtentFate::Rewrite(b"shorter".to_vec()),
        5 => ExtentFate::Drop,
        _ => ExtentFate::Keep,
    });
    assert_eq!((compacted.kept, compacted.rewritten), (10, 1));
    let look = |journal: &Journal| {
        for number in (0..18).filter(|number| *number != 4) {
            let event = journal.read(number).expect("the event stays");
            match journal.payload(&event) {
                Ok(content) => assert_eq!(*content, payload(number)),
                Err(Error::ExtentDropped { .. }) => {
                    assert!(number.is_multiple_of(3) || number == 5, "payload {number}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        let event = journal.read(4).expect("the event stays");
        assert_eq!(*journal.payload(&event).expect("rewritten"), *b"shorter");
        verify(journal);
    };
    look(&journal);
    // Once more, with nothing decided: what was rewritten stays so.
    let compacted = all(&journal, &|_, _| ExtentFate::Keep);
    assert_eq!(compacted.kept, 11);
    look(&journal);
    journal.close().expect("closed");
    look(&open(&disk));
}

#[test]
fn what_was_not_adopted_before_its_segment_was_rewritten_cannot_be_adopted() {
    let disk = SimulatedDisk::new(4);
    let journal = create(&disk);
    let late = journal.write_extent(&payload(7)).expect("written");
    let journal = fill(&disk, journal, 0..6);
    let rule = CompactionRule { garbage_percent_min: 1, ..CompactionRule::default() };
    assert!(journal.compact_data(&rule).expect("compacted").inputs.contains(&late.segment));
    let event = NewEvent { extents: &[late], ..NewEvent::new(b"stream", 1, b"") };
    let batch = Batch::of(&event).expect("fits");
    let refused = journal.append(&batch, &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
    check(&journal, 6, |_| false);
}

#[test]
fn damage_in_what_is_kept_is_an_error_and_nothing_changes() {
    let disk = SimulatedDisk::new(5);
    let journal = fill(&disk, create(&disk), 0..12);
    let extent = journal.read(3).expect("there").extents()[0];
    let path = format!("{FOLDER}/data-{:08}.seg", extent.segment);
    disk.flip_bit(&path, extent.offset + 66_000, 2);
    let files = data_files(&disk);
    let rule = CompactionRule { garbage_percent_min: 1, ..CompactionRule::default() };
    let error = journal.compact_data(&rule).expect_err("damaged").to_string();
    assert!(error.contains("chunk"), "{error}");
    assert_eq!(data_files(&disk), files);
    disk.flip_bit(&path, extent.offset + 66_000, 2);
    drop(journal);
    let journal = open(&disk);
    journal.compact_data(&rule).expect("compacted");
    check(&journal, 12, |_| false);
}

#[test]
fn readers_go_on_through_a_compaction() {
    let disk = SimulatedDisk::new(6);
    let journal = fill(&disk, create(&disk), 0..12);
    let files = data_files(&disk);
    let other = Arc::new(disk.with_process(77, 1));
    let reader = Reader::open_on(other, Path::new(FOLDER)).expect("opened");
    let extent = journal.read(5).expect("there").extents()[0];
    let held = journal.open_extent(&extent).expect("opened");
    let pin = reader.pin_files(3_600_000_000_000).expect("pinned");
    let rule = CompactionRule { garbage_percent_min: 1, ..CompactionRule::default() };
    journal.compact_data(&rule).expect("compacted");
    assert!(files.iter().all(|name| data_files(&disk).contains(name)), "they are pinned");
    for number in 0..12 {
        let event = reader.history().read(number).expect("there");
        assert_eq!(*reader.history().payload(&event).expect("there"), payload(number));
    }
    drop(pin);
    journal.tend().expect("tended");
    assert!(files.iter().all(|name| !data_files(&disk).contains(name)), "nobody needs them");
    assert_eq!(held.read(0..held.bytes()).expect("it is open"), payload(5));
    reader.history().refresh().expect("refreshed");
    for number in 0..12 {
        let event = reader.history().read(number).expect("there");
        assert_eq!(*reader.history().payload(&event).expect("there"), payload(number));
    }
}

#[test]
fn a_copy_and_a_check_follow_what_was_moved() {
    let disk = SimulatedDisk::new(8);
    let journal = fill(&disk, create(&disk), 0..8);
    let rule = CompactionRule { garbage_percent_min: 1, ..CompactionRule::default() };
    journal.compact_data(&rule).expect("compacted");
    journal.close().expect("closed");
    let machine: Arc<dyn icecore_disk::Disk> = Arc::new(disk.clone());
    let go_on = &mut |_: &_| std::ops::ControlFlow::Continue(());
    let options = care::CheckOptions { extents: true, ..Default::default() };
    let checked = care::check(&*machine, Path::new(FOLDER), &options, go_on);
    let checked = checked.expect("checked");
    assert_eq!(checked.damage, 0, "{checked:?}");
    for same_lineage in [true, false] {
        let to = format!("/copy-{same_lineage}");
        let options = care::CopyOptions { same_lineage };
        care::copy(&machine, Path::new(FOLDER), Path::new(&to), &options, go_on).expect("copied");
        let copy = Journal::open_on(Arc::clone(&machine), Path::new(&to), self::options());
        check(&copy.expect("opened"), 8, |_| false);
    }
}

#[test]
fn a_crash_at_any_operation_leaves_before_or_after() {
    let disk = SimulatedDisk::new(7);
    fill(&disk, create(&disk), 0..14).close().expect("closed");
    let bytes = data_bytes(&disk);
    let decide = |event: &Event, _: &Extent| match event.sequence() % 4 {
        0 => ExtentFate::Drop,
        _ => ExtentFate::Keep,
    };
    let work = |disk: &SimulatedDisk| -> Result<(), Error> {
        let journal = Journal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options())?;
        let rule = CompactionRule {
            garbage_percent_min: 10,
            decide: Some(&decide),
            ..CompactionRule::default()
        };
        journal.compact_data(&rule)?;
        journal.close()
    };
    let judge = |disk: &SimulatedDisk, when: &str| -> u64 {
        let journal = open(disk);
        assert!(journal.recovery().unknown_files.is_empty(), "{when}: {:?}", journal.recovery());
        let mut gone = 0;
        for number in 0..14 {
            let event = journal.read(number).expect("the event stays");
            match journal.payload(&event) {
                Ok(content) => assert_eq!(*content, payload(number), "{when}: {number}"),
                Err(Error::ExtentDropped { .. }) => gone += 1,
                Err(error) => panic!("{when}: payload {number}: {error}"),
            }
        }
        verify(&journal);
        journal.close().expect("closed");
        gone
    };
    let whole = disk.kill();
    let start = whole.operations();
    work(&whole).expect("no crash");
    let operations = whole.operations() - start;
    assert_eq!(judge(&whole, "no crash"), 4);
    let mut seen = BTreeSet::new();
    for operation in 0..operations {
        let crashed = disk.kill();
        crashed.crash_at(crashed.operations() + operation);
        assert!(work(&crashed).is_err(), "operation {operation}");
        for (kind, disk) in
            [("killed", crashed.kill()), ("lost power", crashed.power_loss(operation))]
        {
            let when = format!("{kind} at operation {operation}");
            let gone = judge(&disk, &when);
            assert!(gone == 0 || gone == 4, "{when}: {gone} are gone");
            seen.insert(gone);
            work(&disk).expect("it goes on");
            assert_eq!(judge(&disk, &when), 4, "{when}");
            assert!(data_bytes(&disk) < bytes, "{when}: the room has come back");
        }
    }
    assert_eq!(seen.len(), 2, "both were seen");
}
