//! The way of a batch onto the disk.
//!
//! 1. *Accept* ([`accept`]): under one lock, in memory. What the caller expects is checked, the batch
//!    gets its sequences and becomes a frame of the chain. From here on others build on it.
//! 2. *Write* ([`flush`]): whoever needs it first takes everything accepted and writes it with one
//!    call. What is written can be read.
//! 3. *Sync* ([`sync`]): whoever needs it first syncs everything written; all who wait for that are
//!    served by the one sync, and writing goes on beside it.
//!
//! Each step has a lock of its own, taken in the order sync, writer, accept: no step waits for a
//! later one. Callers do the work themselves; threads in the background only see to what nobody
//! waits for.

pub(crate) mod accept;
pub(crate) mod flush;
pub(crate) mod gathering;
pub(crate) mod roll;
pub(crate) mod sync;
pub(crate) mod ticket;
pub(crate) mod watermarks;

#[cfg(all(test, feature = "shuttle"))]
mod schedules;
