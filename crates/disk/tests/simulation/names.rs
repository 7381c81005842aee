//! What a loss of power does to the names of files.

use std::path::Path;

use icecore_disk::{Disk, Publish, SimulatedDisk};

use super::{durable, image, open, outcomes, set};

fn names(disk: &SimulatedDisk) -> Vec<String> {
    image(disk).into_iter().map(|(name, _)| name).collect()
}

fn rename(disk: &SimulatedDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to), Publish::Replace).expect("renamed");
}

fn text(disk: &SimulatedDisk, path: &str) -> String {
    String::from_utf8(disk.read_file(path)).expect("letters")
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone_and_each_name_for_itself() {
    let disk = SimulatedDisk::new(1);
    for path in ["/a", "/b"] {
        let file = disk.create(Path::new(path)).expect("created");
        file.write_at(0, b"content").expect("written");
        file.sync().expect("synced");
    }
    let seen = outcomes(&disk, |disk| {
        assert!(image(disk).iter().all(|(_, content)| content == b"content"));
        names(disk).concat()
    });
    assert_eq!(seen, set(["", "/a", "/b", "/a/b"].map(String::from)));
    disk.sync_folder(Path::new("/")).expect("synced");
    assert_eq!(outcomes(&disk, names), set([vec!["/a".to_string(), "/b".to_string()]]));
}

#[test]
fn an_unsynced_rename_happened_or_not_and_there_is_always_one_name() {
    let disk = SimulatedDisk::new(2);
    durable(&disk, "/old", b"x");
    rename(&disk, "/old", "/new");
    assert_eq!(
        outcomes(&disk, |disk| names(disk).concat()),
        set(["/old", "/new"].map(String::from))
    );
    disk.sync_folder(Path::new("/")).expect("synced");
    assert_eq!(outcomes(&disk, |disk| names(disk).concat()), set(["/new".to_string()]));
}

#[test]
fn an_unsynced_replacement_is_the_old_file_or_the_new_one() {
    let disk = SimulatedDisk::new(3);
    durable(&disk, "/current", b"old");
    durable(&disk, "/temporary", b"new");
    rename(&disk, "/temporary", "/current");
    let seen = outcomes(&disk, |disk| (text(disk, "/current"), names(disk).len()));
    assert_eq!(seen, set([("old".to_string(), 2), ("new".to_string(), 1)]));
}

#[test]
fn a_rename_before_the_file_was_synced_can_lead_to_an_empty_file() {
    let disk = SimulatedDisk::new(4);
    durable(&disk, "/current", b"old");
    let file = disk.create(Path::new("/temporary")).expect("created");
    file.write_at(0, b"new").expect("written");
    rename(&disk, "/temporary", "/current");
    let seen = outcomes(&disk, |disk| text(disk, "/current"));
    assert!(seen.contains("old") && seen.contains("new") && seen.contains(""), "{seen:?}");
}

#[test]
fn a_rename_between_folders_is_safe_when_both_are_synced() {
    let disk = SimulatedDisk::new(5);
    for folder in ["/one", "/two"] {
        disk.create_folder(Path::new(folder)).expect("made");
    }
    disk.sync_folder(Path::new("/")).expect("synced");
    durable(&disk, "/one/file", b"x");
    rename(&disk, "/one/file", "/two/file");
    let either = set(["/one/file", "/two/file"].map(String::from));
    assert_eq!(outcomes(&disk, |disk| names(disk).concat()), either);
    disk.sync_folder(Path::new("/two")).expect("synced");
    assert_eq!(outcomes(&disk, |disk| names(disk).concat()), either);
    disk.sync_folder(Path::new("/one")).expect("synced");
    assert_eq!(outcomes(&disk, |disk| names(disk).concat()), set(["/two/file".to_string()]));
}

#[test]
fn changes_of_one_name_reach_the_medium_in_their_order() {
    let disk = SimulatedDisk::new(6);
    let path = Path::new("/file");
    let first = disk.create(path).expect("created");
    first.write_at(0, b"1").expect("written");
    first.sync().expect("synced");
    disk.remove(path).expect("removed");
    let second = disk.create(path).expect("created");
    second.write_at(0, b"2").expect("written");
    second.sync().expect("synced");
    let seen = outcomes(&disk, |disk| image(disk).pop().map(|(_, content)| content));
    assert_eq!(seen, set([None, Some(b"1".to_vec()), Some(b"2".to_vec())]));
    rename(&disk, "/file", "/moved");
    rename(&disk, "/moved", "/again");
    assert!(outcomes(&disk, names).iter().all(|names| names.len() <= 1), "never two names");
}

#[test]
fn a_removed_file_may_come_back_until_its_folder_is_synced() {
    let disk = SimulatedDisk::new(7);
    durable(&disk, "/file", b"x");
    disk.remove(Path::new("/file")).expect("removed");
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([0, 1]));
    disk.sync_folder(Path::new("/")).expect("synced");
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([0]));
}

#[test]
fn a_folder_that_is_lost_takes_its_files_along() {
    let disk = SimulatedDisk::new(8);
    disk.create_folder(Path::new("/folder")).expect("made");
    durable(&disk, "/folder/file", b"x");
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([0, 1]));
    disk.sync_folder(Path::new("/")).expect("synced");
    assert_eq!(outcomes(&disk, |disk| disk.file_names().len()), set([1]));
}

#[test]
fn who_had_a_lost_file_open_finds_another_machine() {
    let disk = SimulatedDisk::new(9);
    let file = disk.create(Path::new("/file")).expect("created");
    let after = disk.power_loss(1);
    file.write_at(0, b"x").expect("this machine goes on");
    assert_eq!(open(&disk, "/file").bytes().expect("a size"), 1);
    assert!(image(&after).iter().all(|(_, content)| content.is_empty()));
}
