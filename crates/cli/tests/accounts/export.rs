//! `icecore accounts export` and `icecore program-accounts`: rows, formats, filters.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use serde_json::Value;

use crate::support::*;

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
fn csv_holds_what_jsonl_holds() {
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
}

#[test]
fn account_dir_holds_what_jsonl_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = export(&tiny());
    let out = folder.path().join("accounts");
    let out_text = out.to_str().expect("text");
    let arguments = ["accounts", "export", "--format", "account-dir", "-o", out_text];
    assert_eq!(good(from(&arguments, &tiny())), "");
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
