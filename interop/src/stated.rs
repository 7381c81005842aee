//! What `icecore` states about the same archives, by its own commands.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::Arguments;

/// What it states.
pub struct Stated {
    /// The verdict on the last archive.
    pub verdict: Value,
    /// Its manifest.
    pub manifest: Value,
    /// Live accounts by address, in the form of `client::Loaded`.
    pub accounts: BTreeMap<String, Value>,
}

impl Stated {
    /// Asks for all of it; an error says which command did not give an answer.
    pub fn ask(arguments: &Arguments) -> Result<Self, String> {
        let full = arguments.full.display().to_string();
        let incremental = arguments.incremental.as_ref().map(|file| file.display().to_string());
        let last = incremental.clone().unwrap_or_else(|| full.clone());
        let files: Vec<_> = [Some(full), incremental].into_iter().flatten().collect();
        let verify = ["snapshot", "verify", "--output", "json"].map(String::from);
        let verdict = object(arguments, verify.into_iter().chain(files.iter().cloned()))?;
        let inspect = ["snapshot", "inspect", "--manifest", "--output", "json"].map(String::from);
        let manifest = object(arguments, inspect.into_iter().chain([last]))?;
        let export = ["accounts", "export", "--format", "jsonl"].map(String::from);
        let from = files.into_iter().flat_map(|file| ["--from".to_string(), file]);
        let rows = asked(arguments, export.into_iter().chain(from))?;
        let mut accounts = BTreeMap::new();
        for line in rows.lines() {
            let (pubkey, row) = account(line)?;
            if accounts.insert(pubkey.clone(), row).is_some() {
                return Err(format!("account {pubkey} was exported twice"));
            }
        }
        Ok(Self { verdict, manifest, accounts })
    }
}

/// A row in the form that is compared.
fn account(line: &str) -> Result<(String, Value), String> {
    let mut row: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let fields = row.as_object_mut().ok_or("a row is an object")?;
    fields.remove("parsed");
    let pubkey = fields.remove("pubkey");
    let data = fields.remove("data");
    let (Some(Value::String(pubkey)), Some(Value::String(data))) = (pubkey, data) else {
        return Err(format!("a row without address or data: {line:.200}"));
    };
    let data = STANDARD.decode(data).map_err(|error| error.to_string())?;
    fields.insert("data_blake3".into(), blake3::hash(&data).to_hex().to_string().into());
    Ok((pubkey, row))
}

fn object(arguments: &Arguments, command: impl Iterator<Item = String>) -> Result<Value, String> {
    serde_json::from_str(&asked(arguments, command)?).map_err(|error| error.to_string())
}

fn asked(arguments: &Arguments, command: impl Iterator<Item = String>) -> Result<String, String> {
    let command: Vec<_> = command.collect();
    let output = Command::new(&arguments.icecore)
        .args(&command)
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{}: {error}", arguments.icecore.display()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("'{}' ends with {}: {why}", command.join(" "), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
