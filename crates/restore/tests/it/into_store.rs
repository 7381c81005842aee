//! Restored into a store: the same accounts as those of a scan, in both orders; nothing of archives
//! whose verdict is bad, and of restores that do not come to their end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::{Bound, ControlFlow},
    path::{Path, PathBuf},
};

use icecore_hash::{Kernel, LatticeSum};
use icecore_restore::{
    Answer, Error, LiveAccounts, Options, Pair, Preflight, Progress, Report, Restored,
    restore_into, verify,
};
use icecore_store::{At, CreateOptions, OwnerFilter, Store, View, VisitedAccount};
use icecore_types::{Pubkey, Slot};
use tempfile::TempDir;

use crate::{
    memory::hostile,
    support::{
        Form, Forms, append, archives_in, encode, shared, tiny, tiny_full, tiny_incremental,
    },
};

/// What is compared of an account, and the slot in which it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    lamports: u64,
    owner: Pubkey,
    executable: bool,
    rent_epoch: u64,
    data: blake3::Hash,
    written: Slot,
}

pub(crate) type Accounts = BTreeMap<Pubkey, Account>;

pub(crate) fn options() -> Options {
    Options::for_cores(2)
}

/// The live accounts of archives, by a scan.
pub(crate) fn scanned(full: &Path, incremental: Option<&Path>) -> Accounts {
    let pair = Pair::files(full, incremental).expect("names");
    let mut accounts = LiveAccounts::open(pair, options(), &Progress::default()).expect("whole");
    let mut rows = Accounts::new();
    let visited = accounts.for_each(&Progress::default(), |live| {
        let account = live.account;
        let row = Account {
            lamports: account.lamports,
            owner: *account.owner,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            data: blake3::hash(account.data),
            written: live.slot,
        };
        assert_eq!(rows.insert(*account.pubkey, row), None, "each key once");
        ControlFlow::Continue(())
    });
    visited.expect("read");
    rows
}

/// A store in a folder of its own.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&CreateOptions::default())
    }

    pub(crate) fn with(create: &CreateOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store");
        let store = Store::create(&path, create, icecore_store::Options::default()).expect("made");
        Self { folder, store }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn restore(
        &self,
        full: &Path,
        incremental: Option<&Path>,
        options: &Options,
    ) -> Result<Restored, Error> {
        let mut pair = Pair::files(full, incremental)?;
        let verdict = |report: &Report| report.answer().word().as_bytes().to_vec();
        restore_into(&mut pair, options, &self.store, &Progress::default(), verdict)
    }

    pub(crate) fn view(&self) -> View {
        self.store.view(At::Root).expect("a state")
    }

    /// Files of data segments and runs.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let names = ["journal", "runs"].into_iter().flat_map(|folder| {
            let entries = fs::read_dir(self.path().join(folder)).expect("listed");
            entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
        });
        names.filter(|name| name.starts_with("data") || name.ends_with(".run")).collect()
    }

    pub(crate) fn reopen(self) -> Self {
        let path = self.path();
        let Self { folder, store } = self;
        store.close().expect("closed");
        let store = Store::open(path, icecore_store::Options::default()).expect("opened");
        Self { folder, store }
    }
}

fn account_of(found: &VisitedAccount<'_>) -> Account {
    let account = found.account;
    Account {
        lamports: account.lamports,
        owner: *account.owner,
        executable: account.executable,
        rent_epoch: account.rent_epoch,
        data: blake3::hash(account.data),
        written: found.written,
    }
}

/// The accounts of a view by pubkey, which must come in order.
fn by_pubkey(view: &View) -> Accounts {
    let mut accounts = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |found| {
        let key = *found.account.pubkey;
        assert!(accounts.last_key_value().is_none_or(|(last, _)| *last < key), "in order");
        assert_eq!(found.slot, view.slot().number, "all count for the base point");
        accounts.insert(key, account_of(&found));
        ControlFlow::Continue(())
    })
    .expect("read");
    accounts
}

/// The accounts of a view by owner.
fn by_owner(view: &View, owners: &BTreeSet<Pubkey>) -> Accounts {
    let mut accounts = Accounts::new();
    for owner in owners {
        view.scan_owner(owner, &OwnerFilter::default(), |found| {
            let account = account_of(&found);
            assert_eq!(account.owner, *owner);
            assert_eq!(accounts.insert(*found.account.pubkey, account), None, "each key once");
            ControlFlow::Continue(())
        })
        .expect("read");
    }
    accounts
}

/// Both orders of a view hold exactly these accounts.
pub(crate) fn assert_holds(view: &View, expected: &Accounts) {
    assert!(by_pubkey(view) == *expected, "by pubkey");
    let owners = expected.values().map(|account| account.owner).collect();
    assert!(by_owner(view, &owners) == *expected, "by owner");
    let strangers = [Pubkey([0xee; 32])].into();
    assert!(by_owner(view, &strangers).is_empty());
    for (key, account) in expected.iter().step_by(97) {
        let found = view.get_with(key, |found| account_of(&found)).expect("read");
        assert_eq!(found.as_ref(), Some(account), "{key}");
    }
}

#[test]
fn a_restored_store_holds_the_live_accounts_in_both_orders() {
    let folders =
        [Some(tiny()), shared("small"), shared("old-2.3-lattice"), shared("old-2.3-merkle")];
    for folder in folders.into_iter().flatten() {
        let (full, incremental) = archives_in(&folder);
        for incremental in [None, incremental.as_deref()] {
            let expected = scanned(&full, incremental);
            let bench = Bench::new();
            let restored = bench.restore(&full, incremental, &options()).expect("restored");
            assert_holds(&bench.view(), &expected);

            let verdict = restored.report.last();
            assert_eq!(verdict.verdict, Answer::Consistent);
            let base = bench.store.base().expect("one base point");
            let totals = bench.view().totals().expect("known");
            assert_eq!(totals, base.totals);
            assert_eq!(Some(base.bank.bank_hash), verdict.bank_hash);
            assert_eq!(
                (base.bank.slot, Some(base.bank.parent_slot), Some(base.bank.block_height)),
                (verdict.slot, verdict.parent_slot, verdict.block_height)
            );
            assert_eq!(Some(u128::from(totals.capitalization)), verdict.capitalization);
            assert_eq!(Some(totals.num_accounts), verdict.num_accounts);
            assert_eq!(Some(totals.total_data_len), verdict.total_data_len);
            let checksum = icecore_hash::lattice_checksum(&totals.lattice);
            assert_eq!(Some(checksum), verdict.accounts_lt_hash_checksum);
            assert!(totals.lattice_left_out.is_identity());
            assert_eq!(base.archives.len(), if incremental.is_some() { 2 } else { 1 });
            assert!(!base.is_anchored);

            let bench = bench.reopen();
            assert_holds(&bench.view(), &expected);
        }
    }
}

#[test]
fn manifest_status_cache_and_verdict_are_kept_byte_for_byte() {
    for incremental in [None, Some(tiny_incremental())] {
        let last = incremental.clone().unwrap_or_else(tiny_full);
        let form = Form::read(&last);
        let member = |wanted: &dyn Fn(&str) -> bool| {
            let found = form.members.iter().find(|member| wanted(&member.path));
            found.expect("every archive has it").content.clone()
        };
        let slot = form.slot;
        let manifest = member(&|path: &str| path == format!("snapshots/{slot}/{slot}"));
        let status_cache = member(&|path: &str| path == "snapshots/status_cache");

        let bench = Bench::new();
        let restored = bench.restore(&tiny_full(), incremental.as_deref(), &options());
        let base = restored.expect("restored").base;
        let history = bench.store.history();
        let extents = history.read(base.0).expect("read").extents();
        let read = |extent| history.read_extent(extent, 0..extent.bytes).expect("read");
        // The pair closes accounts of the full archive.
        let behind = 3 + usize::from(incremental.is_some());
        let kept: Vec<_> = extents[extents.len() - behind..][..3].iter().map(read).collect();
        assert!(kept == [manifest, status_cache, b"consistent".to_vec()]);
    }
}

#[test]
fn scarce_memory_and_hostile_keys_change_nothing_of_what_is_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let forms = hostile();
    let full = forms.full.write(folder.path());
    let incremental = forms.incremental.as_ref().expect("a pair").write(folder.path());
    let expected = scanned(&full, Some(&incremental));
    for memory_bytes_max in [1 << 30, 256 << 10, 64 << 10] {
        let bench = Bench::new();
        let options = Options { memory_bytes_max, ..options() };
        let restored = bench.restore(&full, Some(&incremental), &options).expect("restored");
        assert_eq!(restored.report.work.bytes_spilled > 0, memory_bytes_max < 1 << 20);
        assert_holds(&bench.view(), &expected);
    }
}

#[test]
fn every_account_can_have_an_owner_of_its_own() {
    const ACCOUNTS: u32 = 5000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut forms = Forms::full();
    let storage = forms.full.members.iter().position(|member| member.storage().is_some());
    let storage = &mut forms.full.members[storage.expect("it has accounts")].content;
    for number in 0..ACCOUNTS {
        let name = |first: u8| {
            let mut key = Pubkey([first; 32]);
            key.0[20..24].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_le_bytes());
            key
        };
        let account = icecore_types::AccountRef {
            pubkey: &name(1),
            lamports: 1,
            owner: &name(2),
            executable: false,
            rent_epoch: u64::MAX,
            data: &[],
        };
        append(storage, &encode(&account));
    }
    forms.rehash();
    let full = forms.full.write(folder.path());
    let bench = Bench::new();
    bench.restore(&full, None, &options()).expect("restored");
    let expected = scanned(&full, None);
    assert!(expected.len() > ACCOUNTS as usize);
    assert_holds(&bench.view(), &expected);
}

/// The folders below one of shared data, and the bundled set.
fn damaged() -> Vec<PathBuf> {
    let Some(folder) = shared("damaged") else { return Vec::new() };
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed").path());
    entries.filter(|path| path.is_dir()).collect()
}

#[test]
fn archives_with_a_bad_verdict_leave_nothing_and_a_good_one_is_restored_after_them() {
    let bench = Bench::new();
    let mut refused = 0;
    for folder in damaged() {
        let is_archive = |name: &str| name.starts_with("snapshot-");
        let mut names = fs::read_dir(&folder)
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned());
        if !names.any(|name| is_archive(&name)) {
            continue;
        }
        let (full, incremental) = archives_in(&folder);
        let incremental = incremental.as_deref();
        let Ok(mut pair) = Pair::files(&full, incremental) else { continue };
        let report = verify(&mut pair, &options(), &Progress::default());
        let is_good = report.as_ref().is_ok_and(|report| report.answer() != Answer::Bad);
        if is_good {
            // Odd, but sound.
            let sound = Bench::new();
            sound.restore(&full, incremental, &options()).expect("restored");
            assert_holds(&sound.view(), &scanned(&full, incremental));
            continue;
        }
        let error = bench.restore(&full, incremental, &options()).expect_err("refused");
        match (report, error) {
            (Ok(report), Error::Bad { report: told }) => {
                assert_eq!(told.archives, report.archives);
                refused += 1;
            }
            (Ok(_), error) => panic!("{}: {error}", folder.display()),
            (Err(error), told) => assert_eq!(told.to_string(), error.to_string()),
        }
        assert!(bench.store.view(At::Root).is_err(), "{}", folder.display());
        assert_eq!(bench.files(), BTreeSet::new(), "{}", folder.display());
    }
    assert!(refused > 20 || damaged().is_empty(), "{refused} were refused");
    bench.restore(&tiny_full(), Some(&tiny_incremental()), &options()).expect("restored");
    assert_holds(&bench.view(), &scanned(&tiny_full(), Some(&tiny_incremental())));
}

#[test]
fn an_interrupted_restore_leaves_nothing() {
    let bench = Bench::new();
    let mut pair = Pair::files(tiny_full(), Some(&tiny_incremental())).expect("names");
    let progress = Progress::default();
    progress.interrupt();
    let verdict = |_: &Report| unreachable!("there is none");
    let outcome = restore_into(&mut pair, &options(), &bench.store, &progress, verdict);
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    assert_eq!(bench.files(), BTreeSet::new());
    // While the verdict is put into words is the last moment.
    let progress = Progress::default();
    let verdict = |_: &Report| {
        progress.interrupt();
        Vec::new()
    };
    let outcome = restore_into(&mut pair, &options(), &bench.store, &progress, verdict);
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    assert!(bench.store.view(At::Root).is_err());
    assert_eq!(bench.files(), BTreeSet::new());
    let bench = bench.reopen();
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    assert_holds(&bench.view(), &scanned(&tiny_full(), None));
}

#[test]
fn a_newer_state_is_restored_beside_an_older_one_and_no_state_twice() {
    let bench = Bench::new();
    let older = bench.restore(&tiny_full(), None, &options()).expect("restored");
    let newer = bench.restore(&tiny_full(), Some(&tiny_incremental()), &options());
    let newer = newer.expect("restored");
    assert!(older.base < newer.base);
    let slots = [older, newer].map(|restored| restored.report.last().slot);
    let view = |slot| bench.store.view(At::Slot(slot)).expect("kept");
    assert_holds(&view(slots[0]), &scanned(&tiny_full(), None));
    assert_holds(&view(slots[1]), &scanned(&tiny_full(), Some(&tiny_incremental())));
    let files = bench.files();
    let again = bench.restore(&tiny_full(), Some(&tiny_incremental()), &options());
    assert!(matches!(again, Err(Error::Store(_))), "{again:?}");
    assert!(again.expect_err("held").to_string().contains("already"));
    assert_eq!(bench.files(), files);
}

#[test]
fn a_store_of_some_owners_keeps_their_accounts_and_the_hash_of_the_rest() {
    for incremental in [None, Some(tiny_incremental())] {
        let incremental = incremental.as_deref();
        let all = scanned(&tiny_full(), incremental);
        let owners: BTreeSet<_> = all.values().map(|account| account.owner).collect();
        let kept: BTreeSet<_> = owners.iter().copied().step_by(2).collect();
        let create = CreateOptions {
            kept_owners: kept.iter().copied().collect(),
            ..CreateOptions::default()
        };
        let bench = Bench::with(&create);
        let restored = bench.restore(&tiny_full(), incremental, &options()).expect("restored");
        let expected: Accounts =
            all.into_iter().filter(|(_, account)| kept.contains(&account.owner)).collect();
        assert_holds(&bench.view(), &expected);
        let totals = bench.view().totals().expect("known");
        assert_eq!(totals.num_accounts, expected.len() as u64);
        assert_eq!(Some(u128::from(totals.capitalization)), restored.report.last().capitalization);
        let lamports: u64 = expected.values().map(|account| account.lamports).sum();
        assert_eq!(totals.capitalization - totals.capitalization_left_out, lamports);
        let mut sum = LatticeSum::new(Kernel::chosen().expect("one is always to be had"));
        bench
            .view()
            .scan(Bound::Unbounded, Bound::Unbounded, |found| {
                sum.add(&[found.account]);
                ControlFlow::Continue(())
            })
            .expect("read");
        let mut lattice = sum.finish();
        lattice.mix_in(&totals.lattice_left_out);
        assert!(lattice == totals.lattice, "the parts are the whole");
    }
}

#[test]
fn a_store_without_the_order_of_owners_is_filled_without_it() {
    let create = CreateOptions { owner_order: false, ..CreateOptions::default() };
    let bench = Bench::with(&create);
    bench.restore(&tiny_full(), None, &options()).expect("restored");
    let runs = bench.files().into_iter().filter(|name| name.ends_with(".run")).count();
    assert_eq!(runs, 1);
    assert_holds(&bench.view(), &scanned(&tiny_full(), None));
}

#[test]
fn a_restored_store_takes_little_more_than_its_accounts() {
    for folder in [Some(tiny()), shared("small")].into_iter().flatten() {
        let (full, incremental) = archives_in(&folder);
        let bench = Bench::new();
        let restored = bench.restore(&full, incremental.as_deref(), &options()).expect("restored");
        let verdict = restored.report.last();
        let live =
            verdict.num_accounts.expect("known") * 136 + verdict.total_data_len.expect("known");
        // Manifest and status cache are no accounts.
        let besides = 1 << 20;
        let bytes: u64 = ["journal", "runs"]
            .into_iter()
            .flat_map(|name| fs::read_dir(bench.path().join(name)).expect("listed"))
            .map(|entry| entry.expect("listed"))
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with("reserve"))
            .map(|entry| entry.metadata().expect("known").len())
            .sum();
        assert!(bytes <= live * 115 / 100 + besides, "{bytes} for {live}");
    }
}

#[test]
fn what_a_restore_needs_is_said_before_it_begins() {
    let bench = Bench::new();
    let pair = Pair::files(tiny_full(), Some(&tiny_incremental())).expect("names");
    let disk = icecore_disk::RealDisk;
    let preflight = Preflight::of(&pair, &options(), &disk, &bench.path()).expect("looked at");
    let files = [tiny_full(), tiny_incremental()].map(|path| fs::metadata(path).expect("a file"));
    assert_eq!(preflight.archive_bytes, files.iter().map(fs::Metadata::len).sum::<u64>());
    let unpacked = preflight.store_bytes.expect("files");
    assert!(unpacked > preflight.archive_bytes && unpacked < 100 * preflight.archive_bytes);
    preflight.check().expect("it fits");
    let full = Preflight { available_bytes: preflight.archive_bytes - 1, ..preflight.clone() };
    let error = full.check().expect_err("it does not fit");
    assert!(error.to_string().contains("make room"), "{error}");
    assert!(full.is_tight());
}
