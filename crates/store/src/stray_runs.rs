//! Files of runs that nobody needs any more.
//!
//! A run's file goes when neither the state nor the set on disk names it. It is *stray* from when it
//! is made until a state names it, and again when a later state does not.
//!
//! Until a set that replaces another is durable, both count as being on disk.
//!
//! What it does *not* do: know files of an earlier process, which the next open removes, or those of a
//! restore under way, which removes its own.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use crate::{
    run_set::{SetFile, run_path},
    shared::Shared,
};

/// What is known of run files.
#[derive(Debug, Default)]
pub(crate) struct StrayRuns {
    ids: Mutex<Ids>,
}

#[derive(Debug, Default)]
struct Ids {
    stray: BTreeSet<u32>,
    /// Named by the set on disk.
    named: BTreeSet<u32>,
}

impl StrayRuns {
    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().expect("nobody panics while holding it")
    }

    /// These are made, or no longer in the state that counts.
    pub(crate) fn add(&self, ids: impl IntoIterator<Item = u32>) {
        self.ids().stray.extend(ids);
    }

    /// A set is being written: it may be on disk from now on.
    pub(crate) fn may_be_named(&self, set: &SetFile) {
        self.ids().named.extend(set.run_ids());
    }

    /// A set is on disk, and no other.
    pub(crate) fn are_named(&self, set: &SetFile) {
        self.ids().named = set.run_ids().collect();
    }
}

impl Shared {
    /// Removes stray files. Whoever calls keeps, and makes no run.
    pub(crate) fn remove_stray_runs(&self) {
        let in_state: BTreeSet<u32> = self.state().runs.ids().collect();
        let mut ids = self.stray_runs.ids();
        let Ids { stray, named } = &mut *ids;
        stray.retain(|id| {
            if in_state.contains(id) {
                return false;
            }
            // Who has it open keeps it; who opens it later finds the next run set. What cannot be
            // removed now is tried again.
            named.contains(id) || {
                let path = run_path(&self.folder, *id);
                self.disk.remove(&path).is_err_and(|error| !error.is_absent())
            }
        });
    }
}
