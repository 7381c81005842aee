//! 32-byte names: account addresses and SHA-256 or BLAKE3 digests, shown in base58.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The text is not the base58 form of exactly 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the base58 form of 32 bytes")]
pub struct Base58Error {
    /// The text as given, cut to 64 characters.
    pub text: String,
}

/// What `five8` needs room for: 44 characters hold any 32 bytes in base58.
const BASE58_CHARACTERS_MAX: usize = five8::BASE58_ENCODED_32_MAX_LEN;

fn write_base58(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; BASE58_CHARACTERS_MAX];
    let length = five8::encode_32(bytes, &mut text);
    f.pad(str::from_utf8(&text[..usize::from(length)]).expect("base58 is ASCII"))
}

fn parse_base58(text: &str) -> Result<[u8; 32], Base58Error> {
    let mut bytes = [0u8; 32];
    match five8::decode_32(text.as_bytes(), &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Base58Error { text: text.chars().take(64).collect() }),
    }
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes,
            Immutable, KnownLayout, Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Parses base58 in a constant.
            ///
            /// # Panics
            /// When the text is not the base58 form of 32 bytes (at compile time in a constant).
            pub const fn from_base58_const(text: &str) -> Self {
                Self(five8_const(text))
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Whether every byte is zero.
            pub fn is_zero(&self) -> bool {
                self.0 == [0; 32]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base58(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base58(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Base58Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_base58(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

bytes32! {
    /// An account's address.
    Pubkey
}

bytes32! {
    /// A 32-byte digest: bank hash, blockhash, account hash, checksum of a lattice hash.
    Hash
}

/// Base58 in constants: `five8` decodes at run time only, so this is schoolbook long arithmetic.
const fn five8_const(text: &str) -> [u8; 32] {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let text = text.as_bytes();
    let mut bytes = [0u8; 32];
    let mut at = 0;
    while at < text.len() {
        let mut digit = 0;
        while digit < 58 && ALPHABET[digit] != text[at] {
            digit += 1;
        }
        assert!(digit < 58, "not a base58 character");
        let mut carry = digit;
        let mut position = 32;
        while position > 0 {
            position -= 1;
            carry += bytes[position] as usize * 58;
            bytes[position] = (carry & 0xff) as u8;
            carry >>= 8;
        }
        assert!(carry == 0, "more than 32 bytes");
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_constant_parser_agrees_with_the_library() {
        for text in [
            "11111111111111111111111111111111",
            "Vote111111111111111111111111111111111111111",
            "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "8UYXTfRpVJt8FbpbuK2zhNg7MkhM8fDNmDhSxhMstgve",
        ] {
            assert_eq!(Pubkey::from_base58_const(text), text.parse().expect("valid"));
            assert_eq!(Pubkey::from_base58_const(text).to_string(), text);
        }
    }

    #[test]
    fn a_wrong_text_names_itself() {
        let error = "0OIl".parse::<Hash>().expect_err("0 is not base58");
        assert_eq!(error.to_string(), "'0OIl' is not the base58 form of 32 bytes");
    }

    proptest! {
        #[test]
        fn text_and_bytes_are_one(bytes: [u8; 32]) {
            let key = Pubkey(bytes);
            prop_assert_eq!(key.to_string().parse::<Pubkey>(), Ok(key));
            prop_assert_eq!(Pubkey::from_base58_const(&key.to_string()), key);
        }
    }
}
