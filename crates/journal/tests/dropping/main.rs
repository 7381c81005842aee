//! Dropping old events: what is gone is said to be gone, and everything else stays as it was.

mod crashes;
mod model;
mod proofs;
mod readers;
mod rules;

use std::{path::Path, sync::Arc};

use icecore_disk::SimulatedDisk;
use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, DropRule, Durability, Error, Event, History, Indexes,
    Journal, NewEvent, Options, Query,
};

const FOLDER: &str = "/journal";

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        idempotency_window: 20,
        reserve_bytes: 0,
        ..Options::default()
    }
}

fn create(disk: &SimulatedDisk) -> Journal {
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    Journal::create_on(Arc::new(disk.clone()), Path::new(FOLDER), create, options())
        .expect("created")
}

fn open(disk: &SimulatedDisk) -> Journal {
    Journal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options()).expect("opened")
}

/// Appends batches of one to five events until there are so many; every seventh event has its own
/// stream, the others share ten.
fn fill(journal: &Journal, end: u64) {
    let mut number = journal.end();
    while number < end {
        let mut batch = Batch::new();
        for index in 0..=number % 5 {
            let number = number + index;
            let stream = match number % 7 {
                0 => format!("single-{number}"),
                _ => format!("stream-{}", number % 10),
            };
            let payload = vec![number as u8; 40 + (number % 300) as usize];
            let mut event = NewEvent::new(stream.as_bytes(), (number % 4) as u16, &payload);
            event.correlation = (number.is_multiple_of(3)).then_some(u128::from(number / 30));
            event.scope = b"scope";
            batch.push(&event).expect("fits");
        }
        let durability = Durability::Written;
        let options = AppendOptions { durability, ..AppendOptions::default() };
        journal.append(&batch, &options).expect("appended");
        number = journal.end();
    }
    journal.sync().expect("synced");
    journal.tend().expect("tended");
}

/// A rule that drops what may go and matches.
fn rule<'a>(may_drop: &'a dyn Fn(&Event) -> bool, reason: &'a str) -> DropRule<'a> {
    DropRule { may_drop: Some(may_drop), ..DropRule::new(reason) }
}

/// Every event, and `None` where one was dropped; each range that is named is looked at.
fn events(history: &Arc<History>) -> Vec<Option<Event>> {
    (0..history.end())
        .map(|sequence| match history.read(sequence) {
            Ok(event) => Some(event),
            Err(Error::Dropped { sequence: asked, first, end, reason }) => {
                assert_eq!(asked, sequence);
                assert!((first..end).contains(&sequence) && !reason.is_empty());
                None
            }
            Err(error) => panic!("event {sequence}: {error}"),
        })
        .collect()
}

fn found(history: &Arc<History>, query: Query) -> Vec<u64> {
    let scan = history.scan(query).expect("indexed");
    scan.map(|event| event.expect("read").sequence()).collect()
}

/// What is there is what was there before, in every way of looking for it.
fn check(history: &Arc<History>, before: &[Option<Event>], is_gone: &dyn Fn(u64) -> bool) {
    let now = events(history);
    for (sequence, event) in before.iter().enumerate() {
        let (Some(event), sequence) = (event, sequence as u64) else {
            assert!(now[sequence].is_none(), "event {sequence} came back");
            continue;
        };
        match &now[sequence as usize] {
            None => assert!(is_gone(sequence), "event {sequence} is gone"),
            Some(now) => {
                assert!(!is_gone(sequence), "event {sequence} is still there");
                assert_eq!(now.record_bytes(), event.record_bytes());
                assert_eq!(now.time(), event.time());
            }
        }
    }
    check_scans(history, &now);
}

fn check_scans(history: &Arc<History>, now: &[Option<Event>]) {
    let kept = || now.iter().flatten();
    let queries = [
        Query::new(By::Sequence),
        Query::new(By::Stream(b"stream-3".to_vec())),
        Query::new(By::Stream(b"single-7".to_vec())),
        Query::new(By::Kind(2)),
        Query::new(By::Scope(b"scope".to_vec())),
        Query::new(By::Correlation(5)),
        Query::new(By::Sequence).sequences(100..400),
        Query::new(By::Kind(1)).sequences(100..400),
    ];
    for query in queries {
        let expected: Vec<u64> = kept()
            .filter(|event| query.matches(event) && query.sequences.contains(&event.sequence()))
            .map(Event::sequence)
            .collect();
        assert_eq!(found(history, query.clone()), expected, "{query:?}");
        let mut backward = found(history, query.clone().backward());
        backward.reverse();
        assert_eq!(backward, expected, "{query:?} backward");
    }
    let times: Vec<u64> = kept().map(Event::time).collect();
    for part in [times.len() / 3, times.len() / 2] {
        let query = Query::new(By::Sequence).times(times[part]..times[part + 20]);
        let expected: Vec<u64> = kept()
            .filter(|event| query.times.contains(&event.time()))
            .map(Event::sequence)
            .collect();
        assert_eq!(found(history, query), expected, "by time");
    }
}

/// The chain segments that are there.
fn chain_files(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.file_names().into_iter().map(|path| path.to_string_lossy().into_owned());
    names.filter(|name| name.contains("/chain-")).collect()
}

fn chain_bytes(disk: &SimulatedDisk) -> u64 {
    chain_files(disk).iter().map(|name| disk.read_file(name).len() as u64).sum()
}
