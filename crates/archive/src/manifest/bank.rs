//! Part A of the manifest: the bank (formats.md section 1, A1 to A32).

use icecore_types::{Bits64, Delegation, Epoch, EpochSchedule, Hash, Pubkey, Slot, wire_struct};
use serde::Serialize;

use super::stakes::{EpochStakes, Stakes};

/// Part A, collected. Maps are kept in file order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankFields {
    /// The newest blockhashes (A1).
    pub blockhash_queue: BlockhashQueue,
    /// Slots of ancestors (A2); filled by 2.x, unused and empty since 4.x.
    pub ancestors: Vec<(Slot, u64)>,
    /// This bank's and its parent's hash (A3 to A5).
    #[serde(flatten)]
    pub hashes: BankHashes,
    /// Hard forks (A6).
    pub hard_forks: Vec<HardFork>,
    /// All fields of fixed size from the counters to inflation (A7 to A28).
    #[serde(flatten)]
    pub scalars: BankScalars,
    /// The stakes cache at the bank's slot (A29).
    pub stakes: Stakes<Delegation>,
    /// Unused (A30).
    pub unused_accounts: UnusedAccounts,
    /// Stakes by epoch as 1.x and 2.0 kept them (A31). The reference client from 3.0 on refuses a
    /// manifest in which this is not empty.
    pub epoch_stakes: Vec<(Epoch, EpochStakes<Delegation>)>,
    /// Whether the bank is a difference to its parent (A32); nobody uses it.
    pub is_delta: bool,
}

/// The queue of blockhashes that transactions may still name (A1), collected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BlockhashQueue {
    /// The fields before the hashes.
    #[serde(flatten)]
    pub head: BlockhashQueueHead,
    /// Each blockhash with its age and fee, in file order.
    pub hashes: Vec<(Hash, BlockhashInfo)>,
    /// How many blockhashes after it a blockhash may still be named.
    pub max_age: u64,
}

wire_struct! {
    /// What precedes the hashes of the blockhash queue.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct BlockhashQueueHead {
        /// The index of the newest blockhash.
        pub last_hash_index: u64,
        /// The newest blockhash.
        pub last_hash: Option<Hash>,
    }
}

wire_struct! {
    /// What the queue knows of a blockhash.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct BlockhashInfo {
        /// The fee of a signature in transactions that name it, in lamports.
        pub lamports_per_signature: u64,
        /// Its index: how many were registered before it.
        pub hash_index: u64,
        /// When it was registered, in milliseconds since 1970 by the validator's own clock.
        pub timestamp: u64,
    }
}

wire_struct! {
    /// The bank's place in the chain (A3 to A5).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    pub struct BankHashes {
        /// The bank hash.
        pub hash: Hash,
        /// The parent's bank hash.
        pub parent_hash: Hash,
        /// The parent's slot.
        pub parent_slot: Slot,
    }
}

wire_struct! {
    /// A hard fork: a slot after which the bank hash mixes in a count (A6).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct HardFork {
        /// The slot.
        pub slot: Slot,
        /// What is mixed in.
        pub count: u64,
    }
}

wire_struct! {
    /// The bank's fields of fixed size (A7 to A28).
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct BankScalars {
        /// Transactions since genesis; in no hash.
        pub transaction_count: u64,
        /// Ticks since genesis.
        pub tick_height: u64,
        /// Signatures in this slot.
        pub signature_count: u64,
        /// The sum of all accounts' lamports.
        pub capitalization: u64,
        /// The tick at which this slot ends.
        pub max_tick_height: u64,
        /// Hashes between two ticks, `None` for a chain that does not count them.
        pub hashes_per_tick: Option<u64>,
        /// Ticks in a slot.
        pub ticks_per_slot: u64,
        /// The intended duration of a slot, in nanoseconds.
        pub ns_per_slot: u128,
        /// When the chain began, in seconds since 1970.
        pub genesis_creation_time: i64,
        /// Slots in a year at the intended duration.
        pub slots_per_year: Bits64,
        /// A running counter of account data, in bytes; *not* the sum over the live accounts.
        pub accounts_data_len: u64,
        /// The bank's slot.
        pub slot: Slot,
        /// The bank's epoch; 4.1 and later write 0 and do not read it.
        pub epoch: Epoch,
        /// Blocks from genesis to this one.
        pub block_height: u64,
        /// The identity of the slot's leader.
        pub leader_id: Pubkey,
        /// Unused; 0 in 4.x.
        pub collector_fees: u64,
        /// Unused; 0 in 4.x. The fee of a signature, in lamports.
        pub fee_calculator_lamports_per_signature: u64,
        /// How the fee of a signature moves.
        pub fee_rate_governor: FeeRateGovernor,
        /// Unused; 0 in 4.x. Rent collected in this slot, in lamports.
        pub collected_rent: u64,
        /// Unused; zeroed in 4.2.
        pub rent_collector: RentCollector,
        /// Slots to epochs.
        pub epoch_schedule: EpochSchedule,
        /// The schedule of inflation.
        pub inflation: Inflation,
    }
}

wire_struct! {
    /// How the fee of a signature moves (A24). The fee itself is
    /// [`ExtraFields::lamports_per_signature`](super::ExtraFields::lamports_per_signature).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct FeeRateGovernor {
        /// The fee at the target load, in lamports.
        pub target_lamports_per_signature: u64,
        /// The target load, in signatures per slot.
        pub target_signatures_per_slot: u64,
        /// The lowest fee, in lamports.
        pub min_lamports_per_signature: u64,
        /// The highest fee, in lamports.
        pub max_lamports_per_signature: u64,
        /// The part of a fee that is burned, in percent.
        pub burn_percent: u8,
    }
}

wire_struct! {
    /// What once collected rent (A26).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct RentCollector {
        /// The epoch for which it collects.
        pub epoch: Epoch,
        /// Slots to epochs, again.
        pub epoch_schedule: EpochSchedule,
        /// Slots in a year, again.
        pub slots_per_year: Bits64,
        /// The price.
        pub rent: Rent,
    }
}

wire_struct! {
    /// The price of keeping accounts.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Rent {
        /// Lamports per byte; per byte and year in versions that collected rent.
        pub lamports_per_byte: u64,
        /// Years of rent that exempt an account from it.
        pub exemption_threshold: Bits64,
        /// The part of rent that is burned, in percent.
        pub burn_percent: u8,
    }
}

wire_struct! {
    /// The schedule of inflation (A28); rates per year, durations in years.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Inflation {
        /// The rate at the start.
        pub initial: Bits64,
        /// The rate that it never goes below.
        pub terminal: Bits64,
        /// The part by which the rate falls each year.
        pub taper: Bits64,
        /// The foundation's part.
        pub foundation: Bits64,
        /// How long the foundation gets its part.
        pub foundation_term: Bits64,
        /// Unused.
        pub unused: Bits64,
    }
}

/// Two sets and a map that nobody uses (A30), collected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UnusedAccounts {
    /// The first set.
    pub first: Vec<Pubkey>,
    /// The second set.
    pub second: Vec<Pubkey>,
    /// The map.
    pub third: Vec<(Pubkey, u64)>,
}
