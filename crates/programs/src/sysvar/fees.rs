//! Two obsolete sysvars that old snapshots still hold.

use icecore_types::{Bits64, wire_struct};
use serde::Serialize;

wire_struct! {
    /// The fee per signature before the fee rate governor's value left the chain state: 8 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Fees {
        /// Lamports per signature.
        pub lamports_per_signature: u64,
    }
}

impl Fees {
    /// Decodes account data; `None` when it is too short.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}

wire_struct! {
    /// The worth of a vote credit: 16 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Rewards {
        /// Lamports per point.
        pub validator_point_value: Bits64,
        /// Never used.
        #[serde(skip)]
        pub unused: Bits64,
    }
}

impl Rewards {
    /// Decodes account data; `None` when it is too short.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}
