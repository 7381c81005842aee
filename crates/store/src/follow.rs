//! Following a store that another process writes (rule R23).
//!
//! 1. The chain is followed to its durable end, and what it says is applied, as in an open.
//! 2. The run set is read again when it was replaced: slots that its runs hold leave the tail.
//! 3. A run or a segment that is gone means that the run set was replaced meanwhile: once more.
//!
//! Views keep the state that they began with: what they have open they can read on.

use std::sync::Arc;

use crate::{
    Error, SlotState,
    open::Opened,
    run_set::{RunSet, SetFile, Window},
    shared::{Chain, Shared},
};

/// Times that a reader tries to get a run set and files that belong together.
const ATTEMPTS_MAX: usize = 8;

impl Shared {
    /// Sees what was written since.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        if !matches!(*self.chain(), Chain::Reader(_)) {
            return Ok(());
        }
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let mut result = self.refresh_once();
        for _ in 1..ATTEMPTS_MAX {
            match &result {
                Err(error) if error.is_replaced() => result = self.refresh_once(),
                _ => break,
            }
        }
        result
    }

    fn refresh_once(&self) -> Result<(), Error> {
        self.history.refresh()?;
        {
            let mut mirror = self.mirror();
            let state = self.catch_up(&mut mirror, self.state())?;
            *self.state.write().expect("nobody panics while holding it") = state;
        }
        let Some(set) = SetFile::read(&*self.disk, &self.folder)? else { return Ok(()) };
        if set.number <= self.state().runs.number {
            return Ok(());
        }
        if set.covered_end > self.mirror().applied_end {
            // It was written after the look at the chain.
            self.history.refresh()?;
            let mut mirror = self.mirror();
            let state = self.catch_up(&mut mirror, self.state())?;
            *self.state.write().expect("nobody panics while holding it") = state;
        }
        let open = |entry| Window::open(&*self.disk, &self.folder, self.identity, entry);
        let windows = set.windows.0.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut mirror = self.mirror();
        for entry in &set.nodes.0 {
            if let Some(node) = mirror.tree.get_mut(entry.id) {
                node.is_flushed |= entry.is_flushed;
            }
        }
        // Slots that the writer has forgotten are in runs, or of no use.
        let known: std::collections::BTreeSet<_> =
            set.nodes.0.iter().map(|entry| entry.id).collect();
        let forgotten: Vec<_> = mirror
            .tree
            .nodes()
            .filter(|node| !known.contains(&node.id))
            .filter(|node| node.event.is_some_and(|event| event < set.covered_end))
            .map(|node| (node.id, node.state))
            .collect();
        for (id, state) in forgotten {
            match (state, mirror.tree.get_mut(id)) {
                (SlotState::Rooted, Some(node)) => node.is_flushed = true,
                _ => mirror.tree.forget(id),
            }
        }
        mirror.horizon = mirror.horizon.max(set.horizon);
        mirror.gaps.clone_from(&set.gaps.0);
        let before = self.state();
        self.next_state(&mirror, &before, windows, &[]);
        drop(mirror);
        self.number_state(set.number);
        Ok(())
    }

    /// The state that counts has the number of the run set that it was made of.
    fn number_state(&self, number: u64) {
        let mut state = self.state.write().expect("nobody panics while holding it");
        let runs = RunSet { number, ..state.runs.clone() };
        let tail = state.tail.retained(|_| true);
        *state = Arc::new(crate::shared::State { tail, runs });
    }

    /// Reads everything again from the start.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        self.load_set(&mut Opened::default())
    }
}
