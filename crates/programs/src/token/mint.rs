//! Mints: a token's supply and who may change it.

use icecore_types::{Cursor, Pubkey};

use super::{AccountType, Extensions, MINT_BYTES, optional, split_extensions};

/// An initialized mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mint<'a> {
    /// Who may mint; `None` fixes the supply.
    pub mint_authority: Option<Pubkey>,
    /// Supply in the smallest unit.
    pub supply: u64,
    /// Decimal places between the smallest unit and the one shown to people.
    pub decimals: u8,
    /// Who may freeze accounts.
    pub freeze_authority: Option<Pubkey>,
    /// Extensions (token-2022 only).
    pub extensions: Extensions<'a>,
}

impl<'a> Mint<'a> {
    /// Decodes the data of an account that `owner_program` owns; `None` when that is no token
    /// program or the data is not an initialized mint.
    pub fn decode(owner_program: &Pubkey, data: &'a [u8]) -> Option<Self> {
        let (base, extensions) =
            split_extensions(owner_program, data, MINT_BYTES, AccountType::Mint)?;
        let mut cursor = Cursor::new(base);
        let mint_authority = optional(&mut cursor).ok()?;
        let supply = cursor.read().ok()?;
        let decimals = cursor.read().ok()?;
        let is_initialized = cursor.read::<bool>().ok()?;
        let freeze_authority = optional(&mut cursor).ok()?;
        is_initialized.then_some(Self {
            mint_authority,
            supply,
            decimals,
            freeze_authority,
            extensions: Extensions::new(extensions),
        })
    }
}
