//! Archives of any size and shape that are consistent: to measure with, and to try the worst.
//!
//! 1. The bundled archives give manifest, status cache, sysvars, stakes and vote accounts; they are
//!    moved to a later slot ([`template`]), and the manifest may be made larger ([`grown`]).
//! 2. Arithmetic says which account versions stand in which storage ([`layer`]) and what they hold
//!    ([`content`]).
//! 3. A first pass over all of them gives the storages' lengths and the sums over the state; a
//!    second one makes them again and writes them ([`plan`], [`pack`]).
//!
//! Invariants:
//! - The same options give the same bytes.
//! - Memory does not depend on the number of accounts: one account, one frame, the list of
//!   storages, and the vote accounts of one epoch's stakes without their data.
//! - Slots begin after those of the bundled archives, one storage in each; everything of the
//!   template's stands in the last one.
//!
//! What it does *not* do: anything wrong. Damage is made from these by tests.

mod content;
mod grown;
mod layer;
mod pack;
mod plan;
mod random;
mod sizes;
mod state;
mod template;
#[cfg(test)]
mod tests;

use std::{io::Write, path::PathBuf};

use icecore_disk::{File, Output, Publish};
use icecore_types::{Account, Pubkey, Slot};

use self::{
    content::{Content, Keys},
    layer::Layer,
    pack::Frames,
    plan::{Made, Plan},
    state::State,
    template::Template,
};
use crate::Failure;

/// Storages that are made when none are asked for: so many accounts in each, about as on mainnet
/// (a billion in 450,000), ...
const ACCOUNTS_PER_STORAGE: u64 = 2_000;

/// ... and no more than mainnet has, ...
const STORAGES_MAX: u64 = 450_000;

/// ... but where one key stands in every storage so many that it is half of the records.
const ACCOUNTS_PER_STORAGE_OF_SAME: u64 = 2;

/// The template's genesis has 41 KB.
const GENESIS_BYTES_MAX: u64 = 1 << 20;

/// What to make.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Where the archives are put; archives of the same name are replaced
    pub(crate) folder: PathBuf,
    /// Accounts in the full archive, closed ones included, those of the template apart
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(crate) accounts: u64,
    /// Storages in the full archive [default: one for 2,000 accounts, 450,000 at most; with
    /// --keys same one for 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    pub(crate) storages: Option<u64>,
    /// Accounts with an older version in a lower slot, in percent
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    pub(crate) duplicates: f64,
    /// Accounts that are closed, in percent
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    pub(crate) tombstones: f64,
    /// Bytes to which stakes make the manifest grow, about
    #[arg(long, default_value_t = 0)]
    pub(crate) manifest_bytes: u64,
    /// Accounts of an incremental archive, in percent of those of the full one; 0 makes none
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    pub(crate) incremental: f64,
    /// How the tar stream is cut into zstd frames
    #[arg(long, value_enum, default_value = "single")]
    pub(crate) frames: Frames,
    /// How addresses are spread
    #[arg(long, value_enum, default_value = "uniform")]
    pub(crate) keys: Keys,
    /// Another number gives other accounts
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=100.0).contains(&value) { Ok(value) } else { Err("not from 0 to 100".into()) }
}

impl Arguments {
    fn storages(&self) -> u64 {
        let per_storage = match self.keys {
            Keys::Same => ACCOUNTS_PER_STORAGE_OF_SAME,
            Keys::Uniform | Keys::Prefix => ACCOUNTS_PER_STORAGE,
        };
        self.storages.unwrap_or((self.accounts / per_storage).clamp(1, STORAGES_MAX))
    }

    fn full_layer(&self, first_slot: Slot) -> Layer {
        let per_million = |percent: f64| (percent * 10_000.0) as u64;
        Layer {
            seed: self.seed,
            first_slot,
            first_id: 1,
            storages: self.storages(),
            entries: self.accounts,
            accounts_below: None,
            duplicates_per_million: per_million(self.duplicates),
            tombstones_per_million: per_million(self.tombstones),
            has_hot_key: self.keys == Keys::Same,
        }
    }

    fn incremental_layer(&self, full: &Layer) -> Option<Layer> {
        let share = |number: u64| (number as f64 * self.incremental / 100.0) as u64;
        (self.incremental > 0.0).then(|| Layer {
            first_slot: full.last_slot() + 1,
            first_id: full.first_id + full.storages,
            storages: share(full.storages).max(1),
            entries: share(self.accounts).max(1),
            accounts_below: Some(self.accounts),
            ..full.clone()
        })
    }
}

/// Makes archives and prints what they hold.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    for made in generate(arguments)? {
        println!("{}", made.name);
        println!("  tar             {} bytes, manifest {}", made.tar_bytes, made.manifest_bytes);
        println!(
            "  records         {} in {} storages, {} older versions, {} tombstones",
            made.records, made.storages, made.older_versions, made.tombstones
        );
        println!(
            "  live accounts   {}, {} bytes of data",
            made.state.accounts, made.state.data_bytes
        );
    }
    Ok(())
}

/// Makes a full archive and, if asked for, an incremental one.
pub(crate) fn generate(arguments: &Arguments) -> Result<Vec<Made>, Failure> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)?;
    let (mut below, mut above) = (Template::read(false)?, Template::read(true)?);
    let full = arguments.full_layer(above.manifest.bank.scalars.slot + 1);
    let incremental = arguments.incremental_layer(&full);
    let is_grown = arguments.manifest_bytes > 0;
    below.move_to(full.last_slot(), is_grown);

    let cached = grown::plan(arguments.manifest_bytes, arguments.accounts, full.storages, &below)?;
    let delegations = &below.manifest.bank.stakes.stake_delegations;
    let (_, delegation) = delegations.first().ok_or("the template has no delegation")?;
    let content = Content::new(
        (arguments.seed, arguments.keys),
        arguments.accounts,
        cached,
        below.vote_account().account.data.clone(),
        delegation.warmup_cooldown_rate,
    );

    let state = State::default();
    let plan = Plan { layer: &full, content: &content, last: &below.accounts, below: None };
    let full_made =
        plan.make(folder, arguments.frames, below.manifest, &below.status_cache, state)?;
    let mut made = vec![full_made];
    if let Some(incremental) = incremental {
        let mut state = made[0].state.clone();
        for (pubkey, account) in &below.accounts {
            state.remove(&account.borrowed(pubkey));
        }
        above.move_to(incremental.last_slot(), is_grown);
        let last = with_closed(&below.accounts, above.accounts);
        let plan = Plan { layer: &incremental, content: &content, last: &last, below: Some(&full) };
        let frames = arguments.frames;
        made.push(plan.make(folder, frames, above.manifest, &above.status_cache, state)?);
    }
    // The reference client loads archives only beside their ledger's genesis.
    for file in ["genesis.bin", "genesis_hash"] {
        let bytes = File::open(template::folder().join(file))?.read_all(GENESIS_BYTES_MAX)?;
        let mut output = Output::create(folder.join(file))?;
        output.write_all(&bytes)?;
        output.publish(Publish::Replace)?;
    }
    Ok(made)
}

/// Accounts, and a tombstone for every one that was there before.
fn with_closed(
    before: &[(Pubkey, Account)],
    now: Vec<(Pubkey, Account)>,
) -> Vec<(Pubkey, Account)> {
    let gone = |key: &Pubkey| now.binary_search_by_key(key, |(key, _)| *key).is_err();
    let closed: Vec<_> = before
        .iter()
        .filter(|(key, _)| gone(key))
        .map(|(key, _)| (*key, Account::default()))
        .collect();
    now.into_iter().chain(closed).collect()
}
