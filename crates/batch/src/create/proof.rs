//! Looking at an archive that was written.
//!
//! - A full archive is verified as any other.
//! - An incremental one is verified with the full archive that it builds on, if that is at hand.
//! - Otherwise it is read back, and its tar stream must be the one that was written.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_archive::names::ArchiveName;
use icecore_restore::{
    Answer, Options, Pair, Progress, Source, candidates, path_of, read_unpacked, verify,
};

use super::Composed;
use crate::Error;

/// What is known of an archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: it was not looked at.
    Nothing,
    /// A full archive was verified.
    Verdict,
    /// An incremental archive was verified with a full one.
    PairVerdict {
        /// The full one.
        full: PathBuf,
    },
    /// An incremental archive was read back, and is what was written.
    ReadBack,
}

impl Proof {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Verdict => "verdict",
            Self::PairVerdict { .. } => "pair-verdict",
            Self::ReadBack => "read-back",
        }
    }
}

/// The full archive in a folder that an archive builds on, if it is there: by slot and hash.
pub(super) fn full_archive(folder: &Path, composed: &Composed) -> Result<Option<PathBuf>, Error> {
    let wanted = composed.name.base().zip(composed.base_snapshot_hash);
    let Some((base, hash)) = wanted else { return Ok(None) };
    let is_wanted =
        |name: &ArchiveName| !name.is_incremental() && name.slot() == base && *name.hash() == hash;
    let found = candidates(folder)?.into_iter().find(|candidate| is_wanted(&candidate.name));
    Ok(found.map(|candidate| path_of(folder, &candidate)))
}

/// Looks at an archive that was written to a file, whatever that is called by now. `full` is the full
/// archive that an incremental one builds on.
///
/// # Errors
/// [`Error::Bad`], [`Error::Differs`]; when it cannot be read.
pub fn prove(
    written: &Path,
    composed: &Composed,
    full: Option<&Path>,
    options: &Options,
    progress: &Progress,
) -> Result<Proof, Error> {
    let name = composed.name.to_string();
    let source = Source::file_to_be(written, &name)?;
    let (mut pair, proof) = match (composed.name.is_incremental(), full) {
        (false, _) => (Pair { full: source, incremental: None }, Proof::Verdict),
        (true, Some(full)) => (
            Pair { full: Source::file(full)?, incremental: Some(source) },
            Proof::PairVerdict { full: full.to_path_buf() },
        ),
        (true, None) => return read_back(written, composed, options, progress),
    };
    let report = verify(&mut pair, options, progress)?;
    match report.answer() {
        Answer::Bad => Err(Error::Bad { report: Box::new(report) }),
        Answer::Consistent | Answer::Anchored => Ok(proof),
    }
}

fn read_back(
    written: &Path,
    composed: &Composed,
    options: &Options,
    progress: &Progress,
) -> Result<Proof, Error> {
    let mut hasher = blake3::Hasher::new();
    let end = read_unpacked(written, options, progress, |bytes| {
        hasher.update(bytes);
        ControlFlow::Continue(())
    })?;
    let digest = icecore_types::Hash(hasher.finalize().into());
    match end.damage.is_none() && composed.tar_blake3 == Some(digest) {
        true => Ok(Proof::ReadBack),
        false => Err(Error::Differs { archive: composed.name.to_string() }),
    }
}
