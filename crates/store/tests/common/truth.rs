//! What the reference client says of the shared sets of feeds.

use std::{collections::BTreeMap, fs, path::Path};

use icecore_types::{Account, Hash, Pubkey, Slot};
use serde_json::Value;

use super::data::content;

/// An account as the truth has it: without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub lamports: u64,
    pub owner: Pubkey,
    pub executable: bool,
    pub data_len: u64,
    pub data_blake3: String,
}

impl Row {
    pub fn of(account: &Account) -> Self {
        Self {
            lamports: account.lamports,
            owner: account.owner,
            executable: account.executable,
            data_len: account.data.len() as u64,
            data_blake3: blake3::hash(&account.data).to_hex().to_string(),
        }
    }

    fn read(value: &Value) -> Self {
        Self {
            lamports: number(value, "lamports"),
            owner: text(value, "owner").parse().expect("a key"),
            executable: value["executable"].as_bool().expect("a flag"),
            data_len: number(value, "data_len"),
            data_blake3: text(value, "data_blake3").to_string(),
        }
    }
}

/// The state at a slot.
#[derive(Debug, Clone)]
pub struct TruthAt {
    pub slot: Slot,
    /// `rooted`, `skipped`, `abandoned` or `as-rooted`.
    pub kind: String,
    /// The slot whose state it is.
    pub effective_slot: Slot,
    pub bank_hash: Hash,
    pub checksum: Hash,
    pub capitalization: u64,
    pub num_accounts: u64,
    pub total_data_len: u64,
    /// By key, with the slot in which it was written.
    pub accounts: BTreeMap<Pubkey, (Slot, Row)>,
    pub absent: Vec<Pubkey>,
}

impl TruthAt {
    /// Whether a state on the final chain is meant, and not one on a fork.
    pub fn is_final(&self) -> bool {
        self.kind != "abandoned"
    }
}

/// All states that a set has truth for.
pub fn states(set: &Path) -> Vec<TruthAt> {
    let mut paths: Vec<_> = fs::read_dir(set)
        .expect("the set is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("truth-at-"))
        })
        .collect();
    paths.sort();
    paths.iter().map(|path| state(&json(path))).collect()
}

fn state(value: &Value) -> TruthAt {
    let row = |row: &Value| {
        let pubkey = text(row, "pubkey").parse().expect("a key");
        (pubkey, (number(row, "slot"), Row::read(row)))
    };
    TruthAt {
        slot: number(value, "slot"),
        kind: text(value, "kind").to_string(),
        effective_slot: number(value, "effective_slot"),
        bank_hash: hash(value, "bank_hash"),
        checksum: hash(value, "accounts_lt_hash_checksum"),
        capitalization: number(value, "capitalization"),
        num_accounts: number(value, "num_accounts"),
        total_data_len: number(value, "total_data_len"),
        accounts: list(value, "accounts").iter().map(row).collect(),
        absent: list(value, "absent")
            .iter()
            .map(|key| key.as_str().expect("text").parse().expect("a key"))
            .collect(),
    }
}

/// A slot of the feed.
#[derive(Debug, Clone)]
pub struct TruthSlot {
    pub slot: Slot,
    pub parent: Slot,
    pub is_rooted: bool,
    pub bank_hash: Hash,
    pub checksum: Hash,
    pub capitalization: u64,
    pub accounts_written: u64,
    pub block_height: u64,
    pub signature_count: u64,
    pub transaction_count: u64,
    pub last_blockhash: Hash,
    pub bank_bytes: u64,
}

/// The slots of a set's feed.
#[derive(Debug, Clone)]
pub struct TruthSlots {
    pub base_slot: Slot,
    pub base_bank_hash: Hash,
    pub base_checksum: Hash,
    pub base_capitalization: u64,
    pub last_root: Slot,
    pub account_writes: u64,
    pub slots: Vec<TruthSlot>,
}

/// What a set says of its slots.
pub fn slots(set: &Path) -> TruthSlots {
    let value = one_of(set, &["truth-slots.json", "truth-slots.json.zst"]);
    let slot = |slot: &Value| TruthSlot {
        slot: number(slot, "slot"),
        parent: number(slot, "parent"),
        is_rooted: slot["rooted"].as_bool().expect("a flag"),
        bank_hash: hash(slot, "bank_hash"),
        checksum: hash(slot, "accounts_lt_hash_checksum"),
        capitalization: number(slot, "capitalization"),
        accounts_written: number(slot, "accounts_written"),
        block_height: number(slot, "block_height"),
        signature_count: number(slot, "signature_count"),
        transaction_count: number(slot, "transaction_count"),
        last_blockhash: hash(slot, "last_blockhash"),
        bank_bytes: number(slot, "bank_len"),
    };
    let a = &value["a"];
    TruthSlots {
        base_slot: number(a, "slot"),
        base_bank_hash: hash(a, "bank_hash"),
        base_checksum: hash(a, "accounts_lt_hash_checksum"),
        base_capitalization: number(a, "capitalization"),
        last_root: number(&value, "b_slot"),
        account_writes: number(&value, "account_writes"),
        slots: list(&value, "slots").iter().map(slot).collect(),
    }
}

/// A version in an account's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthVersion {
    pub slot: Slot,
    pub rent_epoch: u64,
    pub row: Row,
}

/// All versions of an account.
#[derive(Debug, Clone)]
pub struct TruthHistory {
    pub pubkey: Pubkey,
    pub category: String,
    /// That of the base; `None`: the base does not have the account.
    pub base: Option<TruthVersion>,
    /// Those written in slots that were rooted, ascending.
    pub rooted: Vec<TruthVersion>,
    /// Those written in slots that were abandoned.
    pub abandoned: Vec<TruthVersion>,
}

/// The accounts of which a set says all versions.
pub fn histories(set: &Path) -> Vec<TruthHistory> {
    let value = one_of(set, &["truth-history.json", "truth-history.json.zst"]);
    let version = |version: &Value| TruthVersion {
        slot: number(version, "slot"),
        rent_epoch: number(version, "rent_epoch"),
        row: Row::read(version),
    };
    let history = |key: &Value| TruthHistory {
        pubkey: text(key, "pubkey").parse().expect("a key"),
        category: text(key, "category").to_string(),
        base: (!key["base"].is_null()).then(|| version(&key["base"])),
        rooted: list(key, "rooted").iter().map(version).collect(),
        abandoned: list(key, "abandoned").iter().map(version).collect(),
    };
    list(&value, "keys").iter().map(history).collect()
}

fn one_of(set: &Path, names: &[&str]) -> Value {
    let path = names.iter().map(|name| set.join(name)).find(|path| path.exists());
    json(&path.expect("the set has it"))
}

fn json(path: &Path) -> Value {
    let parsed = serde_json::from_slice(&content(path));
    parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is a number: {}", value[name]))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is text: {}", value[name]))
}

fn hash(value: &Value, name: &str) -> Hash {
    text(value, name).parse().expect("a hash")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}
