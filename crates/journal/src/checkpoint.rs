//! Checkpoints as files: a position that survives a crash, bound to the journal it was made for.
//!
//! - A file is replaced whole: written under another name, synced, renamed, the folder synced. After
//!   a crash the old one is there or the new one.
//! - A position names the frame that holds the last event below it, by digest. A journal that was
//!   replaced, rewritten, or lost what was consumed has another frame there, or none: following on
//!   would skip or repeat events, so it is refused ([`Error::Diverged`]).
//! - Only the journal in the same folder is meant: the files lie in its sub-folders.
//!
//! What it does *not* do: notice that a journal was rewritten above the position, or that frames
//! were changed and keep their digests (verification of the chain does).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Access, Disk, Lock, Publish};

use crate::{
    By, Digest, Error, Query,
    format::{
        checkpoint::{NAME_BYTES_MAX, Position},
        frame::{FRAME_HEADER_BYTES, FrameHeader},
    },
    history::History,
    segment::Segment,
};

/// What the digest of a query is derived from.
const QUERY_CONTEXT: &str = "icecore journal 1 query";

/// A folder of checkpoints.
#[derive(Debug)]
pub(crate) struct CheckpointFolder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl CheckpointFolder {
    /// The folder that lies so deep in the journal's.
    pub(crate) fn new(history: &History, names: &[&str]) -> Self {
        let path = names.iter().fold(history.folder.clone(), |path, name| path.join(name));
        Self { disk: Arc::clone(&history.disk), path }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder, and those above it up to the journal's, and makes their names durable.
    pub(crate) fn make(&self, journal: &Path) -> Result<(), Error> {
        let mut folders: Vec<_> =
            self.path.ancestors().take_while(|folder| *folder != journal).collect();
        folders.reverse();
        for folder in folders {
            // Synced even if it is there: whoever made it may not have come to that.
            self.disk.create_folder(folder)?;
            self.disk.sync_folder(folder.parent().expect("it lies in the journal's"))?;
        }
        Ok(())
    }

    /// Names of the files in it.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        match self.disk.list(&self.path) {
            Ok(entries) => Ok(entries
                .into_iter()
                .filter(|entry| entry.is_file)
                .map(|entry| entry.name)
                .collect()),
            Err(error) if error.is_absent() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a lock; the folder must be there.
    pub(crate) fn lock(&self, name: &str) -> Result<Box<dyn Lock>, Error> {
        let path = self.path(name);
        self.disk.lock(&path)?.ok_or(Error::Taken { path })
    }

    /// The content of a file of at most `bytes_max`; `None` if there is no such file.
    pub(crate) fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        let file = match self.disk.open(&self.path(name), Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // One byte more shows the decoder that the file is too large.
        let bytes = file.bytes()?.min(bytes_max as u64 + 1);
        let mut content = vec![0; usize::try_from(bytes).expect("bounded just now")];
        let read = file.read_at(0, &mut content)?;
        content.truncate(read);
        Ok(Some(content))
    }

    /// Puts a file in the place of the one of this name; `temporary` is its name until then, and
    /// the caller's alone.
    pub(crate) fn replace(&self, name: &str, temporary: &str, content: &[u8]) -> Result<(), Error> {
        let temporary = self.path(temporary);
        if self.disk.exists(&temporary) {
            self.disk.remove(&temporary)?;
        }
        let file = self.disk.create(&temporary)?;
        file.write_at(0, content)?;
        file.sync()?;
        self.disk.rename(&temporary, &self.path(name), Publish::Replace)?;
        Ok(self.disk.sync_folder(&self.path)?)
    }

    /// Removes files, durably; those that are not there do not matter.
    pub(crate) fn remove(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            match self.disk.remove(&self.path(name)) {
                Err(error) if !error.is_absent() => return Err(error.into()),
                _ => {}
            }
        }
        match names.is_empty() || !self.disk.exists(&self.path) {
            true => Ok(()),
            false => Ok(self.disk.sync_folder(&self.path)?),
        }
    }
}

/// Checks a name that becomes that of a file.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let is_fit = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match is_fit {
        true => Ok(()),
        false => Err(Error::Unfit {
            what: "the name of a cursor or a projection has 1 to 128 letters, digits, dashes, underscores and dots, and does not begin with a dot",
        }),
    }
}

/// What tells a query from others.
pub(crate) fn query_digest(query: &Query) -> Digest {
    let (tag, key): (u8, Vec<u8>) = match &query.by {
        By::Sequence => (0, Vec::new()),
        By::Stream(stream) => (1, stream.clone()),
        By::Kind(kind) => (2, kind.to_le_bytes().to_vec()),
        By::Scope(scope) => (3, scope.clone()),
        By::Correlation(correlation) => (4, correlation.to_le_bytes().to_vec()),
        By::Parent(parent) => (5, parent.to_le_bytes().to_vec()),
        By::Causation(causation) => (6, causation.to_le_bytes().to_vec()),
    };
    let mut hasher = blake3::Hasher::new_derive_key(QUERY_CONTEXT);
    hasher.update(&[tag]);
    for range in [&query.sequences, &query.times] {
        hasher.update(&range.start.to_le_bytes());
        hasher.update(&range.end.to_le_bytes());
    }
    hasher.update(&key);
    Digest(*hasher.finalize().as_bytes())
}

impl History {
    /// Digest of the frame that holds the last event below a position; zero for the position 0.
    ///
    /// # Errors
    /// [`Error::Dropped`] if nobody knows any more: inside of what was dropped.
    pub(crate) fn digest_below(&self, end_sequence: u64) -> Result<Digest, Error> {
        match end_sequence.checked_sub(1) {
            None => Ok(Digest::ZERO),
            Some(last) => self.retry(|| self.frame_digest(last)),
        }
    }

    fn frame_digest(&self, sequence: u64) -> Result<Digest, Error> {
        let catalog = self.catalog();
        if let Some(gap) = catalog.gap_of(sequence) {
            if gap.end_sequence == sequence + 1 {
                return Ok(gap.last);
            }
            return Err(gap.dropped(sequence));
        }
        let lost = || self.lost(sequence);
        let place = catalog.segment_of(sequence).ok_or_else(lost)?;
        match &catalog.segments[place] {
            Segment::Sealed(segment) => segment.frame_digest(sequence),
            Segment::Open(segment) => {
                let frame = segment.table().frame_of(sequence).ok_or_else(lost)?;
                let offset = u64::from(frame.offset);
                let mut header = [0; FRAME_HEADER_BYTES];
                segment.read_exactly(offset, &mut header)?;
                let header = FrameHeader::decode(&header)
                    .map_err(|malformed| malformed.in_file(segment.path(), offset))?;
                Ok(header.digest)
            }
        }
    }

    /// Whether a position that was read from `path` is one of this journal.
    pub(crate) fn check_position(&self, position: &Position, path: &Path) -> Result<(), Error> {
        let end_sequence = position.end_sequence;
        let diverged = |why| Err(Error::Diverged { path: path.to_path_buf(), end_sequence, why });
        if position.store_id != self.identity.store_id {
            return diverged("it was made for another journal");
        }
        if end_sequence > self.durable_end() {
            return diverged("the journal is not durable as far as that");
        }
        match self.digest_below(end_sequence) {
            Ok(digest) if digest == position.frame => Ok(()),
            Ok(_) => diverged("the journal has another frame there"),
            // It was durable, and dropped since: nothing is left to compare it with, and whoever
            // goes on is told of what was dropped.
            Err(Error::Dropped { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
