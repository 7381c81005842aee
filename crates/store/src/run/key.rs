//! Keys: as they are sought, and as far as a row knows them.

use std::cmp::Ordering;

use icecore_types::{Pubkey, Slot};
use twox_hash::XxHash3_64;

use super::{BY_OWNER, RunStore, page::SUFFIX_BYTES_MAX};

/// Bytes of each key that every page knows, at least: with a billion uniform keys, few rows of two
/// runs agree in so many and are different all the same, so that merging reads few records.
pub(crate) const KNOWN_BYTES_MIN: usize = 5;

/// Bytes of each key that a page knows, at least, if its suffixes can be so long. Where all keys begin
/// with one owner the bytes of the pubkey count; a page of several owners knows what tells them apart.
pub(crate) const fn known_bytes_min(order: usize, prefix: usize) -> usize {
    const OWNED: usize = size_of::<Pubkey>() + KNOWN_BYTES_MIN;
    match order == BY_OWNER && prefix + SUFFIX_BYTES_MAX >= OWNED {
        true => OWNED,
        false => KNOWN_BYTES_MIN,
    }
}

/// A key whose hash in its store is known: made once, sought in many runs.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a, const K: usize> {
    pub(crate) key: &'a [u8; K],
    pub(crate) hash: KeyHash,
}

impl RunStore {
    /// A key to be sought in the runs of this store.
    pub fn seek<'a, const K: usize>(&self, key: &'a [u8; K]) -> Sought<'a, K> {
        Sought { key, hash: KeyHash::of(self, key) }
    }
}

/// 47 bits of a hash of a whole key, with the store's secret. Rows of several runs whose keys agree in
/// it and in all that is known of both are rows of one key (decision 0032); what a lookup gives is
/// checked against the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    /// Added to the store's seed, so that these hashes say nothing of the checksums of records:
    /// "run keys" as a number.
    const DOMAIN: u64 = 0x7379_656b_206e_7572;

    /// Bits of a hash: with one more for rows that go on with a key they are six bytes.
    pub(crate) const BITS: u32 = 47;

    pub(crate) fn of<const K: usize>(store: &RunStore, key: &[u8; K]) -> Self {
        let seed = store.seed.0 ^ Self::DOMAIN;
        Self(XxHash3_64::oneshot_with_seed(seed, key) >> (u64::BITS - Self::BITS))
    }

    /// The lower 47 bits.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }
}

/// A key as far as it is known: its first bytes, zeros behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialKey<const K: usize> {
    pub(crate) bytes: [u8; K],
    pub(crate) known: usize,
}

impl<const K: usize> PartialKey<K> {
    /// A key that is known to the end.
    pub fn whole(key: [u8; K]) -> Self {
        Self { bytes: key, known: K }
    }

    /// The bytes that are known.
    pub fn known(&self) -> &[u8] {
        &self.bytes[..self.known]
    }

    /// The key, if all of it is known.
    pub fn as_whole(&self) -> Option<&[u8; K]> {
        (self.known == K).then_some(&self.bytes)
    }

    /// How it compares with the first bytes of keys; `None` where too little is known.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match self.difference(other) {
            Difference::At(at) => Some(self.bytes[at].cmp(&other.bytes[at])),
            Difference::None => Some(Ordering::Equal),
            Difference::Unknown => None,
        }
    }

    /// The first byte in which the keys differ.
    pub(crate) fn difference(&self, other: &Self) -> Difference {
        let known = self.known.min(other.known);
        let same = common_bytes(&self.bytes, &other.bytes);
        if same < known {
            Difference::At(same)
        } else if known == K {
            Difference::None
        } else {
            Difference::Unknown
        }
    }
}

/// Where two keys begin to differ, as far as both are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// In this byte.
    At(usize),
    /// Nowhere: they are equal.
    None,
    /// Not in what is known of both.
    Unknown,
}

/// Bytes that two keys have in common at the beginning.
pub(crate) fn common_bytes<const K: usize>(left: &[u8; K], right: &[u8; K]) -> usize {
    let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
    for (index, (left, right)) in words.enumerate() {
        let different = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if different != 0 {
            return index * 8 + different.trailing_zeros() as usize / 8;
        }
    }
    K
}

/// Where a page begins: above what is before it, and at or below its first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence<const K: usize> {
    pub(crate) key: [u8; K],
    /// The slot of the first row if that has the key of the row before it, and this is the key.
    /// Otherwise [`Slot::MAX`], and the key is the shortest that tells the first row from the row
    /// before it, with zeros behind.
    pub(crate) slot: Slot,
}

impl<const K: usize> Fence<K> {
    /// Of a page whose first key differs from the one before in the byte at `difference`.
    pub(crate) fn between(first: &PartialKey<K>, difference: usize) -> Self {
        let bytes = (difference + 1).max(KNOWN_BYTES_MIN);
        assert!(bytes <= first.known, "what differs is known");
        let mut key = [0; K];
        key[..bytes].copy_from_slice(&first.bytes[..bytes]);
        Self { key, slot: Slot::MAX }
    }

    /// Of a page that goes on with the key of the page before.
    pub(crate) fn within(key: [u8; K], slot: Slot) -> Self {
        Self { key, slot }
    }

    /// Whether it is at or below a key and slot, in the order of rows.
    pub(crate) fn is_at_or_before(&self, key: &[u8; K], slot: Slot) -> bool {
        self.key < *key || self.key == *key && self.slot >= slot
    }

    /// Whether the page goes on with this key.
    pub(crate) fn continues(&self, key: &[u8; K]) -> bool {
        self.slot != Slot::MAX && self.key == *key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_as_far_as_they_are_known() {
        let partial = |bytes: &[u8]| {
            let mut key = [0; 32];
            key[..bytes.len()].copy_from_slice(bytes);
            PartialKey { bytes: key, known: bytes.len() }
        };
        let (left, right) = (partial(&[1, 2, 3]), partial(&[1, 2, 3, 0, 5]));
        assert_eq!(left.difference(&right), Difference::Unknown);
        assert_eq!(left.compare(&right), None);
        assert_eq!(left.difference(&partial(&[1, 2])), Difference::Unknown);
        assert_eq!(left.difference(&partial(&[1, 3, 9])), Difference::At(1));
        assert_eq!(left.compare(&partial(&[1, 2, 2, 9])), Some(Ordering::Greater));
        let whole = PartialKey::whole([7; 32]);
        assert_eq!(whole.difference(&whole), Difference::None);
    }

    #[test]
    fn a_fence_lies_between_its_neighbours() {
        let first = PartialKey::whole([9; 32]);
        let fence = Fence::between(&first, 6);
        assert_eq!(fence.key[..8], [9, 9, 9, 9, 9, 9, 9, 0]);
        assert!(fence.is_at_or_before(&[9; 32], Slot::MAX));
        assert!(!fence.continues(&fence.key));
        let fence = Fence::within([9; 32], 100);
        assert!(fence.is_at_or_before(&[9; 32], 100) && !fence.is_at_or_before(&[9; 32], 101));
        assert!(fence.continues(&[9; 32]));
    }
}
