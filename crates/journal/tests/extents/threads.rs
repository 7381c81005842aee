//! Many threads write extents at once, on a real disk.

use std::thread;

use icecore_journal::{
    AppendOptions, Batch, CreateOptions, Durability, Journal, NewEvent, Options,
};

use super::content;

const THREADS: u64 = 4;
const EXTENTS: u64 = 40;

fn bytes_of(seed: u64) -> usize {
    (seed as usize * 7919) % 300_000
}

#[test]
fn threads_write_extents_and_adopt_them_at_once() {
    let folder = tempfile::tempdir().expect("made");
    let options = Options { data_segment_bytes_max: 4 << 20, ..Options::default() };
    let journal =
        Journal::create(folder.path(), CreateOptions::default(), options.clone()).expect("created");
    thread::scope(|scope| {
        for number in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for seed in number * EXTENTS..(number + 1) * EXTENTS {
                    let whole = content(seed, bytes_of(seed));
                    let mut writer = journal.extent_writer(whole.len() as u64).expect("begun");
                    whole.chunks(70_000).for_each(|piece| writer.write(piece).expect("written"));
                    let extent = writer.finish().expect("finished");
                    let mut event = NewEvent::new(b"extents", 1, &[]);
                    event.correlation = Some(u128::from(seed));
                    event.extents = std::slice::from_ref(&extent);
                    let durability =
                        if seed % 8 == 0 { Durability::Durable } else { Durability::Buffered };
                    let options = AppendOptions { durability, ..AppendOptions::default() };
                    journal.append(&Batch::of(&event).expect("fits"), &options).expect("appended");
                    assert!(journal.read_extent(&extent, 0..extent.bytes).expect("read") == whole);
                }
            });
        }
    });
    journal.close().expect("closed");
    let journal = Journal::open(folder.path(), options).expect("opened");
    let mut seen = vec![false; (THREADS * EXTENTS) as usize];
    for sequence in 0..journal.end() {
        let event = journal.read(sequence).expect("read");
        let seed = event.correlation().expect("set") as u64;
        let extent = event.extents()[0];
        let read = journal.read_extent(&extent, 0..extent.bytes).expect("read");
        assert!(read == content(seed, bytes_of(seed)));
        assert!(!std::mem::replace(&mut seen[seed as usize], true), "{seed} is there twice");
    }
    assert!(seen.iter().all(|seen| *seen));
}

#[test]
fn threads_fill_a_bulk_session_that_is_adopted_at_once() {
    let folder = tempfile::tempdir().expect("made");
    let options = Options { data_segment_bytes_max: 1 << 20, ..Options::default() };
    let journal =
        Journal::create(folder.path(), CreateOptions::default(), options.clone()).expect("created");
    let mut session = journal.begin_bulk().expect("begun");
    let extents: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let session = &session;
                scope.spawn(move || {
                    let mut segment = session.segment().expect("made");
                    (number * EXTENTS..(number + 1) * EXTENTS)
                        .map(|seed| {
                            let whole = content(seed, bytes_of(seed));
                            segment.append_extent(&whole).expect("written")
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("joined")).collect()
    });
    let event = NewEvent { extents: &extents, ..NewEvent::new(b"restored", 1, b"all") };
    let batch = Batch::of(&event).expect("fits");
    session.adopt(&batch, &AppendOptions::default()).expect("adopted");
    drop(session);
    journal.close().expect("closed");
    let journal = Journal::open(folder.path(), options).expect("opened");
    let event = journal.read(1).expect("read");
    for (seed, extent) in (0..).zip(event.extents()) {
        let read = journal.read_extent(&extent, 0..extent.bytes).expect("read");
        assert!(read == content(seed, bytes_of(seed)));
    }
    assert_eq!(event.extents().len() as u64, THREADS * EXTENTS);
}
