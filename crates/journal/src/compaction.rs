//! Rewriting data segments, so that the room of extents that no event adopts any more comes back
//! (rule R17).
//!
//! 1. *Choose*: all events are looked at; what none of them adopts in a sealed segment is garbage. The
//!    segments with the largest share of it are rewritten.
//! 2. *Close*: from here on no event can adopt an extent of these segments; what was accepted before is
//!    made durable. So the second look at all events finds everything that is alive.
//! 3. *Copy*: what is kept is verified as it is read, and written to new segments. Each ends with a
//!    directory ([`directory`]): where the extents lie that events know by their old place.
//! 4. *Decide*: all files are synced; then one durable event ([`CompactionRecord`]) adopts the
//!    directories and says what replaces what.
//! 5. *Exchange*: the manifest says the same, and lists the old files as retired (see
//!    `keeping::retire`). If a crash comes between, the next open does it.
//!
//! It works beside the writer. Events and their digests stay as they are: whoever reads an extent is
//! led to where it is now. What an event did not adopt when its segment was closed can no longer be
//! adopted.
//!
//! What it does *not* do: look at segments that are written to, or at those of unfinished bulk
//! sessions. Files that were written and not decided upon are sealed segments full of garbage after
//! the next open, and go with the next compaction.

mod directory;
mod locate;
mod output;
mod plan;
mod record;

use std::{collections::BTreeSet, sync::Arc};

pub use record::CompactionRecord;

use crate::{
    Batch, Digest, Durability, Error, Event, Extent, Journal, NewEvent,
    append::Conditions,
    extents::room::list,
    format::manifest::{DataSegment, Retired},
    journal::Shared,
    kinds::reserved,
};

/// The stream of the events that say which data segments were rewritten
/// ([`reserved::COMPACTED`], [`CompactionRecord`]).
pub const COMPACTIONS_STREAM: &[u8] = b"journal/compactions";

/// Data segments that are rewritten at a time, at most.
const INPUTS_MAX: usize = 64;

/// Extents that are moved at a time, about: they are in memory, some 100 bytes each.
const EXTENTS_MAX: u64 = 1 << 20;

/// What becomes of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtentFate {
    /// It is kept.
    Keep,
    /// It goes; reading it gives [`Error::ExtentDropped`].
    Drop,
    /// It is replaced by these bytes. The event keeps the digest of what it adopted; that of the new
    /// bytes is in the directory, which the event about the compaction adopts.
    Rewrite(Vec<u8>),
}

/// Decides what becomes of an extent that an event has adopted.
pub type DecideExtent<'a> = dyn Fn(&Event, &Extent) -> ExtentFate + 'a;

/// Which data segments are rewritten, and what of them is kept.
#[derive(Clone)]
pub struct CompactionRule<'a> {
    /// These segments; `None`: those with the largest share of garbage.
    pub segments: Option<&'a [u32]>,
    /// Without `segments`: only those of which so many percent or more are garbage.
    pub garbage_percent_min: u64,
    /// Segments are chosen until so many bytes have to be copied.
    pub bytes_max: u64,
    /// What becomes of an extent that an event has adopted; `None`: all are kept. If several events
    /// have adopted it, the one that wants to keep most decides.
    pub decide: Option<&'a DecideExtent<'a>>,
    /// A figure of the caller's that is recorded: up to where it has decided.
    pub horizon: u64,
}

impl Default for CompactionRule<'_> {
    fn default() -> Self {
        Self {
            segments: None,
            garbage_percent_min: 50,
            bytes_max: u64::MAX,
            decide: None,
            horizon: 0,
        }
    }
}

/// What was rewritten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Data segments that were replaced.
    pub inputs: Vec<u32>,
    /// Those that replaced them.
    pub outputs: Vec<u32>,
    /// Bytes of the former.
    pub bytes_before: u64,
    /// Bytes of the latter.
    pub bytes_after: u64,
    /// Extents that were kept.
    pub kept: u64,
    /// Extents that were replaced by other bytes.
    pub rewritten: u64,
    /// Extents that events had adopted and that are gone.
    pub dropped: u64,
}

impl Journal {
    /// Rewrites data segments; does nothing when the rule chooses none.
    ///
    /// # Errors
    /// [`Error::Unfit`] when a segment is named that cannot be rewritten; [`Error::Corrupt`] when what
    /// is to be kept is not what was written; what the disk said. Nothing has changed then, or the
    /// next call or the next open ends what was decided.
    pub fn compact_data(&self, rule: &CompactionRule<'_>) -> Result<Compacted, Error> {
        self.shared.compact_data(rule)
    }
}

/// Segments whose extents no event can adopt any more, unless rewriting them is given up.
struct Closed<'a> {
    shared: &'a Shared,
    ids: Vec<u32>,
    is_final: bool,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if !self.is_final {
            let mut accept = self.shared.accept();
            accept.closed_data.retain(|id| !self.ids.contains(id));
        }
    }
}

impl Shared {
    fn compact_data(self: &Arc<Self>, rule: &CompactionRule<'_>) -> Result<Compacted, Error> {
        let mut retiring = self.retiring();
        self.watermarks.check()?;
        self.exchange_decided()?;
        let ids = self.choose(rule)?;
        if ids.is_empty() {
            return Ok(Compacted::default());
        }
        let mut closed = self.close_data(ids);
        self.sync_all()?;
        let live = self.find_live(&closed.ids, rule)?;
        let inputs: Vec<_> = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            let chosen = manifest.data.iter().filter(|data| closed.ids.contains(&data.id));
            chosen.map(|data| (data.id, data.bytes)).collect()
        };
        let (files, mut compacted) = self.with_reserve(|| self.write_outputs(&live))?;
        compacted.inputs = inputs.iter().map(|(id, _)| *id).collect();
        compacted.bytes_before = inputs.iter().map(|(_, bytes)| bytes).sum();
        let directories: Vec<Extent> = files.iter().map(|file| file.directory).collect();
        let record = CompactionRecord {
            time: self.disk.now(),
            horizon: rule.horizon,
            inputs,
            outputs: files.iter().map(|file| file.file).collect(),
        };
        // From here on it is decided: the segments stay closed even if what follows fails.
        closed.is_final = true;
        let payload = record.encode();
        let event = NewEvent::new(COMPACTIONS_STREAM, reserved::COMPACTED, &payload);
        let event =
            NewEvent { payload_version: CompactionRecord::VERSION, extents: &directories, ..event };
        let batch = Batch::of(&event)?;
        self.with_reserve(|| {
            self.submit(&batch, Conditions::default(), Vec::new())?.wait(Durability::Durable)
        })?;
        self.exchange_data(&record)?;
        self.remove_unread(&mut retiring)?;
        Ok(compacted)
    }

    /// From here on no event can adopt extents of these segments.
    fn close_data(&self, ids: Vec<u32>) -> Closed<'_> {
        self.accept().closed_data.extend(&ids);
        Closed { shared: self, ids, is_final: false }
    }

    /// The manifest says what an event has decided.
    fn exchange_data(&self, record: &CompactionRecord) -> Result<(), Error> {
        let mut carried = Vec::new();
        for output in &record.outputs {
            carried.push((output.segment, self.carried_segments(output)?));
        }
        let inputs: BTreeSet<u32> = record.inputs.iter().map(|(id, _)| *id).collect();
        let mut unnamed = BTreeSet::new();
        self.change_manifest(|manifest| {
            for output in &record.outputs {
                list(
                    manifest,
                    DataSegment {
                        id: output.segment,
                        session: 0,
                        bytes: output.bytes,
                        is_sealed: true,
                        replaced_by: Vec::new(),
                    },
                );
            }
            for data in &mut manifest.data {
                let is_moved = data.replaced_by.iter().any(|id| inputs.contains(id));
                if !is_moved && !inputs.contains(&data.id) {
                    continue;
                }
                data.replaced_by.retain(|id| !inputs.contains(id));
                let now = carried.iter().filter(|(_, carried)| carried.contains(&data.id));
                data.replaced_by.extend(now.map(|(output, _)| *output));
                if data.replaced_by.is_empty() && !inputs.contains(&data.id) {
                    unnamed.insert(data.id);
                }
            }
            // Of what was replaced before, no event names anything any more.
            manifest.data.retain(|data| !unnamed.contains(&data.id));
            let number = manifest.number + 1;
            manifest.retired.extend(record.inputs.iter().map(|(id, bytes)| Retired {
                id: *id,
                replaced_by: 0,
                number,
                bytes: *bytes,
                digest: Digest::ZERO,
            }));
        })?;
        self.show_data();
        Ok(())
    }

    /// Does what the last compaction has decided and has not come to.
    fn exchange_decided(&self) -> Result<(), Error> {
        let id = self.identity.keys.stream_id(COMPACTIONS_STREAM);
        let Some(event) = self.last_in_stream(&id, COMPACTIONS_STREAM)? else { return Ok(()) };
        let record = CompactionRecord::decode(event.payload())
            .map_err(|malformed| malformed.in_file(&self.folder, event.sequence()))?;
        let is_done = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            // What was exchanged is retired, replaced, or forgotten.
            let is_pending = |id: u32| {
                let data = manifest.data.iter().find(|data| data.id == id);
                data.is_some_and(|data| data.replaced_by.is_empty())
                    && !manifest.retired.iter().any(|retired| retired.id == id)
            };
            !record.inputs.iter().any(|(id, _)| is_pending(*id))
        };
        if is_done {
            return Ok(());
        }
        self.accept().closed_data.extend(record.inputs.iter().map(|(id, _)| *id));
        self.exchange_data(&record)
    }

    /// After an open: ends a compaction that was decided.
    pub(crate) fn finish_compaction(&self) -> Result<(), Error> {
        let mut retiring = self.retiring();
        self.exchange_decided()?;
        self.remove_unread(&mut retiring)
    }
}
