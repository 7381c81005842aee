//! `snapshot inspect` on good archives.

use std::{collections::BTreeSet, fs};

use icecore_archive::{manifest::Manifest, members::MemberKind, status_cache::StatusCache};
use serde_json::{Value, json};

use crate::support::*;

#[test]
fn the_summary_says_what_the_truth_says() {
    for set in Set::all() {
        for (path, truth) in set.archives() {
            let summary = icecore(&["inspect", text(path), "--output", "json"]).json();
            let mut compared = 0;
            for (field, value) in truth.as_object().expect("the truth is an object") {
                let shown = match &summary[field.as_str()] {
                    // A field of which only the truth knows; none of the bank's is missing.
                    Value::Null => continue,
                    shown => shown,
                };
                assert_eq!(shown, value, "{field} of {}", path.display());
                compared += 1;
            }
            assert!(compared >= 12, "{compared} fields of {}", path.display());
            assert_eq!(summary["name"]["slot"], truth["slot"]);
            assert_eq!(summary["name"]["base_slot"], truth["base_slot"]);
            assert_eq!(summary["problems"], json!([]));
            assert_eq!(summary["version"], "1.2.0");
            assert_eq!(summary["container"]["kind"], "zstd");
            assert_eq!(summary["manifest"]["is_whole"], true);
            assert_eq!(summary["status_cache"]["is_whole"], true);

            let stream = unpack(path);
            assert_eq!(summary["container"]["unpacked_bytes"], stream.len());
            let all = members(&stream);
            let storages: Vec<_> = all
                .iter()
                .filter_map(|(_, _, kind, content)| match kind {
                    MemberKind::Storage { slot, .. } => Some((*slot, content.len())),
                    _ => None,
                })
                .collect();
            let sizes: usize = storages.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(summary["members"]["count"], all.len());
            assert_eq!(summary["members"]["storages"], storages.len());
            assert_eq!(summary["storages"]["bytes"], sizes);
            let slots: BTreeSet<_> = storages.iter().map(|(slot, _)| *slot).collect();
            assert_eq!(summary["storages"]["slot_first"], json!(slots.first()));
            assert_eq!(summary["storages"]["slot_last"], json!(slots.last()));
            assert_eq!(summary["storages"]["listed_not_there"], 0);
            assert_eq!(summary["storages"]["there_not_listed"], 0);

            let shown = icecore(&["inspect", text(path)]).ok();
            for field in ["bank_hash", "parent_hash", "last_blockhash", "leader"] {
                let value = truth[field].as_str().unwrap_or("at slot");
                assert!(shown.contains(value), "{field} {value} is not in\n{shown}");
            }
        }
    }
}

/// The fields of `shown` are those of `whole`, except that some may be missing.
fn assert_part_of(shown: &Value, whole: &Value, at: &str) {
    let (Value::Object(shown), Value::Object(whole)) = (shown, whole) else {
        assert!(shown == whole, "{at}: {shown:.200} is not {whole:.200}");
        return;
    };
    for (field, value) in shown {
        let at = format!("{at}.{field}");
        let expected = whole.get(field).unwrap_or_else(|| panic!("{at} is of no manifest"));
        assert_part_of(value, expected, &at);
    }
}

#[test]
fn the_manifest_is_that_of_the_library_in_every_shape() {
    let mut paths: Vec<_> =
        Set::all().into_iter().flat_map(|set| [set.full, set.incremental]).collect();
    for set in ["golden", "legacy"] {
        if let Some(folder) = shared(set) {
            let entries = fs::read_dir(folder).expect("it can be listed");
            let entries = entries.map(|entry| entry.expect("it can be listed").path());
            paths.extend(entries.filter(|path| name(path).contains(".tar")));
        }
    }
    for path in paths {
        let bytes = content(&unpack(&path), |kind| matches!(kind, MemberKind::Manifest { .. }));
        let (manifest, end) = Manifest::decode(&bytes).expect("a good manifest");
        let expected = serde_json::to_value(&manifest).expect("it has a JSON");
        for format in ["json", "json-compact"] {
            let arguments = ["inspect", text(&path), "--manifest", "--output", format];
            let mut shown = icecore(&arguments).json();
            let object = shown.as_object_mut().expect("an object");
            let trailing = object.remove("trailing_bytes");
            assert_eq!(trailing, Some(json!(end.trailing_bytes)));
            assert_part_of(&shown, &expected, name(&path));
            for part in ["bank", "accounts_db"] {
                // In these nothing can be missing but the two lists of roots.
                let count = |value: &Value| value[part].as_object().map(|part| part.len());
                assert!(count(&shown) >= count(&expected).map(|count| count - 2), "{part}");
            }
        }
        let lines = icecore(&["inspect", text(&path), "--manifest"]).ok();
        let slot = format!("\n  slot: {}\n", manifest.bank.scalars.slot);
        assert!(lines.contains(&slot) && lines.starts_with("bank:\n"), "{lines:.500}");
        assert!(lines.lines().all(|line| line.len() < 1000 && !line.contains('{')));
    }
    let compact = icecore(&[
        "inspect",
        text(&Set::in_folder(&bundled()).full),
        "--manifest",
        "--output",
        "json-compact",
    ])
    .ok();
    assert_eq!(compact.lines().count(), 1);
}

#[test]
fn the_whole_manifest_of_today_is_shown() {
    let full = Set::in_folder(&bundled()).full;
    let bytes = content(&unpack(&full), |kind| matches!(kind, MemberKind::Manifest { .. }));
    let (manifest, _) = Manifest::decode(&bytes).expect("a good manifest");
    let mut shown = icecore(&["inspect", text(&full), "--manifest", "--output", "json"]).json();
    shown.as_object_mut().expect("an object").remove("trailing_bytes");
    assert_eq!(shown, serde_json::to_value(&manifest).expect("it has a JSON"));
    assert_eq!(shown["last_field"], "block_id");
    assert_eq!(shown["bank"]["transaction_count"], 74);
}

#[test]
fn members_are_those_of_the_tar_stream() {
    for set in Set::all() {
        let stream = unpack(&set.full);
        let rows = icecore(&["inspect", text(&set.full), "--members", "--output", "json"]).rows();
        let expected = members(&stream);
        assert_eq!(rows.len(), expected.len());
        for (row, (offset, path, kind, content)) in rows.iter().zip(&expected) {
            assert_eq!(row["offset"], *offset);
            assert_eq!(row["path"], path.as_str());
            assert_eq!(row["size"], content.len());
            assert_eq!(row["kind"] == "storage", matches!(kind, MemberKind::Storage { .. }));
            assert_eq!(row["kind"] == "manifest", matches!(kind, MemberKind::Manifest { .. }));
        }
        let lines = icecore(&["inspect", text(&set.full), "--members"]).ok();
        assert_eq!(lines.lines().count(), rows.len() + 1);
    }
}

#[test]
fn the_status_cache_is_that_of_the_library() {
    for set in Set::all() {
        for (path, _) in set.archives() {
            let bytes = content(&unpack(path), |kind| *kind == MemberKind::StatusCache);
            let cache = StatusCache::decode(&bytes).expect("a good status cache");
            let mut expected = Vec::new();
            for slot in
                serde_json::to_value(&cache).expect("JSON")["slots"].as_array().expect("a list")
            {
                let with_slot = |blockhash: &Value| {
                    let entries = &blockhash["entries"];
                    json!({
                        "slot": slot["slot"], "is_root": slot["is_root"],
                        "blockhash": blockhash["blockhash"], "key_index": blockhash["key_index"],
                        "count": entries.as_array().map_or(0, Vec::len),
                        "entries": if entries.is_null() { json!([]) } else { entries.clone() },
                    })
                };
                match &slot["blockhashes"].as_array().expect("a list")[..] {
                    [] => expected.push(with_slot(&Value::Null)),
                    blockhashes => expected.extend(blockhashes.iter().map(with_slot)),
                }
            }
            let rows =
                icecore(&["inspect", text(path), "--status-cache", "--output", "json"]).rows();
            assert_eq!(rows, expected, "{}", path.display());
            let lines = icecore(&["inspect", text(path), "--status-cache"]).ok();
            assert_eq!(lines.lines().count(), rows.len() + 2);
        }
    }
}

#[test]
fn frames_are_found_in_a_file_of_many_under_any_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = Set::in_folder(&bundled());
    let (file, frames) = many_frames(&unpack(&set.full));
    assert!(frames.len() > 4);
    let path = folder.path().join("of no archive's name");
    fs::write(&path, &file).expect("it can be written");

    let rows = icecore(&["inspect", text(&path), "--frames", "--output", "json"]).rows();
    assert_eq!(rows.len(), frames.len());
    for (number, (row, MadeFrame { offset, bytes, content })) in
        rows.iter().zip(&frames).enumerate()
    {
        assert_eq!(row["frame"], number);
        assert_eq!(row["offset"], *offset);
        assert_eq!(row["bytes"], *bytes);
        assert_eq!(row["kind"], if content.is_some() { "zstd" } else { "skippable" });
        assert_eq!(row["content_bytes"], json!(content));
        assert_eq!(row["checksum"], content.is_some());
        assert_eq!(row.get("window_bytes").is_some(), content.is_some());
    }

    let summary = icecore(&["inspect", text(&path), "--output", "json"]).json();
    assert_eq!(summary["name"], Value::Null);
    assert_eq!(summary["slot"], set.truth_full["slot"]);
    assert_eq!(summary["container"]["frames"], frames.len() - 1);
    assert_eq!(summary["container"]["skippable_frames"], 1);
    assert_eq!(summary["container"]["checksum"], true);
    let shown = icecore(&["inspect", text(&path)]).ok();
    assert!(shown.contains("none: the file has no archive's name"), "{shown}");

    // Cut within the last frame: all frames before it are there, then the offset of the damage.
    fs::write(&path, &file[..file.len() - 1]).expect("it can be written");
    let cut = icecore(&["inspect", text(&path), "--frames", "--output", "json"]);
    assert_eq!((cut.code, cut.rows().len()), (1, frames.len() - 1));
    let last = frames.last().expect("there are frames").offset;
    let problem =
        format!("ends at offset {}, within the frame that begins at {last}", file.len() - 1);
    assert!(cut.problem().contains(&problem), "{}", cut.err);
}

#[test]
fn frames_of_lz4_and_of_plain_tar() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tar");
    let stream = unpack(&Set::in_folder(&bundled()).full);
    fs::write(&path, &stream).expect("it can be written");
    assert_eq!(icecore(&["inspect", text(&path), "--frames", "--output", "json"]).ok(), "");
    let summary = icecore(&["inspect", text(&path), "--output", "json"]).json();
    assert_eq!(summary["container"]["kind"], "tar");
    assert_eq!(summary["container"]["frames"], Value::Null);
    let Some(folder) = shared("small/lz4") else { return };
    let lz4 = only(&folder, "snapshot-");
    let rows = icecore(&["inspect", text(&lz4), "--frames", "--output", "json"]).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["bytes"], fs::metadata(&lz4).expect("it is there").len());
    assert_eq!(rows[0]["content_bytes"], unpack(&lz4).len());
}
