//! `snapshot stats`.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::support::*;

#[test]
fn stats_are_those_of_the_truth() {
    for set in Set::all() {
        for (paths, truth) in [
            (vec![&set.full], &set.truth_full),
            (vec![&set.full, &set.incremental], &set.truth_pair),
        ] {
            let mut arguments = vec!["stats", "--top", "100000", "--output", "json"];
            arguments.extend(paths.iter().map(|path| text(path)));
            let stats = icecore(&arguments).json();
            for field in ["slot", "num_accounts", "total_data_len", "capitalization"] {
                assert_eq!(stats[field], truth[field], "{field} of {arguments:?}");
            }
            let by_owner = |value: &Value| -> BTreeMap<String, (u64, u64)> {
                let row = |row: &Value| {
                    let number = |field: &str| row[field].as_u64().expect("a number");
                    let owner = row["owner"].as_str().expect("a key").to_string();
                    (owner, (number("count"), number("data_len")))
                };
                value["by_owner"].as_array().expect("a list").iter().map(row).collect()
            };
            assert_eq!(by_owner(&stats), by_owner(truth), "{arguments:?}");
            assert_eq!(stats["other_owners"]["count"], 0);
            let sum = |table: &str, field: &str| -> u64 {
                let rows = stats[table].as_array().expect("a list").iter();
                rows.map(|row| row[field].as_u64().expect("a number")).sum()
            };
            for table in ["by_owner", "by_size", "by_slot"] {
                assert_eq!(truth["num_accounts"], sum(table, "count"), "{table}");
                assert_eq!(truth["total_data_len"], sum(table, "data_len"), "{table}");
                assert_eq!(truth["capitalization"], sum(table, "lamports"), "{table}");
            }
            check_sizes_and_slots(&stats, truth);
        }
    }
}

/// Where the truth has a row for each account, classes and ranges can be counted from it.
fn check_sizes_and_slots(stats: &Value, truth: &Value) {
    let accounts = truth["accounts"].as_array().expect("a list");
    if accounts.len() as u64 != truth["num_accounts"].as_u64().expect("a number") {
        return;
    }
    for (table, field, low, high) in [
        ("by_size", "data_len", "data_len_min", "data_len_max"),
        ("by_slot", "slot", "slot_first", "slot_last"),
    ] {
        for row in stats[table].as_array().expect("a list") {
            let range = row[low].as_u64()..=row[high].as_u64();
            let count = accounts.iter().filter(|account| range.contains(&account[field].as_u64()));
            assert_eq!(row["count"], count.count(), "{table} {range:?}");
        }
    }
}

#[test]
fn stats_show_the_top_and_draw_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plot = folder.path().join("plot.svg");
    let set = Set::in_folder(&bundled());
    let (full, incremental) = (text(&set.full), text(&set.incremental));
    let shown = icecore(&["stats", full, incremental, "--top", "3", "--plot", text(&plot)]).ok();
    assert!(shown.contains("Feature") && shown.contains("(29 other owners)"), "{shown}");
    let svg = fs::read_to_string(&plot).expect("it was drawn");
    for text in [
        "<svg xmlns=",
        "Slot 62: 671 live accounts",
        "29 other owners",
        ">284<",
        ">accounts<",
        "By size of data",
        "By slot",
        "</svg>",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let opened = svg.matches('<').count();
    assert_eq!(opened, svg.matches('>').count(), "tags are whole");

    let stats = icecore(&["stats", full, "--by", "size", "--output", "json-compact"]);
    assert_eq!(stats.out.lines().count(), 1);
    let stats = stats.json();
    assert!(stats.get("by_size").is_some() && stats.get("by_owner").is_none());
    let stats = icecore(&[
        "stats",
        text(&bundled()),
        "--by",
        "slot,owner",
        "--top",
        "5",
        "--output",
        "json",
    ])
    .json();
    assert_eq!(stats["slot"], 62, "a folder is its best pair");
    assert_eq!(stats["by_owner"].as_array().map(Vec::len), Some(5));
    assert!(stats["by_slot"].as_array().is_some_and(|rows| rows.len() <= 5));
    assert!(stats.get("by_size").is_none());
}

#[test]
fn stats_of_a_bad_archive_are_given_on_demand_only() {
    let Some(folder) = shared("damaged/zst-bit-flip") else { return };
    let full = only(&folder, "snapshot-");
    let refused = icecore(&["stats", text(&full)]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.problem().contains("snapshot-46-"), "{}", refused.err);
    icecore(&["stats", text(&full), "--no-verify"]).ok();
}
