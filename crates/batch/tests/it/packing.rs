//! Small storages become larger ones (decision 0039).

use std::{collections::HashSet, fs, path::Path};

use icecore_batch::{Named, PACKED_BYTES_MAX, WriteOptions, merge, minimize};
use icecore_restore::Progress;
use icecore_types::{Account, Pubkey};

use crate::support::{
    self, accounts, archives_in, cores, folder, load, manifest, member, tiny, verify_strictly,
};

fn packed() -> WriteOptions {
    WriteOptions { pack: true, ..WriteOptions::default() }
}

/// Accounts without the slots in which they were written.
fn content(full: &Path, incremental: Option<&Path>) -> Vec<(Pubkey, Account)> {
    accounts(full, incremental).into_iter().map(|(key, (_, account))| (key, account)).collect()
}

/// (slot, bytes) of the storages that the manifest lists, one for each slot, all as long as listed.
fn storages(archive: &Path, slot: u64) -> Vec<(u64, u64)> {
    let listed = manifest(archive, slot).accounts_db.storages;
    let storage = |(slot, storages): &(u64, Vec<icecore_archive::manifest::Storage>)| {
        let [storage] = &storages[..] else { panic!("one storage for slot {slot}") };
        let bytes = member(archive, &format!("accounts/{slot}.{}", storage.id)).len() as u64;
        assert_eq!(bytes, storage.accounts_current_len);
        (*slot, bytes)
    };
    listed.iter().map(storage).collect()
}

#[test]
fn a_packed_merge_is_the_same_state_in_few_storages_and_loads_in_the_reference_client() {
    for (set, truth) in [
        ("tiny", "truth-incremental-62.json"),
        ("small", "truth-incremental-297.json"),
        ("old-2.3-lattice", "truth-incremental-56.json"),
    ] {
        let Some(set) = support::set(set) else { continue };
        let (full, incremental) = archives_in(&set);
        let incremental = incremental.expect("the set has one");
        let (loose, tight) = (folder(), folder());
        let [loose, tight] =
            [(&loose, WriteOptions::default()), (&tight, packed())].map(|(folder, write)| {
                let progress = Progress::default();
                merge(&full, &incremental, folder.path(), &write, &cores(2), &progress)
                    .expect("a sound pair")
            });
        assert_eq!(loose.made.path.file_name(), tight.made.path.file_name());
        assert!(content(&tight.made.path, None) == content(&full, Some(&incremental)));
        let [before, after] =
            [&loose, &tight].map(|made| storages(&made.made.path, made.made.slot));
        assert!(after.len() < before.len(), "{after:?}");
        let bytes: u64 = before.iter().map(|(_, bytes)| bytes).sum();
        assert!(after.len() as u64 <= 1 + 2 * bytes / PACKED_BYTES_MAX, "{after:?}");
        assert_eq!(after.last().map(|(slot, _)| *slot), before.last().map(|(slot, _)| *slot));
        verify_strictly(&tight.made.path, None, &set);
        load(&tight.made.path, None, &set, Some(truth));
    }
}

#[test]
fn an_incremental_archive_of_the_reference_client_fits_on_a_packed_full_one() {
    for (set, truth) in
        [("tiny", "truth-incremental-62.json"), ("small", "truth-incremental-297.json")]
    {
        let Some(set) = support::set(set) else { continue };
        let (full, incremental) = archives_in(&set);
        let all = accounts(&full, None);
        // All accounts are named, so that nothing but the storages changes.
        let accounts: HashSet<_> = all.keys().copied().collect();
        let named = Named { accounts, ..Named::default() };
        let folder = folder();
        let (write, progress) = (packed(), Progress::default());
        let made = minimize((&full, None), &named, folder.path(), &write, &cores(2), &progress);
        let made = made.expect("sound");
        assert_eq!(made.made.path.file_name(), full.file_name());
        let packed = storages(&made.made.path, made.made.slot);
        assert!(packed.len() < storages(&full, made.made.slot).len());
        // Closed accounts stay closed, and what was written since is the newest.
        let on_packed = content(&made.made.path, incremental.as_deref());
        assert!(on_packed == content(&full, incremental.as_deref()));
        verify_strictly(&made.made.path, incremental.as_deref(), &set);
        load(&made.made.path, incremental.as_deref(), &set, Some(truth));
    }
}

#[test]
fn packing_gives_the_same_bytes_for_any_number_of_threads() {
    let (full, incremental) = archives_in(&tiny());
    let incremental = incremental.expect("the set has one");
    let bytes = [1, 2, 5].map(|threads| {
        let folder = folder();
        let progress = Progress::default();
        let made = merge(&full, &incremental, folder.path(), &packed(), &cores(threads), &progress);
        fs::read(made.expect("a sound pair").made.path).expect("just written")
    });
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
}
