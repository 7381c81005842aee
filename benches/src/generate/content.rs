//! What an account version holds: a pure function of the seed, the account's number and the
//! version's number, so that nothing is kept of what was written and everything can be made again.
//!
//! Invariants:
//! - No two accounts have the same address.
//! - Stake and vote accounts that the manifest caches have, in all versions from
//!   [`NEWEST`](super::layer::NEWEST) on, the content that it caches.
//!
//! Data is made to compress as real archives do, about four to one: random bytes among bytes of a
//! common pool.

use icecore_programs::stake::{Authorized, Lockup, Meta};
use icecore_types::{Account, AccountRef, Bits64, Delegation, Pubkey, Stake, Wire, programs};

use super::{
    layer::{HOT, NEWEST, Version},
    random::{Random, mix},
    sizes::{self, TOKEN_ACCOUNT_BYTES},
};

/// How addresses are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Keys {
    /// Evenly.
    Uniform,
    /// All share their first 24 bytes.
    Prefix,
    /// Evenly, and one stands in every storage.
    Same,
}

/// Stake and vote accounts that the manifest caches: so many, and at every so many accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cached {
    pub(super) votes: u64,
    pub(super) delegations: u64,
}

impl Cached {
    pub(super) fn is_empty(&self) -> bool {
        self.votes + self.delegations == 0
    }

    /// Lamports delegated to a vote account.
    pub(super) fn stake_of(&self, vote: u64) -> u64 {
        (self.delegations / self.votes + u64::from(vote < self.delegations % self.votes))
            * DELEGATION_LAMPORTS
    }
}

/// Lamports of every delegation.
const DELEGATION_LAMPORTS: u64 = 2_000_000_000;

/// Bytes of a stake account's data (`StakeStateV2::size_of` of the reference client 4.2.2).
const STAKE_BYTES: usize = 200;

/// Lamports that exempt a byte of data from rent: two years at the default price of 3,480.
const RENT_EXEMPT_PER_BYTE: u64 = 6_960;

/// Lamports that exempt an account without data, which counts as 128 bytes.
const RENT_EXEMPT_FIXED: u64 = 128 * RENT_EXEMPT_PER_BYTE;

/// Programs that own what is neither a wallet nor a token account.
const PROGRAMS: u64 = 60;

/// Mints of token accounts.
const MINTS: u64 = 500;

/// Bytes from which data that compresses is taken.
const POOL_BYTES: usize = 1 << 12;

/// Bytes of data that are made at once.
const PIECE_BYTES: usize = 64;

/// The first bytes of each piece are random, the others from the pool.
const RANDOM_BYTES: usize = 10;

/// What a generator is for, so that no two follow the same numbers.
const OF_KEY: u64 = 1;
const OF_OWNER: u64 = 2;
const OF_NODE: u64 = 3;
const OF_CONTENT: u64 = 4;

/// An account version, whose memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) pubkey: Pubkey,
    pub(super) account: Account,
}

impl Draft {
    pub(super) fn borrowed(&self) -> AccountRef<'_> {
        self.account.borrowed(&self.pubkey)
    }
}

enum Class {
    Plain,
    Stake(u64),
    Vote(u64),
}

/// Makes account versions.
pub(super) struct Content {
    seed: u64,
    keys: Keys,
    accounts: u64,
    cached: Cached,
    pool: Vec<u8>,
    /// Of an initialized vote account; each gets a node of its own.
    vote_data: Vec<u8>,
    warmup_cooldown_rate: Bits64,
}

impl Content {
    /// For `accounts` in the full archive, of which `cached` are in the manifest.
    pub(super) fn new(
        (seed, keys): (u64, Keys),
        accounts: u64,
        cached: Cached,
        vote_data: Vec<u8>,
        warmup_cooldown_rate: Bits64,
    ) -> Self {
        let mut pool = vec![0; POOL_BYTES];
        Random::new([seed, 0, 0]).fill(&mut pool);
        Self { seed, keys, accounts, cached, pool, vote_data, warmup_cooldown_rate }
    }

    /// What the manifest caches.
    pub(super) fn cached(&self) -> &Cached {
        &self.cached
    }

    /// The address of an account.
    pub(super) fn key(&self, index: u64) -> Pubkey {
        let mut key = [0; 32];
        match self.keys {
            Keys::Prefix => {
                Random::new([self.seed, OF_KEY, 0]).fill(&mut key[..24]);
                key[24..].copy_from_slice(&mix(index).to_le_bytes());
            }
            Keys::Uniform | Keys::Same => {
                Random::new([self.seed, OF_KEY, index]).fill(&mut key[8..]);
                // Numbers are mixed into numbers one to one: no two keys begin alike.
                key[..8].copy_from_slice(&mix(index ^ mix(self.seed)).to_le_bytes());
            }
        }
        Pubkey(key)
    }

    /// How many accounts lie between two cached ones.
    fn cached_apart(&self) -> u64 {
        (self.accounts / (self.cached.votes + self.cached.delegations)).max(1)
    }

    fn class(&self, index: u64) -> Class {
        if self.cached.is_empty() || index >= self.accounts {
            return Class::Plain;
        }
        let (apart, Cached { votes, delegations }) = (self.cached_apart(), self.cached);
        match index / apart {
            _ if !index.is_multiple_of(apart) => Class::Plain,
            number if number < votes => Class::Vote(number),
            number if number < votes + delegations => Class::Stake(number - votes),
            _ => Class::Plain,
        }
    }

    /// Whether the manifest caches an account, so that it must not be closed.
    pub(super) fn is_cached(&self, index: u64) -> bool {
        !matches!(self.class(index), Class::Plain)
    }

    /// The address of a cached vote account.
    pub(super) fn vote_key(&self, number: u64) -> Pubkey {
        self.key(number * self.cached_apart())
    }

    /// The address of a cached stake account.
    pub(super) fn stake_key(&self, number: u64) -> Pubkey {
        self.key((self.cached.votes + number) * self.cached_apart())
    }

    /// The identity that votes with a cached vote account.
    pub(super) fn node(&self, number: u64) -> Pubkey {
        let mut node = [0; 32];
        Random::new([self.seed, OF_NODE, number]).fill(&mut node);
        Pubkey(node)
    }

    /// The delegation of a cached stake account.
    pub(super) fn delegation(&self, number: u64) -> Delegation {
        Delegation {
            voter_pubkey: self.vote_key(number % self.cached.votes),
            stake: DELEGATION_LAMPORTS,
            activation_epoch: 0,
            deactivation_epoch: u64::MAX,
            warmup_cooldown_rate: self.warmup_cooldown_rate,
        }
    }

    /// Makes a version.
    pub(super) fn write(&self, version: &Version, draft: &mut Draft) {
        let Draft { pubkey, account } = draft;
        *pubkey = self.key(version.index);
        account.data.clear();
        account.executable = false;
        account.rent_epoch = u64::MAX;
        if version.is_tombstone {
            // The reference client writes a closed account with nothing but its address.
            (account.lamports, account.owner, account.rent_epoch) = (0, Pubkey::default(), 0);
            return;
        }
        let is_older = version.number % 2 != NEWEST % 2;
        match self.class(version.index) {
            Class::Vote(number) => self.write_vote(number, is_older, account),
            Class::Stake(number) => self.write_stake(number, is_older, account),
            Class::Plain => self.write_plain(version, account),
        }
    }

    /// The cached content of a vote account; an older version has another balance.
    pub(super) fn write_vote(&self, number: u64, is_older: bool, account: &mut Account) {
        account.data.clear();
        account.data.extend_from_slice(&self.vote_data);
        // In every layout the node follows the tag.
        account.data[4..36].copy_from_slice(self.node(number).as_bytes());
        account.lamports = rent_exempt(&account.data) + u64::from(is_older);
        account.owner = programs::VOTE;
        account.executable = false;
        account.rent_epoch = u64::MAX;
    }

    /// The cached content of a stake account; an older version has another delegation.
    fn write_stake(&self, number: u64, is_older: bool, account: &mut Account) {
        let mut delegation = self.delegation(number);
        delegation.stake -= u64::from(is_older);
        let owner = self.owner(number);
        let rent_exempt_reserve = RENT_EXEMPT_FIXED + RENT_EXEMPT_PER_BYTE * STAKE_BYTES as u64;
        let meta = Meta {
            rent_exempt_reserve,
            authorized: Authorized { staker: owner, withdrawer: owner },
            lockup: Lockup { unix_timestamp: 0, epoch: 0, custodian: Pubkey::default() },
        };
        let delegated: u32 = 2;
        delegated.encode(&mut account.data);
        meta.encode(&mut account.data);
        Stake { delegation, credits_observed: number }.encode(&mut account.data);
        account.data.resize(STAKE_BYTES, 0);
        account.lamports = rent_exempt_reserve + delegation.stake;
        account.owner = programs::STAKE;
    }

    fn write_plain(&self, version: &Version, account: &mut Account) {
        let mut random = Random::new([self.seed ^ OF_CONTENT, version.index, version.number]);
        // One key in many storages would fill them all if it drew a large size.
        let bytes = if version.index == HOT { 64 } else { sizes::draw(&mut random) };
        account.owner = match bytes {
            0 => programs::SYSTEM,
            TOKEN_ACCOUNT_BYTES => programs::TOKEN,
            _ => self.owner(skewed(&mut random, PROGRAMS)),
        };
        account.executable = bytes > TOKEN_ACCOUNT_BYTES && random.happens(10_000);
        match bytes {
            TOKEN_ACCOUNT_BYTES => self.write_token(&mut random, &mut account.data),
            _ => self.write_data(bytes, &mut random, &mut account.data),
        }
        account.lamports = rent_exempt(&account.data) + random.below(1 << 20);
    }

    /// A token account: mint, owner, amount, and hardly anything else.
    fn write_token(&self, random: &mut Random, data: &mut Vec<u8>) {
        let mint = self.owner(PROGRAMS + skewed(random, MINTS));
        data.extend_from_slice(mint.as_bytes());
        data.resize(64, 0);
        random.fill(&mut data[32..64]);
        data.extend_from_slice(&random.below(1 << 32).to_le_bytes());
        data.resize(usize::try_from(TOKEN_ACCOUNT_BYTES).expect("165"), 0);
        // The state: initialized.
        data[108] = 1;
    }

    fn write_data(&self, bytes: u64, random: &mut Random, data: &mut Vec<u8>) {
        let bytes = usize::try_from(bytes).expect("10 MiB at most");
        while data.len() < bytes {
            let start = random.below((POOL_BYTES - PIECE_BYTES) as u64);
            let start = usize::try_from(start).expect("within the pool");
            let at = data.len();
            data.extend_from_slice(&self.pool[start..][..PIECE_BYTES.min(bytes - at)]);
            let random_bytes = RANDOM_BYTES.min(bytes - at);
            random.fill(&mut data[at..][..random_bytes]);
        }
    }

    /// An address that owns, mints or may withdraw.
    fn owner(&self, number: u64) -> Pubkey {
        let mut owner = [0; 32];
        Random::new([self.seed, OF_OWNER, number]).fill(&mut owner);
        Pubkey(owner)
    }
}

/// A number below `limit`, small ones more often.
fn skewed(random: &mut Random, limit: u64) -> u64 {
    let reach = random.below(limit) + 1;
    random.below(reach)
}

fn rent_exempt(data: &[u8]) -> u64 {
    RENT_EXEMPT_FIXED + RENT_EXEMPT_PER_BYTE * data.len() as u64
}
