//! Incremental archives.

use icecore_archive::manifest::BankScalars;
use icecore_batch::{Extent, Proof};

use crate::{
    fed::{Fed, FeedSet},
    support::{
        accounts, archives_in, as_rows, folder, manifest, rows, status_cache, verify_strictly,
    },
};

#[test]
fn on_the_base_point_and_on_every_archive_made_before_it_gives_the_state() {
    for set in FeedSet::all() {
        let fed = Fed::of(&set);
        let slots = fed.creatable();
        let folder = folder();
        let mut tombstones = 0;
        // The base point's own archive is one of those that incremental ones build on.
        let mut fulls = Vec::new();
        for (place, slot) in slots.iter().enumerate() {
            let state = fed.accounts(*slot);
            for (base, full) in &fulls {
                let made = fed.create(*slot, Extent::Incremental { base: *base }, folder.path());
                assert_eq!((made.slot, made.base_slot), (*slot, Some(*base)));
                assert_eq!(
                    made.proof,
                    Proof::PairVerdict { full: std::path::PathBuf::clone(full) }
                );
                assert!(accounts(full, Some(&made.path)) == state, "{base} to {slot}");
                tombstones += made.num_tombstones;
                let Some(shared) = &set.shared else { continue };
                verify_strictly(full, Some(&made.path), shared);
                let is_looked_at = *base == slots[0] || place + 1 == slots.len();
                if is_looked_at && let Some(rows) = rows(full, Some(&made.path), shared) {
                    assert!(rows == as_rows(&state), "{base} to {slot} in the reference client");
                }
            }
            fulls.push((*slot, fed.create(*slot, Extent::Full, folder.path()).path));
        }
        assert!(tombstones > 0, "accounts were closed");
    }
}

#[test]
fn ours_goes_with_the_reference_clients_full_archive_and_theirs_with_ours() {
    for set in FeedSet::all() {
        let Some(shared) = &set.shared else { continue };
        let (full, _) = archives_in(&shared.join("base"));
        let (end, theirs) = archives_in(&shared.join("end"));
        let theirs = theirs.expect("the set has one");
        let (fed, folder) = (Fed::of(&set), folder());
        let slots = fed.creatable();
        let (base, slot) = (slots[0], *slots.last().expect("some"));
        let expected = accounts(&end, None);
        // Without its full archive it is read back.
        let ours = fed.create(slot, Extent::Incremental { base }, folder.path());
        assert_eq!(ours.proof, Proof::ReadBack);
        assert_eq!(ours.path.file_name(), theirs.file_name());
        assert!(accounts(&full, Some(&ours.path)) == expected);
        verify_strictly(&full, Some(&ours.path), shared);
        if let Some(rows) = rows(&full, Some(&ours.path), shared) {
            assert!(rows == as_rows(&expected));
        }
        let our_full = fed.create(base, Extent::Full, folder.path());
        assert!(accounts(&our_full.path, Some(&theirs)) == expected);
        verify_strictly(&our_full.path, Some(&theirs), shared);
        if let Some(rows) = rows(&our_full.path, Some(&theirs), shared) {
            assert!(rows == as_rows(&expected));
        }
        // All that is not a matter of each client's storages is the same.
        let [mut our_manifest, their_manifest] =
            [&ours.path, &theirs].map(|path| manifest(path, slot));
        our_manifest.accounts_db.storages = their_manifest.accounts_db.storages.clone();
        let epoch = their_manifest.bank.scalars.epoch;
        our_manifest.bank.scalars = BankScalars { epoch, ..our_manifest.bank.scalars };
        assert!(our_manifest == their_manifest);
        assert!(status_cache(&ours.path) == status_cache(&theirs));
    }
}
