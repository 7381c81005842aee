//! What the lists of a manifest are made of: segments, gaps, sessions, kinds.
//!
//! Here a value is only read and written; whether they fit together is for `check` to say.

use crate::{
    Digest, Malformed, StoreId,
    format::pieces::{Piece, Pieces, put_list, put_text},
};

use super::KIND_NAME_BYTES_MAX;

/// Data segments at most that replace one.
pub(crate) const REPLACED_BY_MAX: usize = 64;
/// Bytes at most of the reason why events were dropped.
pub(crate) const REASON_BYTES_MAX: usize = 256;

/// What a journal is a copy or a fork of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) parent: StoreId,
    /// Every event of the parent below was taken over.
    pub(crate) end_sequence: u64,
    /// Digest of the parent's last frame that was taken over.
    pub(crate) last: Digest,
}

/// Whether a chain segment is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// It is, or was when the writer ended without closing the journal.
    Active,
    /// It never will be again.
    Closed,
}

/// A file of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainSegment {
    pub(crate) id: u32,
    pub(crate) state: SegmentState,
    /// Whether frames of it were dropped.
    pub(crate) is_reduced: bool,
    pub(crate) first_sequence: u64,
    /// While the segment is active, the ends are what was known when the manifest was written.
    pub(crate) end_sequence: u64,
    pub(crate) first_frame: u64,
    pub(crate) end_frame: u64,
    /// Where its valid content ends; 0 while it is active.
    pub(crate) bytes: u64,
    /// Time of its first frame, in nanoseconds since 1970.
    pub(crate) first_time: u64,
    /// Time of its last frame.
    pub(crate) last_time: u64,
    /// Digest of the last frame before it; genesis for the first.
    pub(crate) previous: Digest,
    /// Digest of its last frame; `previous` while it has none.
    pub(crate) last: Digest,
}

/// A file of extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataSegment {
    pub(crate) id: u32,
    /// The bulk session that it was written by; 0: none.
    pub(crate) session: u64,
    pub(crate) bytes: u64,
    /// Whether it is never written to again.
    pub(crate) is_sealed: bool,
    /// Where its live extents were moved; the file goes when no reader holds it any more.
    pub(crate) replaced_by: Vec<u32>,
}

/// A part of the chain that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) first_sequence: u64,
    pub(crate) end_sequence: u64,
    pub(crate) first_frame: u64,
    pub(crate) end_frame: u64,
    /// Digest of the last frame dropped.
    pub(crate) last: Digest,
    /// When they were dropped, in nanoseconds since 1970.
    pub(crate) time: u64,
    /// Why they were dropped.
    pub(crate) reason: String,
}

/// A bulk session that is neither adopted nor aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// Not 0.
    pub(crate) id: u64,
    /// Of the writer that began it.
    pub(crate) epoch: u64,
    /// Sequence of the event that says so.
    pub(crate) begun_sequence: u64,
}

/// A file that another has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired {
    pub(crate) id: u32,
    /// The chain segment that holds what is left of it; 0: it was a data segment.
    pub(crate) replaced_by: u32,
    /// The first manifest that no longer reads it. Readers that have pinned an earlier one keep it.
    pub(crate) number: u64,
    /// Where its content ended.
    pub(crate) bytes: u64,
    /// BLAKE3 of its content.
    pub(crate) digest: Digest,
}

/// A registered kind and what it is called.
pub(crate) type KindName = (u16, String);

impl Piece for Lineage {
    const BYTES_MIN: usize = 56;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self { parent: pieces.store_id()?, end_sequence: pieces.u64()?, last: pieces.digest()? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.parent.0);
        out.extend(self.end_sequence.to_le_bytes());
        out.extend(self.last.0);
    }
}

impl Piece for SegmentState {
    const BYTES_MIN: usize = 1;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(if pieces.flag()? { Self::Closed } else { Self::Active })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self == Self::Closed).into());
    }
}

impl Piece for ChainSegment {
    const BYTES_MIN: usize = 128;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        let id = pieces.u32()?;
        let state = SegmentState::take(pieces)?;
        let is_reduced = pieces.flag()?;
        pieces.zeros::<2>()?;
        Ok(Self {
            id,
            state,
            is_reduced,
            first_sequence: pieces.u64()?,
            end_sequence: pieces.u64()?,
            first_frame: pieces.u64()?,
            end_frame: pieces.u64()?,
            bytes: pieces.u64()?,
            first_time: pieces.u64()?,
            last_time: pieces.u64()?,
            previous: pieces.digest()?,
            last: pieces.digest()?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        self.state.put(out);
        out.push(self.is_reduced.into());
        out.extend([0; 2]);
        for number in [
            self.first_sequence,
            self.end_sequence,
            self.first_frame,
            self.end_frame,
            self.bytes,
            self.first_time,
            self.last_time,
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.previous.0);
        out.extend(self.last.0);
    }
}

impl Piece for DataSegment {
    const BYTES_MIN: usize = 28;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        let id = pieces.u32()?;
        let is_sealed = pieces.flag()?;
        pieces.zeros::<3>()?;
        Ok(Self {
            id,
            session: pieces.u64()?,
            bytes: pieces.u64()?,
            is_sealed,
            replaced_by: pieces.list(REPLACED_BY_MAX)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        out.push(self.is_sealed.into());
        out.extend([0; 3]);
        out.extend(self.session.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        put_list(out, &self.replaced_by);
    }
}

impl Piece for Gap {
    const BYTES_MIN: usize = 74;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            first_sequence: pieces.u64()?,
            end_sequence: pieces.u64()?,
            first_frame: pieces.u64()?,
            end_frame: pieces.u64()?,
            last: pieces.digest()?,
            time: pieces.u64()?,
            reason: pieces.text(REASON_BYTES_MAX)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.first_sequence.to_le_bytes());
        out.extend(self.end_sequence.to_le_bytes());
        out.extend(self.first_frame.to_le_bytes());
        out.extend(self.end_frame.to_le_bytes());
        out.extend(self.last.0);
        out.extend(self.time.to_le_bytes());
        put_text(out, &self.reason);
    }
}

impl Piece for Session {
    const BYTES_MIN: usize = 24;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self { id: pieces.u64()?, epoch: pieces.u64()?, begun_sequence: pieces.u64()? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.begun_sequence.to_le_bytes());
    }
}

impl Piece for Retired {
    const BYTES_MIN: usize = 56;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: pieces.u32()?,
            replaced_by: pieces.u32()?,
            number: pieces.u64()?,
            bytes: pieces.u64()?,
            digest: pieces.digest()?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        out.extend(self.replaced_by.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.digest.0);
    }
}

impl Piece for KindName {
    const BYTES_MIN: usize = 4;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        Ok((pieces.u16()?, pieces.text(KIND_NAME_BYTES_MAX)?))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
        put_text(out, &self.1);
    }
}
