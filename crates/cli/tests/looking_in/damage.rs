//! `snapshot inspect` on damaged archives.

use std::fs;

use icecore_archive::members::MemberKind;
use serde_json::{Value, json};

use crate::support::*;

#[test]
fn of_a_damaged_archive_is_shown_what_came_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let full = Set::in_folder(&bundled()).full;
    let stream = unpack(&full);
    let path = folder.path().join("cut.tar");
    let all = members(&stream);
    let (offset, _, _, manifest) = all
        .iter()
        .find(|(_, _, kind, _)| matches!(kind, MemberKind::Manifest { .. }))
        .expect("a manifest");

    // Within the manifest: its first half is JSON all the same.
    let cut = *offset as usize + 512 + manifest.len() / 2;
    fs::write(&path, &stream[..cut]).expect("it can be written");
    for format in ["json", "json-compact"] {
        let ran = icecore(&["inspect", text(&path), "--manifest", "--output", format]);
        assert_eq!(ran.code, 1);
        assert!(ran.problem().contains(&format!("tar ends at offset {cut}")), "{}", ran.err);
        let shown: Value = serde_json::from_str(&ran.out).expect("what is there is JSON");
        assert_eq!(shown["bank"]["transaction_count"], 74);
        assert!(shown["extra"]["block_id"].is_null() && shown["last_field"].is_null());
        assert!(shown["damage"].as_str().expect("told").contains("tar ends"), "{shown:.200}");
    }
    let members_before = all.iter().take_while(|(at, ..)| at <= offset).count();
    let ran = icecore(&["inspect", text(&path), "--members", "--output", "json"]);
    assert_eq!((ran.code, ran.rows().len()), (1, members_before));
    let ran = icecore(&["inspect", text(&path), "--output", "json"]);
    let summary: Value = serde_json::from_str(&ran.out).expect("the summary is there");
    assert_eq!((ran.code, &summary["slot"]), (1, &json!(46)));
    assert_eq!(summary["manifest"]["is_whole"], false);
    assert_eq!(summary["problems"].as_array().map(Vec::len), Some(1));

    // A bit of the manifest's first count: the decoder tells where.
    let mut flipped = stream.clone();
    flipped[*offset as usize + 512 + 8] = 7;
    fs::write(&path, &flipped).expect("it can be written");
    let ran = icecore(&["inspect", text(&path), "--manifest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.problem().contains("manifest byte 8, in blockhash_queue"), "{}", ran.err);

    for (bytes, problem) in [
        (&b""[..], "ends at offset 0"),
        (b"hello, this is no archive", "offset"),
        (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "gzip"),
    ] {
        fs::write(&path, bytes).expect("it can be written");
        for part in [&[][..], &["--manifest"], &["--members"], &["--frames"], &["--status-cache"]] {
            let ran = icecore(&[&["inspect", text(&path)], part].concat());
            assert_eq!(ran.code, 1, "{part:?} {}", ran.err);
            assert!(ran.problem().contains(problem), "{}", ran.err);
        }
    }
}

#[test]
fn foreign_members_are_shown_and_told() {
    for (case, path) in [
        ("extra-file", "hello.txt"),
        ("parent-path", "accounts/../../evil"),
        ("symlink-entry", "accounts/1.1"),
    ] {
        let Some(folder) = shared(&format!("damaged/{case}")) else { return };
        let full = only(&folder, "snapshot-");
        let ran = icecore(&["inspect", text(&full), "--members", "--output", "json"]);
        assert_eq!(ran.code, 1);
        let rows = ran.rows();
        let foreign: Vec<_> = rows.iter().filter(|row| row["kind"] == "foreign").collect();
        assert_eq!(foreign.len(), 1);
        assert_eq!(foreign[0]["path"], path);
        let ran = icecore(&["inspect", text(&full), "--output", "json"]);
        let summary: Value = serde_json::from_str(&ran.out).expect("the summary is there");
        assert_eq!((ran.code, &summary["members"]["foreign"]), (1, &json!(1)));
    }
}

#[test]
fn storages_that_are_missing_are_counted() {
    let Some(folder) = shared("damaged/storage-missing") else { return };
    let full = only(&folder, "snapshot-");
    let summary = icecore(&["inspect", text(&full), "--output", "json"]).json();
    assert_eq!(summary["storages"]["listed_not_there"], 1);
    assert_eq!(summary["storages"]["there_not_listed"], 0);
    let shown = icecore(&["inspect", text(&full)]).ok();
    assert!(shown.contains("the manifest lists 41: 1 of these are not there"), "{shown}");
}
