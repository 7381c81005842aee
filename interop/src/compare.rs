//! Comparing what the client holds with what is stated about it.
//!
//! The client's values come in its own description (maps with keys of any kind, hashes and addresses as 32
//! numbers, account data as numbers); the stated ones are JSON for people. A pair agrees when one is the other
//! written in that way:
//!
//! | client | stated |
//! |---|---|
//! | 32 numbers | base58 |
//! | bytes, or more numbers than that | base64, or hexadecimal |
//! | a map whose keys are not names | a list of pairs, in any order |
//! | the one variant of an enumeration | its content |
//! | a structure of one field, a list being stated | its content |
//! | a tuple of stake and account, or of epoch and entry | an object with these names |
//! | eight reserved bytes | the rate that they once were |
//! | names in camel case | in snake case |
//! | `fee_calculator` | what is in it |
//! | nothing | null |
//!
//! Where the client has a structure, the stated one has to have the same names, no more and no less.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use ciborium::Value as Cbor;
use serde_json::Value;

/// Lines that are kept; more are counted.
const LINES_MAX: usize = 50;

/// Fields of which a loaded bank keeps nothing, by the end of their path.
const FORGOTTEN: [&str; 1] = ["stakes.stake_delegations"];

/// What the client has no use for any more, by its name there and in what is stated: eight bytes, once a rate.
const RESERVED: (&str, &str) = ("_reserved", "warmup_cooldown_rate");

/// Structures whose fields stand in place of them.
const FLATTENED: [&str; 1] = ["fee_calculator"];

/// What differs.
#[derive(Default)]
pub struct Differences {
    lines: Vec<String>,
    count: usize,
}

impl Differences {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first of them, in words.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    fn add(&mut self, line: String) {
        self.count += 1;
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        }
    }

    /// Compares all values that the client names.
    pub fn summary(&mut self, client: &Value, stated: &Value) {
        for (name, value) in client.as_object().expect("a summary is an object") {
            if stated[name] != *value {
                self.add(format!("{name}: the client has {value}, stated is {}", stated[name]));
            }
        }
    }

    /// Compares fields of the manifest; says how many values agreed.
    pub fn manifest(&mut self, client: &[(&'static str, Cbor)], stated: &Value) -> u64 {
        let mut agreed = 0;
        for (path, value) in client {
            let stated = path.split('.').fold(stated, |value, name| &value[name]);
            self.value(path, value, stated, &mut agreed);
        }
        agreed
    }

    /// Compares accounts, all fields of all.
    pub fn accounts(&mut self, client: &BTreeMap<String, Value>, stated: &BTreeMap<String, Value>) {
        for (pubkey, row) in client {
            match stated.get(pubkey) {
                Some(stated) if stated == row => {}
                Some(stated) => {
                    self.add(format!("account {pubkey}: the client has {row}, stated is {stated}"));
                }
                None => self.add(format!("account {pubkey}: only the client has it")),
            }
        }
        for pubkey in stated.keys().filter(|pubkey| !client.contains_key(*pubkey)) {
            self.add(format!("account {pubkey}: the client does not have it"));
        }
    }

    fn value(&mut self, path: &str, client: &Cbor, stated: &Value, agreed: &mut u64) {
        if path.contains("epoch_stakes") && FORGOTTEN.iter().any(|end| path.ends_with(end)) {
            return;
        }
        match (client, stated) {
            (Cbor::Tag(_, client), _) => self.value(path, client, stated, agreed),
            (Cbor::Map(pairs), Value::Object(fields)) if names(pairs).is_some() => {
                let client: BTreeMap<_, _> = names(pairs)
                    .expect("just asked")
                    .flat_map(|(name, value)| match value.as_map() {
                        Some(inner) if FLATTENED.contains(&name) => {
                            names(inner).into_iter().flatten().collect()
                        }
                        _ => vec![(name, value)],
                    })
                    .map(|(name, value)| (snake_case(name), value))
                    .collect();
                if let [(variant, content)] = pairs.as_slice()
                    && let Some(variant) = variant.as_text()
                    && !fields.contains_key(variant)
                {
                    return self.value(path, content, stated, agreed);
                }
                for (name, value) in &client {
                    match fields.get(name) {
                        Some(stated) => {
                            self.value(&format!("{path}.{name}"), value, stated, agreed);
                        }
                        None => self.add(format!("{path}.{name}: only the client has it")),
                    }
                }
                for name in fields.keys().filter(|name| !client.contains_key(*name)) {
                    self.add(format!("{path}.{name}: the client does not have it"));
                }
            }
            (Cbor::Map(pairs), Value::Array(list)) => match pairs.as_slice() {
                [(name, content)] if name.is_text() => self.value(path, content, stated, agreed),
                _ => self.pairs(path, pairs, list, agreed),
            },
            (Cbor::Array(items), Value::Object(fields)) => match items.as_slice() {
                [stake, account] if fields.contains_key("stake") => {
                    self.value(&format!("{path}.stake"), stake, &stated["stake"], agreed);
                    self.value(&format!("{path}.account"), account, &stated["account"], agreed);
                }
                [epoch, Cbor::Map(entry)] => {
                    let name = Cbor::Text("epoch".into());
                    let entry = [(name, epoch.clone())].into_iter().chain(entry.iter().cloned());
                    self.value(path, &Cbor::Map(entry.collect()), stated, agreed);
                }
                _ => self.add(format!("{path}: the client has a tuple of {}", items.len())),
            },
            (Cbor::Array(items), Value::Array(stated)) if items.len() == stated.len() => {
                for (place, (client, stated)) in items.iter().zip(stated).enumerate() {
                    self.value(&format!("{path}[{place}]"), client, stated, agreed);
                }
            }
            _ => match is_same(client, stated) {
                true => *agreed += 1,
                false => {
                    let client = format!("{client:?}");
                    self.add(format!(
                        "{path}: the client has {client:.300}, stated is {stated:.300}"
                    ));
                }
            },
        }
    }

    /// A map whose keys are not names, against a list of pairs.
    fn pairs(&mut self, path: &str, client: &[(Cbor, Cbor)], stated: &[Value], agreed: &mut u64) {
        let mut left: BTreeMap<String, &Value> = BTreeMap::new();
        for pair in stated {
            if left.insert(key_text(&pair[0]), &pair[1]).is_some() {
                self.add(format!("{path}[{}]: stated twice", pair[0]));
            }
        }
        for (key, value) in client {
            let key = key_of(key);
            match left.remove(&key) {
                Some(stated) => self.value(&format!("{path}[{key}]"), value, stated, agreed),
                None => self.add(format!("{path}[{key}]: only the client has it")),
            }
        }
        for key in left.keys() {
            self.add(format!("{path}[{key}]: the client does not have it"));
        }
    }
}

/// The entries of a structure.
fn names(pairs: &[(Cbor, Cbor)]) -> Option<impl Iterator<Item = (&str, &Cbor)>> {
    let is_structure = !pairs.is_empty() && pairs.iter().all(|(name, _)| name.is_text());
    is_structure
        .then(|| pairs.iter().map(|(name, value)| (name.as_text().expect("just looked"), value)))
}

fn snake_case(name: &str) -> String {
    if name == RESERVED.0 {
        return RESERVED.1.into();
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Numbers that are bytes.
fn bytes_of(value: &Cbor) -> Option<Vec<u8>> {
    match value {
        Cbor::Bytes(bytes) => Some(bytes.clone()),
        Cbor::Array(items) => {
            items.iter().map(|item| u8::try_from(i128::from(item.as_integer()?)).ok()).collect()
        }
        _ => None,
    }
}

fn key_of(key: &Cbor) -> String {
    match bytes_of(key) {
        Some(bytes) => bs58::encode(bytes).into_string(),
        None => match key.as_integer() {
            Some(number) => i128::from(number).to_string(),
            None => format!("{key:?}"),
        },
    }
}

fn key_text(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), String::from)
}

fn is_same(client: &Cbor, stated: &Value) -> bool {
    match (client, stated) {
        (Cbor::Null, Value::Null) => true,
        (Cbor::Bool(client), Value::Bool(stated)) => client == stated,
        (Cbor::Integer(client), Value::Number(stated)) => {
            stated.to_string() == i128::from(*client).to_string()
        }
        (Cbor::Float(client), Value::Number(stated)) => stated.as_f64() == Some(*client),
        (Cbor::Array(_), Value::Number(stated)) => bytes_of(client).is_some_and(|bytes| {
            let bits = bytes.try_into().map(u64::from_le_bytes);
            bits.ok() == stated.as_f64().map(f64::to_bits)
        }),
        (Cbor::Text(client), Value::String(stated)) => client == stated,
        (_, Value::String(stated)) => bytes_of(client).is_some_and(|bytes| {
            let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            bs58::encode(&bytes).into_string() == *stated
                || STANDARD.encode(&bytes) == *stated
                || hexadecimal == *stated
        }),
        // An empty list of numbers and an empty map look the same.
        (Cbor::Array(client), Value::Array(stated)) => client.is_empty() && stated.is_empty(),
        _ => false,
    }
}
