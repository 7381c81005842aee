//! The manifest: an archive member that holds the bank, the accounts-db fields and the extra
//! fields (formats.md section 1, A, B and C).
//!
//! Two ways to read it:
//! - [`ManifestDecoder`] takes bytes in any chunking and gives one [`ManifestItem`] after the
//!   other; it keeps the bytes of at most one unfinished item. Mainnet's manifest is over 300 MB.
//! - [`Manifest`] is everything collected, for small archives, JSON and writing.
//!
//! Invariants:
//! - Every byte of the file up to the end of its last field belongs to exactly one item, and
//!   encoding the items in order gives these bytes again.
//! - No count or length of the input is believed before it is compared with a named limit, and
//!   none is allocated for: memory grows only as bytes arrive.
//! - A file may end right before any of the eight trailing fields ([`LastField`]); an end anywhere
//!   else is an error. The reference client is laxer: to it an end *within* such a field is an
//!   absent field, too.
//!
//! What it does *not* do: judge the values (the checks do), know what is in an account's data, or
//! read the `epoch_reward_status` that 1.17 could append while it distributed partitioned rewards.

mod accounts_db;
mod bank;
mod builder;
mod collected;
mod decoder;
mod error;
mod extra;
mod item;
pub(crate) mod json;
mod stakes;
mod stakes_decoder;
pub(crate) mod stream;

pub use accounts_db::{AccountsDbFields, AccountsDbScalars, AccountsStats, BankHashInfo, Storage};
pub use bank::{
    BankFields, BankHashes, BankScalars, BlockhashInfo, BlockhashQueue, BlockhashQueueHead,
    FeeRateGovernor, HardFork, Inflation, Rent, RentCollector, UnusedAccounts,
};
pub use builder::ManifestBuilder;
pub use collected::Manifest;
pub use decoder::{LastField, MANIFEST_BYTES_MAX, ManifestDecoder, ManifestEnd};
pub use error::ManifestError;
pub use extra::{ExtraFields, IncrementalSnapshotPersistence};
pub use item::{ManifestItem, StakesItem, StakesOf, VoteAccountRef};
pub use stakes::{EpochStakes, NodeVoteAccounts, Stakes, StakesScalars, VoteAccount};
