//! The stake delegations that a manifest caches, by stake account.
//!
//! A list instead of a map, so that it can be sorted within a bound of memory (mainnet has 1.2
//! million, a manifest may state any number) and be read side by side with the accounts. Where a
//! key stands twice the last one counts, as in a map.

use icecore_types::{Hash, Pubkey};

use crate::spill::{
    SpillError,
    item::{Item, read_u64},
    sorted::{Sorted, SortedReader},
};

/// A cached delegation; ordered by key, then as the manifest has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delegation {
    /// The stake account.
    pub(crate) key: Pubkey,
    /// Its number in the manifest.
    pub(crate) number: u64,
    /// Of the delegation.
    pub(crate) digest: Hash,
}

impl Item for Delegation {
    /// Key, number, digest.
    const BYTES: usize = 32 + 8 + 32;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.key.0);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.digest.0);
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk().expect("72 bytes");
        Self { key: Pubkey(array(0)), number: read_u64(bytes, 32), digest: Hash(array(40)) }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Delegations {
    list: Sorted<Delegation>,
    /// For the buffers of one who reads them.
    bytes_max: usize,
    keys: u64,
}

impl Delegations {
    /// Of a list that was sorted within `bytes_max`.
    pub(super) fn new(list: Sorted<Delegation>, bytes_max: usize) -> Result<Self, SpillError> {
        let mut delegations = Self { list, bytes_max, keys: 0 };
        let mut reader = delegations.reader()?;
        while reader.next()?.is_some() {
            delegations.keys += 1;
        }
        Ok(delegations)
    }

    /// Stake accounts, each counted once.
    pub(crate) fn len(&self) -> u64 {
        self.keys
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// How many stand there besides: their keys had stood there before.
    pub(crate) fn repeated(&self) -> u64 {
        self.list.len() - self.keys
    }

    /// Reads them by key.
    pub(crate) fn reader(&self) -> Result<DelegationReader, SpillError> {
        Ok(DelegationReader { reader: self.list.reader(self.bytes_max)? })
    }
}

/// Gives the delegations by key, each key once.
pub(crate) struct DelegationReader {
    reader: SortedReader<Delegation>,
}

impl DelegationReader {
    pub(crate) fn next(&mut self) -> Result<Option<Delegation>, SpillError> {
        let Some(mut last) = self.reader.next()? else { return Ok(None) };
        while self.reader.peek().is_some_and(|next| next.key == last.key) {
            last = self.reader.next()?.unwrap_or(last);
        }
        Ok(Some(last))
    }

    /// That of a key, all before it being passed over. Keys must be asked for in ascending order.
    pub(crate) fn of(&mut self, key: &Pubkey) -> Result<Option<Hash>, SpillError> {
        match self.reader.skip_while(|delegation| delegation.key < *key)? {
            Some(first) if first.key == *key => {
                Ok(self.next()?.map(|delegation| delegation.digest))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::{SpillSpace, sorter::Sorter};

    /// Keys, with numbers and digests that tell them apart.
    fn delegations(keys: &[u8], bytes_max: usize) -> Delegations {
        let mut sorter = Sorter::new(bytes_max, SpillSpace::new(None).file());
        for (number, key) in keys.iter().enumerate() {
            let digest = Hash([number as u8; 32]);
            let item = Delegation { key: Pubkey([*key; 32]), number: number as u64, digest };
            sorter.push(item).expect("pushed");
        }
        Delegations::new(sorter.finish().expect("sorted"), bytes_max).expect("read")
    }

    #[test]
    fn the_last_one_of_a_key_counts_in_memory_and_in_files() {
        for bytes_max in [1 << 20, 200] {
            let cached = delegations(&[5, 3, 5, 1, 3, 5], bytes_max);
            assert_eq!((cached.len(), cached.repeated(), cached.is_empty()), (3, 3, false));
            let mut reader = cached.reader().expect("read");
            let mut found = Vec::new();
            while let Some(delegation) = reader.next().expect("read") {
                found.push((delegation.key.0[0], delegation.digest.0[0]));
            }
            assert_eq!(found, [(1, 3), (3, 4), (5, 5)]);
            let mut reader = cached.reader().expect("read");
            let asked = [0, 2, 3, 4, 5, 6]
                .map(|key| reader.of(&Pubkey([key; 32])).expect("read").map(|digest| digest.0[0]));
            assert_eq!(asked, [None, None, Some(4), None, Some(5), None]);
        }
        assert!(delegations(&[], 200).is_empty());
    }
}
