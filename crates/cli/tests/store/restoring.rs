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

/// The archives of a folder whose names begin so.
fn archive(folder: &std::path::Path, prefix: &str) -> std::path::PathBuf {
    let mut paths =
        fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed").path());
    let is_it = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    paths.find(is_it).expect("it is there")
}

#[test]
fn an_incremental_archive_alone_stands_on_the_base_point_that_is_kept() {
    let (full, incremental) =
        (archive(&tiny(), "snapshot-46-"), archive(&tiny(), "incremental-snapshot-46-62-"));
    // There has to be a store, and a base point in it.
    let none = Store::none();
    none.run(&["restore", text(&incremental)]).code(2);
    assert!(!none.path().exists(), "none was made");
    let other = Store::restored();
    let ran = other.run(&["restore", text(&incremental)]).code(3);
    ran.told("slot 46 is no base point of this store").told("those that it keeps: 24");

    let store = Store::none();
    store.good(&["restore", text(&full)]);
    let row = store.json(0, &["restore", text(&incremental)]);
    assert_eq!((&row["base_point"], &row["restored"]), (&62.into(), &true.into()));
    assert_eq!(list(&row, "archives").len(), 2);
    assert_eq!(
        (&row["verdict"]["kind"], &row["verdict"]["slot"]),
        (&"incremental".into(), &62.into())
    );
    let again = store.good(&["restore", text(&incremental)]);
    assert_eq!(again, "slot 62 is held already: nothing to restore\n");
    let row = store.json(0, &["restore", text(&incremental)]);
    assert_eq!(row["restored"], false);

    // The same as a store that was given the pair.
    let pair = Store::none();
    pair.good(&["restore", text(&full)]);
    pair.good(&["restore", text(&full), text(&incremental)]);
    for store in [&store, &pair] {
        store.good(&["store", "check"]);
    }
    for question in [&["coverage"][..], &["history", CLOCK], &["account", CLOCK]] {
        assert_eq!(store.json(0, question), pair.json(0, question), "{question:?}");
    }
    let sorted = |store: &Store| {
        let listed = store.good(&["program-accounts", TOKEN]);
        let mut lines: Vec<_> = listed.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&store), sorted(&pair));

    // A store of some programs cannot check it.
    let some = Store::none();
    some.good(&["restore", text(&full), "--program-accounts", TOKEN]);
    let ran = some.run(&["restore", text(&incremental)]).code(3);
    ran.told("accounts of some programs only").told("give the full archive with it");
}

#[test]
fn all_archives_of_a_folder_read_the_full_one_once() {
    let store = Store::none();
    let ran = store.run(&["restore", text(&tiny()), "--all"]).code(0);
    let reads = |prefix: &str| ran.err.matches(&format!("read {prefix}")).count();
    assert_eq!(
        (reads("snapshot-46-"), reads("incremental-snapshot-46-62-")),
        (1, 1),
        "{}",
        ran.err
    );
    store.good(&["store", "check"]);
    // Of some programs the pair is needed.
    let some = Store::none();
    let rows = some.rows(0, &["restore", text(&tiny()), "--all", "--program-accounts", TOKEN]);
    assert!(rows.iter().all(|row| row["restored"] == true), "{rows:?}");
    // A folder with an incremental archive only, for a store that keeps the rest.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let incremental = archive(&tiny(), "incremental-snapshot-46-62-");
    let name = incremental.file_name().expect("a file");
    fs::copy(&incremental, folder.path().join(name)).expect("copied");
    let kept = Store::none();
    kept.good(&["restore", text(&archive(&tiny(), "snapshot-46-"))]);
    kept.good(&["restore", text(folder.path()), "--all"]);
}
