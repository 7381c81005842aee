//! Accounts of the token programs in the shape of the RPC.

use icecore_types::Pubkey;
use serde::{Serialize, Serializer};

use super::{Info, Parsed, as_text};
use crate::{
    Rows,
    token::{Extensions, Mint, Multisig, TokenAccount, TokenAccountState},
};

/// A token account, a mint or a multisig.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum TokenInfo<'a> {
    Account(AccountInfo<'a>),
    Mint(MintInfo<'a>),
    Multisig(MultisigInfo<'a>),
}

/// An amount in the mint's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Amount {
    #[serde(serialize_with = "as_text")]
    amount: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountInfo<'a> {
    mint: Pubkey,
    owner: Pubkey,
    token_amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate: Option<Pubkey>,
    state: TokenAccountState,
    is_native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rent_exempt_reserve: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegated_amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_authority: Option<Pubkey>,
    #[serde(skip_serializing_if = "Extensions::is_empty")]
    extensions: Extensions<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MintInfo<'a> {
    mint_authority: Option<Pubkey>,
    #[serde(serialize_with = "as_text")]
    supply: u64,
    decimals: u8,
    is_initialized: bool,
    freeze_authority: Option<Pubkey>,
    #[serde(skip_serializing_if = "Extensions::is_empty")]
    extensions: Extensions<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MultisigInfo<'a> {
    num_required_signers: u8,
    num_valid_signers: u8,
    is_initialized: bool,
    #[serde(serialize_with = "used_places")]
    signers: Rows<'a, Pubkey>,
}

fn used_places<S: Serializer>(
    signers: &Rows<'_, Pubkey>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(signers.iter().filter(|signer| !signer.is_zero()))
}

/// Parses an account of the token program `owner`, which the RPC calls `program`.
pub(super) fn parse<'a>(
    program: &'static str,
    owner: &Pubkey,
    data: &'a [u8],
) -> Option<Parsed<'a>> {
    let (kind, info) = if let Some(account) = TokenAccount::decode(owner, data) {
        ("account", TokenInfo::Account(account_info(&account)))
    } else if let Some(mint) = Mint::decode(owner, data) {
        ("mint", TokenInfo::Mint(mint_info(&mint)))
    } else {
        let multisig = Multisig::decode(owner, data)?;
        ("multisig", TokenInfo::Multisig(multisig_info(&multisig)))
    };
    Some(Parsed { program, kind, info: Info::Token(info) })
}

fn account_info<'a>(account: &TokenAccount<'a>) -> AccountInfo<'a> {
    let amount = |amount| Amount { amount };
    AccountInfo {
        mint: account.mint,
        owner: account.owner,
        token_amount: amount(account.amount),
        delegate: account.delegate,
        state: account.state,
        is_native: account.native_reserve.is_some(),
        rent_exempt_reserve: account.native_reserve.map(amount),
        delegated_amount: account.delegate.map(|_| amount(account.delegated_amount)),
        close_authority: account.close_authority,
        extensions: account.extensions,
    }
}

fn mint_info<'a>(mint: &Mint<'a>) -> MintInfo<'a> {
    MintInfo {
        mint_authority: mint.mint_authority,
        supply: mint.supply,
        decimals: mint.decimals,
        is_initialized: true,
        freeze_authority: mint.freeze_authority,
        extensions: mint.extensions,
    }
}

fn multisig_info<'a>(multisig: &Multisig<'a>) -> MultisigInfo<'a> {
    MultisigInfo {
        num_required_signers: multisig.signers_required,
        num_valid_signers: multisig.signers_valid,
        is_initialized: true,
        signers: multisig.signers,
    }
}
