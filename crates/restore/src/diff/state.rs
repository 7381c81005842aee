//! What is compared of two states besides their accounts.

use icecore_types::{Epoch, Hash, Slot};
use serde::Serialize;

use crate::{Answer, LiveAccounts, Stated, Verdict};

/// What is compared of a side besides its accounts: from the verdict on its last archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateSummary {
    /// The last archive's file name.
    pub archive: String,
    /// The slot.
    pub slot: Slot,
    /// The parent's slot.
    pub parent_slot: Option<Slot>,
    /// The epoch of the slot.
    pub epoch: Option<Epoch>,
    /// Blocks since genesis.
    pub block_height: Option<u64>,
    /// The bank hash, as stated.
    pub bank_hash: Option<Hash>,
    /// Recomputed from the accounts.
    pub accounts_lt_hash_checksum: Option<Hash>,
    /// Recomputed from the accounts, in lamports.
    pub capitalization: Option<u128>,
    /// Live accounts.
    pub num_accounts: Option<u64>,
    /// Bytes of their data.
    pub total_data_len: Option<u64>,
    /// The verdict on the archives of this side.
    pub verdict: Answer,
    /// What the archive states of itself.
    pub stated: Stated,
}

impl StateSummary {
    /// Of archives that were opened.
    pub fn of(accounts: &LiveAccounts) -> Self {
        let Verdict {
            archive,
            slot,
            parent_slot,
            epoch,
            block_height,
            bank_hash,
            accounts_lt_hash_checksum,
            capitalization,
            num_accounts,
            total_data_len,
            stated,
            ..
        } = accounts.report().last().clone();
        Self {
            archive,
            slot,
            parent_slot,
            epoch,
            block_height,
            bank_hash,
            accounts_lt_hash_checksum,
            capitalization,
            num_accounts,
            total_data_len,
            verdict: accounts.report().answer(),
            stated,
        }
    }

    /// The fields of the bank that differ. The names of the files, the verdicts and the counts are
    /// not of the bank. What a side states is told only where it is not what was recomputed.
    pub fn differing(&self, other: &Self) -> Vec<BankDifference> {
        type Text = fn(&StateSummary) -> String;
        let fields: [(&'static str, Text); 10] = [
            ("slot", |side| side.slot.to_string()),
            ("parent_slot", |side| text(&side.parent_slot)),
            ("epoch", |side| text(&side.epoch)),
            ("block_height", |side| text(&side.block_height)),
            ("bank_hash", |side| text(&side.bank_hash)),
            ("accounts_lt_hash_checksum", |side| text(&side.accounts_lt_hash_checksum)),
            ("capitalization", |side| text(&side.capitalization)),
            ("stated.accounts_lt_hash_checksum", |side| {
                text(&side.stated.accounts_lt_hash_checksum)
            }),
            ("stated.accounts_hash", |side| text(&side.stated.accounts_hash)),
            ("stated.capitalization", |side| text(&side.stated.capitalization)),
        ];
        let mut differing: Vec<BankDifference> = Vec::new();
        for (field, value) in fields {
            let (before, after) = (value(self), value(other));
            let recomputed = field.strip_prefix("stated.");
            let is_told = differing.iter().any(|told| {
                recomputed == Some(told.field) && told.before == before && told.after == after
            });
            if before != after && !is_told {
                differing.push(BankDifference { field, before, after });
            }
        }
        differing
    }
}

fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "none".into(), T::to_string)
}

/// A field of the bank in which two states differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankDifference {
    /// Its name.
    pub field: &'static str,
    /// Its value before, as text.
    pub before: String,
    /// Its value after, as text.
    pub after: String,
}
