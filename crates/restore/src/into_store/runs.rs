//! The complete runs of a store, as indexes of accounts that all count for its base slot (rule
//! R20).

use icecore_store::{
    Locator, Restoring,
    run::{FinishedPart, Row, RunPart, RunStore, RunWriter},
};
use icecore_types::Slot;

use super::index::Index;
use crate::Error;

/// Makes rows of one slot.
pub(crate) struct RunIndex {
    store: RunStore,
    slot: Slot,
}

impl RunIndex {
    pub(super) fn new(restoring: &Restoring<'_>) -> Self {
        Self { store: restoring.run_store(), slot: restoring.slot() }
    }
}

impl<const K: usize> Index<K> for RunIndex {
    type Part = RunPart<K>;
    type Finished = FinishedPart<K>;
    type Run = RunWriter<K>;

    fn part(&self) -> RunPart<K> {
        RunPart::new(self.store)
    }

    fn push(&self, part: &mut RunPart<K>, key: &[u8; K], locator: Locator) {
        part.push(&Row { key: *key, slot: self.slot, locator });
    }

    fn finish(&self, part: RunPart<K>) -> FinishedPart<K> {
        part.finish()
    }

    fn append(&self, run: &mut RunWriter<K>, part: FinishedPart<K>) -> Result<(), Error> {
        Ok(run.append(part)?)
    }

    fn add(&self, run: &mut RunWriter<K>, key: &[u8; K], locator: Locator) -> Result<(), Error> {
        Ok(run.push(&Row { key: *key, slot: self.slot, locator })?)
    }
}
