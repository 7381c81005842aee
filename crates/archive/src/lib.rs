//! Snapshot archives of the reference client, sans-I/O and both ways: from a file's bytes to its
//! members, from a member's bytes to the values in it, and back.
//!
//! The layers, outermost first; each is a state machine that is given bytes and returns items:
//! 1. [`names`], [`choose`]: what a file's name says, and which files to load.
//! 2. [`container`]: zstd, lz4 or plain tar, decided by content; [`zstd_frames`] finds frame
//!    borders without decompressing, [`zstd_stream`] and [`lz4_stream`] decompress, [`stream`]
//!    does any container on one thread.
//! 3. [`tar`]: members and their content; [`members`]: which members an archive may hold.
//! 4. [`manifest`], [`status_cache`], [`storage`]: what the members hold.
//!
//! [`writing`] has the same layers from the other side; [`seek_table`] is what lets a reader of a
//! zstd archive begin anywhere, [`index`] says where in it each account lies.
//!
//! Invariants:
//! - No I/O, no clocks, no threads. Any chunking of the input gives the same items.
//! - Nothing is allocated, skipped or looped over by a number from the input before that number
//!   is checked against a constant; memory does not depend on the size of the archive.
//! - A machine that has returned an error is not asked again.
//!
//! Every machine takes its input as `&mut &[u8]` and moves its front over what it has taken; what
//! is left is given again with the next call, bytes that follow behind it.
//!
//! What it does *not* do: open files, hash accounts, or judge what decodes well (`icecore-restore`
//! makes the checks of a verdict that need more than one item).

pub mod choose;
pub mod container;
mod error;
mod gather;
pub mod index;
pub mod lz4_stream;
pub mod manifest;
pub mod members;
pub mod names;
pub mod seek_table;
pub mod status_cache;
pub mod storage;
pub mod stream;
pub mod tar;
pub mod writing;
mod zero;
pub mod zstd_frames;
pub mod zstd_stream;

pub use error::Error;
