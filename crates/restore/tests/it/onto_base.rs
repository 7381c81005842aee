//! An incremental archive alone, onto the base point that a store keeps of its full one: the same as the
//! pair restored in one go, in every answer, and as durable.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_restore::{
    Answer, CheckOutcome, Error, Pair, Progress, Report, Restored, Verdict, restore_into, verify,
};
use icecore_store::{At, CreateOptions, Retention, Store, View};
use icecore_types::{Pubkey, Slot};

use crate::{
    into_store::{Bench, assert_holds, options, scanned},
    memory::hostile,
    support::{Form, Forms, Member, archives_in, shared, tiny, tiny_full, tiny_incremental},
};

/// Restores an incremental archive alone.
fn alone(bench: &Bench, incremental: &Path) -> Result<Restored, Error> {
    alone_with(bench, incremental, &options())
}

fn alone_with(
    bench: &Bench,
    incremental: &Path,
    options: &icecore_restore::Options,
) -> Result<Restored, Error> {
    let mut pair = Pair::alone(incremental)?;
    let verdict = |report: &Report| report.answer().word().as_bytes().to_vec();
    restore_into(&mut pair, options, &bench.store, &Progress::default(), verdict)
}

/// Full archives and incremental ones on them.
fn pairs() -> Vec<(PathBuf, PathBuf)> {
    let mut pairs = Vec::new();
    let folders =
        [Some(tiny()), shared("small"), shared("old-2.3-lattice"), shared("old-2.3-merkle")];
    let feeds = [shared("feed-tiny"), shared("feed-small")];
    for folder in folders.into_iter().chain(feeds.clone().map(|feed| Some(feed?.join("base")))) {
        let Some(folder) = folder else { continue };
        let (full, incremental) = archives_in(&folder);
        pairs.push((full, incremental.expect("a pair")));
    }
    for feed in feeds.into_iter().flatten() {
        let (full, _) = archives_in(&feed.join("base"));
        let (_, incremental) = archives_in(&feed.join("end"));
        pairs.push((full, incremental.expect("a pair")));
    }
    pairs
}

fn view(bench: &Bench, slot: Slot) -> View {
    bench.store.view(At::Slot(slot)).expect("kept")
}

/// A store is sound, and its runs made anew give the same.
fn assert_sound(bench: Bench, check: impl Fn(&Bench)) -> Bench {
    let path = bench.path();
    let Bench { folder, store } = bench;
    let coverage = store.coverage();
    store.close().expect("closed");
    let checked = Store::check(&path, &mut |_| ControlFlow::Continue(())).expect("checked");
    assert_eq!((checked.damage, &checked.findings[..]), (0, &[][..]));
    let options = icecore_store::Options::default;
    let rebuilt = Store::rebuild_index(&path, options(), &mut |_| ControlFlow::Continue(()));
    rebuilt.expect("rebuilt");
    let checked = Store::check(&path, &mut |_| ControlFlow::Continue(())).expect("checked");
    assert_eq!((checked.damage, &checked.findings[..]), (0, &[][..]));
    let store = Store::open(&path, options()).expect("opened");
    assert_eq!(store.coverage(), coverage);
    let bench = Bench { folder, store };
    check(&bench);
    bench
}

#[test]
fn an_incremental_archive_alone_gives_what_the_pair_gives() {
    for (full, incremental) in pairs() {
        let expected = scanned(&full, Some(&incremental));
        let (bench, other) = (Bench::new(), Bench::new());
        for bench in [&bench, &other] {
            bench.restore(&full, None, &options()).expect("restored");
        }
        let restored = alone(&bench, &incremental).expect("restored");
        let pair = other.restore(&full, Some(&incremental), &options()).expect("restored");
        assert_eq!(restored.report.archives, pair.report.archives[1..]);
        assert_eq!(bench.store.base(), other.store.base());
        assert_eq!(bench.store.coverage(), other.store.coverage());
        let slot = restored.report.last().slot;
        let first = bench.store.coverage().first.expect("two base points");
        let full_only = scanned(&full, None);
        let check = |bench: &Bench| {
            assert_holds(&bench.view(), &expected);
            assert_holds(&view(bench, first), &full_only);
            assert_eq!(bench.view().slot().number, slot);
            for key in expected.keys().chain(full_only.keys()).step_by(53) {
                let history =
                    |bench: &Bench| bench.store.history_of(key, 0..=Slot::MAX).expect("read");
                assert_eq!(history(bench), history(&other), "{key}");
            }
        };
        check(&bench);
        assert_sound(bench.reopen(), check);
    }
}

#[test]
fn several_incremental_archives_stand_on_one_base_point() {
    for feed in [shared("feed-tiny"), shared("feed-small")].into_iter().flatten() {
        let (full, earlier) = archives_in(&feed.join("base"));
        let (_, later) = archives_in(&feed.join("end"));
        let incrementals = [earlier, later].map(|path| path.expect("a pair"));
        let bench = Bench::new();
        bench.restore(&full, None, &options()).expect("restored");
        let mut slots = Vec::new();
        for incremental in &incrementals {
            slots.push(alone(&bench, incremental).expect("restored").report.last().slot);
        }
        let states = incrementals.each_ref().map(|path| scanned(&full, Some(path)));
        let check = |bench: &Bench| {
            for (slot, state) in slots.iter().zip(&states) {
                assert_holds(&view(bench, *slot), state);
            }
        };
        check(&bench);
        assert_eq!(bench.store.coverage().gaps.len(), 2);
        assert_sound(bench, check);

        // The later one first: the earlier one comes too late then.
        let bench = Bench::new();
        bench.restore(&full, None, &options()).expect("restored");
        alone(&bench, &incrementals[1]).expect("restored");
        let before = bench.files();
        let error = alone(&bench, &incrementals[0]).expect_err("refused").to_string();
        assert!(error.contains("base points are restored in order, oldest first"), "{error}");
        let error = alone(&bench, &incrementals[1]).expect_err("refused").to_string();
        assert!(error.contains("the store holds this state already"), "{error}");
        assert_eq!(bench.files(), before);
    }
}

#[test]
fn scarce_memory_and_hostile_keys_change_nothing_of_what_is_built_on_a_base_point() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let forms = hostile();
    let full = forms.full.write(folder.path());
    let incremental = forms.incremental.as_ref().expect("a pair").write(folder.path());
    let expected = scanned(&full, Some(&incremental));
    for memory_bytes_max in [1 << 30, 64 << 10] {
        let bench = Bench::new();
        let options = icecore_restore::Options { memory_bytes_max, ..options() };
        bench.restore(&full, None, &options).expect("restored");
        alone_with(&bench, &incremental, &options).expect("restored");
        let check = |bench: &Bench| assert_holds(&bench.view(), &expected);
        check(&bench);
        assert_sound(bench, check);
    }
}

#[test]
fn a_store_without_the_order_of_owners_builds_on_a_base_point_as_well() {
    let create = CreateOptions { owner_order: false, ..CreateOptions::default() };
    let bench = Bench::with(&create);
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    let restored = alone(&bench, &tiny_incremental()).expect("restored");
    assert_eq!(restored.report.answer(), Answer::Consistent);
    let expected = scanned(&tiny_full(), Some(&tiny_incremental()));
    let check = |bench: &Bench| assert_holds(&bench.view(), &expected);
    check(&bench);
    assert_sound(bench, check);
}

#[test]
fn what_was_built_on_a_base_point_outlives_it_and_is_compacted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let forms = hostile();
    let full = forms.full.write(folder.path());
    let incremental = forms.incremental.as_ref().expect("a pair").write(folder.path());
    let sets = [(full, incremental), (tiny_full(), tiny_incremental())];
    let shared = shared("small").map(|folder| archives_in(&folder));
    let shared = shared.map(|(full, incremental)| (full, incremental.expect("a pair")));
    for (full, incremental) in sets.into_iter().chain(shared) {
        let expected = scanned(&full, Some(&incremental));
        for retention in [Retention::Slots(0), Retention::BasePoints] {
            let bench = Bench::new();
            bench.restore(&full, None, &options()).expect("restored");
            alone(&bench, &incremental).expect("restored");
            let Bench { folder, store } = bench;
            store.close().expect("closed");
            let mut small = icecore_store::Options { retention, ..Default::default() };
            small.background = false;
            let path = folder.path().join("store");
            let store = Store::open(&path, small).expect("opened");
            store.compact().expect("compacted");
            let after = store.compact().expect("compacted");
            assert_eq!(after.segments, 0, "nothing is rewritten again and again");
            let windows = store.coverage().windows.len();
            assert_eq!(windows, if retention == Retention::BasePoints { 2 } else { 1 });
            let bench = Bench { folder, store };
            let check = |bench: &Bench| assert_holds(&bench.view(), &expected);
            check(&bench);
            assert_sound(bench, check);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_leaves_the_store_as_it_was() {
    let refused = |bench: &Bench, incremental: &Path, what: &str| {
        let before = bench.files();
        let error = alone(bench, incremental).expect_err("refused").to_string();
        assert!(error.contains(what) && error.contains("give the full archive"), "{error}");
        assert_eq!(bench.files(), before);
    };
    // Nothing is kept, or only the state of a pair.
    let bench = Bench::new();
    refused(&bench, &tiny_incremental(), "it keeps none");
    bench.restore(&tiny_full(), Some(&tiny_incremental()), &options()).expect("restored");
    refused(&bench, &tiny_incremental(), "it keeps none");
    // Another one is.
    if let Some(feed) = shared("feed-tiny") {
        let (full, _) = archives_in(&feed.join("base"));
        let bench = Bench::new();
        bench.restore(&full, None, &options()).expect("restored");
        refused(&bench, &tiny_incremental(), "slot 46 is no base point");
        refused(&bench, &tiny_incremental(), "those that it keeps: 24");
    }
    // Of some programs only.
    let create = CreateOptions { kept_owners: vec![Pubkey([3; 32])], ..CreateOptions::default() };
    let bench = Bench::with(&create);
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    refused(&bench, &tiny_incremental(), "accounts of some programs only");
    // A storage that is not above the base.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut forms = Forms::pair();
    let form = forms.incremental.as_mut().expect("a pair");
    let storage = form.members.iter_mut().find(|member| member.storage().is_some());
    let storage = storage.expect("it has accounts");
    let (_, id) = storage.storage().expect("just found");
    storage.path = format!("accounts/40.{id}");
    let path = form.write(folder.path());
    let bench = Bench::new();
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    refused(&bench, &path, "is not above the base slot 46");
    // And a full archive is no incremental one.
    assert!(matches!(Pair::alone(tiny_full()), Err(Error::Class { .. })));
    let mut pair = Pair::alone(tiny_incremental()).expect("a name");
    let verified = verify(&mut pair, &options(), &Progress::default());
    assert!(matches!(verified, Err(Error::NeedsFull { .. })), "{verified:?}");
    alone(&bench, &tiny_incremental()).expect("restored");
}

#[test]
fn a_bad_incremental_archive_has_the_verdict_of_the_pair_and_leaves_the_base_point() {
    let bench = Bench::new();
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    let before = bench.files();
    let mut refused = 0;
    let mut refuse = |incremental: &Path| {
        let mut pair = Pair::files(tiny_full(), Some(incremental)).expect("names");
        let report = verify(&mut pair, &options(), &Progress::default()).expect("a verdict");
        assert_eq!(report.answer(), Answer::Bad, "{refused}");
        match alone(&bench, incremental).expect_err("bad") {
            Error::Bad { report: told } => {
                let outcomes = |verdict: &Verdict| -> Vec<_> {
                    let checks = verdict.checks.iter();
                    // One archive was not read to its end, or the two were not; of the base point's
                    // records places are not known.
                    let detail = |check: &CheckOutcome| {
                        let from = check.detail.find("expected the cached").unwrap_or(0);
                        check.detail[from..].replace(
                            "the archives were not read to their ends",
                            "the archive was not read to its end",
                        )
                    };
                    checks.map(|check| (check.id, check.outcome, detail(check))).collect()
                };
                assert_eq!(told.archives.len(), 1);
                assert_eq!(outcomes(told.last()), outcomes(report.last()));
            }
            error => panic!("{error}"),
        }
        assert_eq!(bench.files(), before);
        refused += 1;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = tiny_incremental().file_name().expect("a file").to_owned();
    let bytes = fs::read(tiny_incremental()).expect("read");
    for cut in [0, 1000, bytes.len() / 2, bytes.len() - 40] {
        let path = folder.path().join(&name);
        fs::write(&path, &bytes[..cut]).expect("written");
        refuse(&path);
    }
    // One thing wrong: in a record, in what is stated, in what is missing.
    let edits: [fn(&mut Form); 5] = [
        |form| {
            let storage = form.members.iter_mut().find(|member| member.storage().is_some());
            storage.expect("it has accounts").content[50] ^= 1;
        },
        |form| form.edit_manifest(|manifest| manifest.bank.scalars.capitalization += 1),
        |form| form.edit_manifest(|manifest| manifest.bank.hashes.hash.0[3] ^= 4),
        |form| {
            form.edit_manifest(|manifest| {
                manifest.bank.stakes.stake_delegations[0].1.stake += 1;
            })
        },
        |form| {
            let is_storage = |member: &Member| member.storage().is_some();
            let last = form.members.iter().rposition(is_storage).expect("it has accounts");
            form.members.remove(last);
        },
    ];
    for edit in edits {
        let mut form = Form::read(&tiny_incremental());
        edit(&mut form);
        let path = form.write(folder.path());
        refuse(&path);
    }
    assert_eq!(refused, 9);
    assert_holds(&bench.view(), &scanned(&tiny_full(), None));
    alone(&bench, &tiny_incremental()).expect("restored");
}
