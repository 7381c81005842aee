//! Account rows: one shape for every command that gives accounts.

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use icecore_programs::{Parsed, parse};
use icecore_restore::LiveAccount;
use icecore_types::{Pubkey, Slot};
use serde::Serialize;

/// How account data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// Base64.
    Base64,
    /// Base58: slow for long data.
    Base58,
    /// Decoded where the owner is known, base64 elsewhere.
    Json,
}

/// One account.
#[derive(Debug, Serialize)]
pub(crate) struct AccountRow<'a> {
    pub(crate) pubkey: Pubkey,
    pub(crate) lamports: u64,
    pub(crate) owner: Pubkey,
    pub(crate) executable: bool,
    pub(crate) rent_epoch: u64,
    pub(crate) slot: Slot,
    pub(crate) data_len: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parsed: Option<Parsed<'a>>,
}

impl<'a> AccountRow<'a> {
    pub(crate) fn new(live: &LiveAccount<'a>, encoding: Encoding) -> Self {
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
            data_len: account.data.len() as u64,
            data,
            parsed,
        }
    }
}
