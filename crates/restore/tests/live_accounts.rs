//! Rows of archives, held against the truth that their makers state, and the epoch job of the
//! examples against the manifest's own stakes.

// The example's `main` is not called here.
#[allow(dead_code)]
#[path = "../examples/stake_by_vote_account.rs"]
mod stake_by_vote_account;

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_archive::{
    manifest::Manifest,
    members::{MemberKind, classify},
    tar::TarEvent,
};
use icecore_restore::{
    Answer, Error, LiveAccounts, Options, Pair, Progress, live_accounts, read_archive,
};
use icecore_types::{Bits64, Delegation, Epoch, Pubkey, Slot};
use serde_json::Value;

use crate::stake_by_vote_account::{is_active, stake_by_vote_account};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A folder of the shared data, if this machine has it.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The full archive of a folder, and the incremental one.
fn archives(folder: &Path) -> (PathBuf, PathBuf) {
    let find = |start: &str| {
        let mut entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed"));
        let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(start));
        found.unwrap_or_else(|| panic!("{start} in {}", folder.display())).path()
    };
    (find("snapshot-"), find("incremental-snapshot-"))
}

fn open(full: &Path, incremental: Option<&Path>, cores: usize) -> LiveAccounts {
    let pair = Pair::files(full, incremental).expect("names");
    live_accounts(pair, Options::for_cores(cores), &Progress::default()).expect("a good verdict")
}

/// What truth says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    lamports: u64,
    owner: String,
    executable: bool,
    rent_epoch: u64,
    data_len: u64,
    data_blake3: String,
    slot: Slot,
}

/// All rows, in order.
fn rows(accounts: &mut LiveAccounts) -> Vec<(Pubkey, Facts)> {
    let mut rows = Vec::new();
    let visited = accounts.for_each(&Progress::default(), |live| {
        let account = live.account;
        let facts = Facts {
            lamports: account.lamports,
            owner: account.owner.to_string(),
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            data_len: account.data.len() as u64,
            data_blake3: blake3::hash(account.data).to_string(),
            slot: live.slot,
        };
        rows.push((*account.pubkey, facts));
        ControlFlow::Continue(())
    });
    visited.expect("read");
    rows
}

fn truth(folder: &Path, kind: &str) -> Value {
    let start = format!("truth-{kind}-");
    let mut entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed"));
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(&start));
    let file = found.unwrap_or_else(|| panic!("{start} in {}", folder.display())).path();
    serde_json::from_slice(&fs::read(file).expect("read")).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_string()
}

/// Holds rows against truth, which may list some of the accounts only.
fn assert_as_truth_says(rows: Vec<(Pubkey, Facts)>, truth: &Value) {
    assert_eq!(rows.len() as u64, truth["num_accounts"], "accounts");
    let bytes: u64 = rows.iter().map(|(_, facts)| facts.data_len).sum();
    assert_eq!(bytes, truth["total_data_len"], "bytes of data");
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "an account comes once");
    let listed = truth["accounts"].as_array().expect("a list");
    assert!(listed.len() > 100, "{} accounts listed", listed.len());
    for account in listed {
        let pubkey: Pubkey = text(&account["pubkey"]).parse().expect("a key");
        let expected = Facts {
            lamports: account["lamports"].as_u64().expect("a number"),
            owner: text(&account["owner"]),
            executable: account["executable"].as_bool().expect("a bool"),
            rent_epoch: account["rent_epoch"].as_u64().expect("a number"),
            data_len: account["data_len"].as_u64().expect("a number"),
            data_blake3: text(&account["data_blake3"]),
            slot: account["slot"].as_u64().expect("a number"),
        };
        assert_eq!(rows.get(&pubkey), Some(&expected), "{pubkey}");
    }
    let absent = truth["absent"].as_array().expect("a list");
    assert!(absent.len() >= 20, "{} absent accounts listed", absent.len());
    for account in absent {
        let pubkey: Pubkey = text(&account["pubkey"]).parse().expect("a key");
        assert!(!rows.contains_key(&pubkey), "{pubkey} is closed");
    }
}

#[test]
fn rows_are_the_live_accounts_that_the_maker_states() {
    let mut sets = vec![(tiny(), tiny())];
    for set in ["tiny", "small", "old-2.3-lattice", "old-2.3-merkle"] {
        if let (Some(zstd), Some(lz4)) = (shared(set), shared(&format!("{set}/lz4"))) {
            sets.extend([(zstd.clone(), zstd.clone()), (lz4, zstd)]);
        }
    }
    for (folder, truths) in sets {
        let (full, incremental) = archives(&folder);
        assert_as_truth_says(rows(&mut open(&full, None, 2)), &truth(&truths, "full"));
        let mut pair = open(&full, Some(&incremental), 2);
        assert_as_truth_says(rows(&mut pair), &truth(&truths, "incremental"));
        assert_eq!(rows(&mut pair).len() as u64, pair.report().last().num_accounts.expect("read"));
    }
}

#[test]
fn rows_and_their_order_do_not_depend_on_threads() {
    let (full, incremental) = archives(&shared("small").unwrap_or_else(tiny));
    let one = rows(&mut open(&full, Some(&incremental), 1));
    for cores in [2, 5] {
        assert_eq!(rows(&mut open(&full, Some(&incremental), cores)), one, "{cores} cores");
    }
}

#[test]
fn a_visitor_that_breaks_ends_the_reading() {
    let (full, incremental) = archives(&shared("small").unwrap_or_else(tiny));
    let mut accounts = open(&full, Some(&incremental), 1);
    let visit = |accounts: &mut LiveAccounts, rows_max: u64| {
        let progress = Progress::default();
        let mut visited = 0;
        let ended = accounts.for_each(&progress, |_| {
            visited += 1;
            if visited == rows_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        ended.expect("breaking is no failure");
        (visited, progress.records())
    };
    let (all, records) = visit(&mut accounts, u64::MAX);
    assert_eq!(all, accounts.report().last().num_accounts.expect("read"));
    let (visited, records_read) = visit(&mut accounts, 1);
    assert_eq!(visited, 1);
    assert!(records_read < records, "{records_read} of {records} records");
    // And it can be visited again from the start.
    assert_eq!(visit(&mut accounts, u64::MAX).0, all);
}

/// Opens without regard to the verdict, and gives what is wrong.
fn refusal(full: &Path, incremental: Option<&Path>) -> (String, String) {
    let pair = Pair::files(full, incremental).expect("names");
    match LiveAccounts::open(pair, Options::for_cores(1), &Progress::default()) {
        Err(Error::Damaged { archive, problem }) => (archive, problem),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn archives_whose_newest_versions_are_not_known_are_refused_whatever_is_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (full, incremental) = archives(&tiny());
    // Cut off in the middle.
    let bytes = fs::read(&full).expect("read");
    let cut = folder.path().join(full.file_name().expect("a name"));
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    let (archive, problem) = refusal(&cut, None);
    assert!(archive.starts_with("snapshot-46-"), "{archive}");
    assert!(problem.starts_with("C2 "), "{problem}");
    // On another full archive.
    let name = incremental.file_name().expect("a name").to_string_lossy();
    let other = folder.path().join(name.replace("-46-", "-45-"));
    fs::copy(&incremental, &other).expect("copied");
    let (archive, problem) = refusal(&full, Some(&other));
    assert!(archive.starts_with("incremental-snapshot-45-"), "{archive}");
    assert!(problem.starts_with("M3 "), "{problem}");
}

#[test]
fn a_bad_full_archive_below_a_sound_incremental_is_named() {
    let Some(damaged) = shared("damaged/manifest-bank_hash-changed") else { return };
    let bad = fs::read_dir(&damaged).expect("listed").map(|entry| entry.expect("listed").path());
    let bad = bad.into_iter().next().expect("one archive");
    let (_, incremental) = archives(&tiny());
    let pair = || Pair::files(&bad, Some(&incremental)).expect("names");
    let (options, progress) = (Options::for_cores(1), Progress::default());
    let Err(error) = live_accounts(pair(), options.clone(), &progress) else {
        panic!("a bad verdict gives no rows");
    };
    let text = error.to_string();
    assert!(text.starts_with("snapshot-46-"), "{text}");
    assert!(text.contains(": M5 bank hash from its parts: "), "{text}");
    let mut accounts = LiveAccounts::open(pair(), options, &progress).expect("it can be read");
    assert_eq!(accounts.report().answer(), Answer::Bad);
    assert_as_truth_says(rows(&mut accounts), &truth(&tiny(), "incremental"));
}

#[test]
fn an_archive_that_changes_after_it_was_verified_gives_no_complete_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (full, _) = archives(&tiny());
    let copy = folder.path().join(full.file_name().expect("a name"));
    fs::copy(&full, &copy).expect("copied");
    let mut accounts = open(&copy, None, 1);
    let bytes = fs::read(&copy).expect("read");
    fs::write(&copy, &bytes[..bytes.len() - 10]).expect("written");
    let visited = accounts.for_each(&Progress::default(), |_| ControlFlow::Continue(()));
    let error = visited.expect_err("it was cut off");
    assert!(matches!(&error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

/// The manifest of an archive, decoded apart from verification.
fn manifest(archive: &Path) -> Manifest {
    let mut bytes = Vec::new();
    let mut wanted = false;
    let end = read_archive(archive, &Options::for_cores(1), &Progress::default(), |event| {
        match event {
            TarEvent::Member(member) => {
                wanted =
                    matches!(classify(&member.path, member.kind), Ok(MemberKind::Manifest { .. }));
            }
            TarEvent::Data(data) if wanted => bytes.extend_from_slice(data),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert!(end.expect("read").damage.is_none());
    Manifest::decode(&bytes).expect("decodes").0
}

#[test]
fn stake_by_vote_account_sums_what_the_manifest_states() {
    let mut sets = vec![archives(&tiny())];
    for set in ["small", "old-2.3-lattice", "old-2.3-merkle", "feed-tiny/base", "feed-small/base"] {
        sets.extend(shared(set).map(|folder| archives(&folder)));
    }
    for (full, incremental) in sets {
        for (incremental, last) in [(None, &full), (Some(&*incremental), &incremental)] {
            let mut accounts = open(&full, incremental, 2);
            let epoch = accounts.report().last().epoch.expect("a good verdict has one");
            let sums = stake_by_vote_account(&mut accounts, epoch, &Progress::default());
            let sums = sums.expect("read");

            let stakes = manifest(last).bank.stakes;
            assert_eq!(stakes.scalars.epoch, epoch);
            let mut expected: BTreeMap<Pubkey, u128> = BTreeMap::new();
            for (_, delegation) in &stakes.stake_delegations {
                let from = match delegation.activation_epoch {
                    u64::MAX => 0,
                    epoch => epoch,
                };
                if (from..delegation.deactivation_epoch).contains(&epoch) {
                    *expected.entry(delegation.voter_pubkey).or_default() +=
                        u128::from(delegation.stake);
                }
            }
            assert!(!expected.is_empty());
            assert_eq!(sums, expected, "{}", last.display());

            // These sets' stakes are all of genesis: nothing warms up, and the plain sums are the
            // effective stakes that the client itself computed.
            let effective: BTreeMap<_, _> = stakes
                .vote_accounts
                .iter()
                .filter(|(_, account)| account.stake > 0)
                .map(|(pubkey, account)| (*pubkey, u128::from(account.stake)))
                .collect();
            assert_eq!(sums, effective, "{}", last.display());
        }
    }
}

#[test]
fn a_delegation_is_active_from_its_activation_until_its_deactivation() {
    let delegation = |activation_epoch, deactivation_epoch| Delegation {
        voter_pubkey: Pubkey([1; 32]),
        stake: 1,
        activation_epoch,
        deactivation_epoch,
        warmup_cooldown_rate: Bits64::default(),
    };
    let active_in = |activation, deactivation| -> Vec<Epoch> {
        let delegation = delegation(activation, deactivation);
        (0..6).filter(|epoch| is_active(&delegation, *epoch)).collect()
    };
    assert_eq!(active_in(2, 5), [2, 3, 4]);
    assert_eq!(active_in(4, u64::MAX), [4, 5]);
    assert_eq!(active_in(3, 3), [] as [Epoch; 0]);
    assert_eq!(active_in(u64::MAX, u64::MAX), [0, 1, 2, 3, 4, 5]);
    assert_eq!(active_in(u64::MAX, 2), [0, 1]);
}
