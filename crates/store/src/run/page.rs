//! Pages: rows in a block.
//!
//! ```text
//!  0  checksum      8   see `block.rs`
//!  8  rows          2   at least 1
//! 10  prefix        1   bytes that all keys of the page begin with
//! 11  suffix        1   bytes of each key behind the prefix, 8 at most
//! 12  slot width    1   bytes of a slot, 8 at most
//! 13  segment width 1   bytes of a segment, 3 at most
//! 14  zero          2
//! 16  slot base     8   the smallest slot
//! 24  last suffix   8   of the last row, as the number below: for guessing where a key is
//! 32  segment base  4   the smallest segment
//! 36  zero          4
//! 40  prefix
//!     rows              of one width
//!     zeros
//!
//! row: suffix, hash (6: 47 bits, and above them 1 if the row has the key of the row before it),
//!      size class (1), offset in units of 8 (4), segment - base, slot - base
//! ```
//!
//! The suffix is long enough to tell neighbours with different keys apart and to know
//! [`known_bytes_min`] bytes of each key, and 8 bytes at most: rows that it does not tell apart are
//! told apart by their hashes and, if need be, by their records.
//!
//! Invariant: a page is a function of its rows' whole keys, slots and locators.
//!
//! What it does *not* do: know where pages begin and end ([`super::part`]).

use icecore_types::Slot;

use super::{
    block::{BLOCK_BYTES, Block, read_ordered, read_u16, read_u32, read_u64, read_wide, width_of},
    key::{Difference, KeyHash, PartialKey, known_bytes_min},
};
use crate::Locator;

/// Bytes before the prefix.
const HEADER_BYTES: usize = 40;

/// Bytes of a suffix, at most: so it is one number.
pub(crate) const SUFFIX_BYTES_MAX: usize = 8;

/// Bytes of a hash and the flag above it.
const HASH_BYTES: usize = 6;

/// Bytes of a row besides suffix, segment and slot: hash, size class, offset.
const ROW_BYTES_MIN: usize = HASH_BYTES + 5;

/// Rows of a page, at most.
pub(crate) const PAGE_ROWS_MAX: usize = (BLOCK_BYTES - HEADER_BYTES) / ROW_BYTES_MIN;

/// In a row's hash: it has the key of the row before it.
const CONTINUES: u64 = 1 << KeyHash::BITS;

const _: () = assert!(ROW_BYTES_MIN >= SUFFIX_BYTES_MAX, "a suffix is read as eight bytes");

/// A row on its way into a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<const K: usize> {
    pub(crate) key: PartialKey<K>,
    pub(crate) hash: KeyHash,
    pub(crate) slot: Slot,
    pub(crate) locator: Locator,
    /// Where the row's key can be read.
    pub(crate) source: Locator,
    /// The number of its key in the merge that it came from.
    pub(crate) number: Option<u64>,
    /// Whether the key is that of the row before.
    pub(crate) continues: bool,
}

/// What decides the widths of a page.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Bytes of a key.
    order: usize,
    /// Bytes that all keys have in common.
    prefix: usize,
    /// Bytes that tell each key from its neighbours.
    telling: usize,
    slots: (Slot, Slot),
    segments: (u32, u32),
}

impl Shape {
    fn of<const K: usize>(row: &Draft<K>) -> Self {
        let (slot, segment) = (row.slot, row.locator.segment());
        Self { order: K, prefix: K, telling: 0, slots: (slot, slot), segments: (segment, segment) }
    }

    fn with<const K: usize>(mut self, row: &Draft<K>, difference: Difference) -> Self {
        if let Difference::At(at) = difference {
            self.prefix = self.prefix.min(at);
            self.telling = self.telling.max(at + 1);
        }
        let segment = row.locator.segment();
        self.slots = (self.slots.0.min(row.slot), self.slots.1.max(row.slot));
        self.segments = (self.segments.0.min(segment), self.segments.1.max(segment));
        self
    }

    fn suffix(&self) -> usize {
        let known = self.telling.max(known_bytes_min(self.order, self.prefix));
        known.saturating_sub(self.prefix).min(SUFFIX_BYTES_MAX)
    }

    fn slot_width(&self) -> usize {
        width_of(self.slots.1 - self.slots.0)
    }

    fn segment_width(&self) -> usize {
        width_of(u64::from(self.segments.1 - self.segments.0))
    }

    fn row_bytes(&self) -> usize {
        ROW_BYTES_MIN + self.suffix() + self.slot_width() + self.segment_width()
    }

    fn bytes(&self, rows: usize) -> usize {
        HEADER_BYTES + self.prefix + rows * self.row_bytes()
    }
}

/// Gathers the rows of a page.
#[derive(Debug)]
pub(crate) struct PageBuilder<const K: usize> {
    rows: Vec<Draft<K>>,
    shape: Option<Shape>,
}

impl<const K: usize> PageBuilder<K> {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::with_capacity(PAGE_ROWS_MAX), shape: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn last(&self) -> Option<&Draft<K>> {
        self.rows.last()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Draft<K>> {
        self.rows.last_mut()
    }

    /// Takes a row, if it fits. Where its key begins to differ from that of the row before must be
    /// known, unless it is the first.
    pub(crate) fn push(&mut self, row: &Draft<K>, difference: Difference) -> bool {
        let shape = match self.shape {
            Some(shape) => shape.with(row, difference),
            None => Shape::of(row),
        };
        if shape.bytes(self.rows.len() + 1) > BLOCK_BYTES {
            return false;
        }
        self.rows.push(*row);
        self.shape = Some(shape);
        true
    }

    /// Writes the page, without its checksum, and is empty again. `whole` gives the key of a row of
    /// which more must be known.
    pub(crate) fn encode<E>(
        &mut self,
        block: &mut Block,
        mut whole: impl FnMut(&Draft<K>) -> Result<[u8; K], E>,
    ) -> Result<(), E> {
        let shape = self.shape.take().expect("a page has rows");
        let (prefix, suffix) = (shape.prefix, shape.suffix());
        let known = prefix + suffix;
        for index in 0..self.rows.len() {
            let row = self.rows[index];
            if row.key.known >= known {
                continue;
            }
            self.rows[index].key = match index.checked_sub(1) {
                Some(before) if row.continues => self.rows[before].key,
                _ => PartialKey::whole(whole(&row)?),
            };
        }
        // Fields are written eight bytes wide; the next one covers what is too much.
        let mut room = [0; BLOCK_BYTES + 16];
        let rows = u16::try_from(self.rows.len()).expect("as many as fit a block");
        room[8..10].copy_from_slice(&rows.to_le_bytes());
        let (slot_width, segment_width) = (shape.slot_width(), shape.segment_width());
        for (at, width) in [(10, prefix), (11, suffix), (12, slot_width), (13, segment_width)] {
            room[at] = u8::try_from(width).expect("64 at most");
        }
        room[16..24].copy_from_slice(&shape.slots.0.to_le_bytes());
        room[32..36].copy_from_slice(&shape.segments.0.to_le_bytes());
        room[HEADER_BYTES..HEADER_BYTES + prefix]
            .copy_from_slice(&self.rows[0].key.bytes[..prefix]);
        let mut at = HEADER_BYTES + prefix;
        for row in &self.rows {
            let flag = if row.continues { CONTINUES } else { 0 };
            match row.key.bytes.get(prefix..prefix + SUFFIX_BYTES_MAX) {
                Some(bytes) => room[at..at + SUFFIX_BYTES_MAX].copy_from_slice(bytes),
                None => room[at..at + suffix].copy_from_slice(&row.key.bytes[prefix..known]),
            }
            let fields = at + suffix;
            let segment = row.locator.segment() - shape.segments.0;
            let hash = row.hash.to_bits() | flag;
            room[fields..fields + 8].copy_from_slice(&hash.to_le_bytes());
            let place = fields + HASH_BYTES;
            room[place..place + 8].copy_from_slice(&row.locator.to_bits().to_le_bytes());
            let widths = fields + ROW_BYTES_MIN;
            room[widths..widths + 4].copy_from_slice(&segment.to_le_bytes());
            let slot = widths + segment_width;
            room[slot..slot + 8].copy_from_slice(&(row.slot - shape.slots.0).to_le_bytes());
            at = slot + slot_width;
        }
        room[at..].fill(0);
        block.copy_from_slice(&room[..BLOCK_BYTES]);
        let last =
            suffix_number(&self.rows.last().expect("a page has rows").key.bytes, prefix, suffix);
        block[24..32].copy_from_slice(&last.to_le_bytes());
        self.rows.clear();
        Ok(())
    }
}

/// The bytes of a key behind a prefix, as a number of the same order.
pub(crate) fn suffix_number<const K: usize>(key: &[u8; K], prefix: usize, suffix: usize) -> u64 {
    key[prefix..prefix + suffix].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where the fields of a page are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields {
    rows: usize,
    prefix: usize,
    suffix: usize,
    slot_width: usize,
    segment_width: usize,
    row_bytes: usize,
}

impl Fields {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of each key that rows know.
    pub(crate) fn known(&self) -> usize {
        self.prefix + self.suffix
    }
}

/// A page that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageView<'a, const K: usize> {
    block: &'a Block,
    fields: Fields,
}

/// What a page says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: KeyHash,
    pub(crate) continues: bool,
    pub(crate) slot: Slot,
    pub(crate) locator: Locator,
}

impl<'a, const K: usize> PageView<'a, K> {
    /// Of a block whose checksum matched.
    pub(crate) fn new(block: &'a Block) -> Result<Self, &'static str> {
        let rows = usize::from(read_u16(block, 8));
        let [prefix, suffix, slot_width, segment_width] =
            [10, 11, 12, 13].map(|at| usize::from(block[at]));
        let row_bytes = ROW_BYTES_MIN + suffix + slot_width + segment_width;
        if rows == 0
            || prefix + suffix > K
            || prefix + suffix < known_bytes_min(K, prefix)
            || suffix > SUFFIX_BYTES_MAX
            || slot_width > 8
            || segment_width > 3
            || HEADER_BYTES + prefix + rows * row_bytes > BLOCK_BYTES
        {
            return Err("a page has a shape that cannot be");
        }
        let fields = Fields { rows, prefix, suffix, slot_width, segment_width, row_bytes };
        Ok(Self { block, fields })
    }

    /// Of a block in which the fields were found before.
    pub(crate) fn with_fields(block: &'a Block, fields: Fields) -> Self {
        Self { block, fields }
    }

    pub(crate) fn fields(&self) -> Fields {
        self.fields
    }

    pub(crate) fn rows(&self) -> usize {
        self.fields.rows
    }

    pub(crate) fn prefix(&self) -> &'a [u8] {
        &self.block[HEADER_BYTES..HEADER_BYTES + self.fields.prefix]
    }

    pub(crate) fn suffix_bytes(&self) -> usize {
        self.fields.suffix
    }

    /// Whether rows know their keys to the end.
    pub(crate) fn knows_whole_keys(&self) -> bool {
        self.fields.prefix + self.fields.suffix == K
    }

    /// The suffix of the last row, as the header says.
    pub(crate) fn last_suffix(&self) -> u64 {
        read_u64(self.block, 24)
    }

    /// What lies behind the rows.
    pub(crate) fn padding(&self) -> &'a [u8] {
        &self.block[self.row_at(self.fields.rows)..]
    }

    fn row_at(&self, index: usize) -> usize {
        HEADER_BYTES + self.fields.prefix + index * self.fields.row_bytes
    }

    /// A row's suffix as a number.
    pub(crate) fn suffix(&self, index: usize) -> u64 {
        if self.fields.suffix == 0 {
            return 0;
        }
        read_ordered(self.block, self.row_at(index)) >> (64 - 8 * self.fields.suffix)
    }

    pub(crate) fn hash(&self, index: usize) -> KeyHash {
        KeyHash::from_bits(read_u64(self.block, self.row_at(index) + self.fields.suffix))
    }

    pub(crate) fn entry(&self, index: usize) -> Entry {
        let at = self.row_at(index) + self.fields.suffix;
        let hash = read_u64(self.block, at);
        let place = at + HASH_BYTES;
        let (class, offset) = (self.block[place], read_u32(self.block, place + 1));
        let widths = at + ROW_BYTES_MIN;
        let base = read_u32(self.block, 32);
        let segment =
            base.wrapping_add(read_wide(self.block, widths, self.fields.segment_width) as u32);
        let slot_at = widths + self.fields.segment_width;
        let slot = read_u64(self.block, 16).wrapping_add(read_wide(
            self.block,
            slot_at,
            self.fields.slot_width,
        ));
        Entry {
            hash: KeyHash::from_bits(hash),
            continues: hash & CONTINUES != 0,
            slot,
            locator: Locator::from_bits(
                u64::from(segment) << 40 | u64::from(offset) << 8 | u64::from(class),
            ),
        }
    }

    /// What is known of a row's key.
    pub(crate) fn key(&self, index: usize) -> PartialKey<K> {
        let mut key = PartialKey { bytes: [0; K], known: self.fields.known() };
        key.bytes[..self.fields.prefix].copy_from_slice(self.prefix());
        self.put_suffix(index, &mut key);
        key
    }

    /// Makes what is known of another row's key what is known of this row's.
    pub(crate) fn put_suffix(&self, index: usize, key: &mut PartialKey<K>) {
        let (at, prefix) = (self.row_at(index), self.fields.prefix);
        for byte in 0..self.fields.suffix {
            key.bytes[prefix + byte] = self.block[at + byte];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::SizeClass;

    fn draft(key: [u8; 32], slot: Slot, segment: u32, continues: bool) -> Draft<32> {
        let locator = Locator::new(segment, 8 * slot, SizeClass::of(165));
        let (key, hash) = (PartialKey::whole(key), KeyHash::from_bits(slot * 77));
        Draft { key, hash, slot, locator, source: locator, number: None, continues }
    }

    #[test]
    fn a_page_gives_back_its_rows_and_is_no_wider_than_they_need() {
        let mut keys = [[7; 32]; 3];
        keys[1][9] = 8;
        keys[2][9] = 8;
        keys[2][11] = 9;
        let drafts = [
            draft(keys[0], 300, 5, false),
            draft(keys[1], 310, 6, false),
            draft(keys[1], 44, 5, true),
            draft(keys[2], 300, 5, false),
        ];
        let mut builder = PageBuilder::new();
        for (index, row) in drafts.iter().enumerate() {
            let difference = match index {
                0 => Difference::At(0),
                _ => drafts[index - 1].key.difference(&row.key),
            };
            assert!(builder.push(row, difference));
        }
        let mut block = [0xaa; BLOCK_BYTES];
        let encoded: Result<(), Infallible> = builder.encode(&mut block, |row| Ok(row.key.bytes));
        assert!(encoded.is_ok() && builder.is_empty());
        let page = PageView::<32>::new(&block).expect("a page");
        assert_eq!(
            (page.prefix().len(), page.suffix_bytes(), page.fields.row_bytes),
            (9, 3, 11 + 3 + 2 + 1)
        );
        for (index, row) in drafts.iter().enumerate() {
            let Draft { hash, slot, locator, continues, .. } = *row;
            assert_eq!(page.entry(index), Entry { hash, continues, slot, locator });
            assert_eq!(page.hash(index), hash);
            assert_eq!(page.key(index).known(), &row.key.bytes[..12]);
            assert_eq!(page.suffix(index), suffix_number(&row.key.bytes, 9, 3));
        }
        assert_eq!(page.last_suffix(), page.suffix(3));
        assert!(page.padding().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_shape_that_cannot_be_is_refused() {
        let mut sound = [0; BLOCK_BYTES];
        sound[8] = 1;
        sound[10] = 20;
        assert!(PageView::<32>::new(&sound).is_ok());
        for (at, value) in [(8, 0), (9, 2), (10, 33), (10, 4), (11, 9), (12, 9), (13, 4)] {
            let mut block = sound;
            block[at] = value;
            assert!(PageView::<32>::new(&block).is_err(), "byte {at}");
        }
    }
}
