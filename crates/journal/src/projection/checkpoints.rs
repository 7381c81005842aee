//! The checkpoints of one projection of one query: a folder with a file for each state.
//!
//! The name of a file says the version and the sequence that its state is of, so that the right one
//! is found without reading others. What the file says counts: one that does not agree with its name
//! is not used.

use std::sync::Arc;

use crate::{
    Digest, Error, Query,
    checkpoint::{CheckpointFolder, query_digest},
    format::checkpoint::{
        PROJECTION_FILE_BYTES_MAX, Position, ProjectionCheckpoint, STATE_BYTES_MAX,
    },
    history::History,
};

/// The folder of all projections, in the journal's.
const FOLDER: &str = "projections";
/// What a checkpoint's file ends with.
const SUFFIX: &str = ".state";

/// The checkpoints that there are.
#[derive(Debug)]
pub(super) struct Checkpoints {
    folder: CheckpointFolder,
    name: &'static str,
    version: u32,
    query: Digest,
}

impl Checkpoints {
    pub(super) fn new(history: &History, name: &'static str, version: u32, query: &Query) -> Self {
        let query = query_digest(query);
        let folder = CheckpointFolder::new(history, &[FOLDER, name, &query.to_string()]);
        Self { folder, name, version, query }
    }

    fn file_name(&self, end_sequence: u64) -> String {
        format!("{end_sequence:020}-{}{SUFFIX}", self.version)
    }

    /// Sequences of the checkpoints of this version, ascending.
    fn ends(&self) -> Result<Vec<u64>, Error> {
        let mut ends: Vec<u64> =
            self.folder.names()?.iter().filter_map(|name| self.end_of(name)).collect();
        ends.sort_unstable();
        Ok(ends)
    }

    fn end_of(&self, file: &str) -> Option<u64> {
        let end = file.split('-').next()?.parse().ok()?;
        (self.file_name(end) == file).then_some(end)
    }

    /// The newest state that is of events below `end` only, and what it is of.
    pub(super) fn newest(
        &self,
        history: &History,
        end: u64,
    ) -> Result<Option<(u64, Vec<u8>)>, Error> {
        for end_sequence in self.ends()?.into_iter().rev().filter(|at| *at <= end) {
            let file = self.file_name(end_sequence);
            let Some(content) = self.folder.read(&file, PROJECTION_FILE_BYTES_MAX)? else {
                continue;
            };
            // A damaged one can be done without.
            let Ok(checkpoint) = ProjectionCheckpoint::decode(&content) else { continue };
            let position = &checkpoint.position;
            let is_ours = checkpoint.state_version == self.version
                && position.name == self.name
                && position.query == self.query
                && position.end_sequence == end_sequence;
            if is_ours {
                history.check_position(position, &self.folder.path(&file))?;
                return Ok(Some((end_sequence, checkpoint.state)));
            }
        }
        Ok(None)
    }

    /// Saves a state, and removes the oldest ones beyond `checkpoints_max` and those of other
    /// versions.
    pub(super) fn save(
        &self,
        history: &Arc<History>,
        end_sequence: u64,
        state: Vec<u8>,
        checkpoints_max: usize,
    ) -> Result<(), Error> {
        if state.len() > STATE_BYTES_MAX {
            return Err(Error::Unfit { what: "a projection's state has at most 256 MiB" });
        }
        let position = Position {
            store_id: history.store_id(),
            name: self.name.to_string(),
            end_sequence,
            frame: history.digest_below(end_sequence)?,
            query: self.query,
            time: history.disk.now(),
            commits: 1,
        };
        let checkpoint = ProjectionCheckpoint { position, state_version: self.version, state };
        let content = checkpoint.encode().expect("name, digest and size were checked");
        self.folder.make(&history.folder)?;
        let _lock = self.folder.lock("lock")?;
        self.folder.replace(&self.file_name(end_sequence), "new", &content)?;
        let ends = self.ends()?;
        let kept = &ends[ends.len().saturating_sub(checkpoints_max)..];
        let is_kept = |name: &str| self.end_of(name).is_some_and(|end| kept.contains(&end));
        let mut old = self.folder.names()?;
        old.retain(|name| name.ends_with(SUFFIX) && !is_kept(name));
        self.folder.remove(&old)
    }

    pub(super) fn remove_all(&self) -> Result<(), Error> {
        let mut names = self.folder.names()?;
        names.retain(|name| name.ends_with(SUFFIX));
        self.folder.remove(&names)
    }
}
