//! A batch: the account records that end in one block, as a fragment in memory.
//!
//! ```text
//! block ........ | joined record | run 0 | run 1 | ... | number of runs (4) | records (4)
//! ```
//!
//! A *run* is records of one storage that lie one behind the other, each at a multiple of 8 from
//! the run's start, as in their storage. So that there is one place that decides an offset, the
//! parser delimits records and writes runs; readers only step from one to the next. A record that
//! began in an earlier block was joined into bytes of its own and is a run of its own; a block ends
//! at most one such record.

use icecore_types::{RECORD_ALIGN, RECORD_HEADER_BYTES, Record, Slot};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

/// Where a record lies within what is scanned: archive, storage, record.
///
/// Ordered by archive (full before incremental), then as the archive has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

const INCREMENTAL: u32 = 1 << 31;

impl Place {
    /// Storages are numbered as they come in their archive; their number is below 5,000,000
    /// (formats.md section 3), so the top bit is free to tell the archives apart.
    pub(crate) const fn new(incremental: bool, storage: u32, record: u32) -> Self {
        debug_assert!(storage < INCREMENTAL);
        let archive = if incremental { INCREMENTAL } else { 0 };
        Self(((storage | archive) as u64) << 32 | record as u64)
    }

    /// Whether it lies in the incremental archive.
    pub fn is_incremental(self) -> bool {
        self.0 >> 63 == 1
    }

    /// The number of the storage in its archive, counted from 0.
    pub fn storage(self) -> u32 {
        (self.0 >> 32) as u32 & !INCREMENTAL
    }

    /// The number of the record in its storage, counted from 0.
    pub fn record(self) -> u32 {
        self.0 as u32
    }

    /// As a number, in the same order.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// From that number.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Records one behind the other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(crate) struct Run {
    /// Of the first record.
    place: U64,
    slot: U64,
    /// Of the first record, within its storage.
    offset: U64,
    /// Of the first record, within the batch.
    start: U32,
    /// Of all its bytes, the last record's padding apart.
    bytes: U32,
    records: U32,
    /// What the visitor said of these records.
    tag: U32,
}

const FOOTER_BYTES: usize = 8;

/// The first record of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct First {
    pub(crate) place: Place,
    pub(crate) slot: Slot,
    pub(crate) offset: u64,
    pub(crate) tag: u32,
}

impl Run {
    pub(crate) fn new(first: First, start: usize, bytes: usize) -> Self {
        let narrow = |number: usize| U32::new(u32::try_from(number).expect("a batch is small"));
        Self {
            place: U64::new(first.place.0),
            slot: U64::new(first.slot),
            offset: U64::new(first.offset),
            start: narrow(start),
            bytes: narrow(bytes),
            records: U32::new(1),
            tag: U32::new(first.tag),
        }
    }

    /// Takes in the record behind the last one, if that is what it is.
    pub(crate) fn extend(&mut self, next: First, start: usize, bytes: usize) -> bool {
        let from = start.wrapping_sub(self.start.get() as usize);
        let is_next = next.place.0 == self.place.get() + u64::from(self.records.get())
            && next.tag == self.tag.get()
            && from == (self.bytes.get() as usize).next_multiple_of(RECORD_ALIGN as usize)
            && next.offset == self.offset.get() + from as u64;
        if is_next {
            self.bytes = U32::new(u32::try_from(from + bytes).expect("a batch is small"));
            self.records += 1;
        }
        is_next
    }

    fn place(&self) -> Place {
        Place(self.place.get())
    }
}

/// Bytes of a batch besides the block and the joined record, for so many runs.
pub(crate) fn table_bytes(runs: usize) -> usize {
    runs * size_of::<Run>() + FOOTER_BYTES
}

/// Writes the table behind the records; the number of bytes written.
pub(crate) fn write_table(space: &mut [u8], runs: &[Run]) -> usize {
    let table = runs.as_bytes();
    space[..table.len()].copy_from_slice(table);
    let records: u32 = runs.iter().map(|run| run.records.get()).sum();
    let footer = [U32::new(runs.len() as u32), U32::new(records)];
    space[table.len()..][..FOOTER_BYTES].copy_from_slice(footer.as_bytes());
    table.len() + FOOTER_BYTES
}

/// One record of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) place: Place,
    pub(crate) slot: Slot,
    /// Within its storage.
    pub(crate) offset: u64,
    /// What the visitor said of it.
    pub(crate) tag: u32,
}

/// Records, in the order of the archive.
pub(crate) struct Batch<'a> {
    bytes: &'a [u8],
    runs: &'a [Run],
    records: usize,
}

impl<'a> Batch<'a> {
    /// The batch that a fragment holds.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let (rest, footer) = bytes.split_at(bytes.len() - FOOTER_BYTES);
        let footer = <[U32; 2]>::ref_from_bytes(footer).expect("eight bytes");
        let table = footer[0].get() as usize * size_of::<Run>();
        let (bytes, table) = rest.split_at(rest.len() - table);
        let runs = <[Run]>::ref_from_bytes(table).expect("the parser writes whole tables");
        Self { bytes, runs, records: footer[1].get() as usize }
    }

    /// How many records it has.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// The runs: where the first record of each lies, and its records.
    pub(crate) fn runs(&self) -> impl Iterator<Item = RunRecords<'a>> + '_ {
        let bytes = self.bytes;
        self.runs.iter().map(move |run| RunRecords {
            bytes: &bytes[run.start.get() as usize..][..run.bytes.get() as usize],
            at: 0,
            next: Span {
                place: run.place(),
                slot: run.slot.get(),
                offset: run.offset.get(),
                tag: run.tag.get(),
            },
        })
    }

    /// The records.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Span, Record<'a>)> + '_ {
        self.runs().flatten()
    }
}

/// The records of one run.
pub(crate) struct RunRecords<'a> {
    bytes: &'a [u8],
    at: usize,
    next: Span,
}

impl RunRecords<'_> {
    /// The slot of all of them.
    pub(crate) fn slot(&self) -> Slot {
        self.next.slot
    }
}

impl<'a> Iterator for RunRecords<'a> {
    type Item = (Span, Record<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        if rest.len() < RECORD_HEADER_BYTES {
            return None;
        }
        let record = Record::parse(rest).expect("the parser gives whole records");
        let span = self.next;
        let bytes = RECORD_HEADER_BYTES + record.account().data.len();
        let step = bytes.next_multiple_of(RECORD_ALIGN as usize);
        self.at += step;
        self.next.place.0 += 1;
        self.next.offset += step as u64;
        Some((span, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_as_the_archives_have_them() {
        let first = Place::new(false, 7, 9);
        assert_eq!((first.is_incremental(), first.storage(), first.record()), (false, 7, 9));
        let last = Place::new(true, 0, 1);
        assert_eq!((last.is_incremental(), last.storage(), last.record()), (true, 0, 1));
        assert!(first < Place::new(false, 7, 10));
        assert!(Place::new(false, 4_999_999, u32::MAX) < last);
        assert_eq!(Place::from_bits(last.to_bits()), last);
    }

    /// A record without lamports whose data has so many bytes.
    fn record(data_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; RECORD_HEADER_BYTES + data_bytes];
        bytes[8..16].copy_from_slice(&(data_bytes as u64).to_le_bytes());
        bytes
    }

    #[test]
    fn runs_give_back_the_records_they_were_made_of() {
        let sizes = [0, 5, 8, 1];
        let mut bytes = vec![0xee; 3];
        let mut runs: Vec<Run> = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            if number > 0 {
                let length = bytes.len() - 3;
                bytes.resize(3 + length.next_multiple_of(8), 0xee);
            }
            let start = bytes.len();
            bytes.extend_from_slice(&record(size));
            let place = Place::new(false, 4, 10 + number as u32);
            let first = First { place, slot: 77, offset: 16 + (start - 3) as u64, tag: 1 };
            let length = RECORD_HEADER_BYTES + size;
            if !runs.last_mut().is_some_and(|run| run.extend(first, start, length)) {
                runs.push(Run::new(first, start, length));
            }
        }
        assert_eq!(runs.len(), 1);
        // Another storage, another tag, a gap: runs of their own.
        let first = First { place: Place::new(false, 5, 0), slot: 78, offset: 0, tag: 0 };
        let start = bytes.len();
        bytes.extend_from_slice(&record(2));
        assert!(!runs[0].extend(first, start, 138));
        runs.push(Run::new(first, start, 138));
        let end = bytes.len();
        bytes.resize(end + table_bytes(2), 0);
        assert_eq!(write_table(&mut bytes[end..], &runs), table_bytes(2));

        let batch = Batch::new(&bytes);
        assert_eq!(batch.len(), 5);
        let seen: Vec<_> = batch
            .records()
            .map(|(span, record)| {
                let data = record.account().data.len();
                (span.place.storage(), span.place.record(), span.slot, span.offset, data, span.tag)
            })
            .collect();
        assert_eq!(
            seen,
            [
                (4, 10, 77, 16, 0, 1),
                (4, 11, 77, 152, 5, 1),
                (4, 12, 77, 296, 8, 1),
                (4, 13, 77, 440, 1, 1),
                (5, 0, 78, 0, 2, 0),
            ]
        );
    }
}
