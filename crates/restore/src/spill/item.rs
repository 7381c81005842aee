//! What can be spilled: small values of one size.

use crate::pass::batch::Place;

/// A value that goes to a scratch file and back.
pub trait Item: Copy + Ord + Send + Sync + 'static {
    /// Bytes of an item in a file.
    const BYTES: usize;

    /// Writes itself to exactly [`Self::BYTES`]; integers are little-endian.
    fn write(&self, bytes: &mut [u8]);

    /// Reads what [`Self::write`] wrote.
    fn read(bytes: &[u8]) -> Self;

    /// Sorts items, by a faster way than comparing if there is one.
    fn sort(items: &mut [Self]) {
        items.sort_unstable();
    }
}

/// A little-endian integer at `at`.
pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes from there"))
}

impl Item for Place {
    const BYTES: usize = 8;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_bits().to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self::from_bits(read_u64(bytes, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_bytes() {
        let places = [
            Place::new(false, 0, 0),
            Place::new(false, 4_999_999, u32::MAX),
            Place::new(true, 0, 1),
            Place::new(true, 4_999_999, 7),
        ];
        assert!(places.is_sorted_by_key(|place| place.to_bits()));
        for place in places {
            let mut bytes = [0; Place::BYTES];
            place.write(&mut bytes);
            assert_eq!(Place::read(&bytes), place);
        }
    }
}
