//! That an event, with all its record says, is part of a history.
//!
//! 1. The record is whole, and its own check value fits store and sequence. 2. Its leaf and the
//!    partners give the root of its frame's leaves; how many leaves there are follows from the
//!    frame's header. 3. The frame is part of the history (see `frame`). The sequence follows from
//!    the frame's first one and the leaf's index.

use super::{
    InclusionProof, ProofError,
    frame::{Anchor, VerifiedFrame},
    wire::{self, Kind},
};
use crate::{
    Malformed,
    digest::{Digest, leaf},
    format::{
        frame::FRAME_HEADER_BYTES,
        record::{self, Record},
    },
    head::Head,
    merkle::MerklePath,
};

/// What is known of an event once it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedEvent {
    /// Its sequence.
    pub sequence: u64,
    /// Its place in its stream.
    pub stream_version: u64,
    /// Its frame.
    pub frame: VerifiedFrame,
}

/// Shows that an event is part of a head's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProof {
    anchor: Anchor,
    leaf_index: u32,
    leaf_path: MerklePath,
}

impl EventProof {
    /// `header` is the frame's header as it is stored, `leaves` are the digests of its records and
    /// its annex, of which only the root is left; `inclusion` is made for the frame's number.
    ///
    /// # Panics
    /// When there is no such leaf.
    pub(crate) fn new(
        header: &[u8; FRAME_HEADER_BYTES],
        leaf_index: u32,
        leaves: &mut Vec<Digest>,
        inclusion: InclusionProof,
    ) -> Self {
        let leaf_path = MerklePath::of_leaf(leaves, leaf_index as usize);
        Self { anchor: Anchor { header: *header, inclusion }, leaf_index, leaf_path }
    }

    /// Frames of the history that the proof was made for: its head has as many.
    pub fn frame_count(&self) -> u64 {
        self.anchor.inclusion.frame_count
    }

    /// Checks that the event with this record (as
    /// [`Event::record_bytes`](crate::Event::record_bytes) gives it) is part of the head's history, and tells which it
    /// is.
    ///
    /// # Errors
    /// What does not fit; see [`ProofError`].
    pub fn verify(&self, record_bytes: &[u8], head: &Head) -> Result<VerifiedEvent, ProofError> {
        let record = Record::decode(record_bytes).map_err(|_| ProofError::Record)?;
        let header = self.anchor.header()?;
        if self.leaf_index >= header.event_count {
            return Err(ProofError::Frame { what: "it has fewer events than the proof says" });
        }
        let sequence = header.base_sequence + u64::from(self.leaf_index);
        if !record::checks(record_bytes, &head.store_id, sequence) {
            return Err(ProofError::Record);
        }
        let annexes = if header.annex_bytes > 0 { 1 } else { 0 };
        let leaf_count = u64::from(header.event_count) + annexes;
        let root = self
            .leaf_path
            .root(leaf(&record_bytes[4..]), u64::from(self.leaf_index), leaf_count)
            .ok_or(ProofError::Frame { what: "the path to its root has another length" })?;
        let frame = self.anchor.verify(&root, head)?;
        Ok(VerifiedEvent { sequence, stream_version: record.stream_version, frame })
    }

    /// The proof's bytes; their table is in `docs/formats/journal/proofs.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.anchor.encode(Kind::Event, Some((self.leaf_index, &self.leaf_path)));
        wire::put_partners(&mut out, self.leaf_path.partners());
        wire::put_partners(&mut out, self.anchor.inclusion.path.partners());
        out
    }

    /// Reads a proof; `bytes` are exactly its own.
    ///
    /// # Errors
    /// When they are not the bytes of a proof of an event.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (anchor, leaf_index, leaf_path, []) = Anchor::decode(bytes, Kind::Event)?;
        Ok(Self { anchor, leaf_index, leaf_path })
    }
}
