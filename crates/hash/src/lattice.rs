//! The lattice hash of many accounts, side by side in SIMD lanes.
//!
//! An account's lattice hash is 2,048 bytes of BLAKE3's extendable output over
//! `lamports || data || executable || owner || address` (73 bytes and the data, integers
//! little-endian), read as 1,024 lanes of `u16`. Accounts are summed, so only the sum is wanted.
//!
//! BLAKE3 cuts an input into chunks of 1,024 bytes, hashes each chunk's 64-byte blocks one after
//! the other into a chaining value, joins chaining values pairwise up to one root node, and
//! compresses that root node 32 times, with a counter, into 32 output blocks. Those 32 are most of
//! the work for almost all accounts, and they are the same work for every account:
//! 1. [`chunk`]: accounts of one chunk wait in queues by their number of blocks until 16 are
//!    there; then all blocks but the last are hashed in 16 lanes, and the last is their root node.
//! 2. [`tree`]: the chunks of accounts of 2 to 16 chunks wait in queues too, whole chunks in one
//!    and each account's last chunk in another; when an account's chaining values are complete
//!    they are joined to its root node.
//! 3. [`long`]: longer accounts are hashed to their root node by the `blake3` crate, which then
//!    has enough chunks of one input to fill its own lanes.
//! 4. [`roots`]: root nodes of 2 and 3 wait until there are 16.
//! 5. [`wide`] over [`compress`]: 16 root nodes in 16 lanes are compressed 32 times, and the output words are added
//!    to 16 accumulators, lane for lane. No output is transposed.
//! 6. At the end what waits is drained (the chunks of step 1 join step 4, so that at most one
//!    group of root nodes has empty lanes) and the accumulators are added up.
//!
//! Invariant: the result does not depend on the kernel, the order, or how accounts are split over
//! calls. Memory: 300 KiB per [`LatticeSum`], none per account.
//!
//! Sources: formats.md section 2; the BLAKE3 specification (2020), sections 2.1 to 2.6.
//!
//! What it does *not* do: decide which versions count. Who adds an account twice counts it twice;
//! what should not count is summed apart and mixed out.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod chunk;
mod compress;
mod group;
mod input;
mod kernel;
mod long;
mod portable;
mod roots;
mod sum;
mod tree;
mod vector;
mod wide;

use icecore_types::{AccountRef, Hash, LATTICE_BYTES, LatticeHash};

pub use self::{
    kernel::Kernel,
    sum::{LatticeCounters, LatticeSum},
};

/// The lattice hash of one account, through the `blake3` crate: the slow and plain definition.
///
/// A tombstone's is the identity.
pub fn account_lattice_hash(account: &AccountRef<'_>) -> LatticeHash {
    if account.is_tombstone() {
        return LatticeHash::default();
    }
    let mut bytes = [0; LATTICE_BYTES];
    blake3::Hasher::new()
        .update(&account.lamports.to_le_bytes())
        .update(account.data)
        .update(&[u8::from(account.executable)])
        .update(account.owner.as_bytes())
        .update(account.pubkey.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    LatticeHash::from_bytes(&bytes)
}

/// BLAKE3 of the 2,048 bytes: what archives since 3.0 have in their names.
pub fn lattice_checksum(hash: &LatticeHash) -> Hash {
    Hash(blake3::hash(&hash.to_bytes()[..]).into())
}
