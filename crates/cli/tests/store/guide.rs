//! What the guide and the README show of stores is what happens: their commands are run, and what they
//! print is compared, line by line. A line `...` stands for any lines.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::support::*;

/// A command line, and what the document says that it prints.
struct Example {
    commands: Vec<String>,
    expected: Vec<String>,
}

/// The examples of a document from a headline on: blocks of commands, each with a block of output or
/// without.
fn examples(document: &str, from: &str, to: &str) -> Vec<Example> {
    let text = fs::read_to_string(root().join(document)).expect("the document is there");
    let text = &text[text.find(from).unwrap_or_else(|| panic!("{from} in {document}"))..];
    let text = if to.is_empty() { text } else { &text[..text.find(to).expect("an end")] };
    let mut examples: Vec<Example> = Vec::new();
    let (mut block, mut before) = ("", "");
    for line in text.lines() {
        match line {
            "```sh" => {
                block = "sh";
                examples.push(Example { commands: Vec::new(), expected: Vec::new() });
            }
            // Only what follows commands at once is what they print.
            "```text" if before == "sh" => block = "text",
            "```text" => block = "other",
            "```" => (before, block) = (block, ""),
            line => match (block, examples.last_mut()) {
                ("sh", Some(last)) => last.commands.push(line.to_string()),
                ("text", Some(last)) => last.expected.push(line.to_string()),
                ("", _) => before = "",
                _ => {}
            },
        }
    }
    examples
}

/// Whether lines are as expected, where `...` stands for any.
fn fits(lines: &[&str], expected: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| fits(&lines[skipped..], rest)),
        Some((first, rest)) => lines.first() == Some(first) && fits(&lines[1..], rest),
    }
}

/// Runs the examples of a document in a folder of their own.
fn follow(document: &str, from: &str, to: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let testdata = root().join("testdata").canonicalize().expect("it is there");
    symlink(testdata, folder.path().join("testdata")).expect("linked");
    fs::create_dir_all(folder.path().join("target/release")).expect("made");
    let binary = Path::new(env!("CARGO_BIN_EXE_icecore"));
    symlink(binary, folder.path().join("target/release/icecore")).expect("linked");
    let examples = examples(document, from, to);
    assert!(examples.len() >= 3, "only {} examples were found", examples.len());
    for example in examples {
        let mut printed = String::new();
        for command in &example.commands {
            let output = Command::new("sh")
                .args(["-c", command])
                .current_dir(folder.path())
                .env_remove("ICECORE_STORE")
                .output()
                .expect("a shell");
            let told = String::from_utf8(output.stderr).expect("text");
            // Of what is told only the lines that say what an answer is of, or why there is none.
            let mut show = |start: &str| {
                for line in told.lines().filter(|line| line.starts_with(start)) {
                    printed.push_str(&format!("{line}\n"));
                }
            };
            show("at slot ");
            show("icecore: ");
            printed.push_str(&String::from_utf8(output.stdout).expect("text"));
        }
        let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
        let expected: Vec<_> = example.expected.iter().map(String::as_str).collect();
        let is_silent = expected.is_empty();
        assert!(
            is_silent || fits(&lines, &expected),
            "{:?} printed\n{printed}\nnot\n{}",
            example.commands,
            expected.join("\n")
        );
    }
}

#[test]
fn the_guide_to_the_time_machine_can_be_followed() {
    follow("docs/guide/time-machine.md", "# ", "");
}

#[test]
fn the_guide_to_the_snapshot_factory_can_be_followed() {
    follow("docs/guide/snapshot-factory.md", "# ", "");
}

#[test]
fn the_tours_of_stores_and_of_the_factory_can_be_followed() {
    follow("README.md", "A store keeps", "Beneath lies a journal");
}
