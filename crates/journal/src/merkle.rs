//! Merkle trees: one digest for a list of them, and paths that show one of the list to be in it.
//!
//! The shape is that of RFC 6962: a tree of n leaves has the largest power of two below n on its
//! left side. It can be had from the bottom, too: 1. pair the digests of a level from the left;
//! 2. a last one without a partner rises as it is; 3. do the same with the level above, until one
//! is left.
//!
//! A path lists the partners that a leaf meets on its way up. How many there are, and on which
//! side, follows from the leaf's index and the number of leaves alone, which the verifier must know
//! from elsewhere.
//!
//! What it does *not* do: hash what the leaves stand for; trees of no leaves.

use crate::digest::{Digest, node, parents};

/// Partners in a path at most: a tree of 2^64 - 1 leaves has as many levels below its root.
pub(crate) const PATH_DIGESTS_MAX: usize = 64;

/// The root of a tree; `level` holds the leaves and is left with the root only.
///
/// # Panics
/// When there are no leaves.
pub(crate) fn root(level: &mut Vec<Digest>) -> Digest {
    while level.len() > 1 {
        parents(level);
    }
    *level.first().expect("a tree has at least one leaf")
}

/// The digests that lead from a leaf to the root of its tree: its partners, from the bottom up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MerklePath(Vec<Digest>);

impl MerklePath {
    /// The path of leaf `index`; `level` holds the leaves and is left with the root only.
    ///
    /// # Panics
    /// When there is no such leaf.
    pub(crate) fn of_leaf(level: &mut Vec<Digest>, mut index: usize) -> Self {
        assert!(index < level.len(), "leaf {index} of {}", level.len());
        let mut path = Vec::new();
        while level.len() > 1 {
            path.extend(level.get(index ^ 1));
            parents(level);
            index /= 2;
        }
        Self(path)
    }

    /// A path of these partners; whether they fit is seen when the root is computed.
    pub(crate) fn from_partners(partners: Vec<Digest>) -> Self {
        Self(partners)
    }

    /// The partners, from the bottom up.
    pub(crate) fn partners(&self) -> &[Digest] {
        &self.0
    }

    /// The root that the path leads to from leaf `index` of `count`; `None` when there is no such
    /// leaf or the path is too short or too long for it.
    pub(crate) fn root(&self, leaf: Digest, index: u64, count: u64) -> Option<Digest> {
        if index >= count {
            return None;
        }
        let mut partners = self.0.iter();
        let (mut index, mut width, mut digest) = (index, count, leaf);
        while width > 1 {
            if index % 2 == 1 {
                digest = node(partners.next()?, &digest);
            } else if index + 1 < width {
                digest = node(&digest, partners.next()?);
            }
            index /= 2;
            width = width.div_ceil(2);
        }
        partners.next().is_none().then_some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::leaf;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count as u64).map(|index| leaf(&index.to_le_bytes())).collect()
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn root_by_definition(leaves: &[Digest]) -> Digest {
        if let [leaf] = leaves {
            return *leaf;
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        node(&root_by_definition(left), &root_by_definition(right))
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        for count in 1..=300 {
            let leaves = leaves(count);
            assert_eq!(root(&mut leaves.clone()), root_by_definition(&leaves), "{count} leaves");
        }
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_path_to_the_root() {
        for count in 1..=130 {
            let leaves = leaves(count);
            let root = root(&mut leaves.clone());
            for (index, leaf) in leaves.iter().enumerate() {
                let path = MerklePath::of_leaf(&mut leaves.clone(), index);
                assert_eq!(path.root(*leaf, index as u64, count as u64), Some(root));
            }
        }
    }

    #[test]
    fn a_path_fails_for_every_other_leaf_place_and_length() {
        for count in 1..=33_u64 {
            let leaves = leaves(count as usize);
            let root = root(&mut leaves.clone());
            for index in 0..count {
                let leaf = leaves[index as usize];
                let path = MerklePath::of_leaf(&mut leaves.clone(), index as usize);
                for other in (0..=count).filter(|other| *other != index) {
                    assert_ne!(path.root(leaf, other, count), Some(root), "{index} {other}");
                    let instead = leaves.get(other as usize).copied().unwrap_or(Digest::ZERO);
                    assert_ne!(path.root(instead, index, count), Some(root));
                }
                for at in 0..path.0.len() {
                    let mut wrong = path.clone();
                    wrong.0[at].0[at] ^= 1;
                    assert_ne!(wrong.root(leaf, index, count), Some(root));
                    wrong.0.remove(at);
                    assert_eq!(wrong.root(leaf, index, count), None, "too short");
                }
                let mut long = path.clone();
                long.0.push(leaf);
                assert_eq!(long.root(leaf, index, count), None, "too long");
            }
        }
    }

    #[test]
    fn the_longest_path_has_as_many_partners_as_are_allowed() {
        let path = MerklePath(vec![leaf(b""); PATH_DIGESTS_MAX]);
        assert!(path.root(leaf(b""), 0, u64::MAX).is_some());
        assert!(path.root(leaf(b""), 0, u64::MAX / 2).is_none());
    }
}
