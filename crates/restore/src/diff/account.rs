//! An account that differs: what it was, what it is, and in which fields.

use icecore_types::{Pubkey, Slot};
use serde::{Serialize, Serializer};

/// An account's content, its data as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AccountState {
    /// Balance.
    pub lamports: u64,
    /// The program that may change it.
    pub owner: Pubkey,
    /// Whether it holds a program.
    pub executable: bool,
    /// Obsolete, in no hash.
    pub rent_epoch: u64,
    /// The slot in which this version was written; not part of the state.
    pub slot: Slot,
    /// Bytes of data.
    pub data_len: u64,
    /// BLAKE3 of the data; hexadecimal digits in JSON.
    #[serde(serialize_with = "hex")]
    pub data_blake3: blake3::Hash,
}

fn hex<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_hex())
}

/// What happened to an account between the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the state after has it.
    Added,
    /// Only the state before has it.
    Closed,
    /// Both have it, with different content.
    Changed,
}

impl Change {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Closed => "closed",
            Self::Changed => "changed",
        }
    }
}

/// An account that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountDiff {
    /// Its address.
    pub pubkey: Pubkey,
    /// What happened to it.
    pub change: Change,
    /// The fields of [`AccountState`] that differ, by name; none unless it has changed.
    pub fields: Vec<&'static str>,
    /// What it was.
    pub before: Option<AccountState>,
    /// What it is.
    pub after: Option<AccountState>,
}

impl AccountDiff {
    /// Of the states before and after, which differ.
    pub fn new(pubkey: Pubkey, before: Option<AccountState>, after: Option<AccountState>) -> Self {
        let (change, fields) = match (&before, &after) {
            (Some(before), Some(after)) => (Change::Changed, changed_fields(before, after)),
            (Some(_), None) => (Change::Closed, Vec::new()),
            (None, _) => (Change::Added, Vec::new()),
        };
        Self { pubkey, change, fields, before, after }
    }
}

fn changed_fields(before: &AccountState, after: &AccountState) -> Vec<&'static str> {
    let fields = [
        ("lamports", before.lamports != after.lamports),
        ("owner", before.owner != after.owner),
        ("executable", before.executable != after.executable),
        ("rent_epoch", before.rent_epoch != after.rent_epoch),
        ("data_len", before.data_len != after.data_len),
        ("data_blake3", before.data_blake3 != after.data_blake3),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
