//! The payload of the event that says what was dropped.
//!
//! ```text
//! the file: segment u32, bytes u64, BLAKE3 of its content [32]
//! first sequence, end sequence, first frame, end frame u64
//! dropped events, dropped frames, time u64 | reason: u16, text
//! the files that it replaced: u32, then each as above
//! ```

use crate::{
    Error, Malformed, SegmentFile,
    format::{
        manifest::REASON_BYTES_MAX,
        pieces::{Piece, Pieces, put_list, put_text},
        reduced::Item,
    },
    segment::sealed::SealedSegment,
};

use super::REPLACED_MAX;

/// What was dropped: one file was put in the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRecord {
    /// The file that is there now.
    pub file: SegmentFile,
    /// The files that it has replaced, in order.
    pub replaced: Vec<SegmentFile>,
    /// First sequence that it stands for.
    pub first_sequence: u64,
    /// First sequence behind those.
    pub end_sequence: u64,
    /// First frame that it stands for.
    pub first_frame: u64,
    /// First frame behind those.
    pub end_frame: u64,
    /// How many of these events are gone, now and before.
    pub dropped_events: u64,
    /// How many of these frames are gone whole.
    pub dropped_frames: u64,
    /// When: nanoseconds since 1970.
    pub time: u64,
    /// Why.
    pub reason: String,
}

impl GapRecord {
    /// Version of this encoding: the payload version of the events.
    pub const VERSION: u16 = 1;

    /// About a segment as it is now.
    pub(super) fn of(segment: &SealedSegment, replaced: Vec<SegmentFile>) -> Result<Self, Error> {
        let info = &segment.info;
        let (reductions, _) = segment.reductions()?;
        let newest = reductions.into_iter().max_by_key(|reduction| reduction.time);
        let newest = newest.ok_or_else(|| segment.corrupt(0, "no reason is listed"))?;
        let (mut dropped_events, mut dropped_frames) = (0, 0);
        segment.visit_items(&mut |item| {
            match item {
                Item::Frame(_) => {}
                Item::Stub(stub) => dropped_events += stub.dropped_count(),
                Item::Gap(gap) => {
                    dropped_events += gap.end_sequence - gap.first_sequence;
                    dropped_frames += gap.end_frame() - gap.first_frame;
                }
            }
            Ok(())
        })?;
        Ok(Self {
            file: SegmentFile::of(segment)?,
            replaced,
            first_sequence: info.first_sequence,
            end_sequence: info.end_sequence,
            first_frame: info.first_frame,
            end_frame: info.end_frame,
            dropped_events,
            dropped_frames,
            time: newest.time,
            reason: newest.reason,
        })
    }

    /// The payload.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.file.put(&mut out);
        for number in [
            self.first_sequence,
            self.end_sequence,
            self.first_frame,
            self.end_frame,
            self.dropped_events,
            self.dropped_frames,
            self.time,
        ] {
            out.extend(number.to_le_bytes());
        }
        put_text(&mut out, &self.reason);
        put_list(&mut out, &self.replaced);
        out
    }

    /// Reads the payload of an event of the kind [`reserved::GAP`](crate::reserved::GAP).
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut pieces = Pieces::new(payload, 0);
        let record = Self {
            file: SegmentFile::take(&mut pieces)?,
            first_sequence: pieces.u64()?,
            end_sequence: pieces.u64()?,
            first_frame: pieces.u64()?,
            end_frame: pieces.u64()?,
            dropped_events: pieces.u64()?,
            dropped_frames: pieces.u64()?,
            time: pieces.u64()?,
            reason: pieces.text(REASON_BYTES_MAX)?,
            replaced: pieces.list(REPLACED_MAX)?,
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
        let file =
            |segment| SegmentFile { segment, bytes: 4096, digest: Digest([segment as u8; 32]) };
        let record = GapRecord {
            file: file(9),
            replaced: vec![file(2), file(3)],
            first_sequence: 1,
            end_sequence: 20,
            first_frame: 1,
            end_frame: 11,
            dropped_events: 7,
            dropped_frames: 2,
            time: 5,
            reason: "older than a year".into(),
        };
        let bytes = record.encode();
        assert_eq!(GapRecord::decode(&bytes), Ok(record));
        for short in 0..bytes.len() {
            assert!(GapRecord::decode(&bytes[..short]).is_err(), "{short} bytes");
        }
        assert!(GapRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
