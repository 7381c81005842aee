//! Where a record lies: data segment, offset and size class in 8 bytes (rule R12).
//!
//! ```text
//! bits 63..40  segment    24 bits
//! bits 39..8   offset     32 bits, in units of 8 bytes
//! bits  7..0   size class
//! ```
//!
//! The size class bounds the length of the data, so that a reader fetches the record in one piece and
//! a filter by size passes over most records without reading them. Two classes mean something else:
//! a tombstone, and a departure (see the format of runs).
//!
//! Classes of lengths: the length in units of 8 bytes, rounded up, as a float with 3 bits behind the
//! leading one, rounded up. So a class is at most an eighth longer than what is in it.

use icecore_types::DATA_BYTES_MAX;

/// Where an account version lies, and about how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator(u64);

/// Data segments have ids below this.
pub(crate) const SEGMENTS_END: u32 = 1 << 24;

/// Offsets are counted in these.
const OFFSET_UNIT: u64 = 8;

impl Locator {
    /// Of a record at a byte offset.
    ///
    /// # Panics
    /// When no record can lie there: a segment or an offset beyond what data segments have, or an
    /// offset that is no multiple of 8.
    pub fn new(segment: u32, offset: u64, class: SizeClass) -> Self {
        assert!(segment < SEGMENTS_END, "data segments are counted with 24 bits");
        assert!(offset.is_multiple_of(OFFSET_UNIT), "records lie at multiples of 8 bytes");
        let units = u32::try_from(offset / OFFSET_UNIT).expect("data segments end before 32 GiB");
        Self(u64::from(segment) << 40 | u64::from(units) << 8 | u64::from(class.0))
    }

    /// The data segment.
    pub fn segment(self) -> u32 {
        u32::try_from(self.0 >> 40).expect("24 bits are left")
    }

    /// Offset of the record in it, in bytes.
    pub fn offset(self) -> u64 {
        (self.0 >> 8 & u64::from(u32::MAX)) * OFFSET_UNIT
    }

    /// The size class.
    pub fn class(self) -> SizeClass {
        SizeClass((self.0 & 0xff) as u8)
    }

    /// The same place with another class.
    pub fn with_class(self, class: SizeClass) -> Self {
        Self(self.0 & !0xff | u64::from(class.0))
    }

    /// As it is written.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// As it was written; any bits are a locator, which need not lead anywhere.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A bound on the length of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The account is closed.
    pub const TOMBSTONE: Self = Self(0);
    /// In the order of owners: the account has left the owner with this version.
    pub const DEPARTURE: Self = Self(255);
    /// Of the longest data.
    const LAST: Self = Self::of(DATA_BYTES_MAX);

    /// Of a live account with so many bytes of data.
    ///
    /// # Panics
    /// Beyond [`DATA_BYTES_MAX`].
    pub const fn of(data_len: u64) -> Self {
        assert!(data_len <= DATA_BYTES_MAX, "checked when the record was made");
        let units = data_len.div_ceil(OFFSET_UNIT);
        if units < 16 {
            return Self(1 + units as u8);
        }
        // 8 to 15 with so many zeros behind; rounding up can lead to the next exponent, 8 more.
        let shift = units.ilog2() - 3;
        let leading = units.div_ceil(1 << shift);
        Self(1 + (shift * 8 + leading as u32) as u8)
    }

    /// Whether the row is of an account that lives there.
    pub const fn is_live(self) -> bool {
        self.data_len_max().is_some()
    }

    /// The longest data of the class, in bytes; `None` for what says nothing of a length.
    pub const fn data_len_max(self) -> Option<u64> {
        if self.0 == 0 || self.0 > Self::LAST.0 {
            return None;
        }
        let code = self.0 as u64 - 1;
        if code < 16 {
            return Some(code * OFFSET_UNIT);
        }
        let shift = code / 8 - 1;
        let length = ((8 + code % 8) << shift) * OFFSET_UNIT;
        Some(if length < DATA_BYTES_MAX { length } else { DATA_BYTES_MAX })
    }

    /// As it is written.
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// As it was written.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_class_bounds_its_lengths_within_an_eighth() {
        let mut last = SizeClass::TOMBSTONE;
        let samples = (0..5000).chain((5000..DATA_BYTES_MAX).step_by(997)).chain([DATA_BYTES_MAX]);
        for data_len in samples {
            let class = SizeClass::of(data_len);
            assert!(class >= last && class < SizeClass::DEPARTURE, "{data_len}");
            last = class;
            let longest = class.data_len_max().expect("a class of live accounts");
            assert!(longest >= data_len, "{data_len}: {longest}");
            assert!(longest <= data_len + data_len / 8 + 8, "{data_len}: {longest}");
            assert_eq!(SizeClass::of(longest), class, "{data_len}: {longest}");
            // What is fetched ahead of a record lies within it (`record::bytes_at_least`).
            assert!(longest - longest / 4 <= data_len.next_multiple_of(8), "{data_len}: {longest}");
        }
        assert_eq!(SizeClass::TOMBSTONE.data_len_max(), None);
        assert_eq!(SizeClass::DEPARTURE.data_len_max(), None);
    }

    proptest! {
        #[test]
        fn a_locator_keeps_its_parts(segment in 0..SEGMENTS_END, units: u32, data_len in 0..=DATA_BYTES_MAX) {
            let offset = u64::from(units) * 8;
            let class = SizeClass::of(data_len);
            let locator = Locator::new(segment, offset, class);
            prop_assert_eq!(
                (locator.segment(), locator.offset(), locator.class()),
                (segment, offset, class)
            );
            prop_assert_eq!(Locator::from_bits(locator.to_bits()), locator);
            let departed = locator.with_class(SizeClass::DEPARTURE);
            prop_assert_eq!((departed.segment(), departed.offset()), (segment, offset));
        }
    }
}
