//! Token accounts: who holds how much of a mint.

use icecore_types::{Cursor, Pubkey};
use serde::Serialize;

use super::{
    AccountType, Extensions, MULTISIG_BYTES, TOKEN_ACCOUNT_BYTES, optional, split_extensions,
};

/// Where the state of an account lies.
const STATE_OFFSET: usize = 32 + 32 + 8 + 36;

/// Whether a token account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenAccountState {
    /// Not yet in use: 0. No [`TokenAccount`] has this state; a mint may set it as default.
    Uninitialized,
    /// In use: 1.
    Initialized,
    /// Frozen by the mint's freeze authority: 2.
    Frozen,
}

impl TokenAccountState {
    /// The state with this number.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Uninitialized),
            1 => Some(Self::Initialized),
            2 => Some(Self::Frozen),
            _ => None,
        }
    }
}

/// An initialized token account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenAccount<'a> {
    /// The mint.
    pub mint: Pubkey,
    /// Who may transfer.
    pub owner: Pubkey,
    /// Amount in the mint's smallest unit.
    pub amount: u64,
    /// Who may transfer up to `delegated_amount`.
    pub delegate: Option<Pubkey>,
    /// Whether it is frozen.
    pub state: TokenAccountState,
    /// For wrapped SOL, the lamports that keep the account exempt from rent and do not count.
    pub native_reserve: Option<u64>,
    /// What the delegate may still transfer.
    pub delegated_amount: u64,
    /// Who may close the account, in place of the owner.
    pub close_authority: Option<Pubkey>,
    /// Extensions (token-2022 only).
    pub extensions: Extensions<'a>,
}

impl<'a> TokenAccount<'a> {
    /// Decodes the data of an account that `owner_program` owns; `None` when that is no token
    /// program or the data is not an initialized token account.
    pub fn decode(owner_program: &Pubkey, data: &'a [u8]) -> Option<Self> {
        let (base, extensions) =
            split_extensions(owner_program, data, TOKEN_ACCOUNT_BYTES, AccountType::Account)?;
        let mut cursor = Cursor::new(base);
        let account = Self {
            mint: cursor.read().ok()?,
            owner: cursor.read().ok()?,
            amount: cursor.read().ok()?,
            delegate: optional(&mut cursor).ok()?,
            state: TokenAccountState::from_byte(cursor.read().ok()?)?,
            native_reserve: optional(&mut cursor).ok()?,
            delegated_amount: cursor.read().ok()?,
            close_authority: optional(&mut cursor).ok()?,
            extensions: Extensions::new(extensions),
        };
        (account.state != TokenAccountState::Uninitialized).then_some(account)
    }
}

/// Mint, owner and amount of a token account, without decoding the rest, for data of an account
/// that either token program owns: what is needed to count holders.
///
/// Gives an answer wherever [`TokenAccount::decode`] does, and the same one; options that are
/// malformed go unnoticed.
pub fn token_account_mint_owner_amount(data: &[u8]) -> Option<(Pubkey, Pubkey, u64)> {
    let is_account = match data.len() {
        TOKEN_ACCOUNT_BYTES => true,
        MULTISIG_BYTES => false,
        _ => data.get(TOKEN_ACCOUNT_BYTES) == Some(&(AccountType::Account as u8)),
    };
    let initialized = matches!(data.get(STATE_OFFSET), Some(1 | 2));
    if !is_account || !initialized {
        return None;
    }
    let mut cursor = Cursor::new(data);
    Some((cursor.read().ok()?, cursor.read().ok()?, cursor.read().ok()?))
}
