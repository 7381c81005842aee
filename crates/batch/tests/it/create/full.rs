//! Full archives.

use icecore_archive::manifest::{BankScalars, Manifest};
use icecore_batch::{Extent, Proof, WriteOptions, merge};
use icecore_restore::Progress;
use icecore_store::CreateOptions;

use crate::{
    fed::{Fed, FeedSet, unpacked},
    support::{
        accounts, archives_in, as_rows, cores, folder, load, manifest, member, names, rows,
        rows_in, shared, status_cache, tiny, verify_strictly,
    },
};

#[test]
fn every_slot_whose_bank_is_kept_becomes_a_full_archive_of_its_state() {
    for set in FeedSet::all() {
        let fed = Fed::of(&set);
        let slots = fed.creatable();
        assert!(slots.len() > 2, "{slots:?}");
        let folder = folder();
        for slot in &slots {
            let made = fed.create(*slot, Extent::Full, folder.path());
            let state = fed.accounts(*slot);
            assert_eq!((made.slot, made.base_slot, made.num_tombstones), (*slot, None, 0));
            assert_eq!(made.num_accounts, state.len() as u64);
            assert_eq!(made.proof, Proof::Verdict);
            assert!(accounts(&made.path, None) == state, "slot {slot}");
            let Some(shared) = &set.shared else { continue };
            verify_strictly(&made.path, None, shared);
            if let Some(rows) = rows(&made.path, None, shared) {
                assert!(rows == as_rows(&state), "slot {slot} in the reference client");
            }
            let truth = shared.join(format!("truth-at-{slot}.json.zst"));
            if truth.exists() {
                let truth = serde_json::from_slice(&unpacked(&truth)).expect("JSON");
                let mut expected = as_rows(&state);
                // The truth of feeds has no rent epochs.
                expected.values_mut().for_each(|row| row.4 = None);
                assert!(rows_in(&truth) == expected, "slot {slot} in the truth");
            }
        }
        assert_eq!(names(folder.path()).len(), slots.len());
    }
}

#[test]
fn at_the_end_of_a_feed_it_is_the_archive_that_the_reference_client_made() {
    for set in FeedSet::all() {
        let Some(shared) = &set.shared else { continue };
        let (theirs, _) = archives_in(&shared.join("end"));
        let (fed, folder) = (Fed::of(&set), folder());
        let slot = *fed.creatable().last().expect("some");
        let made = fed.create(slot, Extent::Full, folder.path());
        assert_eq!(made.path.file_name(), theirs.file_name());
        assert!(accounts(&made.path, None) == accounts(&theirs, None));
        let [mut ours, theirs_manifest] = [&made.path, &theirs].map(|path| manifest(path, slot));
        // Storages are each client's own, and newer clients write no epoch.
        ours.accounts_db.storages = theirs_manifest.accounts_db.storages.clone();
        let epoch = theirs_manifest.bank.scalars.epoch;
        ours.bank.scalars = BankScalars { epoch, ..ours.bank.scalars };
        assert!(ours == theirs_manifest);
        assert!(status_cache(&made.path) == status_cache(&theirs));
    }
}

#[test]
fn a_restored_pair_becomes_the_archive_that_merging_it_gives() {
    let sets = [Some(tiny()), shared("small"), shared("old-2.3-lattice")];
    for set in sets.into_iter().flatten() {
        let (full, incremental) = archives_in(&set);
        let incremental = incremental.expect("the set has one");
        let fed = Fed::new(&CreateOptions::default(), icecore_store::Options::default());
        fed.restore(&full, Some(&incremental));
        let slot = fed.store.root_slot().expect("a state").number;
        let (ours, other) = (folder(), folder());
        let made = fed.create(slot, Extent::Full, ours.path());
        let (write, progress) = (WriteOptions::default(), Progress::default());
        let merged = merge(&full, &incremental, other.path(), &write, &cores(2), &progress);
        let merged = merged.expect("sound");
        assert_eq!(made.path.file_name(), merged.made.path.file_name());
        let numbers = |capitalization, num_accounts| (capitalization, num_accounts);
        assert_eq!(
            numbers(made.capitalization, made.num_accounts),
            numbers(merged.capitalization, merged.num_accounts)
        );
        assert!(accounts(&made.path, None) == accounts(&merged.made.path, None));
        let [created, merged_manifest] =
            [&made.path, &merged.made.path].map(|path| manifest(path, slot));
        let sizes = |manifest: &Manifest| -> Vec<_> {
            let storages = manifest.accounts_db.storages.iter();
            storages.map(|(slot, storages)| (*slot, storages[0].accounts_current_len)).collect()
        };
        assert_eq!(sizes(&created).len(), sizes(&merged_manifest).len());
        assert_eq!(created.bank, merged_manifest.bank);
        assert_eq!(created.extra, merged_manifest.extra);
        for (slot, bytes) in sizes(&created) {
            let listed = created.accounts_db.storages.iter().find(|(listed, _)| *listed == slot);
            let id = listed.expect("just listed").1[0].id;
            let storage = member(&made.path, &format!("accounts/{slot}.{id}"));
            assert_eq!(storage.len() as u64, bytes, "the list of storages is true");
        }
        verify_strictly(&made.path, None, &set);
        load(&made.path, None, &set, None);
    }
}
