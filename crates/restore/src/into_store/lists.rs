//! Rows of an index as a sorted list that can be read again: for runs that are not made of them alone.

use icecore_store::Locator;

use super::index::Index;
use crate::{
    Error,
    spill::{
        item::{Item, read_u64},
        sorter::Sorter,
    },
};

/// A row. The class of a locator says as well that the account is closed, or gone from the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListRow<const K: usize> {
    pub(super) key: [u8; K],
    pub(super) locator: Locator,
}

impl<const K: usize> ListRow<K> {
    /// Where the record lies; `None`: there is none any more.
    pub(super) fn newest(&self) -> Option<Locator> {
        Some(self.locator).filter(|locator| locator.class().is_live())
    }
}

impl<const K: usize> Item for ListRow<K> {
    const BYTES: usize = K + 8;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..K].copy_from_slice(&self.key);
        bytes[K..].copy_from_slice(&self.locator.to_bits().to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let key = *bytes.first_chunk().expect("a key and eight bytes");
        Self { key, locator: Locator::from_bits(read_u64(bytes, K)) }
    }
}

/// Makes such lists.
pub(crate) struct ListIndex;

impl<const K: usize> Index<K> for ListIndex {
    type Part = Vec<ListRow<K>>;
    type Finished = Vec<ListRow<K>>;
    type Run = Sorter<ListRow<K>>;

    fn part(&self) -> Vec<ListRow<K>> {
        Vec::new()
    }

    fn push(&self, part: &mut Vec<ListRow<K>>, key: &[u8; K], locator: Locator) {
        part.push(ListRow { key: *key, locator });
    }

    fn finish(&self, part: Vec<ListRow<K>>) -> Vec<ListRow<K>> {
        part
    }

    fn append(&self, list: &mut Sorter<ListRow<K>>, part: Vec<ListRow<K>>) -> Result<(), Error> {
        Ok(part.into_iter().try_for_each(|row| list.push(row))?)
    }

    fn add(
        &self,
        list: &mut Sorter<ListRow<K>>,
        key: &[u8; K],
        locator: Locator,
    ) -> Result<(), Error> {
        Ok(list.push(ListRow { key: *key, locator })?)
    }
}

#[cfg(test)]
mod tests {
    use icecore_store::SizeClass;

    use super::*;

    #[test]
    fn a_row_survives_its_bytes_and_says_whether_there_is_a_record() {
        let live = Locator::new(7, 4096, SizeClass::of(165));
        let gone = Locator::new(0, 0, SizeClass::TOMBSTONE);
        for (locator, newest) in [(live, Some(live)), (gone, None)] {
            let row = ListRow { key: [3; 64], locator };
            let mut bytes = [0; 72];
            row.write(&mut bytes);
            assert_eq!(ListRow::<64>::read(&bytes), row);
            assert_eq!(row.newest(), newest);
        }
    }
}
