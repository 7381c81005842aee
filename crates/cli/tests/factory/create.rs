//! `icecore snapshot create` as a user meets it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{folder, json, names, said};

/// The full archive that the bundled feed begins at.
const BASE: &str = "snapshot-24-4CwT2R8mShJyF8oY4biRQCrxc3iKPi7ch3u2qBiHonBB.tar.zst";
/// What the reference client called its archives of the feed's last slot.
const END: &str = "snapshot-127-965xGsPfn6FMUz3kXmzLDn5CteVxfUEZjeQf6ifPP5gG.tar.zst";
const SINCE_24: &str =
    "incremental-snapshot-24-127-965xGsPfn6FMUz3kXmzLDn5CteVxfUEZjeQf6ifPP5gG.tar.zst";
const SINCE_48: &str =
    "incremental-snapshot-48-127-965xGsPfn6FMUz3kXmzLDn5CteVxfUEZjeQf6ifPP5gG.tar.zst";

fn feed_tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/feed-tiny").join(name)
}

/// The bundled feed in a store.
fn fed(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    said(0, "restore @ --store @", &[&feed_tiny(BASE), &store]);
    said(0, "ingest slots @ --store @", &[&feed_tiny("slots.feed.zst"), &store]);
    store
}

fn made(words: &str, store: &Path, to: &Path) -> Value {
    json(&format!("snapshot create {words} --store @ -o @"), &[store, to])
}

#[test]
fn archives_of_a_store_full_and_incremental_are_verified_and_have_their_names() {
    let (at, to) = (folder(), folder());
    let store = fed(at.path());
    let full = made("", &store, to.path());
    assert_eq!((&full["slot"], &full["base_slot"]), (&127.into(), &Value::Null));
    assert_eq!((&full["num_accounts"], &full["num_tombstones"]), (&687.into(), &0.into()));
    assert_eq!((&full["verified"], &full["proof"]), (&true.into(), &"verdict".into()));
    // The base by its number; without its archive it is read back.
    let since = made("ROOT --incremental --base 24", &store, to.path());
    assert_eq!((&since["base_slot"], &since["proof"]), (&24.into(), &"read-back".into()));
    assert!(since["num_tombstones"].as_u64().expect("a number") > 0);
    // The base that is the newest of those in the folder.
    made("48 --no-verify", &store, to.path());
    let since = made("127 --incremental", &store, to.path());
    assert_eq!((&since["base_slot"], &since["proof"]), (&48.into(), &"pair-verdict".into()));
    let found = names(to.path());
    let (full_48, others): (Vec<_>, Vec<_>) =
        found.iter().partition(|name| name.starts_with("snapshot-48-"));
    assert_eq!(others, [SINCE_24, SINCE_48, END]);
    let pair = [to.path().join(full_48[0]), to.path().join(SINCE_48)];
    said(0, "snapshot verify @ @ --strict", &[&pair[0], &pair[1]]);
    said(0, "snapshot verify @ @ --strict", &[&feed_tiny(BASE), &to.path().join(SINCE_24)]);
}

#[test]
fn for_a_person_it_says_what_was_made_and_what_can_be_made() {
    let (at, to) = (folder(), folder());
    let store = fed(at.path());
    let paths: [&Path; 2] = [&store, to.path()];
    let (out, _) = said(0, "snapshot create 48 --store @ -o @", &paths);
    for part in ["made ", "slot 48, ", " accounts, capitalization ", ", verified; "] {
        assert!(out.contains(part), "{out}");
    }
    let (out, _) = said(0, "snapshot create --incremental --store @ -o @", &paths);
    assert!(out.contains("slot 127 on 48, "), "{out}");
    assert!(out.contains("verified with its full archive"), "{out}");
    let before = names(to.path());
    let (_, told) = said(3, "snapshot create 40 --store @ -o @", &paths);
    assert!(told.contains("it keeps them of 3 slots from 24 to 127"), "{told}");
    assert!(told.contains("the nearest: 24 and 48"), "{told}");
    let (_, told) = said(3, "snapshot create 48 --incremental --store @ -o @", &paths);
    assert!(told.contains("no full archive of an earlier state of this store"), "{told}");
    said(3, "snapshot create 48 --incremental --base 127 --store @ -o @", &paths);
    said(2, "snapshot create 48 --base 24 --store @ -o @", &paths);
    let (_, told) = said(4, "snapshot create 48 --store @ -o @", &paths);
    assert!(told.contains("exists"), "{told}");
    assert_eq!(names(to.path()), before);
}

#[test]
fn archives_are_made_beside_the_process_that_has_the_store_open() {
    let (at, to) = (folder(), folder());
    let store = fed(at.path());
    let writer = icecore_store::Store::open(&store, icecore_store::Options::default());
    let writer = writer.expect("opened");
    let full = made("48", &store, to.path());
    assert_eq!(full["slot"], 48);
    drop(writer);
}
