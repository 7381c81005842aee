//! Passes over archives, on tiles: bytes are read, split into frames, decompressed, walked over and
//! looked at (the topology is drawn in [`shape`]).
//!
//! 1. A [`Pipeline`] opens everything, makes the topology and starts its tiles once.
//! 2. A pass brings a visitor, which sees members, and workers, which see account records; they go
//!    through the tiles and come home when all bytes have flowed through.
//! 3. Passes follow each other on the same tiles: the incremental archive, the full one, second
//!    looks.
//!
//! Invariants:
//! - Whatever decompressors give is copied before it is looked at.
//! - Memory is fixed; who is slower holds back who is faster.
//! - What is wrong in an archive's bytes is told to the visitor; an error ends the pass.

pub(crate) mod batch;
pub(crate) mod borders;
mod decompress;
mod feed;
mod messages;
mod parse;
mod pipeline;
mod read;
mod shape;
pub(crate) mod slots;
mod split;
#[cfg(test)]
mod tests;
pub(crate) mod walk;
mod work;

use icecore_archive::container::ContainerKind;
use icecore_tile::{Tile, Topology};

use crate::{Error, Options};

pub(crate) use self::{
    feed::Feed,
    pipeline::{NoWorker, Pipeline, Setup, Writes, with_pipeline},
};

/// What was seen of the container once its end is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerReport {
    /// What it is, by its bytes.
    pub kind: ContainerKind,
    /// Frames with data; 0 for plain tar.
    pub frames: u64,
    /// Skippable frames.
    pub skippable_frames: u64,
    /// Compressed bytes.
    pub bytes: u64,
    /// Bytes after the last frame that are no frame.
    pub trailing_bytes: u64,
}

/// For the first line of `main`: in a process that was started to be a tile, is that tile, and gives
/// the exit code when it has ended. In any other process gives nothing, and decompressors can be
/// processes from then on.
pub fn enter_tile() -> Option<u8> {
    icecore_tile::enter(make_tile)
}

/// The topology of a verification with these options.
///
/// # Errors
/// When tiles and their placement do not fit together.
pub fn restore_topology(options: &Options, has_frames: bool) -> Result<Topology, Error> {
    let (decompressors, workers) = options.tiles.counts(options.cores, has_frames);
    Setup::restore(options, decompressors, workers, &[]).topology()
}

/// Makes the tiles that can be processes.
fn make_tile(kind: &str) -> Option<Box<dyn Tile>> {
    (kind == decompress::KIND).then(|| Box::new(decompress::DecompressTile::new()) as Box<dyn Tile>)
}
