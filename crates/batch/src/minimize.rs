//! A full archive with few accounts: what a validator needs to start from it, and what is named.
//!
//! Steps:
//! 1. The archives are verified; bad ones are refused.
//! 2. Kept are the accounts of [`KEPT_OWNERS`]: sysvars, features, stakes, votes, configuration,
//!    programs of every loader with their data; and what is named, by address or by owner.
//! 3. Capitalization, bytes of data, lattice hash and bank hash are computed anew, and so is the name.
//!
//! What comes out is sound in itself and **not the cluster's state**: no validator voted for its
//! bank hash. It is for trying transactions on parts of the real state.
//!
//! What it does *not* do: make bank hashes that are not of the lattice hash alone, as clients before
//! 3.0 did; keep what accounts that are kept refer to.

use std::{collections::HashSet, path::Path};

use icecore_archive::{
    manifest::{BankHashes, BankScalars},
    writing::manifest::ManifestEdit,
};
use icecore_hash::{BankHashParts, BankHashScheme, bank_hash, lattice_checksum};
use icecore_restore::{Hashing, Options, Pair, Progress, tallied_accounts};
use icecore_types::{AccountRef, Hash, LatticeHash, Pubkey, programs};

use crate::{
    Error, WriteOptions,
    bank_members::{BankMembers, Stated},
    merge::with_epoch,
    plan::Plan,
    state::FullArchive,
    target::{Made, make_folder},
};

/// Owners whose accounts are always kept.
pub const KEPT_OWNERS: [Pubkey; 10] = [
    programs::SYSVAR,
    programs::FEATURE,
    programs::STAKE,
    programs::VOTE,
    programs::CONFIG,
    programs::NATIVE_LOADER,
    programs::BPF_LOADER_DEPRECATED,
    programs::BPF_LOADER,
    programs::BPF_LOADER_UPGRADEABLE,
    programs::LOADER_V4,
];

/// What is kept besides the accounts of [`KEPT_OWNERS`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Accounts by their address.
    pub accounts: HashSet<Pubkey>,
    /// Programs, all of whose accounts are kept.
    pub programs: HashSet<Pubkey>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimized {
    /// The new archive.
    pub made: Made,
    /// Its bank hash, which is not the cluster's.
    pub bank_hash: Hash,
    /// The bank hash of the state that it was made of.
    pub bank_hash_before: Hash,
    /// The sum of the lamports that were kept.
    pub capitalization: u64,
    /// The sum before.
    pub capitalization_before: u64,
    /// Live accounts that were kept.
    pub num_accounts: u64,
}

/// Minimizes a full archive or a pair into `folder`.
///
/// # Errors
/// When the archives are bad, there is such a file already, or the operating system refuses; then
/// nothing is left behind.
pub fn minimize(
    (full, incremental): (&Path, Option<&Path>),
    named: &Named,
    folder: &Path,
    write: &WriteOptions,
    options: &Options,
    progress: &Progress,
) -> Result<Minimized, Error> {
    let pair = Pair::files(full, incremental)?;
    let bank_of = pair.incremental.as_ref().unwrap_or(&pair.full).label().to_string();
    make_folder(folder)?;
    let keep = |account: &AccountRef<'_>| {
        KEPT_OWNERS.contains(account.owner)
            || named.accounts.contains(account.pubkey)
            || named.programs.contains(account.owner)
    };
    let (mut live, tallies) =
        tallied_accounts(pair, options.clone(), &keep, Hashing::Recomputed, progress)?;
    let scratch = options.scratch.as_deref().unwrap_or(folder);
    let bank = BankMembers::read(incremental.unwrap_or(full), scratch, options, progress)?;
    let stated = &bank.stated;
    if hash_with(stated, &stated.lattice) != stated.hashes.hash {
        return Err(Error::NotOfLatticeAlone { archive: bank_of });
    }
    let totals = &tallies.totals;
    let lattice = &totals.lattice;
    let capitalization = u64::try_from(totals.lamports).expect("a part of what was verified");
    let bank_hash = hash_with(stated, lattice);
    let plan = Plan::new(&tallies, write.pack, &bank_of)?;
    let storages = plan.list();
    let lattice_bytes = lattice.to_bytes();
    let edit = ManifestEdit {
        storages: Some(&storages),
        hashes: Some(BankHashes { hash: bank_hash, ..stated.hashes }),
        scalars: Some(Box::new(BankScalars {
            capitalization,
            // What the reference client comes to when it loads the archive.
            accounts_data_len: totals.data_bytes,
            ..*with_epoch(&stated.scalars)
        })),
        incremental_snapshot_persistence: stated.persistence.map(|_| None),
        accounts_lattice_hash: Some(&lattice_bytes),
        ..ManifestEdit::default()
    };
    let archive = FullArchive {
        bank_of: &bank_of,
        bank: &bank,
        plan: &plan,
        edit,
        keep: &keep,
        hash: lattice_checksum(lattice),
    };
    Ok(Minimized {
        made: archive.make(&mut live, folder, write, options, progress)?,
        bank_hash,
        bank_hash_before: stated.hashes.hash,
        capitalization,
        capitalization_before: stated.scalars.capitalization,
        num_accounts: totals.accounts,
    })
}

/// The bank hash with this lattice hash.
fn hash_with(stated: &Stated, lattice: &LatticeHash) -> Hash {
    let parts = BankHashParts {
        parent_hash: stated.hashes.parent_hash,
        signature_count: stated.scalars.signature_count,
        last_blockhash: stated.last_blockhash.unwrap_or_default(),
        lattice: Some(lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &stated.hard_forks,
        parent_slot: stated.hashes.parent_slot,
        slot: stated.scalars.slot,
    };
    bank_hash(&parts, BankHashScheme::Lattice).expect("the lattice is all that this scheme needs")
}
