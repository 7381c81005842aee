//! Care of a store: it is checked, counted, compacted, and its runs are made anew.

use std::{fs, path::PathBuf};

use crate::support::*;

/// The largest file of a folder of the store whose name starts so.
fn largest(store: &Store, folder: &str, start: &str) -> PathBuf {
    let entries = fs::read_dir(store.path().join(folder)).expect("listed");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    files
        .retain(|path| path.file_name().is_some_and(|name| text(name.as_ref()).starts_with(start)));
    let bytes = |path: &PathBuf| fs::metadata(path).expect("it is there").len();
    files.into_iter().max_by_key(bytes).expect("one is there")
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_sound_store_is_found_sound_beside_its_node_and_without() {
    let store = Store::fed();
    let found = store.json(0, &["store", "check"]);
    assert_eq!((&found["sound"], &found["states"]), (&true.into(), &serde_json::json!([24, 127])));
    assert!(list(&found, "findings").is_empty() && number(&found, "records") > 3000, "{found}");
    let shown = store.run(&["store", "check"]).code(0).told("checking records");
    assert!(shown.out.ends_with("sound\n"), "{}", shown.out);

    let stats = store.json(0, &["store", "stats"]);
    assert_eq!((number(&stats, "root"), number(&stats, "num_accounts")), (127, 687));
    assert_eq!(stats["slots"]["abandoned"], 41);
    assert!(number(&stats, "data_bytes") > number(&stats, "garbage_bytes"));
    let shown = store.good(&["store", "stats"]);
    assert!(shown.starts_with("root   127, 687 accounts\n"), "{shown}");
    let compacted = store.json(0, &["store", "compact"]);
    assert!(compacted["segments"].is_u64(), "{compacted}");
    store.run(&["store", "check"]).code(0);
    for command in ["check", "stats", "compact", "rebuild-index"] {
        Store::none().run(&["store", command]).code(2).told("there is no store here");
    }
}

#[test]
fn a_flipped_bit_is_found_with_its_file() {
    for (folder, start) in [("journal", "data-"), ("runs", "0")] {
        let store = Store::fed();
        let file = largest(&store, folder, start);
        let bytes = fs::metadata(&file).expect("it is there").len();
        flip(&file, usize::try_from(bytes / 2).expect("small"));
        let found = store.json(1, &["store", "check"]);
        let name = file.file_name().expect("a name").to_str().expect("text");
        let is_named = |finding: &&serde_json::Value| string(finding, "file").ends_with(name);
        assert!(list(&found, "findings").iter().any(|finding| is_named(&finding)), "{found}");
        let shown = store.run(&["store", "check"]).code(1);
        assert!(shown.out.contains("\ndamaged: "), "{}", shown.out);
    }
}

#[test]
fn runs_are_made_anew_and_answer_as_before() {
    let store = Store::fed();
    let before = store.good(&["history", CLOCK]);
    fs::remove_dir_all(store.path().join("runs")).expect("removed");
    store.run(&["history", CLOCK]).code(1).told("icecore store rebuild-index");
    let rebuilt = store.json(0, &["store", "rebuild-index"]);
    assert_eq!((number(&rebuilt, "first"), number(&rebuilt, "last")), (24, 127));
    assert_eq!(store.good(&["history", CLOCK]), before);
    store.run(&["store", "check"]).code(0);
}
