//! The node makes snapshots: by intervals, on request, until it ends, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{node::Node, support::*};

/// Archives in a folder, full ones and incremental ones, and how many placeholders there are.
fn archives(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>, usize) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut all: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    all.sort();
    let starts = |path: &PathBuf, with: &str| {
        path.file_name().expect("a file").to_string_lossy().starts_with(with)
    };
    let of = |with: &str| all.iter().filter(|path| starts(path, with)).cloned().collect::<Vec<_>>();
    (of("snapshot-"), of("incremental-"), of(".").len())
}

/// Every archive is sound, alone or with its full one.
fn verify(folder: &Path) {
    let (fulls, incrementals, _) = archives(folder);
    let verify = |paths: &[&Path]| {
        let mut arguments = vec!["snapshot", "verify", "--strict"];
        arguments.extend(paths.iter().map(|path| text(path)));
        Ran::of(icecore(&arguments).output().expect("the binary runs")).code(0);
    };
    fulls.iter().for_each(|full| verify(&[full]));
    for incremental in &incrementals {
        let name = incremental.file_name().expect("a file").to_string_lossy().into_owned();
        let base = name.split('-').nth(2).expect("the base slot").to_string();
        let full = fulls.iter().find(|full| text(full).contains(&format!("snapshot-{base}-")));
        verify(&[full.expect("its full one is there"), incremental]);
    }
}

/// Waits until what the node says of its snapshots is so.
fn wait(store: &Store, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let snapshots = store.json(0, &["request", "stats"])["snapshots"].take();
        if is_so(&snapshots) {
            return snapshots;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{snapshots}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_node_makes_snapshots_on_request_or_says_why_not() {
    let store = Store::restored();
    let to = tempfile::tempdir().expect("a temporary folder");
    let intervals = ["--full-snapshot-interval-slots", "0", "--snapshot-interval-slots", "0"];
    let arguments = [&["--snapshots", text(to.path())], &intervals[..]].concat();
    let node = Node::start(&store, &arguments);
    store.run(&["request", "incremental"]).code(3).told("no full archive");
    store.run(&["request", "snapshot", "3"]).code(3).told("in the past");
    let full = store.json(0, &["request", "snapshot"]);
    assert_eq!((number(&full, "slot"), &full["base_slot"]), (24, &Value::Null));
    store.good(&["ingest", "slots", text(&feed())]);
    store.run(&["request", "snapshot", "25"]).code(3).told("no archive can be made of slot 25");
    store.run(&["request", "snapshot", "25"]).code(3).told("3 slots from 24 to 127");
    let incremental = store.json(0, &["request", "incremental", "48"]);
    assert_eq!((number(&incremental, "slot"), number(&incremental, "base_slot")), (48, 24));
    let last = store.json(0, &["request", "incremental"]);
    assert_eq!((number(&last, "slot"), number(&last, "base_slot")), (127, 24));
    let hashed = store.json(0, &["request", "accounts-hash", "60"]);
    // There is no final slot 60.
    assert_eq!((number(&hashed, "slot"), &hashed["agrees"]), (59, &true.into()));
    let stats = wait(&store, |stats| stats["running"].is_null());
    assert_eq!((&stats["last_full"], &stats["last_incremental"]), (&full, &last));
    assert_eq!(stats["last_accounts_hash"], hashed);
    assert_eq!((&stats["failures"], &stats["next_full"]), (&0.into(), &Value::Null));
    let told = store.good(&["request", "stats"]);
    for line in ["snapshots.failures: 0", "snapshots.last_full.slot: 24", "snapshots.running: none"]
    {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let journal = store.path().join("journal");
    let events = icecore(&["journal", "tail", text(&journal)]).output().expect("the binary runs");
    let events = Ran::of(events).code(0).out;
    for event in ["made #4  kind 12", "made #5  kind 10", "made #6  kind 11"] {
        assert!(events.contains(event), "{event}: {events}");
    }
    // A second node of another store has no part of this folder.
    let other = Store::restored();
    let taken = other.run(&["run", "--snapshots", text(to.path())]).code(4);
    taken.told("another node makes snapshots in this folder");
    let said = node.end("INT", 0);
    assert!(said.contains("snapshots: made snapshot-24-"), "{said}");
    assert!(said.ends_with("the store is closed\n"), "{said}");
    let (fulls, incrementals, placeholders) = archives(to.path());
    assert_eq!((fulls.len(), incrementals.len(), placeholders), (1, 2, 5));
    verify(to.path());
    // What was made outlives the store.
    let tail = |journal: &Path| {
        let tail = icecore(&["journal", "tail", text(journal)]).output().expect("the binary runs");
        Ran::of(tail).code(0).out
    };
    let saved = to.path().join("saved");
    let salvage =
        ["journal", "salvage", text(&journal), "--to", text(&saved), "--owner", "icecore-store"];
    Ran::of(icecore(&salvage).output().expect("the binary runs")).code(0);
    let told = tail(&journal);
    assert!(told.contains(" kind 10") && told.contains(" kind 11") && told.contains(" kind 12"));
    assert_eq!(tail(&saved), told);
    // A node without a folder, and options without one.
    let node = Node::start(&store, &[]);
    store.run(&["request", "snapshot"]).code(3).told("--snapshots DIR");
    assert_eq!(store.json(0, &["request", "stats"])["snapshots"], Value::Null);
    node.end("TERM", 0);
    store.run(&["run", "--snapshot-interval-slots", "5"]).code(2).told("--snapshots");
}

#[test]
fn a_node_that_ingests_makes_snapshots_by_itself_and_keeps_so_many() {
    let store = Store::restored();
    let to = tempfile::tempdir().expect("a temporary folder");
    let arguments = [
        "--snapshots",
        text(to.path()),
        "--full-snapshot-interval-slots",
        "10",
        "--snapshot-interval-slots",
        "3",
        "--maximum-full-snapshots-to-retain",
        "1",
        "--maximum-incremental-snapshots-to-retain",
        "1",
        "--snapshot-archive-format",
        "lz4",
    ];
    let node = Node::start(&store, &arguments);
    let full = store.json(0, &["request", "snapshot"]);
    store.good(&["ingest", "slots", text(&feed()), "--until", "75"]);
    wait(&store, |stats| number(&stats["last_full"], "slot") == 48);
    store.good(&["ingest", "slots", text(&feed())]);
    wait(&store, |stats| {
        number(&stats["last_full"], "slot") == 127 && archives(to.path()).0.len() == 1
    });
    assert!(!to.path().join(string(&full, "file")).exists());
    let said = node.end("TERM", 0);
    assert!(said.contains("has gone, as there are newer ones"), "{said}");
    let (fulls, incrementals, placeholders) = archives(to.path());
    assert_eq!((fulls.len(), incrementals.len(), placeholders), (1, 0, 3));
    assert!(text(&fulls[0]).ends_with(".tar.lz4"));
    verify(to.path());
    // The next one knows what there is, and makes nothing twice.
    let node = Node::start(&store, &arguments);
    let stats = wait(&store, |stats| !stats["last_full"].is_null());
    assert_eq!(number(&stats["last_full"], "slot"), 127);
    let said = node.end("TERM", 0);
    assert!(!said.contains("making"), "{said}");
}

#[test]
fn a_node_that_is_killed_while_it_makes_snapshots_leaves_nothing_half() {
    let store = Store::restored();
    store.good(&["ingest", "slots", text(&feed())]);
    let to = tempfile::tempdir().expect("a temporary folder");
    let arguments = [
        "--snapshots",
        text(to.path()),
        "--maximum-full-snapshots-to-retain",
        "1",
        "--maximum-incremental-snapshots-to-retain",
        "1",
    ];
    for round in 0..12_u64 {
        let mut node = Node::start(&store, &arguments);
        // One after the other, each in place of the one before, until it dies.
        let asking = ["24", "48", "127"].map(|slot| store.command(&["request", "snapshot", slot]));
        let asking = thread::spawn(move || {
            for mut command in asking {
                command.output().expect("the binary runs");
            }
        });
        thread::sleep(Duration::from_millis(5 + 25 * round));
        node.child.kill().expect("killed");
        node.child.wait().expect("gone");
        asking.join().expect("it ends");
        verify(to.path());
        // From the first one again, every other time.
        if round % 2 == 1 {
            let (fulls, ..) = archives(to.path());
            fulls.iter().for_each(|full| fs::remove_file(full).expect("removed"));
        }
    }
    let node = Node::start(&store, &arguments);
    store.json(0, &["request", "snapshot", "127"]);
    wait(&store, |stats| stats["running"].is_null() && archives(to.path()).0.len() == 1);
    node.end("TERM", 0);
    let (_, _, placeholders) = archives(to.path());
    assert_eq!(placeholders, 3);
    verify(to.path());
}

#[test]
fn on_a_full_disk_the_snapshot_fails_and_the_node_goes_on() {
    let store = Store::fed();
    let to = tempfile::tempdir().expect("a temporary folder");
    // A disk of its own for the node, too small for two full archives.
    let script = "mount -t tmpfs -o size=72k tmpfs \"$1\" && shift && exec \"$@\"";
    let alone = |command: &mut Command| {
        let mut unshared = Command::new("unshare");
        unshared.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(to.path());
        unshared.arg(command.get_program()).args(command.get_args());
        unshared
    };
    let is_possible = alone(&mut Command::new("true")).status().is_ok_and(|ran| ran.success());
    if !is_possible {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let arguments = ["run", "--snapshots", text(to.path()), "--snapshot-interval-slots", "0"];
    let node = Node::started(alone(&mut store.command(&arguments)));
    store.json(0, &["request", "snapshot", "24"]);
    for _ in 0..3 {
        let failed = store.run(&["request", "snapshot", "127"]).code(4);
        failed.told("nothing was made").told("free space there");
    }
    let stats = wait(&store, |stats| stats["running"].is_null());
    assert_eq!((number(&stats, "failures"), number(&stats["last_full"], "slot")), (3, 24));
    // A smaller one has room, as those that failed have given back theirs.
    let made = store.json(0, &["request", "incremental", "48"]);
    assert_eq!(number(&made, "base_slot"), 24);
    let root = number(&store.json(0, &["request", "stats"]), "root");
    assert_eq!(root, 127);
    let said = node.end("TERM", 0);
    assert!(said.contains("was not made"), "{said}");
}
