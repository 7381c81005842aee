//! Restoring: much content that becomes a base point at once, or not at all (rules R8 and R20).
//!
//! 1. [`Restoring`] begins a bulk session of the journal, which is durable before its first file is
//!    made.
//! 2. Threads write records with [`RecordWriter`]s, and other content with [`ContentWriter`]s. Writers
//!    open nothing once they are made: a thread can use one that may do nothing but write to its
//!    descriptors.
//! 3. Complete runs of the records that count are written.
//! 4. When everything is durable, one event adopts all of it.
//!
//! Dropped before that, or after a crash, nothing of it counts and its files are removed.
//!
//! What it does *not* do: know archives, or which of the records count.

use std::os::fd::RawFd;

use icecore_journal::{BulkSession, BulkWriter, Digest, Extent};
use icecore_types::{AccountRef, Hash, Pubkey, Slot};

use crate::{
    BaseFacts, BaseFit, Error, Locator, Origin, RecordSeed, SlotId, Store, Version,
    run::{RunHeader, RunInfo, RunKind, RunStore, RunWriter},
};

/// Data segments that are made for one writer, at most. The last one takes up to 32 GiB, so that more
/// can be written than was expected.
const SEGMENTS_MAX: u64 = 48;

/// A restore under way.
#[derive(Debug)]
pub struct Restoring<'s> {
    pub(crate) store: &'s Store,
    pub(crate) session: BulkSession,
    slot: Slot,
    /// The chain up to here knows nothing of the restore.
    sequence: u64,
    digest: Digest,
    runs: RunFiles<'s>,
}

/// Run files that were made, removed when this is dropped.
#[derive(Debug)]
struct RunFiles<'s> {
    store: &'s Store,
    ids: Vec<u32>,
}

impl Drop for RunFiles<'_> {
    fn drop(&mut self) {
        // What is left is removed when the store is opened next.
        self.store.remove_runs(&self.ids);
    }
}

/// Writes records, on one thread. To be finished or dropped before the restore is adopted.
#[derive(Debug)]
pub struct RecordWriter {
    writer: BulkWriter,
    seed: RecordSeed,
    slot: Slot,
}

/// Writes one piece of content from front to back, on one thread. To be finished or dropped before the
/// restore is adopted.
#[derive(Debug)]
pub struct ContentWriter {
    writer: BulkWriter,
}

/// Records that were written by one writer.
#[derive(Debug)]
pub struct Records {
    pub(crate) extents: Vec<Extent>,
}

/// Content that was written.
#[derive(Debug)]
pub struct Content {
    pub(crate) extent: Extent,
}

/// What a restore brings.
#[derive(Debug)]
pub struct Adopted {
    /// The bank and its accounts.
    pub facts: BaseFacts,
    /// All records that runs lead to, and perhaps others.
    pub records: Vec<Records>,
    /// The manifest, as it stands in the archive.
    pub manifest: Content,
    /// The status cache, as it stands in the archive.
    pub status_cache: Content,
    /// What was said of the archives.
    pub verdict: Vec<u8>,
    /// The run of all live accounts by pubkey.
    pub by_pubkey: RunInfo,
    /// The one by owner and pubkey, if the store keeps that order.
    pub by_owner: Option<RunInfo>,
}

impl<'s> Restoring<'s> {
    pub(crate) fn begin(
        store: &'s Store,
        slot: Slot,
        session: BulkSession,
        (sequence, digest): (u64, Digest),
    ) -> Self {
        let runs = RunFiles { store, ids: Vec::new() };
        Self { store, session, slot, sequence, digest, runs }
    }

    /// The slot that all restored versions count for.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether the store has a place for the state, which has this bank hash.
    ///
    /// # Errors
    /// [`Error::BaseRefused`] when it holds that state, another one of the slot, or only later ones.
    pub fn check(&self, bank_hash: &Hash) -> Result<(), Error> {
        match self.store.check_base(self.slot, bank_hash)? {
            BaseFit::New => Ok(()),
            BaseFit::Held => Err(Error::BaseRefused {
                slot: self.slot,
                why: "the store holds this state already".to_string(),
            }),
        }
    }

    /// What its runs belong to.
    pub fn run_store(&self) -> RunStore {
        self.store.run_store()
    }

    /// Whether a run by owner is wanted.
    pub fn owner_order(&self) -> bool {
        self.store.has_owner_order()
    }

    /// The owners whose accounts are kept; none: all accounts are.
    pub fn kept_owners(&self) -> &[Pubkey] {
        self.store.kept_owners()
    }

    /// Writers of records, for about so many bytes together.
    ///
    /// # Errors
    /// What the disk said.
    pub fn writers(&self, count: usize, bytes: u64) -> Result<Vec<RecordWriter>, Error> {
        // One more than is expected, since no two writers get the same.
        let segments = bytes / count.max(1) as u64 / self.store.data_segment_bytes_max() + 2;
        let segments = segments.min(SEGMENTS_MAX) as usize;
        let writer = |_| -> Result<RecordWriter, Error> {
            let writer = self.session.writer(segments)?;
            Ok(RecordWriter { writer, seed: self.run_store().seed, slot: self.slot })
        };
        (0..count).map(writer).collect()
    }

    /// A writer of one piece of content of any length.
    ///
    /// # Errors
    /// What the disk said.
    pub fn content(&self) -> Result<ContentWriter, Error> {
        Ok(ContentWriter { writer: self.session.writer(1)? })
    }

    /// A complete run of the restored slot, to be filled.
    ///
    /// # Errors
    /// What the disk said.
    pub fn run<const K: usize>(&mut self) -> Result<RunWriter<K>, Error> {
        let (id, path) = self.store.new_run();
        self.runs.ids.push(id);
        let (sequence, digest) = (self.sequence, self.digest);
        let header = RunHeader { id, kind: RunKind::Complete, to: self.slot, sequence, digest };
        RunWriter::create(self.store.disk(), &path, self.run_store(), header, 0)
    }

    /// Makes durable what finished writers have written, while other work goes on; adoption is sure to
    /// do it again.
    ///
    /// # Errors
    /// What the disk said.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.session.sync()?)
    }

    /// Gives up: nothing of it counts, and its files are removed.
    ///
    /// # Errors
    /// What the disk said; what is left is removed when the store is opened next.
    pub fn abort(self) -> Result<(), Error> {
        Ok(self.session.abort()?)
    }

    /// Adopts everything as a base point, durably.
    ///
    /// # Errors
    /// What the disk said; then nothing is adopted.
    pub fn adopt(mut self, adopted: Adopted) -> Result<SlotId, Error> {
        let mut content = self.content()?;
        content.write(&adopted.verdict)?;
        let verdict = content.finish()?;
        let extents = adopted.records.iter().flat_map(|records| &records.extents);
        let behind = [&adopted.manifest, &adopted.status_cache, &verdict];
        let extents: Vec<_> =
            extents.copied().chain(behind.map(|content| content.extent)).collect();
        let shared = &self.store.shared;
        let base = shared.adopt_base(&mut self.session, &adopted, &extents);
        let may_be_adopted = match &base {
            Ok(_) => true,
            // Then nobody can say before the next open, which removes what nobody names.
            Err(Error::Journal(error)) => matches!(error, icecore_journal::Error::Poisoned { .. }),
            Err(_) => false,
        };
        if may_be_adopted {
            let by_owner = adopted.by_owner.map(|run| run.id);
            self.runs.ids.retain(|id| *id != adopted.by_pubkey.id && Some(*id) != by_owner);
        }
        base
    }
}

impl RecordWriter {
    /// The descriptors that it writes to; none on a simulated disk.
    pub fn raw_fds(&self) -> &[RawFd] {
        self.writer.raw_fds()
    }

    /// Writes a record: the account as it counts for the restored slot, last written in another.
    ///
    /// # Errors
    /// What the disk said, and when all segments are full.
    pub fn write(&mut self, account: &AccountRef<'_>, written: Slot) -> Result<Locator, Error> {
        let version = Version {
            slot: self.slot,
            origin: Origin::Restored { written },
            previous_owner: None,
            account: *account,
        };
        let bytes = version.record_bytes();
        let space = self.writer.space(bytes)?;
        let place = (space.segment, space.offset);
        version.encode(self.seed, place, space.bytes);
        self.writer.commit(bytes)?;
        Ok(version.locator(place.0, place.1))
    }

    /// All records are written.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(mut self) -> Result<Records, Error> {
        Ok(Records { extents: self.writer.finish()? })
    }
}

impl ContentWriter {
    /// The descriptors that it writes to; none on a simulated disk.
    pub fn raw_fds(&self) -> &[RawFd] {
        self.writer.raw_fds()
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// What the disk said.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.writer.write(bytes)?)
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(mut self) -> Result<Content, Error> {
        if self.writer.end_extent()?.is_none() {
            self.writer.write(&[])?;
        }
        let extents = self.writer.finish()?;
        let [extent] = extents[..] else {
            unreachable!("a writer of one segment makes one extent")
        };
        Ok(Content { extent })
    }
}
