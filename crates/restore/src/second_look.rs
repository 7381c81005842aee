//! The second look at an archive: only at records that were chosen by their place.
//!
//! Duplicates and replaced records were summed while they streamed by; those whose sum was
//! wrong are read again and taken out ([`CorrectionWorker`]). Archives named by a Merkle accounts
//! hash are read again for the hashes of all accounts that count ([`MerkleWorker`]).

use std::collections::HashMap;

use icecore_archive::{
    Error as ArchiveError, members::MemberKind, storage::StorageFault, tar::TarMember,
};
use icecore_hash::{AccountHashRule, Kernel, account_hash};
use icecore_types::{AccountRef, Hash, Pubkey, Record, Slot};

use crate::{
    Error,
    first_look::{ArchiveFacts, WRONG_KEPT_MAX, Wrong},
    pipeline::{
        batch::{Batch, Place, Span},
        run::Worker,
        walk::{Visitor, Wanted},
    },
    settle::Correction,
    totals::{Summer, Totals},
};

/// The walker's side: storages only, delimited as at the first look.
pub(crate) struct SecondLook<'a> {
    facts: &'a ArchiveFacts,
    storages: usize,
}

impl<'a> SecondLook<'a> {
    pub(crate) fn new(facts: &'a ArchiveFacts) -> Self {
        Self { facts, storages: 0 }
    }
}

impl Visitor for SecondLook<'_> {
    fn member(&mut self, _: &TarMember, kind: &MemberKind) -> Wanted {
        if !matches!(kind, MemberKind::Storage { .. }) {
            return Wanted::Nothing;
        }
        let number = self.storages;
        self.storages += 1;
        match (self.facts.storages.get(number), self.facts.listed.get(number)) {
            (Some(head), Some(listed)) => Wanted::Records { head: *head, listed: *listed },
            // The file is another one by now; what it held before has been judged.
            _ => Wanted::Nothing,
        }
    }

    fn bytes(&mut self, _: &[u8]) {}

    fn member_end(&mut self) {}

    // What is wrong was told at the first look.
    fn padding_not_zero(&mut self, _: u64) {}

    fn fault(&mut self, _: ArchiveError) {}

    fn storage_fault(&mut self, _: Place, _: u64, _: StorageFault) {}
}

/// Walks a sorted list of places alongside a batch, whose records come in the same order.
pub(crate) struct PlaceCursor<'a, T> {
    rest: &'a [T],
    place_of: fn(&T) -> Place,
}

impl<'a, T> PlaceCursor<'a, T> {
    pub(crate) fn new(list: &'a [T], place_of: fn(&T) -> Place) -> Self {
        Self { rest: list, place_of }
    }

    /// The entry of this place, if there is one. Places must be asked for in ascending order.
    pub(crate) fn find(&mut self, place: Place) -> Option<&'a T> {
        let skipped = match self.rest.first() {
            Some(first) if (self.place_of)(first) >= place => 0,
            _ => self.rest.partition_point(|entry| (self.place_of)(entry) < place),
        };
        self.rest = &self.rest[skipped..];
        self.rest.first().filter(|entry| (self.place_of)(entry) == place)
    }
}

/// Sums records by how often they must be added to the two views.
pub(crate) struct CorrectionWorker<'a> {
    corrections: &'a [Correction],
    kernel: Kernel,
    sums: HashMap<(i8, i8), Summer>,
    /// Where in their storages the wanted records start.
    pub(crate) offsets: Vec<(Place, u64)>,
    wanted_offsets: &'a [Place],
    pub(crate) looked_at: u64,
}

impl<'a> CorrectionWorker<'a> {
    /// `wanted_offsets` is a sorted list of places whose offsets are asked for.
    pub(crate) fn new(
        corrections: &'a [Correction],
        wanted_offsets: &'a [Place],
        kernel: Kernel,
    ) -> Self {
        Self {
            corrections,
            kernel,
            sums: HashMap::new(),
            offsets: Vec::new(),
            wanted_offsets,
            looked_at: 0,
        }
    }

    /// Applies the sums to the totals of the two views.
    pub(crate) fn apply(self, full: &mut Totals, pair: &mut Totals) {
        for ((full_times, pair_times), sum) in self.sums {
            let sum = sum.finish();
            for (totals, times) in [(&mut *full, full_times), (&mut *pair, pair_times)] {
                match times {
                    -1 => totals.subtract(&sum),
                    0 => {}
                    1 => totals.add(&sum),
                    _ => unreachable!("settling corrects by one at most"),
                }
            }
        }
    }
}

impl Worker for CorrectionWorker<'_> {
    fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut lists: HashMap<(i8, i8), Vec<AccountRef<'_>>> = HashMap::new();
        let mut corrections = PlaceCursor::new(self.corrections, |correction| correction.place);
        let mut offsets = PlaceCursor::new(self.wanted_offsets, |place| *place);
        for (span, record) in batch.records() {
            if let Some(correction) = corrections.find(span.place) {
                self.looked_at += 1;
                let times = (correction.full, correction.pair);
                lists.entry(times).or_default().push(record.account());
            }
            if offsets.find(span.place).is_some() {
                self.offsets.push((span.place, span.offset));
            }
        }
        for (times, list) in lists {
            let kernel = self.kernel;
            self.sums.entry(times).or_insert_with(|| Summer::new(kernel)).add(&list);
        }
        Ok(())
    }
}

/// What a Merkle accounts hash is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MerkleScope<'a> {
    /// Records that do not count.
    pub(crate) excluded: &'a [Place],
    /// The hash of what changed (an incremental archive's own) is over closed accounts, too.
    pub(crate) with_tombstones: bool,
    /// How accounts are hashed whose records hold no hash.
    pub(crate) rule: AccountHashRule,
    /// The slot whose writes are hashed by themselves, too.
    pub(crate) slot: Slot,
}

/// Hashes the accounts that count, for a Merkle accounts hash.
///
/// Records of clients before 2.x hold the account's hash, and it is the leaf: the fields that it
/// covers are those of the client that wrote the version, so that one archive can mix rules. A hash
/// that no rule gives is wrong.
pub(crate) struct MerkleWorker<'a> {
    scope: MerkleScope<'a>,
    pub(crate) leaves: Vec<(Pubkey, Hash)>,
    /// Of the slot's own writes: (pubkey, place, hash).
    pub(crate) delta: Vec<(Pubkey, Place, Hash)>,
    /// Records whose hash no rule gives.
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) wrong_count: u64,
    /// Records that hold no hash, so that the rule decides.
    pub(crate) without_hash: u64,
}

/// The rules of account hashes, newest first.
pub(crate) const RULES: [AccountHashRule; 3] = [
    AccountHashRule::WithoutRentEpoch,
    AccountHashRule::WithRentEpoch,
    AccountHashRule::WithSlotAndRentEpoch,
];

impl<'a> MerkleWorker<'a> {
    pub(crate) fn new(scope: MerkleScope<'a>) -> Self {
        Self {
            scope,
            leaves: Vec::new(),
            delta: Vec::new(),
            wrong: Vec::new(),
            wrong_count: 0,
            without_hash: 0,
        }
    }

    fn leaf(&mut self, span: &Span, record: &Record<'_>) -> Hash {
        let account = record.account();
        let stored = record.header.hash;
        if account.is_tombstone() {
            return account_hash(&account, span.slot, self.scope.rule);
        }
        if stored.is_zero() {
            self.without_hash += 1;
            return account_hash(&account, span.slot, self.scope.rule);
        }
        if !RULES.iter().any(|rule| account_hash(&account, span.slot, *rule) == stored) {
            self.wrong_count += 1;
            if self.wrong.len() < WRONG_KEPT_MAX {
                self.wrong.push(Wrong {
                    place: span.place,
                    offset: span.offset,
                    key: Some(*account.pubkey),
                    expected: "an account hash that its content gives",
                    found: stored.to_string(),
                });
            }
        }
        stored
    }
}

impl Worker for MerkleWorker<'_> {
    fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut excluded = PlaceCursor::new(self.scope.excluded, |place| *place);
        for (span, record) in batch.records() {
            let is_tombstone = record.account().is_tombstone();
            let is_own = span.slot == self.scope.slot;
            let counts = excluded.find(span.place).is_none()
                && (self.scope.with_tombstones || !is_tombstone);
            if !counts && !is_own {
                continue;
            }
            let (key, hash) = (record.header.pubkey, self.leaf(&span, &record));
            if counts {
                self.leaves.push((key, hash));
            }
            if is_own {
                // In the hash of a slot's own writes a closed account is 32 zero bytes.
                let hash = if is_tombstone { Hash::default() } else { hash };
                self.delta.push((key, span.place, hash));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_finds_places_in_order_and_nothing_else() {
        let place = |record| Place::new(false, 1, record);
        let list = [place(1), place(4), place(5)];
        let mut cursor = PlaceCursor::new(&list, |place| *place);
        let found: Vec<_> = (0..7).filter(|record| cursor.find(place(*record)).is_some()).collect();
        assert_eq!(found, [1, 4, 5]);
    }
}
