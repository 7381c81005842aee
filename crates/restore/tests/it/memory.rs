//! Scarce memory: the same answers as with plenty of it, for verdicts, rows, statistics and diffs,
//! also where keys were made to be hard to keep apart. And plenty of memory: nothing is spilled.
//!
//! Limits are far below what the command line takes, so that even small archives do not fit.

use std::{ops::ControlFlow, path::Path};

use icecore_restore::{
    AccountDiff, AccountState, Answer, Change, Diff, LiveAccounts, Options, Pair, Place, Progress,
    Report, Stats, diff,
};
use icecore_types::{AccountRef, Pubkey};

use crate::support::{
    Forms, append, archives_in, encode, records, shared, tiny, tiny_full, tiny_incremental,
    verify_files_with,
};

const PLENTY: u64 = 1 << 30;

fn options(memory_bytes_max: u64) -> Options {
    Options { memory_bytes_max, ..Options::for_cores(2) }
}

fn open(full: &Path, incremental: Option<&Path>, memory_bytes_max: u64) -> LiveAccounts {
    let pair = Pair::files(full, incremental).expect("names");
    LiveAccounts::open(pair, options(memory_bytes_max), &Progress::default()).expect("whole")
}

/// Key, lamports, data and place of every live account, in order.
fn rows(accounts: &mut LiveAccounts) -> Vec<(Pubkey, u64, Vec<u8>, Place)> {
    let mut rows = Vec::new();
    let visited = accounts.for_each(&Progress::default(), |live| {
        let account = live.account;
        rows.push((*account.pubkey, account.lamports, account.data.to_vec(), live.place));
        ControlFlow::Continue(())
    });
    visited.expect("read");
    rows
}

/// What differs between a full archive and a pair, and the comparison's own account of it.
fn differing(full: &Path, incremental: &Path, memory_bytes_max: u64) -> (Vec<AccountDiff>, Diff) {
    let mut before = open(full, None, memory_bytes_max);
    let mut after = open(full, Some(incremental), memory_bytes_max);
    let mut accounts = Vec::new();
    let progress = Progress::default();
    let diff = diff(&mut before, &mut after, memory_bytes_max, &progress, |account| {
        accounts.push(account);
        ControlFlow::Continue(())
    });
    (accounts, diff.expect("compared"))
}

#[test]
fn scarce_memory_changes_no_answer() {
    let folders = [Some(tiny()), shared("small"), shared("old-2.3-lattice")];
    for folder in folders.into_iter().flatten() {
        let (full, incremental) = archives_in(&folder);
        let incremental = incremental.expect("a pair");
        let mut plenty = open(&full, Some(&incremental), PLENTY);
        assert_eq!(plenty.report().work.bytes_spilled, 0);
        let (rows_plenty, diff_plenty) =
            (rows(&mut plenty), differing(&full, &incremental, PLENTY));
        let stats = Stats::of(&mut plenty, &Progress::default()).expect("read");
        assert_eq!(diff_plenty.1.bytes_spilled, 0);
        for bytes in [32 << 10, 256 << 10] {
            let mut scarce = open(&full, Some(&incremental), bytes);
            assert_eq!(scarce.report().archives, plenty.report().archives, "{bytes}");
            assert_eq!(rows(&mut scarce), rows_plenty, "{bytes}");
            let stats_scarce = Stats::of(&mut scarce, &Progress::default()).expect("read");
            assert_eq!(stats_scarce, stats, "{bytes}");
            let (accounts, diff) = differing(&full, &incremental, bytes);
            assert_eq!(accounts, diff_plenty.0, "{bytes}");
            assert_eq!(Diff { bytes_spilled: 0, ..diff.clone() }, diff_plenty.1, "{bytes}");
            if bytes == 32 << 10 {
                assert!(scarce.report().work.bytes_spilled > 0, "{}", folder.display());
                assert!(diff.bytes_spilled > 0, "{}", folder.display());
            }
        }
    }
}

#[test]
fn a_diff_is_the_plain_comparison_of_all_rows() {
    let (full, incremental) = (tiny_full(), tiny_incremental());
    let (accounts, diff) = differing(&full, &incremental, PLENTY);
    assert!(accounts.is_sorted_by(|one, other| one.pubkey < other.pubkey));
    for change in [Change::Added, Change::Closed, Change::Changed] {
        let count = accounts.iter().filter(|account| account.change == change).count();
        assert_eq!(diff.count(change), count as u64);
    }
    let content = |rows: Vec<(Pubkey, u64, Vec<u8>, Place)>| {
        rows.into_iter()
            .map(|(key, lamports, data, _)| (key, (lamports, blake3::hash(&data))))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = content(rows(&mut open(&full, None, PLENTY)));
    let after = content(rows(&mut open(&full, Some(&incremental), PLENTY)));
    let told = |state: Option<&AccountState>| state.map(|it| (it.lamports, it.data_blake3));
    for account in &accounts {
        assert_eq!(told(account.before.as_ref()), before.get(&account.pubkey).copied());
        assert_eq!(told(account.after.as_ref()), after.get(&account.pubkey).copied());
    }
    let named = |key: &Pubkey| accounts.binary_search_by_key(key, |it| it.pubkey).is_ok();
    for key in before.keys().chain(after.keys()) {
        assert!(named(key) || before.get(key) == after.get(key), "{key}");
    }
}

#[test]
fn a_visitor_that_breaks_is_given_no_more_but_all_are_counted() {
    let (full, incremental) = (tiny_full(), tiny_incremental());
    let (accounts, all) = differing(&full, &incremental, PLENTY);
    assert!(accounts.len() > 3);
    let (mut before, mut after) =
        (open(&full, None, PLENTY), open(&full, Some(&incremental), PLENTY));
    let mut given = Vec::new();
    let broken = diff(&mut before, &mut after, PLENTY, &Progress::default(), |account| {
        given.push(account);
        if given.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(given, accounts[..3]);
    assert_eq!(broken.expect("compared"), all);
}

#[test]
fn archives_without_duplicates_take_the_fast_paths() {
    let report = verify_files_with(&tiny_full(), None, &options(PLENTY)).expect("read");
    let keys: Vec<_> =
        records(&Forms::full().full).into_iter().map(|record| record.pubkey).collect();
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    // Each older version is looked at again, and nothing else.
    assert_eq!(report.work.records_looked_at_again, (keys.len() - distinct.len()) as u64);
    assert_eq!((report.work.bytes_spilled, report.work.bins_split), (0, 0));
    assert_eq!(report.work.records, (2 * keys.len() - distinct.len()) as u64);
}

/// Keys that share their first 28 bytes.
const HOSTILE_KEYS: u32 = 3000;

fn hostile_key(number: u32) -> Pubkey {
    let mut key = Pubkey([0xa7; 32]);
    key.0[28..].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_le_bytes());
    key
}

fn hostile_record(number: u32, lamports: u64) -> Vec<u8> {
    encode(&AccountRef {
        pubkey: &hostile_key(number),
        lamports,
        owner: &Pubkey([3; 32]),
        executable: false,
        rent_epoch: u64::MAX,
        data: &number.to_le_bytes(),
    })
}

/// The bundled pair with hostile keys besides: many in one bin, one of them in every storage, some
/// of them again in the incremental archive.
pub(crate) fn hostile() -> Forms {
    let mut forms = Forms::pair();
    let storages = |form: &crate::support::Form| {
        let numbers = form.members.iter().enumerate();
        numbers.filter(|(_, member)| member.storage().is_some()).map(|(at, _)| at).collect()
    };
    let full: Vec<usize> = storages(&forms.full);
    for number in 1..HOSTILE_KEYS {
        let member = full[number as usize % full.len()];
        append(&mut forms.full.members[member].content, &hostile_record(number, 5));
    }
    for member in &full {
        let content = &mut forms.full.members[*member].content;
        append(content, &hostile_record(0, *member as u64 + 1));
    }
    let above = forms.above();
    let upper: Vec<usize> = storages(above);
    for (at, member) in upper.iter().enumerate() {
        let content = &mut above.members[*member].content;
        append(content, &hostile_record(0, 1000 + at as u64));
        for number in (1..HOSTILE_KEYS).skip(at).step_by(2 * upper.len()) {
            append(content, &hostile_record(number, u64::from(number % 3)));
        }
    }
    forms.rehash();
    forms
}

#[test]
fn hostile_keys_take_scratch_space_and_no_more_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let forms = hostile();
    let full = forms.full.write(folder.path());
    let incremental = forms.incremental.as_ref().expect("a pair").write(folder.path());
    let report = |bytes| -> Report {
        verify_files_with(&full, Some(&incremental), &options(bytes)).expect("read")
    };
    let plenty = report(PLENTY);
    for verdict in &plenty.archives {
        assert_eq!(verdict.verdict, Answer::Consistent, "{:?}", verdict.failures().next());
    }
    assert_eq!((plenty.work.bytes_spilled, plenty.work.bins_split), (0, 0));
    assert!(plenty.work.records_looked_at_again > 0, "one key is in every storage");
    for bytes in [256 << 10, 64 << 10] {
        let scarce = report(bytes);
        assert_eq!(scarce.archives, plenty.archives, "{bytes}");
        assert!(scarce.work.bins_split > 0 && scarce.work.bytes_spilled > 0, "{bytes}");
        let again = |report: &Report| report.work.records_looked_at_again;
        assert!(again(&scarce) >= again(&plenty), "without a filter there is more to correct");
    }
    let (accounts, of_plenty) = differing(&full, &incremental, PLENTY);
    assert!(accounts.iter().any(|account| account.pubkey == hostile_key(0)));
    let (accounts_scarce, of_scarce) = differing(&full, &incremental, 256 << 10);
    assert!(of_scarce.bytes_spilled > 0);
    assert_eq!((of_plenty.bytes_spilled, accounts_scarce), (0, accounts));
}

#[test]
fn a_scratch_folder_that_refuses_is_an_error_only_when_memory_is_scarce() {
    let (full, incremental) = (tiny_full(), tiny_incremental());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compare = |memory_bytes_max: u64| {
        let none = Options { scratch: Some(folder.path().join("none")), ..options(PLENTY) };
        let open = |incremental: Option<&Path>| {
            let pair = Pair::files(&full, incremental).expect("names");
            LiveAccounts::open(pair, none.clone(), &Progress::default()).expect("it all fits")
        };
        let (mut before, mut after) = (open(None), open(Some(&incremental)));
        diff(&mut before, &mut after, memory_bytes_max, &Progress::default(), |_| {
            ControlFlow::Continue(())
        })
    };
    assert!(compare(PLENTY).is_ok());
    let error = compare(1 << 10).expect_err("nothing fits");
    assert!(error.to_string().contains("--scratch"), "{error}");
}
