//! Full archives.

use icecore_archive::manifest::BankScalars;
use icecore_batch::{Extent, Proof};

use crate::{
    fed::{Fed, FeedSet, unpacked},
    support::{
        accounts, archives_in, as_rows, folder, manifest, names, rows, rows_in, status_cache,
        verify_strictly,
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
