//! The accounts of a state, read from the disk and hashed: the lattice hash, which must be the one that
//! the slot states, and the Merkle accounts hash, which was the network's before.
//!
//! ```text
//! read and hash ×N ──(account hashes, in the order of addresses)──> Merkle tree
//!         └── lattice sums, added at the end
//! ```
//!
//! Steps:
//! 1. Addresses are divided into parts by their first two bytes, for about [`PART_ACCOUNTS`] accounts
//!    each. Part `p` is thread `p mod N`'s.
//! 2. Each thread scans its parts in order, adds accounts to a lattice sum of its own, and gives their
//!    hashes away in chunks. It is held back when [`CHUNKS_AHEAD`] of them wait.
//! 3. The tree takes the parts in order.
//!
//! Memory is bounded by the chunks on their way, whatever addresses there are: where they share their
//! first bytes, threads wait for each other.
//!
//! The Merkle accounts hash is that of clients 2.x: every account's rent epoch is in it.

use std::{
    ops::{Bound, ControlFlow},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use icecore_hash::{AccountHashRule, Kernel, LatticeSum, account_hash, merkle_accounts_hash};
use icecore_restore::{Options, Progress, TILES_OF_A_KIND_MAX};
use icecore_store::View;
use icecore_types::{Hash, LatticeHash, Pubkey};

use crate::Error;

/// Accounts of a part, about.
const PART_ACCOUNTS: u64 = 1 << 16;

/// Parts, at most: so that the versions in memory, which each part's scan looks through, are not looked
/// through too often.
const PARTS_MAX: u32 = 1 << 10;

/// Hashes of a chunk: 128 KiB.
const CHUNK_HASHES: usize = 4096;

/// Chunks of a thread that wait for the tree, at most: about four parts.
const CHUNKS_AHEAD: usize = 64;

/// What the accounts of a state come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// The lattice hash.
    pub lattice: LatticeHash,
    /// The Merkle accounts hash.
    pub merkle: Hash,
    /// The sum of all lamports.
    pub capitalization: u64,
    /// Live accounts.
    pub num_accounts: u64,
}

/// A piece of what a thread gives to the tree.
enum Piece {
    Hashes(Vec<Hash>),
    /// A part ends.
    End,
}

/// What a thread adds up.
struct Sum {
    lattice: LatticeHash,
    lamports: u128,
    accounts: u64,
}

/// Reads and hashes all accounts of a view.
///
/// # Errors
/// When the store cannot be read, or the work was interrupted.
pub fn hash_accounts(view: &View, options: &Options, progress: &Progress) -> Result<Hashed, Error> {
    let kernel = match options.kernel {
        Some(kernel) => kernel,
        None => Kernel::chosen().map_err(icecore_restore::Error::from)?,
    };
    let threads = options.cores.clamp(1, TILES_OF_A_KIND_MAX);
    let parts = parts(view.totals()?.num_accounts, threads);
    let (sums, merkle) = thread::scope(|scope| {
        let mut given = Vec::with_capacity(threads);
        let mut workers = Vec::with_capacity(threads);
        for number in 0..threads {
            let (to_tree, from_thread) = sync_channel(CHUNKS_AHEAD);
            given.push(from_thread);
            let own = (number as u32..parts).step_by(threads);
            workers.push(scope.spawn(move || sum(view, kernel, own, parts, &to_tree, progress)));
        }
        let merkle = merkle_accounts_hash(Hashes::new(&given, parts));
        // Threads that are ahead of one that has failed end as well.
        drop(given);
        let joined = workers.into_iter().map(|worker| worker.join().expect("it does not panic"));
        (joined.collect::<Vec<_>>(), merkle)
    });
    let mut hashed =
        Hashed { lattice: LatticeHash::default(), merkle, capitalization: 0, num_accounts: 0 };
    let mut lamports = 0;
    let mut interrupted = None;
    for sum in sums {
        match sum {
            Ok(Some(sum)) => {
                hashed.lattice.mix_in(&sum.lattice);
                hashed.num_accounts += sum.accounts;
                lamports += sum.lamports;
            }
            // The tree left it, as another one has failed.
            Ok(None) => interrupted = Some(icecore_restore::Error::Interrupted.into()),
            Err(error) => return Err(error),
        }
    }
    // A sum beyond 64 bits is a state that is not sound: it differs from any that is stated.
    hashed.capitalization = u64::try_from(lamports).unwrap_or(u64::MAX);
    interrupted.map_or(Ok(hashed), Err)
}

/// How many parts: a power of two.
fn parts(accounts: u64, threads: usize) -> u32 {
    let wanted = (accounts / PART_ACCOUNTS).max(4 * threads as u64);
    let bounded = u32::try_from(wanted).unwrap_or(PARTS_MAX).min(PARTS_MAX);
    bounded.next_power_of_two()
}

/// The first address of a part; none behind the last one.
fn first_of(part: u32, parts: u32) -> Option<Pubkey> {
    let first = u16::try_from(part * ((1 << 16) / parts)).ok()?;
    let mut key = [0; 32];
    // Addresses are compared from their first byte on.
    (key[0], key[1]) = ((first >> 8) as u8, first as u8);
    Some(Pubkey(key))
}

/// Scans parts; `None`: the tree does not take any more.
fn sum(
    view: &View,
    kernel: Kernel,
    own: impl Iterator<Item = u32>,
    parts: u32,
    to_tree: &SyncSender<Piece>,
    progress: &Progress,
) -> Result<Option<Sum>, Error> {
    let mut lattice = LatticeSum::new(kernel);
    let (mut lamports, mut accounts) = (0, 0);
    for part in own {
        let from = first_of(part, parts).expect("a part begins somewhere");
        let to = first_of(part + 1, parts);
        let to = to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut chunk = Vec::with_capacity(CHUNK_HASHES);
        let mut is_left = false;
        view.scan(Bound::Included(&from), to, |visited| {
            let account = visited.account;
            lattice.add(&[account]);
            lamports += u128::from(account.lamports);
            accounts += 1;
            chunk.push(account_hash(&account, visited.written, AccountHashRule::WithRentEpoch));
            if chunk.len() == CHUNK_HASHES {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_HASHES));
                is_left = to_tree.send(Piece::Hashes(full)).is_err();
            }
            is_left |= progress.is_interrupted();
            match is_left {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let rest = [Piece::Hashes(chunk), Piece::End];
        if is_left || rest.into_iter().any(|piece| to_tree.send(piece).is_err()) {
            return Ok(None);
        }
    }
    Ok(Some(Sum { lattice: lattice.finish(), lamports, accounts }))
}

/// The hashes of all parts, in order. Ends early when a thread has.
struct Hashes<'a> {
    given: &'a [Receiver<Piece>],
    parts: u32,
    part: u32,
    chunk: std::vec::IntoIter<Hash>,
}

impl<'a> Hashes<'a> {
    fn new(given: &'a [Receiver<Piece>], parts: u32) -> Self {
        Self { given, parts, part: 0, chunk: Vec::new().into_iter() }
    }
}

impl Iterator for Hashes<'_> {
    type Item = Hash;

    fn next(&mut self) -> Option<Hash> {
        loop {
            if let Some(hash) = self.chunk.next() {
                return Some(hash);
            }
            if self.part == self.parts {
                return None;
            }
            match self.given[self.part as usize % self.given.len()].recv() {
                Ok(Piece::Hashes(hashes)) => self.chunk = hashes.into_iter(),
                Ok(Piece::End) => self.part += 1,
                Err(_) => {
                    self.part = self.parts;
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_addresses_once() {
        for (accounts, threads) in [(0, 1), (100, 2), (10_000_000, 2), (u64::MAX, 64)] {
            let parts = parts(accounts, threads);
            assert!(parts.is_power_of_two() && parts <= PARTS_MAX, "{parts}");
            assert_eq!(first_of(0, parts), Some(Pubkey([0; 32])));
            assert_eq!(first_of(parts, parts), None);
            let firsts: Vec<_> = (0..parts).map(|part| first_of(part, parts)).collect();
            assert!(firsts.is_sorted() && firsts.iter().all(Option::is_some));
        }
    }
}
