//! Part C of the manifest: the extra fields, of which a file may hold any number from the first
//! on (formats.md section 1, C1 to C6).

use icecore_types::{Epoch, Hash, LatticeHash, Slot, Stake, wire_struct};
use serde::Serialize;

use super::{json, stakes::EpochStakes};

/// Part C, collected. A field that the file does not reach has its default; which fields those are
/// says [`Manifest::last_field`](super::Manifest::last_field).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ExtraFields {
    /// The fee of a signature, in lamports (C1).
    pub lamports_per_signature: u64,
    /// What an incremental archive of the Merkle era says of its base (C2); `None` since 3.0.
    pub incremental_snapshot_persistence: Option<IncrementalSnapshotPersistence>,
    /// The Merkle hash of all accounts that was mixed into a bank hash once per epoch (C3); `None`
    /// since 3.0.
    pub epoch_accounts_hash: Option<Hash>,
    /// Stakes by epoch (C4).
    pub versioned_epoch_stakes: Vec<(Epoch, EpochStakes<Stake>)>,
    /// The lattice hash of all accounts (C5), since 2.1.
    #[serde(serialize_with = "json::lattice_hash")]
    pub accounts_lt_hash: Option<LatticeHash>,
    /// The block id (C6), since 4.1.
    pub block_id: Option<Hash>,
}

wire_struct! {
    /// What an incremental archive of the Merkle era says of its base (C2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct IncrementalSnapshotPersistence {
        /// The base's slot.
        pub full_slot: Slot,
        /// The base's Merkle accounts hash.
        pub full_hash: Hash,
        /// The base's capitalization, in lamports.
        pub full_capitalization: u64,
        /// The Merkle hash of what changed since.
        pub incremental_hash: Hash,
        /// The sum of lamports of what changed since.
        pub incremental_capitalization: u64,
    }
}
