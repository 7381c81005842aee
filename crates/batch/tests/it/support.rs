//! Where data lies, and the two judges of what was made.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use icecore_archive::{
    manifest::Manifest,
    status_cache::StatusCache,
    tar::{TarEvent, TarReader},
    writing::frame_encoder::Packing,
};
use icecore_batch::WriteOptions;
use icecore_restore::{
    Answer, Genesis, Options, Outcome, Pair, Progress, live_accounts, read_unpacked, verify,
};
use icecore_types::{Account, Pubkey, Slot};

/// The bundled set: a full archive at slot 46, an incremental one at 62.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A folder of the shared data, if this machine has it.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
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

/// A set of archives: the bundled one, or one of the shared data, if this machine has it.
pub(crate) fn set(name: &str) -> Option<PathBuf> {
    match name {
        "tiny" => Some(tiny()),
        _ => shared(name),
    }
}

/// The full archive of a folder, and the incremental one if it has one.
pub(crate) fn archives_in(folder: &Path) -> (PathBuf, Option<PathBuf>) {
    let find = |start: &str| {
        names(folder).into_iter().find(|name| name.starts_with(start) && name.ends_with(".tar.zst"))
    };
    let full = folder.join(find("snapshot-").expect("every set has one"));
    (full, find("incremental-snapshot-").map(|name| folder.join(name)))
}

/// What lies in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// A temporary folder.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Options of the library for so many cores.
pub(crate) fn cores(cores: usize) -> Options {
    Options::for_cores(cores)
}

/// How an archive is written.
pub(crate) fn packed(packing: Packing, frame_bytes: u32) -> WriteOptions {
    WriteOptions { packing, frame_bytes, ..WriteOptions::default() }
}

/// The tar stream of an archive.
pub(crate) fn unpacked(archive: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    let end = read_unpacked(archive, &cores(1), &Progress::default(), |bytes| {
        tar.extend_from_slice(bytes);
        ControlFlow::Continue(())
    });
    assert_eq!(end.expect("readable").damage, None);
    tar
}

/// Verifies, with warnings as failures.
pub(crate) fn verify_strictly(full: &Path, incremental: Option<&Path>, set: &Path) {
    let genesis = Genesis::read(set).ok();
    let options = Options { genesis, strict: true, ..cores(2) };
    let mut pair = Pair::files(full, incremental).expect("archives");
    let report = verify(&mut pair, &options, &Progress::default()).expect("readable");
    for verdict in &report.archives {
        let wrong: Vec<_> = verdict
            .checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Fail | Outcome::Warn))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", full.display());
        assert_eq!(verdict.verdict, Answer::Consistent);
    }
}

/// Loads with the reference client, if this machine has it, and compares with its truth.
pub(crate) fn load(full: &Path, incremental: Option<&Path>, set: &Path, truth: Option<&str>) {
    let mut arguments = Vec::new();
    let check;
    if let Some(truth) = truth {
        check = set.join(truth);
        arguments = vec!["--check", check.to_str().expect("text")];
    }
    loaded(full, incremental, set, &arguments);
}

/// Loads with the reference client, if this machine has it.
pub(crate) fn loaded(full: &Path, incremental: Option<&Path>, set: &Path, arguments: &[&str]) {
    let Some(data) = shared("") else { return };
    let loader = data.join("../oracle/bin/agaveload");
    if !loader.exists() {
        eprintln!("skipped: {} is not there", loader.display());
        return;
    }
    let work = folder();
    let mut command = Command::new(loader);
    command.arg("--full").arg(full).arg("--genesis").arg(set).arg("--work").arg(work.path());
    if let Some(incremental) = incremental {
        command.arg("--incremental").arg(incremental);
    }
    let output = command.args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {said}", full.display());
}

/// The content of a member.
pub(crate) fn member(archive: &Path, path: &str) -> Vec<u8> {
    let mut tar = TarReader::new();
    let bytes = unpacked(archive);
    let mut input = &bytes[..];
    let (mut content, mut is_wanted) = (Vec::new(), false);
    while let Some(event) = tar.next(&mut input).expect("sound") {
        match event {
            TarEvent::Member(member) => is_wanted = member.path == path,
            TarEvent::Data(bytes) if is_wanted => content.extend_from_slice(bytes),
            _ => {}
        }
    }
    content
}

/// The manifest of an archive at a slot.
pub(crate) fn manifest(archive: &Path, slot: Slot) -> Manifest {
    Manifest::decode(&member(archive, &format!("snapshots/{slot}/{slot}"))).expect("sound").0
}

/// The status cache of an archive. The reference client writes its maps in an order that changes from
/// one time to the next; here they are sorted.
pub(crate) fn status_cache(archive: &Path) -> StatusCache {
    let content = member(archive, "snapshots/status_cache");
    let mut cache = StatusCache::decode(&content).expect("sound");
    cache.slots.sort_by_key(|slot| slot.slot);
    for blockhashes in cache.slots.iter_mut().map(|slot| &mut slot.blockhashes) {
        blockhashes.sort_by_key(|results| results.blockhash);
        blockhashes.iter_mut().for_each(|results| results.entries.sort_by_key(|entry| entry.0));
    }
    cache
}

/// The live accounts of a full archive or a pair, with the slots in which they were written.
pub(crate) fn accounts(
    full: &Path,
    incremental: Option<&Path>,
) -> BTreeMap<Pubkey, (Slot, Account)> {
    let pair = Pair::files(full, incremental).expect("archives");
    let progress = Progress::default();
    let mut live = live_accounts(pair, cores(2), &progress).expect("sound");
    let mut accounts = BTreeMap::new();
    live.for_each(&progress, |live| {
        let (pubkey, account) = live.account.to_owned();
        assert!(accounts.insert(pubkey, (live.slot, account)).is_none(), "{pubkey} comes once");
        ControlFlow::Continue(())
    })
    .expect("sound");
    accounts
}

/// An account, as the truth of the reference client has it: the slot in which it was written, lamports,
/// owner, whether it is executable, rent epoch, length and BLAKE3 of its data.
pub(crate) type Row = (Slot, u64, String, bool, Option<u64>, u64, String);

/// Accounts as rows of a truth.
pub(crate) fn as_rows(accounts: &BTreeMap<Pubkey, (Slot, Account)>) -> BTreeMap<String, Row> {
    let row = |(pubkey, (slot, account)): (&Pubkey, &(Slot, Account))| {
        let row = (
            *slot,
            account.lamports,
            account.owner.to_string(),
            account.executable,
            Some(account.rent_epoch),
            account.data.len() as u64,
            blake3::hash(&account.data).to_hex().to_string(),
        );
        (pubkey.to_string(), row)
    };
    accounts.iter().map(row).collect()
}

/// All accounts that a truth names.
pub(crate) fn rows_in(truth: &serde_json::Value) -> BTreeMap<String, Row> {
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().expect("text").to_string();
    let number = |row: &serde_json::Value, name: &str| row[name].as_u64().expect("a number");
    let row = |row: &serde_json::Value| {
        let content = (
            number(row, "slot"),
            number(row, "lamports"),
            text(row, "owner"),
            row["executable"].as_bool().expect("yes or no"),
            row["rent_epoch"].as_u64(),
            number(row, "data_len"),
            text(row, "data_blake3"),
        );
        (text(row, "pubkey"), content)
    };
    truth["accounts"].as_array().expect("a list").iter().map(row).collect()
}

/// All accounts as the reference client has them after loading, if this machine has it.
pub(crate) fn rows(
    full: &Path,
    incremental: Option<&Path>,
    set: &Path,
) -> Option<BTreeMap<String, Row>> {
    shared("")?;
    let folder = folder();
    let truth = folder.path().join("truth.json");
    let arguments = ["--truth", truth.to_str().expect("text"), "--rows", "1000000000"];
    loaded(full, incremental, set, &arguments);
    let text = fs::read(&truth).ok()?;
    Some(rows_in(&serde_json::from_slice(&text).expect("JSON")))
}
