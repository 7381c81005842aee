//! Merging runs: their rows in one order, each (key, slot) once.
//!
//! 1. A cursor stands at the next row of each run; the cursors are kept in order of their rows, and
//!    the first is taken and put in its place again.
//! 2. Rows are compared by what is known of their keys. Where that does not suffice, rows with the same
//!    hash have the same key (decision 0032); of others the records are read, each key once in each run.
//! 3. A row that several runs have is taken from the newest run.
//! 4. One row is held back, so that each is given with the slots of the next newer and the next older
//!    version of its key: what rules of retention ask for (rule R21).
//!
//! Memory: 256 KiB for each run.
//!
//! What it does *not* do: drop anything but doubled rows.

use std::{cmp::Ordering, collections::VecDeque, ops::Bound, sync::Arc};

use icecore_types::Slot;

use super::{
    KeySource, PartialKey, Run, RunCursor,
    key::{Difference, KeyHash},
};
use crate::{Error, Locator};

/// Runs that are merged at once, at most.
pub const RUNS_MERGED_MAX: usize = 16;

/// A row of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedRow<const K: usize> {
    /// Its key, as far as it is known.
    pub key: PartialKey<K>,
    /// How many other keys came before it in this merge.
    pub key_number: u64,
    pub(crate) hash: KeyHash,
    /// The slot of the version.
    pub slot: Slot,
    /// Where its record lies.
    pub locator: Locator,
    /// The slot of the next newer version of the key in the merged runs: the row before.
    pub newer: Option<Slot>,
    /// The slot of the next older version of the key in the merged runs: the row behind.
    pub older: Option<Slot>,
}

/// Rows of several runs in order.
pub struct Merge<'a, const K: usize> {
    keys: &'a dyn KeySource<K>,
    /// In the order of the runs, the newest first.
    cursors: Vec<RunCursor<K>>,
    /// Places of the cursors that are not at their ends, in the order of their rows.
    order: VecDeque<usize>,
    /// The row that is given next, and the input it came from.
    held: Option<(usize, MergedRow<K>)>,
}

impl<'a, const K: usize> Merge<'a, K> {
    /// Of runs, the newest first, from a key on.
    ///
    /// # Errors
    /// When a run is damaged, or a record cannot be read.
    ///
    /// # Panics
    /// With more than [`RUNS_MERGED_MAX`] runs.
    pub fn new(
        runs: &[Arc<Run<K>>],
        from: Bound<&[u8; K]>,
        keys: &'a dyn KeySource<K>,
    ) -> Result<Self, Error> {
        assert!(runs.len() <= RUNS_MERGED_MAX, "{} runs are too many at once", runs.len());
        let cursors: Result<_, Error> = runs.iter().map(|run| run.cursor(from, keys)).collect();
        let order = VecDeque::with_capacity(runs.len());
        let mut merge = Self { keys, cursors: cursors?, order, held: None };
        for input in 0..runs.len() {
            merge.put(input)?;
        }
        merge.held = merge.take()?;
        Ok(merge)
    }

    /// The next row, if there is one.
    ///
    /// # Errors
    /// When a run is damaged, or a record cannot be read. The merge is of no use then.
    pub fn next_row(&mut self) -> Result<Option<MergedRow<K>>, Error> {
        let Some((held_input, mut row)) = self.held.take() else { return Ok(None) };
        loop {
            let follows = self.front_follows(held_input, &row);
            let Some((input, mut next)) = self.take()? else { break };
            if follows && next.slot == row.slot {
                continue;
            }
            next.key_number = row.key_number + u64::from(!follows);
            if follows {
                row.older = Some(next.slot);
                next.newer = Some(row.slot);
            }
            self.held = Some((input, next));
            break;
        }
        Ok(Some(row))
    }

    /// Whether the row that comes next has the key of this one, which came from this input last.
    fn front_follows(&self, input: usize, row: &MergedRow<K>) -> bool {
        let Some(front) = self.order.front() else { return false };
        let cursor = &self.cursors[*front];
        if *front == input {
            return cursor.continues();
        }
        let key = cursor.key().expect("no cursor in order is at its end");
        match key.difference(&row.key) {
            Difference::At(_) => false,
            Difference::None => true,
            Difference::Unknown => cursor.hash() == Some(row.hash),
        }
    }

    /// Takes the row of the first cursor.
    fn take(&mut self) -> Result<Option<(usize, MergedRow<K>)>, Error> {
        let Some(input) = self.order.pop_front() else { return Ok(None) };
        let cursor = &mut self.cursors[input];
        let at = (cursor.key(), cursor.hash(), cursor.version());
        let (Some(key), Some(hash), Some((slot, locator))) = at else {
            unreachable!("no cursor in order is at its end")
        };
        let (key, newer, older) = (*key, None, None);
        cursor.advance()?;
        self.put(input)?;
        Ok(Some((input, MergedRow { key, key_number: 0, hash, slot, locator, newer, older })))
    }

    /// Puts a cursor in its place in the order, unless it is at its end.
    fn put(&mut self, input: usize) -> Result<(), Error> {
        if self.cursors[input].key().is_none() {
            return Ok(());
        }
        let mut place = 0;
        while let Some(other) = self.order.get(place).copied() {
            let pair = self.cursors.get_disjoint_mut([input, other]);
            let [cursor, behind] = pair.expect("a cursor is in order once");
            let order = compare(cursor, behind, self.keys)?;
            if order.then(input.cmp(&other)) == Ordering::Less {
                break;
            }
            place += 1;
        }
        self.order.insert(place, input);
        Ok(())
    }
}

/// Compares the rows of two cursors: keys upward, slots downward.
fn compare<const K: usize>(
    left: &mut RunCursor<K>,
    right: &mut RunCursor<K>,
    keys: &dyn KeySource<K>,
) -> Result<Ordering, Error> {
    let known = left.key().zip(right.key()).and_then(|(left, right)| left.compare(right));
    let by_key = match known {
        Some(order) => order,
        None if left.hash() == right.hash() => Ordering::Equal,
        None => left.whole_key(keys)?.cmp(&right.whole_key(keys)?),
    };
    let slot = |cursor: &RunCursor<K>| cursor.version().map(|(slot, _)| slot);
    Ok(by_key.then_with(|| slot(right).cmp(&slot(left))))
}
