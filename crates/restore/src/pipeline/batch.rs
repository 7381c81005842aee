//! A batch: the account records that end in one block, referred to in place.

use std::sync::Arc;

use icecore_types::{Record, Slot};

use super::blocks::Block;

/// Where a record lies within what is scanned: archive, storage, record.
///
/// Ordered by archive (full before incremental), then as the archive has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

const INCREMENTAL: u32 = 1 << 31;

impl Place {
    /// Storages are numbered as they come in their archive; their number is below 5,000,000
    /// (formats.md section 3), so the top bit is free to tell the archives apart.
    pub(crate) fn new(incremental: bool, storage: u32, record: u32) -> Self {
        debug_assert!(storage < INCREMENTAL);
        let archive = if incremental { INCREMENTAL } else { 0 };
        Self(u64::from(storage | archive) << 32 | u64::from(record))
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
}

/// One record of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) place: Place,
    pub(crate) slot: Slot,
    /// Within its storage.
    pub(crate) offset: u64,
    /// Within the block; for a joined record its number in `joined`.
    start: u32,
    /// Bytes in the block; [`JOINED`] for a joined record.
    bytes: u32,
}

const JOINED: u32 = u32::MAX;

/// The records that end in one block. A record that began in an earlier block was joined into
/// bytes of its own.
pub(crate) struct Batch {
    block: Arc<Block>,
    joined: Vec<Vec<u8>>,
    spans: Vec<Span>,
}

impl Batch {
    pub(crate) fn new(block: Arc<Block>) -> Self {
        Self { block, joined: Vec::new(), spans: Vec::new() }
    }

    /// Adds a record that lies at `start` of the block.
    pub(crate) fn push(
        &mut self,
        place: Place,
        slot: Slot,
        offset: u64,
        start: usize,
        bytes: usize,
    ) {
        let start = u32::try_from(start).expect("a block is 1 MiB");
        let bytes = u32::try_from(bytes).expect("a record is at most 10 MiB and 136 bytes");
        self.spans.push(Span { place, slot, offset, start, bytes });
    }

    /// Adds a record in bytes of its own.
    pub(crate) fn push_joined(&mut self, place: Place, slot: Slot, offset: u64, record: Vec<u8>) {
        let start = u32::try_from(self.joined.len()).expect("a block ends few records");
        self.joined.push(record);
        self.spans.push(Span { place, slot, offset, start, bytes: JOINED });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The records in the order of the archive.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Span, Record<'_>)> {
        self.spans.iter().map(|span| {
            let bytes = match span.bytes {
                JOINED => &self.joined[span.start as usize][..],
                bytes => &self.block[span.start as usize..][..bytes as usize],
            };
            (*span, Record::parse(bytes).expect("the walker gives whole records"))
        })
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
    }
}
