//! What every store has to do, and who they are.
//!
//! A subject is an open store of a [`Contender`]. It takes events from a [`Workload`] by their
//! number, and is asked for them by sequence: the number of the event, as numbers are appended in
//! order from 0 (but by [`Subject::append_durably`], where threads come as they do).
//!
//! Every peer runs with the settings that favour it; its file says which. `fjall` and `redb` keep
//! an event under its sequence, with the stream as part of the value: no index by stream, no chain,
//! no digest. That is less than an event store does, and it is their best case.

mod batpak;
mod fjall;
mod journal;
mod redb;

use std::{fmt, ops::Range, path::Path, sync::Arc};

use crate::{Failure, workload::Workload};

/// An open store.
pub(crate) trait Subject: Send + Sync {
    /// Appends events one by one, without waiting for each; all are with the operating system, or
    /// can be read at least, when it returns. None has to be durable.
    fn append_singly(&self, events: Range<u64>) -> Result<(), Failure>;

    /// The same in batches of [`crate::workload::BATCH_EVENTS`], each of which is atomic.
    fn append_batches(&self, events: Range<u64>) -> Result<(), Failure>;

    /// Appends events as one batch and returns when they are durable. Many threads call it.
    fn append_durably(&self, events: Range<u64>) -> Result<(), Failure>;

    /// Makes everything durable that was appended.
    fn sync(&self) -> Result<(), Failure>;

    /// Readies point reads and pages of the first `events` events, as far as that is not part of
    /// them.
    fn ready_to_read(&self, events: u64) -> Result<(), Failure>;

    /// Reads an event and returns what `look` makes of its payload.
    fn read(&self, sequence: u64, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure>;

    /// Reads all events in order, with their payloads, and returns how many there are.
    fn drain(&self, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure>;

    /// Reads a page of `count` events, with their payloads, and returns how many there are.
    fn page(&self, first: u64, count: u64, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure>;

    /// Verifies everything, on this thread, where [`Contender::verifies`]; returns the bytes of its
    /// own that it looked at, if it says how many.
    fn verify(&self) -> Result<Option<u64>, Failure>;

    /// Closes cleanly.
    fn close(self: Box<Self>) -> Result<(), Failure>;
}

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    Journal,
    Batpak,
    Fjall,
    Redb,
}

/// All of them; whom the others are compared with comes first.
pub(crate) const ALL: [Contender; 4] =
    [Contender::Journal, Contender::Batpak, Contender::Fjall, Contender::Redb];

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Journal => "journal",
            Self::Batpak => "batpak",
            Self::Fjall => "fjall",
            Self::Redb => "redb",
        })
    }
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Best for appends without sync, and for everything else that is not durable.
    Buffered,
    /// The same, and nothing is tidied up in the background where that can be chosen.
    Unsealed,
    /// Best for threads that wait for the disk, in one of its ways.
    Durable(&'static str),
}

impl Contender {
    /// Ways to append durably, the settings of which differ; each has a name.
    pub(crate) fn durable_modes(self) -> &'static [DurableMode] {
        match self {
            Self::Journal => &journal::DURABLE_MODES,
            Self::Batpak => &batpak::DURABLE_MODES,
            Self::Fjall => &fjall::DURABLE_MODES,
            Self::Redb => &redb::DURABLE_MODES,
        }
    }

    /// Whether it has a chain, or digests, of all it holds.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::Journal | Self::Batpak)
    }

    /// What to know about its batches.
    pub(crate) fn batch_note(self) -> &'static str {
        match self {
            Self::Batpak => "syncs every batch; that cannot be turned off",
            Self::Journal | Self::Fjall | Self::Redb => "",
        }
    }

    /// Appends in the faster of the two ways.
    pub(crate) fn fill(self, subject: &dyn Subject, events: Range<u64>) -> Result<(), Failure> {
        match self {
            Self::Batpak => subject.append_singly(events),
            Self::Journal | Self::Fjall | Self::Redb => subject.append_batches(events),
        }
    }

    /// Opens the store in this folder, which it makes if it is absent.
    pub(crate) fn open(
        self,
        folder: &Path,
        workload: &Arc<Workload>,
        mode: Mode,
    ) -> Result<Box<dyn Subject>, Failure> {
        let workload = Arc::clone(workload);
        Ok(match self {
            Self::Journal => Box::new(journal::Store::open(folder, workload, mode)?),
            Self::Batpak => Box::new(batpak::Store::open(folder, workload, mode)?),
            Self::Fjall => Box::new(fjall::Store::open(folder, workload)?),
            Self::Redb => Box::new(redb::Store::open(folder, workload)?),
        })
    }
}

/// A way to append durably.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DurableMode {
    pub(crate) name: &'static str,
    /// Events that a thread appends at once. More than one: what a caller could reach that gathered
    /// the events of its threads at no cost; one thread does it.
    pub(crate) events_at_once: u64,
}

/// Parts of a range, each of so many events but the last.
fn batches(events: Range<u64>, batch_events: u64) -> impl Iterator<Item = Range<u64>> {
    let end = events.end;
    events
        .step_by(usize::try_from(batch_events).expect("a batch fits in memory"))
        .map(move |first| first..(first + batch_events).min(end))
}

/// What the key-value stores keep of an event: the stream's length in a byte, the stream, the
/// payload.
fn value_of(workload: &Workload, event: u64, value: &mut Vec<u8>) {
    let stream = workload.stream(event).as_bytes();
    value.clear();
    value.push(u8::try_from(stream.len()).expect("streams of the workload are short"));
    value.extend_from_slice(stream);
    value.extend_from_slice(workload.payload(event));
}

/// The payload in such a value.
fn payload_of(value: &[u8]) -> &[u8] {
    &value[1 + usize::from(value[0])..]
}

/// Those that are asked for, in the order of [`ALL`]; all, if none is named.
pub(crate) fn chosen(only: &[Contender]) -> impl Iterator<Item = Contender> {
    ALL.into_iter().filter(move |contender| only.is_empty() || only.contains(contender))
}

#[cfg(test)]
mod tests;
