//! What the data of well-known programs' accounts means.
//!
//! Each module holds the views of one program: `decode` takes account data and gives a view that
//! borrows from it, or `None`. [`parse`] picks the view by an account's owner and shows it in the
//! shape of the RPC's `jsonParsed`.
//!
//! Invariants:
//! - Data that is unknown or malformed is not an error: it has no view and stays raw.
//! - No view allocates, and nothing is read beyond the data: a length in it counts for nothing
//!   before it has been checked against the bytes that are there.
//! - Data may be longer than the state it holds, where the program leaves room to grow.
//!
//! What it does *not* do: judge whether a state agrees with other accounts or with the manifest,
//! compute with it (rewards, interest, warm-up), or change it.

pub mod config;
pub mod feature;
pub mod lookup_table;
pub mod nonce;
mod parsed;
mod rows;
pub mod stake;
pub mod sysvar;
pub mod token;
pub mod upgradeable_loader;
pub mod vote;

pub use parsed::{Parsed, VALIDATOR_INFO_BYTES_MAX, parse};
pub use rows::{Row, Rows, RowsIter};
