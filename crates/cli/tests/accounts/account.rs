//! `icecore account`.

use serde_json::Value;

use crate::support::*;

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
