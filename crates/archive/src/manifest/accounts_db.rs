//! Part B of the manifest: the accounts-db fields (formats.md section 1, B1 to B6).

use icecore_types::{Hash, Slot, wire_struct};
use serde::Serialize;

/// Part B, collected. Maps are kept in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AccountsDbFields {
    /// The storages of each slot (B1); an incremental's list begins after its base slot. 4.2
    /// reads it and ignores it.
    pub storages: Vec<(Slot, Vec<Storage>)>,
    /// The fields of fixed size (B2 to B4).
    #[serde(flatten)]
    pub scalars: AccountsDbScalars,
    /// Old roots (B5), empty since 2.x; 1.x filled it.
    pub historical_roots: Vec<Slot>,
    /// Old roots with their hashes (B6); empty.
    pub historical_roots_with_hash: Vec<(Slot, Hash)>,
}

wire_struct! {
    /// A storage of a slot.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Storage {
        /// The number after the dot in the storage's file name; unique on one node only.
        pub id: u64,
        /// Bytes in use; the file may be longer in archives of 2.x and before.
        pub accounts_current_len: u64,
    }
}

wire_struct! {
    /// The fields of fixed size (B2 to B4).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct AccountsDbScalars {
        /// Unused; 0 in 4.x.
        pub write_version: u64,
        /// The slot, again.
        pub slot: Slot,
        /// Hashes and counters of the slot.
        pub bank_hash_info: BankHashInfo,
    }
}

wire_struct! {
    /// Hashes and counters of a slot (B4).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct BankHashInfo {
        /// Merkle hash of the accounts that changed in the slot; zero in 4.x.
        pub accounts_delta_hash: Hash,
        /// Merkle hash of all accounts; zero in 4.x.
        pub accounts_hash: Hash,
        /// Counters.
        pub stats: AccountsStats,
    }
}

wire_struct! {
    /// Counters of what was stored in a slot. Nobody verifies them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct AccountsStats {
        /// Accounts written with a balance.
        pub num_updated_accounts: u64,
        /// Accounts written without one.
        pub num_removed_accounts: u64,
        /// Sum of their lamports.
        pub num_lamports_stored: u64,
        /// Sum of their data, in bytes.
        pub total_data_len: u64,
        /// How many of them hold programs.
        pub num_executable_accounts: u64,
    }
}
