//! Small archives of every kind are what they are meant to be.

use std::{fs, path::Path};

use icecore_restore::{Answer, Frame, Options, Outcome, Pair, Progress, Report, verify};

use super::*;

fn arguments(folder: &Path) -> Arguments {
    Arguments {
        folder: folder.to_path_buf(),
        accounts: 2_000,
        storages: Some(40),
        duplicates: 3.0,
        tombstones: 3.0,
        manifest_bytes: 0,
        incremental: 10.0,
        frames: Frames::Single,
        keys: Keys::Uniform,
        seed: 1,
    }
}

/// Makes archives and holds what verification says of them against what was made.
fn made_and_verified(edit: impl FnOnce(&mut Arguments)) -> (Vec<Made>, Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut arguments = arguments(folder.path());
    edit(&mut arguments);
    let made = generate(&arguments).expect("there is room");
    let mut pair = Pair::best_in(folder.path()).expect("archives");
    let report = verify(&mut pair, &Options::for_cores(2), &Progress::default()).expect("readable");
    assert_eq!(report.archives.len(), made.len());
    for (verdict, made) in report.archives.iter().zip(&made) {
        let not_passed = verdict
            .checks
            .iter()
            .filter(|check| !matches!(check.outcome, Outcome::Pass | Outcome::Skipped));
        let told: Vec<_> =
            not_passed.map(|check| format!("{} {}", check.id, check.detail)).collect();
        assert!(told.is_empty(), "{}: {told:#?}", made.name);
        assert_eq!(verdict.verdict, Answer::Consistent);
        assert_eq!(verdict.archive, made.name);
        assert_eq!(verdict.num_accounts, Some(made.state.accounts));
        assert_eq!(verdict.total_data_len, Some(made.state.data_bytes));
        let (records, tar_bytes) = crate::bound::records_of(&folder.path().join(&made.name));
        assert_eq!((records, tar_bytes), (made.records, made.tar_bytes), "{}", made.name);
    }
    (made, report)
}

/// `part` is about so many percent of `whole`.
fn is_about(part: u64, whole: u64, percent: u64) -> bool {
    (part * 100).abs_diff(whole * percent) < whole * percent / 2
}

#[test]
fn a_pair_has_the_duplicates_and_tombstones_that_were_asked_for() {
    let (made, _) = made_and_verified(|arguments| arguments.accounts = 10_000);
    let [full, incremental] = &made[..] else { panic!("a pair") };
    let template = Template::read(false).expect("bundled").accounts.len() as u64;
    assert_eq!(full.records, 10_000 + full.older_versions + template);
    assert_eq!(full.storages, 40);
    assert!(is_about(full.older_versions, 10_000, 3), "{}", full.older_versions);
    assert!(is_about(full.tombstones, 10_000, 3), "{}", full.tombstones);
    assert_eq!(full.state.accounts, 10_000 + template - full.tombstones);
    assert!(is_about(incremental.records - 600, 10_000, 10), "{}", incremental.records);
    assert!(incremental.older_versions > 0 && incremental.tombstones > 0);
    assert!(incremental.state.accounts > full.state.accounts, "a fifth of its accounts are new");
}

#[test]
fn a_single_storage_has_no_key_twice_and_needs_no_second_look() {
    let (made, report) = made_and_verified(|arguments| {
        (arguments.incremental, arguments.duplicates) = (0.0, 50.0);
        arguments.storages = None;
    });
    assert_eq!((made.len(), made[0].storages, made[0].older_versions), (1, 1, 0));
    assert_eq!(report.work.records_looked_at_again, 0);
}

#[test]
fn a_manifest_grows_to_about_the_size_that_was_asked_for() {
    let (made, report) = made_and_verified(|arguments| arguments.manifest_bytes = 300_000);
    for (made, verdict) in made.iter().zip(&report.archives) {
        assert!((240_000..360_000).contains(&made.manifest_bytes), "{}", made.manifest_bytes);
        let check = verdict.check(icecore_restore::CheckId::M11);
        let delegations: u64 =
            check.detail.split(' ').next().and_then(|number| number.parse().ok()).expect("a count");
        assert!(delegations > 900, "{}", check.detail);
    }
}

#[test]
fn a_manifest_that_so_few_accounts_cannot_fill_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = Arguments { manifest_bytes: 100_000_000, ..arguments(folder.path()) };
    let failure = generate(&arguments).expect_err("2,000 accounts are too few");
    assert!(failure.to_string().contains("ask for more accounts"), "{failure}");
}

#[test]
fn several_frames_hold_the_same_archive() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut arguments =
        Arguments { accounts: 120_000, incremental: 0.0, ..arguments(folder.path()) };
    let single = generate(&arguments).expect("there is room");
    arguments.frames = Frames::Multi;
    let multi = generate(&arguments).expect("there is room");
    assert_eq!(single[0].name, multi[0].name);
    assert_eq!(single[0].tar_bytes, multi[0].tar_bytes);

    let mut frames = Vec::new();
    let path = folder.path().join(&multi[0].name);
    icecore_restore::read_frames(&path, &Progress::default(), |frame| {
        frames.push(frame);
        std::ops::ControlFlow::Continue(())
    })
    .expect("readable");
    assert_eq!(frames.len() as u64, multi[0].tar_bytes.div_ceil(32 << 20));
    assert!(frames.len() > 1);
    for frame in frames {
        let Frame::Zstd { kind, .. } = frame else { panic!("{frame:?}") };
        let text = format!("{kind:?}");
        assert!(text.contains("has_checksum: true") && !text.contains("content_bytes: None"));
    }
    let mut pair = Pair::best_in(folder.path()).expect("an archive");
    let report = verify(&mut pair, &Options::for_cores(2), &Progress::default()).expect("readable");
    assert_eq!(report.answer(), Answer::Consistent);
}

#[test]
fn all_keys_share_their_first_24_bytes() {
    made_and_verified(|arguments| arguments.keys = Keys::Prefix);
    let content = |keys| Content::new((1, keys), 9, Default::default(), vec![], Default::default());
    let (prefix, uniform) = (content(Keys::Prefix), content(Keys::Uniform));
    let mut keys: Vec<_> = (0..1000).map(|index| prefix.key(index)).collect();
    assert!(keys.iter().all(|key| key.0[..24] == keys[0].0[..24]));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1000);
    assert_ne!(uniform.key(1).0[..8], uniform.key(2).0[..8]);
}

#[test]
fn one_key_stands_in_every_storage() {
    let (made, report) = made_and_verified(|arguments| {
        (arguments.keys, arguments.storages) = (Keys::Same, None);
        arguments.duplicates = 0.0;
    });
    assert_eq!(made[0].storages, 1_000);
    assert_eq!(made[0].older_versions, 999, "all but the newest");
    assert_eq!(report.archives.len(), 2);
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_gives_others() {
    let bytes = |seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = generate(&Arguments { seed, ..arguments(folder.path()) }).expect("room");
        let read = |made: &Made| fs::read(folder.path().join(&made.name)).expect("it was made");
        (made.iter().map(read).collect::<Vec<_>>(), made[0].name.clone())
    };
    let (first, name) = bytes(7);
    assert!(bytes(7).0 == first);
    assert_ne!(bytes(8).1, name);
}

#[test]
fn storages_stand_in_the_archive_once_each_and_not_by_slot() {
    let folder = Path::new("unused");
    for storages in [1, 2, 3, 8, 40, 1_000, 1_001] {
        let layer = Arguments { storages: Some(storages), ..arguments(folder) }.full_layer(63);
        let mut order: Vec<_> = (0..storages).map(|place| layer.storage_at(place)).collect();
        assert!(storages < 4 || !order.is_sorted(), "{storages}");
        order.sort_unstable();
        assert_eq!(order, (0..storages).collect::<Vec<_>>());
    }
}
