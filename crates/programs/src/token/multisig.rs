//! Multisigs: an authority that is several signers, of whom some number must sign.

use icecore_types::{Cursor, Pubkey, programs};

use super::MULTISIG_BYTES;
use crate::Rows;

/// Places for signers.
pub const MULTISIG_SIGNERS_MAX: usize = 11;

/// An initialized multisig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multisig<'a> {
    /// How many must sign.
    pub signers_required: u8,
    /// How many signers there are.
    pub signers_valid: u8,
    /// All [`MULTISIG_SIGNERS_MAX`] places; those not used are zero.
    pub signers: Rows<'a, Pubkey>,
}

impl<'a> Multisig<'a> {
    /// Decodes the data of an account that `owner_program` owns; `None` when that is no token
    /// program or the data is not an initialized multisig.
    pub fn decode(owner_program: &Pubkey, data: &'a [u8]) -> Option<Self> {
        let owner_is_token = [programs::TOKEN, programs::TOKEN_2022].contains(owner_program);
        if !owner_is_token || data.len() != MULTISIG_BYTES {
            return None;
        }
        let mut cursor = Cursor::new(data);
        let signers_required = cursor.read().ok()?;
        let signers_valid = cursor.read().ok()?;
        let is_initialized = cursor.read::<bool>().ok()?;
        let signers = Rows::new(cursor.remaining())?;
        is_initialized.then_some(Self { signers_required, signers_valid, signers })
    }
}
