//! The records that count, as rows of a store's complete runs: by pubkey at once, by owner as far
//! as they can be gathered (see [`OwnerOrder`]).

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use icecore_store::{Locator, SizeClass};
use icecore_types::Pubkey;

use super::{
    in_order::InOrder,
    index::{Index, Outcome, PartRows},
    keeper::{OtherOwner, Stored},
    lists::ListRow,
    owner_order::{BinAccounts, OwnerOrder},
    owners::OTHER,
};
use crate::{
    Error,
    key_bins::{Entry, KeyBins},
    pass::batch::Place,
    rows::{BinRows, Rows},
    spill::{SpillSpace, sorted::SortedReader, sorter::Sorter},
};

/// In place of where a record lies: the account is closed.
pub(super) fn closed() -> Locator {
    Locator::new(0, 0, SizeClass::TOMBSTONE)
}

/// Takes what counts.
pub(crate) struct StoreRows<I: Index<32>> {
    pub(super) index: I,
    pub(super) by_pubkey: InOrder<I::Run, Outcome<I, 32>>,
    /// If the store keeps the second order.
    pub(super) by_owner: Option<OwnerOrder>,
    pub(super) others: Others,
    /// Closed accounts, as tombstones.
    pub(super) closed: Mutex<Sorter<ListRow<32>>>,
    /// Whether these are all, or those that have other records as well.
    pub(super) keeps_all_closed: bool,
    /// What was kept after it streamed by.
    pub(super) late: HashMap<Place, Stored>,
    /// Records that count and were not kept.
    pub(super) missing: AtomicU64,
}

/// Owners without numbers, by the keys of their accounts.
pub(super) struct Others {
    pub(super) bins: Vec<KeyBins<OtherOwner>>,
    /// For reading and sorting a bin of them, on each thread that settles.
    pub(super) bytes_max: usize,
    pub(super) space: SpillSpace,
}

/// Takes what counts in one bin.
pub(crate) struct StoreBin<'a, I: Index<32>> {
    rows: &'a StoreRows<I>,
    bin: usize,
    by_pubkey: PartRows<'a, 'a, I, 32>,
    by_owner: Option<BinAccounts<'a>>,
    /// Those of the bin, once one is needed.
    others: Option<SortedReader<Entry<OtherOwner>>>,
}

impl<I: Index<32>> Rows<Stored> for StoreRows<I> {
    type Bin<'a>
        = StoreBin<'a, I>
    where
        Self: 'a;

    fn begin(&self, bin: usize) -> StoreBin<'_, I> {
        StoreBin {
            rows: self,
            bin,
            by_pubkey: PartRows::new(&self.index, self.by_pubkey.turn(bin)),
            by_owner: self.by_owner.as_ref().map(|order| order.begin(bin)),
            others: None,
        }
    }
}

impl Others {
    /// The owners of a bin, by key and place.
    fn open(&self, bin: usize) -> Result<SortedReader<Entry<OtherOwner>>, Error> {
        // A quarter is for the buffer to read through.
        let (read_bytes, sort_bytes) = (self.bytes_max / 4, self.bytes_max / 4 * 3);
        let mut sorter = Sorter::new(sort_bytes, self.space.file());
        for part in &self.bins {
            part.for_each_in_bin(bin, read_bytes, |entry| sorter.push(entry))?;
        }
        Ok(sorter.finish()?.reader(sort_bytes)?)
    }
}

impl<I: Index<32>> StoreBin<'_, I> {
    /// The owner of a record, who has no number.
    fn other(&mut self, key: &Pubkey, place: Place) -> Result<Pubkey, Error> {
        let others = match &mut self.others {
            Some(others) => others,
            none => none.insert(self.rows.others.open(self.bin)?),
        };
        let sought = Entry { key: *key, place, mark: OtherOwner::default() };
        let found = others.skip_while(|entry| *entry < sought)?;
        let found = found.filter(|entry| *entry == sought);
        Ok(found.expect("who was given no number was noted by himself").mark.0)
    }
}

impl<I: Index<32>> BinRows<Stored> for StoreBin<'_, I> {
    fn push(&mut self, newest: &Entry<Stored>, is_only: bool) -> Result<(), Error> {
        let Entry { key, place, mut mark } = *newest;
        if !mark.is_kept() {
            let Some(late) = self.rows.late.get(&place) else {
                self.rows.missing.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            };
            mark = *late;
        }
        let Some(locator) = mark.locator() else {
            if self.rows.keeps_all_closed || !is_only {
                let mut list = self.rows.closed.lock().expect("no holder of this lock panics");
                list.push(ListRow { key: key.0, locator: closed() })?;
            }
            return Ok(());
        };
        self.by_pubkey.push(&key.0, locator)?;
        if self.by_owner.is_none() {
            return Ok(());
        }
        let other = match mark.owner == OTHER {
            true => Some(self.other(&key, place)?),
            false => None,
        };
        let by_owner = self.by_owner.as_mut().expect("just seen");
        match other {
            Some(owner) => by_owner.push_other(&owner, &key, locator),
            None => by_owner.push(mark.owner, &key, locator),
        }
    }

    fn finish(self) -> Result<(), Error> {
        if let Some(by_owner) = self.by_owner {
            by_owner.finish()?;
        }
        self.by_pubkey.finish()
    }
}
