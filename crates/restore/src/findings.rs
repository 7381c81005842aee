//! What the checks found, bounded: the first of a kind are told in words, all are counted.

use std::collections::BTreeMap;

use icecore_types::Pubkey;
use serde::Serialize;

use crate::check_id::CheckId;

/// Findings of one check that are told; the rest are counted.
const TOLD_MAX: usize = 16;

/// An account record that is wrong, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongRecord {
    /// The archive's file name.
    pub archive: String,
    /// The member, as in `accounts/SLOT.ID`.
    pub member: String,
    /// The number of the record in its member, counted from 0.
    pub record: u32,
    /// Where the record starts in its member, in bytes.
    pub offset: u64,
    /// Its key, where one can be read.
    pub pubkey: Option<Pubkey>,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl std::fmt::Display for WrongRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { archive, member, record, offset, expected, found, .. } = self;
        write!(f, "{archive}: {member}: record {record} at byte {offset}")?;
        if let Some(pubkey) = self.pubkey {
            write!(f, " ({pubkey})")?;
        }
        write!(f, ": expected {expected}, found {found}")
    }
}

/// What one check found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) fails: Told,
    pub(crate) warnings: Told,
    pub(crate) notes: Told,
    pub(crate) records: Vec<WrongRecord>,
    pub(crate) skipped: Option<String>,
}

/// A bounded list of sentences.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) sentences: Vec<String>,
    pub(crate) count: u64,
}

impl Told {
    fn push(&mut self, sentence: String) {
        self.count += 1;
        if self.sentences.len() < TOLD_MAX {
            self.sentences.push(sentence);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.sentences.join("; ");
        let untold = self.count - self.sentences.len() as u64;
        if untold > 0 {
            text.push_str(&format!("; and {untold} more"));
        }
        text
    }
}

/// What all checks found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    found: BTreeMap<CheckId, Found>,
}

impl Findings {
    fn of(&mut self, check: CheckId) -> &mut Found {
        self.found.entry(check).or_default()
    }

    pub(crate) fn fail(&mut self, check: CheckId, sentence: impl Into<String>) {
        self.of(check).fails.push(sentence.into());
    }

    pub(crate) fn warn(&mut self, check: CheckId, sentence: impl Into<String>) {
        self.of(check).warnings.push(sentence.into());
    }

    pub(crate) fn note(&mut self, check: CheckId, sentence: impl Into<String>) {
        self.of(check).notes.push(sentence.into());
    }

    pub(crate) fn skip(&mut self, check: CheckId, reason: impl Into<String>) {
        self.of(check).skipped.get_or_insert_with(|| reason.into());
    }

    pub(crate) fn wrong(&mut self, check: CheckId, record: WrongRecord) {
        let found = self.of(check);
        found.fails.push(record.to_string());
        if found.records.len() < TOLD_MAX {
            found.records.push(record);
        }
    }

    /// Counts failures that are not told one by one.
    pub(crate) fn fail_untold(&mut self, check: CheckId, count: u64) {
        self.of(check).fails.count += count;
    }

    /// `expected` against `found`: a failure in words when they differ.
    pub(crate) fn equal<T: PartialEq + std::fmt::Display>(
        &mut self,
        check: CheckId,
        what: &str,
        expected: T,
        found: T,
    ) -> bool {
        let equal = expected == found;
        if !equal {
            self.fail(check, format!("{what}: expected {expected}, found {found}"));
        }
        equal
    }

    pub(crate) fn failed(&self, check: CheckId) -> bool {
        self.found.get(&check).is_some_and(|found| !found.fails.is_empty())
    }

    /// The first check that failed, in words.
    pub(crate) fn first_failure(&self) -> Option<String> {
        let (check, found) = self.found.iter().find(|(_, found)| !found.fails.is_empty())?;
        Some(format!("{check} {}: {}", check.title(), found.fails.text()))
    }

    pub(crate) fn take(&mut self, check: CheckId) -> Found {
        self.found.remove(&check).unwrap_or_default()
    }
}
