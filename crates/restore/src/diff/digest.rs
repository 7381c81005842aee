//! Accounts as digests, and where those lie that differ.

use std::{
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
};

use icecore_types::{AccountRef, Pubkey};

use crate::{
    Error, LiveAccounts, Progress,
    pass::batch::Place,
    spill::{
        SpillError,
        item::Item,
        sorted::{Sorted, SortedReader},
        sorter::Sorter,
    },
};

/// An account in 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest {
    key: [u8; 16],
    content: [u8; 16],
    place: Place,
}

impl Item for Digest {
    const BYTES: usize = 40;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..16].copy_from_slice(&self.key);
        bytes[16..32].copy_from_slice(&self.content);
        self.place.write(&mut bytes[32..]);
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk().expect("40 bytes");
        Self { key: array(0), content: array(16), place: Place::read(&bytes[32..]) }
    }
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

    fn of_key(&self, pubkey: &Pubkey) -> [u8; 16] {
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

    /// Of all accounts of a side.
    pub(super) fn all(
        &self,
        accounts: &mut LiveAccounts,
        mut sorter: Sorter<Digest>,
        progress: &Progress,
    ) -> Result<Sorted<Digest>, Error> {
        accounts.try_for_each(progress, |live| {
            let (key, content) = (self.of_key(live.account.pubkey), self.of_content(&live.account));
            sorter.push(Digest { key, content, place: live.place })?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sorter.finish()?)
    }
}

/// Gives the places of accounts that differ: on the side before, on the side after. A side holds a
/// key once.
pub(super) fn merge(
    before: &mut SortedReader<Digest>,
    after: &mut SortedReader<Digest>,
    mut differs: impl FnMut(Option<Place>, Option<Place>) -> Result<(), SpillError>,
) -> Result<(), SpillError> {
    loop {
        let key = match (before.peek(), after.peek()) {
            (None, None) => return Ok(()),
            (Some(one), None) | (None, Some(one)) => one.key,
            (Some(one), Some(other)) => one.key.min(other.key),
        };
        let [left, right] = [&mut *before, &mut *after].map(|digests| match digests.peek() {
            Some(digest) if digest.key == key => digests.next(),
            _ => Ok(None),
        });
        let (left, right) = (left?, right?);
        let content = |digest: Option<Digest>| digest.map(|digest| digest.content);
        if content(left) != content(right) {
            let place = |digest: Option<Digest>| digest.map(|digest| digest.place);
            differs(place(left), place(right))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::SpillSpace;

    fn digest(key: u8, content: u8, record: u32) -> Digest {
        let place = Place::new(false, 0, record);
        Digest { key: [key; 16], content: [content; 16], place }
    }

    fn merged(before: &[Digest], after: &[Digest], bytes_max: usize) -> Vec<[Option<u32>; 2]> {
        let space = SpillSpace::new(None);
        let mut readers = [before, after].map(|digests| {
            let mut sorter = Sorter::new(bytes_max, space.file());
            digests.iter().for_each(|digest| sorter.push(*digest).expect("pushed"));
            sorter.finish().expect("sorted").reader(bytes_max).expect("read")
        });
        let [before, after] = &mut readers;
        let mut found = Vec::new();
        let record = |place: Option<Place>| place.map(Place::record);
        merge(before, after, |before, after| {
            found.push([record(before), record(after)]);
            Ok(())
        })
        .expect("read");
        found
    }

    #[test]
    fn merging_finds_what_one_side_has_alone_or_otherwise_and_no_other_place() {
        let before = [digest(5, 1, 1), digest(2, 1, 2), digest(4, 1, 3), digest(1, 1, 4)];
        let after =
            [digest(6, 1, 5), digest(1, 1, 6), digest(2, 2, 7), digest(5, 1, 8), digest(0, 1, 9)];
        // Of 0, 2, 4, 6; in memory, and with runs of two.
        let expected = [[None, Some(9)], [Some(2), Some(7)], [Some(3), None], [None, Some(5)]];
        for bytes_max in [1 << 20, 100] {
            assert_eq!(merged(&before, &after, bytes_max), expected);
            assert!(merged(&before, &before, bytes_max).is_empty());
            assert_eq!(merged(&[], &before, bytes_max).len(), 4);
        }
    }

    #[test]
    fn a_digest_survives_its_bytes() {
        let mut bytes = [0; Digest::BYTES];
        let digest = digest(1, 2, 3);
        digest.write(&mut bytes);
        assert_eq!(Digest::read(&bytes), digest);
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
}
