//! `icecore journal`, as it is typed: a journal that is looked into, damaged, checked, saved, copied.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use icecore_journal::{
    AppendOptions, Batch, CreateOptions, Durability, Journal, NewEvent, Options,
};
use serde_json::Value;

const EVENTS: u64 = 2000;

fn icecore(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore"))
        .arg("journal")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Runs a command, compares its exit code, and gives what it said.
fn run(code: i32, arguments: &[&str]) -> (String, String) {
    let output = icecore(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    (out, err)
}

fn json(code: i32, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json-compact"]].concat();
    let (out, err) = run(code, &arguments);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}{err}"))
}

fn options() -> Options {
    Options { segment_bytes_max: 64 << 10, background: false, ..Options::default() }
}

fn append(journal: &Journal, number: u64) {
    let payload = format!("payload {number}");
    let event = NewEvent::new(b"a/stream", 7, payload.as_bytes());
    let durability = if number + 1 == EVENTS { Durability::Durable } else { Durability::Written };
    let options = AppendOptions { durability, ..AppendOptions::default() };
    journal.append(&Batch::of(&event).expect("fits"), &options).expect("appended");
}

/// A journal of several segments.
fn journal(folder: &Path, owner: &str) -> PathBuf {
    let path = folder.join("journal");
    let create = CreateOptions { owner: owner.to_string(), ..CreateOptions::default() };
    let journal = Journal::create(&path, create, options()).expect("created");
    (0..EVENTS).for_each(|number| append(&journal, number));
    journal.close().expect("closed");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The first file of that kind.
fn first(folder: &Path, prefix: &str) -> PathBuf {
    let entries = fs::read_dir(folder).expect("readable");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| {
        path.file_name().is_some_and(|name| text(name.as_ref()).starts_with(prefix))
    });
    paths.sort();
    paths.remove(0)
}

fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn a_sound_journal_is_listed_shown_dumped_and_found_sound() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = journal(folder.path(), "");
    let path = text(&path);
    let listed = json(0, &["ls", path]);
    assert_eq!(listed["clean"], true);
    assert!(listed["segments"].as_array().expect("a list").len() > 3);
    let (out, _) = run(0, &["ls", path]);
    assert!(out.contains("sealed") && out.contains("active"), "{out}");

    let shown = json(0, &["show", path, "1234"]);
    assert_eq!((&shown["sequence"], &shown["stream"]), (&1234.into(), &"a/stream".into()));
    let (out, _) = run(0, &["show", path, "7"]);
    assert!(out.contains("payload 7"), "{out}");
    let (_, err) = run(3, &["show", path, "2000"]);
    assert!(err.contains("there is no event 2000"), "{err}");

    let (out, _) = run(0, &["tail", path, "-n", "3"]);
    let last: Vec<_> = out.lines().collect();
    assert_eq!(last.len(), 3);
    assert!(last[2].contains("payload 1999"), "{out}");
    let (out, _) = run(0, &["tail", path, "-n", "2", "--stream", "none"]);
    assert_eq!(out, "");

    let checked = json(0, &["check", path]);
    assert_eq!((&checked["sound"], &checked["events"]), (&true.into(), &EVENTS.into()));
    let (out, _) = run(0, &["check", path]);
    assert!(out.ends_with("sound\n"), "{out}");

    let (out, _) = run(0, &["dump", path, "--output", "json"]);
    let rows: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events = rows.iter().filter(|row| row["piece"] == "event").count() as u64;
    assert_eq!(events, EVENTS);
    let (out, _) = run(0, &["dump", text(&first(Path::new(path), "chain-"))]);
    assert!(out.starts_with("segment 1 "), "{out}");
}

#[test]
fn a_damaged_journal_is_told_so_and_what_is_sound_is_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = journal(folder.path(), "");
    damage(&first(&path, "chain-"), 9000);
    let checked = json(1, &["check", text(&path)]);
    assert_eq!(checked["sound"], false);
    let finding = &checked["findings"][0];
    assert_eq!(finding["severity"], "damage");
    let (out, _) = run(1, &["check", text(&path)]);
    assert!(out.contains("at byte") && out.contains("icecore journal salvage"), "{out}");
    run(1, &["dump", text(&path)]);

    let to = folder.path().join("saved");
    let saved = json(3, &["salvage", text(&path), "--to", text(&to)]);
    let missing = saved["missing"].as_array().expect("a list");
    assert_eq!(missing.len(), 1);
    assert_eq!(saved["events"], EVENTS - 1);
    run(0, &["check", text(&to)]);
    let lost = missing[0][0].to_string();
    let (_, err) = run(3, &["show", text(&to), &lost]);
    assert!(err.contains("dropped"), "{err}");
    run(2, &["salvage", text(&path), "--to", text(&to)]);
}

/// Opens a journal that was closed a moment ago: a process that another test has just begun may hold a
/// copy of the lock until it is the program that it is to be.
fn open_again(path: &Path) -> Journal {
    for _ in 0..200 {
        match Journal::open(path, options()) {
            Err(icecore_journal::Error::Locked { .. }) => thread::sleep(Duration::from_millis(10)),
            opened => return opened.expect("opened"),
        }
    }
    panic!("{}: locked for two seconds", path.display());
}

#[test]
fn a_journal_is_copied_while_it_is_written_and_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = journal(folder.path(), "");
    let writer = open_again(&path);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["journal", "tail", "-f", "-n", "1", text(&path)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains("payload 1999"));
    append(&writer, EVENTS);
    writer.sync().expect("synced");
    assert!(next().contains("payload 2000"));
    tail.kill().expect("killed");
    tail.wait().expect("ended");

    for (to, arguments) in [("fork", &[][..]), ("backup", &["--same-lineage"][..])] {
        let to = folder.path().join(to);
        let typed = [&["copy", text(&path), "--to", text(&to)], arguments].concat();
        let copied = json(0, &typed);
        assert_eq!(copied["events"], EVENTS + 1);
        assert_eq!(copied["store_id"] == copied["parent"], !arguments.is_empty());
        assert_eq!(json(0, &["check", text(&to)])["events"], EVENTS + 1);
    }
    writer.close().expect("closed");
}

#[test]
fn what_belongs_to_a_program_is_left_to_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = journal(folder.path(), "a store");
    let to = folder.path().join("copy");
    for command in ["copy", "salvage"] {
        let (_, err) = run(2, &[command, text(&path), "--to", text(&to)]);
        assert!(err.contains("belongs to a store"), "{err}");
    }
    assert!(!to.exists());
    run(0, &["copy", text(&path), "--to", text(&to), "--owner", "a store"]);
    run(0, &["check", text(&path)]);
}

#[test]
fn where_there_is_no_journal_the_answer_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = text(folder.path());
    for command in ["ls", "check", "tail", "dump"] {
        let (_, err) = run(2, &[command, path]);
        assert!(err.contains("no journal"), "{command}: {err}");
    }
    let absent = folder.path().join("absent");
    for command in ["ls", "check", "tail", "dump"] {
        run(2, &[command, text(&absent)]);
    }
}

/// The bundled journal, to be damaged.
fn bundled(folder: &Path) -> PathBuf {
    let path = folder.join("bundled");
    fs::create_dir(&path).expect("made");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/journal/v1");
    for entry in fs::read_dir(golden).expect("bundled") {
        let from = entry.expect("readable").path();
        fs::copy(&from, path.join(from.file_name().expect("a file"))).expect("copied");
    }
    path
}

#[test]
fn salvage_says_what_was_acknowledged_and_is_lost_at_the_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    fs::remove_file(path.join("chain-00000007.seg")).expect("removed");
    let to = folder.path().join("saved");
    let saved = json(3, &["salvage", text(&path), "--to", text(&to)]);
    assert_eq!(saved["missing"], serde_json::json!([[174, 242]]));
    let (_, err) = run(3, &["show", text(&to), "200"]);
    assert!(err.contains("lost"), "{err}");
    json(0, &["check", text(&to)]);
    // Lost numbers are not given out again.
    let journal = Journal::open(&to, options()).expect("opened");
    let batch = Batch::of(&NewEvent::new(b"a/stream", 7, b"new")).expect("fits");
    let receipt = journal.append(&batch, &AppendOptions::default()).expect("appended");
    assert_eq!(receipt.first_sequence, 242);
}

#[test]
fn a_damaged_extent_is_no_good_copy_and_no_whole_salvage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    damage(&path.join("data-00000008.seg"), 60_000);
    for (name, same) in [("copy", None), ("backup", Some("--same-lineage"))] {
        let to = folder.path().join(name);
        let arguments = ["copy", text(&path), "--to", text(&to)];
        let arguments: Vec<_> = arguments.into_iter().chain(same).collect();
        let copied = json(1, &arguments);
        assert!(copied["damage"].as_u64().is_some_and(|damage| damage > 0), "{copied}");
    }
    let to = folder.path().join("saved");
    let saved = json(3, &["salvage", text(&path), "--to", text(&to)]);
    assert_eq!((&saved["damaged_extents"], &saved["events"]), (&1.into(), &242.into()));
}

#[test]
fn a_journal_without_its_manifest_is_told_from_no_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    fs::remove_file(path.join("manifest")).expect("removed");
    for command in ["ls", "tail"] {
        let (_, err) = run(1, &[command, text(&path)]);
        assert!(err.contains("manifest is missing") && err.contains("salvage"), "{err}");
    }
    let to = folder.path().join("saved");
    let saved = json(0, &["salvage", text(&path), "--to", text(&to)]);
    assert_eq!((&saved["events"], &saved["manifest"]), (&242.into(), &false.into()));
}

#[test]
fn a_reader_who_goes_away_does_not_make_a_damaged_journal_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    damage(&path.join("chain-00000001.seg"), 30_000);
    let mut check = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["journal", "check", text(&path)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    drop(check.stdout.take());
    assert_eq!(check.wait().expect("ended").code(), Some(1));
}

#[test]
fn a_copy_that_fails_can_be_tried_again_and_large_payloads_are_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    let to = folder.path().join("copy");
    let segment = path.join("chain-00000006.seg");
    let bytes = fs::read(&segment).expect("read");
    fs::remove_file(&segment).expect("removed");
    run(1, &["copy", text(&path), "--to", text(&to)]);
    fs::write(&segment, bytes).expect("written");
    run(0, &["copy", text(&path), "--to", text(&to)]);
    assert_eq!(json(0, &["show", text(&to), "240"])["payload_bytes"], 150_000);
}

#[test]
fn long_work_says_in_the_log_what_it_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundled(folder.path());
    let (to, log) = (folder.path().join("copy"), folder.path().join("log"));
    run(0, &["copy", text(&path), "--to", text(&to), "--log", text(&log)]);
    let lines = fs::read_to_string(&log).expect("published");
    let starts = ["copying ...", "copying: ", "checking the copy ...", "checking the copy: "];
    assert_eq!(lines.lines().count(), starts.len(), "{lines}");
    assert!(lines.lines().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines}");
    let (_, err) = run(4, &["check", text(&path), "--log", "/nonexistent/log"]);
    assert!(err.contains("/nonexistent/log"), "{err}");
}
