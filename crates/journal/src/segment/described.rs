//! A segment's file as events describe it: which, how long, and what its content is.

use crate::{
    Digest, Error, Malformed,
    format::pieces::{Piece, Pieces},
    segment::sealed::SealedSegment,
};

/// A file of the journal at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its segment.
    pub segment: u32,
    /// Where its content ends, in bytes.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub digest: Digest,
}

impl SegmentFile {
    /// A sealed chain segment as it is.
    pub(crate) fn of(segment: &SealedSegment) -> Result<Self, Error> {
        let digest = Digest(*blake3::hash(segment.content()?).as_bytes());
        Ok(Self { segment: segment.info.id, bytes: segment.info.bytes, digest })
    }
}

impl Piece for SegmentFile {
    const BYTES_MIN: usize = 44;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self { segment: pieces.u32()?, bytes: pieces.u64()?, digest: pieces.digest()? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.segment.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.digest.0);
    }
}
