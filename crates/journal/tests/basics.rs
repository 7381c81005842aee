//! A journal from the outside: what was appended is read, now and after opening again.

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, RealDisk, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, Durability, Indexes, Journal, NewEvent, Options, Query,
};

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        ..Options::default()
    }
}

fn fill(journal: &Journal, from: u64, count: u64) {
    for number in from..from + count {
        let stream = format!("stream-{}", number % 7);
        let payload = vec![number as u8; (number % 300) as usize];
        let mut event = NewEvent::new(stream.as_bytes(), (number % 5) as u16, &payload);
        event.correlation = (number % 3 == 0).then_some(u128::from(number / 30));
        let batch = Batch::of(&event).expect("fits");
        let durability = if number % 50 == 0 { Durability::Durable } else { Durability::Written };
        let options = AppendOptions { durability, ..AppendOptions::default() };
        let receipt = journal.append(&batch, &options).expect("appended");
        assert_eq!(receipt.first_sequence, number);
        assert_eq!(*receipt.stream_versions, [number / 7]);
    }
}

fn check(journal: &Journal, count: u64) {
    assert_eq!(journal.end(), count);
    for number in 0..count {
        let event = journal.read(number).expect("read");
        assert_eq!(event.sequence(), number);
        assert_eq!(event.stream(), format!("stream-{}", number % 7).as_bytes());
        assert_eq!(event.stream_version(), number / 7);
        assert_eq!(event.payload(), vec![number as u8; (number % 300) as usize]);
    }
    for query in [Query::new(By::Stream(b"stream-3".to_vec())), Query::new(By::Kind(2))] {
        let step = if query.by == By::Kind(2) { (5, 2) } else { (7, 3) };
        let expected: Vec<u64> = (0..count).filter(|number| number % step.0 == step.1).collect();
        let found = |query: Query| -> Vec<u64> {
            let scan = journal.history().scan(query).expect("indexed");
            scan.map(|event| event.expect("read").sequence()).collect()
        };
        assert_eq!(found(query.clone()), expected);
        let mut backward = found(query.backward());
        backward.reverse();
        assert_eq!(backward, expected);
    }
}

fn goes_on(disk: Arc<dyn Disk>, folder: &Path) {
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    let journal =
        Journal::create_on(Arc::clone(&disk), folder, create, options()).expect("created");
    fill(&journal, 0, 1000);
    check(&journal, 1000);
    journal.tend().expect("tended");
    check(&journal, 1000);
    journal.close().expect("closed");
    let journal = Journal::open_on(Arc::clone(&disk), folder, options()).expect("opened");
    assert!(journal.recovery().was_clean);
    check(&journal, 1000);
    fill(&journal, 1000, 500);
    drop(journal);
    let journal = Journal::open_on(Arc::clone(&disk), folder, options()).expect("opened");
    assert!(!journal.recovery().was_clean);
    check(&journal, 1500);
    fill(&journal, 1500, 3500);
    journal.tend().expect("tended");
    check(&journal, 5000);
}

#[test]
fn what_was_appended_is_read_now_and_after_opening_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    goes_on(Arc::new(RealDisk), &folder.path().join("journal"));
    goes_on(Arc::new(SimulatedDisk::new(1)), Path::new("/journal"));
}

#[test]
fn ids_given_out_beforehand_do_not_pile_up_over_a_thousand_segments() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(2));
    let folder = Path::new("/journal");
    let options = Options { segment_events_max: 1, ..options() };
    let journal =
        Journal::create_on(disk, folder, CreateOptions::default(), options).expect("created");
    for number in 0..1100u64 {
        let batch = Batch::of(&NewEvent::new(b"stream", 1, &number.to_le_bytes())).expect("fits");
        let durability = Durability::Written;
        let append = AppendOptions { durability, ..AppendOptions::default() };
        journal.append(&batch, &append).expect("appended");
    }
    journal.tend().expect("tended");
    let events =
        journal.history().scan(Query::new(By::Stream(b"stream".to_vec()))).expect("indexed");
    assert_eq!(events.map(|event| event.expect("read").stream_version()).sum::<u64>(), 1099 * 550);
}
