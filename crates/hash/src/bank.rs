//! The bank hash: what validators vote on for a slot.
//!
//! All hashes are SHA-256 over plain concatenations, integers little-endian:
//! 1. `h = sha256(parent hash || [accounts delta hash] || signature count || last blockhash)`;
//! 2. with a lattice: `h = sha256(h || its 2,048 bytes)`, never its checksum; without one, in the
//!    one bank per epoch that includes it: `h = sha256(h || epoch accounts hash)`;
//! 3. if hard forks lie in `parent_slot < fork slot <= slot` and the sum of their counts is not
//!    zero: `h = sha256(h || the sum)`.
//!
//! Sources: formats.md section 2 and `Bank::hash_internal_state` of the reference client 4.2.2 for
//! the lattice scheme; 1.18 for the delta scheme; 2.2 and 2.3 for both at once, where the lattice
//! takes the place of the epoch accounts hash. Checked on banks of 4.2.2 and 2.3.13: the lattice
//! scheme, and the delta scheme without an epoch accounts hash. Not seen in any archive at hand:
//! both at once, and an epoch accounts hash.
//!
//! What it does *not* do: decide whether a bank includes the epoch accounts hash (the one whose
//! slot is the first at or past three quarters of its epoch did), or compute the accounts delta
//! hash, which needs the accounts that the slot wrote.

use std::fmt;

use icecore_types::{Hash, LatticeHash, Slot};
use sha2::{Digest, Sha256};

use crate::Error;

/// Which commitments to the accounts go into the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BankHashScheme {
    /// The lattice hash alone (3.0 on; 2.3 once the delta hash is removed).
    Lattice,
    /// Delta hash and lattice hash (2.2 and 2.3 between the two features).
    DeltaAndLattice,
    /// Delta hash, and the epoch accounts hash in one bank per epoch (up to 2.1).
    Delta,
}

impl fmt::Display for BankHashScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lattice => "lattice",
            Self::DeltaAndLattice => "delta-and-lattice",
            Self::Delta => "delta",
        })
    }
}

/// What goes into a bank hash. A scheme ignores the parts that it does not name.
#[derive(Debug, Clone)]
pub struct BankHashParts<'a> {
    /// The parent's bank hash.
    pub parent_hash: Hash,
    /// Signatures in the slot's transactions.
    pub signature_count: u64,
    /// The slot's blockhash, `blockhash_queue.last_hash` of the manifest.
    pub last_blockhash: Hash,
    /// The lattice hash of all accounts at the end of the slot.
    pub lattice: Option<&'a LatticeHash>,
    /// The Merkle hash of the accounts written in the slot.
    pub accounts_delta_hash: Option<Hash>,
    /// The epoch accounts hash, only for the bank that includes it.
    pub epoch_accounts_hash: Option<Hash>,
    /// All hard forks as (slot, count), in any order.
    pub hard_forks: &'a [(Slot, u64)],
    /// The parent's slot.
    pub parent_slot: Slot,
    /// The bank's slot.
    pub slot: Slot,
}

/// The bank hash of `parts` under `scheme`.
///
/// # Errors
/// [`Error::BankHashPartMissing`] when the scheme needs a lattice or a delta hash that is `None`.
pub fn bank_hash(parts: &BankHashParts<'_>, scheme: BankHashScheme) -> Result<Hash, Error> {
    let missing = |part| Error::BankHashPartMissing { scheme, part };
    let delta = || parts.accounts_delta_hash.ok_or(missing("accounts delta hash"));
    let lattice = || parts.lattice.ok_or(missing("accounts lattice hash"));

    let mut first = Sha256::new();
    first.update(parts.parent_hash.0);
    if scheme != BankHashScheme::Lattice {
        first.update(delta()?.0);
    }
    first.update(parts.signature_count.to_le_bytes());
    first.update(parts.last_blockhash.0);
    let mut hash = Hash(first.finalize().into());

    if scheme != BankHashScheme::Delta {
        hash = extended(hash, &lattice()?.to_bytes()[..]);
    } else if let Some(epoch_accounts_hash) = parts.epoch_accounts_hash {
        hash = extended(hash, &epoch_accounts_hash.0);
    }

    if let Some(count) = hard_fork_count(parts) {
        hash = extended(hash, &count.to_le_bytes());
    }
    Ok(hash)
}

/// `sha256(hash || bytes)`.
fn extended(hash: Hash, bytes: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(hash.0).chain_update(bytes).finalize().into())
}

/// The sum of the counts of the hard forks after the parent up to the bank, `None` if it is zero.
/// Counts come from the manifest, so the sum wraps, as the reference client's does, and does not
/// panic.
fn hard_fork_count(parts: &BankHashParts<'_>) -> Option<u64> {
    let count = parts
        .hard_forks
        .iter()
        .filter(|(fork_slot, _)| parts.parent_slot < *fork_slot && *fork_slot <= parts.slot)
        .fold(0u64, |sum, (_, count)| sum.wrapping_add(*count));
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(lattice: &'a LatticeHash, hard_forks: &'a [(Slot, u64)]) -> BankHashParts<'a> {
        BankHashParts {
            parent_hash: Hash([1; 32]),
            signature_count: 2,
            last_blockhash: Hash([3; 32]),
            lattice: Some(lattice),
            accounts_delta_hash: Some(Hash([4; 32])),
            epoch_accounts_hash: Some(Hash([5; 32])),
            hard_forks,
            parent_slot: 10,
            slot: 20,
        }
    }

    fn sha256(pieces: &[&[u8]]) -> Hash {
        Hash(Sha256::digest(pieces.concat()).into())
    }

    #[test]
    fn each_scheme_takes_its_parts_in_order() {
        let lattice = LatticeHash { lanes: Box::new([0x0706; 1024]) };
        let parts = parts(&lattice, &[]);
        let count = 2u64.to_le_bytes();
        let plain = sha256(&[&[1; 32], &count, &[3; 32]]);
        let with_delta = sha256(&[&[1; 32], &[4; 32], &count, &[3; 32]]);
        let lattice_bytes = [6, 7].repeat(1024);
        for (scheme, expected) in [
            (BankHashScheme::Lattice, sha256(&[&plain.0, &lattice_bytes])),
            (BankHashScheme::DeltaAndLattice, sha256(&[&with_delta.0, &lattice_bytes])),
            (BankHashScheme::Delta, sha256(&[&with_delta.0, &[5; 32]])),
        ] {
            assert_eq!(bank_hash(&parts, scheme), Ok(expected), "{scheme}");
        }
        let other_bank = BankHashParts { epoch_accounts_hash: None, ..parts };
        assert_eq!(bank_hash(&other_bank, BankHashScheme::Delta), Ok(with_delta));
    }

    #[test]
    fn hard_forks_between_parent_and_bank_are_added_up() {
        let lattice = LatticeHash::default();
        let hash =
            |forks| bank_hash(&parts(&lattice, forks), BankHashScheme::Lattice).expect("all parts");
        let plain = hash(&[]);
        let extended = |count: u64| sha256(&[&plain.0, &count.to_le_bytes()]);
        assert_eq!(hash(&[(10, 1), (21, 1)]), plain, "the parent's own and a later one");
        assert_eq!(hash(&[(11, 1)]), extended(1));
        assert_eq!(hash(&[(20, 3), (9, 50), (11, 4), (30, 5)]), extended(7));
        assert_eq!(hash(&[(15, 0)]), plain, "a sum of zero is not hashed");
        assert_eq!(hash(&[(15, u64::MAX), (16, 2)]), extended(1), "a hostile sum wraps");
    }

    #[test]
    fn a_missing_part_is_named() {
        let lattice = LatticeHash::default();
        let mut parts = parts(&lattice, &[]);
        parts.accounts_delta_hash = None;
        assert!(bank_hash(&parts, BankHashScheme::Lattice).is_ok());
        let error = bank_hash(&parts, BankHashScheme::Delta).expect_err("no delta hash");
        assert_eq!(
            error.to_string(),
            "the bank hash of the scheme delta needs the accounts delta hash, which is absent"
        );
        parts.lattice = None;
        bank_hash(&parts, BankHashScheme::Lattice).expect_err("no lattice");
    }
}
