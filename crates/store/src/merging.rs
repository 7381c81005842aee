//! When runs are merged, so that a lookup reads few of them (rule R15).
//!
//! - A delta run as long as half the one before it is merged with it, so that lengths fall by halves;
//!   there are at most [`DELTAS_MAX`] when a flush adds one.
//! - When the deltas of the newest window have more rows than there are live accounts, all of them and
//!   the complete run become the next complete run, and a new window begins with it.
//! - A window that another one follows is not read often: its deltas become one.
//!
//! A merge reads the runs of the state, writes new ones, and exchanges them in the next state. Views
//! keep what they have.
//!
//! What it does *not* do: drop versions that are still to be read (see `retention`).

use std::{ops::Bound, sync::Arc};

use icecore_types::Slot;

use crate::{
    Error,
    run::{KeySource, Merge, Run, RunInfo, RunKind, merged_slots},
    run_set::{PairEntry, RunEntry, RunPair, RunSet, Window, runs_folder},
    shared::{RecordKeys, Shared, State},
    spilling::Garbage,
};

/// Delta runs of a window, and spilled runs, at most: a lookup reads all of them.
pub(crate) const DELTAS_MAX: usize = 8;

/// What is to be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    /// These deltas of a window become one.
    Deltas { window: usize, deltas: std::ops::Range<usize> },
    /// The newest window's runs become a complete run.
    Complete,
}

impl Shared {
    /// Merges until nothing is due.
    pub(crate) fn merge_runs(&self) -> Result<(), Error> {
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let merged = self.merge_deltas_due().and_then(|()| self.merge_spilled(Garbage::Half));
        self.remove_stray_runs();
        merged
    }

    /// Merges if there are as many delta runs as there may be: a flush adds one. Whoever calls keeps.
    pub(crate) fn make_room_for_delta(&self) -> Result<(), Error> {
        let is_full = |window: &Window| window.deltas.len() >= DELTAS_MAX;
        match self.state().runs.windows.iter().any(is_full) {
            true => self.merge_deltas_due(),
            false => Ok(()),
        }
    }

    fn merge_deltas_due(&self) -> Result<(), Error> {
        while let Some(plan) = self.merge_plan() {
            self.carry_out(&plan)?;
        }
        Ok(())
    }

    fn merge_plan(&self) -> Option<Plan> {
        let state = self.state();
        let windows = &state.runs.windows;
        let live = self.mirror().tree.root().map_or(0, |root| root.totals.num_accounts);
        let rows = |pair: &RunPair| pair.by_pubkey.info().rows;
        let (newest, before) = windows.split_last()?;
        let rows_all: u64 = newest.deltas.iter().map(rows).sum();
        if rows_all > live.max(1) {
            return Some(Plan::Complete);
        }
        if let Some(window) = before.iter().position(|window| window.deltas.len() > 1) {
            return Some(Plan::Deltas { window, deltas: 0..windows[window].deltas.len() });
        }
        let window = windows.len() - 1;
        let lengths: Vec<u64> = newest.deltas.iter().map(rows).collect();
        let deltas = due(&lengths)?;
        Some(Plan::Deltas { window, deltas })
    }

    fn carry_out(&self, plan: &Plan) -> Result<(), Error> {
        let state = self.state();
        let mut windows = state.runs.windows.clone();
        match plan {
            Plan::Deltas { window, deltas } => {
                let merged = self.merge_deltas(&state, &windows[*window].deltas[deltas.clone()])?;
                windows[*window].deltas.splice(deltas.clone(), [merged]);
            }
            Plan::Complete => {
                let newest = windows.last_mut().expect("there is a window");
                let complete = self.merge_complete(&state, newest, newest.flushed_to())?;
                newest.last = Some(complete.to);
                windows.push(Window { complete, deltas: Vec::new(), base: None, last: None });
            }
        }
        self.exchange_runs(windows, &[])
    }

    /// The next state has these windows, and does not use these segments; run files that it does not
    /// name go.
    pub(crate) fn exchange_runs(
        &self,
        windows: Vec<Window>,
        without_segments: &[u32],
    ) -> Result<(), Error> {
        self.disk.sync_folder(&runs_folder(&self.folder))?;
        {
            let mirror = self.mirror();
            let change = |runs: &mut RunSet| runs.windows = windows;
            self.next_state(&mirror, &self.state(), change, without_segments);
        }
        self.save_set()?;
        self.remove_stray_runs();
        Ok(())
    }

    fn merge_deltas(&self, state: &State, deltas: &[RunPair]) -> Result<RunPair, Error> {
        let (first, last) = (&deltas[0], &deltas[deltas.len() - 1]);
        let after = first.after.expect("a delta begins behind a slot");
        let kind = RunKind::Delta { after };
        let by_pubkey = deltas.iter().rev().map(|pair| Arc::clone(&pair.by_pubkey)).collect();
        let by_owner: Option<Vec<_>> =
            deltas.iter().rev().map(|pair| pair.by_owner.clone()).collect();
        let by_pubkey = self.merge(state, by_pubkey, kind, last.to)?;
        let by_owner = by_owner.map(|runs| self.merge(state, runs, kind, last.to)).transpose()?;
        self.open_pair(Some(after), last.to, by_pubkey, by_owner)
    }

    /// What of a delta is of later slots than `after`.
    pub(crate) fn cut_delta(
        &self,
        state: &State,
        delta: &RunPair,
        after: Slot,
    ) -> Result<RunPair, Error> {
        let kind = RunKind::Delta { after };
        let by_pubkey = self.merge(state, vec![Arc::clone(&delta.by_pubkey)], kind, delta.to)?;
        let by_owner = match &delta.by_owner {
            Some(run) => Some(self.merge(state, vec![Arc::clone(run)], kind, delta.to)?),
            None => None,
        };
        self.open_pair(Some(after), delta.to, by_pubkey, by_owner)
    }

    /// The state at a slot as a complete run: of each key the newest row at or below it, unless that
    /// says that the account is closed, or gone from the owner.
    pub(crate) fn merge_complete(
        &self,
        state: &State,
        window: &Window,
        to: Slot,
    ) -> Result<RunPair, Error> {
        let pairs: Vec<_> = window.pairs_down_from(to).collect();
        let by_pubkey = pairs.iter().map(|pair| Arc::clone(&pair.by_pubkey)).collect();
        let by_owner: Option<Vec<_>> = pairs.iter().map(|pair| pair.by_owner.clone()).collect();
        let by_pubkey = self.merge(state, by_pubkey, RunKind::Complete, to)?;
        let by_owner =
            by_owner.map(|runs| self.merge(state, runs, RunKind::Complete, to)).transpose()?;
        self.open_pair(None, to, by_pubkey, by_owner)
    }

    fn open_pair(
        &self,
        after: Option<Slot>,
        to: Slot,
        by_pubkey: RunInfo,
        by_owner: Option<RunInfo>,
    ) -> Result<RunPair, Error> {
        let entry = PairEntry {
            after,
            to,
            by_pubkey: RunEntry::from(by_pubkey),
            by_owner: by_owner.map(RunEntry::from),
        };
        RunPair::open(&*self.disk, &self.folder, self.identity, &entry, &self.state().runs)
    }

    /// Merges runs, given newest first: all rows of a delta's slots, or those of accounts that live at the last slot.
    fn merge<const K: usize>(
        &self,
        state: &State,
        runs: Vec<Arc<Run<K>>>,
        kind: RunKind,
        to: Slot,
    ) -> Result<RunInfo, Error>
    where
        for<'a> RecordKeys<'a>: KeySource<K>,
    {
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let rows_max = runs.iter().map(|run| run.info().rows).sum();
        let mut writer = self.run_writer(kind, to, rows_max)?;
        let mut merge = Merge::new(&runs, Bound::Unbounded, &keys)?;
        while let Some(row) = merge.next_row()? {
            let is_wanted = match kind {
                RunKind::Delta { after } => row.slot > after,
                RunKind::Spilled => true,
                RunKind::Complete => {
                    let is_newest = row.slot <= to && row.newer.is_none_or(|newer| newer > to);
                    is_newest && row.locator.class().is_live()
                }
            };
            if is_wanted {
                writer.push_merged(&row, row.locator, &keys)?;
            }
        }
        let commits = merged_slots(runs).filter(|commit| match (kind, commit) {
            (RunKind::Complete, Ok(commit)) => commit.slot == to,
            (RunKind::Delta { after }, Ok(commit)) => commit.slot > after,
            _ => true,
        });
        writer.finish_merged(commits, &keys)
    }
}

/// Which runs of these lengths, oldest first, are to become one.
pub(crate) fn due(lengths: &[u64]) -> Option<std::ops::Range<usize>> {
    // From the newest on, as far as one is no longer than twice what is behind it.
    let mut behind = 0;
    let mut start = lengths.len();
    for (place, length) in lengths.iter().enumerate().rev() {
        if start < lengths.len() && *length > 2 * behind {
            break;
        }
        behind += length;
        start = place;
    }
    if lengths.len() - start > 1 {
        return Some(start..lengths.len());
    }
    if lengths.len() <= DELTAS_MAX {
        return None;
    }
    // The two neighbours that are cheapest.
    let cheapest = (0..lengths.len() - 1).min_by_key(|place| lengths[*place] + lengths[place + 1]);
    cheapest.map(|place| place..place + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_fall_by_halves_and_there_are_few() {
        assert_eq!(due(&[]), None);
        assert_eq!(due(&[5]), None);
        assert_eq!(due(&[100, 40]), None);
        assert_eq!(due(&[100, 50]), Some(0..2));
        assert_eq!(due(&[101, 30, 10, 10]), Some(1..4));
        assert_eq!(due(&[1000, 30, 14, 2]), None);
        let mut lengths: Vec<u64> = Vec::new();
        for flushed in 1..2000u64 {
            lengths.push(1 + flushed % 7);
            while let Some(range) = due(&lengths) {
                let merged = lengths[range.clone()].iter().sum();
                lengths.splice(range, [merged]);
            }
            assert!(lengths.len() <= DELTAS_MAX + 4, "{lengths:?}");
        }
    }
}
