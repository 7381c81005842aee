//! What holds for folders and files of this machine, and of a simulated one.

use std::os::unix::fs::symlink;

use super::*;

fn held(folder: &Path) -> HeldFolder {
    HeldFolder::open(folder).expect("opened").expect("nobody else holds it")
}

#[test]
fn a_folder_is_held_once_and_free_when_it_is_let_go() {
    let at = tempfile::tempdir().expect("temporary folder");
    let first = held(at.path());
    assert!(HeldFolder::open(at.path()).expect("opened").is_none());
    drop(first);
    drop(held(at.path()));
    assert!(HeldFolder::open(at.path().join("none")).is_err_and(|error| error.is_absent()));
}

#[test]
fn names_are_given_without_replacing_and_what_is_no_plain_file_is_refused() {
    let at = tempfile::tempdir().expect("temporary folder");
    let folder = held(at.path());
    let file = folder.create(".x").expect("created");
    assert!(matches!(folder.create(".x"), Err(Error::Exists { .. })));
    file.write_at(0, b"content").expect("written");
    file.sync().expect("synced");
    folder.rename(".x", "final").expect("renamed");
    fs::write(at.path().join("other"), b"").expect("written");
    assert!(matches!(folder.rename("other", "final"), Err(Error::Exists { .. })));
    folder.sync().expect("synced");
    drop(file);
    assert_eq!(folder.take("final").expect("taken").bytes().expect("a size"), 7);
    symlink("final", at.path().join("link")).expect("linked");
    fs::create_dir(at.path().join("folder")).expect("made");
    for (name, says) in [("link", "symbolic link"), ("folder", "directory")] {
        let error = folder.take(name).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_file_says_how_many_names_it_has_and_is_the_same_under_each() {
    let at = tempfile::tempdir().expect("temporary folder");
    let folder = held(at.path());
    let file = folder.create("first").expect("created");
    assert_eq!(file.names().expect("asked"), 1);
    fs::hard_link(at.path().join("first"), at.path().join("second")).expect("linked");
    assert_eq!(file.names().expect("asked"), 2);
    let second = folder.take("second").expect("taken");
    assert_eq!(second.inode().expect("asked"), file.inode().expect("asked"));
    let found = folder.inode("second").expect("asked");
    assert_eq!(found, Some(file.inode().expect("asked")));
    symlink("second", at.path().join("link")).expect("linked");
    assert_ne!(folder.inode("link").expect("asked"), found, "a link is not followed");
    folder.remove("second").expect("removed");
    assert_eq!(file.names().expect("asked"), 1);
    assert_eq!(folder.inode("second").expect("asked"), None);
}

#[test]
fn a_lease_is_given_when_nobody_reads_and_tells_of_who_waits() {
    let at = tempfile::tempdir().expect("temporary folder");
    let folder = held(at.path());
    let path = at.path().join("file");
    let file = folder.create("file").expect("created");
    file.write_at(0, &[7; 10_000]).expect("written");
    for _ in 0..2 {
        let reader = fs::File::open(&path).expect("opened");
        assert!(!file.try_lease().expect("asked"));
        drop(reader);
        let opened = fs::File::open(&path).expect("opened");
        let mapping = crate::Mapping::of_file(&opened, 10_000).expect("mapped");
        drop(opened);
        assert!(!file.try_lease().expect("asked"), "a mapping reads");
        assert_eq!(mapping[0], 7);
        drop(mapping);
        assert!(file.try_lease().expect("asked"));
        assert!(!file.is_waited_for().expect("asked"));
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("an int");
        let impatient = fs::File::options().read(true).custom_flags(flags).open(&path);
        assert_eq!(impatient.expect_err("it would wait").kind(), io::ErrorKind::WouldBlock);
        assert!(file.is_waited_for().expect("asked"));
        file.end_lease().expect("given back");
    }
    assert!(file.try_lease().expect("asked"));
    file.truncate(3).expect("cut, with the lease");
    file.end_lease().expect("given back");
    assert_eq!(file.bytes().expect("a size"), 3);
}

#[test]
fn what_is_written_past_the_page_cache_is_the_same() {
    let at = tempfile::tempdir().expect("temporary folder");
    let folder = held(at.path());
    let file = folder.create("file").expect("created");
    let mut buffer = crate::AlignedBuffer::new(2 * crate::DIRECT_BYTES).expect("memory");
    buffer.fill(5);
    file.set_direct(true);
    file.write_direct_at(0, &buffer).expect("written");
    assert!(file.set_direct(false));
    file.write_at(buffer.len() as u64, b"the end").expect("written");
    let content = fs::read(at.path().join("file")).expect("read");
    assert_eq!(content.len(), buffer.len() + 7);
    assert!(content[..buffer.len()].iter().all(|byte| *byte == 5));
}

#[test]
fn a_simulated_folder_is_held_once_and_free_after_a_kill() {
    let disk = SimulatedDisk::new(1);
    let at = Path::new("/folder");
    let hold = |disk: &SimulatedDisk| HeldFolder::open_simulated(disk, at);
    assert!(hold(&disk).is_err_and(|error| error.is_absent()));
    disk.create_folder(at).expect("made");
    disk.sync_folder(Path::new("/")).expect("synced");
    let first = hold(&disk).expect("opened").expect("free");
    assert!(hold(&disk.with_process(7, 1)).expect("opened").is_none());
    for after in [disk.kill(), disk.power_loss(1)] {
        assert!(hold(&after).expect("opened").is_some());
    }
    drop(first);
    assert!(hold(&disk).expect("opened").is_some());
    disk.create(Path::new("/file")).expect("created");
    assert!(HeldFolder::open_simulated(&disk, "/file").is_err(), "it is no folder");
}

#[test]
fn a_simulated_file_is_the_same_under_each_name_and_is_written_as_on_a_disk() {
    let disk = SimulatedDisk::new(1);
    disk.create_folder(Path::new("/folder")).expect("made");
    let folder = HeldFolder::open_simulated(&disk, "/folder").expect("opened").expect("free");
    let file = folder.create(".x").expect("created");
    let inode = file.inode().expect("asked");
    assert!(matches!(folder.create(".x"), Err(Error::Exists { .. })));
    let mut buffer = crate::AlignedBuffer::new(crate::DIRECT_BYTES).expect("memory");
    buffer.fill(5);
    assert!(file.set_direct(true));
    file.write_direct_at(0, &buffer).expect("written");
    file.write_at(buffer.len() as u64, b"the end").expect("written");
    folder.rename(".x", "final").expect("renamed");
    assert_eq!(folder.inode("final").expect("asked"), Some(inode));
    assert_eq!(folder.inode(".x").expect("asked"), None);
    assert_eq!(folder.take("final").expect("taken").inode().expect("asked"), inode);
    let other = folder.create(".x").expect("created");
    assert_ne!(other.inode().expect("asked"), inode);
    assert!(matches!(folder.rename(".x", "final"), Err(Error::Exists { .. })));
    let listed = folder.list().expect("listed");
    let listed: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.bytes)).collect();
    assert_eq!(listed, [(".x", 0), ("final", buffer.len() as u64 + 7)]);
    assert_eq!(file.names().expect("asked"), 1);
    folder.remove("final").expect("removed");
    assert_eq!(file.names().expect("asked"), 0);
    file.truncate(3).expect("cut");
    assert_eq!(file.bytes().expect("a size"), 3, "who has it open keeps it");
}

#[test]
fn a_simulated_lease_is_given_unless_the_file_is_said_to_be_read() {
    let disk = SimulatedDisk::new(1);
    disk.create_folder(Path::new("/folder")).expect("made");
    let folder = HeldFolder::open_simulated(&disk, "/folder").expect("opened").expect("free");
    let file = folder.create("file").expect("created");
    assert!(file.try_lease().expect("asked") && !file.is_waited_for().expect("asked"));
    file.end_lease().expect("given back");
    disk.set_being_read("/folder/file", true);
    folder.rename("file", "renamed").expect("renamed");
    assert!(!file.try_lease().expect("asked"));
    let killed = disk.kill();
    let again = HeldFolder::open_simulated(&killed, "/folder").expect("opened").expect("free");
    assert!(again.take("renamed").expect("taken").try_lease().expect("asked"));
    disk.set_being_read("/folder/renamed", false);
    assert!(file.try_lease().expect("asked"));
    disk.crash_at(disk.operations());
    folder.sync().expect_err("it stops");
    assert!(file.try_lease().is_err() && file.inode().is_err() && folder.list().is_err());
}
