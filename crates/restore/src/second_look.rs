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
use icecore_types::{AccountRef, Hash, Pubkey};

use crate::{
    Error,
    first_look::ArchiveFacts,
    pipeline::{
        batch::{Batch, Place},
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
        let head = self.facts.storages[self.storages];
        let listed = self.facts.listed[self.storages];
        self.storages += 1;
        Wanted::Records { head, listed }
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

/// Hashes the accounts that count, for a Merkle accounts hash.
pub(crate) struct MerkleWorker<'a> {
    excluded: &'a [Place],
    rule: AccountHashRule,
    /// An incremental archive's hash is over closed accounts, too.
    with_tombstones: bool,
    pub(crate) leaves: Vec<(Pubkey, Hash)>,
}

impl<'a> MerkleWorker<'a> {
    pub(crate) fn new(excluded: &'a [Place], rule: AccountHashRule, with_tombstones: bool) -> Self {
        Self { excluded, rule, with_tombstones, leaves: Vec::new() }
    }
}

impl Worker for MerkleWorker<'_> {
    fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut excluded = PlaceCursor::new(self.excluded, |place| *place);
        for (span, record) in batch.records() {
            let account = record.account();
            let counts = self.with_tombstones || !account.is_tombstone();
            if excluded.find(span.place).is_none() && counts {
                self.leaves.push((*account.pubkey, account_hash(&account, span.slot, self.rule)));
            }
        }
        Ok(())
    }
}
