//! `icecore snapshot index`, and what is read through it, as a user meets them.

use std::{fs, process::Output};

use serde_json::Value;

use crate::support::{FULL, INCREMENTAL, folder, run, tiny};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bundled pair in small frames.
fn framed() -> tempfile::TempDir {
    let folder = folder();
    for name in [FULL, INCREMENTAL] {
        let words = "snapshot recompress @ -o @ --frame-size 16KiB";
        let output = run(words, &[&tiny(name), folder.path()]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    folder
}

/// Rows of JSON.
fn rows(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn answers_through_an_index_are_those_of_the_pass() {
    let folder = framed();
    let made = run("snapshot index @ --output json-compact", &[folder.path()]);
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    let made = rows(&made);
    assert_eq!(made.len(), 2);
    assert_eq!((&made[0]["made"], &made[0]["verified"]), (&true.into(), &true.into()));
    assert_eq!(made[0]["archive"], FULL);
    assert!(folder.path().join(format!("{FULL}.idx")).exists());

    let exported = run("accounts export --from @ --format jsonl", &[folder.path()]);
    assert!(!told(&exported).contains("through the index"), "all accounts need a pass");
    let accounts = rows(&exported);
    let owner = accounts[7]["owner"].as_str().expect("text").to_string();
    let asked: Vec<_> =
        accounts.iter().step_by(50).map(|row| row["pubkey"].as_str().expect("text")).collect();
    let asked = asked.join(" ");
    let absent = "FjADhTG95zrkZr72C9mtY4a8cUYyExq5iRABeKwcbKvP";
    for (words, code) in [
        (format!("account {asked} --from @ --output json-compact"), 0),
        (format!("account {absent} {asked} --from @"), 1),
        (format!("account {absent} --from @ --output json"), 1),
        (format!("program-accounts {owner} --from @ --output json-compact"), 0),
        (format!("program-accounts {owner} --from @ --data-size 0"), 0),
        (format!("accounts export --from @ --program-accounts {owner} --format csv"), 0),
    ] {
        let indexed = run(&words, &[folder.path()]);
        let passed = run(&format!("{words} --no-index"), &[folder.path()]);
        assert_eq!(indexed.status.code(), Some(code), "{words}: {}", told(&indexed));
        assert_eq!(passed.status.code(), Some(code), "{words}: {}", told(&passed));
        let [through, whole] =
            [&indexed, &passed].map(|output| String::from_utf8_lossy(&output.stdout));
        assert_eq!(through, whole, "{words}");
        assert!(told(&indexed).contains("read through the index: "), "{}", told(&indexed));
        assert!(!told(&passed).contains("through the index"), "{}", told(&passed));
    }
    let one = accounts[3]["pubkey"].as_str().expect("text");
    let found = run(&format!("account {one} --from @"), &[&folder.path().join(FULL)]);
    assert!(told(&found).contains("read through the index: 1 of "), "{}", told(&found));
}

#[test]
fn an_index_that_cannot_be_made_or_used_ends_with_3_and_says_what_to_do() {
    let folder = folder();
    let words = "snapshot recompress @ -o @ --snapshot-archive-format lz4";
    assert_eq!(run(words, &[&tiny(FULL), folder.path()]).status.code(), Some(0));
    let name = FULL.replace(".zst", ".lz4");
    let output = run("snapshot index @", &[&folder.path().join(name)]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("'snapshot recompress'"), "{}", told(&output));

    let folder = framed();
    let full = folder.path().join(FULL);
    assert_eq!(run("snapshot index @", &[&full]).status.code(), Some(0));
    let again = run("snapshot index @", &[&full]);
    assert_eq!(again.status.code(), Some(4), "{}", told(&again));
    assert_eq!(run("snapshot index @ --force", &[&full]).status.code(), Some(0));

    let address = "SysvarC1ock11111111111111111111111111111111";
    let pair = run(&format!("account {address} --from @ -v"), &[folder.path()]);
    assert_eq!(pair.status.code(), Some(0));
    let whole = "read whole: the incremental archive has no index";
    assert!(told(&pair).contains(whole), "{}", told(&pair));

    fs::copy(tiny(FULL), &full).expect("copied");
    let stale = run(&format!("account {address} --from @"), &[&full]);
    assert_eq!(stale.status.code(), Some(3), "{}", told(&stale));
    assert!(told(&stale).contains("snapshot index --force"), "{}", told(&stale));
    let whole = run(&format!("account {address} --from @ --no-index"), &[&full]);
    assert_eq!(whole.status.code(), Some(0), "{}", told(&whole));
}
