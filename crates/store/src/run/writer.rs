//! Writing a run.
//!
//! 1. The header is the first block. Rows become pages ([`super::part`]), which are written as they
//!    are full; their fences, and for a delta run the filter, gather in memory.
//! 2. At the end fences, slots and filter follow, then the footer. The file is synced.
//!
//! Memory: [`BUFFER_BYTES`], one page, a fence of `K` + 8 bytes for each page (0.14 MB for a million
//! rows by pubkey, 0.27 MB by owner, somewhat more for wide rows) and 1.25 bytes for each row of a
//! delta run.
//!
//! What it does *not* do: remove the file of a run that is not finished, or sync the folder.

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, DiskFile};

use super::{
    KeySource, MergedRow, Row, RunHeader, RunInfo, RunKind, RunStore, SlotCommit,
    block::{BLOCK_BYTES, Block, BlockSeed},
    fences,
    filter::Filter,
    header::{ChecksumsDigest, Footer, encode_header},
    key::{Difference, Fence},
    layout::{Counts, Layout},
    page::{Draft, PageView},
    part::{FinishedPart, NothingToRead, PageSink, PageStream},
    slots,
};
use crate::{Error, Locator, SizeClass};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// A run that is being written.
#[derive(Debug)]
pub struct RunWriter<const K: usize> {
    store: RunStore,
    header: RunHeader,
    stream: PageStream<K>,
    output: Output<K>,
}

/// The file so far.
#[derive(Debug)]
struct Output<const K: usize> {
    file: Arc<dyn DiskFile>,
    seed: BlockSeed,
    /// Blocks that are not written yet.
    buffer: Vec<u8>,
    /// Blocks that were given to the buffer.
    blocks: u64,
    checksums: ChecksumsDigest,
    fences: Vec<Fence<K>>,
    filter: Option<Filter>,
}

impl<const K: usize> Output<K> {
    fn put(&mut self, block: &mut Block) -> Result<(), Error> {
        let checksum = self.seed.seal(self.blocks, block);
        self.checksums.add(&checksum);
        self.buffer.extend_from_slice(block);
        self.blocks += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let end = self.blocks * BLOCK_BYTES as u64;
        self.file.write_at(end - self.buffer.len() as u64, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the fences, level by level, until one block leads to all.
    fn put_fences(&mut self) -> Result<(), Error> {
        let mut level = std::mem::take(&mut self.fences);
        let mut block = [0; BLOCK_BYTES];
        while !level.is_empty() {
            let mut above = Vec::with_capacity(level.len() / fences::fences_per_block(K) + 1);
            for fences in level.chunks(fences::fences_per_block(K)) {
                fences::encode(fences, &mut block);
                self.put(&mut block)?;
                above.push(fences[0]);
            }
            level = if above.len() > 1 { above } else { Vec::new() };
        }
        Ok(())
    }

    /// Writes the slots; returns how many.
    fn put_slots(
        &mut self,
        commits: impl IntoIterator<Item = Result<SlotCommit, Error>>,
    ) -> Result<u64, Error> {
        let (mut block, mut count, mut last) = ([0; BLOCK_BYTES], 0, None);
        for commit in commits {
            let commit = commit?;
            assert!(last.is_none_or(|last| last < commit.slot), "slots go upward");
            last = Some(commit.slot);
            if slots::put(&mut block, count, commit) {
                self.put(&mut block)?;
            }
            count += 1;
        }
        if !count.is_multiple_of(slots::SLOTS_PER_BLOCK) {
            self.put(&mut block)?;
        }
        Ok(count)
    }
}

impl<const K: usize> PageSink<K> for Output<K> {
    fn page(&mut self, page: &mut Block, fence: Fence<K>) -> Result<(), Error> {
        if let Some(filter) = &mut self.filter {
            let view = PageView::<K>::new(page).expect("it was encoded");
            (0..view.rows()).for_each(|index| filter.insert(view.hash(index)));
        }
        self.fences.push(fence);
        self.put(page)
    }
}

impl<const K: usize> RunWriter<K> {
    /// Makes the file of a run. A delta or spilled run has room in its filter for `rows_max` rows: more can be
    /// pushed, but then the filter lets more pass.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    ///
    /// # Panics
    /// When a delta run covers no slots.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        store: RunStore,
        header: RunHeader,
        rows_max: u64,
    ) -> Result<Self, Error> {
        const { assert!(K == super::BY_PUBKEY || K == super::BY_OWNER) };
        let filter = match header.kind {
            RunKind::Complete => None,
            RunKind::Delta { after } => {
                assert!(after < header.to, "a delta run covers slots");
                Some(Filter::new(rows_max))
            }
            RunKind::Spilled => Some(Filter::new(rows_max)),
        };
        let mut output = Output {
            file: disk.create(path)?,
            seed: BlockSeed::new(&store.id, K, header.id),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            blocks: 0,
            checksums: ChecksumsDigest::default(),
            fences: Vec::new(),
            filter,
        };
        output.put(&mut encode_header(K, &store, &header))?;
        Ok(Self { store, header, stream: PageStream::new(None), output })
    }

    /// Takes the next row: keys go upward, slots of one key downward. Not behind rows of a merge.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Panics
    /// When the row does not belong behind the one before, or not into this run.
    pub fn push(&mut self, row: &Row<K>) -> Result<(), Error> {
        let draft = Draft::of(&self.store, row);
        self.take(draft, &NothingToRead)
    }

    /// Takes the next row of one merge, with another place of its record if that has moved. Records
    /// are read where the rows of a page need more of their keys than is known.
    ///
    /// # Errors
    /// When the disk refuses, or a record cannot be read.
    ///
    /// # Panics
    /// When the row does not belong behind the one before, or not into this run.
    pub fn push_merged(
        &mut self,
        row: &MergedRow<K>,
        locator: Locator,
        keys: &dyn KeySource<K>,
    ) -> Result<(), Error> {
        let draft = Draft {
            key: row.key,
            hash: row.hash,
            slot: row.slot,
            locator,
            source: row.locator,
            number: Some(row.key_number),
            continues: false,
        };
        self.take(draft, keys)
    }

    fn take(&mut self, draft: Draft<K>, keys: &dyn KeySource<K>) -> Result<(), Error> {
        let class = draft.locator.class();
        assert!(draft.slot <= self.header.to, "rows are of the run's slots");
        match self.header.kind {
            RunKind::Complete => {
                assert!(class != SizeClass::TOMBSTONE && class != SizeClass::DEPARTURE);
            }
            RunKind::Delta { after } => assert!(draft.slot > after, "rows are of the run's slots"),
            RunKind::Spilled => {}
        }
        self.stream.push(draft, keys, &mut self.output)
    }

    /// Takes a part whose keys are all above those that are there.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Panics
    /// When the part does not belong behind what is there, or behind rows of a merge.
    pub fn append(&mut self, mut part: FinishedPart<K>) -> Result<(), Error> {
        let Some((first, last)) = part.ends else { return Ok(()) };
        self.stream.end_page(&NothingToRead, &mut self.output)?;
        let difference = match self.stream.last() {
            None => Difference::At(0),
            Some(before) => before.key.difference(&first.key),
        };
        let Difference::At(at) = difference else { panic!("parts have keys of their own") };
        let is_behind = self.stream.last().is_none_or(|before| before.key.bytes < first.key.bytes);
        assert!(is_behind, "keys go upward");
        part.fences[0] = Fence::between(&first.key, at);
        for (page, fence) in part.pages.as_chunks_mut().0.iter_mut().zip(part.fences) {
            self.output.page(page, fence)?;
        }
        let (rows, keys) = (self.stream.rows + part.rows, self.stream.keys + part.keys);
        self.stream = PageStream::new(Some(last));
        (self.stream.rows, self.stream.keys) = (rows, keys);
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.stream.rows
    }

    /// All rows are there: adds the rooted slots that the run covers, upward, and syncs the file. The
    /// caller syncs the folder. `keys` as for the last rows.
    ///
    /// # Errors
    /// When the disk refuses, or a slot is an error.
    ///
    /// # Panics
    /// When slots do not go upward, or a complete run has several rows of a key.
    pub fn finish(
        self,
        commits: impl IntoIterator<Item = Result<SlotCommit, Error>>,
    ) -> Result<RunInfo, Error> {
        self.finish_merged(commits, &NothingToRead)
    }

    /// As [`Self::finish`], behind rows of a merge.
    ///
    /// # Errors
    /// When the disk refuses, a slot is an error, or a record cannot be read.
    ///
    /// # Panics
    /// When slots do not go upward, or a complete run has several rows of a key.
    pub fn finish_merged(
        mut self,
        commits: impl IntoIterator<Item = Result<SlotCommit, Error>>,
        keys: &dyn KeySource<K>,
    ) -> Result<RunInfo, Error> {
        let output = &mut self.output;
        self.stream.end_page(keys, output)?;
        let is_complete = self.header.kind == RunKind::Complete;
        assert!(!is_complete || self.stream.rows == self.stream.keys, "one row for each key");
        let pages = output.fences.len() as u64;
        output.put_fences()?;
        let slots = output.put_slots(commits)?;
        let filter = output.filter.take();
        if let Some(filter) = &filter {
            filter.encode(|block| output.put(block))?;
        }
        let buckets = filter.map_or(0, |filter| filter.buckets());
        let counts =
            Counts { rows: self.stream.rows, keys: self.stream.keys, pages, slots, buckets };
        let layout = Layout::of(K, &counts).expect("it was written");
        assert_eq!(layout.footer, output.blocks, "the parts lie where they are looked for");
        let mut footer = Footer { counts, digest: output.checksums.value() }.encode();
        output.put(&mut footer)?;
        output.flush()?;
        output.file.sync()?;
        Ok(RunInfo {
            id: self.header.id,
            bytes: output.blocks * BLOCK_BYTES as u64,
            rows: counts.rows,
            digest: *blake3::hash(&footer).as_bytes(),
        })
    }
}
