//! Every check has an archive that fails it and nothing else, or as little else as is possible.

mod accounts;
mod container;
mod manifest;
mod stakes;
mod sysvars;

use std::collections::BTreeSet;

use icecore_restore::{Answer, CheckId, Error, Outcome, Pair};

use self::{
    accounts::ACCOUNTS, container::CONTAINER, manifest::MANIFEST, stakes::STAKES,
    sysvars::STATUS_AND_SYSVARS,
};
use crate::{
    case::{Case, From, run},
    support::{failed, genesis, tiny, tiny_full, tiny_incremental, verify_files},
};

/// What is said, without a place.
fn says(phrases: &[&str]) -> Vec<String> {
    phrases.iter().map(|phrase| phrase.to_string()).collect()
}

#[test]
fn container_and_members() {
    run(CONTAINER);
}

#[test]
fn the_manifest() {
    run(MANIFEST);
}

#[test]
fn stakes_and_leader() {
    run(STAKES);
}

#[test]
fn accounts_and_their_sums() {
    run(ACCOUNTS);
}

#[test]
fn status_cache_and_sysvars() {
    run(STATUS_AND_SYSVARS);
}

/// Names are looked at before anything is read: what is wrong with one is an error, never a
/// verdict.
#[test]
fn file_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let named = |name: &str| {
        let path = folder.path().join(name);
        std::fs::copy(tiny_full(), &path).expect("the folder can be written");
        verify_files(&path, None).expect_err("a name that says nothing")
    };
    for name in ["snapshot-46-0OIl.tar.zst", "snapshot-46.tar.zst", "other.tar.zst"] {
        let error = named(name);
        assert!(matches!(error, Error::Name { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for (full, incremental) in [(tiny_incremental(), None), (tiny_full(), Some(tiny_full()))] {
        let error = Pair::files(full, incremental.as_deref()).expect_err("the wrong class");
        assert!(matches!(error, Error::Class { .. }), "{error}");
    }
}

#[test]
fn every_check_has_a_case_and_passes_on_the_sound_pair() {
    let tables = [CONTAINER, MANIFEST, STAKES, ACCOUNTS, STATUS_AND_SYSVARS];
    let by_one = |case: &&Case| case.fails.len() + case.warns.len() == 1;
    let mut covered: BTreeSet<CheckId> = tables
        .iter()
        .flat_map(|table| table.iter().filter(by_one))
        .flat_map(|case| case.fails.iter().chain(case.warns))
        .copied()
        .collect();
    covered.insert(CheckId::C1); // by `file_names`
    let all: BTreeSet<CheckId> = CheckId::ALL.iter().copied().collect();
    assert_eq!(covered, all, "every check has a case that fails it alone");

    let mut subject = From::Pair.subject();
    subject.options.genesis = Some(genesis());
    let truth = std::fs::read(tiny().join("truth-incremental-62.json")).expect("bundled");
    let truth: serde_json::Value = serde_json::from_slice(&truth).expect("JSON");
    let bank_hash = truth["bank_hash"].as_str().expect("text").parse().expect("base58");
    subject.options.expected.bank_hash = Some(bank_hash);
    let verdicts = subject.verify().expect("bundled");
    let last = verdicts.last().expect("two");
    assert_eq!((last.verdict, failed(last)), (Answer::Anchored, Vec::new()));
    for check in &last.checks {
        assert_eq!(check.outcome, Outcome::Pass, "{}: {}", check.id, check.detail);
    }
}
