//! What goes, what stays, and what is told.

use icecore_journal::{DropRule, GAPS_STREAM, GapRecord, reserved};

use super::*;

#[test]
fn dropped_events_are_an_error_with_a_reason_and_all_else_stays() {
    let disk = SimulatedDisk::new(1);
    let journal = create(&disk);
    fill(&journal, 2000);
    let before = events(journal.history());
    let size = chain_bytes(&disk);
    let may_drop = |event: &Event| event.sequence() < 900 && !event.sequence().is_multiple_of(5);
    let report = journal.drop_events(&rule(&may_drop, "old")).expect("dropped");
    let last_of_stream = |sequence: u64| sequence.is_multiple_of(7);
    let is_gone =
        |sequence: u64| sequence < 900 && !sequence.is_multiple_of(5) && !last_of_stream(sequence);
    assert_eq!(report.events, (0..2000).filter(|sequence| is_gone(*sequence)).count() as u64);
    assert_eq!(report.next_sequence, None);
    check(journal.history(), &before, &is_gone);
    let error = journal.read(1).expect_err("it is gone").to_string();
    assert!(error.contains("old"), "{error}");
    assert!(chain_bytes(&disk) < size, "room comes back");
    assert!(report.bytes_after < report.bytes_before * 2 / 3, "{report:?}");
    journal.close().expect("closed");
    let journal = open(&disk);
    assert!(journal.recovery().was_clean && journal.recovery().unknown_files.is_empty());
    check(journal.history(), &before, &is_gone);
}

#[test]
fn whole_frames_that_go_leave_a_gap_that_is_dropped_again_and_joined() {
    let disk = SimulatedDisk::new(2);
    let journal = create(&disk);
    fill(&journal, 3000);
    let before = events(journal.history());
    for (round, end) in [300, 600, 900, 1200, 1500, 1800].into_iter().enumerate() {
        let is_old = |event: &Event| event.sequence() < end;
        let reason = if round % 2 == 0 { "even" } else { "odd" };
        journal.drop_events(&rule(&is_old, reason)).expect("dropped");
        let is_gone = |sequence: u64| sequence < end && !sequence.is_multiple_of(7);
        check(journal.history(), &before, &is_gone);
        journal.tend().expect("tended");
        check(journal.history(), &before, &is_gone);
    }
    // Files that are rewritten each time take in the small ones before them.
    let names = chain_files(&disk);
    drop(journal);
    let journal = open(&disk);
    assert!(names.len() < 15 && chain_files(&disk).len() <= names.len() + 1, "{names:?}");
    check(journal.history(), &before, &|sequence| sequence < 1800 && !sequence.is_multiple_of(7));
}

#[test]
fn the_last_event_of_a_stream_stays_and_its_versions_go_on() {
    let disk = SimulatedDisk::new(3);
    let journal = create(&disk);
    fill(&journal, 1500);
    journal.drop_events(&DropRule::new("all")).expect("dropped");
    let journal = {
        journal.close().expect("closed");
        open(&disk)
    };
    let batch = Batch::of(&NewEvent::new(b"single-7", 1, b"next")).expect("fits");
    let receipt = journal.append(&batch, &AppendOptions::default()).expect("appended");
    assert_eq!(*receipt.stream_versions, [1]);
    assert!(journal.read(7).is_ok(), "it was the last one");
}

#[test]
fn a_rule_bounds_by_sequence_by_time_by_stream_and_by_bytes() {
    let disk = SimulatedDisk::new(4);
    let journal = create(&disk);
    fill(&journal, 1500);
    let before = events(journal.history());
    let time = before[400].as_ref().expect("there").time();
    let of_time = |sequence: u64| before[sequence as usize].as_ref().expect("there").time();
    let rule = DropRule {
        sequences: 100..1000,
        before_time: time,
        later_in_stream: 30,
        ..DropRule::new("bounded")
    };
    journal.drop_events(&rule).expect("dropped");
    let is_gone = |sequence: u64| {
        let event = before[sequence as usize].as_ref().expect("there");
        let later = (sequence + 1..1500)
            .filter(|later| {
                before[*later as usize].as_ref().expect("there").stream() == event.stream()
            })
            .count();
        (100..1000).contains(&sequence) && of_time(sequence) < time && later >= 30
    };
    assert!((0..1500).any(is_gone));
    check(journal.history(), &before, &is_gone);
    // Piece by piece the same comes out as at once.
    let mut rule = DropRule { bytes_max: 1, ..DropRule::new("piecewise") };
    let mut calls = 0;
    loop {
        let report = journal.drop_events(&rule).expect("dropped");
        calls += 1;
        assert!(calls < 100, "it comes to an end");
        match report.next_sequence {
            Some(next) => rule.sequences.start = next,
            None => break,
        }
    }
    assert!(calls > 3);
    let is_left = journal.history().scan(Query::new(By::Stream(b"stream-3".to_vec())));
    let left = is_left.expect("indexed").count();
    assert!(left < 60, "only what is not sealed and the last one: {left}");
}

#[test]
fn requests_in_their_window_are_still_known_and_their_events_stay() {
    let disk = SimulatedDisk::new(5);
    let options = Options { idempotency_window: 500, ..options() };
    let create = CreateOptions::default();
    let journal =
        Journal::create_on(Arc::new(disk.clone()), Path::new(FOLDER), create, options.clone())
            .expect("created");
    let mut receipts = Vec::new();
    for number in 0_u64..1500 {
        let key = number.to_le_bytes();
        let payload = [number as u8; 200];
        let batch = Batch::of(&NewEvent::new(b"stream", 1, &payload)).expect("fits");
        let options = AppendOptions {
            durability: Durability::Written,
            idempotency_key: Some(&key),
            ..AppendOptions::default()
        };
        receipts.push((batch.clone(), journal.append(&batch, &options).expect("appended")));
    }
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    journal.drop_events(&DropRule::new("all")).expect("dropped");
    assert!(journal.read(999).is_err());
    for sequence in 1000..1500 {
        assert!(journal.read(sequence).is_ok(), "event {sequence}");
    }
    let end = journal.end();
    for number in (end - 500)..1500 {
        let (batch, receipt) = &receipts[number as usize];
        let key = number.to_le_bytes();
        let options = AppendOptions { idempotency_key: Some(&key), ..AppendOptions::default() };
        assert_eq!(&journal.append(batch, &options).expect("known"), receipt);
    }
    assert_eq!(journal.end(), end);
    // A request whose event is gone is a new one, even if the window is made larger later on.
    journal.close().expect("closed");
    let wide = Options { idempotency_window: 1 << 20, ..options };
    let journal = Journal::open_on(Arc::new(disk), Path::new(FOLDER), wide).expect("opened");
    let key = 3_u64.to_le_bytes();
    let options = AppendOptions { idempotency_key: Some(&key), ..AppendOptions::default() };
    let again = journal.append(&receipts[3].0, &options).expect("appended");
    assert_eq!(again.first_sequence, end);
}

#[test]
fn an_event_says_what_was_dropped_and_names_the_files_before_and_after() {
    let disk = SimulatedDisk::new(6);
    let journal = create(&disk);
    fill(&journal, 1500);
    let files: Vec<_> =
        chain_files(&disk).into_iter().map(|name| (name.clone(), disk.read_file(&name))).collect();
    let is_old = |event: &Event| event.sequence() < 600;
    let report = journal.drop_events(&rule(&is_old, "older than that")).expect("dropped");
    let query = Query::new(By::Stream(GAPS_STREAM.to_vec()));
    let events: Vec<_> = journal.history().scan(query).expect("indexed").collect();
    let mut dropped = 0;
    for event in events {
        let event = event.expect("read");
        assert_eq!((event.kind(), event.payload_version()), (reserved::GAP, GapRecord::VERSION));
        let record = GapRecord::decode(event.payload()).expect("as written");
        assert_eq!(record.reason, "older than that");
        dropped += record.dropped_events;
        for file in &record.replaced {
            let name = format!("{FOLDER}/chain-{:08}.seg", file.segment);
            let (_, content) =
                files.iter().find(|(known, _)| *known == name).expect("it was there");
            let digest = blake3::hash(&content[..file.bytes as usize]);
            assert_eq!(digest.as_bytes(), file.digest.as_bytes());
            assert!(!chain_files(&disk).contains(&name), "it was removed");
        }
        let name = format!("{FOLDER}/chain-{:08}.seg", record.file.segment);
        let content = disk.read_file(name);
        assert_eq!(content.len() as u64, record.file.bytes.next_multiple_of(8));
        let digest = blake3::hash(&content[..record.file.bytes as usize]);
        assert_eq!(digest.as_bytes(), record.file.digest.as_bytes());
    }
    assert_eq!(dropped, report.events);
    // These events are never dropped themselves.
    fill(&journal, 4000);
    journal.drop_events(&DropRule::new("all")).expect("dropped");
    let query = Query::new(By::Stream(GAPS_STREAM.to_vec()));
    let first = journal.history().scan(query).expect("indexed").next();
    let first = first.expect("one is there").expect("read");
    assert_eq!(GapRecord::decode(first.payload()).expect("sound").reason, "older than that");
}

#[test]
fn a_lost_or_damaged_index_changes_no_answer() {
    let disk = SimulatedDisk::new(7);
    let journal = create(&disk);
    fill(&journal, 2000);
    let before = events(journal.history());
    let may_drop = |event: &Event| event.sequence() < 900 && !event.sequence().is_multiple_of(3);
    journal.drop_events(&rule(&may_drop, "old")).expect("dropped");
    journal.close().expect("closed");
    let indexes: Vec<_> = disk
        .file_names()
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/index-"))
        .collect();
    for (number, path) in indexes.iter().enumerate() {
        let pages = disk.read_file(path).len() as u64 / 4096;
        match number % 2 {
            0 => (0..pages).for_each(|page| disk.flip_bit(path, page * 4096 + 77, 3)),
            _ => disk.truncate_file(path, 4096 * (pages / 2)),
        }
    }
    let journal = open(&disk);
    let is_gone = |sequence: u64| {
        sequence < 900 && !sequence.is_multiple_of(3) && !sequence.is_multiple_of(7)
    };
    check(journal.history(), &before, &is_gone);
}

#[test]
fn a_rule_that_is_none_is_refused() {
    let disk = SimulatedDisk::new(8);
    let journal = create(&disk);
    let long = "x".repeat(257);
    for rule in [
        DropRule::new(""),
        DropRule::new(&long),
        DropRule { later_in_stream: 0, ..DropRule::new("old") },
    ] {
        assert!(matches!(journal.drop_events(&rule), Err(Error::Unfit { .. })));
    }
}
