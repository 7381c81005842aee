//! Faults of the disk, a full disk, and rot.

use std::{path::Path, sync::atomic::Ordering};

use icecore_disk::{
    Access, Disk, Error, Fault, FaultKind, FaultPoint, Publish, SHARED_PAGE_BYTES, SimulatedDisk,
};

use super::{SEEDS, durable, image, open, outcomes, set};

/// `EIO` and `ENOSPC`.
const BROKEN: i32 = 5;
const FULL: i32 = 28;

fn at_next(disk: &SimulatedDisk, kind: FaultKind) {
    disk.add_fault(Fault { point: FaultPoint::Operation(disk.operations()), kind });
}

fn errno<T>(answer: Result<T, Error>) -> Option<i32> {
    match answer {
        Err(Error::Path { source, .. }) => source.raw_os_error(),
        _ => None,
    }
}

#[test]
fn a_failing_write_leaves_any_prefix_but_the_whole_and_strikes_once() {
    let mut prefixes = set([]);
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let file = durable(&disk, "/file", b"");
        at_next(&disk, FaultKind::WriteFails { errno: BROKEN });
        assert_eq!(errno(file.write_at(0, b"0123456789")), Some(BROKEN));
        let content = disk.read_file("/file");
        assert!(b"0123456789".starts_with(&content[..]));
        prefixes.insert(content.len());
        assert_eq!(disk.faults(), []);
        file.write_at(0, b"0123456789").expect("it struck");
    }
    assert_eq!(prefixes, (0..10).collect());
}

#[test]
fn a_fault_waits_for_its_path_its_count_and_its_kind_of_call() {
    let disk = SimulatedDisk::new(1);
    let (log, other) = (durable(&disk, "/log", b""), durable(&disk, "/other", b""));
    let point = FaultPoint::Path { part: "log".to_string(), passed: 2 };
    disk.add_fault(Fault { point, kind: FaultKind::WriteFails { errno: FULL } });
    for _ in 0..2 {
        log.write_at(0, b"x").expect("let pass");
        other.write_at(0, b"x").expect("another path");
        log.sync().expect("another call");
    }
    assert_eq!(errno(log.write_at(0, b"x")), Some(FULL));
    log.write_at(0, b"x").expect("it struck");
}

#[test]
fn other_calls_fail_and_change_nothing() {
    let disk = SimulatedDisk::new(2);
    let file = durable(&disk, "/file", b"abc");
    let before = image(&disk);
    let (path, new) = (Path::new("/file"), Path::new("/new"));
    let changes: [&dyn Fn() -> Option<i32>; 5] = [
        &|| errno(disk.create(new)),
        &|| errno(disk.create_folder(new)),
        &|| errno(disk.remove(path)),
        &|| errno(file.truncate(0)),
        &|| errno(file.reserve(100)),
    ];
    for change in changes {
        at_next(&disk, FaultKind::ChangeFails { errno: FULL });
        assert_eq!(change(), Some(FULL));
        assert_eq!(image(&disk), before);
    }
    at_next(&disk, FaultKind::RenameFails);
    assert_eq!(errno(disk.rename(path, new, Publish::New)), Some(BROKEN));
    assert_eq!(image(&disk), before);
    at_next(&disk, FaultKind::ReadFails);
    assert_eq!(errno(file.read_at(0, &mut [0; 3])), Some(BROKEN));
    assert_eq!(file.read_at(0, &mut [0; 3]).expect("it struck"), 3);
}

#[test]
fn a_failed_sync_of_a_folder_leaves_its_names_uncertain() {
    let disk = SimulatedDisk::new(3);
    disk.create(Path::new("/file")).expect("created");
    at_next(&disk, FaultKind::SyncFolderFails);
    assert_eq!(errno(disk.sync_folder(Path::new("/"))), Some(BROKEN));
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([0, 1]));
    disk.sync_folder(Path::new("/")).expect("it struck");
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([1]));
}

#[test]
fn a_misdirected_write_lands_whole_sectors_away_and_nobody_is_told() {
    let mut landed = set([]);
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let file = durable(&disk, "/file", &[1; 4 * 512]);
        durable(&disk, "/other", &[1; 2 * 512]);
        at_next(&disk, FaultKind::Misdirect);
        file.write_at(512 + 10, &[2; 20]).expect("nobody is told");
        for (path, content) in image(&disk) {
            if let Some(offset) = content.iter().position(|byte| *byte == 2) {
                assert_eq!(content.iter().filter(|byte| **byte == 2).count(), 20);
                landed.insert((path, offset));
            }
        }
    }
    let places = [("/file", 10), ("/file", 1034), ("/file", 1546), ("/other", 10), ("/other", 522)];
    assert_eq!(landed, set(places.map(|(path, offset)| (path.to_string(), offset))));

    let disk = SimulatedDisk::new(1);
    let file = durable(&disk, "/file", b"");
    at_next(&disk, FaultKind::Misdirect);
    file.write_at(0, b"abc").expect("nobody is told");
    assert_eq!(disk.read_file("/file"), [0; 3], "the file grew, and holds nothing of it");
}

#[test]
fn a_full_disk_takes_what_fits_and_gets_room_back() {
    let disk = SimulatedDisk::new(4);
    let file = durable(&disk, "/file", b"0123456789");
    disk.set_space(5);
    file.write_at(0, b"9876543210").expect("no room is needed in place");
    assert_eq!(errno(file.write_at(8, b"abcdefghij")), Some(FULL));
    assert_eq!(disk.read_file("/file"), b"98765432abcdefg");
    let error = file.write_at(15, b"x").expect_err("full");
    assert!(error.to_string().contains("free space"), "{error}");
    assert_eq!(errno(file.write_at(1000, b"x")), Some(FULL));
    assert_eq!(errno(file.reserve(16)), Some(FULL));
    assert_eq!(errno(file.truncate(16)), Some(FULL));
    assert_eq!(file.bytes().expect("a size"), 15);
    assert_eq!(disk.available_bytes(Path::new("/")).expect("told"), 0);
    let other = disk.create(Path::new("/other")).expect("a name needs no room");
    assert_eq!(errno(other.write_at(0, b"x")), Some(FULL));
    file.truncate(12).expect("cut");
    other.write_at(0, b"xyz").expect("room was given back");
    disk.remove(Path::new("/file")).expect("removed");
    assert_eq!(disk.available_bytes(Path::new("/")).expect("told"), 12);
    assert_eq!(errno(open(&disk.kill(), "/other").write_at(0, &[0; 16])), Some(FULL));
}

#[test]
fn rot_is_on_the_medium_and_in_what_is_read() {
    let disk = SimulatedDisk::new(5);
    let file = durable(&disk, "/file", &[0; 2000]);
    file.write_at(600, &[1; 2]).expect("written");
    disk.flip_bit("/file", 600, 7);
    disk.overwrite("/file", 510, b"rot!");
    disk.flip_bit("/file", 1999, 0);
    let content = disk.read_file("/file");
    assert_eq!((&content[510..514], content[600], content[1999]), (&b"rot!"[..], 0x81, 1));
    let after = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        assert_eq!((&content[510..514], content[1999]), (&b"rot!"[..], 1));
        content[600]
    });
    assert_eq!(after, set([0x80, 0x81]), "it rots whether the write was kept or not");
    disk.truncate_file("/file", 511);
    assert_eq!(
        outcomes(&disk, |disk| disk.read_file("/file")[509..].to_vec()),
        set([b"\0r".to_vec()])
    );
    file.truncate(600).expect("lengthened");
    assert_eq!(disk.read_file("/file")[511..], [0; 89]);
}

#[test]
fn rot_of_a_shared_page_is_seen_in_its_words() {
    let disk = SimulatedDisk::new(6);
    let page = disk.shared_page(Path::new("/page"), Access::ReadWrite).expect("mapped");
    page.words()[2].store(8, Ordering::Relaxed);
    disk.flip_bit("/page", 16, 0);
    disk.overwrite("/page", SHARED_PAGE_BYTES as u64 - 8, &[1]);
    assert_eq!([2, 511].map(|index: usize| page.words()[index].load(Ordering::Relaxed)), [9, 1]);
}
