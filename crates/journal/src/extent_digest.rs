//! The tree digest of an extent: over chunks of 64 KiB, so that a part can be checked alone.
//!
//! Chunk i is bytes i * 64 KiB up to (i + 1) * 64 KiB; the last one may be shorter. The digests of
//! the chunks are the leaves of a Merkle tree (see `merkle`); its root is the extent's digest. An
//! extent without bytes has the digest of a chunk without bytes.
//!
//! - [`ExtentHasher`] takes the bytes as they come, in pieces of any size, and keeps 32 bytes for
//!   each chunk: 1/2048 of the extent.
//! - [`ChunkDigests`] are bound to an extent once their root has been compared with its digest;
//!   then any range of the extent that consists of whole chunks is checked against them.
//!
//! What it does *not* do: read extents, or keep the digests of their chunks anywhere.

use std::ops::Range;

use crate::{
    digest::{Digest, chunk, chunk_hasher},
    merkle,
};

/// Bytes of a chunk (rule R5).
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The tree digest over the digests of chunks.
pub(crate) fn root_of(digests: &[Digest]) -> Digest {
    match digests {
        [] => chunk(b""),
        digests => merkle::root(&mut digests.to_vec()),
    }
}

/// The digests of an extent's chunks, and how many bytes they are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkDigests {
    bytes: u64,
    digests: Vec<Digest>,
}

impl ChunkDigests {
    /// Digests that come from elsewhere; `None` unless they are those of the extent with this many
    /// bytes and this tree digest.
    pub(crate) fn bind(digests: Vec<Digest>, bytes: u64, root: &Digest) -> Option<Self> {
        let digests = Self { bytes, digests };
        let expected = bytes.div_ceil(CHUNK_BYTES as u64);
        (digests.digests.len() as u64 == expected && digests.root() == *root).then_some(digests)
    }

    /// Bytes of the extent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of each chunk.
    pub(crate) fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// The tree digest of the extent.
    pub(crate) fn root(&self) -> Digest {
        root_of(&self.digests)
    }

    /// The whole chunks that hold the range, as a range of bytes: what has to be read to check it.
    /// The part of the range behind the extent is left out.
    pub(crate) fn whole_chunks(&self, range: Range<u64>) -> Range<u64> {
        let chunk_bytes = CHUNK_BYTES as u64;
        let end = range.end.min(self.bytes);
        if range.start >= end {
            return 0..0;
        }
        let whole_end = end.div_ceil(chunk_bytes).saturating_mul(chunk_bytes);
        range.start / chunk_bytes * chunk_bytes..whole_end.min(self.bytes)
    }

    /// Checks bytes that were read from `start` on; they are whole chunks. An error is the offset
    /// in the extent of the first chunk that is not what it was.
    ///
    /// # Panics
    /// When the bytes are not whole chunks of the extent, as [`ChunkDigests::whole_chunks`] gives.
    pub(crate) fn verify(&self, start: u64, bytes: &[u8]) -> Result<(), u64> {
        let end = start + bytes.len() as u64;
        assert_eq!(self.whole_chunks(start..end), if bytes.is_empty() { 0..0 } else { start..end });
        let first = start / CHUNK_BYTES as u64;
        for (index, bytes) in (first..).zip(bytes.chunks(CHUNK_BYTES)) {
            if chunk(bytes) != self.digests[index as usize] {
                return Err(index * CHUNK_BYTES as u64);
            }
        }
        Ok(())
    }
}

/// Computes the digests of an extent's chunks from its bytes, in order and in pieces of any size.
#[derive(Debug)]
pub(crate) struct ExtentHasher {
    digests: Vec<Digest>,
    /// Of the chunk that is not whole yet.
    partial: blake3::Hasher,
    partial_bytes: usize,
}

impl ExtentHasher {
    pub(crate) fn new() -> Self {
        Self { digests: Vec::new(), partial: chunk_hasher(), partial_bytes: 0 }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.digests.len() as u64 * CHUNK_BYTES as u64 + self.partial_bytes as u64
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let piece = bytes.len().min(CHUNK_BYTES - self.partial_bytes);
            let (head, rest) = bytes.split_at(piece);
            bytes = rest;
            if head.len() == CHUNK_BYTES {
                self.digests.push(chunk(head));
                continue;
            }
            self.partial.update(head);
            self.partial_bytes += head.len();
            if self.partial_bytes == CHUNK_BYTES {
                self.end_partial();
            }
        }
    }

    /// The digests of everything that was taken.
    pub(crate) fn finish(mut self) -> ChunkDigests {
        let bytes = self.bytes();
        if self.partial_bytes > 0 {
            self.end_partial();
        }
        ChunkDigests { bytes, digests: self.digests }
    }

    fn end_partial(&mut self) {
        self.digests.push(Digest(*self.partial.finalize().as_bytes()));
        self.partial.reset();
        self.partial_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::node;

    fn content(bytes: usize) -> Vec<u8> {
        let mut all = vec![0; bytes];
        blake3::Hasher::new().update(b"extent").finalize_xof().fill(&mut all);
        all
    }

    fn digests(bytes: &[u8]) -> ChunkDigests {
        let mut hasher = ExtentHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn the_tree_digest_is_that_of_its_definition() {
        assert_eq!(digests(b"").root(), chunk(b""));
        assert_eq!(digests(b"short").root(), chunk(b"short"));
        let bytes = content(2 * CHUNK_BYTES + 1);
        let [a, b, c] = [
            &bytes[..CHUNK_BYTES],
            &bytes[CHUNK_BYTES..2 * CHUNK_BYTES],
            &bytes[2 * CHUNK_BYTES..],
        ];
        assert_eq!(digests(&bytes).root(), node(&node(&chunk(a), &chunk(b)), &chunk(c)));
        assert_eq!(digests(&bytes[..2 * CHUNK_BYTES]).root(), node(&chunk(a), &chunk(b)));
    }

    #[test]
    fn digests_of_another_extent_or_length_are_not_bound() {
        let bytes = content(2 * CHUNK_BYTES + 1);
        let all = digests(&bytes);
        let (root, digests) = (all.root(), all.digests().to_vec());
        assert_eq!(ChunkDigests::bind(digests.clone(), all.bytes(), &root), Some(all.clone()));
        assert_eq!(ChunkDigests::bind(digests.clone(), all.bytes() - 1, &root), None);
        assert_eq!(ChunkDigests::bind(digests[..2].to_vec(), all.bytes(), &root), None);
        assert_eq!(ChunkDigests::bind(vec![root], 1, &digests[0]), None);
        assert_eq!(ChunkDigests::bind(Vec::new(), u64::MAX, &chunk(b"")), None);
        let mut swapped = digests;
        swapped.swap(0, 1);
        assert_eq!(ChunkDigests::bind(swapped, all.bytes(), &root), None);
    }

    #[test]
    fn a_range_is_read_as_whole_chunks_and_every_flipped_chunk_is_found() {
        let bytes = content(3 * CHUNK_BYTES + 100);
        let all = digests(&bytes);
        let size = CHUNK_BYTES as u64;
        assert_eq!(all.whole_chunks(5..6), 0..size);
        assert_eq!(all.whole_chunks(size - 1..size + 1), 0..2 * size);
        assert_eq!(all.whole_chunks(size..2 * size), size..2 * size);
        assert_eq!(all.whole_chunks(3 * size + 1..u64::MAX), 3 * size..3 * size + 100);
        assert_eq!(all.whole_chunks(7..7), 0..0);
        assert_eq!(all.whole_chunks(u64::MAX - 1..u64::MAX), 0..0);
        for first in 0..4 {
            for end in first + 1..=4 {
                let range = first * CHUNK_BYTES..(end * CHUNK_BYTES).min(bytes.len());
                let mut part = bytes[range.clone()].to_vec();
                assert_eq!(all.verify(range.start as u64, &part), Ok(()));
                let last = part.len() - 1;
                part[last] ^= 1;
                let bad = ((end - 1) * CHUNK_BYTES) as u64;
                assert_eq!(all.verify(range.start as u64, &part), Err(bad));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_pieces_give_the_same_digests(
            length in 0..4 * CHUNK_BYTES,
            cuts in prop::collection::vec(0..4 * CHUNK_BYTES, 0..12),
        ) {
            let bytes = content(length);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(length)).collect();
            cuts.sort();
            let mut hasher = ExtentHasher::new();
            let mut at = 0;
            for cut in cuts.into_iter().chain([length]) {
                hasher.update(&bytes[at..cut]);
                at = cut;
                prop_assert_eq!(hasher.bytes(), at as u64);
            }
            let expected: Vec<_> = bytes.chunks(CHUNK_BYTES).map(chunk).collect();
            let digests = hasher.finish();
            prop_assert_eq!(digests.digests(), &expected[..]);
            prop_assert_eq!(digests.bytes(), length as u64);
        }
    }
}
