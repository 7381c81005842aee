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
use icecore_types::{AccountRef, DATA_BYTES_MAX, Hash, Pubkey, Slot};

use crate::{
    BaseFacts, BaseFit, Error, KeptBase, Locator, Origin, RecordSeed, SlotId, Store, Version,
    record::HEADER_BYTES,
    run::{RunHeader, RunInfo, RunKind, RunStore, RunWriter},
};

/// Data segments of the usual size that are made for one writer, at most. All are made beforehand;
/// each has two descriptors, and a filter of system calls that names them has 4096 instructions.
const SEGMENTS_MAX: u64 = 24;

/// The same for all writers together, so that they leave descriptors to others of the 1024 that a
/// process usually has.
const SEGMENTS_OF_ALL_MAX: u64 = 256;

/// What a writer's last segment takes for sure: the journal lets it grow up to 32 GiB, with the list
/// of digests of its extent, a 2048th of it.
const LAST_SEGMENT_BYTES: u64 = 31 << 30;

/// Segments of that size besides, at most: for 1.2 TB that one writer writes.
const LAST_SEGMENTS_MAX: usize = 40;

/// Bytes of the longest record that is restored.
const RECORD_BYTES_MAX: u64 = HEADER_BYTES as u64 + DATA_BYTES_MAX;

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
    /// What it takes for sure.
    room_bytes: u64,
    /// For what is more than that; each has one large segment.
    spare: Vec<BulkWriter>,
    /// Of the writers before.
    extents: Vec<Extent>,
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

    /// Writers of records, for about so many bytes together. Each takes some times as much: nobody
    /// knows who will get how many.
    ///
    /// # Errors
    /// What the disk said.
    pub fn writers(&self, count: usize, bytes: u64) -> Result<Vec<RecordWriter>, Error> {
        let plan = WriterPlan::of(count as u64, bytes, self.store.data_segment_bytes_max());
        let writer = |_| -> Result<RecordWriter, Error> {
            let spare = (0..plan.spare).map(|_| self.session.writer(1));
            Ok(RecordWriter {
                writer: self.session.writer(plan.segments)?,
                room_bytes: plan.room_bytes,
                spare: spare.collect::<Result<_, _>>()?,
                extents: Vec::new(),
                seed: self.run_store().seed,
                slot: self.slot,
            })
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
    pub fn adopt(self, adopted: Adopted) -> Result<SlotId, Error> {
        self.adopt_with(&adopted, None, None)
    }

    /// The same where records were written of accounts that are closed. `closed` has their addresses,
    /// 32 bytes each, going upward: who makes runs anew has to know. With `base` the state was built on
    /// that base point: its runs also lead to that one's records.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub fn adopt_closing(
        self,
        adopted: Adopted,
        closed: Content,
        base: Option<&KeptBase<'_>>,
    ) -> Result<SlotId, Error> {
        self.adopt_with(&adopted, Some(closed), base.map(KeptBase::event))
    }

    fn adopt_with(
        mut self,
        adopted: &Adopted,
        closed: Option<Content>,
        built_on: Option<u64>,
    ) -> Result<SlotId, Error> {
        let mut content = self.content()?;
        content.write(&adopted.verdict)?;
        let verdict = content.finish()?;
        let extents = adopted.records.iter().flat_map(|records| &records.extents);
        let behind = [&adopted.manifest, &adopted.status_cache, &verdict];
        let behind = behind.into_iter().chain(&closed).map(|content| content.extent);
        let mut extents: Vec<_> = extents.copied().collect();
        let records = extents.len();
        extents.extend(behind);
        let shared = &self.store.shared;
        let base = shared.adopt_base(&mut self.session, adopted, &extents, records, built_on);
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

/// What is made for one writer.
#[derive(Debug, PartialEq, Eq)]
struct WriterPlan {
    /// Of the usual size; the last one can grow.
    segments: usize,
    /// What they take for sure.
    room_bytes: u64,
    /// Large segments besides.
    spare: usize,
}

impl WriterPlan {
    /// For each of `count` that write about so many bytes of records together.
    fn of(count: u64, bytes: u64, segment_bytes_max: u64) -> Self {
        let bytes = bytes / count.max(1);
        let segments_max = (SEGMENTS_OF_ALL_MAX / count.max(1)).clamp(1, SEGMENTS_MAX);
        // Behind what is expected another one, which can grow.
        let segments = (bytes / segment_bytes_max + 2).min(segments_max);
        // A record never lies in two segments.
        let segment_bytes = segment_bytes_max.saturating_sub(RECORD_BYTES_MAX);
        let room_bytes = (segments - 1) * segment_bytes + LAST_SEGMENT_BYTES;
        let more_bytes = bytes.saturating_mul(2).saturating_sub(room_bytes);
        let spare = more_bytes.div_ceil(LAST_SEGMENT_BYTES).min(LAST_SEGMENTS_MAX as u64);
        Self { segments: segments as usize, room_bytes, spare: spare as usize }
    }
}

impl RecordWriter {
    /// The descriptors that it writes to; none on a simulated disk.
    pub fn raw_fds(&self) -> Vec<RawFd> {
        let writers = [&self.writer].into_iter().chain(&self.spare);
        writers.flat_map(BulkWriter::raw_fds).copied().collect()
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
        self.make_room(bytes as u64)?;
        let space = self.writer.space(bytes)?;
        let place = (space.segment, space.offset);
        version.encode(self.seed, place, space.bytes);
        self.writer.commit(bytes)?;
        Ok(version.locator(place.0, place.1))
    }

    /// Goes on with a spare writer when it may be that this one has no room.
    fn make_room(&mut self, bytes: u64) -> Result<(), Error> {
        if bytes > self.room_bytes
            && let Some(next) = self.spare.pop()
        {
            self.extents.append(&mut self.writer.finish()?);
            (self.writer, self.room_bytes) = (next, LAST_SEGMENT_BYTES);
        }
        self.room_bytes = self.room_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// All records are written.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(mut self) -> Result<Records, Error> {
        self.extents.append(&mut self.writer.finish()?);
        Ok(Records { extents: self.extents })
    }
}

impl ContentWriter {
    /// The descriptors that it writes to; none on a simulated disk.
    pub fn raw_fds(&self) -> Vec<RawFd> {
        self.writer.raw_fds().to_vec()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateOptions, Options};

    #[test]
    fn a_writer_whose_room_ends_goes_on_in_a_spare_segment() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store");
        let store = Store::create(path, &CreateOptions::default(), Options::default());
        let store = store.expect("made");
        let restoring = store.begin_restore(7).expect("begun");
        let mut writers = restoring.writers(1, 0).expect("made");
        let mut writer = writers.pop().expect("one");
        writer.room_bytes = 100 << 10;
        writer.spare = (0..2).map(|_| restoring.session.writer(1).expect("made")).collect();
        let mut locators = Vec::new();
        for number in 0..2000u32 {
            let mut pubkey = Pubkey([3; 32]);
            pubkey.0[..4].copy_from_slice(&number.to_le_bytes());
            let account = AccountRef {
                pubkey: &pubkey,
                lamports: 1,
                owner: &Pubkey([4; 32]),
                executable: false,
                rent_epoch: 0,
                data: &[5; 100],
            };
            locators.push(writer.write(&account, 6).expect("written"));
            if number == 1000 {
                writer.room_bytes = 100 << 10;
            }
        }
        let records = writer.finish().expect("finished");
        assert_eq!(records.extents.len(), 3, "one of each writer");
        for locator in &locators {
            let holds = |extent: &&Extent| {
                extent.segment == locator.segment()
                    && (extent.offset..extent.offset + extent.bytes).contains(&locator.offset())
            };
            assert_eq!(records.extents.iter().filter(holds).count(), 1);
        }
        let distinct: std::collections::BTreeSet<_> = locators.iter().collect();
        assert_eq!(distinct.len(), locators.len());
    }

    #[test]
    fn writers_take_twice_what_is_expected_of_them_with_few_descriptors() {
        let segment_bytes = 256 << 20;
        for count in [1, 2, 8, 32] {
            for bytes in [0, 1 << 20, 10 << 30, 100 << 30, 600 << 30] {
                let plan = WriterPlan::of(count, bytes, segment_bytes);
                let takes = plan.room_bytes + plan.spare as u64 * LAST_SEGMENT_BYTES;
                assert!(count * takes >= 2 * bytes, "{count} with {bytes}: {plan:?}");
                assert!(plan.segments >= 2, "{plan:?}");
                assert!(plan.segments + plan.spare <= 64, "{plan:?}");
                let all = count as usize * (plan.segments + plan.spare);
                assert!(all <= 320, "{count} with {bytes}: {plan:?}");
            }
        }
        assert_eq!(WriterPlan::of(2, 4 << 30, segment_bytes).spare, 0);
        assert_eq!(WriterPlan::of(1, u64::MAX, segment_bytes).spare, LAST_SEGMENTS_MAX);
    }
}
