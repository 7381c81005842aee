//! A token's name, symbol and link, kept in its mint.
//!
//! Wire shape (`spl-token-metadata-interface` 1.0, borsh): update authority and mint, three
//! strings, a `u32` count and as many pairs of strings; a string is a `u32` length and UTF-8.

use icecore_types::{Cursor, Pubkey, WireError};
use serde::{Serialize, Serializer};

use super::Authority;

/// The metadata extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenMetadata<'a> {
    /// Who may change it.
    pub update_authority: Authority,
    /// The mint that it describes.
    pub mint: Pubkey,
    /// Name.
    pub name: &'a str,
    /// Symbol.
    pub symbol: &'a str,
    /// Link to more.
    pub uri: &'a str,
    /// Further pairs of key and value.
    pub additional_metadata: AdditionalMetadata<'a>,
}

impl<'a> TokenMetadata<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, WireError> {
        Ok(Self {
            update_authority: cursor.read()?,
            mint: cursor.read()?,
            name: string(cursor)?,
            symbol: string(cursor)?,
            uri: string(cursor)?,
            additional_metadata: AdditionalMetadata::read(cursor)?,
        })
    }
}

/// Pairs of key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdditionalMetadata<'a> {
    /// The pairs back to back, checked when read.
    pairs: &'a [u8],
}

impl<'a> AdditionalMetadata<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, WireError> {
        // A pair takes eight bytes at least, so a count beyond the bytes soon ends in an error.
        let count = cursor.read::<u32>()?;
        let mut ahead = cursor.clone();
        for _ in 0..count {
            string(&mut ahead)?;
            string(&mut ahead)?;
        }
        let bytes = ahead.position() - cursor.position();
        Ok(Self { pairs: cursor.take(bytes)? })
    }

    /// The pairs, in the order of the data.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor::new(self.pairs);
        std::iter::from_fn(move || Some((string(&mut cursor).ok()?, string(&mut cursor).ok()?)))
    }
}

impl Serialize for AdditionalMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, WireError> {
    let length = cursor.read::<u32>()?;
    let bytes = cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    str::from_utf8(bytes)
        .map_err(|_| WireError::Invalid { what: "length of a UTF-8 string", value: length.into() })
}
