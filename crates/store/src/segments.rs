//! Data segments that are open for reading records, found without a lock.
//!
//! A table of two levels by segment number; an entry is filled when a segment is first read, and
//! never changes. What has to change (segments that were sealed since, or are gone) changes by making
//! the next table out of this one.
//!
//! Invariant: what [`Segments::record`] gives has been checked against its place.
//!
//! What it does *not* do: decide when a segment may go.

use std::sync::{Arc, OnceLock};

use icecore_journal::{DataSegmentBytes, History};

use crate::{
    Error,
    locator::{Locator, SEGMENTS_END},
    record::{
        HEADER_BYTES, RecordFault, RecordSeed, Version, bytes_at_least, fetch_bytes, stated_bytes,
        stated_head,
    },
    view::RecordHead,
};

/// Entries of a part of the table.
const PART: usize = 1 << 12;

type Entry = OnceLock<Arc<DataSegmentBytes>>;

/// Bytes of a record that are fetched ahead at most; the processor goes on by itself.
const PREFETCHED_BYTES_MAX: usize = 1024;

const CACHE_LINE_BYTES: usize = 64;

/// Records before and behind each other are fetched from the disk together when they are no farther
/// apart: reading so much takes as long as reading at another place.
const APART_BYTES_MAX: u64 = 64 << 10;

/// Of records that are to be read together so many are looked at to know whether they are in memory.
const SAMPLES: usize = 2;

/// Fetches the lines of a mapped record side by side: its length is in the first, but about known
/// from its class.
fn prefetch_record(bytes: &DataSegmentBytes, locator: Locator) {
    let wanted = bytes_at_least(locator.class()).min(PREFETCHED_BYTES_MAX);
    let record = bytes.in_memory(locator.offset(), wanted);
    record.chunks(CACHE_LINE_BYTES).for_each(icecore_disk::prefetch);
}

/// The table.
pub(crate) struct Segments {
    parts: Box<[OnceLock<Box<[Entry]>>]>,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Segments").finish_non_exhaustive()
    }
}

impl Default for Segments {
    fn default() -> Self {
        let parts = SEGMENTS_END as usize / PART;
        Self { parts: (0..parts).map(|_| OnceLock::new()).collect() }
    }
}

impl Segments {
    fn entry(&self, segment: u32) -> &Entry {
        let (part, place) = (segment as usize / PART, segment as usize % PART);
        &self.parts[part].get_or_init(|| (0..PART).map(|_| OnceLock::new()).collect())[place]
    }

    /// Opens a segment, unless it is open.
    pub(crate) fn open(
        &self,
        history: &History,
        segment: u32,
    ) -> Result<&Arc<DataSegmentBytes>, Error> {
        let entry = self.entry(segment);
        if let Some(open) = entry.get() {
            return Ok(open);
        }
        let opened = history.data_segment(segment)?;
        // Two who open at once: the one who is late gives its own back.
        Ok(entry.get_or_init(|| opened))
    }

    /// The same table without segments that were not sealed when they were opened, and without these.
    pub(crate) fn renewed(&self, without: &[u32]) -> Self {
        let renewed = Self::default();
        for (number, part) in self.parts.iter().enumerate() {
            for (place, entry) in part.get().into_iter().flatten().enumerate() {
                let id = u32::try_from(number * PART + place).expect("24 bits");
                if let Some(open) = entry.get()
                    && open.is_sealed()
                    && !without.contains(&id)
                {
                    let _ = renewed.entry(id).set(Arc::clone(open));
                }
            }
        }
        renewed
    }

    /// Says that records will be read soon, about in this order: from the disk, if it seems that they
    /// are not in memory, and into the processor's cache.
    pub(crate) fn prefetch(&self, history: &History, locators: &[Locator]) -> Result<(), Error> {
        if !self.seem_resident(history, locators)? {
            self.fetch(history, locators)?;
        }
        for locator in locators {
            prefetch_record(self.open(history, locator.segment())?, *locator);
        }
        Ok(())
    }

    /// Whether records can be read without waiting for the disk, as a few of them show.
    pub(crate) fn seem_resident(
        &self,
        history: &History,
        locators: &[Locator],
    ) -> Result<bool, Error> {
        for locator in locators.iter().step_by(locators.len().div_ceil(SAMPLES).max(1)) {
            let bytes = self.open(history, locator.segment())?;
            if !icecore_disk::is_resident(bytes.in_memory(locator.offset(), 1)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks the disk for records, for neighbours together.
    pub(crate) fn fetch(&self, history: &History, locators: &[Locator]) -> Result<(), Error> {
        let end = |locator: Locator| locator.offset() + fetch_bytes(locator.class()) as u64;
        let are_near = |a: &Locator, b: &Locator| {
            a.segment() == b.segment()
                && a.offset() <= b.offset()
                && b.offset().saturating_sub(end(*a)) <= APART_BYTES_MAX
        };
        for near in locators.chunk_by(are_near) {
            let (first, last) = (near[0], near[near.len() - 1]);
            let bytes = self.open(history, first.segment())?;
            let length = usize::try_from(end(last) - first.offset()).expect("less than memory");
            // What is still written to was written a moment ago.
            if bytes.is_sealed() {
                icecore_disk::will_need(bytes.in_memory(first.offset(), length));
            }
        }
        Ok(())
    }

    /// Says that a record's head will be looked at soon.
    pub(crate) fn prefetch_head(&self, history: &History, locator: Locator) -> Result<(), Error> {
        let bytes = self.open(history, locator.segment())?;
        let head = bytes.in_memory(locator.offset(), HEADER_BYTES);
        head.chunks(CACHE_LINE_BYTES).for_each(icecore_disk::prefetch);
        Ok(())
    }

    /// Reads a record's head, which nothing but the record's length is checked of.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when no record of the locator's class can lie there.
    pub(crate) fn head(&self, history: &History, locator: Locator) -> Result<RecordHead, Error> {
        let bytes = self.open(history, locator.segment())?;
        let head = stated_head(&bytes.get(locator.offset(), HEADER_BYTES)?);
        let bytes_max = locator.class().data_len_max().unwrap_or(0);
        head.filter(|head| head.data_bytes <= bytes_max).ok_or_else(|| Error::Corrupt {
            path: bytes.path().to_path_buf(),
            offset: locator.offset(),
            what: "a record is longer than the row that leads to it says",
        })
    }

    /// Reads and checks a record.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when none lies there; [`icecore_journal::Error::SegmentGone`] when the
    /// segment was rewritten since.
    pub(crate) fn record<R>(
        &self,
        history: &History,
        seed: RecordSeed,
        locator: Locator,
        read: impl FnOnce(&Version<'_>) -> R,
    ) -> Result<R, Error> {
        let (segment, offset) = (locator.segment(), locator.offset());
        let bytes = self.open(history, segment)?;
        let fault = |fault: RecordFault| Error::Corrupt {
            path: bytes.path().to_path_buf(),
            offset,
            what: match fault {
                RecordFault::Short => "a record goes beyond its data segment",
                RecordFault::Checksum => "the checksum of a record does not match",
                RecordFault::Fields => "a record has fields without a meaning",
            },
        };
        if !bytes.is_mapped() {
            // Each read is a system call: what the class bounds is fetched at once. It can be less
            // than the record of a departure, and reach behind the end.
            let bound = bytes.get(offset, fetch_bytes(locator.class())).unwrap_or_default();
            if let Ok(version) = Version::decode(seed, (segment, offset), &bound) {
                return Ok(read(&version));
            }
        }
        prefetch_record(bytes, locator);
        let header = bytes.get(offset, HEADER_BYTES)?;
        let length = stated_bytes(&header).ok_or_else(|| fault(RecordFault::Checksum))?;
        let record = bytes.get(offset, length)?;
        let version = Version::decode(seed, (segment, offset), &record).map_err(fault)?;
        Ok(read(&version))
    }
}
