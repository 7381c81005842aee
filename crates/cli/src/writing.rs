//! A store that is open for writing: opened by a command, or by the node that has it already.

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, RealDisk};
use icecore_store::{Error, Opened, Options, Store};

use crate::{exit::Failure, node::client};

/// Opens a store for writing, and tells what recovery found.
pub(crate) fn open(folder: &Path, options: Options) -> Result<Store, Failure> {
    let store = Store::open(folder, options).map_err(|error| taken(error, folder))?;
    tell(store.opened());
    Ok(store)
}

/// The real disk, for what asks for one.
pub(crate) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Whether another process has the store open for writing.
pub(crate) fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Journal(icecore_journal::Error::Locked { .. }))
}

/// Says who has the store open, if that is what is wrong.
pub(crate) fn taken(error: Error, folder: &Path) -> Failure {
    if !is_locked(&error) {
        return error.into();
    }
    let folder_name = folder.display();
    Failure::System(match client::process_of(folder) {
        Some(process) => format!(
            "{folder_name}: the node with process id {process} has the store open, and only it can write; end it first"
        ),
        None => {
            format!("{folder_name}: another process has the store open for writing; end it first")
        }
    })
}

/// What opening found and did that is not as usual.
pub(crate) fn tell(opened: &Opened) {
    let Some(journal) = &opened.journal else { return };
    for name in &journal.unknown_files {
        eprintln!("{name}: a file that the journal does not know; it is left alone");
    }
    if journal.was_clean {
        return;
    }
    eprintln!("the store was not closed; all that was acknowledged is there:");
    let line = |count: u64, what: &str| {
        if count > 0 {
            eprintln!("  {count} {what}");
        }
    };
    line(journal.rewritten_events, "events were found sound and were made durable");
    let reason = journal.cut_because.as_deref().unwrap_or("they are of no sound event");
    line(journal.cut_bytes, &format!("bytes behind them were left behind: {reason}"));
    line(journal.removed_files.len() as u64, "files of unfinished work were removed");
    line(opened.replayed_events, "events were applied that the runs do not cover");
    line(opened.unrooted_slots, "slots are complete and not rooted");
    line(opened.dead_slots, "slots were being written: they are dead, and can begin again");
    line(opened.removed_runs, "run files that nobody names were removed");
}
