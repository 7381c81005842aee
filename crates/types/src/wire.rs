//! The wire shapes of the reference client's bincode 1.x: fixed-width little-endian integers,
//! `u8` tags for options and booleans, `u32` tags for enums, no lengths for fixed shapes.
//!
//! A value is decoded from a [`Cursor`] over bytes that are all there; a reader that streams asks
//! again when the cursor says [`WireError::Incomplete`] and how many bytes it lacks. What decodes
//! encodes to exactly the same bytes: a tag or boolean that is neither 0 nor 1 is an error, and
//! floats are kept as [`Bits64`].
//!
//! What it does *not* do: collections. Their lengths come from the input, so whoever reads one
//! checks its bound first.

use serde::{Serialize, Serializer};

use crate::{Hash, Pubkey};

/// Why a value could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end within the value.
    #[error("the bytes end within a value: {needed} more are needed")]
    Incomplete {
        /// At least this many more bytes are needed.
        needed: usize,
    },
    /// A byte or tag has no meaning.
    #[error("{value} is not a valid {what}")]
    Invalid {
        /// What was to be decoded.
        what: &'static str,
        /// What was found.
        value: u64,
    },
}

/// Bytes and how far they have been read.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Takes `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let rest = self.remaining();
        if rest.len() < count {
            return Err(WireError::Incomplete { needed: count - rest.len() });
        }
        self.at += count;
        Ok(&rest[..count])
    }

    /// Takes a fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        Ok(self.take(N)?.try_into().expect("take gives exactly N bytes"))
    }

    /// Decodes one value.
    pub fn read<T: Wire>(&mut self) -> Result<T, WireError> {
        T::decode(self)
    }
}

/// A value with one wire shape.
pub trait Wire: Sized {
    /// Reads the value at the cursor.
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError>;

    /// Appends the value's bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

macro_rules! wire_integers {
    ($($integer:ty),*) => {$(
        impl Wire for $integer {
            fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
                Ok(<$integer>::from_le_bytes(*cursor.array()?))
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

wire_integers!(u8, u16, u32, u64, u128, i64);

impl Wire for bool {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        match cursor.read::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Invalid { what: "boolean", value: value.into() }),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl<T: Wire> Wire for Option<T> {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        match cursor.read::<u8>()? {
            0 => Ok(None),
            1 => Ok(Some(cursor.read()?)),
            value => Err(WireError::Invalid { what: "option tag", value: value.into() }),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(out);
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.array().copied()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        Ok((cursor.read()?, cursor.read()?))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
}

impl Wire for Pubkey {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read().map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Wire for Hash {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read().map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

/// A 64-bit float kept as its bits, so that any value, NaN included, encodes as it was read and
/// compares by identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bits64(pub u64);

impl Bits64 {
    /// The float.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Bits64 {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl Serialize for Bits64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl Wire for Bits64 {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read().map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

/// Declares a struct whose wire shape is its fields in order.
#[macro_export]
macro_rules! wire_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)* }

        impl $crate::Wire for $name {
            fn decode(cursor: &mut $crate::Cursor<'_>) -> Result<Self, $crate::WireError> {
                Ok(Self { $($field: cursor.read()?,)* })
            }

            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::Wire::encode(&self.$field, out);)*
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    wire_struct! {
        #[derive(Debug, PartialEq)]
        struct Sample {
            flag: bool,
            number: Option<u64>,
            rate: Bits64,
        }
    }

    #[test]
    fn a_struct_is_its_fields_in_order() {
        let sample = Sample { flag: true, number: Some(5), rate: Bits64(f64::NAN.to_bits() | 1) };
        let mut bytes = Vec::new();
        sample.encode(&mut bytes);
        assert_eq!(bytes.len(), 1 + 9 + 8);
        assert_eq!(Cursor::new(&bytes).read::<Sample>(), Ok(sample));
        assert_eq!(
            Cursor::new(&bytes[..12]).read::<Sample>(),
            Err(WireError::Incomplete { needed: 6 })
        );
        bytes[0] = 2;
        assert_eq!(
            Cursor::new(&bytes).read::<Sample>(),
            Err(WireError::Invalid { what: "boolean", value: 2 })
        );
    }
}
