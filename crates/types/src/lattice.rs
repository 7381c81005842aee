//! The value of a lattice hash: 1,024 lanes of 16 bits under wrapping addition.
//!
//! The sum of the lattice hashes of all live accounts is the state's; a version is taken out by
//! subtracting it. Hashing itself lives in `icecore-hash`.

use std::fmt;

/// Lanes of a lattice hash.
pub const LATTICE_LANES: usize = 1024;

/// Bytes of a lattice hash: each lane is a little-endian `u16`.
pub const LATTICE_BYTES: usize = LATTICE_LANES * 2;

/// A lattice hash. The identity (all lanes zero) is its default.
#[derive(Clone, PartialEq, Eq)]
pub struct LatticeHash {
    /// The lanes, in the order of the bytes.
    pub lanes: Box<[u16; LATTICE_LANES]>,
}

impl LatticeHash {
    /// Reads the 2,048 little-endian bytes.
    pub fn from_bytes(bytes: &[u8; LATTICE_BYTES]) -> Self {
        let mut hash = Self::default();
        for (lane, pair) in hash.lanes.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *lane = u16::from_le_bytes(*pair);
        }
        hash
    }

    /// The 2,048 little-endian bytes.
    pub fn to_bytes(&self) -> Box<[u8; LATTICE_BYTES]> {
        let mut bytes = Box::new([0u8; LATTICE_BYTES]);
        for (pair, lane) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(self.lanes.iter()) {
            *pair = lane.to_le_bytes();
        }
        bytes
    }

    /// Adds `other`, lane by lane, wrapping.
    pub fn mix_in(&mut self, other: &Self) {
        for (lane, add) in self.lanes.iter_mut().zip(other.lanes.iter()) {
            *lane = lane.wrapping_add(*add);
        }
    }

    /// Subtracts `other`, lane by lane, wrapping: the inverse of [`mix_in`](Self::mix_in).
    pub fn mix_out(&mut self, other: &Self) {
        for (lane, subtract) in self.lanes.iter_mut().zip(other.lanes.iter()) {
            *lane = lane.wrapping_sub(*subtract);
        }
    }

    /// Whether this is the hash of no account at all.
    pub fn is_identity(&self) -> bool {
        self.lanes.iter().all(|lane| *lane == 0)
    }
}

impl Default for LatticeHash {
    fn default() -> Self {
        Self { lanes: Box::new([0; LATTICE_LANES]) }
    }
}

impl fmt::Debug for LatticeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = &self.lanes[..4];
        write!(f, "LatticeHash({first:04x?}, ...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_out_undoes_mixing_in_across_the_wrap() {
        let mut bytes = [0u8; LATTICE_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index * 37 + 200) as u8;
        }
        let one = LatticeHash::from_bytes(&bytes);
        assert_eq!(*one.to_bytes(), bytes);
        let mut sum = one.clone();
        sum.mix_in(&one);
        assert_ne!(sum, one);
        sum.mix_out(&one);
        assert_eq!(sum, one);
        sum.mix_out(&one);
        assert!(sum.is_identity());
    }
}
