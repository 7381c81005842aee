//! `icecore token-holders`, on the tiny pair with a mint edited into it.

use std::{collections::BTreeMap, fs, path::Path};

use icecore_archive::{
    container::{Detection, detect},
    stream::ContainerDecoder,
};
use icecore_types::{Pubkey, programs};
use serde_json::Value;

use crate::support::*;

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
