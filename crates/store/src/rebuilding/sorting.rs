//! Rows in any order to runs, within a bound of memory.
//!
//! 1. Rows are gathered, [`ROWS_MAX`] at a time, sorted, and written to a run of their own for each
//!    *heap* that they belong to. Of rows with one key and slot the last that came counts.
//! 2. When all are there the runs of a heap are merged, [`RUNS_MERGED_MAX`] at a time, newest first.
//!
//! These runs are removed when this is dropped. Slots in them are one higher than they are, since a
//! delta run's rows are behind a slot.
//!
//! What it does *not* do: know what rows mean.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound, sync::Arc};

use icecore_types::Slot;

use crate::{
    Error, Locator,
    run::{KeySource, Merge, MergedRow, RUNS_MERGED_MAX, Row, Run, RunKind},
    run_set::run_path,
    shared::{RecordKeys, Shared},
};

/// Rows that are sorted at a time: 32 MiB by pubkey, 48 MiB by owner.
const ROWS_MAX: usize = 1 << 19;

/// Rows of several heaps.
pub(super) struct Sorter<'a, const K: usize> {
    shared: &'a Shared,
    rows: Vec<(usize, Row<K>)>,
    /// By heap, oldest first.
    runs: BTreeMap<usize, Vec<Arc<Run<K>>>>,
    ids: Vec<u32>,
}

impl<'a, const K: usize> Sorter<'a, K>
where
    for<'k> RecordKeys<'k>: KeySource<K>,
{
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, rows: Vec::new(), runs: BTreeMap::new(), ids: Vec::new() }
    }

    /// Takes a row.
    pub(super) fn push(
        &mut self,
        heap: usize,
        key: [u8; K],
        slot: Slot,
        locator: Locator,
    ) -> Result<(), Error> {
        self.rows.push((heap, Row { key, slot: slot + 1, locator }));
        if self.rows.len() < ROWS_MAX { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> Result<(), Error> {
        // Stable: of equal ones the last that came is the last, and so the first when reversed.
        self.rows.reverse();
        self.rows.sort_by_key(|(heap, row)| (*heap, row.key, Reverse(row.slot)));
        self.rows.dedup_by_key(|(heap, row)| (*heap, row.key, row.slot));
        let rows = std::mem::take(&mut self.rows);
        for rows in rows.chunk_by(|one, next| one.0 == next.0) {
            let to = rows.iter().map(|(_, row)| row.slot).max().expect("chunks have rows");
            let kind = RunKind::Delta { after: 0 };
            let mut writer = self.shared.run_writer::<K>(kind, to, rows.len() as u64)?;
            for (_, row) in rows {
                writer.push(row)?;
            }
            let run = self.opened(writer.finish([])?)?;
            self.runs.entry(rows[0].0).or_default().push(run);
        }
        Ok(())
    }

    fn opened(&mut self, info: crate::run::RunInfo) -> Result<Arc<Run<K>>, Error> {
        self.ids.push(info.id);
        let path = run_path(&self.shared.folder, info.id);
        Run::open(&*self.shared.disk, &path, &self.shared.identity, &info)
    }

    /// All rows are there.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.spill()?;
        let heaps: Vec<usize> = self.runs.keys().copied().collect();
        for heap in heaps {
            while self.runs[&heap].len() > RUNS_MERGED_MAX {
                let runs = self.runs.get_mut(&heap).expect("a heap that there is");
                let some: Vec<_> = runs.drain(..RUNS_MERGED_MAX).collect();
                let merged = self.merged(&some)?;
                // It is older than those behind it.
                self.runs.get_mut(&heap).expect("a heap that there is").insert(0, merged);
                for run in some {
                    self.shared.disk.remove(run.path())?;
                    self.ids.retain(|id| *id != run.info().id);
                }
            }
        }
        Ok(())
    }

    fn merged(&mut self, oldest_first: &[Arc<Run<K>>]) -> Result<Arc<Run<K>>, Error> {
        let segments = &self.shared.state().runs.segments;
        let keys = RecordKeys { shared: self.shared, segments };
        let newest_first: Vec<_> = oldest_first.iter().rev().cloned().collect();
        let rows = newest_first.iter().map(|run| run.rows()).sum();
        let to = newest_first.iter().map(|run| run.header().to).max().expect("there are runs");
        let mut writer = self.shared.run_writer(RunKind::Delta { after: 0 }, to, rows)?;
        let mut merge = Merge::new(&newest_first, Bound::Unbounded, &keys)?;
        while let Some(row) = merge.next_row()? {
            writer.push_merged(&row, row.locator, &keys)?;
        }
        let info = writer.finish_merged([], &keys)?;
        self.opened(info)
    }

    /// Rows of a heap, at most.
    pub(super) fn rows(&self, heap: usize) -> u64 {
        self.runs.get(&heap).into_iter().flatten().map(|run| run.rows()).sum()
    }

    /// Shows the rows of a heap in order, with their slots as they were given.
    pub(super) fn for_each(
        &self,
        heap: usize,
        keys: &RecordKeys<'_>,
        mut visit: impl FnMut(MergedRow<K>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(runs) = self.runs.get(&heap) else { return Ok(()) };
        let newest_first: Vec<_> = runs.iter().rev().cloned().collect();
        let mut merge = Merge::new(&newest_first, Bound::Unbounded, keys)?;
        while let Some(row) = merge.next_row()? {
            let lower = |slot: Option<Slot>| slot.map(|slot| slot - 1);
            let (newer, older) = (lower(row.newer), lower(row.older));
            visit(MergedRow { slot: row.slot - 1, newer, older, ..row })?;
        }
        Ok(())
    }
}

impl<const K: usize> Drop for Sorter<'_, K> {
    fn drop(&mut self) {
        for id in &self.ids {
            // What is left is removed when the store is opened next.
            let _ = self.shared.disk.remove(&run_path(&self.shared.folder, *id));
        }
    }
}
