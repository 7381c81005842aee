//! Archives to new archives: the snapshot factory.
//!
//! - [`recompress`] packs the same tar stream anew.
//!
//! Invariants:
//! - A new archive is written under a temporary name, looked at unless that is waived, synced and
//!   renamed without replacing anything. Whatever fails before that leaves nothing.
//! - The same input files and options give the same bytes for any number of threads and tiles.
//! - Memory is bounded by options: frames on their way, and what the scan of archives may hold.
//!
//! What it does *not* do: print, or repair archives that are damaged.

mod error;
mod members;
mod packer;
mod recompress;
mod target;

pub use error::Error;
pub use recompress::{Recompressed, recompress};
pub use target::WriteOptions;
