//! Reading: states, histories, differences, coverage, held against the reference client.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::Stdio,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::support::*;

const CONTENT: [&str; 6] =
    ["lamports", "owner", "executable", "rent_epoch", "data_len", "data_blake3"];

/// How a state of the truth is asked for.
fn at(state: &Value) -> [String; 2] {
    let slot = number(state, "slot");
    match string(state, "kind") {
        "abandoned" => ["--fork".to_string(), format!("{slot}@{}", string(state, "bank_hash"))],
        _ => ["--at-slot".to_string(), slot.to_string()],
    }
}

#[test]
fn states_at_rooted_skipped_and_abandoned_slots_are_those_of_the_reference_client() {
    let (store, truth) = (Store::fed(), truth());
    let mut kinds = BTreeSet::new();
    for state in list(&truth, "states") {
        kinds.insert(string(state, "kind"));
        let asked: Vec<&str> =
            list(state, "accounts").iter().map(|account| string(account, "pubkey")).collect();
        let absent: Vec<&str> =
            list(state, "absent").iter().map(|key| key.as_str().expect("a key")).collect();
        let [option, value] = at(state);
        let arguments = [&["account", &option, &value], &asked[..], &absent].concat();
        let rows = store.rows(i32::from(!absent.is_empty()), &arguments);
        assert_eq!(rows.len(), asked.len() + absent.len());
        for (row, expected) in rows.iter().zip(list(state, "accounts")) {
            let fields = ["pubkey", "lamports", "owner", "executable", "slot", "data_len"];
            assert_fields(row, expected, &fields);
            let data = STANDARD.decode(string(row, "data")).expect("base64");
            assert_eq!(*blake3::hash(&data).to_string(), *string(expected, "data_blake3"));
        }
        for row in &rows {
            assert_eq!(row["at_slot"], state["effective_slot"], "{row}");
        }
        for row in &rows[asked.len()..] {
            assert_eq!(row["absent"], true, "{row}");
        }
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

#[test]
fn the_totals_of_states_are_those_of_the_reference_client() {
    let (store, truth) = (Store::fed(), truth());
    for state in list(&truth, "states") {
        let [option, value] = at(state);
        let moment = if option == "--fork" { value } else { number(state, "slot").to_string() };
        let ran = store.run(&["diff", "24", &moment, "--output", "json"]).code(1);
        let rows = ran.rows();
        let summary = &rows.last().expect("a summary")["summary"];
        let after = &summary["after"];
        assert_eq!(after["slot"], state["effective_slot"]);
        let fields = [
            "bank_hash",
            "accounts_lt_hash_checksum",
            "capitalization",
            "num_accounts",
            "total_data_len",
        ];
        assert_fields(after, state, &fields);
        let count = |name: &str| number(summary, name);
        let all = count("added") + count("closed") + count("changed");
        assert_eq!(all, rows.len() as u64 - 1);
    }
}

#[test]
fn histories_are_those_of_the_reference_client() {
    let (store, truth) = (Store::fed(), truth());
    for expected in list(&truth, "history") {
        let pubkey = string(expected, "pubkey");
        let base = expected["base"].is_object();
        let (rooted, abandoned) = (list(expected, "rooted"), list(expected, "abandoned"));
        let is_there = base || !rooted.is_empty() || !abandoned.is_empty();
        let found = store.json(i32::from(!is_there), &["history", pubkey]);
        assert_eq!(found["pubkey"], pubkey);
        let of = |is: &dyn Fn(&Value) -> bool| -> Vec<&Value> {
            list(&found, "versions").iter().filter(|version| is(version)).collect()
        };
        let bases = of(&|version| version["base_point"] == true);
        assert_eq!(bases.len(), usize::from(base), "{found}");
        if let [version] = bases[..] {
            assert_eq!((&version["slot"], &version["rooted"]), (&24.into(), &true.into()));
            assert_fields(version, &expected["base"], &CONTENT);
        }
        for (is_rooted, expected) in [(true, rooted), (false, abandoned)] {
            let versions =
                of(&|version| version["rooted"] == is_rooted && version["base_point"] == false);
            assert_eq!(versions.len(), expected.len(), "{pubkey}: {found}");
            for (version, expected) in versions.iter().zip(expected) {
                assert_fields(version, expected, &["slot"]);
                // A tombstone's owner and the like are of no account.
                match expected["lamports"] == 0 {
                    true => assert_eq!(version["lamports"], 0),
                    false => assert_fields(version, expected, &CONTENT),
                }
            }
        }
        for version in list(&found, "versions") {
            let slot = list(&truth, "slots").iter().find(|slot| {
                slot["slot"] == version["slot"] && slot["rooted"] == version["rooted"]
            });
            if let Some(slot) = slot {
                assert_fields(version, slot, &["bank_hash"]);
            }
        }
    }
    let some = store.json(0, &["history", CLOCK, "--slots", "90:100"]);
    let slots: Vec<_> =
        list(&some, "versions").iter().map(|version| number(version, "slot")).collect();
    assert!(slots.len() > 2 && slots.iter().all(|slot| (90..=100).contains(slot)), "{slots:?}");
    let shown = store.good(&["history", CLOCK, "--slots", "90:100"]);
    assert_eq!(shown.lines().count(), slots.len() + 2, "{shown}");
}

/// Accounts of a slot, by address, without what is of no state.
fn export(store: &Store, slot: &str) -> BTreeMap<String, Value> {
    let ran = store.run(&["accounts", "export", "--format", "jsonl", "--at-slot", slot]).code(0);
    let rows = ran.rows().into_iter().map(|mut row| {
        let fields = row.as_object_mut().expect("an object");
        fields.remove("at_slot");
        fields.remove("slot");
        (string(&row, "pubkey").to_string(), row)
    });
    rows.collect()
}

#[test]
fn a_diff_is_what_the_exports_of_both_slots_differ_in() {
    let store = Store::fed();
    let (before, after) = (export(&store, "40"), export(&store, "123"));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differing: BTreeSet<_> =
        keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
    let rows = store.rows(1, &["diff", "40", "123"]);
    let (summary, rows) = rows.split_last().expect("a summary");
    let found: BTreeSet<_> = rows.iter().map(|row| string(row, "pubkey").to_string()).collect();
    assert!(found.iter().eq(differing.into_iter()), "{summary}");
    for row in rows {
        let key = string(row, "pubkey");
        let expected = match (before.contains_key(key), after.contains_key(key)) {
            (true, true) => "changed",
            (true, false) => "closed",
            (false, _) => "added",
        };
        assert_eq!(row["change"], expected, "{row}");
    }
    let of_token = store.rows(1, &["diff", "40", "123", "--program-accounts", TOKEN]);
    let is_token = |row: &&Value| {
        ["before", "after"].iter().any(|side| row[side]["owner"].as_str() == Some(TOKEN))
    };
    assert_eq!(of_token.len() - 1, rows.iter().filter(is_token).count());
    assert!(of_token.len() > 1);

    // Backward, and by its older name.
    let back = store.run(&["snapshot", "diff", "123", "40", "--output", "json"]).code(1).rows();
    let last = &back.last().expect("a summary")["summary"];
    assert_eq!(last["added"], summary["summary"]["closed"]);
    let same = store.run(&["diff", "54", "53"]).code(0).told("the last rooted one before 54");
    assert_eq!(same.out, "same accounts\n");
    store.run(&["snapshot", "diff", "x.tar", "40"]).code(2).told("both sides are slots");
}

#[test]
fn a_store_and_the_archives_that_it_was_restored_from_answer_alike() {
    let store = Store::none();
    store.good(&["restore", text(&tiny())]);
    let sorted = |mut rows: Vec<Value>| {
        for row in &mut rows {
            let fields = row.as_object_mut().expect("an object");
            assert_eq!(fields.remove("at_slot").is_some(), fields.contains_key("pubkey"), "{row}");
        }
        rows.sort_by_key(|row| row["pubkey"].to_string());
        rows
    };
    for command in [
        vec!["accounts", "export", "--format", "jsonl"],
        vec!["program-accounts", TOKEN],
        vec!["program-accounts", TOKEN, "--data-size", "165"],
        vec!["accounts", "export", "--format", "jsonl", "--program-accounts", STAKE],
        vec!["account", CLOCK],
    ] {
        let of_store = sorted(store.rows(0, &command));
        let arguments = [&command[..], &["--output", "json-compact"]].concat();
        let archives = icecore(&arguments).arg("--from").arg(tiny()).output().expect("it runs");
        let mut of_archives = Ran::of(archives).code(0).rows();
        of_archives.sort_by_key(|row| row["pubkey"].to_string());
        assert!(of_store == of_archives && !of_store.is_empty(), "{command:?}");
    }
    let of_store = store.rows(0, &["snapshot", "stats"]);
    let arguments = ["snapshot", "stats", "--output", "json-compact"];
    let archives = icecore(&arguments).arg(tiny()).output().expect("it runs");
    let of_archives = Ran::of(archives).code(0).rows();
    assert_eq!(of_store, of_archives);
    let accounts = store.rows(0, &["program-accounts", TOKEN, "--data-size", "82"]);
    let mint = accounts.iter().find(|account| account["parsed"]["type"] == "mint");
    let mint = string(mint.expect("a mint"), "pubkey");
    let holders = store.rows(0, &["token-holders", mint]);
    let arguments = ["token-holders", mint, "--output", "json-compact"];
    let archives = icecore(&arguments).arg("--from").arg(tiny()).output().expect("it runs");
    let mut expected = Ran::of(archives).code(0).rows();
    expected.last_mut().expect("a summary")["summary"]["at_slot"] = 62.into();
    assert_eq!(holders, expected);
}

#[test]
fn outside_of_what_is_kept_is_an_error_that_names_the_bounds() {
    let store = Store::none();
    store.good(&["restore", text(&tiny()), "--all"]);
    for (slot, reason) in [
        ("45", "slots 46 to 62"),
        ("63", "slots 46 to 62"),
        ("47", "nothing is known of slots 47 to 61"),
        ("61", "nothing is known of slots 47 to 61"),
    ] {
        for command in [
            vec!["account", CLOCK, "--at-slot", slot],
            vec!["accounts", "export", "--format", "csv", "--at-slot", slot],
            vec!["diff", "46", slot],
        ] {
            let ran = store.run(&command).code(3).told(reason);
            assert_eq!(ran.out, "", "{command:?}");
        }
    }
    store.run(&["account", CLOCK, "--fork", "50"]).code(3).told("no fork with slot 50");
    store.good(&["account", CLOCK, "--at-slot", "46"]);

    let covered = store.json(0, &["coverage"]);
    assert_eq!((number(&covered, "first"), number(&covered, "last")), (46, 62));
    assert_eq!(covered["base_points"], serde_json::json!([46, 62]));
    assert_eq!(covered["gaps"], serde_json::json!([{"first": 47, "last": 61}]));
    let shown = store.good(&["coverage"]);
    assert!(shown.lines().any(|line| line == "   47    61  gap"), "{shown}");

    // Whoever asks for slots in the gap is told; whoever asks for all there is gets that.
    let all = store.json(0, &["history", CLOCK]);
    assert_eq!(list(&all, "versions").len(), 2);
    assert_eq!(all["gaps"], serde_json::json!([[47, 61]]));
    store.run(&["history", CLOCK, "--slots", "46:62"]).code(3).told("slots 47 to 61");
    store.run(&["history", CLOCK, "--slots", "62:"]).code(0);
    store.run(&["history", CLOCK, "--slots", "40:"]).code(3).told("slots 46 to 62");
    store.run(&["history", "11111111111111111111111111111112"]).code(1).told("no version");
}

#[test]
fn forks_are_listed_and_read_while_they_live() {
    let store = Store::fed_until("64");
    let covered = store.json(0, &["coverage"]);
    let forks = list(&covered, "forks");
    assert!(forks.iter().any(|fork| fork["alive"] == true), "{covered}");
    for fork in forks {
        let name = format!("{}@{}", fork["slot"], string(fork, "bank_hash"));
        let row = store.json(0, &["account", CLOCK, "--fork", &name]);
        assert_eq!(row["parsed"]["info"]["slot"], fork["slot"]);
    }
    let one = format!("64@{}", string(&forks[0], "bank_hash"));
    store.run(&["account", CLOCK, "--fork", &one]).code(3);
}

#[test]
fn what_is_typed_wrongly_is_told() {
    let store = Store::restored();
    for (arguments, reason) in [
        (vec!["account", CLOCK, "--from", "x"], "cannot be used with"),
        (vec!["account", CLOCK, "--at-slot", "x"], "'x' is no slot"),
        (vec!["account", CLOCK, "--at-slot", "1", "--fork", "1"], "cannot be used with"),
        (vec!["account", CLOCK, "--fork", "1@x"], "'x' is no bank hash"),
        (vec!["history", CLOCK, "--slots", "5"], "A:B"),
        (vec!["history", CLOCK, "--slots", "9:5"], "comes after"),
        (vec!["diff", "1"], "SLOT_B"),
        (vec!["ingest", "slots"], "FILE"),
        (vec!["restore", text(&tiny()), text(&tiny()), "--all"], "one folder"),
        (vec!["run", "--ingest", "feed"], "slots:FILE"),
        (vec!["run", "--retain-slots", "1", "--base-points-only"], "cannot be used with"),
        (vec!["request", "dance"], "unrecognized subcommand"),
    ] {
        let ran = store.run(&arguments).code(2).told(reason);
        assert_eq!(ran.out, "", "{arguments:?}");
    }
    let from = Ran::of(
        icecore(&["account", CLOCK, "--at-slot", "1", "--from", text(&tiny())])
            .output()
            .expect("it runs"),
    );
    from.code(2).told("are for stores");
    for command in [vec!["coverage"], vec!["account", CLOCK], vec!["run"], vec!["diff", "1", "2"]] {
        Store::none().run(&command).code(2).told("there is no store here");
    }
}

#[test]
fn a_variable_names_the_store_where_nothing_else_does() {
    let store = Store::restored();
    let run = |arguments: &[&str]| {
        let mut command = icecore(arguments);
        Ran::of(command.env("ICECORE_STORE", store.path()).output().expect("it runs"))
    };
    for command in [
        vec!["account", CLOCK],
        vec!["coverage"],
        vec!["history", CLOCK],
        vec!["diff", "24", "ROOT"],
        vec!["account", CLOCK, "--at-slot", "ROOT"],
    ] {
        run(&command).code(0);
    }
    // Archives that are named come first.
    let row = run(&["account", CLOCK, "--from", text(&tiny()), "--output", "json-compact"])
        .code(0)
        .rows();
    assert_eq!(row[0]["slot"], 62);
    let neither = Ran::of(icecore(&["account", CLOCK]).output().expect("it runs"));
    neither.code(2).told("ICECORE_STORE");
}

#[test]
fn a_closed_pipe_ends_reading_quietly() {
    let store = Store::fed();
    let mut child = store
        .command(&["accounts", "export", "--format", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut reader = BufReader::with_capacity(16, child.stdout.take().expect("piped"));
    reader.read_line(&mut String::new()).expect("a line");
    drop(reader);
    let ran = Ran::of(child.wait_with_output().expect("it ends")).code(0);
    assert!(!ran.err.contains("icecore:"), "{}", ran.err);
}
