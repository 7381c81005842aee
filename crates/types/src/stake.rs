//! Stake: what the manifest caches, what stake accounts hold, what the history sysvar keeps.

use serde::Serialize;

use crate::{Bits64, Epoch, Pubkey, wire_struct};

wire_struct! {
    /// A stake on a vote account (formats.md section 1): 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Delegation {
        /// The vote account.
        pub voter_pubkey: Pubkey,
        /// Lamports.
        pub stake: u64,
        /// When it began; `u64::MAX` for the stakes of genesis, which never warmed up.
        pub activation_epoch: Epoch,
        /// When it was told to end, `u64::MAX` while it goes on.
        pub deactivation_epoch: Epoch,
        /// Reserved since 4.x; before, the part of stake that may change per epoch.
        pub warmup_cooldown_rate: Bits64,
    }
}

wire_struct! {
    /// A delegation and how far it has been paid: 72 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Stake {
        /// The delegation.
        pub delegation: Delegation,
        /// The vote account's credits up to which rewards have been paid.
        pub credits_observed: u64,
    }
}

wire_struct! {
    /// The cluster's stake at the end of one epoch, in lamports: 32 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct StakeHistoryEntry {
        /// The epoch.
        pub epoch: Epoch,
        /// Stake that counted.
        pub effective: u64,
        /// Stake that was warming up.
        pub activating: u64,
        /// Stake that was cooling down.
        pub deactivating: u64,
    }
}
