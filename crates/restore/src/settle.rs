//! Which version of each account counts, once all keys are known.
//!
//! Two views are settled at once: the full archive alone, and the pair. In each the newest version
//! of a key counts: that of the highest slot (formats.md section 2), never that which comes last.
//! Storages of the full archive whose slot the incremental brings again are not in the pair's view:
//! the reference client replaces such a storage as a whole.
//!
//! While records streamed by, every one of them was added to a sum: those of the full archive to
//! `kept` (neither its key nor its slot is in the incremental) or `replaced`, those of the
//! incremental to a third. So the full archive's state is `kept + replaced`, the pair's is
//! `kept + incremental`, apart from [`Correction`]s: records whose being in the sum and counting in
//! the view differ. Their bytes have to be looked at again; in archives without duplicates there
//! are none.
//!
//! 1. For each bin, on any thread: gather its entries from all workers, sort them by key.
//! 2. For each key with more than one record, or that stands in a replaced slot: find the newest of
//!    each view, note the others as excluded, note the corrections.
//! 3. Merge what the threads found and sort it by place, the order of the archives.

use std::{collections::HashSet, sync::Mutex, thread};

use icecore_types::{Pubkey, Slot};

use crate::{
    index::{BINS, Entry, Index, KeySet, take_bin},
    pipeline::{batch::Place, walk::StorageHead},
};

/// A record to be looked at again: how often its account must be added to the sums of the two views
/// (-1: taken out).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Correction {
    pub(crate) place: Place,
    pub(crate) full: i8,
    pub(crate) pair: i8,
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

/// The outcome. All lists are sorted.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Records of the full archive that do not count in its own view.
    pub(crate) excluded_full: Vec<Place>,
    /// Records of both archives that do not count in the pair's view.
    pub(crate) excluded_pair: Vec<Place>,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) twice: Vec<Twice>,
    pub(crate) twice_count: u64,
}

impl Settled {
    fn merge(&mut self, mut other: Self) {
        self.excluded_full.append(&mut other.excluded_full);
        self.excluded_pair.append(&mut other.excluded_pair);
        self.corrections.append(&mut other.corrections);
        self.twice.append(&mut other.twice);
        self.twice_count += other.twice_count;
    }

    fn sort(&mut self) {
        self.excluded_full.sort_unstable();
        self.excluded_pair.sort_unstable();
        self.corrections.sort_unstable();
        self.twice.sort_unstable();
        self.twice.truncate(TWICE_NAMED_MAX);
    }
}

/// The incremental archive's side of a pair.
pub(crate) struct Upper<'a> {
    pub(crate) keys: &'a KeySet,
    pub(crate) storages: &'a [StorageHead],
    /// Slots of the full archive's storages that the incremental brings again.
    pub(crate) replaced: &'a HashSet<Slot>,
}

/// Settles the views of a full archive and, with `upper`, of the pair.
pub(crate) fn settle(
    mut parts: Vec<Index>,
    storages: &[StorageHead],
    upper: Option<&Upper<'_>>,
    threads: usize,
) -> Settled {
    let bins: Vec<_> = (0..BINS).map(|bin| (bin, take_bin(&mut parts, bin))).collect();
    let bins = Mutex::new(bins.into_iter());
    let next = || bins.lock().expect("no holder of this lock panics").next();
    let mut settled = Settled::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut part = Settled::default();
                    let mut entries = Vec::new();
                    while let Some((bin, chunks)) = next() {
                        entries.clear();
                        chunks.iter().for_each(|chunk| entries.extend_from_slice(chunk));
                        drop(chunks);
                        settle_bin(&mut entries, bin, storages, upper, &mut part);
                    }
                    part
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => settled.merge(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    settled.sort();
    settled
}

fn settle_bin(
    entries: &mut [Entry],
    bin: usize,
    storages: &[StorageHead],
    upper: Option<&Upper<'_>>,
    settled: &mut Settled,
) {
    entries.sort_unstable_by_key(|entry| (entry.key, entry.place));
    let mut above = upper.map_or(&[][..], |upper| upper.keys.bin(bin));
    for group in entries.chunk_by(|a, b| a.key == b.key) {
        let key = group[0].key;
        // Keys of the incremental archive that the full one does not have.
        while above.first().is_some_and(|entry| entry.key < key) {
            let (own, rest) = split_key(above);
            settle_key(&[], own, storages, upper, settled);
            above = rest;
        }
        let own = match above.first() {
            Some(entry) if entry.key == key => {
                let (own, rest) = split_key(above);
                above = rest;
                own
            }
            _ => &[],
        };
        settle_key(group, own, storages, upper, settled);
    }
    for own in above.chunk_by(|a, b| a.key == b.key) {
        settle_key(&[], own, storages, upper, settled);
    }
}

/// Splits off the entries of the first key.
fn split_key(entries: &[Entry]) -> (&[Entry], &[Entry]) {
    let same = entries.iter().take_while(|entry| entry.key == entries[0].key).count();
    entries.split_at(same)
}

fn settle_key(
    full: &[Entry],
    incremental: &[Entry],
    storages: &[StorageHead],
    upper: Option<&Upper<'_>>,
    settled: &mut Settled,
) {
    let slot = |entry: &Entry| storages[entry.place.storage() as usize].slot;
    let is_replaced =
        |entry: &Entry| upper.is_some_and(|upper| upper.replaced.contains(&slot(entry)));
    if let ([only], []) = (full, incremental)
        && !is_replaced(only)
    {
        return;
    }
    note_twice(full, settled);
    note_twice(incremental, settled);
    let newest_full = full.iter().max_by_key(|entry| (slot(entry), entry.place));
    let newest_pair = upper.and_then(|upper| {
        let slot_above = |entry: &Entry| upper.storages[entry.place.storage() as usize].slot;
        let below =
            full.iter().filter(|entry| !is_replaced(entry)).map(|entry| (slot(entry), entry.place));
        let above = incremental.iter().map(|entry| (slot_above(entry), entry.place));
        below.chain(above).max().map(|(_, place)| place)
    });
    for entry in full {
        let counts_full = newest_full.is_some_and(|newest| newest.place == entry.place);
        if !counts_full {
            settled.excluded_full.push(entry.place);
        }
        let mut correction =
            Correction { place: entry.place, full: i8::from(counts_full) - 1, pair: 0 };
        if upper.is_some() {
            let counts_pair = newest_pair == Some(entry.place);
            let summed = incremental.is_empty() && !is_replaced(entry);
            if !counts_pair {
                settled.excluded_pair.push(entry.place);
            }
            correction.pair = i8::from(counts_pair) - i8::from(summed);
        }
        settled.correct(correction);
    }
    for entry in incremental {
        let counts_pair = newest_pair == Some(entry.place);
        if !counts_pair {
            settled.excluded_pair.push(entry.place);
        }
        let pair = i8::from(counts_pair) - 1;
        settled.correct(Correction { place: entry.place, full: 0, pair });
    }
}

impl Settled {
    fn correct(&mut self, correction: Correction) {
        if correction.full != 0 || correction.pair != 0 {
            self.corrections.push(correction);
        }
    }
}

/// Notes a key that stands twice in one storage: entries are sorted by place.
fn note_twice(entries: &[Entry], settled: &mut Settled) {
    for pair in entries.windows(2) {
        if pair[0].place.storage() == pair[1].place.storage() {
            settled.twice_count += 1;
            settled.twice.push(Twice {
                place: pair[1].place,
                other: pair[0].place,
                key: pair[0].key,
            });
        }
    }
    if settled.twice.len() > 2 * TWICE_NAMED_MAX {
        settled.twice.sort_unstable();
        settled.twice.truncate(TWICE_NAMED_MAX);
    }
}

#[cfg(test)]
mod tests;
