//! What a verification says.

use icecore_tile::HostSandbox;
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    check_id::CheckId,
    findings::{Findings, WrongRecord},
};

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Everything that can be recomputed agrees.
    Consistent,
    /// And a bank hash given from outside agrees.
    Anchored,
    /// Something does not.
    Bad,
}

impl Answer {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Anchored => "anchored",
            Self::Bad => "bad",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It does not, but the reference client would not mind; a failure when strict.
    Warn,
    /// It was not made, for the reason given.
    Skipped,
}

impl Outcome {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Skipped => "skipped",
        }
    }
}

/// One check with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    /// Which check.
    pub id: CheckId,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, or what was compared.
    pub detail: String,
    /// The wrong records, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<WrongRecord>,
}

/// What an archive states of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stated {
    /// The hash in the file name.
    pub snapshot_hash: Option<Hash>,
    /// Bank hash of the manifest.
    pub bank_hash: Option<Hash>,
    /// Checksum of the manifest's lattice hash, absent before 2.1.
    pub accounts_lt_hash_checksum: Option<Hash>,
    /// Merkle accounts hash of the manifest, absent since 3.0.
    pub accounts_hash: Option<Hash>,
    /// Capitalization of the manifest.
    pub capitalization: Option<u64>,
}

/// What was recomputed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Recomputed {
    /// The name's hash, from the accounts.
    pub snapshot_hash: Option<Hash>,
    /// From its parts, the lattice hash among them as recomputed from the accounts.
    pub bank_hash: Option<Hash>,
    /// From the accounts.
    pub accounts_lt_hash_checksum: Option<Hash>,
    /// Merkle accounts hash from the accounts, for archives that are named by it.
    pub accounts_hash: Option<Hash>,
    /// From the accounts.
    pub capitalization: Option<u128>,
}

/// The verdict on one archive; on an incremental one: on the state of the pair at its slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The file name.
    pub archive: String,
    /// `full` or `incremental`.
    pub kind: &'static str,
    /// Slot, of the manifest if it decodes, else of the name.
    pub slot: Slot,
    /// The base slot in an incremental archive's name.
    pub base_slot: Option<Slot>,
    /// Parent slot of the manifest.
    pub parent_slot: Option<Slot>,
    /// Epoch of the slot.
    pub epoch: Option<u64>,
    /// Block height of the manifest.
    pub block_height: Option<u64>,
    /// Bank hash of the manifest.
    pub bank_hash: Option<Hash>,
    /// Recomputed from the accounts.
    pub accounts_lt_hash_checksum: Option<Hash>,
    /// Recomputed from the accounts.
    pub capitalization: Option<u128>,
    /// Live accounts.
    pub num_accounts: Option<u64>,
    /// Bytes of data of the live accounts.
    pub total_data_len: Option<u64>,
    /// The answer.
    pub verdict: Answer,
    /// Whether a bank hash given from outside agrees.
    pub anchored: bool,
    /// What the archive states.
    pub stated: Stated,
    /// What was recomputed.
    pub recomputed: Recomputed,
    /// Every check.
    pub checks: Vec<CheckOutcome>,
    /// What no check covers: the closed list.
    pub not_covered: &'static [&'static str],
}

impl Verdict {
    /// The outcome of a check.
    pub fn check(&self, id: CheckId) -> &CheckOutcome {
        self.checks.iter().find(|check| check.id == id).expect("every verdict has every check")
    }

    /// The checks that make the answer `bad`.
    pub fn failures(&self) -> impl Iterator<Item = &CheckOutcome> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Fail)
    }
}

/// What no check covers. A bit that is flipped there is not detectable, and not harmless.
pub const NOT_COVERED: &[&str] = &[
    "status cache: results, and entries beyond slots (T1, T2)",
    "blockhash queue: entries that the recent blockhashes sysvar does not hold; all timestamps and fees",
    "transaction_count",
    "signature_count (only through the bank hash)",
    "block_height",
    "accounts_data_len and bank_hash_info",
    "inflation, fee_rate_governor, lamports_per_signature, ns_per_slot, slots_per_year, hashes_per_tick",
    "genesis_creation_time (unless a ledger is given)",
    "epoch stakes beyond M8 (frozen at an older epoch's border)",
    "stakes cache: effective stakes of vote accounts, unused field",
    "fields that no client reads any more: epoch where 0 stands for the slot's, ancestors, collector_fees, fee_calculator, collected_rent, rent_collector, unused_accounts, is_delta, write_version, historical roots, incremental persistence",
    "block_id",
    "account records: rent_epoch, write_version, stored hash, padding",
    "closed accounts (no lamports): owner, executable, data, and the address of one that closes nothing",
    "ids of storages",
    "tar headers: modes, owners, times, spelling of numbers",
];

/// Turns findings into outcomes.
pub(crate) fn outcomes(mut findings: Findings, strict: bool) -> Vec<CheckOutcome> {
    CheckId::ALL
        .iter()
        .map(|id| {
            let found = findings.take(*id);
            let (outcome, told) = if !found.fails.is_empty() {
                (Outcome::Fail, found.fails.text())
            } else if !found.warnings.is_empty() {
                let outcome = if strict { Outcome::Fail } else { Outcome::Warn };
                (outcome, found.warnings.text())
            } else if let Some(reason) = found.skipped {
                (Outcome::Skipped, reason)
            } else {
                (Outcome::Pass, String::new())
            };
            let mut detail = told;
            if !found.notes.is_empty() && outcome != Outcome::Skipped {
                if !detail.is_empty() {
                    detail.push_str("; ");
                }
                detail.push_str(&found.notes.text());
            }
            CheckOutcome { id: *id, outcome, detail, records: found.records }
        })
        .collect()
}

/// The verdict on a pair or a full archive: one verdict for each archive read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The full archive's, then the pair's.
    pub archives: Vec<Verdict>,
    /// What the work took.
    pub work: Work,
}

/// Counters of the work done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Work {
    /// Compressed bytes read in all passes.
    pub bytes_read: u64,
    /// Decompressed bytes in all passes.
    pub bytes_unpacked: u64,
    /// Account records in all passes.
    pub records: u64,
    /// Records that had to be looked at again.
    pub records_looked_at_again: u64,
    /// Frames that a second look passed over, as nothing in them was wanted.
    pub frames_passed_over: u64,
    /// The lattice kernel.
    pub kernel: &'static str,
    /// Tiles that decompressed.
    pub decompress_tiles: usize,
    /// Tiles that hashed and indexed.
    pub hash_tiles: usize,
    /// How the full archive was read.
    pub reading: String,
    /// Bytes written to scratch files for want of memory.
    pub bytes_spilled: u64,
    /// Bins of keys that did not fit memory by themselves.
    pub bins_split: u64,
    /// Whether tiles were closed in, as asked for.
    pub sandbox: String,
    /// How each thread and process was closed in.
    pub hosts: Vec<HostSandbox>,
}

impl Report {
    /// The verdict of the last archive: what a person asks for.
    pub fn last(&self) -> &Verdict {
        self.archives.last().expect("at least one archive was read")
    }

    /// The worst answer of all archives.
    pub fn answer(&self) -> Answer {
        match self.archives.iter().any(|verdict| verdict.verdict == Answer::Bad) {
            true => Answer::Bad,
            false => self.last().verdict,
        }
    }
}
