//! The answer of commands that make an archive: what all of them say, and what each has to add.
//!
//! What it does *not* do: make archives.

use std::path::Path;

use icecore_batch::Made;
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::{counted, human},
};

/// What all of them say.
#[derive(Serialize)]
struct Archive<'a> {
    file: &'a Path,
    slot: Slot,
    snapshot_hash: Hash,
    bytes: u64,
    frames: u64,
    verified: bool,
    seconds: f64,
}

/// For the sum of what is in it.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    pub(crate) bank_hash: Hash,
    pub(crate) capitalization: u64,
    pub(crate) num_accounts: u64,
}

#[derive(Serialize)]
struct Json<'a, T> {
    #[serde(flatten)]
    archive: Archive<'a>,
    #[serde(flatten)]
    more: T,
}

/// What a person reads besides the file and its size.
pub(crate) struct Lines {
    /// Of what is in it.
    pub(crate) content: Vec<String>,
    /// What a look at it showed.
    pub(crate) verified: &'static str,
    /// What must not be overlooked.
    pub(crate) last: Option<&'static str>,
}

/// Says what was made in so many seconds; `more` are the fields of this command's JSON.
pub(crate) fn answer(
    common: &CommonOptions,
    made: &Made,
    seconds: f64,
    more: impl Serialize,
    lines: Lines,
) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let Made { path, slot, snapshot_hash, bytes, frames, is_verified } = made;
    if answer.is_display() {
        answer.line(format!("made {}", path.display()))?;
        for line in lines.content {
            answer.line(line)?;
        }
        let verified = if *is_verified { lines.verified } else { "not verified" };
        let (bytes, frames) = (human(*bytes), counted(*frames, "frame"));
        answer.line(format!("{bytes} in {frames}, {verified}; {seconds:.2} s"))?;
        if let Some(last) = lines.last {
            answer.line(last)?;
        }
    } else {
        let archive = Archive {
            file: path,
            slot: *slot,
            snapshot_hash: *snapshot_hash,
            bytes: *bytes,
            frames: *frames,
            verified: *is_verified,
            seconds,
        };
        answer.object(&Json { archive, more })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}
