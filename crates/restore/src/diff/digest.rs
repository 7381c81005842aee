//! Accounts as digests, and those accounts again whose digests differ.

use std::{
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
};

use icecore_types::{AccountRef, Pubkey};

use super::{DIGEST_BYTES_PER_ACCOUNT, Row, account::AccountState};
use crate::{Error, LiveAccounts, Progress};

/// The memory that may be used.
pub(super) struct Budget {
    pub(super) bytes_max: u64,
}

impl Budget {
    pub(super) fn check(&self, records: u64, bytes_each: u64) -> Result<u64, Error> {
        let needed = records.saturating_mul(bytes_each);
        match needed > self.bytes_max {
            true => Err(Error::Memory { records, needed, limit: self.bytes_max }),
            false => Ok(needed),
        }
    }

    pub(super) fn without(&self, bytes: u64) -> Self {
        Self { bytes_max: self.bytes_max.saturating_sub(bytes) }
    }
}

pub(super) type KeyDigest = [u8; 16];

/// An account in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest {
    pub(super) key: KeyDigest,
    content: [u8; 16],
}

/// Digests with a key that nobody knows.
pub(super) struct Digester {
    key: [u8; blake3::KEY_LEN],
}

impl Digester {
    pub(super) fn new() -> Self {
        // The system draws what a `RandomState` is keyed with: 128 bits that are never shown.
        let state = RandomState::new();
        let mut key = [0; blake3::KEY_LEN];
        for (number, bytes) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = state.hash_one(number).to_le_bytes();
        }
        Self { key }
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes().first_chunk().expect("a hash is 32 bytes")
    }

    fn of_key(&self, pubkey: &Pubkey) -> KeyDigest {
        self.digest(&[pubkey.as_bytes()])
    }

    /// Fixed fields first, so that no two contents give the same bytes.
    fn of_content(&self, account: &AccountRef<'_>) -> [u8; 16] {
        self.digest(&[
            &account.lamports.to_le_bytes(),
            account.owner.as_bytes(),
            &[u8::from(account.executable)],
            &account.rent_epoch.to_le_bytes(),
            account.data,
        ])
    }

    /// Of all accounts of a side; `count` is how many there should be.
    pub(super) fn all(
        &self,
        accounts: &mut LiveAccounts,
        count: u64,
        budget: &Budget,
        progress: &Progress,
    ) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut failure = None;
        accounts.for_each(progress, |live| {
            let account = &live.account;
            if digests.len() == digests.capacity()
                && let Err(error) = budget.check(digests.len() as u64 * 2, DIGEST_BYTES_PER_ACCOUNT)
            {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            let key = self.of_key(account.pubkey);
            digests.push(Digest { key, content: self.of_content(account) });
            ControlFlow::Continue(())
        })?;
        match failure {
            Some(error) => Err(error),
            None => Ok(digests),
        }
    }

    /// The wanted accounts of a side, by address.
    pub(super) fn rows(
        &self,
        accounts: &mut LiveAccounts,
        wanted: &[KeyDigest],
        progress: &Progress,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        accounts.for_each(progress, |live| {
            let account = &live.account;
            if wanted.binary_search(&self.of_key(account.pubkey)).is_ok() {
                let state = AccountState {
                    lamports: account.lamports,
                    owner: *account.owner,
                    executable: account.executable,
                    rent_epoch: account.rent_epoch,
                    slot: live.slot,
                    data_len: account.data.len() as u64,
                    data_blake3: blake3::hash(account.data),
                };
                rows.push((*account.pubkey, state));
            }
            ControlFlow::Continue(())
        })?;
        rows.sort_unstable_by_key(|(pubkey, _)| *pubkey);
        Ok(rows)
    }
}

/// The keys of the accounts that differ, and how many rows they have on both sides together. Both
/// lists are sorted; a side holds a key once.
pub(super) fn merge(before: &[Digest], after: &[Digest]) -> (Vec<KeyDigest>, u64) {
    let mut wanted = Vec::new();
    let mut rows = 0;
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let key = match (before.peek(), after.peek()) {
            (None, None) => return (wanted, rows),
            (Some(one), None) | (None, Some(one)) => one.key,
            (Some(one), Some(other)) => one.key.min(other.key),
        };
        let left = before.next_if(|digest| digest.key == key);
        let right = after.next_if(|digest| digest.key == key);
        if left != right {
            wanted.push(key);
            rows += u64::from(left.is_some()) + u64::from(right.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: u8, content: u8) -> Digest {
        Digest { key: [key; 16], content: [content; 16] }
    }

    #[test]
    fn merging_finds_what_one_side_has_alone_or_otherwise() {
        let before = [digest(1, 1), digest(2, 1), digest(4, 1), digest(5, 1)];
        let after = [digest(0, 1), digest(1, 1), digest(2, 2), digest(5, 1), digest(6, 1)];
        let (wanted, rows) = merge(&before, &after);
        assert_eq!(wanted.iter().map(|key| key[0]).collect::<Vec<_>>(), [0, 2, 4, 6]);
        assert_eq!(rows, 5);
        assert_eq!(merge(&before, &before), (Vec::new(), 0));
        assert_eq!(merge(&[], &before).1, 4);
    }

    #[test]
    fn every_field_counts_and_digests_of_two_runs_differ() {
        let (pubkey, owner, other) = (Pubkey([1; 32]), Pubkey([2; 32]), Pubkey([3; 32]));
        let account = AccountRef {
            pubkey: &pubkey,
            lamports: 5,
            owner: &owner,
            executable: false,
            rent_epoch: 7,
            data: &[1, 2, 3],
        };
        let digester = Digester::new();
        let content = digester.of_content(&account);
        for changed in [
            AccountRef { lamports: 6, ..account },
            AccountRef { owner: &other, ..account },
            AccountRef { executable: true, ..account },
            AccountRef { rent_epoch: 8, ..account },
            AccountRef { data: &[1, 2, 3, 0], ..account },
            AccountRef { data: &[1, 2, 4], ..account },
        ] {
            assert_ne!(digester.of_content(&changed), content, "{changed:?}");
        }
        assert_eq!(digester.of_content(&AccountRef { pubkey: &other, ..account }), content);
        assert_ne!(digester.of_key(&other), digester.of_key(&pubkey));
        assert_ne!(Digester::new().of_key(&pubkey), digester.of_key(&pubkey));
    }

    #[test]
    fn memory_is_refused_before_it_is_taken() {
        let budget = Budget { bytes_max: 100 };
        assert_eq!(budget.check(3, 32).expect("96 bytes"), 96);
        assert!(budget.check(4, 32).is_err());
        assert!(budget.check(u64::MAX, 32).is_err());
        assert!(budget.without(50).check(2, 32).is_err());
    }
}
