//! Durable nonce accounts: system accounts whose data holds a blockhash that does not expire.
//!
//! Wire shape (`solana-nonce` 3.x): `u32` version, `u32` state, then for an initialized one its
//! data; the account has 80 bytes.

use icecore_types::{Cursor, Hash, Pubkey, wire_struct};

/// Bytes of a nonce account's data.
pub const NONCE_BYTES: usize = 80;

wire_struct! {
    /// What an initialized nonce account holds: 72 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct NonceData {
        /// Who may advance, withdraw and hand on.
        pub authority: Pubkey,
        /// What a transaction names in place of a recent blockhash.
        pub durable_nonce: Hash,
        /// The fee when the nonce was stored, in lamports.
        pub lamports_per_signature: u64,
    }
}

/// How the durable nonce was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceVersion {
    /// It is a blockhash: no longer usable.
    Legacy,
    /// It is a hash of a blockhash, apart from all blockhashes.
    Current,
}

/// A nonce account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// How the nonce was made.
    pub version: NonceVersion,
    /// `None` while uninitialized.
    pub data: Option<NonceData>,
}

impl Nonce {
    /// Decodes the data of a system account; `None` when it does not have [`NONCE_BYTES`] or does
    /// not hold a nonce. Eighty zero bytes are an uninitialized nonce.
    pub fn decode(data: &[u8]) -> Option<Self> {
        if data.len() != NONCE_BYTES {
            return None;
        }
        let mut cursor = Cursor::new(data);
        let version = match cursor.read::<u32>().ok()? {
            0 => NonceVersion::Legacy,
            1 => NonceVersion::Current,
            _ => return None,
        };
        let data = match cursor.read::<u32>().ok()? {
            0 => None,
            1 => Some(cursor.read().ok()?),
            _ => return None,
        };
        Some(Self { version, data })
    }
}
