//! The clock sysvar, and the slot of the last cluster restart.

use icecore_types::{Epoch, Slot, wire_struct};
use serde::Serialize;

wire_struct! {
    /// Network time: 40 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Clock {
        /// The slot of the bank that wrote this.
        pub slot: Slot,
        /// When the first slot of the epoch began, in seconds since 1970.
        pub epoch_start_timestamp: i64,
        /// The epoch of `slot`.
        pub epoch: Epoch,
        /// The last epoch whose leader schedule is known.
        pub leader_schedule_epoch: Epoch,
        /// Stake-weighted estimate of the time, in seconds since 1970.
        pub unix_timestamp: i64,
    }
}

impl Clock {
    /// Decodes account data; `None` when it is not a clock.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}

wire_struct! {
    /// The slot of the last cluster restart (hard fork), 0 when there was none: 8 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct LastRestartSlot {
        /// The slot.
        pub last_restart_slot: Slot,
    }
}

impl LastRestartSlot {
    /// Decodes account data; `None` when it is too short.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}
