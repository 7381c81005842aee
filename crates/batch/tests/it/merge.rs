//! A full and an incremental archive to one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use icecore_archive::writing::{frame_encoder::Packing, frame_plan::FRAME_BYTES_DEFAULT};
use icecore_batch::{Error, Merged, WriteOptions, merge};
use icecore_restore::{Answer, Options, Pair, Progress, verify};
use icecore_types::{Account, Pubkey, RECORD_ALIGN, RECORD_HEADER_BYTES};

use crate::support::{
    self, accounts, archives_in, cores, folder, load, manifest, member, names, packed, shared,
    tiny, unpacked, verify_strictly,
};

fn pair_in(set: &Path) -> (PathBuf, PathBuf) {
    let (full, incremental) = archives_in(set);
    (full, incremental.expect("the set has one"))
}

fn merged(set: &Path, folder: &Path, write: &WriteOptions, options: &Options) -> Merged {
    let (full, incremental) = pair_in(set);
    merge(&full, &incremental, folder, write, options, &Progress::default()).expect("a sound pair")
}

/// Everything that a merged archive has in common with its pair.
fn is_the_same_state(set: &Path, made: &Merged) {
    let (full, incremental) = pair_in(set);
    let pair = accounts(&full, Some(&incremental));
    assert!(
        accounts(&made.made.path, None) == pair,
        "accounts and the slots in which they were written"
    );
    assert_eq!(made.num_accounts, pair.len() as u64);

    let before = manifest(&incremental, made.made.slot);
    let mut after = manifest(&made.made.path, made.made.slot);
    let schedule = before.bank.scalars.epoch_schedule;
    assert_eq!(after.bank.scalars.epoch, schedule.epoch_of(made.made.slot));
    let listed: Vec<_> = after
        .accounts_db
        .storages
        .iter()
        .map(|(slot, storages)| {
            let [storage] = &storages[..] else { panic!("one storage for slot {slot}") };
            let path = format!("accounts/{slot}.{}", storage.id);
            assert_eq!(member(&made.made.path, &path).len() as u64, storage.accounts_current_len);
            *slot
        })
        .collect();
    let mut written: Vec<_> = pair.values().map(|(slot, _)| *slot).collect();
    written.sort_unstable();
    written.dedup();
    assert_eq!(listed, written, "the list of storages is true");
    after.accounts_db.storages = before.accounts_db.storages.clone();
    after.bank.scalars.epoch = before.bank.scalars.epoch;
    assert!(after == before, "every other field is the incremental archive's");
    let status_cache = "snapshots/status_cache";
    assert!(member(&made.made.path, status_cache) == member(&incremental, status_cache));
}

#[test]
fn a_merged_pair_is_the_same_state_and_loads_in_the_reference_client() {
    for (set, genesis, truth) in [
        ("tiny", "tiny", "truth-incremental-62.json"),
        ("small", "small", "truth-incremental-297.json"),
        ("old-2.3-lattice", "old-2.3-lattice", "truth-incremental-56.json"),
        ("feed-tiny/base", "feed-tiny", ""),
    ] {
        let Some((set, genesis)) = support::set(set).zip(support::set(genesis)) else { continue };
        let folder = folder();
        let made = merged(&set, folder.path(), &WriteOptions::default(), &cores(2));
        is_the_same_state(&set, &made);
        assert_eq!(names(folder.path()).len(), 1);
        verify_strictly(&made.made.path, None, &genesis);
        load(&made.made.path, None, &genesis, Some(truth).filter(|truth| !truth.is_empty()));
    }
}

#[test]
fn a_merge_gives_the_same_bytes_for_any_number_of_threads_and_any_containers() {
    let write = packed(Packing::Zstd { level: 3 }, 32 << 10);
    let first = folder();
    let expected = merged(&tiny(), first.path(), &write, &cores(1));
    let expected = fs::read(expected.made.path).expect("just written");
    for threads in [2, 5] {
        let other = folder();
        let made = merged(&tiny(), other.path(), &write, &cores(threads));
        assert!(fs::read(made.made.path).expect("just written") == expected, "{threads} threads");
    }
    // What was recompressed into many frames, or lz4, is the same pair.
    for (packing, frame_bytes) in [(Packing::Zstd { level: 1 }, 20_000), (Packing::Lz4, 1 << 20)] {
        let (between, last) = (folder(), folder());
        let (full, incremental) = pair_in(&tiny());
        let [full, incremental] = [full, incremental].map(|archive| {
            let write = packed(packing, frame_bytes);
            let progress = Progress::default();
            let made =
                icecore_batch::recompress(&archive, between.path(), &write, &cores(2), &progress);
            made.expect("sound").made.path
        });
        let progress = Progress::default();
        let made = merge(&full, &incremental, last.path(), &write, &cores(2), &progress);
        let made = made.expect("a sound pair");
        assert!(fs::read(made.made.path).expect("just written") == expected, "{packing:?}");
    }
}

#[test]
fn a_merged_archive_in_lz4_or_tar_holds_the_same_tar_stream() {
    let folder = folder();
    let [zstd, lz4, tar] =
        [Packing::Zstd { level: 1 }, Packing::Lz4, Packing::Tar].map(|packing| {
            let write = packed(packing, FRAME_BYTES_DEFAULT);
            merged(&tiny(), folder.path(), &write, &cores(2)).made.path
        });
    assert_eq!(names(folder.path()).len(), 3);
    load(&lz4, None, &tiny(), None);
    let expected = unpacked(&zstd);
    assert!(unpacked(&lz4) == expected);
    assert!(fs::read(tar).expect("just written") == expected);
}

#[test]
fn a_bad_pair_or_an_archive_that_is_there_leaves_nothing() {
    let (full, incremental) = pair_in(&tiny());
    let name = |path: &Path| path.file_name().expect("a file").to_owned();
    let (from, to) = (folder(), folder());
    let other = from.path().join(name(&incremental));
    let sound = fs::read(&incremental).expect("bundled");
    fs::write(&other, &sound[..sound.len() - 1000]).expect("written");
    let progress = Progress::default();
    let write = WriteOptions::default();
    let error = merge(&full, &other, to.path(), &write, &cores(2), &progress).expect_err("cut");
    assert!(matches!(error, Error::Restore(icecore_restore::Error::Damaged { .. })), "{error}");
    // A sound incremental archive of another full one.
    let renamed = name(&incremental).to_string_lossy().replace("snapshot-46-", "snapshot-45-");
    let other = from.path().join(renamed);
    fs::write(&other, &sound).expect("written");
    merge(&full, &other, to.path(), &write, &cores(2), &progress).expect_err("another base");
    assert_eq!(names(to.path()), Vec::<String>::new());

    let made = merged(&tiny(), to.path(), &write, &cores(2));
    let error =
        merge(&full, &incremental, to.path(), &write, &cores(2), &progress).expect_err("there");
    assert!(matches!(error, Error::Disk(icecore_disk::Error::Exists { .. })), "{error}");
    assert_eq!(names(to.path()), [name(&made.made.path).to_string_lossy()]);
}

#[test]
fn without_verification_accounts_are_not_hashed_and_all_else_is_checked() {
    let (full, last) = pair_in(&tiny());
    let is_plain = |owner: &str| {
        ["Sysvar", "Vote", "Stake", "Config", "Feature"].iter().all(|own| !owner.starts_with(own))
    };
    let accounts = accounts(&full, Some(&last));
    let tar = unpacked(&last);
    // Write version, length of data, key, lamports: and then the data.
    let record_of = |key: &Pubkey, account: &Account| {
        let is_record = |at: &usize| {
            tar[at + 16..].starts_with(&key.0)
                && tar[at + 48..].starts_with(&account.lamports.to_le_bytes())
                && tar[at + RECORD_HEADER_BYTES..].starts_with(&account.data)
        };
        (0..tar.len() - RECORD_HEADER_BYTES).step_by(RECORD_ALIGN as usize).find(is_record)
    };
    let record = accounts
        .iter()
        .filter(|(_, (_, account))| is_plain(&account.owner.to_string()) && account.data.len() > 64)
        .find_map(|(key, (_, account))| record_of(key, account))
        .expect("the incremental archive has such an account");
    let from = folder();
    let name = last.file_name().expect("a file").to_string_lossy().replace(".tar.zst", ".tar");
    let forged = from.path().join(name);
    let forge = |at: usize| {
        let mut bytes = tar.clone();
        bytes[at] ^= 1;
        fs::write(&forged, bytes).expect("written");
    };
    let make = |verify| {
        let to = folder();
        let write = WriteOptions { verify, ..WriteOptions::default() };
        let made = merge(&full, &forged, to.path(), &write, &cores(2), &Progress::default());
        (made, to)
    };
    forge(record + RECORD_HEADER_BYTES + 40);
    let (refused, to) = make(true);
    let error = refused.map(drop).expect_err("a state of another hash");
    assert!(error.to_string().contains("S2 accounts hash"), "{error}");
    assert_eq!(names(to.path()), Vec::<String>::new());
    let (made, _to) = make(false);
    let made = made.expect("nobody hashed it");
    assert!(!made.made.is_verified);
    let mut pair = Pair::files(&made.made.path, None).expect("an archive");
    let report = verify(&mut pair, &cores(2), &Progress::default()).expect("readable");
    assert_eq!(report.answer(), Answer::Bad);

    // A lamport more is in nobody's capitalization.
    forge(record + 48);
    let (refused, _) = make(false);
    let error = refused.map(drop).expect_err("another capitalization");
    assert!(error.to_string().contains("S1 "), "{error}");
}

#[test]
fn archives_without_a_lattice_hash_are_refused_by_name() {
    let Some(set) = shared("legacy") else { return };
    let full = set.join("snapshot-10-6ExseAZAVJsAZjhimxHTR7N8p6VGXiDNdsajYh1ipjAD.tar.zst");
    let incremental =
        "incremental-snapshot-10-25-GXgKvm3NMAPgGdv2verVaNXmKTHQgfy2TAxLVEfAvdCS.tar.zst";
    let to = folder();
    let write = WriteOptions::default();
    let progress = Progress::default();
    let error = merge(&full, &set.join(incremental), to.path(), &write, &cores(2), &progress)
        .expect_err("no lattice hash");
    assert!(matches!(error, Error::NoLattice { .. }), "{error}");
    assert_eq!(names(to.path()), Vec::<String>::new());
}

#[test]
fn a_merge_is_the_full_archive_that_the_reference_client_made_at_that_slot() {
    for set in ["feed-tiny", "feed-small"] {
        let Some(set) = shared(set) else { return };
        let (full, _) = archives_in(&set.join("base"));
        let (theirs, incremental) = archives_in(&set.join("end"));
        let incremental = incremental.expect("the set has one");
        let folder = folder();
        let (write, progress) = (WriteOptions::default(), Progress::default());
        let made = merge(&full, &incremental, folder.path(), &write, &cores(2), &progress);
        let made = made.expect("a sound pair");
        assert_eq!(made.made.path.file_name(), theirs.file_name());
        assert!(accounts(&made.made.path, None) == accounts(&theirs, None));
        let [ours, theirs] = [&made.made.path, &theirs].map(|path| manifest(path, made.made.slot));
        assert_eq!(ours.bank.hashes, theirs.bank.hashes);
        let scalars = icecore_archive::manifest::BankScalars {
            epoch: ours.bank.scalars.epoch,
            ..theirs.bank.scalars
        };
        assert_eq!(ours.bank.scalars, scalars);
        assert_eq!(ours.extra.accounts_lt_hash, theirs.extra.accounts_lt_hash);
        load(&made.made.path, None, &set, None);
    }
}
