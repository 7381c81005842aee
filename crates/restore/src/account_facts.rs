//! What the cross-checks need of account records, kept while they stream by: digests of stake
//! delegations and vote accounts, and the sysvars.
//!
//! Nothing is judged here; a version that turns out not to be the newest is left aside later, by
//! its place.

use std::collections::HashMap;

use icecore_programs::{stake, vote};
use icecore_types::{AccountRef, Hash, Pubkey, Slot, Wire, programs};

use crate::pass::batch::{Place, Span};

/// Where a fact was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) offset: u64,
}

/// A version of a stake account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StakeFact {
    pub(crate) key: Pubkey,
    pub(crate) spot: Spot,
    /// Digest of its delegation, `None` if it has none.
    pub(crate) delegation: Option<Hash>,
}

/// A version of a vote account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VoteFact {
    pub(crate) key: Pubkey,
    pub(crate) spot: Spot,
    /// Digest of the whole account.
    pub(crate) account: Hash,
    /// Whether it holds a vote state that names a node.
    pub(crate) initialized: bool,
}

/// A version of a sysvar account.
#[derive(Debug, Clone)]
pub(crate) struct SysvarFact {
    pub(crate) slot: Slot,
    pub(crate) spot: Spot,
    pub(crate) data: Vec<u8>,
}

/// Sysvars that the checks read.
const SYSVARS: [Pubkey; 8] = [
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
    fn offer(&mut self, key: &Pubkey, slot: Slot, spot: Spot, data: &[u8]) {
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

/// What one worker kept.
#[derive(Debug, Default)]
pub(crate) struct AccountFacts {
    pub(crate) stakes: Vec<StakeFact>,
    pub(crate) votes: Vec<VoteFact>,
    /// Of all storages.
    pub(crate) sysvars: Sysvars,
    /// Of the storages that the incremental archive does not replace.
    pub(crate) sysvars_kept: Sysvars,
}

impl AccountFacts {
    /// Keeps what is needed of one record.
    pub(crate) fn look(&mut self, account: &AccountRef<'_>, span: &Span, replaced: bool) {
        let spot = Spot { place: span.place, offset: span.offset };
        let key = *account.pubkey;
        if *account.owner == programs::STAKE {
            let delegation =
                stake::delegation(account.data).map(|delegation| digest_of_wire(&delegation));
            self.stakes.push(StakeFact { key, spot, delegation });
        } else if *account.owner == programs::VOTE {
            let initialized = vote::node_of(account.data).is_some();
            let account = digest_of_account(account);
            self.votes.push(VoteFact { key, spot, account, initialized });
        } else if *account.owner == programs::SYSVAR && SYSVARS.contains(&key) {
            self.sysvars.offer(&key, span.slot, spot, account.data);
            if !replaced {
                self.sysvars_kept.offer(&key, span.slot, spot, account.data);
            }
        }
    }

    pub(crate) fn merge(&mut self, mut other: Self) {
        self.stakes.append(&mut other.stakes);
        self.votes.append(&mut other.votes);
        self.sysvars.merge(&other.sysvars);
        self.sysvars_kept.merge(&other.sysvars_kept);
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
