//! That a frame is part of a history: the path from its digest to the root of the mountain range.
//!
//! The path of RFC 9162, section 2.1.3, over the frames' digests. It is found from the top: at each
//! split of the range the side without the frame is a partner. All sides but one are single nodes;
//! that one is folded from the peaks it ends with.

use super::ProofError;
use crate::{
    digest::Digest,
    error::Error,
    head::Head,
    merkle::MerklePath,
    mountain::{NodeSource, side_root, split},
};

/// The path of one frame in the range of the first `frame_count` frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InclusionProof {
    pub(super) frame_count: u64,
    pub(super) path: MerklePath,
}

impl InclusionProof {
    /// Makes the proof for a frame; the source has the nodes of the first `frame_count` frames.
    ///
    /// # Errors
    /// Whatever the source gives.
    ///
    /// # Panics
    /// When the frame is not one of them.
    pub(crate) fn make(
        source: &impl NodeSource,
        frame_number: u64,
        frame_count: u64,
    ) -> Result<Self, Error> {
        assert!(frame_number < frame_count, "frame {frame_number} of {frame_count}");
        let (mut start, mut end) = (0, frame_count);
        let mut partners = Vec::new();
        while end - start > 1 {
            let middle = split(start, end);
            if frame_number < middle {
                partners.push(side_root(source, middle, end)?);
                end = middle;
            } else {
                partners.push(side_root(source, start, middle)?);
                start = middle;
            }
        }
        partners.reverse();
        Ok(Self { frame_count, path: MerklePath::from_partners(partners) })
    }

    /// Checks that frame `frame_number` with this digest is part of the head's history.
    pub(super) fn verify(
        &self,
        frame_number: u64,
        digest: Digest,
        head: &Head,
    ) -> Result<(), ProofError> {
        if self.frame_count != head.frame_count {
            return Err(ProofError::OtherHead { proof: self.frame_count, head: head.frame_count });
        }
        match self.path.root(digest, frame_number, self.frame_count) {
            Some(root) if root == head.mountain_root => Ok(()),
            _ => Err(ProofError::NotInHistory),
        }
    }
}
