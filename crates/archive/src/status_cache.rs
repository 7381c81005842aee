//! The status cache: an archive member that holds the results of recently executed transactions
//! (formats.md section 1, "status cache").
//!
//! Shape: slots, in each the blockhashes that its transactions named, for each of these 20 bytes
//! of every transaction's signature or message hash with the transaction's result.
//!
//! [`StatusCacheDecoder`] takes bytes in any chunking and gives one [`StatusCacheItem`] after the
//! other; [`StatusCache`] is everything collected.
//!
//! Invariants: those of the [manifest](crate::manifest), except that nothing may be missing and no
//! byte may follow: the reference client demands that the file be consumed exactly.
//!
//! What it does *not* do: check how many slots there are, that they are rooted or that they are
//! those of the slot history (the checks do).

mod collected;
mod decoder;
mod error;
mod instruction_error;
mod transaction_error;
mod wire_enum;

pub use collected::{BlockhashResults, SlotResults, StatusCache};
pub use decoder::{KEY_SLICE_BYTES, STATUS_CACHE_BYTES_MAX, StatusCacheDecoder, StatusCacheItem};
pub use error::StatusCacheError;
pub use instruction_error::{BORSH_IO_MESSAGE_BYTES_MAX, BorshIoMessage, InstructionError};
pub use transaction_error::{TransactionError, TransactionResult};
