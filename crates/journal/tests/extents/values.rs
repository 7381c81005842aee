//! What was written is read, whole and in parts, now and later; what is not what was written is not.

use icecore_disk::SimulatedDisk;
use icecore_journal::{AppendOptions, Batch, Digest, Durability, Error, Extent, NewEvent};

use super::{FOLDER, adopting, append, content, create, data_files, open};

const CHUNK: usize = 64 << 10;

#[test]
fn an_extent_is_read_whole_and_in_parts_while_open_and_when_sealed() {
    let disk = SimulatedDisk::new(1);
    let mut journal = create(&disk);
    let sizes = [0, 1, 7, 8, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 100, 5 * CHUNK];
    let extents: Vec<_> = sizes
        .iter()
        .map(|bytes| journal.write_extent(&content(*bytes as u64, *bytes)).expect("written"))
        .collect();
    append(&journal, &adopting(&extents)).expect("appended");
    for round in 0..3 {
        let event = journal.read(0).expect("read");
        assert_eq!(event.extents(), extents);
        for (extent, bytes) in extents.iter().zip(sizes) {
            let whole = content(bytes as u64, bytes);
            assert_eq!(journal.read_extent(extent, 0..bytes as u64).expect("read"), whole);
            let reader = journal.open_extent(extent).expect("opened");
            for (start, end) in [(0, 0), (bytes / 2, bytes), (bytes / 3, bytes / 2), (bytes, bytes)]
            {
                let part = reader.read(start as u64..end as u64).expect("read");
                assert_eq!(part, whole[start..end], "{start}..{end} of {bytes}, round {round}");
            }
            let beyond = reader.read(0..bytes as u64 + 1);
            assert!(matches!(beyond, Err(Error::Unfit { .. })), "{beyond:?}");
        }
        journal.close().expect("closed");
        journal = open(&disk);
        assert_eq!(journal.recovery().unknown_files, Vec::<String>::new());
    }
    // 256 KiB to a segment: the largest has one of its own.
    assert_eq!(data_files(&disk).len(), 3);
}

#[test]
fn an_extent_can_be_written_in_any_pieces() {
    let disk = SimulatedDisk::new(2);
    let journal = create(&disk);
    let whole = content(5, 700_001);
    let at_once = journal.write_extent(&whole).expect("written");
    for pieces in [1, 1000, CHUNK, 300_000] {
        let mut writer = journal.extent_writer(whole.len() as u64).expect("begun");
        assert!(writer.position().1 > 0);
        for piece in whole.chunks(pieces.max(997)) {
            writer.write(piece).expect("written");
        }
        assert!(matches!(writer.write(&[0]), Err(Error::Unfit { .. })), "too much");
        let extent = writer.finish().expect("finished");
        assert_eq!(extent.digest, at_once.digest);
        let read = journal.read_extent(&extent, 0..extent.bytes).expect("read");
        assert!(read == whole);
    }
    let mut writer = journal.extent_writer(2).expect("begun");
    writer.write(&[1]).expect("written");
    assert!(matches!(writer.finish(), Err(Error::Unfit { .. })), "too little");
}

#[test]
fn a_large_payload_lies_in_an_extent_and_is_read_as_any_other() {
    let disk = SimulatedDisk::new(3);
    let journal = create(&disk);
    let sizes = [CHUNK - 1, CHUNK, 1_000_000, 10];
    let mut batch = Batch::new();
    let adopted = journal.write_extent(b"adopted beside").expect("written");
    for bytes in sizes {
        let payload = content(bytes as u64, bytes);
        let event = NewEvent { extents: &[adopted], ..NewEvent::new(b"large", 1, &payload) };
        batch.push(&event).expect("fits");
    }
    let idempotent = AppendOptions { idempotency_key: Some(b"once"), ..AppendOptions::default() };
    let receipt = journal.append(&batch, &idempotent).expect("appended");
    assert_eq!(journal.append(&batch, &idempotent).expect("known"), receipt);
    let check = |journal: &icecore_journal::Journal| {
        assert_eq!(journal.end(), sizes.len() as u64);
        for (sequence, bytes) in (0..).zip(sizes) {
            let event = journal.read(sequence).expect("read");
            assert_eq!(event.is_payload_in_extent(), bytes >= CHUNK);
            assert_eq!(event.extents().last(), Some(&adopted));
            assert!(*journal.payload(&event).expect("read") == content(bytes as u64, bytes));
        }
    };
    check(&journal);
    drop(journal);
    check(&open(&disk.power_loss(9)));
    check(&open(&disk.kill()));
}

#[test]
fn an_event_adopts_only_what_was_written_to_this_journal() {
    let disk = SimulatedDisk::new(4);
    let journal = create(&disk);
    let good = journal.write_extent(&content(1, 5000)).expect("written");
    let end = good.offset + 5032;
    let digest = Digest([7; 32]);
    for bad in [
        Extent { segment: good.segment + 1, ..good },
        Extent { segment: 1, ..good },
        Extent { segment: 0, ..good },
        Extent { offset: good.offset + 8, ..good },
        Extent { offset: 0, ..good },
        Extent { offset: good.offset + 1, ..good },
        Extent { bytes: good.bytes + 8, ..good },
        Extent { offset: u64::MAX - 7, ..good },
        Extent { bytes: u64::MAX, ..good },
        Extent { segment: good.segment, offset: end, bytes: 1, digest },
    ] {
        let refused = append(&journal, &adopting(&[good, bad]));
        assert!(matches!(refused, Err(Error::Unfit { .. })), "{bad:?}: {refused:?}");
    }
    assert_eq!(journal.end(), 0);
    append(&journal, &adopting(&[good])).expect("appended");
    journal.close().expect("closed");
    let journal = open(&disk);
    append(&journal, &adopting(&[good])).expect("what an earlier writer wrote can be adopted");
    let beyond = Extent { offset: good.offset + 8, ..good };
    assert!(matches!(append(&journal, &adopting(&[beyond])), Err(Error::Unfit { .. })));
    let session = journal.begin_bulk().expect("begun");
    let foreign = session.segment().expect("made").append_extent(b"of a session").expect("written");
    let refused = append(&journal, &adopting(&[foreign]));
    assert!(matches!(refused, Err(Error::Unfit { .. })), "its session may be aborted");
}

#[test]
fn every_flipped_byte_of_an_extent_and_its_list_is_noticed() {
    let disk = SimulatedDisk::new(5);
    let bytes = CHUNK + 37;
    let extent = {
        let journal = create(&disk);
        let extent = journal.write_extent(&content(1, bytes)).expect("written");
        append(&journal, &adopting(&[extent])).expect("appended");
        journal.close().expect("closed");
        extent
    };
    let path = format!("{FOLDER}/data-{:08}.seg", extent.segment);
    let list = (extent.offset + extent.bytes).next_multiple_of(8);
    let all = extent.offset..list + 64;
    // Opening takes long: every byte of the list and of the ends, and some between.
    let is_tried = |at: &u64| {
        *at >= extent.offset + extent.bytes - 3
            || *at < extent.offset + 3
            || at.is_multiple_of(4099)
    };
    for at in all.filter(is_tried) {
        if (extent.offset + extent.bytes..list).contains(&at) {
            continue;
        }
        disk.flip_bit(&path, at, (at % 8) as u32);
        let journal = open(&disk.kill());
        match journal.read_extent(&extent, 0..extent.bytes) {
            Err(Error::Corrupt { path: named, offset, .. }) => {
                assert_eq!(named.display().to_string(), path);
                assert!(offset <= at && at < offset + CHUNK as u64, "{at} is not at {offset}");
            }
            other => panic!("byte {at}: {:?}", other.map(|read| read.len())),
        }
        let is_in_list = at >= list;
        let other_chunk = if at < extent.offset + CHUNK as u64 { CHUNK as u64 } else { 0 };
        let part = journal.read_extent(&extent, other_chunk..other_chunk + 10);
        assert_eq!(part.is_err(), is_in_list, "only the part that is damaged is lost");
        disk.flip_bit(&path, at, (at % 8) as u32);
    }
    let journal = open(&disk);
    assert!(journal.read_extent(&extent, 0..extent.bytes).is_ok());
}

#[test]
fn a_missing_or_cut_data_segment_is_refused_with_its_name() {
    let disk = SimulatedDisk::new(6);
    let journal = create(&disk);
    let extent = journal.write_extent(&content(1, 5000)).expect("written");
    append(&journal, &adopting(&[extent])).expect("appended");
    let path = format!("{FOLDER}/data-{:08}.seg", extent.segment);
    journal.close().expect("closed");
    disk.truncate_file(&path, 9000);
    let refused = super::try_open(&disk);
    assert!(matches!(&refused, Err(Error::Corrupt { offset: 9000, .. })), "{refused:?}");
    icecore_disk::Disk::remove(&disk, path.as_ref()).expect("removed");
    let refused = super::try_open(&disk).expect_err("it is missing").to_string();
    assert!(refused.contains(&path), "{refused}");
}

#[test]
fn a_buffered_event_survives_the_process_with_its_extent_and_the_next_loss_of_power_too() {
    let disk = SimulatedDisk::new(7);
    let journal = create(&disk);
    let payload = content(1, 200_000);
    let batch = Batch::of(&NewEvent::new(b"large", 1, &payload)).expect("fits");
    let written = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
    journal.append(&batch, &written).expect("appended");
    let killed = disk.kill();
    let event = open(&killed).read(0).expect("what was written survives the process");
    for seed in 0..20 {
        let journal = open(&killed.power_loss(seed));
        assert!(*journal.payload(&event).expect("what was seen stays") == payload);
    }
}

#[test]
fn an_unproven_event_whose_extent_is_lost_is_cut_off() {
    let disk = SimulatedDisk::new(8);
    let journal = create(&disk);
    append(&journal, &Batch::of(&NewEvent::new(b"s", 1, b"first")).expect("fits")).expect("kept");
    let payload = content(1, 200_000);
    let batch = Batch::of(&NewEvent::new(b"large", 1, &payload)).expect("fits");
    let written = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
    journal.append(&batch, &written).expect("appended");
    let (mut kept, mut cut) = (0, 0);
    for seed in 0..60 {
        let journal = open(&disk.power_loss(seed));
        assert_eq!(journal.read(0).expect("durable").payload(), b"first");
        match journal.end() {
            1 => cut += 1,
            _ => {
                let event = journal.read(1).expect("read");
                assert!(*journal.payload(&event).expect("sound") == payload);
                kept += 1;
            }
        }
    }
    // 400 sectors are hardly ever all there.
    assert!(cut > 0 && cut + kept == 60, "{cut} cut, {kept} kept");
}

#[test]
fn sealing_makes_durable_what_the_events_of_the_segment_adopted() {
    let disk = SimulatedDisk::new(11);
    let journal = create(&disk);
    let written = AppendOptions { durability: Durability::Written, ..AppendOptions::default() };
    let payload = content(1, 100_000);
    for number in 0..30 {
        // Two inline payloads fill a segment; nobody waits for a sync.
        let payload = if number % 3 == 0 { &payload[..] } else { &payload[..30_000] };
        let batch = Batch::of(&NewEvent::new(b"s", 1, payload)).expect("fits");
        journal.append(&batch, &written).expect("appended");
    }
    for seed in 0..20 {
        let journal = open(&disk.power_loss(seed));
        assert!(journal.recovery().proven_end > 5, "{:?}", journal.recovery());
        for sequence in 0..journal.end() {
            let event = journal.read(sequence).expect("read");
            let bytes = if sequence % 3 == 0 { 100_000 } else { 30_000 };
            assert!(*journal.payload(&event).expect("adopted means readable") == payload[..bytes]);
        }
    }
}

#[test]
fn data_segments_come_into_the_manifest_without_any_sealed_chain_segment() {
    let disk = SimulatedDisk::new(10);
    let mut journal = create(&disk);
    // One segment each, far more than ids are given out beforehand, or files kept open.
    let extents: Vec<_> = (0..40)
        .map(|seed| journal.write_extent(&content(seed, 200_000)).expect("written"))
        .collect();
    append(&journal, &adopting(&extents)).expect("appended");
    for _ in 0..2 {
        for (seed, extent) in (0..).zip(&extents) {
            let read = journal.read_extent(extent, 100_000..100_010).expect("read");
            assert_eq!(read, content(seed, 200_000)[100_000..100_010]);
        }
        drop(journal);
        journal = open(&disk.power_loss(1));
        assert_eq!(journal.recovery().unknown_files, Vec::<String>::new());
    }
    assert_eq!(data_files(&disk).len(), 40);
}
