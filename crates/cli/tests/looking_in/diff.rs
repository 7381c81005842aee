//! `snapshot diff`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Value, json};

use crate::support::*;

const STATE_FIELDS: [&str; 6] =
    ["lamports", "owner", "executable", "rent_epoch", "data_len", "data_blake3"];

type Accounts = BTreeMap<String, Value>;

fn accounts(truth: &Value) -> Accounts {
    let by_key = |account: &Value| {
        let mut account = account.clone();
        let pubkey = account.as_object_mut().and_then(|account| account.remove("pubkey"));
        (pubkey.expect("a key").as_str().expect("a key").to_string(), account)
    };
    truth["accounts"].as_array().expect("a list").iter().map(by_key).collect()
}

/// The row that `diff` must give for an account, if any.
fn expected_row(pubkey: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    let (change, fields) = match (before, after) {
        (Some(before), Some(after)) => {
            let differs = |field: &&str| before[*field] != after[*field];
            let fields: Vec<_> = STATE_FIELDS.into_iter().filter(differs).collect();
            if fields.is_empty() {
                return None;
            }
            ("changed", fields)
        }
        (Some(_), None) => ("closed", Vec::new()),
        (None, _) => ("added", Vec::new()),
    };
    Some(json!({
        "pubkey": pubkey, "change": change, "fields": fields, "before": before, "after": after,
    }))
}

fn diff(before: &str, after: &str) -> (i32, Vec<Value>, Value) {
    let ran = icecore(&["diff", before, after, "--output", "json"]);
    let mut rows = ran.rows();
    let summary = rows.pop().expect("the last line is the summary")["summary"].take();
    assert!(ran.err.starts_with("memory: 134 MB for accounts, "), "{}", ran.err);
    (ran.code, rows, summary)
}

#[test]
fn a_diff_is_what_the_truths_differ_in() {
    let mut checked = 0;
    for set in Set::all() {
        let (before, after) = (accounts(&set.truth_full), accounts(&set.truth_pair));
        let (code, rows, summary) = diff(text(&set.full), &set.pair());
        assert_eq!(code, 1);
        let is_whole = |truth: &Value, accounts: &Accounts| {
            truth["num_accounts"].as_u64() == Some(accounts.len() as u64)
        };
        let found: BTreeMap<_, _> =
            rows.iter().map(|row| (row["pubkey"].as_str().expect("a key"), row)).collect();
        assert_eq!(found.len(), rows.len(), "no account comes twice");
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).map(String::as_str).collect();
        if is_whole(&set.truth_full, &before) && is_whole(&set.truth_pair, &after) {
            for key in &keys {
                let expected = expected_row(key, before.get(*key), after.get(*key));
                assert_eq!(found.get(key).copied(), expected.as_ref(), "{key}");
            }
            assert!(found.keys().all(|key| keys.contains(key)));
            checked += 1;
        }
        // Samples say something of the keys that are in both.
        for key in keys.iter().filter(|key| before.contains_key(**key) && after.contains_key(**key))
        {
            let expected = expected_row(key, before.get(*key), after.get(*key));
            assert_eq!(found.get(key).copied(), expected.as_ref(), "{key}");
        }
        let count = |change: &str| rows.iter().filter(|row| row["change"] == change).count() as u64;
        for change in ["added", "closed", "changed"] {
            assert_eq!(summary[change], count(change));
            assert!(count(change) > 0, "{change}");
        }
        let number = |truth: &Value| truth["num_accounts"].as_u64().expect("a number");
        assert_eq!(
            number(&set.truth_full) + count("added"),
            number(&set.truth_pair) + count("closed")
        );
        for (side, truth) in [("before", &set.truth_full), ("after", &set.truth_pair)] {
            for field in ["slot", "bank_hash", "capitalization", "num_accounts", "total_data_len"] {
                assert_eq!(summary[side][field], truth[field], "{side} {field}");
            }
        }
        assert_eq!(
            (&summary["same"], &summary["before"]["verdict"]),
            (&json!(false), &json!("consistent"))
        );

        let lines = icecore(&["diff", text(&set.full), &set.pair()]);
        assert_eq!(lines.code, 1);
        let last = format!(
            "added {}, closed {}, changed {}",
            count("added"),
            count("closed"),
            count("changed")
        );
        assert_eq!(lines.out.lines().last(), Some(last.as_str()));
    }
    if shared("tiny").is_some() {
        assert_eq!(checked, 3, "sets whose truth has every account");
    }
}

#[test]
fn an_archive_does_not_differ_from_itself_in_whatever_container() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = Set::in_folder(&bundled());
    let (frames, _) = many_frames(&unpack(&set.full));
    let other = folder.path().join(name(&set.full));
    fs::write(&other, frames).expect("it can be written");
    for (before, after) in [
        (text(&set.full), text(&set.full)),
        (text(&set.full), text(&other)),
        (&set.pair()[..], text(&bundled())),
    ] {
        let (code, rows, summary) = diff(before, after);
        assert_eq!((code, rows), (0, Vec::new()));
        assert_eq!((&summary["same"], &summary["fields"]), (&json!(true), &json!([])));
        let lines = icecore(&["diff", before, after]).ok();
        assert_eq!(lines.lines().last(), Some("same state"));
    }
}

#[test]
fn a_diff_names_the_culprit() {
    let Some(control) = shared("damaged/control") else { return };
    let control = only(&control, "snapshot-");
    let case = |name: &str| only(&shared("damaged").expect("it is there").join(name), "snapshot-");

    let (code, rows, summary) = diff(text(&control), text(&case("zst-bit-flip")));
    assert_eq!((code, rows.len()), (1, 1), "{rows:?}");
    assert_eq!(rows[0]["change"], "changed");
    assert_eq!(summary["after"]["verdict"], "bad");
    // One byte of the stream differs: that of the account which is named.
    let truth = accounts(&read_json(&only(&bundled(), "truth-full-")));
    let pubkey = rows[0]["pubkey"].as_str().expect("a key");
    if let Some(account) = truth.get(pubkey) {
        assert_eq!(&rows[0]["before"], account);
    }
    assert_ne!(
        summary["before"]["accounts_lt_hash_checksum"],
        summary["after"]["accounts_lt_hash_checksum"]
    );

    // What is in no account: where it lies, and in which slot it was written.
    for same in [
        "control",
        "one-storage-holding-everything_slot_1",
        "write_version-changed",
        "same-record-in-higher-slot",
    ] {
        let (code, rows, _) = diff(text(&control), text(&case(same)));
        assert_eq!((code, rows), (0, Vec::new()), "{same}");
    }
    let (code, rows, summary) = diff(text(&control), text(&case("manifest-bank_hash-changed")));
    assert_eq!((code, rows), (1, Vec::new()));
    assert_eq!(summary["fields"], json!(["bank_hash"]));

    let cut = icecore(&["diff", text(&control), text(&case("zst-truncated"))]);
    assert_eq!(cut.code, 1);
    assert!(cut.problem().contains("ends at offset 22757"), "{}", cut.err);
}

#[test]
fn a_memory_limit_makes_no_difference() {
    for set in Set::all() {
        for output in ["display", "json-compact"] {
            let arguments = ["diff", text(&set.full), &set.pair(), "--output", output];
            let plenty = icecore(&arguments);
            let scarce = icecore(&[&arguments[..], &["--memory-limit", "16MiB"]].concat());
            assert_eq!((plenty.code, scarce.code), (1, 1), "{}", scarce.err);
            assert!(scarce.err.starts_with("memory: 16.8 MB for accounts, "), "{}", scarce.err);
            assert_eq!(scarce.out, plenty.out);
        }
    }
}

#[test]
fn rows_come_by_address() {
    let set = Set::in_folder(&bundled());
    let (_, rows, _) = diff(text(&set.full), &set.pair());
    let keys = rows.iter().map(|row| {
        let pubkey = row["pubkey"].as_str().expect("a key");
        pubkey.parse::<icecore_types::Pubkey>().expect("a key")
    });
    assert!(rows.len() > 1 && keys.is_sorted());
}
