//! What the cross-checks need of account records, kept while they stream by: digests of stake
//! delegations and vote accounts, and the sysvars.
//!
//! 1. Each worker sorts its [`Fact`]s of stake and vote accounts by place, within a bound of memory
//!    (anybody can make such accounts; mainnet has 1.2 million).
//! 2. Once it is known which versions count, those that do are sorted by key ([`ByKey`]), to be
//!    held against what the manifest caches.
//!
//! Sysvars are few, and their newest versions stay in memory.
//!
//! Nothing is judged here; a version that turns out not to be the newest is left aside later, by
//! its place.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use icecore_programs::{stake, vote};
use icecore_types::{AccountRef, Hash, Pubkey, Slot, Wire, programs};

use crate::{
    pass::batch::{Place, Span},
    spill::{
        SpillError, SpillFile,
        item::{Item, read_u64},
        sorted::{Sorted, SortedReader},
        sorter::Sorter,
    },
};

/// Where a fact was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) offset: u64,
}

/// What is kept of a version of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// A stake account: digest of its delegation, `None` if it has none.
    Stake(Option<Hash>),
    /// A vote account.
    Vote {
        /// Digest of the whole account.
        account: Hash,
        /// Whether it holds a vote state that names a node.
        initialized: bool,
    },
}

impl Content {
    /// What is kept of an account: nothing, unless it is a stake or vote account.
    pub(crate) fn of(account: &AccountRef<'_>) -> Option<Self> {
        if *account.owner == programs::STAKE {
            let delegation = stake::delegation(account.data);
            Some(Self::Stake(delegation.map(|delegation| digest_of_wire(&delegation))))
        } else if *account.owner == programs::VOTE {
            let initialized = vote::node_of(account.data).is_some();
            Some(Self::Vote { account: digest_of_account(account), initialized })
        } else {
            None
        }
    }
}

/// A version of a stake or vote account; ordered by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fact {
    pub(crate) spot: Spot,
    pub(crate) key: Pubkey,
    pub(crate) content: Content,
}

/// What [`Content`] a fact has, in a file.
mod tag {
    pub(super) const STAKE: u8 = 0;
    pub(super) const DELEGATED: u8 = 1;
    pub(super) const VOTE: u8 = 2;
    pub(super) const VOTE_OF_NODE: u8 = 3;
}

impl Item for Fact {
    /// Place, offset, key, tag, digest.
    const BYTES: usize = 8 + 8 + 32 + 1 + 32;

    fn write(&self, bytes: &mut [u8]) {
        let Self { spot, key, content } = self;
        let (tag, digest) = match *content {
            Content::Stake(None) => (tag::STAKE, Hash::default()),
            Content::Stake(Some(digest)) => (tag::DELEGATED, digest),
            Content::Vote { account, initialized: false } => (tag::VOTE, account),
            Content::Vote { account, initialized: true } => (tag::VOTE_OF_NODE, account),
        };
        spot.place.write(&mut bytes[..8]);
        bytes[8..16].copy_from_slice(&spot.offset.to_le_bytes());
        bytes[16..48].copy_from_slice(&key.0);
        bytes[48] = tag;
        bytes[49..81].copy_from_slice(&digest.0);
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk().expect("81 bytes");
        let digest = Hash(array(49));
        let content = match bytes[48] {
            tag::STAKE => Content::Stake(None),
            tag::DELEGATED => Content::Stake(Some(digest)),
            tag => Content::Vote { account: digest, initialized: tag == tag::VOTE_OF_NODE },
        };
        let spot = Spot { place: Place::read(&bytes[..8]), offset: read_u64(bytes, 8) };
        Self { spot, key: Pubkey(array(16)), content }
    }
}

/// The same, ordered by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByKey(pub(crate) Fact);

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Item for ByKey {
    const BYTES: usize = Fact::BYTES;

    fn write(&self, bytes: &mut [u8]) {
        self.0.write(bytes);
    }

    fn read(bytes: &[u8]) -> Self {
        Self(Fact::read(bytes))
    }
}

/// The versions that count, by key.
#[derive(Debug, Default)]
pub(crate) struct NewestFacts {
    list: Sorted<ByKey>,
    /// For the buffers of one who reads them.
    bytes_max: usize,
}

impl NewestFacts {
    /// Of a list that was sorted within `bytes_max`.
    pub(crate) fn new(list: Sorted<ByKey>, bytes_max: usize) -> Self {
        Self { list, bytes_max }
    }

    pub(crate) fn reader(&self) -> Result<SortedReader<ByKey>, SpillError> {
        self.list.reader(self.bytes_max)
    }
}

/// A version of a sysvar account.
#[derive(Debug, Clone)]
pub(crate) struct SysvarFact {
    pub(crate) slot: Slot,
    pub(crate) spot: Spot,
    pub(crate) data: Vec<u8>,
}

/// Sysvars that the checks read.
pub(crate) const SYSVARS: [Pubkey; 8] = [
    programs::SYSVAR_CLOCK,
    programs::SYSVAR_EPOCH_SCHEDULE,
    programs::SYSVAR_RENT,
    programs::SYSVAR_RECENT_BLOCKHASHES,
    programs::SYSVAR_SLOT_HASHES,
    programs::SYSVAR_SLOT_HISTORY,
    programs::SYSVAR_STAKE_HISTORY,
    programs::SYSVAR_LAST_RESTART_SLOT,
];

/// The newest version met of each sysvar.
#[derive(Debug, Default)]
pub(crate) struct Sysvars {
    newest: HashMap<Pubkey, SysvarFact>,
}

impl Sysvars {
    pub(crate) fn offer(&mut self, key: &Pubkey, slot: Slot, spot: Spot, data: &[u8]) {
        let older = |known: &SysvarFact| (known.slot, known.spot.place) < (slot, spot.place);
        if self.newest.get(key).is_none_or(older) {
            self.newest.insert(*key, SysvarFact { slot, spot, data: data.to_vec() });
        }
    }

    /// The newest of both, whose places are ordered.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, fact) in &other.newest {
            self.offer(key, fact.slot, fact.spot, &fact.data);
        }
    }

    pub(crate) fn get(&self, key: &Pubkey) -> Option<&SysvarFact> {
        self.newest.get(key)
    }
}

/// What one worker keeps.
pub(crate) struct AccountFacts {
    facts: Sorter<Fact>,
    /// Of all storages.
    sysvars: Sysvars,
    /// Of the storages that the incremental archive does not replace.
    sysvars_kept: Sysvars,
}

impl AccountFacts {
    /// Facts take `bytes_max`, then go to `spill`.
    pub(crate) fn new(bytes_max: usize, spill: Arc<SpillFile>) -> Self {
        let facts = Sorter::new(bytes_max, spill);
        Self { facts, sysvars: Sysvars::default(), sysvars_kept: Sysvars::default() }
    }

    /// Keeps what is needed of one record.
    pub(crate) fn look(
        &mut self,
        account: &AccountRef<'_>,
        span: &Span,
        replaced: bool,
    ) -> Result<(), SpillError> {
        let spot = Spot { place: span.place, offset: span.offset };
        let key = *account.pubkey;
        if let Some(content) = Content::of(account) {
            self.facts.push(Fact { spot, key, content })?;
        } else if *account.owner == programs::SYSVAR && SYSVARS.contains(&key) {
            self.sysvars.offer(&key, span.slot, spot, account.data);
            if !replaced {
                self.sysvars_kept.offer(&key, span.slot, spot, account.data);
            }
        }
        Ok(())
    }
}

/// What all workers kept of an archive.
#[derive(Debug, Default)]
pub(crate) struct ArchiveAccounts {
    /// By place, of each worker.
    pub(crate) facts: Vec<Sorted<Fact>>,
    /// Of all storages.
    pub(crate) sysvars: Sysvars,
    /// Of the storages that the incremental archive does not replace.
    pub(crate) sysvars_kept: Sysvars,
}

impl ArchiveAccounts {
    /// Takes over what one worker kept.
    pub(crate) fn add(&mut self, worker: AccountFacts) -> Result<(), SpillError> {
        self.facts.push(worker.facts.finish()?);
        self.sysvars.merge(&worker.sysvars);
        self.sysvars_kept.merge(&worker.sysvars_kept);
        Ok(())
    }
}

/// A digest of a value's wire bytes, to compare what the manifest caches with what accounts hold.
pub(crate) fn digest_of_wire(value: &impl Wire) -> Hash {
    let mut bytes = Vec::with_capacity(64);
    value.encode(&mut bytes);
    Hash(*blake3::hash(&bytes).as_bytes())
}

/// A digest of an account's content, its key apart.
pub(crate) fn digest_of_account(account: &AccountRef<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&account.lamports.to_le_bytes());
    hasher.update(&account.rent_epoch.to_le_bytes());
    hasher.update(account.owner.as_bytes());
    hasher.update(&[u8::from(account.executable)]);
    hasher.update(account.data);
    Hash(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_survives_its_bytes_and_is_ordered_by_place_or_by_key() {
        let spot = |record| Spot { place: Place::new(true, 3, record), offset: u64::MAX - 1 };
        let digest = Hash([9; 32]);
        let contents = [
            Content::Stake(None),
            Content::Stake(Some(digest)),
            Content::Vote { account: digest, initialized: false },
            Content::Vote { account: digest, initialized: true },
        ];
        for (number, content) in contents.into_iter().enumerate() {
            let fact = Fact { spot: spot(number as u32), key: Pubkey([7; 32]), content };
            let mut bytes = [0; Fact::BYTES];
            fact.write(&mut bytes);
            assert_eq!(Fact::read(&bytes), fact);
            assert_eq!(ByKey::read(&bytes), ByKey(fact));
        }
        let low_place = Fact { spot: spot(1), key: Pubkey([2; 32]), content: contents[0] };
        let low_key = Fact { spot: spot(2), key: Pubkey([1; 32]), content: contents[1] };
        assert!(low_place < low_key);
        assert!(ByKey(low_key) < ByKey(low_place));
    }
}
