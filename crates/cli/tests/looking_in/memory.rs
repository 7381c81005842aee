//! `--memory-limit`: the least that can be given changes no answer, neither where everything fits
//! nor where it does not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::*;

const BLOCK_BYTES: usize = 512;

/// Accounts of the large storage: three times what the digests of a diff have room for, and far
/// more than one bin of keys has.
const ACCOUNTS: u32 = 120_000;

/// Where the fields of a record lie, and its bytes.
const DATA_LEN_AT: usize = 8;
const PUBKEY_AT: usize = 16;
const LAMPORTS_AT: usize = 48;
const RECORD_BYTES: usize = 136;

/// Standard output of a command, once with plenty of memory and once with the least.
fn with_plenty_and_with_least(code: i32, arguments: &[&str]) -> [String; 2] {
    ["1GiB", "16MiB"].map(|limit| {
        let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
            .args(arguments)
            .args(["--memory-limit", limit])
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {limit}: {told}");
        String::from_utf8(output.stdout).expect("answers are text")
    })
}

fn assert_same(code: i32, arguments: &[&str]) {
    let [plenty, least] = with_plenty_and_with_least(code, arguments);
    assert!(!plenty.is_empty());
    assert!(plenty == least, "{arguments:?}");
}

/// Both reports of a verification. They are the same but for the work.
fn reports(code: i32, archives: &[&str]) -> [Value; 2] {
    let arguments = [&["snapshot", "verify", "--output", "json"], archives].concat();
    let reports = with_plenty_and_with_least(code, &arguments)
        .map(|report| serde_json::from_str::<Value>(&report).expect("one object"));
    assert_eq!(reports[0]["archives"], reports[1]["archives"]);
    assert_eq!(reports[0]["work"]["bytes_spilled"], 0);
    reports
}

#[test]
fn the_least_memory_gives_the_same_answers() {
    let folders = [Some(bundled()), shared("small"), shared("old-2.3-lattice")];
    for folder in folders.into_iter().flatten() {
        let set = Set::in_folder(&folder);
        let (full, incremental) = (text(&set.full), text(&set.incremental));
        reports(0, &[full, incremental]);
        assert_same(0, &["snapshot", "stats", full, incremental]);
        let rows = ["accounts", "export", "--format", "jsonl"];
        assert_same(0, &[&rows[..], &["--from", full, "--from", incremental]].concat());
    }
}

/// The record of an account whose key has 24 bytes in common with all others of its kind, so that
/// one bin of keys gets them all.
fn record(number: u32) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[DATA_LEN_AT..][..8].copy_from_slice(&0u64.to_le_bytes());
    record[PUBKEY_AT..][..32].fill(0xa7);
    let key = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    record[PUBKEY_AT + 24..][..8].copy_from_slice(&key.swap_bytes().to_le_bytes());
    record[LAMPORTS_AT..][..8].copy_from_slice(&u64::from(number % 7 + 1).to_le_bytes());
    record
}

/// The bundled full archive with one more storage, which its manifest does not know: its verdict is
/// bad, and it can be read all the same.
fn with_large_storage(folder: &Path) -> PathBuf {
    let set = Set::in_folder(&bundled());
    let mut stream = unpack(&set.full);
    let all = members(&stream);
    let storage = all.iter().find(|(_, path, ..)| path.starts_with("accounts/"));
    let (at, ..) = storage.expect("a storage");
    let mut header = stream[*at as usize..][..BLOCK_BYTES].to_vec();
    let (last_at, .., last) = all.last().expect("members");
    let end = *last_at as usize + BLOCK_BYTES + last.len().next_multiple_of(BLOCK_BYTES);
    stream.truncate(end);
    let content: Vec<u8> = (0..ACCOUNTS).flat_map(record).collect();
    let mut put =
        |at: usize, text: &str| header[at..][..text.len()].copy_from_slice(text.as_bytes());
    put(0, "accounts/1.999999\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(148, "        ");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    stream.extend(header);
    stream.extend(content);
    stream.resize(stream.len().next_multiple_of(BLOCK_BYTES) + 2 * BLOCK_BYTES, 0);
    let path = folder.join(name(&set.full).replace(".tar.zst", ".tar"));
    fs::write(&path, stream).expect("it can be written");
    path
}

#[test]
fn what_does_not_fit_is_spilled_and_gives_the_same_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let large = with_large_storage(folder.path());
    let (large, small) = (text(&large), Set::in_folder(&bundled()).full);

    let [plenty, least] = reports(1, &[large]);
    assert_eq!(plenty["work"]["bins_split"], 0);
    assert_eq!(least["work"]["bins_split"], 1, "one bin has nearly all keys");
    let spilled = least["work"]["bytes_spilled"].as_u64().expect("a number");
    assert!(spilled >= 40 * u64::from(ACCOUNTS), "{spilled}");

    assert_same(0, &["snapshot", "stats", large, "--no-verify"]);
    let rows = ["accounts", "export", "--format", "csv", "--no-verify", "--from"];
    assert_same(0, &[&rows[..], &[large]].concat());
    assert_same(1, &["snapshot", "diff", text(&small), large]);
    let [rows, _] = with_plenty_and_with_least(1, &["snapshot", "diff", large, text(&small)]);
    let last = format!("added 0, closed {ACCOUNTS}, changed 0");
    assert_eq!(rows.lines().last(), Some(&last[..]));
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing is left behind");
}
