//! That a frame, with all that its header says, is part of a history.
//!
//! 1. The header and the root of the frame's leaves give its digest, with the key of the head's
//!    store; it is the one that the header states. 2. The path leads from the digest to the head's
//!    root. 3. What head and header both say agrees.

use super::{
    InclusionProof, ProofError,
    wire::{self, Kind, PREFIX_BYTES},
};
use crate::{
    Malformed,
    digest::{Digest, StoreKeys},
    format::{
        fields::{array_at, put, u32_at, u64_at},
        frame::{FRAME_HEADER_BYTES, FrameHeader},
    },
    head::Head,
    merkle::MerklePath,
};

const HEADER: usize = PREFIX_BYTES;
const FRAME_COUNT: usize = HEADER + FRAME_HEADER_BYTES;
const RANGE_PARTNERS: usize = FRAME_COUNT + 8;
const LEAF_PARTNERS: usize = RANGE_PARTNERS + 4;
const LEAF_INDEX: usize = LEAF_PARTNERS + 4;
const ZERO: usize = LEAF_INDEX + 4;
/// Bytes that proofs of frames and of events begin with.
const FIXED_BYTES: usize = ZERO + 4;
const _: () = assert!(FIXED_BYTES == 160);

/// What is known of a frame once it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedFrame {
    /// Its place in the chain.
    pub frame_number: u64,
    /// Sequence of its first event.
    pub first_sequence: u64,
    /// How many events it has.
    pub event_count: u32,
    /// When it was accepted, in nanoseconds since 1970.
    pub time: u64,
    /// Its digest.
    pub digest: Digest,
}

/// A frame's header as it is stored, and the path of its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) header: [u8; FRAME_HEADER_BYTES],
    pub(super) inclusion: InclusionProof,
}

impl Anchor {
    pub(super) fn header(&self) -> Result<FrameHeader, ProofError> {
        FrameHeader::decode(&self.header)
            .map_err(|malformed| ProofError::Frame { what: malformed.what })
    }

    /// Checks that the frame with this root of its leaves is part of the head's history.
    pub(super) fn verify(&self, root: &Digest, head: &Head) -> Result<VerifiedFrame, ProofError> {
        let header = self.header()?;
        let digest = StoreKeys::new(&head.store_id).frame(&array_at(&self.header, 8), root);
        if digest != header.digest {
            return Err(ProofError::Frame { what: "its digest is not that of its content" });
        }
        self.inclusion.verify(header.frame_number, digest, head)?;
        let is_last = header.frame_number + 1 == head.frame_count;
        let agrees = if is_last {
            digest == head.last && header.end_sequence() == head.end_sequence
        } else {
            header.end_sequence() < head.end_sequence
        };
        if !agrees || header.time > head.time {
            return Err(ProofError::NotInHistory);
        }
        Ok(VerifiedFrame {
            frame_number: header.frame_number,
            first_sequence: header.base_sequence,
            event_count: header.event_count,
            time: header.time,
            digest,
        })
    }

    /// The fixed part of a proof; `leaf` are index and path of an event's leaf.
    pub(super) fn encode(&self, kind: Kind, leaf: Option<(u32, &MerklePath)>) -> Vec<u8> {
        let mut out = vec![0; FIXED_BYTES];
        put(&mut out, 0, wire::prefix(kind));
        put(&mut out, HEADER, self.header);
        put(&mut out, FRAME_COUNT, self.inclusion.frame_count.to_le_bytes());
        put(&mut out, RANGE_PARTNERS, wire::partner_count(self.inclusion.path.partners()));
        if let Some((index, path)) = leaf {
            put(&mut out, LEAF_PARTNERS, wire::partner_count(path.partners()));
            put(&mut out, LEAF_INDEX, index.to_le_bytes());
        }
        out
    }

    /// Reads what proofs of frames and of events have in common: the anchor, index and path of a
    /// leaf, and what lies before the paths in bytes of fixed length.
    pub(super) fn decode<const MIDDLE_BYTES: usize>(
        bytes: &[u8],
        kind: Kind,
    ) -> Result<(Self, u32, MerklePath, [u8; MIDDLE_BYTES]), Malformed> {
        let (fixed, rest) = wire::split::<FIXED_BYTES>(bytes, kind)?;
        if u32_at(fixed, ZERO) != 0 {
            return Err(Malformed::new(ZERO as u64, "a proof has bytes that must be zero"));
        }
        let Some((middle, rest)) = rest.split_first_chunk() else {
            return Err(Malformed::new(bytes.len() as u64, "a proof ends before its digests"));
        };
        let counts = [u32_at(fixed, LEAF_PARTNERS), u32_at(fixed, RANGE_PARTNERS)];
        let [leaf_path, path] = wire::partners(rest, FIXED_BYTES + MIDDLE_BYTES, counts)?;
        let (leaf_path, path) =
            (MerklePath::from_partners(leaf_path), MerklePath::from_partners(path));
        let inclusion = InclusionProof { frame_count: u64_at(fixed, FRAME_COUNT), path };
        let anchor = Self { header: array_at(fixed, HEADER), inclusion };
        Ok((anchor, u32_at(fixed, LEAF_INDEX), leaf_path, *middle))
    }
}

/// Shows that a frame is part of a head's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameProof {
    anchor: Anchor,
    root: Digest,
}

impl FrameProof {
    /// `header` is the frame's header as it is stored, `root` the root of its leaves, `inclusion`
    /// is made for its number.
    pub(crate) fn new(
        header: &[u8; FRAME_HEADER_BYTES],
        root: Digest,
        inclusion: InclusionProof,
    ) -> Self {
        Self { anchor: Anchor { header: *header, inclusion }, root }
    }

    /// Frames of the history that the proof was made for: its head has as many.
    pub fn frame_count(&self) -> u64 {
        self.anchor.inclusion.frame_count
    }

    /// Checks that the frame is part of the head's history, and tells what it is.
    ///
    /// # Errors
    /// What does not fit; see [`ProofError`].
    pub fn verify(&self, head: &Head) -> Result<VerifiedFrame, ProofError> {
        self.anchor.verify(&self.root, head)
    }

    /// The proof's bytes; their table is in `docs/formats/journal/proofs.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.anchor.encode(Kind::Frame, None);
        out.extend_from_slice(&self.root.0);
        wire::put_partners(&mut out, self.anchor.inclusion.path.partners());
        out
    }

    /// Reads a proof; `bytes` are exactly its own.
    ///
    /// # Errors
    /// When they are not the bytes of a proof of a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (anchor, leaf_index, leaf_path, root) = Anchor::decode(bytes, Kind::Frame)?;
        if leaf_index != 0 || !leaf_path.partners().is_empty() {
            return Err(Malformed::new(LEAF_PARTNERS as u64, "a proof of a frame names a leaf"));
        }
        Ok(Self { anchor, root: Digest(root) })
    }
}
