//! The summary of an archive: what it holds, and what is wrong in its bytes.

mod display;
mod look;

use std::{ops::ControlFlow, path::Path};

use icecore_restore::read_archive;
use icecore_types::{Hash, Slot};
use serde::Serialize;

use self::look::Look;
use super::bank::Bank;
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

/// All of the answer.
#[derive(Debug, Serialize)]
struct Summary {
    file: String,
    name: Option<Name>,
    /// Why the file has no archive's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_problem: Option<String>,
    container: Container,
    version: Option<String>,
    members: Members,
    #[serde(flatten)]
    bank: Bank,
    storages: Storages,
    status_cache: StatusCache,
    /// What is wrong in the bytes, the first of it.
    problems: Vec<String>,
}

/// What the file's name says.
#[derive(Debug, Serialize)]
struct Name {
    kind: &'static str,
    base_slot: Option<Slot>,
    slot: Slot,
    snapshot_hash: Hash,
    extension: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Container {
    kind: Option<&'static str>,
    /// Of the file.
    bytes: u64,
    /// Of the tar stream.
    unpacked_bytes: u64,
    /// The others are there when the end was reached.
    frames: Option<u64>,
    skippable_frames: Option<u64>,
    trailing_bytes: Option<u64>,
    /// Whether the first zstd frame has a checksum of its content.
    checksum: Option<bool>,
    /// That frame's window.
    window_bytes: Option<u64>,
    tar_end_blocks: Option<&'static str>,
    tar_trailing_bytes: Option<u64>,
}

/// Members by kind.
#[derive(Debug, Default, Serialize)]
struct Members {
    count: u64,
    versions: u64,
    folders: u64,
    manifests: u64,
    status_caches: u64,
    storages: u64,
    foreign: u64,
}

#[derive(Debug, Default, Serialize)]
struct Storages {
    count: u64,
    bytes: u64,
    slot_first: Option<Slot>,
    slot_last: Option<Slot>,
    /// By the manifest.
    listed: u64,
    /// In the manifest's list and not in the archive; `None` where they were too many to compare.
    listed_not_there: Option<u64>,
    there_not_listed: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct StatusCache {
    slots: u64,
    slot_first: Option<Slot>,
    slot_last: Option<Slot>,
    not_rooted: u64,
    blockhashes: u64,
    entries: u64,
    is_whole: bool,
}

pub(super) fn run(common: &CommonOptions, file: &Path) -> Result<Exit, Failure> {
    let watch = common.watch()?;
    let mut look = Look::new(file)?;
    look.first_frame(file)?;
    let end = read_archive(file, &common.scan(), &watch.progress, |event| {
        look.event(event);
        ControlFlow::Continue(())
    })?;
    watch.finish()?;
    let summary = look.finish(&end);

    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display::show(&summary, &mut answer)?;
    } else {
        answer.object(&summary)?;
    }
    answer.finish()?;
    match summary.problems.as_slice() {
        [] => Ok(Exit::Good),
        problems => {
            Err(Failure::Damaged(format!("{}: {}", file.display(), problems.join("\n  and "))))
        }
    }
}
