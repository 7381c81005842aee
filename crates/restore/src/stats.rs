//! What live accounts are: by owner, by the size of their data, by slot.
//!
//! Memory: one entry for each slot that holds a live account (an archive has at most 5,000,000
//! storages; mainnet has 450,000, 30 MB), and one for each owner up to [`OWNERS_MAX`], 0.2 GB.
//! Anyone can make accounts with owners that nobody else has, so owners beyond that bound are
//! counted together: sums stay exact, and [`Stats::other_owners`] tells what is not in the table.
//!
//! What it does *not* do: verify; that is done when [`LiveAccounts`] are opened.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{AddAssign, ControlFlow, RangeInclusive},
};

use icecore_types::{AccountRef, Pubkey, Slot};
use serde::Serialize;

use crate::{Error, LiveAccounts, Progress};

/// Owners that are told apart.
pub const OWNERS_MAX: usize = 1 << 20;

/// A number of accounts and what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their balances, in lamports. Those of a damaged archive may exceed 64 bits.
    pub lamports: u128,
    /// Their data, in bytes.
    pub data_len: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.lamports += other.lamports;
        self.data_len += other.data_len;
    }
}

/// Tallies of all live accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// All of them.
    pub total: Tally,
    /// By owner, at most [`OWNERS_MAX`] of them: most accounts first, then most data, then by
    /// address.
    pub by_owner: Vec<(Pubkey, Tally)>,
    /// Of the owners for which there was no room.
    pub other_owners: Tally,
    /// By data length: classes that end at 0, 1, 2, 4, 8, ... bytes, up to the last one that has
    /// accounts. A class begins behind the one before.
    pub by_size: Vec<(u64, Tally)>,
    /// By the slot in which the version was written.
    pub by_slot: BTreeMap<Slot, Tally>,
}

impl Stats {
    /// Reads all live accounts once.
    pub fn of(accounts: &mut LiveAccounts, progress: &Progress) -> Result<Self, Error> {
        let mut collector = StatsCollector::default();
        accounts.for_each(progress, |live| {
            collector.add(live.slot, &live.account);
            ControlFlow::Continue(())
        })?;
        Ok(collector.finish())
    }

    /// Slots put together into at most `ranges_max` ranges of one width, which is 1, 2 or 5 times
    /// a power of ten; a range begins at a multiple of it. Ranges without accounts are there, too.
    pub fn slot_ranges(&self, ranges_max: u32) -> Vec<(RangeInclusive<Slot>, Tally)> {
        let bounds = self.by_slot.first_key_value().zip(self.by_slot.last_key_value());
        let Some(((&first, _), (&last, _))) = bounds else { return Vec::new() };
        let ranges_max = u64::from(ranges_max.max(1));
        let fits = |width: &u64| last / width - first / width < ranges_max;
        // Twenty digits are more than a slot has, so the last width is never left by another.
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let mut widths = powers.flat_map(|power| [1, 2, 5].map(|by| power.saturating_mul(by)));
        // With one range that no such width covers, everything is in it.
        let Some(width) = widths.find(fits) else {
            return vec![(first..=last, self.total)];
        };
        let mut ranges: Vec<_> = (first / width..=last / width)
            .map(|number| {
                let start = number * width;
                (start..=start.saturating_add(width - 1), Tally::default())
            })
            .collect();
        for (slot, tally) in &self.by_slot {
            ranges[(slot / width - first / width) as usize].1 += *tally;
        }
        ranges
    }
}

/// The class of a data length: 0 for none, else the power of two that it does not exceed, and 1.
fn size_class(data_len: u64) -> usize {
    match data_len {
        0 => 0,
        _ => 1 + data_len.next_power_of_two().ilog2() as usize,
    }
}

/// The longest data length of a class.
fn class_end(class: usize) -> u64 {
    if class == 0 { 0 } else { 1 << (class - 1) }
}

/// Puts tallies together, of accounts from anywhere.
#[derive(Debug)]
pub struct StatsCollector {
    owners_max: usize,
    owners: HashMap<Pubkey, Tally>,
    other_owners: Tally,
    sizes: Vec<Tally>,
    slots: BTreeMap<Slot, Tally>,
    /// The slot whose accounts come now: a storage's come together.
    slot: (Slot, Tally),
    total: Tally,
}

impl Default for StatsCollector {
    fn default() -> Self {
        Self::new(OWNERS_MAX)
    }
}

impl StatsCollector {
    fn new(owners_max: usize) -> Self {
        Self {
            owners_max,
            owners: HashMap::new(),
            other_owners: Tally::default(),
            sizes: Vec::new(),
            slots: BTreeMap::new(),
            slot: (0, Tally::default()),
            total: Tally::default(),
        }
    }

    /// Counts a live account, which was written in this slot.
    pub fn add(&mut self, slot: Slot, account: &AccountRef<'_>) {
        let data_len = account.data.len() as u64;
        let tally = Tally { count: 1, lamports: account.lamports.into(), data_len };
        self.total += tally;

        let has_room = self.owners.len() < self.owners_max;
        match self.owners.get_mut(account.owner) {
            Some(owner) => *owner += tally,
            None if has_room => {
                self.owners.insert(*account.owner, tally);
            }
            None => self.other_owners += tally,
        }

        let class = size_class(data_len);
        if class >= self.sizes.len() {
            self.sizes.resize(class + 1, Tally::default());
        }
        self.sizes[class] += tally;

        if slot != self.slot.0 {
            self.end_slot();
            self.slot.0 = slot;
        }
        self.slot.1 += tally;
    }

    fn end_slot(&mut self) {
        let tally = std::mem::take(&mut self.slot.1);
        if tally.count > 0 {
            *self.slots.entry(self.slot.0).or_default() += tally;
        }
    }

    /// The tallies.
    pub fn finish(mut self) -> Stats {
        self.end_slot();
        let mut by_owner: Vec<_> = self.owners.into_iter().collect();
        by_owner.sort_unstable_by_key(|(owner, tally)| {
            (std::cmp::Reverse((tally.count, tally.data_len)), *owner)
        });
        let sizes = self.sizes.into_iter().enumerate();
        Stats {
            total: self.total,
            by_owner,
            other_owners: self.other_owners,
            by_size: sizes.map(|(class, tally)| (class_end(class), tally)).collect(),
            by_slot: self.slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(owners_max: usize, accounts: &[(u8, u64, usize)]) -> Stats {
        let mut collector = StatsCollector::new(owners_max);
        let data = vec![0; 1 << 20];
        for (owner, slot, data_len) in accounts {
            let account = AccountRef {
                pubkey: &Pubkey([9; 32]),
                lamports: u64::MAX,
                owner: &Pubkey([*owner; 32]),
                executable: false,
                rent_epoch: 0,
                data: &data[..*data_len],
            };
            collector.add(*slot, &account);
        }
        collector.finish()
    }

    #[test]
    fn size_classes_end_at_powers_of_two() {
        let lengths = [0, 1, 2, 3, 4, 5, 8, 9, 10 << 20];
        let ends = lengths.map(|data_len| class_end(size_class(data_len)));
        assert_eq!(ends, [0, 1, 2, 4, 4, 8, 8, 16, 16 << 20]);
    }

    #[test]
    fn owners_beyond_the_bound_are_counted_together() {
        let stats = collect(2, &[(1, 5, 10), (2, 5, 20), (3, 5, 40), (2, 6, 80), (4, 7, 160)]);
        let owners = stats.by_owner.iter().map(|(owner, tally)| (owner.0[0], tally.count));
        assert_eq!(owners.collect::<Vec<_>>(), [(2, 2), (1, 1)]);
        assert_eq!((stats.other_owners.count, stats.other_owners.data_len), (2, 200));
        assert_eq!((stats.total.count, stats.total.data_len), (5, 310));
        assert_eq!(stats.total.lamports, 5 * u128::from(u64::MAX));
    }

    #[test]
    fn slots_that_come_again_are_added_up() {
        let stats = collect(9, &[(1, 5, 1), (1, 6, 1), (1, 5, 1), (1, 5, 1), (1, 0, 1)]);
        let counts = stats.by_slot.iter().map(|(slot, tally)| (*slot, tally.count));
        assert_eq!(counts.collect::<Vec<_>>(), [(0, 1), (5, 3), (6, 1)]);
    }

    #[test]
    fn slot_ranges_are_as_many_as_asked_and_lose_nothing() {
        let far = [(1, 3, 0), (1, 17, 0), (1, 99, 0), (1, 1_000_003, 0), (1, u64::MAX, 0)];
        for count in 1..=far.len() {
            let stats = collect(9, &far[..count]);
            for ranges_max in [1, 2, 3, 7, 20, 1000] {
                let ranges = stats.slot_ranges(ranges_max);
                assert!(ranges.len() <= ranges_max as usize, "{count} {ranges:?}");
                let sum: u64 = ranges.iter().map(|(_, tally)| tally.count).sum();
                assert_eq!(sum, count as u64);
                assert!(
                    ranges
                        .iter()
                        .zip(ranges.iter().skip(1))
                        .all(|((low, _), (high, _))| { *low.end() < *high.start() })
                );
                for (_, slot, _) in &far[..count] {
                    assert!(ranges.iter().any(|(range, _)| range.contains(slot)), "{slot}");
                }
            }
        }
        let stats = collect(9, &far[..3]);
        let ranges: Vec<_> = stats.slot_ranges(5).into_iter().map(|(range, _)| range).collect();
        assert_eq!(ranges, [0..=19, 20..=39, 40..=59, 60..=79, 80..=99]);
        assert_eq!(Stats::default().slot_ranges(5), []);
    }
}
