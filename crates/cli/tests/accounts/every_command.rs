//! What all commands that give accounts have in common: refusals, limits, pipes, full disks, Ctrl-C,
//! and files that are whole or not there.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::*;

/// Every command, as lists of arguments.
fn commands() -> Vec<Vec<&'static str>> {
    vec![
        vec!["account", CLOCK],
        vec!["account", CLOCK, "--output", "json"],
        vec!["accounts", "export", "--format", "jsonl"],
        vec!["accounts", "export", "--format", "csv"],
        vec!["program-accounts", TOKEN],
        vec!["token-holders", "So11111111111111111111111111111111111111112"],
    ]
}

#[test]
fn a_bad_verdict_gives_no_rows_unless_they_are_asked_for_all_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Under another name: what the archive holds is not what its name states.
    let other = folder.path().join(format!("snapshot-46-{CLOCK}.tar.zst"));
    fs::copy(full_of(&tiny()), &other).expect("copied");
    let out = folder.path().join("out");
    let out = out.to_str().expect("text");
    let mut commands = commands();
    commands.push(vec!["accounts", "export", "--format", "jsonl", "-o", out]);
    commands.push(vec!["accounts", "export", "--format", "account-dir", "-o", out]);
    for command in commands {
        let output = run(from(&command, &other));
        assert_code(&output, 1);
        assert!(output.stdout.is_empty(), "{command:?}");
        let told = stderr(&output);
        assert!(told.contains(&format!("icecore: snapshot-46-{CLOCK}.tar.zst: M4 ")), "{told}");
        assert_eq!(names(folder.path()).len(), 1, "nothing is left behind");
    }
    let arguments = ["accounts", "export", "--format", "jsonl", "--no-verify"];
    let output = run(from(&arguments, &other));
    assert_code(&output, 0);
    assert!(stderr(&output).contains("warning: "), "{}", stderr(&output));
    assert_eq!(json_lines(&stdout(&output)), export(&full_of(&tiny())));

    // Half an archive has no newest versions.
    let bytes = fs::read(full_of(&tiny())).expect("read");
    fs::write(&other, &bytes[..bytes.len() / 2]).expect("written");
    let output = run(from(&arguments, &other));
    assert_code(&output, 1);
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains(": C2 "), "{}", stderr(&output));
}

#[test]
fn what_is_typed_wrongly_is_told_before_any_work() {
    let tiny = tiny();
    let jsonl = ["accounts", "export", "--format", "jsonl"];
    for (arguments, reason) in [
        (vec!["account"], "<PUBKEY>"),
        (vec!["account", "0OIl"], "'0OIl' is not the base58 form of 32 bytes"),
        (vec!["account", &CLOCK[1..]], "is not the base58 form of 32 bytes"),
        (vec!["account", CLOCK, "--encoding", "hex"], "base58"),
        (vec!["accounts", "export"], "--format"),
        (vec!["accounts", "export", "--format", "account-dir"], "name it with -o"),
        (vec!["accounts", "export", "--format", "account-dir", "-o", "-"], "name it with -o"),
        ([&jsonl[..], &["--memcmp", "5"]].concat(), "OFFSET:BASE58"),
        ([&jsonl[..], &["--memcmp", "0:"]].concat(), "no bytes to compare"),
        ([&jsonl[..], &["--data-size", "1k"]].concat(), "--data-size"),
        ([&jsonl[..], &["--program-accounts", "x"]].concat(), "'x' is not"),
        (vec!["program-accounts"], "<PROGRAM>"),
        (vec!["token-holders", "x"], "'x' is not"),
        ([&jsonl[..], &["--from", "Cargo.toml"]].concat(), "is not the name of a snapshot archive"),
    ] {
        let source = full_of(&tiny);
        let output = run(from(&arguments, &source));
        assert_code(&output, 2);
        assert!(output.stdout.is_empty());
        let told = stderr(&output);
        assert!(told.contains(reason) && !told.contains(" read "), "{arguments:?}: {told}");
    }
    let output = run(["account", CLOCK]);
    assert_code(&output, 2);
    assert!(stderr(&output).contains("--from"), "{}", stderr(&output));
}

#[test]
fn the_memory_limit_is_told_first_and_makes_no_difference() {
    for command in commands() {
        let plenty = run(from(&command, &tiny()));
        assert_code(&plenty, 0);
        let told = stderr(&plenty);
        assert!(told.starts_with("memory: 134 MB for accounts, what does not fit "), "{told}");
        let limited = [&command[..], &["--memory-limit", "16MiB"]].concat();
        let scarce = run(from(&limited, &tiny()));
        assert_code(&scarce, 0);
        assert!(stderr(&scarce).starts_with("memory: 16.8 MB for accounts, "), "{scarce:?}");
        assert_eq!(stdout(&scarce), stdout(&plenty));
    }
}

#[test]
fn a_memory_limit_leaves_room_for_buffers() {
    for command in commands() {
        for limit in ["20k", "16777215"] {
            let limited = [&command[..], &["--memory-limit", limit]].concat();
            let output = run(from(&limited, &tiny()));
            assert_code(&output, 2);
            assert!(output.stdout.is_empty());
            assert!(stderr(&output).contains("at least 16 MiB are needed"), "{output:?}");
        }
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let arguments = ["accounts", "export", "--format", "jsonl"];
    let mut child = icecore(from(&arguments, &large()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(16, child.stdout.take().expect("piped"));
    reader.read_line(&mut line).expect("a line");
    drop(reader);
    let output = child.wait_with_output().expect("it ends");
    assert_code(&output, 0);
    assert!(!stderr(&output).contains("icecore:"), "{}", stderr(&output));
    assert_eq!(json_lines(&line)[0], export(&large())[0]);
}

#[test]
fn a_full_disk_is_the_systems_no() {
    let Ok(_) = fs::File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: no /dev/full here");
        return;
    };
    for command in commands() {
        let full = fs::File::options().write(true).open("/dev/full").expect("opened above");
        let output = icecore(from(&command, &tiny()))
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| child.wait_with_output())
            .expect("the binary runs");
        assert_code(&output, 4);
        assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
    }
}

#[test]
fn an_export_never_replaces_anything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("out");
    let out = path.to_str().expect("text");
    for format in ["jsonl", "csv"] {
        let arguments = ["accounts", "export", "--format", format, "-o", out];
        assert_eq!(good(from(&arguments, &tiny())), "");
        let written = fs::read_to_string(&path).expect("read");
        assert_eq!(written, good(from(&arguments[..4], &tiny())));
        let dash = [&arguments[..4], &["-o", "-"]].concat();
        assert_eq!(written, good(from(&dash, &tiny())));
        let output = run(from(&arguments, &tiny()));
        assert_code(&output, 4);
        assert!(stderr(&output).contains("out: exists already"), "{}", stderr(&output));
        assert!(!stderr(&output).contains(" read "), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&path).expect("read"), written);
        assert_eq!(names(folder.path()), ["out"]);
        fs::remove_file(&path).expect("removed");
    }
    let arguments = ["accounts", "export", "--format", "account-dir", "-o", out];
    fs::create_dir(&path).expect("made");
    assert_eq!(good(from(&arguments, &tiny())), "");
    assert_eq!(names(&path).len(), 671);
    assert_code(&run(from(&arguments, &tiny())), 4);
    assert_eq!(names(folder.path()), ["out"]);
    let nowhere = folder.path().join("no/such/folder/out");
    let arguments =
        ["accounts", "export", "--format", "csv", "-o", nowhere.to_str().expect("text")];
    assert_code(&run(from(&arguments, &tiny())), 4);
}

fn interrupt(process: u32) {
    let done = Command::new("kill").args(["-INT", &process.to_string()]).status();
    assert!(done.expect("kill is there").success());
}

#[test]
fn an_interruption_is_told_by_the_exit_code() {
    let Some(source) = shared("small") else { return };
    let mut child = icecore(from(&["accounts", "export", "--format", "jsonl"], &source))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // Rows have begun, and the pipe is full soon: it cannot end by itself.
    let mut out = child.stdout.take().expect("piped");
    out.read_exact(&mut [0; 1]).expect("a row");
    interrupt(child.id());
    thread::sleep(Duration::from_millis(300));
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert_code(&output, 130);
    assert!(stderr(&output).ends_with("icecore: interrupted\n"), "{}", stderr(&output));
}

#[test]
fn an_interrupted_export_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("out");
    let out = path.to_str().expect("text");
    let mut interrupted = 0;
    for (format, milliseconds) in
        ["csv", "account-dir"].iter().flat_map(|format| [20, 60, 100].map(|wait| (format, wait)))
    {
        let arguments = ["accounts", "export", "--format", format, "-o", out];
        let mut child = icecore(from(&arguments, &large()))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // Its first line is written when it is ready to be interrupted.
        let mut told = BufReader::new(child.stderr.take().expect("piped"));
        told.read_line(&mut String::new()).expect("a line");
        thread::sleep(Duration::from_millis(milliseconds));
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        told.read_to_string(&mut String::new()).expect("read");
        match child.wait().expect("it ends").code() {
            Some(130) => {
                assert_eq!(names(folder.path()), Vec::<String>::new());
                interrupted += 1;
            }
            // It was done already.
            code => {
                assert_eq!(code, Some(0));
                assert_eq!(names(folder.path()), ["out"]);
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.expect("removed");
            }
        }
    }
    eprintln!("{interrupted} of 6 runs were interrupted in time");
}
