//! The second look at an archive: only at records that were chosen by their place.
//!
//! Duplicates and replaced records were summed while they streamed by; those whose sum was
//! wrong are read again and taken out ([`CorrectionWorker`]). Archives named by a Merkle accounts
//! hash are read again for the hashes of all accounts that count ([`MerkleWorker`]).
//!
//! The parser walks along with the sorted lists that settling made ([`Choice`]), so that only what
//! is wanted leaves it, and nothing is held but the lists' buffers.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use icecore_archive::{members::MemberKind, storage::StorageFault, tar::TarMember};
use icecore_hash::{AccountHashRule, Kernel, account_hash};
use icecore_tile::Frame;
use icecore_types::{AccountRef, Hash, Pubkey, Record, Slot};

use crate::{
    Error,
    damage::Damage,
    destination::{Keeper, Passing},
    first_look::{ArchiveFacts, WRONG_KEPT_MAX, Wrong},
    key_bins::Entry,
    pass::{
        batch::{Batch, Place, Span},
        slots::Worker,
        walk::{StorageHead, Visitor, Wanted},
    },
    settle::Correction,
    spill::{
        SpillFile,
        item::{Item, read_u64},
        sorted::{Sorted, SortedReader},
        sorter::Sorter,
    },
    totals::{Summer, ViewTotals},
};

/// What a second look needs to know of the first.
#[derive(Debug, Clone)]
pub(crate) struct Storages {
    heads: Arc<[StorageHead]>,
    listed: Arc<[Option<u64>]>,
}

impl Storages {
    pub(crate) fn of(facts: &ArchiveFacts) -> Self {
        Self { heads: facts.storages.as_slice().into(), listed: facts.listed.as_slice().into() }
    }
}

/// Which records are wanted, and the tag that they bear.
pub(crate) trait Choice: Send {
    /// Places come in ascending order.
    fn choose(&mut self, place: Place, slot: Slot) -> Result<Option<u32>, Error>;
}

/// The walker's side: storages only, delimited as at the first look.
pub(crate) struct SecondLook<C> {
    storages: Storages,
    choice: C,
    number: usize,
    slot: Slot,
}

impl<C> SecondLook<C> {
    pub(crate) fn new(storages: Storages, choice: C) -> Self {
        Self { storages, choice, number: 0, slot: 0 }
    }
}

impl<C: Choice> Visitor for SecondLook<C> {
    fn member(&mut self, _: &TarMember, kind: &MemberKind) -> Wanted {
        if !matches!(kind, MemberKind::Storage { .. }) {
            return Wanted::Nothing;
        }
        let number = self.number;
        self.number += 1;
        match (self.storages.heads.get(number), self.storages.listed.get(number)) {
            (Some(head), Some(listed)) => {
                self.slot = head.slot;
                Wanted::Chosen { head: *head, listed: *listed }
            }
            // The file is another one by now; what it held before has been judged.
            _ => Wanted::Nothing,
        }
    }

    fn resume(&mut self, storages: u32) {
        self.number = storages as usize;
        let current = self.number.checked_sub(1).and_then(|last| self.storages.heads.get(last));
        self.slot = current.map_or(0, |head| head.slot);
    }

    fn bytes(&mut self, _: &[u8]) {}

    fn member_end(&mut self) {}

    fn choose(&mut self, place: Place) -> Result<Option<u32>, Error> {
        self.choice.choose(place, self.slot)
    }

    // What is wrong was told at the first look.
    fn padding_not_zero(&mut self, _: u64) {}

    fn fault(&mut self, _: Damage) {}

    fn storage_fault(&mut self, _: Place, _: u64, _: StorageFault) {}
}

/// Walks along a sorted list of excluded records.
pub(crate) struct Excluded {
    reader: SortedReader<Place>,
}

impl Excluded {
    /// Buffers take `bytes_max`.
    pub(crate) fn new(list: &Sorted<Place>, bytes_max: usize) -> Result<Self, Error> {
        Ok(Self { reader: list.reader(bytes_max)? })
    }

    /// Whether a record counts. Places must be asked for in ascending order.
    pub(crate) fn counts(&mut self, place: Place) -> Result<bool, Error> {
        let first = self.reader.skip_while(|excluded| *excluded < place)?;
        Ok(first != Some(place))
    }
}

/// Everything that counts.
impl Choice for Excluded {
    fn choose(&mut self, place: Place, _: Slot) -> Result<Option<u32>, Error> {
        Ok(self.counts(place)?.then_some(0))
    }
}

/// Walks along a sorted list of wanted records: all others are passed over.
pub(crate) struct Wished {
    reader: SortedReader<Place>,
}

impl Wished {
    /// Buffers take `bytes_max`.
    pub(crate) fn new(list: &Sorted<Place>, bytes_max: usize) -> Result<Self, Error> {
        Ok(Self { reader: list.reader(bytes_max)? })
    }
}

impl Choice for Wished {
    fn choose(&mut self, place: Place, _: Slot) -> Result<Option<u32>, Error> {
        let first = self.reader.skip_while(|wished| *wished < place)?;
        Ok((first == Some(place)).then_some(0))
    }
}

/// The tag of a record whose offset is asked for, besides what it corrects.
const OFFSET_WANTED: u32 = 1 << 16;

/// The records to correct, and those whose offset is asked for.
pub(crate) struct Corrections {
    reader: SortedReader<Correction>,
    /// Sorted.
    offsets_wanted: Vec<Place>,
}

impl Corrections {
    pub(crate) fn new(
        list: &Sorted<Correction>,
        offsets_wanted: Vec<Place>,
        bytes_max: usize,
    ) -> Result<Self, Error> {
        Ok(Self { reader: list.reader(bytes_max)?, offsets_wanted })
    }
}

impl Choice for Corrections {
    fn choose(&mut self, place: Place, _: Slot) -> Result<Option<u32>, Error> {
        let first = self.reader.skip_while(|correction| correction.place < place)?;
        let correction = first.filter(|correction| correction.place == place);
        let wanted = self.offsets_wanted.binary_search(&place).is_ok();
        let mut tag = if wanted { OFFSET_WANTED } else { 0 };
        if let Some(Correction { full, pair, .. }) = correction {
            tag |= u32::from(full.cast_unsigned()) | u32::from(pair.cast_unsigned()) << 8;
        }
        Ok((tag != 0).then_some(tag))
    }
}

/// Sums records by how often they must be added to the two views. One that is added to the pair's
/// seemed to be replaced when it streamed by, so that it is kept now.
pub(crate) struct CorrectionWorker<K: Keeper> {
    kernel: Option<Kernel>,
    pub(crate) keeper: K,
    /// What was kept: hardly ever anything.
    pub(crate) late: Vec<Entry<K::Mark>>,
    /// By times, and whether the keeper wants the accounts.
    sums: HashMap<(i8, i8, bool), Summer>,
    /// Where in their storages the wanted records start.
    pub(crate) offsets: Vec<(Place, u64)>,
    pub(crate) looked_at: u64,
}

impl<K: Keeper> CorrectionWorker<K> {
    pub(crate) fn new(kernel: Option<Kernel>, keeper: K) -> Self {
        let (sums, late, offsets) = (HashMap::new(), Vec::new(), Vec::new());
        Self { kernel, keeper, late, sums, offsets, looked_at: 0 }
    }

    /// Applies the sums to the totals of the two views.
    pub(crate) fn apply(&mut self, full: &mut ViewTotals, pair: &mut ViewTotals) {
        for ((full_times, pair_times, left_out), sum) in std::mem::take(&mut self.sums) {
            let sum = sum.finish();
            for (totals, times) in [(&mut *full, full_times), (&mut *pair, pair_times)] {
                match times {
                    -1 => totals.subtract_accounts(&sum, left_out),
                    0 => {}
                    1 => totals.add_accounts(&sum, left_out),
                    _ => unreachable!("settling corrects by one at most"),
                }
            }
        }
    }
}

impl<K: Keeper> Worker for CorrectionWorker<K> {
    fn batch(&mut self, batch: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        let mut lists: HashMap<(i8, i8, bool), Vec<AccountRef<'_>>> = HashMap::new();
        self.keeper.look(batch);
        for (number, (span, record)) in batch.records().enumerate() {
            let [full, pair, ..] = span.tag.to_le_bytes().map(u8::cast_signed);
            if (full, pair) != (0, 0) {
                self.looked_at += 1;
                let (place, slot, account) = (span.place, span.slot, record.account());
                let left_out = self.keeper.leaves_out(&account);
                lists.entry((full, pair, left_out)).or_default().push(account);
                if pair == 1 {
                    let passing = Passing { number, place, slot, account };
                    let mark = self.keeper.keep(&passing, false)?;
                    self.late.push(Entry { key: *account.pubkey, place, mark });
                }
            }
            if span.tag & OFFSET_WANTED != 0 {
                self.offsets.push((span.place, span.offset));
            }
        }
        for (times, list) in lists {
            let kernel = self.kernel;
            self.sums.entry(times).or_insert_with(|| Summer::new(kernel)).add(&list);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What a Merkle accounts hash is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MerkleScope {
    /// The hash of what changed (an incremental archive's own) is over closed accounts, too.
    pub(crate) with_tombstones: bool,
    /// How accounts are hashed whose records hold no hash.
    pub(crate) rule: AccountHashRule,
    /// The slot whose writes are hashed by themselves, too.
    pub(crate) slot: Slot,
}

/// The tag of a record that counts; one without it is a write of the slot that was replaced.
const COUNTS: u32 = 1;

/// The records that a Merkle accounts hash, or that of the slot's own writes, is over.
pub(crate) struct MerkleChoice {
    pub(crate) excluded: Excluded,
    pub(crate) slot: Slot,
}

impl Choice for MerkleChoice {
    fn choose(&mut self, place: Place, slot: Slot) -> Result<Option<u32>, Error> {
        Ok(match self.excluded.counts(place)? {
            true => Some(COUNTS),
            false if slot == self.slot => Some(0),
            false => None,
        })
    }
}

/// The hash of an account that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf {
    pub(crate) key: Pubkey,
    pub(crate) hash: Hash,
}

impl Item for Leaf {
    const BYTES: usize = 64;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.key.0);
        bytes[32..64].copy_from_slice(&self.hash.0);
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk().expect("64 bytes");
        Self { key: Pubkey(array(0)), hash: Hash(array(32)) }
    }
}

/// The hash of one of the slot's own writes; the last one of a key comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OwnWrite {
    pub(crate) key: Pubkey,
    before: std::cmp::Reverse<Place>,
    pub(crate) hash: Hash,
}

impl Item for OwnWrite {
    const BYTES: usize = 72;

    fn write(&self, bytes: &mut [u8]) {
        Leaf { key: self.key, hash: self.hash }.write(&mut bytes[..64]);
        bytes[64..72].copy_from_slice(&self.before.0.to_bits().to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let Leaf { key, hash } = Leaf::read(bytes);
        let place = Place::from_bits(read_u64(bytes, 64));
        Self { key, before: std::cmp::Reverse(place), hash }
    }
}

/// Hashes the accounts that count, for a Merkle accounts hash.
///
/// Records of clients before 2.x hold the account's hash, and it is the leaf: the fields that it
/// covers are those of the client that wrote the version, so that one archive can mix rules. A hash
/// that no rule gives is wrong.
pub(crate) struct MerkleWorker {
    scope: MerkleScope,
    pub(crate) leaves: Sorter<Leaf>,
    /// Of the slot's own writes.
    pub(crate) delta: Sorter<OwnWrite>,
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

impl MerkleWorker {
    /// Each of its two lists takes `bytes_max`, then goes to `spill`.
    pub(crate) fn new(scope: MerkleScope, bytes_max: usize, spill: &Arc<SpillFile>) -> Self {
        Self {
            scope,
            leaves: Sorter::new(bytes_max, Arc::clone(spill)),
            delta: Sorter::new(bytes_max, Arc::clone(spill)),
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

impl Worker for MerkleWorker {
    fn batch(&mut self, batch: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        for (span, record) in batch.records() {
            let is_tombstone = record.account().is_tombstone();
            let is_own = span.slot == self.scope.slot;
            let counts = span.tag & COUNTS != 0 && (self.scope.with_tombstones || !is_tombstone);
            if !counts && !is_own {
                continue;
            }
            let (key, hash) = (record.header.pubkey, self.leaf(&span, &record));
            if counts {
                self.leaves.push(Leaf { key, hash })?;
            }
            if is_own {
                // In the hash of a slot's own writes a closed account is 32 zero bytes.
                let hash = if is_tombstone { Hash::default() } else { hash };
                let before = std::cmp::Reverse(span.place);
                self.delta.push(OwnWrite { key, before, hash })?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
