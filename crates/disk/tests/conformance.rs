//! The same cases on the real disk and on the simulated one: what holds for one holds for the other.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
};

use icecore_disk::{
    Access, AlignedBuffer, DIRECT_BYTES, Disk, DiskFile, Error, ProcessIdentity, Publish, RealDisk,
    SHARED_PAGE_BYTES, SHARED_PAGE_WORDS, SimulatedDisk,
};

macro_rules! on_both_disks {
    ($($case:ident,)*) => {
        mod real {
            use super::RealDisk;

            $(
                #[test]
                fn $case() {
                    let folder = tempfile::tempdir().expect("temporary folder");
                    super::$case(&RealDisk, folder.path());
                }
            )*
        }

        mod simulated {
            use super::{Disk, Path, SimulatedDisk};

            $(
                #[test]
                fn $case() {
                    let disk = SimulatedDisk::new(7);
                    let folder = Path::new("/folder");
                    disk.create_folder(folder).expect("made");
                    super::$case(&disk, folder);
                }
            )*
        }
    };
}

on_both_disks! {
    a_file_is_made_once_and_found_by_its_name,
    bytes_are_read_where_they_were_written_and_gaps_are_zeros,
    truncating_cuts_and_lengthens_with_zeros,
    reserving_makes_a_file_longer_and_never_shorter,
    direct_writes_are_as_any_others,
    a_file_opened_for_reading_is_not_changed,
    a_rename_replaces_only_when_told,
    a_removed_file_stays_for_who_has_it_open,
    folders_hold_what_was_put_there,
    a_renamed_folder_takes_its_files_along,
    a_lock_is_held_by_one_until_it_is_dropped,
    a_shared_page_is_one_memory_for_all,
    a_shared_page_is_a_page_long_or_refused,
    a_mapping_is_the_whole_file_and_outlives_its_name,
    threads_write_parts_of_one_file,
    time_passes_and_random_bytes_differ,
    a_process_knows_itself_and_others,
    room_is_told_for_folders_that_are_there,
}

fn create(disk: &dyn Disk, path: &Path, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(path).expect("created");
    file.write_at(0, content).expect("written");
    file
}

fn content(file: &Arc<dyn DiskFile>) -> Vec<u8> {
    let mut content = vec![0xEE; file.bytes().expect("a size") as usize + 3];
    let count = file.read_at(0, &mut content).expect("read");
    content.truncate(count);
    content
}

fn content_at(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    content(&disk.open(path, Access::Read).expect("opened"))
}

fn names(disk: &dyn Disk, folder: &Path) -> Vec<String> {
    disk.list(folder).expect("listed").into_iter().map(|entry| entry.name).collect()
}

fn is_taken<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Exists { .. }))
}

fn is_absent<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|error| error.is_absent())
}

fn is_refused<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|error| matches!(error, Error::Path { .. }) && !error.is_absent())
}

fn a_file_is_made_once_and_found_by_its_name(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("file");
    assert!(!disk.exists(&path));
    assert!(is_absent(disk.open(&path, Access::Read)));
    assert!(is_absent(disk.open(&path, Access::ReadWrite)));
    assert_eq!(disk.create(&path).expect("created").path(), path);
    assert!(disk.exists(&path));
    assert!(is_taken(disk.create(&path)));
    assert!(is_taken(disk.create(folder)));
    assert_eq!(disk.open(&path, Access::Read).expect("opened").path(), path);
    assert!(is_refused(disk.open(folder, Access::Read)));
    assert!(is_absent(disk.create(&folder.join("absent/file"))));
    assert!(is_refused(disk.create(&path.join("file"))));
}

fn bytes_are_read_where_they_were_written_and_gaps_are_zeros(disk: &dyn Disk, folder: &Path) {
    let file = disk.create(&folder.join("file")).expect("created");
    file.write_at(1500, b"later").expect("written");
    file.write_at(510, b"border").expect("written");
    file.write_at(0, b"").expect("nothing to write");
    let mut expected = vec![0; 1505];
    expected[1500..].copy_from_slice(b"later");
    expected[510..516].copy_from_slice(b"border");
    assert_eq!(content(&file), expected);
    file.sync().expect("synced");
    let mut buffer = [0xEE; 8];
    assert_eq!(file.read_at(1502, &mut buffer).expect("read"), 3);
    assert_eq!(&buffer[..3], b"ter");
    assert_eq!(file.read_at(1505, &mut buffer).expect("read"), 0);
    assert_eq!(file.read_at(1 << 40, &mut buffer).expect("read"), 0);
    assert_eq!(file.read_at(510, &mut []).expect("read"), 0);
    assert_eq!(file.bytes().expect("a size"), 1505);
}

fn truncating_cuts_and_lengthens_with_zeros(disk: &dyn Disk, folder: &Path) {
    let file = create(disk, &folder.join("file"), &[9; 3000]);
    file.truncate(700).expect("cut");
    assert_eq!(content(&file), [9; 700]);
    file.truncate(2000).expect("lengthened");
    let mut expected = vec![9; 700];
    expected.resize(2000, 0);
    assert_eq!(content(&file), expected);
    file.truncate(0).expect("cut");
    assert_eq!(file.bytes().expect("a size"), 0);
    file.write_at(600, b"x").expect("written");
    assert_eq!(content(&file)[..600], [0; 600]);
}

fn reserving_makes_a_file_longer_and_never_shorter(disk: &dyn Disk, folder: &Path) {
    let file = create(disk, &folder.join("file"), b"abc");
    file.reserve(0).expect("nothing to reserve");
    assert_eq!(file.bytes().expect("a size"), 3);
    file.reserve(10_000).expect("reserved");
    file.reserve(5_000).expect("reserved");
    assert_eq!(file.bytes().expect("a size"), 10_000);
    let content = content(&file);
    assert_eq!((&content[..3], content[3..].iter().max()), (&b"abc"[..], Some(&0)));
}

fn direct_writes_are_as_any_others(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("file");
    let file = create(disk, &path, b"header");
    let mut buffer = AlignedBuffer::new(5 * DIRECT_BYTES).expect("memory");
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    let mut expected = b"header".to_vec();
    expected.resize(DIRECT_BYTES, 0);
    expected.extend_from_slice(&buffer);
    // Before anything was asked for, and after.
    file.write_direct_at(4096, &buffer[..8192]).expect("written");
    file.expect_direct_writes();
    file.expect_direct_writes();
    file.write_direct_at(4096 + 8192, &buffer[8192..]).expect("written");
    file.write_direct_at(0, &buffer[..0]).expect("nothing to write");
    assert_eq!(content(&file), expected);
    // Among writes of any length, over a block whose end was written with another length.
    file.write_at(24_570, b"tail and more").expect("written");
    expected.truncate(24_570);
    expected.extend_from_slice(b"tail and more");
    assert_eq!(content(&file), expected);
    file.write_direct_at(20_480, &buffer[4096..12_288]).expect("written");
    expected.truncate(20_480);
    expected.extend_from_slice(&buffer[4096..12_288]);
    assert_eq!(content(&file), expected);
    file.truncate(23_000).expect("cut");
    file.sync().expect("synced");
    assert_eq!(content_at(disk, &path), expected[..23_000]);
    assert!(file.raw_fds().len() <= 2);
    let reading = disk.open(&path, Access::Read).expect("opened");
    reading.expect_direct_writes();
    assert!(is_refused(reading.write_direct_at(0, &buffer)));
    for offset in [512, 4095] {
        let wrong = || file.write_direct_at(offset, &buffer);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wrong)).is_err());
    }
    assert_eq!(content_at(disk, &path), expected[..23_000]);
}

fn a_file_opened_for_reading_is_not_changed(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("file");
    create(disk, &path, b"abc");
    let file = disk.open(&path, Access::Read).expect("opened");
    assert!(is_refused(file.write_at(0, b"x")));
    assert!(is_refused(file.truncate(0)));
    assert!(is_refused(file.reserve(100)));
    assert_eq!(content(&file), b"abc");
    let file = disk.open(&path, Access::ReadWrite).expect("opened");
    file.write_at(1, b"x").expect("written");
    assert_eq!(content(&file), b"axc");
}

fn a_rename_replaces_only_when_told(disk: &dyn Disk, folder: &Path) {
    let (one, two) = (folder.join("one"), folder.join("two"));
    create(disk, &one, b"1");
    let replaced = create(disk, &two, b"2");
    assert!(is_taken(disk.rename(&one, &two, Publish::New)));
    assert_eq!((content_at(disk, &one), content_at(disk, &two)), (b"1".to_vec(), b"2".to_vec()));
    disk.rename(&one, &two, Publish::Replace).expect("renamed");
    assert_eq!(names(disk, folder), ["two"]);
    assert_eq!(content_at(disk, &two), b"1");
    assert_eq!(content(&replaced), b"2");
    assert!(is_absent(disk.rename(&one, &folder.join("three"), Publish::New)));
    disk.rename(&two, &one, Publish::New).expect("renamed");
    assert_eq!(names(disk, folder), ["one"]);
    disk.rename(&one, &one, Publish::Replace).expect("renamed to itself");
    disk.create_folder(&two).expect("made");
    assert!(is_refused(disk.rename(&one, &two, Publish::Replace)));
    assert!(is_refused(disk.rename(&two, &one, Publish::Replace)));
    assert!(is_refused(disk.rename(&two, &two.join("inside"), Publish::New)));
    assert_eq!(names(disk, folder), ["one", "two"]);
}

fn a_removed_file_stays_for_who_has_it_open(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("file");
    let removed = create(disk, &path, b"old");
    disk.remove(&path).expect("removed");
    assert!(!disk.exists(&path));
    assert!(is_absent(disk.remove(&path)));
    create(disk, &path, b"new");
    removed.write_at(3, b"er").expect("written");
    removed.sync().expect("synced");
    assert_eq!(content(&removed), b"older");
    assert_eq!(content_at(disk, &path), b"new");
    assert!(is_refused(disk.remove(folder)));
}

fn folders_hold_what_was_put_there(disk: &dyn Disk, folder: &Path) {
    let inner = folder.join("inner");
    assert!(is_absent(disk.list(&inner)));
    assert!(is_absent(disk.create_folder(&inner.join("deeper"))));
    disk.create_folder(&inner).expect("made");
    disk.create_folder(&inner).expect("there already");
    create(disk, &folder.join("b"), b"12345");
    create(disk, &folder.join("a"), b"");
    create(disk, &inner.join("c"), b"1");
    let entries: Vec<_> = disk
        .list(folder)
        .expect("listed")
        .into_iter()
        .map(|entry| (entry.name, entry.is_file, entry.bytes))
        .collect();
    let entry = |name: &str, is_file, bytes| (name.to_string(), is_file, bytes);
    assert_eq!(entries, [entry("a", true, 0), entry("b", true, 5), entry("inner", false, 0)]);
    assert_eq!(names(disk, &inner), ["c"]);
    assert!(is_taken(disk.create_folder(&folder.join("a"))));
    assert!(is_refused(disk.list(&folder.join("a"))));
    disk.sync_folder(&inner).expect("synced");
    disk.sync_folder(folder).expect("synced");
    assert!(is_absent(disk.sync_folder(&folder.join("absent"))));
}

fn a_renamed_folder_takes_its_files_along(disk: &dyn Disk, folder: &Path) {
    let (old, new) = (folder.join("old"), folder.join("new"));
    disk.create_folder(&old).expect("made");
    let file = create(disk, &old.join("file"), b"abc");
    disk.rename(&old, &new, Publish::New).expect("renamed");
    file.write_at(3, b"d").expect("written");
    assert_eq!(content_at(disk, &new.join("file")), b"abcd");
    assert!(is_absent(disk.open(&old.join("file"), Access::Read)));
    disk.rename(&new.join("file"), &folder.join("file"), Publish::New).expect("renamed");
    assert_eq!(names(disk, folder), ["file", "new"]);
}

fn a_lock_is_held_by_one_until_it_is_dropped(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("lock");
    let held = disk.lock(&path).expect("asked").expect("free");
    assert!(disk.exists(&path));
    assert!(disk.lock(&path).expect("asked").is_none());
    let other = disk.lock(&folder.join("other")).expect("asked");
    assert!(other.is_some());
    drop(held);
    let held = disk.lock(&path).expect("asked");
    assert!(held.is_some() && disk.lock(&path).expect("asked").is_none());
    assert!(is_refused(disk.lock(folder)));
}

fn a_shared_page_is_one_memory_for_all(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("page");
    assert!(is_absent(disk.shared_page(&path, Access::Read)));
    let writer = disk.shared_page(&path, Access::ReadWrite).expect("mapped");
    assert!(writer.words().iter().all(|word| word.load(Ordering::Relaxed) == 0));
    let reader = disk.shared_page(&path, Access::Read).expect("mapped");
    writer.words()[0].store(0x0102_0304, Ordering::Release);
    writer.words()[SHARED_PAGE_WORDS - 1].store(u64::MAX, Ordering::Release);
    assert_eq!(reader.words()[0].load(Ordering::Relaxed), 0x0102_0304);
    let mut expected = vec![0; SHARED_PAGE_BYTES];
    expected[..4].copy_from_slice(&[4, 3, 2, 1]);
    expected[SHARED_PAGE_BYTES - 8..].fill(0xFF);
    assert_eq!(content_at(disk, &path), expected);
    let file = disk.open(&path, Access::ReadWrite).expect("opened");
    file.write_at(8, &[5]).expect("written");
    assert_eq!(reader.words()[1].load(Ordering::Relaxed), 5);
    drop((reader, writer));
    let again = disk.shared_page(&path, Access::ReadWrite).expect("mapped");
    assert_eq!(again.words()[0].load(Ordering::Relaxed), 0x0102_0304);
}

fn a_shared_page_is_a_page_long_or_refused(disk: &dyn Disk, folder: &Path) {
    let (short, long) = (folder.join("short"), folder.join("long"));
    create(disk, &short, &[1]);
    create(disk, &long, &[0; SHARED_PAGE_BYTES + 1]);
    assert!(is_refused(disk.shared_page(&short, Access::Read)));
    assert!(is_refused(disk.shared_page(&long, Access::Read)));
    assert!(is_refused(disk.shared_page(&long, Access::ReadWrite)));
    let page = disk.shared_page(&short, Access::ReadWrite).expect("mapped");
    assert_eq!(page.words()[0].load(Ordering::Relaxed), 1);
    assert_eq!(content_at(disk, &short).len(), SHARED_PAGE_BYTES);
}

fn a_mapping_is_the_whole_file_and_outlives_its_name(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("file");
    let bytes: Vec<u8> = (0..9000u32).map(|index| (index % 253) as u8).collect();
    let file = create(disk, &path, &bytes);
    let mapping = file.map().expect("mapped");
    mapping.advise_random();
    drop(file);
    disk.remove(&path).expect("removed");
    assert_eq!(mapping[..], bytes);
    let empty = disk.create(&path).expect("created").map().expect("mapped");
    assert!(empty.is_empty());
}

fn threads_write_parts_of_one_file(disk: &dyn Disk, folder: &Path) {
    let file = disk.create(&folder.join("file")).expect("created");
    thread::scope(|scope| {
        for part in 0..4u8 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..50u64 {
                    let offset = (round * 4 + u64::from(part)) * 300;
                    file.write_at(offset, &[part + 1; 300]).expect("written");
                }
            });
        }
    });
    let expected: Vec<u8> =
        (0..50 * 4 * 300).map(|offset: u32| (offset / 300 % 4) as u8 + 1).collect();
    assert_eq!(content(&file), expected);
}

fn time_passes_and_random_bytes_differ(disk: &dyn Disk, _: &Path) {
    let start_of_2020 = 1_577_836_800_000_000_000;
    let times = [disk.now(), disk.now()];
    assert!(start_of_2020 < times[0] && times[0] <= times[1], "{times:?}");
    let mut drawn = [[0; 37]; 2];
    drawn.iter_mut().for_each(|bytes| disk.fill_random(bytes));
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(drawn[0][29..], [0; 8]);
}

fn a_process_knows_itself_and_others(disk: &dyn Disk, _: &Path) {
    let this = disk.process();
    assert_eq!(disk.process(), this);
    assert!(disk.is_alive(this));
    assert!(!disk.is_alive(ProcessIdentity { start_time: this.start_time + 1, ..this }));
    assert!(!disk.is_alive(ProcessIdentity { id: 0, ..this }));
}

fn room_is_told_for_folders_that_are_there(disk: &dyn Disk, folder: &Path) {
    assert!(disk.available_bytes(folder).expect("told") > 0);
    assert!(is_absent(disk.available_bytes(&folder.join("absent"))));
}
