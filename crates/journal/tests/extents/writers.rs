//! Bulk writers: files made beforehand, records at places that are known before they are made.

use std::thread;

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_journal::{
    AppendOptions, BulkSession, BulkWriter, CompactionRule, CreateOptions, Error, Extent,
    ExtentFate, Journal, Options,
};

use super::{adopting, content, create, data_files, open, options};

const ENOSPC: i32 = 28;

/// Where a record was put, and the seed and length of its content.
type Placed = (u32, u64, u64, usize);

/// Writes records of multiples of 8 bytes, each beginning with its own place.
fn put(writer: &mut BulkWriter, seed: u64, bytes: usize) -> Result<Placed, Error> {
    let space = writer.space(bytes + 64)?;
    let (segment, offset) = (space.segment, space.offset);
    space.bytes[..bytes].copy_from_slice(&record(segment, offset, seed, bytes));
    while writer.commit(bytes).is_err() {}
    Ok((segment, offset, seed, bytes))
}

fn record(segment: u32, offset: u64, seed: u64, bytes: usize) -> Vec<u8> {
    let mut record = content(seed, bytes);
    record[..8].copy_from_slice(&(u64::from(segment) << 40 | offset).to_le_bytes());
    record
}

fn adopt(mut session: BulkSession, extents: &[Extent]) {
    session.adopt(&adopting(extents), &AppendOptions::default()).expect("adopted");
}

/// Every record is where it was put, and within an extent.
fn check(journal: &Journal, extents: &[Extent], placed: &[Placed]) {
    for extent in extents {
        let whole = journal.read_extent(extent, 0..extent.bytes).expect("read");
        assert_eq!(whole.len() as u64, extent.bytes);
    }
    for &(segment, offset, seed, bytes) in placed {
        let held = journal.data_segment(segment).expect("opened");
        let read = held.get(offset, bytes).expect("read");
        assert!(*read == record(segment, offset, seed, bytes), "{seed}");
        let end = offset + bytes as u64;
        let is_within = |extent: &&Extent| {
            extent.segment == segment
                && extent.offset <= offset
                && end <= extent.offset + extent.bytes
        };
        assert_eq!(extents.iter().filter(is_within).count(), 1, "{seed}");
    }
}

#[test]
fn records_lie_where_they_were_said_to_and_each_segment_has_one_extent() {
    let disk = SimulatedDisk::new(1);
    let journal = create(&disk);
    let session = journal.begin_bulk().expect("begun");
    let mut writer = session.writer(9).expect("made");
    assert_eq!(data_files(&disk).len(), 9);
    let sizes = [8, 64, 4096, 10_008, 70_000, 3000 * 8];
    let placed: Vec<_> = (0..60)
        .map(|seed| put(&mut writer, seed, sizes[seed as usize % 6]).expect("written"))
        .collect();
    let extents = writer.finish().expect("finished");
    assert_eq!(writer.finish().expect("finished"), [], "they were given out");
    drop(writer);
    let segments: Vec<_> = extents.iter().map(|extent| extent.segment).collect();
    assert!(segments.is_sorted_by(|one, next| one < next), "{segments:?}");
    assert!((4..9).contains(&segments.len()), "{segments:?}");
    adopt(session, &extents);
    assert_eq!(data_files(&disk).len(), segments.len(), "what was not written to is gone");
    check(&journal, &extents, &placed);
    let max = options().data_segment_bytes_max;
    assert!(journal.data_segments().iter().all(|info| info.is_sealed && info.bytes <= max));
    for path in data_files(&disk) {
        assert!(disk.read_file(&path).len() as u64 <= max, "{path}");
    }
    drop(journal);
    let journal = open(&disk.power_loss(3));
    check(&journal, &extents, &placed);
}

#[test]
fn a_writer_without_segments_left_goes_on_in_the_last_one() {
    let disk = SimulatedDisk::new(2);
    let journal = create(&disk);
    let session = journal.begin_bulk().expect("begun");
    let mut writer = session.writer(1).expect("made");
    let placed: Vec<_> =
        (0..20).map(|seed| put(&mut writer, seed, 50_000).expect("written")).collect();
    // A record that does not fit the buffer, and one that no segment takes.
    let large = put(&mut writer, 21, 5_000_000).expect("written");
    let refused = writer.space(32 << 30).map(|_| ());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
    let last = put(&mut writer, 22, 80).expect("written");
    let extents = writer.finish().expect("finished");
    drop(writer);
    assert_eq!(extents.len(), 1);
    assert_eq!(extents[0].bytes, 20 * 50_000 + 5_000_000 + 80);
    adopt(session, &extents);
    check(&journal, &extents, &[&placed[..], &[large, last]].concat());
}

#[test]
fn what_is_streamed_lies_in_extents_that_end_where_told() {
    let disk = SimulatedDisk::new(3);
    let journal = create(&disk);
    let session = journal.begin_bulk().expect("begun");
    let mut writer = session.writer(1).expect("made");
    assert_eq!(writer.end_extent().expect("nothing to end"), None);
    let wholes = [content(1, 700_001), content(2, 33), content(3, 0)];
    let extents: Vec<_> = wholes
        .iter()
        .map(|whole| {
            whole.chunks(10_007).for_each(|piece| writer.write(piece).expect("written"));
            writer.write(b"").expect("an extent without bytes is one");
            writer.end_extent().expect("ended").expect("there was one")
        })
        .collect();
    assert_eq!(writer.finish().expect("finished"), extents);
    drop(writer);
    adopt(session, &extents);
    for (extent, whole) in extents.iter().zip(&wholes) {
        assert!(journal.read_extent(extent, 0..extent.bytes).expect("read") == *whole);
    }
}

#[test]
fn what_failed_on_a_full_disk_can_be_tried_again() {
    let mut failed = 0;
    for fault in 0..12 {
        let disk = SimulatedDisk::new(fault);
        let journal = create(&disk);
        let session = journal.begin_bulk().expect("begun");
        let mut writer = session.writer(12).expect("made");
        for passed in [fault, fault + 1] {
            let point = FaultPoint::Path { part: "/data-".into(), passed };
            disk.add_fault(Fault { point, kind: FaultKind::WriteFails { errno: ENOSPC } });
        }
        let mut placed = Vec::new();
        for seed in 0..40 {
            let bytes = [40_000, 2_600_000, 120_000, 8][seed as usize % 4];
            let record = loop {
                match put(&mut writer, seed, bytes) {
                    Ok(record) => break record,
                    Err(_) => failed += 1,
                }
            };
            placed.push(record);
        }
        let extents = loop {
            match writer.finish() {
                Ok(extents) => break extents,
                Err(_) => failed += 1,
            }
        };
        drop(writer);
        adopt(session, &extents);
        check(&journal, &extents, &placed);
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn a_session_waits_for_its_writers_and_takes_their_files_along() {
    let disk = SimulatedDisk::new(4);
    let journal = create(&disk);
    let mut session = journal.begin_bulk().expect("begun");
    let mut writer = session.writer(3).expect("made");
    put(&mut writer, 1, 100_000).expect("written");
    let extents = writer.finish().expect("finished");
    session.sync().expect("synced");
    let refused = session.adopt(&adopting(&extents), &AppendOptions::default());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
    assert_eq!(data_files(&disk).len(), 3);
    assert!(writer.raw_fds().is_empty(), "a simulated disk has none");
    drop(writer);
    session.abort().expect("aborted");
    assert!(data_files(&disk).is_empty());
    let session = journal.begin_bulk().expect("begun");
    let refused = session.writer(2000).map(|_| ());
    assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
    drop(session);
    assert!(data_files(&disk).is_empty(), "those that were made are gone as well");
    assert!(journal.begin_bulk().expect("begun").writer(200).is_ok(), "their ids are free again");
}

#[test]
fn threads_write_to_files_that_were_made_before_on_the_real_disk() {
    let folder = tempfile::tempdir().expect("made");
    let options = Options { data_segment_bytes_max: 3 << 20, ..Options::default() };
    let journal =
        Journal::create(folder.path(), CreateOptions::default(), options.clone()).expect("created");
    let session = journal.begin_bulk().expect("begun");
    let writers: Vec<_> = (0..3).map(|_| session.writer(4).expect("made")).collect();
    let threads: Vec<_> = (0..)
        .zip(writers)
        .map(|(number, mut writer)| {
            assert!((4..=8).contains(&writer.raw_fds().len()), "{:?}", writer.raw_fds());
            thread::spawn(move || {
                let placed: Vec<_> = (0..100)
                    .map(|seed| {
                        let bytes = 8 * (1 + (seed * 7919 + number * 31) % 16_000) as usize;
                        put(&mut writer, number * 100 + seed, bytes).expect("written")
                    })
                    .collect();
                (writer.finish().expect("finished"), placed)
            })
        })
        .collect();
    session.sync().expect("synced beside those who write");
    let (mut extents, mut placed) = (Vec::new(), Vec::new());
    for thread in threads {
        let (more, records) = thread.join().expect("joined");
        extents.extend(more);
        placed.extend(records);
    }
    assert!(extents.len() > 3, "{extents:?}");
    adopt(session, &extents);
    check(&journal, &extents, &placed);
    journal.close().expect("closed");
    check(&Journal::open(folder.path(), options).expect("opened"), &extents, &placed);
}

/// A store moves its records itself: their extents go, and what else lies with them stays, however
/// large it is.
#[test]
fn an_extent_larger_than_a_segment_is_kept_by_a_compaction_that_drops_others() {
    let disk = SimulatedDisk::new(5);
    let journal = create(&disk);
    let session = journal.begin_bulk().expect("begun");
    let (mut records, mut other) =
        (session.writer(1).expect("made"), session.writer(1).expect("made"));
    let placed: Vec<_> =
        (0..30).map(|seed| put(&mut records, seed, 50_000).expect("written")).collect();
    let dropped = records.finish().expect("finished");
    let whole = content(7, 3_000_000);
    other.write(&whole).expect("written");
    let kept = other.finish().expect("finished");
    drop((records, other));
    adopt(session, &[dropped[0], kept[0]]);
    let decide = |_: &_, extent: &Extent| match *extent == kept[0] {
        true => ExtentFate::Keep,
        false => ExtentFate::Drop,
    };
    let segments = [dropped[0].segment, kept[0].segment];
    let rule = CompactionRule {
        segments: Some(&segments),
        decide: Some(&decide),
        ..CompactionRule::default()
    };
    let compacted = journal.compact_data(&rule).expect("compacted");
    assert_eq!((compacted.kept, compacted.dropped), (1, 1));
    assert!(compacted.bytes_after < 3_100_000, "{compacted:?}");
    drop(journal);
    let journal = open(&disk.power_loss(1));
    assert!(journal.read_extent(&kept[0], 0..kept[0].bytes).expect("read") == whole);
    let refused = journal.read_extent(&dropped[0], 0..8);
    assert!(matches!(refused, Err(Error::ExtentDropped { .. })), "{refused:?}");
    assert!(journal.data_segment(placed[0].0).expect_err("gone").is_absent());
    // A compaction of what a compaction has written keeps what it kept.
    let rule = CompactionRule { segments: Some(&compacted.outputs), ..CompactionRule::default() };
    journal.compact_data(&rule).expect("compacted");
    assert!(journal.read_extent(&kept[0], 0..kept[0].bytes).expect("read") == whole);
}
