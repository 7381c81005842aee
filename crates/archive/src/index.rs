//! The index beside an archive: where each account's newest version lies in the tar stream, and in
//! which frames of the file (`docs/formats/archive-index.md`).
//!
//! ```text
//! head | frames | pieces | storages | accounts | owned | owners
//! ```
//!
//! A file is a row of blocks of 4 KiB, each with a checksum of its own. A section begins with a
//! block; its rows have one size and an order, so that anything is found by halving.
//!
//! - [`IndexHead`] says which archive the index is of, and how many rows each [`Section`] has.
//! - [`rows`] are what sections hold.
//! - [`IndexReader`] finds rows; blocks come from whoever reads the file ([`Blocks`]).
//! - [`seal`] and [`RowBlocks`] are for whoever writes one.
//!
//! Invariants:
//! - Nothing is believed before the checksum of its block is compared, and nothing is allocated by
//!   a number from the file: the sections that are stated must add up to the file's length.
//! - Numbers in rows are compared with the rows that they point at by whoever follows them. A file
//!   that was made to deceive gives errors, or places where other records lie, never a panic.
//!
//! What it does *not* do: open files, hash keys, or look into archives.

mod head;
mod reader;
pub mod rows;

use std::hash::Hasher;

use twox_hash::XxHash3_64;

use self::rows::Row;
pub use self::{
    head::{IndexHead, NAME_BYTES_MAX},
    reader::{Blocks, IndexReader},
};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 4096;

/// One block.
pub type Block = [u8; BLOCK_BYTES];

/// Bytes of a block's checksum, with which it begins.
const CHECKSUM_BYTES: usize = 8;

/// Bytes of a frame's content that have a digest together: a frame is cut into such pieces from its
/// own start, the last one may be shorter.
pub const PIECE_BYTES: u64 = 1 << 20;

/// Bytes at either end of an archive that the index has a digest of.
pub const EDGE_BYTES: u64 = 64 << 10;

/// The most account versions that an index is read of: 1,024 times the thousand million accounts of
/// the largest cluster.
pub const ACCOUNTS_MAX: u64 = 1 << 40;

/// The parts of an index, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// [`FrameRow`](rows::FrameRow)s, as they lie in the archive.
    Frames,
    /// [`PieceRow`](rows::PieceRow)s, as they lie in the tar stream.
    Pieces,
    /// [`StorageRow`](rows::StorageRow)s, as they lie in the tar stream.
    Storages,
    /// [`AccountRow`](rows::AccountRow)s, by tag.
    Accounts,
    /// [`OwnedRow`](rows::OwnedRow)s, by owner and place.
    Owned,
    /// [`OwnerRow`](rows::OwnerRow)s, by owner.
    Owners,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Frames, Self::Pieces, Self::Storages, Self::Accounts, Self::Owned, Self::Owners];

    /// Bytes of a row.
    pub fn row_bytes(self) -> usize {
        match self {
            Self::Frames => rows::FrameRow::BYTES,
            Self::Pieces => rows::PieceRow::BYTES,
            Self::Storages => rows::StorageRow::BYTES,
            Self::Accounts => rows::AccountRow::BYTES,
            Self::Owned => rows::OwnedRow::BYTES,
            Self::Owners => rows::OwnerRow::BYTES,
        }
    }

    /// Rows that fill a block.
    pub fn rows_per_block(self) -> u64 {
        ((BLOCK_BYTES - CHECKSUM_BYTES) / self.row_bytes()) as u64
    }

    /// The most rows that are read.
    fn rows_max(self) -> u64 {
        match self {
            Self::Frames => u64::from(crate::seek_table::FRAMES_MAX),
            // Every frame may end with a short piece.
            Self::Pieces => {
                crate::tar::TAR_BYTES_MAX / PIECE_BYTES + u64::from(crate::seek_table::FRAMES_MAX)
            }
            Self::Storages => crate::members::MEMBERS_MAX,
            Self::Accounts | Self::Owned | Self::Owners => ACCOUNTS_MAX,
        }
    }
}

/// Why there is no use in an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file does not begin as an index does.
    #[error("it is no index of an archive")]
    NotAnIndex,
    /// It was made by another version.
    #[error("it is of version {version}, 1 is read")]
    Version {
        /// As stated.
        version: u16,
    },
    /// A block is not what was written.
    #[error("block {block} is damaged: its checksum is another")]
    Checksum {
        /// Its number.
        block: u64,
    },
    /// The first block contradicts itself.
    #[error("its first block states {what}")]
    Head {
        /// What cannot be.
        what: &'static str,
    },
    /// The sections do not add up to the file.
    #[error("by its first block it has {stated_bytes} bytes, it has {file_bytes}")]
    FileSize {
        /// The sum of all sections.
        stated_bytes: u64,
        /// The file's.
        file_bytes: u64,
    },
    /// A row points at nothing.
    #[error("row {row} of its {section:?} contradicts other rows")]
    Row {
        /// The section.
        section: Section,
        /// The row's number.
        row: u64,
    },
}

/// The checksum of a block behind its checksum. The key is the index's own, so that a block of
/// another index, or in another place, does not match.
fn checksum(key: &[u8; 32], number: u64, block: &Block) -> [u8; CHECKSUM_BYTES] {
    let seed = u64::from_le_bytes(*key.first_chunk().expect("32 bytes are more than 8"));
    let mut hasher = XxHash3_64::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hasher.write(&block[CHECKSUM_BYTES..]);
    hasher.finish().to_le_bytes()
}

/// Writes the checksum of a block behind the first one.
pub fn seal(key: &[u8; 32], number: u64, block: &mut Block) {
    let checksum = checksum(key, number, block);
    block[..CHECKSUM_BYTES].copy_from_slice(&checksum);
}

/// Compares the checksum of a block.
fn check(key: &[u8; 32], number: u64, block: &Block) -> Result<(), IndexError> {
    match block[..CHECKSUM_BYTES] == checksum(key, number, block) {
        true => Ok(()),
        false => Err(IndexError::Checksum { block: number }),
    }
}

/// Puts rows of one section into blocks.
#[derive(Debug)]
pub struct RowBlocks {
    block: Block,
    /// Rows in the block.
    rows: usize,
}

impl Default for RowBlocks {
    fn default() -> Self {
        Self::new()
    }
}

impl RowBlocks {
    /// Before the first row of a section.
    pub fn new() -> Self {
        Self { block: [0; BLOCK_BYTES], rows: 0 }
    }

    /// Takes the next row. A block that is full by it has to be written before the next one comes.
    pub fn push<R: Row>(&mut self, row: &R) -> Option<Block> {
        let at = CHECKSUM_BYTES + self.rows * R::BYTES;
        row.write(&mut self.block[at..at + R::BYTES]);
        self.rows += 1;
        let is_full = at + 2 * R::BYTES > BLOCK_BYTES;
        if is_full { self.finish() } else { None }
    }

    /// The last block of a section, unless it has just ended.
    pub fn finish(&mut self) -> Option<Block> {
        let rows = std::mem::take(&mut self.rows);
        (rows > 0).then(|| std::mem::replace(&mut self.block, [0; BLOCK_BYTES]))
    }
}
