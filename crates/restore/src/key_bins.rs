//! Key bins: (pubkey, place) of every record that one thread sees, 40 bytes each, in bins by the
//! first byte of the key, within a bound of memory. Who keeps the records as well has a [`Mark`] in
//! each entry that says where.
//!
//! 1. A bin is a chain of chunks of one arena. A record goes to the last chunk of its bin; a full
//!    chunk is followed by the next free one of the arena.
//! 2. When no chunk is free, everything is written to the spill file in one piece, and the arena
//!    is empty again: a head of [`BINS`] + 1 numbers that say where each bin starts, and the
//!    entries, bin by bin. Memory keeps the offset of the piece, 8 bytes.
//! 3. A bin is read piece by piece, then chunk by chunk, as often as wanted.
//!
//! Chunks have [`CHUNK_ENTRIES_MAX`] entries, fewer in a small arena, so that chunks that are not
//! full yet waste an eighth of it at most. The arena grows in steps up to its bound, so that a
//! large limit costs nothing that is not needed.
//!
//! What it does *not* do: keep entries sorted ([`sort`] is for who reads them), or tell keys apart
//! beyond their first byte.

mod sort;

use std::{cmp::Ordering, fmt, iter, sync::Arc};

use icecore_types::Pubkey;

use crate::{
    pass::batch::Place,
    spill::{
        Held, SpillError, SpillFile,
        item::{Item, read_u64},
        run::{Run, RunReader, RunWriter, write_buffer_bytes},
    },
};

/// Bins, by the first byte of the key.
pub(crate) const BINS: usize = 256;

/// Entries of a chunk, at most: 10 KiB.
const CHUNK_ENTRIES_MAX: usize = 256;

/// Chunks for each bin that an arena has at least, as long as a chunk has more than one entry: half
/// a chunk of each bin is empty when the arena is full.
const CHUNKS_PER_BIN_MIN: usize = 4;

/// Steps in which an arena grows, unless they would be larger than [`STEP_BYTES_MAX`].
const STEPS: usize = 64;

/// A step, at most. The system grows blocks of this size by moving their page tables.
const STEP_BYTES_MAX: usize = 64 << 20;

/// Before the entries of a piece: the number of entries before each bin, and of all.
const HEAD_BYTES: usize = (BINS + 1) * 4;

/// No chunk.
const NONE: u32 = u32::MAX;

/// What an entry says of its record besides key and place. Nothing, where records are not kept.
pub(crate) trait Mark:
    Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static
{
    /// Bytes of a mark in a file.
    const BYTES: usize;

    /// Writes itself to exactly [`Self::BYTES`].
    fn write(&self, bytes: &mut [u8]);

    /// Reads what [`Self::write`] wrote.
    fn read(bytes: &[u8]) -> Self;
}

impl Mark for () {
    const BYTES: usize = 0;

    fn write(&self, _: &mut [u8]) {}

    fn read(_: &[u8]) -> Self {}
}

/// One record's key and place; ordered by key, then by place. Of one archive pair no two entries
/// have the same place, so that a mark decides nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<M = ()> {
    pub(crate) key: Pubkey,
    pub(crate) place: Place,
    pub(crate) mark: M,
}

impl<M: Mark> Entry<M> {
    /// What fills an arena before it is used.
    fn empty() -> Self {
        Self { key: Pubkey([0; 32]), place: Place::from_bits(0), mark: M::default() }
    }

    /// The first bytes of the key as a number of the same order.
    fn prefix(&self) -> u64 {
        read_u64(&self.key.0, 0).swap_bytes()
    }
}

impl<M: Mark> Ord for Entry<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Nearly always the first bytes decide.
        self.prefix()
            .cmp(&other.prefix())
            .then_with(|| self.key.cmp(&other.key))
            .then_with(|| self.place.cmp(&other.place))
    }
}

impl<M: Mark> PartialOrd for Entry<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M: Mark> PartialEq for Entry<M> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<M: Mark> Eq for Entry<M> {}

impl<M: Mark> Item for Entry<M> {
    const BYTES: usize = 40 + M::BYTES;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.key.0);
        self.place.write(&mut bytes[32..40]);
        self.mark.write(&mut bytes[40..]);
    }

    fn read(bytes: &[u8]) -> Self {
        let key = *bytes.first_chunk().expect("an entry has 40 bytes at least");
        Self { key: Pubkey(key), place: Place::read(&bytes[32..40]), mark: M::read(&bytes[40..]) }
    }

    fn sort(items: &mut [Self]) {
        sort::sort(items);
    }
}

const _: () = assert!(size_of::<Entry>() == <Entry as Item>::BYTES);

/// The last chunk of a bin.
#[derive(Debug, Clone, Copy)]
struct Bin {
    chunk: u32,
    /// Where in the arena the next entry goes.
    next: u32,
    /// Where the chunk ends.
    end: u32,
}

const EMPTY: Bin = Bin { chunk: NONE, next: 0, end: 0 };

/// One thread's entries.
#[derive(Debug)]
pub(crate) struct KeyBins<M = ()> {
    arena: Vec<Entry<M>>,
    /// For each chunk the one of its bin before it; there are as many as the arena has chunks.
    previous: Vec<u32>,
    bins: [Bin; BINS],
    chunk_entries: usize,
    chunks_used: usize,
    chunks_max: usize,
    held: Held,
    bytes_max: usize,
    file: Arc<SpillFile>,
    /// Where the pieces start.
    pieces: Vec<u64>,
    len: u64,
}

impl<M: Mark> KeyBins<M> {
    /// Takes up to `bytes_max` of memory, as it fills.
    pub(crate) fn new(bytes_max: usize, file: Arc<SpillFile>) -> Self {
        let bytes = bytes_max - write_buffer_bytes(bytes_max);
        let entries = bytes / size_of::<Entry<M>>() / (BINS * CHUNKS_PER_BIN_MIN);
        // A power of two, rounded down.
        let chunk_entries = (1 << entries.max(1).ilog2()).min(CHUNK_ENTRIES_MAX);
        let chunk_bytes = chunk_entries * size_of::<Entry<M>>() + size_of::<u32>();
        let chunks = (bytes / chunk_bytes).clamp(1, (NONE as usize - 1) / chunk_entries);
        Self {
            arena: Vec::new(),
            previous: Vec::new(),
            bins: [EMPTY; BINS],
            chunk_entries,
            chunks_used: 0,
            chunks_max: chunks,
            held: file.hold(0),
            bytes_max,
            file,
            pieces: Vec::new(),
            len: 0,
        }
    }

    /// Adds a record.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry<M>) -> Result<(), SpillError> {
        let bin = usize::from(entry.key.0[0]);
        if self.bins[bin].next == self.bins[bin].end {
            self.begin_chunk(bin)?;
        }
        let bin = &mut self.bins[bin];
        self.arena[bin.next as usize] = entry;
        bin.next += 1;
        self.len += 1;
        Ok(())
    }

    /// Entries.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes in the spill file, if no one else writes there.
    #[cfg(test)]
    pub(crate) fn bytes_spilled(&self) -> u64 {
        self.file.bytes()
    }

    #[cold]
    fn begin_chunk(&mut self, bin: usize) -> Result<(), SpillError> {
        if self.chunks_used == self.previous.len() {
            match self.previous.len() < self.chunks_max {
                true => self.grow(),
                false => self.spill()?,
            }
        }
        let chunk = self.chunks_used;
        self.chunks_used += 1;
        let number = |number: usize| u32::try_from(number).expect("the arena has fewer entries");
        self.previous[chunk] = self.bins[bin].chunk;
        let next = chunk * self.chunk_entries;
        self.bins[bin] = Bin {
            chunk: number(chunk),
            next: number(next),
            end: number(next + self.chunk_entries),
        };
        Ok(())
    }

    fn grow(&mut self) {
        let chunk_bytes = self.chunk_entries * size_of::<Entry<M>>() + size_of::<u32>();
        let step = (self.chunks_max / STEPS).clamp(1, STEP_BYTES_MAX / chunk_bytes);
        let step = step.min(self.chunks_max - self.previous.len());
        self.held.grow(step * chunk_bytes);
        let chunks = self.previous.len() + step;
        self.previous.reserve_exact(step);
        self.previous.resize(chunks, NONE);
        self.arena.reserve_exact(step * self.chunk_entries);
        self.arena.resize(chunks * self.chunk_entries, Entry::empty());
    }

    /// The chunks of a bin, the last one first, as far as they are filled.
    fn chunks(&self, bin: usize) -> impl Iterator<Item = &[Entry<M>]> {
        let Bin { chunk: last, next, .. } = self.bins[bin];
        let first = (last != NONE).then_some(last);
        iter::successors(first, |chunk| {
            let previous = self.previous[*chunk as usize];
            (previous != NONE).then_some(previous)
        })
        .map(move |chunk| {
            let start = chunk as usize * self.chunk_entries;
            let end = if chunk == last { next as usize } else { start + self.chunk_entries };
            &self.arena[start..end]
        })
    }

    /// Writes everything in memory as one piece.
    fn spill(&mut self) -> Result<(), SpillError> {
        let mut head = [0; HEAD_BYTES];
        let mut count = 0u32;
        for bin in 0..BINS {
            count += self.chunks(bin).map(|chunk| chunk.len() as u32).sum::<u32>();
            head[4 * (bin + 1)..][..4].copy_from_slice(&count.to_le_bytes());
        }
        let bytes = (HEAD_BYTES + count as usize * Entry::<M>::BYTES) as u64;
        let offset = self.file.reserve(bytes)?;
        self.file.write_at(offset, &head)?;
        let buffer_bytes = write_buffer_bytes(self.bytes_max);
        let mut writer = RunWriter::new(&self.file, offset + HEAD_BYTES as u64, buffer_bytes);
        for bin in 0..BINS {
            for entry in self.chunks(bin).flatten() {
                writer.push(entry)?;
            }
        }
        writer.flush()?;
        drop(writer);
        self.pieces.push(offset);
        self.bins = [EMPTY; BINS];
        self.chunks_used = 0;
        Ok(())
    }

    /// Gives every entry of a bin, in no order, through a buffer of `buffer_bytes`.
    pub(crate) fn for_each_in_bin(
        &self,
        bin: usize,
        buffer_bytes: usize,
        mut each: impl FnMut(Entry<M>) -> Result<(), SpillError>,
    ) -> Result<(), SpillError> {
        for offset in &self.pieces {
            let mut head = [0; 8];
            self.file.read_at(offset + 4 * bin as u64, &mut head)?;
            let [start, end] = [read_u64(&head, 0) & u64::from(u32::MAX), read_u64(&head, 0) >> 32];
            let offset = offset + HEAD_BYTES as u64 + start * Entry::<M>::BYTES as u64;
            let run = Run { offset, count: end - start };
            let mut reader = RunReader::new(&self.file, run, buffer_bytes);
            while let Some(entry) = reader.next()? {
                each(entry)?;
            }
        }
        self.chunks(bin).flatten().try_for_each(|entry| each(*entry))
    }
}

#[cfg(test)]
mod tests;
