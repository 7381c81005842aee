//! Accounts of the config program: a list of keys, then data whose meaning the first key gives.
//!
//! Wire shape (`solana-config-interface` 2.x): a compact `u16` count (7 bits per byte, lowest
//! first, the top bit says that more follow), as many rows of address and boolean, then the data.

use icecore_types::{Bits64, Cursor, Pubkey, wire_struct};
use serde::Serialize;

/// The first key of a validator's self-description.
pub const VALIDATOR_INFO: Pubkey =
    Pubkey::from_base58_const("Va1idator1nfo111111111111111111111111111111");

/// Bytes of a key: address and boolean.
const KEY_BYTES: usize = 33;

/// A config account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config<'a> {
    keys: &'a [u8],
    /// What follows the keys.
    pub data: &'a [u8],
}

impl<'a> Config<'a> {
    /// Decodes account data; `None` when it does not hold the keys that it counts.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        let count = usize::from(compact_u16(&mut cursor)?);
        let keys = cursor.take(count * KEY_BYTES).ok()?;
        let signers_are_boolean = keys.chunks_exact(KEY_BYTES).all(|key| key[32] <= 1);
        signers_are_boolean.then_some(Self { keys, data: cursor.remaining() })
    }

    /// The keys, each with whether it must sign changes.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (Pubkey, bool)> + use<'a> {
        self.keys.chunks_exact(KEY_BYTES).map(|key| {
            Cursor::new(key)
                .read()
                .expect("33 bytes with a boolean at the end, checked when decoded")
        })
    }

    /// A validator's description of itself, a JSON text; `None` when the keys or the data say
    /// otherwise.
    pub fn validator_info(&self) -> Option<&'a str> {
        let (first, _) = self.keys().next()?;
        if first != VALIDATOR_INFO {
            return None;
        }
        let mut cursor = Cursor::new(self.data);
        let length = usize::try_from(cursor.read::<u64>().ok()?).ok()?;
        str::from_utf8(cursor.take(length).ok()?).ok()
    }

    /// The stake program's parameters, when this is the account
    /// [`STAKE_CONFIG`](icecore_types::programs::STAKE_CONFIG).
    pub fn stake_config(&self) -> Option<StakeConfig> {
        Cursor::new(self.data).read().ok()
    }
}

wire_struct! {
    /// Obsolete parameters of the stake program: 9 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct StakeConfig {
        /// The share of all stake that may warm up or cool down in one epoch.
        pub warmup_cooldown_rate: Bits64,
        /// Of 255; never used.
        pub slash_penalty: u8,
    }
}

/// A count of one to three bytes; `None` for a form that is longer than needed or beyond `u16`.
fn compact_u16(cursor: &mut Cursor<'_>) -> Option<u16> {
    let mut value = 0u32;
    for shift in [0, 7, 14] {
        let byte = cursor.read::<u8>().ok()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let needlessly_long = byte == 0 && shift > 0;
            return if needlessly_long { None } else { u16::try_from(value).ok() };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_counts_have_one_form() {
        let value = |bytes: &[u8]| compact_u16(&mut Cursor::new(bytes));
        assert_eq!(value(&[0]), Some(0));
        assert_eq!(value(&[0x7f]), Some(127));
        assert_eq!(value(&[0x80, 1]), Some(128));
        assert_eq!(value(&[0xff, 0xff, 3]), Some(u16::MAX));
        for wrong in [&[][..], &[0x80], &[0x80, 0], &[0xff, 0xff, 4], &[0x80, 0x80, 0x80]] {
            assert_eq!(value(wrong), None, "{wrong:?}");
        }
    }
}
