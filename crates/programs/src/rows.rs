//! A list within account data: rows of one fixed width, read where they lie.
//!
//! Invariant: the bytes are a whole number of rows, and every row decodes, so that iterating cannot
//! fail.

use std::{fmt, iter::FusedIterator, marker::PhantomData, slice::ChunksExact};

use icecore_types::{Cursor, Hash, Pubkey, Wire, WireError};

/// A value whose wire shape has a fixed width and no invalid bytes (integers and byte arrays only).
pub trait Row: Wire {
    /// Bytes of one row.
    const BYTES: usize;
}

impl Row for (u64, Hash) {
    const BYTES: usize = 8 + 32;
}

impl Row for (Hash, u64) {
    const BYTES: usize = 32 + 8;
}

impl Row for (u64, Pubkey) {
    const BYTES: usize = 8 + 32;
}

impl Row for Pubkey {
    const BYTES: usize = 32;
}

/// Rows back to back, borrowed.
pub struct Rows<'a, R> {
    bytes: &'a [u8],
    row: PhantomData<fn() -> R>,
}

impl<'a, R: Row> Rows<'a, R> {
    /// The rows that fill `bytes`; `None` when these are not a whole number of rows.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(R::BYTES).then_some(Self { bytes, row: PhantomData })
    }

    /// Takes a `u64` count and as many rows.
    pub(crate) fn take_counted(cursor: &mut Cursor<'a>) -> Result<Self, WireError> {
        let count = cursor.read::<u64>()?;
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(R::BYTES))
            .unwrap_or(usize::MAX);
        Ok(Self { bytes: cursor.take(bytes)?, row: PhantomData })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.bytes.len() / R::BYTES
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Row `index`, in the order of the data.
    pub fn get(&self, index: usize) -> Option<R> {
        self.iter().nth(index)
    }

    /// The rows in the order of the data.
    pub fn iter(&self) -> RowsIter<'a, R> {
        RowsIter { chunks: self.bytes.chunks_exact(R::BYTES), row: PhantomData }
    }
}

impl<R> Clone for Rows<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Rows<'_, R> {}

impl<R> PartialEq for Rows<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<R> Eq for Rows<'_, R> {}

impl<R: Row + fmt::Debug> fmt::Debug for Rows<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, R: Row> IntoIterator for Rows<'a, R> {
    type Item = R;
    type IntoIter = RowsIter<'a, R>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over [`Rows`].
pub struct RowsIter<'a, R> {
    chunks: ChunksExact<'a, u8>,
    row: PhantomData<fn() -> R>,
}

fn decode_row<R: Row>(bytes: &[u8]) -> R {
    Cursor::new(bytes).read().expect("any bytes of a row's width are a row")
}

impl<R: Row> Iterator for RowsIter<'_, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.chunks.next().map(decode_row)
    }

    fn nth(&mut self, index: usize) -> Option<R> {
        self.chunks.nth(index).map(decode_row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl<R: Row> DoubleEndedIterator for RowsIter<'_, R> {
    fn next_back(&mut self) -> Option<R> {
        self.chunks.next_back().map(decode_row)
    }
}

impl<R: Row> ExactSizeIterator for RowsIter<'_, R> {}
impl<R: Row> FusedIterator for RowsIter<'_, R> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_bytes_is_refused_whatever_its_size() {
        for count in [2, 1 << 40, u64::MAX / 32, u64::MAX] {
            let mut bytes = count.to_le_bytes().to_vec();
            bytes.extend([7; 63]);
            assert!(Rows::<Pubkey>::take_counted(&mut Cursor::new(&bytes)).is_err());
        }
    }

    #[test]
    fn rows_are_read_from_both_ends() {
        let mut bytes = vec![1; 32];
        bytes.extend([2; 32]);
        let rows = Rows::<Pubkey>::new(&bytes).expect("two rows");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.get(1), Some(Pubkey([2; 32])));
        assert_eq!(rows.get(2), None);
        assert!(rows.iter().rev().eq([Pubkey([2; 32]), Pubkey([1; 32])]));
        assert!(Rows::<Pubkey>::new(&bytes[1..]).is_none());
    }
}
