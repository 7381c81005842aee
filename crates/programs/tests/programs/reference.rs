//! What the reference client shows of an account, and what [`parse`] shows.
//!
//! `fixtures/reference-parsed.json` was written by the account decoder 4.2.2 (with the vote
//! interface 6.0.3 and the token-2022 interface 3.1.2) over accounts of the archives `tiny` and
//! `old-2.3-merkle` and over states made by hand: the account, its data in hexadecimal without
//! trailing zeros, and the decoder's JSON, from which only decimals, the amounts made with them,
//! the bits of the slot history and program code are taken out.

use icecore_programs::parse;
use icecore_types::{AccountRef, Pubkey, programs};
use serde_json::Value;

use crate::{bytes::Bytes, votes};

/// An account as the fixture holds it.
pub(crate) struct Sample {
    pub(crate) pubkey: Pubkey,
    pub(crate) owner: Pubkey,
    pub(crate) data: Vec<u8>,
    parsed: Value,
}

pub(crate) fn samples() -> Vec<Sample> {
    let text = include_str!("fixtures/reference-parsed.json");
    let rows: Vec<Value> = serde_json::from_str(text).expect("the fixture is JSON");
    let sample = |row: Value| {
        let key = |name: &str| row[name].as_str().expect("a string").parse();
        let hex = row["data"].as_str().expect("a string");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        let mut data: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let length = row["data_bytes"].as_u64().expect("a number");
        data.resize(usize::try_from(length).expect("small"), 0);
        Sample {
            pubkey: key("pubkey").expect("base58"),
            owner: key("owner").expect("base58"),
            data,
            parsed: row["parsed"].clone(),
        }
    };
    rows.into_iter().map(sample).collect()
}

pub(crate) fn account<'a>(pubkey: &'a Pubkey, owner: &'a Pubkey, data: &'a [u8]) -> AccountRef<'a> {
    AccountRef { pubkey, lamports: 1, owner, executable: false, rent_epoch: u64::MAX, data }
}

fn shown(pubkey: &Pubkey, owner: &Pubkey, data: &[u8]) -> Option<Value> {
    let parsed = parse(&account(pubkey, owner, data))?;
    Some(serde_json::to_value(parsed).expect("it serializes"))
}

#[test]
fn accounts_are_shown_as_the_reference_client_shows_them() {
    let samples = samples();
    assert_eq!(samples.len(), 77, "none is lost");
    for sample in samples {
        let shown = shown(&sample.pubkey, &sample.owner, &sample.data);
        assert_eq!(shown, Some(sample.parsed), "{}", sample.owner);
    }
}

#[test]
fn what_the_reference_client_shows_otherwise_or_not_at_all() {
    let address = Pubkey([9; 32]);
    let show = |pubkey: &Pubkey, owner: &Pubkey, data: Vec<u8>| shown(pubkey, owner, &data);
    let rent = Bytes::new().u64(3480).f64(2.0).u8(50).0;
    assert_eq!(
        show(&programs::SYSVAR_RENT, &programs::SYSVAR, rent),
        Some(serde_json::json!({
            "program": "sysvar",
            "type": "rent",
            "info": {"lamportsPerByteYear": "3480", "exemptionThreshold": 2.0, "burnPercent": 50}
        }))
    );
    let fees = Bytes::new().u64(5000).0;
    assert_eq!(
        show(&programs::SYSVAR_FEES, &programs::SYSVAR, fees),
        Some(serde_json::json!({
            "program": "sysvar",
            "type": "fees",
            "info": {"feeCalculator": {"lamportsPerSignature": "5000"}}
        }))
    );
    let history = crate::samples::slot_history(&[46], 47);
    assert_eq!(
        show(&programs::SYSVAR_SLOT_HISTORY, &programs::SYSVAR, history),
        Some(serde_json::json!({
            "program": "sysvar", "type": "slotHistory", "info": {"nextSlot": 47}
        }))
    );
    for (data, activated_at) in [(vec![0; 9], Value::Null), (Bytes::new().u8(1).u64(5).0, 5.into())]
    {
        assert_eq!(
            show(&address, &programs::FEATURE, data),
            Some(serde_json::json!({
                "program": "feature", "type": "feature", "info": {"activatedAt": activated_at}
            }))
        );
    }
    let config = Bytes::new().u8(0).f64(0.25).u8(12).0;
    assert_eq!(
        show(&programs::STAKE_CONFIG, &programs::CONFIG, config),
        Some(serde_json::json!({
            "program": "config",
            "type": "stakeConfig",
            "info": {"warmupCooldownRate": 0.25, "slashPenalty": 12}
        }))
    );
    let vote = show(&address, &programs::VOTE, votes::v0()).expect("it is a vote state");
    assert_eq!(vote["info"]["priorVoters"].as_array().map(Vec::len), Some(1));
    assert_eq!(vote["info"]["inflationRewardsCollector"], address.to_string());
}

#[test]
fn what_nobody_knows_stays_raw() {
    let address = Pubkey([9; 32]);
    for (pubkey, owner, data) in [
        (address, Pubkey([8; 32]), vec![0; 165]),
        (address, programs::SYSTEM, vec![]),
        (address, programs::SYSTEM, vec![0; 80]),
        (address, programs::SYSVAR, vec![0; 40]),
        (address, programs::VOTE, vec![0; 3762]),
        (address, programs::TOKEN, vec![0; 165]),
        (address, programs::CONFIG, vec![0; 10]),
        (programs::SYSVAR_CLOCK, programs::SYSTEM, vec![0; 40]),
    ] {
        assert_eq!(shown(&pubkey, &owner, &data), None, "{owner} {}", data.len());
    }
}

#[test]
fn a_validator_describes_itself_in_bounds() {
    let description = |text: String| {
        let keys = Bytes::new().u8(1).raw(&icecore_programs::config::VALIDATOR_INFO.0).u8(0);
        let length = u64::try_from(text.len()).expect("short");
        let data = keys.u64(length).raw(text.as_bytes()).0;
        shown(&Pubkey([9; 32]), &programs::CONFIG, &data)
    };
    let longest = icecore_programs::VALIDATOR_INFO_BYTES_MAX;
    let quoted = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert!(description(quoted(longest)).is_some());
    assert!(description(quoted(longest + 1)).is_none());
    assert!(description("[".repeat(longest)).is_none(), "neither JSON nor a stack overflow");
    assert!(description(String::new()).is_none());
}
