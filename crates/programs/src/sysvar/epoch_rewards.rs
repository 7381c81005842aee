//! How far the distribution of an epoch's staking rewards has come.

use icecore_types::{Hash, wire_struct};
use serde::Serialize;

use crate::parsed::as_text;

wire_struct! {
    /// Progress of the partitioned reward distribution: 81 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct EpochRewards {
        /// The block height at which the distribution began.
        pub distribution_starting_block_height: u64,
        /// Into how many blocks it is spread.
        pub num_partitions: u64,
        /// The blockhash before the first block of the epoch: the seed of the partitions.
        pub parent_blockhash: Hash,
        /// Points of all delegations over the epoch that ended.
        #[serde(serialize_with = "as_text")]
        pub total_points: u128,
        /// Lamports to distribute.
        #[serde(serialize_with = "as_text")]
        pub total_rewards: u64,
        /// Lamports distributed so far.
        #[serde(serialize_with = "as_text")]
        pub distributed_rewards: u64,
        /// Whether the distribution is under way.
        pub active: bool,
    }
}

impl EpochRewards {
    /// Decodes account data; `None` when it is not this sysvar.
    pub fn decode(data: &[u8]) -> Option<Self> {
        super::first(data)
    }
}
