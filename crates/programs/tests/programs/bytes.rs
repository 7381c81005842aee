//! An encoder of the tests' own: it knows integers and keys, and no layout.

use icecore_types::Pubkey;

/// Bytes in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn i64(self, value: i64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u128(self, value: u128) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn f64(self, value: f64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    /// Thirty-two times the same byte.
    pub(crate) fn key(self, byte: u8) -> Self {
        self.raw(&[byte; 32])
    }

    /// A `u32` length and the text.
    pub(crate) fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).expect("short");
        self.u32(length).raw(text.as_bytes())
    }

    pub(crate) fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// The key of thirty-two times the same byte.
pub(crate) fn key(byte: u8) -> Pubkey {
    Pubkey([byte; 32])
}
