//! The payload of the event that says which data segments were rewritten.
//!
//! ```text
//! time, horizon u64
//! inputs: u32, then each: segment u32, bytes u64
//! outputs: u32, then each: segment u32, bytes u64, BLAKE3 of its content [32]
//! ```
//!
//! The event adopts the directories of the outputs, in the same order.

use super::INPUTS_MAX;
use crate::{
    Malformed, SegmentFile,
    format::pieces::{Piece, Pieces, put_list},
};

/// Data segments that one compaction can write, at most: far more than it does.
const OUTPUTS_MAX: usize = 1024;

/// Which data segments were replaced by which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionRecord {
    /// When: nanoseconds since 1970.
    pub time: u64,
    /// Up to where the caller has decided what goes.
    pub horizon: u64,
    /// Segments that were replaced, and how many bytes each had.
    pub inputs: Vec<(u32, u64)>,
    /// Segments that hold what was kept.
    pub outputs: Vec<SegmentFile>,
}

impl Piece for (u32, u64) {
    const BYTES_MIN: usize = 12;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok((pieces.u32()?, pieces.u64()?))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
        out.extend(self.1.to_le_bytes());
    }
}

impl CompactionRecord {
    /// Version of this encoding: the payload version of the events.
    pub const VERSION: u16 = 1;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.time.to_le_bytes());
        out.extend(self.horizon.to_le_bytes());
        put_list(&mut out, &self.inputs);
        put_list(&mut out, &self.outputs);
        out
    }

    /// Reads the payload of an event of the kind
    /// [`reserved::COMPACTED`](crate::reserved::COMPACTED).
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut pieces = Pieces::new(payload, 0);
        let record = Self {
            time: pieces.u64()?,
            horizon: pieces.u64()?,
            inputs: pieces.list(INPUTS_MAX)?,
            outputs: pieces.list(OUTPUTS_MAX)?,
        };
        pieces.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn a_record_survives_its_bytes_and_no_other_bytes_are_one() {
        let file = |segment| SegmentFile { segment, bytes: 4096, digest: Digest([3; 32]) };
        let record = CompactionRecord {
            time: 5,
            horizon: 6,
            inputs: vec![(1, 9000), (4, 8000)],
            outputs: vec![file(9), file(10)],
        };
        let bytes = record.encode();
        assert_eq!(CompactionRecord::decode(&bytes), Ok(record));
        for short in 0..bytes.len() {
            assert!(CompactionRecord::decode(&bytes[..short]).is_err(), "{short} bytes");
        }
        assert!(CompactionRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
