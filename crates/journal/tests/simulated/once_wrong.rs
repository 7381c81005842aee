//! What this journal did wrong once.

use std::path::Path;

use icecore_disk::{Disk, Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, By, Durability, Error, Expectation, Journal, NewEvent, Query,
};

use crate::{driver, folder};

fn append_to(journal: &Journal, stream: &[u8], bytes: usize, durability: Durability) -> u64 {
    let batch = Batch::of(&NewEvent::new(stream, 1, &vec![7; bytes])).expect("fits");
    let options = AppendOptions { durability, ..AppendOptions::default() };
    journal.append(&batch, &options).expect("appended").stream_versions[0]
}

/// Whether there is an index file of more than one segment.
pub(crate) fn has_groups(disk: &SimulatedDisk) -> bool {
    let is_merged = |name: &str| name.starts_with("index-") && name[6..14] != name[15..23];
    disk.list(folder()).expect("listed").iter().any(|entry| is_merged(&entry.name))
}

#[test]
fn a_recovery_that_is_cut_short_again_and_again_runs_out_of_ids() {
    let mut disk = SimulatedDisk::new(1);
    append_to(&driver::create(&disk).expect("created"), b"stream", 9, Durability::Durable);
    for attempt in 0..12 {
        disk = disk.kill();
        // The new segment is there, and the manifest does not say so.
        disk.add_fault(Fault {
            point: FaultPoint::Path { part: "manifest".into(), passed: 0 },
            kind: FaultKind::RenameFails,
        });
        assert!(driver::open(&disk).is_err(), "attempt {attempt}");
    }
    assert_eq!(driver::open(&disk).expect("opened in the end").end(), 1);
}

#[test]
fn segments_of_a_recovered_journal_are_never_merged_as_their_ids_go_down() {
    let mut disk = SimulatedDisk::new(1);
    drop(driver::create(&disk).expect("created"));
    for _ in 0..20 {
        let journal = driver::open(&disk).expect("opened");
        for _ in 0..30 {
            append_to(&journal, b"stream", 3000, Durability::Written);
        }
        disk = disk.kill();
    }
    driver::open(&disk).expect("opened").tend().expect("merged");
    assert!(has_groups(&disk));
}

#[test]
fn a_rotten_index_file_keeps_all_others_from_being_merged() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    for number in 0..300 {
        append_to(&journal, b"stream", 3000, Durability::Written);
        if number == 100 {
            journal.tend().expect("sealed");
            disk.truncate_file(folder().join("index-00000001-00000001.idx"), 100);
        }
    }
    journal.tend().expect("merged");
    assert!(has_groups(&disk));
}

#[test]
fn a_new_stream_makes_the_writer_forget_one_that_was_not_written_yet() {
    let journal = driver::create(&SimulatedDisk::new(1)).expect("created");
    let name = |stream: u32| format!("stream-{stream}").into_bytes();
    // As many streams as are remembered; then another one is looked up.
    for stream in 0..8 {
        assert_eq!(append_to(&journal, &name(stream), 9, Durability::Buffered), 0);
    }
    let other = [(&b"other"[..], Expectation::NoStream)];
    let options = AppendOptions {
        expectations: &other,
        durability: Durability::Buffered,
        ..AppendOptions::default()
    };
    let batch = Batch::of(&NewEvent::new(b"third", 1, b"")).expect("fits");
    journal.append(&batch, &options).expect("there is no such stream");
    for stream in 0..8 {
        assert_eq!(append_to(&journal, &name(stream), 9, Durability::Buffered), 1);
    }
}

#[test]
fn a_time_before_an_empty_last_segment_finds_nothing() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append_to(&journal, b"stream", 9, Durability::Durable);
    journal.tend().expect("a head mark is written");
    drop(journal);
    let journal = driver::open(&disk).expect("opened, with a new segment");
    let time = journal.read(0).expect("read").time();
    let query = Query::new(By::Sequence).times(time..time + 1);
    assert_eq!(journal.history().scan(query).expect("by sequence").count(), 1);
}

#[test]
fn a_batch_is_called_taken_back_and_is_there_after_the_next_start() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    let chain = || FaultPoint::Path { part: "chain-".into(), passed: 0 };
    disk.add_fault(Fault { point: chain(), kind: FaultKind::WriteFails { errno: 5 } });
    disk.add_fault(Fault { point: chain(), kind: FaultKind::ChangeFails { errno: 5 } });
    let batch = Batch::of(&NewEvent::new(b"stream", 1, b"content")).expect("fits");
    let buffered = AppendOptions { durability: Durability::Buffered, ..AppendOptions::default() };
    let ticket = journal.submit(&batch, &buffered).expect("accepted");
    for _ in 0..2 {
        let told = ticket.wait(Durability::Written);
        assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
    }
}

#[test]
fn a_loss_of_power_takes_the_whole_folder() {
    let disk = SimulatedDisk::new(1);
    disk.create_folder(Path::new("/state")).expect("made");
    disk.sync_folder(Path::new("/")).expect("synced");
    append_to(&driver::create(&disk).expect("created"), b"stream", 9, Durability::Durable);
    for loss in 0..20 {
        assert_eq!(driver::open(&disk.power_loss(loss)).expect("opened").end(), 1);
    }
}
