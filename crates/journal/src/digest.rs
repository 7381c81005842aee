//! Digests: what a record, a tree node, a chunk, a frame and a store are known by.
//!
//! A digest is 32 bytes of BLAKE3 in keyed mode. There is one key for each kind of thing, so that
//! the digest of one kind is never that of another, and one key for each store's frames, so that a
//! frame of another store never verifies.
//!
//! - `leaf(bytes)`: over the bytes, padded with zeros to a multiple of 64. What is hashed states
//!   its own length, so the padding hides nothing.
//! - `node(left, right)`: over both, 64 bytes.
//! - `chunk(bytes)`: over the bytes as they are; chunks of an extent.
//! - frame: over bytes 8 to 96 of the frame's header and the root of its leaves, 120 bytes.
//! - genesis: over the word `genesis` with the frame key; what the first frame names as the one
//!   before it.
//!
//! The functions here hash one thing at a time and are the definition. [`LeafHasher`] and
//! [`parents`] hash many side by side and give the same.
//!
//! What it does *not* do: know what a record or a header says.

use std::{fmt, sync::LazyLock};

mod lanes;

pub(crate) use lanes::{LeafHasher, parents};

/// Bytes of a frame's header that its digest covers: from 8 up to 96, in
/// `docs/formats/journal/proofs.md`.
pub(crate) const COVERED_HEADER_BYTES: usize = 88;

/// Length of a BLAKE3 block, in bytes: leaves are padded to whole blocks, since those can be hashed
/// side by side.
const BLOCK_BYTES: usize = 64;

/// What the key of leaves is derived from.
const LEAF_CONTEXT: &str = "icecore journal 1 leaf";
/// What the key of tree nodes is derived from.
const NODE_CONTEXT: &str = "icecore journal 1 node";
/// What the key of an extent's chunks is derived from.
const CHUNK_CONTEXT: &str = "icecore journal 1 chunk";
/// What the key of a store's frames is derived from, together with the store's id.
const FRAME_CONTEXT: &str = "icecore journal 1 frame";

static LEAF_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key(LEAF_CONTEXT, b""));
static NODE_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key(NODE_CONTEXT, b""));
static CHUNK_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key(CHUNK_CONTEXT, b""));

/// 32 bytes that stand for what they were computed from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The root of an empty mountain range. No bytes are known that have it as their digest.
    pub const ZERO: Self = Self([0; 32]);

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// The identity of a store: 16 random bytes, chosen when it is created. A copy or a fork of a store
/// has one of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// Two lowercase digits for each byte.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn keyed(key: &[u8; 32], bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(key, bytes).as_bytes())
}

/// The digest of a leaf: of an event record from its byte 4 on, or of an annex.
pub(crate) fn leaf(bytes: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(&LEAF_KEY);
    hasher.update(bytes);
    hasher.update(&[0; BLOCK_BYTES][..bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len()]);
    Digest(*hasher.finalize().as_bytes())
}

/// The digest of a tree node over its two children.
pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&left.0);
    both[32..].copy_from_slice(&right.0);
    keyed(&NODE_KEY, &both)
}

/// The digest of one chunk of an extent, or of an empty extent.
pub(crate) fn chunk(bytes: &[u8]) -> Digest {
    keyed(&CHUNK_KEY, bytes)
}

/// For the digest of a chunk that comes in pieces.
pub(crate) fn chunk_hasher() -> blake3::Hasher {
    blake3::Hasher::new_keyed(&CHUNK_KEY)
}

/// The keys that belong to one store.
#[derive(Clone, Debug)]
pub(crate) struct StoreKeys {
    frame_key: [u8; 32],
}

impl StoreKeys {
    pub(crate) fn new(store_id: &StoreId) -> Self {
        Self { frame_key: blake3::derive_key(FRAME_CONTEXT, &store_id.0) }
    }

    /// The digest of a frame: `header_8_to_96` are those bytes of its header, `root` is the root of
    /// its leaves. The header names the frame before it, so the digests form a chain.
    pub(crate) fn frame(
        &self,
        header_8_to_96: &[u8; COVERED_HEADER_BYTES],
        root: &Digest,
    ) -> Digest {
        let mut covered = [0; COVERED_HEADER_BYTES + 32];
        covered[..COVERED_HEADER_BYTES].copy_from_slice(header_8_to_96);
        covered[COVERED_HEADER_BYTES..].copy_from_slice(&root.0);
        keyed(&self.frame_key, &covered)
    }

    /// What stands before frame 0.
    pub(crate) fn genesis(&self) -> Digest {
        keyed(&self.frame_key, b"genesis")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_hashed_as_if_padded_to_whole_blocks() {
        for length in [0_usize, 1, 63, 64, 65, 1023, 1024, 1025, 70_001] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut padded = bytes.clone();
            padded.resize(length.next_multiple_of(64), 0);
            assert_eq!(leaf(&bytes), keyed(&LEAF_KEY, &padded), "length {length}");
        }
    }

    #[test]
    fn the_same_bytes_as_leaf_node_chunk_and_frame_differ() {
        let (left, right) = (Digest([1; 32]), Digest([2; 32]));
        let both = [left.0, right.0].concat();
        let keys = StoreKeys::new(&StoreId([3; 16]));
        let mut digests =
            vec![leaf(&both), node(&left, &right), chunk(&both), keyed(&keys.frame_key, &both)];
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 4);
    }

    #[test]
    fn a_frame_of_another_store_or_with_any_other_byte_has_another_digest() {
        let keys = StoreKeys::new(&StoreId([3; 16]));
        let header = [5; COVERED_HEADER_BYTES];
        let root = leaf(b"root");
        let digest = keys.frame(&header, &root);
        let other = StoreKeys::new(&StoreId([4; 16]));
        assert_ne!(other.frame(&header, &root), digest);
        assert_ne!(other.genesis(), keys.genesis());
        assert_ne!(keys.frame(&header, &leaf(b"other")), digest);
        for at in 0..COVERED_HEADER_BYTES {
            let mut flipped = header;
            flipped[at] ^= 1;
            assert_ne!(keys.frame(&flipped, &root), digest, "byte {at}");
        }
    }

    /// The definition, in figures: a change here is a change of the format.
    #[test]
    fn digests_are_what_they_were() {
        let keys = StoreKeys::new(&StoreId([7; 16]));
        let (left, right) = (leaf(b"left"), leaf(b"right"));
        let digests = [
            left,
            node(&left, &right),
            chunk(b"left"),
            keys.frame(&[9; COVERED_HEADER_BYTES], &left),
            keys.genesis(),
        ];
        assert_eq!(
            digests.map(|digest| digest.to_string()[..16].to_string()),
            [
                "38a54f6e240f9a19",
                "e8513ba3f005b71e",
                "97ab9c38fd0a109a",
                "19e86c75d6e8db4a",
                "0644d57fcf9230a6"
            ]
        );
    }

    #[test]
    fn digests_and_store_ids_are_shown_in_hex() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        assert_eq!(format!("{:?}", Digest(bytes)), format!("ab{}", "00".repeat(31)));
        assert_eq!(StoreId([0x1f; 16]).to_string(), "1f".repeat(16));
    }
}
