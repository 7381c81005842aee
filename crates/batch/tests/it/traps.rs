//! What the reference client refuses or silently misreads is never written (`refusals.md`): the tar
//! stream of everything that the factory writes is taken apart, byte by byte.

use std::{collections::HashSet, path::Path};

use icecore_archive::{
    tar::{TarEvent, TarKind, TarReader},
    writing::frame_encoder::Packing,
};
use icecore_batch::{Extent, Named, WriteOptions, creatable_slots, create, merge, minimize};
use icecore_restore::Progress;
use icecore_store::At;
use icecore_types::{Pubkey, Slot};

use crate::{
    fed::{Fed, FeedSet},
    support::{archives_in, cores, folder, manifest, packed, status_cache, tiny, unpacked},
};

/// Bytes of a record's header.
const HEADER_BYTES: usize = 136;

/// A full archive, or an incremental one on a base.
fn avoids_all_traps(archive: &Path, slot: Slot, base: Option<Slot>) {
    let tar_bytes = unpacked(archive);
    let mut tar = TarReader::new();
    let mut input = &tar_bytes[..];
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some(event) = tar.next(&mut input).expect("sound") {
        match event {
            TarEvent::Member(member) => {
                assert!(!member.path.starts_with(['.', '/']), "{}", member.path);
                assert!(
                    matches!(member.kind, TarKind::Regular | TarKind::Directory),
                    "{}",
                    member.path
                );
                members.push((member.path, Vec::new()));
            }
            TarEvent::Data(bytes) => {
                members.last_mut().expect("of a member").1.extend_from_slice(bytes);
            }
            _ => {}
        }
    }
    assert!(tar_bytes.ends_with(&[0; 1024]), "the end of a tar stream");
    let paths: HashSet<_> = members.iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), members.len(), "no member twice");
    let content = |path: &str| members.iter().find(|(of, _)| of == path).map(|(_, bytes)| bytes);
    assert_eq!(content("version").map(|bytes| &bytes[..]), Some(&b"1.2.0"[..]));
    assert!(content("snapshots/status_cache").is_some_and(|bytes| !bytes.is_empty()));
    assert!(content(&format!("snapshots/{slot}/{slot}")).is_some());

    let (mut slots, mut ids, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut listed = Vec::new();
    for (path, bytes) in &members {
        let Some(name) = path.strip_prefix("accounts/").filter(|name| !name.is_empty()) else {
            continue;
        };
        let (of, id) = name.split_once('.').expect("slot and number");
        let (of, id): (Slot, u64) = (of.parse().expect("a slot"), id.parse().expect("a number"));
        assert!(slots.insert(of), "slot {of} has one storage");
        assert!(ids.insert(id), "number {id} is of one storage");
        assert!(of <= slot && base.is_none_or(|base| of > base), "{path}");
        assert!(!bytes.is_empty(), "{path}");
        records(path, bytes, base.is_some(), &mut keys);
        listed.push((of, id, bytes.len() as u64));
    }
    listed.sort_unstable();
    let manifest = manifest(archive, slot);
    let stated: Vec<_> = (manifest.accounts_db.storages.iter())
        .flat_map(|(slot, storages)| {
            storages.iter().map(|storage| (*slot, storage.id, storage.accounts_current_len))
        })
        .filter(|(slot, ..)| base.is_none_or(|base| *slot > base))
        .collect();
    assert_eq!(stated, listed, "the list of storages is true");
    assert!(manifest.extra.accounts_lt_hash.is_some());
    let cache = status_cache(archive);
    assert!(cache.slots.iter().any(|of| of.slot == slot), "the slot itself is in the status cache");
}

/// Records end where their storage does, and each key comes once in all storages.
fn records(path: &str, bytes: &[u8], with_tombstones: bool, keys: &mut HashSet<Pubkey>) {
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("in a header"));
    let mut at = 0;
    while at < bytes.len() {
        let data_bytes = number(at + 8) as usize;
        let key = Pubkey(*bytes[at + 16..].first_chunk().expect("in a header"));
        let lamports = number(at + 48);
        assert!(keys.insert(key), "{path}: {key} comes once");
        assert!(bytes[at + 96] <= 1, "{path}: executable or not");
        if lamports == 0 {
            assert!(with_tombstones, "{path}: a full archive has no closed accounts");
            assert!(data_bytes == 0 && bytes[at + 56..at + HEADER_BYTES].iter().all(|b| *b == 0));
        }
        let end = at + HEADER_BYTES + data_bytes;
        assert!(end <= bytes.len(), "{path}: whole records");
        at = end.next_multiple_of(8);
        assert!(end == bytes.len() || at < bytes.len(), "{path}: nothing behind the last record");
    }
}

/// Every way to write storages.
fn ways() -> [WriteOptions; 3] {
    let pack = WriteOptions { pack: true, ..WriteOptions::default() };
    [WriteOptions::default(), pack, packed(Packing::Lz4, 32 << 10)]
}

#[test]
fn merged_and_minimized_archives_avoid_what_the_reference_client_refuses() {
    let (full, incremental) = archives_in(&tiny());
    let incremental = incremental.expect("the set has one");
    for write in ways() {
        let (to, progress) = (folder(), Progress::default());
        let merged = merge(&full, &incremental, to.path(), &write, &cores(2), &progress);
        let made = merged.expect("a sound pair").made;
        avoids_all_traps(&made.path, made.slot, None);
        let to = folder();
        let archives = (full.as_path(), Some(incremental.as_path()));
        let named = Named::default();
        let minimized = minimize(archives, &named, to.path(), &write, &cores(2), &progress);
        let made = minimized.expect("sound").made;
        avoids_all_traps(&made.path, made.slot, None);
    }
}

#[test]
fn created_archives_avoid_what_the_reference_client_refuses() {
    let fed = Fed::of(&FeedSet::tiny());
    let newest = creatable_slots(&fed.store, Slot::MAX).expect("readable").newest[0];
    for write in ways() {
        let (to, progress) = (folder(), Progress::default());
        for extent in [Extent::Full, Extent::Incremental { base: 24 }] {
            let at = At::Slot(newest);
            let made = create(&fed.store, at, extent, to.path(), &write, &cores(2), &progress);
            let made = made.expect("it can be had");
            avoids_all_traps(&made.path, made.slot, made.base_slot);
        }
    }
}
