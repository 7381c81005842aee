//! The bytes on disk, sans-I/O: each part knows how it is laid out and checks what it is given.
//!
//! The byte tables are in `docs/formats/journal.md`. Nothing here reads files; whoever does turns a
//! [`Malformed`](crate::Malformed) into an error that names the file.

pub(crate) mod annex;
pub(crate) mod checkpoint;
pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod fuzzing;
pub(crate) mod manifest;
pub(crate) mod mark;
pub(crate) mod pieces;
pub(crate) mod record;
pub(crate) mod reduced;
pub(crate) mod sealed;
pub(crate) mod segment_header;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

/// Whatever was acknowledged as durable ends with its block: the next frame starts a new one, so no
/// acknowledged sector is ever written again (rule R2).
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// Frames start at multiples of this.
pub(crate) const FRAME_ALIGNMENT: u64 = 8;
