//! The rows of a run with other places: what relocation needs (rule R17).
//!
//! What it does *not* do: move records. Both the old and the new places must be readable until the new
//! run counts; keys are read at the old ones.

use std::{ops::Bound, path::Path, sync::Arc};

use icecore_disk::Disk;

use super::{KeySource, Merge, Run, RunHeader, RunInfo, RunStore, RunWriter, merged_slots};
use crate::{Error, Locator};

/// Writes a run with the rows of another one, at the places that `moved` gives for theirs; `None`
/// leaves a row out. Rooted slots are taken over.
///
/// # Errors
/// When a run is damaged, a record cannot be read, or the disk refuses.
pub fn rewrite_locators<const K: usize>(
    run: &Arc<Run<K>>,
    disk: &dyn Disk,
    path: &Path,
    store: RunStore,
    header: RunHeader,
    keys: &dyn KeySource<K>,
    moved: &dyn Fn(Locator) -> Option<Locator>,
) -> Result<RunInfo, Error> {
    let mut writer = RunWriter::create(disk, path, store, header, run.rows())?;
    let mut rows = Merge::new(std::slice::from_ref(run), Bound::Unbounded, keys)?;
    while let Some(row) = rows.next_row()? {
        if let Some(locator) = moved(row.locator) {
            writer.push_merged(&row, locator, keys)?;
        }
    }
    writer.finish_merged(merged_slots(vec![Arc::clone(run)]), keys)
}
