//! How much of each storage counts, added up while archives are verified: who writes what counts into
//! new storages needs no look of its own for their sizes.
//!
//! 1. While records stream by, each leaves its [`Weight`] in its entry of the key bins, and accounts
//!    that are not chosen are summed up apart.
//! 2. Once keys are settled, the weights of those that count are added to their storages.
//!
//! Invariants:
//! - The outcome is that of adding up records in their order, however many threads settle.
//! - Memory is 16 bytes for each storage, of which an archive has at most
//!   [`MEMBERS_MAX`](icecore_archive::members::MEMBERS_MAX), and 8 for each key bin entry.
//!
//! What it does *not* do: keep records, or say which ones count.

use std::sync::atomic::{AtomicU64, Ordering};

use icecore_types::{AccountRef, RECORD_ALIGN, RECORD_HEADER_BYTES, Slot};

use crate::{
    Error, Totals,
    capture::Capture,
    destination::{Destination, Keeper, Passing},
    first_look::ArchiveFacts,
    key_bins::{Entry, Mark},
    manifest_facts::ManifestFacts,
    pass::{
        Writes,
        batch::{Batch, Place},
    },
    rows::{BinRows, Rows},
    totals::Hashing,
};

/// Which accounts are chosen.
pub type Choose<'a> = &'a (dyn Fn(&AccountRef<'_>) -> bool + Sync);

/// What counts of a storage and is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageTally {
    /// Whether it is the incremental archive's.
    pub is_incremental: bool,
    /// Its number in its archive, counted from 0.
    pub number: u32,
    /// Its slot.
    pub slot: Slot,
    /// Bytes of a storage with these records alone, in their order: each at a multiple of 8, nothing
    /// behind the last.
    pub bytes: u64,
}

/// What counts of archives and is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tallies {
    /// Storages of which anything is chosen, in the order of the archives.
    pub storages: Vec<StorageTally>,
    /// Sums over the chosen accounts.
    pub totals: Totals,
}

/// Bytes of data of a live account that is chosen, and one; 0 of any other record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weight(u32);

impl Weight {
    fn of(account: &AccountRef<'_>, is_chosen: bool) -> Self {
        match is_chosen && !account.is_tombstone() {
            true => Self(1 + u32::try_from(account.data.len()).expect("data is bounded")),
            false => Self::default(),
        }
    }

    /// Bytes of the record.
    fn bytes(self) -> Option<u64> {
        let data_bytes = u64::from(self.0).checked_sub(1)?;
        Some(RECORD_HEADER_BYTES as u64 + data_bytes)
    }
}

impl Mark for Weight {
    const BYTES: usize = 4;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self(u32::from_le_bytes(*bytes.first_chunk().expect("a mark has 4 bytes")))
    }
}

/// A storage's sum.
#[derive(Default)]
struct Sum {
    /// Of whole records, with the padding behind each.
    bytes: AtomicU64,
    /// The last record so far, and the padding behind it in the lowest bits.
    last: AtomicU64,
}

/// Bits for the padding behind a record.
const PADDING_BITS: u32 = RECORD_ALIGN.ilog2();

impl Sum {
    fn add(&self, place: Place, bytes: u64) {
        let aligned = bytes.next_multiple_of(RECORD_ALIGN);
        let last = u64::from(place.record()) << PADDING_BITS | (aligned - bytes);
        // Nothing else follows from these numbers; threads are joined before they are read.
        self.bytes.fetch_add(aligned, Ordering::Relaxed);
        self.last.fetch_max(last, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        let padding = self.last.load(Ordering::Relaxed) & ((1 << PADDING_BITS) - 1);
        self.bytes.load(Ordering::Relaxed) - padding
    }
}

/// Adds up what counts and is chosen.
pub(crate) struct Tallying<'a> {
    choose: Choose<'a>,
    hashing: Hashing,
    keepers: Vec<WeightKeeper<'a>>,
    /// Of the full and the incremental archive.
    sums: [Vec<Sum>; 2],
}

impl<'a> Tallying<'a> {
    pub(crate) fn new(choose: Choose<'a>, hashing: Hashing) -> Self {
        Self { choose, hashing, keepers: Vec::new(), sums: Default::default() }
    }

    /// What was added up, once all is settled.
    pub(crate) fn finish(self, archives: [Option<&ArchiveFacts>; 2], totals: Totals) -> Tallies {
        let mut storages = Vec::new();
        for (archive, sums) in self.sums.iter().enumerate() {
            for (number, sum) in (0..).zip(sums).filter(|(_, sum)| sum.bytes() > 0) {
                let facts = archives[archive].expect("it has storages");
                storages.push(StorageTally {
                    is_incremental: archive == 1,
                    number,
                    slot: facts.storages[number as usize].slot,
                    bytes: sum.bytes(),
                });
            }
        }
        Tallies { storages, totals }
    }
}

/// Weighs records, on one hash tile.
pub(crate) struct WeightKeeper<'a> {
    choose: Choose<'a>,
    /// Storages that came by, of the full and the incremental archive.
    storages: [u32; 2],
}

impl Keeper for WeightKeeper<'_> {
    type Mark = Weight;

    #[inline]
    fn leaves_out(&self, account: &AccountRef<'_>) -> bool {
        !(self.choose)(account)
    }

    fn look(&mut self, _: &Batch<'_>) {}

    #[inline]
    fn keep(&mut self, record: &Passing<'_>, _: bool) -> Result<Weight, Error> {
        let storages = &mut self.storages[usize::from(record.place.is_incremental())];
        *storages = (*storages).max(record.place.storage() + 1);
        Ok(Weight::of(&record.account, (self.choose)(&record.account)))
    }
}

impl<'a> Destination for Tallying<'a> {
    type Mark = Weight;
    type Keeper = WeightKeeper<'a>;
    type Rows = SumRows;

    fn hashing(&self) -> Hashing {
        self.hashing
    }

    fn prepare(&mut self, tiles: usize) -> Result<Writes, Error> {
        let keeper = || WeightKeeper { choose: self.choose, storages: [0; 2] };
        self.keepers = (0..tiles).map(|_| keeper()).collect();
        Ok(Writes::default())
    }

    fn send(&mut self) -> Vec<WeightKeeper<'a>> {
        std::mem::take(&mut self.keepers)
    }

    fn receive(&mut self, keepers: Vec<WeightKeeper<'a>>) {
        self.keepers = keepers;
    }

    fn capture(&mut self) -> Option<Capture> {
        None
    }

    fn captured(&mut self, _: Capture, _: Option<&ManifestFacts>) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, _: &[Entry<Weight>]) -> Result<SumRows, Error> {
        let sums = [0, 1].map(|archive| {
            let counts = self.keepers.iter().map(|keeper| keeper.storages[archive]);
            (0..counts.max().unwrap_or(0)).map(|_| Sum::default()).collect()
        });
        Ok(SumRows { sums })
    }

    /// Every record was weighed, also what seemed to be replaced.
    fn received(&mut self, rows: SumRows) -> Result<bool, Error> {
        self.sums = rows.sums;
        Ok(true)
    }
}

/// Takes the records that count.
pub(crate) struct SumRows {
    sums: [Vec<Sum>; 2],
}

impl Rows<Weight> for SumRows {
    type Bin<'a> = &'a SumRows;

    fn begin(&self, _: usize) -> &SumRows {
        self
    }
}

impl BinRows<Weight> for &SumRows {
    #[inline]
    fn push(&mut self, newest: &Entry<Weight>, _: bool) -> Result<(), Error> {
        if let Some(bytes) = newest.mark.bytes() {
            let place = newest.place;
            self.sums[usize::from(place.is_incremental())][place.storage() as usize]
                .add(place, bytes);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_has_the_bytes_of_its_records_in_whatever_order_they_are_told() {
        let records = [(0u32, 136u64), (1, 137), (7, 200), (9, 139)];
        // 136 + 144 + 200 + 139: nothing behind the last.
        for turn in 0..records.len() {
            let sum = Sum::default();
            let mut told = records;
            told.rotate_left(turn);
            for (record, bytes) in told {
                sum.add(Place::new(true, 3, record), bytes);
            }
            assert_eq!(sum.bytes(), 619);
        }
    }
}
