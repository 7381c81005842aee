//! The accounts hash before the lattice: a 16-ary Merkle tree of account hashes.
//!
//! 1. Each account version is hashed by itself ([`account_hash`]).
//! 2. The hashes, in ascending order of their accounts' addresses, are the leaves. A node is
//!    `sha256` of up to 16 hashes below it; a level's last node may have fewer, even one. The tree
//!    has at least one level above the leaves, so a single leaf is hashed once more; no leaves at
//!    all give the SHA-256 of nothing.
//! 3. An archive's name is the root, or `sha256(root || epoch accounts hash)` when the manifest
//!    has one.
//!
//! A full archive's leaves are the newest versions of all accounts without the tombstones. An
//! incremental's leaves are the newest versions among its own storages (slots after the base),
//! tombstones included. The same tree over the accounts written in one slot, tombstones included as
//! 32 zero bytes, is the accounts delta hash.
//!
//! Memory: one unfinished node per level, so 16 levels hold any count.
//!
//! Measured on archives (names reproduced by these functions):
//! - 2.3.13 and the ones of 2023 and 2024 at slots 10, 25 and 78,017:
//!   [`AccountHashRule::WithRentEpoch`]. The 2.3.13 incremental has 28 tombstones among its 161
//!   leaves, and its manifest has an incremental persistence.
//! - The oldest pair, full 269 and incremental 307: an incremental whose manifest has **no**
//!   incremental persistence is named by the root over the whole state, base included. All of the
//!   state at 307 follows [`AccountHashRule::WithSlotAndRentEpoch`].
//! - At 269 itself, 151 of the 157 versions follow that rule and 6 follow
//!   [`AccountHashRule::WithRentEpoch`]: the rule was that of the version's writer, so one archive
//!   can mix rules. The reference client took the hash that stood in the record (offset 104 of its
//!   header) as the leaf, and so must who checks such archives; from 2.3 on that field is zero and
//!   the leaf is computed.
//! - The accounts delta hashes of 2.3.13 at slots 40 and 56, with tombstones as 32 zero bytes.
//!
//! Sources: formats.md section 8; `accounts_hash.rs` and `accounts_db.rs` of the reference client,
//! versions 1.14 to 2.3.
//!
//! What it does *not* do: sort, or find the newest version.

use icecore_types::{AccountRef, Hash, Slot};
use sha2::{Digest, Sha256};

/// Children of a node (`MERKLE_FANOUT` of the reference client).
const FANOUT: u32 = 16;

/// What an account hash covers besides lamports, data, executable, owner and address.
///
/// The fields are hashed in the order lamports, slot, rent epoch, data, executable, owner, address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountHashRule {
    /// Neither slot nor rent epoch: 2.x with the feature that drops the rent epoch.
    WithoutRentEpoch,
    /// The rent epoch: after the feature that drops the slot (solana-labs/solana#28420), up to 2.x.
    WithRentEpoch,
    /// The slot in which the version was written, and the rent epoch: before that feature.
    WithSlotAndRentEpoch,
}

/// The BLAKE3 hash of one account version, written in `slot`.
///
/// A tombstone's hash is BLAKE3 of its address alone, under every rule: that is the leaf it is in
/// an incremental's tree. A full archive's tree has no leaf for it.
pub fn account_hash(account: &AccountRef<'_>, slot: Slot, rule: AccountHashRule) -> Hash {
    let mut hasher = blake3::Hasher::new();
    if account.is_tombstone() {
        hasher.update(account.pubkey.as_bytes());
    } else {
        hasher.update(&account.lamports.to_le_bytes());
        if rule == AccountHashRule::WithSlotAndRentEpoch {
            hasher.update(&slot.to_le_bytes());
        }
        if rule != AccountHashRule::WithoutRentEpoch {
            hasher.update(&account.rent_epoch.to_le_bytes());
        }
        hasher
            .update(account.data)
            .update(&[u8::from(account.executable)])
            .update(account.owner.as_bytes())
            .update(account.pubkey.as_bytes());
    }
    Hash(hasher.finalize().into())
}

/// A node whose children are still coming.
#[derive(Default)]
struct Level {
    node: Sha256,
    children: u32,
    closed: u64,
}

impl Level {
    fn close(&mut self) -> Hash {
        self.children = 0;
        self.closed += 1;
        Hash(self.node.finalize_reset().into())
    }
}

/// The root over `hashes_sorted_by_pubkey`.
pub fn merkle_accounts_hash(hashes_sorted_by_pubkey: impl Iterator<Item = Hash>) -> Hash {
    let mut levels = vec![Level::default()];
    for hash in hashes_sorted_by_pubkey {
        push(&mut levels, 0, hash);
    }
    // Close the last node of every level from below; a level with just one node is the root's.
    let mut at = 0;
    loop {
        let hash = levels[at].close();
        if levels[at].closed == 1 {
            return hash;
        }
        at += 1;
        push(&mut levels, at, hash);
    }
}

/// Adds a child at level `at`. A full node is closed only when the next child arrives, so that at
/// the end every level still has its last node open.
fn push(levels: &mut Vec<Level>, mut at: usize, mut hash: Hash) {
    loop {
        if at == levels.len() {
            levels.push(Level::default());
        }
        let level = &mut levels[at];
        let full = (level.children == FANOUT).then(|| level.close());
        level.node.update(hash.0);
        level.children += 1;
        match full {
            Some(above) => hash = above,
            None => return,
        }
        at += 1;
    }
}

/// `sha256(accounts_hash || epoch_accounts_hash)`: an archive's name where the manifest has an
/// epoch accounts hash.
pub fn with_epoch_accounts_hash(accounts_hash: &Hash, epoch_accounts_hash: &Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update(accounts_hash.0)
            .chain_update(epoch_accounts_hash.0)
            .finalize()
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use icecore_types::Pubkey;
    use proptest::prelude::*;

    use super::*;

    /// The tree level by level, as it is defined.
    fn by_levels(mut hashes: Vec<Hash>) -> Hash {
        loop {
            let next: Vec<_> = hashes
                .chunks(16)
                .map(|children| {
                    let bytes: Vec<_> = children.iter().flat_map(|child| child.0).collect();
                    Hash(Sha256::digest(bytes).into())
                })
                .collect();
            match next[..] {
                [] => return Hash(Sha256::digest([]).into()),
                [root] => return root,
                _ => hashes = next,
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count as u64).map(|leaf| Hash(Sha256::digest(leaf.to_le_bytes()).into())).collect()
    }

    #[test]
    fn the_streamed_root_is_that_of_the_levels_around_every_border() {
        let borders = [16usize, 256, 4096, 65_536].map(|border| border - 2..border + 3);
        for count in (0..600).chain(borders.into_iter().flatten()) {
            let leaves = leaves(count);
            let streamed = merkle_accounts_hash(leaves.iter().copied());
            assert_eq!(streamed, by_levels(leaves), "{count} leaves");
        }
    }

    #[test]
    fn no_leaves_give_the_hash_of_nothing() {
        assert_eq!(merkle_accounts_hash([].into_iter()).0[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }

    #[test]
    fn the_epoch_accounts_hash_comes_last() {
        let [accounts, epoch] = [Hash([1; 32]), Hash([2; 32])];
        let expected = Sha256::digest([accounts.0, epoch.0].concat());
        assert_eq!(with_epoch_accounts_hash(&accounts, &epoch).0, <[u8; 32]>::from(expected));
    }

    #[test]
    fn each_rule_hashes_its_fields_in_order() {
        let [pubkey, owner] = [Pubkey([3; 32]), Pubkey([4; 32])];
        let account = AccountRef {
            pubkey: &pubkey,
            lamports: 5,
            owner: &owner,
            executable: true,
            rent_epoch: 6,
            data: b"data",
        };
        let [lamports, slot, rent_epoch] = [5u64, 7, 6].map(u64::to_le_bytes);
        let rest = [&b"data"[..], &[1], &owner.0, &pubkey.0].concat();
        for (rule, middle) in [
            (AccountHashRule::WithoutRentEpoch, vec![]),
            (AccountHashRule::WithRentEpoch, rent_epoch.to_vec()),
            (AccountHashRule::WithSlotAndRentEpoch, [slot, rent_epoch].concat()),
        ] {
            let bytes = [&lamports[..], &middle, &rest].concat();
            assert_eq!(account_hash(&account, 7, rule).0, *blake3::hash(&bytes).as_bytes());
            let tombstone = AccountRef { lamports: 0, ..account };
            let expected = blake3::hash(&pubkey.0);
            assert_eq!(account_hash(&tombstone, 7, rule).0, *expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_leaves(bytes in proptest::collection::vec(any::<[u8; 32]>(), 0..700)) {
            let leaves: Vec<_> = bytes.into_iter().map(Hash).collect();
            prop_assert_eq!(merkle_accounts_hash(leaves.iter().copied()), by_levels(leaves));
        }
    }
}
