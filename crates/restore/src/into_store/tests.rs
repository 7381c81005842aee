//! What hardly ever happens: the filter has keys by chance, so that records seem to be replaced.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
};

use icecore_store::{At, CreateOptions};
use icecore_types::Pubkey;

use super::*;
use crate::{LiveAccounts, key_filter};

fn pair() -> Pair {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny");
    Pair::best_in(folder).expect("bundled")
}

/// Keys, lamports and bytes of data of a restored pair, and the report.
fn restored() -> (BTreeMap<Pubkey, (u64, Vec<u8>)>, Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let create = CreateOptions::default();
    let path = folder.path().join("store");
    let store = Store::create(&path, &create, icecore_store::Options::default()).expect("made");
    let (options, progress) = (Options::for_cores(2), Progress::default());
    let restored = restore_into(&mut pair(), &options, &store, &progress, |_| b"good".to_vec());
    let mut accounts = BTreeMap::new();
    let view = store.view(At::Root).expect("a state");
    let visited = view.scan(Bound::Unbounded, Bound::Unbounded, |found| {
        let account = found.account;
        accounts.insert(*account.pubkey, (account.lamports, account.data.to_vec()));
        ControlFlow::Continue(())
    });
    visited.expect("read");
    let runs = icecore_disk::list(path.join("runs")).expect("listed");
    let runs = runs.iter().filter(|entry| entry.name.ends_with(".run")).count();
    assert_eq!(runs, 2, "runs that were written in vain are gone");
    (accounts, restored.expect("restored").report)
}

#[test]
fn records_that_seemed_to_be_replaced_are_kept_when_they_count_after_all() {
    let (expected, report) = restored();
    let mut keys = Vec::new();
    let progress = Progress::default();
    let mut live = LiveAccounts::open(pair(), Options::for_cores(2), &progress).expect("whole");
    let visited = live.for_each(&progress, |live| {
        if !live.place.is_incremental() {
            keys.push(*live.account.pubkey);
        }
        ControlFlow::Continue(())
    });
    visited.expect("read");
    let keys: Vec<_> = keys.into_iter().step_by(31).collect();
    assert!(keys.len() > 5);
    let count = keys.len() as u64;
    key_filter::tests::set_false_keys(keys);
    let (accounts, report_again) = restored();
    key_filter::tests::set_false_keys(Vec::new());
    assert_eq!(accounts, expected);
    assert_eq!(report_again.archives, report.archives);
    let again = report_again.work.records_looked_at_again;
    assert_eq!(again, report.work.records_looked_at_again + count);
}
