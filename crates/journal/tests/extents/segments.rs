//! Data segments as one reads them whose records carry their own checks, and pins with values of the
//! owner.

use std::{borrow::Cow, sync::Arc};

use icecore_disk::{ProcessIdentity, SimulatedDisk};
use icecore_journal::{
    CompactionRule, DataSegmentInfo, Error, Extent, ExtentFate, Journal, Reader,
};

use super::{FOLDER, adopting, append, content, create, data_files, open};

const LEASE: u64 = 3_600_000_000_000;
const BYTES: usize = 100_000;

fn reader(disk: &SimulatedDisk) -> Reader {
    Reader::open_on(Arc::new(disk.with_process(77, 1)), FOLDER).expect("opened")
}

/// A journal with adopted extents in several segments.
fn filled(disk: &SimulatedDisk) -> (Journal, Vec<Extent>) {
    let journal = create(disk);
    let extents: Vec<_> = (0..6)
        .map(|seed| {
            let extent = journal.write_extent(&content(seed, BYTES)).expect("written");
            append(&journal, &adopting(&[extent])).expect("appended");
            extent
        })
        .collect();
    (journal, extents)
}

fn infos(segments: &[DataSegmentInfo]) -> Vec<(u32, bool)> {
    segments.iter().map(|info| (info.id, info.is_sealed)).collect()
}

#[test]
fn a_segment_gives_its_bytes_before_and_after_it_is_sealed() {
    let disk = SimulatedDisk::new(1);
    let (journal, extents) = filled(&disk);
    let beside = reader(&disk);
    let open_bytes: Vec<_> =
        extents.iter().map(|extent| beside.data_segment(extent.segment).expect("opened")).collect();
    journal.close().expect("closed");
    beside.refresh().expect("refreshed");
    let journal = open(&disk);
    for (seed, (extent, written)) in (0..).zip(extents.iter().zip(&open_bytes)) {
        let expected = &content(seed, BYTES)[300..900];
        assert!(!written.is_sealed());
        assert_eq!(written.id(), extent.segment);
        assert_eq!(*written.get(extent.offset + 300, 600).expect("read"), *expected);
        for history in [journal.history(), beside.history()] {
            let sealed = history.data_segment(extent.segment).expect("opened");
            assert!(sealed.is_sealed());
            let read = sealed.get(extent.offset + 300, 600).expect("read");
            assert!(matches!(read, Cow::Borrowed(_)));
            assert_eq!(*read, *expected);
            for (offset, bytes) in [(1 << 20, 1), (0, 1 << 30), (u64::MAX, 2), (8, usize::MAX)] {
                for segment in [&sealed, written] {
                    let beyond = segment.get(offset, bytes);
                    assert!(matches!(beyond, Err(Error::Corrupt { .. })), "{offset} {bytes}");
                }
            }
        }
    }
}

#[test]
fn segments_in_use_are_listed_and_rewritten_ones_are_not() {
    let disk = SimulatedDisk::new(2);
    let (journal, extents) = filled(&disk);
    let mut ids: Vec<_> = extents.iter().map(|extent| extent.segment).collect();
    ids.dedup();
    let unsealed: Vec<_> = ids.iter().map(|id| (*id, false)).collect();
    assert_eq!(infos(&journal.data_segments()), unsealed);
    let last = extents[5];
    let listed = journal.data_segments();
    let end = listed.last().expect("there").bytes;
    assert!((last.offset + last.bytes..last.offset + last.bytes + 4096).contains(&end), "{end}");
    journal.close().expect("closed");
    let journal = open(&disk);
    let session = journal.begin_bulk().expect("begun");
    session.segment().expect("made").append_extent(&content(9, BYTES)).expect("written");
    let sealed: Vec<_> = ids.iter().map(|id| (*id, true)).collect();
    assert_eq!(infos(&journal.data_segments()), sealed, "not those of a session");
    assert_eq!(infos(&reader(&disk).data_segments()), sealed);
    let rule = CompactionRule { segments: Some(&ids[..1]), ..CompactionRule::default() };
    let outputs = journal.compact_data(&rule).expect("compacted").outputs;
    let left: Vec<_> = sealed[1..].iter().copied().chain([(outputs[0], true)]).collect();
    assert_eq!(infos(&journal.data_segments()), left);
}

/// What a store does that has moved all its records itself: the extents that held them go, and their
/// segments with them.
#[test]
fn a_segment_whose_extents_are_dropped_is_gone_for_who_opens_it_and_not_for_who_has_it() {
    let disk = SimulatedDisk::new(3);
    let (journal, extents) = filled(&disk);
    journal.close().expect("closed");
    let journal = open(&disk);
    let beside = reader(&disk);
    let id = extents[0].segment;
    let (held, read) = (beside.data_segment(id).expect("opened"), content(0, BYTES));
    let pin = beside.pin_files(LEASE).expect("pinned");
    let drop_all = |_: &_, _: &_| ExtentFate::Drop;
    let rule = CompactionRule {
        segments: Some(&[id]),
        decide: Some(&drop_all),
        ..CompactionRule::default()
    };
    let compacted = journal.compact_data(&rule).expect("compacted");
    assert_eq!((compacted.kept, compacted.dropped), (0, 2));
    assert!(beside.data_segment(id).is_ok(), "its file is pinned");
    drop(pin);
    journal.tend().expect("tended");
    for history in [journal.history(), beside.history()] {
        let gone = history.data_segment(id).expect_err("gone");
        assert!(
            matches!(gone, Error::SegmentGone { segment } if segment == id) && gone.is_absent()
        );
        assert!(history.data_segment(4711).expect_err("never was").is_absent());
        assert!(history.data_segments().iter().all(|info| info.id != id));
        let left = extents.iter().find(|extent| extent.segment != id).expect("several segments");
        assert!(history.data_segment(left.segment).is_ok());
    }
    assert_eq!(*held.get(extents[0].offset, BYTES).expect("held"), read);
    drop(journal);
    let journal = open(&disk.power_loss(1));
    assert!(journal.data_segment(id).expect_err("gone").is_absent());
    let refused = journal.read_extent(&extents[0], 0..1);
    assert!(matches!(refused, Err(Error::ExtentDropped { .. })), "{refused:?}");
}

#[test]
fn a_sealed_segment_that_became_shorter_is_refused() {
    let disk = SimulatedDisk::new(4);
    let (journal, extents) = filled(&disk);
    journal.close().expect("closed");
    let journal = open(&disk);
    let last = &data_files(&disk)[2];
    disk.truncate_file(last, 5000);
    let refused = journal.data_segment(extents[5].segment).map(|_| ());
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[test]
fn pins_with_values_of_the_owner_are_listed_and_keep_no_files() {
    let disk = SimulatedDisk::new(5);
    let (journal, extents) = filled(&disk);
    let (one, other) = (reader(&disk), reader(&disk));
    assert_eq!(journal.pins().expect("listed"), []);
    let files = one.pin_files(LEASE).expect("pinned");
    let mut slot = one.pin(3, LEASE).expect("pinned");
    let later = other.pin((1 << 63) - 1, LEASE).expect("pinned");
    let mine = journal.pin(9, LEASE).expect("pinned");
    assert!(matches!(one.pin(1 << 63, LEASE), Err(Error::Unfit { .. })));
    assert!(matches!(journal.pin(u64::MAX, LEASE), Err(Error::Unfit { .. })));
    let pins = journal.pins().expect("listed");
    let found: Vec<_> = pins.iter().map(|pin| (pin.process.id, pin.value)).collect();
    let own = icecore_disk::Disk::process(&disk).id;
    assert_eq!(found, [(77, 3), (77, (1 << 63) - 1), (own, 9)]);
    assert!(pins.iter().all(|pin| pin.until > LEASE));
    slot.renew(2 * LEASE).expect("renewed");
    assert!(journal.pins().expect("listed")[0].until > pins[0].until);
    drop((later, mine, files));
    assert_eq!(journal.pins().expect("listed").len(), 1);
    journal.close().expect("closed");
    let journal = open(&disk);
    let id = extents[0].segment;
    let rule = CompactionRule { segments: Some(&[id]), ..CompactionRule::default() };
    let outputs = journal.compact_data(&rule).expect("compacted").outputs;
    assert!(journal.data_segment(id).expect_err("no files are pinned").is_absent());
    assert!(journal.data_segment(outputs[0]).is_ok());
    assert!(slot.is_held());
    disk.set_alive(ProcessIdentity { id: 77, start_time: 1 }, false);
    assert_eq!(journal.pins().expect("listed"), []);
    assert!(!slot.is_held(), "it was taken back");
}
