//! The service with the archives that a node makes, over feeds of the reference client.

use std::path::Path;

use icecore_batch::service::Kind;
use icecore_hash::{AccountHashRule, account_hash, merkle_accounts_hash};
use icecore_restore::{Options, Pair, Progress};
use icecore_store::{At, CreateOptions};

use super::kit::{archives, archives_in, at_work, options, slots_in};
use crate::{
    fed::{Fed, FeedSet},
    support::{cores, folder, loaded, shared, verify_strictly},
};

/// Every archive in a folder is sound, alone or with its full one, and the reference client loads it.
fn check_all(folder: &Path, set: &FeedSet) {
    let genesis = set.shared.clone().unwrap_or_default();
    let (archives, _) = archives_in(folder);
    for name in &archives {
        let path = folder.join(name.to_string());
        let full = archives.iter().find(|full| Some(full.slot()) == name.base());
        let (full, incremental) = match full {
            Some(full) => (folder.join(full.to_string()), Some(path)),
            None => (path, None),
        };
        verify_strictly(&full, incremental.as_deref(), &genesis);
        if set.shared.is_some() {
            loaded(&full, incremental.as_deref(), &genesis, &[]);
        }
    }
}

#[test]
fn a_store_that_is_fed_gets_archives_that_the_reference_client_loads() {
    for set in FeedSet::all() {
        let whole = Fed::of(&set);
        let stops = whole.creatable();
        let (roots, _) = whole.store.rooted_since(0, 10_000).expect("followed");
        let fed = Fed::restored(&set, icecore_store::Options::default());
        let to = folder();
        let made =
            at_work(&fed.store, &options(to.path(), [40, 5], [2, 4]), &archives(), |at_work| {
                // What a node does that begins with an archive and has to make incremental ones.
                at_work.make(Kind::Full, stops[0]);
                // Up to blocks that the feed has, a few at a time; roots follow later.
                for root in roots.iter().skip(1).step_by(4) {
                    fed.feed(&set.feed, Some(root.number));
                    at_work.settle();
                }
                fed.feed(&set.feed, None);
                at_work.settle();
                assert_eq!(at_work.status().failures, 0, "{:?}", at_work.told());
                at_work.made()
            });
        let (full, incremental) = (Kind::Full, Kind::Incremental);
        let expected = match stops.len() {
            3 => vec![(full, 24), (full, 48), (full, 127)],
            // 32 is the first slot of its epoch; 104 becomes final together with 109.
            _ => vec![(full, 30), (full, 48), (incremental, 64), (full, 88), (incremental, 109)],
        };
        assert_eq!(made, expected);
        check_all(to.path(), &set);
        let (fulls, incrementals) = slots_in(to.path());
        assert_eq!(
            fulls,
            expected
                .iter()
                .filter(|(kind, _)| *kind == full)
                .map(|(_, slot)| *slot)
                .skip(1)
                .collect::<Vec<_>>()
        );
        assert!(stops.len() == 3 || incrementals == [64, 109], "{incrementals:?}");
    }
}

#[test]
fn incremental_archives_are_built_on_one_of_before_an_end() {
    let set = FeedSet::tiny();
    let fed = Fed::of(&set);
    let slots = fed.creatable();
    let to = folder();
    let options = options(to.path(), [0, 0], [2, 4]);
    at_work(&fed.store, &options, &archives(), |at_work| at_work.make(Kind::Full, slots[0]));
    for slot in &slots[1..] {
        let made = at_work(&fed.store, &options, &archives(), |at_work| {
            at_work.make(Kind::Incremental, *slot)
        });
        assert_eq!(made.base, Some(slots[0]));
    }
    assert_eq!(slots_in(to.path()), (vec![slots[0]], slots[1..].to_vec()));
    check_all(to.path(), &set);
}

#[test]
fn the_merkle_accounts_hash_is_that_of_the_leaves_for_any_number_of_threads() {
    let set = FeedSet::tiny();
    let fed = Fed::of(&set);
    for slot in [24, 60, 127] {
        let view = fed.store.view(At::Slot(slot)).expect("kept");
        let stated = view.totals().expect("read");
        let accounts = fed.accounts(slot);
        let leaves = accounts.iter().map(|(pubkey, (slot, account))| {
            account_hash(&account.borrowed(pubkey), *slot, AccountHashRule::WithRentEpoch)
        });
        let merkle = merkle_accounts_hash(leaves);
        for threads in [1, 2, 5] {
            let options = Options { cores: threads, ..cores(threads) };
            let hashed =
                icecore_batch::service::hash_accounts(&view, &options, &Progress::default());
            let hashed = hashed.expect("read");
            assert_eq!((hashed.merkle, &hashed.lattice), (merkle, &stated.lattice));
            assert_eq!(hashed.num_accounts, accounts.len() as u64);
            assert_eq!(hashed.capitalization, stated.capitalization);
        }
        let progress = Progress::default();
        progress.interrupt();
        let hashed = icecore_batch::service::hash_accounts(&view, &cores(2), &progress);
        assert!(hashed.is_err_and(|error| error.to_string().contains("interrupted")));
    }
}

#[test]
fn the_merkle_accounts_hash_is_the_name_that_a_client_of_its_age_gave() {
    let Some(folder) = shared("old-2.3-merkle") else { return };
    let (full, _) = crate::support::archives_in(&folder);
    let named = *Pair::files(&full, None).expect("an archive").full.name().hash();
    let fed = Fed::new(&CreateOptions::default(), icecore_store::Options::default());
    fed.restore(&full, None);
    let view = fed.store.view(At::Root).expect("a state");
    let hashed = icecore_batch::service::hash_accounts(&view, &cores(2), &Progress::default());
    assert_eq!(hashed.expect("read").merkle, named);
}
