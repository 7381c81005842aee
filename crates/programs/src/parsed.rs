//! An account's data for people and scripts, in the shape of the RPC's `jsonParsed`.
//!
//! The shape is that of the reference client's account decoder 4.2: `{"program", "type", "info"}`,
//! names in camel case, numbers as strings where the RPC writes strings (lamports of a stake, its
//! epochs, credits, token amounts). `info` is absent where the type says it all. Differences:
//!
//! - `tokenAmount`, `delegatedAmount` and `rentExemptReserve` hold `amount` only: decimals are the
//!   mint's, which is another account.
//! - `slotHistory` holds `nextSlot` only, not a million bits.
//! - Code of upgradeable programs and buffers is left out.
//! - Extensions that stay raw are shown in hexadecimal.
//! - `priorVoters` of older vote states are shown; the RPC converts them away.
//! - `rent` keeps its three fields; the decoder 4.2 shows the first one only, as `lamportsPerByte`.
//! - Vote states of the first layout, the stake program's obsolete parameters and features are
//!   shown; the decoder 4.2 leaves them raw.
//! - Extensions before a malformed one are shown; the decoder then shows none.
//! - An uninitialized lookup table, and a nonce that does not have 80 bytes, stay raw.
//!
//! A [`Parsed`] borrows the account's data and writes its shape while it is being serialized: a
//! hostile list takes time, not memory. The exception is a validator's description of itself, which
//! is JSON already and is held parsed, up to [`VALIDATOR_INFO_BYTES_MAX`].

mod base58;
mod config;
mod lookup_table;
mod nonce;
mod stake;
mod sysvar;
mod token;
mod upgradeable_loader;
mod vote;

use std::fmt;

pub use config::VALIDATOR_INFO_BYTES_MAX;
use icecore_types::{AccountRef, programs};
use serde::{Serialize, Serializer};

use crate::{config::StakeConfig, feature::Feature};

/// What an account holds. Serialize it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parsed<'a> {
    /// The program that gives the data its meaning, as the RPC names it.
    pub program: &'static str,
    /// What the program calls the state.
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Info::is_nothing")]
    info: Info<'a>,
}

/// The state in the shape of the RPC.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Info<'a> {
    Nothing,
    Sysvar(sysvar::SysvarInfo<'a>),
    Stake(stake::StakeInfo),
    Vote(vote::VoteInfo<'a>),
    Nonce(nonce::NonceInfo),
    ValidatorInfo(config::ValidatorInfo),
    StakeConfig(StakeConfig),
    Token(token::TokenInfo<'a>),
    Feature(Feature),
    LookupTable(lookup_table::LookupTableInfo<'a>),
    Loader(upgradeable_loader::LoaderInfo),
}

impl Info<'_> {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// Parses an account by its owner, and a sysvar by its address; `None` when the owner is not known
/// or the data does not hold what the owner keeps. Such an account stays raw.
pub fn parse<'a>(account: &AccountRef<'a>) -> Option<Parsed<'a>> {
    let data = account.data;
    match *account.owner {
        programs::SYSVAR => sysvar::parse(account.pubkey, data),
        programs::STAKE => stake::parse(data),
        programs::VOTE => vote::parse(account.pubkey, data),
        programs::SYSTEM => nonce::parse(data),
        programs::CONFIG => config::parse(account.pubkey, data),
        programs::TOKEN => token::parse("spl-token", account.owner, data),
        programs::TOKEN_2022 => token::parse("spl-token-2022", account.owner, data),
        programs::FEATURE => feature(data),
        programs::ADDRESS_LOOKUP_TABLE => lookup_table::parse(data),
        programs::BPF_LOADER_UPGRADEABLE => upgradeable_loader::parse(data),
        _ => None,
    }
}

fn feature(data: &[u8]) -> Option<Parsed<'_>> {
    Some(Parsed {
        program: "feature",
        kind: "feature",
        info: Info::Feature(Feature::decode(data)?),
    })
}

/// How the RPC writes a fee.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeeCalculator {
    #[serde(serialize_with = "as_text")]
    lamports_per_signature: u64,
}

/// Bytes shown in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Writes a value as a string: what the RPC does with numbers that a JavaScript number cannot hold.
pub(crate) fn as_text<T: fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
