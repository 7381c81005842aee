//! What can go wrong, with the place and what to do about it.

use std::path::{Path, PathBuf};

/// Bytes that are not what their format says: where, and what was expected there.
///
/// The sans-I/O decoders return it; whoever knows the file turns it into [`Error::Corrupt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {at})")]
pub struct Malformed {
    /// Offset from the start of what was decoded, in bytes.
    pub at: u64,
    /// What is wrong there.
    pub what: &'static str,
}

impl Malformed {
    pub(crate) const fn new(at: u64, what: &'static str) -> Self {
        Self { at, what }
    }

    /// The same, with the file and the offset at which the decoded bytes start in it.
    pub(crate) fn in_file(self, path: &Path, start: u64) -> Error {
        Error::Corrupt { path: path.to_path_buf(), offset: start + self.at, what: self.what }
    }
}

/// An operation on a journal that did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// Bytes on disk are not what they should be.
    #[error("{}: {what} at byte {offset}; run `icecore journal check` on the journal, and restore the file from a copy or use `icecore journal salvage`", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Acknowledged events are damaged: a repair would lose them.
    #[error("{}: {what} at byte {offset}: event {sequence} and those behind it are damaged, and all below {durable_end} were acknowledged as durable; restore the journal from a copy, or use `icecore journal salvage` to take out what is sound", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
        /// The first event that is not sound.
        sequence: u64,
        /// Every event below was acknowledged.
        durable_end: u64,
    },
    /// The tail needs a repair that the strict policy forbids.
    #[error("{}: the last writer did not close the journal: {rewritten_events} events are sound but not known to be durable, {cut_bytes} bytes behind them belong to no event; open it with the repairing policy", folder.display())]
    NeedsRepair {
        /// The journal.
        folder: PathBuf,
        /// Bytes that a repair would leave behind.
        cut_bytes: u64,
        /// Events that a repair would write again.
        rewritten_events: u64,
    },
    /// There is no journal in the folder.
    #[error("{}: holds no journal; check the path, or create one", folder.display())]
    NoJournal {
        /// The folder.
        folder: PathBuf,
    },
    /// There is a journal in the folder.
    #[error("{}: holds a journal already; open it, or choose another folder", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder for a new journal that is not empty.
    #[error("{}: is not empty; choose a folder that is empty or not there yet", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process has the journal open for writing.
    #[error("{}: another process has the journal open for writing; end it, or read beside it", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Another writer has taken the journal over.
    #[error("{}: a later writer (epoch {epoch}) has taken over the journal; nothing more was written here", folder.display())]
    Fenced {
        /// The folder.
        folder: PathBuf,
        /// The later writer's.
        epoch: u64,
    },
    /// The journal was closed.
    #[error("the journal is closed; open it again")]
    Closed,
    /// A sync failed: what was written may or may not be durable, and nobody can find out.
    #[error("writing has ended, as it is unknown what is durable: {why}; open the journal again")]
    Poisoned {
        /// What failed.
        why: String,
    },
    /// A write failed, and the batch with it.
    #[error(
        "the batch that ends at event {end} is not part of the journal, as writing it failed; append it again"
    )]
    TakenBack {
        /// First sequence behind the events that the batch would have had.
        end: u64,
        /// What the disk said.
        why: String,
    },
    /// Earlier events that the caller builds on were taken back.
    #[error(
        "writing to the disk failed and events from {end} on were taken back since the caller looked; look again and decide again"
    )]
    OtherGeneration {
        /// Every event is below.
        end: u64,
    },
    /// Too much is waiting to be written.
    #[error(
        "{buffered_bytes} of {bytes_max} bytes wait to be written; try again, or wait with `append`"
    )]
    Busy {
        /// Bytes accepted and not written.
        buffered_bytes: usize,
        /// At this many appending waits.
        bytes_max: usize,
    },
    /// What was to be appended, or asked for, exceeds a bound.
    #[error("{what}")]
    Unfit {
        /// The bound.
        what: &'static str,
    },
    /// A stream is not as the caller expected.
    #[error(
        "stream {:?} was expected to be {expectation:?}, its last event is {last:?}; read it and decide again",
        String::from_utf8_lossy(stream)
    )]
    Unexpected {
        /// The stream.
        stream: Vec<u8>,
        /// What was expected.
        expectation: crate::Expectation,
        /// Place of the stream's last event.
        last: Option<u64>,
    },
    /// Another request was accepted under the same idempotency key.
    #[error(
        "another request was accepted under this idempotency key, at event {first_sequence}; use another key"
    )]
    IdempotencyConflict {
        /// The first event of that request.
        first_sequence: u64,
    },
    /// Gates denied the batch.
    #[error("{} gates denied the batch, first {}", outcomes.denied().len(), outcomes.denied().first().map_or_else(String::new, |denial| format!("{}: {} ({})", denial.gate(), denial.message(), denial.code())))]
    Denied {
        /// What each gate said.
        outcomes: Box<crate::GateOutcomes>,
        /// The denial, if it was to be recorded.
        recorded: Option<Box<crate::Receipt>>,
    },
    /// Gates that cannot be evaluated together.
    #[error(transparent)]
    Gates(#[from] crate::GatesError),
    /// A head that is not of this journal's history.
    #[error("{}: its history is not that of the head over {frame_count} frames (up to event {end_sequence}) that was given or kept: the journal was rewritten or cut off since, or the head is of another journal; compare with a copy, and find out who could write to it", folder.display())]
    Rewritten {
        /// The journal.
        folder: PathBuf,
        /// Frames that the head covers.
        frame_count: u64,
        /// Where the head's history ends.
        end_sequence: u64,
    },
    /// Whoever was told of the progress ended the work.
    #[error("interrupted")]
    Interrupted,
    /// A head was to be signed without a key.
    #[error("the journal was opened without a signing key; give one in its options")]
    NoSigningKey,
    /// Heads or proofs that do not fit.
    #[error(transparent)]
    Proof(#[from] crate::ProofError),
    /// Kinds that clash.
    #[error(transparent)]
    Kinds(#[from] crate::KindsError),
    /// A payload that is not of the kind that was asked for.
    #[error(transparent)]
    Kind(#[from] crate::KindError),
    /// An event that is not there (yet).
    #[error("there is no event {sequence}: the journal ends before {end}")]
    NoSuchEvent {
        /// What was asked for.
        sequence: u64,
        /// Every event is below.
        end: u64,
    },
    /// An event that was dropped.
    #[error(
        "event {sequence} was dropped with those from {first} to {end} (not included): {reason}"
    )]
    Dropped {
        /// What was asked for.
        sequence: u64,
        /// The first that was dropped.
        first: u64,
        /// First sequence behind those that were dropped.
        end: u64,
        /// Why.
        reason: String,
    },
    /// An extent that was dropped while the event that adopted it stays.
    #[error(
        "the extent at byte {offset} of data segment {segment} was dropped when data segments were rewritten; the event that adopted it stays, its content is gone"
    )]
    ExtentDropped {
        /// The data segment that the event names.
        segment: u32,
        /// Where it was there, in bytes.
        offset: u64,
    },
    /// A data segment that is not there.
    #[error(
        "data segment {segment} is not there: it was rewritten, or never was; look up again where what it held is now"
    )]
    SegmentGone {
        /// The data segment.
        segment: u32,
    },
    /// An index that was not declared when the journal was created.
    #[error("the journal keeps no index by {index}; it is declared when a journal is created")]
    NoIndex {
        /// By what.
        index: &'static str,
    },
    /// The control page cannot be used.
    #[error(transparent)]
    Control(#[from] crate::ControlError),
    /// A checkpoint does not fit the journal.
    #[error(
        "{}: stands at event {end_sequence}, but {why}: the journal was replaced, was rewritten, or has lost what was consumed; restore the journal that was followed, or begin anew at a position that you choose",
        path.display()
    )]
    Diverged {
        /// The checkpoint.
        path: PathBuf,
        /// Every event below was consumed.
        end_sequence: u64,
        /// What does not fit.
        why: &'static str,
    },
    /// A checkpoint is of another query, or of something of another name.
    #[error("{}: was made for another query; use another name, or remove it", path.display())]
    OtherQuery {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Somebody else uses a cursor, or saves a checkpoint of the same projection.
    #[error("{}: somebody else holds it; end them, or use another name", path.display())]
    Taken {
        /// The lock.
        path: PathBuf,
    },
    /// A payload or a state that does not decode.
    #[error(transparent)]
    Payload(#[from] crate::PayloadError),
    /// A projection cannot take an event; its state is as of its last checkpoint.
    #[error("projection {name:?} cannot take event {sequence}: {source}")]
    Projection {
        /// The projection.
        name: &'static str,
        /// The event.
        sequence: u64,
        /// Why.
        source: Box<Error>,
    },
}

impl Error {
    /// Whether a file is not there: another process may have replaced it, and what named it is to be
    /// loaded again.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_absent(),
            Self::SegmentGone { .. } => true,
            _ => false,
        }
    }
}
