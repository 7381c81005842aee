//! Address lookup tables: addresses that a transaction names by a one-byte index.
//!
//! Wire shape (`solana-address-lookup-table-interface` 3.x): `u32` tag, 1 for a table; its meta;
//! the addresses from byte 56 on. The meta is shorter without an authority; the gap up to byte 56
//! is undefined.

use icecore_types::{Cursor, Pubkey, Slot};

use crate::Rows;

/// Where the addresses begin.
const ADDRESSES_OFFSET: usize = 56;

/// An address lookup table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupTable<'a> {
    /// The slot at which it was deactivated, `u64::MAX` while it is active.
    pub deactivation_slot: Slot,
    /// The slot at which it last grew.
    pub last_extended_slot: Slot,
    /// The index of the first address that was added in that slot.
    pub last_extended_slot_start_index: u8,
    /// Who may extend and close it; `None` once it is frozen.
    pub authority: Option<Pubkey>,
    /// The addresses; the program allows 256.
    pub addresses: Rows<'a, Pubkey>,
}

impl<'a> LookupTable<'a> {
    /// Decodes account data; `None` when it is not an initialized table.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (meta, addresses) = data.split_at_checked(ADDRESSES_OFFSET)?;
        let mut cursor = Cursor::new(meta);
        if cursor.read::<u32>().ok()? != 1 {
            return None;
        }
        Some(Self {
            deactivation_slot: cursor.read().ok()?,
            last_extended_slot: cursor.read().ok()?,
            last_extended_slot_start_index: cursor.read().ok()?,
            authority: cursor.read().ok()?,
            addresses: Rows::new(addresses)?,
        })
    }
}
