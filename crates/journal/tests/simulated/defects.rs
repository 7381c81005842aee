//! What another event store did wrong, one test each, named after it. The numbers are those of the
//! list of its defects.

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, Durability, Error, Expectation, Journal, NewEvent, Receipt, Stage,
};

use crate::{driver, folder};

const STREAM: &[u8] = b"stream";

fn batch(payloads: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    for payload in payloads {
        batch.push(&NewEvent::new(STREAM, 1, payload)).expect("fits");
    }
    batch
}

fn append(journal: &Journal, payload: &[u8]) -> Receipt {
    journal.append(&batch(&[payload]), &AppendOptions::default()).expect("appended")
}

fn expecting(expectation: Expectation) -> [(&'static [u8], Expectation); 1] {
    [(STREAM, expectation)]
}

fn next_write_fails(disk: &SimulatedDisk) {
    disk.add_fault(Fault {
        point: FaultPoint::Path { part: "chain-".into(), passed: 0 },
        kind: FaultKind::WriteFails { errno: 28 },
    });
}

#[test]
fn d1_events_behind_a_batch_that_failed_are_not_lost() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append(&journal, b"before");
    next_write_fails(&disk);
    let failed = journal.append(&batch(&[b"one", b"two", b"three"]), &AppendOptions::default());
    assert!(matches!(failed, Err(Error::TakenBack { .. })), "{failed:?}");
    for payload in [b"a", b"b", b"c", b"d"] {
        append(&journal, payload);
    }
    journal.sync().expect("synced");
    let lost = driver::open(&disk.power_loss(3)).expect("opened");
    let payloads: Vec<_> = (0..lost.end()).map(|sequence| lost.read(sequence)).collect();
    let payloads: Vec<_> =
        payloads.iter().map(|event| event.as_ref().expect("read").payload()).collect();
    assert_eq!(payloads, [&b"before"[..], b"a", b"b", b"c", b"d"]);
}

#[test]
fn d2_a_short_write_leaves_a_journal_that_reads_and_opens() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let journal = driver::create(&disk).expect("created");
        append(&journal, b"before");
        next_write_fails(&disk);
        assert!(journal.append(&batch(&[&[1; 5000]]), &AppendOptions::default()).is_err());
        let after = append(&journal, b"after");
        assert_eq!(journal.read(after.first_sequence).expect("read").payload(), b"after");
        journal.close().expect("closed");
        assert_eq!(driver::open(&disk).expect("opened").end(), 2);
    }
}

#[test]
fn d3_a_torn_tail_and_another_crash_do_not_brick_the_journal() {
    let mut disk = SimulatedDisk::new(1);
    drop(driver::create(&disk).expect("created"));
    let mut acknowledged = 0;
    for crash in 0..8 {
        let journal = driver::open(&disk).expect("opened after any number of crashes");
        assert!(journal.end() >= acknowledged);
        acknowledged = append(&journal, b"durable").end_sequence();
        disk.crash_at(disk.operations());
        let torn = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
        assert!(journal.append(&batch(&[&[7; 9000]]), &torn).is_err());
        drop(journal);
        disk = if crash % 2 == 0 { disk.kill() } else { disk.power_loss(crash) };
    }
}

#[test]
fn d4_sequences_are_the_same_after_a_crash_and_a_refused_batch_takes_none() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append(&journal, b"0");
    let never = [(STREAM, Expectation::NoStream)];
    let options = AppendOptions { expectations: &never, ..AppendOptions::default() };
    assert!(journal.append(&batch(&[b"x", b"y"]), &options).is_err());
    let receipt = append(&journal, b"1");
    assert_eq!(receipt.first_sequence, 1);
    let after = driver::open(&disk.power_loss(5)).expect("opened");
    assert_eq!(after.read(1).expect("read").payload(), b"1");
    assert_eq!(append(&after, b"2").first_sequence, 2);
}

#[test]
fn d6_an_event_that_was_rewritten_with_its_checks_is_found() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append(&journal, b"the first one");
    append(&journal, b"the next one");
    drop(journal);
    let path = folder().join("chain-00000001.seg");
    let segment = disk.read_file(&path);
    let place = segment.windows(13).position(|bytes| bytes == b"the first one").expect("there");
    // The payload, and the record's own check, which is no secret. The digests of the frame and of
    // all frames behind it are what cannot be made to fit.
    disk.overwrite(&path, place as u64, b"another first");
    let refused = driver::open(&disk);
    assert!(matches!(refused, Err(Error::Damaged { sequence: 0, .. })), "{refused:?}");
}

#[test]
fn d7_an_empty_stream_is_told_from_one_with_an_event() {
    let journal = driver::create(&SimulatedDisk::new(1)).expect("created");
    let no_stream = expecting(Expectation::NoStream);
    let first = AppendOptions { expectations: &no_stream, ..AppendOptions::default() };
    journal.append(&batch(&[b"0"]), &first).expect("the stream is empty");
    let again = journal.append(&batch(&[b"0"]), &first);
    assert!(matches!(again, Err(Error::Unexpected { last: Some(0), .. })), "{again:?}");
    let exact = expecting(Expectation::Exact(0));
    let next = AppendOptions { expectations: &exact, ..AppendOptions::default() };
    journal.append(&batch(&[b"1"]), &next).expect("the last one has place 0");
    assert!(journal.append(&batch(&[b"1"]), &next).is_err(), "accepted twice");
}

#[test]
fn d8_a_request_that_is_repeated_gets_its_receipt_whatever_it_expects() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    let no_stream = expecting(Expectation::NoStream);
    let options = AppendOptions {
        expectations: &no_stream,
        idempotency_key: Some(b"request"),
        ..AppendOptions::default()
    };
    let receipt = journal.append(&batch(&[b"0"]), &options).expect("appended");
    assert_eq!(journal.append(&batch(&[b"0"]), &options).expect("known"), receipt);
    let after = driver::open(&disk.power_loss(1)).expect("opened");
    assert_eq!(after.append(&batch(&[b"0"]), &options).expect("known"), receipt);
}

#[test]
fn d9_another_request_under_a_known_key_is_a_conflict() {
    let journal = driver::create(&SimulatedDisk::new(1)).expect("created");
    let options = AppendOptions { idempotency_key: Some(b"key"), ..AppendOptions::default() };
    journal.append(&batch(&[b"0"]), &options).expect("appended");
    let other = journal.append(&batch(&[b"1"]), &options);
    assert!(matches!(other, Err(Error::IdempotencyConflict { first_sequence: 0 })), "{other:?}");
    assert_eq!(journal.end(), 1);
}

#[test]
fn d10_a_durable_append_has_synced_when_it_returns() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    for sequence in 0..10 {
        append(&journal, b"durable");
        assert_eq!(journal.progress().durable, sequence + 1);
        assert!(journal.wait(Stage::Durable, sequence + 1, std::time::Duration::ZERO));
        for loss in 0..4 {
            let lost = driver::open(&disk.power_loss(loss)).expect("opened");
            assert_eq!(lost.end(), sequence + 1);
        }
    }
}

#[test]
fn d11_batches_can_expect_and_be_repeated_as_a_whole() {
    let journal = driver::create(&SimulatedDisk::new(1)).expect("created");
    append(&journal, b"0");
    let exact = expecting(Expectation::Exact(0));
    let options = AppendOptions {
        expectations: &exact,
        idempotency_key: Some(b"batch"),
        ..AppendOptions::default()
    };
    let three: [&[u8]; 3] = [b"1", b"2", b"3"];
    let receipt = journal.append(&batch(&three), &options).expect("appended");
    assert_eq!(*receipt.stream_versions, [1, 2, 3]);
    assert_eq!(journal.append(&batch(&three), &options).expect("known"), receipt);
    assert_eq!(journal.end(), 4);
}

#[test]
fn d12_idempotency_keys_are_known_without_any_index_file() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    let key = |number: u32| format!("key-{number}").into_bytes();
    let payload = [5; 3000];
    for number in 0..100 {
        let key = key(number);
        let options = AppendOptions { idempotency_key: Some(&key), ..AppendOptions::default() };
        journal.append(&batch(&[&payload]), &options).expect("appended");
    }
    journal.close().expect("closed");
    for path in disk.file_names() {
        if path.to_string_lossy().contains("index-") {
            disk.truncate_file(&path, 10);
        }
    }
    let journal = driver::open(&disk).expect("opened");
    for number in 0..100 {
        let key = key(number);
        let options = AppendOptions { idempotency_key: Some(&key), ..AppendOptions::default() };
        let receipt = journal.append(&batch(&[&payload]), &options).expect("known");
        assert_eq!(receipt.first_sequence, u64::from(number));
    }
    assert_eq!(journal.end(), 100);
}

#[test]
fn d14_a_batch_is_there_as_a_whole_or_not_at_all_however_it_is_torn() {
    for loss in 0..60 {
        let disk = SimulatedDisk::new(loss);
        let journal = driver::create(&disk).expect("created");
        let written = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
        let payloads: [&[u8]; 4] = [&[1; 1000], &[2; 1000], &[3; 1000], &[4; 1000]];
        journal.append(&batch(&payloads), &written).expect("written");
        let end = driver::open(&disk.power_loss(loss)).expect("opened").end();
        assert!(end == 0 || end == 4, "{end} of 4 events");
    }
}

#[test]
fn d15_what_was_written_is_read_at_once_also_after_an_error_between() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    let written = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
    for sequence in 0..200 {
        if sequence % 7 == 3 {
            next_write_fails(&disk);
            assert!(journal.append(&batch(&[&[9; 2000]]), &written).is_err());
        }
        let receipt = journal.append(&batch(&[&[8; 2000]]), &written).expect("written");
        assert_eq!(receipt.first_sequence, sequence);
        assert_eq!(journal.read(sequence).expect("read").payload(), [8; 2000]);
    }
}
