//! Config accounts in the shape of the RPC: a validator's description of itself, and the obsolete
//! parameters of the stake program.

use icecore_types::{Pubkey, programs};
use serde::Serialize;

use super::{Info, Parsed};
use crate::config::Config;

/// The longest self-description of a validator that is parsed; the reference client's tool writes
/// at most 576 bytes.
pub const VALIDATOR_INFO_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValidatorInfo {
    keys: Vec<ConfigKey>,
    config_data: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ConfigKey {
    pubkey: Pubkey,
    signer: bool,
}

/// Parses the config account at `address`.
pub(super) fn parse<'a>(address: &Pubkey, data: &'a [u8]) -> Option<Parsed<'a>> {
    let config = Config::decode(data)?;
    let (kind, info) = if *address == programs::STAKE_CONFIG {
        ("stakeConfig", Info::StakeConfig(config.stake_config()?))
    } else {
        let text = config.validator_info()?;
        if text.len() > VALIDATOR_INFO_BYTES_MAX {
            return None;
        }
        let keys = config.keys();
        let info = ValidatorInfo {
            keys: keys.map(|(pubkey, signer)| ConfigKey { pubkey, signer }).collect(),
            config_data: serde_json::from_str(text).ok()?,
        };
        ("validatorInfo", Info::ValidatorInfo(info))
    };
    Some(Parsed { program: "config", kind, info })
}
