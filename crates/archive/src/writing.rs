//! Writing archives, sans-I/O: from accounts and fields to the bytes of a file.
//!
//! The layers, innermost first; whoever writes an archive puts them together:
//! 1. [`storage`]: accounts to the content of a storage, whose size is known beforehand.
//! 2. [`manifest`]: a manifest to one in which some fields are others, item by item. A status cache
//!    needs no such thing: [`StatusCacheItem::encode`](crate::status_cache::StatusCacheItem::encode)
//!    gives its bytes.
//! 3. [`tar`]: members to a tar stream.
//! 4. [`frame_plan`]: where the stream is cut into frames.
//! 5. [`frame_encoder`]: a frame's content to the frame, by whom and in what order does not matter.
//!    Behind the last zstd frame comes the [`SeekTable`](crate::seek_table::SeekTable).
//!
//! [`frame_writer`] does 4 and 5 one after the other. What does them side by side must give the
//! same bytes.
//!
//! Invariants:
//! - The same items and options give the same bytes, however they are cut into calls. Nothing
//!   depends on clocks, on the order of a map, or on what an encoder did before.
//! - What is written is what the reference client writes, where that is not left to chance: times
//!   are zero, the orders of lists are the caller's.
//!
//! What it does *not* do: decide what belongs into an archive, or compute hashes.

pub mod frame_encoder;
pub mod frame_plan;
pub mod frame_writer;
pub mod manifest;
pub mod storage;
pub mod tar;
