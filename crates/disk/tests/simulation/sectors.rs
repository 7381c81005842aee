//! What a loss of power does to the bytes of files.

use icecore_disk::{Disk, SimulatedDisk};

use super::{SEEDS, durable, open, outcomes, set};

const SECTOR: usize = 512;

#[test]
fn unsynced_sectors_are_kept_or_lost_in_any_order_and_never_in_part() {
    let disk = SimulatedDisk::new(1);
    let file = durable(&disk, "/file", &[b'a'; 8 * SECTOR]);
    for sector in 0..8 {
        file.write_at(sector * SECTOR as u64, &[b'b'; SECTOR]).expect("written");
    }
    let patterns = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        assert_eq!(content.len(), 8 * SECTOR);
        content.chunks(SECTOR).fold(String::new(), |mut pattern, sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector");
            pattern.push(sector[0] as char);
            pattern
        })
    });
    assert!(patterns.contains("aaaaaaaa") && patterns.contains("bbbbbbbb"));
    assert!(patterns.iter().any(|pattern| pattern.starts_with('a') && pattern.ends_with('b')));
    assert!(patterns.iter().any(|pattern| pattern.starts_with('b') && pattern.ends_with('a')));
    assert!(patterns.len() > 50, "{} patterns", patterns.len());
}

#[test]
fn one_big_write_is_torn_between_any_sectors_of_any_files() {
    let disk = SimulatedDisk::new(1);
    let files = [durable(&disk, "/one", &[0; 1024]), durable(&disk, "/two", &[0; 1024])];
    files.iter().for_each(|file| file.write_at(0, &[1; 1024]).expect("written"));
    let kept = outcomes(&disk, |disk| {
        ["/one", "/two"].map(|path| {
            let content = disk.read_file(path);
            (content[0], content[512])
        })
    });
    assert_eq!(kept.len(), 16);
}

#[test]
fn any_of_the_writes_to_a_sector_can_be_the_one_that_is_left() {
    let disk = SimulatedDisk::new(2);
    let file = durable(&disk, "/file", b"aaaa");
    for (offset, bytes) in [(0, "b"), (1, "c"), (0, "dd")] {
        file.write_at(offset, bytes.as_bytes()).expect("written");
    }
    let left = outcomes(&disk, |disk| String::from_utf8(disk.read_file("/file")).expect("letters"));
    assert_eq!(left, set(["aaaa", "baaa", "bcaa", "ddaa"].map(String::from)));
}

#[test]
fn an_appended_file_ends_anywhere_between_and_its_durable_bytes_stand() {
    let disk = SimulatedDisk::new(3);
    let file = durable(&disk, "/file", &[7; 1000]);
    file.write_at(1000, &[8; 4000]).expect("written");
    let sizes = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        assert_eq!(content[..1000], [7; 1000]);
        for sector in content[1024.min(content.len())..].chunks(SECTOR) {
            assert!(
                sector == [8; SECTOR].split_at(sector.len()).0 || sector.iter().all(|b| *b == 0)
            );
        }
        content.len()
    });
    assert_eq!((sizes.first(), sizes.last()), (Some(&1000), Some(&5000)));
    assert!(sizes.len() > 20, "{sizes:?}");
    let holes = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        content.len() == 5000 && content[2048..4096].contains(&0)
    });
    assert_eq!(holes, set([false, true]), "a size can be durable without the bytes before it");
}

#[test]
fn an_unsynced_truncation_may_not_have_happened_and_never_touches_what_it_left() {
    let disk = SimulatedDisk::new(4);
    let file = durable(&disk, "/file", &[7; 2000]);
    file.truncate(700).expect("cut");
    let sizes = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        assert_eq!(content[..700], [7; 700]);
        content.len()
    });
    assert_eq!((sizes.first(), sizes.last()), (Some(&700), Some(&2000)));
    file.sync().expect("synced");
    assert_eq!(outcomes(&disk, |disk| disk.read_file("/file")), set([vec![7; 700]]));
}

#[test]
fn what_was_synced_stays_whatever_is_written_beside_it() {
    let disk = SimulatedDisk::new(5);
    let file = durable(&disk, "/file", &[1; 3 * SECTOR]);
    file.write_at(SECTOR as u64, &[2; SECTOR]).expect("written");
    file.sync().expect("synced");
    file.write_at(2 * SECTOR as u64, &[3; 5 * SECTOR]).expect("written");
    disk.create("/other".as_ref()).expect("created").write_at(0, &[4; 100]).expect("written");
    for seed in 0..SEEDS {
        let content = disk.power_loss(seed).read_file("/file");
        assert_eq!(content[..SECTOR], [1; SECTOR]);
        assert_eq!(content[SECTOR..2 * SECTOR], [2; SECTOR]);
    }
}

#[test]
fn what_a_reserved_file_holds_is_zeros_until_it_is_synced() {
    let disk = SimulatedDisk::new(6);
    let file = durable(&disk, "/file", b"");
    file.reserve(4096).expect("reserved");
    file.sync().expect("synced");
    file.write_at(1024, &[9; 512]).expect("written");
    let seen = outcomes(&disk, |disk| {
        let content = disk.read_file("/file");
        assert_eq!(content.len(), 4096);
        content[1024]
    });
    assert_eq!(seen, set([0, 9]));
}

#[test]
fn the_size_of_an_unsynced_file_is_cut_without_stale_bytes_behind_it() {
    let disk = SimulatedDisk::new(7);
    let file = durable(&disk, "/file", b"");
    file.write_at(0, &[5; 2000]).expect("written");
    for seed in 0..SEEDS {
        let after = disk.power_loss(seed);
        let file = open(&after, "/file");
        let bytes = file.bytes().expect("a size") as usize;
        file.truncate(3000).expect("lengthened");
        assert!(after.read_file("/file")[bytes..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_failed_sync_leaves_pages_dropped_or_readable_and_no_later_sync_saves_them() {
    use icecore_disk::{Fault, FaultKind, FaultPoint};

    let mut seen_live = set([]);
    let mut seen_after = set([]);
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let file = durable(&disk, "/file", &[1; 4 * SECTOR]);
        let point = FaultPoint::Path { part: "file".to_string(), passed: 0 };
        disk.add_fault(Fault { point, kind: FaultKind::SyncFails });
        file.write_at(0, &[2; 2 * SECTOR]).expect("written");
        file.sync().expect_err("the fault strikes");
        let live = disk.read_file("/file")[0];
        seen_live.insert(live);
        file.write_at(3 * SECTOR as u64, &[3; SECTOR]).expect("written");
        file.sync().expect("the fault has struck");
        let content = disk.power_loss(seed).read_file("/file");
        seen_after.insert((live, content[0], content[SECTOR]));
        assert_eq!(content[3 * SECTOR..], [3; SECTOR], "what is written later is saved");
    }
    assert_eq!(seen_live, set([1, 2]));
    assert!(seen_after.contains(&(2, 1, 1)), "readable, and lost in spite of the later sync");
    assert!(seen_after.contains(&(2, 1, 2)), "or lost in part");
    assert!(!seen_after.iter().any(|(live, after, _)| *live == 1 && *after != 1));
}
