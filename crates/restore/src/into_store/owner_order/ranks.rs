//! Owners in order, and groups of them with about as many accounts.

use std::ops::Range;

use icecore_types::Pubkey;

use super::Task;

/// Groups that are aimed at: several for each thread, and not so many that pieces become small.
const GROUPS: u64 = 256;

/// Groups that there can be: of any two neighbours one is full, or they would be one.
const GROUPS_MAX: usize = 2 * GROUPS as usize + 1;

/// Accounts that are worth a group.
const ACCOUNTS_MIN: u64 = 4096;

/// The order of owners.
#[derive(Debug)]
pub(in super::super) struct Ranks {
    /// By number.
    owners: Vec<Pubkey>,
    /// The number of the owner with a rank.
    numbers: Vec<u32>,
    /// The rank of the owner with a number.
    ranks: Vec<u32>,
    /// The group of a rank.
    group_of: Vec<u16>,
    /// Of ranks, in order.
    groups: Vec<Range<u32>>,
    /// Of a group, how many parts it is read in.
    parts: Vec<u64>,
}

impl Ranks {
    /// Of owners by number, with about how many accounts each has.
    pub(in super::super) fn new(owners: Vec<Pubkey>, counts: &[u64]) -> Self {
        let end = u32::try_from(owners.len()).expect("owners have numbers of 32 bits");
        let mut numbers: Vec<_> = (0..end).collect();
        numbers.sort_unstable_by_key(|number| owners[*number as usize]);
        let mut ranks = vec![0; owners.len()];
        let mut group_of = Vec::with_capacity(owners.len());
        let mut groups: Vec<Range<u32>> = Vec::new();
        let mut parts = Vec::new();
        let full = (counts.iter().sum::<u64>() / GROUPS).max(ACCOUNTS_MIN);
        let mut sum = 0;
        for (rank, number) in (0..end).zip(&numbers) {
            ranks[*number as usize] = rank;
            let count = counts.get(*number as usize).copied().unwrap_or(0);
            match groups.last_mut() {
                Some(group) if sum + count <= full => group.end = rank + 1,
                _ => {
                    groups.push(rank..rank + 1);
                    parts.push(1);
                    sum = 0;
                }
            }
            sum += count;
            // One that is too large has nobody beside it.
            let last = parts.last_mut().expect("just pushed");
            *last = sum.div_ceil(full).max(1);
            group_of.push(u16::try_from(groups.len() - 1).expect("GROUPS_MAX at most"));
        }
        assert!(groups.len() <= GROUPS_MAX, "of two neighbours one is full");
        Self { owners, numbers, ranks, group_of, groups, parts }
    }

    /// The owner with a rank.
    pub(super) fn owner(&self, rank: u32) -> &Pubkey {
        &self.owners[self.numbers[rank as usize] as usize]
    }

    /// The rank of the owner with a number.
    pub(super) fn rank(&self, number: u32) -> u32 {
        self.ranks[number as usize]
    }

    pub(super) fn group_of(&self, rank: u32) -> usize {
        usize::from(self.group_of[rank as usize])
    }

    /// The ranks of each group.
    pub(super) fn groups(&self) -> &[Range<u32>] {
        &self.groups
    }

    /// What is to be done, in order, with so many pieces. Those of one owner can be read part by
    /// part.
    pub(super) fn tasks(&self, pieces: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (group, ranks) in self.groups.iter().enumerate() {
            let parts = if ranks.len() == 1 { self.parts[group] as usize } else { 1 };
            let parts = parts.clamp(1, pieces.max(1));
            for part in 0..parts {
                let pieces = pieces * part / parts..pieces * (part + 1) / parts;
                tasks.push(Task { group, pieces });
            }
        }
        tasks
    }
}
