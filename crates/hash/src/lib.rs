//! What the network hashes: accounts into the lattice hash, account hashes into the older Merkle
//! tree, both into the bank hash; and the leader schedule, which is drawn from a hash-like
//! generator.
//!
//! Invariants:
//! - Every function is a pure function of its arguments. The one exception is
//!   [`Kernel::chosen`], which reads the environment variable `ICECORE_SIMD`.
//! - Every SIMD kernel computes exactly what the portable one does, which has no unsafe operation.
//! - No allocation per account.
//!
//! What it does *not* do: find out which version of an account is the newest, or read archives.

mod bank;
mod error;
mod lattice;
mod leader;
mod merkle;

pub use bank::{BankHashParts, BankHashScheme, bank_hash};
pub use error::Error;
pub use lattice::{Kernel, LatticeCounters, LatticeSum, account_lattice_hash, lattice_checksum};
pub use leader::{
    LEADER_GROUPS_MAX, LeaderSchedule, SLOTS_PER_LEADER, StakedVoteAccount, leader_schedule,
    slot_leader,
};
pub use merkle::{AccountHashRule, account_hash, merkle_accounts_hash, with_epoch_accounts_hash};
