//! What can be wrong with an lz4 frame.

use lz4_flex::block::DecompressError;

/// What is wrong with an lz4 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lz4Fault {
    /// The first bytes are no frame.
    #[error("no lz4 frame begins here")]
    NotAFrame,
    /// A frame of the format before 2013, which has no checks.
    #[error("a frame of the legacy format, which is not read")]
    Legacy,
    /// A format version other than 1.
    #[error("the frame format version is {version}, not 1")]
    FormatVersion {
        /// As stated.
        version: u8,
    },
    /// A reserved bit of the descriptor is set.
    #[error("a reserved bit of the frame descriptor is set")]
    ReservedBit,
    /// The frame needs a dictionary.
    #[error("the frame needs a dictionary")]
    Dictionary,
    /// The code for the block size has no meaning.
    #[error("the block size code is {code}, not 4 to 7")]
    BlockSizeCode {
        /// As stated.
        code: u8,
    },
    /// The descriptor's checksum does not match.
    #[error("the frame descriptor does not match its checksum")]
    DescriptorChecksum,
    /// A block states a size that no block may have.
    #[error("the block states {block_bytes} bytes, more than the {block_bytes_max} of its frame")]
    BlockTooLarge {
        /// As stated in the block's header.
        block_bytes: usize,
        /// As stated in the frame's descriptor.
        block_bytes_max: usize,
    },
    /// A block's checksum does not match.
    #[error("the block does not match its checksum")]
    BlockChecksum,
    /// A block cannot be decoded.
    #[error("the block cannot be decoded: {reason}")]
    Block {
        /// In what way.
        reason: &'static str,
    },
    /// The content has another size than stated.
    #[error("the content has {content_bytes} bytes, stated are {stated_bytes}")]
    ContentSize {
        /// Bytes decoded; when the frame goes on, so far.
        content_bytes: u64,
        /// As stated in the descriptor.
        stated_bytes: u64,
    },
    /// The content's checksum does not match.
    #[error("the content does not match its checksum")]
    ContentChecksum,
}

impl Lz4Fault {
    /// What the library says about a block, in words that say what is wrong with it.
    pub(super) fn of_block(error: &DecompressError) -> Self {
        let reason = match error {
            DecompressError::OutputTooSmall { .. } => "it yields more than a block may hold",
            DecompressError::LiteralOutOfBounds => "its literals go beyond its end",
            DecompressError::ExpectedAnotherByte => "it ends within a sequence",
            DecompressError::OffsetZero => "it refers to itself at distance zero",
            DecompressError::OffsetOutOfBounds => "it refers to what lies before the content",
            _ => "it is damaged",
        };
        Self::Block { reason }
    }
}
