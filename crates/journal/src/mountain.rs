//! The mountain range: a Merkle tree over the digests of all frames, which grows at its right edge.
//!
//! Nodes are named by level and index: node i of level l is over frames i * 2^l up to (i + 1) *
//! 2^l; level 0 are the frames' digests. A node exists as soon as all its frames do, and never
//! changes. The nodes without a parent are the peaks: one for each bit that is set in the number of
//! frames, from high to low. The root folds the peaks from the right, which gives the tree of RFC 6962
//! over the frames; so the proofs are those of RFC 6962 and 9162.
//!
//! - Adding a frame: 1. its digest is node n of level 0; 2. while the last peak has that level, it
//!   and the node become their parent; 3. what is left is the last peak.
//! - Proofs need nodes that are no longer peaks; a [`NodeSource`] gives them.
//!
//! What it does *not* do: keep nodes, or read files.

use crate::{
    digest::{Digest, node},
    error::Error,
};

/// Peaks at most: bits of a frame count.
const PEAKS_MAX: usize = 64;

/// Where nodes of a mountain range are kept.
pub(crate) trait NodeSource {
    /// The node over frames `index << level` up to `(index + 1) << level`. It is asked only for
    /// nodes that exist in the range that is proven.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Error>;
}

/// A mountain range, as far as it is needed to grow and to tell its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mountain {
    frame_count: u64,
    peaks: Vec<Digest>,
}

impl Mountain {
    /// The range of no frames.
    pub(crate) fn new() -> Self {
        Self { frame_count: 0, peaks: Vec::with_capacity(PEAKS_MAX) }
    }

    /// The range of so many frames, from its peaks; `None` when there is not one for each bit.
    pub(crate) fn from_peaks(frame_count: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == frame_count.count_ones() as usize).then_some(Self { frame_count, peaks })
    }

    /// The peaks, from high to low.
    pub(crate) fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Frames that were added.
    pub(crate) fn frame_count(&self) -> u64 {
        self.frame_count
    }

    /// Adds the next frame. `completed` is told each node that now exists, with level and index:
    /// first the digest itself, then its parents upward.
    pub(crate) fn push(&mut self, digest: Digest, mut completed: impl FnMut(u8, u64, Digest)) {
        let (mut level, mut index, mut right) = (0, self.frame_count, digest);
        completed(level, index, right);
        while index % 2 == 1 {
            let left = self.peaks.pop().expect("a peak for each bit that is set");
            right = node(&left, &right);
            index /= 2;
            level += 1;
            completed(level, index, right);
        }
        self.peaks.push(right);
        self.frame_count += 1;
    }

    /// The root of the range; [`Digest::ZERO`] when it is empty.
    pub(crate) fn root(&self) -> Digest {
        fold(&self.peaks)
    }
}

/// Folds peaks from the right; [`Digest::ZERO`] for none.
fn fold(peaks: &[Digest]) -> Digest {
    let folded = peaks.iter().rev().copied().reduce(|right, left| node(&left, &right));
    folded.unwrap_or(Digest::ZERO)
}

/// The root of the tree over frames `start` up to `end`, which is one of the sides that the tree
/// over all frames has: `start` is a multiple of the largest power of two that fits in.
pub(crate) fn side_root(source: &impl NodeSource, start: u64, end: u64) -> Result<Digest, Error> {
    let mut peaks = Vec::with_capacity(PEAKS_MAX);
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        peaks.push(source.node(level as u8, at >> level)?);
        at += 1 << level;
    }
    Ok(fold(&peaks))
}

/// Where the tree over frames `start` up to `end`, two or more, is split: the left side has the
/// largest power of two of frames that leaves some for the right.
pub(crate) fn split(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{digest::leaf, merkle};

    /// A range with all its nodes in memory.
    #[derive(Debug)]
    pub(crate) struct Nodes {
        pub(crate) range: Mountain,
        nodes: HashMap<(u8, u64), Digest>,
    }

    impl Nodes {
        pub(crate) fn new() -> Self {
            Self { range: Mountain::new(), nodes: HashMap::new() }
        }

        pub(crate) fn push(&mut self, digest: Digest) {
            self.range.push(digest, |level, index, digest| {
                let before = self.nodes.insert((level, index), digest);
                assert!(before.is_none(), "each node is told once");
            });
        }
    }

    impl NodeSource for Nodes {
        fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
            Ok(*self.nodes.get(&(level, index)).expect("only nodes that exist are asked for"))
        }
    }

    /// The digest that the tests give to a frame.
    pub(crate) fn frame(number: u64) -> Digest {
        leaf(&number.to_le_bytes())
    }

    #[test]
    fn the_root_is_that_of_one_merkle_tree_over_all_frames() {
        let mut nodes = Nodes::new();
        assert_eq!(nodes.range.root(), Digest::ZERO);
        for count in 1..=300 {
            nodes.push(frame(count - 1));
            let root = merkle::root(&mut (0..count).map(frame).collect());
            assert_eq!(nodes.range.root(), root, "{count} frames");
            assert_eq!(side_root(&nodes, 0, count).expect("in memory"), root);
        }
    }

    #[test]
    fn nodes_are_told_when_their_last_frame_comes_and_have_their_frames_root() {
        let mut range = Mountain::new();
        for number in 0..130_u64 {
            range.push(frame(number), |level, index, digest| {
                assert_eq!((index + 1) << level, number + 1);
                let frames = (index << level)..(index + 1) << level;
                assert_eq!(digest, merkle::root(&mut frames.map(frame).collect()));
            });
        }
        assert_eq!(range.frame_count(), 130);
    }

    #[test]
    fn a_range_goes_on_from_its_peaks_as_if_nothing_had_been() {
        let mut range = Mountain::new();
        for number in 0..100 {
            let peaks = range.peaks().to_vec();
            let mut again = Mountain::from_peaks(number, peaks.clone()).expect("its own peaks");
            assert_eq!(again, range);
            assert_eq!(Mountain::from_peaks(number, [peaks, vec![Digest::ZERO]].concat()), None);
            again.push(frame(number), |_, _, _| {});
            range.push(frame(number), |_, _, _| {});
            assert_eq!(again.root(), range.root());
        }
    }
}
