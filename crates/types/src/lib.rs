//! Solana's nouns: slots, keys, hashes, accounts and the record in which a storage keeps one.
//!
//! Invariants:
//! - No I/O, no clocks, no hashing: values and their textual and binary shapes only.
//! - Every type that lies in a storage is readable in place, without a copy, from unaligned bytes.
//!
//! What it does *not* do: compute hashes (`icecore-hash`), know what account data means
//! (`icecore-programs`), or know archives (`icecore-archive`).

mod account;
mod bytes32;
mod epoch_schedule;
mod lattice;
pub mod programs;
mod record;
mod stake;
mod wire;

pub use account::{Account, AccountRef};
pub use bytes32::{Base58Error, Hash, Pubkey};
pub use epoch_schedule::{EpochSchedule, SLOTS_PER_EPOCH_MIN};
pub use lattice::{LATTICE_BYTES, LATTICE_LANES, LatticeHash};
pub use record::{DATA_BYTES_MAX, RECORD_ALIGN, RECORD_HEADER_BYTES, Record, RecordHeader};
pub use stake::{Delegation, Stake, StakeHistoryEntry};
pub use wire::{Bits64, Cursor, Wire, WireError};

/// A slot number. A number is not an identity: it can be abandoned and begun again.
pub type Slot = u64;

/// An epoch number.
pub type Epoch = u64;
