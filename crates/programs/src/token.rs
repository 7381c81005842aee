//! Accounts of the two token programs: token accounts, mints and multisigs.
//!
//! The base state of an account has 165 bytes, of a mint 82, of a multisig 355, at both programs.
//! Token-2022 may put extensions behind the base state of the first two: a mint is padded with
//! zeros to 165 bytes, byte 165 tells a mint (1) from an account (2), and from byte 166 on lie the
//! [extensions](Extensions). Data of exactly 355 bytes is always a multisig.
//!
//! Source of the layouts: `spl-token-interface` 3.x, `spl-token-2022-interface` 3.1.

mod account;
mod extension;
mod metadata;
mod mint;
mod multisig;
mod tlv;

pub use account::{TokenAccount, TokenAccountState, token_account_mint_owner_amount};
pub use extension::{
    Authority, DefaultAccountState, Extension, Flag, GroupMemberPointer, GroupPointer,
    InterestBearingConfig, MetadataPointer, PausableConfig, Rate, ScaledUiAmountConfig, TokenGroup,
    TokenGroupMember, TransferFee, TransferFeeConfig, TransferHook,
};
use icecore_types::{Cursor, Pubkey, WireError, programs};
pub use metadata::{AdditionalMetadata, TokenMetadata};
pub use mint::Mint;
pub use multisig::{MULTISIG_SIGNERS_MAX, Multisig};
pub use tlv::{ExtensionKind, Extensions, ExtensionsIter, RawExtension};

/// Bytes of a token account's base state.
pub const TOKEN_ACCOUNT_BYTES: usize = 165;

/// Bytes of a mint's base state.
pub const MINT_BYTES: usize = 82;

/// Bytes of a multisig.
pub const MULTISIG_BYTES: usize = 355;

/// What byte 165 says of data with room for extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccountType {
    Mint = 1,
    Account = 2,
}

/// Splits data into a base state of `base_bytes` and the bytes of its extensions; `None` when the
/// lengths, the padding or byte 165 say that it is something else.
fn split_extensions<'a>(
    owner_program: &Pubkey,
    data: &'a [u8],
    base_bytes: usize,
    account_type: AccountType,
) -> Option<(&'a [u8], &'a [u8])> {
    let (base, rest) = data.split_at_checked(base_bytes)?;
    if *owner_program == programs::TOKEN {
        return rest.is_empty().then_some((base, rest));
    }
    if *owner_program != programs::TOKEN_2022 || data.len() == MULTISIG_BYTES {
        return None;
    }
    if rest.is_empty() {
        return Some((base, rest));
    }
    let (padding, rest) = rest.split_at_checked(TOKEN_ACCOUNT_BYTES - base_bytes)?;
    let (&found, extensions) = rest.split_first()?;
    let agrees = found == account_type as u8 && padding.iter().all(|byte| *byte == 0);
    agrees.then_some((base, extensions))
}

/// Reads an option of the token programs: a `u32` tag, and the value's bytes whether or not it is
/// there.
fn optional<T: icecore_types::Wire>(cursor: &mut Cursor<'_>) -> Result<Option<T>, WireError> {
    let tag = cursor.read::<u32>()?;
    let value = cursor.read()?;
    match tag {
        0 => Ok(None),
        1 => Ok(Some(value)),
        tag => Err(WireError::Invalid { what: "option tag", value: tag.into() }),
    }
}
