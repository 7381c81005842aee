//! What can be wrong with a zstd frame.

/// What is wrong with a zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZstdFault {
    /// The first bytes are no frame.
    #[error("no zstd frame begins here")]
    NotAFrame,
    /// A reserved bit of the frame's header is set.
    #[error("a reserved bit of the frame header is set")]
    ReservedBit,
    /// The frame needs more memory than is given.
    #[error("the frame needs a window of {window_bytes} bytes, more than 128 MiB")]
    Window {
        /// As stated in the header.
        window_bytes: u64,
    },
    /// A block is of the reserved type.
    #[error("the block is of the reserved type")]
    ReservedBlock,
    /// A compressed block is too short for its own headers. The library lets an empty one pass when
    /// the frame comes in pieces.
    #[error("the compressed block states {block_bytes} bytes, fewer than its headers need")]
    BlockTooSmall {
        /// As stated in the block's header.
        block_bytes: u64,
    },
    /// A block states a size that no block may have.
    #[error("the block states {block_bytes} bytes, more than the {block_bytes_max} of its frame")]
    BlockTooLarge {
        /// As stated in the block's header.
        block_bytes: u64,
        /// The smaller of [`BLOCK_BYTES_MAX`](super::BLOCK_BYTES_MAX) and the frame's window.
        block_bytes_max: u64,
    },
    /// The content has another size than stated.
    #[error("the content has {content_bytes} bytes, stated are {stated_bytes}")]
    ContentSize {
        /// Bytes decompressed.
        content_bytes: u64,
        /// As stated in the frame's header.
        stated_bytes: u64,
    },
    /// Decompression failed.
    #[error("decompression failed: {reason}")]
    Content {
        /// What the library says.
        reason: &'static str,
    },
}
