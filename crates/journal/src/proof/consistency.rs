//! That a history begins with an older one: nothing that the older head covers was changed since.
//!
//! The proof of RFC 9162, section 2.1.4, over the frames' digests. Making it: go down the tree of
//! the newer history towards the last frame of the older one; each side that is passed by is a
//! partner; stop at the subtree that ends with the older history. That subtree's root comes first,
//! unless it is the whole older history, which the verifier knows. Verifying it: climb from there,
//! and compute both roots, the older one from the partners on the left only.
//!
//! Of heads with the same number of frames the proof is empty, and the heads must agree in all but
//! their time. With an older head of no frames it is empty, too: any history begins with nothing.

use super::{
    ProofError,
    wire::{self, Kind, PREFIX_BYTES},
};
use crate::{
    Malformed,
    digest::{Digest, node},
    error::Error,
    format::fields::{put, u32_at, u64_at},
    head::Head,
    mountain::{NodeSource, side_root, split},
};

const OLD_COUNT: usize = PREFIX_BYTES;
const NEW_COUNT: usize = 16;
const PARTNER_COUNT: usize = 24;
const ZERO: usize = 28;
const FIXED_BYTES: usize = 32;

/// Shows that the history of one head begins with that of an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    old_count: u64,
    new_count: u64,
    partners: Vec<Digest>,
}

impl ConsistencyProof {
    /// Makes the proof that the first `new_count` frames begin with the first `old_count`; the
    /// source has the nodes of all of them.
    ///
    /// # Errors
    /// Whatever the source gives.
    ///
    /// # Panics
    /// When the older history is the longer one.
    pub(crate) fn make(
        source: &impl NodeSource,
        old_count: u64,
        new_count: u64,
    ) -> Result<Self, Error> {
        assert!(old_count <= new_count, "{old_count} frames are not older than {new_count}");
        let mut partners = Vec::new();
        if old_count > 0 {
            let (mut start, mut end) = (0, new_count);
            while old_count < end {
                let middle = split(start, end);
                if old_count <= middle {
                    partners.push(side_root(source, middle, end)?);
                    end = middle;
                } else {
                    partners.push(side_root(source, start, middle)?);
                    start = middle;
                }
            }
            if start > 0 {
                partners.push(side_root(source, start, end)?);
            }
            partners.reverse();
        }
        Ok(Self { old_count, new_count, partners })
    }

    /// Frames of the older history.
    pub fn old_frame_count(&self) -> u64 {
        self.old_count
    }

    /// Frames of the newer history.
    pub fn new_frame_count(&self) -> u64 {
        self.new_count
    }

    /// Checks that the history of `new` begins with that of `old`.
    ///
    /// # Errors
    /// What does not fit; see [`ProofError`].
    pub fn verify(&self, old: &Head, new: &Head) -> Result<(), ProofError> {
        for (proof, head) in [(self.old_count, old), (self.new_count, new)] {
            if proof != head.frame_count {
                return Err(ProofError::OtherHead { proof, head: head.frame_count });
            }
        }
        let contradiction = if old.store_id != new.store_id {
            Some("they name different stores")
        } else if old.frame_count > new.frame_count {
            Some("the newer one has fewer frames")
        } else if old.end_sequence > new.end_sequence {
            Some("the newer one has fewer events")
        } else if old.time > new.time {
            Some("the newer one has an earlier time")
        } else {
            None
        };
        if let Some(what) = contradiction {
            return Err(ProofError::Heads { what });
        }
        if self.is_shown(old, new) { Ok(()) } else { Err(ProofError::NotConsistent) }
    }

    fn is_shown(&self, old: &Head, new: &Head) -> bool {
        if old.frame_count == new.frame_count {
            return self.partners.is_empty() && *old == Head { time: old.time, ..*new };
        }
        if old.frame_count == 0 {
            return self.partners.is_empty()
                && old.mountain_root == Digest::ZERO
                && old.end_sequence == 0;
        }
        self.roots(&old.mountain_root) == Some((old.mountain_root, new.mountain_root))
    }

    /// The roots of the older and the newer history that the partners lead to; `None` when there
    /// are too few or too many.
    fn roots(&self, old_root: &Digest) -> Option<(Digest, Digest)> {
        let mut partners = self.partners.iter();
        // The subtree that ends with the older history: as many levels up as the index of its last
        // frame has ones at its end.
        let mut index = self.old_count - 1;
        let mut last = self.new_count - 1;
        let levels = index.trailing_ones();
        index = index.checked_shr(levels).unwrap_or(0);
        last = last.checked_shr(levels).unwrap_or(0);
        let start = if index == 0 { old_root } else { partners.next()? };
        let (mut old, mut new) = (*start, *start);
        while last > 0 {
            if index % 2 == 1 {
                let partner = partners.next()?;
                old = node(partner, &old);
                new = node(partner, &new);
            } else if index < last {
                new = node(&new, partners.next()?);
            }
            index /= 2;
            last /= 2;
        }
        partners.next().is_none().then_some((old, new))
    }

    /// The proof's bytes; their table is in `docs/formats/journal/proofs.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; FIXED_BYTES];
        put(&mut out, 0, wire::prefix(Kind::Consistency));
        put(&mut out, OLD_COUNT, self.old_count.to_le_bytes());
        put(&mut out, NEW_COUNT, self.new_count.to_le_bytes());
        put(&mut out, PARTNER_COUNT, wire::partner_count(&self.partners));
        wire::put_partners(&mut out, &self.partners);
        out
    }

    /// Reads a proof; `bytes` are exactly its own.
    ///
    /// # Errors
    /// When they are not the bytes of a proof of consistency.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = wire::split::<FIXED_BYTES>(bytes, Kind::Consistency)?;
        if u32_at(fixed, ZERO) != 0 {
            return Err(Malformed::new(ZERO as u64, "a proof has bytes that must be zero"));
        }
        let [partners] = wire::partners(rest, FIXED_BYTES, [u32_at(fixed, PARTNER_COUNT)])?;
        let (old_count, new_count) = (u64_at(fixed, OLD_COUNT), u64_at(fixed, NEW_COUNT));
        Ok(Self { old_count, new_count, partners })
    }
}
