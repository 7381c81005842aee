//! Account rows: one shape for every command that gives accounts.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use icecore_programs::{Parsed, parse};
use icecore_restore::{IndexedAccount, LiveAccount};
use icecore_types::{AccountRef, Pubkey, Slot};
use serde::Serialize;

/// A live account, wherever it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(crate) account: AccountRef<'a>,
    /// The slot in which this version was written.
    pub(crate) slot: Slot,
    /// Of a store's: the slot whose state it is of.
    pub(crate) at_slot: Option<Slot>,
}

impl<'a> From<LiveAccount<'a>> for Live<'a> {
    fn from(live: LiveAccount<'a>) -> Self {
        Self { account: live.account, slot: live.slot, at_slot: None }
    }
}

impl<'a> From<IndexedAccount<'a>> for Live<'a> {
    fn from(found: IndexedAccount<'a>) -> Self {
        Self { account: found.account, slot: found.slot, at_slot: None }
    }
}

/// How account data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// Base64.
    Base64,
    /// Base58, of short data only.
    Base58,
    /// Decoded where the owner is known, base64 elsewhere.
    Json,
}

/// Data that is shown in base58, in bytes: the time it takes grows by the square of the length, to
/// hours for the longest data there is. (The RPC stops at 128 bytes already.)
pub(crate) const BASE58_BYTES_MAX: usize = 10 << 10;

/// One account, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct AccountRow<'a> {
    pub(crate) pubkey: Pubkey,
    pub(crate) lamports: u64,
    pub(crate) owner: Pubkey,
    pub(crate) executable: bool,
    pub(crate) rent_epoch: u64,
    pub(crate) slot: Slot,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_slot: Option<Slot>,
    pub(crate) data_len: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parsed: Option<Parsed<'a>>,
}

impl<'a> AccountRow<'a> {
    /// Base58 is for data of at most [`BASE58_BYTES_MAX`]; the caller sees to it.
    pub(crate) fn new(live: &Live<'a>, encoding: Encoding) -> Self {
        let account = &live.account;
        let parsed = parse(account);
        let data = match encoding {
            Encoding::Base64 => Some(STANDARD.encode(account.data)),
            Encoding::Base58 => Some(bs58::encode(account.data).into_string()),
            Encoding::Json if parsed.is_some() => None,
            Encoding::Json => Some(STANDARD.encode(account.data)),
        };
        Self {
            pubkey: *account.pubkey,
            lamports: account.lamports,
            owner: *account.owner,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            slot: live.slot,
            at_slot: live.at_slot,
            data_len: account.data.len() as u64,
            data,
            parsed,
        }
    }
}

/// An account that was asked for and is not there.
#[derive(Debug, Serialize)]
pub(crate) struct AbsentRow {
    pub(crate) pubkey: Pubkey,
    /// `null` where nobody knows: the store does not keep all accounts, and it may be one of the others.
    pub(crate) absent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_slot: Option<Slot>,
}

/// The first line of accounts as CSV: RFC 4180 but for its line ends, which are those of Unix.
pub(crate) const CSV_HEADER: &str =
    "pubkey,lamports,owner,executable,rent_epoch,slot,data_len,data";

/// Writes an account as a line of CSV. No value needs quotes: there are only numbers, words,
/// base58 and base64.
pub(crate) fn write_csv(live: &Live<'_>, out: &mut impl Write) -> io::Result<()> {
    let account = &live.account;
    writeln!(
        out,
        "{},{},{},{},{},{},{},{}",
        account.pubkey,
        account.lamports,
        account.owner,
        account.executable,
        account.rent_epoch,
        live.slot,
        account.data.len(),
        STANDARD.encode(account.data),
    )
}

/// One account as `solana-test-validator --account-dir` reads it: the RPC's account with its
/// address (`RpcKeyedAccount` of `rpc-client-types`, `response.rs`).
#[derive(Debug, Serialize)]
pub(crate) struct AccountFile {
    pubkey: Pubkey,
    account: AccountFileContent,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountFileContent {
    lamports: u64,
    data: (String, &'static str),
    owner: Pubkey,
    executable: bool,
    rent_epoch: u64,
    space: u64,
}

impl AccountFile {
    pub(crate) fn new(live: &Live<'_>) -> Self {
        let account = &live.account;
        Self {
            pubkey: *account.pubkey,
            account: AccountFileContent {
                lamports: account.lamports,
                data: (STANDARD.encode(account.data), "base64"),
                owner: *account.owner,
                executable: account.executable,
                rent_epoch: account.rent_epoch,
                space: account.data.len() as u64,
            },
        }
    }
}

/// An amount in units of `10^decimals`, without zeros at its end: what the RPC calls
/// `uiAmountString`, for mints without extensions that change what is shown.
pub(crate) fn decimal(amount: u128, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{amount:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_as_many_places_as_they_need() {
        for (amount, decimals, text) in [
            (0, 0, "0"),
            (0, 9, "0"),
            (1, 9, "0.000000001"),
            (1_000_000, 6, "1"),
            (1_500_000, 6, "1.5"),
            (120, 0, "120"),
            (u128::from(u64::MAX), 9, "18446744073.709551615"),
            (7, 40, "0.0000000000000000000000000000000000000007"),
        ] {
            assert_eq!(decimal(amount, decimals), text);
        }
        assert_eq!(decimal(1, 255).len(), 257);
    }
}
