//! Few accounts, and all hashes anew.

use std::{collections::HashSet, fs, path::Path};

use icecore_batch::{KEPT_OWNERS, Minimized, Named, WriteOptions, minimize};
use icecore_restore::{Options, Progress};
use icecore_types::{Pubkey, programs};

use crate::support::{
    self, accounts, archives_in, cores, folder, loaded, manifest, names, tiny, verify_strictly,
};

fn minimized(set: &Path, pair: bool, named: &Named, to: &Path, options: &Options) -> Minimized {
    let (full, incremental) = archives_in(set);
    let archives = (full.as_path(), incremental.as_deref().filter(|_| pair));
    let write = WriteOptions::default();
    minimize(archives, named, to, &write, options, &Progress::default()).expect("sound")
}

#[test]
fn a_minimized_archive_keeps_what_is_named_and_what_a_start_needs_and_loads() {
    for (set, pair) in [("tiny", false), ("tiny", true), ("small", true)] {
        let Some(set) = support::set(set) else { continue };
        let (full, incremental) = archives_in(&set);
        let all = accounts(&full, incremental.as_deref().filter(|_| pair));
        let wallet =
            |(_, account): &&(u64, icecore_types::Account)| account.owner == programs::SYSTEM;
        let (wallet, _) =
            all.iter().find(|(_, account)| wallet(account)).expect("somebody has lamports");
        let named = Named {
            accounts: HashSet::from([*wallet, Pubkey([9; 32])]),
            programs: HashSet::from([programs::TOKEN]),
        };
        let folder = folder();
        let made = minimized(&set, pair, &named, folder.path(), &cores(2));
        let kept: Vec<_> = all
            .into_iter()
            .filter(|(pubkey, (_, account))| {
                KEPT_OWNERS.contains(&account.owner)
                    || account.owner == programs::TOKEN
                    || pubkey == wallet_of(&named)
            })
            .collect();
        let found: Vec<_> = accounts(&made.made.path, None).into_iter().collect();
        assert!(found == kept, "{} of {} accounts", found.len(), kept.len());
        let lamports: u64 = kept.iter().map(|(_, (_, account))| account.lamports).sum();
        assert_eq!((made.capitalization, made.num_accounts), (lamports, kept.len() as u64));
        let bank = manifest(&made.made.path, made.made.slot).bank;
        assert_eq!(bank.scalars.capitalization, lamports);
        let data_bytes: u64 = kept.iter().map(|(_, (_, account))| account.data.len() as u64).sum();
        assert_eq!(bank.scalars.accounts_data_len, data_bytes);
        assert_eq!(bank.hashes.hash, made.bank_hash);
        assert_ne!(made.bank_hash, made.bank_hash_before);
        assert_eq!(names(folder.path()).len(), 1);
        verify_strictly(&made.made.path, None, &set);
        loaded(&made.made.path, None, &set, &[]);
    }
}

/// The one address of a wallet that is there.
fn wallet_of(named: &Named) -> &Pubkey {
    named.accounts.iter().find(|address| **address != Pubkey([9; 32])).expect("put there")
}

#[test]
fn a_minimization_gives_the_same_bytes_for_any_number_of_threads() {
    let named = Named::default();
    let bytes = [1, 2, 5].map(|threads| {
        let folder = folder();
        let made = minimized(&tiny(), true, &named, folder.path(), &cores(threads));
        fs::read(made.made.path).expect("just written")
    });
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
}
