//! Feature accounts: whether a change of the protocol is pending or since when it is in force.

use icecore_types::{Cursor, Slot};
use serde::Serialize;

/// A feature account (`solana-feature-gate-interface`): 9 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The slot at which it came into force, `None` while it is pending.
    pub activated_at: Option<Slot>,
}

impl Feature {
    /// Decodes account data; `None` when it is not a feature.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let activated_at = Cursor::new(data).read().ok()?;
        Some(Self { activated_at })
    }
}
