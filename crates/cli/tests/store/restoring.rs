//! Restoring: base points in order, once, whole or not at all.

use std::fs;

use crate::support::*;

#[test]
fn a_base_point_is_restored_once_and_says_what_it_needs() {
    let store = Store::none();
    let archives = tiny();
    let ran = store.run(&["restore", text(&archives)]).code(0).told("needs: about ");
    assert!(ran.out.contains("restored: slot 62 is a base point of "), "{}", ran.out);
    assert!(ran.err.contains(" make durable"), "{}", ran.err);
    let again = store.good(&["restore", text(&archives)]);
    assert_eq!(again, "slot 62 is held already: nothing to restore\n");
    let held = store.json(0, &["restore", text(&archives)]);
    assert_eq!((&held["base_point"], &held["restored"]), (&62.into(), &false.into()));
    assert!(held.get("verdict").is_none());

    // The full archive alone is older: base points come in order.
    let names = fs::read_dir(&archives).expect("listed").map(|entry| entry.expect("listed").path());
    let full = names.into_iter().find(|path| text(path).contains("/snapshot-46-"));
    let ran = store.run(&["restore", text(&full.expect("it is there"))]).code(1);
    ran.told("base points are restored in order, oldest first");
    let other = store.run(&["restore", text(&feed_tiny())]).code(1);
    other.told("the store begins at slot 62");
}

#[test]
fn all_archives_of_a_folder_become_base_points() {
    let store = Store::none();
    let rows = store.rows(0, &["restore", text(&tiny()), "--all"]);
    assert_eq!(rows.len(), 2);
    for (row, (slot, archives)) in rows.iter().zip([(46, 1), (62, 2)]) {
        assert_eq!((&row["base_point"], &row["restored"]), (&slot.into(), &true.into()));
        assert_eq!(list(row, "archives").len(), archives);
        assert_eq!(row["verdict"]["verdict"], "consistent");
    }
    let again = store.rows(0, &["restore", text(&tiny()), "--all"]);
    assert!(again.iter().all(|row| row["restored"] == false), "{again:?}");
}

#[test]
fn a_bad_verdict_restores_nothing_and_a_new_try_works() {
    let store = Store::none();
    let wrong = "11111111111111111111111111111111";
    let report = store.folder.path().join("report.json");
    let archives = tiny();
    let arguments =
        ["restore", text(&archives), "--expected-bank-hash", wrong, "--report", text(&report)];
    let ran = store.run(&arguments).code(1);
    assert!(ran.out.ends_with("nothing was restored\n"), "{}", ran.out);
    let written = fs::read_to_string(&report).expect("written");
    assert!(written.contains("\"verdict\": \"bad\""), "{written}");
    let row = store.json(1, &arguments);
    assert_eq!((&row["restored"], &row["verdict"]["verdict"]), (&false.into(), &"bad".into()));
    store.run(&["coverage"]).code(3).told("holds no state yet");
    store.run(&["account", CLOCK]).code(3).told("holds no state yet");
    let right = "E56UEusXZfdrQBTzm1uukmCeEeJW6H6c2jqWJwWynWVF";
    let row = store.json(0, &["restore", text(&tiny()), "--expected-bank-hash", right]);
    assert_eq!(row["verdict"]["verdict"], "anchored");
    store.run(&["restore", text(&store.path())]).code(2).told("snapshot");
}

#[test]
fn a_store_of_some_programs_says_that_it_knows_nothing_of_the_rest() {
    let store = Store::none();
    store.good(&["restore", text(&feed_tiny()), "--program-accounts", TOKEN]);
    store.good(&["ingest", "slots", text(&feed())]);
    let kept = store.run(&["program-accounts", TOKEN]).code(0).told("taken on trust");
    let whole = Store::fed();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&kept.out), sorted(&whole.good(&["program-accounts", TOKEN])));
    store.run(&["program-accounts", STAKE]).code(3).told("are not kept in this store");
    let row = &store.rows(3, &["account", CLOCK])[0];
    assert_eq!((row.get("absent"), &row["at_slot"]), (Some(&serde_json::Value::Null), &127.into()));
    store.run(&["account", CLOCK]).code(3).told("or of an owner that is not kept");
    store.run(&["history", CLOCK]).code(3);
    let covered = store.json(0, &["coverage"]);
    assert_eq!(covered["program_accounts"], serde_json::json!([TOKEN]));
    for more in [vec!["--program-accounts", STAKE], vec!["--no-owner-order"]] {
        let archives = feed_tiny();
        let arguments = [&["restore", text(&archives)], &more[..]].concat();
        store.run(&arguments).code(2).told("chosen when a store is made");
    }
}

#[test]
fn a_store_without_the_index_by_owner_answers_the_same() {
    let store = Store::none();
    store.good(&["restore", text(&tiny()), "--no-owner-order"]);
    let other = Store::none();
    other.good(&["restore", text(&tiny())]);
    let sorted = |store: &Store| {
        let mut lines: Vec<_> =
            store.good(&["program-accounts", TOKEN]).lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&store), sorted(&other));
}
