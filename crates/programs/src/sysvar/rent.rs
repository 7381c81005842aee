//! What an account must hold to be exempt from rent.

use icecore_types::{Bits64, wire_struct};
use serde::Serialize;

use crate::parsed::as_text;

wire_struct! {
    /// The rent parameters: 17 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Rent {
        /// Lamports per byte and year.
        #[serde(serialize_with = "as_text")]
        pub lamports_per_byte_year: u64,
        /// Years of rent that make an account exempt.
        pub exemption_threshold: Bits64,
        /// Percentage of collected rent that was burned.
        pub burn_percent: u8,
    }
}

impl Rent {
    /// Decodes account data; `None` when it is too short.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}
