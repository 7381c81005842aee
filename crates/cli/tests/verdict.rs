//! `icecore snapshot verify` as a user meets it: exit codes, JSON, standard input, reports.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const FULL: &str = "snapshot-46-2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ.tar.zst";
const BANK_HASH: &str = "E56UEusXZfdrQBTzm1uukmCeEeJW6H6c2jqWJwWynWVF";

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

fn icecore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(["snapshot", "verify"]).args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    icecore(arguments).output().expect("the binary runs")
}

fn verify_tiny(arguments: &[&str]) -> Output {
    let folder = tiny();
    let mut all = vec![folder.to_str().expect("text")];
    all.extend_from_slice(arguments);
    run(&all)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("not killed by a signal")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

/// Gives a file on standard input.
fn run_with_input(arguments: &[&str], file: &Path) -> Output {
    let mut command = icecore(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    let bytes = fs::read(file).expect("an archive");
    // A command that needs no more of it closes the pipe.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it only writes");
    output
}

#[test]
fn the_answer_and_what_it_is_not_anchored_to_come_last() {
    let output = verify_tiny(&[]);
    assert_eq!(code(&output), 0);
    let lines: Vec<_> = text(&output.stdout).lines().rev().take(3).collect();
    assert!(lines[0].contains(" GB/s of "), "{lines:?}");
    assert!(lines[1].starts_with("not anchored"), "{lines:?}");
    assert!(lines[2].starts_with("consistent: slot 62"), "{lines:?}");
}

#[test]
fn an_anchor_decides() {
    let anchored = verify_tiny(&["--expected-bank-hash", BANK_HASH, "--output", "json-compact"]);
    assert_eq!(code(&anchored), 0);
    let json: Value = serde_json::from_slice(&anchored.stdout).expect("one object");
    assert_eq!((&json["verdict"], &json["anchored"]), (&"anchored".into(), &true.into()));
    assert_eq!(text(&anchored.stdout).lines().count(), 1);

    for wrong in [
        ["--expected-bank-hash", "8UYXTfRpVJt8FbpbuK2zhNg7MkhM8fDNmDhSxhMstgve"],
        ["--expected-slot", "61"],
        ["--expected-capitalization", "1"],
    ] {
        let output = verify_tiny(&wrong);
        assert_eq!(code(&output), 1, "{wrong:?}");
        assert!(text(&output.stdout).contains("\nbad: slot 62, failed K1 (incremental)\n"));
    }
}

#[test]
fn a_ledger_is_held_against_the_archives() {
    let ledger = tiny();
    let ledger = ledger.to_str().expect("text");
    let hash = fs::read_to_string(tiny().join("genesis_hash")).expect("bundled");
    let right = ["--ledger", ledger, "--expected-genesis-hash", hash.trim()];
    assert_eq!(code(&verify_tiny(&right)), 0);
    let wrong = ["--ledger", ledger, "--expected-genesis-hash", BANK_HASH];
    assert_eq!(code(&verify_tiny(&wrong)), 1);
    assert_eq!(code(&verify_tiny(&["--expected-genesis-hash", BANK_HASH])), 2, "without a ledger");
    assert_eq!(code(&verify_tiny(&["--ledger", "/nowhere"])), 4);
}

#[test]
fn the_json_says_what_the_truth_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let output = verify_tiny(&["--output", "json", "--report", report.to_str().expect("text")]);
    assert_eq!(code(&output), 0);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let written: Value =
        serde_json::from_slice(&fs::read(&report).expect("written")).expect("one object");
    assert_eq!(json, written);
    let archives = json["archives"].as_array().expect("two archives");
    for (archive, truth) in archives.iter().zip(["truth-full-46", "truth-incremental-62"]) {
        let truth = fs::read(tiny().join(format!("{truth}.json"))).expect("bundled");
        let truth: Value = serde_json::from_slice(&truth).expect("JSON");
        for field in [
            "slot",
            "parent_slot",
            "epoch",
            "block_height",
            "bank_hash",
            "accounts_lt_hash_checksum",
            "capitalization",
            "num_accounts",
            "total_data_len",
            "base_slot",
        ] {
            assert_eq!(archive[field], truth[field], "{field}");
        }
        assert_eq!(archive["checks"].as_array().expect("checks").len(), 34);
    }
    assert_eq!(json["slot"], 62);
    assert!(!json["not_covered"].as_array().expect("a list").is_empty());
}

#[test]
fn an_archive_on_standard_input_is_verified_in_one_pass() {
    let output = run_with_input(&["-", "--archive-name", FULL], &tiny().join(FULL));
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\nconsistent: slot 46"));
    // A name that states another hash.
    let other = FULL.replace("2pRN9", "3pRN9");
    let output = run_with_input(&["-", "--archive-name", &other], &tiny().join(FULL));
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).contains("failed M4 (full)"));
    for wrong in [
        &["-"][..],
        &["-", "--archive-name", "other.tar"],
        &["-", FULL, "--archive-name", FULL],
        &[FULL, "--archive-name", FULL],
    ] {
        assert_eq!(code(&run(wrong)), 2, "{wrong:?}");
    }
}

#[test]
fn duplicates_on_standard_input_need_scratch() {
    let shared = std::env::var_os("ICECORE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let name = "snapshot-40-Ct4KBLKLCXgusSXxF5vMHU3aJGV6RUK9zgsDvNa8JqFd.tar.zst";
    let file = shared.join("data/old-2.3-lattice").join(name);
    if !file.exists() {
        eprintln!("skipped: {} is not there", file.display());
        return;
    }
    let output = run_with_input(&["-", "--archive-name", name], &file);
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("--scratch"), "{}", text(&output.stderr));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scratch = folder.path().to_str().expect("text");
    let output = run_with_input(&["-", "--archive-name", name, "--scratch", scratch], &file);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0, "nothing is left");
}

#[test]
fn what_the_system_refuses_is_told_with_its_path() {
    let output = run(&["/nowhere/to/be/found"]);
    assert_eq!(code(&output), 4);
    assert!(text(&output.stderr).contains("/nowhere/to/be/found: cannot open"));
    let output = verify_tiny(&["--report", "/nowhere/report.json"]);
    assert_eq!(code(&output), 4);
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(code(&run(&[folder.path().to_str().expect("text")])), 2, "no archive in it");
}

#[test]
fn progress_is_a_line_for_each_phase_or_a_file() {
    let output = verify_tiny(&[]);
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    assert!(
        lines.iter().any(|line| line.contains("read incremental-snapshot-46-62-")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.ends_with("settle")), "{lines:?}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let output = verify_tiny(&["--log", log.to_str().expect("text")]);
    assert_eq!(text(&output.stderr), "");
    assert!(fs::read_to_string(&log).expect("written").contains("settle"));
}

#[test]
fn a_pipe_that_closes_ends_the_answer_quietly() {
    let mut command = icecore(&[tiny().to_str().expect("text")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0);
    assert!(!text(&output.stderr).contains("icecore:"), "{}", text(&output.stderr));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
            .args(["completions", shell])
            .output()
            .expect("the binary runs");
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("token-holders"), "{shell}");
    }
}
