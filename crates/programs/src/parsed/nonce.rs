//! Nonce accounts in the shape of the RPC.

use icecore_types::{Hash, Pubkey};
use serde::Serialize;

use super::{FeeCalculator, Info, Parsed};
use crate::nonce::{Nonce, NonceData};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NonceInfo {
    authority: Pubkey,
    blockhash: Hash,
    fee_calculator: FeeCalculator,
}

/// Parses a nonce account. An uninitialized one stays raw, as with the RPC: any system account of
/// 80 zero bytes is one.
pub(super) fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let NonceData { authority, durable_nonce, lamports_per_signature } =
        Nonce::decode(data)?.data?;
    Some(Parsed {
        program: "nonce",
        kind: "initialized",
        info: Info::Nonce(NonceInfo {
            authority,
            blockhash: durable_nonce,
            fee_calculator: FeeCalculator { lamports_per_signature },
        }),
    })
}
