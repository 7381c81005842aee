//! Bytes on the medium change by themselves.

use icecore_disk::SimulatedDisk;
use icecore_journal::{
    AppendOptions, Batch, Durability, Error, Journal, NewEvent, Options, Policy,
};

use crate::{driver, folder, options};

const SEGMENT: &str = "chain-00000001.seg";

fn append(journal: &Journal, number: u64, durability: Durability) -> u64 {
    let payload = number.to_le_bytes().repeat(20);
    let batch = Batch::of(&NewEvent::new(b"stream", 1, &payload)).expect("fits");
    let options = AppendOptions { durability, ..AppendOptions::default() };
    journal.append(&batch, &options).expect("appended").end_sequence()
}

/// A segment in which durable events are followed by others that say so, and those by events that
/// may be lost. Returns the disk as a kill leaves it, how many events are said to be durable, and
/// how many there are.
fn left() -> (SimulatedDisk, u64, u64) {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    let mut durable_end = 0;
    for number in 0..2 {
        append(&journal, number, Durability::Written);
        durable_end = append(&journal, number, Durability::Durable);
    }
    append(&journal, 7, Durability::Written);
    let end = append(&journal, 8, Durability::Written);
    (disk.kill(), durable_end, end)
}

/// Opens what rot has left. Whatever was said to be durable is there, or the journal is refused.
fn judge(disk: &SimulatedDisk, durable_end: u64, end: u64, what: &str) -> &'static str {
    match driver::open(disk) {
        Ok(journal) => {
            assert!(journal.end() >= durable_end, "{what}: durable events are gone");
            for sequence in 0..journal.end() {
                let payload = journal.read(sequence).expect("it is in the journal");
                assert_eq!(payload.payload().len(), 160, "{what}");
            }
            let recovery = journal.recovery();
            if journal.end() == end {
                return "whole";
            }
            // A last frame whose start is zeros is nothing at all.
            let is_told = recovery.cut_bytes > 0 && recovery.cut_because.is_some();
            if is_told { "cut" } else { "ends before" }
        }
        Err(Error::Damaged { path, durable_end: stated, sequence, .. }) => {
            assert!(path.ends_with(SEGMENT), "{what}: {}", path.display());
            assert!(sequence < stated && stated == durable_end, "{what}");
            "refused"
        }
        Err(Error::Corrupt { path, offset, .. }) => {
            assert!(path.ends_with(SEGMENT) && offset < 4096, "{what}: {}", path.display());
            "refused"
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Where each event lies, found by its payload.
fn place_of(segment: &[u8], number: u64) -> usize {
    let payload = number.to_le_bytes().repeat(20);
    segment.windows(payload.len()).position(|window| window == payload).expect("it is there")
}

#[test]
fn rot_below_durable_is_refused_above_is_cut() {
    let (disk, durable_end, end) = left();
    let path = folder().join(SEGMENT);
    let segment = disk.read_file(&path);
    let unproven = place_of(&segment, 7) - 512;
    let mut counts = std::collections::BTreeMap::new();
    for byte in 0..segment.len() as u64 {
        let rotten = disk.kill();
        rotten.flip_bit(&path, byte, (byte % 8) as u32);
        let judged = judge(&rotten, durable_end, end, &format!("byte {byte}"));
        *counts.entry(judged).or_insert(0) += 1;
        assert!(judged != "ends before", "byte {byte}");
        assert!(judged != "refused" || (byte as usize) < unproven, "byte {byte} was not durable");
    }
    // Four durable events of 300 bytes and more; the last two can be cut.
    assert!(counts["refused"] > 4 * 300 && counts["cut"] > 2 * 300, "{counts:?}");
    for sector in 0..segment.len() as u64 / 512 {
        let rotten = disk.kill();
        rotten.overwrite(&path, sector * 512, &[0; 512]);
        let judged = judge(&rotten, durable_end, end, &format!("sector {sector}"));
        let is_below = sector * 512 + 512 <= unproven as u64;
        assert!(judged != "refused" || is_below, "sector {sector} was not durable");
    }
}

#[test]
fn rot_is_cut_where_later_frames_reached_the_disk_before_earlier_ones() {
    let (disk, durable_end, end) = left();
    let path = folder().join(SEGMENT);
    let segment = disk.read_file(&path);
    let (first, second) = (place_of(&segment, 7) as u64, place_of(&segment, 8) as u64);
    // The first of the two frames that were not synced never reached the disk, the second did.
    disk.overwrite(&path, first - 100, &vec![0; (second - first) as usize / 2]);
    assert_eq!(judge(&disk, durable_end, end, "a hole"), "cut");
    let journal = driver::open(&disk).expect("opened before");
    assert_eq!(journal.end(), durable_end, "nothing behind a hole is part of the chain");
}

#[test]
fn the_strict_policy_changes_nothing() {
    let (disk, durable_end, end) = left();
    let before: Vec<_> = disk.file_names();
    let strict = Options { policy: Policy::Strict, ..options() };
    let refused = Journal::open_on(std::sync::Arc::new(disk.clone()), folder(), strict);
    match refused {
        Err(Error::NeedsRepair { rewritten_events, cut_bytes, .. }) => {
            // The last acknowledgement is nowhere on the medium.
            assert_eq!((rewritten_events, cut_bytes), (end - durable_end, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.file_names(), before);
    assert_eq!(judge(&disk, durable_end, end, "opened with the other policy"), "whole");
}

#[test]
fn a_journal_that_was_closed_is_refused_when_its_last_event_rots() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append(&journal, 1, Durability::Durable);
    journal.close().expect("closed");
    let path = folder().join(SEGMENT);
    let place = place_of(&disk.read_file(&path), 1) as u64;
    for byte in place..place + 160 {
        let rotten = disk.kill();
        rotten.flip_bit(&path, byte, 3);
        assert!(matches!(driver::open(&rotten), Err(Error::Damaged { .. })), "byte {byte}");
    }
}

#[test]
fn an_idle_journal_says_on_the_disk_how_far_it_is_durable() {
    let disk = SimulatedDisk::new(1);
    let journal = driver::create(&disk).expect("created");
    append(&journal, 1, Durability::Durable);
    journal.tend().expect("tended");
    let killed = disk.kill();
    let path = folder().join(SEGMENT);
    let place = place_of(&killed.read_file(&path), 1) as u64;
    killed.flip_bit(&path, place, 0);
    assert!(matches!(driver::open(&killed), Err(Error::Damaged { durable_end: 1, .. })));
}
