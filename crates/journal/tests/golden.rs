//! Version 1 of the format, byte for byte: a small journal that was written once and is kept.
//!
//! `ICECORE_WRITE_GOLDEN=1 cargo test -p icecore-journal --test golden` writes it anew: only when the
//! format's version changes, and then beside the old one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Disk, RealDisk, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, Denial, Durability, Error, EventRef, Gate, Indexes,
    Journal, NewEvent, Options, Proposal, Query, Reader,
};

const EVENTS: u64 = 240;
/// Of one event more, whose payload lies in an extent.
const LARGE_BYTES: usize = 150_000;

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/journal/v1")
}

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

struct NoEmptyPayloads;

impl Gate for NoEmptyPayloads {
    fn name(&self) -> &str {
        "no-empty-payloads"
    }

    fn evaluate(
        &self,
        proposal: &Proposal<'_>,
        _context: &dyn std::any::Any,
    ) -> Result<(), Denial> {
        match proposal.events.iter().any(|event| event.payload.is_empty()) {
            true => Err(Denial::new("empty", "a payload is empty")),
            false => Ok(()),
        }
    }
}

fn payload(number: u64) -> Vec<u8> {
    (0..number * 31 % 900 + 1).map(|at| (at * number) as u8).collect()
}

/// Writes the journal: events with all that an event can have.
fn write(disk: Arc<dyn Disk>, folder: &Path) {
    let create = CreateOptions { indexes: Indexes::ALL, owner: String::new() };
    let journal = Journal::create_on(disk, folder, create, options()).expect("created");
    let mut number = 0;
    while number < EVENTS {
        let mut batch = Batch::new();
        for place in 0..(number % 3 + 1).min(EVENTS - number) {
            let payload = payload(number + place);
            let stream = format!("stream-{}", (number + place) % 4);
            let mut event =
                NewEvent::new(stream.as_bytes(), ((number + place) % 5) as u16, &payload);
            event.scope = if place == 1 { b"scope" } else { b"" };
            event.correlation = (number % 2 == 0).then_some(u128::from(number) << 70);
            event.causation = (place == 2).then_some(EventRef::InBatch(1));
            let parents =
                [EventRef::Sequence(number.saturating_sub(1)), EventRef::Sequence(number / 2)];
            event.parents = match number {
                0 => &[],
                _ if number.is_multiple_of(10) => &parents,
                _ => &parents[..1],
            };
            batch.push(&event).expect("fits");
        }
        let key = format!("request-{number}");
        let options = AppendOptions {
            durability: if number % 30 == 0 { Durability::Durable } else { Durability::Written },
            idempotency_key: (number % 4 == 0).then_some(key.as_bytes()),
            gates: if number % 5 == 0 { &[&NoEmptyPayloads] } else { &[] },
            ..AppendOptions::default()
        };
        let receipt = journal.append(&batch, &options).expect("appended");
        assert_eq!(receipt.first_sequence, number);
        number = receipt.end_sequence();
    }
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at * 7) as u8).collect();
    let batch = Batch::of(&NewEvent::new(b"large", 9, &large)).expect("fits");
    journal.append(&batch, &AppendOptions::default()).expect("appended");
    let empty = Batch::of(&NewEvent::new(b"stream-0", 1, b"")).expect("fits");
    let options = AppendOptions {
        gates: &[&NoEmptyPayloads],
        record_denial: Some(b"denials"),
        ..AppendOptions::default()
    };
    let denied = journal.append(&empty, &options);
    assert!(matches!(denied, Err(Error::Denied { recorded: Some(_), .. })), "{denied:?}");
    journal.tend().expect("tended");
    journal.close().expect("closed");
}

#[test]
fn what_is_written_today_is_version_1() {
    let disk = SimulatedDisk::new(1);
    write(Arc::new(disk.clone()), Path::new("/journal"));
    let golden = golden_folder();
    let mut names: Vec<_> = disk
        .list(Path::new("/journal"))
        .expect("listed")
        .into_iter()
        // The control page is of this moment, and the lock says no more than the manifest.
        .filter(|entry| entry.is_file && entry.name != "control")
        .map(|entry| entry.name)
        .collect();
    names.sort();
    if env::var_os("ICECORE_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(&golden).expect("made");
        for name in &names {
            let bytes = disk.read_file(Path::new("/journal").join(name));
            fs::write(golden.join(name), bytes).expect("written");
        }
    }
    let mut kept: Vec<_> = fs::read_dir(&golden)
        .expect("the golden journal")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("text"))
        .collect();
    kept.sort();
    assert_eq!(names, kept);
    for name in names {
        let written = disk.read_file(Path::new("/journal").join(&name));
        let kept = fs::read(golden.join(&name)).expect("read");
        let differs = written.iter().zip(&kept).position(|(a, b)| a != b);
        assert_eq!(written.len(), kept.len(), "{name}");
        assert_eq!(differs, None, "{name}: first byte that differs");
    }
}

#[test]
fn a_journal_of_version_1_is_read_and_goes_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for entry in fs::read_dir(golden_folder()).expect("the golden journal") {
        let path = entry.expect("listed").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a file"))).expect("copied");
    }
    let reader = Reader::open(folder.path()).expect("read");
    assert_eq!(reader.end(), EVENTS + 2, "the large one and the denial are events, too");
    let large = reader.read(EVENTS).expect("read");
    let payload_of_large = reader.payload(&large).expect("read");
    assert_eq!(payload_of_large.len(), LARGE_BYTES);
    assert!((0..LARGE_BYTES).all(|at| payload_of_large[at] == (at * 7) as u8));
    for number in 0..EVENTS {
        let event = reader.read(number).expect("read");
        assert_eq!(event.payload(), payload(number));
        assert_eq!(event.stream(), format!("stream-{}", number % 4).as_bytes());
        assert_eq!(event.stream_version(), number / 4);
    }
    let scoped = reader.history().scan(Query::new(By::Scope(b"scope".to_vec()))).expect("indexed");
    assert!(scoped.count() > 50);
    let options = Options { background: false, ..Options::default() };
    let journal = Journal::open_on(Arc::new(RealDisk), folder.path(), options).expect("opened");
    assert!(journal.recovery().was_clean);
    let again = Batch::of(&NewEvent::new(b"stream-0", 0, b"more")).expect("fits");
    let receipt = journal.append(&again, &AppendOptions::default()).expect("appended");
    assert_eq!((receipt.first_sequence, receipt.stream_versions[0]), (EVENTS + 2, EVENTS / 4));
}
