//! An archive's bytes through a few threads: read and split, decompress, walk, work.
//!
//! ```text
//! read + split ──> decompress ×N ──> walk (tar, members, record borders) ──> workers ×N
//! ```
//!
//! 1. One thread reads the file and finds frame borders without decompressing ([`decompress`]).
//! 2. Decompressors take a frame each and give blocks of bytes ([`blocks`]), which the walker takes
//!    in the order of the archive.
//! 3. The calling thread walks the tar stream ([`walk`]): small members are handled there, account
//!    records are only delimited and leave as batches that refer to the block in place ([`batch`]).
//! 4. Workers look at the records of a batch.
//!
//! Every queue is bounded, so the slowest step holds back the rest; blocks are recycled. The steps
//! themselves are sans-I/O machines of `icecore-archive`: only this arrangement knows threads.

pub(crate) mod batch;
pub(crate) mod blocks;
pub(crate) mod decompress;
pub(crate) mod run;
pub(crate) mod walk;
