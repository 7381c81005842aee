//! One index of the active segment, in memory.
//!
//! A table of buckets; a mixed key chooses its bucket. Entries of a bucket are kept in the order in
//! which they come, which is that of their events. The last up to 32 are its *tail*, unsorted. When
//! the tail is full, it and the runs that a binary counter would carry into are sorted into one
//! run, so that the runs are, from the oldest, of 32 * 2^b entries for each bit b of (entries /
//! 32). They lie one after another in one vector and need no bookkeeping.
//!
//! Invariants:
//! - Runs hold ranges of events: whatever a run has is older than what the next one has. So the
//!   events of a key are those of each run, one run after another, and nothing is merged on
//!   reading.
//! - Within a run entries are sorted by key, then sequence.
//!
//! Costs: a push appends 12 bytes, and now and then sorts runs of one bucket, which are sorted in
//! themselves; with many keys buckets are small, with few keys their runs follow each other in
//! order. A lookup is a binary search in each of at most log2(entries of the bucket / 32) runs and
//! a look through the tail. Nothing is ever moved between buckets.
//!
//! What it does *not* do: lock. Its owner shares it.

use std::ops::Range;

use super::{Posting, filter::mix, lookup::Order};

/// Buckets: a million different keys leave some 250 in each; empty, they take 96 KiB together.
const BUCKETS_LOG2: u32 = 12;

/// Entries of a bucket that are kept unsorted: as few as are looked through in no time.
const TAIL_ENTRIES: usize = 32;

/// An entry in 12 bytes: the key in halves, so that the alignment is 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: [u32; 2],
    /// Sequence minus the first one of the segment.
    delta: u32,
}

impl Entry {
    fn new(key: u64, delta: u32) -> Self {
        Self { key: [(key >> 32) as u32, key as u32], delta }
    }

    fn key(&self) -> u64 {
        u64::from(self.key[0]) << 32 | u64::from(self.key[1])
    }

    fn order(&self) -> Order {
        (self.key(), self.delta)
    }
}

/// The entries of some keys.
#[derive(Debug, Clone, Default)]
struct Bucket(Vec<Entry>);

impl Bucket {
    fn push(&mut self, entry: Entry) {
        self.0.push(entry);
        if self.0.len().is_multiple_of(TAIL_ENTRIES) {
            let tails = self.0.len() / TAIL_ENTRIES;
            let start = self.0.len() - (TAIL_ENTRIES << tails.trailing_zeros());
            // A stable sort that finds and merges the runs, and keeps the order of events.
            self.0[start..].sort_by_key(Entry::key);
        }
    }

    /// Entries of one key, from `first` up to `end`.
    fn between(&self, first: Order, end: Order) -> impl DoubleEndedIterator<Item = &Entry> {
        let tails = self.0.len() / TAIL_ENTRIES;
        let (sorted, tail) = self.0.split_at(tails * TAIL_ENTRIES);
        // The runs, the oldest and largest first: one for each bit of the number of tails.
        let bits = (0..usize::BITS).rev().filter(move |bit| tails >> bit & 1 == 1);
        let in_runs = bits.flat_map(move |bit| {
            let start = TAIL_ENTRIES * ((tails >> bit & !1) << bit);
            let run = &sorted[start..start + (TAIL_ENTRIES << bit)];
            let run = &run[run.partition_point(|entry| entry.order() < first)..];
            run[..run.partition_point(|entry| entry.order() < end)].iter()
        });
        in_runs.chain(tail.iter().filter(move |entry| (first..end).contains(&entry.order())))
    }
}

/// An index that grows.
#[derive(Debug)]
pub(crate) struct Postings {
    first_sequence: u64,
    last_sequence: u64,
    count: usize,
    /// By the upper bits of the mixed key.
    buckets: Vec<Bucket>,
}

impl Postings {
    /// For the events of a segment that begins with `first_sequence`.
    pub(crate) fn new(first_sequence: u64) -> Self {
        let buckets = vec![Bucket::default(); 1 << BUCKETS_LOG2];
        Self { first_sequence, last_sequence: first_sequence, count: 0, buckets }
    }

    /// Adds an event under a key. Sequences never go down; a pair added twice is found twice.
    pub(crate) fn push(&mut self, key: u64, sequence: u64) {
        assert!(sequence >= self.last_sequence, "events come in order");
        let delta = sequence - self.first_sequence;
        assert!(delta < u64::from(u32::MAX), "a segment holds fewer events");
        self.last_sequence = sequence;
        self.count += 1;
        self.buckets[bucket_of(key)].push(Entry::new(key, delta as u32));
    }

    /// The events of a key within `range`, ascending, from both ends.
    pub(crate) fn sequences(
        &self,
        key: u64,
        range: Range<u64>,
    ) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let delta = |sequence: u64| {
            let delta = sequence.saturating_sub(self.first_sequence);
            u32::try_from(delta).unwrap_or(u32::MAX)
        };
        let bucket = &self.buckets[bucket_of(key)];
        let entries = bucket.between((key, delta(range.start)), (key, delta(range.end)));
        entries.map(|entry| self.first_sequence + u64::from(entry.delta))
    }

    /// The last event of a key.
    #[cfg(test)]
    pub(crate) fn last(&self, key: u64) -> Option<u64> {
        self.sequences(key, 0..u64::MAX).next_back()
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// All entries, sorted: a copy, so that readers can go on until the file is there.
    pub(crate) fn sorted(&self) -> SortedPostings {
        let mut entries = Vec::with_capacity(self.count);
        self.buckets.iter().for_each(|bucket| entries.extend_from_slice(&bucket.0));
        entries.sort_unstable_by_key(Entry::order);
        SortedPostings { first_sequence: self.first_sequence, entries }
    }
}

/// Keys need not be hashes: mixing spreads those that are near each other.
fn bucket_of(key: u64) -> usize {
    (mix(key) >> (u64::BITS - BUCKETS_LOG2)) as usize
}

/// A finished index, ready to be written.
#[derive(Debug)]
pub(crate) struct SortedPostings {
    first_sequence: u64,
    entries: Vec<Entry>,
}

impl SortedPostings {
    /// Ascending by key, then sequence.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Posting> + '_ {
        self.entries.iter().map(|entry| Posting {
            key: entry.key(),
            sequence: self.first_sequence + u64::from(entry.delta),
        })
    }
}
