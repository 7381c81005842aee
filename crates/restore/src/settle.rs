//! Which version of each account counts, once all keys are known, within a bound of memory.
//!
//! Two views are settled at once: the full archive alone, and the pair. In each the newest version
//! of a key counts: that of the highest slot (formats.md section 2), never that which comes last.
//! Storages of the full archive whose slot the incremental brings again are not in the pair's view:
//! the reference client replaces such a storage as a whole.
//!
//! While records streamed by, every one of them was added to a sum: those of the full archive to
//! `kept` (the filter of the incremental's keys does not have its key, nor the incremental its
//! slot) or `replaced`, those of the incremental to a third. So the full archive's state is `kept +
//! replaced`, the pair's is `kept + incremental`, apart from [`Correction`]s: records whose being
//! in the sum and counting in the view differ. Their bytes have to be looked at again; in archives
//! without duplicates there are none. Without a filter every key counts as not in it.
//!
//! 1. For each bin, on any thread: the entries of both archives are sorted by key and place, in
//!    memory or, when they do not fit, as runs in a scratch file that are merged. (Splitting by
//!    further bytes of the key would be cheaper only where keys are uniform; millions of keys with
//!    one long prefix, or of one key, would never come apart. Runs do not care.)
//! 2. Keys pass by one after the other ([`group`]), the full archive's records first, and what does
//!    not count or was not summed right goes to sorters, by place: the order of the archives.
//! 3. What the threads found is merged when it is read.
//!
//! Memory: the shares of a [`MemoryPlan`]. What the threads found and what they sort spills to
//! files of its own; those of bins go when the bin is done.
//!
//! What it does *not* do: read archives, or free the key bins, which are the caller's.

mod group;

use std::{
    collections::HashSet,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use icecore_types::{Pubkey, Slot};

use self::group::Group;
use crate::{
    Error,
    key_bins::{BINS, KeyBins, Mark},
    key_filter::KeyFilter,
    memory_plan::MemoryPlan,
    pass::{batch::Place, walk::StorageHead},
    rows::{BinRows, Rows},
    spill::{SpillError, SpillFile, SpillSpace, item::Item, sorted::Sorted, sorter::Sorter},
};

/// A record to be looked at again: how often its account must be added to the sums of the two views
/// (-1: taken out).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Correction {
    pub(crate) place: Place,
    pub(crate) full: i8,
    pub(crate) pair: i8,
}

impl Item for Correction {
    const BYTES: usize = 10;

    fn write(&self, bytes: &mut [u8]) {
        self.place.write(&mut bytes[..8]);
        bytes[8] = self.full.cast_unsigned();
        bytes[9] = self.pair.cast_unsigned();
    }

    fn read(bytes: &[u8]) -> Self {
        let place = Place::read(&bytes[..8]);
        Self { place, full: bytes[8].cast_signed(), pair: bytes[9].cast_signed() }
    }
}

/// A key that stands twice in one storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Twice {
    pub(crate) place: Place,
    pub(crate) other: Place,
    pub(crate) key: Pubkey,
}

/// How many keys that stand twice are named; all are counted.
const TWICE_NAMED_MAX: usize = 16;

/// Records whose keys the filter is asked for together, 40 bytes each.
const ALONE_MAX: usize = 256;

/// The full archive's side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lower<'a, M = ()> {
    pub(crate) bins: &'a [KeyBins<M>],
    pub(crate) storages: &'a [StorageHead],
}

/// The incremental archive's side of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upper<'a, M = ()> {
    pub(crate) bins: &'a [KeyBins<M>],
    pub(crate) storages: &'a [StorageHead],
    /// What was asked for every key of the full archive; `None` if nothing was.
    pub(crate) filter: Option<&'a KeyFilter>,
    /// Slots of the full archive's storages that the incremental brings again.
    pub(crate) replaced: &'a HashSet<Slot>,
}

/// What settling took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SettleWork {
    /// Bins that did not fit memory.
    pub(crate) bins_split: u64,
    /// Bytes written to scratch files while settling, without those of the key bins.
    pub(crate) bytes_spilled: u64,
}

impl SettleWork {
    fn add(&mut self, other: Self) {
        self.bins_split += other.bins_split;
        self.bytes_spilled += other.bytes_spilled;
    }
}

/// The outcome. All lists are sorted by place.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// Records of the full archive that do not count in its own view.
    pub(crate) excluded_full: Sorted<Place>,
    /// Records of both archives that do not count in the pair's view.
    pub(crate) excluded_pair: Sorted<Place>,
    pub(crate) corrections: Sorted<Correction>,
    /// The first ones.
    pub(crate) twice: Vec<Twice>,
    pub(crate) twice_count: u64,
    pub(crate) work: SettleWork,
}

/// What one thread found so far.
struct Found {
    excluded_full: Sorter<Place>,
    excluded_pair: Sorter<Place>,
    corrections: Sorter<Correction>,
    twice: Vec<Twice>,
    twice_count: u64,
    /// Records that count in both views and were summed for both, unless the filter has their keys
    /// although the incremental archive has not.
    alone: Vec<(Pubkey, Place)>,
    work: SettleWork,
}

impl Found {
    fn new(bytes_max: usize, file: &Arc<SpillFile>) -> Self {
        Self {
            excluded_full: Sorter::new(bytes_max, Arc::clone(file)),
            excluded_pair: Sorter::new(bytes_max, Arc::clone(file)),
            corrections: Sorter::new(bytes_max, Arc::clone(file)),
            twice: Vec::new(),
            twice_count: 0,
            alone: Vec::with_capacity(ALONE_MAX),
            work: SettleWork::default(),
        }
    }

    /// Notes a record whose key has no other one and whose storage stays.
    fn note_alone(
        &mut self,
        key: Pubkey,
        place: Place,
        views: &Views<'_>,
    ) -> Result<(), SpillError> {
        if views.filter.is_some() {
            self.alone.push((key, place));
            if self.alone.len() == ALONE_MAX {
                return self.settle_alone(views);
            }
        }
        Ok(())
    }

    /// Asks the filter for the keys that were noted alone, all at once.
    fn settle_alone(&mut self, views: &Views<'_>) -> Result<(), SpillError> {
        let mut found = Vec::with_capacity(ALONE_MAX);
        if let Some(filter) = views.filter {
            filter.contains_each(self.alone.iter().map(|(key, _)| key), &mut found);
        }
        for ((_, place), is_in_filter) in self.alone.iter().zip(found) {
            if is_in_filter {
                self.corrections.push(Correction { place: *place, full: 0, pair: 1 })?;
            }
        }
        self.alone.clear();
        Ok(())
    }

    /// Notes a key that stands twice in one storage.
    fn note_twice(&mut self, twice: Twice) {
        self.twice_count += 1;
        self.twice.push(twice);
        if self.twice.len() > 2 * TWICE_NAMED_MAX {
            self.keep_first();
        }
    }

    fn keep_first(&mut self) {
        self.twice.sort_unstable();
        self.twice.truncate(TWICE_NAMED_MAX);
    }

    fn correct(&mut self, correction: Correction) -> Result<(), SpillError> {
        match (correction.full, correction.pair) {
            (0, 0) => Ok(()),
            _ => self.corrections.push(correction),
        }
    }

    fn finish(mut self) -> Result<Settlement, SpillError> {
        self.keep_first();
        Ok(Settlement {
            excluded_full: self.excluded_full.finish()?,
            excluded_pair: self.excluded_pair.finish()?,
            corrections: self.corrections.finish()?,
            twice: self.twice,
            twice_count: self.twice_count,
            work: self.work,
        })
    }
}

/// What settling looks up for a place.
struct Views<'a> {
    lower: &'a [StorageHead],
    upper: Option<&'a [StorageHead]>,
    filter: Option<&'a KeyFilter>,
    /// For each storage of the full archive whether the incremental brings its slot again.
    replaced: Vec<bool>,
}

impl<'a> Views<'a> {
    fn new<M>(lower: &Lower<'a, M>, upper: Option<&Upper<'a, M>>) -> Self {
        let slots = lower.storages.iter().map(|storage| storage.slot);
        let replaced = upper
            .map(|upper| slots.map(|slot| upper.replaced.contains(&slot)).collect())
            .unwrap_or_default();
        Self {
            lower: lower.storages,
            upper: upper.map(|upper| upper.storages),
            filter: upper.and_then(|upper| upper.filter),
            replaced,
        }
    }

    fn slot(&self, place: Place) -> Slot {
        let storages = match (self.upper, place.is_incremental()) {
            (Some(upper), true) => upper,
            _ => self.lower,
        };
        storages[place.storage() as usize].slot
    }

    fn is_replaced(&self, place: Place) -> bool {
        !place.is_incremental() && self.replaced[place.storage() as usize]
    }
}

/// Settles the views of a full archive and, with `upper`, of the pair; what is found and does not
/// fit memory goes to `file`, and the records that count in the last archive's view to `rows`.
///
/// # Errors
/// When something must be spilled and the scratch folder refuses, and what `rows` says.
pub(crate) fn settle<M: Mark>(
    lower: Lower<'_, M>,
    upper: Option<Upper<'_, M>>,
    plan: &MemoryPlan,
    space: &SpillSpace,
    file: &Arc<SpillFile>,
    rows: &impl Rows<M>,
) -> Result<Settlement, Error> {
    let settling = Settling {
        views: Views::new(&lower, upper.as_ref()),
        parts: [lower.bins, upper.map_or(&[], |upper| upper.bins)],
        rows,
        plan,
        space,
        next_bin: AtomicUsize::new(0),
        has_failed: AtomicBool::new(false),
    };
    let found: Vec<Result<Settlement, Error>> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..plan.threads()).map(|_| scope.spawn(|| settling.run(file))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let mut settlement = join(Error::first(found)?, file, plan.reader_bytes())?;
    settlement.work.bytes_spilled += file.bytes();
    Ok(settlement)
}

/// Puts together what the threads found.
fn join(
    found: Vec<Settlement>,
    file: &Arc<SpillFile>,
    bytes_max: usize,
) -> Result<Settlement, SpillError> {
    let mut all = Settlement::default();
    let (mut full, mut pair, mut corrections) = (Vec::new(), Vec::new(), Vec::new());
    for mut part in found {
        full.push(part.excluded_full);
        pair.push(part.excluded_pair);
        corrections.push(part.corrections);
        all.twice.append(&mut part.twice);
        all.twice_count += part.twice_count;
        all.work.add(part.work);
    }
    all.twice.sort_unstable();
    all.twice.truncate(TWICE_NAMED_MAX);
    all.excluded_full = Sorted::merged(full, file, bytes_max)?;
    all.excluded_pair = Sorted::merged(pair, file, bytes_max)?;
    all.corrections = Sorted::merged(corrections, file, bytes_max)?;
    Ok(all)
}

/// What the threads share.
struct Settling<'a, M, R> {
    views: Views<'a>,
    /// Key bins of both archives.
    parts: [&'a [KeyBins<M>]; 2],
    rows: &'a R,
    plan: &'a MemoryPlan,
    space: &'a SpillSpace,
    next_bin: AtomicUsize,
    has_failed: AtomicBool,
}

impl<M: Mark, R: Rows<M>> Settling<'_, M, R> {
    /// Settles bins until there are none left, or a thread has failed.
    fn run(&self, file: &Arc<SpillFile>) -> Result<Settlement, Error> {
        let mut found = Found::new(self.plan.found_bytes(), file);
        loop {
            let bin = self.next_bin.fetch_add(1, Ordering::Relaxed);
            if bin >= BINS || self.has_failed.load(Ordering::Relaxed) {
                return Ok(found.finish()?);
            }
            if let Err(error) = self.bin(bin, &mut found) {
                self.has_failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    }

    fn bin(&self, bin: usize, found: &mut Found) -> Result<(), Error> {
        // Whoever waits for the rows of this bin hears of it, should it fail.
        let mut rows = self.rows.begin(bin);
        let file = self.space.file();
        let mut sorter = Sorter::new(self.plan.bin_sort_bytes(), Arc::clone(&file));
        for part in self.parts.into_iter().flatten() {
            part.for_each_in_bin(bin, self.plan.bin_read_bytes(), |entry| sorter.push(entry))?;
        }
        found.work.bins_split += u64::from(sorter.has_spilled());
        let mut entries = sorter.finish()?.reader(self.plan.bin_sort_bytes())?;
        let mut group: Option<Group<M>> = None;
        while let Some(entry) = entries.next()? {
            match &mut group {
                Some(group) if group.key == entry.key => group.add(&entry, &self.views, found)?,
                _ => {
                    let before = group.replace(Group::new(&entry, &self.views));
                    if let Some(before) = before {
                        self.close(before, found, &mut rows)?;
                    }
                }
            }
        }
        if let Some(last) = group {
            self.close(last, found, &mut rows)?;
        }
        found.settle_alone(&self.views)?;
        found.work.bytes_spilled += file.bytes();
        rows.finish()
    }

    /// A key has ended.
    fn close(
        &self,
        group: Group<M>,
        found: &mut Found,
        rows: &mut impl BinRows<M>,
    ) -> Result<(), Error> {
        if let Some(newest) = group.newest(&self.views) {
            rows.push(&newest, group.is_only())?;
        }
        Ok(group.close(&self.views, found)?)
    }
}

#[cfg(test)]
mod tests;
