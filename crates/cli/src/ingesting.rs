//! Slot feeds into a store, and what is said of it.

use std::{io, ops::ControlFlow};

use icecore_store::{
    Store,
    ingest::{Counters, Ingest, IngestError, IngestOptions, Summary},
};
use icecore_types::{Hash, Slot};
use serde::{Deserialize, Serialize};

use crate::{exit::Failure, feed_input::FeedInput, output::Answer, size::human};

/// What became of a feed, for programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The last final slot.
    root: Slot,
    bank_hash: Hash,
    slots_committed: u64,
    /// Slots that were there already.
    slots_there: u64,
    slots_dead: u64,
    /// Slots that were passed over.
    slots_passed: u64,
    accounts_written: u64,
    rooted: u64,
    abandoned: u64,
    /// Bytes of the feed, uncompressed.
    feed_bytes: u64,
    /// The gap that was recorded: its first and its last slot.
    gap: Option<(Slot, Slot)>,
    /// Whether the slot to stop at was reached.
    pub(crate) stopped: bool,
    /// Whether it was ended by a signal.
    pub(crate) interrupted: bool,
    seconds: f64,
}

/// Ingests a feed. Everything that was taken is durable when it returns, also with an error. `look` is
/// told the bytes read and what was done; `Break` ends the work.
pub(crate) fn ingest(
    store: &Store,
    input: &mut FeedInput,
    options: IngestOptions,
    look: &mut dyn FnMut(u64, &Counters) -> ControlFlow<()>,
) -> Result<Report, Failure> {
    let stopwatch = icecore_disk::Stopwatch::start();
    let fed = feed(store, input, options, look);
    // What came before an error is applied, and may be acted upon.
    let synced = store.sync();
    let (summary, interrupted) = fed?;
    synced?;
    let root = store.root_slot().ok_or(icecore_store::Error::Empty)?;
    let Counters {
        bytes,
        slots_committed,
        slots_there,
        slots_dead,
        slots_passed,
        accounts_written,
        rooted,
        abandoned,
        ..
    } = summary.counters;
    Ok(Report {
        root: root.number,
        bank_hash: root.bank.bank_hash,
        slots_committed,
        slots_there,
        slots_dead,
        slots_passed,
        accounts_written,
        rooted,
        abandoned,
        feed_bytes: bytes,
        gap: summary.gap,
        stopped: summary.is_stopped,
        interrupted,
        seconds: stopwatch.seconds(),
    })
}

/// Gives what was done, and whether it was ended by `look`.
fn feed(
    store: &Store,
    input: &mut FeedInput,
    options: IngestOptions,
    look: &mut dyn FnMut(u64, &Counters) -> ControlFlow<()>,
) -> Result<(Summary, bool), Failure> {
    let mut ingest = Ingest::new(store, options)?;
    let mut is_interrupted = false;
    input.for_each(&mut |bytes_read, bytes| {
        if look(bytes_read, &ingest.counters()).is_break() {
            is_interrupted = true;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ingest.push(bytes)?)
    })?;
    let counters = ingest.counters();
    match ingest.finish() {
        // It was left in the midst of a message, and its open slots are dead all the same.
        Err(IngestError::Feed(_)) if is_interrupted => {
            Ok((Summary { counters, gap: None, is_stopped: false }, true))
        }
        summary => Ok((summary?, is_interrupted)),
    }
}

/// What was done, for a line of progress.
pub(crate) fn counts(counters: &Counters, seconds: f64) -> String {
    let Counters { slots_committed, accounts_written, rooted, .. } = *counters;
    let speed = accounts_written as f64 / seconds.max(1e-3);
    format!("{slots_committed} slots, {rooted} rooted, {speed:.0} accounts/s")
}

impl Report {
    /// Writes it for a person.
    pub(crate) fn display(&self, answer: &mut Answer) -> io::Result<()> {
        answer.line(format!("root {} {}", self.root, self.bank_hash))?;
        answer.line(format!(
            "{} slots committed, {} rooted, {} dead; {} accounts written",
            self.slots_committed, self.rooted, self.slots_dead, self.accounts_written
        ))?;
        if self.slots_there + self.slots_passed > 0 {
            answer.line(format!(
                "{} slots were there already, {} were passed over",
                self.slots_there, self.slots_passed
            ))?;
        }
        if let Some((first, last)) = self.gap {
            answer.line(format!("gap: nothing is known of slots {first} to {last}"))?;
        }
        Ok(())
    }

    /// Speed, for a person.
    pub(crate) fn speed(&self) -> String {
        format!(
            "{} of feed in {:.2} s, {:.0} accounts/s",
            human(self.feed_bytes),
            self.seconds,
            self.accounts_written as f64 / self.seconds.max(1e-3)
        )
    }
}
