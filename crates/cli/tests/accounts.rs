//! The commands that give accounts, run as a user runs them, and held against what the makers of
//! the archives state and against models that are too simple to be wrong.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use icecore_archive::{
    container::{Detection, detect},
    stream::ContainerDecoder,
};
use icecore_types::{Pubkey, programs};
use serde_json::Value;

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
const SYSTEM: &str = "11111111111111111111111111111111";

// --- what the tests share -----------------------------------------------------------------------

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A folder of the shared data, if this machine has it.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The largest set there is.
fn large() -> PathBuf {
    shared("small").unwrap_or_else(tiny)
}

/// A path in `folder` of a file whose name starts so.
fn starting(folder: &Path, start: &str) -> PathBuf {
    let mut entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed"));
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(start));
    found.unwrap_or_else(|| panic!("{start} in {}", folder.display())).path()
}

fn full_of(folder: &Path) -> PathBuf {
    starting(folder, "snapshot-")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("listed").file_name().into_string().expect("text")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

fn icecore<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    icecore(arguments).output().expect("the binary runs")
}

/// Arguments with the archives at their end.
fn from<'a>(arguments: &[&'a str], source: &'a Path) -> Vec<&'a OsStr> {
    let source = [OsStr::new("--from"), source.as_os_str()];
    arguments.iter().map(|argument| OsStr::new(*argument)).chain(source).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// Standard output of a run that ended well.
fn good<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(arguments);
    assert_code(&output, 0);
    stdout(&output)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn export(source: &Path) -> Vec<Value> {
    json_lines(&good(from(&["accounts", "export", "--format", "jsonl"], source)))
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn data(row: &Value) -> Vec<u8> {
    STANDARD.decode(string(row, "data")).expect("base64")
}

fn keys(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| string(row, "pubkey")).collect()
}

/// Sources with the truth about them: folders of pairs, and their full archives alone.
fn truths() -> Vec<(PathBuf, Value)> {
    let mut folders = vec![(tiny(), tiny())];
    for set in ["tiny", "small", "old-2.3-lattice", "old-2.3-merkle"] {
        if let (Some(zstd), Some(lz4)) = (shared(set), shared(&format!("{set}/lz4"))) {
            folders.extend([(zstd.clone(), zstd.clone()), (lz4, zstd)]);
        }
    }
    let read = |folder: &Path, start| {
        let bytes = fs::read(starting(folder, start)).expect("read");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let both = |(folder, truth): (PathBuf, PathBuf)| {
        [
            (full_of(&folder), read(&truth, "truth-full-")),
            (folder, read(&truth, "truth-incremental-")),
        ]
    };
    folders.into_iter().flat_map(both).collect()
}

fn list<'a>(truth: &'a Value, name: &str) -> &'a Vec<Value> {
    truth[name].as_array().expect("a list")
}

// --- account ------------------------------------------------------------------------------------

#[test]
fn account_shows_every_account_that_truth_lists_and_names_the_absent() {
    for (source, truth) in truths() {
        let (present, absent) = (list(&truth, "accounts"), list(&truth, "absent"));
        let asked: Vec<&str> = [keys(present), keys(absent)].concat();
        let mut arguments = vec!["account", "--output", "json"];
        arguments.extend(&asked);
        let output = run(from(&arguments, &source));
        assert_code(&output, 1);
        let rows = json_lines(&stdout(&output));
        assert_eq!(keys(&rows), asked, "in the order asked");
        for (row, expected) in rows.iter().zip(present) {
            let fields = ["lamports", "owner", "executable", "rent_epoch", "slot", "data_len"];
            for field in fields {
                assert_eq!(row[field], expected[field], "{field} of {row}");
            }
            let data = data(row);
            assert_eq!(data.len() as u64, number(row, "data_len"));
            assert_eq!(*blake3::hash(&data).to_string(), *string(expected, "data_blake3"));
        }
        let told = stderr(&output);
        for row in &rows[present.len()..] {
            assert_eq!(row["absent"], true, "{row}");
            assert!(told.contains(&format!("{}: absent", string(row, "pubkey"))), "{told}");
        }
        assert_eq!(told.matches(": absent").count(), absent.len());

        arguments.truncate(3 + present.len().min(50));
        assert_eq!(json_lines(&good(from(&arguments, &source))).len(), arguments.len() - 3);
    }
}

#[test]
fn account_writes_one_object_for_one_answer_and_lines_for_many() {
    let ask = |arguments: &[&str]| good(from(arguments, &tiny()));
    let pretty = ask(&["account", CLOCK, "--output", "json"]);
    assert!(pretty.lines().count() > 10, "{pretty}");
    let compact = ask(&["account", CLOCK, "--output", "json-compact"]);
    assert_eq!(compact.lines().count(), 1);
    let row: Value = serde_json::from_str(&pretty).expect("JSON");
    assert_eq!(row, serde_json::from_str::<Value>(&compact).expect("JSON"));
    assert_eq!(row["parsed"]["type"], "clock");
    assert_eq!(row["parsed"]["info"]["slot"], 62);
    // A key that is asked for twice is one account.
    let rows = ask(&["account", CLOCK, SYSTEM, CLOCK, "--output", "json"]);
    assert_eq!(keys(&json_lines(&rows)), [CLOCK, SYSTEM]);
}

#[test]
fn account_writes_data_in_the_encoding_asked_for() {
    let ask = |encoding: &str, key: &str| -> Value {
        let arguments = ["account", key, "--output", "json", "--encoding", encoding];
        serde_json::from_str(&good(from(&arguments, &tiny()))).expect("JSON")
    };
    let row = ask("base64", CLOCK);
    let bytes = data(&row);
    assert_eq!(bytes[..8], 62u64.to_le_bytes());
    assert_eq!(string(&ask("base58", CLOCK), "data"), bs58::encode(&bytes).into_string());
    let decoded = ask("json", CLOCK);
    assert!(decoded.get("data").is_none(), "{decoded}");
    assert_eq!(decoded["parsed"], row["parsed"]);
    // Where the owner is not known there is nothing to decode.
    assert_eq!(data(&ask("json", SYSTEM)), b"solana_system_program");

    let history = "SysvarS1otHistory11111111111111111111111111";
    let output = run(from(&["account", history, "--encoding", "base58"], &tiny()));
    assert_code(&output, 2);
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("131097 bytes of data"), "{}", stderr(&output));
}

#[test]
fn account_is_readable() {
    let history = "SysvarS1otHistory11111111111111111111111111";
    let shown = good(from(&["account", CLOCK, SYSTEM, history], &tiny()));
    for line in [
        "pubkey      SysvarC1ock11111111111111111111111111111111 (Sysvar: clock)",
        "owner       Sysvar1111111111111111111111111111111111111 (Sysvar)",
        "lamports    1169280 (0.00116928 SOL)",
        "parsed      sysvar clock",
        "      \"slot\": 62,",
        "  000000  73 6f 6c 61 6e 61 5f 73 79 73 74 65 6d 5f 70 72  solana_system_pr",
        "  000010  6f 67 72 61 6d                                   ogram",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    assert_eq!(shown.matches("pubkey ").count(), 3);
    // Long data is cut, unless more is asked for.
    let hashes = "SysvarS1otHashes111111111111111111111111111";
    let shown = good(from(&["account", hashes], &tiny()));
    assert!(shown.lines().count() < 60 && shown.contains("more lines (-v"), "{shown}");
    assert!(good(from(&["account", hashes, "-v"], &tiny())).lines().count() > 100);
}

// --- accounts export ----------------------------------------------------------------------------

#[test]
fn export_gives_every_live_account_once() {
    for (source, truth) in truths() {
        let rows = export(&source);
        assert_eq!(rows.len() as u64, number(&truth, "num_accounts"));
        let bytes: usize = rows.iter().map(|row| data(row).len()).sum();
        assert_eq!(bytes as u64, number(&truth, "total_data_len"));
        let unique: HashSet<_> = keys(&rows).into_iter().collect();
        assert_eq!(unique.len(), rows.len());
        assert!(list(&truth, "absent").iter().all(|row| !unique.contains(string(row, "pubkey"))));
        let lamports: u128 = rows.iter().map(|row| u128::from(number(row, "lamports"))).sum();
        assert_eq!(lamports, u128::from(number(&truth, "capitalization")));
    }
}

#[test]
fn csv_and_account_dir_hold_what_jsonl_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = export(&large());
    let csv = good(from(&["accounts", "export", "--format", "csv"], &large()));
    let mut lines = csv.lines();
    let header = lines.next().expect("a header");
    assert_eq!(header, "pubkey,lamports,owner,executable,rent_epoch,slot,data_len,data");
    for row in &rows {
        let line = lines.next().expect("a line for each row");
        assert!(!line.contains(['"', '\r']), "{line}");
        let cells = line.split(',');
        for (name, cell) in header.split(',').zip(cells) {
            let expected = match &row[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, expected, "{name} of {row}");
        }
        assert_eq!(line.split(',').count(), 8);
    }
    assert_eq!(lines.next(), None);

    let out = folder.path().join("accounts");
    let out_text = out.to_str().expect("text");
    let arguments = ["accounts", "export", "--format", "account-dir", "-o", out_text];
    assert_eq!(good(from(&arguments, &large())), "");
    assert_eq!(names(&out).len(), rows.len());
    for row in &rows {
        let file = out.join(format!("{}.json", string(row, "pubkey")));
        let file: Value = serde_json::from_slice(&fs::read(file).expect("read")).expect("JSON");
        let expected = serde_json::json!({
            "pubkey": row["pubkey"],
            "account": {
                "lamports": row["lamports"],
                "data": [row["data"], "base64"],
                "owner": row["owner"],
                "executable": row["executable"],
                "rentEpoch": row["rent_epoch"],
                "space": row["data_len"],
            },
        });
        assert_eq!(file, expected);
    }
}

#[test]
fn filters_choose_what_a_plain_model_chooses() {
    let source = large();
    let rows = export(&source);
    let count = |field: &dyn Fn(&Value) -> String| -> Vec<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in &rows {
            *counts.entry(field(row)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(value, _)| value).collect()
    };
    let owners = count(&|row| string(row, "owner").to_string());
    let sizes = count(&|row| number(row, "data_len").to_string());
    let token = rows.iter().find(|row| row["owner"] == TOKEN && number(row, "data_len") == 165);
    let token = data(token.expect("a token account"));
    let piece = |at: usize, bytes: usize| {
        let bytes = bs58::encode(&token[at..at + bytes]).into_string();
        format!("{at}:{bytes}")
    };
    let cases: Vec<Vec<String>> = vec![
        vec![],
        vec!["--program-accounts".into(), owners[0].clone()],
        vec![
            "--program-accounts".into(),
            owners[1].clone(),
            "--program-accounts".into(),
            owners[5].clone(),
        ],
        vec!["--data-size".into(), sizes[0].clone()],
        vec![
            "--data-size".into(),
            sizes[2].clone(),
            "--program-accounts".into(),
            owners[3].clone(),
        ],
        vec!["--memcmp".into(), piece(0, 32)],
        vec!["--memcmp".into(), piece(64, 1), "--memcmp".into(), piece(108, 1)],
        vec!["--memcmp".into(), piece(0, 128), "--program-accounts".into(), TOKEN.into()],
        vec!["--memcmp".into(), "164:1".into(), "--data-size".into(), "165".into()],
        vec!["--memcmp".into(), "165:1".into(), "--data-size".into(), "165".into()],
    ];
    let mut chosen_sometimes = 0;
    for case in cases {
        let mut arguments = vec!["accounts", "export", "--format", "jsonl"];
        arguments.extend(case.iter().map(String::as_str));
        let found = json_lines(&good(from(&arguments, &source)));
        let of = |option: &str| -> Vec<&String> {
            let pairs = case.chunks(2).filter(|pair| pair[0] == option);
            pairs.map(|pair| &pair[1]).collect()
        };
        let matches = |row: &Value| {
            let (owners, data) = (of("--program-accounts"), data(row));
            (owners.is_empty() || owners.iter().any(|owner| *owner == string(row, "owner")))
                && of("--data-size").iter().all(|size| **size == data.len().to_string())
                && of("--memcmp").iter().all(|memcmp| {
                    let (offset, bytes) = memcmp.split_once(':').expect("written above");
                    let bytes = bs58::decode(bytes).into_vec().expect("base58");
                    let offset: usize = offset.parse().expect("a number");
                    (0..bytes.len()).all(|at| data.get(offset + at) == Some(&bytes[at]))
                })
        };
        let expected: Vec<_> = rows.iter().filter(|row| matches(row)).cloned().collect();
        assert!(found == expected, "{case:?}: {} of {}", found.len(), expected.len());
        chosen_sometimes += usize::from(!expected.is_empty() && expected.len() < rows.len());
    }
    assert!(chosen_sometimes >= 6, "{chosen_sometimes} cases choose some and not all");
}

// --- program-accounts ---------------------------------------------------------------------------

#[test]
fn program_accounts_lists_what_export_gives_of_the_program() {
    let rows = export(&tiny());
    let expected: Vec<_> =
        rows.into_iter().filter(|row| row["owner"] == TOKEN && row["data_len"] == 165).collect();
    let arguments = ["program-accounts", TOKEN, "--data-size", "165"];
    let output = run(from(&[&arguments[..], &["--output", "json"]].concat(), &tiny()));
    assert_code(&output, 0);
    assert_eq!(json_lines(&stdout(&output)), expected);
    assert!(expected.len() > 50);
    let count = format!("{} accounts", expected.len());
    assert!(stderr(&output).lines().any(|line| line == count), "{}", stderr(&output));

    let table = good(from(&arguments, &tiny()));
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().expect("a header"), ["pubkey", "lamports", "data_len", "slot"]);
    for row in &expected {
        let cell = |name: &str| number(row, name).to_string();
        let cells = [string(row, "pubkey"), &cell("lamports"), &cell("data_len"), &cell("slot")];
        assert_eq!(lines.next().expect("a line for each"), cells);
    }
    assert_eq!(lines.next(), None);
    // None is an answer, too.
    assert_eq!(good(from(&["program-accounts", CLOCK], &tiny())), "");
}

// --- token-holders ------------------------------------------------------------------------------

/// Bytes of an account record before its data, and where fields lie in it.
const RECORD_HEADER: usize = 136;
const RECORD_KEY: usize = 16;
const RECORD_OWNER: usize = 64;

fn unpack(archive: &Path) -> Vec<u8> {
    let container = fs::read(archive).expect("read");
    let Detection::Known(kind) = detect(&container) else { panic!("an archive") };
    let mut decoder = ContainerDecoder::new(kind);
    let (mut input, mut tar, mut buffer) = (&container[..], Vec::new(), vec![0; 1 << 18]);
    loop {
        let step = decoder.decode(&mut input, &mut buffer).expect("sound");
        tar.extend_from_slice(&buffer[..step.written]);
        if input.is_empty() && step.written < buffer.len() && !step.frame_done {
            return tar;
        }
    }
}

fn key_bytes(text: &str) -> [u8; 32] {
    text.parse::<Pubkey>().expect("a key").0
}

/// Places of bytes in bytes.
fn places(within: &[u8], wanted: &[u8]) -> Vec<usize> {
    within
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, w)| *w == wanted)
        .map(|(at, _)| at)
        .collect()
}

/// The tiny pair with a mint of many holders, in plain tar. The set's own token accounts belong to
/// mints that are not there: one of its accounts is made the mint of the largest group of them.
fn with_a_mint(folder: &Path) -> String {
    let rows = export(&tiny());
    let tokens: Vec<&Value> =
        rows.iter().filter(|row| row["owner"] == TOKEN && row["data_len"] == 165).collect();
    let mut groups: BTreeMap<Vec<u8>, Vec<&str>> = BTreeMap::new();
    for row in tokens {
        groups.entry(data(row)[..32].to_vec()).or_default().push(string(row, "pubkey"));
    }
    let (old_mint, group) = groups.iter().max_by_key(|(_, group)| group.len()).expect("groups");
    assert!(group.len() >= 10);
    let is_mint = |row: &&Value| row["data_len"] == 82 && data(row).iter().all(|byte| *byte == 0);
    let mint = string(rows.iter().find(is_mint).expect("an unused mint"), "pubkey");
    for archive in [full_of(&tiny()), starting(&tiny(), "incremental-")] {
        let mut tar = unpack(&archive);
        for at in places(&tar, old_mint) {
            tar[at..at + 32].copy_from_slice(&key_bytes(mint));
        }
        let edit = |tar: &mut Vec<u8>, key: &str, data_len: u64, edit: &dyn Fn(&mut [u8])| {
            for at in places(tar, &key_bytes(key)) {
                // The length of a record's data lies right before its key.
                if at >= RECORD_KEY && tar[at - 8..at] == data_len.to_le_bytes() {
                    let record = at - RECORD_KEY;
                    edit(&mut tar[record..record + RECORD_HEADER + data_len as usize]);
                }
            }
        };
        edit(&mut tar, mint, 82, &|record| {
            let data = &mut record[RECORD_HEADER..];
            data[36..44].copy_from_slice(&1_234_500_000_000u64.to_le_bytes());
            data[44] = 6;
            data[45] = 1;
        });
        for (number, key) in group.iter().enumerate() {
            edit(&mut tar, key, 165, &|record| match number {
                // Equal amounts, a frozen one, an empty one, the most there can be, one of the
                // other token program, one that is not initialized.
                0..=2 => record[RECORD_HEADER + 64..][..8].copy_from_slice(&7u64.to_le_bytes()),
                3 => {
                    record[RECORD_HEADER + 64..][..8].copy_from_slice(&9u64.to_le_bytes());
                    record[RECORD_HEADER + 108] = 2;
                }
                4 => record[RECORD_HEADER + 64..][..8].fill(0),
                5 | 6 => record[RECORD_HEADER + 64..][..8].fill(0xff),
                7 => record[RECORD_OWNER..][..32].copy_from_slice(&programs::TOKEN_2022.0),
                8 => record[RECORD_HEADER + 108] = 0,
                _ => {}
            });
        }
        let name =
            archive.file_name().expect("a name").to_string_lossy().replace(".tar.zst", ".tar");
        fs::write(folder.join(name), tar).expect("written");
    }
    mint.to_string()
}

#[test]
fn token_holders_are_what_a_plain_model_finds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mint = with_a_mint(folder.path());
    let ask = |arguments: &[&str]| {
        let all = [arguments, &["--no-verify"]].concat();
        good(from(&all, folder.path()))
    };
    // The edits make the verdict bad, and then there is no answer.
    let output = run(from(&["token-holders", &mint], folder.path()));
    assert_code(&output, 1);
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains(": S2 accounts hash: "), "{}", stderr(&output));

    let mut model: Vec<(u64, Pubkey, String, u8, u64)> = Vec::new();
    for row in json_lines(&ask(&["accounts", "export", "--format", "jsonl"])) {
        let data = data(&row);
        let of_mint = row["owner"] == TOKEN && data.len() == 165 && data[..32] == key_bytes(&mint);
        if of_mint && data[108] != 0 {
            let amount = u64::from_le_bytes(data[64..72].try_into().expect("8 bytes"));
            let owner = Pubkey(data[32..64].try_into().expect("32 bytes")).to_string();
            let address = string(&row, "pubkey").parse().expect("a key");
            model.push((amount, address, owner, data[108], number(&row, "slot")));
        }
    }
    model.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    assert!(model.len() >= 8, "{}", model.len());
    let ui = |amount: u128| {
        let text = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    let held: u128 = model.iter().map(|holder| u128::from(holder.0)).sum();
    assert!(held > u128::from(u64::MAX), "sums are wider than amounts");
    let with_something = model.iter().filter(|holder| holder.0 > 0).count();
    assert!(with_something < model.len());

    for (options, all) in [(vec!["--all"], true), (vec![], false)] {
        let command = [&["token-holders", &mint, "--output", "json"][..], &options].concat();
        let mut rows = json_lines(&ask(&command));
        let last = rows.pop().expect("a summary");
        let expected: Vec<_> = model
            .iter()
            .filter(|holder| all || holder.0 > 0)
            .map(|(amount, address, owner, state, slot)| {
                serde_json::json!({
                    "address": address.to_string(),
                    "owner": owner,
                    "amount": amount.to_string(),
                    "decimals": 6,
                    "ui_amount": ui((*amount).into()),
                    "state": if *state == 2 { "frozen" } else { "initialized" },
                    "slot": slot,
                })
            })
            .collect();
        assert_eq!(rows, expected);
        let summary = serde_json::json!({"summary": {
            "mint": mint,
            "program": TOKEN,
            "decimals": 6,
            "supply": "1234500000000",
            "ui_supply": "1234500",
            "holders": with_something,
            "token_accounts": model.len(),
            "held": held.to_string(),
            "ui_held": ui(held),
        }});
        assert_eq!(last, summary);
    }

    let table = ask(&["token-holders", &mint]);
    let first: Vec<_> = table.lines().nth(1).expect("a holder").split_whitespace().collect();
    assert_eq!(first[..3], [&model[0].1.to_string(), &model[0].2, &ui(model[0].0.into())]);
    assert_eq!(table.matches(" frozen").count(), 1);
    assert!(table.contains("\nsupply  1234500\n"), "{table}");
}

#[test]
fn token_holders_of_what_is_no_mint_are_no_answer() {
    let absent = Pubkey([7; 32]).to_string();
    for (mint, reason) in [(CLOCK, "no mint (its owner is "), (absent.as_str(), "absent")] {
        for format in ["display", "json"] {
            let output = run(from(&["token-holders", mint, "--output", format], &tiny()));
            assert_code(&output, 1);
            assert!(output.stdout.is_empty());
            assert!(stderr(&output).contains(&format!("{mint}: {reason}")), "{}", stderr(&output));
        }
    }
    // Wrapped SOL is a mint in every state, here without a holder.
    let wrapped = "So11111111111111111111111111111111111111112";
    let rows = json_lines(&good(from(&["token-holders", wrapped, "--output", "json"], &tiny())));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["summary"]["supply"], "0");
}

// --- what all of them share ---------------------------------------------------------------------

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
        (vec!["accounts", "export", "--format", "account-dir"], "-o <PATH>"),
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
fn the_need_for_memory_is_told_first_and_a_limit_is_kept() {
    for command in commands() {
        let output = run(from(&command, &tiny()));
        assert_code(&output, 0);
        let told = stderr(&output);
        assert!(told.starts_with("memory: 40 bytes for each account record\n"), "{told}");
        let limited = [&command[..], &["--memory-limit", "20k"]].concat();
        let output = run(from(&limited, &tiny()));
        assert_code(&output, 3);
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains("raise --memory-limit"), "{}", stderr(&output));
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
